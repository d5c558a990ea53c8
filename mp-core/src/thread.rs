//! Which thread a call runs on.
//!
//! Every thread that calls has a counterpart in the peer's process, made on its first call, and its calls run there
//! and nowhere else, in order. So thread-locals and recursive locks behave on the far side as they would in one
//! process. While a thread waits for a reply it runs calls that are addressed to it: callbacks of the very call it
//! waits for, above all, which therefore run on the caller's own stack.
//!
//! A method without a `Context` parameter has no thread; it runs on the connection's reading thread and must not wait
//! for anything.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

use crate::cap::{Cap, Server};
use crate::error::Error;
use crate::interface::{Reply, ServerCall};
use crate::log;
use crate::plan::{FieldPlan, MethodPlan, THREAD_ID, THREAD_MAP_ID};
use crate::rpc::{self, Conn};
use crate::sync::lock;

mod tables;

/// Work for a thread. It is run with `Ok`, or told why it cannot be run.
pub(crate) type Job = Box<dyn FnOnce(Result<(), Error>) + Send>;

/// Where a thread parks, and the work addressed to it.
#[derive(Default)]
pub(crate) struct Waiter {
    state: Mutex<WaiterState>,
    wake: Condvar,
    name: OnceLock<String>,
}

#[derive(Default)]
struct WaiterState {
    jobs: VecDeque<Job>,
    /// The thread is gone, or is to go once it has nothing left to do.
    closed: bool,
    parked: bool,
}

/// Where a reply is put for the thread that waits for it.
pub(crate) struct ReplyCell {
    waiter: Arc<Waiter>,
    reply: Mutex<Option<Result<Reply, Error>>>,
}

impl ReplyCell {
    pub(crate) fn deliver(&self, reply: Result<Reply, Error>) {
        *lock(&self.reply) = Some(reply);
        self.waiter.notify();
    }
}

impl Waiter {
    fn notify(&self) {
        let parked = lock(&self.state).parked;
        if parked {
            self.wake.notify_one();
        }
    }

    fn park<'a>(
        &'a self,
        mut state: std::sync::MutexGuard<'a, WaiterState>,
        until: Option<Instant>,
    ) -> std::sync::MutexGuard<'a, WaiterState> {
        state.parked = true;
        let mut state = match until {
            None => self
                .wake
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner),
            Some(until) => {
                let left = until.saturating_duration_since(Instant::now());
                self.wake
                    .wait_timeout(state, left)
                    .unwrap_or_else(PoisonError::into_inner)
                    .0
            }
        };
        state.parked = false;
        state
    }

    /// Adds work, or refuses it.
    fn post(&self, job: Job, limit: usize) {
        let refused = {
            let mut state = lock(&self.state);
            if state.closed {
                Err((job, Error::failed("invalid thread handle")))
            } else if state.jobs.len() >= limit {
                Err((
                    job,
                    Error::Limit {
                        what: "calls waiting for one thread",
                        limit: limit as u64,
                    },
                ))
            } else {
                state.jobs.push_back(job);
                Ok(state.parked)
            }
        };
        match refused {
            Ok(true) => self.wake.notify_one(),
            Ok(false) => {}
            Err((job, error)) => job(Err(error)),
        }
    }

    /// Waits for work; `None` when the thread is to end.
    fn next_job(&self) -> Option<Job> {
        let mut state = lock(&self.state);
        loop {
            if let Some(job) = state.jobs.pop_front() {
                return Some(job);
            }
            if state.closed {
                return None;
            }
            state = self.park(state, None);
        }
    }

    /// Lets the thread end when its work is done; no more is taken.
    fn close(&self) {
        lock(&self.state).closed = true;
        self.wake.notify_one();
    }

    fn name(&self) -> &str {
        self.name.get().map_or("", String::as_str)
    }
}

/// What this crate knows of the current thread.
struct Here {
    waiter: Arc<Waiter>,
    links: RefCell<Vec<Link>>,
    /// Jobs that run on this thread inside one another.
    depth: Cell<u32>,
    serving: Cell<u32>,
}

/// A thread's part in one connection.
struct Link {
    conn: u64,
    /// Whether the connection is still there.
    alive: Weak<Conn>,
    /// The thread of the peer on which this thread's calls run.
    request: Option<Cap>,
    /// This thread, as the peer may call back to it.
    callback: Option<Arc<ThreadServer>>,
}

impl Drop for Here {
    fn drop(&mut self) {
        let jobs = {
            let mut state = lock(&self.waiter.state);
            state.closed = true;
            std::mem::take(&mut state.jobs)
        };
        for job in jobs {
            job(Err(Error::failed("invalid thread handle")));
        }
    }
}

thread_local! {
    static HERE: Here = Here {
        waiter: ADOPTED.take().unwrap_or_default(),
        links: RefCell::default(),
        depth: Cell::new(0),
        serving: Cell::new(0),
    };
    /// The waiter that a worker was made with, until it takes its place in [`HERE`].
    static ADOPTED: RefCell<Option<Arc<Waiter>>> = const { RefCell::new(None) };
    /// Name of a connection's reading thread.
    static LOOP_NAME: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// The threads that a call names: where it is to run, and who waits for it.
#[derive(Debug, Default)]
pub(crate) struct Context {
    pub(crate) thread: Cap,
    pub(crate) callback: Cap,
}

/// Whether this thread can still wait: it is not ending.
pub(crate) fn is_alive() -> bool {
    HERE.try_with(|_| ()).is_ok()
}

/// Whether this thread is the reading thread of some connection.
pub(crate) fn is_any_reader() -> bool {
    LOOP_NAME
        .try_with(|name| name.borrow().is_some())
        .unwrap_or(false)
}

/// Whether a call of a peer runs on this thread and its reply is still to be sent.
pub(crate) fn is_serving() -> bool {
    HERE.try_with(|here| here.serving.get() > 0)
        .unwrap_or(false)
}

/// Names the reading thread of a connection, for the log.
pub(crate) fn name_loop(exe_name: &str) {
    LOOP_NAME.set(Some(log::thread_name(exe_name)));
}

/// Name of this thread, as the log shows it: a worker's says for whom it works, a reading thread's whose it is.
pub(crate) fn name(exe_name: &str) -> String {
    let own = HERE
        .try_with(|here| here.waiter.name.get().cloned())
        .ok()
        .flatten();
    let own = own.or_else(|| {
        LOOP_NAME
            .try_with(|name| name.borrow().clone())
            .ok()
            .flatten()
    });
    own.unwrap_or_else(|| log::thread_name(exe_name))
}

/// A place for a reply to this thread.
pub(crate) fn reply_cell() -> Arc<ReplyCell> {
    let waiter = HERE
        .try_with(|here| here.waiter.clone())
        .unwrap_or_default();
    Arc::new(ReplyCell {
        waiter,
        reply: Mutex::new(None),
    })
}

/// Waits for a reply, and meanwhile runs calls that are addressed to this thread.
pub(crate) fn wait_reply(
    cell: &ReplyCell,
    wait: Option<Duration>,
    nesting: u32,
) -> Result<Reply, Error> {
    let until = wait.map(|wait| Instant::now() + wait);
    let waiter = &cell.waiter;
    let mut state = lock(&waiter.state);
    loop {
        if let Some(reply) = lock(&cell.reply).take() {
            return reply;
        }
        if let Some(job) = state.jobs.pop_front() {
            drop(state);
            run_nested(job, nesting);
            state = lock(&waiter.state);
            continue;
        }
        if until.is_some_and(|until| until <= Instant::now()) {
            return Err(Error::Timeout);
        }
        state = waiter.park(state, until);
    }
}

fn run_nested(job: Job, limit: u32) {
    let depth = HERE.try_with(|here| here.depth.get()).unwrap_or(0);
    if depth >= limit {
        return job(Err(Error::Limit {
            what: "nested calls",
            limit: limit.into(),
        }));
    }
    let _ = HERE.try_with(|here| here.depth.set(depth + 1));
    job(Ok(()));
    let _ = HERE.try_with(|here| here.depth.set(depth));
}

/// Finds or makes this thread's entry for a connection, and forgets those of connections that ended.
fn with_link<R>(here: &Here, conn: &Conn, then: impl FnOnce(&mut Link) -> R) -> R {
    let mut links = here.links.borrow_mut();
    let at = match links.iter().position(|link| link.conn == conn.id()) {
        Some(at) => at,
        None => {
            // Dropping entries gives references back, which must not find the list borrowed.
            let (kept, ended): (Vec<_>, Vec<_>) = links
                .drain(..)
                .partition(|link| link.alive.upgrade().is_some_and(|conn| !conn.is_closed()));
            *links = kept;
            drop(links);
            drop(ended);
            links = here.links.borrow_mut();
            links.push(Link {
                conn: conn.id(),
                alive: conn.weak(),
                request: None,
                callback: None,
            });
            links.len() - 1
        }
    };
    then(&mut links[at])
}

/// The threads that a call made now on this thread has to name.
pub(crate) fn context(conn: &Arc<Conn>) -> Result<Context, Error> {
    let ending = |_| Error::Local("thread is ending".to_owned());
    let (request, callback) = HERE
        .try_with(|here| {
            with_link(here, conn, |link| {
                let callback = link.callback.get_or_insert_with(|| {
                    here.waiter
                        .name
                        .get_or_init(|| log::thread_name(conn.exe_name()));
                    Arc::new(ThreadServer::borrowed(conn, here.waiter.clone()))
                });
                (link.request.clone(), callback.clone())
            })
        })
        .map_err(ending)?;
    let callback = Cap::Local(callback);
    if let Some(thread) = request {
        return Ok(Context { thread, callback });
    }
    let thread = make_thread(conn)?;
    if !matches!(thread, Cap::Null) {
        HERE.try_with(|here| with_link(here, conn, |link| link.request = Some(thread.clone())))
            .map_err(ending)?;
    }
    Ok(Context { thread, callback })
}

/// Asks the peer for a thread for this one. Without a thread map of the peer there is none to name, and the peer
/// decides.
fn make_thread(conn: &Arc<Conn>) -> Result<Cap, Error> {
    let map = conn.peer_threads();
    if matches!(map, Cap::Null) {
        return Ok(Cap::Null);
    }
    let name = name(conn.exe_name());
    let reply = rpc::call(&map, &tables::MAKE_THREAD, |params, encoder| {
        encoder.builder.set_text(params.pointer(0), &name);
        Ok(())
    })?;
    let index = reply.results()?.pointer(0).capability()?;
    Ok(index
        .and_then(|index| reply.caps().get(index as usize))
        .cloned()
        .unwrap_or_default())
}

/// Marks that this thread serves a call of the peer, until the value is dropped. `callback` is the peer's thread that
/// waits: calls made meanwhile run there.
pub(crate) fn serve(conn: &Arc<Conn>, callback: Option<Cap>) -> Serving {
    let mut entered = None;
    let _ = HERE.try_with(|here| {
        here.serving.set(here.serving.get() + 1);
        if let Some(callback) = callback.filter(|callback| !matches!(callback, Cap::Null)) {
            with_link(here, conn, |link| {
                // Inside a call of our own the entry is the thread that we called, which is the one that calls back.
                if link.request.is_none() {
                    link.request = Some(callback);
                    entered = Some(conn.clone());
                }
            });
        }
    });
    Serving { entered }
}

/// See [`serve`].
pub(crate) struct Serving {
    entered: Option<Arc<Conn>>,
}

impl Drop for Serving {
    fn drop(&mut self) {
        let left = HERE.try_with(|here| {
            self.entered
                .take()
                .and_then(|conn| with_link(here, &conn, |link| link.request.take()))
        });
        // The reference goes back with the reply, so before this thread stops serving.
        drop(left);
        let _ = HERE.try_with(|here| here.serving.set(here.serving.get() - 1));
    }
}

/// A thread of this process, as the peer names it.
pub(crate) struct ThreadServer {
    conn: u64,
    waiter: Arc<Waiter>,
    /// Calls that wait for it or run on it.
    load: Arc<AtomicUsize>,
    /// Whether the thread was made for the peer, and ends when the peer lets go of it.
    owner: Option<Weak<Conn>>,
}

impl ThreadServer {
    fn borrowed(conn: &Conn, waiter: Arc<Waiter>) -> Self {
        Self {
            conn: conn.id(),
            waiter,
            load: Arc::default(),
            owner: None,
        }
    }

    /// Makes a thread that runs the peer's calls. `origin` says in its name what it is for.
    fn spawn(conn: &Arc<Conn>, origin: String) -> Result<Self, Error> {
        let limit = conn.limits().threads;
        if conn.threads.fetch_add(1, Ordering::Relaxed) >= limit {
            conn.threads.fetch_sub(1, Ordering::Relaxed);
            return Err(Error::Limit {
                what: "threads",
                limit: limit as u64,
            });
        }
        let waiter = Arc::<Waiter>::default();
        let server = Self {
            conn: conn.id(),
            waiter: waiter.clone(),
            load: Arc::default(),
            owner: Some(Arc::downgrade(conn)),
        };
        let exe_name = conn.exe_name().to_owned();
        let (ready, started) = sync_channel(1);
        std::thread::Builder::new()
            .name(log::LOOP_THREAD.to_owned())
            .stack_size(STACK)
            .spawn(move || {
                let name = format!("{} ({origin})", log::thread_name(&exe_name));
                let _ = waiter.name.set(name);
                adopt(waiter.clone());
                let _ = ready.send(());
                while let Some(job) = waiter.next_job() {
                    job(Ok(()));
                }
            })
            .map_err(|error| Error::io("cannot start a thread", error))?;
        // The name, which the thread gives itself, must be there before the thread is.
        let _ = started.recv();
        Ok(server)
    }
}

impl ThreadServer {
    /// Lets the thread end when its work is done.
    pub(crate) fn close(&self) {
        self.waiter.close();
    }
}

/// Stack of a worker: what the first thread of a process has.
const STACK: usize = 8 << 20;

/// Makes `waiter` the current thread's. Called before anything else on a new thread.
fn adopt(waiter: Arc<Waiter>) {
    ADOPTED.set(Some(waiter));
    HERE.with(|_| ());
}

impl Drop for ThreadServer {
    fn drop(&mut self) {
        if let Some(conn) = &self.owner {
            self.waiter.close();
            if let Some(conn) = conn.upgrade() {
                conn.threads.fetch_sub(1, Ordering::Relaxed);
            }
        }
    }
}

impl Server for ThreadServer {
    fn plan(&self, interface: u64, ordinal: u16) -> Option<&'static MethodPlan> {
        (interface == THREAD_ID && ordinal == 0).then_some(&tables::GET_NAME)
    }

    fn invoke(&self, _: u64, _: u16, call: &mut ServerCall<'_>) -> Result<(), Error> {
        call.finish::<(), Result<String, Error>>(
            Ok(self.waiter.name().to_owned()),
            &tables::GET_NAME,
        )
    }

    fn key(&self) -> (usize, u64) {
        (std::ptr::from_ref(self) as usize, THREAD_ID)
    }
}

/// A thread that a call can be given to.
pub(crate) struct Target {
    waiter: Arc<Waiter>,
    load: Arc<AtomicUsize>,
}

impl Target {
    fn of(server: &ThreadServer) -> Self {
        Self {
            waiter: server.waiter.clone(),
            load: server.load.clone(),
        }
    }

    pub(crate) fn name(&self) -> &str {
        self.waiter.name()
    }

    pub(crate) fn post(&self, job: Job, limit: usize) {
        let load = self.load.clone();
        load.fetch_add(1, Ordering::Relaxed);
        let counted = move |ready| {
            job(ready);
            load.fetch_sub(1, Ordering::Relaxed);
        };
        self.waiter.post(Box::new(counted), limit);
    }
}

/// The thread that a call names, or one of the pool if it names none.
pub(crate) fn find(conn: &Conn, thread: &Cap) -> Result<Target, Error> {
    match thread {
        Cap::Null => {
            let pool = conn
                .pool
                .get()
                .ok_or_else(|| Error::failed("no thread specified and no pool configured"))?;
            let least = pool
                .iter()
                .min_by_key(|thread| thread.load.load(Ordering::Relaxed));
            least
                .map(|thread| Target::of(thread))
                .ok_or_else(|| Error::failed("no thread specified and no pool configured"))
        }
        Cap::Local(server) => {
            let any: &dyn Any = &**server;
            match any.downcast_ref::<ThreadServer>() {
                Some(thread) if thread.conn == conn.id() => Ok(Target::of(thread)),
                _ => Err(Error::failed("invalid thread handle")),
            }
        }
        _ => Err(Error::failed("invalid thread handle")),
    }
}

/// Makes threads for the peer.
pub(crate) struct ThreadMapServer {
    conn: Weak<Conn>,
    id: u64,
}

impl ThreadMapServer {
    pub(crate) fn new(conn: &Arc<Conn>) -> Self {
        Self {
            conn: Arc::downgrade(conn),
            id: conn.id(),
        }
    }
}

impl Server for ThreadMapServer {
    fn plan(&self, interface: u64, ordinal: u16) -> Option<&'static MethodPlan> {
        match (interface, ordinal) {
            (THREAD_MAP_ID, 0) => Some(&tables::MAKE_THREAD),
            (THREAD_MAP_ID, 1) => Some(&tables::MAKE_POOL),
            _ => None,
        }
    }

    fn invoke(&self, _: u64, ordinal: u16, call: &mut ServerCall<'_>) -> Result<(), Error> {
        let conn = self
            .conn
            .upgrade()
            .ok_or(Error::Disconnected { during: false })?;
        if ordinal == 0 {
            let name = call.param::<(), String>(&param(&tables::MAKE_THREAD))?;
            let from: String = name
                .chars()
                .filter(|letter| !letter.is_control())
                .take(MAX_NAME)
                .collect();
            let thread = ThreadServer::spawn(&conn, format!("from {from}"))?;
            return call.give(&tables::MAKE_THREAD, Cap::Local(Arc::new(thread)));
        }
        let count = call.param::<(), u32>(&param(&tables::MAKE_POOL))?;
        if conn.pool.get().is_some() {
            return Err(Error::failed(
                "makePool called on connection with existing pool",
            ));
        }
        let limit = conn.limits().threads;
        if count as usize > limit {
            return Err(Error::Limit {
                what: "threads",
                limit: limit as u64,
            });
        }
        let mut pool = Vec::with_capacity(count as usize);
        for index in 0..count {
            pool.push(Arc::new(ThreadServer::spawn(
                &conn,
                format!("pool/{index}"),
            )?));
        }
        if conn.pool.set(pool).is_err() {
            return Err(Error::failed(
                "makePool called on connection with existing pool",
            ));
        }
        call.finish::<(), Result<(), Error>>(Ok(()), &tables::MAKE_POOL)
    }

    fn key(&self) -> (usize, u64) {
        // All maps of a connection are the same.
        (self.id as usize, THREAD_MAP_ID)
    }
}

/// Characters of a peer's thread name that are kept; it stands in log lines.
const MAX_NAME: usize = 256;

fn param(plan: &MethodPlan) -> FieldPlan {
    FieldPlan {
        field: plan.method.params.fields[0],
        has: None,
    }
}
