//! What stands before every answer: a budget for each asker, keys with quotas, ETags, and which origins may read.
//!
//! Invariant: bounded: who is forgotten when the room is full is whoever asked longest ago.

use super::problem::Problem;
use crate::site::Site;
use ::pool::host::host_of;
use accounting::UnixMs;
use axum::body::{Body, HttpBody};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

/// Questions that may come at once without a key.
const BURST: f64 = 120.0;
/// Questions a second without a key.
const PER_SECOND: f64 = 20.0;
/// Steps of registrations that may come at once: a person needs two, and a few more to mend what was mistyped.
const REGISTRATIONS_BURST: f64 = 20.0;
/// Steps of registrations a second.
const REGISTRATIONS_PER_SECOND: f64 = 0.1;
/// Askers that are told apart.
const ASKERS_MAX: usize = 50_000;
/// Answers up to here get an ETag made from their content; longer ones are sent as they come, with their own or without.
const TAGGED_MAX: u64 = 4 << 20;

/// A request that came with this key (its hash), known and within its quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keyed(pub [u8; 32]);

/// Everybody's budget.
#[derive(Debug, Default)]
pub struct Budgets {
    askers: Mutex<HashMap<IpAddr, Budget>>,
    registrars: Mutex<HashMap<IpAddr, Budget>>,
    keys: Mutex<HashMap<[u8; 32], Budget>>,
}

#[derive(Debug, Clone, Copy)]
struct Budget {
    left: f64,
    at: UnixMs,
}

impl Budget {
    /// Takes one; or says after how many seconds there is one again.
    fn take(&mut self, now: UnixMs, per_second: f64, burst: f64) -> Result<(), u64> {
        let passed = now.0.saturating_sub(self.at.0) as f64 / 1000.0;
        self.left = (self.left + passed * per_second).min(burst);
        self.at = now;
        if self.left < 1.0 {
            return Err(((1.0 - self.left) / per_second).ceil() as u64);
        }
        self.left -= 1.0;
        Ok(())
    }
}

impl Budgets {
    fn take(&self, asker: IpAddr, now: UnixMs) -> Result<(), u64> {
        take_of(&self.askers, asker, now, PER_SECOND, BURST)
    }

    fn take_for_registration(&self, asker: IpAddr, now: UnixMs) -> Result<(), u64> {
        take_of(&self.registrars, asker, now, REGISTRATIONS_PER_SECOND, REGISTRATIONS_BURST)
    }

    fn take_with_key(&self, key: [u8; 32], per_minute: u32, now: UnixMs) -> Result<(), u64> {
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        let burst = f64::from(per_minute.max(1));
        keys.entry(key).or_insert(Budget { left: burst, at: now }).take(now, burst / 60.0, burst)
    }
}

fn take_of(
    askers: &Mutex<HashMap<IpAddr, Budget>>,
    asker: IpAddr,
    now: UnixMs,
    per_second: f64,
    burst: f64,
) -> Result<(), u64> {
    let mut askers = askers.lock().unwrap_or_else(PoisonError::into_inner);
    if askers.len() >= ASKERS_MAX && !askers.contains_key(&asker) {
        // Whoever has a full budget again need not be remembered.
        askers.retain(|_, budget| now.0 < budget.at.0 + (burst / per_second * 1000.0) as u64);
        if askers.len() >= ASKERS_MAX {
            return Err(1);
        }
    }
    askers.entry(asker).or_insert(Budget { left: burst, at: now }).take(now, per_second, burst)
}

/// The layer around the API, and around what else costs.
pub async fn guard(State(site): State<Arc<Site>>, mut request: Request, next: Next) -> Response {
    let (path, method) = (request.uri().path(), request.method());
    let registers =
        method == Method::POST && (path.starts_with("/register") || path.starts_with("/support"));
    if registers {
        let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|peer| peer.0.ip());
        let asker = host_of(site.settings.client_of(peer, request.headers()));
        return match site.budgets.take_for_registration(asker, site.now()) {
            Ok(()) => next.run(request).await,
            Err(wait) => too_many(wait, format!("That was often; go on in {wait} s.")),
        };
    }
    let is_api = ["/api/", "/users/", "/pool/pool.status"].iter().any(|own| path.starts_with(own));
    // Long answers and long conversations cost as much as any question.
    let is_long = path == "/live" || path.ends_with(".csv");
    if !(is_api || is_long) {
        return next.run(request).await;
    }
    let origin = allowed_origin(&site, request.headers());
    if request.method() == Method::OPTIONS {
        return preflight(origin);
    }
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|peer| peer.0.ip());
    let headers = request.headers().clone();
    match admit(&site, &headers, peer).await {
        Ok(Some(key)) => drop(request.extensions_mut().insert(key)),
        Ok(None) => {}
        Err(refusal) => return with_origin(refusal, origin),
    }
    let is_get = request.method() == Method::GET;
    let asked = request.headers().get(header::IF_NONE_MATCH).cloned();
    let response = next.run(request).await;
    let response = if is_get && is_api { tagged(response, asked).await } else { response };
    with_origin(response, origin)
}

async fn admit(
    site: &Arc<Site>,
    headers: &HeaderMap,
    peer: Option<IpAddr>,
) -> Result<Option<Keyed>, Response> {
    let now = site.now();
    if let Some(key) = key_of(headers) {
        let hash: [u8; 32] = Sha256::digest(key.as_bytes()).into();
        let used = site
            .keys
            .use_once(hash, now)
            .await
            .map_err(|error| Problem::from(error).into_response())?;
        let Some(quota) = used else {
            return Err(Problem::forbidden(
                "This API key is not known here; ask the operator for one.",
            )
            .into_response());
        };
        if !quota.within_day {
            let text = format!(
                "This key's {} questions of the day are used up; they begin anew at midnight UTC.",
                quota.per_day
            );
            return Err(too_many(3600, text));
        }
        let taken = site.budgets.take_with_key(hash, quota.per_minute, now);
        return taken.map(|()| Some(Keyed(hash))).map_err(|wait| {
            let text =
                format!("This key may ask {} times a minute; go on in {wait} s.", quota.per_minute);
            too_many(wait, text)
        });
    }
    let asker = host_of(site.settings.client_of(peer, headers));
    site.budgets.take(asker, now).map(|()| None).map_err(|wait| {
        let text = format!("More than {PER_SECOND} questions a second; go on in {wait} s, or ask the operator for an API key.");
        too_many(wait, text)
    })
}

fn too_many(wait: u64, text: String) -> Response {
    let mut response = Problem::too_many(text).into_response();
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(wait.max(1)));
    response
}

/// `X-Api-Key: …`, or `Authorization: Bearer …`.
fn key_of(headers: &HeaderMap) -> Option<&str> {
    let own = headers.get("x-api-key").and_then(|value| value.to_str().ok());
    let bearer = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    own.or_else(|| bearer.and_then(|text| text.strip_prefix("Bearer "))).map(str::trim)
}

/// Answers that were asked for before are not sent again.
async fn tagged(response: Response, asked: Option<HeaderValue>) -> Response {
    if response.status() != StatusCode::OK || is_stream(&response) {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let own = parts.headers.get(header::ETAG).and_then(|tag| tag.to_str().ok()).map(str::to_owned);
    let is_short = body.size_hint().upper().is_some_and(|bytes| bytes <= TAGGED_MAX);
    let (tag, body) = match own {
        Some(tag) => (tag, body),
        None if !is_short => return Response::from_parts(parts, body),
        None => match axum::body::to_bytes(body, usize::MAX).await {
            Ok(bytes) => (tag_of(&bytes), Body::from(bytes)),
            Err(_) => {
                let text = "This answer could not be written; try again soon.";
                return Problem::unavailable(text).into_response();
            }
        },
    };
    let is_known = asked.as_ref().and_then(|asked| asked.to_str().ok()).is_some_and(|asked| {
        asked.split(',').any(|one| one.trim().trim_start_matches("W/") == tag)
    });
    if let Ok(value) = HeaderValue::from_str(&tag) {
        parts.headers.insert(header::ETAG, value);
    }
    let brief = HeaderValue::from_static("public, max-age=2");
    parts.headers.entry(header::CACHE_CONTROL).or_insert(brief);
    if is_known {
        parts.status = StatusCode::NOT_MODIFIED;
        parts.headers.remove(header::CONTENT_LENGTH);
        return Response::from_parts(parts, Body::empty());
    }
    Response::from_parts(parts, body)
}

fn tag_of(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    let hex: String = digest.iter().take(12).map(|byte| format!("{byte:02x}")).collect();
    format!("\"{hex}\"")
}

fn is_stream(response: &Response) -> bool {
    let kind = response.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    kind.is_some_and(|kind| kind.starts_with("text/event-stream"))
}

fn allowed_origin(site: &Site, headers: &HeaderMap) -> Option<HeaderValue> {
    let origin = headers.get(header::ORIGIN)?;
    let text = origin.to_str().ok()?;
    let is_listed = site.settings.cors.iter().any(|known| known == "*" || known == text);
    is_listed.then(|| origin.clone())
}

fn preflight(origin: Option<HeaderValue>) -> Response {
    let mut response = StatusCode::NO_CONTENT.into_response();
    if origin.is_some() {
        let headers = response.headers_mut();
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET"));
        let allowed = HeaderValue::from_static("x-api-key, authorization, if-none-match");
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, allowed);
        headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
    }
    with_origin(response, origin)
}

fn with_origin(mut response: Response, origin: Option<HeaderValue>) -> Response {
    let headers = response.headers_mut();
    headers.append(header::VARY, HeaderValue::from_static("Origin"));
    if let Some(origin) = origin {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As long as the record of a block that two hundred thousand accounts share.
    fn long(tag: Option<&'static str>) -> Response {
        let mut response = vec![b' '; 16 << 20].into_response();
        let tag = tag.map(HeaderValue::from_static);
        tag.map(|tag| response.headers_mut().insert(header::ETAG, tag));
        response
    }

    #[tokio::test]
    async fn an_answer_of_any_length_is_sent_whole() {
        for own in [None, Some("\"own\"")] {
            let sent = tagged(long(own), None).await;
            assert_eq!(sent.status(), StatusCode::OK);
            let tag = sent.headers().get(header::ETAG).map(|tag| tag.to_str().unwrap().to_owned());
            assert_eq!(tag.as_deref(), own);
            let bytes = axum::body::to_bytes(sent.into_body(), usize::MAX).await.unwrap();
            assert_eq!(bytes.len(), 16 << 20);
        }
    }

    #[tokio::test]
    async fn who_has_an_answer_is_not_sent_it_again_whoever_made_its_tag() {
        let known = tagged(long(Some("\"own\"")), Some(HeaderValue::from_static("\"own\""))).await;
        assert_eq!(known.status(), StatusCode::NOT_MODIFIED);
        let first = tagged("short".into_response(), None).await;
        let tag = first.headers().get(header::ETAG).cloned();
        assert!(tag.is_some());
        assert_eq!(tagged("short".into_response(), tag).await.status(), StatusCode::NOT_MODIFIED);
    }

    #[test]
    fn a_greedy_asker_waits_and_a_neighbour_does_not() {
        let budgets = Budgets::default();
        let (greedy, neighbour): (IpAddr, IpAddr) =
            ("10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap());
        for _ in 0..120 {
            assert_eq!(budgets.take(greedy, UnixMs(0)), Ok(()));
        }
        assert_eq!(budgets.take(greedy, UnixMs(0)), Err(1));
        assert_eq!(budgets.take(neighbour, UnixMs(0)), Ok(()));
        assert_eq!(budgets.take(greedy, UnixMs(100)), Ok(()));
    }
}
