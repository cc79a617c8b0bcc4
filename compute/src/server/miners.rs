//! Who mines: `/api/v1/miners`.
//!
//! Invariant: what a miner is told of their votes is only what is decided.

use super::{Answered, Door, Refusal};
use crate::auth::Message;
use crate::desk::Desk;
use crate::epoch::EpochNo;
use crate::key::PublicKey;
use crate::tables::Tables;
use crate::wire::bitsota::iso;
use crate::worker::Miner;
use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

/// Miners on the leaderboard.
const LEADERS_MAX: usize = 50;
/// Decided votes that a miner is shown.
const VERDICTS_MAX: usize = 20;

fn body_of(miner: &Miner) -> Value {
    let standing = &miner.standing;
    json!({
        "hotkey": miner.key.to_string(),
        "registered_at": iso(miner.registered_at_s),
        "last_seen": iso(miner.seen_at_s),
        "accurate_evaluations": standing.accurate,
        "inaccurate_evaluations": standing.inaccurate,
        "accuracy_rate": rate(standing.accurate, standing.accurate + standing.inaccurate),
        "failed_checks": standing.failed_checks,
        "answered_leases": miner.answered,
    })
}

/// A part of all; nothing of nothing.
fn rate(part: u64, all: u64) -> Option<f64> {
    #[expect(clippy::cast_precision_loss, reason = "for people")]
    let rate = part as f64 / all as f64;
    (all > 0).then_some(rate)
}

/// `POST /miners/register`
pub(super) async fn register(State(door): State<Arc<Door>>, parts: Parts, body: Bytes) -> Answered {
    let caller = door.believe(&parts, &body, &Message::Request)?;
    let (now_s, neighbourhood) = (door.now_s(), door.neighbourhood(&parts));
    let known = door
        .office
        .step(Some(caller.seen), move |desk, _| {
            Ok(match desk.register(caller.key, neighbourhood, now_s) {
                Ok(changes) => (Ok(desk.miner(&caller.key).cloned()), changes),
                Err(reject) => (Err(reject), vec![]),
            })
        })
        .await??;
    let mut answer = known.as_ref().map(body_of).unwrap_or_default();
    answer["status"] = "registered".into();
    Ok(Json(answer))
}

/// `GET /miners/stats`
pub(super) async fn stats(State(door): State<Arc<Door>>, parts: Parts) -> Answered {
    let caller = door.believe(&parts, b"", &Message::Request)?;
    let (now_s, length_s) = (door.now_s(), door.settings.budget.length_s);
    let epoch = EpochNo::at(now_s, length_s);
    let ends_at_s = epoch.ends_at_s(length_s);
    let (tolerance, tariff) = (door.settings.desk.rules.tolerance, door.settings.desk.tariff);
    let step = move |desk: &mut Desk, tables: &Tables| {
        let mut answer = desk.miner(&caller.key).map(body_of).unwrap_or_default();
        let this = tables.earned_since(&caller.key, ends_at_s - length_s)?;
        let hour = tables.earned_since(&caller.key, now_s.saturating_sub(3600))?;
        let (agreed, good) = tables.authored(&caller.key, tariff.evolution_min)?;
        answer["reputation_per_hour"] = json!(hour.to_string());
        answer["evolved"] = json!({ "decided": agreed, "paid": good });
        answer["evolution_success_rate"] = json!(rate(good, agreed));
        answer["reputation"] = json!(tables.earned_since(&caller.key, 0)?.to_string());
        answer["reputation_this_epoch"] = json!(this.to_string());
        answer["votes"] = tables
            .verdicts(&caller.key, VERDICTS_MAX)?
            .iter()
            .map(|verdict| {
                json!({
                    "algorithm_id": verdict.algorithm.0,
                    "in_consensus": verdict.accurate,
                    "score": verdict.score.to_f64(),
                    "median": verdict.median.to_f64(),
                    "evaluators": verdict.evaluators,
                    "detail": verdict.words(&tolerance),
                    "decided_at": iso(verdict.at_s),
                })
            })
            .collect();
        answer["pool"] = json!({
            "miners": desk.registered(),
            "open_algorithms": desk.open(),
            "active_leases": desk.active_leases(),
        });
        Ok((answer, vec![]))
    };
    let mut answer = door.office.step(None, step).await?;
    answer["epoch"] = json!({ "number": epoch.0, "ends_in_s": ends_at_s - now_s });
    answer["tolerance"] = json!(tolerance.to_string());
    Ok(Json(answer))
}

/// `GET /miners/leaderboard`
pub(super) async fn leaderboard(State(door): State<Arc<Door>>) -> Answered {
    let step = |_: &mut Desk, tables: &Tables| Ok((tables.leaders(LEADERS_MAX)?, vec![]));
    let leaders = door.office.step(None, step).await?;
    let rows = leaders.iter().enumerate().map(|(at, (miner, reputation))| {
        json!({ "rank": at + 1, "hotkey": miner.to_string(), "reputation": reputation.to_string() })
    });
    Ok(Json(json!({ "leaderboard": rows.collect::<Vec<_>>() })))
}

#[derive(Deserialize)]
struct ColdkeyBody {
    #[serde(alias = "coldkey_address")]
    recipient_coldkey: String,
}

/// `PUT` or `POST /miners/recipient-coldkey`, and the earlier spellings
pub(super) async fn set_coldkey(
    State(door): State<Arc<Door>>,
    parts: Parts,
    body: Bytes,
) -> Answered {
    let refuse = |detail: String| Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, detail);
    let asked: ColdkeyBody =
        serde_json::from_slice(&body).map_err(|error| refuse(error.to_string()))?;
    let coldkey: PublicKey = asked
        .recipient_coldkey
        .parse()
        .map_err(|bad| refuse(format!("recipient_coldkey: {bad}")))?;
    let caller = door.believe(&parts, &body, &Message::Coldkey(&asked.recipient_coldkey))?;
    let (now_s, delay_s) = (door.now_s(), door.settings.coldkey_delay_s);
    let neighbourhood = door.neighbourhood(&parts);
    let recipient = door
        .office
        .step(Some(caller.seen), move |desk, tables| {
            let mut changes = match desk.register(caller.key, neighbourhood, now_s) {
                Ok(changes) => changes,
                Err(reject) => return Ok((Err(reject), vec![])),
            };
            let recipient = tables.set_recipient(&caller.key, &coldkey, now_s, delay_s)?;
            // Those who are to be paid together count together at once.
            changes.extend(desk.belongs_to(&caller.key, coldkey));
            Ok((Ok(recipient), changes))
        })
        .await??;
    tracing::info!(hotkey = %caller.key, coldkey = %recipient.coldkey, from_s = recipient.from_s, "a coldkey was named");
    Ok(Json(json!({
        "status": "success",
        "coldkey_address": recipient.coldkey.to_string(),
        "effective_at": iso(recipient.from_s),
    })))
}

/// `GET /miners/recipient-coldkey`
pub(super) async fn coldkey(State(door): State<Arc<Door>>, parts: Parts) -> Answered {
    let caller = door.believe(&parts, b"", &Message::Request)?;
    door.mapping(caller.key).await
}

/// `GET /miners/recipient-coldkey/{hotkey}`
pub(super) async fn coldkey_of(
    State(door): State<Arc<Door>>,
    Path(hotkey): Path<String>,
) -> Answered {
    let hotkey: PublicKey =
        hotkey.parse().map_err(|bad| Refusal::new(StatusCode::BAD_REQUEST, bad))?;
    door.mapping(hotkey).await
}

impl Door {
    /// What is paid now, and what was named to be paid later: a change that its owner did not make is seen before it counts.
    async fn mapping(&self, hotkey: PublicKey) -> Answered {
        let now_s = self.now_s();
        let step = move |_: &mut Desk, tables: &Tables| {
            let both = (tables.recipient(&hotkey, now_s)?, tables.recipient(&hotkey, u64::MAX)?);
            Ok((both, vec![]))
        };
        let (now, named) = self.office.step(None, step).await?;
        let pending = named.filter(|named| named.from_s > now_s).map(|named| {
            json!({ "recipient_coldkey": named.coldkey.to_string(), "effective_at": iso(named.from_s) })
        });
        Ok(Json(json!({
            "hotkey": hotkey.to_string(),
            "recipient_coldkey": now.map(|now| now.coldkey.to_string()),
            "pending": pending,
        })))
    }
}
