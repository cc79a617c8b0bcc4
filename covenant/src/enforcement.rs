//! Where BIP-119 is enforced. Anywhere else an output to a template can be spent by anybody, at once.
//!
//! Invariant: an [`Enforced`] exists only because a node said that its own chain enforces BIP-119 now; everything that makes a
//! coinbase with such an output asks for one.

/// The names under which nodes list BIP-119 among their deployments.
const NAMES: [&str; 2] = ["ctv", "checktemplateverify"];

/// A node's word that its chain enforces BIP-119.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Enforced(());

/// Why nothing may be put into a block here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotEnforced {
    /// The node does not know it.
    #[error(
        "this node's chain does not know BIP-119 (OP_CHECKTEMPLATEVERIFY): an output to a template could be spent by anybody, so \
         nothing of the kind goes into a block here; use a chain that enforces it, such as regtest of a node that has it"
    )]
    Unknown,
    /// It is not active yet.
    #[error(
        "BIP-119 (OP_CHECKTEMPLATEVERIFY) is not active on this node's chain yet: until it is, an output to a template could be \
         spent by anybody, so nothing of the kind goes into a block here"
    )]
    NotActive,
}

impl Enforced {
    /// From the deployments that a node lists for its tip, each with whether it is active.
    ///
    /// # Errors
    /// When it does not list BIP-119, or not as active.
    pub fn by<'a>(
        deployments: impl IntoIterator<Item = (&'a str, bool)>,
    ) -> Result<Self, NotEnforced> {
        let found = deployments.into_iter().find(|(name, _)| NAMES.contains(name));
        match found {
            Some((_, true)) => Ok(Enforced(())),
            Some((_, false)) => Err(NotEnforced::NotActive),
            None => Err(NotEnforced::Unknown),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_active_deployment_is_enough() {
        assert!(Enforced::by([("taproot", true), ("ctv", true)]).is_ok());
        assert_eq!(Enforced::by([("ctv", false)]), Err(NotEnforced::NotActive));
        assert_eq!(Enforced::by([("taproot", true)]), Err(NotEnforced::Unknown));
        assert_eq!(Enforced::by([]), Err(NotEnforced::Unknown));
    }
}
