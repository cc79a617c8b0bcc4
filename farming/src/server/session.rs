//! Who is logged in: a cookie that only this process could have made.
//!
//! Invariant: nothing is remembered: the cookie says who and until when, and a keyed hash says that we wrote it. A restart logs
//! everybody out.

use crate::hash::Bytes32;
use accounting::UnixMs;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// The cookie's name.
const NAME: &str = "adit_farmer";
/// How long a session lasts.
const LASTS_MS: u64 = 24 * 3_600_000;

/// Makes and reads cookies.
pub(super) struct Sessions {
    secret: [u8; 32],
}

impl Sessions {
    pub(super) fn new() -> Self {
        let mut secret = [0; 32];
        if let Err(error) = getrandom::fill(&mut secret) {
            panic!("the operating system has no random numbers: {error}");
        }
        Sessions { secret }
    }

    /// A cookie for a farmer.
    pub(super) fn cookie(&self, launcher_id: &Bytes32, now: UnixMs, is_tls: bool) -> String {
        let until = now.0.saturating_add(LASTS_MS);
        let text = format!("{}.{until}", hex::encode(launcher_id.0));
        let seal = hex::encode(self.seal(&text).finalize().into_bytes());
        let secure = if is_tls { "; Secure" } else { "" };
        let lasts_s = LASTS_MS / 1000;
        // Lax, because a login link may be followed from anywhere, and the page changes nothing.
        format!("{NAME}={text}.{seal}; HttpOnly; SameSite=Lax; Path=/; Max-Age={lasts_s}{secure}")
    }

    /// Whose cookie this is.
    pub(super) fn launcher(&self, cookies: &str, now: UnixMs) -> Option<Bytes32> {
        let own = cookies.split(';').filter_map(|cookie| cookie.trim().split_once('='));
        let (_, value) = own.into_iter().find(|(name, _)| *name == NAME)?;
        let (text, seal) = value.rsplit_once('.')?;
        let seal = hex::decode(seal).ok()?;
        self.seal(text).verify_slice(&seal).ok()?;
        let (launcher_id, until) = text.split_once('.')?;
        let until: u64 = until.parse().ok()?;
        if now.0 > until { None } else { launcher_id.parse().ok() }
    }

    fn seal(&self, text: &str) -> Hmac<Sha256> {
        match Hmac::<Sha256>::new_from_slice(&self.secret) {
            Ok(seal) => seal.chain_update(text),
            Err(error) => panic!("a key of 32 bytes is a key: {error}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_cookie_of_ours_and_of_today_logs_in() {
        let sessions = Sessions::new();
        let (farmer, now) = (Bytes32([7; 32]), UnixMs(1_000));
        let cookie = sessions.cookie(&farmer, now, true);
        assert!(cookie.contains("HttpOnly") && cookie.contains("Secure"));
        let pair = cookie.split(';').next().unwrap();
        assert_eq!(sessions.launcher(&format!("a=b; {pair}"), now), Some(farmer));
        assert_eq!(sessions.launcher(pair, UnixMs(now.0 + LASTS_MS + 1)), None);
        assert_eq!(Sessions::new().launcher(pair, now), None, "another process");
        let forged = pair.replace("0707", "0807");
        assert_eq!(sessions.launcher(&forged, now), None);
        for nothing in ["", "adit_farmer", "adit_farmer=", "adit_farmer=a.b.c"] {
            assert_eq!(sessions.launcher(nothing, now), None);
        }
    }
}
