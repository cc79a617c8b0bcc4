//! Jobs, results and events on disk.
//!
//! Invariant: each list has a named maximum, the oldest goes first, and only what is done is forgotten.

use rusqlite::{Connection, OptionalExtension, Row, params};
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;

/// The file's name in the sidecar's folder.
pub const FILE_NAME: &str = "sidecar.sqlite";
const SCHEMA: u32 = 1;
/// Jobs that wait or are worked on, in a run.
const JOBS_MAX: u64 = 2000;
/// Results kept, in a run.
const RESULTS_MAX: u32 = 2000;
/// Results shown at once.
const SHOWN_MAX: u32 = 500;
/// Runs kept.
const RUNS_MAX: u32 = 64;
/// Events of each sort kept, in a run, and shown at once.
const EVENTS_MAX: [(&str, u32, u32); 3] =
    [("log", 5000, 500), ("candidate", 2000, 500), ("population", 200, 50)];

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The disk.
    #[error("the sidecar's file: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// A newer program wrote it.
    #[error("{FILE_NAME} has schema {0}, and this program knows {SCHEMA}: use the newer program")]
    Newer(u32),
    /// Somebody else's name.
    #[error("job_id already exists in this run")]
    Duplicate,
    /// Nothing to work in.
    #[error("no active run: POST /runs/start first")]
    NoRun,
    /// Too much waits.
    #[error("{JOBS_MAX} jobs wait already: let workers do some first")]
    Full,
    /// Not here.
    #[error("run or job not found")]
    NotFound,
    /// Another attempt than the one that counts.
    #[error("this job was given to somebody else meanwhile")]
    NotYours,
}

/// What a worker says of a job.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// It is done; otherwise it failed.
    pub is_ok: bool,
    /// What was computed.
    pub result: Value,
    /// What went wrong.
    pub error: Option<String>,
    /// Who says so, and of which attempt; the original's workers do not tell.
    pub by: Option<(String, u64)>,
}

/// The open file.
#[derive(Debug)]
pub struct Jobs(Connection);

impl Jobs {
    /// Opens the file in a folder, made if it is not there.
    ///
    /// # Errors
    /// When it cannot be used.
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        let mut db = Connection::open(folder.join(FILE_NAME))?;
        db.busy_timeout(Duration::from_secs(10))?;
        db.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;")?;
        let found: u32 = db.query_row("PRAGMA user_version", [], |row| row.get(0))?;
        match found {
            SCHEMA => {}
            0 => {
                let tx = db.transaction()?;
                tx.execute_batch(include_str!("tables.sql"))?;
                tx.pragma_update(None, "user_version", SCHEMA)?;
                tx.commit()?;
            }
            newer => return Err(StoreError::Newer(newer)),
        }
        Ok(Jobs(db))
    }

    /// Starts a run, or goes on with one of this name; with `replace` what it had is forgotten.
    ///
    /// # Errors
    /// The disk.
    pub fn start(&mut self, run: &str, replace: bool, now: f64) -> Result<(), StoreError> {
        let tx = self.0.transaction()?;
        if replace {
            for table in ["job", "event"] {
                tx.execute(&format!("DELETE FROM {table} WHERE run = ?"), [run])?;
            }
            tx.execute("DELETE FROM run WHERE id = ?", [run])?;
        }
        tx.execute(
            "INSERT INTO run (id, no, updated_at_s) VALUES (?1, (SELECT coalesce(max(no), 0) + 1 FROM run), ?2)
             ON CONFLICT (id) DO UPDATE SET no = excluded.no, updated_at_s = excluded.updated_at_s",
            params![run, now],
        )?;
        let old = "no <= (SELECT max(no) FROM run) - ?";
        for table in ["job", "event"] {
            let sql = format!("DELETE FROM {table} WHERE run IN (SELECT id FROM run WHERE {old})");
            tx.execute(&sql, [RUNS_MAX])?;
        }
        tx.execute(&format!("DELETE FROM run WHERE {old}"), [RUNS_MAX])?;
        Ok(tx.commit()?)
    }

    /// The run of this name, or the newest.
    ///
    /// # Errors
    /// When there is none.
    pub fn run(&self, named: Option<&str>) -> Result<String, StoreError> {
        let found = match named {
            Some(name) => {
                self.0.query_row("SELECT id FROM run WHERE id = ?", [name], |row| row.get(0))
            }
            None => {
                let sql = "SELECT id FROM run ORDER BY no DESC LIMIT 1";
                self.0.query_row(sql, [], |row| row.get(0))
            }
        };
        found.optional()?.ok_or(StoreError::NoRun)
    }

    /// Puts a job at the end of the queue.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn enqueue(
        &mut self,
        run: &str,
        id: &str,
        kind: &str,
        payload: &Value,
        now: f64,
    ) -> Result<(), StoreError> {
        let known = "SELECT count(*) FROM job WHERE run = ? AND id = ?";
        if self.count(known, params![run, id])? > 0 {
            return Err(StoreError::Duplicate);
        }
        let open = "SELECT count(*) FROM job WHERE run = ? AND status IN ('queued', 'leased')";
        if self.count(open, params![run])? >= JOBS_MAX {
            return Err(StoreError::Full);
        }
        self.0.execute(
            "INSERT INTO job (run, id, kind, payload, status, place, created_at_s, updated_at_s)
             VALUES (?1, ?2, ?3, ?4, 'queued', (SELECT coalesce(max(place), 0) + 1 FROM job WHERE run = ?1), ?5, ?5)",
            params![run, id, kind, payload.to_string(), now],
        )?;
        Ok(())
    }

    /// The next job for a worker. What nobody answered in time comes first; with `resume`, what this worker has in hand already.
    ///
    /// # Errors
    /// The disk.
    pub fn next(
        &mut self,
        run: &str,
        worker: &str,
        lease_s: f64,
        resume: bool,
        now: f64,
    ) -> Result<Option<Value>, StoreError> {
        let tx = self.0.transaction()?;
        tx.execute(
            "UPDATE job SET status = 'queued', worker = NULL, lease_expires_at_s = NULL, updated_at_s = ?2,
                 place = (SELECT min(place) - 1 FROM job WHERE run = ?1)
             WHERE run = ?1 AND status = 'leased' AND lease_expires_at_s <= ?2",
            params![run, now],
        )?;
        let own = "SELECT id FROM job WHERE run = ? AND status = 'leased' AND worker = ? LIMIT 1";
        let held: Option<String> = match resume {
            true => tx.query_row(own, params![run, worker], |row| row.get(0)).optional()?,
            false => None,
        };
        let id = match &held {
            Some(held) => Some(held.clone()),
            None => {
                let sql = "SELECT id FROM job WHERE run = ? AND status = 'queued' ORDER BY place, id LIMIT 1";
                tx.query_row(sql, [run], |row| row.get(0)).optional()?
            }
        };
        let Some(id) = id else {
            tx.commit()?;
            return Ok(None);
        };
        tx.execute(
            "UPDATE job SET status = 'leased', worker = ?3, lease_expires_at_s = ?4, updated_at_s = ?5, attempt = attempt + ?6
             WHERE run = ?1 AND id = ?2",
            params![run, id, worker, now + lease_s, now, i64::from(held.is_none())],
        )?;
        let sql = "SELECT * FROM job WHERE run = ? AND id = ?";
        let job = tx.query_row(sql, params![run, id], |row| {
            Ok(json!({
                "job_id": row.get::<_, String>("id")?,
                "run_id": row.get::<_, String>("run")?,
                "kind": row.get::<_, String>("kind")?,
                "payload": json_of(row, "payload")?,
                "status": row.get::<_, String>("status")?,
                "attempt": row.get::<_, i64>("attempt")?,
                "worker_id": row.get::<_, Option<String>>("worker")?,
                "lease_expires_at_s": row.get::<_, Option<f64>>("lease_expires_at_s")?,
                "created_at_s": row.get::<_, f64>("created_at_s")?,
                "updated_at_s": row.get::<_, f64>("updated_at_s")?,
            }))
        })?;
        tx.commit()?;
        Ok(Some(job))
    }

    /// Takes a job's result; says whether it is the first. Of another attempt than the one at work nothing is taken.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn finish(
        &mut self,
        run: &str,
        id: &str,
        outcome: &Outcome,
        now: f64,
    ) -> Result<bool, StoreError> {
        let sql = "SELECT status, worker, attempt FROM job WHERE run = ? AND id = ?";
        let tx = self.0.transaction()?;
        let found = tx.query_row(sql, params![run, id], |row| {
            let worker: Option<String> = row.get(1)?;
            Ok((row.get::<_, String>(0)?, worker, row.get::<_, i64>(2)?.unsigned_abs()))
        });
        let (status, worker, attempt) = found.optional()?.ok_or(StoreError::NotFound)?;
        if status == "completed" || status == "failed" {
            return Ok(false);
        }
        if let Some((by, of)) = &outcome.by
            && (*of != attempt || worker.as_ref().is_some_and(|worker| worker != by))
        {
            return Err(StoreError::NotYours);
        }
        tx.execute(
            "UPDATE job SET status = ?3, result = ?4, error = ?5, updated_at_s = ?6, lease_expires_at_s = NULL,
                 seq = (SELECT coalesce(max(seq), 0) + 1 FROM job WHERE run = ?1)
             WHERE run = ?1 AND id = ?2",
            params![
                run,
                id,
                if outcome.is_ok { "completed" } else { "failed" },
                outcome.result.to_string(),
                outcome.error,
                now
            ],
        )?;
        tx.execute(
            "DELETE FROM job WHERE run = ?1 AND seq <= (SELECT max(seq) FROM job WHERE run = ?1) - ?2",
            params![run, RESULTS_MAX],
        )?;
        tx.commit()?;
        Ok(true)
    }

    /// Results after a cursor, and the cursor after them.
    ///
    /// # Errors
    /// The disk.
    pub fn results(&self, run: &str, after: u64, limit: u32) -> Result<Value, StoreError> {
        let sql = "SELECT * FROM job WHERE run = ? AND seq > ? ORDER BY seq LIMIT ?";
        let mut rows = self.0.prepare_cached(sql)?;
        let rows = rows.query_map(params![run, cursor(after), limit.min(SHOWN_MAX)], |row| {
            Ok(json!({
                "job_id": row.get::<_, String>("id")?,
                "run_id": row.get::<_, String>("run")?,
                "kind": row.get::<_, String>("kind")?,
                "status": row.get::<_, String>("status")?,
                "attempt": row.get::<_, i64>("attempt")?,
                "worker_id": row.get::<_, Option<String>>("worker")?,
                "payload": json_of(row, "payload")?,
                "result": json_of(row, "result")?,
                "error": row.get::<_, Option<String>>("error")?,
                "ts": row.get::<_, f64>("updated_at_s")?,
                "seq": row.get::<_, i64>("seq")?,
            }))
        })?;
        page(rows.collect::<Result<_, _>>()?, after)
    }

    /// Notes an event of a sort (`log`, `candidate`, `population`).
    ///
    /// # Errors
    /// The disk.
    pub fn note(&mut self, run: &str, sort: &str, body: &Value) -> Result<(), StoreError> {
        let score = body["score"].as_f64().filter(|score| score.is_finite());
        let tx = self.0.transaction()?;
        tx.execute(
            "INSERT INTO event (run, sort, score, body) VALUES (?, ?, ?, ?)",
            params![run, sort, score, body.to_string()],
        )?;
        let (_, kept, _) = limits(sort);
        tx.execute(
            "DELETE FROM event WHERE run = ?1 AND sort = ?2 AND seq <=
                 (SELECT seq FROM event WHERE run = ?1 AND sort = ?2 ORDER BY seq DESC LIMIT 1 OFFSET ?3)",
            params![run, sort, kept],
        )?;
        Ok(tx.commit()?)
    }

    /// Events of a sort after a cursor, and the cursor after them.
    ///
    /// # Errors
    /// The disk.
    pub fn events(
        &self,
        run: &str,
        sort: &str,
        after: u64,
        limit: Option<u32>,
    ) -> Result<Value, StoreError> {
        let (_, _, most) = limits(sort);
        let sql = "SELECT seq, body FROM event WHERE run = ? AND sort = ? AND seq > ? ORDER BY seq LIMIT ?";
        let mut rows = self.0.prepare_cached(sql)?;
        let shown = params![run, sort, cursor(after), limit.unwrap_or(most).min(most)];
        let rows = rows.query_map(shown, |row| {
            let mut body = json_of(row, "body")?;
            if !body.is_object() {
                body = json!({ "message": body });
            }
            body["seq"] = json!(row.get::<_, i64>("seq")?);
            Ok(body)
        })?;
        page(rows.collect::<Result<_, _>>()?, after)
    }

    /// Counts a submission that a driver made.
    ///
    /// # Errors
    /// The disk.
    pub fn submitted(&self, run: &str, now: f64) -> Result<(), StoreError> {
        let sql = "UPDATE run SET submissions = submissions + 1, updated_at_s = ?2 WHERE id = ?1";
        self.0.execute(sql, params![run, now])?;
        Ok(())
    }

    /// Notes the best that anybody has.
    ///
    /// # Errors
    /// The disk.
    pub fn set_global_sota(&self, run: &str, value: f64, now: f64) -> Result<(), StoreError> {
        let sql = "UPDATE run SET global_sota = ?2, updated_at_s = ?3 WHERE id = ?1";
        self.0.execute(sql, params![run, value, now])?;
        Ok(())
    }

    /// How a run is doing.
    ///
    /// # Errors
    /// The disk.
    pub fn state(&self, run: &str) -> Result<Value, StoreError> {
        let jobs = |status: &str| {
            let sql = "SELECT count(*) FROM job WHERE run = ? AND status = ?";
            self.count(sql, params![run, status])
        };
        let (queued, leased, completed) = (jobs("queued")?, jobs("leased")?, jobs("completed")?);
        let best: Option<f64> = self.0.query_row(
            "SELECT max(score) FROM event WHERE run = ? AND sort = 'candidate'",
            [run],
            |row| row.get(0),
        )?;
        let sql = "SELECT global_sota, submissions, updated_at_s FROM run WHERE id = ?";
        let (sota, submissions, updated): (Option<f64>, i64, f64) =
            self.0.query_row(sql, [run], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        Ok(json!({
            "run_id": run,
            "status": if queued + leased > 0 { "running" } else { "idle" },
            "global_sota": sota,
            "local_sota": best,
            "successful_submissions": submissions,
            "tasks_completed": completed,
            "best_candidate_score": best,
            "queued_jobs": queued,
            "leased_jobs": leased,
            "completed_jobs": completed,
            "updated_at_s": updated,
        }))
    }

    fn count(&self, sql: &str, with: impl rusqlite::Params) -> Result<u64, StoreError> {
        let count: i64 = self.0.prepare_cached(sql)?.query_row(with, |row| row.get(0))?;
        Ok(count.unsigned_abs())
    }
}

/// SQLite's numbers are signed.
fn cursor(after: u64) -> i64 {
    i64::try_from(after).unwrap_or(i64::MAX)
}

fn limits(sort: &str) -> (&'static str, u32, u32) {
    EVENTS_MAX.into_iter().find(|(name, ..)| *name == sort).unwrap_or(EVENTS_MAX[0])
}

fn page(items: Vec<Value>, after: u64) -> Result<Value, StoreError> {
    let cursor = items.last().and_then(|item| item["seq"].as_u64()).unwrap_or(after);
    Ok(json!({ "cursor": cursor, "items": items }))
}

fn json_of(row: &Row<'_>, column: &str) -> rusqlite::Result<Value> {
    let text: Option<String> = row.get(column)?;
    Ok(text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or(Value::Null))
}
