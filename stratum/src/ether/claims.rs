//! Nonces of one header: whoever sends one first has it.
//!
//! Invariant: a nonce is credited once for a header, on whatever connection it comes.

use crate::verify::short;
use hashbrown::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The shares of a header that were taken, by their keys.
#[derive(Debug, Default)]
pub struct Claims(Mutex<HashSet<u128>>);

impl Claims {
    fn lock(&self) -> MutexGuard<'_, HashSet<u128>> {
        // Nothing in here panics half way; a poisoned lock only means that another thread is going down.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a share, unless somebody has it.
    #[must_use]
    pub fn claim(&self, key: &[u8; 32]) -> bool {
        self.lock().insert(short(key))
    }

    /// What was taken and proved nothing, or was not recorded, may be sent again.
    pub fn release(&self, key: &[u8; 32]) {
        self.lock().remove(&short(key));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_taken_once_until_it_is_given_back() {
        let claims = Claims::default();
        assert!(claims.claim(&[1; 32]) && claims.claim(&[2; 32]));
        assert!(!claims.claim(&[1; 32]));
        claims.release(&[1; 32]);
        assert!(claims.claim(&[1; 32]) && !claims.claim(&[2; 32]));
    }
}
