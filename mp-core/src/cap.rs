//! What a capability leads to, and what serves one.

use std::any::Any;
use std::sync::{Arc, Mutex};

use crate::error::Error;
use crate::interface::ServerCall;
use crate::plan::MethodPlan;
use crate::rpc::Import;
use crate::sync::lock;

/// A capability: something that calls can be made on.
#[derive(Clone, Default)]
pub(crate) enum Cap {
    /// Nothing; calls fail.
    #[default]
    Null,
    /// An object of this process.
    Local(Arc<dyn Server>),
    /// An object of a peer.
    Remote(Arc<Import>),
    /// What a call that is still running will give.
    Promise(Arc<Promise>),
    /// Something that never came to be; calls fail with this.
    Broken(Error),
}

impl std::fmt::Debug for Cap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Null => f.write_str("Null"),
            Self::Local(server) => write!(f, "Local({:x})", server.key().0),
            Self::Remote(import) => write!(f, "Remote({})", import.id()),
            Self::Promise(_) => f.write_str("Promise"),
            Self::Broken(error) => write!(f, "Broken({error})"),
        }
    }
}

/// An object that peers may call.
pub(crate) trait Server: Any + Send + Sync {
    /// What the object knows of a method; `None` if it has no such method.
    fn plan(&self, interface: u64, ordinal: u16) -> Option<&'static MethodPlan>;

    /// Runs a method.
    fn invoke(&self, interface: u64, ordinal: u16, call: &mut ServerCall<'_>) -> Result<(), Error>;

    /// What tells whether two references mean the same export: an address and the interface. Objects that are
    /// exported anew each time give a key of their own.
    fn key(&self) -> (usize, u64);

    /// Whether dropping the object may run a user's code, which must not happen on the connection's own thread.
    fn runs_user_code(&self) -> bool {
        false
    }
}

/// A capability that a running call will give.
#[derive(Default)]
pub(crate) struct Promise {
    state: Mutex<PromiseState>,
}

#[derive(Default)]
struct PromiseState {
    cap: Option<Cap>,
    resolving: bool,
    then: Vec<Box<dyn FnOnce(Cap) + Send>>,
}

impl Promise {
    /// What the promise became, if it did.
    pub(crate) fn get(&self) -> Option<Cap> {
        lock(&self.state).cap.clone()
    }

    /// How much waits for it.
    pub(crate) fn waiting(&self) -> usize {
        lock(&self.state).then.len()
    }

    /// Runs `then` with what the promise becomes: at once, if it did.
    pub(crate) fn then(&self, then: impl FnOnce(Cap) + Send + 'static) {
        let mut state = lock(&self.state);
        match state.cap.clone() {
            Some(cap) => {
                drop(state);
                then(cap);
            }
            None => state.then.push(Box::new(then)),
        }
    }

    /// Says what the promise became. Only the first word counts.
    ///
    /// What waited runs before the promise counts as kept, so that calls keep their order: one that comes meanwhile
    /// queues behind them.
    pub(crate) fn resolve(&self, cap: Cap) {
        let mut state = lock(&self.state);
        if std::mem::replace(&mut state.resolving, true) {
            return;
        }
        loop {
            if state.then.is_empty() {
                state.cap = Some(cap);
                return;
            }
            let then = std::mem::take(&mut state.then);
            drop(state);
            for then in then {
                then(cap.clone());
            }
            state = lock(&self.state);
        }
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        self.resolve(Cap::Broken(Error::Cancelled));
    }
}

impl Cap {
    /// The capability behind a promise that is already kept, else itself.
    pub(crate) fn settled(self) -> Self {
        match self {
            Self::Promise(promise) => match promise.get() {
                Some(cap) => cap.settled(),
                None => Self::Promise(promise),
            },
            // What a promise of the peer became is no such promise again.
            Self::Remote(import) => match import.resolved().cloned() {
                Some(cap) => cap.settled(),
                None => Self::Remote(import),
            },
            other => other,
        }
    }
}
