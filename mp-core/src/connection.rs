//! Connections, as a program makes and ends them.

use std::sync::Arc;
use std::time::Duration;

use crate::cap::{Cap, Server};
use crate::error::Error;
use crate::field::Slot;
use crate::interface::{self, Interface, Served};
use crate::log;
use crate::options::Options;
use crate::plan::{FieldPlan, MethodPlan, THREAD_MAP_ID};
use crate::rpc::{self, Anchor, Conn};
use crate::schema::Kind;
use crate::transport::Transport;

/// A connection to another process.
///
/// One made by [`connect`](Connection::connect) ends when this handle, its clones and all proxies that came over it
/// are dropped; one made by [`serve`](Connection::serve) or [`both`](Connection::both) when the peer leaves. Either
/// ends by [`close`](Connection::close) or [`shutdown`](Connection::shutdown).
#[derive(Clone)]
pub struct Connection {
    conn: Arc<Conn>,
    _anchor: Arc<Anchor>,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection")
            .field("closed", &self.is_closed())
            .finish()
    }
}

impl Connection {
    /// Serves `root` to the peer, which reaches all other objects by it.
    ///
    /// # Errors
    /// [`Error::WrongPeer`] when [`Options::peer`] wants another; when no thread can be started.
    pub fn serve<I: Interface + ?Sized>(
        transport: impl Transport,
        root: Arc<I>,
        options: Options,
    ) -> Result<Self, Error> {
        let connection = Self::start(
            Box::new(transport),
            Some(Arc::new(Served::new(root))),
            false,
            options,
        )?;
        log::connected();
        Ok(connection)
    }

    /// Connects to a peer that serves an `I`, and gives its object.
    ///
    /// Where the interface declares how (`construct`), each side is given the means to make threads on the other.
    ///
    /// # Errors
    /// [`Error::WrongPeer`] when [`Options::peer`] wants another; [`Error::Disconnected`] when the peer leaves
    /// meanwhile; what it answers, when it refuses.
    pub fn connect<I: Interface + ?Sized>(
        transport: impl Transport,
        options: Options,
    ) -> Result<(Self, Arc<I>), Error> {
        let connection = Self::start(Box::new(transport), None, true, options)?;
        let root = connection.bootstrap()?;
        Ok((connection, root))
    }

    /// Serves `root` on this side and gives the peer's object: each process has something for the other. The peer does
    /// the same, or asks for nothing.
    ///
    /// # Errors
    /// As [`Connection::connect`].
    pub fn both<S: Interface + ?Sized, I: Interface + ?Sized>(
        transport: impl Transport,
        root: Arc<S>,
        options: Options,
    ) -> Result<(Self, Arc<I>), Error> {
        let connection = Self::serve(transport, root, options)?;
        let root = connection.bootstrap()?;
        Ok((connection, root))
    }

    fn start(
        transport: Box<dyn Transport>,
        root: Option<Arc<dyn Server>>,
        client: bool,
        options: Options,
    ) -> Result<Self, Error> {
        options.peer.check(&*transport)?;
        let (conn, anchor) = Conn::start(transport, root, client, options)?;
        Ok(Self {
            conn,
            _anchor: anchor,
        })
    }

    /// Asks the peer for its first object.
    ///
    /// # Errors
    /// As [`Connection::connect`].
    pub fn bootstrap<I: Interface + ?Sized>(&self) -> Result<Arc<I>, Error> {
        let cap = rpc::bootstrap(&self.conn)?;
        if matches!(cap, Cap::Null) {
            return Err(Error::failed("peer offers no object"));
        }
        self.exchange_threads::<I>(&cap)?;
        Ok(interface::import(cap))
    }

    /// Calls the method that takes and gives thread maps, if the interface has one.
    fn exchange_threads<I: Interface + ?Sized>(&self, root: &Cap) -> Result<(), Error> {
        let threads = |fields: &'static [crate::schema::Field]| {
            fields
                .iter()
                .find(|field| field.kind == Kind::Interface(THREAD_MAP_ID))
        };
        let mut methods = I::SCHEMA.methods.iter();
        let Some(method) = methods.find(|method| threads(method.results.fields).is_some()) else {
            return Ok(());
        };
        let plan: &'static MethodPlan = I::plan(I::SCHEMA.id, method.ordinal).ok_or_else(|| {
            Error::Local(format!(
                "schema of {} has no plan of construct",
                I::SCHEMA.name
            ))
        })?;
        let reply = rpc::call(root, plan, |params, encoder| {
            if let Some(field) = threads(plan.method.params.fields) {
                encoder.put_cap(params.pointer(field.offset), self.conn.thread_map());
            }
            Ok(())
        })?;
        if let Some(field) = threads(plan.method.results.fields) {
            let field = FieldPlan {
                field: *field,
                has: None,
            };
            let map = Slot::field(&reply.results()?, &field, &reply.decoder()).capability()?;
            self.conn.set_peer_threads(map);
        }
        Ok(())
    }

    /// Has the peer make `threads` threads, which run the calls of this side that are made without waiting: those of
    /// asynchronous twins. Such calls run in any order, and what they call back runs on threads of its own here. A peer
    /// that knows no pools, as libmultiprocess before its version 11, makes the threads one by one, and the calls take
    /// them in turn.
    ///
    /// # Errors
    /// What the peer answers, when it refuses: it makes one pool for a connection, and no more threads than it allows.
    /// [`Error::Local`] when the interface that the connection began with exchanges no threads.
    pub fn make_pool(&self, threads: u32) -> Result<(), Error> {
        crate::thread::make_pool(&self.conn, threads)
    }

    /// Whether the connection has ended.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.conn.is_closed()
    }

    /// Waits until the connection has ended. Gives the reason, or `None` if the peer just left.
    pub fn closed(&self) -> Option<Error> {
        self.conn.wait_closed(None).flatten()
    }

    /// Waits for the end, but no longer than `wait`. Gives whether it has come.
    #[must_use]
    pub fn closed_within(&self, wait: Duration) -> bool {
        self.conn.wait_closed(Some(wait)).is_some()
    }

    /// Has `then` run when the connection has ended, on its own thread: it is told the reason, or `None` if the peer
    /// just left. Runs at once, on this thread, if it has ended already.
    pub fn on_closed(&self, then: impl FnOnce(Option<&Error>) + Send + 'static) {
        self.conn.on_closed(Box::new(then));
    }

    /// Ends the connection at once. Calls that wait get [`Error::Disconnected`].
    pub fn close(&self) {
        self.conn.close();
    }

    /// Ends the connection in order: new calls of the peer are refused, running ones may end within `wait`. Returns
    /// when it is over, and tells whether all of them did.
    pub fn shutdown(&self, wait: Duration) -> bool {
        let drained = self.conn.drain(wait);
        if !self.conn.is_reader() {
            self.conn.wait_closed(None);
        }
        drained
    }
}
