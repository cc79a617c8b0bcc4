//! A pool on a real store with a fake outside world: a chain that only knows depths, and a wallet that only knows sums.

#![allow(dead_code, reason = "each test uses its own part")]
#![allow(clippy::unwrap_used, reason = "a test that finds an error has failed")]

use accounting::fee::FeeRule;
use accounting::payout::{Fate, PayoutDepths, PayoutVersion};
use accounting::reward::{Depths, Sighting};
use accounting::scheme::PplnsWindow;
use accounting::{
    AccountId, Amount, AssetId, BasisPoints, Identity, IdentityKind, PoolId, RewardId, Scheme,
    Share, ShareKey, UnixMs, Weight, WorkerId,
};
use pool::cashier::{Cashier, FoldCheck};
use pool::config::{FeePayer, SliceRule};
use pool::treasury::{Holdings, PayoutOrder, Signing, TreasuryError, WalletSpend};
use pool::writer::{self, Writer};
use pool::{AssetConfig, BlockReport, Clock, Deposit, PayoutRules, Pool, PoolConfig, Treasury};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use store::{Reader, Sqlite};
use testkit::Disk;

pub const COIN: i128 = 100_000_000;

/// Time moves when a test says so.
#[derive(Clone, Default)]
pub struct TestClock(Arc<AtomicU64>);

impl TestClock {
    pub fn advance(&self, ms: u64) {
        self.0.fetch_add(ms, Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> UnixMs {
        UnixMs(1_700_000_000_000 + self.0.load(Ordering::SeqCst))
    }
}

pub fn rules() -> PayoutRules {
    PayoutRules {
        minimum: Amount::from_units(1000),
        dust: Amount::from_units(330),
        max_outputs: 100,
        fee_payer: FeePayer::Miners,
        max_per_run: Amount::from_units(1_000 * COIN),
        max_per_day: Amount::from_units(10_000 * COIN),
        max_per_account_per_day: Amount::from_units(1_000 * COIN),
        approval_above: None,
        approvals: 2,
        payday: Default::default(),
        address_change_delay_ms: 24 * 3600 * 1000,
        depths: PayoutDepths { confirm: 3, abandon: 100, last_look: 200 },
        interval_ms: 1000,
        bump_after_ms: None,
        hot_wallet_cap: None,
    }
}

pub fn asset() -> AssetConfig {
    AssetConfig {
        name: "btc".into(),
        network: "bitcoin/regtest".into(),
        decimals: 8,
        depths: Depths { mature: 101, orphan: 6, last_look: 300 },
        payouts: rules(),
        assets_elsewhere: Amount::ZERO,
        exchange: None,
    }
}

pub fn pool_of(scheme: Scheme, fee: u16) -> PoolConfig {
    PoolConfig {
        name: "main".into(),
        asset: "btc".into(),
        scheme,
        fee: FeeRule { base: BasisPoints::new(fee).unwrap(), ..FeeRule::default() },
        part: None,
        knows_keys: false,
        slices: SliceRule { least_shares: 1, ..SliceRule::default() },
    }
}

pub const PPLNS: Scheme = Scheme::Pplns(PplnsWindow::Work { millifactor: 2000 });

pub fn start(folder: &Path, asset: AssetConfig, pool: PoolConfig, clock: &TestClock) -> Writer {
    let store = Sqlite::open(folder).unwrap();
    writer::start(Box::new(store), vec![asset], vec![pool], clock.clone()).unwrap()
}

pub async fn stop(writer: Writer) {
    writer.pool.stop().await;
    writer.thread.join().unwrap().unwrap();
}

pub fn identity(n: u8) -> Identity {
    Identity {
        kind: IdentityKind::Script,
        network: "bitcoin/regtest".into(),
        bytes: vec![0, 0x14, n],
    }
}

pub async fn enrol(pool: &Pool, n: u8) -> (AccountId, WorkerId) {
    pool.enrol(identity(n), format!("miner {n}"), "rig".into()).await.unwrap()
}

pub fn share(who: (AccountId, WorkerId), weight: u64, key: u64) -> Share {
    let mut name = [0u8; 32];
    name[..8].copy_from_slice(&key.to_le_bytes());
    Share {
        pool: PoolId(1),
        account: who.0,
        worker: who.1,
        weight: Weight::new(weight).unwrap(),
        rate: Default::default(),
        found_at: UnixMs(1_700_000_000_000),
        key: ShareKey(name),
    }
}

/// Puts money into the bankroll.
pub async fn deposit(pool: &Pool, amount: Amount) {
    let deposit = Deposit { amount, bankroll: true, reference: "first".into() };
    pool.order(move |books, store, now| books.deposit(AssetId(1), deposit, store, "op", now))
        .await
        .unwrap();
}

pub async fn record(pool: &Pool, shares: Vec<Share>) {
    pool.record(shares).await.unwrap().durable().await.unwrap();
}

/// Reports a block and waits until its consequences are written, not only the fact.
pub async fn found(pool: &Pool, report: BlockReport) {
    pool.found(report).await.unwrap();
    pool.order(|_, _, _| Ok(())).await.unwrap();
}

pub fn block(n: u8, finder: u8, height: u64, scheme: Scheme) -> BlockReport {
    BlockReport {
        budget: None,
        member: None,
        pool: PoolId(1),
        finder: identity(finder),
        display: format!("miner {finder}"),
        worker: "rig".into(),
        block: RewardId([n; 32]),
        height,
        to_pool: Amount::from_units(50 * COIN),
        to_miners: Amount::ZERO,
        commitment: None,
        coinbase_fee: BasisPoints::default(),
        network_work: 1000,
        scheme,
        share: Some((Weight::new(10).unwrap(), None)),
        found_at: UnixMs(5),
    }
}

pub fn fold_check(folder: &Path) -> FoldCheck {
    let folder = folder.to_path_buf();
    Arc::new(move || {
        let differences = Reader::open(&folder)
            .and_then(|reader| reader.fold_differences())
            .map_err(|e| e.to_string())?;
        Ok(differences.iter().map(|d| format!("{d:?}")).collect())
    })
}

/// The outside world: blocks with depths, a mempool, a wallet.
#[derive(Default)]
pub struct World {
    pub sightings: HashMap<RewardId, Sighting>,
    pub spendable: i128,
    pub mempool: HashSet<[u8; 32]>,
    /// Transaction to confirmations.
    pub confirmed: BTreeMap<[u8; 32], u32>,
    pub impossible: Option<u32>,
    /// Every transaction that was ever sent, with its outputs.
    pub sent: Vec<([u8; 32], i128)>,
    pub foreign_spends: Vec<WalletSpend>,
    pub refuse_broadcast: bool,
    pub hide_everything: bool,
    pub signed: u64,
    pub known: HashMap<[u8; 32], (i128, i128)>,
    /// The disk the books are on, and how much had happened to it at each broadcast.
    pub disk: Option<Disk>,
    pub sent_at: Vec<usize>,
}

#[derive(Clone, Default)]
pub struct FakeTreasury(pub Arc<Mutex<World>>);

impl FakeTreasury {
    pub fn world<T>(&self, look: impl FnOnce(&mut World) -> T) -> T {
        look(&mut self.0.lock().unwrap())
    }
}

impl Treasury for FakeTreasury {
    async fn refresh(&mut self) -> Result<Holdings, TreasuryError> {
        self.world(|w| {
            if w.hide_everything {
                return Err(TreasuryError::Unreachable("no node answers".into()));
            }
            let mut spends = w.foreign_spends.clone();
            for txid in w.mempool.iter().chain(w.confirmed.keys()) {
                let (out, fee) = w.known[txid];
                let confirmations = w.confirmed.get(txid).copied().unwrap_or(0);
                let (out, fee) = (Amount::from_units(out), Amount::from_units(fee));
                spends.push(WalletSpend {
                    txid: *txid,
                    out,
                    fee,
                    outputs: vec![],
                    confirmations,
                    inputs: vec![],
                    raw: vec![],
                });
            }
            let left: i128 = spends.iter().map(|spend| spend.out.units()).sum();
            Ok(Holdings {
                spendable: Amount::from_units(w.spendable - left),
                spends,
                ..Holdings::default()
            })
        })
    }

    async fn sightings(&mut self, blocks: &[(RewardId, u64)]) -> Vec<Sighting> {
        self.world(|w| {
            let see = |(id, _): &(RewardId, u64)| {
                w.sightings.get(id).copied().unwrap_or(Sighting::Unknown)
            };
            blocks
                .iter()
                .map(|block| if w.hide_everything { Sighting::Unknown } else { see(block) })
                .collect()
        })
    }

    async fn estimate_fee(&mut self, outputs: usize) -> Result<Amount, TreasuryError> {
        Ok(Amount::from_units(100 + 31 * outputs as i128))
    }

    async fn sign(&mut self, order: &PayoutOrder) -> Result<Signing, TreasuryError> {
        self.world(|w| {
            w.signed += 1;
            let mut txid = [0xaa; 32];
            txid[..8].copy_from_slice(&w.signed.to_le_bytes());
            let out: Amount = order.parts.iter().map(|part| part.sent).sum();
            w.known.insert(txid, (out.add(order.fee).units(), order.fee.units()));
            let inputs = vec![([order.id as u8; 32], 0)];
            Ok(Signing::Signed(PayoutVersion {
                txid,
                raw: txid.to_vec(),
                fee: order.fee,
                inputs,
                signed_at: UnixMs(1),
            }))
        })
    }

    async fn broadcast(&mut self, version: &PayoutVersion) -> Result<(), TreasuryError> {
        self.world(|w| {
            if w.refuse_broadcast {
                return Err(TreasuryError::Unreachable("time-out".into()));
            }
            w.mempool.insert(version.txid);
            let (out, _) = w.known[&version.txid];
            w.sent.push((version.txid, out));
            w.sent_at.extend(w.disk.map(|disk| disk.now()));
            Ok(())
        })
    }

    async fn fate(&mut self, versions: &[PayoutVersion]) -> Fate {
        self.world(|w| {
            if w.hide_everything {
                return Fate::Unknown;
            }
            for (version, v) in versions.iter().enumerate() {
                if let Some(confirmations) = w.confirmed.get(&v.txid) {
                    return Fate::InChain { version, confirmations: *confirmations };
                }
            }
            match w.impossible {
                Some(confirmations) => Fate::Impossible { confirmations },
                None if versions.iter().any(|v| w.mempool.contains(&v.txid)) => Fate::InMempool,
                None => Fate::Absent,
            }
        })
    }
}

pub fn cashier(
    writer: &Writer,
    folder: &Path,
    clock: &TestClock,
    treasury: &FakeTreasury,
) -> Cashier<FakeTreasury> {
    let clock: Arc<dyn Clock> = Arc::new(clock.clone());
    Cashier::new(
        writer.pool.clone(),
        AssetId(1),
        rules(),
        treasury.clone(),
        fold_check(folder),
        clock,
    )
}

pub fn available(folder: &Path, account: AccountId) -> i128 {
    let reader = Reader::open(folder).unwrap();
    reader
        .balance(AssetId(1), accounting::ledger::Kind::Account(account))
        .unwrap()
        .available()
        .units()
}
