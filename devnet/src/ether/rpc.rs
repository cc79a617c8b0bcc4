//! The words around the chain: methods, their parameters, and what goes wrong.
//!
//! Invariant: an answer has a `result` and no `error`, or an `error` and no `result`.

use super::chain::{Address, Block, Candidate, Chain, GAS, Hash};
use serde_json::{Value, json};
use std::collections::VecDeque;

/// Work that a node remembers.
const REMEMBERED: usize = 64;

/// What is one node's own: whom its blocks pay, and the work it gave.
#[derive(Debug)]
pub struct Desk {
    /// Whom its blocks pay.
    pub miner: Address,
    /// Does it say that it is syncing?
    pub is_syncing: bool,
    /// Does its work name the block's number, as newer nodes' does?
    pub names_number: bool,
    /// Tells its work from other nodes'.
    pub salt: u64,
    given: VecDeque<Candidate>,
}

struct Failure(i64, String);

impl Desk {
    /// A node whose blocks pay this address.
    #[must_use]
    pub fn new(miner: Address, salt: u64) -> Self {
        Desk { miner, is_syncing: false, names_number: true, salt, given: VecDeque::new() }
    }

    /// As after a start: what was given is not known any more.
    pub fn forget(&mut self) {
        self.given.clear();
        self.salt += 1000;
    }
}

/// Answers the body of a request.
#[must_use]
pub fn answer(chain: &mut Chain, desk: &mut Desk, body: &str) -> Value {
    let request: Value = serde_json::from_str(body).unwrap_or_default();
    let id = request["id"].clone();
    let outcome = if request["jsonrpc"] == "2.0" {
        let params = request["params"].as_array().cloned().unwrap_or_default();
        call(chain, desk, request["method"].as_str().unwrap_or_default(), &params)
    } else {
        Err(Failure(-32600, "invalid request".to_owned()))
    };
    match outcome {
        Ok(result) => json!({ "jsonrpc": "2.0", "id": id, "result": result }),
        Err(Failure(code, message)) => {
            json!({ "jsonrpc": "2.0", "id": id, "error": { "code": code, "message": message } })
        }
    }
}

fn call(
    chain: &mut Chain,
    desk: &mut Desk,
    method: &str,
    params: &[Value],
) -> Result<Value, Failure> {
    let missing = |what: &str| Failure(-32602, format!("missing or invalid {what}"));
    let number = |at: usize, chain: &Chain| match params.get(at).and_then(Value::as_str) {
        Some("latest") => Ok(chain.tip().number),
        text => text.and_then(read_number).ok_or_else(|| missing("block number")),
    };
    Ok(match method {
        "eth_chainId" => json!(format!("{:#x}", chain.id)),
        "eth_coinbase" => json!(hex(&desk.miner)),
        "eth_blockNumber" => json!(format!("{:#x}", chain.tip().number)),
        "eth_syncing" if desk.is_syncing => {
            let tip = chain.tip().number;
            json!({ "startingBlock": "0x0", "currentBlock": format!("{tip:#x}"), "highestBlock": format!("{:#x}", tip + 1000) })
        }
        "eth_syncing" => json!(false),
        "eth_getWork" => work(chain, desk),
        "eth_submitWork" => json!(submit(chain, desk, params)),
        "eth_getBlockByNumber" => {
            let whole = params.get(1) == Some(&Value::Bool(true));
            chain.at(number(0, chain)?).map_or(Value::Null, |block| shown(chain, block, whole))
        }
        "eth_getUncleByBlockNumberAndIndex" => {
            let index = params.get(1).and_then(Value::as_str).and_then(read_number);
            let index = index.ok_or_else(|| missing("index"))?;
            let block = chain.at(number(0, chain)?);
            let uncle = block.and_then(|block| block.uncles.get(usize::try_from(index).ok()?));
            uncle.map_or(Value::Null, |uncle| shown(chain, uncle, false))
        }
        "eth_getBalance" => {
            let of = params.first().and_then(Value::as_str).and_then(unhex::<20>);
            let of = of.ok_or_else(|| missing("address"))?;
            let at = number(1, chain)?;
            let known = chain.balance(&of, at);
            let known = known.ok_or_else(|| {
                Failure(-32000, format!("missing trie node: state of block {at} is not available"))
            })?;
            json!(format!("{known:#x}"))
        }
        "eth_getTransactionReceipt" => {
            let name = params.first().and_then(Value::as_str).and_then(unhex::<32>);
            receipt(chain, name.ok_or_else(|| missing("hash"))?)
        }
        _ => {
            return Err(Failure(
                -32601,
                format!("the method {method} does not exist/is not available"),
            ));
        }
    })
}

fn work(chain: &Chain, desk: &mut Desk) -> Value {
    let candidate = chain.candidate(desk.miner, desk.salt);
    let mut said =
        vec![json!(hex(&candidate.header)), json!(hex(&[0_u8; 32])), json!(hex(&chain.boundary()))];
    if desk.names_number {
        said.push(json!(format!("{:#x}", chain.tip().number + 1)));
    }
    if !desk.given.iter().any(|given| given.header == candidate.header) {
        desk.given.push_back(candidate);
        if desk.given.len() > REMEMBERED {
            desk.given.pop_front();
        }
    }
    json!(said)
}

fn submit(chain: &mut Chain, desk: &Desk, params: &[Value]) -> bool {
    let text = |at: usize| params.get(at).and_then(Value::as_str);
    let (Some(nonce), Some(header), Some(mix)) = (
        text(0).and_then(unhex::<8>),
        text(1).and_then(unhex::<32>),
        text(2).and_then(unhex::<32>),
    ) else {
        return false;
    };
    let given = desk.given.iter().find(|given| given.header == header);
    given.is_some_and(|given| chain.seal(given, u64::from_be_bytes(nonce), mix))
}

fn shown(chain: &Chain, block: &Block, whole: bool) -> Value {
    let transactions: Vec<Value> = (0..block.transfers.len())
        .map(|at| if whole { transfer(block, at) } else { json!(hex(&Chain::name_of(block, at))) })
        .collect();
    json!({
        "number": format!("{:#x}", block.number),
        "hash": hex(&block.hash),
        "parentHash": hex(&block.parent),
        "miner": hex(&block.miner),
        "nonce": format!("{:#018x}", block.nonce),
        "mixHash": hex(&block.mix),
        "difficulty": format!("{:#x}", 1_u128 << chain.bits.min(100)),
        "totalDifficulty": format!("{:#x}", u128::from(block.number + 1) << chain.bits.min(60)),
        "uncles": block.uncles.iter().map(|uncle| hex(&uncle.hash)).collect::<Vec<_>>(),
        "transactions": transactions,
    })
}

fn transfer(block: &Block, at: usize) -> Value {
    let transfer = &block.transfers[at];
    json!({
        "hash": hex(&Chain::name_of(block, at)),
        "from": hex(&transfer.from),
        "to": hex(&transfer.to),
        "value": format!("{:#x}", transfer.value),
        "gasPrice": format!("{:#x}", transfer.gas_price),
    })
}

fn receipt(chain: &Chain, name: Hash) -> Value {
    for number in (0..=chain.tip().number).rev() {
        let Some(block) = chain.at(number) else { continue };
        let found = (0..block.transfers.len()).find(|at| Chain::name_of(block, *at) == name);
        if let Some(at) = found {
            let transfer = &block.transfers[at];
            return json!({
                "transactionHash": hex(&name),
                "blockNumber": format!("{number:#x}"),
                "status": if transfer.fails { "0x0" } else { "0x1" },
                "gasUsed": format!("{GAS:#x}"),
                "effectiveGasPrice": format!("{:#x}", transfer.gas_price),
            });
        }
    }
    Value::Null
}

fn read_number(text: &str) -> Option<u64> {
    u64::from_str_radix(text.strip_prefix("0x")?, 16).ok()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold("0x".to_owned(), |text, byte| format!("{text}{byte:02x}"))
}

fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.strip_prefix("0x")?;
    if digits.len() != 2 * N || !digits.is_ascii() {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, at) in bytes.iter_mut().zip((0..digits.len()).step_by(2)) {
        *byte = u8::from_str_radix(&digits[at..at + 2], 16).ok()?;
    }
    Some(bytes)
}
