//! Which thread a call runs on.
//!
//! Every thread that calls has a counterpart in the peer's process, made on its first call, and its calls run there
//! and nowhere else, in order. So thread-locals and recursive locks behave on the far side as they would in one
//! process. While a thread waits for a reply it runs calls that are addressed to it: callbacks of the very call it
//! waits for, above all, which therefore run on the caller's own stack.
//!
//! A method without a `Context` parameter has no thread; it runs on the connection's own thread and must not wait for
//! anything.

use std::cell::{Cell, RefCell};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Instant;

use crate::cancel::{Cancellation, Scope};
use crate::cap::Cap;
use crate::error::{Error, ExceptionKind};
use crate::interface::Reply;
use crate::limits::Limits;
use crate::log;
use crate::rpc::{self, Conn, Sleeper};
use crate::sync::lock;
use crate::transport::Readiness;

mod server;
mod tables;
#[cfg(test)]
mod tests;
mod waiter;

pub(crate) use server::{Target, ThreadMapServer, ThreadServer, find};
use waiter::Job;
pub(crate) use waiter::{ReplyCell, Waiter};

/// What this crate knows of the current thread.
struct Here {
    waiter: Arc<Waiter>,
    links: RefCell<Vec<Link>>,
    /// Jobs that run on this thread inside one another.
    depth: Cell<u32>,
    serving: Cell<u32>,
    /// The call of a peer that runs here: its connection and number.
    current: RefCell<Option<(Arc<Conn>, u32)>>,
    /// What may end the calls that this thread makes.
    scope: RefCell<Scope>,
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
        current: RefCell::default(),
        scope: RefCell::default(),
    };
    /// The waiter that a worker was made with, until it takes its place in [`HERE`].
    static ADOPTED: RefCell<Option<Arc<Waiter>>> = const { RefCell::new(None) };
    /// Name of the connection's own thread, which this thread is, or in whose stead it handles messages.
    static LOOP_NAME: RefCell<Option<Arc<str>>> = const { RefCell::new(None) };
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

/// Whether a call of a peer runs on this thread and its reply is still to be sent.
pub(crate) fn is_serving() -> bool {
    HERE.try_with(|here| here.serving.get() > 0)
        .unwrap_or(false)
}

/// Names the own thread of a connection, which this is, for the log.
pub(crate) fn name_loop(exe_name: &str) -> Arc<str> {
    let name: Arc<str> = log::thread_name(exe_name).into();
    LOOP_NAME.set(Some(name.clone()));
    name
}

/// Has this thread appear in the log as the connection's own until the value is dropped.
pub(crate) fn act_as(name: Option<&Arc<str>>) -> ActsAs {
    ActsAs {
        own: LOOP_NAME.replace(name.cloned()),
    }
}

/// See [`act_as`].
pub(crate) struct ActsAs {
    own: Option<Arc<str>>,
}

impl Drop for ActsAs {
    fn drop(&mut self) {
        LOOP_NAME.set(self.own.take());
    }
}

/// Name of this thread, as the log shows it: a worker's says for whom it works, a connection's own whose it is.
pub(crate) fn name(exe_name: &str) -> String {
    let as_loop = LOOP_NAME.try_with(|name| name.borrow().clone());
    if let Ok(Some(name)) = as_loop {
        return name.as_ref().to_owned();
    }
    let own = HERE
        .try_with(|here| here.waiter.name.get().cloned())
        .ok()
        .flatten();
    own.unwrap_or_else(|| log::thread_name(exe_name))
}

/// Where this thread parks.
pub(crate) fn waiter() -> Arc<Waiter> {
    HERE.try_with(|here| here.waiter.clone())
        .unwrap_or_default()
}

/// The call of a peer that runs on this thread.
pub(crate) fn current_call() -> Option<(Arc<Conn>, u32)> {
    HERE.try_with(|here| here.current.borrow().clone())
        .ok()
        .flatten()
}

/// What may end calls that this thread makes now.
pub(crate) fn scope() -> Scope {
    HERE.try_with(|here| here.scope.borrow().clone())
        .unwrap_or_default()
}

/// Narrows this thread's scope until the value is dropped.
pub(crate) fn narrow(until: Option<Instant>, word: Option<Cancellation>) -> Narrowed {
    let outer = HERE
        .try_with(|here| {
            let inner = here.scope.borrow().narrowed(until, word);
            here.scope.replace(inner)
        })
        .unwrap_or_default();
    Narrowed { outer }
}

/// See [`narrow`].
pub(crate) struct Narrowed {
    outer: Scope,
}

impl Drop for Narrowed {
    fn drop(&mut self) {
        let outer = std::mem::take(&mut self.outer);
        let inner = HERE.try_with(|here| here.scope.replace(outer));
        drop(inner);
    }
}

/// A place for a reply to this thread.
pub(crate) fn reply_cell() -> Arc<ReplyCell> {
    Arc::new(ReplyCell {
        waiter: waiter(),
        reply: Mutex::new(None),
    })
}

/// How waiting for a reply ended.
pub(crate) enum Waited {
    /// The reply is there.
    Replied(Result<Reply, Error>),
    /// It is not, and its time is over.
    GaveUp(Error),
}

/// Waits for a reply, which comes over `conn` if that is given, for as long as `scope` allows. Meanwhile runs calls that are addressed to this thread,
/// and receives in the connection's stead.
pub(crate) fn wait_reply(conn: Option<&Arc<Conn>>, cell: &ReplyCell, scope: &Scope) -> Waited {
    /// A caller.
    struct Caller<'a>(&'a ReplyCell, &'a Scope);
    impl Sleeper for Caller<'_> {
        fn falls_asleep(&self, readiness: &Arc<dyn Readiness>) -> bool {
            let Self(cell, scope) = self;
            cell.waiter.sleeps_if(readiness, |_| {
                lock(&cell.reply).is_none() && scope.check().is_ok()
            })
        }

        fn wakes(&self) {
            self.0.waiter.wakes();
        }
    }
    let waiter = &cell.waiter;
    let limits = conn.map(|conn| conn.limits().nested_calls);
    let nesting = limits.unwrap_or_else(|| Limits::default().nested_calls);
    let mut visits = true;
    let mut state = lock(&waiter.state);
    loop {
        if let Some(reply) = lock(&cell.reply).take() {
            return Waited::Replied(reply);
        }
        if let Some(job) = state.jobs.pop_front() {
            drop(state);
            run_nested(job, nesting);
            visits = true;
            state = lock(&waiter.state);
            continue;
        }
        if let Err(error) = scope.check() {
            return Waited::GaveUp(error);
        }
        if visits {
            drop(state);
            visits = conn.is_some_and(|conn| conn.visit(&Caller(cell, scope), scope.deadline()));
            state = lock(&waiter.state);
        } else {
            state = waiter.park(state, scope.deadline());
        }
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
    ask_thread(&map, &name(conn.exe_name()))
}

/// Has the peer make a thread.
fn ask_thread(map: &Cap, name: &str) -> Result<Cap, Error> {
    let reply = rpc::call(map, &tables::MAKE_THREAD, |params, encoder| {
        encoder.builder.set_text(params.pointer(0), name);
        Ok(())
    })?;
    let index = reply.results()?.pointer(0).capability()?;
    Ok(index
        .and_then(|index| reply.caps().get(index as usize))
        .cloned()
        .unwrap_or_default())
}

/// What the peer runs calls on that name no thread of this side's.
pub(crate) enum PeerPool {
    /// A pool of the peer's, which knows best.
    Theirs,
    /// Threads that were made one by one, for a peer that knows no pools. They take turns.
    Threads(Vec<Cap>, AtomicUsize),
}

impl PeerPool {
    /// What the next call has to name.
    pub(crate) fn context(&self) -> Context {
        match self {
            Self::Theirs => Context::default(),
            Self::Threads(threads, next) => {
                let at = next.fetch_add(1, Ordering::Relaxed) % threads.len().max(1);
                Context {
                    thread: threads.get(at).cloned().unwrap_or_default(),
                    callback: Cap::Null,
                }
            }
        }
    }
}

/// Has the peer make a pool of threads for the calls of this side that name none.
pub(crate) fn make_pool(conn: &Arc<Conn>, threads: u32) -> Result<(), Error> {
    let map = conn.peer_threads();
    if matches!(map, Cap::Null) {
        return Err(Error::Local(
            "peer gave no means to make threads".to_owned(),
        ));
    }
    if matches!(conn.peer_pool.get(), Some(PeerPool::Threads(..))) {
        return Err(Error::Local("connection has a pool already".to_owned()));
    }
    let made = rpc::call(&map, &tables::MAKE_POOL, |params, encoder| {
        encoder.builder.set_bits(params, 32, 0, threads.into());
        Ok(())
    });
    let pool = match made {
        Ok(_) => PeerPool::Theirs,
        // libmultiprocess knows pools since its version 11.
        Err(Error::Remote {
            kind: ExceptionKind::Unimplemented,
            ..
        }) => {
            let name = name(conn.exe_name());
            let each = (0..threads).map(|index| ask_thread(&map, &format!("{name} pool/{index}")));
            PeerPool::Threads(each.collect::<Result<_, _>>()?, AtomicUsize::new(0))
        }
        Err(error) => return Err(error),
    };
    if threads > 0 {
        // Where two make one at a time, either will do.
        let _ = conn.peer_pool.set(pool);
    }
    Ok(())
}

/// Marks that this thread serves the peer's call number `answer`, until the value is dropped. `callback` is the peer's
/// thread that waits: calls made meanwhile run there.
pub(crate) fn serve(conn: &Arc<Conn>, answer: u32, callback: Option<Cap>) -> Serving {
    let mut entered = None;
    let mut outer = (None, Scope::default());
    let _ = HERE.try_with(|here| {
        here.serving.set(here.serving.get() + 1);
        // What bounds a call that waits on this thread is no concern of the one that runs meanwhile.
        outer = (
            here.current.replace(Some((conn.clone(), answer))),
            here.scope.take(),
        );
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
    Serving { entered, outer }
}

/// See [`serve`].
pub(crate) struct Serving {
    entered: Option<Arc<Conn>>,
    /// The call that was served here when this one came, and the scope of the call that it waits for.
    outer: (Option<(Arc<Conn>, u32)>, Scope),
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
        let (current, scope) = std::mem::take(&mut self.outer);
        let inner =
            HERE.try_with(|here| (here.current.replace(current), here.scope.replace(scope)));
        drop(inner);
        let _ = HERE.try_with(|here| here.serving.set(here.serving.get() - 1));
    }
}

/// Makes `waiter` the current thread's. Called before anything else on a new thread.
fn adopt(waiter: Arc<Waiter>) {
    ADOPTED.set(Some(waiter));
    HERE.with(|_| ());
}
