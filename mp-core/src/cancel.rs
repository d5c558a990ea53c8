//! Ending calls before they have ended by themselves.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use crate::error::Error;
use crate::sync::lock;
use crate::thread::{self, Waiter};
use crate::timer;

/// Runs `calls` with a deadline `after` from now: each remote call that it makes on this thread, and that has no reply
/// by then, ends in [`Error::Timeout`]. The peer is told that nobody waits for it any more.
///
/// Inside one another, the earliest deadline counts. What the peer calls back meanwhile is not bound by it.
///
/// ```
/// use std::time::Duration;
/// # let ask = || Ok::<u32, mp_core::Error>(7);
/// let answer = mp_core::with_timeout(Duration::from_secs(5), || ask())?;
/// # assert_eq!(answer, 7);
/// # Ok::<(), mp_core::Error>(())
/// ```
pub fn with_timeout<R>(after: Duration, calls: impl FnOnce() -> R) -> R {
    // A time too far to be told is no deadline.
    let _narrowed = thread::narrow(Instant::now().checked_add(after), None);
    calls()
}

/// Whether the call that this thread serves is one that nobody waits for any more: its caller has given up, or is
/// gone. A method that takes long asks now and then, and returns when it is so; what it returns is not sent.
///
/// `false` where this thread serves no call.
#[must_use]
pub fn cancelled() -> bool {
    thread::current_call().is_some_and(|(conn, answer)| !conn.is_wanted(answer))
}

/// A word by which one thread ends the calls of others.
///
/// Clones are the same word. Once given it cannot be taken back.
///
/// ```
/// use mp_core::Cancellation;
///
/// let stop = Cancellation::new();
/// let theirs = stop.clone();
/// let caller = std::thread::spawn(move || theirs.run(|| {
///     // Remote calls made here end in `Error::Cancelled` when the word is given.
/// }));
/// stop.cancel();
/// # caller.join().unwrap();
/// ```
#[derive(Clone, Default)]
pub struct Cancellation(Arc<State>);

#[derive(Default)]
struct State {
    given: AtomicBool,
    told: Mutex<Told>,
}

/// Who is told when the word is given.
#[derive(Default)]
struct Told {
    /// Threads whose calls it ends; one is there as often as its scopes are inside one another.
    waiters: Vec<Arc<Waiter>>,
    then: Vec<Box<dyn FnOnce() + Send>>,
    /// Futures whose calls it ends, by numbers of their own.
    calls: HashMap<u64, Weak<dyn Ends>>,
    next: u64,
}

/// A call that something may end before it has ended by itself.
pub(crate) trait Ends: Send + Sync {
    /// Ends it, unless it has ended.
    fn end(&self, error: Error);
}

impl std::fmt::Debug for Cancellation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Cancellation")
            .field(&self.is_cancelled())
            .finish()
    }
}

impl Cancellation {
    /// A word not yet given.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The word that is given when nobody waits any more for the call that this thread serves; `None` if it serves
    /// none. With it a method that sleeps can be woken, or the calls that it makes be ended along with it.
    #[must_use]
    pub fn of_call() -> Option<Self> {
        thread::current_call().map(|(conn, answer)| conn.cancellation(answer))
    }

    /// Gives the word. Calls inside [`run`](Self::run) end at once, on whatever threads they are.
    pub fn cancel(&self) {
        let calls;
        let told = {
            let mut told = lock(&self.0.told);
            self.0.given.store(true, Ordering::SeqCst);
            calls = std::mem::take(&mut told.calls);
            std::mem::take(&mut told.then)
        };
        for call in calls.into_values().filter_map(|call| call.upgrade()) {
            call.end(Error::Cancelled);
        }
        for waiter in &lock(&self.0.told).waiters {
            waiter.notify();
        }
        for then in told {
            then();
        }
    }

    /// Whether the word was given.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0.given.load(Ordering::SeqCst)
    }

    /// Has `then` run when the word is given, on the thread that gives it: at once, if it was.
    ///
    /// For a word of [`of_call`](Self::of_call) that is the connection's own thread: `then` must be brief, and must
    /// not make calls.
    pub fn on_cancel(&self, then: impl FnOnce() + Send + 'static) {
        let mut told = lock(&self.0.told);
        if self.is_cancelled() {
            drop(told);
            then();
        } else {
            told.then.push(Box::new(then));
        }
    }

    /// Has a call end when the word is given: at once, if it was. Gives the number by which to [`forget`](Self::forget)
    /// it.
    fn ends(&self, call: Weak<dyn Ends>) -> Option<u64> {
        let mut told = lock(&self.0.told);
        if !self.is_cancelled() {
            let number = told.next;
            told.next += 1;
            told.calls.insert(number, call);
            return Some(number);
        }
        drop(told);
        if let Some(call) = call.upgrade() {
            call.end(Error::Cancelled);
        }
        None
    }

    fn forget(&self, number: u64) {
        let forgotten = lock(&self.0.told).calls.remove(&number);
        drop(forgotten);
    }

    /// Runs `calls`: each remote call that it makes on this thread ends in [`Error::Cancelled`] when the word is
    /// given, and the peer is told that nobody waits for it any more. Other scopes around this one hold too.
    pub fn run<R>(&self, calls: impl FnOnce() -> R) -> R {
        /// Takes the thread back from who is told.
        struct Leave<'a>(&'a State, Arc<Waiter>);
        impl Drop for Leave<'_> {
            fn drop(&mut self) {
                let waiters = &mut lock(&self.0.told).waiters;
                if let Some(at) = waiters.iter().position(|known| Arc::ptr_eq(known, &self.1)) {
                    waiters.swap_remove(at);
                }
            }
        }
        let waiter = thread::waiter();
        lock(&self.0.told).waiters.push(waiter.clone());
        let _leave = Leave(&self.0, waiter);
        let _narrowed = thread::narrow(None, Some(self.clone()));
        calls()
    }
}

/// What may end the calls of a thread before their replies come.
#[derive(Clone, Default)]
pub(crate) struct Scope {
    until: Option<Instant>,
    words: Vec<Cancellation>,
}

impl Scope {
    pub(crate) fn until(until: Instant) -> Self {
        Self {
            until: Some(until),
            words: Vec::new(),
        }
    }

    /// The scope inside this one.
    pub(crate) fn narrowed(&self, until: Option<Instant>, word: Option<Cancellation>) -> Self {
        let mut inner = self.clone();
        inner.until = match (inner.until, until) {
            (Some(outer), Some(inner)) => Some(outer.min(inner)),
            (outer, inner) => outer.or(inner),
        };
        inner.words.extend(word);
        inner
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.until
    }

    /// Fails when calls of this scope are to end.
    pub(crate) fn check(&self) -> Result<(), Error> {
        if self.words.iter().any(Cancellation::is_cancelled) {
            return Err(Error::Cancelled);
        }
        if self.until.is_some_and(|until| until <= Instant::now()) {
            return Err(Error::Timeout);
        }
        Ok(())
    }
}

/// Has what a scope says end a call, until it is dropped.
#[derive(Default)]
pub(crate) struct Bounds {
    words: Vec<(Cancellation, u64)>,
    deadline: Option<timer::Entry>,
}

impl Scope {
    /// Has this scope end a call that nobody waits for on the thread that made it.
    ///
    /// # Errors
    /// When there can be no deadline, for want of a thread that keeps it.
    pub(crate) fn bind(&self, call: &Weak<dyn Ends>) -> Result<Bounds, Error> {
        let mut bounds = Bounds::default();
        for word in &self.words {
            if let Some(number) = word.ends(call.clone()) {
                bounds.words.push((word.clone(), number));
            }
        }
        if let Some(until) = self.until {
            bounds.deadline = Some(timer::at(until, call.clone())?);
        }
        Ok(bounds)
    }
}

impl Drop for Bounds {
    fn drop(&mut self) {
        for (word, number) in &self.words {
            word.forget(*number);
        }
    }
}
