//! The sidecar's HTTP, in the original's words.
//!
//! Who asks must be a program of this machine: the `Host` must be this machine's (no page can make a browser say so under its own
//! name), an `Origin` must be the sidecar's own, and if a token is set it must be there. Invariant: an answer is on disk before it is
//! given.

use super::store::{Jobs, Outcome, StoreError};
use crate::loopback::{is_own, is_token};
use crate::server::socket;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, Query, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};
use std::path::Path as File;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Bytes of a body at most.
const BODY_MAX: usize = 8 << 20;
/// Letters of a name: of a run, a job, a worker.
const NAME_MAX: usize = 200;
/// Events in a batch.
const EVENTS_MAX: usize = 1000;
/// How long a job is a worker's who does not say, the shortest and the longest, in seconds.
const LEASE_S: (f64, f64, f64) = (60.0, 1.0, 86_400.0);

/// A sidecar.
pub struct Sidecar {
    jobs: Mutex<Jobs>,
    token: Option<String>,
}

/// Why nothing was done.
#[derive(Debug)]
pub struct BadRequest(StatusCode, String);

impl From<StoreError> for BadRequest {
    fn from(error: StoreError) -> Self {
        let status = match &error {
            StoreError::Duplicate | StoreError::NotYours => StatusCode::CONFLICT,
            StoreError::NoRun => StatusCode::BAD_REQUEST,
            StoreError::NotFound => StatusCode::NOT_FOUND,
            StoreError::Full => StatusCode::TOO_MANY_REQUESTS,
            StoreError::Sqlite(_) | StoreError::Newer(_) => StatusCode::SERVICE_UNAVAILABLE,
        };
        BadRequest(status, error.to_string())
    }
}

impl IntoResponse for BadRequest {
    fn into_response(self) -> Response {
        (self.0, Json(json!({ "detail": self.1 }))).into_response()
    }
}

type Answered = Result<Json<Value>, BadRequest>;

impl Sidecar {
    /// With its file in a folder; `token` is what every request must carry, if there is one.
    ///
    /// # Errors
    /// When the file cannot be used.
    pub fn open(folder: &File, token: Option<String>) -> Result<Arc<Self>, StoreError> {
        Ok(Arc::new(Sidecar { jobs: Mutex::new(Jobs::open(folder)?), token }))
    }

    /// Serves until cancelled.
    pub async fn serve(self: Arc<Self>, listener: TcpListener, cancel: CancellationToken) {
        let tasks = TaskTracker::new();
        socket::serve(listener, None, self.router(), Vec::new(), tasks.clone(), cancel).await;
        tasks.close();
        tasks.wait().await;
    }

    /// Every path, and who may take it.
    pub fn router(self: Arc<Self>) -> Router {
        Router::new()
            .route("/health", get(health))
            .route("/runs/start", post(start))
            .route("/state", get(state))
            .route("/jobs/enqueue", post(enqueue))
            .route("/jobs/next", get(next))
            .route("/jobs/results", get(results))
            .route("/jobs/{id}/result", post(finish))
            .route("/ingest_batch", post(ingest))
            .route("/logs", get(logs))
            .route("/candidates", get(candidates))
            .route("/populations", get(populations))
            .route("/submission_result", post(submission))
            .route("/set_global_sota", post(set_global_sota))
            .layer(DefaultBodyLimit::max(BODY_MAX))
            .layer(axum::middleware::from_fn_with_state(self.clone(), admit))
            .with_state(self)
    }

    /// Does something with the file, off the threads that serve.
    async fn with<T: Send + 'static>(
        self: &Arc<Self>,
        act: impl FnOnce(&mut Jobs) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, BadRequest> {
        let own = self.clone();
        let run = move || act(&mut own.jobs.lock().unwrap_or_else(PoisonError::into_inner));
        let done = tokio::task::spawn_blocking(run).await;
        let done =
            done.map_err(|error| BadRequest(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?;
        Ok(done?)
    }
}

/// Lets in programs of this machine.
async fn admit(State(sidecar): State<Arc<Sidecar>>, request: Request, next: Next) -> Response {
    match may_enter(&sidecar, request.headers()) {
        Ok(()) => next.run(request).await,
        Err(refused) => refused.into_response(),
    }
}

fn may_enter(sidecar: &Sidecar, headers: &HeaderMap) -> Result<(), BadRequest> {
    is_own(headers).map_err(|who| BadRequest(StatusCode::FORBIDDEN, who.to_string()))?;
    let Some(token) = &sidecar.token else { return Ok(()) };
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let bearer = header("authorization").and_then(|value| value.strip_prefix("Bearer "));
    is_token(header("x-sidecar-token").or(bearer), token).map_err(|who| {
        BadRequest(StatusCode::UNAUTHORIZED, format!("{who}: send it as X-Sidecar-Token"))
    })
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

fn read<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, BadRequest> {
    let body = if body.trim_ascii().is_empty() { b"{}" } else { body };
    serde_json::from_slice(body)
        .map_err(|error| BadRequest(StatusCode::UNPROCESSABLE_ENTITY, error.to_string()))
}

fn named(name: Option<String>, what: &str) -> Result<String, BadRequest> {
    match name {
        Some(name) if !name.is_empty() && name.len() <= NAME_MAX => Ok(name),
        _ => Err(BadRequest(
            StatusCode::BAD_REQUEST,
            format!("{what}: a name of at most {NAME_MAX} letters is missing"),
        )),
    }
}

async fn health() -> Json<Value> {
    Json(json!({ "status": "ok", "ts": now() }))
}

#[derive(Deserialize)]
struct StartBody {
    run_id: Option<String>,
    #[serde(default = "yes")]
    replace: bool,
}

const fn yes() -> bool {
    true
}

async fn start(State(sidecar): State<Arc<Sidecar>>, body: Bytes) -> Answered {
    let asked: StartBody = read(&body)?;
    let time = now();
    let run =
        named(Some(asked.run_id.unwrap_or_else(|| format!("run-{:.0}", time * 1000.0))), "run_id")?;
    let own = run.clone();
    sidecar.with(move |jobs| jobs.start(&own, asked.replace, time)).await?;
    Ok(Json(json!({ "run_id": run })))
}

#[derive(Deserialize)]
struct Asked {
    run_id: Option<String>,
    worker_id: Option<String>,
    lease_seconds: Option<f64>,
    #[serde(default)]
    resume: bool,
    #[serde(default)]
    cursor: u64,
    limit: Option<u32>,
}

async fn state(State(sidecar): State<Arc<Sidecar>>, Query(asked): Query<Asked>) -> Answered {
    let found = sidecar.with(move |jobs| match jobs.run(asked.run_id.as_deref()) {
        Ok(run) => jobs.state(&run),
        Err(StoreError::NoRun) => Ok(json!({ "run_id": asked.run_id, "status": "idle" })),
        Err(error) => Err(error),
    });
    Ok(Json(found.await?))
}

#[derive(Deserialize)]
struct EnqueueBody {
    run_id: Option<String>,
    job_id: Option<String>,
    kind: Option<String>,
    #[serde(default)]
    payload: Value,
}

async fn enqueue(State(sidecar): State<Arc<Sidecar>>, body: Bytes) -> Answered {
    let asked: EnqueueBody = read(&body)?;
    let (kind, time) = (named(asked.kind, "kind")?, now());
    let id =
        named(Some(asked.job_id.unwrap_or_else(|| format!("job-{:.0}", time * 1e6))), "job_id")?;
    let own = id.clone();
    let put = move |jobs: &mut Jobs| {
        let run = jobs.run(asked.run_id.as_deref())?;
        jobs.enqueue(&run, &own, &kind, &asked.payload, time)?;
        Ok(run)
    };
    let run = sidecar.with(put).await?;
    Ok(Json(json!({ "run_id": run, "job_id": id, "status": "queued" })))
}

async fn next(
    State(sidecar): State<Arc<Sidecar>>,
    Query(asked): Query<Asked>,
) -> Result<Response, BadRequest> {
    let worker = named(Some(asked.worker_id.unwrap_or_else(|| "worker".into())), "worker_id")?;
    let lease_s = asked.lease_seconds.unwrap_or(LEASE_S.0).max(LEASE_S.1).min(LEASE_S.2);
    let taken = sidecar.with(move |jobs| {
        let run = match jobs.run(asked.run_id.as_deref()) {
            Err(StoreError::NoRun) => return Ok(None),
            run => run?,
        };
        let job = jobs.next(&run, &worker, lease_s, asked.resume, now())?;
        Ok(job.map(|job| json!({ "run_id": run, "job": job })))
    });
    Ok(match taken.await? {
        Some(job) => Json(job).into_response(),
        None => StatusCode::NO_CONTENT.into_response(),
    })
}

#[derive(Deserialize)]
struct ResultBody {
    run_id: Option<String>,
    status: String,
    #[serde(default)]
    result: Value,
    error: Option<String>,
    worker_id: Option<String>,
    attempt: Option<u64>,
}

async fn finish(
    State(sidecar): State<Arc<Sidecar>>,
    Path(id): Path<String>,
    body: Bytes,
) -> Answered {
    let told: ResultBody = read(&body)?;
    let is_ok = match told.status.as_str() {
        "ok" => true,
        "error" => false,
        _ => {
            let text = "status is \"ok\" or \"error\"".to_owned();
            return Err(BadRequest(StatusCode::BAD_REQUEST, text));
        }
    };
    let by = told.worker_id.zip(told.attempt);
    let outcome = Outcome { is_ok, result: told.result, error: told.error, by };
    let taken = sidecar.with(move |jobs| {
        let run = jobs.run(told.run_id.as_deref()).map_err(|error| match error {
            StoreError::NoRun => StoreError::NotFound,
            other => other,
        })?;
        jobs.finish(&run, &id, &outcome, now())
    });
    let is_first = taken.await?;
    Ok(Json(json!({ "status": "ok", "repeated": !is_first })))
}

async fn results(State(sidecar): State<Arc<Sidecar>>, Query(asked): Query<Asked>) -> Answered {
    let found = sidecar.with(move |jobs| {
        let run = jobs.run(asked.run_id.as_deref())?;
        jobs.results(&run, asked.cursor, asked.limit.unwrap_or(100))
    });
    Ok(Json(found.await?))
}

#[derive(Deserialize)]
struct IngestBody {
    run_id: Option<String>,
    #[serde(default)]
    events: Vec<Value>,
}

async fn ingest(State(sidecar): State<Arc<Sidecar>>, body: Bytes) -> Answered {
    let told: IngestBody = read(&body)?;
    let received = told.events.len();
    if received > EVENTS_MAX {
        let text = format!("at most {EVENTS_MAX} events at once, not {received}");
        return Err(BadRequest(StatusCode::PAYLOAD_TOO_LARGE, text));
    }
    let noted = sidecar.with(move |jobs| {
        let run = jobs.run(told.run_id.as_deref())?;
        for event in &told.events {
            let sort = if event["type"] == "candidate" {
                "candidate"
            } else if event["type"] == "population" {
                "population"
            } else {
                "log"
            };
            jobs.note(&run, sort, event)?;
        }
        Ok(())
    });
    noted.await?;
    Ok(Json(json!({ "status": "ok", "received": received })))
}

async fn logs(State(sidecar): State<Arc<Sidecar>>, Query(asked): Query<Asked>) -> Answered {
    events(&sidecar, "log", asked).await
}

async fn candidates(State(sidecar): State<Arc<Sidecar>>, Query(asked): Query<Asked>) -> Answered {
    events(&sidecar, "candidate", asked).await
}

async fn populations(State(sidecar): State<Arc<Sidecar>>, Query(asked): Query<Asked>) -> Answered {
    events(&sidecar, "population", asked).await
}

async fn events(sidecar: &Arc<Sidecar>, sort: &'static str, asked: Asked) -> Answered {
    let found = sidecar.with(move |jobs| {
        let run = jobs.run(asked.run_id.as_deref())?;
        jobs.events(&run, sort, asked.cursor, asked.limit)
    });
    Ok(Json(found.await?))
}

#[derive(Deserialize)]
struct SubmissionBody {
    run_id: Option<String>,
    #[serde(default)]
    status: String,
}

async fn submission(State(sidecar): State<Arc<Sidecar>>, body: Bytes) -> Answered {
    let told: SubmissionBody = read(&body)?;
    let counts = matches!(told.status.as_str(), "submitted" | "accepted" | "success");
    let noted = sidecar.with(move |jobs| {
        let run = jobs.run(told.run_id.as_deref())?;
        if counts { jobs.submitted(&run, now()) } else { Ok(()) }
    });
    noted.await?;
    Ok(Json(json!({ "status": "ok" })))
}

#[derive(Deserialize)]
struct SotaBody {
    run_id: Option<String>,
    value: f64,
}

async fn set_global_sota(State(sidecar): State<Arc<Sidecar>>, body: Bytes) -> Answered {
    let told: SotaBody = read(&body)?;
    let noted = sidecar.with(move |jobs| {
        let run = jobs.run(told.run_id.as_deref())?;
        jobs.set_global_sota(&run, told.value, now())
    });
    noted.await?;
    Ok(Json(json!({ "status": "ok" })))
}
