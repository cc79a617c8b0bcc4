//! Earnings in the real ledger: each once, also when the door died after telling; what is taken back is revoked there.

#![allow(clippy::unwrap_used, reason = "a test that finds an error has failed")]

use accounting::fee::FeeRule;
use accounting::payout::PayoutDepths;
use accounting::reward::Depths;
use accounting::scheme::PplnsWindow;
use accounting::{Amount, BasisPoints, PoolId, Scheme};
use compute::data::demo;
use compute::desk::{self, Change};
use compute::evaluate::Prepared;
use compute::fact::{Cause, Earning, Fact};
use compute::key::{PublicKey, SigningKey};
use compute::reputation::Reputation;
use compute::server::{Door, Ledger, Settings};
use compute::tables::Tables;
use compute::tables::epochs::Budget;
use compute::task::AlgorithmId;
use pool::config::{FeePayer, SliceRule};
use pool::writer::{self, Writer};
use pool::{AssetConfig, PayoutRules, PoolConfig, SystemClock};
use std::path::Path;
use std::sync::Arc;
use store::{Reader, Sqlite};
use tokio_util::sync::CancellationToken;

fn ledger(folder: &Path) -> Writer {
    let asset = AssetConfig {
        name: "tao".into(),
        network: "bittensor/finney".into(),
        decimals: 9,
        depths: Depths { mature: 1, orphan: 6, last_look: 300 },
        payouts: PayoutRules {
            minimum: Amount::from_units(5_000_000),
            dust: Amount::from_units(500),
            max_outputs: 100,
            fee_payer: FeePayer::Miners,
            max_per_run: Amount::from_units(1_000_000_000_000),
            max_per_day: Amount::from_units(1_000_000_000_000),
            max_per_account_per_day: Amount::from_units(1_000_000_000_000),
            approval_above: None,
            address_change_delay_ms: 86_400_000,
            depths: PayoutDepths { confirm: 3, abandon: 100, last_look: 200 },
            interval_ms: 1000,
            bump_after_ms: None,
            hot_wallet_cap: None,
        },
        assets_elsewhere: Amount::ZERO,
    };
    let pot = PoolConfig {
        name: "compute".into(),
        asset: "tao".into(),
        scheme: Scheme::Pplns(PplnsWindow::Work { millifactor: 2000 }),
        fee: FeeRule::default(),
        part: None,
        knows_keys: true,
        slices: SliceRule::default(),
    };
    let store = Sqlite::open(folder).unwrap();
    writer::start(Box::new(store), vec![asset], vec![pot], SystemClock).unwrap()
}

fn settings() -> Settings {
    let bps = |points| BasisPoints::new(points).unwrap();
    let amount = Amount::from_units(1_000_000_000);
    Settings {
        desk: desk::Settings::DEFAULT,
        budget: Budget { length_s: 3600, amount, fee: bps(500), cap: bps(500) },
        coldkey_delay_s: 86_400,
        monitor_token: None,
        proxies: Vec::new(),
        blacklist: [].into(),
        own: SigningKey::from_seed(&[9; 32]),
        founders: Vec::new(),
    }
}

/// Lets the door tell the ledger everything it has to tell, then stops both.
async fn tell(folder: &Path) {
    let writer = ledger(folder);
    let set = Prepared::new(&demo::classes());
    let opened = Door::open(folder, settings(), set, Arc::new(SystemClock), 7).unwrap();
    let (pot, network) = (PoolId(1), "bittensor/finney".into());
    let to = Ledger { pool: writer.pool.clone(), pot, network };
    let cancel = CancellationToken::new();
    let api = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let served = tokio::spawn(opened.door.clone().serve(api, cancel.clone()));
    let telling = tokio::spawn(opened.door.tell(to, cancel.clone()));
    let own = folder.to_owned();
    tokio::task::spawn_blocking(move || {
        testkit::wait_for("everything is told", || {
            let tables = Tables::open(&own).unwrap();
            let rest =
                tables.untold(1).unwrap().len() + tables.untold_revocations(1).unwrap().len();
            (rest == 0).then_some(())
        });
    })
    .await
    .unwrap();
    cancel.cancel();
    telling.await.unwrap();
    served.await.unwrap();
    tokio::task::spawn_blocking(|| opened.running.join()).await.unwrap();
    writer.pool.stop().await;
    writer.thread.join().unwrap().unwrap();
}

fn earn(folder: &Path, who: u8, algorithm: u64, weight: u64) -> [u8; 32] {
    let key = PublicKey::from_bytes([who; 32]);
    let weight = Reputation(weight);
    let earning = Earning::new(Cause::Evaluation, AlgorithmId(algorithm), key, weight, 1000);
    let tables = Tables::open(folder).unwrap();
    tables.write(&Change::Fact(Fact::Earned(earning))).unwrap();
    earning.key
}

fn count(folder: &Path, sql: &str) -> i64 {
    let reader = Reader::open(folder).unwrap();
    reader.connection().query_row(sql, [], |row| row.get(0)).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_earned_is_a_share_once_and_what_is_taken_back_is_revoked_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    for algorithm in 0..300 {
        earn(path, u8::try_from(algorithm % 7).unwrap(), algorithm, 1_000_000);
    }
    let lie = earn(path, 8, 1, 1_820_000);
    let (shares, revoked) = ("SELECT count(*) FROM shares", "SELECT count(*) FROM revocations");
    tell(path).await;
    assert_eq!((count(path, shares), count(path, revoked)), (301, 0));

    // It died after telling and before noting it: told again, recorded once.
    let forget = |what: &str| {
        let file = path.join(compute::tables::FILE_NAME);
        rusqlite::Connection::open(file).unwrap().execute(what, []).unwrap();
    };
    forget("UPDATE earning SET told = NULL");
    tell(path).await;
    assert_eq!(count(path, shares), 301);

    let fact = Fact::Revoked { key: lie, reason: "a check failed".into(), at_s: 2000 };
    Tables::open(path).unwrap().write(&Change::Fact(fact)).unwrap();
    tell(path).await;
    forget("UPDATE earning SET revocation_told = 0");
    tell(path).await;
    assert_eq!(count(path, revoked), 1);
}
