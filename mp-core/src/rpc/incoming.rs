//! Messages of the peer, handled by the thread that received them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::answers::cap_at;
use super::protocol::{self, Descriptor, Path, Target, tag};
use super::request::Incoming;
use super::tables::{Answer, AnswerState, ReplyTo, protocol_error};
use super::{Conn, Import};
use crate::cap::{Cap, Promise, Server};
use crate::error::{Error, ExceptionKind};
use crate::field::Encoder;
use crate::interface::Reply;
use crate::log;
use crate::sync::lock;
use crate::thread::{self, Context};
use crate::wire::{Message, StructReader};

/// Requests are numbered across connections, for the log.
static REQUESTS: AtomicU64 = AtomicU64::new(0);

/// The error for a method that the object has not.
pub(crate) fn not_implemented(interface: &str, method: &str) -> Error {
    Error::unimplemented(format!(
        "Method not implemented.; interfaceName = {interface}; methodName = {method}"
    ))
}

impl Conn {
    /// Handles one message. An error ends the connection.
    pub(super) fn handle(self: &Arc<Self>, message: Message) -> Result<(), Error> {
        let root = message.root().structure()?;
        let body = root.pointer(0);
        match root.bits(16, 0) {
            tag::CALL => self.on_call(message),
            tag::RETURN => self.on_return(message),
            tag::FINISH => self.on_finish(body.structure()?),
            tag::RELEASE => self.on_release(body.structure()?),
            tag::BOOTSTRAP => self.on_bootstrap(body.structure()?),
            tag::RESOLVE => self.on_resolve(body.structure()?),
            tag::DISEMBARGO => self.on_disembargo(body.structure()?),
            tag::UNIMPLEMENTED => self.on_unimplemented(body.structure()?),
            tag::ABORT => {
                let (kind, reason) = protocol::read_exception(body.structure()?)?;
                Err(Error::from_exception(
                    kind,
                    &format!("peer aborted the connection: {reason}"),
                ))
            }
            _ => {
                self.push(protocol::unimplemented(message.root())?);
                self.flush();
                Ok(())
            }
        }
    }

    fn on_bootstrap(self: &Arc<Self>, body: StructReader<'_>) -> Result<(), Error> {
        let answer = body.bits(32, 0) as u32;
        let Some(root) = self.root.clone() else {
            self.return_exception(answer, ExceptionKind::Failed, "this side offers no object");
            return Ok(());
        };
        self.new_answer(answer)?;
        let mut encoder = Encoder::new(Some(self.clone()));
        let at = protocol::begin_return(&mut encoder.builder, answer);
        encoder.put_cap(at.content(), Cap::Local(root));
        self.return_results(answer, encoder, &at, false);
        Ok(())
    }

    /// Opens an entry for a call of the peer.
    fn new_answer(&self, answer: u32) -> Result<(), Error> {
        // What was there answers its callers when it is dropped, for which the tables must be free.
        let replaced = lock(&self.tables).answers.insert(answer, Answer::default());
        if replaced.is_some() {
            return Err(protocol_error("call with a number that is in use"));
        }
        Ok(())
    }

    fn on_call(self: &Arc<Self>, message: Message) -> Result<(), Error> {
        let call = message.root().structure()?.pointer(0).structure()?;
        let answer = call.bits(32, 0) as u32;
        let (open, draining) = {
            let tables = lock(&self.tables);
            (tables.answers.len(), tables.draining)
        };
        if open >= self.limits().answers {
            let limit = Error::Limit {
                what: "unfinished calls",
                limit: self.limits().answers as u64,
            };
            self.return_exception(answer, ExceptionKind::Overloaded, &limit.to_string());
            return Ok(());
        }
        let caps = self.import_caps(call.pointer(1).structure()?)?;
        let target = protocol::read_target(call.pointer(0).structure()?)?;
        self.new_answer(answer)?;
        let incoming = Incoming {
            conn: self.clone(),
            answer,
            interface: call.bits(64, 1),
            ordinal: call.bits(16, 2) as u16,
            kept: call.bits(16, 3) == 1,
            caps,
            message,
            request: 0,
            plan: None,
            answered: false,
            queued: 0,
        };
        if !self.options.allows(incoming.interface) {
            log::server_refused(incoming.interface, incoming.ordinal);
            let text = format!(
                "interface {:#018x} is not allowed on this connection",
                incoming.interface
            );
            incoming.fail(&Error::unimplemented(text));
            return Ok(());
        }
        if draining {
            incoming.fail(&Error::overloaded("connection is being closed"));
            return Ok(());
        }
        let cap = match target {
            Some(Target::Imported(id)) => lock(&self.tables)
                .exported(id)
                .ok_or_else(|| protocol_error("call on an unknown export"))?,
            Some(Target::Answer(question, path)) => self.promised(question, path),
            None => Cap::Broken(Error::unimplemented("target is of an unknown kind")),
        };
        self.deliver(incoming, cap);
        Ok(())
    }

    /// The capability at `path` in the results of a call of the peer.
    fn promised(&self, question: u32, path: Path) -> Cap {
        let mut tables = lock(&self.tables);
        let Some(answer) = tables.answers.get_mut(&question) else {
            return Cap::Broken(Error::failed("call on the results of a call that is over"));
        };
        match &mut answer.state {
            AnswerState::Done {
                reply: Some(reply), ..
            } => {
                let reply = reply.clone();
                drop(tables);
                cap_at(&reply, &path)
            }
            AnswerState::Done { reply: None, .. } => {
                Cap::Broken(Error::failed("call on results without capabilities"))
            }
            state => match state.promise(path) {
                Some(promise) => Cap::Promise(promise),
                None => Cap::Broken(Error::overloaded(
                    "too many references to one call's results",
                )),
            },
        }
    }

    /// Brings a call to what it is made on.
    fn deliver(self: &Arc<Self>, mut incoming: Incoming, cap: Cap) {
        match cap.settled() {
            Cap::Local(server) => self.dispatch(incoming, server),
            Cap::Remote(import) => self.pass_on(incoming, &import),
            Cap::Promise(promise) => {
                if let Err(error) = incoming.count() {
                    return incoming.fail(&error);
                }
                let conn = self.clone();
                promise.then(move |cap| conn.deliver(incoming, cap));
            }
            Cap::Null => incoming.fail(&Error::failed("Called null capability.")),
            Cap::Broken(error) => incoming.fail(&error),
        }
    }

    /// Runs a call, or has it run on the thread that it names.
    fn dispatch(self: &Arc<Self>, mut incoming: Incoming, server: Arc<dyn Server>) {
        let Some(plan) = server.plan(incoming.interface, incoming.ordinal) else {
            let text = format!(
                "Method not implemented.; interfaceId = {:#018x}; methodId = {}",
                incoming.interface, incoming.ordinal
            );
            return incoming.fail(&Error::unimplemented(text));
        };
        incoming.plan = Some(plan);
        incoming.request = REQUESTS.fetch_add(1, Ordering::Relaxed) + 1;
        log::server_recv(incoming.request, plan, &incoming.message);
        let Some(field) = plan.context else {
            if server.runs_user_code() {
                let conn = self.clone();
                return conn.aside(Box::new(move || incoming.run(&server, None)));
            }
            return incoming.run(&server, None);
        };
        let context = protocol::params_of(incoming.message.root())
            .and_then(|params| params.structure()?.pointer(field.offset).structure())
            .and_then(|context| {
                Ok((
                    context.pointer(0).capability()?,
                    context.pointer(1).capability()?,
                ))
            });
        let (thread, callback) = match context {
            Ok((thread, callback)) => (incoming.cap(thread), incoming.cap(callback)),
            Err(error) => return incoming.fail(&Error::decode("context", error)),
        };
        self.dispatch_to(incoming, server, Context { thread, callback });
    }

    fn dispatch_to(
        self: &Arc<Self>,
        mut incoming: Incoming,
        server: Arc<dyn Server>,
        context: Context,
    ) {
        match context.thread.settled() {
            Cap::Promise(promise) => {
                if let Err(error) = incoming.count() {
                    return incoming.fail(&error);
                }
                let conn = self.clone();
                promise.then(move |thread| {
                    conn.dispatch_to(
                        incoming,
                        server,
                        Context {
                            thread,
                            callback: context.callback,
                        },
                    );
                });
            }
            // libmultiprocess learns of a broken thread only when it is asked what it is, and says this.
            Cap::Broken(error) => incoming.fail(&error),
            thread => match thread::find(self, &thread) {
                Ok(target) => incoming.post(&target, server, context.callback),
                Err(error) => incoming.fail(&error),
            },
        }
    }

    /// Passes a call on to an object that is not of this process.
    fn pass_on(self: &Arc<Self>, incoming: Incoming, import: &Arc<Import>) {
        let mut encoder = Encoder::new(Some(import.conn.clone()));
        let at = protocol::begin_call(
            &mut encoder.builder,
            import.id,
            incoming.interface,
            incoming.ordinal,
        );
        let copied = protocol::params_of(incoming.message.root())
            .and_then(|params| encoder.builder.copy(at.content(), params));
        if let Err(error) = copied {
            return incoming.fail(&error.into());
        }
        encoder.caps = incoming.caps.clone();
        let conn = import.conn.clone();
        let then = ReplyTo::Then(Box::new(move |reply| match reply {
            Ok(reply) => incoming.answer_with(reply),
            Err(error) => incoming.fail(&error),
        }));
        // On failure the call is dropped with its closure, and answered by that.
        if conn.send_call(encoder, &at, then, true).is_ok() {
            conn.flush();
        }
    }

    fn on_return(self: &Arc<Self>, message: Message) -> Result<(), Error> {
        let ret = message.root().structure()?.pointer(0).structure()?;
        let id = ret.bits(32, 0) as u32;
        let (variant, release_params, no_finish) = (ret.bits(16, 3), !ret.bit(32), ret.bit(33));
        let reply = match variant {
            0 => self.import_caps(ret.pointer(0).structure()?).map(Ok)?,
            1 => {
                let (kind, reason) = protocol::read_exception(ret.pointer(0).structure()?)?;
                Err(Error::from_exception(kind, &reason))
            }
            2 => Err(Error::Cancelled),
            4 => return self.on_take(id, ret.bits(32, 2) as u32, release_params, no_finish),
            _ => Err(Error::unimplemented("results were sent elsewhere")),
        };
        // Objects of the peer end when they are released here, with which the `Finish` travels; others wait for it.
        let holds_ours = reply
            .as_ref()
            .is_ok_and(|caps| caps.iter().any(|cap| !matches!(cap, Cap::Remote(_))));
        let big = message.bytes().len() > PROMPT_FINISH;
        let reply = reply.map(|caps| Reply::framed(Arc::new(message), caps, self.clone()));
        let (reply_to, prompt) = self.finish_question(id, release_params, no_finish)?;
        if prompt || holds_ours || big {
            self.flush();
        }
        match (reply_to, reply) {
            // What came back may be an object of this side, of which this is the last reference.
            (ReplyTo::Nobody, Ok(reply)) => {
                for cap in reply.into_caps() {
                    self.discard(cap);
                }
            }
            // A future's waker is its executor's.
            (ReplyTo::Task(task), reply) => self.aside(Box::new(move || task.deliver(reply))),
            (reply_to, reply) => reply_to.deliver(reply),
        }
        Ok(())
    }

    /// Ends a call of this side that returned. The `Finish` is queued; it may wait for the next message if nothing
    /// depends on it.
    fn finish_question(
        &self,
        id: u32,
        release_params: bool,
        no_finish: bool,
    ) -> Result<(ReplyTo, bool), Error> {
        let mut garbage = Vec::new();
        let question = {
            let mut tables = lock(&self.tables);
            let question = tables
                .answered(id)
                .ok_or_else(|| protocol_error("return for an unknown call"))?;
            if release_params {
                tables.release_all(&question.exported, &mut garbage);
            }
            if !no_finish && !question.finished {
                self.push(protocol::finish(id));
            }
            question
        };
        for cap in garbage {
            self.discard(cap);
        }
        Ok((question.reply_to, question.prompt && !no_finish))
    }

    /// The results of our call are those of a call of the peer, which we passed on or answered before.
    fn on_take(
        &self,
        id: u32,
        answer: u32,
        release_params: bool,
        no_finish: bool,
    ) -> Result<(), Error> {
        let (reply_to, prompt) = self.finish_question(id, release_params, no_finish)?;
        let mut tables = lock(&self.tables);
        let found = match tables
            .answers
            .get_mut(&answer)
            .map(|answer| &mut answer.state)
        {
            Some(AnswerState::Done {
                reply: Some(reply), ..
            }) => Ok(reply.clone()),
            Some(AnswerState::Done { reply: None, .. }) | None => {
                Err(Error::failed("results are not kept here"))
            }
            Some(state) => {
                state.take_later(reply_to);
                return Ok(());
            }
        };
        drop(tables);
        if prompt {
            self.flush();
        }
        reply_to.deliver(found.map(|reply| reply.share()));
        Ok(())
    }

    fn on_finish(&self, body: StructReader<'_>) -> Result<(), Error> {
        let id = body.bits(32, 0) as u32;
        let release_results = !body.bit(32);
        let mut garbage = Vec::new();
        let mut cancellation = None;
        let ended = {
            let mut tables = lock(&self.tables);
            // Unknown numbers are those of answers that asked for no `Finish`.
            let Some(answer) = tables.answers.get_mut(&id) else {
                return Ok(());
            };
            if let AnswerState::Done { exported, .. } = &mut answer.state {
                let exported = std::mem::take(exported);
                if release_results {
                    tables.release_all(&exported, &mut garbage);
                }
                tables.answers.remove(&id)
            } else {
                answer.finished = true;
                if !answer.is_wanted() {
                    cancellation = answer.cancellation.take();
                }
                None
            }
        };
        if let Some(cancellation) = cancellation {
            self.aside(Box::new(move || cancellation.cancel()));
        }
        drop(ended);
        for cap in garbage {
            self.discard(cap);
        }
        Ok(())
    }

    fn on_release(&self, body: StructReader<'_>) -> Result<(), Error> {
        let mut garbage = Vec::new();
        let released = lock(&self.tables).release(
            body.bits(32, 0) as u32,
            body.bits(32, 1) as u32,
            &mut garbage,
        );
        for cap in garbage {
            self.discard(cap);
        }
        released
    }

    /// A promise of the peer became something, which is called in its stead from now on.
    fn on_resolve(self: &Arc<Self>, body: StructReader<'_>) -> Result<(), Error> {
        let promise = lock(&self.tables).imported(body.bits(32, 0) as u32);
        let cap = if body.bits(16, 2) == 1 {
            let (kind, reason) = protocol::read_exception(body.pointer(0).structure()?)?;
            Cap::Broken(Error::from_exception(kind, &reason))
        } else {
            let descriptor = protocol::read_descriptor(body.pointer(0).structure()?)?;
            let mut caps = self.import_all(vec![descriptor])?;
            caps.pop().unwrap_or_default()
        };
        // What came for a promise that is let go of is given back as it is dropped.
        let Some(promise) = promise.filter(|promise| promise.promise) else {
            return Ok(());
        };
        if promise.resolved().is_some() {
            return Err(protocol_error("promise that is resolved twice"));
        }
        let resolved = match cap {
            // Another promise: calls go by way of this one, which the peer passes on.
            Cap::Remote(import) if import.promise => return Ok(()),
            Cap::Local(_) | Cap::Promise(_) => self.embargo(&promise, cap),
            cap => cap,
        };
        let _ = promise.resolved.set(resolved);
        Ok(())
    }

    /// A promise of the peer turned out to be an object of this side. Calls made on it are still on their way back, and
    /// must not be overtaken by what is called from now on.
    fn embargo(&self, import: &Import, cap: Cap) -> Cap {
        let promise = Arc::<Promise>::default();
        {
            let mut tables = lock(&self.tables);
            let id = tables.embargo(promise.clone(), cap);
            self.push(protocol::disembargo_sender(import.id, id));
        }
        self.flush();
        Cap::Promise(promise)
    }

    /// The peer learnt that something we gave it is its own. It asks when our side has passed on all calls that it
    /// made by way of us. Or it answers when we asked that.
    fn on_disembargo(self: &Arc<Self>, body: StructReader<'_>) -> Result<(), Error> {
        let id = body.bits(32, 0) as u32;
        match body.bits(16, 2) {
            0 => {}
            1 => {
                let ended = lock(&self.tables).disembargo(id);
                let (promise, cap) =
                    ended.ok_or_else(|| protocol_error("disembargo that answers no request"))?;
                promise.resolve(cap);
                return Ok(());
            }
            _ => return Err(protocol_error("disembargo of a higher level")),
        }
        let cap = match protocol::read_target(body.pointer(0).structure()?)? {
            Some(Target::Imported(id)) => lock(&self.tables)
                .exported(id)
                .ok_or_else(|| protocol_error("disembargo of an unknown export"))?,
            Some(Target::Answer(question, path)) => self.promised(question, path),
            None => return Err(protocol_error("disembargo of an unknown kind")),
        };
        if let Cap::Promise(promise) = &cap
            && promise.waiting() > self.limits().queued_calls
        {
            return Err(protocol_error("too many disembargoes of one promise"));
        }
        self.disembargo(id, cap);
        Ok(())
    }

    fn disembargo(self: &Arc<Self>, id: u32, cap: Cap) {
        match cap.settled() {
            Cap::Remote(import) if Arc::ptr_eq(&import.conn, self) => {
                self.push(protocol::disembargo_receiver(import.id, id));
                self.flush();
            }
            Cap::Promise(promise) => {
                let conn = self.clone();
                promise.then(move |cap| conn.disembargo(id, cap));
            }
            // Only an object of the peer can be embargoed.
            _ => {
                self.push(protocol::abort(
                    "disembargo of something that is not the sender's",
                ));
                self.flush_no_wait();
                self.close();
            }
        }
    }

    /// The peer does not know a message that we sent.
    fn on_unimplemented(&self, original: StructReader<'_>) -> Result<(), Error> {
        let body = original.pointer(0).structure()?;
        if matches!(original.bits(16, 0), tag::CALL | tag::BOOTSTRAP) {
            let question = {
                let mut tables = lock(&self.tables);
                tables.answered(body.bits(32, 0) as u32)
            };
            if let Some(question) = question {
                question.reply_to.deliver(Err(Error::unimplemented(
                    "peer does not implement this message",
                )));
            }
        }
        Ok(())
    }

    /// The capabilities in the table of a payload.
    fn import_caps(self: &Arc<Self>, payload: StructReader<'_>) -> Result<Vec<Cap>, Error> {
        let table = protocol::read_cap_table(payload, self.limits().imports)?;
        if table.is_empty() {
            Ok(Vec::new())
        } else {
            self.import_all(table)
        }
    }

    fn import_all(self: &Arc<Self>, table: Vec<Descriptor>) -> Result<Vec<Cap>, Error> {
        // Declared before the lock is taken: capabilities must not be dropped under it.
        let mut caps = Vec::with_capacity(table.len());
        let mut tables = lock(&self.tables);
        for descriptor in table {
            caps.push(match descriptor {
                Descriptor::None => Cap::Null,
                Descriptor::SenderHosted(id) => tables.import(self, id, false)?,
                Descriptor::SenderPromise(id) => tables.import(self, id, true)?,
                Descriptor::ReceiverHosted(id) => match tables.exported(id) {
                    Some(cap) => cap,
                    None => return Err(protocol_error("reference to an unknown export")),
                },
                Descriptor::ReceiverAnswer(question, path) => {
                    drop(tables);
                    let cap = self.promised(question, path);
                    tables = lock(&self.tables);
                    cap
                }
                Descriptor::Unknown => {
                    Cap::Broken(Error::unimplemented("capability is of an unknown kind"))
                }
            });
        }
        drop(tables);
        Ok(caps)
    }
}

/// A reply longer than this is finished at once, for the peer keeps it until then.
const PROMPT_FINISH: usize = 16 << 10;
