//! An embedded regtest chain: judges blocks and payments like Bitcoin Core, and speaks its JSON-RPC.
//!
//! For the demo, for trying things, and for tests that need thousands of blocks in a second. The pool's ordinary node
//! client cannot tell it from bitcoind in what a pool needs.
//!
//! Judged as Core does, with Core's words: the header (work, target, time, version), the merkle root and its malleation,
//! sizes, the coinbase (place, script, height, value), the witness commitment, lock times, missing and spent inputs,
//! maturity, values, and the signatures of the spends that pool wallets make (P2PKH, P2WPKH, P2SH-P2WPKH, P2TR by key).
//!
//! **Not judged**: scripts of any other kind (such a spend is refused as `devnet-cannot-judge-script`), relative lock
//! times (BIP68), BIP30, BIP94, annexes, package relay. There is no peer-to-peer network: other
//! chains are handed in by `submitblock`.
//!
//! Invariant: [`chain`] does no I/O and reads no clock; the same blocks at the same times give the same chain.
//!
//! Reading order: [`params`], [`check`] (a block by itself), [`script`] (a spend), [`chain`] (the tree of blocks),
//! [`mempool`], [`template`], [`rpc`], [`devnet`]. Beside it: nodes of other kinds of chains, [`ether`], [`gxc`], and [`chia`], which runs
//! Chia's own software.

pub mod chain;
pub mod check;
pub mod chia;
pub mod devnet;
pub mod ether;
pub mod gxc;
pub mod journal;
pub mod mempool;
pub mod params;
pub mod purse;
pub mod rpc;
pub mod script;
pub mod template;

pub use chain::Chain;
pub use devnet::{Devnet, Options};
pub use params::Params;

/// A script that pays nobody in particular: for blocks that are only there to bury others.
#[must_use]
pub fn nobody() -> bitcoin::ScriptBuf {
    bitcoin::ScriptBuf::from_bytes(vec![0x51])
}

/// A script as a regtest address; empty when it has none.
#[must_use]
pub fn address_of(script: &bitcoin::Script) -> String {
    bitcoin::Address::from_script(script, bitcoin::Network::Regtest)
        .map(|address| address.to_string())
        .unwrap_or_default()
}
