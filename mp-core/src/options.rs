//! How a connection is set up.

use std::collections::BTreeSet;

use crate::error::Error;
use crate::interface::Interface;
use crate::limits::Limits;
use crate::log;
use crate::plan::{THREAD_ID, THREAD_MAP_ID};
use crate::schema;
use crate::transport::Transport;

/// How a connection is set up: what it may cost, who may be on its other side, and what that side may call.
///
/// ```
/// use mp_core::{Limits, Options, PeerCheck};
///
/// let options = Options::new()
///     .name("bitcoin-node")
///     .peer(PeerCheck::SameUser)
///     .limits(Limits { threads: 16, ..Limits::default() });
/// ```
#[derive(Debug, Clone)]
pub struct Options {
    /// What the connection may cost. Default: [`Limits::default`].
    pub limits: Limits,
    /// The program's name in names of threads and log lines. Default: the file name of the first argument.
    pub name: String,
    /// Who the peer must be. Default: [`PeerCheck::Anyone`], since who can open a socket's path is first of all a
    /// matter of the path's permissions.
    pub peer: PeerCheck,
    /// Type ids of the interfaces whose methods the peer may call; `None` for all. See [`Options::allow`].
    pub interfaces: Option<BTreeSet<u64>>,
}

/// Who may be on the other side of a connection. The kernel says who it is; the peer cannot pretend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PeerCheck {
    /// Whoever has got a socket.
    #[default]
    Anyone,
    /// A process of the user whose rights this process has.
    SameUser,
    /// A process of the user with this id.
    User(u32),
}

impl Default for Options {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            name: log::exe_name().to_owned(),
            peer: PeerCheck::default(),
            interfaces: None,
        }
    }
}

impl Options {
    /// The defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets what the connection may cost.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Sets the program's name in log lines.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Sets who the peer must be. It is checked before a byte is sent or read.
    #[must_use]
    pub fn peer(mut self, peer: PeerCheck) -> Self {
        self.peer = peer;
        self
    }

    /// Lets the peer call methods of `I`, and of the interfaces that it extends. From the first use on, the peer can
    /// call nothing that is not allowed: other calls fail as if the methods did not exist. The interface that a
    /// connection begins with has to be allowed too, as have those of callbacks.
    #[must_use]
    pub fn allow<I: Interface + ?Sized>(mut self) -> Self {
        fn add(ids: &mut BTreeSet<u64>, interface: &schema::Interface) {
            if ids.insert(interface.id) {
                interface.extends.iter().for_each(|base| add(ids, base));
            }
        }
        add(self.interfaces.get_or_insert_default(), I::SCHEMA);
        self
    }

    /// Whether the peer may call methods of this interface. Those by which threads are made are the runtime's own.
    pub(crate) fn allows(&self, interface: u64) -> bool {
        match &self.interfaces {
            None => true,
            Some(ids) => {
                interface == THREAD_ID || interface == THREAD_MAP_ID || ids.contains(&interface)
            }
        }
    }
}

impl PeerCheck {
    /// Checks who is on the other side of `transport`.
    pub(crate) fn check(self, transport: &dyn Transport) -> Result<(), Error> {
        let wanted = match self {
            Self::Anyone => return Ok(()),
            Self::SameUser => rustix::process::geteuid().as_raw(),
            Self::User(user) => user,
        };
        let user = transport
            .peer_user()
            .map_err(|error| Error::io("cannot learn who the peer is", error))?;
        if user == Some(wanted) {
            Ok(())
        } else {
            Err(Error::WrongPeer { user, wanted })
        }
    }
}
