//! What anybody may know: health, results, epochs with their proofs.
//!
//! Invariant: nothing here shows a vote that has decided nothing yet.

use super::caller::Signed;
use super::{Answered, Door, Refusal};
use crate::desk::Desk;
use crate::epoch::EpochNo;
use crate::key::PublicKey;
use crate::score::Score;
use crate::tables::epochs::Closed;
use crate::tables::{Tables, write::hex};
use crate::task::{Algorithm, Stage};
use crate::wire::bitsota::{AlgorithmBody, iso};
use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

/// Results in an answer.
const RESULTS_MAX: usize = 64;

/// `GET /health`
pub(super) async fn health(State(door): State<Arc<Door>>) -> Json<Value> {
    let (now_s, length_s) = (door.now_s(), door.settings.budget.length_s);
    let epoch = EpochNo::at(now_s, length_s);
    Json(json!({
        "status": "healthy",
        "window_number": epoch.0,
        "current_block": 0,
        "time_remaining_s": epoch.ends_at_s(length_s) - now_s,
    }))
}

/// What who works here is told first.
const DISCLAIMER: &str = "Work is believed by quorum and paid by epoch: an hour's budget, less the fee, by the reputation \
     earned in it, with a ceiling for each owner. Nothing is promised beyond what an epoch's signed report says. Keep your \
     coldkey offline; this pool asks for signatures of your hotkey only.";

/// `GET /disclaimer`
pub(super) async fn disclaimer() -> Json<Value> {
    Json(json!({ "disclaimer": DISCLAIMER }))
}

/// `GET /disclaimer.md`
pub(super) async fn disclaimer_text() -> &'static str {
    DISCLAIMER
}

/// `GET /status`
pub(super) async fn status(State(door): State<Arc<Door>>) -> Json<Value> {
    let mut answer = health(State(door.clone())).await.0;
    answer["onchain_runtime"] = json!({ "enabled": false, "proof_api": { "enabled": true } });
    answer["data_set"] = json!({ "name": door.set.name(), "hash": door.set_hash });
    answer["public_key"] = json!(door.own().to_string());
    Json(answer)
}

#[derive(Deserialize)]
pub(super) struct ResultsQuery {
    limit: Option<usize>,
    task_type: Option<String>,
    min_score: Option<f64>,
}

fn result_of(algorithm: &Algorithm, door: &Door) -> Option<Value> {
    let Stage::Agreed { score, at_s, verified } = &algorithm.stage else { return None };
    let mut body = serde_json::to_value(AlgorithmBody::new(algorithm, &door.about())).ok()?;
    body["result_id"] = json!(algorithm.id.0.to_string());
    body["score"] = json!(score.to_f64());
    body["verified"] = json!(verified);
    body["miner_hotkey"] = json!(algorithm.author.map(|author| author.to_string()));
    body["agreed_at"] = json!(iso(*at_s));
    Some(body)
}

/// `GET /results`
pub(super) async fn results(
    State(door): State<Arc<Door>>,
    Query(query): Query<ResultsQuery>,
    _: Signed,
) -> Answered {
    if query.task_type.as_deref().is_some_and(|set| set != door.set.name()) {
        return Ok(Json(json!({ "results": [] })));
    }
    let least = query.min_score.and_then(|score| Score::read(score).ok());
    let limit = query.limit.unwrap_or(RESULTS_MAX).min(RESULTS_MAX);
    let step = move |desk: &mut Desk, _: &Tables| {
        let good = |known: &&Algorithm| match (&known.stage, least) {
            (Stage::Agreed { score, .. }, Some(least)) => *score >= least,
            _ => true,
        };
        Ok((desk.best().filter(good).take(limit).cloned().collect::<Vec<_>>(), vec![]))
    };
    let best = door.office.step(None, step).await?;
    let rows: Vec<Value> = best.iter().filter_map(|known| result_of(known, &door)).collect();
    Ok(Json(json!({ "results": rows })))
}

/// `GET /results/sota`
pub(super) async fn sota(State(door): State<Arc<Door>>) -> Answered {
    let step = |desk: &mut Desk, _: &Tables| Ok((desk.sota().cloned(), vec![]));
    let best = door.office.step(None, step).await?;
    let best = best.as_ref().and_then(|known| result_of(known, &door));
    best.map(Json)
        .ok_or_else(|| Refusal::new(StatusCode::NOT_FOUND, "no algorithm is agreed on yet"))
}

/// `POST /results/verify/{id}`: the original lets any miner mark any result, their own too.
pub(super) async fn verify(_: Signed) -> Answered {
    let detail = "results are verified by the quorum and the pool, not by miners";
    Err(Refusal::new(StatusCode::FORBIDDEN, detail))
}

fn epoch_body(closed: &Closed, door: &Door) -> Value {
    json!({
        "report": closed.report,
        "message": closed.report.message(),
        "signature": closed.signature.to_string(),
        "public_key": door.own().to_string(),
    })
}

fn no_epoch() -> Refusal {
    Refusal::new(StatusCode::NOT_FOUND, "no such epoch is closed")
}

impl Door {
    async fn closed(&self, epoch: Option<EpochNo>) -> Result<Closed, Refusal> {
        let step = move |_: &mut Desk, tables: &Tables| {
            let found = match epoch.map_or_else(|| tables.last_epoch(), |epoch| Ok(Some(epoch)))? {
                Some(epoch) => tables.epoch(epoch)?,
                None => None,
            };
            Ok((found, vec![]))
        };
        self.office.step(None, step).await?.ok_or_else(no_epoch)
    }
}

/// `GET /claims/health`
pub(super) async fn claims_health() -> Json<Value> {
    Json(json!({ "status": "healthy" }))
}

/// `GET /claims/epochs`
pub(super) async fn epochs(State(door): State<Arc<Door>>) -> Answered {
    let step = |_: &mut Desk, tables: &Tables| Ok((tables.last_epoch()?, vec![]));
    let last = door.office.step(None, step).await?;
    Ok(Json(json!({ "latest": last.map(|epoch| epoch.0) })))
}

/// `GET /claims/epoch`
pub(super) async fn last_epoch(State(door): State<Arc<Door>>) -> Answered {
    let closed = door.closed(None).await?;
    Ok(Json(epoch_body(&closed, &door)))
}

/// `GET /claims/epoch/{id}`
pub(super) async fn epoch(State(door): State<Arc<Door>>, Path(id): Path<u64>) -> Answered {
    let closed = door.closed(Some(EpochNo(id))).await?;
    Ok(Json(epoch_body(&closed, &door)))
}

/// `GET /claims/epoch/{id}/proof/{hotkey}`
pub(super) async fn proof(
    State(door): State<Arc<Door>>,
    Path((id, hotkey)): Path<(u64, String)>,
) -> Answered {
    door.proof(Some(EpochNo(id)), &hotkey).await
}

/// `GET /claims/epoch/proof/{hotkey}`: of the epoch that was closed last
pub(super) async fn last_proof(
    State(door): State<Arc<Door>>,
    Path(hotkey): Path<String>,
) -> Answered {
    door.proof(None, &hotkey).await
}

impl Door {
    async fn proof(&self, epoch: Option<EpochNo>, hotkey: &str) -> Answered {
        let hotkey: PublicKey =
            hotkey.parse().map_err(|bad| Refusal::new(StatusCode::BAD_REQUEST, bad))?;
        proof_in(&self.closed(epoch).await?, &hotkey)
    }
}

fn proof_in(closed: &Closed, hotkey: &PublicKey) -> Answered {
    let (index, line, path) = closed.report.proof(hotkey).ok_or_else(|| {
        Refusal::new(StatusCode::NOT_FOUND, "this hotkey earned nothing in that epoch")
    })?;
    Ok(Json(json!({
        "epoch": closed.report.epoch.0,
        "index": index,
        "leaves": closed.report.lines.len(),
        "line": line,
        "proof": path.iter().map(|hash| hex(hash)).collect::<Vec<_>>(),
        "root": closed.report.root,
    })))
}
