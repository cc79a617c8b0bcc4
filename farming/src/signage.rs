//! Signage points, looked up once for everybody who asks for the same one.
//!
//! Invariant: what is answered was asked of a node a moment ago; an answer is kept only for as long as partials for the same point
//! come close together, and never for the second look after the confirmation delay.

use crate::hash::Bytes32;
use crate::node::Nodes;
use crate::reject::Reject;
use crate::verify::Signage;
use crate::wire::partial::Point;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::Instant;

/// How long an answer counts.
const KEPT: Duration = Duration::from_secs(5);
/// Farmers may be faster than our node: how often an unknown point is asked for again, and how long between.
const TRIES: u32 = 10;
const BETWEEN: Duration = Duration::from_secs(1);
/// Points remembered at once. One appears every nine seconds; more are inventions.
const POINTS_MAX: usize = 4096;
/// How long a point is remembered at least: until everybody who asked is answered.
const REMEMBERED: Duration = Duration::from_secs(20);
/// Points that one farmer may bring up in that time: many times more than appear.
const POINTS_OF_ONE_MAX: usize = 100;
/// Questions to the nodes at once.
const ASKING_MAX: usize = 32;

/// Where one point's answer is, or is being asked for.
type Slot = Arc<tokio::sync::Mutex<Known>>;

#[derive(Default)]
struct Known(Option<(Instant, Option<Signage>)>);

/// A point that somebody brought up.
struct Remembered {
    since: Instant,
    /// Who brought it up.
    launcher_id: Bytes32,
    slot: Slot,
}

/// What was looked up.
pub struct Signages {
    nodes: Arc<Nodes>,
    known: Mutex<HashMap<Point, Remembered>>,
    asking: Semaphore,
}

impl Known {
    fn fresh(&self) -> Option<Result<Signage, Reject>> {
        let (_, answer) = self.0.filter(|(at, _)| at.elapsed() < KEPT)?;
        Some(answer.ok_or(Reject::PointUnknown))
    }
}

impl Signages {
    /// Looks up at these nodes.
    #[must_use]
    pub fn new(nodes: Arc<Nodes>) -> Self {
        Signages { nodes, known: Mutex::default(), asking: Semaphore::new(ASKING_MAX) }
    }

    /// What is known of the point without asking anybody.
    #[must_use]
    pub fn known(&self, point: &Point) -> Option<Result<Signage, Reject>> {
        let slot = self.lock().get(point)?.slot.clone();
        slot.try_lock().ok()?.fresh()
    }

    /// The point, for a partial of this farmer that just came. Waits a little where no node knows it yet.
    ///
    /// # Errors
    /// [`Reject::PointUnknown`], [`Reject::NotSynced`], or [`Reject::Busy`].
    pub async fn look(&self, point: &Point, launcher_id: &Bytes32) -> Result<Signage, Reject> {
        let slot = self.slot(point, launcher_id)?;
        let mut known = slot.lock().await;
        if let Some(answer) = known.fresh() {
            return answer;
        }
        let answer = self.asked(point).await?;
        known.0 = Some((Instant::now(), answer));
        answer.ok_or(Reject::PointUnknown)
    }

    async fn asked(&self, point: &Point) -> Result<Option<Signage>, Reject> {
        for attempt in 1..=TRIES {
            let asked = {
                let _turn = self.asking.acquire().await.map_err(|_| Reject::Busy)?;
                self.nodes.signage(point).await
            };
            match asked {
                Ok(Some(signage)) => return Ok(Some(signage)),
                Ok(None) => {}
                Err(_) => return Err(Reject::NotSynced),
            }
            if attempt < TRIES {
                tokio::time::sleep(BETWEEN).await;
            }
        }
        Ok(None)
    }

    fn slot(&self, point: &Point, launcher_id: &Bytes32) -> Result<Slot, Reject> {
        let mut known = self.lock();
        if let Some(remembered) = known.get(point) {
            return Ok(remembered.slot.clone());
        }
        let is_recent = |remembered: &Remembered| remembered.since.elapsed() < REMEMBERED;
        if known.len() >= POINTS_MAX {
            known.retain(|_, remembered| is_recent(remembered));
        }
        let own = known.values().filter(|remembered| remembered.launcher_id == *launcher_id);
        let own = own.filter(|remembered| is_recent(remembered)).count();
        if known.len() >= POINTS_MAX || own >= POINTS_OF_ONE_MAX {
            return Err(Reject::Busy);
        }
        let (since, slot) = (Instant::now(), Slot::default());
        let remembered = Remembered { since, launcher_id: *launcher_id, slot: slot.clone() };
        known.insert(*point, remembered);
        Ok(slot)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Point, Remembered>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that finds an error has failed")]
mod tests {
    use super::*;
    use crate::network::Network;

    #[tokio::test(start_paused = true)]
    async fn one_farmer_brings_up_so_many_points_and_keeps_nobody_elses_out() {
        let nodes = Arc::new(Nodes::new(Network::simulator(), Vec::new()));
        let signages = Signages::new(nodes);
        let look = async |who: u8, point: u8| {
            signages.look(&Point::Signage(Bytes32([point; 32])), &Bytes32([who; 32])).await
        };
        for point in 0..100 {
            assert_eq!(look(1, point).await.unwrap_err(), Reject::NotSynced, "no node at all");
        }
        assert_eq!(look(1, 100).await.unwrap_err(), Reject::Busy);
        assert_eq!(look(1, 99).await.unwrap_err(), Reject::NotSynced, "one that it brought up");
        assert_eq!(look(2, 100).await.unwrap_err(), Reject::NotSynced);
        tokio::time::advance(REMEMBERED).await;
        assert_eq!(look(1, 101).await.unwrap_err(), Reject::NotSynced, "after a while");
    }
}
