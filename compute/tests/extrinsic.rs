//! Extrinsics, taken apart by the programs that the network's own tools use: PyPI's scalecodec and bittensor-wallet.

#![allow(clippy::unwrap_used, reason = "a test that finds an error has failed")]

use compute::extrinsic::{Call, Chain, Unsigned, hash};
use compute::key::SigningKey;
use serde_json::{Value, json};
use std::process::Command;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn decoded(extrinsic: &[u8], payload: &[u8], kind: &str) -> Value {
    let output = Command::new(testkit::prepared("bittensor.sh"))
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/extrinsic.py"))
        .args([&*hex(extrinsic), &hex(payload), kind])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {said}"))
}

const CHAIN: Chain = Chain { genesis: [0x2f; 32], spec_version: 331, transaction_version: 1 };

#[test]
fn a_transfer_is_what_the_networks_own_decoder_reads() {
    let (cold, to) = (SigningKey::from_seed(&[1; 32]), SigningKey::from_seed(&[2; 32]).public());
    for (amount, nonce, tip) in
        [(5_000_000, 0, 0), (123_456_789_012, 70, 9), (u64::MAX, u32::MAX, 1 << 40)]
    {
        let call = Call::Transfer { index: [5, 3], to, amount };
        let unsigned = Unsigned::new(&CHAIN, &call, cold.public(), nonce, tip);
        let signed = unsigned.sign(&cold);
        let found = decoded(&signed, &unsigned.payload(), "transfer");
        let expected = json!({
            "version": 0x84, "signer": cold.public().to_string(), "is_signed": true,
            "hash": hex(&hash(&signed)), "era": "00", "nonce": nonce, "tip": tip, "mode": 0,
            "pallet": 5, "call": 3, "to": to.to_string(), "amount": amount,
        });
        assert_eq!(found, expected);
    }
}

#[test]
fn moved_stake_is_what_the_networks_own_decoder_reads() {
    let (cold, to) = (SigningKey::from_seed(&[1; 32]), SigningKey::from_seed(&[2; 32]).public());
    let hotkey = SigningKey::from_seed(&[3; 32]).public();
    let call =
        Call::TransferStake { index: [7, 86], to, hotkey, netuid: 94, amount: 5_000_000_000 };
    let unsigned = Unsigned::new(&CHAIN, &call, cold.public(), 4, 0);
    let signed = unsigned.sign(&cold);
    let found = decoded(&signed, &unsigned.payload(), "stake");
    // Account ids of this form are shown as bytes.
    let bytes = |key: compute::key::PublicKey| format!("0x{}", hex(key.bytes()));
    let is = |found: &Value, key: compute::key::PublicKey| {
        *found == bytes(key) || *found == key.to_string()
    };
    assert!(is(&found["to"], to) && is(&found["hotkey"], hotkey), "{found}");
    assert_eq!((&found["origin"], &found["destination"]), (&json!(94), &json!(94)));
    assert_eq!((&found["amount"], &found["is_signed"]), (&json!(5_000_000_000u64), &json!(true)));
}
