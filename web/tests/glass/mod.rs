//! A site over a real store in which every number is known: one block that was split and paid, one that is young.

use crate::common::{
    COIN, FakeTreasury, PPLNS, TestClock, asset, block, cashier, enrol, found, identity, pool_of,
    record, share, start,
};
use accounting::reward::Sighting;
use accounting::{AccountId, Amount, AssetId, PoolId, RewardId, UnixMs, WorkerId};
use arc_swap::ArcSwap;
use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{Request, Response};
use http_body_util::BodyExt;
use pool::Clock;
use pool::observe::{Machine, Times};
use pool::writer::Writer;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use tempfile::TempDir;
use tower::ServiceExt;
use web::api::guard::Budgets;
use web::db::Db;
use web::history::History;
use web::keys::Keys;
use web::news::Teller;
use web::notices::Outbox;
use web::operator::{Hand, Operators};
use web::outlook::{
    Addresses, AssetOutlook, BackupOutlook, NextBlock, NodeOutlook, Outlook, Parsed, PoolOutlook,
    PortOutlook, WalletOutlook,
};
use web::profiles::Profiles;
use web::readers::Readers;
use web::site::{Settings, Site};
use web::theme::Theme;

/// The site, and what it stands on.
pub struct Glass {
    router: Router,
    _writer: Writer,
    _folder: TempDir,
}

impl Glass {
    /// With a history: two miners, a block of theirs that was paid out, and another that is young.
    pub async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (clock, treasury) = (TestClock::default(), FakeTreasury::default());
        let writer = start(folder.path(), asset(), pool_of(PPLNS, 100), &clock);
        let mut cashier = cashier(&writer, folder.path(), &clock, &treasury);
        let (one, two) = (enrol(&writer.pool, 1).await, enrol(&writer.pool, 2).await);
        record(&writer.pool, vec![share(one, 30, 1), share(two, 60, 2)]).await;
        found(&writer.pool, block(9, 1, 100, PPLNS)).await;
        treasury.world(|world| {
            world.sightings.insert(RewardId([9; 32]), Sighting::InChain(101));
            world.spendable = 50 * COIN;
        });
        cashier.round().await.unwrap();
        let paid = treasury.world(|world| world.sent[0].0);
        treasury.world(|world| {
            world.mempool.clear();
            world.confirmed.insert(paid, 3);
        });
        cashier.round().await.unwrap();
        clock.advance(600_000);
        record(&writer.pool, vec![share(two, 500, 3)]).await;
        found(&writer.pool, block(8, 2, 205, PPLNS)).await;
        // The snapshot is made beside the writer: until it shows the block, its numbers are those of before.
        testkit::wait_for("the view", || {
            (writer.pool.view().pools.first()?.blocks.found == 2).then_some(())
        });
        meters(&writer, &clock, [one, two]);
        let db = Db::open(folder.path()).unwrap();
        let history = History::open(db.clone(), clock.now()).unwrap();
        history.sample(writer.pool.noise(), clock.now());
        clock.advance(60_000);
        meters(&writer, &clock, [one, two]);
        history.sample(writer.pool.noise(), clock.now());
        let outbox = Outbox::new(db.clone(), Vec::new(), Arc::new(clock.clone())).unwrap();
        let site = Arc::new(Site {
            pool: writer.pool.clone(),
            readers: Readers::of(folder.path()),
            outlook: Arc::new(ArcSwap::from_pointee(outlook(clock.now()))),
            history,
            profiles: Profiles::open(db.clone()).unwrap(),
            activity: ArcSwap::default(),
            keys: Keys::in_db(db.clone()),
            operators: Operators::in_db(db.clone()),
            hand: Hand::new(|_, _| async { Err("nobody is at the desk".to_owned()) }),
            budgets: Budgets::default(),
            outbox,
            waiting_notices: AtomicU64::new(0),
            news: Teller::default(),
            db,
            theme: Theme::load(None).unwrap(),
            settings: Settings { title: "Glass".into(), ..Settings::default() },
            clock: Arc::new(clock.clone()),
        });
        site.learn_activity().await.unwrap();
        let router = web::router(site);
        Glass { router, _writer: writer, _folder: folder }
    }

    /// Asks.
    pub async fn get(&self, path: &str) -> Response<Body> {
        let from_here = ConnectInfo(SocketAddr::from(([127, 0, 0, 1], 4711)));
        let request = Request::get(path).header("host", "pool.example").extension(from_here);
        self.router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
    }

    /// Status, content type and text.
    pub async fn text(&self, path: &str) -> (u16, String, String) {
        let (head, body) = self.get(path).await.into_parts();
        let kind = head.headers.get("content-type").map(|kind| kind.to_str().unwrap().to_owned());
        let body = body.collect().await.unwrap().to_bytes();
        let text = String::from_utf8(body.to_vec()).unwrap();
        (head.status.as_u16(), kind.unwrap_or_default(), text)
    }
}

fn meters(writer: &Writer, clock: &TestClock, who: [(AccountId, WorkerId); 2]) {
    for (ids, n, shares) in [(who[0], 1, 40), (who[1], 2, 560)] {
        let machine =
            Machine { pool: PoolId(1), identity: Arc::new(identity(n)), worker: "rig".into() };
        let meter = writer.pool.noise().meter(machine, clock.now()).unwrap();
        meter.count(|counts| {
            counts.ids = Some(ids);
            counts.display = format!("miner {n}").into();
            counts.agent = "cgminer/4.12".into();
            counts.connections = 1;
            counts.since = UnixMs(1_700_000_000_000);
            counts.accepted(shares, u128::from(shares) * 10, 900.0, clock.now());
            counts.refused("stale");
        });
    }
}

fn outlook(now: UnixMs) -> Outlook {
    let parse = |text: &str| {
        let number = text.strip_prefix("miner ").and_then(|n| n.parse::<u8>().ok());
        let number = number.ok_or("it does not begin with \"miner\"")?;
        Ok(Parsed { identity: identity(number), display: text.to_owned() })
    };
    let refuse = |_: &accounting::Identity, _: &str, _: &str| Err("not signed".to_owned());
    Outlook {
        at: now,
        started_at: UnixMs(now.0 - 3_600_000),
        connections: 2,
        assets: vec![AssetOutlook {
            id: AssetId(1),
            name: "btc".into(),
            coin: "Bitcoin".into(),
            symbol: "BTC".into(),
            network: "bitcoin/regtest".into(),
            decimals: 8,
            algorithms: vec!["sha256d".into()],
            difficulty_one: 1.0,
            measure: web::measure::Measure::Hashes,
            block_interval_s: 600.0,
            address: "the pool's own".into(),
            next: Some(NextBlock {
                height: 206,
                work: 1000.0,
                value: 5_000_000_000,
                transactions: 7,
                at: now,
            }),
            nodes: vec![NodeOutlook {
                address: "127.0.0.1:1".into(),
                height: Some(205),
                trouble: None,
            }],
            wallet: Some(WalletOutlook {
                spendable: Amount::from_units(COIN / 2),
                immature: Amount::from_units(50 * COIN),
                unconfirmed: Amount::ZERO,
            }),
            folds: true,
            blockers: Vec::new(),
            warnings: Vec::new(),
            trouble: None,
            next_run: UnixMs(now.0 + 60_000),
            minimum: Amount::from_units(1000),
            mature_after: 101,
            orphan_after: 6,
            addresses: Addresses::new(parse, refuse),
        }],
        pools: vec![PoolOutlook {
            id: PoolId(1),
            name: "main".into(),
            asset: AssetId(1),
            algorithm: "sha256d".into(),
            part: None,
            scheme: PPLNS,
            fee: pool_of(PPLNS, 100).fee,
            ports: vec![PortOutlook {
                address: "0.0.0.0:3333".parse().unwrap(),
                tls: true,
                start: 1000.0,
                min: 1.0,
                max: 1e12,
                share_interval_s: 10.0,
            }],
            rejected: vec![("stale", 2)],
            accepted: 600,
            blocks_unbooked: 0,
            jobs_sent: 9,
            difficulty_changes: 3,
            validation: Times::default(),
            ack: Times::default(),
            broadcast: Times::default(),
        }],
        loops: vec![("the beat".into(), true)],
        backups: Some(BackupOutlook {
            folder: "/copies".into(),
            last: Some(UnixMs(now.0 - 1000)),
            trouble: None,
        }),
    }
}
