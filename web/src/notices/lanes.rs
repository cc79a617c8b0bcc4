//! Delivery: each channel has a lane of its own, and each lane delivers one notice at a time, the oldest that is due first.
//!
//! Invariant: a channel that is down holds up nobody but itself, and a notice that fails only itself. What a channel took is
//! written down before anything else is delivered to it. A notice that is dropped in the middle of a delivery stays.

use super::channel::{Channel, Trouble};
use super::outbox::{NoticeError, Outbox};
use super::rows::{self, Next, Waiting};
use crate::db::DbError;
use accounting::UnixMs;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// The wait after the first failure; each further one doubles it.
const BACKOFF_MIN_MS: u64 = 5_000;
/// The longest wait.
const BACKOFF_MAX_MS: u64 = 15 * 60 * 1000;
/// What no channel took for so long is given up.
const GIVE_UP_MS: u64 = 24 * 3600 * 1000;
/// How often done rows are looked through.
const TIDY_MS: u64 = 3600 * 1000;
/// How often a lane that waits looks at the clock, which may jump.
const LOOK: Duration = Duration::from_millis(500);
/// How long a lane leaves a database alone that does not work.
const DB_PAUSE: Duration = Duration::from_secs(30);
/// How long a delivery that has begun may go on after the end was asked for.
const GRACE: Duration = Duration::from_secs(3);

/// A channel and what it does now.
pub(super) struct Lane {
    pub channel: Channel,
    /// It wants to be left alone until then. Locked by who delivers.
    quiet_until: Mutex<UnixMs>,
}

impl Lane {
    pub fn new(channel: Channel) -> Self {
        Lane { channel, quiet_until: Mutex::new(UnixMs(0)) }
    }
}

impl Outbox {
    /// Delivers until cancelled. What is being delivered then may take three seconds more.
    pub async fn run(&self, cancel: CancellationToken) {
        let mut tasks = JoinSet::new();
        for lane in 0..self.0.lanes.len() {
            tasks.spawn(self.clone().keep_delivering(lane, cancel.clone()));
        }
        tasks.spawn(self.clone().keep_tidy(cancel));
        while let Some(ended) = tasks.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "a channel for notices has stopped; restart the pool");
            }
        }
    }

    /// Delivers what is due now, each channel for itself, and comes back when nothing is due.
    ///
    /// # Errors
    /// When the database cannot be used; what was delivered by then is delivered.
    pub async fn deliver_due(&self) -> Result<(), NoticeError> {
        let mut tasks = JoinSet::new();
        for lane in 0..self.0.lanes.len() {
            let own = self.clone();
            tasks.spawn(async move { own.pass(lane, &CancellationToken::new()).await });
        }
        while let Some(ended) = tasks.join_next().await {
            ended.unwrap_or_else(|error| Err(DbError::Gone(error.to_string())))?;
        }
        Ok(())
    }

    /// Forgets what was done more than seven days ago, and gives up after a day what is for channels that are no longer
    /// configured. [`Outbox::run`] does it each hour.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn tidy(&self) -> Result<(), NoticeError> {
        let now = self.0.clock.now();
        let stale = UnixMs(now.0.saturating_sub(GIVE_UP_MS));
        let names: Vec<_> =
            self.0.lanes.iter().map(|lane| lane.channel.name().to_owned()).collect();
        let lost = self.0.db.run(move |sql| rows::tidy(sql, &names, stale, now)).await?;
        if lost > 0 {
            tracing::warn!(lost, "notices for channels that are no longer there are given up");
        }
        Ok(())
    }

    async fn keep_tidy(self, cancel: CancellationToken) {
        while !cancel.is_cancelled() {
            if let Err(error) = self.tidy().await {
                tracing::warn!(%error, "the outbox of notices could not be tidied");
            }
            let next = UnixMs(self.0.clock.now().0.saturating_add(TIDY_MS));
            self.wait(Some(next), &cancel).await;
        }
    }

    async fn keep_delivering(self, lane: usize, cancel: CancellationToken) {
        // What is put from here on is seen: by the pass, or by the wait after it.
        let mut put = self.0.put.subscribe();
        while !cancel.is_cancelled() {
            put.mark_unchanged();
            match self.pass(lane, &cancel).await {
                Ok(next) => {
                    tokio::select! {
                        () = self.wait(next, &cancel) => {}
                        _ = put.changed() => {}
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "notices wait: the outbox cannot be used");
                    tokio::select! {
                        () = cancel.cancelled() => {}
                        () = sleep(DB_PAUSE) => {}
                    }
                }
            }
        }
    }

    /// Waits for a moment of the clock, or for the end.
    async fn wait(&self, until: Option<UnixMs>, cancel: &CancellationToken) {
        let come = async {
            while until.is_none_or(|until| until > self.0.clock.now()) {
                sleep(LOOK).await;
            }
        };
        tokio::select! {
            () = cancel.cancelled() => {}
            () = come => {}
        }
    }

    /// Delivers what is due in a lane; gives when to look again.
    async fn pass(
        &self,
        lane: usize,
        cancel: &CancellationToken,
    ) -> Result<Option<UnixMs>, DbError> {
        let lane = &self.0.lanes[lane];
        let mut quiet_until = lane.quiet_until.lock().await;
        while !cancel.is_cancelled() {
            let now = self.0.clock.now();
            if *quiet_until > now {
                return Ok(Some(*quiet_until));
            }
            let name = lane.channel.name().to_owned();
            match self.0.db.run(move |sql| rows::next(sql, &name, now)).await? {
                Next::Nothing => return Ok(None),
                Next::At(due) => return Ok(Some(due)),
                Next::Due(row) => self.tell(lane, *row, &mut quiet_until, cancel).await?,
            }
        }
        Ok(None)
    }

    async fn tell(
        &self,
        lane: &Lane,
        row: Waiting,
        quiet_until: &mut UnixMs,
        cancel: &CancellationToken,
    ) -> Result<(), DbError> {
        let (channel, id, clock) = (&lane.channel, row.id, &self.0.clock);
        let letter = match &row.letter {
            Ok(letter) => letter,
            Err(trouble) => {
                let (trouble, now) = (trouble.clone(), clock.now());
                tracing::warn!(channel = channel.name(), trouble, "a notice is given up");
                return self.0.db.run(move |sql| rows::give_up(sql, id, &trouble, now)).await;
            }
        };
        let too_late = async {
            cancel.cancelled().await;
            sleep(GRACE).await;
        };
        let outcome = tokio::select! {
            biased;
            outcome = channel.deliver(letter, clock.now()) => outcome,
            () = too_late => return Ok(()),
        };
        match outcome {
            Ok(()) => {
                self.mark_done(id, cancel).await;
                Ok(())
            }
            Err(trouble) => {
                let now = clock.now();
                let pause = trouble.pause.map_or(0, |pause| pause.as_millis());
                let pause_ms = u64::try_from(pause).unwrap_or(u64::MAX);
                *quiet_until = (*quiet_until).max(UnixMs(now.0.saturating_add(pause_ms)));
                self.mark_failed(channel, &row, trouble, pause_ms).await
            }
        }
    }

    /// Writes down that a notice was taken; as long as that fails nothing else is told, or it would be told again.
    async fn mark_done(&self, id: i64, cancel: &CancellationToken) {
        loop {
            let now = self.0.clock.now();
            let Err(error) = self.0.db.run(move |sql| rows::done(sql, id, now)).await else {
                return;
            };
            tracing::warn!(%error, "a notice was told, but that could not be written down; trying on");
            tokio::select! {
                () = cancel.cancelled() => return,
                () = sleep(DB_PAUSE) => {}
            }
        }
    }

    async fn mark_failed(
        &self,
        channel: &Channel,
        row: &Waiting,
        trouble: Trouble,
        pause_ms: u64,
    ) -> Result<(), DbError> {
        let (id, now, what) = (row.id, self.0.clock.now(), trouble.what);
        let once = row.letter.as_ref().map_or("", |letter| letter.notice.once.as_str());
        if now.0.saturating_sub(row.made_at.0) >= GIVE_UP_MS {
            tracing::warn!(
                channel = channel.name(),
                once,
                trouble = what,
                "a notice is given up: its channel took nothing for a day"
            );
            return self.0.db.run(move |sql| rows::give_up(sql, id, &what, now)).await;
        }
        if row.tries == 0 {
            tracing::warn!(
                channel = channel.name(),
                once,
                trouble = what,
                "a notice could not be told; it is tried again for a day"
            );
        }
        let due = UnixMs(now.0.saturating_add(backoff_ms(row.tries).max(pause_ms)));
        self.0.db.run(move |sql| rows::failed(sql, id, &what, due)).await
    }
}

/// The wait after a failure, by the failures before it.
fn backoff_ms(tries: u32) -> u64 {
    let doubled = 1u64.checked_shl(tries).and_then(|by| BACKOFF_MIN_MS.checked_mul(by));
    doubled.unwrap_or(BACKOFF_MAX_MS).min(BACKOFF_MAX_MS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_from_five_seconds_to_a_quarter_of_an_hour() {
        let waits: Vec<u64> = (0..10).map(|tries| backoff_ms(tries) / 1000).collect();
        assert_eq!(waits, [5, 10, 20, 40, 80, 160, 320, 640, 900, 900]);
        assert_eq!(backoff_ms(u32::MAX), BACKOFF_MAX_MS);
    }
}
