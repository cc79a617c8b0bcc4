//! The operator's pages and their forms.

use super::Session;
use crate::leased::Pipeline;
use crate::model::{Iso, Money};
use crate::outlook::Outlook;
use crate::pages::{Page, Trouble, read, render};
use crate::secrets;
use crate::server::Way;
use crate::site::Site;
use ::pool::command::Command;
use accounting::reserve::{reserve_for, ruin_exponent};
use accounting::{AccountId, Amount};
use axum::Router;
use axum::extract::{Form, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use minijinja::{Value, context};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use store::StoreError;
use store::sqlite::Cut;

/// The cookie's name.
const COOKIE: &str = "adit_operator";
/// Acts shown.
const ACTS: u64 = 30;

/// The operator's routes.
pub fn routes() -> Router<Arc<Site>> {
    Router::new()
        .route("/operator", get(desk))
        .route("/operator/login", post(log_in))
        .route("/operator/logout", post(log_out))
        .route("/operator/act", post(act))
}

pub(super) fn refuse_way(site: &Arc<Site>) -> Page {
    let text = "The operator's pages are open over TLS or from the pool's own machine only: set web.tls_certificate and \
                web.tls_key, list your proxy in web.proxies, or use `ssh -L`.";
    let page = render(site, "error.html", context! { title => "Not over this connection", text })?;
    Ok((StatusCode::FORBIDDEN, page).into_response())
}

fn secret_of(headers: &HeaderMap) -> Option<String> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    cookies
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(name, _)| *name == COOKIE)
        .map(|(_, value)| value.to_owned())
}

pub(super) async fn session_of(site: &Arc<Site>, headers: &HeaderMap) -> Option<Session> {
    let secret = secret_of(headers)?;
    match site.operators.session(&secret, site.now()).await {
        Ok(session) => session,
        Err(error) => {
            tracing::warn!(%error, "an operator's session cannot be read");
            None
        }
    }
}

pub(super) fn login_page(site: &Arc<Site>, wrong: bool) -> Page {
    let status = if wrong { StatusCode::FORBIDDEN } else { StatusCode::OK };
    let page = render(site, "login.html", context! { title => "Operator", wrong })?;
    Ok((status, no_store(page)).into_response())
}

pub(super) fn no_store(mut page: Response) -> Response {
    page.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    page
}

/// A token that was shown once.
#[derive(Deserialize)]
struct LogIn {
    token: String,
}

async fn log_in(
    State(site): State<Arc<Site>>,
    way: Way,
    Form(LogIn { token }): Form<LogIn>,
) -> Page {
    if !way.is_private() {
        return refuse_way(&site);
    }
    let secret = match site.operators.log_in(&token, site.now()).await {
        Ok(secret) => secret,
        Err(error) => {
            tracing::warn!(%error, "nobody can log in");
            None
        }
    };
    let Some(secret) = secret else {
        // Guessing 256 bits is hopeless at any rate; this only keeps the log quiet.
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        return login_page(&site, true);
    };
    let secure = if way.is_tls { "; Secure" } else { "" };
    let cookie = format!("{COOKIE}={secret}; Path=/operator; HttpOnly; SameSite=Strict{secure}");
    let mut response = Redirect::to("/operator").into_response();
    if let Ok(value) = HeaderValue::from_str(&cookie) {
        response.headers_mut().insert(header::SET_COOKIE, value);
    }
    Ok(response)
}

/// What every form carries.
#[derive(Deserialize)]
struct Token {
    csrf: String,
}

async fn log_out(
    State(site): State<Arc<Site>>,
    headers: HeaderMap,
    Form(Token { csrf }): Form<Token>,
) -> Page {
    let session = session_of(&site, &headers).await;
    if let (Some(secret), Some(session)) = (secret_of(&headers), session)
        && secrets::same(session.csrf.as_bytes(), csrf.as_bytes())
        && let Err(error) = site.operators.log_out(&secret).await
    {
        tracing::warn!(%error, "a session goes on though its operator ended it");
    }
    let mut response = Redirect::to("/operator").into_response();
    let cookie = format!("{COOKIE}=; Path=/operator; HttpOnly; SameSite=Strict; Max-Age=0");
    if let Ok(value) = HeaderValue::from_str(&cookie) {
        response.headers_mut().insert(header::SET_COOKIE, value);
    }
    Ok(response)
}

/// An act's form; what the act does not need is empty.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ActForm {
    csrf: String,
    act: String,
    scope: String,
    reason: String,
    asset: String,
    pool: String,
    who: String,
    payout: String,
    txid: String,
    amount: String,
    reference: String,
    address: String,
    to: String,
    minimum: String,
    member: String,
}

impl ActForm {
    fn command(self) -> Result<Command, String> {
        let needed = |text: String, what: &str| {
            let text = text.trim().to_owned();
            if text.is_empty() { Err(format!("{what} is missing")) } else { Ok(text) }
        };
        let reason = |text: String| needed(text, "the reason");
        let number =
            |text: &str| text.trim().parse().map_err(|_| "the payout is no number".to_owned());
        Ok(match self.act.as_str() {
            "hold" => Command::Hold {
                scope: needed(self.scope, "what to hold")?,
                reason: reason(self.reason)?,
            },
            "release" | "release-scope" => {
                Command::Release { scope: needed(self.scope, "what to release")? }
            }
            "dry-run" => Command::DryRun { asset: needed(self.asset, "the asset")? },
            "pay-now" => Command::PayNow { asset: needed(self.asset, "the asset")? },
            "approve" => Command::Approve { payout: number(&self.payout)? },
            "cancel" => Command::Cancel { payout: number(&self.payout)? },
            "match-payout" => {
                Command::Match { txid: needed(self.txid, "the transaction")?, payout: true }
            }
            "match-own" => {
                Command::Match { txid: needed(self.txid, "the transaction")?, payout: false }
            }
            "ban" => {
                Command::Ban { who: needed(self.who, "whom to ban")?, reason: reason(self.reason)? }
            }
            "unban" => Command::Unban { who: needed(self.who, "whom to unban")? },
            "pause" => Command::Pause {
                pool: needed(self.pool, "the pool")?,
                reason: reason(self.reason)?,
            },
            "resume" => Command::Resume { pool: needed(self.pool, "the pool")? },
            "deposit" | "bankroll" => Command::Deposit {
                asset: needed(self.asset, "the asset")?,
                amount: needed(self.amount, "the amount")?,
                bankroll: self.act == "bankroll",
                reference: needed(self.reference, "the transaction that brought it")?,
            },
            "address" => Command::Address {
                account: needed(self.address, "the account's address")?,
                to: needed(self.to, "the new address")?,
            },
            "account" => Command::Account {
                account: needed(self.address, "the account's address")?,
                minimum: Some(self.minimum.trim().to_owned()).filter(|text| !text.is_empty()),
                member: self.member == "yes",
            },
            other => return Err(format!("there is no act \"{other}\"")),
        })
    }
}

async fn act(
    State(site): State<Arc<Site>>,
    way: Way,
    headers: HeaderMap,
    Form(form): Form<ActForm>,
) -> Page {
    if !way.is_private() {
        return refuse_way(&site);
    }
    let Some(session) = session_of(&site, &headers).await else { return login_page(&site, false) };
    if !secrets::same(session.csrf.as_bytes(), form.csrf.as_bytes()) {
        let text =
            "This form was not made by your session. Go back to the operator's page and try again.";
        let page = render(&site, "error.html", context! { title => "Refused", text })?;
        return Ok((StatusCode::FORBIDDEN, no_store(page)).into_response());
    }
    let asset = form.asset.clone();
    let done = match form.command() {
        Ok(command) => {
            let shows = matches!(command, Command::DryRun { .. });
            let done = site.hand.act(&session.operator, command).await;
            done.map(|value| if shows { value } else { serde_json::Value::Null })
        }
        Err(error) => Err(error),
    };
    match done {
        Ok(serde_json::Value::Null) => Ok(Redirect::to("/operator?done=1").into_response()),
        Ok(plan) => {
            let plan = readable(&site, asset, plan).await?;
            desk_page(&site, &session, context! { plan => Value::from_serialize(&plan) }).await
        }
        Err(error) => {
            let page = desk_page(&site, &session, context! { error }).await?;
            Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response())
        }
    }
}

/// A tried-out payout run, for people.
#[derive(Serialize)]
struct PlanShown {
    due: Vec<(String, Money)>,
    skipped: Vec<(String, String)>,
    total: Money,
    symbol: String,
    blocked_by: Vec<String>,
}

/// Accounts by their addresses, amounts in coins, reasons in words.
async fn readable(
    site: &Arc<Site>,
    asset: String,
    plan: serde_json::Value,
) -> Result<PlanShown, Trouble> {
    let outlook = site.outlook.load_full();
    read(site, move |reader| {
        let about = outlook.assets.iter().find(|known| known.name == asset);
        let decimals = about.map_or(8, |about| about.decimals);
        let name = |one: &serde_json::Value| {
            let id = AccountId(one["account"].as_u64().unwrap_or_default());
            let known = reader.display(id)?;
            Ok::<_, StoreError>(known.unwrap_or_else(|| format!("account {id}")))
        };
        let money = |units: &serde_json::Value| {
            let units = units.as_str().and_then(|text| text.parse().ok());
            Money::new(units.map_or(Amount::ZERO, Amount::from_units), decimals)
        };
        let rows = |name: &str| plan[name].as_array().cloned().unwrap_or_default();
        let due = rows("due");
        let due = due.iter().map(|one| Ok((name(one)?, money(&one["amount"]))));
        let skipped = rows("skipped");
        let skipped = skipped.iter().map(|one| Ok((name(one)?, words(one["reason"].as_str()))));
        let blockers = rows("blocked_by");
        Ok(PlanShown {
            due: due.collect::<Result<_, StoreError>>()?,
            skipped: skipped.collect::<Result<_, StoreError>>()?,
            total: money(&plan["total"]),
            symbol: about.map(|about| about.symbol.clone()).unwrap_or_default(),
            blocked_by: blockers.iter().filter_map(|why| why.as_str().map(str::to_owned)).collect(),
        })
    })
    .await
}

/// `BelowMinimum` as `below minimum`.
fn words(name: Option<&str>) -> String {
    let mut words = String::new();
    for letter in name.unwrap_or_default().chars() {
        if letter.is_uppercase() && !words.is_empty() {
            words.push(' ');
        }
        words.extend(letter.to_lowercase());
    }
    words
}

/// Whether an act was just done.
#[derive(Deserialize)]
struct DeskQuery {
    done: Option<String>,
}

async fn desk(
    State(site): State<Arc<Site>>,
    way: Way,
    headers: HeaderMap,
    Query(query): Query<DeskQuery>,
) -> Page {
    if !way.is_private() {
        return refuse_way(&site);
    }
    match session_of(&site, &headers).await {
        Some(session) => {
            desk_page(&site, &session, context! { done => query.done.is_some() }).await
        }
        None => login_page(&site, false),
    }
}

/// One asset's liabilities against what covers them.
#[derive(Serialize)]
struct Cover {
    asset: String,
    symbol: String,
    owed: Money,
    in_flight: Money,
    commission: Money,
    bankroll: Money,
    lost: Money,
    spendable: Option<Money>,
    immature: Option<Money>,
    unconfirmed: Option<Money>,
    covered: Option<bool>,
    balances: bool,
    folds: bool,
    blockers: Vec<String>,
    warnings: Vec<String>,
    trouble: Option<String>,
    next_run: Iso,
    nodes: Vec<(String, Option<u64>, Option<String>)>,
    address: String,
    ruin: Vec<Ruin>,
}

/// What the bankroll of a pool that buys shares can bear.
#[derive(Serialize)]
struct Ruin {
    pool: String,
    /// Luck alone empties it, ever, at most once in ten to this.
    exponent: u32,
    /// What would be needed for one in a thousand; nothing is enough without a fee.
    wanted: Option<Money>,
}

fn covers(outlook: &Outlook, view: &::pool::View) -> Vec<Cover> {
    let cover = |asset: &::pool::view::AssetView| {
        let about = outlook.asset(asset.id)?;
        let money = |amount| Money::new(amount, asset.decimals);
        let held = about.wallet;
        let total = held.map(|held| held.spendable.add(held.immature).add(held.unconfirmed));
        Some(Cover {
            asset: asset.name.clone(),
            symbol: about.symbol.clone(),
            owed: money(asset.owed),
            in_flight: money(asset.in_flight),
            commission: money(asset.fees),
            bankroll: money(asset.bankroll),
            lost: money(asset.loss),
            spendable: held.map(|held| money(held.spendable)),
            immature: held.map(|held| money(held.immature)),
            unconfirmed: held.map(|held| money(held.unconfirmed)),
            covered: total.map(|total| total >= asset.owed),
            balances: asset.balances_to_zero,
            folds: about.folds,
            blockers: about.blockers.clone(),
            warnings: about.warnings.clone(),
            trouble: about.trouble.clone(),
            next_run: Iso(about.next_run),
            nodes: about
                .nodes
                .iter()
                .map(|node| (node.address.clone(), node.height, node.trouble.clone()))
                .collect(),
            address: about.address.clone(),
            ruin: ruins(outlook, asset, about),
        })
    };
    view.assets.iter().filter_map(cover).collect()
}

/// Ruin at one in so many powers of ten is what a bankroll should at least bear.
const WANTED_EXPONENT: u32 = 3;

/// What the bankroll bears in each pool that buys shares.
fn ruins(
    outlook: &Outlook,
    asset: &::pool::view::AssetView,
    about: &crate::outlook::AssetOutlook,
) -> Vec<Ruin> {
    let Some(value) = about.next.and_then(|next| next.value) else { return Vec::new() };
    let block = Amount::from_units(value.into());
    let buys = outlook.pools_of(asset.id).filter(|pool| pool.scheme.pays_per_share());
    buys.map(|pool| Ruin {
        pool: pool.name.clone(),
        exponent: ruin_exponent(asset.bankroll, block, pool.fee.base),
        wanted: reserve_for(block, pool.fee.base, WANTED_EXPONENT)
            .map(|units| Money::new(units, asset.decimals)),
    })
    .collect()
}

/// The lease pipeline and the backlog of each pool of leased compute.
fn pipelines(outlook: &Outlook) -> Vec<Value> {
    let of = |pool: &crate::outlook::PoolOutlook| {
        let looked = &pool.leased.as_ref()?.looked;
        let Pipeline { issued, completed, expired, without_evaluations } = looked.pipeline;
        Some(context! {
            name => pool.name,
            issued,
            completed,
            expired,
            without_evaluations,
            active_leases => looked.active_leases,
            open_algorithms => looked.open_algorithms,
            oldest_open_s => looked.oldest_open_s,
            awaiting_own_result => looked.awaiting_own_result,
            relay => looked.relay,
        })
    };
    outlook.pools.iter().filter_map(of).collect()
}

/// A hold's scope as it was said: an asset's name, or an account's address.
fn scope_name(
    reader: &store::Reader,
    outlook: &Outlook,
    scope: &str,
) -> Result<String, StoreError> {
    let number = |kind: &str| scope.strip_prefix(kind).and_then(|id| id.parse::<u64>().ok());
    let name = match (number("account/"), scope.strip_prefix("asset/")) {
        (Some(id), _) => reader.display(AccountId(id))?,
        (_, Some(id)) => outlook
            .assets
            .iter()
            .find(|asset| asset.id.to_string() == id)
            .map(|asset| asset.name.clone()),
        _ => None,
    };
    Ok(name.unwrap_or_else(|| scope.to_owned()))
}

async fn desk_page(site: &Arc<Site>, session: &Session, more: Value) -> Page {
    let (outlook, view) = (site.outlook.load_full(), site.pool.view());
    let own = outlook.clone();
    let (acts, holds, payouts) = read(site, move |reader| {
        let acts = reader.acts(Cut::first(ACTS))?;
        let payouts = crate::model::payouts::list(reader, &own, Cut::first(20))?;
        let mut holds = Vec::new();
        for hold in reader.holds()? {
            holds.push((scope_name(reader, &own, &hold.scope)?, hold));
        }
        Ok((acts, holds, payouts.rows))
    })
    .await?;
    let notes = site.hand_notes().await;
    let pools = crate::model::pools::all(&outlook, &view, &site.history);
    let acts: Vec<Value> = acts
        .into_iter()
        .map(|(no, at, who, what)| context! { no, at => Iso(at), who, what })
        .collect();
    let held: Vec<Value> = holds
        .into_iter()
        .map(|(who, hold)| {
            context! { who, scope => hold.scope, reason => hold.reason, since => Iso(hold.since) }
        })
        .collect();
    let page = render(
        site,
        "operator.html",
        context! {
            title => "Operator",
            operator => session.operator,
            csrf => session.csrf,
            covers => covers(&outlook, &view),
            pools,
            leased => pipelines(&outlook),
            acts,
            held,
            payouts,
            bans => notes.bans,
            pauses => notes.pauses,
            store_failing => view.store_failing,
            waiting => site.pool.waiting(),
            unexplained => view.unmatched_spends,
            connections => outlook.connections,
            loops => outlook.loops,
            backups => outlook.backups.as_ref().map(|backups| context! {
                folder => backups.folder,
                last => backups.last.map(Iso),
                trouble => backups.trouble,
            }),
            suspects => Value::from_serialize(crate::model::suspects::all(site)),
            ..more
        },
    )?;
    Ok(no_store(page))
}
