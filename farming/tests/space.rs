//! A second opinion: the reference's own verifier, in C++, on proofs good and altered.

#![allow(clippy::unwrap_used, reason = "a test that finds an error has failed")]

use farming::hash::{Bytes32, sha256};
use farming::space::plot::Plot;
use farming::space::quality;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use testkit::fuzz::Dice;

const SCRIPT: &str = r#"
import sys
from chiapos import Verifier
verifier = Verifier()
for line in sys.stdin:
    id, k, challenge, proof = line.split()
    quality = verifier.validate_proof(bytes.fromhex(id), int(k), bytes.fromhex(challenge), bytes.fromhex(proof))
    print(bytes(quality).hex() if quality else "none")
"#;

#[test]
#[ignore = "needs Python and 250 MB of Chia's own software, which scripts/chia.sh installs"]
fn the_references_own_verifier_agrees_on_proofs_good_and_altered() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/chia.sh");
    let python = Command::new(script).output().unwrap();
    let python = String::from_utf8(python.stdout).unwrap();
    let mut asked: Vec<(Bytes32, u8, Bytes32, Vec<u8>)> = Vec::new();
    let mut dice = Dice::new(7);
    for size in [18, 19] {
        let plot = Plot::make(sha256([&[size][..]]), size).unwrap();
        for number in 0..250u32 {
            let challenge = sha256([&number.to_be_bytes()[..]]);
            for proof in plot.proofs(&challenge) {
                let mut flipped = proof.clone();
                flipped[dice.below(proof.len())] ^= 1 << dice.below(8);
                let mut turned = proof.clone();
                turned.rotate_left(proof.len() / 2);
                let other = sha256([challenge.as_ref()]);
                for altered in [&proof, &flipped, &turned] {
                    asked.push((*plot.id(), size, challenge, altered.clone()));
                }
                asked.push((*plot.id(), size, other, proof.clone()));
                asked.push((challenge, size, challenge, proof));
            }
        }
    }
    let mut child = Command::new(python.trim())
        .args(["-c", SCRIPT])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let lines: String = asked
        .iter()
        .map(|(id, size, challenge, proof)| {
            let hex = |bytes: &[u8]| hex::encode(bytes);
            format!("{} {size} {} {}\n", hex(&id.0), hex(&challenge.0), hex(proof))
        })
        .collect();
    let writer = std::thread::spawn(move || input.write_all(lines.as_bytes()).unwrap());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(said.lines().count(), asked.len());
    let mut good = 0;
    for ((id, size, challenge, proof), said) in asked.iter().zip(said.lines()) {
        let ours = quality(id, *size, challenge, proof);
        let ours = ours.map_or("none".to_owned(), |quality| hex::encode(quality.0));
        assert_eq!(ours, said, "{id} {size} {challenge}");
        good += usize::from(said != "none");
    }
    assert!(good >= 300 && asked.len() >= 5 * good, "{good} of {}", asked.len());
}
