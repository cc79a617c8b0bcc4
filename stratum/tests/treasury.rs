//! Both wallets against real nodes and the devnet: exact fees, the same bytes again, higher fees, reorganisations, and
//! coins that were spent elsewhere.

#![allow(clippy::unwrap_used, reason = "a test that finds an error has failed")]

use accounting::payout::{Fate, PayoutDepths, PayoutPart, PayoutVersion};
use accounting::reward::{Depths, Sighting};
use accounting::{AccountId, Amount, BasisPoints, RewardId, Scheme};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bdk_wallet::miniscript::psbt::PsbtExt;
use bitcoin::hashes::Hash;
use bitcoin::{Address, Network, Psbt, ScriptBuf, Transaction, consensus};
use devnet::{Devnet, Options, Params};
use pool::config::{FeePayer, SliceRule};
use pool::treasury::{PayoutOrder, Signing, TreasuryError};
use pool::writer::{self, Writer};
use pool::{AssetConfig, PayoutRules, PoolConfig, SystemClock, Treasury};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;
use store::Sqlite;
use stratum::coin::{self, Coin, Family};
use stratum::node::ChainGate;
use stratum::rpc::{Auth, Endpoint};
use stratum::treasury::fee::FeePolicy;
use stratum::treasury::{CoinTreasury, TreasuryConfig, WalletConfig, key};
use testkit::bitcoind::{NOBODY, PASSWORD, USER};
use testkit::{Bitcoind, Litecoind, Rpc, bitcoind, litecoind};

const COIN: i128 = 100_000_000;

fn coin_of(family: Family) -> Coin {
    Coin::new(family, coin::Network::Regtest).unwrap()
}

fn endpoint(address: std::net::SocketAddr, path: &str) -> Endpoint {
    let auth = Auth::Basic { user: USER.into(), password: PASSWORD.into() };
    Endpoint { address: address.to_string(), path: path.into(), auth }
}

fn config(family: Family, node: Endpoint, wallet: WalletConfig) -> TreasuryConfig {
    let gate = ChainGate { coin: coin_of(family), genesis: None, must_contain: vec![] };
    TreasuryConfig {
        asset: "coin".into(),
        gate,
        nodes: vec![node],
        fees: FeePolicy::default(),
        wallet,
    }
}

/// A writer, so that the wallet has somewhere to keep its notes.
fn writer_in(folder: &Path) -> Writer {
    let payouts = PayoutRules {
        minimum: Amount::from_units(1000),
        dust: Amount::from_units(330),
        max_outputs: 100,
        fee_payer: FeePayer::Pool,
        max_per_run: Amount::from_units(1000 * COIN),
        max_per_day: Amount::from_units(1000 * COIN),
        max_per_account_per_day: Amount::from_units(1000 * COIN),
        approval_above: None,
        approvals: 2,
        payday: Default::default(),
        address_change_delay_ms: 0,
        depths: PayoutDepths { confirm: 1, abandon: 10, last_look: 20 },
        interval_ms: 1000,
        bump_after_ms: None,
        hot_wallet_cap: None,
    };
    let asset = AssetConfig {
        name: "coin".into(),
        network: "bitcoin/regtest".into(),
        decimals: 8,
        depths: Depths { mature: 101, orphan: 6, last_look: 300 },
        payouts,
        assets_elsewhere: Amount::ZERO,
        exchange: None,
    };
    let pool = PoolConfig {
        name: "main".into(),
        asset: "coin".into(),
        scheme: Scheme::Prop,
        fee: accounting::fee::FeeRule { base: BasisPoints::new(0).unwrap(), ..Default::default() },
        part: None,
        knows_keys: false,
        slices: SliceRule::default(),
    };
    writer::start(Box::new(Sqlite::open(folder).unwrap()), vec![asset], vec![pool], SystemClock)
        .unwrap()
}

/// A chain that a test can move.
struct Chain {
    rpc: Rpc,
    family: Family,
    node: Endpoint,
    nobody: String,
}

impl Chain {
    fn mine(&self, count: u32, to: &ScriptBuf) -> Vec<String> {
        let address = match self.family {
            Family::Bitcoin => Address::from_script(to, Network::Regtest).unwrap().to_string(),
            Family::Litecoin => litecoin_address(to),
            Family::Gxc | Family::Ethash => panic!("its treasury has tests of its own"),
        };
        self.mine_to(count, &address)
    }

    fn mine_on(&self, count: u32) -> Vec<String> {
        self.mine_to(count, &self.nobody)
    }

    fn mine_to(&self, count: u32, address: &str) -> Vec<String> {
        serde_json::from_value(self.rpc.expect("generatetoaddress", json!([count, address])))
            .unwrap()
    }
}

/// The bech32 address of a P2WPKH script on Litecoin's regtest.
fn litecoin_address(script: &ScriptBuf) -> String {
    let hrp = bitcoin::bech32::Hrp::parse("rltc").unwrap();
    bitcoin::bech32::segwit::encode_v0(hrp, &script.as_bytes()[2..]).unwrap()
}

async fn a_devnet() -> (Devnet, Chain) {
    let options = Options {
        params: Params::default(),
        listen: "127.0.0.1:0".parse().unwrap(),
        user: USER.into(),
        password: PASSWORD.into(),
        blocks: None,
    };
    let devnet = Devnet::start(options).await.unwrap();
    let rpc = Rpc::new(devnet.address(), USER, PASSWORD);
    let node = endpoint(devnet.address(), "");
    (devnet, Chain { rpc, family: Family::Bitcoin, node, nobody: NOBODY.into() })
}

fn a_bitcoind() -> (Bitcoind, Chain) {
    let node = Bitcoind::start(bitcoind::Options::default());
    let chain = Chain {
        rpc: node.rpc.clone(),
        family: Family::Bitcoin,
        node: endpoint(node.address(), ""),
        nobody: NOBODY.into(),
    };
    (node, chain)
}

fn a_litecoind() -> (Litecoind, Chain) {
    // Litecoin's nodes relay no replacements by default.
    let more = vec!["-mempoolreplacement=1".into()];
    let node = Litecoind::start(litecoind::Options { more, ..Default::default() });
    let nobody = litecoin_address(&ScriptBuf::from_bytes([&[0u8, 20][..], &[0; 20]].concat()));
    let chain = Chain {
        rpc: node.rpc.clone(),
        family: Family::Litecoin,
        node: endpoint(node.address(), ""),
        nobody,
    };
    (node, chain)
}

fn parts(amounts: &[i128]) -> Vec<PayoutPart> {
    let part = |(n, amount): (usize, &i128)| PayoutPart {
        account: AccountId(n as u64 + 1),
        destination: [&[0u8, 20][..], &[n as u8 + 1; 20]].concat(),
        debit: Amount::from_units(*amount),
        sent: Amount::from_units(*amount),
    };
    amounts.iter().enumerate().map(part).collect()
}

fn order(id: u64, amounts: &[i128], fee: Amount, versions: &[PayoutVersion]) -> PayoutOrder {
    PayoutOrder { id, parts: parts(amounts), fee, versions: versions.to_vec() }
}

async fn signed(treasury: &mut CoinTreasury, order: &PayoutOrder) -> PayoutVersion {
    match treasury.sign(order).await.unwrap() {
        Signing::Signed(version) => version,
        Signing::Waiting => panic!("it was to sign by itself"),
    }
}

fn decoded(version: &PayoutVersion) -> Transaction {
    consensus::deserialize(&version.raw).unwrap()
}

/// The life of payouts with any wallet, on any chain.
async fn payouts_live(mut treasury: CoinTreasury, chain: &Chain) {
    let script = treasury.script();
    let own = chain.mine(3, &script);
    chain.mine_on(100);
    let before = treasury.refresh().await.unwrap();
    assert_eq!(before.spendable.units(), 150 * COIN);
    assert_eq!(before.spends, vec![]);
    let first = RewardId(stratum::template::hash_from_hex(&own[0]).unwrap());
    let sightings = treasury.sightings(&[(first, 1), (RewardId([7; 32]), 2)]).await;
    assert_eq!(sightings, vec![Sighting::InChain(103), Sighting::Replaced(102)]);

    // Signing sends nothing, pays everybody exactly, and costs exactly the fee.
    let fee = treasury.estimate_fee(3).await.unwrap();
    let amounts = [20 * COIN, 5 * COIN + 1, 70_000];
    let wanted = order(1, &amounts, fee, &[]);
    let version = signed(&mut treasury, &wanted).await;
    assert_eq!(version.fee, fee);
    let tx = decoded(&version);
    for part in &wanted.parts {
        let found =
            tx.output.iter().find(|o| o.script_pubkey.as_bytes() == part.destination).unwrap();
        assert_eq!(i128::from(found.value.to_sat()), part.sent.units());
    }
    assert_eq!(chain.rpc.expect("getrawmempool", json!([])), json!([]));
    let versions = [version.clone()];
    assert_eq!(treasury.fate(&versions).await, Fate::Absent);

    // Sent, and sent again: the same bytes are the same payment.
    treasury.broadcast(&version).await.unwrap();
    treasury.broadcast(&version).await.unwrap();
    assert_eq!(treasury.fate(&versions).await, Fate::InMempool);
    let block = chain.mine_on(2);
    let held = treasury.refresh().await.unwrap();
    assert_eq!(treasury.fate(&versions).await, Fate::InChain { version: 0, confirmations: 2 });
    treasury.broadcast(&version).await.unwrap();
    let spend = held.spends.iter().find(|spend| spend.txid == version.txid).unwrap();
    let paid: i128 = amounts.iter().sum::<i128>() + fee.units();
    assert_eq!((spend.out.units(), spend.fee, spend.confirmations), (paid, fee, 2));
    assert_eq!(held.spendable.units(), 150 * COIN - paid);

    // Out of the chain again: not impossible, only absent or waiting; and it confirms again.
    chain.rpc.expect("invalidateblock", json!([block[0]])).is_null();
    // To somebody else, or it would be the very block that was declared invalid.
    chain.mine(1, &ScriptBuf::from_bytes([&[0u8, 20][..], &[1; 20]].concat()));
    treasury.refresh().await.unwrap();
    let fate = treasury.fate(&versions).await;
    assert!(matches!(fate, Fate::InChain { confirmations: 1, .. } | Fate::InMempool), "{fate:?}");
    chain.rpc.expect("reconsiderblock", json!([block[0]])).is_null();
    treasury.refresh().await.unwrap();
    let fate = treasury.fate(&versions).await;
    assert!(matches!(fate, Fate::InChain { .. }), "{fate:?}");

    // A higher fee: the same recipients and coins, less change; either version may confirm, only one can.
    let low = signed(&mut treasury, &order(2, &[COIN, 2 * COIN], fee, &[])).await;
    assert_ne!(low.inputs, version.inputs);
    treasury.broadcast(&low).await.unwrap();
    assert_eq!(treasury.fate(std::slice::from_ref(&low)).await, Fate::InMempool);
    let more = Amount::from_units(fee.units() * 3);
    let high =
        signed(&mut treasury, &order(2, &[COIN, 2 * COIN], more, std::slice::from_ref(&low))).await;
    assert_eq!((&high.inputs, high.fee), (&low.inputs, more));
    treasury.broadcast(&high).await.unwrap();
    chain.mine_on(1);
    treasury.refresh().await.unwrap();
    let both = [low, high];
    assert_eq!(treasury.fate(&both).await, Fate::InChain { version: 1, confirmations: 1 });

    // More than there is.
    let refused = treasury.sign(&order(3, &[900 * COIN], fee, &[])).await.unwrap_err();
    assert!(matches!(refused, TreasuryError::Unfunded(_)), "{refused}");
}

async fn hot(chain: &Chain, key_file: &Path, writer: &Writer) -> CoinTreasury {
    let wallet = WalletConfig::Hot { key_file: key_file.to_owned(), birthday: Some(0) };
    let config = config(chain.family, chain.node.clone(), wallet);
    CoinTreasury::open(config, writer.pool.clone(), Arc::new(SystemClock)).await.unwrap()
}

fn new_key(folder: &Path) -> std::path::PathBuf {
    let path = folder.join("pool.key");
    key::create(&path, coin_of(Family::Bitcoin)).unwrap();
    path
}

#[tokio::test(flavor = "multi_thread")]
async fn our_own_wallet_pays_on_the_devnet() {
    let folder = tempfile::tempdir().unwrap();
    let (_devnet, chain) = a_devnet().await;
    let writer = writer_in(folder.path());
    let treasury = hot(&chain, &new_key(folder.path()), &writer).await;
    payouts_live(treasury, &chain).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn our_own_wallet_pays_on_bitcoin_core() {
    let folder = tempfile::tempdir().unwrap();
    let (_node, chain) = a_bitcoind();
    let writer = writer_in(folder.path());
    let treasury = hot(&chain, &new_key(folder.path()), &writer).await;
    payouts_live(treasury, &chain).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_wallet_in_litecoind_pays() {
    let folder = tempfile::tempdir().unwrap();
    let (node, chain) = a_litecoind();
    let writer = writer_in(folder.path());
    let wallet = WalletConfig::Node { endpoint: endpoint(node.address(), "/wallet/pool") };
    let config = config(chain.family, chain.node.clone(), wallet);
    let treasury = CoinTreasury::open(config.clone(), writer.pool.clone(), Arc::new(SystemClock))
        .await
        .unwrap();
    let script = treasury.script();
    payouts_live(treasury, &chain).await;
    // The address of the coinbases is asked for once.
    let again =
        CoinTreasury::open(config, writer.pool.clone(), Arc::new(SystemClock)).await.unwrap();
    assert_eq!(again.script(), script);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payout_is_impossible_only_when_its_coins_went_elsewhere_and_the_spend_is_seen() {
    let folder = tempfile::tempdir().unwrap();
    let other_folder = tempfile::tempdir().unwrap();
    let (_devnet, chain) = a_devnet().await;
    let (writer, other_writer) = (writer_in(folder.path()), writer_in(other_folder.path()));
    let key_file = new_key(folder.path());
    let mut treasury = hot(&chain, &key_file, &writer).await;
    // Somebody else has the same key, and other books.
    let mut thief = hot(&chain, &key_file, &other_writer).await;
    chain.mine(1, &treasury.script());
    chain.mine_on(100);
    treasury.refresh().await.unwrap();
    thief.refresh().await.unwrap();
    let fee = treasury.estimate_fee(1).await.unwrap();
    let ours = signed(&mut treasury, &order(1, &[COIN], fee, &[])).await;
    let theirs = signed(&mut thief, &order(1, &[49 * COIN], fee, &[])).await;
    assert_eq!(ours.inputs, theirs.inputs);
    thief.broadcast(&theirs).await.unwrap();
    let versions = [ours.clone()];
    assert_eq!(treasury.fate(&versions).await, Fate::Absent, "in a mempool it is not certain");
    chain.mine_on(4);
    let holdings = treasury.refresh().await.unwrap();
    assert_eq!(treasury.fate(&versions).await, Fate::Impossible { confirmations: 4 });
    assert!(treasury.broadcast(&ours).await.is_err());
    let seen: Vec<[u8; 32]> = holdings.spends.iter().map(|spend| spend.txid).collect();
    assert!(seen.contains(&theirs.txid));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payout_of_a_coinbase_that_left_the_chain_is_impossible() {
    let folder = tempfile::tempdir().unwrap();
    let (_devnet, chain) = a_devnet().await;
    let writer = writer_in(folder.path());
    let mut treasury = hot(&chain, &new_key(folder.path()), &writer).await;
    let own = chain.mine(1, &treasury.script());
    chain.mine_on(100);
    treasury.refresh().await.unwrap();
    let fee = treasury.estimate_fee(1).await.unwrap();
    let version = signed(&mut treasury, &order(1, &[COIN], fee, &[])).await;
    let versions = [version];
    assert_eq!(treasury.fate(&versions).await, Fate::Absent);
    chain.rpc.expect("invalidateblock", json!([own[0]])).is_null();
    chain.mine_on(103);
    let held = treasury.refresh().await.unwrap();
    assert_eq!(treasury.fate(&versions).await, Fate::Impossible { confirmations: 103 });
    assert_eq!(held.spendable, Amount::ZERO);
}

/// A wallet whose books know of nothing sees what waits in the mempool, and forgets it when it is gone from there.
async fn restored_wallet_looks_into_the_mempool(chain: &Chain) {
    let (folder, restored) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let writer = writer_in(folder.path());
    let key_file = new_key(folder.path());
    let mut treasury = hot(chain, &key_file, &writer).await;
    chain.mine(1, &treasury.script());
    chain.mine_on(100);
    let before = treasury.refresh().await.unwrap().spendable;
    let fee = treasury.estimate_fee(1).await.unwrap();
    let version = signed(&mut treasury, &order(1, &[COIN], fee, &[])).await;
    treasury.broadcast(&version).await.unwrap();
    let other_writer = writer_in(restored.path());
    let mut again = hot(chain, &key_file, &other_writer).await;
    let held = again.refresh().await.unwrap();
    assert_eq!(held.spends.iter().map(|spend| spend.txid).collect::<Vec<_>>(), [version.txid]);
    assert_eq!(held.spends[0].confirmations, 0);
    assert_eq!(held.spendable, Amount::ZERO);
    // A restart later it is replaced by something else of the same coins.
    drop(again);
    let mut again = hot(chain, &key_file, &other_writer).await;
    let higher = fee.add(Amount::from_units(5000));
    let bump = order(1, &[COIN], higher, std::slice::from_ref(&version));
    let bumped = signed(&mut treasury, &bump).await;
    treasury.broadcast(&bumped).await.unwrap();
    for _ in 0..2 {
        again.refresh().await.unwrap();
        tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    }
    let held = again.refresh().await.unwrap();
    assert_eq!(held.spends.iter().map(|spend| spend.txid).collect::<Vec<_>>(), [bumped.txid]);
    chain.mine_on(1);
    let held = again.refresh().await.unwrap();
    assert_eq!((held.spends.len(), held.spends[0].confirmations), (1, 1));
    assert_eq!(held.spendable, before.sub(Amount::from_units(COIN)).sub(higher));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_wallet_looks_into_the_mempool_of_the_devnet() {
    restored_wallet_looks_into_the_mempool(&a_devnet().await.1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_wallet_looks_into_the_mempool_of_bitcoin_core() {
    let (_node, chain) = a_bitcoind();
    restored_wallet_looks_into_the_mempool(&chain).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_became_of_a_payout_is_not_one_nodes_word() {
    let folder = tempfile::tempdir().unwrap();
    let (devnet, chain) = a_devnet().await;
    let (other_devnet, other) = a_devnet().await;
    let writer = writer_in(folder.path());
    let wallet = WalletConfig::Hot { key_file: new_key(folder.path()), birthday: Some(0) };
    let mut config = config(chain.family, chain.node.clone(), wallet);
    config.nodes.push(other.node.clone());
    let clock = Arc::new(SystemClock);
    let mut treasury = CoinTreasury::open(config, writer.pool.clone(), clock).await.unwrap();
    let follow = |from: u32| {
        for height in from..=devnet.tip().1 {
            let block = devnet
                .look(|chain| chain.entry(&chain.hash_at(height).unwrap()).unwrap().block.clone());
            other_devnet.submit((*block).clone());
        }
    };
    chain.mine(1, &treasury.script());
    chain.mine_on(100);
    follow(1);
    treasury.refresh().await.unwrap();
    let fee = treasury.estimate_fee(1).await.unwrap();
    let versions = [signed(&mut treasury, &order(1, &[COIN], fee, &[])).await];
    treasury.broadcast(&versions[0]).await.unwrap();
    let before = devnet.tip().1;
    // The two part: one chain has the payout, the other is a block shorter and does not.
    other.mine_on(2);
    chain.mine_on(3);
    treasury.refresh().await.unwrap();
    assert_eq!(treasury.fate(&versions).await, Fate::Unknown);
    follow(before + 1);
    treasury.refresh().await.unwrap();
    let settled = Fate::InChain { version: 0, confirmations: 3 };
    assert_eq!(treasury.fate(&versions).await, settled);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wallet_forgets_nothing_over_a_restart_and_refuses_another_key() {
    let folder = tempfile::tempdir().unwrap();
    let (_devnet, chain) = a_devnet().await;
    let writer = writer_in(folder.path());
    let key_file = new_key(folder.path());
    let (script, holdings, version) = {
        let mut treasury = hot(&chain, &key_file, &writer).await;
        chain.mine(2, &treasury.script());
        chain.mine_on(100);
        treasury.refresh().await.unwrap();
        let fee = treasury.estimate_fee(1).await.unwrap();
        let version = signed(&mut treasury, &order(1, &[COIN], fee, &[])).await;
        treasury.broadcast(&version).await.unwrap();
        chain.mine_on(1);
        (treasury.script(), treasury.refresh().await.unwrap(), version)
    };
    let mut again = hot(&chain, &key_file, &writer).await;
    assert_eq!(again.script(), script);
    assert_eq!(again.refresh().await.unwrap(), holdings);
    assert!(matches!(again.fate(&[version]).await, Fate::InChain { version: 0, confirmations: 1 }));

    std::fs::rename(&key_file, folder.path().join("old")).unwrap();
    let other = new_key(folder.path());
    let wallet = WalletConfig::Hot { key_file: other, birthday: None };
    let config = config(chain.family, chain.node.clone(), wallet);
    let refused =
        CoinTreasury::open(config, writer.pool.clone(), Arc::new(SystemClock)).await.err().unwrap();
    assert!(refused.to_string().contains("Put the right key file back"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payout_signed_elsewhere_waits_and_is_the_one_that_was_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let (_devnet, chain) = a_devnet().await;
    let writer = writer_in(folder.path());
    // The key is on another machine; here are its public descriptors.
    let secp = bitcoin::key::Secp256k1::new();
    let master = bitcoin::bip32::Xpriv::new_master(Network::Regtest, &[9; 32]).unwrap();
    let path: bitcoin::bip32::DerivationPath = "84'/1'/0'".parse().unwrap();
    let account =
        bitcoin::bip32::Xpub::from_priv(&secp, &master.derive_priv(&secp, &path).unwrap());
    let print = master.fingerprint(&secp);
    let descriptor = |branch| format!("wpkh([{print}/84'/1'/0']{account}/{branch}/*)");
    let psbt_folder = folder.path().join("psbt");
    let wallet = WalletConfig::Watch {
        descriptor: descriptor(0),
        change_descriptor: descriptor(1),
        psbt_folder: psbt_folder.clone(),
        birthday: Some(0),
    };
    let config = config(chain.family, chain.node.clone(), wallet);
    let mut treasury =
        CoinTreasury::open(config, writer.pool.clone(), Arc::new(SystemClock)).await.unwrap();
    chain.mine(2, &treasury.script());
    chain.mine_on(100);
    treasury.refresh().await.unwrap();
    let fee = treasury.estimate_fee(1).await.unwrap();
    let (first, second) = (order(1, &[COIN], fee, &[]), order(2, &[3 * COIN], fee, &[]));
    for _ in 0..2 {
        assert_eq!(treasury.sign(&first).await.unwrap(), Signing::Waiting);
        assert_eq!(treasury.sign(&second).await.unwrap(), Signing::Waiting);
    }
    let read = |name: &str| {
        let text = std::fs::read_to_string(psbt_folder.join(name)).unwrap();
        Psbt::deserialize(&BASE64.decode(text).unwrap()).unwrap()
    };
    let (mut one, two) = (read("payout-1-0.psbt"), read("payout-2-0.psbt"));
    assert_ne!(
        one.unsigned_tx.input, two.unsigned_tx.input,
        "two waiting payouts spend different coins"
    );
    // Another transaction is not taken.
    std::fs::write(psbt_folder.join("payout-1-0.signed.psbt"), BASE64.encode(two.serialize()))
        .unwrap();
    assert!(matches!(treasury.sign(&first).await, Err(TreasuryError::Refuses(_))));
    // Without a signature neither.
    std::fs::write(psbt_folder.join("payout-1-0.signed.psbt"), BASE64.encode(one.serialize()))
        .unwrap();
    assert!(matches!(treasury.sign(&first).await, Err(TreasuryError::Refuses(_))));
    one.sign(&master, &secp).unwrap();
    std::fs::write(psbt_folder.join("payout-1-0.signed.psbt"), BASE64.encode(one.serialize()))
        .unwrap();
    let version = signed(&mut treasury, &first).await;
    assert_eq!(
        signed(&mut treasury, &first).await.txid,
        version.txid,
        "who asks again gets the same"
    );
    assert_eq!((version.txid, version.fee), (one.unsigned_tx.compute_txid().to_byte_array(), fee));
    treasury.broadcast(&version).await.unwrap();
    chain.mine_on(1);
    treasury.refresh().await.unwrap();
    assert_eq!(treasury.fate(&[version]).await, Fate::InChain { version: 0, confirmations: 1 });
    assert!(psbt_folder.join("done/payout-1-0.signed.psbt").exists(), "it is done");
    let outbox = stratum::treasury::offline::Outbox::open(&psbt_folder).unwrap();
    assert!(outbox.is_out(1).unwrap().is_none() && outbox.is_out(2).unwrap().is_some());
    // The books were restored: the number comes again, for another payout.
    let again = order(2, &[5 * COIN], fee, &[]);
    assert_eq!(treasury.sign(&again).await.unwrap(), Signing::Waiting);
    assert!(psbt_folder.join("foreign/payout-2-0.psbt").exists());
    let new = read("payout-2-0.psbt").unsigned_tx;
    assert!(new.output.iter().any(|output| i128::from(output.value.to_sat()) == 5 * COIN));
    // Its coin is spent by somebody else who has the key: deep enough, nobody can sign it any more.
    let mut two = two;
    two.sign(&master, &secp).unwrap();
    two.finalize_mut(&secp).unwrap();
    let two = two.extract_tx().unwrap();
    assert_eq!(two.input[0].previous_output, new.input[0].previous_output);
    let raw = consensus::encode::serialize_hex(&two);
    assert!(chain.rpc.expect("sendrawtransaction", json!([raw])).is_string());
    chain.mine_on(99);
    treasury.refresh().await.unwrap();
    assert!(outbox.is_out(2).unwrap().is_some(), "not deep enough to be sure");
    chain.mine_on(1);
    treasury.refresh().await.unwrap();
    assert!(outbox.is_out(2).unwrap().is_none(), "it waits for nobody any more");
}

#[tokio::test(flavor = "multi_thread")]
async fn coins_spent_by_hand_from_the_nodes_wallet_make_a_payout_impossible_and_are_seen() {
    let folder = tempfile::tempdir().unwrap();
    let (node, chain) = a_litecoind();
    let writer = writer_in(folder.path());
    let wallet = WalletConfig::Node { endpoint: endpoint(node.address(), "/wallet/pool") };
    let config = config(chain.family, chain.node.clone(), wallet);
    let mut treasury =
        CoinTreasury::open(config, writer.pool.clone(), Arc::new(SystemClock)).await.unwrap();
    chain.mine(1, &treasury.script());
    chain.mine_on(100);
    treasury.refresh().await.unwrap();
    let fee = treasury.estimate_fee(1).await.unwrap();
    let version = signed(&mut treasury, &order(1, &[COIN], fee, &[])).await;
    let versions = [version.clone()];
    assert_eq!(treasury.fate(&versions).await, Fate::Absent);
    // Locked, it cannot be spent by mistake.
    let by_hand = |amount: i64| node.wallet.call("sendtoaddress", json!([chain.nobody, amount]));
    assert!(by_hand(40).is_err());
    node.wallet.expect("lockunspent", json!([true])).is_boolean();
    let txid = by_hand(40).unwrap();
    chain.mine_on(3);
    let held = treasury.refresh().await.unwrap();
    assert_eq!(treasury.fate(&versions).await, Fate::Impossible { confirmations: 3 });
    let id = stratum::template::hash_from_hex(txid.as_str().unwrap()).unwrap();
    let spend = held.spends.iter().find(|spend| spend.txid == id).unwrap();
    assert!(spend.out.units() > 40 * COIN && spend.confirmations == 3);
    let _balances: Value = node.wallet.expect("getbalances", json!([]));
}
