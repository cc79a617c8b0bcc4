//! Chains of Ethash whose nodes speak `eth_getWork`: which chain, its nodes, and the pool's address.

use super::asset::Customs;
use super::coin::REFRESH_MAX;
use super::{Wrong, file, wrong};
use ::pool::config::FeePayer;
use pow::ethash::{CLASSIC_EPOCH, EPOCH};
use std::time::Duration;
use stratum::coin::{CLASSIC, Coin, ETHEREUM_POW, Family, MORDOR, Network};
use stratum::ether::address;
use stratum::ether::node::Gate;
use stratum::rpc::{Auth, Endpoint};
use stratum::source::ether::EtherSource;
use toml::Spanned;

/// Chains that have names.
const NAMED: [(&str, u64); 3] =
    [("classic", CLASSIC), ("mordor", MORDOR), ("ethereumpow", ETHEREUM_POW)];
/// A tenth of a coin.
const MINIMUM: i128 = 10_i128.pow(17);

/// A chain by its name or its id, and what it is used to.
pub(super) fn named(asset: &str, network: &Spanned<String>) -> Result<(Customs, Coin), Wrong> {
    let text = network.get_ref();
    let known = NAMED.iter().find(|(name, _)| name == text).map(|(_, id)| *id);
    let id = known.or_else(|| text.parse().ok()).filter(|id| *id > 0);
    let id = id.ok_or_else(|| {
        let names: Vec<&str> = NAMED.iter().map(|(name, _)| *name).collect();
        let names = names.join(", ");
        wrong(
            network,
            format!("assets.{asset}.network: {names}, or the chain's id in digits (eth_chainId)"),
        )
    })?;
    let coin = Coin::new(Family::Ethash, Network::Chain(id))
        .map_err(|error| wrong(network, format!("assets.{asset}.network: {error}")))?;
    let customs = Customs {
        network: coin.to_string(),
        decimals: coin.decimals(),
        mature: 120,
        mature_least: coin.maturity(),
        orphan: 6,
        dust: 1,
        outputs: 1,
        minimum: MINIMUM,
        fee_payer: FeePayer::Pool,
        confirm: 1,
    };
    Ok((customs, coin))
}

/// Blocks of an epoch, where the file is silent.
pub(super) fn usual_epoch(coin: Coin) -> u64 {
    match coin.network() {
        Network::Chain(CLASSIC | MORDOR) => CLASSIC_EPOCH,
        _ => EPOCH,
    }
}

pub(super) fn source(
    coin: Coin,
    name: &str,
    asset: file::Asset,
    span: &Spanned<()>,
) -> Result<EtherSource, Wrong> {
    let refused = |text: String| wrong(span, format!("assets.{name}.{text}"));
    let Network::Chain(chain) = coin.network() else {
        return Err(refused("network: no chain's".into()));
    };
    let wallet = asset.wallet.as_ref().map(Spanned::get_ref);
    let by_hand = wallet.filter(|wallet| wallet.kind == file::WalletKind::External);
    let Some(own) = by_hand.and_then(|wallet| wallet.address.as_ref()) else {
        return Err(refused(
            "wallet: payouts of this coin are sent by you, so it is { kind = \"external\", address = \"0x…\" }, the address that your \
             nodes' blocks pay (--miner.etherbase)"
                .into(),
        ));
    };
    let miner = address::parse(own.get_ref())
        .map_err(|error| wrong(own, format!("assets.{name}.wallet.address: {error}")))?;
    if asset.external.is_some() || asset.fees.max_per_cost.is_some() {
        return Err(refused(
            "external, fees: these mean something to other coins only; remove them".into(),
        ));
    }
    if asset.payouts.max_outputs.is_some_and(|most| most != 1) {
        return Err(refused(
            "payouts.max_outputs: a transaction of this coin pays one; remove it".into(),
        ));
    }
    if asset.payouts.fee_payer == Some(file::FeePayer::Miners) {
        return Err(refused(
            "payouts.fee_payer: you send payouts, and pay what that costs; remove it".into(),
        ));
    }
    let mut nodes = Vec::new();
    let mut poll = Duration::from_millis(500);
    for node in asset.nodes {
        poll = node.poll.map_or(poll, |span| span.0).max(Duration::from_millis(10));
        nodes.push(endpoint(node).map_err(|text| refused(format!("nodes: {text}")))?);
    }
    if nodes.is_empty() {
        return Err(refused("nodes: at least one node is needed".into()));
    }
    let refresh = asset.refresh.map_or(Duration::from_secs(30), |span| span.0);
    if refresh.is_zero() || refresh > REFRESH_MAX {
        let most = REFRESH_MAX.as_secs();
        return Err(refused(format!("refresh: more than nothing and at most {most} s")));
    }
    let must_contain =
        asset.must_contain.into_iter().map(|point| (point.height, point.hash.0)).collect();
    let gate = Gate { chain, genesis: asset.genesis.map(|hash| hash.0), must_contain, miner };
    Ok(EtherSource { coin, gate, nodes, poll, refresh })
}

/// `http://host:port/path`, or host and port alone.
fn endpoint(node: file::Node) -> Result<Endpoint, String> {
    let text = node.rpc;
    if node.zmq.is_some() || node.cookie.is_some() || node.authority.is_some() {
        return Err(format!(
            "{text}: a node of this coin has neither zmq nor cookie nor authority; remove them"
        ));
    }
    if text.starts_with("https://") || text.starts_with("ws") {
        return Err(format!(
            "{text}: only plain http:// is spoken; run the node on this machine, or a proxy to it"
        ));
    }
    let rest = text.strip_prefix("http://").unwrap_or(&text);
    let (address, path) = match rest.find('/') {
        Some(at) => rest.split_at(at),
        None => (rest, ""),
    };
    let is_address = address
        .rsplit_once(':')
        .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
    if !is_address {
        return Err(format!("\"{text}\" has no host and port such as http://127.0.0.1:8545"));
    }
    let auth = match (node.user, node.password) {
        (None, None) => Auth::None,
        (Some(user), Some(password)) => Auth::Basic { user, password },
        _ => return Err(format!("{text}: user and password come together")),
    };
    Ok(Endpoint { address: address.to_owned(), path: path.to_owned(), auth })
}
