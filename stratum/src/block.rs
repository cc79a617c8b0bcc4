//! A found block: to disk and to every node, at once, without the database.
//!
//! Invariant: nothing waits for anything else here. The file is written, each node is told, and the ledger is told, all
//! started together; a time-out or "inconclusive" is unknown and tried again; a restart does it all once more. Only where the node
//! makes the block, and says what it brought, the ledger is told when the chain shows it ([`crate::ether::prospect`]).

use crate::ether::prospect::Prospect;
use crate::ether::seal::Seal;
use crate::rpc::{Endpoint, Rpc, RpcError};
use crate::template::{push_hex, to_hex};
use crate::{ether, gxc};
use accounting::commitment::Commitment;
use accounting::membership::Membership;
use accounting::rate::Rate;
use accounting::{
    Amount, BasisPoints, Identity, IdentityKind, PoolId, RewardId, Scheme, UnixMs, Weight,
};
use pool::crash::crash_point;
use pool::door::Answer;
use pool::{BlockReport, Pool, Refused};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::VecDeque;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::task::TaskTracker;

/// The first pause before a node is asked again, doubled each time.
const RETRY_FIRST: Duration = Duration::from_millis(250);
/// The longest pause.
const RETRY_MAX: Duration = Duration::from_secs(60);
/// Attempts before a restart takes over: about a day.
const ATTEMPTS_MAX: u32 = 1500;
/// How long one submission may take: a node checks the whole block.
const SUBMIT: Duration = Duration::from_secs(60);

/// Blocks remembered, so that none is taken twice.
const RECENT_BLOCKS: usize = 1024;
/// Parents remembered.
const RECENT_PARENTS: usize = 32;
/// Where blocks are easy, no more than this many on one parent are taken.
const BLOCKS_ON_A_PARENT: u32 = 64;

/// What a node makes of a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It has it.
    Accepted,
    /// Nobody knows: ask again.
    Unknown(String),
    /// It says the block is invalid.
    Rejected(String),
    /// It is of work that this node did not give, or has forgotten.
    NotItsWork,
}

/// Reads the answer of `submitblock` (BIP22; nodes differ in the words around the reason).
#[must_use]
pub fn read_verdict(answer: &Result<Option<String>, RpcError>) -> Verdict {
    match answer {
        Ok(None) => Verdict::Accepted,
        Ok(Some(reason)) => match reason.trim_start_matches("rejected: ") {
            "duplicate" => Verdict::Accepted,
            // A node that has not got the parent yet, or whose clock is a little behind, will take it later.
            "inconclusive" | "duplicate-inconclusive" | "prev-blk-not-found" | "time-too-new" => {
                Verdict::Unknown(reason.clone())
            }
            _ => Verdict::Rejected(reason.clone()),
        },
        Err(error) => Verdict::Unknown(error.to_string()),
    }
}

/// A solved block, as its node is handed it.
#[derive(Debug, Clone, PartialEq)]
pub enum Solved {
    /// Its bytes, for `submitblock` of the bitcoind family.
    Bytes(Vec<u8>),
    /// The object that a GXC node takes.
    Gxc(Value),
}

/// A node that is handed solved blocks.
#[derive(Debug, Clone)]
pub enum Taker {
    /// Of the bitcoind family.
    Bitcoind(Endpoint),
    /// GXC's.
    Gxc(gxc::rpc::Node),
    /// One that speaks `eth_submitWork`.
    Ether(Endpoint),
}

impl Taker {
    fn name(&self) -> &str {
        match self {
            Taker::Bitcoind(endpoint) | Taker::Ether(endpoint) => &endpoint.address,
            Taker::Gxc(node) => node.address(),
        }
    }

    async fn submit(&self, text: &str) -> Verdict {
        match self {
            Taker::Bitcoind(endpoint) => {
                let params = format!("[\"{text}\"]");
                let mut rpc = Rpc::new(endpoint.clone());
                let answer = rpc.call_raw("submitblock", &params, SUBMIT).await;
                read_verdict(&answer.map(|text| {
                    serde_json::from_str::<Option<String>>(&text).unwrap_or(Some(text))
                }))
            }
            Taker::Gxc(node) => gxc::block::submit(node, text).await,
            Taker::Ether(endpoint) => match Seal::from_text(text) {
                Some(seal) => seal.submit(&mut ether::node::rpc(endpoint)).await,
                None => Verdict::Rejected("its file holds no seal".to_owned()),
            },
        }
    }
}

/// Where found blocks go.
pub struct Blocks {
    folder: PathBuf,
    nodes: Vec<Taker>,
    pool: Pool,
    coin: String,
    recent: Mutex<Recent>,
    /// Found and not in the books yet.
    unbooked: Arc<AtomicUsize>,
    /// Everything that is still being done about a block.
    tasks: TaskTracker,
    /// Counts what nodes have said about blocks.
    judged: watch::Sender<u64>,
    /// Solutions whose block and income the chain has to tell first, for who looks there.
    prospects: mpsc::UnboundedSender<Prospect>,
    found: Mutex<Option<mpsc::UnboundedReceiver<Prospect>>>,
}

/// What was found lately: by hash, and how many on each parent.
#[derive(Default)]
struct Recent {
    blocks: VecDeque<RewardId>,
    parents: VecDeque<([u8; 32], u32)>,
}

impl Blocks {
    /// Blocks of one coin: a folder for their bytes, all its nodes, and the ledger.
    #[must_use]
    pub fn new(folder: PathBuf, nodes: Vec<Taker>, pool: Pool, coin: String) -> Arc<Self> {
        let (recent, tasks) = (Mutex::default(), TaskTracker::new());
        let judged = watch::channel(0).0;
        let (prospects, found) = mpsc::unbounded_channel();
        Arc::new(Blocks {
            folder,
            nodes,
            pool,
            coin,
            recent,
            unbooked: Arc::default(),
            tasks,
            judged,
            prospects,
            found: Mutex::new(Some(found)),
        })
    }

    /// Changes when a node has said what it makes of a block: its tip is another, and worth a look at once.
    #[must_use]
    pub fn judged(&self) -> watch::Receiver<u64> {
        self.judged.subscribe()
    }

    /// Blocks that were found and are not in the books yet.
    #[must_use]
    pub fn unbooked(&self) -> usize {
        self.unbooked.load(Ordering::Relaxed)
    }

    /// Waits until every block that was found is in the books, at most so long; gives whether they are.
    pub async fn all_booked(&self, at_most: Duration) -> bool {
        let booked = async {
            while self.unbooked() > 0 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(at_most, booked).await.is_ok()
    }

    /// Waits until every block is written and every node has judged it, at most so long; what is not done is done again
    /// after the next start.
    pub async fn settle(&self, at_most: Duration) {
        self.tasks.close();
        if tokio::time::timeout(at_most, self.tasks.wait()).await.is_err() {
            tracing::warn!(coin = %self.coin, "not every node has answered for a found block; it is submitted again after the next start");
        }
    }

    /// Is this block to be taken? Not a second time, and not without end on one parent: only one of them can stand.
    #[must_use]
    pub fn wants(&self, block: RewardId, parent: &[u8; 32]) -> bool {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        if recent.blocks.contains(&block) {
            return false;
        }
        match recent.parents.iter_mut().find(|(known, _)| known == parent) {
            Some((_, count)) if *count >= BLOCKS_ON_A_PARENT => return false,
            Some((_, count)) => *count += 1,
            None => recent.parents.push_back((*parent, 1)),
        }
        recent.blocks.push_back(block);
        if recent.blocks.len() > RECENT_BLOCKS {
            recent.blocks.pop_front();
        }
        if recent.parents.len() > RECENT_PARENTS {
            recent.parents.pop_front();
        }
        true
    }

    /// Writes, submits and reports a block, all at once. The answer comes when the ledger has it.
    pub fn found(
        self: &Arc<Self>,
        report: BlockReport,
        block: &Solved,
    ) -> oneshot::Receiver<Answer<()>> {
        tracing::info!(block = %report.block, height = report.height, coin = %self.coin, "block found");
        let text: Arc<str> = match block {
            Solved::Bytes(bytes) => to_hex(bytes).into(),
            Solved::Gxc(object) => object.to_string().into(),
        };
        self.submit_everywhere(report.block, &text);
        let (file, path) = (BlockFile::of(&report), self.path_of(report.height, report.block));
        let answer = self.report(report);
        self.tasks.spawn(write_until_done(path, Arc::new(file), text));
        answer
    }

    /// Writes and submits a solution, at once. What it brought is booked when the chain tells.
    pub fn solved(self: &Arc<Self>, prospect: Prospect) {
        let report = &prospect.report;
        tracing::info!(solution = %report.block, height = report.height, coin = %self.coin, "solution found");
        let text: Arc<str> = prospect.seal.to_text().into();
        self.submit_everywhere(report.block, &text);
        let (file, path) = (BlockFile::of(report), self.path_of(report.height, report.block));
        self.tasks.spawn(write_until_done(path, Arc::new(file), text));
        self.look_for(prospect);
    }

    fn look_for(&self, prospect: Prospect) {
        if self.prospects.send(prospect).is_err() {
            tracing::debug!("nobody looks for solutions any more");
        }
    }

    /// Solutions to look for in the chain; given away once.
    #[must_use]
    pub fn prospects(&self) -> Option<mpsc::UnboundedReceiver<Prospect>> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Nothing can change about a solution any more: its file goes, or is set aside where it brought nothing.
    pub fn close(&self, height: u64, solution: RewardId, brought: bool) {
        let path = self.path_of(height, solution);
        let closed = match brought {
            true => std::fs::remove_file(&path),
            false => std::fs::rename(&path, path.with_extension("lost")),
        };
        if let Err(error) = closed {
            tracing::warn!(path = %path.display(), %error, "the file of a solution that rests stays");
        }
    }

    fn submit_everywhere(&self, block: RewardId, text: &Arc<str>) {
        let open = Arc::new(AtomicUsize::new(self.nodes.len()));
        let taken = Arc::new(AtomicBool::new(false));
        for node in &self.nodes {
            let (node, text, judged) = (node.clone(), text.clone(), self.judged.clone());
            let (open, taken) = (open.clone(), taken.clone());
            self.tasks.spawn(async move {
                if submit_until_known(node, block, text).await {
                    taken.store(true, Ordering::Release);
                }
                if open.fetch_sub(1, Ordering::AcqRel) == 1 && !taken.load(Ordering::Acquire) {
                    tracing::error!(%block, "no node took what was found; it is kept on disk, and submitted again after the next start");
                }
                judged.send_modify(|count| *count += 1);
            });
        }
    }

    /// Tells the ledger until it has written it. The first answer goes to whoever waits.
    fn report(&self, report: BlockReport) -> oneshot::Receiver<Answer<()>> {
        let (tell, answer) = oneshot::channel();
        let (pool, unbooked) = (self.pool.clone(), self.unbooked.clone());
        unbooked.fetch_add(1, Ordering::Relaxed);
        self.tasks.spawn(async move {
            let mut outcome = pool.found(report.clone()).await;
            if tell.send(outcome.clone()).is_err() {
                tracing::debug!("the finder did not wait");
            }
            while matches!(outcome, Err(Refused::StoreFailing)) {
                tokio::time::sleep(Duration::from_secs(1)).await;
                outcome = pool.found(report.clone()).await;
            }
            unbooked.fetch_sub(1, Ordering::Relaxed);
        });
        answer
    }

    fn path_of(&self, height: u64, block: RewardId) -> PathBuf {
        self.folder.join(format!("{height}-{block}.block"))
    }

    /// After a start: everything of these pools in the folder is submitted and reported again, except blocks whose rewards rest.
    /// Gives the number of blocks.
    ///
    /// # Errors
    /// When the folder cannot be read. A file that cannot be is left in its place and told about.
    pub fn recover(
        self: &Arc<Self>,
        pools: &[PoolId],
        rests: impl Fn(RewardId) -> bool,
    ) -> std::io::Result<usize> {
        std::fs::create_dir_all(&self.folder)?;
        let mut count = 0;
        for entry in std::fs::read_dir(&self.folder)? {
            let path = entry?.path();
            if path.extension().is_none_or(|extension| extension != "block") {
                continue;
            }
            match read_file(&path) {
                Ok((report, _)) if rests(report.block) => std::fs::remove_file(&path)?,
                Ok((report, _)) if !pools.contains(&report.pool) => {
                    let pool = report.pool.0;
                    tracing::error!(path = %path.display(), pool, "a found block of a pool that is not configured any more");
                }
                Ok((report, text)) => {
                    let seal = Seal::from_text(&text);
                    self.submit_everywhere(report.block, &text.into());
                    match seal {
                        Some(seal) => self.look_for(Prospect { report, seal }),
                        None => drop(self.report(report)),
                    }
                    count += 1;
                }
                Err(reason) => {
                    tracing::error!(path = %path.display(), reason, "a block file cannot be read; look at it by hand")
                }
            }
        }
        Ok(count)
    }
}

/// A disk that is full now may have room later; the block has been sent to every node anyway.
async fn write_until_done(path: PathBuf, file: Arc<BlockFile>, hex: Arc<str>) {
    for attempt in 1..=ATTEMPTS_MAX {
        let (to, file, hex) = (path.clone(), file.clone(), hex.clone());
        let written = tokio::task::spawn_blocking(move || {
            let written = write_file(&to, &file, &hex);
            if written.is_ok() {
                crash_point("block-written");
            }
            written
        });
        match written.await {
            Ok(Ok(())) => return,
            Ok(Err(error)) => {
                tracing::error!(path = %path.display(), %error, attempt, "a found block cannot be written to disk; it was sent to every node");
            }
            Err(error) => return tracing::error!(%error, "writing a found block was cut off"),
        }
        tokio::time::sleep(RETRY_FIRST * attempt.min(40)).await;
    }
}

/// Gives whether the node has it.
async fn submit_until_known(taker: Taker, block: RewardId, text: Arc<str>) -> bool {
    let node = taker.name();
    let mut pause = RETRY_FIRST;
    for attempt in 1..=ATTEMPTS_MAX {
        match taker.submit(&text).await {
            Verdict::Accepted => {
                tracing::info!(%block, node, attempt, "the node has the block");
                return true;
            }
            Verdict::Rejected(reason) => {
                tracing::error!(%block, node, reason, "the node rejects the block; it is kept on disk");
                return false;
            }
            Verdict::NotItsWork => {
                tracing::info!(%block, node, "the node does not know this work: it is another's, or the node started anew");
                return false;
            }
            Verdict::Unknown(reason) => {
                tracing::warn!(%block, node, attempt, reason, "unknown whether the node has the block")
            }
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(RETRY_MAX);
    }
    false
}

/// The first line of a block file: everything the ledger must be told. The second line is the block as its node takes it, ready
/// for `submitblock` by hand.
#[derive(Debug, Serialize, Deserialize)]
struct BlockFile {
    block: String,
    height: u64,
    pool: u32,
    network: String,
    script: String,
    address: String,
    worker: String,
    to_pool: Amount,
    #[serde(alias = "to_finder")]
    to_miners: Amount,
    #[serde(default)]
    commitment: Option<Box<Commitment>>,
    #[serde(default)]
    member: Option<Box<Membership>>,
    #[serde(default)]
    coinbase_fee: BasisPoints,
    network_work: u128,
    scheme: Scheme,
    weight: Option<u64>,
    rate: Option<Rate>,
    found_at: UnixMs,
}

impl BlockFile {
    fn of(report: &BlockReport) -> Self {
        BlockFile {
            block: report.block.to_string(),
            height: report.height,
            pool: report.pool.0,
            network: report.finder.network.clone(),
            script: to_hex(&report.finder.bytes),
            address: report.display.clone(),
            worker: report.worker.clone(),
            to_pool: report.to_pool,
            to_miners: report.to_miners,
            commitment: report.commitment.clone(),
            member: report.member.clone(),
            coinbase_fee: report.coinbase_fee,
            network_work: report.network_work,
            scheme: report.scheme,
            weight: report.share.as_ref().map(|(weight, _)| weight.get()),
            rate: report.share.as_ref().and_then(|(_, rate)| *rate),
            found_at: report.found_at,
        }
    }

    fn report(self) -> Result<BlockReport, String> {
        let mut script = Vec::new();
        push_hex(&mut script, &self.script).ok_or("the script is not hex")?;
        let weight = self
            .weight
            .map(|weight| Weight::new(weight).ok_or("the weight is out of range"))
            .transpose()?;
        Ok(BlockReport {
            budget: None,
            member: self.member,
            pool: PoolId(self.pool),
            finder: Identity { kind: IdentityKind::Script, network: self.network, bytes: script },
            display: self.address,
            worker: self.worker,
            block: self
                .block
                .parse()
                .map_err(|error: accounting::id::BadRewardId| error.to_string())?,
            height: self.height,
            to_pool: self.to_pool,
            to_miners: self.to_miners,
            commitment: self.commitment,
            coinbase_fee: self.coinbase_fee,
            network_work: self.network_work,
            scheme: self.scheme,
            share: weight.map(|weight| (weight, self.rate)),
            found_at: self.found_at,
        })
    }
}

/// Whole or not at all: written beside, synced, renamed, the folder synced.
fn write_file(path: &Path, file: &BlockFile, hex: &str) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let beside = path.with_extension("new");
    let mut out = File::create(&beside)?;
    serde_json::to_writer(&mut out, file)?;
    out.write_all(b"\n")?;
    out.write_all(hex.as_bytes())?;
    out.write_all(b"\n")?;
    out.sync_all()?;
    std::fs::rename(&beside, path)?;
    File::open(folder)?.sync_all()
}

fn read_file(path: &Path) -> Result<(BlockReport, String), String> {
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    let (head, hex) = text.split_once('\n').ok_or("it has no second line")?;
    let file: BlockFile = serde_json::from_str(head).map_err(|error| error.to_string())?;
    let hex = hex.trim_end();
    let report = file.report()?;
    if id_of(hex)? != report.block {
        return Err("the block is not the one its first line names".into());
    }
    Ok((report, hex.to_owned()))
}

/// The id of a block as its node takes it.
fn id_of(text: &str) -> Result<RewardId, String> {
    if text.starts_with('{') {
        let object: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let hash = object["hash"].as_str().ok_or("the block has no hash")?;
        return hash.parse().map_err(|error: accounting::id::BadRewardId| error.to_string());
    }
    let mut bytes = Vec::new();
    push_hex(&mut bytes, text).ok_or("the block is not hex")?;
    let header: &[u8; 80] = bytes.first_chunk().ok_or("the block is shorter than its header")?;
    Ok(RewardId(pow::sha256d::header_hash(header)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inconclusive_and_silence_are_unknown_and_never_a_rejection() {
        let said = |text: &str| read_verdict(&Ok(Some(text.to_owned())));
        assert_eq!(read_verdict(&Ok(None)), Verdict::Accepted);
        assert_eq!(said("duplicate"), Verdict::Accepted);
        for text in [
            "inconclusive",
            "duplicate-inconclusive",
            "rejected: prev-blk-not-found",
            "time-too-new",
        ] {
            assert!(matches!(said(text), Verdict::Unknown(_)), "{text}");
        }
        for text in
            ["high-hash", "rejected: high-hash", "bad-txnmrklroot", "rejected", "duplicate-invalid"]
        {
            assert!(matches!(said(text), Verdict::Rejected(_)), "{text}");
        }
        assert!(matches!(
            read_verdict(&Err(RpcError::Unknown("time-out".into()))),
            Verdict::Unknown(_)
        ));
    }

    #[test]
    fn a_block_file_reads_back_as_it_was_reported() {
        let folder = tempfile::tempdir().unwrap();
        let block = [7u8; 100];
        let header: &[u8; 80] = block.first_chunk().unwrap();
        let report = BlockReport {
            budget: None,
            member: Some(Box::new(Membership::Block(accounting::membership::MemberBlock {
                rule: "{}".into(),
                script: vec![0, 1],
                elsewhere: Amount::from_units(6),
            }))),
            pool: PoolId(3),
            finder: Identity {
                kind: IdentityKind::Script,
                network: "bitcoin/regtest".into(),
                bytes: vec![0, 1, 2],
            },
            display: "bcrt1".into(),
            worker: "rig".into(),
            block: RewardId(pow::sha256d::header_hash(header)),
            height: 9,
            to_pool: Amount::from_units(5),
            to_miners: Amount::ZERO,
            commitment: None,
            coinbase_fee: BasisPoints::default(),
            network_work: u128::MAX,
            scheme: Scheme::Tides,
            share: Some((
                Weight::new(4).unwrap(),
                Some(Rate { network_work: 1, value: Amount::ONE }),
            )),
            found_at: UnixMs(8),
        };
        let path = folder.path().join("blocks/9.block");
        write_file(&path, &BlockFile::of(&report), &to_hex(&block)).unwrap();
        let (back, hex) = read_file(&path).unwrap();
        assert_eq!((back, hex), (report, to_hex(&block)));
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, text.replace("0707", "0708")).unwrap();
        assert!(read_file(&path).unwrap_err().contains("not the one"));
    }

    #[test]
    fn a_gxc_block_file_reads_back_and_another_blocks_object_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let digest: [u8; 32] = std::array::from_fn(|at| u8::try_from(at).unwrap());
        let mut id = digest;
        id.reverse();
        let report = BlockReport {
            budget: None,
            member: None,
            pool: PoolId(3),
            finder: Identity {
                kind: IdentityKind::Script,
                network: "gxc/test".into(),
                bytes: b"tGXC751e76e8199196d454941c45d1b3a323f1".to_vec(),
            },
            display: "tGXC751e76e8199196d454941c45d1b3a323f1".into(),
            worker: "rig".into(),
            block: RewardId(id),
            height: 9,
            to_pool: Amount::from_units(5),
            to_miners: Amount::ZERO,
            commitment: None,
            coinbase_fee: BasisPoints::default(),
            network_work: 16,
            scheme: Scheme::Tides,
            share: None,
            found_at: UnixMs(8),
        };
        let path = folder.path().join("9.block");
        let object = serde_json::json!({ "height": 9, "hash": to_hex(&digest) }).to_string();
        write_file(&path, &BlockFile::of(&report), &object).unwrap();
        assert_eq!(read_file(&path).unwrap(), (report.clone(), object));
        let other = serde_json::json!({ "height": 9, "hash": to_hex(&id) }).to_string();
        write_file(&path, &BlockFile::of(&report), &other).unwrap();
        assert!(read_file(&path).unwrap_err().contains("not the one"));
    }
}
