//! `true` means on disk: seen from outside, and while the disk refuses.

#![allow(clippy::unwrap_used, reason = "a story that fails has failed")]

mod common;

use common::load::Load;
use common::{Chain, Pool, Setup, somebody};
use pow::Algorithm;
use std::collections::HashMap;
use std::process::Command;
use testkit::bitcoind::{NOBODY, PASSWORD, USER};
use testkit::{Bitcoind, bitcoind};

/// The ids of submits and of acceptances that stand in one traced system call.
fn ids(text: &str, accepted: bool) -> Vec<u64> {
    // Strings are traced with their quotes escaped, cut into lines by \n.
    let plain = text.replace("\\\"", "\"");
    let mut found = Vec::new();
    for line in plain.split("\\n") {
        let wanted = if accepted {
            line.contains("\"result\":true")
        } else {
            line.contains("mining.submit")
        };
        let id = line
            .split("\"id\":")
            .nth(1)
            .map(|rest| rest.chars().take_while(char::is_ascii_digit).collect::<String>());
        // Below 100 are the greetings.
        found.extend(id.and_then(|id| id.parse().ok()).filter(|id: &u64| wanted && *id >= 100));
    }
    found
}

#[test]
fn a_trace_shows_that_no_true_leaves_before_its_sync() {
    let chain = Chain::with_hashes_per_block(1 << 50);
    let mut pool = Pool::new(&chain.setup());
    let trace = pool.folder.path().join("trace");
    let calls = "trace=recvfrom,read,sendto,write,writev,sendmsg,fdatasync,fsync";
    pool.through = ["strace", "-f", "-q", "-s", "65536", "-e", calls, "-e", "signal=none", "-o"]
        .into_iter()
        .map(str::to_owned)
        .chain([
            trace.display().to_string(),
            "setpriv".into(),
            "--pdeathsig".into(),
            "KILL".into(),
            "--".into(),
        ])
        .collect();
    pool.start();
    // One connection, so that ids are unique.
    let load = Load::start(pool.port.address(), 1);
    testkit::wait_for("shares", || (load.acknowledged() > 200).then_some(()));
    load.stop();
    pool.kill();
    let text = String::from_utf8_lossy(&std::fs::read(&trace).unwrap()).into_owned();
    // Where each submit came in, and where each sync began and ended, as lines of the trace.
    let mut came: HashMap<u64, usize> = HashMap::new();
    let mut syncs: Vec<(usize, usize)> = Vec::new();
    let mut running: HashMap<String, usize> = HashMap::new();
    let mut checked = 0;
    for (at, line) in text.lines().enumerate() {
        let thread = line.split_whitespace().next().unwrap_or_default().to_owned();
        let is_sync = line.contains("fdatasync(")
            || line.contains("fsync(")
            || line.contains("sync resumed>");
        if is_sync && line.contains("<unfinished") {
            running.insert(thread, at);
        } else if is_sync && line.contains("= 0") {
            syncs.push((running.remove(&thread).unwrap_or(at), at));
        } else if line.contains("mining.submit") {
            ids(line, false).into_iter().for_each(|id| assert_eq!(came.insert(id, at), None));
        }
        for id in ids(line, true) {
            let received = came[&id];
            let synced = syncs.iter().any(|(began, ended)| *began > received && *ended < at);
            assert!(
                synced,
                "share {id} came in line {received} and was acknowledged in line {at} without a sync between"
            );
            checked += 1;
        }
    }
    assert!(checked >= 200, "{checked} acknowledgements were seen");
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_full_disk_no_true_is_sent_blocks_still_reach_the_node_and_the_operator_is_told() {
    let node = Bitcoind::start(bitcoind::Options::default());
    node.generate(1, NOBODY);
    let mut pool = Pool::new(&Setup::bitcoin(node.address(), USER, PASSWORD));
    // A write beyond the limit fails, as on a full disk, instead of ending the process.
    pool.through =
        ["sh", "-c", "trap '' XFSZ; exec \"$0\" \"$@\""].into_iter().map(str::to_owned).collect();
    pool.start();
    let (ann, _) = somebody(1);
    let miner = pool.miner(&ann, Algorithm::Sha256d, 8.0);
    let mut stats = miner.stats();
    stats.wait_for(|stats| stats.accepted >= 2).await.unwrap();
    let limit = |bytes: &str| {
        let process = pool.process.as_ref().unwrap().id().to_string();
        let set = Command::new("prlimit")
            .args(["--pid", &process, &format!("--fsize={bytes}:unlimited")])
            .status();
        assert!(set.unwrap().success());
    };
    // Nothing that is larger than this already can grow.
    limit("4096");
    let refused = |stats: &miner::Stats| stats.rejected.values().sum::<u64>();
    stats.wait_for(|stats| refused(stats) > 0).await.unwrap();
    let (accepted, height) = (stats.borrow().accepted, node.height());
    // Blocks are found and taken by the node all the same.
    testkit::wait_for("blocks", || (node.height() >= height + 2).then_some(()));
    let before = refused(&stats.borrow());
    stats.wait_for(|stats| refused(stats) > before + 3).await.unwrap();
    assert_eq!(stats.borrow().accepted, accepted, "nothing is acknowledged meanwhile");
    assert!(pool.status()["store_failing"].is_string());
    limit("unlimited");
    stats.wait_for(|stats| stats.accepted > accepted + 3).await.unwrap();
    miner.stop().await;
    pool.wait("the store to be well", |status| status["store_failing"].is_null().then_some(()));
    // Every block the node has of ours is booked, those of the bad time included.
    let ours = node.height() as usize - 1;
    pool.wait_for_rewards(ours);
    pool.stop();
    pool.start();
    assert_eq!(pool.reader().fold_differences().unwrap(), vec![]);
    pool.stop();
}
