//! Listings that somebody pays the operator for: a title, a sentence and a link.
//!
//! Invariant: never without their mark, never outside their days, and never more than text: nothing is loaded from elsewhere.

use accounting::UnixMs;
use serde::Serialize;
use time::format_description::well_known::Iso8601;

/// Characters of a title, and of a text.
const MOST: (usize, usize) = (60, 280);

/// Where one is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Slot {
    /// Under the pool's figures.
    Pool,
    /// Under the leaderboard: for miners, whose page it may lead to.
    Leaderboard,
}

/// A listing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Sponsored {
    /// Where.
    pub slot: Slot,
    /// Its title.
    pub title: String,
    /// What it says.
    pub text: String,
    /// Where it leads: `https://…`, or a page of the pool such as `/miner/ADDRESS`.
    pub link: String,
    /// From this moment on.
    pub from: UnixMs,
    /// Not from this moment on any more.
    pub until: UnixMs,
}

impl Sponsored {
    /// Checks one as it is written in the configuration; `until` is its last day.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn read(
        slot: Slot,
        [title, text, link]: [&str; 3],
        from: Option<&str>,
        until: &str,
    ) -> Result<Self, String> {
        let is_text = |text: &str, most: usize| {
            !text.trim().is_empty()
                && text.chars().count() <= most
                && !text.contains(char::is_control)
        };
        if !is_text(title, MOST.0) || !is_text(text, MOST.1) {
            return Err(format!(
                "title and text: one line each, at most {} and {} characters",
                MOST.0, MOST.1
            ));
        }
        let is_own = link.starts_with('/') && !link.starts_with("//");
        let is_safe = link.starts_with("https://") && crate::http::Address::parse(link).is_ok();
        if !is_own && !is_safe {
            return Err(format!(
                "link: \"{link}\" is neither https://… nor a page of the pool such as /miner/ADDRESS"
            ));
        }
        let from = from.map_or(Ok(UnixMs(0)), |text| day(text, 0))?;
        let until = day(until, 1)?;
        if until <= from {
            return Err("until: the last day is before the first".into());
        }
        let [title, text, link] = [title, text, link].map(|text| text.trim().to_owned());
        Ok(Sponsored { slot, title, text, link, from, until })
    }

    /// Is it shown there now?
    #[must_use]
    pub fn is_shown(&self, slot: Slot, now: UnixMs) -> bool {
        self.slot == slot && self.from <= now && now < self.until
    }
}

/// The beginning of a day, so many days later.
fn day(text: &str, later: u64) -> Result<UnixMs, String> {
    let read = time::Date::parse(text, &Iso8601::DATE).ok();
    let begins =
        read.and_then(|day| u64::try_from(day.midnight().assume_utc().unix_timestamp()).ok());
    let begins = begins.ok_or_else(|| format!("\"{text}\" is no day such as 2026-12-31"))?;
    Ok(UnixMs((begins + later * 86_400) * 1000))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_MS: u64 = 86_400_000;

    fn read(link: &str, from: Option<&str>, until: &str) -> Result<Sponsored, String> {
        Sponsored::read(Slot::Pool, ["Fans", "Quiet ones.", link], from, until)
    }

    #[test]
    fn it_is_shown_on_its_days_and_in_its_place_only() {
        let listing = read("https://fans.example", Some("1970-01-03"), "1970-01-04").unwrap();
        let shown = |at| listing.is_shown(Slot::Pool, UnixMs(at));
        let days = [2 * DAY_MS - 1, 2 * DAY_MS, 4 * DAY_MS - 1, 4 * DAY_MS];
        assert_eq!(days.map(shown), [false, true, true, false]);
        assert!(!listing.is_shown(Slot::Leaderboard, UnixMs(3 * DAY_MS)));
    }

    #[test]
    fn what_could_harm_a_reader_is_refused() {
        assert!(read("/miner/tGXC1", None, "2026-12-31").is_ok());
        for link in [
            "http://fans.example",
            "//fans.example",
            "javascript:alert(1)",
            "fans",
            "https://u:p@x",
        ] {
            assert!(read(link, None, "2026-12-31").unwrap_err().contains("link"), "{link}");
        }
        assert!(read("/x", Some("2026-12-31"), "2026-12-30").unwrap_err().contains("until"));
        assert!(read("/x", None, "tomorrow").unwrap_err().contains("2026-12-31"));
        let long = "x".repeat(61);
        let refused = Sponsored::read(Slot::Pool, [&long, "text", "/x"], None, "2026-12-31");
        assert!(refused.unwrap_err().contains("60"));
    }
}
