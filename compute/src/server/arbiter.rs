//! The pool's own evaluations: winners, disputes, and algorithms that were picked as checks.
//!
//! Invariant: one at a time on a thread of its own, so that requests do not wait; what is not done when the pool stops is asked for
//! again at the next start.

use super::Door;
use crate::office::Closed;
use crate::task::AlgorithmId;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Algorithms fetched together.
const FETCHED: usize = 32;
/// How long nothing happens until it looks again.
const LOOK: Duration = Duration::from_secs(1);

pub(super) async fn work(door: Arc<Door>, cancel: CancellationToken) {
    while !cancel.is_cancelled() {
        match round(&door, &cancel).await {
            Ok(0) => {}
            Ok(_) => continue,
            Err(error) => tracing::warn!(%error, "the pool's own results could not be written"),
        }
        tokio::select! {
            () = cancel.cancelled() => return,
            () = door.news.notified() => {}
            () = tokio::time::sleep(LOOK) => {}
        }
    }
}

async fn round(door: &Arc<Door>, cancel: &CancellationToken) -> Result<usize, Closed> {
    let wanted = door
        .office
        .step(None, |desk, _| {
            let programs = desk.wanted().take(FETCHED);
            let all = programs.filter_map(|one| Some((one.id, desk.program_of(one)?)));
            Ok((all.collect::<Vec<_>>(), vec![]))
        })
        .await?;
    let mut done = 0;
    for (id, program) in wanted {
        let (own, cancel) = (door.clone(), cancel.clone());
        let goes_on = move || {
            if cancel.is_cancelled() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let evaluated =
            tokio::task::spawn_blocking(move || own.set.evaluate_while(&program, goes_on)).await;
        match evaluated {
            Ok(Ok(Some(found))) => {
                note(door, id, found).await?;
                done += 1;
            }
            Ok(Ok(None)) => return Ok(0),
            Ok(Err(unfit)) => {
                // It computes nothing that anybody may wait for.
                let found = crate::evaluate::Evaluation::unusable();
                tracing::info!(algorithm = id.0, %unfit, "an algorithm cannot be evaluated");
                note(door, id, found).await?;
                done += 1;
            }
            Err(error) => {
                tracing::error!(algorithm = id.0, %error, "an evaluation ended badly");
                return Ok(0);
            }
        }
    }
    Ok(done)
}

async fn note(
    door: &Arc<Door>,
    id: AlgorithmId,
    found: crate::evaluate::Evaluation,
) -> Result<(), Closed> {
    let now_s = door.now_s();
    let step = move |desk: &mut crate::desk::Desk, tables: &crate::tables::Tables| {
        let elder = tables.elder(&found.digest)?;
        Ok(((), desk.own_result(id, &found, elder, now_s)))
    };
    door.office.step(None, step).await
}
