//! Which transactions are not worth announcing to this node (BIP 133).

use super::Peers;
use super::event::{ConnectionKind, PeerId};
use crate::net::Message;
use bitcoin::key::rand::Rng;
use std::time::Duration;

/// Mean time between changes of what is told.
const INTERVAL: Duration = Duration::from_secs(10 * 60);
/// A great change is told sooner.
const MAX_CHANGE_DELAY: Duration = Duration::from_secs(5 * 60);
/// `feefilter` is known from here on.
const FEE_FILTER_VERSION: u32 = 70_013;
/// Feerates are told in steps, in sat/kvB, so that the mempool's own does not tell one node from others: from half the
/// usual least feerate …
const LEAST_STEP: f64 = 50.0;
/// … to this one …
const GREATEST_STEP: f64 = 1e7;
/// … each greater by a tenth.
const STEP: f64 = 1.1;

/// All steps, beginning with none.
fn steps() -> impl Iterator<Item = f64> {
    let rising = std::iter::successors(Some(LEAST_STEP), |step| Some(step * STEP));
    std::iter::once(0.0).chain(rising.take_while(|step| *step <= GREATEST_STEP))
}

/// The step that is told while nothing is wanted.
fn greatest() -> i64 {
    steps().last().unwrap_or(0.0) as i64
}

impl Peers {
    /// The step above or below a feerate, in sat/kvB.
    fn rounded_feerate(&mut self, rate: i64) -> i64 {
        let exact = rate as f64;
        let below = steps().take_while(|step| *step < exact).last();
        let above = steps().find(|step| *step >= exact);
        let step = match (below, above) {
            (Some(below), Some(above)) => {
                if self.rng.gen_range(0..3) == 0 {
                    above
                } else {
                    below
                }
            }
            (Some(only), None) | (None, Some(only)) => only,
            (None, None) => 0.0,
        };
        step as i64
    }

    /// Tells a peer, when that is due.
    pub(super) fn maybe_send_fee_filter(&mut self, id: PeerId) {
        let now = self.now;
        let Some(peer) = self.peers.get(&id) else {
            return;
        };
        if self.config.blocks_only
            || peer.common_version < FEE_FILTER_VERSION
            || peer.kind == ConnectionKind::BlockRelayOnly
            // What it sends is relayed whatever it pays.
            || peer.permissions.force_relay
        {
            return;
        }
        let (told, mut next) = (peer.fee_filter_sent, peer.next_fee_filter);
        let catching_up = self.chain.is_initial_block_download();
        let current = if catching_up {
            bitcoin::Amount::MAX_MONEY.to_sat().cast_signed()
        } else {
            // One who was told to send nothing is told at once when this node has caught up.
            if told == Some(greatest()) {
                next = Duration::ZERO;
            }
            self.mempool.floor()
        };
        if now > next {
            let least = self.mempool.info().policy.min_relay_feerate.per_thousand();
            let rate = self.rounded_feerate(current).max(least);
            if told != Some(rate) {
                self.send(id, Message::FeeFilter(rate));
            }
            let wait = self.delay(INTERVAL);
            self.with(id, |peer| {
                peer.fee_filter_sent = Some(rate);
                peer.next_fee_filter = now + wait;
            });
        } else if now + MAX_CHANGE_DELAY < next
            && told.is_some_and(|told| current < told / 4 * 3 || current > told / 3 * 4)
        {
            let sooner = now + MAX_CHANGE_DELAY.mul_f64(self.rng.r#gen());
            self.with(id, |peer| peer.next_fee_filter = sooner);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_while_nothing_is_wanted_is_the_greatest_step() {
        assert_eq!(greatest(), 9_936_506);
        assert_eq!(steps().next(), Some(0.0));
    }
}
