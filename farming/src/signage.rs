//! Signage points, looked up once for everybody who asks for the same one.
//!
//! Invariant: what is answered was asked of a node a moment ago; an answer is kept only for as long as partials for the same point
//! come close together, and never for the second look after the confirmation delay.

use crate::node::Nodes;
use crate::node::rpc::RpcError;
use crate::reject::Reject;
use crate::verify::Signage;
use crate::wire::partial::Point;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// How long an answer counts.
const KEPT: Duration = Duration::from_secs(5);
/// Farmers may be faster than our node: how often an unknown point is asked for again, and how long between.
const TRIES: u32 = 10;
const BETWEEN: Duration = Duration::from_secs(1);
/// Points remembered at once. One appears every nine seconds; more are inventions.
const POINTS_MAX: usize = 4096;

/// Where one point's answer is, or is being asked for.
type Slot = Arc<tokio::sync::Mutex<Known>>;

#[derive(Default)]
struct Known(Option<(Instant, Option<Signage>)>);

/// What was looked up.
pub struct Signages {
    nodes: Arc<Nodes>,
    known: Mutex<HashMap<Point, (Instant, Slot)>>,
}

impl Signages {
    /// Looks up at these nodes.
    #[must_use]
    pub fn new(nodes: Arc<Nodes>) -> Self {
        Signages { nodes, known: Mutex::default() }
    }

    /// The point, for a partial that just came. Waits a little where no node knows it yet.
    ///
    /// # Errors
    /// [`Reject::PointUnknown`], [`Reject::NotSynced`], or [`Reject::Busy`].
    pub async fn look(&self, point: &Point) -> Result<Signage, Reject> {
        let slot = self.slot(point)?;
        let mut known = slot.lock().await;
        if let Some((at, answer)) = &known.0
            && at.elapsed() < KEPT
        {
            return answer.ok_or(Reject::PointUnknown);
        }
        let answer = self.asked(point).await?;
        known.0 = Some((Instant::now(), answer));
        answer.ok_or(Reject::PointUnknown)
    }

    async fn asked(&self, point: &Point) -> Result<Option<Signage>, Reject> {
        for attempt in 1..=TRIES {
            match self.nodes.signage(point).await {
                Ok(Some(signage)) => return Ok(Some(signage)),
                Ok(None) => {}
                Err(RpcError::Refused { .. } | RpcError::Credentials(_) | RpcError::Unknown(_)) => {
                    return Err(Reject::NotSynced);
                }
            }
            if attempt < TRIES {
                tokio::time::sleep(BETWEEN).await;
            }
        }
        Ok(None)
    }

    fn slot(&self, point: &Point) -> Result<Slot, Reject> {
        let now = Instant::now();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, slot)) = known.get(point) {
            return Ok(slot.clone());
        }
        if known.len() >= POINTS_MAX {
            let oldest = 2 * TRIES * BETWEEN;
            known.retain(|_, (made, _)| now.duration_since(*made) < oldest);
            if known.len() >= POINTS_MAX {
                return Err(Reject::Busy);
            }
        }
        let slot = Slot::default();
        known.insert(*point, (now, slot.clone()));
        Ok(slot)
    }
}
