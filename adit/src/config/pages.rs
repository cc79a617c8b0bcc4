//! The pages' part of the configuration.

use super::{AssetSettings, NoticeSettings, Reader, WebSettings, Wrong, file, wrong};
use toml::Spanned;
use web::site::Explorer;

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
        let site = web::site::Settings {
            title: web.title.unwrap_or_else(|| "Adit".into()),
            url: web.url.map(|url| url.trim_end_matches('/').to_owned()),
            registered_only: web.registration == file::Registration::Required,
            miners_host: web.miners_host,
            explorers,
            cors: web.cors,
            scrapers: web.scrapers,
            proxies: web.proxies,
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
        Ok(WebSettings { listen: web.listen, tls, theme, notices, site })
    }
}
