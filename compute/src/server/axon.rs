//! The Bittensor door: an endpoint that dendrites take for an axon, with `Register` and `SubmitWork`.
//!
//! A neuron's work is a program. The pool itself evaluates it, answers with its loss, and pays it once: the same program, or another
//! with the same predictions, earns nothing again. The ladder is the axon's: headers, blacklist (403), signature and body (401),
//! priority (503). Invariant: the loss in an answer was computed here, and the earning is on disk before it is told.

use super::turns::{Busy, Turn};
use super::{Door, Refusal, socket};
use crate::desk::{Reject, WorkVerdict};
use crate::dsl::{Limits, Program, lenient};
use crate::key::PublicKey;
use crate::wire::synapse::{
    ANSWER_HEADERS, BODY_MAX, Claim, Headers, SynapseReject, answer, read_work,
};
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long a neuron waits for its turn.
const TURN: Duration = Duration::from_secs(4);
/// How far back a neuron's earnings count for its priority.
const LATELY_S: u64 = 24 * 3600;

impl Door {
    /// Serves neurons until cancelled.
    pub async fn serve_axon(self: Arc<Self>, listener: TcpListener, cancel: CancellationToken) {
        let (tasks, proxies) = (TaskTracker::new(), self.settings.proxies.clone());
        let router = Router::new()
            .route("/Register", post(register))
            .route("/SubmitWork", post(submit_work))
            .fallback(unknown)
            .layer(DefaultBodyLimit::max(BODY_MAX))
            .with_state(self);
        socket::serve(listener, None, router, proxies, tasks.clone(), cancel).await;
        tasks.close();
        tasks.wait().await;
    }

    fn claim<'a>(&self, parts: &'a Parts) -> Result<Claim<'a>, Failure> {
        let header = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok());
        let headers = Headers {
            hotkey: header("bt_header_dendrite_hotkey"),
            nonce: header("bt_header_dendrite_nonce"),
            uuid: header("bt_header_dendrite_uuid"),
            signature: header("bt_header_dendrite_signature"),
            version: header("bt_header_dendrite_version"),
            axon: header("bt_header_axon_hotkey"),
            body_hash: header("computed_body_hash"),
        };
        let now_ns = self.clock.now().0 * 1_000_000;
        let claim = Claim::read(&headers, &self.own(), now_ns)?;
        if self.settings.blacklist.contains(&claim.key)
            || (self.settings.unwanted.0)(self.peer(parts), Some(&claim.key))
        {
            let message = format!("Forbidden. Key is blacklisted: {}.", claim.key);
            return Err(Failure(StatusCode::FORBIDDEN, message));
        }
        Ok(claim)
    }

    fn believe_synapse(&self, claim: &Claim<'_>, fields: &[&str]) -> Result<(), Failure> {
        Ok(self.replay.once(claim.seen, || claim.verify(fields))?)
    }
}

/// A failure as dendrites read it.
#[derive(Debug)]
struct Failure(StatusCode, String);

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        (self.0, axum::Json(json!({ "message": self.1 }))).into_response()
    }
}

impl From<SynapseReject> for Failure {
    fn from(reject: SynapseReject) -> Self {
        Failure(StatusCode::UNAUTHORIZED, reject.to_string())
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Failure(refusal.status, refusal.detail)
    }
}

fn success(name: &str, fields: &[(&str, Value)]) -> Response {
    let mut response = axum::Json(answer(name, fields)).into_response();
    for (name, value) in ANSWER_HEADERS {
        let (name, value) = (HeaderName::from_static(name), HeaderValue::from_static(value));
        response.headers_mut().insert(name, value);
    }
    response
}

async fn unknown(uri: Uri) -> Failure {
    let name = uri.path().trim_start_matches('/');
    let name: String = name.chars().take(40).collect();
    let message =
        format!("Synapse name '{name}' not found. Available synapses ['Register', 'SubmitWork']");
    Failure(StatusCode::NOT_FOUND, message)
}

async fn register(State(door): State<Arc<Door>>, parts: Parts) -> Result<Response, Failure> {
    let claim = door.claim(&parts)?;
    door.believe_synapse(&claim, &[])?;
    let (key, now_s, neighbourhood) = (claim.key, door.now_s(), door.neighbourhood(&parts));
    let registered = door
        .office
        .step(Some(claim.seen), move |desk, _| {
            Ok(match desk.register(key, neighbourhood, now_s) {
                Ok(changes) => (Ok(()), changes),
                Err(reject) => (Err(reject), vec![]),
            })
        })
        .await
        .map_err(Refusal::from)?;
    registered.map_err(Refusal::from)?;
    Ok(success("Register", &[("registration_success", json!(true))]))
}

async fn submit_work(
    State(door): State<Arc<Door>>,
    parts: Parts,
    body: Bytes,
) -> Result<Response, Failure> {
    let unreadable = |why: String| Failure(StatusCode::UNPROCESSABLE_ENTITY, why);
    let claim = door.claim(&parts)?;
    let work = read_work(&body).map_err(|bad| unreadable(bad.to_string()))?;
    door.believe_synapse(&claim, &[&work.field])?;
    let reading = lenient::read(&work.program, door.set.input_dim(), &Limits::POOL);
    let program = reading.map_err(|bad| unreadable(bad.to_string()))?.program.normal();
    let _turn = door.turn(claim.key).await?;
    let loss = door.work(&claim, &parts, program).await?;
    Ok(success("SubmitWork", &[("work", json!(work.field)), ("loss", json!(loss))]))
}

impl Door {
    /// Waits for a turn at evaluation. Where neurons wait for one another, who earned more lately goes first.
    async fn turn(&self, key: PublicKey) -> Result<Turn, Failure> {
        let busy = |why: Busy| Failure(StatusCode::SERVICE_UNAVAILABLE, why.to_string());
        if let Some(turn) = self.turns.at_once(key).map_err(busy)? {
            return Ok(turn);
        }
        let since_s = self.now_s().saturating_sub(LATELY_S);
        let earned = self.look(move |tables| tables.earned_since(&key, since_s)).await?;
        let waiting = self.turns.wait(key, earned).map_err(busy)?;
        match tokio::time::timeout(TURN, waiting).await {
            Ok(Ok(turn)) => Ok(turn),
            Ok(Err(_)) | Err(_) => Err(busy(Busy::Others)),
        }
    }

    /// Evaluates, pays once, and gives the loss; nothing for a program without a usable number.
    async fn work(
        self: &Arc<Self>,
        claim: &Claim<'_>,
        parts: &Parts,
        program: Program,
    ) -> Result<Option<f64>, Failure> {
        let (own, run) = (self.clone(), program.clone());
        let found = tokio::task::spawn_blocking(move || own.set.evaluate(&run))
            .await
            .map_err(|error| Failure(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?
            .map_err(|unfit| Failure(StatusCode::UNPROCESSABLE_ENTITY, unfit.to_string()))?;
        let loss = found.score.to_f64().map(|score| 1.0 - score);
        let (key, now_s, neighbourhood) = (claim.key, self.now_s(), self.neighbourhood(parts));
        let verdict = self
            .office
            .step(Some(claim.seen), move |desk, tables| {
                let is_known = tables.knows(&program.fingerprint())?;
                let elder = tables.elder(&found.digest)?;
                let is_new = !is_known && elder.is_none();
                Ok(match desk.work(key, neighbourhood, &program, &found, is_new, now_s) {
                    Ok((verdict, changes)) => (Ok(verdict), changes),
                    Err(reject) => (Err::<WorkVerdict, Reject>(reject), vec![]),
                })
            })
            .await
            .map_err(Refusal::from)?
            .map_err(Refusal::from)?;
        tracing::debug!(hotkey = %claim.key, ?verdict, "a neuron's work");
        Ok(loss)
    }
}
