//! The file with the key that can spend the pool's coins.
//!
//! Invariant: a key that others on the machine could read is not used; a key file is never overwritten.

use crate::coin::Coin;
use bitcoin::NetworkKind;
use bitcoin::bip32::Xpriv;
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Why a key file is not used.
#[derive(Debug, thiserror::Error)]
pub enum BadKey {
    /// It cannot be read or written.
    #[error("key file {0}: {1}")]
    File(PathBuf, std::io::Error),
    /// Others can read it.
    #[error("key file {0} can be read by others (mode {1:o}): run `chmod 600 {0}`")]
    Open(PathBuf, u32),
    /// What is in it is no key.
    #[error(
        "key file {0} holds neither an extended private key (xprv, tprv) nor two descriptors: {1}"
    )]
    Unreadable(PathBuf, String),
    /// A key of another network.
    #[error("key file {0} holds a key of another network than {1}")]
    OtherNetwork(PathBuf, Coin),
}

/// Where the pool receives and where its change goes, with the keys.
#[derive(Clone, PartialEq, Eq)]
pub struct Descriptors {
    /// Of addresses that receive.
    pub external: String,
    /// Of addresses that take change.
    pub change: String,
}

/// Reads a key file: one extended private key (then BIP84 addresses of its first account), or two descriptors, one a
/// line. Lines that begin with `#` are comments.
///
/// # Errors
/// See [`BadKey`].
pub fn read(path: &Path, coin: Coin) -> Result<Descriptors, BadKey> {
    let fail = |error| BadKey::File(path.to_owned(), error);
    let mut file = File::open(path).map_err(fail)?;
    let mode = file.metadata().map_err(fail)?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(BadKey::Open(path.to_owned(), mode));
    }
    let mut text = String::new();
    file.read_to_string(&mut text).map_err(fail)?;
    let lines: Vec<&str> =
        text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#')).collect();
    match lines.as_slice() {
        [key] => {
            let key: Xpriv =
                key.parse().map_err(|error: bitcoin::bip32::Error| unreadable(path, &error))?;
            if key.network != kind(coin) {
                return Err(BadKey::OtherNetwork(path.to_owned(), coin));
            }
            Ok(of_key(&key))
        }
        [external, change] => {
            Ok(Descriptors { external: (*external).into(), change: (*change).into() })
        }
        _ => Err(unreadable(path, &format!("{} lines", lines.len()))),
    }
}

fn unreadable(path: &Path, why: &dyn std::fmt::Display) -> BadKey {
    BadKey::Unreadable(path.to_owned(), why.to_string())
}

fn kind(coin: Coin) -> NetworkKind {
    NetworkKind::from(super::network_of(coin))
}

/// BIP84, first account.
fn of_key(key: &Xpriv) -> Descriptors {
    let coin_type = match key.network {
        NetworkKind::Main => 0,
        NetworkKind::Test => 1,
    };
    let branch = |branch: u8| format!("wpkh({key}/84'/{coin_type}'/0'/{branch}/*)");
    Descriptors { external: branch(0), change: branch(1) }
}

/// Makes a new key from the machine's randomness, in a new file that only its owner can read.
///
/// # Errors
/// When the file exists, or cannot be written.
pub fn create(path: &Path, coin: Coin) -> Result<(), BadKey> {
    let fail = |error| BadKey::File(path.to_owned(), error);
    let mut seed = [0u8; 32];
    File::open("/dev/urandom").and_then(|mut random| random.read_exact(&mut seed)).map_err(fail)?;
    let key = Xpriv::new_master(kind(coin), &seed).map_err(|error| unreadable(path, &error))?;
    let mut file =
        File::options().write(true).create_new(true).mode(0o600).open(path).map_err(fail)?;
    let text = format!(
        "# Can spend all coins of this pool. Keep a copy where nobody else gets at it.\n{key}\n"
    );
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(fail)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coin::{Family, Network};

    fn coin(network: Network) -> Coin {
        Coin::new(Family::Bitcoin, network).unwrap()
    }

    #[test]
    fn a_new_key_is_read_back_and_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pool.key");
        create(&path, coin(Network::Regtest)).unwrap();
        let read_back = read(&path, coin(Network::Regtest)).unwrap();
        assert!(
            read_back.external.starts_with("wpkh(tprv")
                && read_back.external.ends_with("/84'/1'/0'/0/*)")
        );
        assert!(matches!(create(&path, coin(Network::Regtest)), Err(BadKey::File(..))));
        assert!(read(&path, coin(Network::Regtest)).is_ok());
    }

    #[test]
    fn a_key_file_that_others_can_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pool.key");
        create(&path, coin(Network::Main)).unwrap();
        for mode in [0o640, 0o604, 0o660, 0o666, 0o610] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            let refused = read(&path, coin(Network::Main)).err().unwrap().to_string();
            assert!(refused.contains("chmod 600"), "{refused}");
        }
    }

    #[test]
    fn a_key_of_another_network_and_nonsense_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pool.key");
        create(&path, coin(Network::Main)).unwrap();
        assert!(matches!(read(&path, coin(Network::Signet)), Err(BadKey::OtherNetwork(..))));
        std::fs::write(&path, "# nothing\n").unwrap();
        assert!(matches!(read(&path, coin(Network::Main)), Err(BadKey::Unreadable(..))));
        std::fs::write(&path, "xprvnonsense\n").unwrap();
        assert!(matches!(read(&path, coin(Network::Main)), Err(BadKey::Unreadable(..))));
    }
}
