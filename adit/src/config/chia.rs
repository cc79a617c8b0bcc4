//! Chia: its networks, its nodes and its wallet.

use super::asset::Customs;
use super::{ChiaSettings, ExchangeSettings, Reader, Wrong, file, wrong};
use ::pool::config::FeePayer;
use farming::address;
use farming::door::ledger_network;
use farming::hash::Bytes32;
use farming::network::Network;
use farming::node::rpc::Endpoint;
use farming::treasury::TreasuryConfig;
use toml::Spanned;
use web::notices::Webhook;

/// Blocks after which nobody expects the chain to go back.
const DEEP: u32 = 32;
/// Recipients of one transaction: they cost the chain half of what a transaction may, and leave room for coins.
const OUTPUTS_MAX: usize = 1000;
/// Mojo for each unit of cost, where the file is silent.
const MAX_RATE: u64 = 10;

/// A network by its name, and what it is used to.
pub(super) fn named(
    asset: &str,
    network: &Spanned<String>,
    genesis: Option<&file::BlockHash>,
) -> Result<(Customs, Network), Wrong> {
    let text = || format!("assets.{asset}.network: chia has mainnet, testnet11 and simulator");
    let mut found = Network::named(network.get_ref()).ok_or_else(|| wrong(network, text()))?;
    if let Some(genesis) = genesis {
        let text = || format!("assets.{asset}.genesis: only network = \"simulator\" has its own");
        let is_private = network.get_ref() == "simulator";
        let own: Bytes32 = genesis.0.parse().map_err(|_| wrong(network, text()))?;
        if !is_private {
            return Err(wrong(network, text()));
        }
        (found.genesis_challenge, found.signature_domain) = (own, own);
    }
    let customs = Customs {
        network: ledger_network(&found),
        decimals: 12,
        mature: DEEP,
        mature_least: 1,
        orphan: DEEP,
        dust: 1,
        outputs: 400,
        fee_payer: FeePayer::Miners,
        minimum: 10_000_000_000,
        confirm: DEEP,
    };
    Ok((customs, found))
}

impl Reader<'_> {
    /// The nodes and the wallet of Chia.
    pub(super) fn chia(
        &self,
        network: Network,
        name: &str,
        asset: file::Asset,
        mature: u32,
        span: &Spanned<()>,
    ) -> Result<ChiaSettings, Wrong> {
        let fees = &asset.fees;
        let stray = [
            ("must_contain", !asset.must_contain.is_empty()),
            ("refresh", asset.refresh.is_some()),
            ("fees.target_blocks", fees.target_blocks.is_some()),
            ("fees.fallback_per_vbyte", fees.fallback_per_vbyte.is_some()),
            ("fees.max_per_vbyte", fees.max_per_vbyte.is_some()),
        ];
        if let Some((key, _)) = stray.iter().find(|(_, is)| *is) {
            let text = format!("assets.{name}.{key} means nothing to coin = \"chia\"; remove it");
            return Err(wrong(span, text));
        }
        if asset.payouts.max_outputs.is_some_and(|most| most > OUTPUTS_MAX) {
            let text = format!(
                "assets.{name}.payouts.max_outputs: at most {OUTPUTS_MAX}, or a payout does not fit half a block"
            );
            return Err(wrong(span, text));
        }
        if asset.nodes.is_empty() {
            return Err(wrong(span, format!("assets.{name}.nodes: at least one node is needed")));
        }
        let external = asset.external.as_ref().map(|external| {
            let written = &external.get_ref().address;
            let place = address::decode(written)
                .filter(|(prefix, _)| prefix == network.address_prefix)
                .map(|(_, place)| place);
            place.ok_or_else(|| {
                let text = format!(
                    "assets.{name}.external.address: \"{written}\" is no address that begins with {}1",
                    network.address_prefix
                );
                wrong(external, text)
            })
        });
        let exchange = external.transpose()?;
        let external = asset.external.map(|spanned| {
            let span = Spanned::new(spanned.span(), ());
            self.exchange(spanned.into_inner(), name, &span)
        });
        let wallet = asset.wallet.ok_or_else(|| {
            wrong(
                span,
                format!("assets.{name}.wallet is missing: {{ kind = \"hot\", key_file = … }}"),
            )
        })?;
        let (birthday, key_file) = self.chia_wallet(wallet, name)?;
        Ok(ChiaSettings {
            nodes: asset
                .nodes
                .into_iter()
                .map(|node| self.chia_node(node, name, span))
                .collect::<Result<_, _>>()?,
            key_file,
            treasury: TreasuryConfig {
                mature,
                birthday,
                max_rate: fees.max_per_cost.unwrap_or(MAX_RATE),
                exchange,
            },
            external: external.transpose()?,
            network,
        })
    }

    fn exchange(
        &self,
        external: file::External,
        asset: &str,
        span: &Spanned<()>,
    ) -> Result<ExchangeSettings, Wrong> {
        let webhook = external.webhook.map(|told| {
            let opened = Webhook::open(&told.url, told.secret.clone());
            let fail = |why| wrong(span, format!("assets.{asset}.external.webhook.{why}"));
            opened.map_err(fail).map(|_| (told.url, told.secret))
        });
        Ok(ExchangeSettings { folder: self.path(external.folder), webhook: webhook.transpose()? })
    }

    fn chia_node(
        &self,
        node: file::Node,
        asset: &str,
        span: &Spanned<()>,
    ) -> Result<Endpoint, Wrong> {
        let rpc = node.rpc;
        let fail = |text: String| Err(wrong(span, format!("assets.{asset}.nodes: {text}")));
        let is_stray = node.user.is_some()
            || node.password.is_some()
            || node.cookie.is_some()
            || node.zmq.is_some()
            || node.poll.is_some();
        if is_stray {
            return fail(format!(
                "node {rpc}: user, password, cookie, zmq and poll mean nothing to Chia's nodes; remove them"
            ));
        }
        let (Some(authority), Some(certificate), Some(key)) =
            (node.authority, node.certificate, node.key)
        else {
            return fail(format!(
                "node {rpc} needs authority, certificate and key: in the node's folder, config/ssl/ca/private_ca.crt, \
                 config/ssl/full_node/private_full_node.crt and private_full_node.key"
            ));
        };
        let parts = rpc.rsplit_once(':');
        if parts.is_none_or(|(host, port)| host.is_empty() || port.parse::<u16>().is_err()) {
            return fail(format!("rpc = \"{rpc}\" is no host and port such as \"127.0.0.1:8555\""));
        }
        Ok(Endpoint {
            address: rpc,
            authority: self.path(authority),
            certificate: self.path(certificate),
            key: self.path(key),
        })
    }

    /// The wallet's birthday and key file.
    fn chia_wallet(
        &self,
        spanned: Spanned<file::Wallet>,
        asset: &str,
    ) -> Result<(u32, std::path::PathBuf), Wrong> {
        let span = Spanned::new(spanned.span(), ());
        let fail = |text: String| Err(wrong(&span, format!("assets.{asset}.wallet.{text}")));
        let wallet = spanned.into_inner();
        if wallet.kind != file::WalletKind::Hot {
            return fail("kind: pools of Chia sign for themselves: kind = \"hot\"".into());
        }
        let stray = [
            ("descriptor", wallet.descriptor.is_some()),
            ("change_descriptor", wallet.change_descriptor.is_some()),
            ("psbt_folder", wallet.psbt_folder.is_some()),
            ("name", wallet.name.is_some()),
        ];
        if let Some((key, _)) = stray.iter().find(|(_, is)| *is) {
            return fail(format!("{key} means nothing for this kind of wallet; remove it"));
        }
        match wallet.key_file {
            Some(file) => Ok((wallet.birthday.unwrap_or(0), self.path(file))),
            None => fail("key_file is missing: `adit init` makes one".into()),
        }
    }
}
