//! The operator's side of questions: what waits, members' first.

use super::pages::{login_page, no_store, refuse_way, session_of};
use crate::pages::{Page, Trouble, render};
use crate::secrets;
use crate::server::Way;
use crate::site::Site;
use crate::support::{MOST, Ticket, Untaken};
use axum::Router;
use axum::extract::{Form, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Redirect};
use axum::routing::get;
use minijinja::context;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::sync::Arc;

/// The queue's routes.
pub fn routes() -> Router<Arc<Site>> {
    Router::new().route("/operator/support", get(queue).post(act))
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Act {
    csrf: String,
    /// `answer` or `close`.
    act: String,
    id: i64,
    text: String,
}

#[derive(Serialize)]
struct Shown {
    ticket: Ticket,
    is_member: bool,
}

async fn queue(State(site): State<Arc<Site>>, way: Way, headers: HeaderMap) -> Page {
    if !way.is_private() {
        return refuse_way(&site);
    }
    let Some(session) = session_of(&site, &headers).await else { return login_page(&site, false) };
    queue_page(&site, &session.csrf, None).await
}

async fn queue_page(site: &Arc<Site>, csrf: &str, error: Option<String>) -> Page {
    let waiting = match site.support.queue(|_| false).await {
        Ok(waiting) => waiting.into_iter().map(|(ticket, _)| ticket.address).collect(),
        Err(error) => return busy(site, &error),
    };
    let members = members(site, waiting).await?;
    let queue = match site.support.queue(|address| members.contains(address)).await {
        Ok(queue) => queue,
        Err(error) => return busy(site, &error),
    };
    let queue: Vec<Shown> =
        queue.into_iter().map(|(ticket, is_member)| Shown { ticket, is_member }).collect();
    let values = context! { title => "Questions", queue, csrf, error, most => MOST };
    Ok(no_store(render(site, "questions.html", values)?))
}

fn busy(site: &Arc<Site>, error: &crate::db::DbError) -> Page {
    tracing::warn!(%error, "questions cannot be read or written");
    Err(Trouble::busy(site))
}

/// Which of these addresses are members'.
async fn members(
    site: &Arc<Site>,
    addresses: BTreeSet<String>,
) -> Result<BTreeSet<String>, Trouble> {
    let mut accounts = Vec::new();
    for address in addresses.into_iter().filter(|address| !address.is_empty()) {
        let named = site.named(&address).await.map_err(|error| Trouble::store(site, &error))?;
        if let Some(account) = named.ok().and_then(|named| named.account) {
            accounts.push((address, account));
        }
    }
    let asked = site.pool.order(move |books, _, _| {
        let members = accounts.into_iter().filter(|(_, account)| books.is_member(*account));
        Ok(members.map(|(address, _)| address).collect())
    });
    asked.await.map_err(|refused| {
        tracing::warn!(%refused, "members are not known now");
        Trouble::busy(site)
    })
}

async fn act(
    State(site): State<Arc<Site>>,
    way: Way,
    headers: HeaderMap,
    Form(Act { csrf, act, id, text }): Form<Act>,
) -> Page {
    if !way.is_private() {
        return refuse_way(&site);
    }
    let Some(session) = session_of(&site, &headers).await else { return login_page(&site, false) };
    if !secrets::same(session.csrf.as_bytes(), csrf.as_bytes()) {
        let text =
            "This form was not made by your session. Go back to the operator's page and try again.";
        let page = render(&site, "error.html", context! { title => "Refused", text })?;
        return Ok((StatusCode::FORBIDDEN, no_store(page)).into_response());
    }
    let done = match act.as_str() {
        "answer" => site.support.answer(id, &session.operator, &text, site.now()).await,
        "close" => site.support.close(id, site.now()).await.map_err(Untaken::Db),
        other => Err(Untaken::Said(format!("there is no act \"{other}\""))),
    };
    match done {
        Ok(()) => Ok(Redirect::to("/operator/support").into_response()),
        Err(Untaken::Said(error)) => {
            let page = queue_page(&site, &session.csrf, Some(error)).await?;
            Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response())
        }
        Err(Untaken::Db(error)) => busy(&site, &error),
    }
}
