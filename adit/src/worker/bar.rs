//! What a worker prints: lines of what happened, and on a terminal a bar of how far the work in hand is.
//!
//! Invariant: lines go to standard output, the bar to standard error and only to a terminal; a line never stands in a bar.

use compute::client::{News, Progress, Tell};
use std::io::{IsTerminal, Write};
use std::sync::{Arc, Mutex, PoisonError};

/// Letters between the bar's ends.
const WIDTH: usize = 30;
/// Back to the line's first column, and nothing in it.
const CLEAR: &str = "\r\x1b[K";

/// Prints what happens.
pub fn teller() -> Tell {
    let bar = std::io::stderr().is_terminal().then(|| Mutex::new(false));
    Arc::new(move |news| match (&news, &bar) {
        (News::Progress(_), None) => {}
        (News::Progress(progress), Some(is_drawn)) => {
            *is_drawn.lock().unwrap_or_else(PoisonError::into_inner) = draw(&drawn(progress));
        }
        (_, bar) => {
            if let Some(is_drawn) = bar {
                let mut is_drawn = is_drawn.lock().unwrap_or_else(PoisonError::into_inner);
                if std::mem::take(&mut *is_drawn) {
                    draw("");
                }
            }
            println!("{news}");
        }
    })
}

/// Draws in place; says whether somebody can see it.
fn draw(text: &str) -> bool {
    let mut terminal = std::io::stderr().lock();
    write!(terminal, "{CLEAR}{text}").and_then(|()| terminal.flush()).is_ok()
}

/// `[#####.........................] evaluating 1 of 6`
fn drawn(progress: &Progress) -> String {
    let full = (WIDTH * progress.done).checked_div(progress.of).unwrap_or(0).min(WIDTH);
    format!("[{}{}] {progress}", "#".repeat(full), ".".repeat(WIDTH - full))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_as_full_as_the_work_is_done() {
        let of = |done, of| drawn(&Progress { doing: "evaluating", done, of });
        assert_eq!(of(1, 6), format!("[{}{}] evaluating 1 of 6", "#".repeat(5), ".".repeat(25)));
        assert!(of(0, 0).starts_with("[..."));
        assert!(of(9, 8).starts_with(&format!("[{}]", "#".repeat(30))));
    }
}
