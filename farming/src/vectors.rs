//! The vectors that tests are checked against: made with the client's own code, once.

use std::sync::OnceLock;

/// `tests/fixtures/chia.json`.
pub(crate) fn vectors() -> &'static serde_json::Value {
    static VECTORS: OnceLock<serde_json::Value> = OnceLock::new();
    VECTORS
        .get_or_init(|| serde_json::from_str(include_str!("../tests/fixtures/chia.json")).unwrap())
}

/// The bytes of a field of hexadecimal text.
pub(crate) fn bytes<const N: usize>(field: &serde_json::Value) -> [u8; N] {
    let text = field.as_str().unwrap();
    let mut bytes = [0; N];
    hex::decode_to_slice(text.strip_prefix("0x").unwrap_or(text), &mut bytes).unwrap();
    bytes
}

/// `tests/fixtures/chia_rpc.json`: what a real node and wallet answered.
pub(crate) fn answers() -> &'static serde_json::Value {
    static ANSWERS: OnceLock<serde_json::Value> = OnceLock::new();
    ANSWERS.get_or_init(|| {
        serde_json::from_str(include_str!("../tests/fixtures/chia_rpc.json")).unwrap()
    })
}
