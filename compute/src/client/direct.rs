//! Direct mode: no pool. Evolves until the relay's best is beaten, sends that, and goes on.
//!
//! The best so far is on disk: a crash costs the program at work. Invariant: the same program is sent again only as long as nobody
//! knows whether it arrived.

use super::engine::{Engine, Search};
use super::hand::{read, replace};
use super::{ClientError, News, PAUSE, now_s, rest};
use crate::key::SigningKey;
use crate::relay::{Candidate, Relay, Verdict};
use serde::{Deserialize, Serialize};
use std::time::{Duration, Instant};

/// What was found so far.
const FILE: &str = "direct.json";
/// How often the relay is asked what must be beaten.
const ASK_EVERY: Duration = Duration::from_secs(60);

/// What a restart needs.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Kept {
    /// The best program and its score.
    best: Option<(String, f64)>,
    /// The score of the last that the relay took or does not want.
    settled: Option<f64>,
    /// Searches begun: no two draw the same programs.
    searches: u64,
}

/// A miner without a pool.
pub struct Direct {
    relay: Relay,
    engine: Engine,
}

impl Direct {
    /// For a relay, in the name of a hotkey.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn new(relay: &str, key: SigningKey, engine: Engine) -> Result<Self, ClientError> {
        std::fs::create_dir_all(engine.folder())?;
        Ok(Direct { relay: Relay::new(relay, key)?, engine })
    }

    /// Works until cancelled.
    ///
    /// # Errors
    /// When the relay does not want this hotkey, or what was found cannot be kept.
    pub async fn work(&self) -> Result<(), ClientError> {
        let stored = read(self.engine.folder(), FILE)?;
        let mut kept: Kept =
            stored.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
        kept.searches += 1;
        self.keep(&kept)?;
        let seeds: Vec<String> = kept.best.iter().map(|(text, _)| text.clone()).collect();
        let (engine, seed) = (self.engine.clone(), self.seed(kept.searches));
        let begun = tokio::task::spawn_blocking(move || Search::begin(&engine, &seeds, seed)).await;
        let Ok(Some(mut search)) = begun else { return Ok(()) };
        while !self.engine.cancel.is_cancelled() {
            let threshold = match self.relay.threshold().await {
                Ok(threshold) => threshold,
                Err(trouble) => {
                    self.engine.say(News::Waiting(trouble.to_string(), PAUSE));
                    rest(&self.engine.cancel, PAUSE).await;
                    continue;
                }
            };
            self.engine.say(News::Searching { threshold, best: search.best_score() });
            let target = kept.settled.map_or(threshold, |settled| settled.max(threshold));
            let Some(searched) = self.search(search, target).await else { return Ok(()) };
            search = searched;
            if let Some(best) = search.best() {
                kept.best = Some(best.clone());
                self.keep(&kept)?;
                if is_worth_sending(best.1, threshold, kept.settled) {
                    self.send(best, &mut kept).await?;
                }
            }
        }
        Ok(())
    }

    /// Searches until something is better than the target, or it is time to ask again; nothing when told to stop.
    async fn search(&self, mut search: Search, target: f64) -> Option<Search> {
        let engine = self.engine.clone();
        let run = move || {
            let until = Instant::now() + ASK_EVERY;
            for _ in 0..engine.generations.max(1) {
                search.step(&engine)?;
                if search.best_score().is_some_and(|best| best > target) || Instant::now() > until {
                    break;
                }
            }
            Some(search)
        };
        tokio::task::spawn_blocking(run).await.ok()?
    }

    async fn send(&self, (text, score): (String, f64), kept: &mut Kept) -> Result<(), ClientError> {
        let (task, input_dim) = (self.engine.set.name().to_owned(), self.engine.set.input_dim());
        let candidate = Candidate { task, input_dim, text, score };
        let said = match self.relay.submit(&candidate, now_s()).await {
            Verdict::Accepted(id) => format!("accepted as {id}"),
            Verdict::Duplicate => "the relay had it already".to_owned(),
            Verdict::BelowSota(why) => why,
            Verdict::Refused(why) => return Err(ClientError::Refused(why)),
            Verdict::Unknown(why, after_s) => {
                let pause = after_s.map_or(PAUSE, Duration::from_secs).min(super::PAUSE_MAX);
                self.engine.say(News::Waiting(why, pause));
                rest(&self.engine.cancel, pause).await;
                return Ok(());
            }
        };
        kept.settled = Some(score);
        self.keep(kept)?;
        self.engine.say(News::Submitted { score, said });
        Ok(())
    }

    fn keep(&self, kept: &Kept) -> Result<(), ClientError> {
        Ok(replace(self.engine.folder(), FILE, &serde_json::to_vec(kept)?)?)
    }

    fn seed(&self, searches: u64) -> u64 {
        use sha2::{Digest, Sha256};
        let hash = Sha256::new()
            .chain_update(self.relay.hotkey())
            .chain_update(searches.to_be_bytes())
            .finalize();
        hash.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
    }
}

/// The relay takes what equals its best; what was settled once is not sent again.
fn is_worth_sending(score: f64, threshold: f64, settled: Option<f64>) -> bool {
    score >= threshold && settled.is_none_or(|settled| score > settled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_reaches_the_threshold_is_sent_once() {
        assert!(is_worth_sending(0.6, 0.6, None));
        assert!(!is_worth_sending(0.59, 0.6, None));
        assert!(!is_worth_sending(0.6, 0.5, Some(0.6)));
        assert!(is_worth_sending(0.61, 0.5, Some(0.6)));
    }
}
