//! What would go wrong with Chia: its nodes, their network and clock, the keys, the purse.

use super::Report;
use crate::config::{AssetSettings, ChiaSettings, Settings};
use accounting::Amount;
use farming::address;
use farming::node::Node;
use farming::node::rpc::Rpc;
use farming::wallet::Wallet;
use farming::wallet::signer::Signer;

/// A node's clock may be this far from ours, in seconds: partials have 25 to come.
const CLOCK_OFF_S: u64 = 5;

/// Looks at the nodes and the keys; gives what a block is worth.
pub(super) async fn check(
    asset: &AssetSettings,
    own: &ChiaSettings,
    settings: &Settings,
    report: &mut Report,
) -> Option<Amount> {
    let name = &asset.config.name;
    let mut value = None;
    let mut asked = Vec::new();
    for endpoint in &own.nodes {
        let named = format!("node {} of {name}", endpoint.address);
        let rpc = match Rpc::new(endpoint.clone()) {
            Ok(rpc) => rpc,
            Err(error) => {
                report.fail(format!("{named}: {error}"));
                continue;
            }
        };
        let node = Node::new(rpc);
        match node.standing(&own.network).await {
            Ok(standing) if standing.is_synced => {
                report.ok(format!("{named}: in step, height {}", standing.height));
                value = Some(own.network.pool_reward_mojo(standing.height.saturating_add(1)));
            }
            Ok(standing) => report.warn(format!(
                "{named}: not in step with the network, height {}: nothing is credited or paid before it is",
                standing.height
            )),
            Err(error) => {
                report.warn(format!("{named}: {error}"));
                continue;
            }
        }
        let off = node.ahead_s();
        if off.unsigned_abs() > CLOCK_OFF_S {
            report.fail(format!(
                "{named}: its clock is {off} s from ours, and partials are judged by both: set both by NTP"
            ));
        }
        match node.signature_domain().await {
            Ok(domain) if domain == own.network.signature_domain => {}
            Ok(domain) => report.fail(format!(
                "{named}: transactions are signed for {domain} there, and for {} here: assets.{name}.network or genesis is not \
                 the node's",
                own.network.signature_domain
            )),
            Err(error) => report.warn(format!("{named}: {error}")),
        }
        asked.push(node);
    }
    if value.is_none() {
        report.warn(format!(
            "no node of {name} is in step: the pool starts, and takes partials once one is"
        ));
    }
    let signer = own.wallet.signer();
    if let Ok(signer) = &signer {
        let place = address::encode(&signer.place(), &own.network);
        report.ok(format!("wallet of {name}: rewards go to {place}"));
    }
    match signer {
        Ok(Signer::Own(wallet)) => {
            if asset.config.payouts.hot_wallet_cap.is_none() {
                report.warn(format!(
                    "assets.{name}.wallet.cap is not set: nobody is told when the hot wallet grows"
                ));
            }
            purse(own, settings, &wallet, &asked, report).await;
        }
        Ok(Signer::Service(service)) => match service.prove(&own.network).await {
            Ok(()) => report.ok(format!("wallet of {name}: Chia's software signs for it")),
            Err(error) => report.warn(format!(
                "wallet of {name}: nothing is paid before the wallet of Chia's software signs for this address: {error}"
            )),
        },
        Err(error) => report.fail(format!("wallet of {name}: {error:#}")),
    }
    value.map(|mojo| Amount::from_units(mojo.into()))
}

/// Where absorptions pay the network out of, if any may.
async fn purse(
    own: &ChiaSettings,
    settings: &Settings,
    wallet: &Wallet,
    nodes: &[Node],
    report: &mut Report,
) {
    if !settings.pools.iter().any(|pool| pool.kind.pays_for_absorptions()) {
        return;
    }
    let place = address::encode(&wallet.purse(), &own.network);
    let mut held = None;
    for node in nodes {
        if let Ok(coins) = node.coins_at(&[wallet.purse()], 0..u32::MAX, false).await {
            held = Some(coins.iter().map(|record| u128::from(record.coin.amount)).sum::<u128>());
            break;
        }
    }
    match held {
        Some(0) => report.warn(format!(
            "the purse {place} is empty: while blocks are full, rewards wait. Send some XCH to it"
        )),
        Some(mojo) => report.ok(format!("the purse {place} for absorptions holds {mojo} mojo")),
        None => {}
    }
}
