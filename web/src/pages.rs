//! Pages: one handler each, which gathers what the template shows.
//!
//! Invariant: every page is whole without a script; what a script keeps up to date is the same text that was rendered.

mod account;
mod advanced;
mod branch;
mod lists;
mod other;
mod prospects;
mod register;
mod support;

use crate::history::Range;
use crate::http::encoded;
use crate::live;
use crate::model::leased::LeasedLeader;
use crate::model::{self, pools};
use crate::outlook::PoolOutlook;
use crate::site::Site;
use crate::sponsored::Slot;
use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::get;
use minijinja::{Value, context};
use serde::Deserialize;
use std::sync::Arc;
use store::StoreError;
use store::sqlite::{Cut, RewardFilter};

/// Places on a pool's own page.
const LEADERS: usize = 10;

/// The pages' routes.
pub fn routes() -> Router<Arc<Site>> {
    Router::new()
        .route("/", get(home))
        .route("/pool/{pool}", get(pool))
        .route("/miner/{address}", get(account::page))
        .route(
            "/account/{address}",
            get(|Path(address): Path<String>| async move {
                Redirect::permanent(&format!("/miner/{}", encoded(&address)))
            }),
        )
        .route("/miner/{address}/statistics", get(advanced::page))
        .route("/miner/{address}/branch/{block}", get(branch::page))
        .route("/miner/{address}/credits.csv", get(account::credits_csv))
        .route("/miner/{address}/payouts.csv", get(account::payouts_csv))
        .route("/blocks", get(lists::blocks))
        .route("/block/{hash}", get(lists::block))
        .route("/payouts", get(lists::payouts))
        .route("/payout/{id}", get(lists::payout))
        .route("/leaderboard", get(lists::leaderboard))
        .route("/statistics", get(other::statistics))
        .route("/network", get(other::network))
        // The paths of other programs' pages, as links in the world have them.
        .route("/network-status", get(|| async { Redirect::permanent("/network") }))
        .route("/settings", get(|| async { Redirect::temporary("/register") }))
        .route("/register-success", get(register::registered))
        .route("/search", get(other::search))
        .route("/calculator", get(other::calculator))
        .route("/prospects", get(prospects::page))
        .route("/prospects.svg", get(prospects::svg))
        .route("/help", get(|site: State<Arc<Site>>| other::text(site, "help", "Help")))
        .route(
            "/faq",
            get(|site: State<Arc<Site>>| other::text(site, "faq", "Questions and answers")),
        )
        .route("/terms", get(|site: State<Arc<Site>>| other::text(site, "terms", "Terms")))
        .route("/privacy", get(|site: State<Arc<Site>>| other::text(site, "privacy", "Privacy")))
        .route("/register", get(register::form).post(register::say))
        .route("/register/confirm/{code}", get(register::confirm_form).post(register::confirm))
        .route("/support", get(support::form).post(support::ask))
        .route("/support/{secret}", get(support::ticket).post(support::more))
        .route("/assets/{name}", get(asset))
}

/// A page that could not be made.
pub struct Trouble {
    status: StatusCode,
    title: &'static str,
    text: String,
    site: Arc<Site>,
}

/// What a page's handler gives.
pub type Page = Result<Response, Trouble>;

impl Trouble {
    /// There is no such thing.
    pub fn not_found(site: &Arc<Site>, text: impl Into<String>) -> Self {
        let (status, title) = (StatusCode::NOT_FOUND, "Not found");
        Trouble { status, title, text: text.into(), site: site.clone() }
    }

    /// What was asked makes no sense.
    pub fn bad(site: &Arc<Site>, text: impl Into<String>) -> Self {
        let (status, title) = (StatusCode::BAD_REQUEST, "That cannot be read");
        Trouble { status, title, text: text.into(), site: site.clone() }
    }

    /// What was said cannot be written now.
    pub fn busy(site: &Arc<Site>) -> Self {
        Trouble::later(site, "This cannot be written at the moment; please try again soon.")
    }

    /// It can be asked again soon.
    pub fn later(site: &Arc<Site>, text: impl Into<String>) -> Self {
        let (status, title) = (StatusCode::SERVICE_UNAVAILABLE, "Not now");
        Trouble { status, title, text: text.into(), site: site.clone() }
    }

    /// The store did not answer.
    pub fn store(site: &Arc<Site>, error: &StoreError) -> Self {
        tracing::warn!(%error, "a page could not be read from the store");
        let text =
            "The pool's store cannot be read at the moment. Mining goes on; please try again soon.";
        Trouble::later(site, text)
    }
}

impl IntoResponse for Trouble {
    fn into_response(self) -> Response {
        let values = context! { title => self.title, text => self.text };
        match render(&self.site, "error.html", values) {
            Ok(page) => (self.status, page).into_response(),
            Err(_) => (self.status, self.text).into_response(),
        }
    }
}

/// Renders a template with what every page has.
///
/// # Errors
/// When the template asks for what is not there.
pub fn render(site: &Arc<Site>, template: &str, values: Value) -> Page {
    let outlook = site.outlook.load();
    let names: Vec<&str> = outlook.pools.iter().map(|pool| pool.name.as_str()).collect();
    let shared = context! {
        site_title => site.settings.title,
        site_url => site.settings.url,
        registered_only => site.settings.registered_only,
        version => env!("CARGO_PKG_VERSION"),
        pool_names => names,
        now => crate::model::Iso(site.now()),
        ..values
    };
    let made = site.theme.render(template, shared);
    let html = made.map_err(|error| {
        tracing::error!(template, "{error:#}");
        let (status, title) = (StatusCode::INTERNAL_SERVER_ERROR, "This page is broken");
        let text =
            format!("The template {template} could not be filled in; the operator's log says why.");
        // Its own template may be the broken one: no second try.
        Trouble { status, title, text, site: site.clone() }
    })?;
    Ok(Html(html).into_response())
}

/// Reads with one of the store's readers.
///
/// # Errors
/// The page that says so.
pub async fn read<T: Send + 'static>(
    site: &Arc<Site>,
    query: impl FnOnce(&store::Reader) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, Trouble> {
    site.readers.read(query).await.map_err(|error| Trouble::store(site, &error))
}

/// Where a list goes on.
#[derive(Debug, Clone, Deserialize)]
pub struct Paging {
    cursor: Option<String>,
}

impl Paging {
    fn cut(&self, site: &Arc<Site>, limit: u64) -> Result<Cut, Trouble> {
        let from = self.cursor.as_deref().filter(|text| !text.is_empty()).map(str::parse::<u64>);
        match from.transpose() {
            Ok(from) => Ok(Cut { from, limit }),
            Err(_) => {
                Err(Trouble::bad(site, "The cursor of this list is not one that a page gave."))
            }
        }
    }
}

async fn home(State(site): State<Arc<Site>>, headers: HeaderMap, query: Query<ChartQuery>) -> Page {
    let outlook = site.outlook.load_full();
    match outlook.pools.first() {
        Some(first) => pool_page(&site, first, &headers, query.0).await,
        None => render(
            &site,
            "pool.html",
            context! { title => "The pool is starting", starting => true },
        ),
    }
}

async fn pool(
    State(site): State<Arc<Site>>,
    Path(name): Path<String>,
    headers: HeaderMap,
    query: Query<ChartQuery>,
) -> Page {
    let outlook = site.outlook.load_full();
    let found = pools::named(&outlook, &name);
    let Some(found) = found else {
        return Err(Trouble::not_found(&site, format!("There is no pool \"{name}\" here.")));
    };
    pool_page(&site, found, &headers, query.0).await
}

/// How far a chart looks back.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct ChartQuery {
    range: Option<Range>,
}

impl ChartQuery {
    /// What was asked for, or what there is something to see of.
    fn range(self, site: &Site) -> Range {
        let up_ms = site.now().0.saturating_sub(site.outlook.load().started_at.0);
        self.range.unwrap_or(if up_ms < 3 * 3_600_000 { Range::Hour } else { Range::Day })
    }
}

async fn pool_page(
    site: &Arc<Site>,
    pool: &PoolOutlook,
    headers: &HeaderMap,
    query: ChartQuery,
) -> Page {
    let outlook = site.outlook.load_full();
    let view = site.pool.view();
    let shown = pools::one(&outlook, &view, &site.history, pool);
    let (Some(shown), Some(asset)) = (shown, outlook.asset(pool.asset)) else {
        return Err(Trouble::not_found(site, "This pool is starting; please try again soon."));
    };
    let range = query.range(site);
    let points = site.history.chart(pool.id, None, range, site.now()).await;
    let points = points.unwrap_or_default();
    let measure = asset.measure;
    let label = format!("{} of {} over {}", measure.word(), pool.name, range.name());
    let chart = crate::chart::rate(measure, &points, range, &label);
    let (filter, own) = (RewardFilter::Pool(pool.id), outlook.clone());
    let (blocks, payouts) = read(site, move |reader| {
        let blocks = crate::model::blocks::list(reader, &own, filter, Cut::first(10))?;
        let payouts = crate::model::payouts::list(reader, &own, Cut::first(5))?;
        Ok((blocks.rows, payouts.rows))
    })
    .await?;
    let network = crate::model::network::network(asset);
    let mut leaders = leaders(site, pool).unwrap_or_default();
    leaders.truncate(LEADERS);
    render(
        site,
        "pool.html",
        context! {
            title => pool.name,
            pool => shown,
            network,
            asset_name => asset.coin,
            nodes_ok => asset.nodes.iter().all(|node| node.trouble.is_none()),
            payouts_held => view.holds_payouts(pool.asset, None),
            blockers => asset.blockers,
            values => live::pool_values(&shown, &network, site.now()),
            chart => Value::from_safe_string(chart),
            range => range.name(),
            blocks,
            payouts,
            leaders,
            explorer => explorer(site, &asset.name),
            host => host(site, headers),
            example_address => asset.address,
            sponsored => site.sponsored(Slot::Pool),
        },
    )
}

/// Who earned most in a pool of leased compute.
fn leaders(site: &Site, pool: &PoolOutlook) -> Option<Vec<LeasedLeader>> {
    let name = |account| site.profiles.public_name(account);
    pool.leased.as_ref().map(|leased| model::leased::leaders(leased, name))
}

/// The links of an asset's explorer, for templates.
pub fn explorer(site: &Site, asset: &str) -> Value {
    let found = site.settings.explorers.get(asset).cloned().unwrap_or_default();
    context! { transaction => found.transaction, block => found.block }
}

/// The host name that miners are told: configured, or the one this page was asked from.
fn host(site: &Site, headers: &HeaderMap) -> String {
    let asked = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let without_port = asked.map(|host| match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    });
    site.settings
        .miners_host
        .clone()
        .or_else(|| without_port.map(str::to_owned))
        .unwrap_or_else(|| "localhost".into())
}

/// No route has this path.
pub async fn nothing(State(site): State<Arc<Site>>, uri: axum::http::Uri) -> Response {
    if uri.path().starts_with("/api/") {
        let text = "There is nothing at this path; /api-docs lists what there is.";
        return crate::api::problem::Problem::not_found(text).into_response();
    }
    Trouble::not_found(&site, "There is no such page here.").into_response()
}

async fn asset(State(site): State<Arc<Site>>, Path(name): Path<String>) -> Response {
    match site.theme.asset(&name) {
        Some(asset) => {
            let kind = [
                (header::CONTENT_TYPE, asset.kind),
                (header::CACHE_CONTROL, "public, max-age=300"),
            ];
            (kind, asset.bytes).into_response()
        }
        None => StatusCode::NOT_FOUND.into_response(),
    }
}
