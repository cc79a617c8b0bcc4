//! GXC: nodes that know no passwords, and the pool's address in the node's wallet.

use super::coin::REFRESH_MAX;
use super::{Wrong, file, wrong};
use std::time::Duration;
use stratum::coin::{Coin, address};
use stratum::source::gxc::GxcSource;
use toml::Spanned;

pub(super) fn source(
    coin: Coin,
    name: &str,
    asset: file::Asset,
    span: &Spanned<()>,
) -> Result<GxcSource, Wrong> {
    let refused = |text: String| wrong(span, format!("assets.{name}.{text}"));
    let wallet = asset.wallet.as_ref().map(Spanned::get_ref);
    let of_node = wallet.filter(|wallet| wallet.kind == file::WalletKind::Node);
    let Some(own) = of_node.and_then(|wallet| wallet.address.as_ref()) else {
        return Err(wrong(
            span,
            format!(
                "assets.{name}.wallet: GXC's node signs and sends, so it is {{ kind = \"node\", address = \"tGXC…\" }}, an address \
                 of the node's wallet"
            ),
        ));
    };
    address::script_of(own.get_ref(), coin)
        .map_err(|error| wrong(own, format!("assets.{name}.wallet.address: {error}")))?;
    let mut nodes = Vec::new();
    let mut poll = Duration::from_secs(1);
    for node in &asset.nodes {
        if node.user.is_some() || node.password.is_some() || node.cookie.is_some() {
            return Err(refused(format!(
                "nodes: a GXC node knows no passwords; remove those of {}, and let nobody else reach it",
                node.rpc
            )));
        }
        if node.zmq.is_some() {
            return Err(refused("nodes: a GXC node tells no news by ZMQ; remove zmq".into()));
        }
        nodes.push(node.rpc.clone());
        poll = node.poll.map_or(poll, |span| span.0).max(Duration::from_millis(10));
    }
    if nodes.is_empty() {
        return Err(refused("nodes: at least one node is needed".into()));
    }
    if asset.payouts.max_outputs.is_some_and(|most| most != 1) {
        return Err(refused(
            "payouts.max_outputs: GXC's node sends to one at a time; remove it".into(),
        ));
    }
    if asset.payouts.fee_payer == Some(file::FeePayer::Miners) {
        return Err(refused(
            "payouts.fee_payer: GXC's node adds its fee to what it sends, so the pool pays it; remove it".into(),
        ));
    }
    let refresh = asset.refresh.map_or(Duration::from_secs(30), |span| span.0);
    if refresh.is_zero() || refresh > REFRESH_MAX {
        let most = REFRESH_MAX.as_secs();
        return Err(refused(format!("refresh: more than nothing and at most {most} s")));
    }
    let miner = own.get_ref().clone();
    Ok(GxcSource { coin, nodes, miner, poll, refresh })
}
