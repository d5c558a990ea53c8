//! What the node says to whoever started it: progress of the start-up, warnings, errors.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// One thing said.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Message {
    /// What the start-up is at: `Loading block index…`.
    Progress(String),
    /// Something the user should know.
    Warning(String),
    /// Why the start-up, or the node, fails.
    Error(String),
}

type Listener = Arc<dyn Fn(&Message) + Send + Sync>;

/// Passes messages to its listeners and to the log. Clones share the listeners.
#[derive(Clone, Default)]
pub struct Messages(Arc<Inner>);

#[derive(Default)]
struct Inner {
    listeners: Mutex<BTreeMap<u64, Listener>>,
    next_id: AtomicU64,
}

/// Keeps a listener registered; dropping it ends that.
pub struct Listening {
    messages: Messages,
    id: u64,
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.messages.listeners().remove(&self.id);
    }
}

impl Messages {
    /// A hub without listeners.
    pub fn new() -> Self {
        Self::default()
    }

    fn listeners(&self) -> MutexGuard<'_, BTreeMap<u64, Listener>> {
        self.0
            .listeners
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Calls `listener` with every message from now on, on the thread that says it.
    pub fn listen(&self, listener: impl Fn(&Message) + Send + Sync + 'static) -> Listening {
        let id = self.0.next_id.fetch_add(1, Ordering::Relaxed);
        self.listeners().insert(id, Arc::new(listener));
        Listening {
            messages: self.clone(),
            id,
        }
    }

    fn send(&self, message: Message) {
        // Copied out, so that a listener may register or leave.
        let listeners: Vec<Listener> = self.listeners().values().cloned().collect();
        for listener in listeners {
            listener(&message);
        }
    }

    /// Tells what the start-up is at.
    pub fn progress(&self, text: impl Into<String>) {
        let text = text.into();
        tracing::info!("init message: {text}");
        self.send(Message::Progress(text));
    }

    /// Warns.
    pub fn warning(&self, text: impl Into<String>) {
        let text = text.into();
        tracing::warn!("{text}");
        self.send(Message::Warning(text));
    }

    /// Says why something fails.
    pub fn error(&self, text: impl Into<String>) {
        let text = text.into();
        tracing::error!("{text}");
        self.send(Message::Error(text));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_hears_until_its_guard_goes() {
        let messages = Messages::new();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let guard = messages.listen({
            let heard = Arc::clone(&heard);
            move |message| heard.lock().unwrap().push(message.clone())
        });
        messages.progress("Loading block index…");
        messages.warning("low disk space");
        drop(guard);
        messages.error("not heard");
        assert_eq!(
            *heard.lock().unwrap(),
            [
                Message::Progress("Loading block index…".into()),
                Message::Warning("low disk space".into())
            ]
        );
    }
}
