//! Farmers, their plot NFTs and the difficulties that they were told.

use super::{Unreadable, unsigned};
use crate::coin::Coin;
use crate::difficulty::Difficulty;
use crate::farmer::{Farmer, Points};
use crate::hash::Bytes32;
use crate::network::Network;
use crate::signature;
use crate::singleton::PoolState;
use crate::singleton::lineage::{LineageProof, Tip};
use crate::singleton::puzzle::Contract;
use crate::wire::KeyBytes;
use accounting::UnixMs;
use rusqlite::types::FromSqlError;
use rusqlite::{Connection, Row, params};
use std::collections::HashMap;

/// All farmers.
pub fn all(db: &Connection, network: &Network, now: UnixMs) -> rusqlite::Result<Vec<Farmer>> {
    let mut tips = tips(db)?;
    let mut told = told(db)?;
    let mut statement = db.prepare("SELECT * FROM farmers")?;
    let rows = statement.query_map([], |row| {
        let launcher_id: Bytes32 = row.get("launcher")?;
        let unreadable = |what| FromSqlError::Other(Unreadable(what).into());
        let [buried, latest] = tips.remove(&launcher_id).unwrap_or_default();
        let key: Vec<u8> = row.get("authentication_key")?;
        let key = key.try_into().ok().and_then(|bytes| signature::key(&KeyBytes(bytes)));
        let next = unsigned(row, "next_difficulty")?;
        let history = told.remove(&launcher_id).unwrap_or_default();
        Ok(Farmer {
            contract: Contract {
                launcher_id,
                delay_s: unsigned(row, "delay_s")?,
                delay_puzzle_hash: row.get("delay_puzzle_hash")?,
                reward_prefix: network.pool_reward_prefix(),
            },
            contract_hash: row.get("contract_hash")?,
            key: key.ok_or_else(|| unreadable("a key"))?,
            instructions: row.get("instructions")?,
            joined_at: UnixMs(unsigned(row, "joined_at")?),
            buried: buried.ok_or_else(|| unreadable("a tip"))?,
            latest,
            difficulty: Difficulty::restored(history.into(), next, row.get("is_wished")?, now),
            wished_at: UnixMs(unsigned(row, "wished_at")?),
            points: Points::default(),
            account: None,
        })
    })?;
    let mut all: Vec<Farmer> = rows.collect::<Result<_, _>>()?;
    let mut points = points(db, now)?;
    for farmer in &mut all {
        farmer.points = points.remove(&farmer.contract.launcher_id).unwrap_or_default();
    }
    Ok(all)
}

fn points(db: &Connection, now: UnixMs) -> rusqlite::Result<HashMap<Bytes32, Points>> {
    let since = now.0.saturating_sub(24 * 3_600_000);
    let mut points: HashMap<Bytes32, Points> = HashMap::new();
    let mut statement =
        db.prepare("SELECT launcher, difficulty, at FROM partials WHERE at >= ? AND state < 2")?;
    let mut rows = statement.query([since])?;
    while let Some(row) = rows.next()? {
        let of = points.entry(row.get(0)?).or_default();
        of.add(row.get(1)?, UnixMs(row.get(2)?));
    }
    Ok(points)
}

fn told(db: &Connection) -> rusqlite::Result<HashMap<Bytes32, Vec<(UnixMs, u64)>>> {
    let mut told: HashMap<Bytes32, Vec<(UnixMs, u64)>> = HashMap::new();
    let mut statement =
        db.prepare("SELECT launcher, told_at, difficulty FROM told ORDER BY launcher, told_at")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        told.entry(row.get(0)?).or_default().push((UnixMs(row.get(1)?), row.get(2)?));
    }
    Ok(told)
}

fn tips(db: &Connection) -> rusqlite::Result<HashMap<Bytes32, [Option<Tip>; 2]>> {
    let mut tips: HashMap<Bytes32, [Option<Tip>; 2]> = HashMap::new();
    let mut statement = db.prepare("SELECT * FROM tips")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let view: usize = row.get("view")?;
        let both = tips.entry(row.get("launcher")?).or_default();
        if let Some(slot) = both.get_mut(view) {
            *slot = Some(tip(row)?);
        }
    }
    Ok(tips)
}

fn tip(row: &Row<'_>) -> rusqlite::Result<Tip> {
    let state: Vec<u8> = row.get("state")?;
    let state = PoolState::from_bytes(&state)
        .ok_or_else(|| FromSqlError::Other(Unreadable("a plot NFT's state").into()))?;
    let (parent, amount) = (row.get("proof_parent")?, unsigned(row, "proof_amount")?);
    let proof = match row.get("proof_inner")? {
        None => LineageProof::Launcher { parent, amount },
        Some(inner_puzzle_hash) => LineageProof::Singleton { parent, inner_puzzle_hash, amount },
    };
    let coin = Coin {
        parent: row.get("parent")?,
        puzzle_hash: row.get("puzzle_hash")?,
        amount: unsigned(row, "amount")?,
    };
    Ok(Tip { coin, height: row.get("height")?, state, proof, since: row.get("since")? })
}

/// Writes a new farmer.
pub fn insert(db: &Connection, farmer: &Farmer) -> rusqlite::Result<()> {
    let (history, next, is_wished) = farmer.difficulty.history();
    let launcher = farmer.contract.launcher_id;
    db.execute(
        "INSERT INTO farmers (launcher, contract_hash, delay_s, delay_puzzle_hash, authentication_key, instructions,
           joined_at, next_difficulty, is_wished, wished_at) VALUES (?,?,?,?,?,?,?,?,?,?)",
        params![
            launcher,
            farmer.contract_hash,
            farmer.contract.delay_s,
            farmer.contract.delay_puzzle_hash,
            farmer.key.to_bytes().as_slice(),
            farmer.instructions,
            farmer.joined_at.0,
            next,
            is_wished,
            farmer.wished_at.0,
        ],
    )?;
    for (told_at, difficulty) in history {
        insert_told(db, &launcher, told_at, difficulty)?;
    }
    put_tip(db, &launcher, 0, Some(&farmer.buried))?;
    put_tip(db, &launcher, 1, farmer.latest.as_ref())
}

/// Writes what a farmer may change about itself.
pub fn update(db: &Connection, farmer: &Farmer) -> rusqlite::Result<()> {
    let (_, next, is_wished) = farmer.difficulty.history();
    db.execute(
        "UPDATE farmers SET authentication_key = ?, instructions = ?, next_difficulty = ?, is_wished = ?, wished_at = ?
         WHERE launcher = ?",
        params![
            farmer.key.to_bytes().as_slice(),
            farmer.instructions,
            next,
            is_wished,
            farmer.wished_at.0,
            farmer.contract.launcher_id,
        ],
    )?;
    Ok(())
}

/// Writes which payout instructions the books were told.
pub fn paid_to(db: &Connection, launcher: &Bytes32, instructions: &str) -> rusqlite::Result<()> {
    let told = params![instructions, launcher];
    db.execute("UPDATE farmers SET paid_to = ? WHERE launcher = ?", told)?;
    Ok(())
}

/// Farmers whose payout instructions the books were not told.
pub fn untold(db: &Connection, most: usize) -> rusqlite::Result<Vec<Bytes32>> {
    let mut statement =
        db.prepare("SELECT launcher FROM farmers WHERE paid_to IS NOT instructions LIMIT ?")?;
    statement.query_map([most], |row| row.get(0))?.collect()
}

/// Writes where a farmer's plot NFT is.
pub fn update_tips(
    db: &Connection,
    launcher: &Bytes32,
    buried: &Tip,
    latest: Option<&Tip>,
) -> rusqlite::Result<()> {
    put_tip(db, launcher, 0, Some(buried))?;
    put_tip(db, launcher, 1, latest)
}

fn put_tip(
    db: &Connection,
    launcher: &Bytes32,
    view: i64,
    tip: Option<&Tip>,
) -> rusqlite::Result<()> {
    let Some(tip) = tip else {
        db.execute("DELETE FROM tips WHERE launcher = ? AND view = ?", params![launcher, view])?;
        return Ok(());
    };
    let (parent, inner, amount) = match tip.proof {
        LineageProof::Launcher { parent, amount } => (parent, None, amount),
        LineageProof::Singleton { parent, inner_puzzle_hash, amount } => {
            (parent, Some(inner_puzzle_hash), amount)
        }
    };
    db.prepare_cached("INSERT OR REPLACE INTO tips VALUES (?,?,?,?,?,?,?,?,?,?,?)")?.execute(
        params![
            launcher,
            view,
            tip.coin.parent,
            tip.coin.puzzle_hash,
            tip.coin.amount,
            tip.height,
            tip.state.to_bytes(),
            parent,
            inner,
            amount,
            tip.since,
        ],
    )?;
    Ok(())
}

/// Writes a difficulty that a farmer is about to be told.
pub fn insert_told(
    db: &Connection,
    launcher: &Bytes32,
    told_at: UnixMs,
    difficulty: u64,
) -> rusqlite::Result<()> {
    db.prepare_cached("INSERT OR REPLACE INTO told VALUES (?,?,?)")?
        .execute(params![launcher, told_at.0, difficulty])?;
    db.prepare_cached("UPDATE farmers SET next_difficulty = ? WHERE launcher = ?")?
        .execute(params![difficulty, launcher])?;
    Ok(())
}

/// Forgets difficulties that no signage point can be judged by any more.
pub fn forget_told(db: &Connection, before: UnixMs) -> rusqlite::Result<usize> {
    db.execute(
        "DELETE FROM told WHERE told_at < ?1 AND told_at < (SELECT max(told_at) FROM told AS newer
           WHERE newer.launcher = told.launcher AND newer.told_at < ?1)",
        [before.0],
    )
}
