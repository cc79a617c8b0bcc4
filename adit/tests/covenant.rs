//! A coordination-free pool on a Bitcoin Core that enforces BIP-119: three miners and a small pool that is a member mine, a
//! stranger verifies, a tree matures and is confirmed, wrong splits are refused by consensus, a reorganisation changes what is
//! owed as computed. And a chain that does not enforce BIP-119, where nothing of the kind is made.

#![allow(clippy::unwrap_used, reason = "a story that fails has failed")]

mod common;

use bitcoin::{Amount, ScriptBuf, TxOut};
use common::{ADIT, somebody};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::{Command, Output};
use tempfile::TempDir;
use testkit::bitcoind::{NOBODY, PASSWORD, USER};
use testkit::{Bitcoind, Litecoind, Process, bitcoind, block, litecoind};

const RULE: &str = r#"
start = 2
window = { kind = "last", blocks = 6 }
weights = { kind = "sats" }
share_permille = 1000
bootstrap = { kind = "finder" }
halving = { kind = "restart", interval = 150 }
floor = 10000
small = "others"
tree = { shape = { kind = "balanced", radix = 2 }, fee = { per_transaction = 400 } }
"#;

/// `adit ctv` with one rule and one node.
struct Ctv {
    folder: TempDir,
    node: String,
}

impl Ctv {
    fn new(node: std::net::SocketAddr) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("rule.toml"), RULE).unwrap();
        Ctv { folder, node: node.to_string() }
    }

    fn rule(&self) -> PathBuf {
        self.folder.path().join("rule.toml")
    }

    fn arguments(&self, words: &[&str]) -> Vec<String> {
        let rule = self.rule().display().to_string();
        let more = ["--rule", &rule, "--node", &self.node, "--node-user", USER];
        ["ctv"].iter().chain(words).chain(&more).map(|word| (*word).to_owned()).collect()
    }

    fn run(&self, words: &[&str]) -> Output {
        let mut command = Command::new(ADIT);
        command.args(self.arguments(words)).env("ADIT_NODE_PASSWORD", PASSWORD);
        command.output().unwrap()
    }

    fn says(&self, words: &[&str]) -> String {
        let output = self.run(words);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{words:?}: {error}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn tells(&self, words: &[&str]) -> Value {
        serde_json::from_str(&self.says(words)).unwrap()
    }

    fn refuses(&self, words: &[&str]) -> String {
        let output = self.run(words);
        assert!(!output.status.success(), "{words:?}");
        assert!(output.stdout.is_empty(), "nothing is printed where it refuses");
        String::from_utf8(output.stderr).unwrap()
    }

    /// A miner finds the next block by the rule.
    fn mine(&self, node: &Bitcoind, miner: u8, salt: u64) -> String {
        let planned = self.tells(&["plan", "--payout", &somebody(miner).0]);
        block::mine(&node.rpc, &block::outputs(&planned), &[], salt).unwrap().to_string()
    }

    fn owed(&self) -> Vec<String> {
        let said = self.says(&["watch", "--once"]);
        said.lines().rev().take_while(|line| line.starts_with("  ")).map(str::to_owned).collect()
    }
}

fn sum(outputs: &[TxOut]) -> u64 {
    outputs.iter().map(|output| output.value.to_sat()).sum()
}

/// What the chain holds for a script, in satoshis.
fn held(node: &Bitcoind, script: &ScriptBuf) -> u64 {
    let what = format!("raw({})", script.to_hex_string());
    let found = node.rpc.expect("scantxoutset", json!(["start", [what]]));
    (found["total_amount"].as_f64().unwrap() * 1e8).round() as u64
}

#[test]
fn miners_who_never_spoke_pay_each_other_and_consensus_keeps_them_to_it() {
    let node = Bitcoind::start(bitcoind::Options::default());
    node.generate(1, NOBODY);
    let ctv = Ctv::new(node.address());
    // Three miners and, as the fourth, a small pool that is a member by its address; between them somebody else, and a cheat.
    for round in 0..3 {
        for miner in 1..=4 {
            ctv.mine(&node, miner, round);
        }
        node.generate(1, NOBODY);
    }
    let planned = ctv.tells(&["plan", "--payout", &somebody(9).0]);
    let mut cheat = block::outputs(&planned);
    cheat[0].script_pubkey = somebody(9).1;
    let cheated = block::mine(&node.rpc, &cheat, &[], 0).unwrap().to_string();
    let last = ctv.mine(&node, 1, 9);

    // A stranger, who knows the rule and a node, finds the same.
    let verdicts = ctv.run(&["verify"]);
    assert_eq!(verdicts.status.code(), Some(1), "there is a cheat");
    let verdicts = String::from_utf8(verdicts.stdout).unwrap();
    assert_eq!(verdicts.lines().filter(|line| line.contains("qualified: by")).count(), 13);
    let refused = verdicts.lines().find(|line| line.contains("refused")).unwrap();
    assert!(refused.contains(&cheated) && refused.contains("by the rule it would pay"));
    assert!(ctv.says(&["verify", "--block", &last]).contains("qualified"));
    assert!(
        !ctv.owed().iter().any(|line| line.contains(&somebody(9).0)),
        "a cheat is owed nothing"
    );

    // The last block's tree: to the satoshi what its coinbase gave.
    let expanded = ctv.tells(&["expand", "--block", &last]);
    let transactions = expanded["transactions"].as_array().unwrap();
    assert_eq!(transactions.len(), 3, "four payees in twos");
    let paid: u64 = transactions
        .iter()
        .flat_map(|transaction| transaction["pays"].as_array().unwrap())
        .map(|payment| payment["amount"].as_u64().unwrap())
        .sum();
    let planned = ctv.tells(&["plan", "--payout", &somebody(2).0, "--value", "5000000000"]);
    assert_eq!(sum(&block::outputs(&planned)), 5_000_000_000);
    assert_eq!(paid + 3 * 400, 5_000_000_000);

    // Not before it is mature.
    assert_eq!(expanded["mature"], false);
    let early = ctv.refuses(&["expand", "--block", &last, "--broadcast"]);
    assert!(early.contains("cannot be spent before"), "{early}");
    let root = block::transaction(&transactions[0]["hex"]);
    let error = node.rpc.call("sendrawtransaction", json!([transactions[0]["hex"]])).unwrap_err();
    assert!(error.message.contains("premature-spend"), "{error}");
    node.generate(99, NOBODY);

    // A wrong split, and a theft, are refused by the mempool and in a block that has the work.
    let mut wrong = root.clone();
    wrong.output[0].value -= Amount::from_sat(1);
    let mut theft = root.clone();
    theft.output =
        vec![TxOut { value: Amount::from_sat(4_999_000_000), script_pubkey: somebody(9).1 }];
    for bad in [wrong, theft] {
        let hex = bitcoin::consensus::encode::serialize_hex(&bad);
        let error = node.rpc.call("sendrawtransaction", json!([hex])).unwrap_err();
        assert!(error.message.contains("OP_CHECKTEMPLATEVERIFY"), "{error}");
        let error = block::mine(&node.rpc, &[], &[bad], 1).unwrap_err();
        assert!(error.contains("script-verify-flag-failed"), "{error}");
    }
    // What one member needs is theirs to send; then all of it, and everybody has exactly what was planned.
    let pool = somebody(4);
    let claims = ctv.tells(&["claims", &pool.0, "--feerate", "5"]);
    let claim = claims["payments"].as_array().unwrap().last().unwrap().clone();
    assert_eq!((&claim["block"], &claim["mature"]), (&json!(last), &json!(true)));
    let one = ctv.tells(&["expand", "--block", &last, "--only", &pool.0, "--broadcast"]);
    assert_eq!(one["transactions"].as_array().unwrap().len(), 2);
    let vsize: u64 =
        one["transactions"].as_array().unwrap().iter().map(|t| t["vsize"].as_u64().unwrap()).sum();
    assert_eq!(claim["exit_vsize"], json!(vsize));
    assert_eq!(claim["fee_missing"], json!(vsize * 5 - 800));
    let before = held(&node, &pool.1);
    node.generate(1, NOBODY);
    assert_eq!(held(&node, &pool.1) - before, claim["amount"].as_u64().unwrap());
    let rest = ctv.tells(&["expand", "--block", &last, "--broadcast"]);
    let states: Vec<&str> = rest["transactions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|t| t["state"].as_str().unwrap())
        .collect();
    assert_eq!(states.iter().filter(|state| **state == "sent").count(), 1, "{states:?}");
    node.generate(1, NOBODY);
    for transaction in transactions {
        let id = &transaction["txid"];
        let paid = transaction["pays"].as_array().unwrap().len();
        let found =
            (0..2).filter(|output| !node.rpc.expect("gettxout", json!([id, output])).is_null());
        assert_eq!(
            found.count(),
            paid,
            "what pays a miner is unspent, what pays a branch is spent"
        );
    }
}

#[test]
fn a_reorganisation_changes_what_is_owed_as_if_it_had_always_been_so() {
    let node = Bitcoind::start(bitcoind::Options::default());
    node.generate(1, NOBODY);
    let ctv = Ctv::new(node.address());
    for miner in [1, 2, 3, 1, 2] {
        ctv.mine(&node, miner, 0);
    }
    let said = ctv.folder.path().join("watched");
    let arguments = ctv.arguments(&["watch", "--every", "1"]);
    let environment = [("ADIT_NODE_PASSWORD", PASSWORD.to_owned())];
    let watching = Process::start(std::path::Path::new(ADIT), &arguments, &environment, &said);
    let left = ctv.mine(&node, 3, 0);
    let right: Vec<String> = [1, 1].iter().map(|miner| ctv.mine(&node, *miner, 1)).collect();
    let first = ctv.owed();
    let last = |said: String| -> Vec<String> {
        said.lines().rev().take_while(|line| line.starts_with("  ")).map(str::to_owned).collect()
    };
    testkit::wait_for("the first fork", || (last(watching.said()) == first).then_some(()));

    node.rpc.expect("invalidateblock", json!([left])).is_null();
    for miner in [2, 4, 4, 4] {
        ctv.mine(&node, miner, 2);
    }
    let second = ctv.owed();
    assert_ne!(first, second);
    testkit::wait_for("the other fork", || (last(watching.said()) == second).then_some(()));
    let log = std::fs::read_to_string(&said).unwrap();
    for gone in right.iter().chain([&left]) {
        assert!(log.contains(&format!("{gone} left the chain")), "{log}");
    }
    node.rpc.expect("reconsiderblock", json!([left])).is_null();
    assert_eq!(ctv.owed(), second, "the longer fork stays");
}

#[test]
fn where_bip_119_is_not_enforced_nothing_is_made_and_the_reason_is_said() {
    let node = Litecoind::start(litecoind::Options::default());
    node.generate(3, &node.new_address());
    let ctv = Ctv::new(node.address());
    let payout = somebody(1).1.to_hex_string();
    let error = ctv.refuses(&["plan", "--payout", &payout]);
    assert!(error.contains("could be spent by anybody"), "{error}");
    let error = ctv.refuses(&["expand", "--block", "1", "--broadcast"]);
    assert!(error.contains("could be spent by anybody"), "{error}");
    // Judging blocks puts nothing into one; it says what they would be worth.
    let output = ctv.run(&["verify"]);
    assert!(output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("could be spent by anybody"));
}

#[test]
fn a_rule_that_is_none_is_refused_with_what_would_be_right() {
    let node = Bitcoind::start(bitcoind::Options::default());
    let ctv = Ctv::new(node.address());
    for (from, to, says) in [
        ("blocks = 6", "blocks = 0", "the window is 1 to"),
        ("share_permille = 1000", "share_permille = 1001", "share_permille is 1 to 1000"),
        ("radix = 2", "radix = 1", "radix is 2 to"),
        ("floor = 10000", "flor = 10000", "unknown field"),
    ] {
        std::fs::write(ctv.rule(), RULE.replacen(from, to, 1)).unwrap();
        let error = ctv.refuses(&["verify"]);
        assert!(error.contains(says), "{error}");
    }
    std::fs::write(ctv.rule(), RULE).unwrap();
    let error = ctv.refuses(&["claims", "1BoatSLRHtKNngkdXEeobR76b53LETtpyT"]);
    assert!(error.contains("another network"), "{error}");
    let error = ctv.refuses(&["expand", "--block", "1"]);
    assert!(error.contains("does not qualify"), "{error}");
}
