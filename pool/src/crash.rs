//! Named places where a test may end the process, as a power cut would.
//!
//! Invariant: without the environment variable `ADIT_CRASH_AT` this does nothing at all.

use std::sync::OnceLock;

/// Ends the process at once, without any clean-up, when `ADIT_CRASH_AT` names this place.
pub fn crash_point(place: &str) {
    static CHOSEN: OnceLock<Option<String>> = OnceLock::new();
    let chosen = CHOSEN.get_or_init(|| std::env::var("ADIT_CRASH_AT").ok());
    if chosen.as_deref() == Some(place) {
        tracing::error!(place, "the process ends here, as ADIT_CRASH_AT asks");
        std::process::abort();
    }
}
