//! The pots' part of the configuration.

use super::{
    AssetKind, AssetSettings, PoolKind, PoolSettings, PortSettings, Reader, StratumSettings, Wrong,
    by_block, compute, ether, file, wrong,
};
use ::pool::PoolConfig;
use ::pool::config::SliceRule;
use accounting::BasisPoints;
use accounting::Scheme;
use accounting::fee::{FeeRule, FeeTier, VolumeStep};
use accounting::scheme::PplnsWindow;
use accounting::union::Part;
use pow::ethash::{CLASSIC_EPOCH, EPOCH};
use pow::{Algorithm, Difficulty};
use std::path::PathBuf;
use std::time::Duration;
use stratum::coin::{Coin, Family};
use stratum::coinbase::TAG_MAX;
use stratum::dag::DagSettings;
use stratum::difficulty::Policy;
use stratum::gxc::legacy::{Function, Legacy, Profile};
use stratum::hashing::Hashing;
use stratum::limits::Limits;
use toml::Spanned;

impl Reader<'_> {
    pub(super) fn pool(
        &self,
        spanned: Spanned<file::Pool>,
        assets: &[AssetSettings],
    ) -> Result<PoolSettings, Wrong> {
        let span = Spanned::new(spanned.span(), ());
        let mut pool = spanned.into_inner();
        let name = pool.name.clone();
        let found = assets.iter().find(|asset| asset.config.name == *pool.asset.get_ref());
        let asset = found.ok_or_else(|| {
            let known: Vec<&str> = assets.iter().map(|asset| &*asset.config.name).collect();
            let text = format!(
                "asset: pool \"{name}\" names no asset of this file; there is {}",
                known.join(", ")
            );
            wrong(&pool.asset, text)
        })?;
        let scheme = scheme_of(&pool, &span)?;
        let fee = FeeRule {
            base: pool.fee_percent.0,
            tiers: pool
                .fee_tiers
                .iter()
                .map(|tier| FeeTier { accounts: tier.accounts, fee: tier.fee_percent.0 })
                .collect(),
            member_discount: pool.member_discount_percent.0,
            volume: volume_of(&pool.volume_discounts, scheme)?,
        };
        let slices = SliceRule {
            age_ms: pool.slice_age.map_or(SliceRule::default().age_ms, file::Span::ms),
            ..SliceRule::default()
        };
        let part = match &pool.part {
            None => None,
            Some(part) if !matches!(scheme, Scheme::Pplns(_) | Scheme::Tides) => {
                return Err(wrong(
                    part,
                    "part: only pools whose blocks are paid by windows (pplns, tides) share them",
                ));
            }
            Some(part) => match Part::new(*part.get_ref()) {
                Some(part) => Some(part),
                None => return Err(wrong(part, "part: a number from 1 to 1000000")),
            },
        };
        let config = PoolConfig {
            name,
            asset: asset.config.name.clone(),
            scheme,
            fee,
            part,
            slices,
            knows_keys: matches!(asset.kind, AssetKind::Chia(_)) || pool.compute.is_some(),
        };
        let door = pool.compute.take();
        if let Some(door) = door.as_ref().filter(|_| !matches!(asset.kind, AssetKind::External(_)))
        {
            let text = "pools.compute: this asset is mined; compute needs one with coin = \"tao\" or \"alpha\"";
            return Err(wrong(door, text));
        }
        if let Some(by_block) =
            pool.by_block.as_ref().filter(|_| !matches!(asset.kind, AssetKind::Coin(_)))
        {
            let text = "by_block: only blocks of the bitcoind family can pay miners themselves";
            return Err(wrong(by_block, text));
        }
        let kind = match &asset.kind {
            AssetKind::Coin(own) => {
                let hashing = hashing(&pool, own.coin)?;
                let by_block = by_block::settings(pool.by_block.take(), &config, asset, |path| {
                    self.path(path)
                })?;
                let own = self.stratum(pool, hashing, EPOCH, &span)?;
                PoolKind::Stratum(StratumSettings { by_block, ..own })
            }
            AssetKind::Gxc(own) => {
                let hashing = hashing(&pool, own.coin)?;
                PoolKind::Stratum(self.stratum(pool, hashing, EPOCH, &span)?)
            }
            AssetKind::Ether(own) => {
                let usual = ether::usual_epoch(own.coin);
                of_chain(&pool, scheme, &span)?;
                PoolKind::Stratum(self.stratum(pool, Hashing::Ethash, usual, &span)?)
            }
            AssetKind::Chia(own) => PoolKind::Farming(Box::new(self.farming(pool, own, &span)?)),
            AssetKind::External(_) => {
                let door = door.ok_or_else(|| {
                    let text = format!(
                        "pool \"{}\" is paid in what is earned by leased compute: add [pools.compute]",
                        config.name
                    );
                    wrong(&span, text)
                })?;
                PoolKind::Compute(Box::new(self.compute(door, &config, &asset.config)?))
            }
        };
        Ok(PoolSettings { config, kind })
    }

    fn stratum(
        &self,
        pool: file::Pool,
        hashing: Hashing,
        usual_epoch: u64,
        span: &Spanned<()>,
    ) -> Result<StratumSettings, Wrong> {
        let name = &pool.name;
        if let Some(farming) = &pool.farming {
            return Err(wrong(farming, "farming: only pools of a chia asset have farmers"));
        }
        let tag = match &pool.tag {
            None => "/Adit/".to_owned(),
            Some(tag)
                if tag.get_ref().len() <= TAG_MAX
                    && tag.get_ref().bytes().all(|b| (0x20..0x7f).contains(&b)) =>
            {
                tag.get_ref().clone()
            }
            Some(tag) => {
                return Err(wrong(
                    tag,
                    format!("tag: at most {TAG_MAX} printable ASCII characters"),
                ));
            }
        };
        let extranonce2_size = match &pool.extranonce2_size {
            None => 8,
            Some(size) if (4..=8).contains(size.get_ref()) => *size.get_ref(),
            Some(size) => return Err(wrong(size, "extranonce2_size: from 4 to 8 bytes")),
        };
        if pool.ports.is_empty() {
            return Err(wrong(
                span,
                format!("ports: pool \"{name}\" listens nowhere; add [[pools.ports]]"),
            ));
        }
        let mut ports = Vec::new();
        for port in pool.ports {
            ports.push(
                self.port(port)
                    .map_err(|text| wrong(span, format!("pools.ports of \"{name}\": {text}")))?,
            );
        }
        let dataset = pool.ethash_dataset;
        let ethash = self.ethash((hashing, usual_epoch), pool.ethash_epoch, dataset, span)?;
        Ok(StratumSettings { tag, extranonce2_size, hashing, ethash, by_block: None, ports })
    }

    fn ethash(
        &self,
        (hashing, usual): (Hashing, u64),
        epoch: Option<Spanned<u64>>,
        dataset: Option<PathBuf>,
        span: &Spanned<()>,
    ) -> Result<Option<DagSettings>, Wrong> {
        if hashing != Hashing::Ethash {
            if epoch.is_some() || dataset.is_some() {
                let text = "ethash_epoch, ethash_dataset: only algorithm = \"ethash\" has them";
                return Err(wrong(span, text));
            }
            return Ok(None);
        }
        let epoch_blocks = match epoch {
            None => usual,
            Some(blocks) if [EPOCH, CLASSIC_EPOCH].contains(blocks.get_ref()) => *blocks.get_ref(),
            Some(blocks) => {
                return Err(wrong(&blocks, format!("ethash_epoch: {EPOCH} or {CLASSIC_EPOCH}")));
            }
        };
        Ok(Some(DagSettings { epoch_blocks, full: dataset.map(|folder| self.path(folder)) }))
    }

    fn port(&self, port: file::Port) -> Result<PortSettings, String> {
        let hardness = |given: Option<file::Hardness>, usual: f64| {
            given.map_or(Difficulty::nearest(usual), |d| d.0)
        };
        let min = hardness(port.min_difficulty, 0.001);
        let max = port.max_difficulty.map_or(Difficulty::MAX, |d| d.0);
        let start = hardness(port.start_difficulty, 1000.0);
        if !(min <= start && start <= max) {
            return Err(format!(
                "min_difficulty {min} ≤ start_difficulty {start} ≤ max_difficulty {max} does not hold"
            ));
        }
        let interval = port.share_interval.map_or(Duration::from_secs(5), |span| span.0);
        if interval.is_zero() {
            return Err("share_interval: more than nothing".into());
        }
        let tls = match (port.tls_certificate, port.tls_key) {
            (None, None) => None,
            (Some(certificate), Some(key)) => Some((self.path(certificate), self.path(key))),
            _ => return Err("tls_certificate and tls_key come together".into()),
        };
        let usual = Limits::default();
        let limits = Limits {
            connections: port.max_connections.unwrap_or(usual.connections),
            per_address: port.max_connections_per_address.unwrap_or(usual.per_address),
            handshake_ms: port.handshake_limit.map_or(usual.handshake_ms, file::Span::ms),
            silence_ms: port.silence_limit.map_or(usual.silence_ms, file::Span::ms),
            requests_per_s: port
                .max_requests_per_second
                .map_or(usual.requests_per_s, |limit| f64::from(limit.max(1))),
        };
        let policy = Policy { start, min, max, interval_s: interval.as_secs_f64() };
        Ok(PortSettings {
            listen: port.listen,
            policy,
            limits,
            tls,
            proxy_protocol: port.proxy_protocol,
        })
    }
}

/// A pool of a chain whose nodes make the blocks.
fn of_chain(pool: &file::Pool, scheme: Scheme, span: &Spanned<()>) -> Result<(), Wrong> {
    if let Some(name) =
        pool.algorithm.as_ref().filter(|name| *name.get_ref() != file::HashName::Ethash)
    {
        return Err(wrong(name, "algorithm: coin = \"ethash\" has one; remove it"));
    }
    if let Some(profile) = &pool.profile {
        return Err(wrong(profile, "profile: only pools of GXC have one; remove it"));
    }
    match scheme {
        Scheme::Prop | Scheme::Pplns(_) | Scheme::Tides => Ok(()),
        Scheme::Pps | Scheme::Fpps => Err(wrong(
            span,
            "scheme: what a block of this chain brings is known when it is there, so shares cannot be bought before: pplns, tides or prop",
        )),
        Scheme::Solo { .. } | Scheme::Budget { .. } => Err(wrong(
            span,
            "scheme: the node makes the blocks, and what one brought and an uncle in it is one sum, so it cannot be one finder's: pplns, \
             tides or prop",
        )),
    }
}

fn hashing(pool: &file::Pool, coin: Coin) -> Result<Hashing, Wrong> {
    let Some(name) = &pool.algorithm else {
        if let Some(profile) = &pool.profile {
            let text = "profile: it says whose idea of an algorithm; add algorithm";
            return Err(wrong(profile, text));
        }
        return Ok(Hashing::Header(coin.algorithm()));
    };
    if coin.family() != Family::Gxc {
        let text = format!("algorithm: {} has one; remove it", coin.family());
        return Err(wrong(name, text));
    }
    let Some(profile) = &pool.profile else {
        return Ok(match name.get_ref() {
            file::HashName::Sha256 => Hashing::Header(Algorithm::Sha256d),
            file::HashName::Gxhash => Hashing::GxHash,
            file::HashName::Ethash => Hashing::Ethash,
        });
    };
    let function = match name.get_ref() {
        file::HashName::Sha256 => Function::Sha256,
        file::HashName::Gxhash => Function::GxHash,
        file::HashName::Ethash => Function::Ethash,
    };
    let whose = *profile.get_ref();
    Legacy::new(whose, function).map(Hashing::Legacy).ok_or_else(|| {
        let text = match whose {
            Profile::Guide => "profile: the guide's pool has one hash; say algorithm = \"sha256\"",
            _ => "profile: this program has no ethash of its own that anybody could verify; say sha256 or gxhash",
        };
        wrong(profile, text)
    })
}

/// Who has all of the work of each block they find has no volume.
fn volume_of(
    discounts: &[Spanned<file::VolumeDiscount>],
    scheme: Scheme,
) -> Result<Vec<VolumeStep>, Wrong> {
    if let (Scheme::Solo { .. } | Scheme::Budget { .. }, Some(first)) = (scheme, discounts.first())
    {
        let text = "volume_discounts: only where blocks are divided by work or shares are bought";
        return Err(wrong(first, text));
    }
    let mut steps: Vec<VolumeStep> = Vec::new();
    for discount in discounts {
        let file::VolumeDiscount { part_percent, discount_percent } = discount.get_ref();
        let step = VolumeStep { part: part_percent.0, discount: discount_percent.0 };
        let grows = |last: &VolumeStep| step.part > last.part && step.discount > last.discount;
        if step.part == BasisPoints::ZERO || !steps.last().is_none_or(grows) {
            let text = "volume_discounts: each begins at a larger part than the one before it, with a larger discount";
            return Err(wrong(discount, text));
        }
        steps.push(step);
    }
    Ok(steps)
}

fn scheme_of(pool: &file::Pool, span: &Spanned<()>) -> Result<Scheme, Wrong> {
    if pool.scheme != file::Scheme::Pplns {
        if let Some(window) = &pool.window {
            return Err(wrong(window, "window: only scheme = \"pplns\" has one"));
        }
        if let Some(window) = &pool.window_shares {
            return Err(wrong(window, "window_shares: only scheme = \"pplns\" has one"));
        }
    }
    if pool.custodial && pool.scheme != file::Scheme::Solo {
        return Err(wrong(
            span,
            format!("custodial: only scheme = \"solo\" of pool \"{}\" can be", pool.name),
        ));
    }
    let has_budget = pool.scheme == file::Scheme::Budget;
    if has_budget && pool.compute.is_none() {
        let text = format!(
            "scheme: only a pool with [pools.compute] divides budgets; \"{}\" has none",
            pool.name
        );
        return Err(wrong(span, text));
    }
    if pool.cap_percent.is_some() && !has_budget {
        return Err(wrong(span, "cap_percent: only scheme = \"budget\" has one"));
    }
    Ok(match pool.scheme {
        file::Scheme::Budget => Scheme::Budget { cap: compute::cap(pool) },
        file::Scheme::Solo => Scheme::Solo { custodial: pool.custodial },
        file::Scheme::Prop => Scheme::Prop,
        file::Scheme::Tides => Scheme::Tides,
        file::Scheme::Pps => Scheme::Pps,
        file::Scheme::Fpps => Scheme::Fpps,
        file::Scheme::Pplns => Scheme::Pplns(match (&pool.window, &pool.window_shares) {
            (None, None) => PplnsWindow::Work { millifactor: 2000 },
            (Some(window), None) if (0.001..=1000.0).contains(window.get_ref()) => {
                PplnsWindow::Work { millifactor: (window.get_ref() * 1000.0).round() as u64 }
            }
            (Some(window), None) => {
                return Err(wrong(window, "window: from 0.001 to 1000 times the network's work"));
            }
            (None, Some(count)) if *count.get_ref() > 0 => {
                PplnsWindow::Shares { count: *count.get_ref() }
            }
            (None, Some(count)) => return Err(wrong(count, "window_shares: at least one")),
            (Some(window), Some(_)) => {
                return Err(wrong(window, "window: not together with window_shares"));
            }
        }),
    })
}
