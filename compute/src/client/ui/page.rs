//! The worker's page as HTML: it works without scripts, and asks for itself anew every few seconds while something works.

use super::{Mode, Shown};
use crate::wire::bitsota::iso;
use std::fmt::Write as _;

/// Seconds between two looks.
const REFRESH_S: u32 = 3;

pub(super) const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:46rem;margin:2rem auto;padding:0 1rem;\
color:#222;background:#fff}h1{font-size:1.3rem}table{border-collapse:collapse}td,th{text-align:left;padding:.2rem 1rem .2rem 0}\
input[type=text]{width:22rem;max-width:100%;font:inherit}button{font:inherit;padding:.3rem 1.2rem}\
pre{background:#f4f4f4;padding:.6rem;overflow:auto;max-height:20rem;font-size:.85rem}\
@media(prefers-color-scheme:dark){body{color:#ddd;background:#181818}pre{background:#262626}}";

pub(super) fn html(shown: &Shown, hotkey: &str) -> String {
    let mut page = String::new();
    write(&mut page, shown, hotkey).expect("a string takes everything");
    page
}

fn write(page: &mut String, shown: &Shown, hotkey: &str) -> std::fmt::Result {
    page.push_str("<!doctype html><html lang=en><meta charset=utf-8><title>Adit worker</title>");
    page.push_str(
        "<meta name=viewport content=\"width=device-width\"><link rel=stylesheet href=/style.css>",
    );
    if shown.is_working {
        write!(page, "<meta http-equiv=refresh content={REFRESH_S}>")?;
    }
    write!(page, "<h1>Adit worker</h1><p>hotkey <code>{}</code></p>", text(hotkey))?;
    if shown.is_working {
        let (what, whom) = match shown.mode {
            Mode::Pool => ("for the pool", &shown.pool),
            Mode::Direct => ("directly for the relay", &shown.relay),
        };
        write!(page, "<p>working {what} <code>{}</code></p>", text(whom))?;
        page.push_str("<form method=post action=/stop><button>Stop</button></form>");
    } else {
        choice(page, shown)?;
    }
    page.push_str("<table>");
    row(page, "task at work", if shown.task.is_empty() { "none" } else { &shown.task })?;
    if let Some(progress) = shown.progress {
        let (done, of) = (progress.done, progress.of);
        write!(page, "<tr><th>how far<td><progress max={of} value={done}></progress> {progress}")?;
    }
    row(page, "evaluated", &shown.evaluated.to_string())?;
    row(page, "answers taken", &shown.answered.to_string())?;
    row(page, "last score", &number(shown.last_score))?;
    row(page, "best score", &number(shown.best_score))?;
    if let Some(balance) = &shown.balance {
        row(page, "balance", &tao(&balance["balance_rao"]))?;
        row(page, "pending rewards", &tao(&balance["pending_rao"]))?;
        row(page, "least withdrawal", &tao(&balance["minimum_withdrawal_rao"]))?;
    }
    page.push_str("</table><h2>Log</h2><pre>");
    for (at_s, line) in shown.log.iter().rev() {
        writeln!(page, "{}  {}", iso(*at_s), text(line))?;
    }
    page.push_str("</pre>");
    Ok(())
}

fn choice(page: &mut String, shown: &Shown) -> std::fmt::Result {
    let checked = |mode| if shown.mode == mode { " checked" } else { "" };
    write!(
        page,
        "<form method=post action=/start>\
         <p><label><input type=radio name=mode value=pool{}> for a pool</label> \
         <input type=text name=pool value=\"{}\" placeholder=\"http://pool.example:8434\" aria-label=\"pool\"></p>\
         <p><label><input type=radio name=mode value=direct{}> directly, for a relay</label> \
         <input type=text name=relay value=\"{}\" placeholder=\"https://relay.example\" aria-label=\"relay\"></p>\
         <button>Start</button></form>",
        checked(Mode::Pool),
        text(&shown.pool),
        checked(Mode::Direct),
        text(&shown.relay),
    )
}

fn row(page: &mut String, name: &str, value: &str) -> std::fmt::Result {
    write!(page, "<tr><th>{name}<td>{}", text(value))
}

fn number(score: Option<f64>) -> String {
    score.map_or_else(|| "none yet".into(), |score| format!("{score:.6}"))
}

/// RAO, as whole coins.
fn tao(rao: &serde_json::Value) -> String {
    let units = rao.as_i64().unwrap_or(0);
    format!("{} TAO", accounting::Amount::from_units(units.into()).to_decimal(9))
}

/// As text that no browser takes for anything else.
fn text(raw: &str) -> String {
    let mut safe = String::with_capacity(raw.len());
    for letter in raw.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::super::{News, Progress};
    use super::*;

    #[test]
    fn what_a_pool_says_is_text_on_the_page() {
        let mut shown = Shown { pool: "\"><script>".into(), ..Shown::default() };
        shown.note("<b>no tasks</b>".into());
        let page = html(&shown, "5x");
        assert!(!page.contains("<script>") && !page.contains("<b>"), "{page}");
        assert!(page.contains("&lt;b&gt;no tasks"), "{page}");
        assert!(page.contains("action=/start") && !page.contains("refresh"));
        shown.is_working = true;
        shown.hear(&News::Progress(Progress { doing: "evolving", done: 3, of: 8 }));
        let page = html(&shown, "5x");
        assert!(page.contains("action=/stop") && page.contains("refresh"));
        assert!(page.contains("<progress max=8 value=3></progress> evolving 3 of 8"), "{page}");
        shown.hear(&News::Answered("l1".into()));
        assert!(!html(&shown, "5x").contains("<progress"));
    }
}
