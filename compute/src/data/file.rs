//! A set as a file.
//!
//! A line of words (`adit-set 1`), the set's name, then numbers in little endian. Invariant: reading what was written gives the
//! same set, and no file makes a set larger than the file.

use super::{DataSet, Metric, Rows, Task};

const MAGIC: &[u8] = b"adit-set 1\n";
/// Letters of a name at most.
const NAME_MAX: usize = 64;

/// A file that is no set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadSet {
    /// Something else.
    #[error("not a data set of this version: make one with `adit data`")]
    Magic,
    /// Cut off, or longer than it says.
    #[error("the data set is damaged: make it again with `adit data`")]
    Damaged,
}

/// The file's bytes.
#[must_use]
pub fn write(set: &DataSet) -> Vec<u8> {
    let mut out = MAGIC.to_vec();
    let mut word = |number: u32| out.extend(number.to_le_bytes());
    word(u32::try_from(set.name.len()).expect("a short name"));
    word(match set.metric {
        Metric::Accuracy => 0,
        Metric::Fit => 1,
    });
    word(set.input_dim.into());
    word(set.epochs.into());
    word(u32::try_from(set.tasks.len()).expect("few tasks"));
    out.extend(set.name.as_bytes());
    for task in &set.tasks {
        out.extend(task.id.to_le_bytes());
        out.extend(task.seed.to_le_bytes());
        for rows in [&task.train, &task.valid] {
            let count = u32::try_from(rows.len()).expect("few rows");
            out.extend(count.to_le_bytes());
            let numbers = rows.features.iter().chain(&rows.labels);
            out.extend(numbers.flat_map(|number| number.to_le_bytes()));
        }
    }
    out
}

/// Reads a file's bytes.
///
/// # Errors
/// When they are no set.
pub fn read(bytes: &[u8]) -> Result<DataSet, BadSet> {
    let mut rest = Rest(bytes.strip_prefix(MAGIC).ok_or(BadSet::Magic)?);
    let name_length = rest.count()?;
    let metric = match rest.word()? {
        0 => Metric::Accuracy,
        1 => Metric::Fit,
        _ => return Err(BadSet::Magic),
    };
    let input_dim = u16::try_from(rest.word()?).map_err(|_| BadSet::Damaged)?;
    let epochs = u16::try_from(rest.word()?).map_err(|_| BadSet::Damaged)?;
    let count = rest.count()?;
    let name = std::str::from_utf8(rest.take(name_length)?).map_err(|_| BadSet::Damaged)?;
    if name.is_empty() || name.len() > NAME_MAX || input_dim == 0 || count == 0 {
        return Err(BadSet::Damaged);
    }
    let mut tasks = Vec::new();
    for _ in 0..count {
        let id = rest.word()?;
        let (low, high) = (rest.word()?, rest.word()?);
        let seed = u64::from(high) << 32 | u64::from(low);
        let train = rest.rows(input_dim.into())?;
        let valid = rest.rows(input_dim.into())?;
        if valid.is_empty() {
            return Err(BadSet::Damaged);
        }
        tasks.push(Task { id, seed, train, valid });
    }
    if !rest.0.is_empty() {
        return Err(BadSet::Damaged);
    }
    Ok(DataSet { name: name.to_owned(), metric, input_dim, epochs, tasks })
}

struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], BadSet> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(BadSet::Damaged)?;
        self.0 = rest;
        Ok(taken)
    }

    fn word(&mut self) -> Result<u32, BadSet> {
        let bytes = self.take(4)?.try_into().map_err(|_| BadSet::Damaged)?;
        Ok(u32::from_le_bytes(bytes))
    }

    /// A number of things of at least a byte each: no more than there are bytes.
    fn count(&mut self) -> Result<usize, BadSet> {
        usize::try_from(self.word()?)
            .ok()
            .filter(|count| *count <= self.0.len())
            .ok_or(BadSet::Damaged)
    }

    fn rows(&mut self, dim: usize) -> Result<Rows, BadSet> {
        let count = self.count()?;
        let features = self.floats(count.checked_mul(dim).ok_or(BadSet::Damaged)?)?;
        Ok(Rows { features, labels: self.floats(count)? })
    }

    fn floats(&mut self, count: usize) -> Result<Vec<f32>, BadSet> {
        let bytes = self.take(count.checked_mul(4).ok_or(BadSet::Damaged)?)?;
        let floats: Vec<f32> =
            bytes.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
        if floats.iter().all(|number| number.is_finite()) {
            Ok(floats)
        } else {
            Err(BadSet::Damaged)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_reads_as_it_was_written_and_a_damaged_one_not_at_all() {
        let set = super::super::demo::classes();
        let bytes = write(&set);
        assert_eq!(read(&bytes), Ok(set));
        for length in (0..200).chain([bytes.len() - 1]) {
            assert!(read(&bytes[..length]).is_err(), "{length}");
        }
        let mut longer = bytes.clone();
        longer.push(0);
        assert_eq!(read(&longer), Err(BadSet::Damaged));
        let mut greedy = bytes;
        greedy[MAGIC.len() + 16..MAGIC.len() + 20].copy_from_slice(&u32::MAX.to_le_bytes());
        assert_eq!(read(&greedy), Err(BadSet::Damaged));
    }
}
