//! What is done behind the door, again and again: partials looked at again, what a crash left half done, rewards reported.
//!
//! Invariant: each chore may be cut off anywhere and done again: what it does is idempotent, and it notes that it was done only
//! afterwards.

use crate::door::Door;
use crate::farmer::held;
use crate::hash::Bytes32;
use crate::node::Standing;
use crate::node::rpc::RpcError;
use crate::reject::Reject;
use crate::rows;
use crate::rows::income::Income;
use crate::rows::partials::{Fate, Pending};
use crate::tables::TablesError;
use crate::verify::Signage;
use crate::wire::partial::Point;
use accounting::{Amount, BasisPoints, RewardId, Scheme, UnixMs};
use pool::BlockReport;
use std::collections::HashMap;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How often the chores are done.
const EVERY: Duration = Duration::from_secs(1);
/// Rows of one round.
const ROWS_MAX: usize = 1000;
/// A partial that nobody can say anything about is asked after again.
const AGAIN_MS: u64 = 60_000;
/// After so long it stands: it stood when it came, and a node that was restarted has forgotten both.
const GIVE_UP_MS: u64 = 3_600_000;
/// For so long after a point a node that says that it went back has looked; later, nodes say so of every point.
const REVERTED_MS: u64 = 40 * 60_000;
/// The confirmation delay is shorter than that.
pub const CONFIRM_MS_MAX: u64 = 30 * 60_000;
/// Rows whose answer is probably still on its way are left alone.
const UNDERWAY_MS: u64 = 60_000;
/// How long settled partials are kept for their farmers to look at.
const KEPT_MS: u64 = 7 * 24 * 3_600_000;
/// How a reward is divided that is its farmer's own.
pub const REFUNDED: Scheme = Scheme::Solo { custodial: true };
/// Rounds between two clean-ups.
const CLEAN_EVERY: u64 = 600;

/// Does the chores until cancelled.
pub async fn run(door: &Door, cancel: &CancellationToken) {
    let mut round = 0u64;
    loop {
        once(door).await;
        if round.is_multiple_of(CLEAN_EVERY)
            && let Err(error) = clean(door).await
        {
            tracing::warn!(%error, "cannot clean up now");
        }
        round += 1;
        tokio::select! {
            () = cancel.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

/// Does each chore once.
pub async fn once(door: &Door) {
    for (what, done) in [
        ("record partials", record_again(door).await),
        ("look at partials again", look_again(door).await),
        ("revoke partials", revoke(door).await),
        ("report rewards", report(door).await),
        ("tell payout instructions", tell_where(door).await),
        ("count refusals", door.write_refusals().await),
    ] {
        if let Err(error) = done {
            tracing::warn!(%error, "cannot {what} now");
        }
    }
}

/// Partials whose row is on disk and of which nobody knows whether the pool's log has them.
async fn record_again(door: &Door) -> Result<(), TablesError> {
    let before = UnixMs(door.clock.now().0.saturating_sub(UNDERWAY_MS));
    record_older(door, before).await
}

/// At the start nothing is underway.
///
/// # Errors
/// When the database cannot be read.
pub async fn record_all(door: &Door) -> Result<(), TablesError> {
    door.tables.write(rows::doubt_what_was_told).await?;
    record_older(door, UnixMs(i64::MAX as u64)).await
}

async fn record_older(door: &Door, before: UnixMs) -> Result<(), TablesError> {
    let mut after = None;
    loop {
        let some = move |db: &_| rows::partials::unrecorded(db, before, after, ROWS_MAX);
        let rows = door.tables.read(some).await?;
        let Some(last) = rows.last() else { return Ok(()) };
        after = Some((last.at, last.key));
        for pending in rows {
            let Ok(farmer) = door.farmers.get(&pending.launcher_id) else { continue };
            if let Err(reject) = door.log(&pending, &farmer).await {
                // One that cannot be recorded keeps no other waiting.
                tracing::warn!(launcher = %pending.launcher_id, reason = reject.label(), "a partial waits to be recorded");
            }
        }
    }
}

/// After the confirmation delay: does the signage point still stand, and is the farmer still here?
async fn look_again(door: &Door) -> Result<(), TablesError> {
    let now = door.clock.now();
    let Some(standing) = door.nodes.standing() else { return Ok(()) };
    let due = door.tables.read(move |db| rows::partials::due(db, now, ROWS_MAX)).await?;
    let mut points: HashMap<Point, Result<Option<Signage>, RpcError>> = HashMap::new();
    for pending in due {
        let asked = match points.get(&pending.point) {
            Some(asked) => asked,
            None => {
                let asked = door.nodes.signage(&pending.point).await;
                points.entry(pending.point).or_insert(asked)
            }
        };
        let asked = match asked {
            Ok(known) => Ok(known.as_ref()),
            Err(error) => Err(error),
        };
        let judged = judge_again(door, &pending, asked, &standing, now);
        settle(door, &pending, judged, now).await?;
    }
    Ok(())
}

/// What becomes of a partial; `None`: nobody can say.
fn judge_again(
    door: &Door,
    pending: &Pending,
    signage: Result<Option<&Signage>, &RpcError>,
    standing: &Standing,
    now: UnixMs,
) -> Option<Result<(), Reject>> {
    let farmer = door.farmers.get(&pending.launcher_id).ok()?;
    if held(&farmer).admit(&door.settings.terms, standing.height) == Err(Reject::NotAMember) {
        return Some(Err(Reject::NotAMember));
    }
    let waited = now.0.saturating_sub(pending.at.0);
    match signage {
        Ok(Some(signage)) if !signage.is_reverted => Some(Ok(())),
        Ok(Some(_)) if waited < REVERTED_MS => Some(Err(Reject::PointReverted)),
        Ok(_) | Err(_) => {
            (waited > door.settings.confirm_after_ms.saturating_add(GIVE_UP_MS)).then_some(Ok(()))
        }
    }
}

async fn settle(
    door: &Door,
    pending: &Pending,
    judged: Option<Result<(), Reject>>,
    now: UnixMs,
) -> Result<(), TablesError> {
    let key = pending.key;
    match judged {
        Some(Ok(())) => {
            door.tables.later(move |db| rows::partials::fated(db, &key, Fate::Stands, None)).await
        }
        Some(Err(reject)) => {
            tracing::info!(launcher = %pending.launcher_id, reason = reject.label(), "a partial does not stand");
            let reason = reject.label();
            door.tables
                .write(move |db| rows::partials::fated(db, &key, Fate::ToRevoke, Some(reason)))
                .await
        }
        None => {
            door.stats.not_known();
            tracing::warn!(point = %pending.point.hash(), "no node knows a signage point whose partials are to be looked at again");
            let due_at = UnixMs(now.0.saturating_add(AGAIN_MS));
            door.tables.write(move |db| rows::partials::postponed(db, &key, due_at)).await
        }
    }
}

/// Tells the pool of partials that do not stand.
async fn revoke(door: &Door) -> Result<(), TablesError> {
    let rows = door.tables.read(move |db| rows::partials::to_revoke(db, ROWS_MAX)).await?;
    for (pending, reason) in rows {
        let Some(seq) = pending.seq else { continue };
        if let Err(error) = door.pool.revoke(seq, reason.clone()).await {
            tracing::warn!(%error, "a partial waits to be revoked");
            return Ok(());
        }
        door.stats.revoke();
        let key = pending.key;
        door.tables
            .write(move |db| rows::partials::fated(db, &key, Fate::Revoked, Some(&reason)))
            .await?;
    }
    Ok(())
}

/// Tells the pool of rewards that lie deep enough.
async fn report(door: &Door) -> Result<(), TablesError> {
    let Some(standing) = door.nodes.standing() else { return Ok(()) };
    let deep = standing.height.saturating_sub(door.settings.report_depth);
    let due = door.tables.read(move |db| rows::income::to_report(db, deep)).await?;
    for mut income in due {
        let coin = income.coin;
        match door.nodes.coin(&coin, income.height).await {
            Ok(Some(record)) if record.coin.amount == income.amount => {
                // An absorption that was taken back and done again made the same coin later.
                if record.confirmed != income.height {
                    income.height = record.confirmed;
                    let later = move |db: &_| rows::income::moved(db, &coin, record.confirmed);
                    door.tables.write(later).await?;
                }
                if income.height > deep {
                    continue;
                }
            }
            Ok(_) => {
                tracing::warn!(%coin, "the chain took a reward back before the pool was told");
                door.tables.write(move |db| rows::income::forget(db, &coin)).await?;
                continue;
            }
            Err(error) => {
                tracing::warn!(%error, "a reward waits to be seen");
                return Ok(());
            }
        }
        if let Err(error) = door.pool.found(found(door, &income, &standing)).await {
            tracing::warn!(%error, "a reward waits to be reported");
            return Ok(());
        }
        door.tables.write(move |db| rows::income::reported(db, &coin)).await?;
    }
    Ok(())
}

/// Income as the books take it. What was farmed before its farmer joined goes to the pot that gives a reward whole to who found it.
fn found(door: &Door, income: &Income, standing: &Standing) -> BlockReport {
    let (pool, scheme) = match income.is_own {
        true => (door.refunds, REFUNDED),
        false => (door.pool_id, door.settings.scheme),
    };
    BlockReport {
        budget: None,
        member: None,
        pool,
        finder: door.identity(&income.launcher_id),
        display: income.launcher_id.to_string(),
        worker: "farm".to_owned(),
        block: RewardId(income.coin.0),
        height: u64::from(income.height),
        to_pool: Amount::from_units(i128::from(income.amount)),
        to_miners: Amount::ZERO,
        commitment: None,
        coinbase_fee: BasisPoints::ZERO,
        network_work: points_of_a_block(door.nodes.network().pool_sub_slot_iters, standing),
        scheme,
        share: None,
        found_at: door.clock.now(),
    }
}

/// The points that a farm earns for each block it wins, on average: a partial needs its iterations below the pool's share of a
/// sub-slot at its own difficulty, a block below the chain's share at the network's.
#[must_use]
pub fn points_of_a_block(pool_sub_slot_iters: u64, standing: &Standing) -> u128 {
    let points = u128::from(standing.difficulty) * u128::from(pool_sub_slot_iters)
        / u128::from(standing.sub_slot_iters.max(1));
    points.max(1)
}

/// Payout instructions that the books were not told, because the writer was away.
async fn tell_where(door: &Door) -> Result<(), TablesError> {
    let untold: Vec<Bytes32> =
        door.tables.read(move |db| rows::farmers::untold(db, ROWS_MAX)).await?;
    for launcher_id in untold {
        if let Ok(farmer) = door.farmers.get(&launcher_id) {
            door.pay_to(&farmer).await;
        }
    }
    Ok(())
}

async fn clean(door: &Door) -> Result<(), TablesError> {
    let now = door.clock.now();
    let before = UnixMs(now.0.saturating_sub(KEPT_MS));
    let gone = door
        .tables
        .write(move |db| Ok(rows::prune(db, before)? + rows::farmers::forget_told(db, before)?));
    let gone = gone.await?;
    tracing::debug!(rows = gone, "settled partials are forgotten");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_of_a_block_follow_the_networks_difficulty() {
        let standing = Standing {
            height: 1,
            peak: Bytes32::default(),
            is_synced: true,
            difficulty: 12_000,
            sub_slot_iters: 578_813_952,
            is_mempool_full: false,
        };
        assert_eq!(points_of_a_block(37_600_000_000, &standing), 779_525);
        let odd = Standing { sub_slot_iters: 0, difficulty: 0, ..standing };
        assert_eq!(points_of_a_block(37_600_000_000, &odd), 1);
    }
}
