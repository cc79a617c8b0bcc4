//! Leased compute: money that no node of ours shows, and the door that earns it.
//!
//! Invariant: what is earned by the hour is divided by one rule, whose numbers are all here.

use super::asset::{Customs, payout_rules};
use super::{AssetKind, AssetSettings, BadName, Reader, Wrong, file, wrong};
use ::compute::desk;
use ::compute::key::PublicKey;
use ::compute::quorum::{Defences, Rules, Tolerance};
use ::compute::relay::check_address;
use ::compute::server::Pace;
use ::compute::tables::epochs::Budget;
use ::pool::config::{FeePayer, Payday};
use ::pool::{AssetConfig, PayoutRules, PoolConfig};
use accounting::reward::Depths;
use accounting::{Amount, BasisPoints, Identity, IdentityKind, Scheme};
use serde::Deserialize;
use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;
use toml::Spanned;

/// Bittensor's networks.
const NETWORKS: [&str; 3] = ["finney", "test", "local"];
/// The chain deletes accounts that hold less.
const EXISTENTIAL: i128 = 500;
/// The original's least withdrawal.
const MINIMUM: i128 = 5_000_000;
/// The longest an epoch may be, and the shortest.
const EPOCH: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(7 * 86_400));

/// `[pools.compute]` as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Compute {
    /// Where miners reach it.
    #[serde(default = "usual_address")]
    pub listen: SocketAddr,
    /// Where Bittensor's neurons reach it; nowhere without.
    pub axon: Option<SocketAddr>,
    /// Certificate chain (PEM), to speak HTTPS to miners.
    pub tls_certificate: Option<PathBuf>,
    /// Its key (PEM).
    pub tls_key: Option<PathBuf>,
    /// The pool's own hotkey, which signs reports; made if it is not there.
    #[serde(default = "usual_key")]
    pub key_file: PathBuf,
    /// The tasks, made by `adit data`; those of the demo without.
    pub set: Option<PathBuf>,
    /// What an epoch brings, in whole coins.
    pub budget: file::Coins,
    /// How long an epoch is: for ever.
    #[serde(default = "usual_epoch")]
    pub epoch: file::Span,
    /// How long a lease lasts.
    pub lease: Option<file::Span>,
    /// Votes that make a median.
    pub quorum: Option<u8>,
    /// What is near enough to it: a part of it, in percent.
    pub tolerance_percent: Option<file::Percent>,
    /// The same, as a distance of scores in hundredths, whatever the median.
    pub tolerance_points: Option<file::Percent>,
    /// What stands against cheats.
    #[serde(default)]
    pub defences: Guards,
    /// Requests a minute of one hotkey; 0 for any number.
    pub requests_per_minute: Option<u32>,
    /// Requests a minute of one internet address; 0 for any number.
    pub requests_per_minute_per_address: Option<u32>,
    /// Where the best algorithm is sent, in the pool's own name; nowhere without.
    pub relay: Option<String>,
    /// What the operator's summary asks for.
    pub monitor_token: Option<String>,
    /// Proxies whose `X-Forwarded-For` is believed.
    #[serde(default)]
    pub proxies: Vec<IpAddr>,
    /// Hotkeys whose synapses are refused.
    #[serde(default)]
    pub blacklist: Vec<String>,
}

/// Each defence, and whether it stands.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Guards {
    /// Digests of predictions must agree.
    pub digests: Option<bool>,
    /// Of a thousand new algorithms, how many the pool evaluates before anybody else.
    pub checks_per_thousand: Option<u16>,
    /// How long nothing is earned after a failed check.
    pub sentence: Option<file::Span>,
    /// An algorithm is evaluated by the pool before its author is paid.
    pub verify_winners: Option<bool>,
    /// Most votes on one algorithm.
    pub votes_max: Option<u8>,
    /// Telling answers after which one vote suffices; 0 for never.
    pub trusted_after: Option<u32>,
    /// Accurate answers before any is paid.
    pub probation: Option<u32>,
    /// Leases of one owner at a time; 0 for any number.
    pub leases_per_owner: Option<u32>,
}

fn usual_address() -> SocketAddr {
    SocketAddr::from(([0, 0, 0, 0], ::compute::server::PORT))
}

fn usual_key() -> PathBuf {
    "pool.hotkey".into()
}

const fn usual_epoch() -> file::Span {
    file::Span(Duration::from_secs(3600))
}

/// Money whose chain the pool does not see.
#[derive(Debug, Clone)]
pub struct ExternalSettings {
    /// The network of its identities.
    pub network: String,
    /// As people write it.
    pub symbol: &'static str,
    /// Which subnet's alpha; none of TAO.
    pub netuid: Option<u16>,
}

/// A door of leased compute.
#[derive(Debug, Clone)]
pub struct ComputeSettings {
    /// Where miners reach it.
    pub listen: SocketAddr,
    /// Where neurons reach it.
    pub axon: Option<SocketAddr>,
    /// Certificate and key files.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// The pool's own hotkey.
    pub key_file: PathBuf,
    /// The tasks.
    pub set: Option<PathBuf>,
    /// How epochs are paid.
    pub budget: Budget,
    /// How leases and votes work.
    pub desk: desk::Settings,
    /// How long a changed coldkey waits.
    pub coldkey_delay: Duration,
    /// How often somebody may ask.
    pub pace: Pace,
    /// Where the best algorithm is sent.
    pub relay: Option<String>,
    /// What the operator's summary asks for.
    pub monitor_token: Option<String>,
    /// Whose `X-Forwarded-For` is believed.
    pub proxies: Vec<IpAddr>,
    /// Hotkeys whose synapses are refused.
    pub blacklist: BTreeSet<PublicKey>,
}

impl ExternalSettings {
    /// Whose account a hotkey is.
    ///
    /// # Errors
    /// Why it is none.
    pub fn identity_of(&self, text: &str) -> Result<Identity, BadName> {
        let key: PublicKey = text.parse()?;
        let (kind, network) = (IdentityKind::PublicKey, self.network.clone());
        Ok(Identity { kind, network, bytes: key.bytes().to_vec() })
    }
}

/// TAO, or a subnet's alpha.
pub(super) fn asset(
    name: String,
    asset: file::Asset,
    span: &Spanned<()>,
) -> Result<AssetSettings, Wrong> {
    let refused = |text: String| wrong(span, format!("assets.{name}.{text}"));
    let chain = asset.network.get_ref();
    if !NETWORKS.contains(&chain.as_str()) {
        let text = format!("assets.{name}.network: one of {}", NETWORKS.join(", "));
        return Err(wrong(&asset.network, text));
    }
    if !asset.nodes.is_empty() || asset.wallet.is_some() {
        return Err(refused(
            "nodes, wallet: this money is sent by you, and the pool sees no chain of it; remove them".into(),
        ));
    }
    let (network, symbol) = match (asset.coin, &asset.netuid) {
        (file::CoinName::Alpha, None) => {
            return Err(refused("netuid: which subnet's alpha is it? netuid = 94".into()));
        }
        (file::CoinName::Alpha, Some(netuid)) => {
            (format!("bittensor/{chain}/{}", netuid.get_ref()), "alpha")
        }
        (_, Some(netuid)) => {
            let text = format!("assets.{name}.netuid: only coin = \"alpha\" has one");
            return Err(wrong(netuid, text));
        }
        _ => (format!("bittensor/{chain}"), "TAO"),
    };
    let customs = Customs {
        network: network.clone(),
        decimals: 9,
        mature: 1,
        mature_least: 1,
        confirm: 1,
        orphan: 1,
        dust: EXISTENTIAL,
        outputs: 1,
        minimum: MINIMUM,
        fee_payer: FeePayer::Pool,
    };
    let amount = |key: &str, coins: &file::Coins| {
        coins.amount(9).map_err(|error| wrong(span, format!("assets.{name}.{key}: {error}")))
    };
    let rules = payout_rules(&asset.payouts, &customs, amount)?;
    let payouts = PayoutRules {
        // Somebody looks at every withdrawal anyway: they send it.
        approval_above: rules.approval_above.or(Some(Amount::ZERO)),
        approvals: asset.payouts.approvals.unwrap_or(1).max(1),
        payday: Payday::Asked,
        fee_payer: FeePayer::Pool,
        ..rules
    };
    let config = AssetConfig {
        name: name.clone(),
        network: network.clone(),
        decimals: 9,
        depths: Depths { mature: 1, orphan: 1, last_look: 2 },
        payouts,
        assets_elsewhere: Amount::ZERO,
        exchange: None,
    };
    let look_every = asset.look_every.map_or(Duration::from_secs(5), |span| span.0);
    let netuid = asset.netuid.as_ref().map(|netuid| *netuid.get_ref());
    let kind = AssetKind::External(ExternalSettings { network, symbol, netuid });
    Ok(AssetSettings { config, look_every, kind })
}

/// The most of a budget for one owner.
pub(super) fn cap(pool: &file::Pool) -> BasisPoints {
    let usual = BasisPoints::new(500).unwrap_or(BasisPoints::ZERO);
    pool.cap_percent.map_or(usual, |percent| percent.0)
}

impl Reader<'_> {
    pub(super) fn compute(
        &self,
        door: Spanned<Compute>,
        config: &PoolConfig,
        asset: &AssetConfig,
    ) -> Result<ComputeSettings, Wrong> {
        let span = Spanned::new(door.span(), ());
        let door = door.into_inner();
        let refused = |text: &str| wrong(&span, format!("pools.compute.{text}"));
        let Scheme::Budget { cap } = config.scheme else {
            return Err(refused("scheme: compute is paid by the epoch: scheme = \"budget\""));
        };
        if !config.fee.tiers.is_empty() || config.fee.member_discount != BasisPoints::ZERO {
            return Err(refused(
                "fee_tiers, member_discount_percent: an epoch has one fee; remove them",
            ));
        }
        let tls = match (door.tls_certificate, door.tls_key) {
            (None, None) => None,
            (Some(certificate), Some(key)) => Some((self.path(certificate), self.path(key))),
            _ => return Err(refused("tls_certificate and tls_key come together")),
        };
        if door.axon.is_some_and(|axon| axon == door.listen && axon.port() != 0) {
            return Err(refused("axon: neurons have an address of their own, not that of listen"));
        }
        let length = door.epoch.0;
        if length < EPOCH.0 || length > EPOCH.1 || length.subsec_nanos() > 0 {
            return Err(refused("epoch: whole seconds, from 10s to 7d"));
        }
        let amount = door
            .budget
            .amount(asset.decimals)
            .map_err(|error| refused(&format!("budget: {error}")))?;
        if amount.as_u64().is_none() {
            return Err(refused("budget: more than there is of this money"));
        }
        let blacklist = door.blacklist.iter().map(|hotkey| {
            hotkey.parse().map_err(|bad| refused(&format!("blacklist: {hotkey}: {bad}")))
        });
        let blacklist = blacklist.collect::<Result<_, _>>()?;
        let tolerance = tolerance_of(door.tolerance_percent, door.tolerance_points)
            .ok_or_else(|| refused("tolerance_percent, tolerance_points: one of the two"))?;
        if let Some(relay) = &door.relay {
            check_address(relay).map_err(|bad| refused(&format!("relay: {bad}")))?;
        }
        let defences = defences_of(&door.defences);
        let quorum = door.quorum.unwrap_or(3);
        if quorum == 0 || defences.votes_max < quorum {
            return Err(refused("quorum: from 1 to defences.votes_max"));
        }
        let usual = desk::Settings::DEFAULT;
        let lease_s = door.lease.map_or(usual.lease_s, |span| span.0.as_secs());
        let newcomer_lease_s = usual.newcomer_lease_s.min(lease_s);
        if lease_s == 0 {
            return Err(refused("lease: at least a second"));
        }
        let rules = Rules { quorum, tolerance, defences };
        let fee = config.fee.base;
        Ok(ComputeSettings {
            listen: door.listen,
            axon: door.axon,
            tls,
            key_file: self.path(door.key_file),
            set: door.set.map(|file| self.path(file)),
            budget: Budget { length_s: length.as_secs(), amount, fee, cap },
            desk: desk::Settings { rules, lease_s, newcomer_lease_s, ..usual },
            coldkey_delay: Duration::from_millis(asset.payouts.address_change_delay_ms),
            pace: Pace {
                per_key: door.requests_per_minute.unwrap_or(Pace::USUAL.per_key),
                per_address: door
                    .requests_per_minute_per_address
                    .unwrap_or(Pace::USUAL.per_address),
            },
            relay: door.relay,
            monitor_token: door.monitor_token,
            proxies: door.proxies,
            blacklist,
        })
    }
}

fn tolerance_of(part: Option<file::Percent>, points: Option<file::Percent>) -> Option<Tolerance> {
    // Hundredths of a percent are hundred thousands of billionths.
    let billionths = |percent: file::Percent| u32::from(percent.0.points()) * 100_000;
    match (part, points) {
        (None, None) => Some(Tolerance::TENTH),
        (Some(part), None) => {
            Some(Tolerance::Relative { part: billionths(part), floor: 1_000_000 })
        }
        (None, Some(points)) => Some(Tolerance::Absolute(billionths(points))),
        (Some(_), Some(_)) => None,
    }
}

fn defences_of(guards: &Guards) -> Defences {
    let all = Defences::ALL;
    Defences {
        digests: guards.digests.unwrap_or(all.digests),
        checks_per_thousand: guards
            .checks_per_thousand
            .unwrap_or(all.checks_per_thousand)
            .min(1000),
        sentence_s: guards.sentence.map_or(all.sentence_s, |span| span.0.as_secs()),
        verify_winners: guards.verify_winners.unwrap_or(all.verify_winners),
        votes_max: guards.votes_max.unwrap_or(all.votes_max),
        trusted_after: guards.trusted_after.unwrap_or(all.trusted_after),
        probation: guards.probation.unwrap_or(all.probation),
        leases_per_owner: guards.leases_per_owner.unwrap_or(all.leases_per_owner),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{AssetKind, PoolKind, read};
    use super::*;
    use std::path::Path;

    const GOOD: &str = r#"
data_dir = "data"

[assets.tao]
coin = "tao"
network = "finney"

[[pools]]
name = "bitsota"
asset = "tao"
scheme = "budget"
fee_percent = 7
cap_percent = 5

[pools.compute]
listen = "127.0.0.1:8434"
axon = "127.0.0.1:8091"
budget = "1.5"
tolerance_points = 10
defences = { probation = 0, checks_per_thousand = 50 }
"#;

    #[test]
    fn a_compute_pool_is_read_with_the_originals_numbers_where_it_is_silent() {
        let settings = read(GOOD, Path::new("/etc/adit.toml")).unwrap();
        let AssetKind::External(own) = &settings.assets[0].kind else { panic!("external") };
        assert_eq!(own.network, "bittensor/finney");
        let payouts = &settings.assets[0].config.payouts;
        assert_eq!((payouts.minimum.units(), payouts.payday), (5_000_000, Payday::Asked));
        let PoolKind::Compute(door) = &settings.pools[0].kind else { panic!("compute") };
        assert_eq!(door.budget.amount.units(), 1_500_000_000);
        assert_eq!((door.budget.length_s, door.budget.fee.points()), (3600, 700));
        assert_eq!(door.desk.rules.tolerance, Tolerance::Absolute(100_000_000));
        let defences = door.desk.rules.defences;
        assert_eq!(
            (defences.probation, defences.checks_per_thousand, defences.digests),
            (0, 50, true)
        );
        assert_eq!(door.key_file, Path::new("/etc/pool.hotkey"));
        assert!(settings.pools[0].config.knows_keys);
        let silent = GOOD.replace("listen = \"127.0.0.1:8434\"\n", "");
        let settings = read(&silent, Path::new("/etc/adit.toml")).unwrap();
        let PoolKind::Compute(door) = &settings.pools[0].kind else { panic!("compute") };
        assert_eq!((door.listen.port(), door.desk.lease_s), (8434, 3 * 3600));
    }

    #[test]
    fn what_does_not_fit_compute_is_named() {
        let cases = [
            ("network = \"finney\"", "network = \"regtest\"", "network"),
            ("coin = \"tao\"", "coin = \"alpha\"", "netuid"),
            ("network = \"finney\"", "network = \"finney\"\nnetuid = 94", "netuid"),
            ("scheme = \"budget\"", "scheme = \"prop\"", "budget"),
            ("budget = \"1.5\"", "budget = \"1.5\"\nepoch = \"1s\"", "epoch"),
            ("127.0.0.1:8091", "127.0.0.1:8434", "axon"),
            ("budget = \"1.5\"", "budget = \"1.5\"\ntls_key = \"k.pem\"", "come together"),
            ("budget = \"1.5\"", "budget = \"0.0000000001\"", "budget"),
            ("tolerance_points = 10", "tolerance_points = 10\ntolerance_percent = 10", "tolerance"),
            ("probation = 0", "votes_max = 2", "quorum"),
            ("probation = 0", "bribes = 2", "bribes"),
            ("budget = \"1.5\"", "budget = \"1.5\"\nrelay = \"relay.example\"", "relay"),
            (
                "cap_percent = 5",
                "cap_percent = 5\nfee_tiers = [{ accounts = 5, fee_percent = 1 }]",
                "fee_tiers",
            ),
        ];
        for (before, after, key) in cases {
            assert!(GOOD.contains(before), "{before}");
            let text = GOOD.replace(before, after);
            let said = read(&text, Path::new("/etc/adit.toml")).unwrap_err().to_string();
            assert!(said.contains(key), "{after}: {said}");
        }
    }
}
