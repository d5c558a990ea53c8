//! What happened, told to whoever asked, in order.
//!
//! Events are queued by the writer and delivered by one thread, so a listener sees them in the order in which they
//! happened and never two at once. A listener that panics is caught and goes on being told; a slow one delays the others
//! and, through [`Notifier::wait_for_room`], slows the writer down, but only so far.

pub mod event;

use std::collections::VecDeque;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::{JoinHandle, ThreadId};
use std::time::{Duration, Instant};

pub use event::{BlockEvent, Event, Listener, RemovalReason};

/// Queued events above which the writer should wait, as in Core.
const ROOM: usize = 10;

/// Queued work, in order.
enum Item {
    Event(Event),
    /// Delivered to one listener only: what it missed, or a call that must come after all before it.
    Call(Box<dyn FnOnce() + Send>),
}

#[derive(Default)]
struct Queue {
    items: VecDeque<Item>,
    listeners: Vec<(u64, Arc<dyn Listener>)>,
    next_listener: u64,
    /// Items ever queued, and how many of them are delivered.
    queued: u64,
    delivered: u64,
    /// The listener that is being called now.
    running: Option<u64>,
    closed: bool,
}

struct Shared {
    queue: Mutex<Queue>,
    /// Signalled when there is work, and when the queue closes.
    work: Condvar,
    /// Signalled when an item was delivered.
    progress: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        // A listener's panic is caught outside the lock, so the queue is never left half changed.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The queue and its delivery thread. Dropping it delivers what is queued, then stops.
pub struct Notifier {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
    delivery: Option<ThreadId>,
}

impl fmt::Debug for Notifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Notifier")
            .field("pending", &self.pending())
            .finish_non_exhaustive()
    }
}

impl Default for Notifier {
    fn default() -> Self {
        Self::new()
    }
}

impl Notifier {
    /// Starts the delivery thread.
    pub fn new() -> Self {
        let shared = Arc::new(Shared {
            queue: Mutex::default(),
            work: Condvar::new(),
            progress: Condvar::new(),
        });
        let for_thread = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("scheduler".into())
            .spawn(move || {
                tracing::info!("scheduler thread start");
                deliver(&for_thread);
                tracing::info!("scheduler thread exit");
            })
            .inspect_err(|error| tracing::error!(target: "validation", "cannot start the delivery thread: {error}"))
            .ok();
        let delivery = thread.as_ref().map(|thread| thread.thread().id());
        if delivery.is_none() {
            // Without the thread nothing would ever be delivered: waiting must not hang.
            shared.lock().closed = true;
        }
        Self {
            shared,
            thread: Mutex::new(thread),
            delivery,
        }
    }

    /// Adds a listener, which is told of everything queued from now on, until the guard drops.
    #[must_use = "dropping the guard unregisters the listener"]
    pub fn register(&self, listener: Arc<dyn Listener>) -> Registration {
        let mut queue = self.shared.lock();
        let id = queue.next_listener;
        queue.next_listener += 1;
        // Events queued before the registration are not for it.
        let shared = Arc::downgrade(&self.shared);
        let for_call = Weak::clone(&shared);
        queue.items.push_back(Item::Call(Box::new(move || {
            if let Some(shared) = for_call.upgrade() {
                shared.lock().listeners.push((id, listener));
            }
        })));
        queue.queued += 1;
        drop(queue);
        self.shared.work.notify_all();
        Registration {
            shared,
            id,
            delivery: self.delivery,
        }
    }

    /// Queues an event.
    pub fn send(&self, event: Event) {
        self.push(Item::Event(event));
    }

    /// Queues a call that comes after all events queued so far.
    pub fn call(&self, function: impl FnOnce() + Send + 'static) {
        self.push(Item::Call(Box::new(function)));
    }

    fn push(&self, item: Item) {
        let mut queue = self.shared.lock();
        if queue.closed {
            return;
        }
        queue.items.push_back(item);
        queue.queued += 1;
        drop(queue);
        self.shared.work.notify_all();
    }

    /// How many events wait for delivery.
    pub fn pending(&self) -> usize {
        self.shared.lock().items.len()
    }

    /// Waits until everything queued before the call is delivered. Called by a listener, it returns at once: it would
    /// wait for itself.
    pub fn sync_with_queue(&self) {
        if self.is_delivery_thread() {
            return;
        }
        let mut queue = self.shared.lock();
        let target = queue.queued;
        while queue.delivered < target && !queue.closed {
            queue = self
                .shared
                .progress
                .wait(queue)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Waits while more than a few events are queued, but no longer than `limit`: a writer calls it between blocks so
    /// that a slow listener makes it slower instead of filling the memory. Must not be called with a lock that a
    /// listener may take.
    pub fn wait_for_room(&self, limit: Duration) {
        if self.is_delivery_thread() {
            return;
        }
        let deadline = Instant::now() + limit;
        let mut queue = self.shared.lock();
        while queue.items.len() > ROOM && !queue.closed {
            let Some(left) = deadline.checked_duration_since(Instant::now()) else {
                tracing::warn!(target: "validation", "listeners are slow: {} events wait", queue.items.len());
                return;
            };
            (queue, _) = self
                .shared
                .progress
                .wait_timeout(queue, left)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn is_delivery_thread(&self) -> bool {
        self.delivery == Some(std::thread::current().id())
    }

    /// Delivers what is queued, then stops; later events are dropped. Called by a listener, it does not wait.
    pub fn close(&self) {
        self.shared.lock().closed = true;
        self.shared.work.notify_all();
        self.shared.progress.notify_all();
        if self.is_delivery_thread() {
            return;
        }
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(thread) = thread {
            // The thread catches what listeners throw, so it ends only by itself.
            let _ = thread.join();
        }
    }
}

impl Drop for Notifier {
    fn drop(&mut self) {
        self.close();
    }
}

/// The delivery thread: takes items in order until the queue is closed and empty.
fn deliver(shared: &Shared) {
    let mut queue = shared.lock();
    loop {
        let Some(item) = queue.items.pop_front() else {
            if queue.closed {
                return;
            }
            queue = shared
                .work
                .wait(queue)
                .unwrap_or_else(PoisonError::into_inner);
            continue;
        };
        match item {
            Item::Call(function) => {
                drop(queue);
                guarded(function);
                queue = shared.lock();
            }
            Item::Event(event) => {
                let ids: Vec<u64> = queue.listeners.iter().map(|(id, _)| *id).collect();
                for id in ids {
                    // Looked up anew each time: an earlier listener may have unregistered this one.
                    let found = queue.listeners.iter().find(|(other, _)| *other == id);
                    let Some(listener) = found.map(|(_, listener)| Arc::clone(listener)) else {
                        continue;
                    };
                    queue.running = Some(id);
                    drop(queue);
                    guarded(|| listener.event(&event));
                    drop(listener);
                    queue = shared.lock();
                    queue.running = None;
                    shared.progress.notify_all();
                }
            }
        }
        queue.delivered += 1;
        shared.progress.notify_all();
    }
}

/// Calls foreign code; its panic is logged and goes no further.
fn guarded(function: impl FnOnce()) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(function)) {
        let reason = panic
            .downcast_ref::<&str>()
            .copied()
            .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
            .unwrap_or("unknown reason");
        tracing::error!(target: "validation", "a listener panicked: {reason}");
    }
}

/// Keeps a listener registered. Once dropped, the listener is not called any more: the drop waits for a call that is
/// under way, unless that call is the one that drops it. So it must not be dropped while a lock is held that the
/// listener may take.
#[derive(Debug)]
pub struct Registration {
    shared: Weak<Shared>,
    id: u64,
    delivery: Option<ThreadId>,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let Some(shared) = self.shared.upgrade() else {
            return;
        };
        let id = self.id;
        let on_delivery_thread = self.delivery == Some(std::thread::current().id());
        let mut queue = shared.lock();
        let before = queue.listeners.len();
        queue.listeners.retain(|(other, _)| *other != id);
        if queue.listeners.len() == before && !queue.closed {
            // Its registration is still queued: let the removal follow it.
            let weak = Weak::clone(&self.shared);
            queue.items.push_back(Item::Call(Box::new(move || {
                if let Some(shared) = weak.upgrade() {
                    shared.lock().listeners.retain(|(other, _)| *other != id);
                }
            })));
            queue.queued += 1;
            let target = queue.queued;
            shared.work.notify_all();
            while !on_delivery_thread && queue.delivered < target && !queue.closed {
                queue = shared
                    .progress
                    .wait(queue)
                    .unwrap_or_else(PoisonError::into_inner);
            }
        }
        while !on_delivery_thread && queue.running == Some(id) {
            queue = shared
                .progress
                .wait(queue)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    fn progress(percent: u8) -> Event {
        Event::Progress {
            title: "test".into(),
            percent,
        }
    }

    fn recorder() -> (Arc<dyn Listener>, mpsc::Receiver<u8>) {
        let (sender, receiver) = mpsc::channel();
        let sender = Mutex::new(sender);
        let listener = move |event: &Event| {
            if let Event::Progress { percent, .. } = event {
                let _ = sender.lock().expect("unpoisoned").send(*percent);
            }
        };
        (Arc::new(listener), receiver)
    }

    #[test]
    fn events_arrive_in_order_until_the_guard_drops() {
        let notifier = Notifier::new();
        notifier.send(progress(0));
        let (listener, seen) = recorder();
        let guard = notifier.register(listener);
        for percent in 1..50 {
            notifier.send(progress(percent));
        }
        notifier.sync_with_queue();
        drop(guard);
        notifier.send(progress(99));
        notifier.sync_with_queue();
        assert_eq!(
            seen.try_iter().collect::<Vec<_>>(),
            (1..50).collect::<Vec<_>>()
        );
    }

    #[test]
    fn a_panicking_listener_harms_nobody() {
        let notifier = Notifier::new();
        let _bad = notifier.register(Arc::new(|_: &Event| panic!("on purpose")));
        let (listener, seen) = recorder();
        let _good = notifier.register(listener);
        notifier.send(progress(1));
        notifier.send(progress(2));
        notifier.sync_with_queue();
        assert_eq!(seen.try_iter().collect::<Vec<_>>(), [1, 2]);
    }

    #[test]
    fn a_listener_may_wait_for_the_queue_without_hanging() {
        let notifier = Arc::new(Notifier::new());
        let inner = Arc::downgrade(&notifier);
        let _guard = notifier.register(Arc::new(move |_: &Event| {
            if let Some(notifier) = inner.upgrade() {
                notifier.sync_with_queue();
                notifier.wait_for_room(Duration::from_secs(60));
            }
        }));
        notifier.send(progress(1));
        notifier.sync_with_queue();
    }

    #[test]
    fn a_full_queue_makes_the_writer_wait_but_not_forever() {
        let notifier = Notifier::new();
        let (open, gate) = mpsc::channel::<()>();
        let gate = Mutex::new(gate);
        let guard = notifier.register(Arc::new(move |_: &Event| {
            let _ = gate.lock().expect("unpoisoned").recv();
        }));
        for percent in 0..20 {
            notifier.send(progress(percent));
        }
        notifier.wait_for_room(Duration::from_millis(1));
        assert!(notifier.pending() > ROOM);
        drop(open);
        notifier.wait_for_room(Duration::from_secs(60));
        assert!(notifier.pending() <= ROOM);
        drop(guard);
    }

    #[test]
    fn closing_delivers_what_is_queued() {
        let notifier = Notifier::new();
        let (listener, seen) = recorder();
        let _guard = notifier.register(listener);
        notifier.send(progress(7));
        notifier.close();
        notifier.send(progress(8));
        assert_eq!(seen.try_iter().collect::<Vec<_>>(), [7]);
    }
}
