//! Those who want another coin than the chain's: their money goes to an exchange's address on this chain, and whoever pays them there
//! is told by files.
//!
//! For each confirmed payout with such parts a file `payout-N-TRANSACTION.json` says what is due to whom; once that is paid,
//! `payout-N-TRANSACTION.done` is put beside it, by whoever paid or on their word, and nobody asks again. The transaction's first digits
//! are in the name because numbers come again where books were restored from a backup.
//!
//! Invariant: a payout is told after it is confirmed on the chain, whole and once: a file that is there is never written again.

use crate::address::Destination;
use accounting::{Amount, PayoutId};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// How files begin.
const PREFIX: &str = "payout-";
/// How a file that is not finished is called.
const HALF: &str = "part";

/// The folder in which it is told.
#[derive(Debug, Clone)]
pub struct Exchange {
    folder: PathBuf,
}

/// A payout of which somebody must be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// Which.
    pub payout: PayoutId,
    /// The chain's name for it.
    pub txid: [u8; 32],
    /// What is due: where to, as the farmer wrote it, and how much of the chain's money it is worth, in mojo.
    pub parts: Vec<(String, i128)>,
}

impl Told {
    /// What of a payout concerns others; none where nothing does.
    #[must_use]
    pub fn of<'a>(
        payout: PayoutId,
        txid: [u8; 32],
        parts: impl IntoIterator<Item = (&'a [u8], Amount)>,
    ) -> Option<Self> {
        let elsewhere = |(to, sent): (&[u8], Amount)| match Destination::of_bytes(to)? {
            Destination::External(text) => Some((text, sent.units())),
            Destination::Puzzle(_) => None,
        };
        let parts: Vec<(String, i128)> = parts.into_iter().filter_map(elsewhere).collect();
        (!parts.is_empty()).then_some(Told { payout, txid, parts })
    }

    /// How its files are called.
    #[must_use]
    pub fn name(&self) -> String {
        let [a, b, c, d, ..] = self.txid;
        format!("{PREFIX}{}-{}", self.payout, hex::encode([a, b, c, d]))
    }

    fn to_json(&self) -> Value {
        let due = |(to, mojo): &(String, i128)| json!({ "to": to, "mojo": mojo.to_string() });
        json!({
            "payout": self.payout.0,
            "transaction": format!("0x{}", hex::encode(self.txid)),
            "due": self.parts.iter().map(due).collect::<Vec<_>>(),
        })
    }
}

impl Exchange {
    /// Opens the folder, made if it is not there.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn open(folder: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(folder)?;
        Ok(Exchange { folder: folder.to_owned() })
    }

    /// Tells of a payout; gives whether that was news.
    ///
    /// # Errors
    /// When the file cannot be written: then it is told again later.
    pub fn tell(&self, told: &Told) -> io::Result<bool> {
        let file = self.folder.join(format!("{}.json", told.name()));
        if file.exists() {
            return Ok(false);
        }
        let half = file.with_extension(HALF);
        let mut written = File::create(&half)?;
        written.write_all(format!("{:#}\n", told.to_json()).as_bytes())?;
        written.sync_all()?;
        std::fs::rename(&half, &file)?;
        File::open(&self.folder)?.sync_all()?;
        Ok(true)
    }

    /// What was told under this name, as it was told.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn told(&self, name: &str) -> io::Result<String> {
        std::fs::read_to_string(self.folder.join(format!("{name}.json")))
    }

    /// Whoever pays them said that what was told under this name is paid.
    ///
    /// # Errors
    /// When it cannot be written: then it waits as before.
    pub fn acknowledge(&self, name: &str) -> io::Result<()> {
        File::create(self.folder.join(format!("{name}.done")))?.sync_all()?;
        File::open(&self.folder)?.sync_all()
    }

    /// The names of what nobody said yet that it is paid.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn waiting(&self) -> io::Result<BTreeSet<String>> {
        let (mut told, mut done) = (BTreeSet::new(), BTreeSet::new());
        for entry in std::fs::read_dir(&self.folder)? {
            let name = entry?.file_name();
            let Some((stem, kind)) = name.to_str().and_then(|name| name.rsplit_once('.')) else {
                continue;
            };
            match kind {
                "json" if stem.starts_with(PREFIX) => told.insert(stem.to_owned()),
                "done" if stem.starts_with(PREFIX) => done.insert(stem.to_owned()),
                _ => false,
            };
        }
        Ok(told.difference(&done).cloned().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[test]
    fn a_payout_is_told_once_and_waits_until_somebody_says_that_it_is_paid() {
        let folder = tempfile::tempdir().unwrap();
        let exchange = Exchange::open(folder.path()).unwrap();
        let here = Destination::Puzzle(crate::hash::Bytes32([1; 32])).to_bytes();
        let own = (here.as_slice(), Amount::from_units(5));
        assert_eq!(Told::of(PayoutId(6), [2; 32], [own]), None);
        let there = Destination::External("bc1qann".into()).to_bytes();
        let other = (there.as_slice(), Amount::from_units(7));
        let told = Told::of(PayoutId(7), [2; 32], [own, other]).unwrap();
        assert_eq!(told.parts, [("bc1qann".to_owned(), 7)], "only what concerns others");
        assert!(exchange.tell(&told).unwrap());
        let file = folder.path().join("payout-7-02020202.json");
        let written = std::fs::read_to_string(&file).unwrap();
        let read: Value = serde_json::from_str(&written).unwrap();
        assert_eq!(read["due"][0], json!({ "to": "bc1qann", "mojo": "7" }));
        assert!(!exchange.tell(&told).unwrap(), "once");
        let name = told.name();
        assert_eq!(exchange.waiting().unwrap(), BTreeSet::from([name.clone()]));
        assert_eq!(exchange.told(&name).unwrap(), written);
        exchange.acknowledge(&name).unwrap();
        assert!(file.with_extension("done").exists());
        assert!(exchange.waiting().unwrap().is_empty());
        assert!(!exchange.tell(&told).unwrap());
        let restored = Told { txid: [3; 32], ..told };
        assert!(exchange.tell(&restored).unwrap(), "the same number in restored books");
        assert_eq!(exchange.waiting().unwrap(), BTreeSet::from([restored.name()]));
    }
}
