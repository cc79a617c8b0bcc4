//! Files with secrets: keys that can spend coins.
//!
//! Invariant: a file that others on the machine could read is not used, and none is ever overwritten.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Bytes of a key file at most.
const BYTES_MAX: u64 = 64 * 1024;

/// Why such a file is not used.
#[derive(Debug, thiserror::Error)]
pub enum BadFile {
    /// It cannot be read or written.
    #[error("key file {0}: {1}")]
    Unusable(PathBuf, io::Error),
    /// Others can read it.
    #[error("key file {0} can be read by others (mode {1:o}): run `chmod 600 {0}`")]
    Open(PathBuf, u32),
}

/// Its lines, without those that are empty or begin with `#`.
///
/// # Errors
/// See [`BadFile`].
pub fn lines(path: &Path) -> Result<Vec<String>, BadFile> {
    let fail = |error| BadFile::Unusable(path.to_owned(), error);
    let file = File::open(path).map_err(fail)?;
    let mode = file.metadata().map_err(fail)?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(BadFile::Open(path.to_owned(), mode));
    }
    let mut text = String::new();
    file.take(BYTES_MAX).read_to_string(&mut text).map_err(fail)?;
    let lines = text.lines().map(str::trim);
    Ok(lines.filter(|line| !line.is_empty() && !line.starts_with('#')).map(str::to_owned).collect())
}

/// Writes a new one that only its owner can read.
///
/// # Errors
/// When there is one already, or it cannot be written.
pub fn create(path: &Path, text: &str) -> Result<(), BadFile> {
    let fail = |error| BadFile::Unusable(path.to_owned(), error);
    let mut file =
        File::options().write(true).create_new(true).mode(0o600).open(path).map_err(fail)?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(fail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_back_never_overwritten_and_not_used_when_others_can_read_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        create(&path, "# a comment\n\n  one \ntwo\n").unwrap();
        assert_eq!(lines(&path).unwrap(), ["one", "two"]);
        assert!(matches!(create(&path, "other"), Err(BadFile::Unusable(..))));
        for mode in [0o640, 0o604, 0o660, 0o666, 0o610] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            let refused = lines(&path).unwrap_err().to_string();
            assert!(refused.contains("chmod 600"), "{refused}");
        }
    }
}
