//! A call of the peer, from its message to its answer.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::{Conn, protocol};
use crate::cap::{Cap, Server};
use crate::error::Error;
use crate::field::{Decoder, Encoder};
use crate::interface::{Reply, ServerCall};
use crate::log;
use crate::plan::MethodPlan;
use crate::thread;
use crate::wire::Message;

/// A call of the peer on its way to the object. It is always answered: at the latest when it is dropped.
pub(crate) struct Incoming {
    pub(super) conn: Arc<Conn>,
    pub(super) answer: u32,
    pub(super) message: Message,
    pub(super) caps: Vec<Cap>,
    pub(super) interface: u64,
    pub(super) ordinal: u16,
    /// The peer wants to take the results from us later, for another question.
    pub(super) kept: bool,
    pub(super) request: u64,
    pub(super) plan: Option<&'static MethodPlan>,
    pub(super) answered: bool,
    /// Bytes counted against the limit of what may wait for threads.
    pub(super) queued: usize,
}

impl Incoming {
    pub(super) fn cap(&self, index: Option<u32>) -> Cap {
        index
            .and_then(|index| self.caps.get(index as usize))
            .cloned()
            .unwrap_or_default()
    }

    /// Has the call run on a thread.
    pub(super) fn post(mut self, target: &thread::Target, server: Arc<dyn Server>, callback: Cap) {
        if let Err(error) = self.count() {
            return self.fail(&error);
        }
        let queue = self.conn.limits().queued_calls;
        log::server_post(self.request, target.name());
        let job = move |ready: Result<(), Error>| match ready {
            Ok(()) => self.run(&server, Some(callback)),
            Err(error) => self.fail(&error),
        };
        target.post(Box::new(job), queue);
    }

    /// Counts the call against the limit of what may wait.
    pub(super) fn count(&mut self) -> Result<(), Error> {
        if self.queued > 0 {
            return Ok(());
        }
        self.queued = self.message.bytes().len();
        let waiting = self
            .conn
            .queued_bytes
            .fetch_add(self.queued, Ordering::Relaxed)
            + self.queued;
        let limit = self.conn.limits().queued_bytes;
        if waiting > limit {
            return Err(Error::Limit {
                what: "bytes of waiting calls",
                limit: limit as u64,
            });
        }
        Ok(())
    }

    fn uncount(&mut self) {
        let size = std::mem::take(&mut self.queued);
        self.conn.queued_bytes.fetch_sub(size, Ordering::Relaxed);
    }

    /// Runs the call on this thread and answers it. `callback` is the peer's thread that waits for it.
    pub(super) fn run(mut self, server: &Arc<dyn Server>, callback: Option<Cap>) {
        self.uncount();
        let Some(plan) = self.plan else { return };
        let conn = self.conn.clone();
        // A call on the connection's own thread cannot be cut off while it runs.
        let executing = callback.is_some().then_some(self.request);
        if !conn.begin(self.answer, executing) {
            log::server_canceled(self.request);
            self.caps.clear();
            self.answered = true;
            conn.return_canceled(self.answer);
            return;
        }
        if callback.is_some() {
            log::server_executing(self.request);
        }
        let mut encoder = Encoder::new(Some(conn.clone()));
        let at = protocol::begin_return(&mut encoder.builder, self.answer);
        let done = {
            let serving = thread::serve(&conn, self.answer, callback);
            let done = std::panic::catch_unwind(AssertUnwindSafe(|| {
                let params = protocol::params_of(self.message.root())?.structure()?;
                let decoder = Decoder {
                    caps: &self.caps,
                    conn: Some(&conn),
                };
                let mut call = ServerCall::new(params, decoder, &mut encoder, at.content(), plan);
                server.invoke(self.interface, self.ordinal, &mut call)
            }));
            // References that came with the call go back together with the reply.
            self.caps.clear();
            drop(serving);
            done
        };
        if executing.is_some() && conn.has_ended() {
            log::server_interrupted(self.request);
            self.answered = true;
            return;
        }
        match done {
            Ok(Ok(())) => {
                log::server_send(self.request, plan, || log::of_results(&encoder, plan));
                self.answered = true;
                conn.return_results(self.answer, encoder, &at, self.kept);
            }
            Ok(Err(error)) => {
                drop(encoder);
                self.fail(&error);
            }
            Err(_) => {
                drop(encoder);
                self.fail(&Error::failed(format!(
                    "{}.{} panicked",
                    plan.interface, plan.method.name
                )));
            }
        }
    }

    /// Answers with an exception.
    pub(super) fn fail(mut self, error: &Error) {
        let (kind, text) = error.to_exception();
        if let Some(plan) = self.plan {
            log::server_error(self.request, plan, &text);
        }
        self.caps.clear();
        self.answered = true;
        self.conn.return_exception(self.answer, kind, &text);
    }

    /// Answers with what another object answered.
    pub(super) fn answer_with(mut self, reply: Reply) {
        let mut encoder = Encoder::new(Some(self.conn.clone()));
        let at = protocol::begin_return(&mut encoder.builder, self.answer);
        let copied = reply
            .content()
            .and_then(|content| Ok(encoder.builder.copy(at.content(), content)?));
        if let Err(error) = copied {
            return self.fail(&error);
        }
        encoder.caps = reply.into_caps();
        self.caps.clear();
        self.answered = true;
        self.conn
            .return_results(self.answer, encoder, &at, self.kept);
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        self.uncount();
        if !self.answered {
            self.answered = true;
            let (kind, text) = Error::Cancelled.to_exception();
            self.conn.return_exception(self.answer, kind, &text);
        }
    }
}
