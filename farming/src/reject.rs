//! Why a request of a farmer is refused: one enum, and the protocol's error codes.
//!
//! Invariant: a refusal is an expected answer, sent as HTTP 200 (a farmer reads the code of no other answer), and its code is
//! one of the sixteen that the client knows.

/// A refused request, in the order of the ladder that refuses it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reject {
    /// The request cannot be read.
    Malformed,
    /// The proof is of no kind that counts here: size, version, keys.
    UnfitProof,
    /// The farmer's clock is off, or the request is old.
    StaleToken,
    /// Nobody registered this launcher id.
    FarmerUnknown,
    /// It is registered already.
    FarmerKnown,
    /// The operator does not want this farmer.
    Banned,
    /// The operator takes no partials for now.
    Paused,
    /// The plot pays to another contract than the farmer's.
    ForeignContract,
    /// The singleton does not exist, or does not farm to this pool.
    NotAMember,
    /// Whoever owns the singleton could take a reward back before the pool claims it.
    DelayTooShort,
    /// No payouts can be made to this.
    PayoutInstructions,
    /// Too soon after the last change.
    TooSoon,
    /// No node knows the signage point or end of sub-slot.
    PointUnknown,
    /// The chain took it back.
    PointReverted,
    /// Arrived too long after its signage point.
    TooLate,
    /// The plot does not pass the filter, or the challenge is another one.
    WrongChallenge,
    /// No proof of this plot.
    InvalidProof,
    /// Accepted before.
    Duplicate,
    /// Needs more iterations than its difficulty allows.
    NotGoodEnough,
    /// Not signed by whom it says.
    InvalidSignature,
    /// The pool's node is not in step with the network, so nothing can be judged now.
    NotSynced,
    /// The pool cannot record it now.
    NotRecorded,
    /// Too many requests wait to be verified.
    Busy,
    /// Pools of the second protocol version are another thing.
    SecondVersion,
}

impl Reject {
    /// All of them, for counters.
    pub const ALL: [Reject; 24] = [
        Reject::Malformed,
        Reject::UnfitProof,
        Reject::StaleToken,
        Reject::FarmerUnknown,
        Reject::FarmerKnown,
        Reject::Banned,
        Reject::Paused,
        Reject::ForeignContract,
        Reject::NotAMember,
        Reject::DelayTooShort,
        Reject::PayoutInstructions,
        Reject::TooSoon,
        Reject::PointUnknown,
        Reject::PointReverted,
        Reject::TooLate,
        Reject::WrongChallenge,
        Reject::InvalidProof,
        Reject::Duplicate,
        Reject::NotGoodEnough,
        Reject::InvalidSignature,
        Reject::NotSynced,
        Reject::NotRecorded,
        Reject::Busy,
        Reject::SecondVersion,
    ];

    /// The protocol's error code. Those that a farmer acts upon: 5 (asks for its difficulty), 7 (renews its key), 10
    /// (registers).
    #[must_use]
    pub const fn code(self) -> u16 {
        match self {
            Reject::PointReverted => 1,
            Reject::TooLate => 2,
            Reject::PointUnknown => 3,
            Reject::UnfitProof | Reject::WrongChallenge | Reject::InvalidProof => 4,
            Reject::NotGoodEnough => 5,
            Reject::InvalidSignature => 7,
            Reject::NotSynced | Reject::NotRecorded | Reject::Busy => 8,
            Reject::ForeignContract => 9,
            Reject::FarmerUnknown => 10,
            Reject::FarmerKnown => 11,
            Reject::StaleToken => 12,
            Reject::PayoutInstructions => 13,
            Reject::NotAMember => 14,
            Reject::DelayTooShort => 15,
            Reject::Malformed
            | Reject::Banned
            | Reject::Paused
            | Reject::TooSoon
            | Reject::Duplicate
            | Reject::SecondVersion => 16,
        }
    }

    /// The message that goes with it, for the farmer's log: it says what to do.
    #[must_use]
    pub const fn message(self) -> &'static str {
        match self {
            Reject::Malformed => "The request cannot be read; update the farmer",
            Reject::UnfitProof => "The proof's size, version or keys do not count in this pool",
            Reject::StaleToken => "The authentication token is stale; set the farmer's clock",
            Reject::FarmerUnknown => "The farmer is not known; register first",
            Reject::FarmerKnown => "The farmer is known already",
            Reject::Paused => "The pool takes no partials for now; try again later",
            Reject::Banned => "The pool's operator has excluded this farmer",
            Reject::ForeignContract => "The plot belongs to another plot NFT",
            Reject::NotAMember => "The plot NFT is not farming to this pool",
            Reject::DelayTooShort => "The plot NFT's delay time is too short; it must be an hour",
            Reject::PayoutInstructions => "Payouts cannot be sent there; give an address",
            Reject::TooSoon => "The last change was a moment ago; try again later",
            Reject::PointUnknown => "The signage point is not known",
            Reject::PointReverted => "The signage point was reverted",
            Reject::TooLate => "The partial arrived too late",
            Reject::WrongChallenge => {
                "The challenge is not the signage point's, or the plot's filter does not pass"
            }
            Reject::InvalidProof => "The proof of space is invalid",
            Reject::Duplicate => "The proof was accepted before",
            Reject::NotGoodEnough => "The proof is not good enough for the difficulty",
            Reject::InvalidSignature => "The signature is invalid",
            Reject::NotSynced => "The pool's node is not in step with the network; try again later",
            Reject::NotRecorded => "The pool cannot record partials now; try again later",
            Reject::Busy => "The pool is busy; try again later",
            Reject::SecondVersion => "This pool speaks version 1 of the pool protocol",
        }
    }

    /// The label of its counter, and the reason kept with a refused partial.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Reject::Malformed => "malformed",
            Reject::UnfitProof => "unfit_proof",
            Reject::StaleToken => "stale_token",
            Reject::FarmerUnknown => "farmer_unknown",
            Reject::FarmerKnown => "farmer_known",
            Reject::Banned => "banned",
            Reject::Paused => "paused",
            Reject::ForeignContract => "foreign_contract",
            Reject::NotAMember => "not_a_member",
            Reject::DelayTooShort => "delay_too_short",
            Reject::PayoutInstructions => "payout_instructions",
            Reject::TooSoon => "too_soon",
            Reject::PointUnknown => "point_unknown",
            Reject::PointReverted => "point_reverted",
            Reject::TooLate => "too_late",
            Reject::WrongChallenge => "wrong_challenge",
            Reject::InvalidProof => "invalid_proof",
            Reject::Duplicate => "duplicate",
            Reject::NotGoodEnough => "not_good_enough",
            Reject::InvalidSignature => "invalid_signature",
            Reject::NotSynced => "not_synced",
            Reject::NotRecorded => "not_recorded",
            Reject::Busy => "busy",
            Reject::SecondVersion => "second_version",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_code_is_one_that_the_client_knows_and_every_label_its_own() {
        let labels: HashSet<&str> = Reject::ALL.iter().map(|reject| reject.label()).collect();
        assert_eq!(labels.len(), Reject::ALL.len());
        assert!(Reject::ALL.iter().all(|reject| (1..=16).contains(&reject.code())));
    }
}
