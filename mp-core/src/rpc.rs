//! The engine: Cap'n Proto's two-party RPC protocol, level 1, with threads and without an async runtime.
//!
//! Callers write their requests themselves. Requests of the peer run on the thread they name (see
//! [`thread`](crate::thread)), which writes the reply itself. Each connection has a thread of its own that receives, the
//! keeper; but a thread that waits for a message anyway, a caller or an idle worker, takes its place meanwhile and
//! handles what comes, for whomever it is (see [`turn`]). So one call wakes two threads where one calls at a time: the
//! worker and the caller.
//!
//! One lock, [`Conn::tables`], guards what the protocol numbers: questions (our calls), answers (the peer's calls),
//! exports (our objects), imports (the peer's). Frames enter the [`Output`] queue under that lock, which is what
//! keeps their order; they are sent after it is released. Nothing of a user's, and no [`Cap`], is ever dropped under
//! it, since that may need the lock again.

mod answers;
mod incoming;
mod input;
mod outgoing;
mod output;
mod protocol;
mod receive;
mod request;
mod tables;
mod turn;

pub(crate) use incoming::not_implemented;
pub(crate) use outgoing::{bootstrap, call, destroy};
pub(crate) use protocol::results_of;
pub(crate) use receive::{Sleeper, reads_any};

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

use crate::cap::{Cap, Server};
use crate::error::Error;
use crate::limits::Limits;
use crate::log;
use crate::options::Options;
use crate::sync::lock;
use crate::thread::{self, PeerPool, ThreadMapServer, ThreadServer};
use crate::transport::Transport;
use crate::wire::{Builder, Spares};
use output::{Flushed, Output};
use receive::Receiver;
use tables::Tables;

/// One connection.
pub(crate) struct Conn {
    this: Weak<Conn>,
    id: u64,
    transport: Box<dyn Transport>,
    options: Options,
    /// Whether this side only calls: then the connection ends with the last proxy.
    client: bool,
    tables: Mutex<Tables>,
    /// Told when the peer's last call is answered.
    answered: Condvar,
    spares: Arc<Spares>,
    output: Output,
    receiver: Receiver,
    root: Option<Arc<dyn Server>>,
    peer_threads: Mutex<Cap>,
    /// The pool made by the peer's `makePool`.
    pub(crate) pool: OnceLock<Vec<Arc<ThreadServer>>>,
    /// What runs this side's calls that do not wait.
    pub(crate) peer_pool: OnceLock<PeerPool>,
    pub(crate) threads: AtomicUsize,
    queued_bytes: AtomicUsize,
    anchor: Mutex<Weak<Anchor>>,
    ended: Mutex<Ended>,
    end: Condvar,
    reaper: Mutex<Option<Sender<Cap>>>,
    /// This side ended it.
    closing: AtomicBool,
    /// Nothing can be sent any more.
    gone: AtomicBool,
}

/// What is told how a connection ended.
type OnClosed = Box<dyn FnOnce(Option<&Error>) + Send>;

/// How a connection ended, and who wants to know.
#[derive(Default)]
struct Ended {
    why: Option<Option<Error>>,
    then: Vec<OnClosed>,
}

/// Keeps a client's connection open as long as somebody may call over it.
pub(crate) struct Anchor {
    conn: Arc<Conn>,
}

impl Drop for Anchor {
    fn drop(&mut self) {
        if self.conn.client {
            self.conn.close();
        }
    }
}

/// An object of the peer that this side refers to.
pub(crate) struct Import {
    conn: Arc<Conn>,
    id: u32,
    /// What a promise of the peer became, when that is to be called in its stead.
    resolved: OnceLock<Cap>,
    /// Whether the peer gave it as a promise.
    promise: bool,
}

impl Import {
    pub(crate) fn conn(&self) -> &Arc<Conn> {
        &self.conn
    }

    pub(crate) fn id(&self) -> u32 {
        self.id
    }

    /// What it turned out to be, if it was a promise and is kept or broken.
    pub(crate) fn resolved(&self) -> Option<&Cap> {
        self.resolved.get()
    }
}

impl Drop for Import {
    fn drop(&mut self) {
        let released = lock(&self.conn.tables).drop_import(self.id, self);
        if let Some(count) = released {
            self.conn.push(protocol::release(self.id, count));
            if !thread::is_serving() {
                self.conn.flush_no_wait();
            }
        }
    }
}

impl std::fmt::Debug for Conn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Conn")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

impl Conn {
    /// Starts a connection: from now on its own thread serves the peer.
    pub(crate) fn start(
        transport: Box<dyn Transport>,
        root: Option<Arc<dyn Server>>,
        client: bool,
        options: Options,
    ) -> Result<(Arc<Self>, Arc<Anchor>), Error> {
        let spares = Arc::<Spares>::default();
        let conn = Arc::new_cyclic(|this| Self {
            this: this.clone(),
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            receiver: Receiver::new(&*transport, &spares),
            transport,
            options,
            client,
            tables: Mutex::default(),
            answered: Condvar::new(),
            output: Output::new(&spares),
            spares,
            root,
            peer_threads: Mutex::default(),
            pool: OnceLock::new(),
            peer_pool: OnceLock::new(),
            threads: AtomicUsize::new(0),
            queued_bytes: AtomicUsize::new(0),
            anchor: Mutex::default(),
            ended: Mutex::default(),
            end: Condvar::new(),
            reaper: Mutex::default(),
            closing: AtomicBool::new(false),
            gone: AtomicBool::new(false),
        });
        let anchor = Arc::new(Anchor { conn: conn.clone() });
        *lock(&conn.anchor) = Arc::downgrade(&anchor);
        let keeper = conn.clone();
        std::thread::Builder::new()
            .name(log::LOOP_THREAD.to_owned())
            .spawn(move || keeper.keep())
            .map_err(|error| Error::io("cannot start a thread", error))?;
        Ok((conn, anchor))
    }

    /// The `Arc` of this connection.
    fn arc(&self) -> Arc<Self> {
        self.this
            .upgrade()
            .expect("a connection is used through its Arc")
    }

    pub(crate) fn weak(&self) -> Weak<Self> {
        self.this.clone()
    }

    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.options.limits
    }

    pub(crate) fn exe_name(&self) -> &str {
        &self.options.name
    }

    /// Memory for large messages.
    pub(crate) fn spares(&self) -> Arc<Spares> {
        self.spares.clone()
    }

    pub(crate) fn is_closed(&self) -> bool {
        lock(&self.tables).closed
    }

    /// Whether replies have nowhere to go.
    pub(crate) fn has_ended(&self) -> bool {
        self.gone.load(Ordering::Acquire)
    }

    pub(crate) fn anchor(&self) -> Option<Arc<Anchor>> {
        if self.client {
            lock(&self.anchor).upgrade()
        } else {
            None
        }
    }

    /// The object that makes threads on this side for the peer.
    pub(crate) fn thread_map(&self) -> Cap {
        Cap::Local(Arc::new(ThreadMapServer::new(&self.arc())))
    }

    pub(crate) fn peer_threads(&self) -> Cap {
        lock(&self.peer_threads).clone()
    }

    pub(crate) fn set_peer_threads(&self, cap: Cap) {
        let old = std::mem::replace(&mut *lock(&self.peer_threads), cap);
        drop(old);
    }

    /// Adds a frame to the output. One too large to send is the caller's mistake and must be checked before.
    fn push(&self, builder: Builder) {
        match builder.finish(self.limits().message.message_bytes) {
            Ok(frame) => self.output.push(frame),
            Err(_) => self.close(),
        }
    }

    /// Sends what is queued. Waits for a slow peer, unless this thread receives, for this connection or another.
    fn flush(&self) {
        if reads_any() {
            return self.flush_no_wait();
        }
        match self.output.try_flush(&*self.transport) {
            Ok(Flushed::Done) => self.output.wait_below(self.limits().output_bytes, None),
            Ok(Flushed::Blocked) => {
                if self.output.drain(&*self.transport).is_err() {
                    self.close();
                }
            }
            Err(_) => self.close(),
        }
    }

    /// Sends what can be sent now; a thread of its own waits for a slow peer.
    fn flush_no_wait(&self) {
        match self.output.try_flush(&*self.transport) {
            Ok(Flushed::Done) if self.output.bytes() <= self.limits().output_bytes_max => {}
            Ok(Flushed::Blocked) => {
                let conn = self.arc();
                let spawned = std::thread::Builder::new()
                    .name("ipc-flush".to_owned())
                    .spawn(move || {
                        if conn.output.drain(&*conn.transport).is_err() {
                            conn.close();
                        }
                    });
                if spawned.is_err() {
                    self.close();
                }
            }
            // The peer asks without reading, or is gone.
            Ok(Flushed::Done) | Err(_) => self.close(),
        }
    }

    /// Ends the connection; its own thread does the rest.
    pub(crate) fn close(&self) {
        self.closing.store(true, Ordering::Relaxed);
        self.transport.shutdown();
    }

    /// Waits until the peer's calls are answered, or `wait` is over, and ends the connection. New calls of the peer
    /// are refused meanwhile. Gives whether all were answered.
    pub(crate) fn drain(&self, wait: Duration) -> bool {
        let until = Instant::now() + wait;
        let mut tables = lock(&self.tables);
        tables.draining = true;
        while tables.running() > 0 && !tables.closed {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            tables = self
                .answered
                .wait_timeout(tables, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        let drained = tables.running() == 0;
        drop(tables);
        // The last replies may still be on their way out.
        self.flush_no_wait();
        self.output.wait_below(0, Some(until));
        self.close();
        drained
    }

    /// Waits until the connection ended; gives the reason, if it was not the peer's orderly leaving, or `None` when
    /// `wait` is over.
    pub(crate) fn wait_closed(&self, wait: Option<Duration>) -> Option<Option<Error>> {
        let until = wait.map(|wait| Instant::now() + wait);
        let mut ended = lock(&self.ended);
        loop {
            if let Some(why) = &ended.why {
                return Some(why.clone());
            }
            ended = match until {
                None => self.end.wait(ended).unwrap_or_else(PoisonError::into_inner),
                Some(until) => {
                    let left = until.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return None;
                    }
                    self.end
                        .wait_timeout(ended, left)
                        .unwrap_or_else(PoisonError::into_inner)
                        .0
                }
            };
        }
    }

    /// Runs `then` when the connection has ended: at once, if it has.
    pub(crate) fn on_closed(&self, then: OnClosed) {
        let mut ended = lock(&self.ended);
        match ended.why.clone() {
            None => ended.then.push(then),
            Some(why) => {
                drop(ended);
                then(why.as_ref());
            }
        }
    }

    /// Ends everything that depends on the connection. Runs on its own thread, once.
    fn tear_down(&self, why: Option<Error>) {
        self.transport.shutdown();
        self.output.close();
        let remains = {
            let mut tables = lock(&self.tables);
            tables.closed = true;
            self.gone.store(true, Ordering::Release);
            tables.take()
        };
        self.answered.notify_all();
        for aside in self.receiver.close() {
            aside();
        }
        log::disconnected(
            self.client,
            self.closing.load(Ordering::Relaxed),
            why.as_ref(),
        );
        for (promise, _) in remains.embargoes {
            promise.resolve(Cap::Broken(Error::Disconnected { during: true }));
        }
        for question in remains.questions {
            question
                .reply_to
                .deliver(Err(Error::Disconnected { during: true }));
        }
        for answer in remains.answers.into_values() {
            if let (Some(request), false) = (answer.executing, answer.state.is_done()) {
                log::server_cut_off(request);
            }
            if let Some(cancellation) = &answer.cancellation {
                cancellation.cancel();
            }
            answer.state.abandon(&Error::Disconnected { during: true });
        }
        for cap in remains.exports {
            self.discard(cap);
        }
        self.set_peer_threads(Cap::Null);
        self.pool
            .get()
            .into_iter()
            .flatten()
            .for_each(|thread| thread.close());
        *lock(&self.reaper) = None;
        let then = {
            let mut ended = lock(&self.ended);
            ended.why = Some(why.clone());
            self.end.notify_all();
            std::mem::take(&mut ended.then)
        };
        for then in then {
            then(why.as_ref());
        }
    }

    /// Drops a capability. If that may end a user's object, another thread does it: the object's destructor may take
    /// its time, or call over this connection.
    fn discard(&self, cap: Cap) {
        let Cap::Local(server) = &cap else { return };
        if !server.runs_user_code() || Arc::strong_count(server) > 1 {
            return;
        }
        let mut reaper = lock(&self.reaper);
        if reaper.is_none() {
            let (sender, receiver) = channel::<Cap>();
            let spawned = std::thread::Builder::new()
                .name("ipc-drop".to_owned())
                .spawn(move || receiver.into_iter().for_each(drop));
            if spawned.is_err() {
                // Without another thread there is only this one.
                drop(reaper);
                return drop(cap);
            }
            *reaper = Some(sender);
        }
        if let Some(sender) = &*reaper {
            let _ = sender.send(cap);
        }
    }
}
