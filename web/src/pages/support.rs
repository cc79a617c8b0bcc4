//! Questions to the operator, without a script: asked, signed by who likes, and found again by a link.

use super::{Page, Trouble, render};
use crate::model::Iso;
use crate::registration::moment;
use crate::site::Site;
use crate::support::{Asked, MOST, Untaken};
use axum::extract::{Form, Path, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use minijinja::context;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// How long a text may wait for its signature.
const VALID_MS: u64 = 24 * 3600 * 1000;

/// The form as browsers send it.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct Said {
    address: String,
    subject: String,
    text: String,
    made_at: String,
    signature: String,
    /// `sign` asks for the text to sign first.
    act: String,
}

/// More words.
#[derive(Debug, Deserialize)]
pub struct More {
    #[serde(default)]
    text: String,
}

impl Said {
    /// What a signature says: whose, about what, and when.
    fn message(&self, title: &str) -> String {
        let digest = Sha256::digest(format!("{}\n{}", self.subject, self.text));
        let mark: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        format!("{title}: {} asks for support ({mark}). {}", self.address, self.made_at)
    }

    /// The question, and whether its address signed it.
    async fn checked(&self, site: &Arc<Site>) -> Result<Asked, String> {
        let Said { address, subject, text, signature, .. } = self;
        let mut asked = Asked {
            address: String::new(),
            is_proved: false,
            subject: subject.clone(),
            text: text.clone(),
        };
        if address.is_empty() {
            return Ok(asked);
        }
        let named = site.named(address).await;
        let named = named.map_err(|_| "the pool's store cannot be read now; try again soon")??;
        asked.address = named.parsed.display.clone();
        if signature.trim().is_empty() {
            return Ok(asked);
        }
        let (made_at, now) = (moment(&self.made_at)?, site.now());
        if made_at.0 > now.0 + 60_000 || now.0 > made_at.0 + VALID_MS {
            return Err("the text to sign is older than a day; begin again".into());
        }
        let outlook = site.outlook.load_full();
        let asset = outlook.asset(named.asset).ok_or("this asset is not open")?;
        let message = self.message(&site.settings.title);
        asset.addresses.prove(&named.parsed.identity, &message, signature.trim())?;
        asked.is_proved = true;
        Ok(asked)
    }
}

/// The empty form.
pub async fn form(State(site): State<Arc<Site>>) -> Page {
    let said = Said::default();
    render(&site, "support.html", context! { title => "Support", said, most => MOST })
}

/// A question; or the text that its address signs, for who asked for it.
pub async fn ask(State(site): State<Arc<Site>>, Form(mut said): Form<Said>) -> Page {
    for text in [&mut said.address, &mut said.subject, &mut said.text] {
        // Browsers write line ends as they like, and a signature is of the very text.
        *text = text.trim().replace("\r\n", "\n");
    }
    if said.made_at.is_empty() {
        said.made_at = Iso(site.now()).text();
    }
    let wrong = |said: &Said, error: String| {
        let values = context! { title => "Support", said, error, most => MOST };
        let page = render(&site, "support.html", values)?;
        Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response())
    };
    let asked = match said.checked(&site).await {
        Ok(asked) => asked,
        Err(error) => return wrong(&said, error),
    };
    if said.act == "sign" && said.signature.trim().is_empty() {
        if asked.address.is_empty() {
            return wrong(&said, "to sign a question, say which address signs it".into());
        }
        let message = said.message(&site.settings.title);
        let values = context! { title => "Support", said, message, most => MOST };
        return render(&site, "support.html", values);
    }
    match site.support.ask(asked, site.now()).await {
        Ok(secret) => Ok(Redirect::to(&format!("/support/{secret}")).into_response()),
        Err(Untaken::Said(error)) => wrong(&said, error),
        Err(Untaken::Db(error)) => {
            tracing::warn!(%error, "a question was not written");
            Err(Trouble::busy(&site))
        }
    }
}

/// A question and its answers: for who has the link.
pub async fn ticket(State(site): State<Arc<Site>>, Path(secret): Path<String>) -> Page {
    shown(&site, &secret, None).await
}

/// More about a question.
pub async fn more(
    State(site): State<Arc<Site>>,
    Path(secret): Path<String>,
    Form(More { text }): Form<More>,
) -> Page {
    match site.support.add(&secret, &text, site.now()).await {
        Ok(true) => Ok(Redirect::to(&format!("/support/{secret}")).into_response()),
        Ok(false) => Err(nothing(&site)),
        Err(Untaken::Said(error)) => {
            let page = shown(&site, &secret, Some(error)).await?;
            Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response())
        }
        Err(Untaken::Db(error)) => {
            tracing::warn!(%error, "a question was not written");
            Err(Trouble::busy(&site))
        }
    }
}

async fn shown(site: &Arc<Site>, secret: &str, error: Option<String>) -> Page {
    let found = match site.support.find(secret).await {
        Ok(found) => found.ok_or_else(|| nothing(site))?,
        Err(error) => {
            tracing::warn!(%error, "a question cannot be read");
            return Err(Trouble::busy(site));
        }
    };
    let values = context! { title => "Support", ticket => found, secret, error, most => MOST };
    Ok(unkept(render(site, "ticket.html", values)?))
}

fn nothing(site: &Arc<Site>) -> Trouble {
    Trouble::not_found(site, "There is no such question; what was closed is kept for 90 days.")
}

/// The link is a secret: no copy stays anywhere.
fn unkept(mut page: Response) -> Response {
    page.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    page
}
