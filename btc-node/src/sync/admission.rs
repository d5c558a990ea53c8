//! Whether a connection is taken or made, looked at before there is one.

use super::event::{ConnectionKind, Permissions};
use crate::net::{Directory, Endpoint, NetAddress};

/// Connections that were ended for newer ones and may still be open, beside those that peers may make: a flood must not
/// open them faster than they close.
const MAX_LEAVING: usize = 8;

/// What becomes of a peer that wants to connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It may.
    Take,
    /// It may, if another one goes for it ([`Peers::make_room`](super::Peers::make_room)).
    MakeRoom,
    /// It may not, for this reason.
    Drop(&'static str),
}

/// Decides about a peer that wants to connect at `now` (s since 1970). `inbound` is how many have, and how many may.
pub fn incoming(
    address: NetAddress,
    permissions: Permissions,
    inbound: (usize, usize),
    directory: &Directory,
    now: i64,
) -> Verdict {
    let (open, most) = inbound;
    if !permissions.no_ban {
        let bans = directory.bans();
        if bans.is_banned(address, now) {
            return Verdict::Drop("banned");
        }
        if open.saturating_add(1) >= most && bans.is_discouraged(address) {
            return Verdict::Drop("discouraged");
        }
    }
    if open >= most.saturating_add(MAX_LEAVING) {
        Verdict::Drop("full")
    } else if open >= most {
        Verdict::MakeRoom
    } else {
        Verdict::Take
    }
}

/// Notes in the book that an address is tried at `now` (s since 1970), and says whether it is connected to at all: not if
/// it is refused, nor if there is a connection already.
pub fn outgoing(
    to: Endpoint,
    count_failure: bool,
    connections: &[(ConnectionKind, Endpoint)],
    directory: &Directory,
    now: i64,
) -> bool {
    let refused = {
        let bans = directory.bans();
        bans.is_banned(to.address, now) || bans.is_discouraged(to.address)
    };
    directory.book().attempt(to, count_failure, now);
    let connected = connections
        .iter()
        .any(|(_, other)| other.address == to.address);
    !refused && !connected
}
