//! The store for those who only look: the command line, the web, an auditor.
//!
//! Invariant: opened read-only; nothing here can change a byte, and a reader never blocks the writer.

use super::listing::Cut;
use super::value::{Json, Money, Sum, Text, basis_points, int, uint};
use super::{FILE_NAME, SCHEMA, load, log};
use crate::StoreError;
use crate::book::Book;
use accounting::ledger::{Balance, Kind, SetKey, TransferSet};
use accounting::membership::Place;
use accounting::rate::Rate;
use accounting::reward::{Reward, RewardState};
use accounting::split::{SliceCredit, Split};
use accounting::union::{Beside, Part, Shared};
use accounting::window::{SliceSource, SourcedSlice, WindowTable};
use accounting::{AccountId, AssetId, PoolId, RateId, RewardId, Share, ShareSeq, SliceNo};
use rusqlite::{Connection, OpenFlags, OptionalExtension, Row};
use serde::de::DeserializeOwned;
use std::path::Path;
use std::time::Duration;

/// From this schema on, pools can share their blocks.
const UNIONS: u32 = 3;
/// Rewards of epochs came with this schema.
const BUDGETS: u32 = 6;
/// From this schema on, blocks can pay miners themselves.
const COMMITMENTS: u32 = 7;

/// A read-only view of the embedded store.
pub struct Reader {
    db: Connection,
    /// An older one, where no pool has opened the store with this program yet.
    schema: u32,
}

/// A cached balance that does not follow from the transfers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoldDifference {
    /// Which money.
    pub asset: AssetId,
    /// Which ledger account.
    pub kind: String,
    /// What the cache says.
    pub cached: Balance,
    /// What follows from the transfers.
    pub folded: Balance,
}

impl Reader {
    /// Opens a store's folder for reading, beside a running pool or without one.
    ///
    /// # Errors
    /// When there is no store, or a newer program wrote it.
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        Self::open_file(&folder.join(FILE_NAME))
    }

    /// Opens one file, such as a backup.
    ///
    /// # Errors
    /// As [`Reader::open`].
    pub fn open_file(path: &Path) -> Result<Self, StoreError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let db = Connection::open_with_flags(path, flags)
            .map_err(|e| StoreError::Unavailable(format!("{}: {e}", path.display())))?;
        db.busy_timeout(Duration::from_secs(10))?;
        // Pages and answers together ask more kinds of questions than are kept without saying so.
        db.set_prepared_statement_cache_capacity(64);
        let found: u32 = db.query_row("PRAGMA user_version", [], |row| row.get(0))?;
        match found {
            // What an older program wrote can be recomputed; the pool brings it to this schema when it starts.
            schema @ 1..=SCHEMA => Ok(Reader { db, schema }),
            0 => Err(StoreError::Damaged(format!("{} is not an adit store", path.display()))),
            _ => Err(StoreError::Newer { found, known: SCHEMA }),
        }
    }

    /// The whole book.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn book(&self) -> Result<Book, StoreError> {
        load::load(&self.db)
    }

    /// Every cached balance that does not follow from the transfers; empty when the books fold.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn fold_differences(&self) -> Result<Vec<FoldDifference>, StoreError> {
        // One transaction, so that cache and transfers are of the same moment.
        let tx = self.db.unchecked_transaction()?;
        let ledger = load::ledger(&tx)?;
        let mut folded = load::fold(&tx)?;
        let mut differences = Vec::new();
        for (asset, kind, cached) in ledger.balances() {
            let folded = folded.remove(&(asset, kind.to_string())).unwrap_or_default();
            if folded != cached {
                differences.push(FoldDifference { asset, kind: kind.to_string(), cached, folded });
            }
        }
        let unknown = folded.into_iter().filter(|(_, balance)| *balance != Balance::default());
        let cached = Balance::default();
        differences.extend(unknown.map(|((asset, kind), folded)| FoldDifference {
            asset,
            kind,
            cached,
            folded,
        }));
        Ok(differences)
    }

    /// A reward as it was frozen, and where it stands now.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn reward(&self, id: RewardId) -> Result<Option<(Reward, RewardState)>, StoreError> {
        let found = self
            .db
            .prepare_cached("SELECT * FROM rewards WHERE block = ?")?
            .query_row([Text(id)], read_reward)
            .optional()?;
        let Some((mut reward, state, fees)) = found else { return Ok(None) };
        let (mut rows, mut in_window) = (Vec::new(), Vec::new());
        for (row, counted) in load::split_rows(&self.db, id)? {
            rows.push(row);
            in_window.extend(counted.then_some((row.account, row.weight)));
        }
        if let Some(window) = &mut reward.window {
            window.rows = in_window;
        }
        reward.shared = self.shared(id)?;
        reward.budget = self.json_of(id, "budget", BUDGETS)?;
        reward.by_block = self.json_of(id, "by_block", COMMITMENTS)?;
        reward.member = self.json_of(id, "member", load::MEMBERSHIPS)?;
        reward.split = fees.map(|fees| Split { amount: reward.amount(), fees, rows });
        Ok(Some((reward, state)))
    }

    /// The block that a payment stands and falls with now; none where the reward is that of a block.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn place(&self, id: RewardId) -> Result<Option<Place>, StoreError> {
        self.json_of(id, "place", load::MEMBERSHIPS)
    }

    /// A column of a reward that schemas before `since` do not have.
    fn json_of<T: DeserializeOwned>(
        &self,
        id: RewardId,
        column: &'static str,
        since: u32,
    ) -> Result<Option<T>, StoreError> {
        if self.schema < since {
            return Ok(None);
        }
        let sql = format!("SELECT {column} FROM rewards WHERE block = ?");
        let found = self.db.prepare_cached(&sql)?.query_row([Text(id)], |row| {
            Ok(row.get::<_, Option<Json<_>>>(0)?.map(|found| found.0))
        });
        Ok(found.optional()?.flatten())
    }

    /// Is the file of a schema whose blocks can pay miners themselves?
    pub(super) fn knows_commitments(&self) -> bool {
        self.schema >= COMMITMENTS
    }

    /// The column of a reward that says where a payment stands; older files have none.
    pub(super) fn place_column(&self) -> &'static str {
        load::place_column(self.schema)
    }

    /// The column of a split's row that says so; older files have none.
    pub(super) fn paid_by_column(&self) -> &'static str {
        if self.knows_commitments() { "s.paid_by" } else { "0" }
    }

    fn shared(&self, id: RewardId) -> Result<Option<Shared>, StoreError> {
        if self.schema < UNIONS {
            return Ok(None);
        }
        let sql = "SELECT pool, own_part, part, scheme, network_work, window_from, window_through, oldest_part, oldest_whole
                   FROM beside WHERE block = ? ORDER BY pool";
        let mut statement = self.db.prepare_cached(sql)?;
        let found = statement.query_map([Text(id)], read_beside)?;
        let (mut own, mut all) = (None, Vec::new());
        for beside in found {
            let (part, mut beside) = beside?;
            let sql = "SELECT account, weight FROM beside_rows WHERE block = ? AND pool = ? ORDER BY account";
            let mut rows = self.db.prepare_cached(sql)?;
            let rows = rows.query_map((Text(id), beside.pool.0), |row| {
                Ok((AccountId(uint(row, 0)?), row.get::<_, Sum>(1)?.0))
            })?;
            beside.window.rows = rows.collect::<Result<_, _>>()?;
            own = Some(part);
            all.push(beside);
        }
        Ok(own.map(|part| Shared { part, beside: all }))
    }

    /// The slices that may have ended the round before this reward's (0 for a pool's first), where PROP begins: that of the
    /// block before, or of one further back where the blocks between are or once were orphaned. Where its coinbase committed to the
    /// split, a block that cannot be below it ended no round of its either: both were handed out as work on the same parent.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn cuts_before(&self, reward: &Reward) -> Result<Vec<SliceNo>, StoreError> {
        let sql = "SELECT window_through, state = 'orphaned' OR generation > 0, height FROM rewards
                   WHERE pool = ? AND window_end < ? AND window_through IS NOT NULL ORDER BY window_end DESC";
        let mut statement = self.db.prepare_cached(sql)?;
        let mut before = statement.query((reward.pool.0, int(reward.window_end.0)?))?;
        let mut cuts = Vec::new();
        while let Some(row) = before.next()? {
            cuts.push(SliceNo(uint(row, 0)?));
            let is_beside = reward.by_block.is_some() && uint(row, 2)? >= reward.height;
            if !row.get::<_, bool>(1)? && !is_beside {
                return Ok(cuts);
            }
        }
        cuts.push(SliceNo(0));
        Ok(cuts)
    }

    /// Shares of the log between two positions, both included, of all pools.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn shares(
        &self,
        first: ShareSeq,
        last: ShareSeq,
    ) -> Result<Vec<(ShareSeq, Share)>, StoreError> {
        let mut statement = self
            .db
            .prepare_cached("SELECT * FROM shares WHERE seq BETWEEN ? AND ? ORDER BY seq")?;
        let rows = statement.query_map((int(first.0)?, int(last.0)?), log::read_share)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// One pool's shares of the log between two positions, both included.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn shares_of(
        &self,
        pool: PoolId,
        first: ShareSeq,
        last: ShareSeq,
    ) -> Result<Vec<(ShareSeq, Share)>, StoreError> {
        let sql = "SELECT * FROM shares WHERE seq BETWEEN ? AND ? AND pool = ? ORDER BY seq";
        let mut statement = self.db.prepare_cached(sql)?;
        let values = (int(first.0)?, int(last.0)?, pool.0);
        let rows = statement.query_map(values, log::read_share)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Where a pool's first share after a position is.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn first_share_after(
        &self,
        pool: PoolId,
        after: ShareSeq,
    ) -> Result<Option<ShareSeq>, StoreError> {
        let sql = "SELECT seq FROM shares WHERE seq > ? AND pool = ? ORDER BY seq LIMIT 1";
        let mut statement = self.db.prepare_cached(sql)?;
        let found = statement.query_row((int(after.0)?, pool.0), |row| uint(row, 0).map(ShareSeq));
        Ok(found.optional()?)
    }

    /// How often a reward's block has left the chain and come back.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn returns(&self, id: RewardId) -> Result<u32, StoreError> {
        let sql = "SELECT generation FROM rewards WHERE block = ?";
        let found = self.db.prepare_cached(sql)?.query_row([Text(id)], |row| row.get(0));
        Ok(found.optional()?.unwrap_or(0))
    }

    /// A closed slice with what was revoked of it up to a log position.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn slice(
        &self,
        pool: PoolId,
        no: SliceNo,
        as_of: ShareSeq,
    ) -> Result<Option<SourcedSlice>, StoreError> {
        load::slice(&self.db, pool, no, as_of)
    }

    /// A pool's closed slices before a number, newest first, as they stood at a place of the log, and whether more follow. No
    /// further slice is read once those read have so many rows.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn slices_before(
        &self,
        pool: PoolId,
        as_of: ShareSeq,
        cut: Cut,
        rows_max: usize,
    ) -> Result<(Vec<SourcedSlice>, bool), StoreError> {
        let sql = "SELECT no FROM slices WHERE pool = ? AND no < ? ORDER BY no DESC LIMIT ?";
        let mut statement = self.db.prepare_cached(sql)?;
        let values = (pool.0, cut.before(), cut.rows().saturating_add(1));
        let numbers: Vec<SliceNo> = statement
            .query_map(values, |row| uint(row, 0).map(SliceNo))?
            .collect::<Result<_, _>>()?;
        let (mut found, mut rows) = (Vec::new(), 0);
        let mut numbers = numbers.into_iter();
        while rows < rows_max
            && (found.len() as u64) < cut.limit
            && let Some(no) = numbers.next()
        {
            let slice = load::slice(&self.db, pool, no, as_of)?;
            rows += slice.as_ref().map_or(0, |found| found.slice.rows.len());
            found.extend(slice);
        }
        Ok((found, numbers.next().is_some()))
    }

    /// What each account was credited for a slice that was bought at once.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn slice_credits(&self, pool: PoolId, no: SliceNo) -> Result<Vec<SliceCredit>, StoreError> {
        let sql = "SELECT account, fee_bps, net, carry_before, carry_after FROM slice_credits WHERE pool = ? AND no = ? ORDER BY account";
        let mut statement = self.db.prepare_cached(sql)?;
        let rows = statement.query_map((pool.0, int(no.0)?), |row| {
            Ok(SliceCredit {
                account: AccountId(uint(row, 0)?),
                fee_bps: basis_points(row.get(1)?)?,
                net: row.get::<_, Money>(2)?.0,
                carry_before: load::carry(row, 3)?,
                carry_after: load::carry(row, 4)?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// A pay-per-share rate.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn rate(&self, id: RateId) -> Result<Option<Rate>, StoreError> {
        let sql = "SELECT network_work, value FROM rates WHERE id = ?";
        let found = self.db.prepare_cached(sql)?.query_row([int(id.0)?], |row| load::rate(row, 0));
        Ok(found.optional()?)
    }

    /// The transfers posted or pending under a key.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn set(&self, key: &SetKey) -> Result<Option<TransferSet>, StoreError> {
        load::set(&self.db, key)
    }

    /// This reader as the source of one pool's slices at one moment of the log.
    #[must_use]
    pub fn slices(&self, pool: PoolId, as_of: ShareSeq) -> PoolSlices<'_> {
        PoolSlices { reader: self, pool, as_of }
    }

    /// How an account is called: the address its owner wrote.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn display(&self, account: AccountId) -> Result<Option<String>, StoreError> {
        let sql = "SELECT display FROM identities WHERE account = ? LIMIT 1";
        Ok(self
            .db
            .prepare_cached(sql)?
            .query_row([int(account.0)?], |row| row.get(0))
            .optional()?)
    }

    /// The balance of a ledger account, from the cache.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn balance(&self, asset: AssetId, kind: Kind) -> Result<Balance, StoreError> {
        let sql = "SELECT debits_pending, debits_posted, credits_pending, credits_posted FROM balances WHERE asset = ? AND kind = ?";
        let found = self.db.prepare_cached(sql)?.query_row((asset.0, Text(kind)), |row| {
            let sum = |column| row.get::<_, Money>(column).map(|money| money.0);
            let (debits_pending, debits_posted) = (sum(0)?, sum(1)?);
            Ok(Balance {
                debits_pending,
                debits_posted,
                credits_pending: sum(2)?,
                credits_posted: sum(3)?,
            })
        });
        Ok(found.optional()?.unwrap_or_default())
    }

    /// Writes a consistent copy into a new file, while the pool runs. It is on the disk when this returns.
    ///
    /// # Errors
    /// When the file exists or cannot be written.
    pub fn backup(&self, into: &Path) -> Result<(), StoreError> {
        if into.exists() {
            return Err(StoreError::Unavailable(format!(
                "{} exists: name a new file",
                into.display()
            )));
        }
        self.db.execute("VACUUM INTO ?", [into.to_string_lossy()])?;
        // SQLite does not: https://sqlite.org/lang_vacuum.html#vacuuminto
        let synced = std::fs::File::open(into).and_then(|file| file.sync_all());
        synced.map_err(|error| StoreError::Unavailable(format!("{}: {error}", into.display())))
    }

    /// The connection, for questions nobody thought of before; still read-only.
    #[must_use]
    pub fn connection(&self) -> &Connection {
        &self.db
    }
}

/// One pool's slices, as [`accounting::audit`] asks for them.
pub struct PoolSlices<'a> {
    reader: &'a Reader,
    pool: PoolId,
    as_of: ShareSeq,
}

impl SliceSource for PoolSlices<'_> {
    type Error = StoreError;

    fn slice(&mut self, no: SliceNo) -> Result<Option<SourcedSlice>, StoreError> {
        self.reader.slice(self.pool, no, self.as_of)
    }
}

type FrozenReward = (Reward, RewardState, Option<accounting::Amount>);

fn read_reward(row: &Row<'_>) -> rusqlite::Result<FrozenReward> {
    let from: Option<i64> = row.get(11)?;
    let window = match from {
        None => None,
        Some(_) => Some(WindowTable {
            from: SliceNo(uint(row, 11)?),
            through: SliceNo(uint(row, 12)?),
            oldest_part: (row.get::<_, Sum>(13)?.0, row.get::<_, Sum>(14)?.0),
            rows: Vec::new(),
        }),
    };
    let reward = Reward {
        id: row.get::<_, Text<_>>(0)?.0,
        pool: PoolId(row.get(1)?),
        asset: AssetId(row.get(2)?),
        height: uint(row, 3)?,
        finder: AccountId(uint(row, 4)?),
        to_pool: row.get::<_, Money>(5)?.0,
        to_miners: row.get::<_, Money>(6)?.0,
        window_end: ShareSeq(uint(row, 7)?),
        as_of: ShareSeq(uint(row, 8)?),
        scheme: row.get::<_, Json<_>>(9)?.0,
        network_work: row.get::<_, Sum>(10)?.0,
        window,
        shared: None,
        by_block: None,
        budget: None,
        member: None,
        split: None,
    };
    let fees: Option<Money> = row.get(16)?;
    Ok((reward, row.get::<_, Text<_>>(17)?.0, fees.map(|money| money.0)))
}

fn read_beside(row: &Row<'_>) -> rusqlite::Result<(Part, Beside)> {
    let part = |column: usize| {
        let number: u32 = row.get(column)?;
        Part::new(number).ok_or(rusqlite::Error::IntegralValueOutOfRange(column, number.into()))
    };
    let window = WindowTable {
        from: SliceNo(uint(row, 5)?),
        through: SliceNo(uint(row, 6)?),
        oldest_part: (row.get::<_, Sum>(7)?.0, row.get::<_, Sum>(8)?.0),
        rows: Vec::new(),
    };
    let beside = Beside {
        pool: PoolId(row.get(0)?),
        part: part(2)?,
        scheme: row.get::<_, Json<_>>(3)?.0,
        network_work: row.get::<_, Sum>(4)?.0,
        window,
    };
    Ok((part(1)?, beside))
}
