//! What the pages are told of nodes, wallets and ports.

use super::{Counter, Live, OpenPort};
use crate::config::{AssetSettings, PoolSettings, Settings};
use crate::control;
use accounting::{Amount, Identity, UnixMs};
use std::sync::Arc;
use stratum::coin::{Coin, address};
use stratum::server::Door;
use stratum::source::Offer;
use web::outlook::{
    Addresses, AssetOutlook, BackupOutlook, NextBlock, NodeOutlook, Outlook, Parsed, PoolOutlook,
    PortOutlook, WalletOutlook,
};

/// How it looks now.
pub fn outlook(settings: &Settings, live: &Live, started_at: UnixMs, now: UnixMs) -> Outlook {
    let (counters, doors, ports) = (live.counters(), live.doors(), live.ports());
    let about = |counter: &Arc<Counter>| {
        let asset = settings.assets.iter().find(|asset| asset.config.name == counter.name)?;
        Some(asset_outlook(asset, counter))
    };
    let assets: Vec<AssetOutlook> = counters.iter().filter_map(about).collect();
    let pool = |door: &Arc<Door>| {
        let view = door.pool.view();
        let seen = view.pools.iter().find(|seen| seen.id == door.pool_id)?;
        let own = settings.pools.iter().find(|pool| pool.config.name == seen.name)?;
        Some(pool_outlook(own, door, seen.asset, &ports))
    };
    Outlook {
        at: now,
        started_at,
        connections: live.floor.connections.count(),
        pools: doors.iter().filter_map(pool).collect(),
        assets,
        loops: live.loops(),
        backups: live.backups.as_ref().map(|backups| {
            let state = backups.state.load();
            BackupOutlook {
                folder: backups.settings.folder.display().to_string(),
                last: state.last,
                trouble: state.trouble.clone(),
            }
        }),
    }
}

fn asset_outlook(asset: &AssetSettings, counter: &Counter) -> AssetOutlook {
    let status = counter.status.load();
    let coin = asset.coin;
    let next = match &*counter.source.offers.borrow() {
        Offer::Template(template) => Some(NextBlock {
            height: template.height,
            work: f64::from(template.target.work().value()),
            value: template.coinbase_value,
            transactions: template.transaction_ends.len(),
            at: UnixMs(u64::from(template.cur_time) * 1000),
        }),
        Offer::Waiting | Offer::None(_) => None,
    };
    let node = |node: &Arc<arc_swap::ArcSwap<stratum::source::NodeStatus>>| {
        let node = node.load();
        NodeOutlook {
            address: node.address.clone(),
            height: node.height.checked_sub(1),
            trouble: node.unfit.as_ref().map(ToString::to_string),
        }
    };
    AssetOutlook {
        id: counter.id,
        name: counter.name.clone(),
        coin: capitalised(&coin.family().to_string()),
        symbol: coin.symbol().to_owned(),
        network: coin.to_string(),
        decimals: coin.decimals(),
        algorithm: coin.algorithm().name().to_owned(),
        difficulty_one: f64::from(
            pow::Target::new(coin.algorithm().difficulty_one()).work().value(),
        ),
        block_interval_s: coin.block_interval_s().into(),
        address: counter.address.clone(),
        next,
        nodes: counter.source.nodes.iter().map(node).collect(),
        wallet: status.holdings.as_ref().map(|held| WalletOutlook {
            spendable: held.spendable,
            immature: held.immature,
            unconfirmed: held.unconfirmed,
        }),
        folds: status.folds,
        blockers: status.blockers.clone(),
        warnings: status.warnings.clone(),
        trouble: status.trouble.clone(),
        next_run: status.next_run,
        minimum: asset.config.payouts.minimum.max(Amount::ZERO),
        mature_after: asset.config.depths.mature,
        orphan_after: asset.config.depths.orphan,
        addresses: addresses(coin),
    }
}

fn pool_outlook(
    own: &PoolSettings,
    door: &Door,
    asset: accounting::AssetId,
    ports: &[OpenPort],
) -> PoolOutlook {
    let port = |port: &OpenPort| PortOutlook {
        address: port.address,
        tls: port.tls,
        start: port.policy.start.as_f64(),
        min: port.policy.min.as_f64(),
        max: port.policy.max.as_f64(),
        share_interval_s: port.policy.interval_s,
    };
    let (jobs_sent, difficulty_changes) = door.stats.sent_counts();
    let rejected = door.stats.rejected_counts().into_iter();
    PoolOutlook {
        id: door.pool_id,
        name: own.config.name.clone(),
        asset,
        scheme: own.config.scheme,
        fee: own.config.fee.clone(),
        ports: ports.iter().filter(|port| port.pool == door.pool_id).map(port).collect(),
        rejected: rejected.map(|(reject, count)| (reject.label(), count)).collect(),
        accepted: door.stats.accepted_count(),
        blocks_unbooked: door.blocks.unbooked(),
        jobs_sent,
        difficulty_changes,
        validation: door.stats.validation.read(),
        ack: door.stats.ack.read(),
        broadcast: door.stats.broadcast.read(),
    }
}

fn addresses(coin: Coin) -> Addresses {
    let parse = move |text: &str| {
        let identity = control::identity_of(text, coin).map_err(|error| error.to_string())?;
        // As its chain writes it, however it was typed.
        let display = address::address_of(&identity.bytes, coin).unwrap_or_else(|| text.to_owned());
        Ok(Parsed { identity, display })
    };
    let prove = move |who: &Identity, message: &str, signature: &str| {
        let checked = stratum::coin::message::verify(coin, &who.bytes, message, signature);
        checked.map_err(|error| error.to_string())
    };
    Addresses::new(parse, prove)
}

/// A coin's name as people write it.
fn capitalised(name: &str) -> String {
    let mut characters = name.chars();
    characters
        .next()
        .map_or_else(String::new, |first| first.to_uppercase().chain(characters).collect())
}
