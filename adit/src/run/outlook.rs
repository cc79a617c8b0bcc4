//! What the pages are told of nodes, wallets and ports.

use super::{Counter, Live, OpenDoor};
use crate::config::{AssetSettings, Settings};
use accounting::{Amount, UnixMs};
use pool::Pool;
use std::sync::Arc;
use web::outlook::{AssetOutlook, BackupOutlook, Outlook, PoolOutlook, WalletOutlook};

/// How it looks now.
pub fn outlook(
    settings: &Settings,
    live: &Live,
    pool: &Pool,
    started_at: UnixMs,
    now: UnixMs,
) -> Outlook {
    let (counters, doors, ports) = (live.counters(), live.doors(), live.ports());
    let view = pool.view();
    let open = |door: &OpenDoor| {
        let seen = view.pools.iter().find(|seen| seen.id == door.pool_id())?;
        let own = settings.pools.iter().find(|pool| pool.config.name == seen.name)?;
        Some(door.outlook(own, seen.asset, &ports))
    };
    let pools: Vec<PoolOutlook> = doors.iter().filter_map(open).collect();
    let about = |counter: &Arc<Counter>| {
        let asset = settings.assets.iter().find(|asset| asset.config.name == counter.name)?;
        Some(asset_outlook(asset, counter, &pools))
    };
    let assets: Vec<AssetOutlook> = counters.iter().filter_map(about).collect();
    Outlook {
        at: now,
        started_at,
        connections: live.floor.connections.count(),
        pools,
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

fn asset_outlook(asset: &AssetSettings, counter: &Counter, pools: &[PoolOutlook]) -> AssetOutlook {
    let status = counter.status.load();
    let about = &counter.about;
    let own = pools.iter().filter(|pool| pool.asset == counter.id);
    let mut algorithms: Vec<String> = own.map(|pool| pool.algorithm.clone()).collect();
    algorithms.sort_unstable();
    algorithms.dedup();
    AssetOutlook {
        id: counter.id,
        name: counter.name.clone(),
        coin: about.coin.clone(),
        symbol: about.symbol.to_owned(),
        network: asset.config.network.clone(),
        decimals: asset.config.decimals,
        algorithms,
        difficulty_one: about.difficulty_one,
        measure: (about.measure)(),
        block_interval_s: about.block_interval_s,
        address: counter.address.clone(),
        next: (about.next)(),
        nodes: (about.nodes)(),
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
        addresses: about.addresses.clone(),
    }
}
