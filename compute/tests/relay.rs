//! The relay, from the pool's outbox and from a miner without a pool.

#![allow(clippy::unwrap_used, reason = "a test that finds an error has failed")]

mod common;
#[path = "common/relay.rs"]
mod stand_in;

use compute::client::direct::Direct;
use compute::client::{Engine, News};
use compute::data::demo;
use compute::evaluate::Prepared;
use compute::evolve::founders;
use compute::key::SigningKey;
use compute::relay::Relay;
use compute::score::Score;
use compute::server::{Door, Settings};
use compute::tables::Tables;
use compute::tables::forward::Forward;
use compute::task::AlgorithmId;
use pool::clock::SystemClock;
use pool::writer::Writer;
use stand_in::StandIn;
use std::path::Path;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

struct Pool {
    cancel: CancellationToken,
    served: JoinHandle<()>,
    running: compute::office::Running,
    writer: Writer,
    address: std::net::SocketAddr,
}

/// A pool that begins with the founders, evaluates them itself and sends the best to a relay.
async fn pool(folder: &Path, relay: &str) -> Pool {
    let writer = common::writer(folder);
    let own = SigningKey::from_seed(&[9; 32]);
    let settings = Settings {
        founders: founders(16),
        relay: Some(Relay::new(relay, own).unwrap()),
        ..common::settings(common::ledger(&writer, folder))
    };
    let set = Prepared::new(&demo::classes());
    let opened = Door::open(folder, settings, set, Arc::new(SystemClock), 7).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let cancel = CancellationToken::new();
    let served = tokio::spawn(opened.door.serve(listener, None, cancel.clone()));
    Pool { cancel, served, running: opened.running, writer, address }
}

impl Pool {
    async fn stop(self) {
        self.cancel.cancel();
        self.served.await.unwrap();
        tokio::task::spawn_blocking(|| self.running.join()).await.unwrap();
        common::end(self.writer).await;
    }
}

/// What the outbox says, once it says so.
async fn outbox(folder: &Path, is_so: impl Fn(&Forward) -> bool + Send + 'static) -> Forward {
    let folder = folder.to_owned();
    let wait = move || {
        testkit::wait_for("the outbox", || {
            let last = Tables::open(&folder).ok()?.last_forward().ok()??;
            is_so(&last).then_some(last)
        })
    };
    tokio::task::spawn_blocking(wait).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pools_best_reaches_the_relay_in_the_pools_own_name() {
    let (folder, relay) = (tempfile::tempdir().unwrap(), StandIn::start(0.1).await);
    let pool = pool(folder.path(), &relay.url()).await;
    let last = outbox(folder.path(), |last| last.state == "accepted").await;
    assert_eq!(last.said, "51fa476c87b5e92e");
    pool.stop().await;
    let mood = relay.mood.lock().unwrap();
    let (hotkey, body) = mood.taken.last().unwrap();
    assert_eq!(*hotkey, SigningKey::from_seed(&[9; 32]).public().to_string());
    assert_eq!(body["score"].as_f64(), last.score.to_f64());
    assert_eq!(body["algorithm_result"]["input_dim"], 16);
    assert!(body["algorithm_result"]["algorithm_dsl"].as_str().unwrap().contains("# predict"));
}

#[tokio::test(flavor = "multi_thread")]
async fn below_the_relays_best_nothing_is_sent() {
    let (folder, relay) = (tempfile::tempdir().unwrap(), StandIn::start(0.999).await);
    let pool = pool(folder.path(), &relay.url()).await;
    outbox(folder.path(), |last| last.state == "below").await;
    assert_eq!(relay.mood.lock().unwrap().asked, 0);
    pool.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_is_down_or_rude_costs_no_miner_anything() {
    let (folder, relay) = (tempfile::tempdir().unwrap(), StandIn::start(0.1).await);
    relay.mood.lock().unwrap().is_down = true;
    let before = pool(folder.path(), &relay.url()).await;
    let waiting = outbox(folder.path(), |last| last.tries > 0).await;
    assert_eq!((&*waiting.state, &*waiting.said), ("waiting", "down for maintenance"));
    let health = common::http::ask(before.address, "GET", "/health", &[], "");
    assert_eq!(health.0, 200);
    // What waited still waits after a restart, and is sent when its time has come.
    before.stop().await;
    {
        let mut mood = relay.mood.lock().unwrap();
        (mood.is_down, mood.is_unfriendly) = (false, true);
    }
    let tables =
        rusqlite::Connection::open(folder.path().join(compute::tables::FILE_NAME)).unwrap();
    tables.execute("UPDATE forward SET next_at_s = 0", []).unwrap();
    drop(tables);
    let after = pool(folder.path(), &relay.url()).await;
    let refused = outbox(folder.path(), |last| last.state == "refused").await;
    assert_eq!(refused.said, "Miner is blacklisted");
    assert_eq!(common::http::ask(after.address, "GET", "/health", &[], "").0, 200);
    after.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_submission_whose_answer_was_lost_is_known_when_it_is_sent_again() {
    let (folder, relay) = (tempfile::tempdir().unwrap(), StandIn::start(0.1).await);
    relay.mood.lock().unwrap().loses_answers = true;
    let before = pool(folder.path(), &relay.url()).await;
    outbox(folder.path(), |last| last.state == "waiting" && last.tries > 0).await;
    before.stop().await;
    relay.mood.lock().unwrap().loses_answers = false;
    let tables =
        rusqlite::Connection::open(folder.path().join(compute::tables::FILE_NAME)).unwrap();
    tables.execute("UPDATE forward SET next_at_s = 0", []).unwrap();
    drop(tables);
    let after = pool(folder.path(), &relay.url()).await;
    outbox(folder.path(), |last| last.state == "duplicate").await;
    after.stop().await;
    assert_eq!(relay.mood.lock().unwrap().taken.len(), 1, "once");
}

#[test]
fn the_outbox_has_one_place_and_the_best_has_it() {
    let folder = tempfile::tempdir().unwrap();
    let tables = Tables::open(folder.path()).unwrap();
    let score = |number| Score::read(number).unwrap();
    assert!(tables.propose(AlgorithmId(1), score(0.6), 10).unwrap());
    assert!(!tables.propose(AlgorithmId(2), score(0.6), 11).unwrap(), "no better");
    assert!(!tables.propose(AlgorithmId(3), Score::Invalid, 11).unwrap());
    let first = tables.due(11).unwrap().unwrap();
    tables.not_forwarded(&first, "down", None, 11).unwrap();
    assert_eq!(tables.due(40).unwrap(), None, "half a minute first");
    let again = tables.due(41).unwrap().unwrap();
    tables.not_forwarded(&again, "down", None, 41).unwrap();
    assert_eq!(tables.due(100).unwrap(), None, "then a minute");
    tables.not_forwarded(&again, "busy", Some(3), 100).unwrap();
    assert!(tables.due(103).unwrap().is_some(), "or when the relay says");
    // A better one takes the place of what waits.
    assert!(tables.propose(AlgorithmId(4), score(0.7), 104).unwrap());
    assert_eq!(tables.due(104).unwrap().unwrap().algorithm, AlgorithmId(4));
    tables.forwarded(AlgorithmId(1), "accepted", "", 105).unwrap();
    tables.forwarded(AlgorithmId(4), "accepted", "id", 105).unwrap();
    assert_eq!(tables.due(1_000_000).unwrap(), None);
    assert_eq!(tables.last_forward().unwrap().unwrap().said, "id");
}

fn engine(folder: &Path, tell: mpsc::UnboundedSender<News>, cancel: &CancellationToken) -> Engine {
    Engine {
        set: Arc::new(Prepared::new(&demo::classes())),
        generations: 20,
        folder: folder.to_owned(),
        tell: Arc::new(move |news| tell.send(news).unwrap_or_default()),
        cancel: cancel.clone(),
    }
}

async fn until(news: &mut mpsc::UnboundedReceiver<News>, is_it: impl Fn(&News) -> bool) -> News {
    loop {
        let heard = news.recv().await.expect("it works");
        if is_it(&heard) {
            return heard;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_miner_without_a_pool_beats_the_relays_best_and_goes_on_where_it_was() {
    let (folder, relay) = (tempfile::tempdir().unwrap(), StandIn::start(0.52).await);
    let key = SigningKey::from_seed(&[5; 32]);
    let cancel = CancellationToken::new();
    let (tell, mut news) = mpsc::unbounded_channel();
    let miner =
        Direct::new(&relay.url(), key.clone(), engine(folder.path(), tell, &cancel)).unwrap();
    let working = tokio::spawn(async move { miner.work().await });
    let sent = until(&mut news, |news| matches!(news, News::Submitted { .. })).await;
    let News::Submitted { score, said } = sent else { panic!("submitted") };
    assert!(score >= 0.52 && said.starts_with("accepted"), "{score} {said}");
    cancel.cancel();
    working.await.unwrap().unwrap();
    let taken = {
        let mut mood = relay.mood.lock().unwrap();
        let (hotkey, body) = mood.taken[0].clone();
        assert_eq!((hotkey, body["score"].as_f64()), (key.public().to_string(), Some(score)));
        // It is not believed any more: a restart must begin with what was found, not with nothing.
        mood.is_down = true;
        mood.taken.len()
    };
    let cancel = CancellationToken::new();
    let (tell, mut news) = mpsc::unbounded_channel();
    let miner =
        Direct::new(&relay.url(), key.clone(), engine(folder.path(), tell, &cancel)).unwrap();
    let working = tokio::spawn(async move { miner.work().await });
    until(&mut news, |news| matches!(news, News::Waiting(..))).await;
    relay.mood.lock().unwrap().is_down = false;
    let News::Searching { best, .. } =
        until(&mut news, |news| matches!(news, News::Searching { .. })).await
    else {
        panic!("searching")
    };
    assert!(best >= Some(score), "{best:?}");
    cancel.cancel();
    working.await.unwrap().unwrap();
    let again = relay.mood.lock().unwrap();
    let equal = again.taken.iter().filter(|(_, body)| body["score"].as_f64() == Some(score));
    assert_eq!(equal.count(), 1, "the same is sent once, of {taken}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_miner_whom_the_relay_does_not_want_is_told_and_stops() {
    let (folder, relay) = (tempfile::tempdir().unwrap(), StandIn::start(0.1).await);
    relay.mood.lock().unwrap().is_unfriendly = true;
    let (tell, _news) = mpsc::unbounded_channel();
    let cancel = CancellationToken::new();
    let key = SigningKey::from_seed(&[5; 32]);
    let miner = Direct::new(&relay.url(), key, engine(folder.path(), tell, &cancel)).unwrap();
    let ended = miner.work().await.unwrap_err().to_string();
    assert!(ended.contains("blacklisted"), "{ended}");
    relay.stop();
}
