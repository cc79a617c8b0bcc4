//! What a client is told when nothing was done: `detail` in words, and when to come again.
//!
//! Invariant: every refusal says what to do.

use crate::desk::Reject;
use crate::office::Closed;
use crate::wire::bitsota::{BadBody, status_of};
use crate::wire::trouble::TooOften;
use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use std::fmt::{Display, Write};

/// A refusal as clients read it.
#[derive(Debug)]
pub(super) struct Refusal {
    pub status: StatusCode,
    pub detail: String,
    pub retry_after_s: Option<u64>,
}

/// Bytes that most details fit.
const DETAIL: usize = 160;

impl Refusal {
    pub fn new(status: StatusCode, detail: impl Display) -> Self {
        let mut text = String::with_capacity(DETAIL);
        write!(text, "{detail}").expect("a string takes everything");
        Refusal { status, detail: text, retry_after_s: None }
    }

    /// It may be asked again in so many seconds.
    pub fn later(status: StatusCode, detail: impl Display, retry_after_s: u64) -> Self {
        Refusal { retry_after_s: Some(retry_after_s), ..Refusal::new(status, detail) }
    }
}

/// Somebody asks too often.
pub(super) fn too_often(who: &'static str, retry_after_s: u64) -> Refusal {
    let words = TooOften { who, retry_after_s };
    Refusal::later(StatusCode::TOO_MANY_REQUESTS, words, retry_after_s)
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        // Refusals are what a flood is answered with: the bytes of one object, and no header that is set twice.
        let mut body = Vec::with_capacity(self.detail.len() + r#"{"detail":""}"#.len());
        body.extend_from_slice(b"{\"detail\":");
        serde_json::to_writer(&mut body, &self.detail).expect("a text is JSON");
        body.push(b'}');
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(seconds) = self.retry_after_s {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

impl From<Reject> for Refusal {
    fn from(reject: Reject) -> Self {
        let (status, retry_after_s) = status_of(&reject);
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
        Refusal { retry_after_s, ..Refusal::new(status, reject) }
    }
}

impl From<Closed> for Refusal {
    fn from(closed: Closed) -> Self {
        Refusal::later(StatusCode::SERVICE_UNAVAILABLE, closed, 5)
    }
}

impl From<BadBody> for Refusal {
    fn from(bad: BadBody) -> Self {
        Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, bad)
    }
}
