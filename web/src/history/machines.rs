//! Machines' totals, kept over restarts.

use super::{Total, Track};
use crate::rates::Rates;
use accounting::{AccountId, Identity, IdentityKind, PoolId, UnixMs, WorkerId};
use pool::observe::Machine;
use rusqlite::{Connection, Row, params};
use std::collections::HashMap;
use std::sync::Arc;

/// Machines that had a share since then; the time they were away counts in their rates.
pub(super) fn load(
    sql: &Connection,
    since: UnixMs,
    now: UnixMs,
) -> rusqlite::Result<HashMap<Machine, Track>> {
    let mut statement = sql.prepare("SELECT * FROM machines WHERE max(last_share, since) >= ?")?;
    let rows = statement.query_map([since.0.cast_signed()], |row| read(row, now))?;
    rows.filter_map(Result::transpose).collect()
}

fn read(row: &Row<'_>, now: UnixMs) -> rusqlite::Result<Option<(Machine, Track)>> {
    let whole = |column| row.get::<_, i64>(column).map(i64::cast_unsigned);
    let Ok(kind) = row.get::<_, String>(3)?.parse::<IdentityKind>() else { return Ok(None) };
    let identity = Identity { kind, network: row.get(4)?, bytes: row.get(5)? };
    let machine = Machine {
        pool: PoolId(row.get(0)?),
        identity: Arc::new(identity),
        worker: row.get::<_, String>(7)?.into(),
    };
    let mut rates: Rates = serde_json::from_str(&row.get::<_, String>(17)?).unwrap_or_default();
    rates.add(0.0, now.0.saturating_sub(whole(18)?) as f64 / 1000.0);
    let total = Total {
        ids: Some((AccountId(whole(1)?), WorkerId(whole(2)?))),
        display: row.get::<_, String>(6)?.into(),
        agent: row.get::<_, String>(8)?.into(),
        shares: whole(9)?,
        work: row.get(10)?,
        rejected: serde_json::from_str(&row.get::<_, String>(11)?).unwrap_or_default(),
        best: row.get(12)?,
        best_at: UnixMs(whole(13)?),
        last_share: UnixMs(whole(14)?),
        asked: row.get(15)?,
        since: UnixMs(whole(16)?),
    };
    Ok(Some((machine, Track::noted(total, rates))))
}

/// Drops machines that had no share since then.
pub(super) fn forget(sql: &Connection, since: UnixMs) -> rusqlite::Result<()> {
    let text = "DELETE FROM machines WHERE max(last_share, since) < ?";
    sql.execute(text, [since.0.cast_signed()]).map(drop)
}

/// Those that ever had a share accepted.
pub(super) fn write(
    sql: &Connection,
    machines: &[(Arc<Machine>, Track)],
    now: UnixMs,
) -> rusqlite::Result<()> {
    let text = "INSERT OR REPLACE INTO machines VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
    let mut insert = sql.prepare_cached(text)?;
    for (machine, Track { total, rates, .. }) in machines {
        let Some((account, worker)) = total.ids else { continue };
        insert.execute(params![
            machine.pool.0,
            account.0.cast_signed(),
            worker.0.cast_signed(),
            machine.identity.kind.as_str(),
            machine.identity.network,
            machine.identity.bytes,
            &*total.display,
            &*machine.worker,
            &*total.agent,
            total.shares.cast_signed(),
            total.work,
            serde_json::to_string(&total.rejected).unwrap_or_default(),
            total.best,
            total.best_at.0.cast_signed(),
            total.last_share.0.cast_signed(),
            total.asked,
            total.since.0.cast_signed(),
            serde_json::to_string(rates).unwrap_or_default(),
            now.0.cast_signed(),
        ])?;
    }
    Ok(())
}
