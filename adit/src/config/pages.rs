//! The pages' part of the configuration.

use super::{AssetKind, AssetSettings, NoticeSettings, Reader, WebSettings, Wrong, file, wrong};
use toml::Spanned;
use web::site::Explorer;
use web::sponsored::Sponsored;

impl Reader<'_> {
    pub(super) fn web(
        &self,
        spanned: Spanned<file::Web>,
        assets: &[AssetSettings],
    ) -> Result<WebSettings, Wrong> {
        let span = Spanned::new(spanned.span(), ());
        let web = spanned.into_inner();
        let tls = match (web.tls_certificate, web.tls_key) {
            (None, None) => None,
            (Some(certificate), Some(key)) => Some((self.path(certificate), self.path(key))),
            _ => return Err(wrong(&span, "web: tls_certificate and tls_key come together")),
        };
        if let Some(url) = &web.url
            && let Err(error) = web::http::Address::parse(url)
        {
            return Err(wrong(&span, format!("web.url: {error}, such as https://pool.example")));
        }
        let mut explorers = std::collections::BTreeMap::new();
        for (asset, explorer) in web.explorers {
            if !assets.iter().any(|known| known.config.name == asset) {
                return Err(wrong(
                    &explorer,
                    format!("web.explorers.{asset}: there is no such asset"),
                ));
            }
            let explorer_span = Spanned::new(explorer.span(), ());
            let file::Explorer { transaction, block } = explorer.into_inner();
            for link in [&transaction, &block].into_iter().flatten() {
                if !link.contains("{}") || !link.starts_with("http") {
                    let text = format!(
                        "web.explorers.{asset}: \"{link}\" is no link with {{}} where the id belongs"
                    );
                    return Err(wrong(&explorer_span, text));
                }
            }
            explorers.insert(asset, Explorer { transaction, block });
        }
        let mut sponsored = Vec::new();
        for listing in &web.sponsored {
            let file::Listing { slot, title, text, link, from, until } = listing.get_ref();
            let read = Sponsored::read(*slot, [title, text, link], from.as_deref(), until);
            sponsored
                .push(read.map_err(|error| wrong(listing, format!("web.sponsored: {error}")))?);
        }
        let nodes = web.nodes.into_iter().map(|(asset, methods)| {
            let offered = offered(&asset, &methods, assets)?;
            Ok((asset, offered))
        });
        let nodes = nodes.collect::<Result<_, Wrong>>()?;
        let site = web::site::Settings {
            title: web.title.unwrap_or_else(|| "Adit".into()),
            url: web.url.map(|url| url.trim_end_matches('/').to_owned()),
            registered_only: web.registration == file::Registration::Required,
            miners_host: web.miners_host,
            explorers,
            cors: web.cors,
            scrapers: web.scrapers,
            proxies: web.proxies,
            sponsored,
        };
        let mut notices = Vec::new();
        for channel in web.notices {
            let span = Spanned::new(channel.span(), ());
            let file::NoticeChannel { name, kinds, way } = channel.into_inner();
            let settings = NoticeSettings { name, kinds, way };
            settings.channel().map_err(|error| wrong(&span, format!("web.{error}")))?;
            notices.push(settings);
        }
        let theme = web.theme.map(|folder| self.path(folder));
        Ok(WebSettings { listen: web.listen, tls, theme, notices, site, nodes })
    }
}

/// Methods that change nothing and tell nothing of a wallet.
const READING: [&str; 15] = [
    "estimatefee",
    "estimatesmartfee",
    "getbestblockhash",
    "getblock",
    "getblockchaininfo",
    "getblockcount",
    "getblockhash",
    "getblockheader",
    "getdifficulty",
    "getmempoolentry",
    "getmininginfo",
    "getnetworkhashps",
    "getrawmempool",
    "getrawtransaction",
    "validateaddress",
];
/// Those that ask GXC's node about any address or transaction; of others they ask the wallet.
const READING_GXC: [&str; 3] = ["getbalance", "gettransaction", "listunspent"];
/// Those that ask a node of a chain of Ethash.
const READING_ETHER: [&str; 10] = [
    "eth_blockNumber",
    "eth_chainId",
    "eth_gasPrice",
    "eth_getBalance",
    "eth_getBlockByHash",
    "eth_getBlockByNumber",
    "eth_getTransactionByHash",
    "eth_getTransactionReceipt",
    "eth_getUncleByBlockNumberAndIndex",
    "eth_syncing",
];

/// What of an asset's node may be asked by programs. The pool's money may be in its wallet, so nothing is offered that is not
/// known to change nothing.
fn offered(
    asset: &str,
    methods: &Spanned<Vec<String>>,
    assets: &[AssetSettings],
) -> Result<Vec<String>, Wrong> {
    let refused = |text: String| wrong(methods, format!("web.nodes.{asset}: {text}"));
    let Some(known) = assets.iter().find(|known| known.config.name == asset) else {
        return Err(refused("there is no such asset".into()));
    };
    let (usual, more): (&[&str], &[&str]) = match &known.kind {
        AssetKind::Coin(_) => (&READING, &[]),
        AssetKind::Gxc(_) => (&READING, &READING_GXC),
        AssetKind::Ether(_) => (&READING_ETHER, &[]),
        AssetKind::Chia(_) | AssetKind::External(_) => {
            return Err(refused(
                "only nodes of coins, of GXC and of chains of Ethash can be asked this way".into(),
            ));
        }
    };
    let mut allowed = usual.iter().chain(more);
    match methods.get_ref().iter().find(|method| !allowed.clone().any(|known| known == method)) {
        None => Ok(methods.get_ref().clone()),
        Some(odd) => {
            let known: Vec<&str> = allowed.by_ref().copied().collect();
            let known = known.join(", ");
            Err(refused(format!(
                "\"{odd}\" could change something or tell of a wallet; these can be offered: {known}"
            )))
        }
    }
}
