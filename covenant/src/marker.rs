//! The output by which a block says that it follows a rule, and whom to pay for it.
//!
//! `OP_RETURN`, one push: the rule's eight bytes, then the payout script. Invariant: reading is total; whatever bytes a
//! coinbase holds, they are a marker of this rule, a broken one, or none.

use crate::rule::RuleId;
use bitcoin::{Amount, Script, ScriptBuf, TxOut};

const OP_RETURN: u8 = 0x6a;
/// Bytes of the rule's id.
const ID_SIZE: usize = 8;

/// What an output is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Marker<'a> {
    /// No marker of this rule.
    None,
    /// One, and whom it names.
    Of(&'a Script),
    /// One that names nobody who could be paid.
    Broken,
}

/// Can a payout tree pay this script? Only scripts whose dust limit is below every rule's floor, and that somebody owns.
#[must_use]
pub fn is_payable(script: &Script) -> bool {
    script.is_p2pkh()
        || script.is_p2sh()
        || script.is_p2wpkh()
        || script.is_p2wsh()
        || script.is_p2tr()
}

/// The marker output of a rule.
///
/// # Panics
/// When the script is none that [`is_payable`].
#[must_use]
pub fn output(rule: RuleId, payout: &Script) -> TxOut {
    assert!(is_payable(payout), "a marker names a script that can be paid");
    let size = u8::try_from(ID_SIZE + payout.len()).expect("payable scripts are short");
    let bytes = [&[OP_RETURN, size][..], &rule.0, payout.as_bytes()].concat();
    TxOut { value: Amount::ZERO, script_pubkey: ScriptBuf::from_bytes(bytes) }
}

/// Reads an output script.
#[must_use]
pub fn read(rule: RuleId, script: &Script) -> Marker<'_> {
    let [OP_RETURN, size, rest @ ..] = script.as_bytes() else { return Marker::None };
    let Some(payout) = rest.strip_prefix(&rule.0) else { return Marker::None };
    let payout = Script::from_bytes(payout);
    if usize::from(*size) == rest.len() && is_payable(payout) {
        Marker::Of(payout)
    } else {
        Marker::Broken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marker_reads_back_and_other_bytes_are_none_or_broken() {
        let (rule, other) = (RuleId([1; 8]), RuleId([2; 8]));
        let payout = ScriptBuf::from_bytes([&[0, 20][..], &[9; 20]].concat());
        let output = output(rule, &payout);
        assert_eq!(read(rule, &output.script_pubkey), Marker::Of(&payout));
        assert_eq!(read(other, &output.script_pubkey), Marker::None);
        let mut longer = output.script_pubkey.clone().into_bytes();
        longer.push(0);
        assert_eq!(read(rule, Script::from_bytes(&longer)), Marker::Broken);
        for bytes in [&[][..], &[0x51], &[0x6a], &[0x6a, 0x4c], &[0x6a, 8, 1, 1]] {
            assert_eq!(read(rule, Script::from_bytes(bytes)), Marker::None);
        }
        let empty = [&[0x6a, 8][..], &rule.0].concat();
        assert_eq!(read(rule, Script::from_bytes(&empty)), Marker::Broken);
    }
}
