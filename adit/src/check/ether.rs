//! What would go wrong with a chain of Ethash.

use super::Report;
use crate::config::{AssetSettings, PoolKind, Settings};
use serde_json::{Value, json};
use stratum::dag::epoch_of;
use stratum::ether::{address, node, work};
use stratum::source::ether::EtherSource;

/// Looks at the nodes: may they be believed, do they give work, is it of the epochs that the pools are set to, and do they know balances.
pub(super) async fn check(
    asset: &AssetSettings,
    own: &EtherSource,
    settings: &Settings,
    report: &mut Report,
) {
    let name = &asset.config.name;
    let mut fit = false;
    for endpoint in &own.nodes {
        let named = format!("node {} of {name}", endpoint.address);
        let mut rpc = node::rpc(endpoint);
        if let Err(unfit) = own.gate.check(&mut rpc).await {
            report.warn(format!("{named}: {unfit}"));
            continue;
        }
        let work = match work::ask(&mut rpc).await {
            Ok((work, ..)) => work,
            Err(unfit) => {
                report.warn(format!("{named}: {unfit}"));
                continue;
            }
        };
        fit = true;
        report.ok(format!("{named}: work of height {}; news by polling", work.height));
        epochs(asset, settings, &work, &named, report);
        let asked = json!([address::show(&own.gate.miner), "latest"]);
        match rpc.call::<Value>("eth_getBalance", asked).await {
            Ok(said) if node::wei(&said).is_some() => {}
            Ok(said) => report.fail(format!("{named}: eth_getBalance says {said}")),
            Err(error) => report.fail(format!(
                "{named}: what blocks bring is read from balances, and eth_getBalance says: {error}"
            )),
        }
    }
    if !fit {
        report.fail(format!("no node of {name} can be used: no work can be handed out"));
    }
    report.ok(format!(
        "wallet of {name}: {}; payouts are sent by you: `adit payouts list`, `sent`, `confirmed`",
        address::show(&own.gate.miner)
    ));
}

fn epochs(
    asset: &AssetSettings,
    settings: &Settings,
    work: &work::Work,
    named: &str,
    report: &mut Report,
) {
    for pool in settings.pools.iter().filter(|pool| pool.config.asset == asset.config.name) {
        let PoolKind::Stratum(stratum) = &pool.kind else { continue };
        let Some(ethash) = &stratum.ethash else { continue };
        let blocks = ethash.epoch_blocks;
        let epoch = epoch_of(work.height, blocks);
        if epoch.is_none_or(|epoch| epoch.seed(blocks) != work.seed) {
            let name = &pool.config.name;
            report.fail(format!(
                "{named}: its seed is not that of epochs of {blocks} blocks: set ethash_epoch of pool {name} to the other of 30000 and 60000"
            ));
        }
    }
}
