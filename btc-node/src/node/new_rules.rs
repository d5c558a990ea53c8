//! Rules that miners agreed on and this node does not know.

use super::context::Context;
use super::warnings::Kind;
use btc_consensus::versionbits::ThresholdCache;
use std::sync::{Mutex, PoisonError};

/// Looks for signals of unknown rules.
#[derive(Debug, Default)]
pub(crate) struct NewRules(Mutex<ThresholdCache>);

impl NewRules {
    /// Warns if unknown rules are in force at the tip. While the node catches up it says nothing: there is more to come.
    pub(crate) fn check(&self, context: &Context) {
        let Ok(chainstate) = context.chainstate() else {
            return;
        };
        if chainstate.is_initial_block_download() {
            return;
        }
        let found = chainstate.with_tip(|view| {
            let mut cache = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            cache.unknown_activations(view.params(), view)
        });
        for rules in found.iter().filter(|rules| rules.active) {
            context.warn(
                Kind::UnknownNewRules,
                &format!("Unknown new rules activated (versionbit {})", rules.bit),
            );
        }
    }
}
