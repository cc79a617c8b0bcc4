//! Who may ask a server that is for this machine only: the sidecar, and the worker's page.
//!
//! A page of another site can make a browser send requests here, and can give its own name this machine's address. But a browser says
//! under which name it asks (`Host`) and for which page (`Origin`), and no page can change that. Invariant: who is let in is a
//! program of this machine, or a page that this server itself served.

use axum::http::HeaderMap;
use subtle::ConstantTimeEq;

/// Who is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Intruder {
    /// Under another name than this machine's.
    #[error("this server answers its own machine only: ask http://127.0.0.1")]
    Name,
    /// For a page of another site.
    #[error("this server answers no page of another site")]
    Site,
    /// Without the token, or with another.
    #[error("the token is missing or wrong")]
    Token,
}

/// Is this a request of this machine's own programs or pages?
///
/// # Errors
/// Who it is instead.
pub fn is_own(headers: &HeaderMap) -> Result<(), Intruder> {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let host = header("host").unwrap_or_default();
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    if !matches!(name, "127.0.0.1" | "localhost" | "[::1]") {
        return Err(Intruder::Name);
    }
    match header("origin") {
        Some(origin) if origin != format!("http://{host}") => Err(Intruder::Site),
        _ => Ok(()),
    }
}

/// Is it the token?
///
/// # Errors
/// When it is not.
pub fn is_token(given: Option<&str>, token: &str) -> Result<(), Intruder> {
    match bool::from(given.unwrap_or_default().as_bytes().ct_eq(token.as_bytes())) {
        true => Ok(()),
        false => Err(Intruder::Token),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(host: &str, origin: Option<&str>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert("host", host.parse().unwrap());
        if let Some(origin) = origin {
            headers.insert("origin", origin.parse().unwrap());
        }
        headers
    }

    #[test]
    fn a_page_of_another_site_is_not_let_in_whatever_its_name_points_at() {
        assert_eq!(is_own(&headers("127.0.0.1:8123", None)), Ok(()));
        assert_eq!(is_own(&headers("localhost:8123", Some("http://localhost:8123"))), Ok(()));
        assert_eq!(is_own(&headers("[::1]:8123", None)), Ok(()));
        assert_eq!(is_own(&headers("evil.example:8123", None)), Err(Intruder::Name));
        assert_eq!(is_own(&headers("", None)), Err(Intruder::Name));
        for origin in
            ["http://evil.example", "null", "http://localhost:1", "https://127.0.0.1:8123"]
        {
            let asked = headers("127.0.0.1:8123", Some(origin));
            assert_eq!(is_own(&asked), Err(Intruder::Site), "{origin}");
        }
    }

    #[test]
    fn a_token_is_the_whole_token() {
        assert_eq!(is_token(Some("abc"), "abc"), Ok(()));
        for wrong in [None, Some(""), Some("ab"), Some("abcd"), Some("ABC")] {
            assert_eq!(is_token(wrong, "abc"), Err(Intruder::Token));
        }
    }
}
