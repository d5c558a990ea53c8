//! Whose turn it is to receive.
//!
//! Every connection has a thread of its own, its *keeper*, which receives whenever nobody else does. A thread that has
//! to wait for a message anyway, a *guest*, takes the turn from it and receives for all: what is its own it then need
//! not be handed. This module is the rule alone, without locks and sockets, so that a test can try every order of
//! events; [`Receiver`](super::receive::Receiver) is what keeps to it.
//!
//! A turn is never handed to somebody who sleeps elsewhere. A guest just leaves. What comes then wakes the keeper, for
//! the system wakes it for whatever no guest waits for (see [`Readiness`](crate::Readiness)). Only what a guest leaves
//! behind, and what it must not do itself, is worth a call for the keeper.

/// Who receives now, and whether it is to be the keeper next.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Turn {
    holder: Holder,
    /// There is something for the keeper to do, which no guest may forestall.
    called: bool,
    /// The keeper is awake and waits for a guest to leave.
    queues: bool,
}

/// How the keeper is to be woken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wake {
    /// Not at all: there is nothing for it to do, or it finds out by itself.
    Not,
    /// It waits for a guest to leave. To be woken where it sleeps otherwise would have it come back for nothing, and
    /// stand in the way of the next guest, over and over.
    Queue,
    /// It sleeps.
    Sleep,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Hash)]
enum Holder {
    #[default]
    Nobody,
    Guest,
    Keeper,
}

impl Turn {
    /// A guest asks for the turn, and is told whether it has it.
    pub(super) fn guest_takes(&mut self) -> bool {
        let free = self.holder == Holder::Nobody && !self.called;
        if free {
            self.holder = Holder::Guest;
        }
        free
    }

    /// The guest leaves. `call` says that the keeper has to go on where it stopped.
    #[must_use]
    pub(super) fn guest_leaves(&mut self, call: bool) -> Wake {
        self.holder = Holder::Nobody;
        self.called |= call;
        self.wake()
    }

    fn wake(self) -> Wake {
        match self {
            Self { queues: true, .. } => Wake::Queue,
            Self { called: true, .. } => Wake::Sleep,
            _ => Wake::Not,
        }
    }

    /// The keeper is awake. When a guest has the turn, it is the keeper's as soon as the guest leaves.
    pub(super) fn keeper_takes(&mut self) -> bool {
        let free = self.holder == Holder::Nobody;
        self.holder = if free { Holder::Keeper } else { self.holder };
        self.called = !free;
        self.queues = !free;
        free
    }

    /// The keeper has nothing left to do, unless it was called meanwhile, which is given; then it goes on.
    #[must_use]
    pub(super) fn keeper_leaves(&mut self) -> bool {
        let called = std::mem::take(&mut self.called);
        if !called {
            self.holder = Holder::Nobody;
        }
        called
    }

    /// Somebody has work for the keeper.
    #[must_use]
    pub(super) fn call(&mut self) -> Wake {
        self.called = true;
        match self.holder {
            // It looks before it leaves.
            Holder::Keeper => Wake::Not,
            _ => self.wake(),
        }
    }

    /// Whether a guest has the turn.
    pub(super) fn is_guests(self) -> bool {
        self.holder == Holder::Guest
    }
}

#[cfg(test)]
mod model;
