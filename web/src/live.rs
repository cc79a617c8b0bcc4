//! Values that change while a page is open, as text: rendered into the page, and sent again as server-sent events.
//!
//! Invariant: the same function makes both, so a page never jumps when its script begins.

use crate::format;
use crate::model::account::Account;
use crate::model::leased;
use crate::model::network::{Network, network};
use crate::model::pools::{self, Pool};
use crate::site::Site;
use accounting::UnixMs;
use axum::Router;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;

/// Open streams at most.
const STREAMS_MAX: usize = 2000;
/// How often values are looked at.
const EVERY: Duration = Duration::from_secs(2);

static STREAMS: AtomicUsize = AtomicUsize::new(0);

/// The live pages' route.
pub fn routes() -> Router<Arc<Site>> {
    Router::new().route("/live", get(stream))
}

/// Values by name.
pub type Values = BTreeMap<&'static str, String>;

/// A pool's.
#[must_use]
pub fn pool_values(pool: &Pool, network: &Network, now: UnixMs) -> Values {
    let until = pool.next_payout_run.0.0.saturating_sub(now.0) as f64 / 1000.0;
    let known = |value: Option<f64>, show: fn(f64) -> String| value.map_or("–".into(), show);
    let mut values = BTreeMap::from([
        ("hashrate", pool.measure.show(pool.hashrate)),
        ("plots", known(pool.measure.plots(pool.hashrate), plots)),
        ("workers", format::grouped(pool.workers.into())),
        ("miners", format::grouped(pool.miners.into())),
        ("effort", format::percent(pool.effort)),
        ("shares_per_second", format!("{:.1}", pool.shares_per_second)),
        ("acceptance", known(pool.acceptance, format::percent)),
        ("time_to_block", known(pool.seconds_per_block, format::span)),
        ("difficulty", known(network.difficulty, format::quantity)),
        ("height", network.height.map_or("–".into(), |height| format::grouped(height.into()))),
        (
            "network_hashrate",
            network.hashrate.map_or("–".into(), |rate| network.measure.show(rate)),
        ),
        (
            "next_payout",
            if until > 0.0 { format!("in {}", format::span(until)) } else { "now".into() },
        ),
    ]);
    if let Some(leased) = &pool.leased {
        values.extend([
            ("epoch", format::grouped(leased.epoch.into())),
            ("epoch_ends", leased::until(leased.epoch_ends_at.0, now)),
            ("best_score", known(leased.best_score, score)),
            ("registered", format::grouped(leased.registered.into())),
            ("open_algorithms", format::grouped(leased.open_algorithms.into())),
            ("active_leases", format::grouped(leased.active_leases.into())),
        ]);
    }
    values
}

/// A score, or a part of all, with four decimals.
fn score(score: f64) -> String {
    format!("{score:.4}")
}

/// A number of plots.
fn plots(count: f64) -> String {
    format::grouped(count as i128)
}

/// An account's.
#[must_use]
pub fn account_values(account: &Account, now: UnixMs) -> Values {
    let hashrate: f64 = account.pools.iter().map(|pool| pool.hashrate).sum();
    let shares: u64 = account.workers.iter().map(|worker| worker.shares).sum();
    let rejected: u64 = account.workers.iter().flat_map(|w| w.rejected.values()).sum();
    let best = account.workers.iter().map(|worker| worker.best).fold(0.0, f64::max);
    let active = account.workers.iter().filter(|worker| worker.connections > 0).count();
    let next: f64 = account.pools.iter().filter_map(|pool| pool.next_block_fraction).sum();
    let mut values = BTreeMap::from([
        ("hashrate", account.measure.show(hashrate)),
        ("plots", account.measure.plots(hashrate).map_or("–".into(), plots)),
        ("shares", format::grouped(shares.into())),
        ("rejected", format::grouped(rejected.into())),
        ("best", format::quantity(best)),
        ("active", format::grouped(active as i128)),
        ("next_block", format::percent(next)),
        ("immature", format::coins(&account.balance.immature.decimal)),
        ("available", format::coins(&account.balance.available.decimal)),
        ("in_flight", format::coins(&account.balance.in_flight.decimal)),
        ("paid", format::coins(&account.balance.paid.decimal)),
    ]);
    // One pool's numbers: whoever works in several has a table of them.
    if let [leased] = &account.leased[..] {
        let part = |rate: Option<f64>| rate.map_or("–".into(), format::percent);
        values.extend([
            ("accuracy", part(leased.accuracy_rate)),
            ("accurate", format::grouped(leased.accurate.into())),
            ("inaccurate", format::grouped(leased.inaccurate.into())),
            ("success", part(leased.evolution_success_rate)),
            ("evolved", format::grouped(leased.evolved.into())),
            ("evolved_paid", format::grouped(leased.evolved_paid.into())),
            ("reputation", leased.reputation.clone()),
            ("this_epoch", leased.reputation_this_epoch.clone()),
            ("per_hour", leased.reputation_per_hour.clone()),
            ("epoch", format::grouped(leased.epoch.into())),
            ("epoch_ends", leased::until(leased.epoch_ends_at.0, now)),
            ("pending", format::coins(&leased.pending.decimal)),
        ]);
    }
    values
}

/// What a stream is about.
#[derive(Debug, Clone, Deserialize)]
struct About {
    pool: Option<String>,
    account: Option<String>,
}

/// What is sent: values, and a number that changes when the lists of the page do.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Update {
    values: Values,
    lists: u64,
}

/// What an account's values follow: the meters, read every few seconds, and what blocks and payouts there are.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Moment {
    sampled_at: Option<UnixMs>,
    lists: u64,
}

impl Moment {
    fn of(site: &Site) -> Self {
        let sampled_at = site.history.shown().sampled_at();
        Moment { sampled_at, lists: lists_number(&site.pool.view()) }
    }
}

/// A stream's place.
pub struct Seat;

impl Drop for Seat {
    fn drop(&mut self) {
        STREAMS.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A place for a stream, if there is one.
pub fn seat() -> Option<Seat> {
    if STREAMS.fetch_add(1, Ordering::Relaxed) < STREAMS_MAX {
        return Some(Seat);
    }
    STREAMS.fetch_sub(1, Ordering::Relaxed);
    None
}

async fn stream(State(site): State<Arc<Site>>, Query(about): Query<About>) -> Response {
    let Some(seat) = seat() else { return StatusCode::SERVICE_UNAVAILABLE.into_response() };
    let (send, receive) = mpsc::channel::<Result<Event, std::convert::Infallible>>(4);
    tokio::spawn(async move {
        let _seat = seat;
        let (mut last, mut looked): (Option<Update>, Option<Moment>) = (None, None);
        loop {
            let moment = Moment::of(&site);
            // An account's values are read from the store: not again while they are the same.
            let is_new = about.account.is_none() || looked.replace(moment) != Some(moment);
            let update = if is_new { look(&site, &about).await } else { None };
            if let Some(update) = update.filter(|new| last.as_ref() != Some(new)) {
                let Ok(event) = Event::default().event("update").json_data(&update) else { return };
                if send.send(Ok(event)).await.is_err() {
                    return;
                }
                last = Some(update);
            }
            tokio::select! {
                () = send.closed() => return,
                () = tokio::time::sleep(EVERY) => {}
            }
        }
    });
    let events = tokio_stream::wrappers::ReceiverStream::new(receive);
    Sse::new(events).keep_alive(KeepAlive::new().interval(Duration::from_secs(20))).into_response()
}

async fn look(site: &Arc<Site>, about: &About) -> Option<Update> {
    let outlook = site.outlook.load_full();
    let view = site.pool.view();
    let lists = lists_number(&view);
    if let Some(address) = &about.account {
        let named = site.named(address).await.ok()?.ok()?;
        let shown = site.account(named).await.ok()??;
        return Some(Update { values: account_values(&shown, site.now()), lists });
    }
    let found = pools::named_or_first(&outlook, about.pool.as_deref())?;
    let shown = pools::one(&outlook, &view, &site.history, found)?;
    let network = network(outlook.asset(found.asset)?);
    Some(Update { values: pool_values(&shown, &network, site.now()), lists })
}

/// A number that changes whenever a block or a payout is made or moves.
fn lists_number(view: &pool::View) -> u64 {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    for reward in &view.rewards {
        (reward.id.0, reward.state.as_str()).hash(&mut hasher);
    }
    for payout in &view.payouts {
        (payout.id.0, payout.state.as_str()).hash(&mut hasher);
    }
    // Within what JavaScript's numbers hold exactly.
    hasher.finish() >> 12
}
