//! A notice on its way to one channel, and its text as channels want it.
//!
//! Invariant: a text is never longer than asked for. What is cut is the body as long as subject and link fit, and never in the
//! middle of a character.

use super::Notice;
use accounting::UnixMs;

/// Characters of a subject.
const SUBJECT_MAX: usize = 200;

/// A notice on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Letter {
    /// What is told.
    pub notice: Notice,
    /// When it was put into the outbox.
    pub made_at: UnixMs,
    /// The one person it is for; `None`: everybody the channel tells.
    pub person: Option<String>,
}

impl Letter {
    /// Subject, body and link, of no more than `most` units.
    pub fn text(&self, most: usize, unit: fn(char) -> usize) -> String {
        let head = format!("{}\n\n", self.notice.subject);
        let rest = self.body_and_link(most.saturating_sub(measure(&head, unit)), unit);
        cut(&(head + &rest), most, unit)
    }

    /// Body and link, of no more than `most` units.
    pub fn body_and_link(&self, most: usize, unit: fn(char) -> usize) -> String {
        let tail = self.notice.link.as_ref().map(|link| format!("\n\n{link}")).unwrap_or_default();
        let room = most.saturating_sub(measure(&tail, unit));
        cut(&(cut(&self.notice.body, room, unit) + &tail), most, unit)
    }
}

/// One line: what would break it becomes a space.
pub(super) fn one_line(text: &str) -> String {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    cut(line.trim(), SUBJECT_MAX, |_| 1)
}

fn measure(text: &str, unit: fn(char) -> usize) -> usize {
    text.chars().map(unit).sum()
}

/// As much of the beginning as fits; dots say that there was more.
pub(super) fn cut(text: &str, most: usize, unit: fn(char) -> usize) -> String {
    if measure(text, unit) <= most {
        return text.to_owned();
    }
    let mut left = most.saturating_sub(unit('…'));
    let fits = |c: &char| {
        let rest = left.checked_sub(unit(*c));
        left = rest.unwrap_or(0);
        rest.is_some()
    };
    let mut short: String = text.chars().take_while(fits).collect();
    short.push('…');
    short
}

#[cfg(test)]
mod tests {
    use super::super::Kind;
    use super::*;

    fn letter(body: &str, link: Option<&str>) -> Letter {
        let notice = Notice {
            once: "a".into(),
            kind: Kind::BlockFound,
            subject: "Block".into(),
            body: body.into(),
            link: link.map(Into::into),
        };
        Letter { notice, made_at: UnixMs(0), person: None }
    }

    #[test]
    fn a_text_has_subject_body_and_link() {
        assert_eq!(letter("b", Some("l")).text(100, char::len_utf8), "Block\n\nb\n\nl");
        assert_eq!(letter("b", None).text(100, char::len_utf8), "Block\n\nb");
    }

    #[test]
    fn a_long_body_is_cut_so_that_subject_and_link_remain() {
        let text = letter(&"⛏🎉".repeat(50), Some("https://p/1")).text(60, char::len_utf16);
        assert!(text.starts_with("Block\n\n⛏🎉"), "{text}");
        assert!(text.ends_with("…\n\nhttps://p/1"), "{text}");
        assert!(text.encode_utf16().count() <= 60);
    }

    #[test]
    fn a_subject_is_one_line() {
        assert_eq!(one_line(" a\r\nBcc: b\u{0}\n"), "a  Bcc: b");
        assert_eq!(one_line(&"x".repeat(300)).chars().count(), SUBJECT_MAX);
    }
}
