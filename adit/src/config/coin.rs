//! A coin of the bitcoind family: its nodes and its wallet.

use super::asset::Customs;
use super::{CoinSettings, Reader, Wrong, file, wrong};
use ::pool::config::FeePayer;
use serde::Deserialize;
use serde::de::IntoDeserializer;
use serde::de::value::Error as ValueError;
use std::time::Duration;
use stratum::coin::{Coin, Family, Network};
use stratum::node::ChainGate;
use stratum::rpc::{Auth, Endpoint};
use stratum::source::{NodeConfig, SourceConfig};
use stratum::treasury::fee::FeePolicy;
use stratum::treasury::{TreasuryConfig, WalletConfig};
use toml::Spanned;

/// Devices that hear nothing for a minute connect elsewhere.
pub(super) const REFRESH_MAX: Duration = Duration::from_secs(55);

/// A coin by its name and its network's, and what it is used to.
pub(super) fn named(
    family: Family,
    asset: &str,
    network: &Spanned<String>,
) -> Result<(Customs, Coin), Wrong> {
    let read: Result<Network, ValueError> =
        Network::deserialize(network.get_ref().as_str().into_deserializer());
    let coin = read
        .map_err(|error| error.to_string())
        .and_then(|named| Coin::new(family, named).map_err(|error| error.to_string()))
        .map_err(|text| wrong(network, format!("assets.{asset}.network: {text}")))?;
    let customs = Customs {
        network: coin.to_string(),
        decimals: coin.decimals(),
        mature: coin.maturity(),
        mature_least: coin.maturity(),
        orphan: 6,
        dust: 546,
        outputs: 500,
        minimum: 1_000_000,
        fee_payer: FeePayer::Miners,
        confirm: 6,
    };
    let customs = match family {
        Family::Bitcoin => customs,
        // Its nodes want ten times as much.
        Family::Litecoin => Customs { dust: 5460, ..customs },
        // Their payouts go to one at a time, and nobody is taken the fee off.
        Family::Gxc | Family::Ethash => Customs {
            dust: 1,
            outputs: 1,
            minimum: 10_000_000,
            fee_payer: FeePayer::Pool,
            ..customs
        },
    };
    Ok((customs, coin))
}

impl Reader<'_> {
    /// The nodes and the wallet of a coin.
    pub(super) fn coin(
        &self,
        coin: Coin,
        name: &str,
        asset: file::Asset,
        span: &Spanned<()>,
    ) -> Result<CoinSettings, Wrong> {
        if asset.external.is_some() || asset.fees.max_per_cost.is_some() {
            let text = format!(
                "assets.{name}: external and fees.max_per_cost mean something to coin = \"chia\" only; remove them"
            );
            return Err(wrong(span, text));
        }
        if asset.nodes.is_empty() {
            return Err(wrong(span, format!("assets.{name}.nodes: at least one node is needed")));
        }
        let nodes: Vec<NodeConfig> = asset
            .nodes
            .into_iter()
            .map(|node| self.node(node, name, span))
            .collect::<Result<_, _>>()?;
        let must_contain =
            asset.must_contain.into_iter().map(|point| (point.height, point.hash.0)).collect();
        let gate = ChainGate { coin, genesis: asset.genesis.map(|hash| hash.0), must_contain };
        let treasury = TreasuryConfig {
            asset: name.to_owned(),
            gate: gate.clone(),
            nodes: nodes.iter().map(|node| node.endpoint.clone()).collect(),
            fees: fee_policy(&asset.fees),
            wallet: self.wallet(
                asset
                    .wallet
                    .ok_or_else(|| wrong(span, format!("assets.{name}.wallet is missing")))?,
                name,
                coin,
                &nodes,
            )?,
        };
        let refresh = asset.refresh.map_or(Duration::from_secs(30), |span| span.0);
        if refresh.is_zero() || refresh > REFRESH_MAX {
            let text = format!(
                "assets.{name}.refresh: more than nothing and at most {} s, or small devices take the pool for dead",
                REFRESH_MAX.as_secs()
            );
            return Err(wrong(span, text));
        }
        let source = SourceConfig { gate, nodes, trees: false, refresh };
        Ok(CoinSettings { coin, source, treasury })
    }

    fn node(&self, node: file::Node, asset: &str, span: &Spanned<()>) -> Result<NodeConfig, Wrong> {
        if node.authority.is_some() || node.certificate.is_some() || node.key.is_some() {
            let text = format!(
                "assets.{asset}.nodes: authority, certificate and key mean something to coin = \"chia\" only; remove them"
            );
            return Err(wrong(span, text));
        }
        let auth = match (node.user, node.password, node.cookie) {
            (Some(user), Some(password), None) => Auth::Basic { user, password },
            (None, None, Some(cookie)) => Auth::Cookie(self.path(cookie)),
            _ => {
                let text = format!(
                    "assets.{asset}.nodes: node {} needs either user and password, or cookie",
                    node.rpc
                );
                return Err(wrong(span, text));
            }
        };
        if node
            .rpc
            .rsplit_once(':')
            .is_none_or(|(host, port)| host.is_empty() || port.parse::<u16>().is_err())
        {
            let text = format!(
                "assets.{asset}.nodes: rpc = \"{}\" is no host and port such as \"127.0.0.1:8332\"",
                node.rpc
            );
            return Err(wrong(span, text));
        }
        let endpoint = Endpoint { address: node.rpc, path: String::new(), auth };
        let poll =
            node.poll.map_or(Duration::from_secs(1), |span| span.0).max(Duration::from_millis(10));
        Ok(NodeConfig { endpoint, zmq: node.zmq, poll })
    }

    fn wallet(
        &self,
        spanned: Spanned<file::Wallet>,
        asset: &str,
        coin: Coin,
        nodes: &[NodeConfig],
    ) -> Result<WalletConfig, Wrong> {
        let span = Spanned::new(spanned.span(), ());
        let wallet = spanned.into_inner();
        let needs = |key: &str| {
            wrong(&span, format!("assets.{asset}.wallet.{key} is missing for this kind of wallet"))
        };
        if wallet.kind == file::WalletKind::External {
            let text = format!(
                "assets.{asset}.wallet.kind: {} pools pay by themselves; \"external\" is for coin = \"ethash\"",
                coin.family()
            );
            return Err(wrong(&span, text));
        }
        let own = wallet.kind != file::WalletKind::Node;
        if own && coin.family() != Family::Bitcoin {
            let text = format!(
                "assets.{asset}.wallet.kind: {} pools use a wallet in the node: kind = \"node\"",
                coin.family()
            );
            return Err(wrong(&span, text));
        }
        let stray = [
            ("key_file", wallet.key_file.is_some() && wallet.kind != file::WalletKind::Hot),
            ("descriptor", wallet.descriptor.is_some() && wallet.kind != file::WalletKind::Watch),
            (
                "change_descriptor",
                wallet.change_descriptor.is_some() && wallet.kind != file::WalletKind::Watch,
            ),
            ("psbt_folder", wallet.psbt_folder.is_some() && wallet.kind != file::WalletKind::Watch),
            ("birthday", wallet.birthday.is_some() && !own),
            ("name", wallet.name.is_some() && own),
            ("address", wallet.address.is_some()),
            ("service", wallet.service.is_some()),
        ];
        if let Some((key, _)) = stray.iter().find(|(_, is)| *is) {
            return Err(wrong(
                &span,
                format!(
                    "assets.{asset}.wallet.{key} means nothing for this kind of wallet; remove it"
                ),
            ));
        }
        Ok(match wallet.kind {
            file::WalletKind::Hot => WalletConfig::Hot {
                key_file: self.path(wallet.key_file.ok_or_else(|| needs("key_file"))?),
                birthday: wallet.birthday,
            },
            file::WalletKind::Watch => WalletConfig::Watch {
                descriptor: wallet.descriptor.ok_or_else(|| needs("descriptor"))?,
                change_descriptor: wallet
                    .change_descriptor
                    .ok_or_else(|| needs("change_descriptor"))?,
                psbt_folder: self.path(wallet.psbt_folder.ok_or_else(|| needs("psbt_folder"))?),
                birthday: wallet.birthday,
            },
            file::WalletKind::Node | file::WalletKind::External => {
                let name = wallet.name.ok_or_else(|| needs("name"))?;
                let path = format!("/wallet/{name}");
                let first = nodes.first().ok_or_else(|| needs("nodes"))?;
                WalletConfig::Node { endpoint: Endpoint { path, ..first.endpoint.clone() } }
            }
        })
    }
}

fn fee_policy(fees: &file::Fees) -> FeePolicy {
    let usual = FeePolicy::default();
    FeePolicy {
        target_blocks: fees.target_blocks.unwrap_or(usual.target_blocks),
        fallback_rate: fees
            .fallback_per_vbyte
            .map_or(usual.fallback_rate, |rate| rate.saturating_mul(1000)),
        max_rate: fees.max_per_vbyte.map_or(usual.max_rate, |rate| rate.saturating_mul(1000)),
    }
}
