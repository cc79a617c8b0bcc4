//! Registration, in two steps that need no script: say it, then sign it.

use super::{Page, Trouble, render};
use crate::http::encoded;
use crate::model::Iso;
use crate::registration::{NOTICES, Wish, check};
use crate::site::Site;
use axum::extract::{Form, Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect};
use minijinja::{Value, context};
use serde::Deserialize;
use std::sync::Arc;

/// An address to begin with.
#[derive(Deserialize)]
pub struct Begin {
    #[serde(default)]
    address: String,
}

/// The form as browsers send it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Said {
    address: String,
    name: String,
    email: String,
    is_public: String,
    minimum: String,
    payout_sent: String,
    worker_silent: String,
    reject_rate: String,
    made_at: String,
    signature: String,
}

impl Said {
    fn wish(&self, site: &Site) -> Wish {
        let marks = [&self.payout_sent, &self.worker_silent, &self.reject_rate];
        let notices = NOTICES.iter().zip(marks).filter(|(_, mark)| *mark == "yes");
        let made_at = match self.made_at.is_empty() {
            true => Iso(site.now()).text(),
            false => self.made_at.clone(),
        };
        Wish {
            address: self.address.trim().to_owned(),
            name: self.name.trim().to_owned(),
            email: self.email.trim().to_owned(),
            is_public: self.is_public == "yes",
            minimum: self.minimum.trim().to_owned(),
            notices: notices.map(|(name, _)| (*name).to_owned()).collect(),
            made_at,
        }
    }
}

/// The empty form.
pub async fn form(State(site): State<Arc<Site>>, Query(Begin { address }): Query<Begin>) -> Page {
    let wish = Wish { address, ..Wish::default() };
    let letters = site.outbox.writes_letters();
    render(&site, "register.html", context! { title => "Register", wish, letters })
}

/// What a letter leads to: a button, because programs look at letters' links before people do.
pub async fn confirm_form(State(site): State<Arc<Site>>, Path(code): Path<String>) -> Page {
    render(&site, "confirm.html", context! { title => "Confirm", code })
}

/// The button.
pub async fn confirm(State(site): State<Arc<Site>>, Path(code): Path<String>) -> Page {
    let confirmed = match site.profiles.confirm(&code).await {
        Ok(confirmed) => confirmed,
        Err(error) => {
            tracing::warn!(%error, "a confirmation was not written");
            return Err(Trouble::busy(&site));
        }
    };
    render(&site, "confirm.html", context! { title => "Confirm", code, confirmed, done => true })
}

/// Where others' registrations lead to.
pub async fn registered(Query(Begin { address }): Query<Begin>) -> Redirect {
    match address.is_empty() {
        true => Redirect::temporary("/register"),
        false => Redirect::temporary(&format!("/miner/{}", encoded(&address))),
    }
}

/// Both steps: without a signature the text to sign, with one the registration.
pub async fn say(State(site): State<Arc<Site>>, Form(said): Form<Said>) -> Page {
    let wish = said.wish(&site);
    let wrong = |error: String, text: Option<Value>| {
        let letters = site.outbox.writes_letters();
        let values = context! { title => "Register", wish, error, text, letters };
        let page = render(&site, "register.html", values)?;
        Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response())
    };
    let checked = match check(&site, wish.clone()).await {
        Ok(checked) => checked,
        Err(error) => return wrong(error, None),
    };
    let text = checked.text(&site.settings.title);
    if said.signature.trim().is_empty() {
        return render(&site, "register.html", context! { title => "Register", wish, text });
    }
    match checked.accept(&site, &said.signature).await {
        Ok(()) => {
            let to = format!("/miner/{}", encoded(&wish.address));
            Ok(Redirect::to(&to).into_response())
        }
        Err(error) => wrong(error, Some(Value::from_serialize(&text))),
    }
}
