//! Rewards that arrived at the pool's addresses.

use super::unsigned;
use crate::hash::Bytes32;
use crate::singleton::lineage::Absorbed;
use rusqlite::{Connection, Row, params};

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

/// Writes a reward that arrived; known ones stay as they are.
pub fn insert(
    db: &Connection,
    launcher: &Bytes32,
    absorbed: &Absorbed,
    height: u32,
) -> rusqlite::Result<()> {
    let (coin, is_own) = (&absorbed.coin, absorbed.is_own());
    db.execute(
        "INSERT OR IGNORE INTO income (coin, launcher, amount, reward_height, height, is_own) VALUES (?,?,?,?,?,?)",
        params![coin.id(), launcher, coin.amount, absorbed.reward_height, height, is_own],
    )?;
    Ok(())
}

/// Rewards that the pool is to be told of, at or below a height.
pub fn to_report(db: &Connection, height: u32) -> rusqlite::Result<Vec<Income>> {
    let mut statement =
        db.prepare("SELECT * FROM income WHERE state = 0 AND height <= ? ORDER BY height, coin")?;
    statement.query_map([height], income)?.collect()
}

/// A farmer's newest rewards.
pub fn latest(db: &Connection, launcher: &Bytes32, most: usize) -> rusqlite::Result<Vec<Income>> {
    let mut statement =
        db.prepare("SELECT * FROM income WHERE launcher = ? ORDER BY height DESC, coin LIMIT ?")?;
    statement.query_map(params![launcher, most], income)?.collect()
}

fn income(row: &Row<'_>) -> rusqlite::Result<Income> {
    Ok(Income {
        coin: row.get("coin")?,
        launcher_id: row.get("launcher")?,
        amount: unsigned(row, "amount")?,
        reward_height: row.get("reward_height")?,
        height: row.get("height")?,
        is_own: row.get("is_own")?,
    })
}

/// Writes that the pool was told of a reward.
pub fn reported(db: &Connection, coin: &Bytes32) -> rusqlite::Result<()> {
    db.execute("UPDATE income SET state = 1 WHERE coin = ?", [coin])?;
    Ok(())
}

/// Writes that a reward that was not reported arrived in another block than it seemed.
pub fn moved(db: &Connection, coin: &Bytes32, height: u32) -> rusqlite::Result<()> {
    db.execute("UPDATE income SET height = ? WHERE coin = ? AND state = 0", params![height, coin])?;
    Ok(())
}

/// Forgets a reward that was not reported and that the chain took back.
pub fn forget(db: &Connection, coin: &Bytes32) -> rusqlite::Result<()> {
    db.execute("DELETE FROM income WHERE coin = ? AND state = 0", [coin])?;
    Ok(())
}
