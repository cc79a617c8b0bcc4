//! The GXC guide's `/api/stats`, `/api/miners`, `/api/payouts` and `/api/pool-balance`: the superset of what its sources
//! name, each value under every name. `/api/blocks` is in [`super::miningcore`], whose fields it carries too.

use super::{coins, unavailable};
use crate::history::AccountTrack;
use crate::model::money::Money;
use crate::model::{payouts, pools};
use crate::site::Site;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};
use std::sync::Arc;
use store::sqlite::Cut;

/// Miners listed.
const MINERS: usize = 100;
/// Payouts listed.
const PAYOUTS: u64 = 100;

/// The routes.
pub fn routes() -> Router<Arc<Site>> {
    Router::new()
        .route("/api/stats", get(stats))
        .route("/api/miners", get(miners))
        .route("/api/payouts", get(all_payouts))
        .route("/api/pool-balance", get(balance))
}

/// `2026-11-21 08:03:12`, in UTC.
pub(super) fn moment(iso: &str) -> String {
    iso.get(..19).unwrap_or(iso).replace('T', " ")
}

async fn stats(State(site): State<Arc<Site>>) -> Response {
    let (outlook, view) = (site.outlook.load_full(), site.pool.view());
    let all = pools::all(&outlook, &view, &site.history);
    let sum = |value: fn(&pools::Pool) -> f64| all.iter().map(value).sum::<f64>();
    let rejected: u64 = all.iter().flat_map(|pool| pool.rejected.values()).sum();
    let accepted: u64 = all.iter().map(|pool| pool.shares).sum();
    let blocks = |count: fn(&pool::view::BlockCounts) -> u64| {
        view.pools.iter().map(|pool| count(&pool.blocks)).sum::<u64>()
    };
    let first = outlook.assets.first();
    let decimals = first.map_or(8, |asset| asset.decimals);
    let commission = view.assets.first().map_or(0.0, |a| coins(&Money::new(a.fees, decimals)));
    let algorithms: Vec<&str> =
        outlook.assets.iter().flat_map(|asset| &asset.algorithms).map(String::as_str).collect();
    let counted = site
        .readers
        .read(|reader| Ok(reader.payout_summaries(Cut::first(1))?.first().map_or(0, |p| p.id.0)));
    let total_payouts = match counted.await {
        Ok(count) => count,
        Err(error) => return unavailable(&error),
    };
    Json(json!({
        "pool_name": site.settings.title,
        "algorithm": algorithms.join(","),
        "active_miners": all.iter().map(|pool| pool.miners).sum::<u32>(),
        "total_hash_rate": sum(|pool| pool.hashrate),
        "pool_hash_rate": sum(|pool| pool.hashrate),
        "total_shares": accepted + rejected,
        "accepted_shares": accepted,
        "rejected_shares": rejected,
        "blocks_found": blocks(|count| count.found),
        "confirmed_blocks": blocks(|count| count.found - count.immature - count.orphaned),
        "commission_earned": commission,
        "total_payouts": total_payouts,
        "pool_balance": held(&site),
        "difficulty": first.and_then(crate::outlook::AssetOutlook::difficulty),
        "current_job": first.and_then(|asset| asset.next).map(|next| next.height.to_string()),
    }))
    .into_response()
}

/// What the first asset's wallet can spend, in coins.
fn held(site: &Site) -> f64 {
    let outlook = site.outlook.load();
    let first = outlook.assets.first();
    let held = first.and_then(|asset| Some(Money::new(asset.wallet?.spendable, asset.decimals)));
    held.map_or(0.0, |money| coins(&money))
}

async fn miners(State(site): State<Arc<Site>>) -> Json<Vec<Value>> {
    let outlook = site.outlook.load();
    let mut found: Vec<Value> = Vec::new();
    for pool in &outlook.pools {
        // Who is active comes first, and who is not is left out.
        let key = |track: &AccountTrack| (track.active > 0, track.shares);
        let shown = site.history.shown();
        let first = shown.first_accounts(pool.id, MINERS, |(_, a), (_, b)| key(b).cmp(&key(a)));
        for (id, track) in first.into_iter().filter(|(_, track)| track.active > 0) {
            let address = match site.profiles.public_name(id) {
                Some(_) => track.display.to_string(),
                None => crate::model::masked(&track.display),
            };
            let last = moment(&crate::model::Iso(track.last_share).text());
            found.push(json!({
                "id": id.0, "miner_id": id.0, "username": address, "address": address,
                "total_shares": track.shares + track.rejected, "accepted_shares": track.shares,
                "rejected_shares": track.rejected, "hash_rate": track.rates.shown(), "hash_rates": track.rates.all(),
                "workers": track.active, "last_seen": last, "algorithm": pool.algorithm,
            }));
        }
    }
    found.truncate(MINERS);
    Json(found)
}

async fn all_payouts(State(site): State<Arc<Site>>) -> Response {
    let outlook = site.outlook.load_full();
    let found =
        site.readers.read(move |reader| payouts::list(reader, &outlook, Cut::first(PAYOUTS)));
    let rows = match found.await {
        Ok(found) => found.rows,
        Err(error) => return unavailable(&error),
    };
    let shown: Vec<Value> = rows
        .iter()
        .map(|row| {
            let made = moment(&row.made_at.text());
            json!({
                "id": row.id, "payout_id": row.id, "amount": coins(&row.sent), "asset": row.asset,
                "recipients": row.recipients, "status": status(&row.state), "state": row.state,
                "tx_hash": row.transaction, "timestamp": made, "created_at": made,
            })
        })
        .collect();
    Json(shown).into_response()
}

/// The guide's words.
fn status(state: &str) -> &'static str {
    match state {
        "confirmed" => "completed",
        "abandoned" => "failed",
        _ => "pending",
    }
}

async fn balance(State(site): State<Arc<Site>>) -> Json<Value> {
    let outlook = site.outlook.load();
    let address = outlook.assets.first().map_or("Not set", |asset| asset.address.as_str());
    Json(json!({ "balance": held(&site), "address": address }))
}
