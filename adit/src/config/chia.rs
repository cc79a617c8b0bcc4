//! Chia: its networks, its nodes and its wallet.

use super::asset::Customs;
use super::{ChiaSettings, ChiaWallet, ExchangeSettings, Reader, Wrong, file, wrong};
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

/// What an address of this network stands for.
fn place_of(written: &str, network: &Network) -> Result<Bytes32, String> {
    let prefix = network.address_prefix;
    let place = address::decode(written).filter(|(own, _)| own == prefix).map(|(_, place)| place);
    place.ok_or_else(|| format!("\"{written}\" is no address that begins with {prefix}1"))
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
            place_of(written, &network)
                .map_err(|text| wrong(external, format!("assets.{name}.external.address: {text}")))
        });
        let exchange = external.transpose()?;
        let external = asset.external.map(|spanned| {
            let span = Spanned::new(spanned.span(), ());
            self.exchange(spanned.into_inner(), name, &span)
        });
        let wallet = asset.wallet.ok_or_else(|| {
            wrong(
                span,
                format!(
                    "assets.{name}.wallet is missing: {{ kind = \"hot\", key_file = … }}, or {{ kind = \"node\", address = …, \
                     service = … }}"
                ),
            )
        })?;
        let (birthday, wallet) = self.chia_wallet(wallet, name, &network)?;
        Ok(ChiaSettings {
            nodes: asset
                .nodes
                .into_iter()
                .map(|node| self.chia_node(node, name, span))
                .collect::<Result<_, _>>()?,
            wallet,
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
        let service = file::ChiaService { rpc, authority, certificate, key };
        self.chia_service(service).or_else(fail)
    }

    fn chia_service(&self, service: file::ChiaService) -> Result<Endpoint, String> {
        let file::ChiaService { rpc, authority, certificate, key } = service;
        let parts = rpc.rsplit_once(':');
        if parts.is_none_or(|(host, port)| host.is_empty() || port.parse::<u16>().is_err()) {
            return Err(format!("rpc = \"{rpc}\" is no host and port such as \"127.0.0.1:8555\""));
        }
        Ok(Endpoint {
            address: rpc,
            authority: self.path(authority),
            certificate: self.path(certificate),
            key: self.path(key),
        })
    }

    /// The wallet's birthday, and who has its keys.
    fn chia_wallet(
        &self,
        spanned: Spanned<file::Wallet>,
        asset: &str,
        network: &Network,
    ) -> Result<(u32, ChiaWallet), Wrong> {
        let span = Spanned::new(spanned.span(), ());
        let no = |text: String| wrong(&span, format!("assets.{asset}.wallet.{text}"));
        let fail = |text: String| Err(no(text));
        let wallet = spanned.into_inner();
        let is_own = match wallet.kind {
            file::WalletKind::Hot => true,
            file::WalletKind::Node => false,
            file::WalletKind::Watch | file::WalletKind::External => {
                return fail(
                    "kind: pools of Chia sign for themselves, kind = \"hot\", or have a wallet of Chia's software do it, kind = \"node\""
                        .into(),
                );
            }
        };
        let stray = [
            ("descriptor", wallet.descriptor.is_some()),
            ("change_descriptor", wallet.change_descriptor.is_some()),
            ("psbt_folder", wallet.psbt_folder.is_some()),
            ("name", wallet.name.is_some()),
            ("key_file", wallet.key_file.is_some() && !is_own),
            ("address", wallet.address.is_some() && is_own),
            ("service", wallet.service.is_some() && is_own),
        ];
        if let Some((key, _)) = stray.iter().find(|(_, is)| *is) {
            return fail(format!("{key} means nothing for this kind of wallet; remove it"));
        }
        let birthday = wallet.birthday.unwrap_or(0);
        if is_own {
            return match wallet.key_file {
                Some(file) => Ok((birthday, ChiaWallet::Hot(self.path(file)))),
                None => fail("key_file is missing: `adit init` makes one".into()),
            };
        }
        let Some(service) = wallet.service else {
            return fail(
                "service is missing: { rpc = \"127.0.0.1:9256\", authority = …, certificate = …, key = … }, in the wallet's folder \
                 config/ssl/ca/private_ca.crt, config/ssl/wallet/private_wallet.crt and private_wallet.key"
                    .into(),
            );
        };
        let endpoint = self.chia_service(service).map_err(|text| no(format!("service.{text}")))?;
        let Some(written) = wallet.address else {
            return fail(
                "address is missing: one of the wallet's, as `chia wallet get_address` prints it"
                    .into(),
            );
        };
        let place = place_of(written.get_ref(), network);
        let place = place.map_err(|text| no(format!("address: {text}")))?;
        Ok((birthday, ChiaWallet::Service { endpoint, place }))
    }
}
