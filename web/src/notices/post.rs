//! Posting a notice over HTTP, and what the other side's answer says about trying again.
//!
//! Invariant: an answer costs at most 64 KiB, and of one that is good only the status is read: what a slow body says after it
//! changes nothing.

use super::channel::{Fault, Trouble};
use super::secret::Secret;
use crate::http::{Address, Answer, Client};
use hyper::header::HeaderMap;
use hyper::{Method, StatusCode, body::Bytes};
use serde_json::Value;
use std::time::Duration;

/// Bytes read of a refusal.
const ANSWER_MAX: usize = 64 * 1024;
/// Nobody is left alone for longer, whatever they ask for.
const PAUSE_MAX: Duration = Duration::from_secs(3600);
/// Parts of an address from this length on may be secrets.
const SECRET_PART_MIN: usize = 8;

/// The address in a field of the configuration.
pub(super) fn address(field: &'static str, url: &Secret) -> Result<Address, Fault> {
    Address::parse(url.word()).map_err(|trouble| (field, trouble))
}

/// The parts of an address's path and query that may be secrets.
pub(super) fn secrets(of: &Address) -> Vec<Secret> {
    let parts = of.path().split(['/', '?', '&', '=']);
    parts.filter(|part| part.len() >= SECRET_PART_MIN).map(Secret::from).collect()
}

/// Posts. `Ok`: the answer's status was 2xx.
pub(super) async fn post(
    client: &Client,
    to: &Address,
    headers: HeaderMap,
    body: impl Into<Bytes>,
) -> Result<(), Trouble> {
    let most = |status: StatusCode| if status.is_success() { 0 } else { ANSWER_MAX };
    let answer = client.send(Method::POST, to, headers, body.into(), most).await?;
    if answer.status.is_success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&answer.body);
    let what = format!("{} answered {}: {text}", to.authority(), answer.status);
    let pause = pause(&answer).filter(|_| answer.status == StatusCode::TOO_MANY_REQUESTS);
    Err(Trouble { what, pause })
}

/// How long the other side wants to be left alone: the header that RFC 9110 knows (as seconds), or what Discord
/// (`retry_after`) and Telegram (`parameters.retry_after`) write into the body. The longest counts.
fn pause(answer: &Answer) -> Option<Duration> {
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let in_header = answer.retry_after.as_ref().and_then(|text| text.trim().parse().ok());
    let in_body = [&body["retry_after"], &body["parameters"]["retry_after"]];
    in_body
        .into_iter()
        .map(Value::as_f64)
        .chain([in_header])
        .flatten()
        .filter(|seconds| *seconds > 0.0)
        .map(|seconds| Duration::try_from_secs_f64(seconds).unwrap_or(PAUSE_MAX))
        .map(|pause| pause.min(PAUSE_MAX))
        .max()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_gives_its_secrets() {
        let found = address("url", &"https://example.org:444/hooks/very-secret".into()).unwrap();
        assert_eq!(secrets(&found), [Secret::from("very-secret")]);
    }

    #[test]
    fn the_longest_of_the_pauses_asked_for_counts_up_to_an_hour() {
        let pause = |header: Option<&str>, body: &str| {
            let answer = Answer {
                status: StatusCode::TOO_MANY_REQUESTS,
                retry_after: header.map(Into::into),
                body: body.into(),
                is_whole: true,
            };
            self::pause(&answer).map(|pause| pause.as_millis())
        };
        assert_eq!(pause(None, "no JSON"), None);
        assert_eq!(pause(Some("Fri, 31 Dec 1999 23:59:59 GMT"), "{}"), None);
        assert_eq!(pause(Some("7"), r#"{"retry_after":6.5}"#), Some(7_000));
        assert_eq!(pause(None, r#"{"retry_after":6.5}"#), Some(6_500));
        assert_eq!(pause(None, r#"{"parameters":{"retry_after":9}}"#), Some(9_000));
        assert_eq!(pause(Some("1e300"), ""), Some(3_600_000));
        assert_eq!(pause(Some("-3"), ""), None);
    }
}
