//! The pool's best algorithm, sent to the relay in the pool's own name.
//!
//! From an outbox on disk, beside the requests: whether the relay is down, full or rude, no miner is told, waits or loses anything.
//! Invariant: what is sent was evaluated by the pool itself; what is on its way when the pool dies is sent again, and the relay knows
//! it then.

use super::Door;
use crate::office::Closed;
use crate::relay::{Candidate, Relay, Verdict};
use crate::tables::forward::Forward;
use crate::task::Stage;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How often it looks for something better.
const LOOK: Duration = Duration::from_secs(5);

pub(super) async fn work(door: Arc<Door>, relay: Relay, cancel: CancellationToken) {
    let mut looks = tokio::time::interval(LOOK);
    loop {
        tokio::select! {
            () = cancel.cancelled() => return,
            _ = looks.tick() => {}
        }
        // A relay that does not answer must not keep the pool from stopping.
        tokio::select! {
            () = cancel.cancelled() => return,
            sent = round(&door, &relay) => if let Err(error) = sent {
                tracing::warn!(%error, "the relay's outbox could not be written");
            }
        }
    }
}

async fn round(door: &Arc<Door>, relay: &Relay) -> Result<(), Closed> {
    let now_s = door.now_s();
    let due = door
        .office
        .step(None, move |desk, tables| {
            let verified = desk.best().find_map(|known| match known.stage {
                Stage::Agreed { score, verified: true, .. } => Some((known.id, score)),
                _ => None,
            });
            if let Some((id, score)) = verified {
                tables.propose(id, score, now_s)?;
            }
            let Some(due) = tables.due(now_s)? else { return Ok((None, vec![])) };
            let text = tables.algorithm(due.algorithm)?.map(|known| known.text);
            Ok((text.map(|text| (due, text)), vec![]))
        })
        .await?;
    let Some((due, text)) = due else { return Ok(()) };
    let verdict = match (due.score.to_f64(), relay.threshold().await) {
        (Some(score), Ok(threshold)) if score < threshold => {
            Verdict::BelowSota(format!("{score} is below {threshold}"))
        }
        (Some(score), Ok(_)) => {
            let candidate = Candidate {
                task: door.set.name().to_owned(),
                input_dim: door.set.input_dim(),
                text: text.to_string(),
                score,
            };
            relay.submit(&candidate, now_s).await
        }
        (_, Err(error)) => Verdict::Unknown(error.to_string(), None),
        (None, _) => Verdict::Refused("it has no score".into()),
    };
    note(door, due, verdict).await
}

async fn note(door: &Arc<Door>, due: Forward, verdict: Verdict) -> Result<(), Closed> {
    let (algorithm, now_s) = (due.algorithm.0, door.now_s());
    match &verdict {
        Verdict::Accepted(id) => tracing::info!(algorithm, id, "the relay has our best"),
        Verdict::Refused(why) => tracing::warn!(algorithm, why, "the relay does not take our best"),
        other => tracing::debug!(algorithm, ?other, "the relay"),
    }
    door.office
        .step(None, move |_, tables| {
            let (state, said) = match &verdict {
                Verdict::Accepted(id) => ("accepted", id.as_str()),
                Verdict::Duplicate => ("duplicate", ""),
                Verdict::BelowSota(why) => ("below", why.as_str()),
                Verdict::Refused(why) => ("refused", why.as_str()),
                Verdict::Unknown(why, after_s) => {
                    tables.not_forwarded(&due, why, *after_s, now_s)?;
                    return Ok(((), vec![]));
                }
            };
            tables.forwarded(due.algorithm, state, said, now_s)?;
            Ok(((), vec![]))
        })
        .await
}
