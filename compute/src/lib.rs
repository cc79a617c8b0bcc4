//! Useful compute: leased evolve and evaluate tasks, answered by several miners and believed by quorum.
//!
//! Reading order: [`key`] and [`auth`] (who asks), [`dsl`] (what is computed),
//! [`data`] (on what, drawn with [`numpy`]'s random numbers), [`mod@evaluate`] and [`score`] (how good it is),
//! [`mod@evolve`] (looking for better), [`quorum`] (when answers are believed), [`reputation`] (what they earn), [`task`],
//! [`lease`] and [`worker`] (what is handed out, and to whom), [`desk`] (all of it together), [`fact`] (what the ledger is told),
//! [`epoch`] and [`merkle`] (how an hour is paid, and how anybody checks it), [`card`] (what a miner's work has come to),
//! [`tables`] (what is on disk), [`office`] (the thread that holds them), [`wire`] and [`server`] (the door itself), [`treasury`] (payouts that an operator sends), [`extrinsic`] (the bytes of one),
//! [`client`] (a miner, who knows only the wire), [`sidecar`] (a queue between drivers and workers on one machine), [`relay`] (where
//! validators look), [`loopback`] (who may ask what is for this machine only), [`self_test`] (does this
//! machine compute what every other does?).

pub mod auth;
pub mod card;
pub mod client;
pub mod data;
pub mod desk;
pub mod dsl;
pub mod epoch;
pub mod evaluate;
pub mod evolve;
pub mod extrinsic;
pub mod fact;
pub mod key;
pub mod lease;
pub mod loopback;
pub mod merkle;
pub mod numpy;
pub mod office;
pub mod quorum;
pub mod relay;
pub mod reputation;
pub mod score;
pub mod self_test;
pub mod server;
pub mod sidecar;
pub mod tables;
pub mod task;
pub mod treasury;
pub mod wire;
pub mod worker;
