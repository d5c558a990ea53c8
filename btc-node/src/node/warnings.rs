//! Conditions that hold now and that the user should know of, as `getblockchaininfo` and a GUI show them.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// A kind of warning. At most one text stands under each. Source: Core's `kernel::Warning` and `node::Warning`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Kind {
    /// This is a version for testing.
    PreRelease,
    /// The clock differs from that of the peers.
    ClockOutOfSync,
    /// Unknown rules are active on the chain.
    UnknownNewRules,
    /// A chain that this node thinks invalid has more work.
    LargeWorkInvalidChain,
    /// The node had to give up.
    FatalInternalError,
}

/// The warnings in force.
#[derive(Default)]
pub struct Warnings(Mutex<BTreeMap<Kind, String>>);

impl Warnings {
    /// No warning, but the one that this is a version for testing.
    pub fn new() -> Self {
        let warnings = Self::default();
        warnings.set(
            Kind::PreRelease,
            "This is a pre-release test build - use at your own risk - do not use for mining or merchant applications",
        );
        warnings
    }

    /// Puts a warning in force; gives whether it is new.
    pub fn set(&self, kind: Kind, text: impl Into<String>) -> bool {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(kind, text.into())
            .is_none()
    }

    /// Ends a warning; gives whether it stood.
    pub fn unset(&self, kind: Kind) -> bool {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&kind)
            .is_some()
    }

    /// The texts, in the order of their kinds.
    pub fn texts(&self) -> Vec<String> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .values()
            .cloned()
            .collect()
    }
}
