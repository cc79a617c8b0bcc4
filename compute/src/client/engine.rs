//! What a miner does with what it has in hand: evaluates, evolves, and keeps what is done after each step.
//!
//! It knows of no pool: the same engine answers a pool's leases and a sidecar's jobs. Invariant: what is done is on disk before
//! the next begins, so that a crash costs the evaluation at work.

use super::hand::Hand;
use super::{ClientError, News, Progress};
use crate::dsl::{Limits, Program, lenient};
use crate::evaluate::{Evaluation, Prepared};
use crate::evolve::{Evolver, Profile, founders};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Who is told what happens.
pub type Tell = Arc<dyn Fn(News) + Send + Sync>;

/// The part of a miner that computes.
#[derive(Clone)]
pub struct Engine {
    /// What programs are scored on.
    pub set: Arc<Prepared>,
    /// New programs tried for each that is sent.
    pub generations: usize,
    /// Where what is in hand is kept.
    pub folder: PathBuf,
    /// Who is told what happens.
    pub tell: Tell,
    /// The end.
    pub cancel: CancellationToken,
}

impl Engine {
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(super) fn say(&self, news: News) {
        (self.tell)(news);
    }

    /// Does what is left of it. Says whether it is complete: it is not when told to stop.
    pub(super) async fn complete(
        &self,
        hand: &mut Hand,
        entropy: &[u8],
    ) -> Result<bool, ClientError> {
        let of = hand.given.evaluate.len();
        while let Some((id, text)) = hand.next_to_evaluate() {
            let done = hand.evaluated.len();
            self.say(News::Progress(Progress { doing: "evaluating", done, of }));
            let Some(found) = self.evaluate(text).await else { return Ok(false) };
            self.say(News::Evaluated { algorithm: id, score: found.score.to_f64() });
            hand.evaluated(id, &found);
            hand.save(&self.folder)?;
        }
        while hand.evolved.len() < hand.given.evolve_budget {
            let Some(found) = self.evolve(hand, entropy).await else { return Ok(false) };
            hand.evolved.push(found);
            hand.save(&self.folder)?;
        }
        Ok(true)
    }

    /// Nothing when told to stop.
    async fn evaluate(&self, text: String) -> Option<Evaluation> {
        let engine = self.clone();
        let run = move || {
            let reading = lenient::read(&text, engine.set.input_dim(), &Limits::POOL);
            let Ok(reading) = reading else { return Some(Evaluation::unusable()) };
            let found = engine.set.evaluate_while(&reading.program, || engine.go_on());
            found.unwrap_or(Some(Evaluation::unusable()))
        };
        tokio::task::spawn_blocking(run).await.unwrap_or(None)
    }

    /// The best program that a search from the seeds finds; nothing when told to stop.
    async fn evolve(&self, hand: &Hand, entropy: &[u8]) -> Option<String> {
        let (engine, seeds) = (self.clone(), hand.seeds());
        let seed = u64::from_be_bytes(hand.entropy(entropy));
        let run = move || engine.search(&seeds, seed);
        let (from, to, text) = tokio::task::spawn_blocking(run).await.ok()??;
        self.say(News::Evolved { from, to });
        Some(text)
    }

    fn search(&self, seeds: &[String], seed: u64) -> Option<(Option<f64>, Option<f64>, String)> {
        let mut search = Search::begin(self, seeds, seed)?;
        let from = search.best_score();
        // The best of the new ones: what the pool gave it has already.
        let mut best: Option<(crate::score::Score, String)> = None;
        let of = self.generations.max(1);
        for done in 0..of {
            self.say(News::Progress(Progress { doing: "evolving", done, of }));
            let Some((child, found)) = search.step(self)? else { continue };
            if best.as_ref().is_none_or(|(score, _)| *score < found) {
                best = Some((found, child.text()));
            }
        }
        best.map(|(score, text)| (from, score.to_f64(), text))
    }

    pub(super) fn go_on(&self) -> ControlFlow<()> {
        match self.cancel.is_cancelled() {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    }
}

/// A search for better programs, one step at a time.
pub(super) struct Search(Evolver);

impl Search {
    /// From seeds, or from the founders where there are none; nothing when told to stop.
    pub(super) fn begin(engine: &Engine, seeds: &[String], seed: u64) -> Option<Self> {
        let set = &engine.set;
        let mut evolver = Evolver::new(Profile::CIFAR, seed);
        let read = |text: &String| lenient::read(text, set.input_dim(), &Limits::POOL).ok();
        let given: Vec<_> = seeds.iter().filter_map(read).map(|reading| reading.program).collect();
        let begin = if given.is_empty() { founders(set.input_dim()) } else { given };
        for program in &begin {
            let found = set.evaluate_while(program, || engine.go_on()).ok()??;
            evolver.admit(program, found.score);
        }
        Some(Search(evolver))
    }

    pub(super) fn best_score(&self) -> Option<f64> {
        self.0.best()?.score.to_f64()
    }

    /// The best so far, and what it is worth.
    pub(super) fn best(&self) -> Option<(String, f64)> {
        let best = self.0.best()?;
        Some((best.program.text(), best.score.to_f64()?))
    }

    /// Tries a new program. Nothing at all when told to stop; no program when chance found nothing new.
    pub(super) fn step(
        &mut self,
        engine: &Engine,
    ) -> Option<Option<(Program, crate::score::Score)>> {
        let Some(child) = self.0.child() else { return Some(None) };
        let Ok(found) = engine.set.evaluate_while(&child, || engine.go_on()) else {
            return Some(None);
        };
        let score = found?.score;
        self.0.admit(&child, score);
        Some(Some((child, score)))
    }
}
