//! Who asks: a request's headers, believed.
//!
//! Invariant: a signature is verified outside of the lock, and is noted before anything is done for it; who is not believed costs no
//! more than a look at the headers, where the body was not signed.

use super::{Door, Refusal, too_often};
use crate::auth::{self, AuthReject, Caller, Headers, Message, btauth};
use crate::wire::bitsota::BODY_MAX;
use axum::body::{Body, Bytes, HttpBody, to_bytes};
use axum::extract::{FromRequest, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Names that need not be read at each request.
static KEY: HeaderName = HeaderName::from_static("x-key");
static TIMESTAMP: HeaderName = HeaderName::from_static("x-timestamp");
static SIGNATURE: HeaderName = HeaderName::from_static("x-signature");
static BTAUTH: HeaderName = HeaderName::from_static("x-bittensor-version");
static FORWARDED: HeaderName = HeaderName::from_static("x-forwarded-for");

/// A body of so many bytes comes with its head.
const LITTLE: u64 = 1024;

/// A miner's request with its body, believed.
pub(super) struct Signed {
    /// Whose.
    pub caller: Caller,
    /// Its head.
    pub parts: Parts,
    /// Its body.
    pub body: Bytes,
}

impl FromRequest<Arc<Door>> for Signed {
    type Rejection = Refusal;

    async fn from_request(request: Request, door: &Arc<Door>) -> Result<Self, Refusal> {
        let (mut parts, body) = request.into_parts();
        let early = parts.extensions.remove::<Caller>();
        let read = to_bytes(body, BODY_MAX).await;
        let body = read.map_err(|error| {
            let detail = format!("the body cannot be read ({error}): {BODY_MAX} bytes at most");
            Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, detail)
        })?;
        let caller = match early {
            Some(caller) => caller,
            None => door.believe(&parts, &body, &Message::Request)?,
        };
        Ok(Signed { caller, parts, body })
    }
}

/// Who sends much is listened to until the end, or they might not hear the refusal: a connection that is closed over what was not
/// read is reset.
async fn hear_out(body: Body) {
    if body.size_hint().upper().is_some_and(|bytes| bytes <= LITTLE) {
        return;
    }
    if let Err(error) = to_bytes(body, BODY_MAX).await {
        tracing::debug!(%error, "the body of a refused request did not end");
    }
}

impl Door {
    /// Believes a miner's request, by whichever of the two ways it was signed.
    pub(super) fn believe(
        &self,
        parts: &Parts,
        body: &[u8],
        message: &Message<'_>,
    ) -> Result<Caller, Refusal> {
        let believed = if parts.headers.contains_key(&BTAUTH) {
            self.believe_btauth(parts, body)
        } else {
            let header = |name: &HeaderName| header(&parts.headers, name);
            let (key, timestamp) = (header(&KEY), header(&TIMESTAMP));
            let headers = Headers { key, timestamp, signature: header(&SIGNATURE) };
            auth::verify(&headers, message, self.now_s(), &self.replay)
        };
        let believed = believed.map_err(|reject| match reject {
            AuthReject::Busy => Refusal::later(StatusCode::TOO_MANY_REQUESTS, reject, 60),
            _ => Refusal::new(StatusCode::UNAUTHORIZED, reject),
        })?;
        if (self.settings.unwanted.0)(None, Some(&believed.key)) {
            let detail = "this hotkey is banned here: ask the operator why";
            return Err(Refusal::new(StatusCode::FORBIDDEN, detail));
        }
        let taken = self.keys.take(believed.key, self.clock.now().0);
        taken.map_err(|retry_after_s| too_often("hotkey", retry_after_s))?;
        Ok(believed)
    }

    fn believe_btauth(&self, parts: &Parts, body: &[u8]) -> Result<Caller, AuthReject> {
        let header = |name| {
            parts.headers.get(name).and_then(|value: &axum::http::HeaderValue| value.to_str().ok())
        };
        let headers = btauth::Headers {
            version: header("x-bittensor-version"),
            hotkey: header("x-bittensor-hotkey"),
            nonce: header("x-bittensor-nonce"),
            signature: header("x-bittensor-signature"),
            receiver: header("x-bittensor-receiver"),
            crypto: header("x-bittensor-crypto"),
        };
        let now_ns = self.clock.now().0 * 1_000_000;
        let target = parts.uri.path_and_query().map_or("/", |target| target.as_str());
        let request = btauth::Request { method: parts.method.as_str(), target, body };
        btauth::verify(&headers, &request, &self.own(), now_ns, &self.replay)
    }

    /// Refuses who asks too often or is banned, by where they ask from.
    fn let_in(&self, parts: &Parts) -> Result<(), Refusal> {
        let Some(peer) = self.peer(parts) else { return Ok(()) };
        let taken = self.addresses.take(peer, self.clock.now().0);
        taken.map_err(|retry_after_s| too_often("address", retry_after_s))?;
        if (self.settings.unwanted.0)(Some(peer), None) {
            let detail = "this address is banned here: ask the operator why";
            return Err(Refusal::new(StatusCode::FORBIDDEN, detail));
        }
        Ok(())
    }

    fn counted(&self, response: Response) -> Response {
        if response.status().is_client_error() {
            self.counters.refused.fetch_add(1, Ordering::Relaxed);
        }
        response
    }

    /// The part of the internet a request comes from: those who share it do not judge one another.
    pub(super) fn neighbourhood(&self, parts: &Parts) -> u64 {
        neighbourhood_of(self.peer(parts))
    }

    /// Where a request comes from.
    pub(super) fn peer(&self, parts: &Parts) -> Option<IpAddr> {
        let peer = parts.extensions.get::<SocketAddr>().map(SocketAddr::ip);
        if !peer.is_some_and(|peer| self.settings.proxies.contains(&peer)) {
            return peer;
        }
        let forwarded = header(&parts.headers, &FORWARDED)
            .and_then(|list| list.rsplit(',').next()?.trim().parse().ok());
        forwarded.or(peer)
    }
}

/// Lets in who is wanted, and counts who is refused, here or later.
pub(super) async fn admit(State(door): State<Arc<Door>>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let response = match door.let_in(&parts) {
        Err(refusal) => refusal.into_response(),
        Ok(()) => next.run(Request::from_parts(parts, body)).await,
    };
    door.counted(response)
}

/// The same where only miners are wanted. Headers that sign no body are believed here: whoever is refused for them is refused before
/// anything else is done.
pub(super) async fn admit_miners(
    State(door): State<Arc<Door>>,
    request: Request,
    next: Next,
) -> Response {
    let (mut parts, body) = request.into_parts();
    let believed = door.let_in(&parts).and_then(|()| {
        let signs_body = parts.headers.contains_key(&BTAUTH);
        (!signs_body).then(|| door.believe(&parts, b"", &Message::Request)).transpose()
    });
    let response = match believed {
        Ok(caller) => {
            if let Some(caller) = caller {
                parts.extensions.insert(caller);
            }
            next.run(Request::from_parts(parts, body)).await
        }
        Err(refusal) => {
            hear_out(body).await;
            refusal.into_response()
        }
    };
    door.counted(response)
}

/// A /24 or a /48, hashed; 0 for this machine, which says nothing about anybody.
fn neighbourhood_of(address: Option<IpAddr>) -> u64 {
    let Some(address) = address.map(|address| address.to_canonical()) else { return 0 };
    if address.is_loopback() {
        return 0;
    }
    let hash = match address {
        IpAddr::V4(v4) => Sha256::digest(&v4.octets()[..3]),
        IpAddr::V6(v6) => Sha256::digest(&v6.octets()[..6]),
    };
    // The tables keep 63 bits.
    hash.iter().take(8).fold(0, |number: u64, byte| number << 8 | u64::from(*byte)) >> 1 | 1
}

fn header<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}
