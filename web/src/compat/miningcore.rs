//! Miningcore's REST shapes, which most listings and third-party pages speak: camelCase, numbers as JSON numbers, times
//! as ISO 8601. Read-only.

use super::{coins, link, named, unavailable};
use crate::history::{Point, Range};
use crate::model::account::{Account, AccountPayout, Source, credits, payouts as paid};
use crate::model::blocks::{self, Block};
use crate::model::network::network;
use crate::model::payouts::{self, Payout};
use crate::model::pools;
use crate::model::{Money, ROWS_MAX};
use crate::outlook::{AssetOutlook, PoolOutlook};
use crate::site::Site;
use accounting::Amount;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use store::sqlite::{Cut, RewardFilter};

/// Rows of a page at most.
const PAGE_MAX: u64 = 100;
/// Rows that can be reached by turning pages; beyond, our own API has cursors.
const REACHED_MAX: u64 = 5000;

/// The routes.
pub fn routes() -> Router<Arc<Site>> {
    Router::new()
        .route("/api/pools", get(all))
        .route("/api/pools/{pool}", get(one))
        .route("/api/pools/{pool}/performance", get(performance))
        .route("/api/pools/{pool}/miners", get(miners))
        .route("/api/pools/{pool}/blocks", get(pool_blocks))
        .route("/api/v2/pools/{pool}/blocks", get(pool_blocks_v2))
        .route("/api/pools/{pool}/payments", get(payments))
        .route("/api/v2/pools/{pool}/payments", get(payments_v2))
        .route("/api/pools/{pool}/miners/{address}", get(miner))
        .route("/api/pools/{pool}/miners/{address}/payments", get(miner_payments))
        .route("/api/pools/{pool}/miners/{address}/balancechanges", get(balance_changes))
        .route("/api/pools/{pool}/miners/{address}/earnings/daily", get(daily))
        .route("/api/pools/{pool}/miners/{address}/performance", get(miner_performance))
        .route("/api/blocks", get(all_blocks))
        .route("/api/health-check", get(|| async { "👍" }))
        .route("/api/help", get(help))
}

async fn help() -> &'static str {
    "/api/pools\n/api/pools/{id}\n/api/pools/{id}/performance\n/api/pools/{id}/miners\n/api/pools/{id}/blocks\n\
     /api/pools/{id}/payments\n/api/pools/{id}/miners/{address}\n/api/pools/{id}/miners/{address}/payments\n\
     /api/pools/{id}/miners/{address}/balancechanges\n/api/pools/{id}/miners/{address}/earnings/daily\n\
     /api/pools/{id}/miners/{address}/performance\n/api/blocks\n"
}

/// Which page.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Turn {
    #[serde(default)]
    page: u64,
    page_size: Option<u64>,
}

impl Turn {
    fn size(self) -> u64 {
        self.page_size.unwrap_or(15).clamp(1, PAGE_MAX)
    }

    /// Everything up to the page's end; what is before it is skipped.
    fn cut(self) -> Cut {
        Cut::first((self.page.saturating_add(1)).saturating_mul(self.size()).min(REACHED_MAX))
    }

    fn page_of<T>(self, rows: Vec<T>) -> Vec<T> {
        let skipped = usize::try_from(self.page.saturating_mul(self.size())).unwrap_or(usize::MAX);
        rows.into_iter().skip(skipped).collect()
    }
}

fn no_pool() -> Response {
    (StatusCode::NOT_FOUND, "Unknown pool\n").into_response()
}

/// A pool and its asset, by name or number.
fn found(site: &Site, name: &str) -> Option<(PoolOutlook, AssetOutlook)> {
    let outlook = site.outlook.load();
    let pool = pools::named(&outlook, name)?;
    Some((pool.clone(), outlook.asset(pool.asset)?.clone()))
}

async fn all(State(site): State<Arc<Site>>) -> Json<Value> {
    let outlook = site.outlook.load_full();
    let pools: Vec<Value> =
        outlook.pools.iter().filter_map(|pool| pool_info(&site, pool)).collect();
    Json(json!({ "pools": pools }))
}

async fn one(State(site): State<Arc<Site>>, Path(name): Path<String>) -> Response {
    let info = found(&site, &name).and_then(|(pool, _)| pool_info(&site, &pool));
    info.map_or_else(no_pool, |info| Json(json!({ "pool": info })).into_response())
}

fn pool_info(site: &Site, pool: &PoolOutlook) -> Option<Value> {
    let (outlook, view) = (site.outlook.load(), site.pool.view());
    let asset = outlook.asset(pool.asset)?;
    let shown = pools::one(&outlook, &view, &site.history, pool)?;
    let seen = view.pools.iter().find(|seen| seen.id == pool.id)?;
    let network = network(asset);
    let port = |port: &pools::Port| {
        let vardiff = json!({
            "minDiff": port.min_difficulty, "maxDiff": port.max_difficulty, "targetTime": port.share_interval_s,
        });
        let info = json!({
            "difficulty": port.start_difficulty, "varDiff": vardiff, "tls": port.tls, "tlsAuto": port.tls,
        });
        (port.port.to_string(), info)
    };
    let ports: Map<String, Value> = shown.ports.iter().map(port).collect();
    let last = view.rewards.iter().find(|reward| reward.pool == pool.id);
    let explorer = site.settings.explorers.get(&asset.name);
    let next = asset.next;
    Some(json!({
        "id": shown.name,
        "coin": {
            "type": asset.symbol, "name": asset.coin, "symbol": asset.symbol, "website": null,
            "family": if pool.algorithm == "ethash" { "ethereum" } else { "bitcoin" }, "algorithm": pool.algorithm, "canonicalName": asset.coin,
        },
        "ports": ports,
        "paymentProcessing": {
            "enabled": true, "minimumPayment": coins(&shown.minimum_payout), "payoutScheme": shown.scheme,
            "payoutSchemeConfig": { "factor": factor(pool) },
        },
        "shareBasedBanning": { "enabled": false },
        "poolFeePercent": shown.fee_percent,
        "address": asset.address,
        "addressInfoLink": link(explorer.and_then(|e| e.transaction.as_ref()), &asset.address),
        "poolStats": {
            "connectedMiners": shown.miners, "poolHashrate": shown.hashrate, "sharesPerSecond": shown.shares_per_second,
        },
        "networkStats": {
            "networkType": asset.network, "networkHashrate": network.hashrate, "networkDifficulty": network.difficulty,
            "lastNetworkBlockTime": next.map(|next| crate::model::Iso(next.at)),
            "blockHeight": network.height, "connectedPeers": network.nodes_fit, "rewardType": "POW",
        },
        "topMiners": top_miners(site, pool, asset),
        "totalPaid": null,
        "totalBlocks": seen.blocks.found,
        "totalConfirmedBlocks": seen.blocks.found - seen.blocks.immature - seen.blocks.orphaned,
        "totalPendingBlocks": seen.blocks.immature,
        "lastPoolBlockTime": last.map(|reward| crate::model::Iso(reward.created_at)),
        "poolEffort": shown.effort,
    }))
}

/// PPLNS: how many times the network's work the window is.
fn factor(pool: &PoolOutlook) -> Option<f64> {
    use accounting::scheme::{PplnsWindow, Scheme};
    match pool.scheme {
        Scheme::Pplns(PplnsWindow::Work { millifactor }) => Some(millifactor as f64 / 1000.0),
        Scheme::Tides => Some(8.0),
        _ => None,
    }
}

fn top_miners(site: &Site, pool: &PoolOutlook, asset: &AssetOutlook) -> Vec<Value> {
    let name = |account| site.profiles.public_name(account);
    let leaders =
        pools::leaders(&site.history, asset, pool.id, &[], pools::Order::Hashrate, 15, name);
    leaders
        .iter()
        .map(|leader| json!({ "miner": leader.address, "hashrate": leader.hashrate, "sharesPerSecond": null }))
        .collect()
}

async fn performance(State(site): State<Arc<Site>>, Path(name): Path<String>) -> Response {
    let Some((pool, asset)) = found(&site, &name) else { return no_pool() };
    let points =
        site.history.chart(pool.id, None, Range::Day, site.now()).await.unwrap_or_default();
    let network = network(&asset);
    let stats: Vec<Value> = points
        .iter()
        .map(|point| {
            json!({
                "poolHashrate": point.hashrate, "connectedMiners": point.workers,
                "validSharesPerSecond": point.shares as f64 / 600.0, "networkHashrate": network.hashrate,
                "networkDifficulty": network.difficulty, "created": at(point),
            })
        })
        .collect();
    Json(json!({ "stats": stats })).into_response()
}

fn at(point: &Point) -> crate::model::Iso {
    crate::model::Iso(accounting::UnixMs(point.at_s * 1000))
}

async fn miners(
    State(site): State<Arc<Site>>,
    Path(name): Path<String>,
    Query(turn): Query<Turn>,
) -> Response {
    let Some((pool, asset)) = found(&site, &name) else { return no_pool() };
    let public = |account| site.profiles.public_name(account);
    let places = usize::try_from(turn.cut().limit).unwrap_or(usize::MAX);
    let leaders =
        pools::leaders(&site.history, &asset, pool.id, &[], pools::Order::Hashrate, places, public);
    let shown: Vec<Value> = turn
        .page_of(leaders)
        .iter()
        .map(|leader| json!({ "miner": leader.address, "hashrate": leader.hashrate, "sharesPerSecond": null }))
        .collect();
    Json(shown).into_response()
}

/// A block under Miningcore's names and the GXC guide's.
fn block(block: &Block, explorer: Option<&crate::site::Explorer>) -> Value {
    let progress = block.confirmations.map_or(0.0, |confirmations| {
        (confirmations as f64 / f64::from(block.mature_after.max(1))).min(1.0)
    });
    let status = match block.state.as_str() {
        "matured" => "confirmed",
        "orphaned" => "orphaned",
        _ => "pending",
    };
    json!({
        "poolId": block.pool, "blockHeight": block.height, "networkDifficulty": block.difficulty, "status": status,
        "type": "block", "confirmationProgress": if status == "confirmed" { 1.0 } else { progress }, "effort": block.effort,
        "transactionConfirmationData": block.hash, "reward": coins(&block.reward),
        "infoLink": link(explorer.and_then(|e| e.block.as_ref()), &block.hash), "hash": block.hash, "miner": block.finder,
        "source": "adit", "created": block.found_at,
        "block_hash": block.hash, "number": block.height, "block_number": block.height, "miner_id": block.finder,
        "found_at": super::gxc::moment(&block.found_at.text()), "confirmed": status == "confirmed",
    })
}

async fn blocks_of(
    site: &Arc<Site>,
    filter: RewardFilter,
    turn: Turn,
) -> Result<Vec<Value>, Response> {
    let outlook = site.outlook.load_full();
    let found = site.readers.read(move |reader| blocks::list(reader, &outlook, filter, turn.cut()));
    let rows = found.await.map_err(|error| unavailable(&error))?.rows;
    let outlook = site.outlook.load();
    let explorer = |symbol: &str| {
        let asset = outlook.assets.iter().find(|asset| asset.symbol == symbol)?;
        site.settings.explorers.get(&asset.name)
    };
    Ok(turn.page_of(rows).iter().map(|row| block(row, explorer(&row.asset))).collect())
}

async fn all_blocks(State(site): State<Arc<Site>>, Query(turn): Query<Turn>) -> Response {
    let turn = Turn { page_size: turn.page_size.or(Some(50)), ..turn };
    answer(blocks_of(&site, RewardFilter::All, turn).await, false)
}

async fn pool_blocks(
    site: State<Arc<Site>>,
    Path(name): Path<String>,
    Query(turn): Query<Turn>,
) -> Response {
    let Some((pool, _)) = found(&site, &name) else { return no_pool() };
    answer(blocks_of(&site, RewardFilter::Pool(pool.id), turn).await, false)
}

async fn pool_blocks_v2(
    site: State<Arc<Site>>,
    Path(name): Path<String>,
    Query(turn): Query<Turn>,
) -> Response {
    let Some((pool, _)) = found(&site, &name) else { return no_pool() };
    answer(blocks_of(&site, RewardFilter::Pool(pool.id), turn).await, true)
}

fn answer(rows: Result<Vec<Value>, Response>, wrapped: bool) -> Response {
    match rows {
        Ok(rows) if wrapped => Json(
            json!({ "pageCount": null, "itemCount": rows.len(), "result": rows, "success": true }),
        )
        .into_response(),
        Ok(rows) => Json(rows).into_response(),
        Err(response) => response,
    }
}

fn payment(
    payout: &Payout,
    address: Option<&str>,
    amount: f64,
    explorer: Option<&String>,
) -> Value {
    json!({
        "coin": payout.asset, "address": address, "addressInfoLink": null, "amount": amount,
        "transactionConfirmationData": payout.transaction,
        "transactionInfoLink": payout.transaction.as_deref().and_then(|txid| link(explorer, txid)),
        "created": payout.made_at, "recipients": payout.recipients, "status": payout.state,
    })
}

async fn payments_of(
    site: &Arc<Site>,
    asset: &AssetOutlook,
    turn: Turn,
) -> Result<Vec<Value>, Response> {
    let outlook = site.outlook.load_full();
    let found = site.readers.read(move |reader| payouts::list(reader, &outlook, turn.cut()));
    let rows = found.await.map_err(|error| unavailable(&error))?.rows;
    let explorer = site.settings.explorers.get(&asset.name).and_then(|e| e.transaction.as_ref());
    let own = turn.page_of(rows).into_iter().filter(|row| row.asset == asset.symbol);
    Ok(own.map(|row| payment(&row, None, coins(&row.sent), explorer)).collect())
}

async fn payments(
    site: State<Arc<Site>>,
    Path(name): Path<String>,
    Query(turn): Query<Turn>,
) -> Response {
    let Some((_, asset)) = found(&site, &name) else { return no_pool() };
    answer(payments_of(&site, &asset, turn).await, false)
}

async fn payments_v2(
    site: State<Arc<Site>>,
    Path(name): Path<String>,
    Query(turn): Query<Turn>,
) -> Response {
    let Some((_, asset)) = found(&site, &name) else { return no_pool() };
    answer(payments_of(&site, &asset, turn).await, true)
}

async fn account_of(site: &Arc<Site>, address: &str) -> Result<Account, Response> {
    let named = named(site, address).await?;
    let found = site.account(named).await.map_err(|error| unavailable(&error))?;
    found.ok_or_else(|| (StatusCode::NOT_FOUND, "Miner not found\n").into_response())
}

async fn miner(
    State(site): State<Arc<Site>>,
    Path((name, address)): Path<(String, String)>,
) -> Response {
    let Some((pool, asset)) = found(&site, &name) else { return no_pool() };
    let account = match account_of(&site, &address).await {
        Ok(account) => account,
        Err(response) => return response,
    };
    let named = match named(&site, &address).await {
        Ok(named) => named,
        Err(response) => return response,
    };
    let outlook = site.outlook.load_full();
    let found =
        site.readers.read(move |reader| paid(reader, &outlook, &named, Cut::first(ROWS_MAX))).await;
    let paid = match found {
        Ok(paid) => paid.rows,
        Err(error) => return unavailable(&error),
    };
    let since = site.now().0.saturating_sub(24 * 3600 * 1000);
    let is_of_today = |own: &&AccountPayout| {
        own.payout.state == "confirmed" && own.payout.changed_at.0.0 >= since
    };
    let today: i128 = paid.iter().filter(is_of_today).map(|own| own.debited.units).sum();
    let today = Money::new(Amount::from_units(today), asset.decimals);
    let last = paid.into_iter().next();
    let explorer = site.settings.explorers.get(&asset.name).and_then(|e| e.transaction.as_ref());
    let workers: Map<String, Value> = account
        .workers
        .iter()
        .filter(|worker| worker.pool == pool.name)
        .map(|worker| {
            let shares = if worker.difficulty > 0.0 {
                worker.hashrate / (worker.difficulty * asset.difficulty_one)
            } else {
                0.0
            };
            (worker.name.clone(), json!({ "hashrate": worker.hashrate, "sharesPerSecond": shares }))
        })
        .collect();
    let in_pool = account.pools.iter().find(|own| own.id == pool.id.0);
    Json(json!({
        "pendingShares": in_pool.and_then(|own| own.next_block_fraction),
        "pendingBalance": coins(&account.balance.available),
        "immatureBalance": coins(&account.balance.immature),
        "totalPaid": coins(&account.balance.paid),
        "todayPaid": coins(&today),
        "lastPayment": last.as_ref().map(|last| last.payout.made_at),
        "lastPaymentLink": last.as_ref().and_then(|last| link(explorer, last.payout.transaction.as_deref()?)),
        "performance": { "created": crate::model::Iso(site.now()), "workers": workers },
        "performanceSamples": [],
    }))
    .into_response()
}

async fn miner_payments(
    State(site): State<Arc<Site>>,
    Path((name, address)): Path<(String, String)>,
    Query(turn): Query<Turn>,
) -> Response {
    let Some((_, asset)) = found(&site, &name) else { return no_pool() };
    let named = match named(&site, &address).await {
        Ok(named) => named,
        Err(response) => return response,
    };
    let outlook = site.outlook.load_full();
    let rows =
        match site.readers.read(move |reader| paid(reader, &outlook, &named, turn.cut())).await {
            Ok(rows) => rows.rows,
            Err(error) => return unavailable(&error),
        };
    let explorer = site.settings.explorers.get(&asset.name).and_then(|e| e.transaction.as_ref());
    let shown = turn.page_of(rows);
    let shown =
        shown.iter().map(|row| payment(&row.payout, Some(&address), coins(&row.sent), explorer));
    Json(shown.collect::<Vec<_>>()).into_response()
}

async fn block_credits(
    site: &Arc<Site>,
    address: &str,
    cut: Cut,
) -> Result<Vec<crate::model::account::Credit>, Response> {
    let named = named(site, address).await?;
    let outlook = site.outlook.load_full();
    let found = site.readers.read(move |reader| {
        let mut all = credits(reader, &outlook, &named, Source::Blocks, cut)?.rows;
        all.extend(credits(reader, &outlook, &named, Source::Shares, cut)?.rows);
        all.sort_by_key(|credit| std::cmp::Reverse(credit.at));
        Ok(all)
    });
    found.await.map_err(|error| unavailable(&error))
}

async fn balance_changes(
    State(site): State<Arc<Site>>,
    Path((name, address)): Path<(String, String)>,
    Query(turn): Query<Turn>,
) -> Response {
    if found(&site, &name).is_none() {
        return no_pool();
    }
    let rows = block_credits(&site, &address, turn.cut()).await.map(|mut rows| {
        rows.truncate(usize::try_from(turn.cut().limit).unwrap_or(usize::MAX));
        let shown = turn.page_of(rows);
        shown
            .iter()
            .map(|credit| {
                let usage = match (credit.height, credit.slice) {
                    (Some(height), _) => format!("Reward for block {height}"),
                    (None, slice) => format!("Shares of slice {}", slice.unwrap_or(0)),
                };
                json!({ "poolId": credit.pool, "address": address, "amount": coins(&credit.net), "usage": usage, "created": credit.at })
            })
            .collect()
    });
    answer(rows, false)
}

async fn daily(
    State(site): State<Arc<Site>>,
    Path((name, address)): Path<(String, String)>,
    Query(turn): Query<Turn>,
) -> Response {
    if found(&site, &name).is_none() {
        return no_pool();
    }
    let rows = block_credits(&site, &address, Cut::first(REACHED_MAX)).await.map(|credits| {
        let mut days: BTreeMap<String, f64> = BTreeMap::new();
        for credit in credits.iter().filter(|credit| credit.state.as_deref() != Some("orphaned")) {
            let day = credit.at.text().get(..10).unwrap_or_default().to_owned();
            *days.entry(day).or_default() += coins(&credit.net);
        }
        let newest =
            days.into_iter().rev().map(|(day, amount)| json!({ "date": day, "amount": amount }));
        turn.page_of(newest.take(usize::try_from(turn.cut().limit).unwrap_or(usize::MAX)).collect())
    });
    answer(rows, false)
}

async fn miner_performance(
    State(site): State<Arc<Site>>,
    Path((name, address)): Path<(String, String)>,
) -> Response {
    let Some((pool, _)) = found(&site, &name) else { return no_pool() };
    let named = match named(&site, &address).await {
        Ok(named) => named,
        Err(response) => return response,
    };
    let Some(account) = named.account else { return Json(Vec::<Value>::new()).into_response() };
    let chart = site.history.chart(pool.id, Some(account), Range::Day, site.now()).await;
    let samples: Vec<Value> = chart
        .unwrap_or_default()
        .iter()
        .map(|point| {
            let all = json!({ "hashrate": point.hashrate, "sharesPerSecond": point.shares as f64 / 600.0 });
            json!({ "created": at(point), "workers": { "": all } })
        })
        .collect();
    Json(samples).into_response()
}
