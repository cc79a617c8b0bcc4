//! The file with the keys that can spend the pool's coins: master keys, one a line, the newest first.
//!
//! Invariant: as of [`pool::private_file`]: not read where others could, never overwritten.

use super::Wallet;
use chia_bls::SecretKey;
use pool::private_file::{self, BadFile};
use std::path::{Path, PathBuf};

/// Keys of one file at most: the newest, and those that were replaced.
const KEYS_MAX: usize = 16;

/// Why a key file is not used.
#[derive(Debug, thiserror::Error)]
pub enum BadKey {
    /// It cannot be read or written, or others can read it.
    #[error(transparent)]
    File(#[from] BadFile),
    /// What is in it is no key.
    #[error(
        "key file {0} holds 1 to {KEYS_MAX} lines of 64 hexadecimal digits, each a master private key as `chia keys show \
         --show-mnemonic-seed` prints it; line {1} is none"
    )]
    Unreadable(PathBuf, usize),
    /// The machine gives no randomness.
    #[error("no randomness for a new key: {0}")]
    Randomness(String),
}

/// Reads the wallet of a key file.
///
/// # Errors
/// See [`BadKey`].
pub fn read(path: &Path) -> Result<Wallet, BadKey> {
    let unreadable = |line| BadKey::Unreadable(path.to_owned(), line);
    let lines = private_file::lines(path)?;
    let keys: Vec<SecretKey> = lines
        .iter()
        .enumerate()
        .map(|(at, line)| {
            let bytes = crate::hash::unhex(line).map_err(|_| unreadable(at + 1))?;
            // Zero opens nothing, or everything.
            let key = SecretKey::from_bytes(&bytes).ok().filter(|_| bytes != [0; 32]);
            key.ok_or_else(|| unreadable(at + 1))
        })
        .collect::<Result<_, _>>()?;
    match keys.split_first() {
        Some((first, former)) if keys.len() <= KEYS_MAX => Ok(Wallet::new(first, former)),
        _ => Err(unreadable(keys.len())),
    }
}

/// Makes a new key in a new file.
///
/// # Errors
/// When the file exists, or cannot be written.
pub fn create(path: &Path) -> Result<(), BadKey> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|error| BadKey::Randomness(error.to_string()))?;
    let key = hex::encode(SecretKey::from_seed(&seed).to_bytes());
    let text = format!(
        "# A master private key of Chia: it can spend all coins of this pool. Keep a copy where nobody else gets at it.\n\
         # To replace it, put the new one above it: both are watched and pay, the first receives.\n{key}\n"
    );
    Ok(private_file::create(path, &text)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_new_key_receives_and_the_one_below_it_still_pays() {
        let folder = tempfile::tempdir().unwrap();
        let (old, new) = (folder.path().join("old"), folder.path().join("new"));
        create(&old).unwrap();
        create(&new).unwrap();
        assert!(create(&new).is_err(), "never overwritten");
        let (first, second) = (read(&old).unwrap(), read(&new).unwrap());
        assert_ne!(first.place(), second.place());
        let both = folder.path().join("both");
        let texts = [&new, &old].map(|path| std::fs::read_to_string(path).unwrap());
        private_file::create(&both, &texts.concat()).unwrap();
        assert_eq!(read(&both).unwrap().places(), [second.place(), first.place()]);
    }

    #[test]
    fn what_is_no_key_is_refused_with_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        private_file::create(&path, "").unwrap();
        for text in ["", "abandon ability able", &"00".repeat(32), &"ff".repeat(32)] {
            std::fs::write(&path, text).unwrap();
            assert!(matches!(read(&path), Err(BadKey::Unreadable(..))), "{text}");
        }
        std::fs::write(&path, "01".repeat(32)).unwrap();
        assert!(read(&path).is_ok());
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(read(&path), Err(BadKey::File(_))));
    }
}
