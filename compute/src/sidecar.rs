//! The sidecar: a queue of jobs on this machine, between drivers that have work and workers that compute.
//!
//! It speaks the original sidecar's HTTP, so that its drivers, workers and GUI can use our engine and ours theirs. What it knows is
//! in a SQLite file: a restart loses no job and no result. It listens on this machine only, answers no page of another site, and
//! can ask for a token. Invariant: a job is one worker's at a time, and the first result of it counts.

mod routes;
mod store;

pub use routes::{BadRequest, Sidecar};
pub use store::{FILE_NAME, Jobs, StoreError};

/// The original's port.
pub const PORT: u16 = 8123;
