//! Why a submission is refused: one enum, and its wire codes.
//!
//! Invariant: a refusal is an expected answer; it is counted, never logged as an error.

/// A refused submission, in the order of the ladder that refuses it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reject {
    /// A field cannot be read.
    Malformed,
    /// Nobody subscribed.
    NotSubscribed,
    /// The user name was not authorised here.
    Unauthorized,
    /// The job was never sent, or is forgotten.
    UnknownJob,
    /// The same header was accepted before.
    Duplicate,
    /// The job's block is no longer the one to build on, and the grace is over.
    Stale,
    /// The header's time is before the job's or too far ahead.
    BadTime,
    /// Version bits outside the negotiated mask.
    BadVersion,
    /// The hash does not meet the target the job was sent with.
    LowDifficulty,
    /// Of a nonce that another connection's extranonce begins.
    ForeignNonce,
    /// As GXC's pool miner sends it, which never tells the extranonce2 that it hashed.
    PoolMiner,
    /// Too many of this host's shares, or of all, wait to be hashed.
    Busy,
    /// The pool cannot record it now.
    NotRecorded,
}

impl Reject {
    /// All of them, for counters.
    pub const ALL: [Reject; 13] = [
        Reject::Malformed,
        Reject::NotSubscribed,
        Reject::Unauthorized,
        Reject::UnknownJob,
        Reject::Duplicate,
        Reject::Stale,
        Reject::BadTime,
        Reject::BadVersion,
        Reject::LowDifficulty,
        Reject::ForeignNonce,
        Reject::PoolMiner,
        Reject::Busy,
        Reject::NotRecorded,
    ];

    /// Stratum's error code (the numbers 20 to 25 are what every miner knows).
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Reject::Malformed
            | Reject::BadTime
            | Reject::BadVersion
            | Reject::ForeignNonce
            | Reject::Busy
            | Reject::NotRecorded => 20,
            Reject::UnknownJob | Reject::Stale => 21,
            Reject::Duplicate => 22,
            Reject::LowDifficulty | Reject::PoolMiner => 23,
            Reject::Unauthorized => 24,
            Reject::NotSubscribed => 25,
        }
    }

    /// The message that goes with it: short ASCII, for miners' logs.
    #[must_use]
    pub const fn message(self) -> &'static str {
        match self {
            Reject::Malformed => "Malformed share",
            Reject::NotSubscribed => "Not subscribed",
            Reject::Unauthorized => "Unauthorized worker",
            Reject::UnknownJob => "Job not found",
            Reject::Duplicate => "Duplicate share",
            Reject::Stale => "Stale share",
            Reject::BadTime => "Time out of range",
            Reject::BadVersion => "Version bits outside mask",
            Reject::LowDifficulty => "Low difficulty share",
            Reject::ForeignNonce => {
                "This nonce is another connection's; begin with your extranonce, or start the miner anew to have it choose others"
            }
            Reject::PoolMiner => {
                "gxc-pool-miner sends another extranonce2 than it hashed, so nobody can verify its work; use gxc-miner-standalone"
            }
            Reject::Busy => "Too many shares wait to be verified; ask for a higher difficulty",
            Reject::NotRecorded => "Pool cannot record shares now",
        }
    }

    /// The label of its counter.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Reject::Malformed => "malformed",
            Reject::NotSubscribed => "not_subscribed",
            Reject::Unauthorized => "unauthorized",
            Reject::UnknownJob => "unknown_job",
            Reject::Duplicate => "duplicate",
            Reject::Stale => "stale",
            Reject::BadTime => "bad_time",
            Reject::BadVersion => "bad_version",
            Reject::LowDifficulty => "low",
            Reject::ForeignNonce => "foreign_nonce",
            Reject::PoolMiner => "pool_miner",
            Reject::Busy => "busy",
            Reject::NotRecorded => "not_recorded",
        }
    }

    /// Is the miner (not the network or the pool) to blame? Those make a bad streak.
    #[must_use]
    pub const fn is_miners_fault(self) -> bool {
        !matches!(self, Reject::Stale | Reject::UnknownJob | Reject::Busy | Reject::NotRecorded)
    }
}
