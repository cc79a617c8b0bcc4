//! What happened since the last look, for streams and notices.
//!
//! Invariant: found by comparing snapshots, so it costs the pool nothing; what must not be missed (notices) is compared with
//! the store, not only with the last look.

use crate::model::Iso;
use crate::outlook::Outlook;
use accounting::UnixMs;
use pool::View;
use serde::Serialize;
use std::collections::BTreeMap;
use tokio::sync::broadcast;

/// News that a slow listener may be behind.
const BEHIND_MAX: usize = 256;

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum News {
    /// Accepted shares.
    Shares {
        /// The pool.
        pool: String,
        /// Shares a second since the last look.
        per_second: f64,
        /// Their work, in hashes a second.
        hashrate: f64,
    },
    /// There is new work.
    Job {
        /// The asset.
        asset: String,
        /// The height worked on.
        height: u64,
        /// What the block pays, in smallest units.
        value: Option<u64>,
        /// Its transactions.
        transactions: Option<usize>,
    },
    /// A block was found, matured, or left the chain.
    Block {
        /// Its hash.
        hash: String,
        /// Its height.
        height: u64,
        /// The pool.
        pool: String,
        /// `immature`, `matured` or `orphaned`.
        state: &'static str,
        /// All it pays, in smallest units.
        #[serde(serialize_with = "as_number")]
        reward: i128,
        /// When it was booked.
        found_at: Iso,
    },
    /// A payout was made, or moved.
    Payout {
        /// Its number.
        id: u64,
        /// Where it stands.
        state: &'static str,
        /// How many are paid.
        recipients: usize,
        /// What arrives, in smallest units.
        #[serde(serialize_with = "as_number")]
        sent: i128,
        /// Its transaction.
        transaction: Option<String>,
    },
}

fn as_number<S: serde::Serializer>(units: &i128, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_i128(*units)
}

impl News {
    /// All kinds.
    pub const KINDS: [&'static str; 4] = ["shares", "job", "block", "payout"];

    /// Which kind it is.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            News::Shares { .. } => "shares",
            News::Job { .. } => "job",
            News::Block { .. } => "block",
            News::Payout { .. } => "payout",
        }
    }
}

/// Tells whoever listens.
#[derive(Debug, Clone)]
pub struct Teller(broadcast::Sender<News>);

impl Default for Teller {
    fn default() -> Self {
        Teller(broadcast::channel(BEHIND_MAX).0)
    }
}

impl Teller {
    /// Listens from now on.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<News> {
        self.0.subscribe()
    }

    /// Tells all; nobody may be listening.
    pub fn tell(&self, news: Vec<News>) {
        for one in news {
            if self.0.send(one).is_err() {
                return;
            }
        }
    }
}

/// What was seen at the last look.
#[derive(Debug, Default)]
pub struct Seen {
    at: UnixMs,
    shares: BTreeMap<u32, (u64, u128)>,
    jobs: BTreeMap<String, (u64, Option<u64>, Option<usize>)>,
    blocks: BTreeMap<[u8; 32], &'static str>,
    payouts: BTreeMap<u64, &'static str>,
    began: bool,
}

impl Seen {
    /// What is new; nothing at the first look.
    pub fn compare(&mut self, outlook: &Outlook, view: &View, now: UnixMs) -> Vec<News> {
        let seconds = now.0.saturating_sub(self.at.0) as f64 / 1000.0;
        let mut news = Vec::new();
        for pool in &view.pools {
            let before = self.shares.insert(pool.id.0, (pool.shares, pool.work));
            if let Some((shares, work)) = before.filter(|_| seconds > 0.0) {
                news.push(News::Shares {
                    pool: pool.name.clone(),
                    per_second: pool.shares.saturating_sub(shares) as f64 / seconds,
                    hashrate: pool.work.saturating_sub(work) as f64 / seconds,
                });
            }
        }
        for asset in &outlook.assets {
            let Some(next) = asset.next else { continue };
            let job = (next.height, next.value, next.transactions);
            if self.jobs.insert(asset.name.clone(), job) != Some(job) {
                news.push(News::Job {
                    asset: asset.name.clone(),
                    height: next.height,
                    value: next.value,
                    transactions: next.transactions,
                });
            }
        }
        self.blocks_and_payouts(view, &mut news);
        self.at = now;
        if std::mem::replace(&mut self.began, true) { news } else { Vec::new() }
    }

    fn blocks_and_payouts(&mut self, view: &View, news: &mut Vec<News>) {
        let name = |id| {
            view.pools
                .iter()
                .find(|pool| pool.id == id)
                .map_or_else(String::new, |p| p.name.clone())
        };
        let mut blocks = BTreeMap::new();
        for reward in view.rewards.iter().rev() {
            let state = reward.state.as_str();
            blocks.insert(reward.id.0, state);
            if self.blocks.get(&reward.id.0) != Some(&state) {
                news.push(News::Block {
                    hash: reward.id.to_string(),
                    height: reward.height,
                    pool: name(reward.pool),
                    state,
                    reward: reward.amount.units(),
                    found_at: Iso(reward.created_at),
                });
            }
        }
        // Only what the snapshot still lists is kept.
        self.blocks = blocks;
        let mut payouts = BTreeMap::new();
        for payout in view.payouts.iter().rev() {
            let state = payout.state.as_str();
            payouts.insert(payout.id.0, state);
            if self.payouts.get(&payout.id.0) != Some(&state) {
                news.push(News::Payout {
                    id: payout.id.0,
                    state,
                    recipients: payout.recipients,
                    sent: payout.sent.units(),
                    transaction: payout.txid.map(|txid| txid.to_string()),
                });
            }
        }
        self.payouts = payouts;
    }
}
