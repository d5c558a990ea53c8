//! Receiving: what the thread of a connection does, and what callers do in its stead while they wait.

use std::cell::Cell;
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError};
use std::time::Instant;

use super::input::{Input, Received};
use super::turn::{Turn, Wake};
use super::{Conn, protocol};
use crate::error::Error;
use crate::sync::lock;
use crate::thread;
use crate::transport::{Readiness, Role, Transport};
use crate::wire::Spares;

/// What is to run on the connection's own thread.
pub(super) type Aside = Box<dyn FnOnce() + Send>;

/// The receiving half of a connection.
pub(super) struct Receiver {
    turn: Mutex<Turn>,
    /// Told when a guest leaves and the keeper is to go on.
    left: Condvar,
    /// Used by whoever has the turn.
    input: Mutex<Source>,
    /// Where guests and the keeper wait; without it only the keeper receives.
    readiness: Option<Arc<dyn Readiness>>,
    /// What the keeper has to do besides; `None` when it is gone.
    asides: Mutex<Option<VecDeque<Aside>>>,
    /// The keeper's name in the log, which lines of the messages bear that others receive in its stead.
    name: OnceLock<Arc<str>>,
}

/// What is received, and how it ended.
struct Source {
    input: Input,
    end: Option<Result<(), Error>>,
}

thread_local! {
    /// The connection for which this thread handles messages; 0 when it handles none.
    static READS: Cell<u64> = const { Cell::new(0) };
    /// The connection whose keeper this thread is.
    static KEEPS: Cell<u64> = const { Cell::new(0) };
}

/// Whether this thread handles messages of some connection, so that it must not wait for any.
pub(crate) fn reads_any() -> bool {
    READS.try_with(Cell::get).unwrap_or(0) != 0
}

/// Messages in a row that are for others, after which a guest leaves receiving to them.
const PATIENCE: u32 = 8;

impl Receiver {
    pub(super) fn new(transport: &dyn Transport, spares: &Arc<Spares>) -> Self {
        Self {
            turn: Mutex::default(),
            left: Condvar::new(),
            input: Mutex::new(Source {
                input: Input::new(spares.clone()),
                end: None,
            }),
            readiness: transport.readiness().map(Arc::from),
            asides: Mutex::new(Some(VecDeque::new())),
            name: OnceLock::new(),
        }
    }

    fn wake_keeper(&self, wake: Wake) {
        match (wake, &self.readiness) {
            (Wake::Queue, _) => self.left.notify_one(),
            (Wake::Sleep, Some(readiness)) => readiness.wake(Role::Keeper),
            (Wake::Not, _) | (_, None) => {}
        }
    }

    fn has_asides(&self) -> bool {
        lock(&self.asides)
            .as_ref()
            .is_some_and(|asides| !asides.is_empty())
    }

    fn run_asides(&self) {
        loop {
            let aside = lock(&self.asides).as_mut().and_then(VecDeque::pop_front);
            match aside {
                Some(aside) => aside(),
                None => return,
            }
        }
    }

    /// Takes no more work for the keeper; what is there is given.
    pub(super) fn close(&self) -> VecDeque<Aside> {
        lock(&self.asides).take().unwrap_or_default()
    }
}

/// A guest's turn, which ends when the value is dropped.
struct Visit<'a> {
    receiver: &'a Receiver,
    /// Whether the keeper has to go on.
    call: bool,
}

impl Drop for Visit<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // What is half handled cannot be gone on with.
            let error = Error::Local("handling a message panicked".to_owned());
            lock(&self.receiver.input).end = Some(Err(error));
            self.call = true;
        }
        let wake = lock(&self.receiver.turn).guest_leaves(self.call);
        self.receiver.wake_keeper(wake);
    }
}

/// Marks that this thread handles messages of a connection, until the value is dropped.
struct Handling {
    outer: u64,
}

impl Handling {
    fn of(conn: &Conn) -> Self {
        Self {
            outer: READS.replace(conn.id),
        }
    }
}

impl Drop for Handling {
    fn drop(&mut self) {
        READS.set(self.outer);
    }
}

impl Conn {
    /// What the keeper does until the connection ends.
    pub(super) fn keep(self: Arc<Self>) {
        /// Ends the connection even if handling a message panics, so that nobody waits for ever.
        struct Guard(Arc<Conn>, Option<Error>);
        impl Drop for Guard {
            fn drop(&mut self) {
                self.0.tear_down(self.1.take());
            }
        }
        READS.set(self.id);
        KEEPS.set(self.id);
        let _ = self.receiver.name.set(thread::name_loop(self.exe_name()));
        let mut guard = Guard(self.clone(), None);
        let ended = match self.receiver.readiness.clone() {
            Some(readiness) => self.keep_turns(&*readiness),
            None => self.keep_alone(),
        };
        if let Err(error) = ended {
            // The peer is told what it did wrong, if it still listens.
            self.push(protocol::abort(&error.to_string()));
            let _ = self.output.try_flush(&*self.transport);
            guard.1 = Some(error);
        }
    }

    /// Receives over a transport at which one thread alone can wait.
    fn keep_alone(self: &Arc<Self>) -> Result<(), Error> {
        // No guest ever comes.
        lock(&self.receiver.turn).keeper_takes();
        let source = &mut *lock(&self.receiver.input);
        loop {
            while let Some(message) = source.input.next(&self.limits().message)? {
                self.handle(message)?;
                self.receiver.run_asides();
            }
            if source.input.receive(&*self.transport)? == Received::End {
                return Ok(());
            }
        }
    }

    /// Receives when no guest does.
    fn keep_turns(self: &Arc<Self>, readiness: &dyn Readiness) -> Result<(), Error> {
        let receiver = &self.receiver;
        loop {
            readiness
                .wait(Role::Keeper, None)
                .map_err(|error| Error::io("cannot wait for the peer", error))?;
            loop {
                receiver.run_asides();
                let mut turn = lock(&receiver.turn);
                if turn.keeper_takes() {
                    break;
                }
                while turn.is_guests() && !receiver.has_asides() {
                    turn = receiver
                        .left
                        .wait(turn)
                        .unwrap_or_else(PoisonError::into_inner);
                }
            }
            let mut source = lock(&receiver.input);
            let mut more = true;
            loop {
                if let Some(end) = source.end.take() {
                    return end;
                }
                while let Some(message) = source.input.next(&self.limits().message)? {
                    self.handle(message)?;
                    receiver.run_asides();
                }
                if more {
                    more = match source.input.try_receive(&*self.transport)? {
                        Received::End => return Ok(()),
                        Received::Bytes => source.input.is_full(),
                        Received::Nothing => false,
                    };
                    continue;
                }
                receiver.run_asides();
                if !lock(&receiver.turn).keeper_leaves() {
                    break;
                }
                more = true;
            }
        }
    }

    /// Has the connection's own thread do something: what a user wrote for it, which must run neither on a thread that
    /// happened to receive nor before that has received what came earlier.
    pub(super) fn aside(&self, aside: Aside) {
        let queued = match &mut *lock(&self.receiver.asides) {
            Some(asides) if self.receiver.readiness.is_some() || self.is_keeper() => {
                asides.push_back(aside);
                Ok(())
            }
            _ => Err(aside),
        };
        match queued {
            // The keeper looks after each message, a guest leaves.
            Ok(()) if self.is_reader() => {}
            Ok(()) => {
                let wake = lock(&self.receiver.turn).call();
                self.receiver.wake_keeper(wake);
            }
            Err(aside) => aside(),
        }
    }

    fn is_keeper(&self) -> bool {
        KEEPS.try_with(Cell::get).unwrap_or(0) == self.id
    }

    /// Whether this thread handles messages of the connection, or is its own, so that it must not wait for replies.
    pub(crate) fn is_reader(&self) -> bool {
        READS.try_with(Cell::get).unwrap_or(0) == self.id
    }

    /// Receives in the keeper's stead for as long as `sleeper`, which is this thread, has to wait anyway, at most
    /// `until`.
    ///
    /// Gives `false` if others are to do it, so that this thread has to wait in another way. Otherwise its wait is
    /// over, or to be tried again.
    pub(crate) fn visit(self: &Arc<Self>, sleeper: &dyn Sleeper, until: Option<Instant>) -> bool {
        let receiver = &self.receiver;
        let Some(readiness) = &receiver.readiness else {
            return false;
        };
        if !lock(&receiver.turn).guest_takes() {
            return false;
        }
        let mut visit = Visit {
            receiver,
            call: false,
        };
        // The lock is let go of before the turn is.
        let mut source = lock(&receiver.input);
        let ended = self.receive_as_guest(&mut source, readiness, sleeper, until);
        let (call, again) = match ended {
            Ok(left) => left,
            Err(end) => {
                source.end = Some(end);
                (true, false)
            }
        };
        visit.call = call;
        again
    }

    /// Gives whether the keeper has to go on and whether this guest may come again at once, or how the stream ended.
    fn receive_as_guest(
        self: &Arc<Self>,
        source: &mut Source,
        readiness: &Arc<dyn Readiness>,
        sleeper: &dyn Sleeper,
        until: Option<Instant>,
    ) -> Result<(bool, bool), Result<(), Error>> {
        let mut more = false;
        let mut others = 0;
        loop {
            {
                let _handling = Handling::of(self);
                let _name = thread::act_as(self.receiver.name.get());
                let limits = &self.limits().message;
                while let Some(message) = source.input.next(limits).map_err(Err)? {
                    self.handle(message).map_err(Err)?;
                    others += 1;
                    if self.receiver.has_asides() {
                        return Ok((true, false));
                    }
                }
            }
            if !sleeper.falls_asleep(readiness) {
                return Ok((more, true));
            }
            if others >= PATIENCE {
                sleeper.wakes();
                return Ok((more, false));
            }
            let waited = readiness.wait(Role::Guest, until);
            sleeper.wakes();
            waited.map_err(|error| Err(Error::io("cannot wait for the peer", error)))?;
            match source.input.try_receive(&*self.transport).map_err(Err)? {
                Received::End => return Err(Ok(())),
                Received::Bytes => more = source.input.is_full(),
                Received::Nothing => more = false,
            }
        }
    }
}

/// A thread that waits for something, and may receive meanwhile.
pub(crate) trait Sleeper {
    /// Whether it has still to wait. From now on whoever ends that wait wakes it at `readiness`.
    fn falls_asleep(&self, readiness: &Arc<dyn Readiness>) -> bool;

    /// It is awake: nobody needs to wake it.
    fn wakes(&self);
}
