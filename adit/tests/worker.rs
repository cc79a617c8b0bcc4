//! `adit data` and `adit worker --self-test`, as a miner uses them.

#![allow(clippy::unwrap_used, reason = "a story that fails has failed")]

use std::path::Path;
use std::process::{Command, Output};

fn adit(folder: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_adit")).args(args).current_dir(folder).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn a_set_is_made_once_and_named_by_its_hash() {
    let folder = tempfile::tempdir().unwrap();
    let made = adit(folder.path(), &["data", "demo", "demo.set"]);
    assert!(made.status.success(), "{}", said(&made));
    let hash = "c2982dee4891105444f51a02540eb8a1f584e9d93f51899138090c5b54d0f7c8";
    assert!(said(&made).starts_with(hash), "{}", said(&made));
    let again = adit(folder.path(), &["data", "demo", "demo.set"]);
    assert!(!again.status.success(), "an existing file is not overwritten");
    let other = adit(folder.path(), &["data", "cifar", "--from", "demo.set", "cifar.set"]);
    assert!(!other.status.success());
    assert!(said(&other).contains("is not the original's file"), "{}", said(&other));
    assert!(!folder.path().join("cifar.set").exists());
}

#[test]
fn a_machine_says_whether_it_computes_what_every_other_does() {
    let folder = tempfile::tempdir().unwrap();
    let tested = adit(folder.path(), &["worker", "--self-test"]);
    assert!(tested.status.success(), "{}", said(&tested));
    assert!(!folder.path().join("hotkey").exists(), "nothing is made by a test");
    assert!(!adit(folder.path(), &["worker"]).status.success(), "it needs a pool");
}
