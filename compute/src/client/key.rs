//! A miner's hotkey on disk: 64 hexadecimal digits, or the file that Bittensor's wallet wrote.
//!
//! Invariant: a key is made once, readable by its owner only, and never overwritten.

use crate::key::SigningKey;
use crate::tables::load::unhex;
use crate::tables::write::hex;
use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// The disk.
    #[error("{0}: {1}")]
    Io(String, std::io::Error),
    /// Something else is in it.
    #[error(
        "{0} holds no key: it needs 64 hexadecimal digits, or a hotkey file of Bittensor's wallet that is not encrypted"
    )]
    Form(String),
}

/// Reads the key in a file, if it is there.
///
/// # Errors
/// See [`KeyFileError`].
pub fn read(file: &Path) -> Result<Option<SigningKey>, KeyFileError> {
    let name = || file.display().to_string();
    match std::fs::read_to_string(file) {
        Ok(text) => {
            let seed = seed_in(&text).ok_or_else(|| KeyFileError::Form(name()))?;
            Ok(Some(SigningKey::from_seed(&seed)))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(KeyFileError::Io(name(), error)),
    }
}

/// Reads the key in a file; makes one there with these bytes if there is none. Says whether it is new.
///
/// # Errors
/// See [`KeyFileError`].
pub fn open(file: &Path, fresh: [u8; 32]) -> Result<(SigningKey, bool), KeyFileError> {
    if let Some(known) = read(file)? {
        return Ok((known, false));
    }
    let made = || -> std::io::Result<()> {
        let mut new = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)?;
        writeln!(new, "{}", hex(&fresh))?;
        new.sync_all()
    };
    made().map_err(|error| KeyFileError::Io(file.display().to_string(), error))?;
    Ok((SigningKey::from_seed(&fresh), true))
}

fn seed_in(text: &str) -> Option<[u8; 32]> {
    let bare = |text: &str| unhex(text.trim().trim_start_matches("0x"));
    let wallet = || {
        let json: serde_json::Value = serde_json::from_str(text).ok()?;
        bare(json["secretSeed"].as_str()?)
    };
    bare(text).or_else(wallet)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_once_and_a_wallets_file_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("hotkey");
        let (made, is_new) = open(&file, [5; 32]).unwrap();
        assert!(is_new);
        let (again, is_new) = open(&file, [6; 32]).unwrap();
        assert_eq!((made.public(), is_new), (again.public(), false));
        let mode = std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(&file).unwrap());
        assert_eq!(mode & 0o777, 0o600);
        let seed = hex(&[5; 32]);
        std::fs::write(&file, format!(r#"{{"ss58Address":"5x","secretSeed":"0x{seed}"}}"#))
            .unwrap();
        assert_eq!(open(&file, [6; 32]).unwrap().0.public(), made.public());
        std::fs::write(&file, "$NACL…").unwrap();
        assert!(matches!(open(&file, [6; 32]), Err(KeyFileError::Form(_))));
    }
}
