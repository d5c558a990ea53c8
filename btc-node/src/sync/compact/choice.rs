//! Which peers are asked to tell of new blocks compactly, without being asked for each.

use crate::net::Message;
use crate::sync::Peers;
use crate::sync::event::PeerId;

/// As many as BIP 152 allows.
const MAX_CHOSEN: usize = 3;

impl Peers {
    /// A peer was the first to give a block that became the tip: it is asked to tell of the next at once, and the one
    /// that was last useful longest ago is not any more. One that this node chose is always among them, if there is
    /// one: whoever connects could otherwise take all places.
    pub(in crate::sync) fn choose_for_blocks(&mut self, id: PeerId) {
        // Without transactions there is nothing to make blocks of.
        if self.config.blocks_only {
            return;
        }
        let Some(peer) = self.peers.get(&id).filter(|peer| peer.provides_compact) else {
            return;
        };
        let is_inbound = peer.is_inbound();
        if let Some(place) = self.announcers.iter().position(|other| *other == id) {
            self.announcers.remove(place);
            self.announcers.push_back(id);
            return;
        }
        let is_outbound = |id: &PeerId| (self.peers.get(id)).is_some_and(|peer| !peer.is_inbound());
        if is_inbound
            && self.announcers.len() >= MAX_CHOSEN
            && self.announcers.front().is_some_and(is_outbound)
            && self.announcers.iter().filter(|id| is_outbound(id)).count() == 1
        {
            self.announcers.swap(0, 1);
        }
        self.announcers.push_back(id);
        self.ask_to_announce(id, true);
        if self.announcers.len() > MAX_CHOSEN
            && let Some(oldest) = self.announcers.pop_front()
        {
            self.ask_to_announce(oldest, false);
        }
    }

    fn ask_to_announce(&mut self, id: PeerId, wanted: bool) {
        self.with(id, |peer| peer.high_bandwidth_to = wanted);
        self.send(
            id,
            Message::SendCmpct {
                announce: u8::from(wanted),
                version: super::VERSION.into(),
            },
        );
    }
}
