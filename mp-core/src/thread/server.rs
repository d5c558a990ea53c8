//! Threads as the peer sees them.

use std::any::Any;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Weak};

use super::waiter::{Job, Waiter};
use super::{adopt, tables};
use crate::cap::{Cap, Server};
use crate::error::Error;
use crate::interface::ServerCall;
use crate::log;
use crate::plan::{FieldPlan, MethodPlan, THREAD_ID, THREAD_MAP_ID};
use crate::rpc::Conn;

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
    pub(super) fn borrowed(conn: &Conn, waiter: Arc<Waiter>) -> Self {
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
        let served = Arc::downgrade(conn);
        std::thread::Builder::new()
            .name(log::LOOP_THREAD.to_owned())
            .stack_size(STACK)
            .spawn(move || {
                let name = format!("{} ({origin})", log::thread_name(&exe_name));
                let _ = waiter.name.set(name);
                adopt(waiter.clone());
                let _ = ready.send(());
                while let Some(job) = waiter.next_job(&served) {
                    job(Ok(()));
                }
            })
            .map_err(|error| Error::io("cannot start a thread", error))?;
        // The name, which the thread gives itself, must be there before the thread is.
        let _ = started.recv();
        Ok(server)
    }

    /// Lets the thread end when its work is done.
    pub(crate) fn close(&self) {
        self.waiter.close();
    }
}

/// Stack of a worker: what the first thread of a process has.
const STACK: usize = 8 << 20;

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
