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
use web::node::{NodeDoor, NodeTrouble, Nodes};
use web::notices::Outbox;
use web::operator::{Hand, Operators};
use web::outlook::{
    Addresses, AssetOutlook, BackupOutlook, NextBlock, NodeOutlook, Outlook, Parsed, PoolOutlook,
    PortOutlook, WalletOutlook,
};
use web::profiles::Profiles;
use web::readers::Readers;
use web::site::{Settings, Site};
use web::sponsored::{Slot, Sponsored};
use web::support::Support;
use web::theme::Theme;

/// The site, and what it stands on.
pub struct Glass {
    router: Router,
    pub site: Arc<Site>,
    _writer: Writer,
    _folder: TempDir,
}

/// What came of a form.
pub struct Posted {
    pub status: u16,
    /// Where it leads.
    pub to: String,
    /// The cookie it sets.
    pub cookie: String,
    pub page: String,
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
            prospects: Default::default(),
            support: Support::in_db(db.clone()),
            operators: Operators::in_db(db.clone()),
            hand: Hand::new(|_, _| async { Err("nobody is at the desk".to_owned()) }),
            budgets: Budgets::default(),
            outbox,
            waiting_notices: AtomicU64::new(0),
            news: Teller::default(),
            db,
            theme: Theme::load(None).unwrap(),
            nodes: nodes(),
            settings: Settings {
                title: "Glass".into(),
                sponsored: listings(),
                ..Settings::default()
            },
            clock: Arc::new(clock.clone()),
        });
        site.learn_activity().await.unwrap();
        let router = web::router(site.clone());
        Glass { router, site, _writer: writer, _folder: folder }
    }

    /// Asks.
    pub async fn get(&self, path: &str) -> Response<Body> {
        let from_here = ConnectInfo(SocketAddr::from(([127, 0, 0, 1], 4711)));
        let request = Request::get(path).header("host", "pool.example").extension(from_here);
        self.router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
    }

    /// Asks a node, with a key or without, over TLS or in the open.
    pub async fn ask_node(&self, key: Option<&str>, from: [u8; 4], body: &str) -> (u16, String) {
        let peer = ConnectInfo(SocketAddr::from((from, 4711)));
        let mut request = Request::post("/api/v1/node/btc").extension(peer);
        if let Some(key) = key {
            request = request.header("x-api-key", key);
        }
        let request = request.body(Body::from(body.to_owned())).unwrap();
        let (head, body) = self.router.clone().oneshot(request).await.unwrap().into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        (head.status.as_u16(), String::from_utf8(body.to_vec()).unwrap())
    }

    /// Gets with a key, from this machine.
    pub async fn with_key(&self, path: &str, key: &str) -> String {
        let peer = ConnectInfo(SocketAddr::from(([127, 0, 0, 1], 4711)));
        let request = Request::get(path).extension(peer).header("x-api-key", key);
        let request = request.body(Body::empty()).unwrap();
        let body = self.router.clone().oneshot(request).await.unwrap().into_body();
        String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap()
    }

    /// Sends a form from this machine, with a cookie.
    pub async fn post(&self, path: &str, cookie: &str, form: &[(&str, &str)]) -> Posted {
        let peer = ConnectInfo(SocketAddr::from(([127, 0, 0, 1], 4711)));
        let body: Vec<String> = form
            .iter()
            .map(|(key, value)| format!("{key}={}", web::http::encoded(value)))
            .collect();
        let request = Request::post(path)
            .extension(peer)
            .header("content-type", "application/x-www-form-urlencoded")
            .header("cookie", cookie);
        let request = request.body(Body::from(body.join("&"))).unwrap();
        let (head, body) = self.router.clone().oneshot(request).await.unwrap().into_parts();
        let named = |name| {
            head.headers.get(name).map_or(String::new(), |value| value.to_str().unwrap().to_owned())
        };
        let (to, cookie) = (named("location"), named("set-cookie"));
        let cookie = cookie.split(';').next().unwrap_or_default().to_owned();
        let page = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
        Posted { status: head.status.as_u16(), to, cookie, page }
    }

    /// Gets with a cookie.
    pub async fn with_cookie(&self, path: &str, cookie: &str) -> String {
        let peer = ConnectInfo(SocketAddr::from(([127, 0, 0, 1], 4711)));
        let request = Request::get(path).extension(peer).header("cookie", cookie);
        let request = request.body(Body::empty()).unwrap();
        let body = self.router.clone().oneshot(request).await.unwrap().into_body();
        String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap()
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

/// A node that knows its height, says no, and is silent.
fn nodes() -> Nodes {
    let mut nodes = Nodes::default();
    let door = NodeDoor::new(|method, params| async move {
        match method.as_str() {
            "getblockcount" => Ok(serde_json::json!(205)),
            "getblock" => {
                Err(NodeTrouble::Refused { code: -8, message: format!("no block {}", params[0]) })
            }
            _ => Err(NodeTrouble::Silent("gone".into())),
        }
    });
    let offered = ["getblockcount", "getblock", "getdifficulty"].map(str::to_owned);
    nodes.offer("btc", offered, door);
    nodes
}

/// One for each place.
fn listings() -> Vec<Sponsored> {
    let until = "2100-01-01";
    let listing = |slot, title| {
        Sponsored::read(slot, [title, "It is <b>quiet</b>.", "https://fans.example"], None, until)
            .unwrap()
    };
    vec![listing(Slot::Pool, "Fans"), listing(Slot::Leaderboard, "A miner")]
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
    let prove = |_: &accounting::Identity, message: &str, signature: &str| {
        let is_signed = signature == format!("signed: {message}");
        if is_signed { Ok(()) } else { Err("nobody signed this".to_owned()) }
    };
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
                value: Some(5_000_000_000),
                transactions: Some(7),
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
            addresses: Addresses::new(parse, prove),
        }],
        pools: vec![PoolOutlook {
            id: PoolId(1),
            name: "main".into(),
            asset: AssetId(1),
            algorithm: "sha256d".into(),
            part: None,
            scheme: PPLNS,
            by_block: None,
            fee: pool_of(PPLNS, 100).fee,
            ports: vec![PortOutlook {
                address: "0.0.0.0:3333".parse().unwrap(),
                tls: true,
                start: 1000.0,
                min: 1.0,
                max: 1e12,
                share_interval_s: 10.0,
            }],
            leased: None,
            refunds: None,
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
