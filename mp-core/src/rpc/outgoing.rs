//! Calls of this side.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::tables::{Question, ReplyTo};
use super::{Conn, Import, protocol};
use crate::cancel::Scope;
use crate::cap::{Cap, Promise, Server};
use crate::error::Error;
use crate::field::{Decoder, Encoder};
use crate::interface::{Reply, ServerCall};
use crate::log;
use crate::pending::Task;
use crate::plan::MethodPlan;
use crate::sync::lock;
use crate::thread::{self, ReplyCell, Waited};
use crate::wire::{Builder, ReadLimits, StructAt};

/// Calls a method and waits for its reply.
pub(crate) fn call(
    cap: &Cap,
    plan: &'static MethodPlan,
    params: impl FnOnce(StructAt, &mut Encoder) -> Result<(), Error>,
) -> Result<Reply, Error> {
    match cap {
        Cap::Remote(import) => match import.resolved() {
            None => import.conn.call(import, plan, params, None),
            Some(cap) => call(&cap.clone().settled(), plan, params),
        },
        Cap::Local(server) => call_local(server, plan, params),
        Cap::Promise(promise) => {
            if let Some(cap) = promise.get() {
                return call(&cap, plan, params);
            }
            if super::reads_any() {
                return Err(reader_call());
            }
            call(&kept(promise)?, plan, params)
        }
        Cap::Null => Err(Error::failed("Called null capability.")),
        Cap::Broken(error) => Err(error.clone()),
    }
}

/// Waits for what a promise becomes, for as long as calls may take, and meanwhile runs calls that are addressed to this
/// thread.
fn kept(promise: &Promise) -> Result<Cap, Error> {
    let cell = thread::reply_cell();
    let theirs = cell.clone();
    promise.then(move |cap| {
        let nothing = Builder::new().into_message(&ReadLimits::default());
        let reply = nothing.map(|message| Reply::bare(message, vec![cap], None));
        theirs.deliver(reply.map_err(Error::from));
    });
    match thread::wait_reply(None, &cell, &thread::scope()) {
        Waited::Replied(reply) => Ok(reply?.into_caps().pop().unwrap_or_default()),
        Waited::GaveUp(error) => Err(error),
    }
}

/// Calls `destroy` for a proxy that is being dropped. Errors are logged: there is nobody to give them to.
pub(crate) fn destroy(import: &Arc<Import>, plan: &'static MethodPlan) {
    let import = match import.resolved() {
        Some(Cap::Remote(import)) => import,
        Some(Cap::Broken(_)) => return,
        _ => import,
    };
    let conn = &import.conn;
    if conn.is_closed() {
        return;
    }
    // Neither a thread that receives nor one that is ending can wait for the reply.
    let wait = if conn.is_reader() || !thread::is_alive() {
        Duration::ZERO
    } else {
        conn.limits().destroy_wait
    };
    // A destructor must not unwind.
    let done = std::panic::catch_unwind(AssertUnwindSafe(|| {
        conn.call(import, plan, |_, _| Ok(()), Some(wait))
    }));
    match done {
        Ok(Ok(_)) => {}
        Ok(Err(Error::Timeout)) if wait.is_zero() => {}
        Ok(Err(error)) => log::destroy_failed(plan, &error),
        Err(_) => log::destroy_failed(plan, &Error::Cancelled),
    }
}

/// Asks for the peer's first object.
pub(crate) fn bootstrap(conn: &Arc<Conn>) -> Result<Cap, Error> {
    let scope = thread::scope();
    scope.check()?;
    let cell = thread::reply_cell();
    let question = {
        let mut tables = lock(&conn.tables);
        tables.may_ask(conn.limits())?;
        let reply_to = ReplyTo::Cell(cell.clone());
        let question = tables.ask(Question {
            reply_to,
            exported: Vec::new(),
            prompt: true,
            finished: false,
        });
        conn.push(protocol::bootstrap(question));
        question
    };
    conn.flush();
    let reply = conn.wait(question, &cell, &scope)?;
    match reply.content()?.capability()? {
        Some(index) => Ok(reply
            .caps()
            .get(index as usize)
            .cloned()
            .unwrap_or_default()),
        None => Ok(Cap::Null),
    }
}

fn reader_call() -> Error {
    Error::Local(
        "a method that runs on the connection's own thread cannot wait for a call".to_owned(),
    )
}

impl Conn {
    /// Calls a method of an object of the peer. Waits for the reply for as long as `wait` says; without waiting
    /// ([`Duration::ZERO`]) the call is sent and forgotten.
    fn call(
        self: &Arc<Self>,
        import: &Arc<Import>,
        plan: &'static MethodPlan,
        params: impl FnOnce(StructAt, &mut Encoder) -> Result<(), Error>,
        wait: Option<Duration>,
    ) -> Result<Reply, Error> {
        if self.is_closed() {
            return Err(Error::Disconnected { during: false });
        }
        let scope = match wait {
            None => thread::scope(),
            Some(wait) => Scope::until(Instant::now() + wait),
        };
        let waits = wait != Some(Duration::ZERO);
        if wait.is_none() {
            scope.check()?;
        }
        if waits && self.is_reader() {
            return Err(reader_call());
        }
        let context = if waits && plan.context.is_some() {
            thread::context(self)?
        } else {
            thread::Context::default()
        };
        let (encoder, at, prompt) = self.encode_call(import, plan, context, params)?;
        let cell = thread::reply_cell();
        let question = self.send_call(encoder, &at, ReplyTo::Cell(cell.clone()), prompt)?;
        self.flush();
        if !waits {
            return Err(Error::Timeout);
        }
        let reply = if wait.is_none() {
            self.wait(question, &cell, &scope)
        } else {
            // A call that is to happen in any case is not called off.
            match thread::wait_reply(Some(self), &cell, &scope) {
                Waited::Replied(reply) => reply,
                Waited::GaveUp(error) => Err(error),
            }
        };
        match &reply {
            Ok(reply) => log::client_recv(plan, reply),
            Err(error) => log::client_failed(plan, error),
        }
        reply
    }

    /// Writes a call; tells whether capabilities are among its arguments.
    fn encode_call(
        self: &Arc<Self>,
        import: &Import,
        plan: &'static MethodPlan,
        links: thread::Context,
        params: impl FnOnce(StructAt, &mut Encoder) -> Result<(), Error>,
    ) -> Result<(Encoder, protocol::CallAt, bool), Error> {
        let mut encoder = Encoder::new(Some(self.clone()));
        let method = &plan.method;
        let at = protocol::begin_call(
            &mut encoder.builder,
            import.id,
            method.interface,
            method.ordinal,
        );
        let params_at = encoder.builder.init_struct(
            at.content(),
            method.params.data_words,
            method.params.pointers,
        );
        if let Some(field) = plan.context {
            let context = encoder
                .builder
                .init_struct(params_at.pointer(field.offset), 0, 2);
            encoder.put_cap(context.pointer(0), links.thread);
            encoder.put_cap(context.pointer(1), links.callback);
        }
        let implicit = encoder.caps.len();
        params(params_at, &mut encoder)?;
        let prompt = encoder.caps.len() > implicit;
        log::client_send(plan, || log::building(&encoder, plan));
        Ok((encoder, at, prompt))
    }

    /// Sends a call whose reply goes to a future; gives its number. Never waits.
    pub(crate) fn start_call(
        self: &Arc<Self>,
        import: &Import,
        plan: &'static MethodPlan,
        params: impl FnOnce(StructAt, &mut Encoder) -> Result<(), Error>,
        task: Arc<Task>,
    ) -> Result<u32, Error> {
        let import = match import.resolved() {
            Some(Cap::Remote(import)) => import,
            Some(Cap::Broken(error)) => return Err(error.clone()),
            // An object of this side is reached by way of the peer.
            _ => import,
        };
        if self.is_closed() {
            return Err(Error::Disconnected { during: false });
        }
        let context = match (plan.context, self.peer_pool.get()) {
            (None, _) => thread::Context::default(),
            (Some(_), Some(pool)) => pool.context(),
            (Some(_), None) => {
                return Err(Error::Local(
                    "calls that do not wait run on a pool of the peer; make one with Connection::make_pool"
                        .to_owned(),
                ));
            }
        };
        let limit = self.limits().output_bytes;
        if self.output.bytes() > limit {
            return Err(Error::Limit {
                what: "bytes waiting for the peer to read",
                limit: limit as u64,
            });
        }
        let (encoder, at, prompt) = self.encode_call(import, plan, context, params)?;
        let question = self.send_call(encoder, &at, ReplyTo::Task(task), prompt)?;
        self.flush_no_wait();
        Ok(question)
    }

    /// Tells the peer that a future no longer waits; `false` if its reply has come.
    pub(crate) fn give_up_task(&self, question: u32, task: &Arc<Task>) -> bool {
        let ours = |reply_to: &ReplyTo| matches!(reply_to, ReplyTo::Task(known) if Arc::ptr_eq(known, task));
        self.give_up(question, ours)
    }

    /// Waits for the reply to a question, or until the scope ends; then the peer is told that nobody waits.
    fn wait(
        self: &Arc<Self>,
        question: u32,
        cell: &Arc<ReplyCell>,
        scope: &Scope,
    ) -> Result<Reply, Error> {
        let error = match thread::wait_reply(Some(self), cell, scope) {
            Waited::Replied(reply) => return reply,
            Waited::GaveUp(error) => error,
        };
        let ours = |reply_to: &ReplyTo| matches!(reply_to, ReplyTo::Cell(known) if Arc::ptr_eq(known, cell));
        if self.give_up(question, ours) {
            return Err(error);
        }
        // The reply is just being delivered, and is as good as one that came in time.
        match thread::wait_reply(Some(self), cell, &Scope::default()) {
            Waited::Replied(reply) => reply,
            Waited::GaveUp(error) => Err(error),
        }
    }

    /// Tells the peer that nobody waits for a call; `false` if its return has come.
    pub(super) fn give_up(&self, question: u32, ours: impl FnOnce(&ReplyTo) -> bool) -> bool {
        let waited = {
            let mut tables = lock(&self.tables);
            let waited = tables.give_up(question, ours);
            if waited.is_some() {
                self.push(protocol::finish(question));
            }
            waited
        };
        if waited.is_some() {
            self.flush_no_wait();
        }
        waited.is_some()
    }

    /// Numbers and queues a call; gives the number. `prompt` says that its `Finish` must not wait for the next message.
    pub(super) fn send_call(
        self: &Arc<Self>,
        encoder: Encoder,
        at: &protocol::CallAt,
        reply_to: ReplyTo,
        prompt: bool,
    ) -> Result<u32, Error> {
        let Encoder {
            mut builder, caps, ..
        } = encoder;
        builder.check(self.limits().message.message_bytes)?;
        let mut garbage = Vec::new();
        let mut exported = Vec::new();
        let sent = {
            let mut tables = lock(&self.tables);
            let described = tables
                .may_ask(self.limits())
                .and_then(|()| tables.describe(self, &caps, &mut exported));
            match described {
                Ok(described) => {
                    let question = tables.ask(Question {
                        reply_to,
                        exported,
                        prompt,
                        finished: false,
                    });
                    at.set_question(&mut builder, question);
                    protocol::put_cap_table(&mut builder, at.payload, &described);
                    self.push(builder);
                    Ok(question)
                }
                Err(error) => {
                    tables.release_all(&exported, &mut garbage);
                    Err(error)
                }
            }
        };
        for cap in garbage {
            self.discard(cap);
        }
        sent
    }
}

/// Calls an object of this process that is known by its capability only: the call goes through messages, as it would
/// to another process, on this thread.
fn call_local(
    server: &Arc<dyn Server>,
    plan: &'static MethodPlan,
    params: impl FnOnce(StructAt, &mut Encoder) -> Result<(), Error>,
) -> Result<Reply, Error> {
    let method = &plan.method;
    let read_limits = ReadLimits::default();
    let mut request = Encoder::new(None);
    let root = request.builder.root();
    let at = request
        .builder
        .init_struct(root, method.params.data_words, method.params.pointers);
    params(at, &mut request)?;
    let message = request.builder.into_message(&read_limits)?;
    let decoder = Decoder {
        caps: &request.caps,
        conn: None,
    };
    let mut encoder = Encoder::new(None);
    let root = encoder.builder.root();
    let mut call = ServerCall::new(
        message.root().structure()?,
        decoder,
        &mut encoder,
        root,
        plan,
    );
    server.invoke(method.interface, method.ordinal, &mut call)?;
    Ok(Reply::bare(
        encoder.builder.into_message(&read_limits)?,
        encoder.caps,
        None,
    ))
}
