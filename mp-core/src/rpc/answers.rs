//! Returns to the peer.

use std::sync::Arc;

use super::tables::{AnswerState, Tables};
use super::{Conn, protocol};
use crate::cancel::Cancellation;
use crate::cap::Cap;
use crate::error::{Error, ExceptionKind};
use crate::field::Encoder;
use crate::interface::Reply;
use crate::sync::lock;
use crate::wire::{Builder, Message};

impl Conn {
    /// Answers with an exception. The answer's entry ends with it, for nobody can refer to its results.
    pub(super) fn return_exception(&self, answer: u32, kind: ExceptionKind, reason: &str) {
        let error = Error::from_exception(kind, reason);
        let ended = {
            let mut tables = lock(&self.tables);
            if tables.closed {
                return;
            }
            let ended = tables.answers.remove(&answer);
            self.tell_drain(&tables);
            self.push(protocol::return_exception(answer, kind, reason));
            ended
        };
        self.flush();
        if let Some(answer) = ended {
            answer.state.abandon(&error);
        }
    }

    /// Answers a call that nobody waits for, and that was not run.
    pub(super) fn return_canceled(&self, answer: u32) {
        let ended = {
            let mut tables = lock(&self.tables);
            if tables.closed {
                return;
            }
            self.push(protocol::return_bare(answer, 2));
            let ended = tables.answers.remove(&answer);
            self.tell_drain(&tables);
            ended
        };
        self.flush();
        if let Some(answer) = ended {
            answer.state.abandon(&Error::Cancelled);
        }
    }

    /// Tells who waits for the last answer that one more is given. It costs a system call even if nobody waits, and
    /// somebody does only at the end.
    fn tell_drain(&self, tables: &Tables) {
        if tables.draining {
            self.answered.notify_all();
        }
    }

    /// Whether anybody waits for the answer to a call of the peer that is not answered yet.
    pub(crate) fn is_wanted(&self, answer: u32) -> bool {
        let tables = lock(&self.tables);
        let entry = tables.answers.get(&answer);
        !tables.closed && entry.is_some_and(super::tables::Answer::is_wanted)
    }

    /// Notes that a call of the peer is run, under its number if it is on a thread of its own, unless nobody waits for
    /// it any more.
    pub(super) fn begin(&self, answer: u32, request: Option<u64>) -> bool {
        let mut tables = lock(&self.tables);
        let open = !tables.closed;
        match tables.answers.get_mut(&answer) {
            Some(entry) if open && entry.is_wanted() => {
                entry.executing = request;
                true
            }
            _ => false,
        }
    }

    /// What is given when nobody waits any more for the answer to a call of the peer.
    pub(crate) fn cancellation(&self, answer: u32) -> Cancellation {
        let mut tables = lock(&self.tables);
        let open = !tables.closed;
        match tables.answers.get_mut(&answer) {
            Some(entry) if open && entry.is_wanted() => {
                entry.cancellation.get_or_insert_default().clone()
            }
            _ => {
                let given = Cancellation::new();
                given.cancel();
                given
            }
        }
    }

    /// Answers with results.
    pub(super) fn return_results(
        self: &Arc<Self>,
        answer: u32,
        encoder: Encoder,
        at: &protocol::ReturnAt,
        kept: bool,
    ) {
        let Encoder { builder, caps, .. } = encoder;
        let mut garbage = Vec::new();
        let returned = {
            let mut tables = lock(&self.tables);
            let returned =
                self.enter_results(&mut tables, answer, builder, &caps, at, kept, &mut garbage);
            self.tell_drain(&tables);
            returned
        };
        for cap in garbage {
            self.discard(cap);
        }
        match returned {
            Ok(Returned { state, reply }) => {
                self.flush();
                settle(state, reply.as_deref());
            }
            Err(error) => {
                let (kind, text) = error.to_exception();
                self.return_exception(answer, kind, &text);
            }
        }
    }

    /// The part of [`Conn::return_results`] that needs the tables: numbers the capabilities, queues the frame.
    #[allow(clippy::too_many_arguments)]
    fn enter_results(
        self: &Arc<Self>,
        tables: &mut Tables,
        answer: u32,
        mut builder: Builder,
        caps: &[Cap],
        at: &protocol::ReturnAt,
        kept: bool,
        garbage: &mut Vec<Cap>,
    ) -> Result<Returned, Error> {
        let limits = &self.limits().message;
        builder.check(limits.message_bytes)?;
        let Some(entry) = tables.answers.get(&answer) else {
            return Ok(Returned::default());
        };
        if !entry.is_wanted() {
            self.push(protocol::return_bare(answer, 2));
            let state = tables
                .answers
                .remove(&answer)
                .map(|entry| entry.state)
                .unwrap_or_default();
            return Ok(Returned { state, reply: None });
        }
        let awaited = matches!(entry.state, AnswerState::Awaited { .. });
        // Calls were made on the results, which still need them although the caller does not.
        let finished = entry.finished;
        let plain = caps.is_empty() && !kept && !awaited;
        let mut exported = Vec::new();
        if plain {
            at.set_no_finish(&mut builder);
        }
        // Results that the peer takes from here stay here, so it gets no references.
        if !kept && !finished {
            match tables.describe(self, caps, &mut exported) {
                Ok(described) => protocol::put_cap_table(&mut builder, at.payload, &described),
                Err(error) => {
                    tables.release_all(&exported, garbage);
                    return Err(error);
                }
            }
        }
        let framed = builder.finish(limits.message_bytes).and_then(|frame| {
            let keep = if plain {
                None
            } else {
                Some(Message::parse(frame.clone(), limits)?)
            };
            Ok((frame, keep))
        });
        let (frame, keep) = match framed {
            Ok(framed) => framed,
            Err(error) => {
                tables.release_all(&exported, garbage);
                return Err(error.into());
            }
        };
        if finished {
            self.push(protocol::return_bare(answer, 2));
        } else if kept {
            self.push(protocol::return_bare(answer, 3));
        } else {
            self.output.push(frame);
        }
        let reply = keep.map(|message| {
            Arc::new(Reply::framed(
                Arc::new(message),
                caps.to_vec(),
                self.clone(),
            ))
        });
        let state = if plain || finished {
            tables.answers.remove(&answer).map(|entry| entry.state)
        } else {
            let done = AnswerState::Done {
                reply: reply.clone(),
                exported,
            };
            tables
                .answers
                .get_mut(&answer)
                .map(|entry| std::mem::replace(&mut entry.state, done))
        };
        Ok(Returned {
            state: state.unwrap_or_default(),
            reply,
        })
    }
}

/// What an answer was until it returned, and the results it returned, if they are kept.
#[derive(Default)]
struct Returned {
    state: AnswerState,
    reply: Option<Arc<Reply>>,
}

/// Gives the results to who awaited them.
fn settle(state: AnswerState, reply: Option<&Reply>) {
    let AnswerState::Awaited { promises, takers } = state else {
        return;
    };
    for (path, promise) in promises {
        promise.resolve(reply.map_or(Cap::Broken(Error::Cancelled), |reply| cap_at(reply, &path)));
    }
    for taker in takers {
        taker.deliver(reply.map(Reply::share).ok_or(Error::Cancelled));
    }
}

/// The capability at `path` in results.
pub(super) fn cap_at(reply: &Reply, path: &[u16]) -> Cap {
    let find = || -> Result<Cap, Error> {
        let mut at = reply.content()?;
        for step in path {
            at = at.structure()?.pointer((*step).into());
        }
        Ok(match at.capability()? {
            Some(index) => reply
                .caps()
                .get(index as usize)
                .cloned()
                .unwrap_or_default(),
            None => Cap::Null,
        })
    };
    find().unwrap_or_else(Cap::Broken)
}
