//! How pages look and what they say: templates, texts and colours that an operator can replace from a folder.
//!
//! Invariant: what the folder does not replace is built in; a broken replacement is an error at start, not on a page.

use crate::format;
use crate::measure::Measure;
use minijinja::value::{Kwargs, Value};
use minijinja::{AutoEscape, Environment, Error, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Built-in templates, by name.
const TEMPLATES: &[(&str, &str)] = &[
    ("base.html", include_str!("../templates/base.html")),
    ("parts.html", include_str!("../templates/parts.html")),
    ("pool.html", include_str!("../templates/pool.html")),
    ("account.html", include_str!("../templates/account.html")),
    ("blocks.html", include_str!("../templates/blocks.html")),
    ("block.html", include_str!("../templates/block.html")),
    ("branch.html", include_str!("../templates/branch.html")),
    ("payouts.html", include_str!("../templates/payouts.html")),
    ("payout.html", include_str!("../templates/payout.html")),
    ("leaderboard.html", include_str!("../templates/leaderboard.html")),
    ("statistics.html", include_str!("../templates/statistics.html")),
    ("network.html", include_str!("../templates/network.html")),
    ("search.html", include_str!("../templates/search.html")),
    ("calculator.html", include_str!("../templates/calculator.html")),
    ("prospects.html", include_str!("../templates/prospects.html")),
    ("register.html", include_str!("../templates/register.html")),
    ("confirm.html", include_str!("../templates/confirm.html")),
    ("login.html", include_str!("../templates/login.html")),
    ("operator.html", include_str!("../templates/operator.html")),
    ("revenue.html", include_str!("../templates/revenue.html")),
    ("advanced.html", include_str!("../templates/advanced.html")),
    ("questions.html", include_str!("../templates/questions.html")),
    ("support.html", include_str!("../templates/support.html")),
    ("ticket.html", include_str!("../templates/ticket.html")),
    ("api.html", include_str!("../templates/api.html")),
    ("text.html", include_str!("../templates/text.html")),
    ("error.html", include_str!("../templates/error.html")),
];

/// Built-in texts, as Markdown.
const TEXTS: &[(&str, &str)] = &[
    ("help", include_str!("../texts/help.md")),
    ("faq", include_str!("../texts/faq.md")),
    ("terms", include_str!("../texts/terms.md")),
    ("privacy", include_str!("../texts/privacy.md")),
];

/// Files served as they are: name, type, contents.
const ASSETS: &[(&str, &str, &str)] = &[
    ("style.css", "text/css; charset=utf-8", include_str!("../assets/style.css")),
    ("live.js", "text/javascript; charset=utf-8", include_str!("../assets/live.js")),
    ("logo.svg", "image/svg+xml", include_str!("../assets/logo.svg")),
];

/// Largest file read from the folder.
const FILE_MAX: u64 = 1 << 20;

/// What is wrong with an operator's folder.
#[derive(Debug, thiserror::Error)]
pub enum BadTheme {
    /// A file cannot be read.
    #[error("{path}: {1}", path = .0.display())]
    Unreadable(PathBuf, String),
    /// A template cannot be used.
    #[error("template {0}: {1:#}. Take it out of the folder to have the built-in one")]
    Template(String, Error),
}

/// Templates, texts and files.
pub struct Theme {
    templates: Environment<'static>,
    folder: Option<PathBuf>,
}

/// A file to serve.
pub struct Asset {
    /// Its media type.
    pub kind: &'static str,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

impl Theme {
    /// The built-in one, with what is in the folder in place of it.
    ///
    /// # Errors
    /// When a template of the folder cannot be used.
    pub fn load(folder: Option<&Path>) -> Result<Self, BadTheme> {
        let mut templates = Environment::new();
        templates.set_auto_escape_callback(|_| AutoEscape::Html);
        add_filters(&mut templates);
        for (name, built_in) in TEMPLATES {
            let own = folder.map(|folder| folder.join("templates").join(name));
            let text = match own.filter(|path| path.exists()) {
                Some(path) => read(&path)?,
                None => (*built_in).to_owned(),
            };
            let added = templates.add_template_owned((*name).to_owned(), text);
            added.map_err(|error| BadTheme::Template((*name).to_owned(), error))?;
        }
        Ok(Theme { templates, folder: folder.map(Path::to_owned) })
    }

    /// A page.
    ///
    /// # Errors
    /// When a template asks for what is not there.
    pub fn render(&self, name: &str, values: Value) -> Result<String, Error> {
        self.templates.get_template(name)?.render(values)
    }

    /// A text, as HTML. What is between tags in the Markdown is kept: the folder is the operator's.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<String> {
        let built_in = TEXTS.iter().find(|(known, _)| *known == name)?.1;
        let own =
            self.folder.as_ref().map(|folder| folder.join("texts").join(format!("{name}.md")));
        let text = own.and_then(|path| read(&path).ok()).unwrap_or_else(|| built_in.to_owned());
        let mut html = String::with_capacity(text.len() * 2);
        let options = pulldown_cmark::Options::ENABLE_TABLES;
        pulldown_cmark::html::push_html(&mut html, pulldown_cmark::Parser::new_ext(&text, options));
        Some(html)
    }

    /// A file: the style sheet is the built-in one and then the operator's.
    #[must_use]
    pub fn asset(&self, name: &str) -> Option<Asset> {
        let (_, kind, built_in) = ASSETS.iter().find(|(known, ..)| *known == name)?;
        let own = self.folder.as_ref().map(|folder| folder.join(name));
        let own = own.and_then(|path| read(&path).ok());
        let bytes = match (own, name) {
            (Some(own), "style.css") => format!("{built_in}\n{own}"),
            (Some(own), _) => own,
            (None, _) => (*built_in).to_owned(),
        };
        Some(Asset { kind, bytes: bytes.into_bytes() })
    }
}

fn read(path: &Path) -> Result<String, BadTheme> {
    let wrong = |error: String| BadTheme::Unreadable(path.to_owned(), error);
    let length = std::fs::metadata(path).map_err(|error| wrong(error.to_string()))?.len();
    if length > FILE_MAX {
        return Err(wrong(format!("larger than {FILE_MAX} bytes")));
    }
    std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))
}

fn add_filters(templates: &mut Environment<'static>) {
    templates.add_filter("hashrate", format::hashrate);
    templates.add_filter("rate", |rate: f64, of: &Value| measure(of).show(rate));
    templates.add_filter("word", |of: &Value| measure(of).word());
    templates.add_filter("quantity", format::quantity);
    templates.add_filter("percent", format::percent);
    templates.add_filter("span", format::span);
    templates.add_filter("short", |text: &str| format::short(text));
    templates.add_filter("short_hash", |text: &str| format::short_hash(text));
    templates.add_filter("grouped", |number: i64| format::grouped(number.into()));
    templates.add_filter("minute", |iso: &str| iso.get(..16).unwrap_or(iso).replace('T', " "));
    templates.add_filter("coins", coins);
    templates.add_filter("difficulty", |value: f64| format::quantity(value));
}

/// What a rate is the rate of: `{{ pool.hashrate|rate(pool.measure) }}`.
fn measure(of: &Value) -> Measure {
    let part = |name| of.get_attr(name).ok().and_then(|part| f64::try_from(part).ok());
    match (part("bytes_per_rate"), part("plot_bytes")) {
        (Some(bytes_per_rate), Some(plot_bytes)) => Measure::Space { bytes_per_rate, plot_bytes },
        _ if of.get_attr("of").is_ok_and(|of| of.as_str() == Some("reputation")) => {
            Measure::Reputation
        }
        _ => Measure::Hashes,
    }
}

/// An amount: `{{ money|coins }}`.
fn coins(money: &Value, options: Kwargs) -> Result<String, Error> {
    options.assert_all_used()?;
    let decimal: Arc<str> = money
        .get_attr("decimal")?
        .as_str()
        .map(Arc::from)
        .ok_or_else(|| Error::new(ErrorKind::InvalidOperation, "coins wants an amount"))?;
    Ok(format::coins(&decimal))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_folder_is_built_in() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("templates");
        let theme = Theme::load(None).unwrap();
        for file in std::fs::read_dir(folder).unwrap() {
            let name = file.unwrap().file_name().into_string().unwrap();
            assert!(theme.templates.get_template(&name).is_ok(), "{name}");
        }
    }
}
