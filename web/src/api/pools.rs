//! Pools, networks, leaderboards.

use super::ask::{self, Ask, Paging, Segment, Written};
use super::problem::{Answer, Problem, Refusals};
use crate::history::{Point, Range};
use crate::model::activity::Activity;
use crate::model::network::{self, Expectation, Network};
use crate::model::pools::{self as model, Leader, Order, Pool};
use crate::model::slices::Slice;
use crate::model::{Money, Rows};
use crate::site::Site;
use accounting::ShareSeq;
use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use store::Reader;
use utoipa::{IntoParams, ToSchema};

/// Places of a leaderboard at most.
const PLACES_MAX: usize = 500;

/// All pools.
#[utoipa::path(get, path = "/api/v1/pools", tag = "pools", responses(
    (status = 200, description = "The pools", body = Vec<Pool>), Refusals,
))]
pub async fn pools(State(site): State<Arc<Site>>) -> Json<Vec<Pool>> {
    Json(model::all(&site.outlook.load(), &site.pool.view(), &site.history))
}

/// One pool.
#[utoipa::path(get, path = "/api/v1/pools/{pool}", tag = "pools",
    params(("pool" = String, Path, description = "Name or number")),
    responses(
        (status = 200, description = "The pool", body = Pool), Refusals,
    ))]
pub async fn pool(
    State(site): State<Arc<Site>>,
    Segment(name): Segment<String>,
) -> Answer<Json<Pool>> {
    let outlook = site.outlook.load();
    let pool = ask::pool(&outlook, &name)?;
    let shown = model::one(&outlook, &site.pool.view(), &site.history, pool);
    shown.map(Json).ok_or_else(|| Problem::not_found("This pool is starting; try again soon."))
}

/// How often a pool finds blocks and its asset is paid out, counted from the books at most half a minute ago.
#[utoipa::path(get, path = "/api/v1/pools/{pool}/activity", tag = "pools",
    params(("pool" = String, Path, description = "Name or number")),
    responses(
        (status = 200, description = "The counts", body = Activity), Refusals,
    ))]
pub async fn activity(
    State(site): State<Arc<Site>>,
    Segment(name): Segment<String>,
) -> Answer<Json<Activity>> {
    let id = ask::pool(&site.outlook.load(), &name)?.id;
    let all = site.activity.load();
    let found = all.iter().find(|activity| activity.id == id.0).cloned();
    found.map(Json).ok_or_else(|| Problem::not_found("This pool is starting; try again soon."))
}

/// How far a chart looks back.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ChartAsk {
    /// The span; points are a minute, ten minutes or an hour apart.
    #[serde(default)]
    #[param(inline, required = false)]
    range: Range,
}

/// A pool's hashrate over time.
#[utoipa::path(get, path = "/api/v1/pools/{pool}/hashrate", tag = "pools",
    params(("pool" = String, Path, description = "Name or number"), ChartAsk),
    responses(
        (status = 200, description = "Points, oldest first", body = Vec<Point>), Refusals,
    ))]
pub async fn pool_hashrate(
    State(site): State<Arc<Site>>,
    Segment(name): Segment<String>,
    Ask(ChartAsk { range }): Ask<ChartAsk>,
) -> Answer<Json<Vec<Point>>> {
    let id = ask::pool(&site.outlook.load(), &name)?.id;
    Ok(Json(site.history.chart(id, None, range, site.now()).await?))
}

/// What the places are given for.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct LeaderAsk {
    /// The order.
    #[serde(default)]
    #[param(inline, required = false)]
    by: Order,
    /// How many places.
    #[param(minimum = 1, maximum = 500, default = 100)]
    limit: Option<usize>,
}

/// The first places of a pool; addresses are masked unless their owner made them public.
#[utoipa::path(get, path = "/api/v1/pools/{pool}/leaderboard", tag = "pools",
    params(("pool" = String, Path, description = "Name or number"), LeaderAsk),
    responses(
        (status = 200, description = "The places", body = Vec<Leader>), Refusals,
    ))]
pub async fn leaderboard(
    State(site): State<Arc<Site>>,
    Segment(name): Segment<String>,
    Ask(LeaderAsk { by, limit }): Ask<LeaderAsk>,
) -> Answer<Json<Vec<Leader>>> {
    let places = limit.unwrap_or(100);
    if places == 0 || places > PLACES_MAX {
        return Err(Problem::bad(format!("limit is a number from 1 to {PLACES_MAX}")));
    }
    let outlook = site.outlook.load_full();
    let pool = ask::pool(&outlook, &name)?;
    let id = pool.id;
    let asset = outlook.asset(pool.asset);
    let asset =
        asset.ok_or_else(|| Problem::not_found("This pool is starting; try again soon."))?;
    let found = site.readers.read(move |reader| reader.blocks_by_finder(id)).await?;
    let name = |account| site.profiles.public_name(account);
    Ok(Json(model::leaders(&site.history, asset, id, &found, by, places, name)))
}

/// As they stood when.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct SlicesAsk {
    /// Revocations up to this place in the log count: a reward's `as_of`. All without.
    #[param(maximum = 9_007_199_254_740_991_i64)]
    as_of: Option<u64>,
}

/// The closed slices of a pool's share log, for recomputing windows: newest first. A page ends early once its slices have
/// 5000 rows.
#[utoipa::path(get, path = "/api/v1/pools/{pool}/slices", tag = "blocks",
    params(("pool" = String, Path, description = "Name or number"), SlicesAsk, Paging),
    responses(
        (status = 200, description = "Slices with their rows; the cursor is a slice's number", body = Rows<Slice>), Refusals,
    ))]
pub async fn slices(
    State(site): State<Arc<Site>>,
    Segment(name): Segment<String>,
    Ask(SlicesAsk { as_of }): Ask<SlicesAsk>,
    Ask(paging): Ask<Paging>,
) -> Answer<Written> {
    let cut = paging.cut()?;
    let latest = i64::MAX.cast_unsigned();
    let as_of = ShareSeq(as_of.unwrap_or(latest).min(latest));
    let id = ask::pot(&site.outlook.load(), &name)?;
    let query =
        move |reader: &Reader| Written::of(&crate::model::slices::slices(reader, id, as_of, cut)?);
    Ok(site.readers.read(query).await?)
}

/// The networks that the pool works on.
#[utoipa::path(get, path = "/api/v1/networks", tag = "pools", responses(
    (status = 200, description = "The networks", body = Vec<Network>), Refusals,
))]
pub async fn networks(State(site): State<Arc<Site>>) -> Json<Vec<Network>> {
    Json(network::all(&site.outlook.load()))
}

/// No network has so many hashes a second.
const HASHRATE_MAX: f64 = 1e27;

/// What is reckoned with.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct CalculatorAsk {
    /// Hashes a second.
    #[param(exclusive_minimum = 0, maximum = 1e27)]
    hashrate: f64,
}

/// What a hashrate brings in a pool, by the network's numbers of this moment.
#[utoipa::path(get, path = "/api/v1/pools/{pool}/calculator", tag = "pools",
    params(("pool" = String, Path, description = "Name or number"), CalculatorAsk),
    responses(
        (status = 200, description = "What is to be expected", body = Expectation), Refusals,
    ))]
pub async fn calculator(
    State(site): State<Arc<Site>>,
    Segment(name): Segment<String>,
    Ask(CalculatorAsk { hashrate }): Ask<CalculatorAsk>,
) -> Answer<Json<Expectation>> {
    if !(hashrate > 0.0 && hashrate <= HASHRATE_MAX) {
        return Err(Problem::bad(
            "hashrate is a number of hashes a second above zero, at most 1e27",
        ));
    }
    let outlook = site.outlook.load();
    let pool = ask::pool(&outlook, &name)?;
    let view = site.pool.view();
    let accounts =
        view.pools.iter().find(|seen| seen.id == pool.id).map_or(0, |seen| seen.accounts);
    let fee = model::fee_percent(pool, accounts);
    let expected =
        outlook.asset(pool.asset).and_then(|asset| network::expectation(asset, hashrate, fee));
    expected
        .map(Json)
        .ok_or_else(|| Problem::unavailable("The network is not known yet; try again in a minute."))
}

/// An asset's money as a whole.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Total {
    /// The asset's name in the configuration.
    pub asset: String,
    /// Its unit.
    pub symbol: String,
    /// What the pool owes its miners.
    pub owed: Money,
    /// Fees that the pool has earned and kept.
    pub commission: Money,
    /// What carries the risk of buying shares (PPS, FPPS).
    pub bankroll: Money,
    /// What was lost, for example by an orphan after its payout.
    pub lost: Money,
    /// What the wallet can spend; null until it answered.
    pub wallet_spendable: Option<Money>,
    /// What it holds in coinbases that are not mature.
    pub wallet_immature: Option<Money>,
    /// Do debits equal credits?
    pub books_balance: bool,
}

/// What the pool owes, has earned and holds, by asset.
#[utoipa::path(get, path = "/api/v1/totals", tag = "pools", responses(
    (status = 200, description = "One for each asset", body = Vec<Total>), Refusals,
))]
pub async fn totals(State(site): State<Arc<Site>>) -> Json<Vec<Total>> {
    let (outlook, view) = (site.outlook.load(), site.pool.view());
    let total = |asset: &pool::view::AssetView| {
        let about = outlook.asset(asset.id)?;
        let money = |amount| Money::new(amount, asset.decimals);
        Some(Total {
            asset: asset.name.clone(),
            symbol: about.symbol.clone(),
            owed: money(asset.owed),
            commission: money(asset.fees),
            bankroll: money(asset.bankroll),
            lost: money(asset.loss),
            wallet_spendable: about.wallet.map(|held| money(held.spendable)),
            wallet_immature: about.wallet.map(|held| money(held.immature)),
            books_balance: asset.balances_to_zero,
        })
    };
    Json(view.assets.iter().filter_map(total).collect())
}
