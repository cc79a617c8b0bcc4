//! What would go wrong with a GXC node.

use super::{Report, clock};
use crate::config::AssetSettings;
use accounting::Amount;
use serde_json::{Value, json};
use std::collections::HashSet;
use stratum::gxc::address::is_usual;
use stratum::gxc::offer;
use stratum::gxc::rpc::Node;
use stratum::source::gxc::GxcSource;

/// Looks at the nodes and the pool's address; gives what a block is worth.
pub(super) async fn check(
    asset: &AssetSettings,
    own: &GxcSource,
    report: &mut Report,
) -> Option<Amount> {
    let name = &asset.config.name;
    let mut value = None;
    for address in &own.nodes {
        let node = Node::at(address);
        let named = format!("node {address} of {name}");
        let is_local =
            ["127.", "localhost", "[::1]"].iter().any(|start| address.starts_with(start));
        if !is_local {
            report.warn(format!(
                "{named} is not on this machine: it knows no passwords and reads a request in one piece only; run it here, or a \
                 relay to it"
            ));
        }
        let raw: Value =
            match node.call("getblocktemplate", json!([{ "address": own.miner }])).await {
                Ok(raw) => raw,
                Err(error) => {
                    report.warn(format!("{named} gives no template: {error}"));
                    continue;
                }
            };
        match offer::read(raw, &own.miner, &HashSet::new()) {
            Ok(template) => {
                report.ok(format!(
                    "{named}: template of height {} with {} transactions; news by polling",
                    template.height,
                    template.gxc.as_ref().map_or(0, |offer| offer.transactions.len() - 1)
                ));
                clock(&named, template.cur_time, report);
                value = Some(Amount::from_units(template.coinbase_value.into()));
            }
            Err(error) => report.warn(format!("{named}: {error}")),
        }
    }
    if value.is_none() {
        report.fail(format!("no node of {name} can be used: no work can be handed out"));
    }
    wallet(name, own, report).await;
    value
}

async fn wallet(name: &str, own: &GxcSource, report: &mut Report) {
    let Some(address) = own.nodes.first() else { return };
    let miner = &own.miner;
    let known = Node::at(address).call::<Value>("validateaddress", json!([miner])).await;
    match known {
        Ok(known) if known["ismine"] == true => {
            report.ok(format!("wallet of {name}: {miner}, in the node"));
        }
        Ok(_) => report.fail(format!(
            "wallet of {name}: the node has not got the key of {miner}: payouts could never be signed. Name an address of its \
             own (`getnewaddress`)"
        )),
        Err(error) => report.fail(format!("wallet of {name}: {error}")),
    }
    if !is_usual(miner) {
        report.warn(format!(
            "wallet of {name}: {miner} is no usual address; is it spelt right? There is no checksum"
        ));
    }
}
