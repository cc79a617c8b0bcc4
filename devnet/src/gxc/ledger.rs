//! The GXC chain as its node keeps it: blocks that nobody's hash was checked for, coins, and transactions that wait.
//!
//! Invariant: no I/O and no clock; the same calls with the same times give the same chain.

use super::rpc::Failure;
use pow::sha256d::sha256d;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashSet};

/// Smallest units of a coin.
pub const COIN: i64 = 100_000_000;
/// What a block gives.
pub const REWARD: i64 = 50 * COIN;
/// A transaction that waits longer is forgotten.
const MEMPOOL_S: u64 = 3600;
/// The least fee of a transaction.
const FEE: i64 = COIN / 1000;

/// Which network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Net {
    /// `GXC…` addresses, 100 confirmations of a coinbase, a difficulty that no hash of 64 digits can meet.
    Main,
    /// `tGXC…` addresses, 6 confirmations.
    Test,
}

impl Net {
    /// How addresses begin.
    #[must_use]
    pub const fn prefix(self) -> &'static str {
        match self {
            Net::Main => "GXC",
            Net::Test => "tGXC",
        }
    }

    const fn maturity(self) -> u64 {
        match self {
            Net::Main => 100,
            Net::Test => 6,
        }
    }
}

/// A block.
#[derive(Debug, Clone)]
pub struct Block {
    /// As it was claimed.
    pub hash: String,
    /// Its parent's.
    pub prev: String,
    /// Its time, in seconds.
    pub time: i64,
    /// Its nonce, as 64 bits: of what was read as 32 with a sign.
    pub nonce: u64,
    /// Who it names as its miner.
    pub miner: String,
    /// How it says it was made.
    pub consensus: String,
    /// Its transactions.
    pub transactions: Vec<Value>,
}

#[derive(Debug, Clone)]
struct Coin {
    address: String,
    amount: i64,
    height: u64,
    coinbase: bool,
}

/// A transaction that waits.
#[derive(Debug, Clone)]
struct Waiting {
    tx: Value,
    since: u64,
}

/// The whole node, without its wires.
#[derive(Debug, Clone)]
pub struct Ledger {
    /// Which network.
    pub net: Net,
    /// What a block's hash needs as leading zeros, rounded down.
    pub difficulty: f64,
    /// Is the next block a stake's?
    pub stakes: bool,
    /// Addresses whose keys the node's wallet has.
    pub wallet: HashSet<String>,
    blocks: Vec<Block>,
    coins: BTreeMap<(String, u32), Coin>,
    mempool: Vec<Waiting>,
    made: u64,
}

impl Ledger {
    /// A chain of one block.
    #[must_use]
    pub fn new(net: Net) -> Self {
        let genesis = Block {
            hash: hex(&sha256d(net.prefix().as_bytes())),
            prev: "0".repeat(64),
            time: 1_700_000_000,
            nonce: 0,
            miner: String::new(),
            consensus: "pow".into(),
            transactions: Vec::new(),
        };
        Ledger {
            net,
            difficulty: if net == Net::Main { 1000.0 } else { 1.0 },
            stakes: false,
            wallet: HashSet::new(),
            blocks: vec![genesis],
            coins: BTreeMap::new(),
            mempool: Vec::new(),
            made: 0,
        }
    }

    /// How many blocks there are, which is the next one's height.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.blocks.len() as u64
    }

    /// The newest block.
    ///
    /// # Panics
    /// Never: there is always the first.
    #[must_use]
    pub fn tip(&self) -> &Block {
        self.blocks.last().expect("a chain has its first block")
    }

    /// A block by its height.
    #[must_use]
    pub fn at(&self, height: u64) -> Option<&Block> {
        self.blocks.get(usize::try_from(height).ok()?)
    }

    /// A block by its hash.
    #[must_use]
    pub fn height_of(&self, hash: &str) -> Option<u64> {
        self.blocks.iter().position(|block| block.hash == hash).map(|at| at as u64)
    }

    /// What can be spent of an address now: mature, and not spent by what waits.
    #[must_use]
    pub fn balance(&self, address: &str) -> i64 {
        self.spendable(address).map(|(_, coin)| coin.amount).sum()
    }

    fn spendable<'a>(
        &'a self,
        address: &'a str,
    ) -> impl Iterator<Item = (&'a (String, u32), &'a Coin)> {
        let waiting: HashSet<(String, u32)> =
            self.mempool.iter().flat_map(|waiting| inputs(&waiting.tx)).collect();
        let is_mature =
            |coin: &Coin| !coin.coinbase || self.length() - coin.height >= self.net.maturity();
        self.coins.iter().filter(move |(id, coin)| {
            coin.address == address && is_mature(coin) && !waiting.contains(*id)
        })
    }

    /// What waits, oldest first. What was mined is not taken out: it goes when it is old.
    #[must_use]
    pub fn waiting(&self) -> Vec<String> {
        self.mempool.iter().map(|waiting| text(&waiting.tx, "txid")).collect()
    }

    /// A template for a miner's address.
    #[must_use]
    pub fn template(&mut self, miner: &str, now: u64) -> Value {
        self.mempool.retain(|waiting| now < waiting.since + MEMPOOL_S);
        let height = self.length();
        let id = self.new_id();
        let output = json!({
            "address": miner, "amount": coins(REWARD),
            "script": format!("OP_DUP OP_HASH160 {miner} OP_EQUALVERIFY OP_CHECKSIG")
        });
        let coinbase = json!({
            "amount": coins(REWARD), "blockHeight": height, "block_height": height, "coinbase": true, "fee": 0.0,
            "from": "", "hash": id, "inputs": [], "is_coinbase": true, "outputs": [output], "timestamp": now, "to": miner,
            "txid": id, "type": "COINBASE"
        });
        let mut transactions = vec![coinbase];
        transactions.extend(self.mempool.iter().map(|waiting| waiting.tx.clone()));
        let kind = if self.stakes { "pos" } else { "pow" };
        let mut template = json!({
            "bits": "1d00ffff", "block_reward": coins(REWARD), "block_type": kind, "coinbase_value": coins(REWARD),
            "coinbaseaux": {}, "coinbasevalue": REWARD, "consensus_type": kind, "curtime": now,
            "difficulty": self.difficulty, "height": height, "mintime": now - 3600, "mutable": [],
            "noncerange": "00000000ffffffff", "previousblockhash": self.tip().hash, "reward": coins(REWARD),
            "sigoplimit": 20000, "sizelimit": 1_000_000, "target": format!("00000000ffff{}", "0".repeat(52)),
            "transactions": transactions, "version": 1
        });
        if self.stakes {
            template["validator_address"] = json!("tGXCvalidator");
            template["validator_stake"] = json!(100.0);
            template["validator_weighted_stake"] = json!(100.0);
        }
        template
    }

    /// Judges a block and takes it. The hash is believed.
    ///
    /// # Errors
    /// In the node's words, all with one code.
    pub fn submit(&mut self, block: &Value, now: u64) -> Result<(), Failure> {
        let fail = |why: String| Failure::new(-32603, format!("Failed to submit block: {why}"));
        let height = number(block, &["height", "blockNumber"]).unwrap_or(0);
        let hash = first(block, &["hash", "blockHash"]);
        let prev = first(block, &["previousblockhash", "prevHash", "previousHash"]);
        let miner = first(block, &["miner", "miner_address"]);
        let Some(nonce) = block["nonce"].as_i64().or(block["nonce"].as_u64().map(|n| n as i64))
        else {
            return Err(fail(
                "[json.exception.type_error.302] type must be number, but is string".into(),
            ));
        };
        if !(26..=62).contains(&miner.len()) {
            return Err(fail("Invalid miner address length".into()));
        }
        let claimed = block["difficulty"].as_f64().unwrap_or(0.0);
        if (claimed - self.difficulty).abs() > 1e-4 {
            return Err(fail(format!(
                "Block difficulty mismatch. Network requires {:.6}",
                self.difficulty
            )));
        }
        let zeros = hash.chars().take_while(|c| *c == '0').count() as u64;
        let needed = self.difficulty.floor() as u64;
        if hash.len() != 64 || zeros < needed {
            return Err(fail(format!(
                "Block does not meet difficulty target. Hash has {zeros} leading zeros, requires {needed}"
            )));
        }
        if height < self.length() {
            return Err(fail("Stale block".into()));
        }
        let time = block["timestamp"].as_i64().unwrap_or(0);
        if time > now as i64 + 7200 {
            return Err(fail("Block timestamp too far in future".into()));
        }
        if time < now as i64 - 86_400 {
            return Err(fail("Block timestamp too far in past".into()));
        }
        let empty = Vec::new();
        let transactions = block["transactions"].as_array().unwrap_or(&empty);
        let is_coinbase = |tx: &Value| tx["is_coinbase"] == true || tx["coinbase"] == true;
        if !transactions.first().is_some_and(is_coinbase) {
            return Err(fail("Block missing coinbase transaction".into()));
        }
        let invalid = || fail("Block validation failed".into());
        if height != self.length() || prev != self.tip().hash {
            return Err(invalid());
        }
        let (coinbase, others) = transactions.split_first().ok_or_else(invalid)?;
        if others.iter().any(is_coinbase) || number(coinbase, &["block_height"]) != Some(height) {
            return Err(invalid());
        }
        let fees: i64 = others.iter().map(|tx| units(&tx["fee"])).sum();
        if outputs(coinbase).iter().map(|(_, amount)| amount).sum::<i64>() > REWARD + fees {
            return Err(invalid());
        }
        let mut spent = HashSet::new();
        for id in others.iter().flat_map(inputs) {
            if !self.coins.contains_key(&id) || !spent.insert(id) {
                return Err(invalid());
            }
        }
        // From here on it is a block.
        for id in &spent {
            self.coins.remove(id);
        }
        let mut kept = Vec::with_capacity(transactions.len());
        for (at, tx) in transactions.iter().enumerate() {
            kept.push(self.take(tx, at == 0, height));
        }
        // The nonce was read as 32 bits with a sign.
        let nonce = (nonce as i32) as i64 as u64;
        let consensus = match first(block, &["consensus_type", "block_type"]).as_str() {
            "pow_ethash" => "pow_ethash",
            "pos" => "pos",
            _ => "pow_sha256",
        };
        let consensus = consensus.to_owned();
        self.blocks.push(Block { hash, prev, time, nonce, miner, consensus, transactions: kept });
        Ok(())
    }

    /// Books a mined transaction's coins. Of a coinbase only the first output survives; any other gets a new id.
    fn take(&mut self, tx: &Value, coinbase: bool, height: u64) -> Value {
        let mut tx = tx.clone();
        let mut outputs = outputs(&tx);
        if coinbase {
            outputs.truncate(1);
        } else {
            let id = hex(&sha256d(format!("{}mined{height}", text(&tx, "txid")).as_bytes()));
            tx["txid"] = json!(id);
            tx["hash"] = json!(id);
        }
        let id = text(&tx, "txid");
        for (at, (address, amount)) in (0u32..).zip(outputs) {
            let coin = Coin { address, amount, height, coinbase };
            self.coins.insert((id.clone(), at), coin);
        }
        tx
    }

    /// Makes a payment out of the wallet; it spends whole coins, and the change waits with it.
    ///
    /// # Errors
    /// In the node's words.
    pub fn send(&mut self, to: &str, amount: i64, from: &str, now: u64) -> Result<String, Failure> {
        if amount <= 0 {
            return Err(Failure::new(-8, "Invalid amount"));
        }
        if !self.wallet.contains(from) {
            return Err(Failure::new(-8, format!("Wallet does not control address {from}")));
        }
        let fee = FEE;
        let mut chosen = Vec::new();
        let mut sum = 0;
        for (id, coin) in self.spendable(from) {
            if sum >= amount + fee {
                break;
            }
            sum += coin.amount;
            chosen.push((id.clone(), coin.amount));
        }
        if sum < amount + fee {
            return Err(Failure::new(-6, "Insufficient funds"));
        }
        let id = self.new_id();
        let input = |((txid, at), amount): &((String, u32), i64)| {
            json!({
                "txid": txid, "txHash": txid, "vout": at, "outputIndex": at, "amount": coins(*amount),
                "signature": hex(&sha256d(format!("{id}{txid}{at}").as_bytes())), "publicKey": format!("02{txid}")
            })
        };
        let inputs: Vec<Value> = chosen.iter().map(input).collect();
        let mut outputs = vec![json!({ "address": to, "amount": coins(amount), "script": "" })];
        if sum > amount + fee {
            outputs.push(
                json!({ "address": from, "amount": coins(sum - amount - fee), "script": "" }),
            );
        }
        let tx = json!({
            "hash": id, "txid": id, "type": "NORMAL", "from": from, "to": to, "amount": coins(amount), "fee": coins(fee),
            "timestamp": now, "is_coinbase": false, "coinbase": false, "inputs": inputs, "outputs": outputs
        });
        self.mempool.push(Waiting { tx, since: now });
        Ok(id)
    }

    /// A mined transaction by the id it was mined under, with its block's height.
    #[must_use]
    pub fn transaction(&self, id: &str) -> Option<(u64, &Value)> {
        let blocks = (0u64..).zip(&self.blocks);
        blocks
            .flat_map(|(height, block)| block.transactions.iter().map(move |tx| (height, tx)))
            .find(|(_, tx)| tx["txid"] == id)
    }

    /// What was ever paid to an address by mined transactions that are no coinbases, in smallest units.
    #[must_use]
    pub fn paid_to(&self, address: &str) -> i64 {
        let mined = self.blocks.iter().flat_map(|block| block.transactions.iter().skip(1));
        let to =
            |tx: &Value| outputs(tx).into_iter().filter(|(to, _)| to == address).map(|(_, n)| n);
        mined.filter(|tx| tx["from"] != address).flat_map(to).sum()
    }

    /// Mines an empty block (with what waits and is not spent yet) to an address, as somebody else would.
    ///
    /// # Panics
    /// When the node would refuse its own block.
    pub fn mine_to(&mut self, miner: &str, now: u64) {
        let template = self.template(miner, now);
        let empty = Vec::new();
        let all = template["transactions"].as_array().unwrap_or(&empty);
        let mut spent = HashSet::new();
        let fits = |tx: &&Value| {
            let ids = inputs(tx);
            let fresh = ids.iter().all(|id| self.coins.contains_key(id) && !spent.contains(id));
            if fresh {
                spent.extend(ids);
            }
            fresh
        };
        let transactions: Vec<Value> = all.iter().filter(fits).cloned().collect();
        self.made += 1;
        let hash = format!("{}{}", "0".repeat(16), &hex(&sha256d(&self.made.to_be_bytes()))[16..]);
        let block = json!({
            "height": template["height"], "hash": hash, "previousblockhash": template["previousblockhash"], "nonce": 0,
            "miner": miner, "timestamp": now, "difficulty": self.difficulty, "consensus_type": "pow_sha256",
            "transactions": transactions
        });
        self.submit(&block, now).expect("the node takes its own block");
    }

    fn new_id(&mut self) -> String {
        self.made += 1;
        hex(&sha256d(format!("{}/{}", self.tip().hash, self.made).as_bytes()))
    }
}

/// As the node writes amounts: whole coins as a double.
#[must_use]
pub fn coins(units: i64) -> f64 {
    units as f64 / COIN as f64
}

fn units(coins: &Value) -> i64 {
    (coins.as_f64().unwrap_or(0.0) * COIN as f64).round() as i64
}

fn inputs(tx: &Value) -> Vec<(String, u32)> {
    let Some(list) = tx["inputs"].as_array() else { return Vec::new() };
    let one = |input: &Value| {
        let at = number(input, &["outputIndex", "vout"]).and_then(|at| u32::try_from(at).ok());
        (first(input, &["txHash", "txid"]), at.unwrap_or(0))
    };
    list.iter().map(one).collect()
}

fn outputs(tx: &Value) -> Vec<(String, i64)> {
    let Some(list) = tx["outputs"].as_array() else { return Vec::new() };
    list.iter().map(|output| (text(output, "address"), units(&output["amount"]))).collect()
}

fn text(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap_or_default().to_owned()
}

fn first(value: &Value, keys: &[&str]) -> String {
    keys.iter().find_map(|key| value[*key].as_str()).unwrap_or_default().to_owned()
}

fn number(value: &Value, keys: &[&str]) -> Option<u64> {
    keys.iter().find_map(|key| value[*key].as_u64())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
