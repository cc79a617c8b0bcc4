//! The workers that one connection authorised.
//!
//! Invariant: a worker keeps its place for the connection's life; a user name stands there once.

use accounting::{AccountId, Identity, WorkerId};
use pool::observe::Meter;
use std::collections::HashMap;
use std::sync::Arc;

/// One authorised user name.
pub(crate) struct Worker {
    pub(crate) user: Box<str>,
    pub(crate) identity: Arc<Identity>,
    pub(crate) display: Box<str>,
    pub(crate) name: Box<str>,
    /// What people see of it, from its first share on.
    pub(crate) attendance: Option<Attendance>,
    /// Known once a share of it was accepted: nobody is written down for asking.
    pub(crate) ids: Option<(AccountId, WorkerId)>,
}

/// A connection that a machine is here on.
pub(crate) struct Attendance(Arc<Meter>);

impl Attendance {
    pub(crate) fn at(meter: Arc<Meter>) -> Self {
        meter.count(|counts| counts.connections += 1);
        Attendance(meter)
    }

    pub(crate) fn meter(&self) -> &Meter {
        &self.0
    }
}

impl Drop for Attendance {
    fn drop(&mut self) {
        self.0.count(|counts| counts.connections = counts.connections.saturating_sub(1));
    }
}

/// The authorised workers, in the order they came.
#[derive(Default)]
pub(crate) struct Workers {
    list: Vec<Worker>,
    /// By user name, once there are many.
    by_user: HashMap<Box<str>, usize>,
}

impl Workers {
    /// Fewer than this are looked through faster than looked up.
    const FEW: usize = 8;

    pub(crate) fn find(&self, user: &str) -> Option<usize> {
        match self.list.len() {
            0..Self::FEW => self.list.iter().position(|worker| *worker.user == *user),
            _ => self.by_user.get(user).copied(),
        }
    }

    pub(crate) fn push(&mut self, worker: Worker) {
        if self.list.is_empty() {
            // Most connections have one.
            self.list.reserve_exact(1);
        }
        self.list.push(worker);
        if self.list.len() >= Self::FEW {
            let unnamed = self.list.iter().enumerate().skip(self.by_user.len());
            self.by_user.extend(unnamed.map(|(at, worker)| (worker.user.clone(), at)));
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.list.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Worker> {
        self.list.iter()
    }

    pub(crate) fn first(&self) -> Option<&Worker> {
        self.list.first()
    }

    pub(crate) fn get(&self, at: usize) -> Option<&Worker> {
        self.list.get(at)
    }

    pub(crate) fn get_mut(&mut self, at: usize) -> Option<&mut Worker> {
        self.list.get_mut(at)
    }
}

/// `%2E` and the like, as some firmware sends user names; what is no such escape stays.
pub(crate) fn percent_decoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        let code = rest.get(at + 1..at + 3).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match code.filter(u8::is_ascii_graphic) {
            Some(byte) => {
                out.push(char::from(byte));
                rest = &rest[at + 3..];
            }
            None => {
                out.push('%');
                rest = &rest[at + 1..];
            }
        }
    }
    out.push_str(rest);
    out
}
