//! The outbox: what is to be told is written down first, and told from there.
//!
//! Invariant: a fact has one row for each channel, so it is told once however often it is put. At most 10 000 notices wait.

use super::channel::Channel;
use super::is_address;
use super::lanes::Lane;
use super::letter::one_line;
use super::{Notice, rows};
use crate::db::{Db, DbError};
use pool::Clock;
use std::sync::Arc;
use tokio::sync::watch;

/// Why a notice could not be put, or an outbox not be made.
#[derive(Debug, thiserror::Error)]
pub enum NoticeError {
    /// The outbox cannot be used.
    #[error(transparent)]
    Db(#[from] DbError),
    /// What is to be told cannot be looked up.
    #[error(transparent)]
    Store(#[from] store::StoreError),
    /// Two channels have one name.
    #[error("notices.{0}: two channels have this name; a row must say which one it is for")]
    NameTwice(String),
    /// Persons are told by e-mail only.
    #[error(
        "no channel writes letters: add one of kind \"smtp\" to [notices] in the configuration"
    )]
    NoLetters,
    /// Nobody can be reached there.
    #[error("this is no e-mail address")]
    NoAddress,
}

/// What is to be told, and to whom. Clones are the same outbox.
#[derive(Clone)]
pub struct Outbox(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub db: Db,
    pub lanes: Vec<Lane>,
    pub clock: Arc<dyn Clock>,
    /// Counts what was put, so that lanes look at once.
    pub put: watch::Sender<u64>,
}

impl Outbox {
    /// An outbox that tells these channels.
    ///
    /// # Errors
    /// When two of them have one name.
    pub fn new(db: Db, channels: Vec<Channel>, clock: Arc<dyn Clock>) -> Result<Self, NoticeError> {
        let mut names: Vec<_> = channels.iter().map(Channel::name).collect();
        names.sort_unstable();
        if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(NoticeError::NameTwice(twice[0].to_owned()));
        }
        let lanes = channels.into_iter().map(Lane::new).collect();
        let put = watch::Sender::new(0);
        Ok(Outbox(Arc::new(Inner { db, lanes, clock, put })))
    }

    /// Writes notices down for every channel that wants them. Facts that were put before are not told again. Gives how many
    /// rows are new.
    ///
    /// # Errors
    /// When the database cannot be written: then none of them was put.
    pub async fn put(&self, notices: Vec<Notice>) -> Result<usize, NoticeError> {
        let mut letters = Vec::new();
        for notice in notices {
            let wanting = self.channels().filter(|channel| channel.wants(notice.kind));
            letters.extend(wanting.map(|channel| (tidied(&notice), channel.name().to_owned())));
        }
        self.write(letters).await
    }

    /// Can it write to single persons?
    #[must_use]
    pub fn writes_letters(&self) -> bool {
        self.channels().any(Channel::writes_letters)
    }

    /// Writes a notice down for one person, told by e-mail through the first channel that can, whatever kinds it wants. Gives
    /// whether it is new.
    ///
    /// # Errors
    /// When no channel writes letters, nobody can be reached there, or the database cannot be written.
    pub async fn put_to(&self, notice: Notice, address: &str) -> Result<bool, NoticeError> {
        let channel = self.channels().find(|own| own.writes_letters());
        let channel = channel.ok_or(NoticeError::NoLetters)?;
        if !is_address(address) {
            return Err(NoticeError::NoAddress);
        }
        let row = (tidied(&notice), format!("{}:{address}", channel.name()));
        Ok(self.write(vec![row]).await? > 0)
    }

    /// How many notices wait, all channels together.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn waiting(&self) -> Result<u64, NoticeError> {
        Ok(self.0.db.run(|sql| rows::waiting(sql)).await?)
    }

    fn channels(&self) -> impl Iterator<Item = &Channel> {
        self.0.lanes.iter().map(|lane| &lane.channel)
    }

    async fn write(&self, letters: Vec<(Notice, String)>) -> Result<usize, NoticeError> {
        if letters.is_empty() {
            return Ok(0);
        }
        let now = self.0.clock.now();
        let (new, given_up) = self.0.db.run(move |sql| rows::put(sql, &letters, now)).await?;
        if given_up > 0 {
            tracing::warn!(
                given_up,
                "too many notices wait: the oldest are given up; look at the channels that take none"
            );
        }
        self.0.put.send_modify(|count| *count = count.wrapping_add(1));
        Ok(new)
    }
}

fn tidied(notice: &Notice) -> Notice {
    Notice { subject: one_line(&notice.subject), ..notice.clone() }
}
