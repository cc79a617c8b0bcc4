//! Who mines: `/api/v1/miners`.
//!
//! Invariant: what a miner is told of their votes is only what is decided.

use super::caller::Signed;
use super::{Answered, Door, Refusal};
use crate::auth::Message;
use crate::card::{Card, rate};
use crate::desk::{Desk, Settings, Verdict};
use crate::key::PublicKey;
use crate::quorum::Tolerance;
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

/// `POST /miners/register`
pub(super) async fn register(State(door): State<Arc<Door>>, asked: Signed) -> Answered {
    let caller = asked.caller;
    let (now_s, neighbourhood) = (door.now_s(), door.neighbourhood(&asked.parts));
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

fn body_of_vote(vote: &Verdict, tolerance: &Tolerance) -> Value {
    json!({
        "algorithm_id": vote.algorithm.0,
        "in_consensus": vote.accurate,
        "score": vote.score.to_f64(),
        "median": vote.median.to_f64(),
        "evaluators": vote.evaluators,
        "detail": vote.words(tolerance),
        "decided_at": iso(vote.at_s),
    })
}

/// `GET /miners/stats`
pub(super) async fn stats(State(door): State<Arc<Door>>, asked: Signed) -> Answered {
    let (key, now_s, budget) = (asked.caller.key, door.now_s(), door.settings.budget);
    let Settings { rules, tariff, .. } = door.settings.desk;
    let step = move |desk: &mut Desk, tables: &Tables| {
        let card = Card::read(tables, &key, (&budget, &tariff), now_s)?;
        let pool = json!({
            "miners": desk.registered(),
            "open_algorithms": desk.open(),
            "active_leases": desk.active_leases(),
        });
        Ok(((card, pool), vec![]))
    };
    let (card, pool) = door.office.step(None, step).await?;
    let mut answer = json!({ "pool": pool, "tolerance": rules.tolerance.to_string() });
    if let Some(card) = &card {
        let all = body_of(&card.miner).as_object().cloned().unwrap_or_default();
        all.into_iter().for_each(|(name, value)| answer[name] = value);
        answer["reputation"] = json!(card.reputation.to_string());
        answer["reputation_this_epoch"] = json!(card.this_epoch.to_string());
        answer["reputation_per_hour"] = json!(card.last_hour.to_string());
        answer["evolved"] = json!({ "decided": card.decided, "paid": card.paid });
        answer["evolution_success_rate"] = json!(card.evolution_success_rate());
        let votes = card.votes.iter().map(|vote| body_of_vote(vote, &rules.tolerance));
        answer["votes"] = votes.collect();
    }
    let epoch = door.epoch_now();
    answer["epoch"] = json!({
        "number": epoch.number.0,
        "ends_in_s": (epoch.ends_at.0 / 1000).saturating_sub(now_s),
    });
    Ok(Json(answer))
}

/// `GET /miners/leaderboard`
pub(super) async fn leaderboard(State(door): State<Arc<Door>>) -> Answered {
    let leaders = door.board().await?;
    let rows = leaders.iter().enumerate().map(|(at, leader)| {
        json!({
            "rank": at + 1,
            "hotkey": leader.miner.to_string(),
            "reputation": leader.reputation.to_string(),
        })
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
pub(super) async fn coldkey(State(door): State<Arc<Door>>, asked: Signed) -> Answered {
    door.mapping(asked.caller.key).await
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
