//! `adit data`: the sets of tasks that compute pools and their workers share.
//!
//! Invariant: an existing file is not overwritten, and the hash that is printed is the hash of what was written.

use crate::cli::DataCommand;
use anyhow::{Context, bail};
use compute::data::cifar::{FILE_HASH, Pictures, Recipe, draw};
use compute::data::{DataSet, demo, read, write};
use sha2::{Digest, Sha256};
use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

/// Makes a set.
///
/// # Errors
/// When the pictures are others, or the file cannot be written.
pub fn run(command: &DataCommand) -> anyhow::Result<()> {
    match command {
        DataCommand::Demo { out } => keep(&demo::classes(), out),
        DataCommand::Cifar { from, other_file, out } => {
            let bytes = std::fs::read(from).with_context(|| from.display().to_string())?;
            let hash: String =
                Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
            if hash != FILE_HASH && !other_file {
                bail!(
                    "{} is not the original's file: its SHA-256 is {hash}, and should be {FILE_HASH}. A packed file must be \
                     unpacked first; with --other-file it is taken as it is",
                    from.display()
                );
            }
            let text = String::from_utf8(bytes).context("the pictures are not text")?;
            let pictures = Pictures::read(&text)?;
            drop(text);
            keep(&draw(&pictures, &Recipe::ORIGINAL)?, out)
        }
    }
}

/// A set that was made before.
///
/// # Errors
/// When the file cannot be read or is none.
pub fn open(file: &Path) -> anyhow::Result<DataSet> {
    let bytes = std::fs::read(file).with_context(|| file.display().to_string())?;
    read(&bytes).with_context(|| file.display().to_string())
}

fn keep(set: &DataSet, out: &Path) -> anyhow::Result<()> {
    let new = OpenOptions::new().write(true).create_new(true).open(out);
    let mut file = new.with_context(|| out.display().to_string())?;
    file.write_all(&write(set))?;
    file.sync_all()?;
    println!("{}  {} tasks of {}", set.hash(), set.tasks.len(), set.name);
    Ok(())
}
