//! What an audit from outside saw, kept for the next: what was served once cannot be changed later without a trace.
//!
//! Invariant: written only after an audit that passed, whole or not at all; what was remembered is never forgotten by itself.

use super::served::Seen;
use accounting::reward::Reward;
use accounting::window::WindowTable;
use accounting::{PoolId, SliceNo};
use anyhow::Context;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::Path;
use web::model::audit::hex;

/// What was seen of a whole pool server.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Memory {
    /// By pool.
    pools: BTreeMap<PoolId, Newest>,
    /// By block.
    blocks: BTreeMap<String, Frozen>,
}

/// A pool's newest slice: its hash covers all before it.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Newest {
    name: String,
    slice: SliceNo,
    hash: String,
}

/// A block's split.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Frozen {
    pool: PoolId,
    /// Over everything that was frozen with it.
    hash: String,
}

impl Memory {
    /// From a file; empty where there is none yet.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn read(file: &Path) -> anyhow::Result<Self> {
        let name = || format!("--since {}", file.display());
        match std::fs::read(file) {
            Ok(text) => serde_json::from_slice(&text)
                .with_context(|| format!("{}: this is no file that an audit wrote", name())),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Memory::default()),
            Err(error) => Err(error).with_context(name),
        }
    }

    /// Writes it in place of the file.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, file: &Path) -> anyhow::Result<()> {
        let name = || format!("--since {}", file.display());
        let mut fresh = file.as_os_str().to_owned();
        fresh.push(".new");
        let text = serde_json::to_vec(self)?;
        let mut written = File::create(&fresh).with_context(name)?;
        written.write_all(&text).and_then(|()| written.sync_all()).with_context(name)?;
        std::fs::rename(&fresh, file).with_context(name)
    }

    /// What of this is no longer so: `pools` are those that were audited now, `seen` and `now` what was found.
    pub fn changed(
        &self,
        pools: &[PoolId],
        shown: &[PoolId],
        seen: &Seen,
        now: &Self,
    ) -> Vec<String> {
        let mut changed = Vec::new();
        for (pool, Newest { name, slice, hash }) in &self.pools {
            if !shown.contains(pool) {
                changed.push(format!("pool {name} was audited before and is no longer shown"));
                continue;
            }
            let found = seen.hash(*pool, *slice).map(|hash| hex(&hash));
            if pools.contains(pool) && found.as_ref() != Some(hash) {
                let found = found.unwrap_or("none".to_owned());
                changed.push(format!(
                    "history was rewritten: slice {slice} of pool {name} had the hash {hash}, now it has {found}"
                ));
            }
        }
        for (block, frozen) in self.blocks.iter().filter(|(_, was)| pools.contains(&was.pool)) {
            match now.blocks.get(block) {
                None => changed.push(format!("block {block} was audited before and is gone")),
                Some(found) if found != frozen => {
                    changed
                        .push(format!("history was rewritten: block {block} is split otherwise"));
                }
                Some(_) => {}
            }
        }
        changed
    }

    /// Takes up what was seen later.
    pub fn extend(&mut self, later: Self) {
        self.pools.extend(later.pools);
        self.blocks.extend(later.blocks);
    }

    /// A pool's newest slice.
    pub fn saw_pool(&mut self, pool: PoolId, name: &str, (slice, hash): (SliceNo, [u8; 32])) {
        if slice > SliceNo(0) {
            self.pools.insert(pool, Newest { name: name.to_owned(), slice, hash: hex(&hash) });
        }
    }

    /// A block's split.
    pub fn saw_block(&mut self, reward: &Reward) {
        let frozen = Frozen { pool: reward.pool, hash: hex(&frozen(reward)) };
        self.blocks.insert(reward.id.to_string(), frozen);
    }
}

/// A hash over everything about a reward that never changes. The scheme is not in it: what follows from it is.
fn frozen(reward: &Reward) -> [u8; 32] {
    let mut hasher = Sha256::new();
    hasher.update(b"adit split 1");
    hasher.update(reward.id.0);
    hasher.update(reward.pool.0.to_be_bytes());
    for number in [reward.height, reward.finder.0, reward.window_end.0, reward.as_of.0] {
        hasher.update(number.to_be_bytes());
    }
    for amount in [reward.to_pool, reward.to_miners] {
        hasher.update(amount.units().to_be_bytes());
    }
    hasher.update(reward.network_work.to_be_bytes());
    hasher.update(reward.window.as_ref().map_or([0; 32], WindowTable::hash));
    for beside in reward.shared.iter().flat_map(|shared| &shared.beside) {
        hasher.update(beside.pool.0.to_be_bytes());
        hasher.update(beside.part.get().to_be_bytes());
        hasher.update(beside.window.hash());
    }
    if let Some(member) = &reward.member {
        hasher.update(serde_json::to_vec(member).unwrap_or_default());
    }
    for row in reward.split.iter().flat_map(|split| &split.rows) {
        hasher.update(row.account.0.to_be_bytes());
        hasher.update(row.fee_bps.points().to_be_bytes());
        hasher.update(row.net.units().to_be_bytes());
    }
    hasher.finalize().into()
}
