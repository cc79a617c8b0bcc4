//! The miner against the real door: it works, it goes on after a crash, and what it sends is in consensus with the pool.

#![allow(clippy::unwrap_used, reason = "a test that finds an error has failed")]

mod common;

use compute::client::{Account, Client, Config, News};
use compute::data::demo;
use compute::desk;
use compute::evaluate::Prepared;
use compute::evolve::founders;
use compute::key::SigningKey;
use compute::quorum::{Defences, Rules};
use compute::server::{Door, Ledger, Pace, Settings};
use compute::tables::Tables;
use pool::clock::SystemClock;
use serde_json::json;
use std::path::Path;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

fn settings(ledger: Ledger) -> Settings {
    // Every algorithm is a check, and nobody is on probation.
    let defences = Defences { checks_per_thousand: 1000, probation: 0, ..Defences::ALL };
    let rules = Rules { defences, ..Rules::ORIGINAL };
    Settings {
        desk: desk::Settings { rules, ..desk::Settings::DEFAULT },
        founders: founders(16),
        ..common::settings(ledger)
    }
}

fn miner(
    who: u8,
    pool: &str,
    folder: &Path,
    cancel: &CancellationToken,
) -> (Client, mpsc::UnboundedReceiver<News>) {
    let (tell, news) = mpsc::unbounded_channel();
    let config = Config {
        pool: pool.to_owned(),
        key: SigningKey::from_seed(&[who; 32]),
        folder: folder.to_owned(),
        batch: 4,
        generations: 10,
    };
    let set = Arc::new(Prepared::new(&demo::classes()));
    let told = move |news| tell.send(news).unwrap_or_default();
    (Client::new(config, set, told, cancel.clone()).unwrap(), news)
}

/// Works until something happened so often; gives how often it did before the end.
async fn works(who: u8, pool: &str, folder: &Path, until: fn(&News) -> bool, times: usize) {
    let cancel = CancellationToken::new();
    let (client, mut news) = miner(who, pool, folder, &cancel);
    let working = tokio::spawn(async move { client.work().await });
    let mut left = times;
    while left > 0 {
        let heard = news.recv().await.expect("it works");
        left -= usize::from(until(&heard));
    }
    cancel.cancel();
    working.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn miners_evolve_evaluate_and_are_in_consensus() {
    let folder = tempfile::tempdir().unwrap();
    let set = Prepared::new(&demo::classes());
    let writer = common::writer(folder.path());
    let settings = settings(common::ledger(&writer, folder.path()));
    let opened = Door::open(folder.path(), settings, set, Arc::new(SystemClock), 7).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let pool = format!("http://{}", listener.local_addr().unwrap());
    let cancel = CancellationToken::new();
    let served = tokio::spawn(opened.door.serve(listener, None, cancel.clone()));

    let answered: fn(&News) -> bool = |news| matches!(news, News::Answered(_));
    let own = |who: u8| folder.path().join(format!("miner-{who}"));
    works(1, &pool, &own(1), answered, 2).await;
    // The second stops with work in hand, and goes on with it.
    works(2, &pool, &own(2), |news| matches!(news, News::Evaluated { .. }), 1).await;
    assert!(own(2).join("in-hand.json").exists());
    works(2, &pool, &own(2), answered, 1).await;
    for who in 3..=5 {
        works(who, &pool, &own(who), answered, 2).await;
    }
    cancel.cancel();
    served.await.unwrap();
    tokio::task::spawn_blocking(|| opened.running.join()).await.unwrap();
    common::end(writer).await;

    let tables = Tables::open(folder.path()).unwrap();
    let mut verdicts = 0;
    for who in 1..=5 {
        let key = SigningKey::from_seed(&[who; 32]).public();
        for verdict in tables.verdicts(&key, 100).unwrap() {
            assert!(verdict.accurate, "{verdict:?}");
            verdicts += 1;
        }
    }
    assert!(verdicts >= 3, "{verdicts}");
    assert!(!tables.leaders(10, 0).unwrap().is_empty());
}

/// On a set as small as the demo's a worker asks more often than the pool likes.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_is_told_to_slow_down_waits_so_long_and_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let writer = common::writer(folder.path());
    let settings = Settings {
        // Four at once, and one every four seconds.
        pace: Pace { per_key: 15, per_address: 0 },
        ..settings(common::ledger(&writer, folder.path()))
    };
    let set = Prepared::new(&demo::classes());
    let opened = Door::open(folder.path(), settings, set, Arc::new(SystemClock), 7).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let pool = format!("http://{}", listener.local_addr().unwrap());
    let cancel = CancellationToken::new();
    let served = tokio::spawn(opened.door.serve(listener, None, cancel.clone()));
    let ended = CancellationToken::new();
    let (client, mut news) = miner(1, &pool, &folder.path().join("miner"), &ended);
    let working = tokio::spawn(async move { client.work().await });
    let mut waited = 0;
    loop {
        match news.recv().await.expect("it works") {
            News::Waiting(why, pause) if why.contains("too many requests") => {
                assert!((1..=5).contains(&pause.as_secs()), "{why}: {pause:?}");
                waited += 1;
            }
            News::Answered(_) if waited > 0 => break,
            _ => {}
        }
    }
    ended.cancel();
    working.await.unwrap().unwrap();
    cancel.cancel();
    served.await.unwrap();
    tokio::task::spawn_blocking(|| opened.running.join()).await.unwrap();
    common::end(writer).await;
}

/// Two who agree on a lie are believed where nothing stands against it: the third hears why its honest vote earned nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_says_why_a_vote_was_not_in_consensus() {
    let folder = tempfile::tempdir().unwrap();
    let writer = common::writer(folder.path());
    let settings = Settings {
        desk: desk::Settings { rules: Rules::ORIGINAL, ..desk::Settings::DEFAULT },
        founders: founders(16),
        ..common::settings(common::ledger(&writer, folder.path()))
    };
    let set = Prepared::new(&demo::classes());
    let opened = Door::open(folder.path(), settings, set, Arc::new(SystemClock), 7).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let pool = format!("http://{}", listener.local_addr().unwrap());
    let cancel = CancellationToken::new();
    let served = tokio::spawn(opened.door.serve(listener, None, cancel.clone()));

    let account = |who: u8| Account::new(&pool, SigningKey::from_seed(&[who; 32])).unwrap();
    let author = account(1);
    let evolve = json!({ "task_type": "evolve" });
    // The founders are evaluated by the pool first.
    let lease = loop {
        match author.post("/api/v1/tasks/request", &evolve).await {
            Ok(lease) => break lease,
            Err(_) => tokio::time::sleep(std::time::Duration::from_millis(20)).await,
        }
    };
    let target = format!("/api/v1/tasks/{}/submit_evolution", lease["batch_id"].as_str().unwrap());
    let program = "# predict\ns2 = 3.0\nv1 = v0 * s2\ns0 = norm(v1)\n";
    author.post(&target, &json!({ "evolved_function": program })).await.unwrap();
    let evaluate = json!({ "task_type": "evaluate" });
    for who in [2, 3] {
        let liar = account(who);
        let batch = liar.post("/api/v1/tasks/request", &evaluate).await.unwrap();
        let target =
            format!("/api/v1/tasks/{}/submit_evaluation", batch["batch_id"].as_str().unwrap());
        let lie = json!({ "algorithm_id": batch["algorithms"][0]["id"], "score": 0.99 });
        liar.post(&target, &json!({ "evaluations": [lie] })).await.unwrap();
    }
    let ended = CancellationToken::new();
    let (client, mut news) = miner(4, &pool, &folder.path().join("miner"), &ended);
    let working = tokio::spawn(async move { client.work().await });
    let (mut steps, mut said) = (0, None);
    while said.is_none() {
        match news.recv().await.expect("it works") {
            News::Progress(progress) => {
                assert!(progress.done < progress.of, "{progress}");
                steps += 1;
            }
            News::OffConsensus { why, .. } => said = Some(why),
            _ => {}
        }
    }
    let why = said.unwrap();
    assert!(why.starts_with("not in consensus: you said 0."), "{why}");
    assert!(why.contains("the median of 3 is 0.990000000, and near enough is 10 %"), "{why}");
    assert!(steps > 0, "a bar could be drawn");
    ended.cancel();
    working.await.unwrap().unwrap();
    cancel.cancel();
    served.await.unwrap();
    tokio::task::spawn_blocking(|| opened.running.join()).await.unwrap();
    common::end(writer).await;
}

#[test]
fn an_address_that_is_none_is_told() {
    let folder = tempfile::tempdir().unwrap();
    for address in ["", "pool.example", "ftp://x", "http://x/path"] {
        let config = Config {
            pool: address.into(),
            key: SigningKey::from_seed(&[1; 32]),
            folder: folder.path().to_owned(),
            batch: 1,
            generations: 1,
        };
        let set = Arc::new(Prepared::new(&demo::classes()));
        assert!(Client::new(config, set, |_| {}, CancellationToken::new()).is_err(), "{address}");
    }
}
