//! A pool of farmers: its door, its terms and its pace.

use super::{
    ChiaSettings, ChiaWallet, FarmingSettings, PoolKind, PoolSettings, Reader, Wrong, file, wrong,
};
use ::pool::PoolConfig;
use accounting::Amount;
use accounting::fee::FeeRule;
use farming::chores::{CONFIRM_MS_MAX, REFUNDED};
use farming::difficulty::{DIFFICULTY_MAX, Policy, Rule};
use farming::door::Settings;
use farming::hash::Bytes32;
use farming::network::MOJO_PER_XCH;
use farming::server::Limits;
use farming::singleton::Terms;
use farming::token::TokenTimeout;
use farming::watch::Pace;
use std::time::Duration;
use toml::Spanned;

/// What released farmers accept as the time that leaving takes, in blocks.
const LOCK_HEIGHTS: std::ops::RangeInclusive<u32> = 5..=1000;
/// Minutes of a token, where the file is silent.
const TOKEN_MINUTES: u8 = 5;

/// The pot beside a pool of farmers, for rewards that are one farmer's own: nothing is kept of them.
pub(super) fn refunds(beside: &PoolSettings) -> Option<PoolSettings> {
    let PoolKind::Farming(own) = &beside.kind else { return None };
    let config = PoolConfig {
        name: own.refunds.clone(),
        scheme: REFUNDED,
        fee: FeeRule::default(),
        part: None,
        ..beside.config.clone()
    };
    Some(PoolSettings { config, kind: PoolKind::Refunds })
}

impl Reader<'_> {
    pub(super) fn farming(
        &self,
        pool: file::Pool,
        asset: &ChiaSettings,
        span: &Spanned<()>,
    ) -> Result<FarmingSettings, Wrong> {
        let name = &pool.name;
        let stray = [
            ("tag", pool.tag.is_some()),
            ("extranonce2_size", pool.extranonce2_size.is_some()),
            ("ports", !pool.ports.is_empty()),
            ("part", pool.part.is_some()),
        ];
        if let Some((key, _)) = stray.iter().find(|(_, is)| *is) {
            return Err(wrong(span, format!("{key}: pool \"{name}\" is of Chia and has none")));
        }
        if pool.scheme == file::Scheme::Pps || pool.scheme == file::Scheme::Fpps {
            let text = format!(
                "scheme: pool \"{name}\" is of Chia, where nobody buys partials: solo, prop, pplns or tides"
            );
            return Err(wrong(span, text));
        }
        let Some(spanned) = pool.farming else {
            let text = format!("pool \"{name}\" is of Chia: add [pools.farming] with listen");
            return Err(wrong(span, text));
        };
        let span = Spanned::new(spanned.span(), ());
        let own = spanned.into_inner();
        let fail = |text: String| Err(wrong(&span, format!("farming.{text}")));
        let tls = match (&own.tls_certificate, &own.tls_key) {
            (None, None) if asset.network.allows_http || own.listen.ip().is_loopback() => None,
            (None, None) => {
                return fail(
                    "tls_certificate: farmers on mainnet speak HTTPS only; set it with tls_key, or listen on 127.0.0.1 behind a \
                     proxy that does"
                        .into(),
                );
            }
            (Some(certificate), Some(key)) => {
                Some((self.path(certificate.clone()), self.path(key.clone())))
            }
            _ => return fail("tls_certificate and tls_key come together".into()),
        };
        let lock_height = own.lock_height.unwrap_or(32);
        if !LOCK_HEIGHTS.contains(&lock_height) {
            let (least, most) = (LOCK_HEIGHTS.start(), LOCK_HEIGHTS.end());
            return fail(format!(
                "lock_height: farmers join with {least} to {most} blocks, not {lock_height}"
            ));
        }
        let usual = Pace::default();
        let span_of = |given: Option<file::Span>, usual: Duration| given.map_or(usual, |s| s.0);
        let pace = Pace {
            look: span_of(own.look_every, usual.look),
            collect: span_of(own.absorb_every, usual.collect),
            absorb_depth: own.absorb_after.unwrap_or(usual.absorb_depth),
        };
        if pace.look < Duration::from_millis(100) {
            return fail("look_every: at least 100ms".into());
        }
        // The block that brings the reward's coin, and the one that absorbs it.
        if pace.absorb_depth.saturating_add(2) > lock_height {
            return fail(format!(
                "absorb_after: {} blocks are too many where leaving takes {lock_height}: who wins and leaves would be gone with \
                 the reward; at most {}",
                pace.absorb_depth,
                lock_height.saturating_sub(2)
            ));
        }
        let per_second = own.max_requests_per_second.unwrap_or(Limits::default().per_address.0);
        let per_address = (per_second.max(1), per_second.saturating_mul(10).max(10));
        Ok(FarmingSettings {
            listen: own.listen,
            tls,
            limits: Limits { per_address, proxies: own.proxies.clone(), ..Limits::default() },
            pace,
            refunds: format!("{name}.refunds"),
            terms: settings(&own, name, pool.fee_percent.0, lock_height, asset)
                .map_err(|text| wrong(&span, format!("farming.{text}")))?,
        })
    }
}

/// What farmers are told and held to. Targets and the scheme are filled in when the pool starts.
fn settings(
    own: &file::Farming,
    name: &str,
    fee: accounting::BasisPoints,
    lock_height: u32,
    asset: &ChiaSettings,
) -> Result<Settings, String> {
    let rule: Rule = match &own.difficulty_rule {
        None => Rule::default(),
        Some(text) => text.parse().map_err(|error| format!("difficulty_rule: {error}"))?,
    };
    let min = own.min_difficulty.unwrap_or(1);
    if !(1..=DIFFICULTY_MAX).contains(&min) {
        return Err(format!("min_difficulty: from 1 to {DIFFICULTY_MAX}"));
    }
    let per_day = own.partials_per_day.unwrap_or(300);
    if per_day == 0 {
        return Err("partials_per_day: at least 1".into());
    }
    let timeout = TokenTimeout::minutes(own.token_minutes.unwrap_or(TOKEN_MINUTES));
    let fee_most = own.absorb_fee_max.as_ref().map(|coins| coins.amount(12));
    let fee_most = fee_most.transpose().map_err(|error| format!("absorb_fee_max: {error}"))?;
    if fee_most.is_some() && matches!(asset.wallet, ChiaWallet::Service { .. }) {
        return Err("absorb_fee_max: the purse is an address of the pool's own keys: wallet kind = \"hot\" has one".into());
    }
    let fee_most = fee_most.unwrap_or(Amount::ZERO).as_u64();
    let buried = own.buried_after.unwrap_or(32);
    if buried == 0 {
        return Err("buried_after: at least 1 block".into());
    }
    let confirm_after_ms = own.confirm_after.map_or(300_000, file::Span::ms);
    if confirm_after_ms > CONFIRM_MS_MAX {
        return Err(format!(
            "confirm_after: at most {}m: later a node cannot say any more whether a signage point stands",
            CONFIRM_MS_MAX / 60_000
        ));
    }
    Ok(Settings {
        name: own.title.clone().unwrap_or_else(|| name.to_owned()),
        description: own.description.clone(),
        logo_url: own.logo_url.clone(),
        welcome: own.welcome.clone().unwrap_or_else(|| format!("Welcome to {name}")),
        fee,
        scheme: REFUNDED,
        target: Bytes32::default(),
        terms: Terms { targets: Vec::new(), lock_height },
        timeout: timeout.ok_or("token_minutes: at least 1")?,
        policy: Policy { rule, min, per_day },
        time_limit_ms: own.time_limit.map_or(25_000, file::Span::ms),
        confirm_after_ms,
        buried,
        report_depth: own.report_after.unwrap_or(6),
        pays_externally: asset.treasury.exchange.is_some(),
        absorb_fee_most: fee_most
            .filter(|fee| *fee <= MOJO_PER_XCH)
            .ok_or("absorb_fee_max: at most 1 XCH")?,
    })
}

#[cfg(test)]
mod tests {
    use crate::config::{AssetKind, ChiaWallet, PoolKind, read};
    use accounting::Scheme;
    use std::path::Path;

    const GOOD: &str = r#"
data_dir = "data"

[assets.xch]
coin = "chia"
network = "testnet11"
wallet = { kind = "hot", key_file = "xch.key" }
nodes = [{ rpc = "127.0.0.1:8555", authority = "ca.crt", certificate = "node.crt", key = "node.key" }]

[[pools]]
name = "farm"
asset = "xch"
scheme = "pplns"
fee_percent = 1.25

[pools.farming]
listen = "127.0.0.1:8447"
lock_height = 32
min_difficulty = 7
"#;
    const DOOR: &str =
        "[pools.farming]\nlisten = \"127.0.0.1:8447\"\nlock_height = 32\nmin_difficulty = 7";

    fn refused(text: &str) -> String {
        read(text, Path::new("/etc/adit.toml")).unwrap_err().to_string()
    }

    #[test]
    fn a_pool_of_farmers_is_read_with_a_pot_beside_it_that_keeps_nothing() {
        let settings = read(GOOD, Path::new("/etc/adit.toml")).unwrap();
        let AssetKind::Chia(own) = &settings.assets[0].kind else { panic!("no chia") };
        assert_eq!(own.nodes[0].authority, Path::new("/etc/ca.crt"));
        assert_eq!(own.wallet, ChiaWallet::Hot("/etc/xch.key".into()));
        let [farm, refunds] = settings.pools.as_slice() else { panic!("two pots") };
        let PoolKind::Farming(door) = &farm.kind else { panic!("no farmers") };
        assert_eq!((door.terms.policy.min, door.terms.fee.points()), (7, 125));
        assert!(farm.config.knows_keys && !door.terms.pays_externally);
        assert!(matches!(refunds.kind, PoolKind::Refunds));
        assert_eq!((&*refunds.config.name, &*door.refunds), ("farm.refunds", "farm.refunds"));
        assert_eq!(refunds.config.scheme, Scheme::Solo { custodial: true });
        assert_eq!(refunds.config.fee.base.points(), 0);
    }

    #[test]
    fn who_wants_another_coin_is_welcome_where_somebody_pays_it() {
        let with = |address: &str| {
            let external = format!(
                "[assets.xch.external]\naddress = \"{address}\"\nfolder = \"out\"\n\n[[pools]]"
            );
            GOOD.replace("[[pools]]", &external)
        };
        let said = refused(&with("txch1nobody"));
        assert!(said.contains("external.address"), "{said}");
        let place = farming::hash::Bytes32([3; 32]);
        let address = farming::address::encode(&place, &farming::network::Network::testnet11());
        let settings = read(&with(&address), Path::new("/etc/adit.toml")).unwrap();
        let asset = &settings.assets[0];
        let AssetKind::Chia(own) = &asset.kind else { panic!("no chia") };
        assert_eq!(own.treasury.exchange, Some(place));
        let exchange = own.external.as_ref().unwrap();
        assert_eq!((exchange.folder.as_path(), &exchange.webhook), (Path::new("/etc/out"), &None));
        let hook = |url: &str| {
            let told = format!("folder = \"out\"\nwebhook = {{ url = \"{url}\", secret = \"s\" }}");
            with(&address).replace("folder = \"out\"", &told)
        };
        let said = refused(&hook("nowhere"));
        assert!(said.contains("external.webhook.url"), "{said}");
        assert!(read(&hook("http://127.0.0.1:1/paid"), Path::new("/etc/adit.toml")).is_ok());
        assert!(asset.destination_of("bc1qsomebody").is_ok());
        assert!(asset.identity_of("bc1qsomebody").is_err());
        assert!(asset.identity_of(&"ab".repeat(32)).is_ok());
    }

    #[test]
    fn a_wallet_of_chias_own_software_is_read_with_the_address_that_is_the_pools() {
        let place = farming::hash::Bytes32([3; 32]);
        let network = farming::network::Network::testnet11();
        let address = farming::address::encode(&place, &network);
        let with = |address: &str, rpc: &str| {
            let service = format!(
                "kind = \"node\", address = \"{address}\", service = {{ rpc = \"{rpc}\", authority = \"ca.crt\", certificate = \
                 \"wallet.crt\", key = \"wallet.key\" }}"
            );
            GOOD.replace("kind = \"hot\", key_file = \"xch.key\"", &service)
        };
        let settings =
            read(&with(&address, "127.0.0.1:9256"), Path::new("/etc/adit.toml")).unwrap();
        let AssetKind::Chia(own) = &settings.assets[0].kind else { panic!("no chia") };
        let ChiaWallet::Service { endpoint, place: read_place } = &own.wallet else {
            panic!("{:?}", own.wallet)
        };
        assert_eq!((*read_place, endpoint.key.as_path()), (place, Path::new("/etc/wallet.key")));
        let said = refused(&with(&address, "127.0.0.1"));
        assert!(said.contains("wallet.service.rpc"), "{said}");
        let elsewhere = farming::address::encode(&place, &farming::network::Network::mainnet());
        let said = refused(&with(&elsewhere, "127.0.0.1:9256"));
        assert!(said.contains("wallet.address"), "{said}");
        let purse = with(&address, "127.0.0.1:9256")
            .replace("min_difficulty = 7", "min_difficulty = 7\nabsorb_fee_max = \"0.001\"");
        let said = refused(&purse);
        assert!(said.contains("absorb_fee_max"), "no key of ours, no purse: {said}");
    }

    #[test]
    fn what_does_not_fit_is_named_with_its_key() {
        let net = "network = \"testnet11\"";
        let policy = "min_difficulty = 7";
        let wallet = "kind = \"hot\", key_file = \"xch.key\"";
        let block = format!("network = \"mainnet\"\ngenesis = \"{}\"", "11".repeat(32));
        let cases = [
            ("testnet11", "testnet12", "network"),
            (net, &block, "genesis"),
            (net, "network = \"testnet11\"\nrefresh = \"5s\"", "refresh"),
            ("authority = \"ca.crt\", ", "", "authority"),
            ("key = \"node.key\"", "key = \"node.key\", user = \"u\"", "user"),
            ("127.0.0.1:8555", "127.0.0.1", "rpc"),
            (wallet, "kind = \"node\", name = \"x\"", "name"),
            (wallet, "kind = \"hot\"", "key_file"),
            (wallet, "kind = \"hot\", key_file = \"xch.key\", address = \"txch1\"", "address"),
            (wallet, "kind = \"node\", key_file = \"xch.key\"", "key_file"),
            (wallet, "kind = \"node\"", "service"),
            (wallet, "kind = \"watch\"", "kind"),
            ("scheme = \"pplns\"", "scheme = \"pps\"", "scheme"),
            ("lock_height = 32", "lock_height = 4", "lock_height"),
            ("lock_height = 32", "lock_height = 1001", "lock_height"),
            (policy, "min_difficulty = 0", "min_difficulty"),
            (policy, "absorb_after = 31", "absorb_after"),
            ("lock_height = 32", "lock_height = 7", "absorb_after"),
            (policy, "buried_after = 0", "buried_after"),
            (policy, "confirm_after = \"31m\"", "confirm_after"),
            (policy, "difficulty_rule = \"easy\"", "difficulty_rule"),
            (policy, "partials_per_day = 0", "partials_per_day"),
            (policy, "absorb_fee_max = \"2\"", "absorb_fee_max"),
            (policy, "tls_key = \"key.pem\"", "tls_certificate"),
            ("fee_percent = 1.25", "fee_percent = 1.25\ntag = \"x\"", "tag"),
            (DOOR, "", "farming"),
        ];
        for (before, after, key) in cases {
            assert!(GOOD.contains(before), "{before}");
            let said = refused(&GOOD.replace(before, after));
            assert!(said.contains(key), "{after}: {said}");
        }
        let public = GOOD.replace("testnet11", "mainnet").replace("127.0.0.1:8447", "0.0.0.0:8447");
        assert!(refused(&public).contains("tls_certificate"), "farmers on mainnet speak HTTPS");
    }
}
