//! A stand-in for the subnet's relay: its two routes, its order of checks, its words, and its moods.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use axum::{Json, Router};
use compute::key::{PublicKey, Signature};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// What it knows and how it is today.
#[derive(Default)]
pub struct Mood {
    /// What must be reached.
    pub sota: f64,
    /// Every request is answered 503.
    pub is_down: bool,
    /// It takes a submission and its answer is lost.
    pub loses_answers: bool,
    /// Nobody is wanted.
    pub is_unfriendly: bool,
    /// What it took: hotkey and body.
    pub taken: Vec<(String, Value)>,
    /// How often it was asked to take something.
    pub asked: usize,
}

/// A relay on loopback.
pub struct StandIn {
    pub address: SocketAddr,
    pub mood: Arc<Mutex<Mood>>,
    cancel: CancellationToken,
}

impl StandIn {
    pub async fn start(sota: f64) -> Self {
        let mood = Arc::new(Mutex::new(Mood { sota, ..Mood::default() }));
        let router = Router::new()
            .route("/sota_threshold", get(threshold))
            .route("/submit_solution", post(submit))
            .with_state(mood.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let cancel = CancellationToken::new();
        let served = axum_serve(listener, router, cancel.clone());
        tokio::spawn(served);
        StandIn { address, mood, cancel }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn stop(&self) {
        self.cancel.cancel();
    }
}

async fn axum_serve(listener: TcpListener, router: Router, cancel: CancellationToken) {
    use tower::ServiceExt;
    loop {
        let (stream, _) = tokio::select! {
            () = cancel.cancelled() => return,
            accepted = listener.accept() => accepted.unwrap(),
        };
        let router = router.clone();
        let service = hyper::service::service_fn(move |request: hyper::Request<_>| {
            router.clone().oneshot(request)
        });
        tokio::spawn(
            hyper::server::conn::http1::Builder::new()
                .serve_connection(hyper_util::rt::TokioIo::new(stream), service),
        );
    }
}

type Shared = Arc<Mutex<Mood>>;
type Said = (StatusCode, Json<Value>);

fn says(status: StatusCode, detail: &str) -> Said {
    (status, Json(json!({ "detail": detail })))
}

async fn threshold(State(mood): State<Shared>) -> Said {
    let mood = mood.lock().unwrap();
    if mood.is_down {
        return says(StatusCode::SERVICE_UNAVAILABLE, "down for maintenance");
    }
    let body = json!({ "task_type": "global", "sota_threshold": mood.sota, "cached": true });
    (StatusCode::OK, Json(body))
}

async fn submit(State(mood): State<Shared>, headers: HeaderMap, Json(body): Json<Value>) -> Said {
    let mut mood = mood.lock().unwrap();
    mood.asked += 1;
    if mood.is_down {
        return says(StatusCode::SERVICE_UNAVAILABLE, "down for maintenance");
    }
    let header = |name: &str| headers.get(name).unwrap().to_str().unwrap();
    let (hotkey, message) = (header("x-key").to_owned(), header("x-timestamp"));
    // Not the time in it, but the header as it stands is what is signed; `0x` is not understood.
    let signature: Signature = header("x-signature").parse().unwrap();
    let key: PublicKey = hotkey.parse().unwrap();
    if header("x-signature").starts_with("0x") || !key.signed(message.as_bytes(), &signature) {
        return says(StatusCode::UNAUTHORIZED, "Invalid signature");
    }
    if mood.is_unfriendly {
        return says(StatusCode::FORBIDDEN, "Miner is blacklisted");
    }
    let Some(score) = body["score"].as_f64() else {
        return says(StatusCode::BAD_REQUEST, "score missing");
    };
    if mood.taken.iter().any(|(_, known)| *known == body) {
        return says(StatusCode::BAD_REQUEST, "Duplicate submission");
    }
    if score < mood.sota {
        return says(StatusCode::BAD_REQUEST, "Score below SOTA threshold");
    }
    mood.taken.push((hotkey, body));
    if mood.loses_answers {
        return says(StatusCode::GATEWAY_TIMEOUT, "the answer is lost");
    }
    (StatusCode::OK, Json(json!({ "result_id": "51fa476c87b5e92e", "status": "accepted" })))
}
