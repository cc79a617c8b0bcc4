//! Secrets: made by the operating system, compared in constant time.

use subtle::ConstantTimeEq;

/// 256 random bits as text.
///
/// # Panics
/// When the operating system has no randomness, and nothing here could be secret.
#[must_use]
pub fn token() -> String {
    let mut bytes = [0u8; 32];
    getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Are they the same? In a time that tells nothing.
#[must_use]
pub fn same(left: &[u8], right: &[u8]) -> bool {
    left.ct_eq(right).into()
}
