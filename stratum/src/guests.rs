//! Who may mine, beside whom the operator banned, and which address a name stands for.
//!
//! Invariant: a name is only another spelling of an address; what is earned belongs to the address.

use accounting::Identity;

/// Whoever keeps the guest list, if there is one. Asked once for each worker that introduces itself.
pub trait Guests: Send + Sync {
    /// The address that proved that it goes by this name.
    fn address_of(&self, name: &str) -> Option<String>;

    /// May this address mine?
    ///
    /// # Errors
    /// Why not, in words for the miner.
    fn admit(&self, who: &Identity) -> Result<(), String>;
}

/// No guest list: who has an address is welcome, and nobody has a name.
#[derive(Debug, Clone, Copy)]
pub struct Everybody;

impl Guests for Everybody {
    fn address_of(&self, _: &str) -> Option<String> {
        None
    }

    fn admit(&self, _: &Identity) -> Result<(), String> {
        Ok(())
    }
}
