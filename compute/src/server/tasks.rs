//! Work out and answers in: `/api/v1/tasks`.
//!
//! Invariant: a lease or an answer is on disk before its 200.

use super::caller::Signed;
use super::{Answered, Door, Refusal};
use crate::desk::{Desk, Reject};
use crate::epoch::EpochNo;
use crate::key::PublicKey;
use crate::lease::{Lease, LeaseId, Wish};
use crate::tables::{TableError, Tables};
use crate::task::{Algorithm, AlgorithmId};
use crate::wire::bitsota::{
    AlgorithmBody, BatchBody, LeaseAnswer, read_lease, read_lease_id, read_request, read_submit,
    receipt,
};
use crate::wire::trouble::TooLate;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// `GET /tasks/pending_evaluations`
pub(super) async fn pending(State(door): State<Arc<Door>>, asked: Signed) -> Answered {
    let key = asked.caller.key;
    let step = move |desk: &mut Desk, _: &Tables| Ok((desk.has_evaluations(&key), vec![]));
    let pending = door.office.step(None, step).await?;
    Ok(Json(serde_json::json!({ "has_pending_evaluations": pending })))
}

/// `POST /tasks/request`
pub(super) async fn request(
    State(door): State<Arc<Door>>,
    asked: Signed,
) -> Result<Json<BatchBody>, Refusal> {
    let wish = read_request(&asked.body, door.settings.desk.batch)?;
    let given = door.give(&asked, wish).await?;
    let about = door.about();
    let listed = if given.lease.evaluate.is_empty() { &given.seeds } else { &given.evaluate };
    let algorithms = listed.iter().map(|known| AlgorithmBody::new(known, &about)).collect();
    Ok(Json(BatchBody::new(&given.lease, algorithms, &about)))
}

/// `POST /tasks/lease`
pub(super) async fn lease(
    State(door): State<Arc<Door>>,
    signed: Signed,
) -> Result<Json<LeaseAnswer>, Refusal> {
    let desk = &door.settings.desk;
    let asked = read_lease(&signed.body, desk.batch, desk.seeds)?;
    let about = door.about();
    if asked.set.as_deref().is_some_and(|set| set != about.set) {
        let detail = format!("this pool works on {}: ask for that task_type", about.set);
        return Err(Refusal::new(StatusCode::BAD_REQUEST, detail));
    }
    if asked.set_hash.as_deref().is_some_and(|hash| hash != about.set_hash) {
        let detail = format!(
            "your copy of {} is another version: this pool's has the hash {}; make it again with `adit data`",
            about.set, about.set_hash
        );
        return Err(Refusal::new(StatusCode::CONFLICT, detail));
    }
    let given = door.give(&signed, asked.wish).await?;
    let bodies =
        |list: &[Algorithm]| list.iter().map(|one| AlgorithmBody::new(one, &about)).collect();
    let window = EpochNo::at(given.lease.issued_at_s, door.settings.budget.length_s).0;
    let (evaluate, seeds) = (bodies(&given.evaluate), bodies(&given.seeds));
    Ok(Json(LeaseAnswer::new(&given.lease, window, evaluate, seeds, &about)))
}

/// A lease with its algorithms.
struct Given {
    lease: Lease,
    evaluate: Vec<Algorithm>,
    seeds: Vec<Algorithm>,
}

impl Door {
    async fn give(&self, asked: &Signed, wish: Wish) -> Result<Given, Refusal> {
        self.is_open()?;
        let caller = asked.caller;
        let (neighbourhood, now_s) = (self.neighbourhood(&asked.parts), self.now_s());
        let given = self
            .office
            .step(Some(caller.seen), move |desk, _| {
                match desk.request(caller.key, neighbourhood, wish, now_s) {
                    Err(reject) => Ok((Err(reject), vec![])),
                    Ok((lease, changes)) => {
                        let find = |ids: &[AlgorithmId]| {
                            ids.iter().filter_map(|id| desk.algorithm(*id).cloned()).collect()
                        };
                        let (evaluate, seeds) = (find(&lease.evaluate), find(&lease.seeds));
                        Ok((Ok(Given { lease, evaluate, seeds }), changes))
                    }
                }
            })
            .await?;
        let given = given?;
        self.counters.leases.fetch_add(1, Ordering::Relaxed);
        Ok(given)
    }
}

/// What became of a lease of theirs whose time is over.
fn too_late(
    tables: &Tables,
    lease: LeaseId,
    miner: &PublicKey,
) -> Result<Option<Refusal>, TableError> {
    let Some(deadline_s) = tables.expired(lease, miner)? else { return Ok(None) };
    let late = TooLate { lease, deadline_s, heirs: tables.heirs(lease)? };
    Ok(Some(Refusal::new(StatusCode::NOT_FOUND, late)))
}

/// `POST /tasks/{id}/submit_lease`, `submit_evolution`, `submit_evaluation`
pub(super) async fn submit(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    asked: Signed,
) -> Answered {
    let caller = asked.caller;
    let id = read_lease_id(&id).ok_or(Reject::NotFound)?;
    let submitted = read_submit(&asked.body)?;
    let (answer, now_s) = (submitted.answer, door.now_s());
    let taken = door
        .office
        .step(Some(caller.seen), move |desk, tables| {
            let failed = std::cell::Cell::new(None::<TableError>);
            let is_known = |name: &_| {
                tables.knows(name).unwrap_or_else(|error| {
                    failed.set(Some(error));
                    true
                })
            };
            let taken = desk.submit(caller.key, id, &answer, now_s, is_known);
            match (failed.take(), taken) {
                (Some(error), _) => Err(error),
                (None, Ok((receipt, changes))) => Ok((Ok(receipt), changes)),
                (None, Err(Reject::NotFound)) => {
                    let late = too_late(tables, id, &caller.key)?;
                    Ok((Err(late.unwrap_or_else(|| Reject::NotFound.into())), vec![]))
                }
                (None, Err(reject)) => Ok((Err(reject.into()), vec![])),
            }
        })
        .await??;
    door.news.notify_one();
    door.counters.answers.fetch_add(1, Ordering::Relaxed);
    Ok(Json(receipt(&taken, &submitted.unreadable)))
}
