//! What registering a callback gives.

use crate::Result;
use std::sync::Mutex;

/// Keeps a callback registered; dropping the last reference unregisters it.
///
/// Source: Core's `interfaces::Handler`.
#[cfg_attr(feature = "ipc", mp_core::interface(codec = crate::ipc::Btc, schema = crate::ipc::schema::handler::HANDLER))]
pub trait Handler: Send + Sync {
    /// Unregisters now. Calls already under way may still finish. Doing it twice is harmless.
    fn disconnect(&self) -> Result<()>;
}

/// A [`Handler`] that runs a closure once, on disconnect or on drop, whichever comes first.
pub struct FnHandler(Mutex<Option<Box<dyn FnOnce() + Send>>>);

impl FnHandler {
    /// Wraps what unregisters.
    pub fn new(unregister: impl FnOnce() + Send + 'static) -> Self {
        Self(Mutex::new(Some(Box::new(unregister))))
    }

    fn run(&self) {
        // The closure is taken out first, so that it runs without the lock and never twice.
        let unregister = self
            .0
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
            .take();
        if let Some(unregister) = unregister {
            unregister();
        }
    }
}

impl Handler for FnHandler {
    fn disconnect(&self) -> Result<()> {
        self.run();
        Ok(())
    }
}

impl Drop for FnHandler {
    fn drop(&mut self) {
        self.run();
    }
}
