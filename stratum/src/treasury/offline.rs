//! Signing on another machine: unsigned transactions go out as PSBT files (BIP174), signed ones come back.
//!
//! Invariant: what comes back is used only if it is the very transaction that went out.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bitcoin::{OutPoint, Psbt, Transaction};
use pool::treasury::TreasuryError;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The folder in which transactions wait for their signatures.
#[derive(Debug, Clone)]
pub struct Outbox(PathBuf);

struct Entry {
    payout: u64,
    version: usize,
    psbt: Psbt,
}

impl Outbox {
    /// Uses a folder, made if it is not there.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn open(folder: &Path) -> Result<Self, TreasuryError> {
        std::fs::create_dir_all(folder).map_err(|error| failed(folder, &error))?;
        Ok(Outbox(folder.to_owned()))
    }

    fn unsigned(&self, payout: u64, version: usize) -> PathBuf {
        self.0.join(format!("payout-{payout}-{version}.psbt"))
    }

    fn signed(&self, payout: u64, version: usize) -> PathBuf {
        self.0.join(format!("payout-{payout}-{version}.signed.psbt"))
    }

    /// The transaction that went out for a version of a payout, if one did.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn waiting(&self, payout: u64, version: usize) -> Result<Option<Psbt>, TreasuryError> {
        read(&self.unsigned(payout, version))
    }

    /// Puts a transaction out to be signed.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn put(&self, payout: u64, version: usize, psbt: &Psbt) -> Result<(), TreasuryError> {
        let path = self.unsigned(payout, version);
        let text = BASE64.encode(psbt.serialize());
        let part = path.with_extension("part");
        std::fs::write(&part, text)
            .and_then(|()| std::fs::rename(&part, &path))
            .map_err(|error| failed(&path, &error))?;
        let wanted = self.signed(payout, version);
        tracing::info!(file = %path.display(), "payout {payout} waits for a signature; put it into {}", wanted.display());
        Ok(())
    }

    /// The signed transaction, if it came back.
    ///
    /// # Errors
    /// When it cannot be read, or is another transaction.
    pub fn returned(&self, payout: u64, version: usize) -> Result<Option<Psbt>, TreasuryError> {
        let path = self.signed(payout, version);
        let (Some(out), Some(back)) = (self.waiting(payout, version)?, read(&path)?) else {
            return Ok(None);
        };
        if out.unsigned_tx != back.unsigned_tx {
            let text = format!(
                "{} is another transaction than the one to sign; remove it",
                path.display()
            );
            return Err(TreasuryError::Refuses(text));
        }
        let mut whole = out;
        // What the signer added, on what we know of the coins.
        whole
            .combine(back)
            .map_err(|error| TreasuryError::Refuses(format!("{}: {error}", path.display())))?;
        Ok(Some(whole))
    }

    /// The coins that transactions of other payouts in the folder spend.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn spoken_for(&self, except: u64) -> Result<BTreeSet<OutPoint>, TreasuryError> {
        let others = self.entries()?.into_iter().filter(|entry| entry.payout != except);
        let inputs = others.flat_map(|entry| entry.psbt.unsigned_tx.input);
        Ok(inputs.map(|input| input.previous_output).collect())
    }

    /// Moves what is settled, one way or the other, to the folder `done`.
    ///
    /// # Errors
    /// When the folder cannot be read, or a file not moved.
    pub fn close_settled(
        &self,
        is_settled: impl Fn(&Transaction) -> bool,
    ) -> Result<(), TreasuryError> {
        for entry in self.entries()? {
            if is_settled(&entry.psbt.unsigned_tx) {
                self.file_away(entry.payout, entry.version, "done")?;
            }
        }
        Ok(())
    }

    /// Moves what went out for another payout of this number to the folder `foreign`; its coins are free again.
    ///
    /// # Errors
    /// When a file cannot be moved.
    pub fn set_aside(&self, payout: u64, version: usize) -> Result<(), TreasuryError> {
        let file = self.unsigned(payout, version);
        tracing::warn!(file = %file.display(), "this transaction was made for another payout {payout}; it is set aside, do not sign it");
        self.file_away(payout, version, "foreign")
    }

    /// Is a transaction of this payout out to be signed? Its file.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn is_out(&self, payout: u64) -> Result<Option<PathBuf>, TreasuryError> {
        let found = self.entries()?.into_iter().find(|entry| entry.payout == payout);
        Ok(found.map(|entry| self.unsigned(entry.payout, entry.version)))
    }

    /// Every transaction that is out.
    fn entries(&self) -> Result<Vec<Entry>, TreasuryError> {
        let mut found = Vec::new();
        for file in std::fs::read_dir(&self.0).map_err(|error| failed(&self.0, &error))? {
            let path = file.map_err(|error| failed(&self.0, &error))?.path();
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
            let numbers = name.as_deref().and_then(|name| {
                let (payout, version) =
                    name.strip_prefix("payout-")?.strip_suffix(".psbt")?.split_once('-')?;
                Some((payout.parse().ok()?, version.parse().ok()?))
            });
            // A signed one has another ending, which is no number.
            let Some((payout, version)) = numbers else { continue };
            if let Some(psbt) = read(&path)? {
                found.push(Entry { payout, version, psbt });
            }
        }
        Ok(found)
    }

    /// The signed file goes first: without the unsigned one it would never be looked for again.
    fn file_away(&self, payout: u64, version: usize, folder: &str) -> Result<(), TreasuryError> {
        let folder = self.0.join(folder);
        std::fs::create_dir_all(&folder).map_err(|error| failed(&folder, &error))?;
        for path in [self.signed(payout, version), self.unsigned(payout, version)] {
            if let Some(name) = path.file_name().filter(|_| path.exists()) {
                let to = free_name(&folder, &name.to_string_lossy());
                std::fs::rename(&path, to).map_err(|error| failed(&path, &error))?;
            }
        }
        Ok(())
    }
}

fn failed(path: &Path, error: &dyn std::fmt::Display) -> TreasuryError {
    TreasuryError::Unreachable(format!("{}: {error}", path.display()))
}

/// A name in the folder that no file has: numbers of payouts come again after a restore.
fn free_name(folder: &Path, name: &str) -> PathBuf {
    let plain = std::iter::once(folder.join(name));
    let numbered = (2_u32..).map(|n| folder.join(format!("{name}.{n}")));
    plain.chain(numbered).find(|path| !path.exists()).unwrap_or_else(|| folder.join(name))
}

/// A PSBT file, in base64 or as bytes.
fn read(path: &Path) -> Result<Option<Psbt>, TreasuryError> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(path, &error)),
    };
    let text: Vec<u8> = bytes.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let binary = if bytes.starts_with(b"psbt\xff") {
        bytes
    } else {
        BASE64.decode(text).unwrap_or_default()
    };
    let psbt = Psbt::deserialize(&binary);
    psbt.map(Some)
        .map_err(|error| TreasuryError::Refuses(format!("{} is no PSBT: {error}", path.display())))
}
