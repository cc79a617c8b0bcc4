//! Rows of the door's database: all SQL of the crate.
//!
//! Invariant: what is read was written by this file; a row that cannot be read is an error, never left out.

use crate::coin::Coin;
use crate::difficulty::Difficulty;
use crate::farmer::{Farmer, Points};
use crate::hash::Bytes32;
use crate::network::Network;
use crate::signature;
use crate::singleton::PoolState;
use crate::singleton::lineage::{Absorbed, LineageProof, Tip};
use crate::singleton::puzzle::Contract;
use crate::wire::KeyBytes;
use crate::wire::partial::Point;
use accounting::{ShareKey, ShareSeq, UnixMs};
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSqlOutput, ValueRef};
use rusqlite::{Connection, Row, ToSql, params};
use std::collections::HashMap;

/// Blocks whose rewards are told again after a restart: some weeks, more than a backup is old.
const TOLD_AGAIN: u32 = 200_000;

/// A column that holds what it must not.
#[derive(Debug, thiserror::Error)]
#[error("a row of the farming database cannot be read: {0}")]
struct Unreadable(&'static str);

impl ToSql for Bytes32 {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(ValueRef::Blob(&self.0)))
    }
}

impl FromSql for Bytes32 {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let bytes = value.as_blob()?;
        bytes
            .try_into()
            .map(Bytes32)
            .map_err(|_| FromSqlError::Other(Unreadable("32 bytes").into()))
    }
}

/// A partial that is to be looked at again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pending {
    /// Its name.
    pub key: ShareKey,
    /// Whose.
    pub launcher_id: Bytes32,
    /// For which point.
    pub point: Point,
    /// What it counts.
    pub difficulty: u64,
    /// When it came.
    pub at: UnixMs,
    /// Where the pool's log has it, if it is known.
    pub seq: Option<ShareSeq>,
}

/// What a row of partials is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Waits.
    Pending,
    /// Stands.
    Stands,
    /// The pool is to be told that it does not.
    ToRevoke,
    /// The pool was told.
    Revoked,
}

impl Fate {
    const fn number(self) -> i64 {
        match self {
            Fate::Pending => 0,
            Fate::Stands => 1,
            Fate::ToRevoke => 2,
            Fate::Revoked => 3,
        }
    }
}

fn unsigned(row: &Row<'_>, column: &str) -> rusqlite::Result<u64> {
    row.get::<_, u64>(column)
}

/// All farmers.
pub fn farmers(db: &Connection, network: &Network, now: UnixMs) -> rusqlite::Result<Vec<Farmer>> {
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
            member_since: row.get("member_since")?,
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
    Ok(Tip { coin, height: row.get("height")?, state, proof })
}

/// Writes a new farmer.
pub fn insert_farmer(db: &Connection, farmer: &Farmer) -> rusqlite::Result<()> {
    let (history, next, is_wished) = farmer.difficulty.history();
    let launcher = farmer.contract.launcher_id;
    db.execute(
        "INSERT INTO farmers (launcher, contract_hash, delay_s, delay_puzzle_hash, authentication_key, instructions,
           member_since, joined_at, next_difficulty, is_wished, wished_at) VALUES (?,?,?,?,?,?,?,?,?,?,?)",
        params![
            launcher,
            farmer.contract_hash,
            farmer.contract.delay_s,
            farmer.contract.delay_puzzle_hash,
            farmer.key.to_bytes().as_slice(),
            farmer.instructions,
            farmer.member_since,
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
pub fn update_farmer(db: &Connection, farmer: &Farmer) -> rusqlite::Result<()> {
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
pub fn update_tips(db: &Connection, farmer: &Farmer) -> rusqlite::Result<()> {
    let launcher = &farmer.contract.launcher_id;
    let since = params![farmer.member_since, launcher];
    db.execute("UPDATE farmers SET member_since = ? WHERE launcher = ?", since)?;
    put_tip(db, launcher, 0, Some(&farmer.buried))?;
    put_tip(db, launcher, 1, farmer.latest.as_ref())
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
    db.prepare_cached("INSERT OR REPLACE INTO tips VALUES (?,?,?,?,?,?,?,?,?,?)")?.execute(
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

/// Writes a partial; gives whether it was not known before.
pub fn insert_partial(
    db: &Connection,
    pending: &Pending,
    harvester: &Bytes32,
    due_at: UnixMs,
) -> rusqlite::Result<bool> {
    let mut statement = db.prepare_cached(
        "INSERT OR IGNORE INTO partials (key, launcher, point, is_end, difficulty, at, harvester, due_at)
         VALUES (?,?,?,?,?,?,?,?)",
    )?;
    let added = statement.execute(params![
        Bytes32(pending.key.0),
        pending.launcher_id,
        pending.point.hash(),
        pending.point.is_end_of_sub_slot(),
        pending.difficulty,
        pending.at.0,
        harvester,
        due_at.0,
    ])?;
    Ok(added == 1)
}

/// Writes where the pool's log has a partial.
pub fn recorded(db: &Connection, key: &ShareKey, seq: ShareSeq) -> rusqlite::Result<()> {
    db.prepare_cached("UPDATE partials SET seq = ? WHERE key = ?")?
        .execute(params![seq.0, Bytes32(key.0)])?;
    Ok(())
}

/// Writes what became of a partial.
pub fn fated(
    db: &Connection,
    key: &ShareKey,
    fate: Fate,
    reason: Option<&str>,
) -> rusqlite::Result<()> {
    db.prepare_cached("UPDATE partials SET state = ?, reason = ? WHERE key = ?")?
        .execute(params![fate.number(), reason, Bytes32(key.0)])?;
    Ok(())
}

/// A partial is to be looked at again later.
pub fn postponed(db: &Connection, key: &ShareKey, due_at: UnixMs) -> rusqlite::Result<()> {
    db.prepare_cached("UPDATE partials SET due_at = ? WHERE key = ?")?
        .execute(params![due_at.0, Bytes32(key.0)])?;
    Ok(())
}

const PENDING: &str = "SELECT key, launcher, point, is_end, difficulty, at, seq FROM partials";

fn pending(row: &Row<'_>) -> rusqlite::Result<Pending> {
    let hash: Bytes32 = row.get("point")?;
    let point = match row.get("is_end")? {
        true => Point::EndOfSubSlot(hash),
        false => Point::Signage(hash),
    };
    Ok(Pending {
        key: ShareKey(row.get::<_, Bytes32>("key")?.0),
        launcher_id: row.get("launcher")?,
        point,
        difficulty: unsigned(row, "difficulty")?,
        at: UnixMs(unsigned(row, "at")?),
        seq: row.get::<_, Option<u64>>("seq")?.map(ShareSeq),
    })
}

/// Recorded partials that are due to be looked at again, the oldest first.
pub fn due(db: &Connection, now: UnixMs, most: usize) -> rusqlite::Result<Vec<Pending>> {
    let mut statement = db.prepare(&format!(
        "{PENDING} WHERE state = 0 AND seq IS NOT NULL AND due_at <= ? ORDER BY due_at LIMIT ?"
    ))?;
    statement.query_map(params![now.0, most], pending)?.collect()
}

/// Partials that are in no log yet.
pub fn unrecorded(db: &Connection, before: UnixMs, most: usize) -> rusqlite::Result<Vec<Pending>> {
    let mut statement =
        db.prepare(&format!("{PENDING} WHERE seq IS NULL AND at <= ? ORDER BY at LIMIT ?"))?;
    statement.query_map(params![before.0, most], pending)?.collect()
}

/// Partials that the pool is still to be told about, with the reason.
pub fn to_revoke(db: &Connection, most: usize) -> rusqlite::Result<Vec<(Pending, String)>> {
    let mut statement = db.prepare(
        "SELECT key, launcher, point, is_end, difficulty, at, seq, reason FROM partials
         WHERE state = 2 AND seq IS NOT NULL ORDER BY at LIMIT ?",
    )?;
    let rows = statement.query_map([most], |row| {
        Ok((pending(row)?, row.get::<_, Option<String>>("reason")?.unwrap_or_default()))
    })?;
    rows.collect()
}

/// Counts refusals.
pub fn add_refusals(
    db: &Connection,
    launcher: &Bytes32,
    at: UnixMs,
    reason: &str,
    count: u64,
) -> rusqlite::Result<()> {
    db.prepare_cached(
        "INSERT INTO refusals VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO UPDATE SET count = count + ?4",
    )?
    .execute(params![launcher, at.0 / 3_600_000, reason, count])?;
    Ok(())
}

/// Writes a reward that arrived, and whether it is its farmer's own; known ones stay as they are.
pub fn insert_income(
    db: &Connection,
    launcher: &Bytes32,
    absorbed: &Absorbed,
    height: u32,
    is_own: bool,
) -> rusqlite::Result<()> {
    let coin = &absorbed.coin;
    db.execute(
        "INSERT OR IGNORE INTO income (coin, launcher, amount, reward_height, height, is_own) VALUES (?,?,?,?,?,?)",
        params![coin.id(), launcher, coin.amount, absorbed.reward_height, height, is_own],
    )?;
    Ok(())
}

/// A reward that arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Income {
    /// The coin at the pool's address.
    pub coin: Bytes32,
    /// Whose plot NFT it came through.
    pub launcher_id: Bytes32,
    /// In mojo.
    pub amount: u64,
    /// The block whose reward it was.
    pub reward_height: u32,
    /// The block that brought it here.
    pub height: u32,
    /// Farmed before its farmer joined?
    pub is_own: bool,
}

/// Rewards that the pool is to be told of, at or below a height.
pub fn income_to_report(db: &Connection, height: u32) -> rusqlite::Result<Vec<Income>> {
    let mut statement =
        db.prepare("SELECT * FROM income WHERE state = 0 AND height <= ? ORDER BY height, coin")?;
    let rows = statement.query_map([height], |row| {
        Ok(Income {
            coin: row.get("coin")?,
            launcher_id: row.get("launcher")?,
            amount: unsigned(row, "amount")?,
            reward_height: row.get("reward_height")?,
            height: row.get("height")?,
            is_own: row.get("is_own")?,
        })
    })?;
    rows.collect()
}

/// What the pool was told lately is told again: nothing changes where its books have it, and books restored from a backup may not.
pub fn doubt_what_was_told(db: &Connection) -> rusqlite::Result<()> {
    db.execute("UPDATE partials SET seq = NULL WHERE state IN (0, 2)", [])?;
    let lately = "UPDATE income SET state = 0 WHERE height >= (SELECT max(height) FROM income) - ?";
    db.execute(lately, [TOLD_AGAIN])?;
    Ok(())
}

/// Writes that the pool was told of a reward.
pub fn reported(db: &Connection, coin: &Bytes32) -> rusqlite::Result<()> {
    db.execute("UPDATE income SET state = 1 WHERE coin = ?", [coin])?;
    Ok(())
}

/// Forgets a reward that was not reported and that the chain took back.
pub fn forget_income(db: &Connection, coin: &Bytes32) -> rusqlite::Result<()> {
    db.execute("DELETE FROM income WHERE coin = ? AND state = 0", [coin])?;
    Ok(())
}

/// Writes a bundle before it is sent.
pub fn insert_bundle(
    db: &Connection,
    id: &Bytes32,
    launcher: &Bytes32,
    body: &str,
    at: UnixMs,
) -> rusqlite::Result<()> {
    let bundle = params![id, launcher, body, at.0];
    db.execute("INSERT OR IGNORE INTO bundles VALUES (?,?,?,?)", bundle)?;
    Ok(())
}

/// Settled partials, refusals and bundles that are old enough go.
pub fn prune(db: &Connection, before: UnixMs) -> rusqlite::Result<usize> {
    let partials = db.execute(
        "DELETE FROM partials WHERE at < ? AND state IN (1, 3) AND seq IS NOT NULL",
        [before.0],
    )?;
    let refusals = db.execute("DELETE FROM refusals WHERE hour < ?", [before.0 / 3_600_000])?;
    Ok(partials + refusals + db.execute("DELETE FROM bundles WHERE made_at < ?", [before.0])?)
}

/// A partial as its farmer sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// When it came.
    pub at: UnixMs,
    /// What it counts.
    pub difficulty: u64,
    /// What became of it.
    pub fate: &'static str,
    /// Why, if it does not stand.
    pub reason: Option<String>,
    /// Which harvester found it.
    pub harvester: Bytes32,
}

/// A farmer's newest partials.
pub fn latest(db: &Connection, launcher: &Bytes32, most: usize) -> rusqlite::Result<Vec<Listed>> {
    let mut statement = db.prepare(
        "SELECT at, difficulty, state, reason, harvester FROM partials WHERE launcher = ? ORDER BY at DESC LIMIT ?",
    )?;
    let rows = statement.query_map(params![launcher, most], |row| {
        Ok(Listed {
            at: UnixMs(unsigned(row, "at")?),
            difficulty: unsigned(row, "difficulty")?,
            fate: match row.get::<_, i64>("state")? {
                0 => "counts, to be confirmed",
                1 => "counts",
                _ => "revoked",
            },
            reason: row.get("reason")?,
            harvester: row.get("harvester")?,
        })
    })?;
    rows.collect()
}

/// A farmer's refusals since a time, by reason.
pub fn refusals(
    db: &Connection,
    launcher: &Bytes32,
    since: UnixMs,
) -> rusqlite::Result<Vec<(String, u64)>> {
    let mut statement = db.prepare(
        "SELECT reason, sum(count) FROM refusals WHERE launcher = ? AND hour >= ? GROUP BY reason ORDER BY reason",
    )?;
    let of = params![launcher, since.0 / 3_600_000];
    statement.query_map(of, |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
}
