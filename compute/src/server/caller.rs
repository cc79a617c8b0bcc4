//! Who asks: the headers of a request, believed.
//!
//! Invariant: a signature is verified outside of the lock, and is noted before anything is done for it.

use super::{Door, Refusal, too_often};
use crate::auth::{self, AuthReject, Caller, Headers, Message, btauth};
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;

impl Door {
    /// Believes a miner's request, by whichever of the two ways it was signed.
    pub(super) fn believe(
        &self,
        parts: &Parts,
        body: &[u8],
        message: &Message<'_>,
    ) -> Result<Caller, Refusal> {
        let header = |name| header(&parts.headers, name);
        let is_btauth = parts.headers.contains_key("x-bittensor-version");
        let believed = if is_btauth {
            let headers = btauth::Headers {
                version: header("x-bittensor-version"),
                hotkey: header("x-bittensor-hotkey"),
                nonce: header("x-bittensor-nonce"),
                signature: header("x-bittensor-signature"),
                receiver: header("x-bittensor-receiver"),
                crypto: header("x-bittensor-crypto"),
            };
            self.believe_btauth(&headers, parts, body)
        } else {
            let (key, timestamp) = (header("x-key"), header("x-timestamp"));
            let headers = Headers { key, timestamp, signature: header("x-signature") };
            auth::verify(&headers, message, self.now_s(), &self.replay)
        };
        let believed = believed.map_err(|reject| match reject {
            AuthReject::Busy => Refusal {
                status: StatusCode::TOO_MANY_REQUESTS,
                detail: reject.to_string(),
                retry_after_s: Some(60),
            },
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

    fn believe_btauth(
        &self,
        headers: &btauth::Headers<'_>,
        parts: &Parts,
        body: &[u8],
    ) -> Result<Caller, AuthReject> {
        let now_ns = self.clock.now().0 * 1_000_000;
        let target = parts.uri.path_and_query().map_or("/", |target| target.as_str());
        let request = btauth::Request { method: parts.method.as_str(), target, body };
        btauth::verify(headers, &request, &self.own(), now_ns, &self.replay)
    }

    /// The part of the internet a request comes from: those who share it do not judge one another.
    pub(super) fn neighbourhood(&self, parts: &Parts) -> u64 {
        neighbourhood_of(self.peer(parts))
    }

    /// Where a request comes from.
    pub(super) fn peer(&self, parts: &Parts) -> Option<IpAddr> {
        let peer = parts.extensions.get::<SocketAddr>().map(SocketAddr::ip);
        let forwarded = header(&parts.headers, "x-forwarded-for")
            .and_then(|list| list.rsplit(',').next()?.trim().parse().ok());
        let is_proxy = peer.is_some_and(|peer| self.settings.proxies.contains(&peer));
        if is_proxy { forwarded.or(peer) } else { peer }
    }
}

/// Lets in who is wanted, and counts who is refused, here or later.
pub(super) async fn admit(State(door): State<Arc<Door>>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let peer = door.peer(&parts);
    let pace = peer.map_or(Ok(()), |peer| door.addresses.take(peer, door.clock.now().0));
    let response = match pace {
        Err(retry_after_s) => too_often("address", retry_after_s).into_response(),
        Ok(()) if (door.settings.unwanted.0)(peer, None) => {
            let detail = "this address is banned here: ask the operator why";
            Refusal::new(StatusCode::FORBIDDEN, detail).into_response()
        }
        Ok(()) => next.run(Request::from_parts(parts, body)).await,
    };
    if response.status().is_client_error() {
        door.counters.refused.fetch_add(1, Ordering::Relaxed);
    }
    response
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

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}
