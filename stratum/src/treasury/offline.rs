//! Signing on another machine: unsigned transactions go out as PSBT files (BIP174), signed ones come back.
//!
//! Invariant: what comes back is used only if it is the very transaction that went out.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bitcoin::{OutPoint, Psbt};
use pool::treasury::TreasuryError;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The folder in which transactions wait for their signatures.
#[derive(Debug, Clone)]
pub struct Outbox(PathBuf);

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
        let own = format!("payout-{except}-");
        let mut found = BTreeSet::new();
        for entry in std::fs::read_dir(&self.0).map_err(|error| failed(&self.0, &error))? {
            let path = entry.map_err(|error| failed(&self.0, &error))?.path();
            let name = path
                .file_name()
                .map(|name| name.to_string_lossy().into_owned())
                .unwrap_or_default();
            if !name.ends_with(".psbt") || name.ends_with(".signed.psbt") || name.starts_with(&own)
            {
                continue;
            }
            if let Some(psbt) = read(&path)? {
                found.extend(psbt.unsigned_tx.input.iter().map(|input| input.previous_output));
            }
        }
        Ok(found)
    }

    /// A payout needs no signature any more: its files go to the folder `done`.
    ///
    /// # Errors
    /// When they cannot be moved.
    pub fn close(&self, payout: u64, version: usize) -> Result<(), TreasuryError> {
        let done = self.0.join("done");
        std::fs::create_dir_all(&done).map_err(|error| failed(&done, &error))?;
        for path in [self.unsigned(payout, version), self.signed(payout, version)] {
            if let Some(name) = path.file_name().filter(|_| path.exists()) {
                std::fs::rename(&path, done.join(name)).map_err(|error| failed(&path, &error))?;
            }
        }
        Ok(())
    }
}

fn failed(path: &Path, error: &dyn std::fmt::Display) -> TreasuryError {
    TreasuryError::Unreachable(format!("{}: {error}", path.display()))
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
