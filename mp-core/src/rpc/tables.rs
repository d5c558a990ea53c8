//! What the two sides of a connection refer to by number.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use super::protocol::{Described, Path};
use super::{Conn, Import};
use crate::cancel::Cancellation;
use crate::cap::{Cap, Promise};
use crate::error::Error;
use crate::interface::Reply;
use crate::limits::Limits;
use crate::pending::Task;
use crate::thread::ReplyCell;

/// The four tables.
#[derive(Default)]
pub(super) struct Tables {
    pub(super) closed: bool,
    pub(super) draining: bool,
    questions: Slab<Question>,
    pub(super) answers: HashMap<u32, Answer>,
    exports: Slab<Export>,
    /// Exports by what they refer to, so that an object passed twice has one number.
    by_key: HashMap<(usize, u64), u32>,
    imports: HashMap<u32, ImportEntry>,
    /// Objects of this side that a promise of the peer became, until the calls made on the promise have come back.
    embargoes: Slab<(Arc<Promise>, Cap)>,
}

/// A call of ours that waits for its return.
pub(super) struct Question {
    pub(super) reply_to: ReplyTo,
    /// Exports that its parameters hold a reference to.
    pub(super) exported: Vec<u32>,
    /// Whether capabilities of either side depend on it being finished soon.
    pub(super) prompt: bool,
    /// The peer was told that nobody waits for the return.
    pub(super) finished: bool,
}

/// Who gets a reply.
pub(super) enum ReplyTo {
    /// A thread that waits.
    Cell(Arc<ReplyCell>),
    /// A call that was passed on.
    Then(Box<dyn FnOnce(Result<Reply, Error>) + Send>),
    /// A future.
    Task(Arc<Task>),
    /// Nobody any more.
    Nobody,
}

impl ReplyTo {
    pub(super) fn deliver(self, reply: Result<Reply, Error>) {
        match self {
            Self::Cell(cell) => cell.deliver(reply),
            Self::Then(then) => then(reply),
            Self::Task(task) => task.deliver(reply),
            Self::Nobody => drop(reply),
        }
    }
}

/// A call of the peer.
#[derive(Default)]
pub(super) struct Answer {
    pub(super) state: AnswerState,
    /// The peer no longer wants the results.
    pub(super) finished: bool,
    /// Given when the results are no longer wanted; made when somebody asks for it.
    pub(super) cancellation: Option<Cancellation>,
    /// The number of the request while it is run on a thread of its own, for logs.
    pub(super) executing: Option<u64>,
}

impl Answer {
    /// Whether anybody wants the results: the caller, or a call that was made on them.
    pub(super) fn is_wanted(&self) -> bool {
        !self.finished || matches!(self.state, AnswerState::Awaited { .. })
    }
}

#[derive(Default)]
pub(super) enum AnswerState {
    /// Still running. Calls on capabilities in its results wait for these promises.
    #[default]
    Running,
    /// Still running, and awaited.
    Awaited {
        promises: Vec<(Path, Arc<Promise>)>,
        takers: Vec<ReplyTo>,
    },
    /// Returned.
    Done {
        /// The results, kept for as long as calls may be made on the capabilities in them.
        reply: Option<Arc<Reply>>,
        /// References that the results hold.
        exported: Vec<u32>,
    },
}

impl AnswerState {
    pub(super) fn is_done(&self) -> bool {
        matches!(self, Self::Done { .. })
    }
}

struct Export {
    cap: Cap,
    refs: u32,
}

struct ImportEntry {
    refs: u32,
    import: Weak<Import>,
}

/// What was left when a connection ended.
pub(super) struct Remains {
    pub(super) questions: Vec<Question>,
    pub(super) answers: HashMap<u32, Answer>,
    pub(super) exports: Vec<Cap>,
    pub(super) embargoes: Vec<(Arc<Promise>, Cap)>,
}

impl Tables {
    /// Checks that one more call may be made.
    pub(super) fn may_ask(&self, limits: &Limits) -> Result<(), Error> {
        if self.closed {
            return Err(Error::Disconnected { during: false });
        }
        if self.questions.len() >= limits.questions {
            return Err(Error::Limit {
                what: "calls in flight",
                limit: limits.questions as u64,
            });
        }
        Ok(())
    }

    /// Numbers a call.
    pub(super) fn ask(&mut self, question: Question) -> u32 {
        self.questions.insert(question)
    }

    /// Ends a call: its number may be used again.
    pub(super) fn answered(&mut self, id: u32) -> Option<Question> {
        self.questions.remove(id)
    }

    /// Lets go of a call whose return nobody waits for, if it has not returned: `Finish` is to be sent. The number may
    /// belong to another call by now, which `is_ours` tells. Gives what waited.
    pub(super) fn give_up(
        &mut self,
        id: u32,
        is_ours: impl FnOnce(&ReplyTo) -> bool,
    ) -> Option<ReplyTo> {
        let question = self.questions.get_mut(id)?;
        if !is_ours(&question.reply_to) {
            return None;
        }
        question.finished = true;
        Some(std::mem::replace(&mut question.reply_to, ReplyTo::Nobody))
    }

    /// The peer's calls that have not returned.
    pub(super) fn running(&self) -> usize {
        self.answers
            .values()
            .filter(|answer| !matches!(answer.state, AnswerState::Done { .. }))
            .count()
    }

    /// Describes capabilities to the peer. Objects of this side get a number, or one more reference; `exported` is
    /// told, so that it can be undone.
    pub(super) fn describe(
        &mut self,
        conn: &Conn,
        caps: &[Cap],
        exported: &mut Vec<u32>,
    ) -> Result<Vec<Described>, Error> {
        caps.iter()
            .map(|cap| self.describe_one(conn, cap, exported))
            .collect()
    }

    fn describe_one(
        &mut self,
        conn: &Conn,
        cap: &Cap,
        exported: &mut Vec<u32>,
    ) -> Result<Described, Error> {
        let key = match cap {
            Cap::Null => return Ok(Described::None),
            Cap::Remote(import) if std::ptr::eq(Arc::as_ptr(&import.conn), conn) => {
                return Ok(Described::ReceiverHosted(import.id));
            }
            Cap::Local(server) => Some(server.key()),
            _ => None,
        };
        if let Some(id) = key.and_then(|key| self.by_key.get(&key).copied())
            && let Some(export) = self.exports.get_mut(id)
            && let Some(refs) = export.refs.checked_add(1)
        {
            export.refs = refs;
            exported.push(id);
            return Ok(Described::SenderHosted(id));
        }
        if self.exports.len() >= conn.limits().exports {
            return Err(Error::Limit {
                what: "exported objects",
                limit: conn.limits().exports as u64,
            });
        }
        let id = self.exports.insert(Export {
            cap: cap.clone(),
            refs: 1,
        });
        if let Some(key) = key {
            self.by_key.insert(key, id);
        }
        exported.push(id);
        Ok(Described::SenderHosted(id))
    }

    /// What the peer means by the number of an export.
    pub(super) fn exported(&self, id: u32) -> Option<Cap> {
        self.exports.get(id).map(|export| export.cap.clone())
    }

    /// Takes back references of the peer. A capability that is no longer referred to goes to `garbage`.
    pub(super) fn release(
        &mut self,
        id: u32,
        count: u32,
        garbage: &mut Vec<Cap>,
    ) -> Result<(), Error> {
        let export = self
            .exports
            .get_mut(id)
            .ok_or_else(|| protocol_error("release of an unknown export"))?;
        export.refs = export
            .refs
            .checked_sub(count)
            .ok_or_else(|| protocol_error("release of more references than were given"))?;
        if export.refs == 0
            && let Some(export) = self.exports.remove(id)
        {
            if let Cap::Local(server) = &export.cap {
                let key = server.key();
                if self.by_key.get(&key) == Some(&id) {
                    self.by_key.remove(&key);
                }
            }
            garbage.push(export.cap);
        }
        Ok(())
    }

    /// Takes back one reference to each.
    pub(super) fn release_all(&mut self, exported: &[u32], garbage: &mut Vec<Cap>) {
        for id in exported {
            // They were given by `describe`; the peer may have released them itself.
            let _ = self.release(*id, 1, garbage);
        }
    }

    /// An object of the peer, with one more reference to give back.
    pub(super) fn import(
        &mut self,
        conn: &Arc<Conn>,
        id: u32,
        promise: bool,
    ) -> Result<Cap, Error> {
        let limit = conn.limits().imports;
        if self.imports.len() >= limit && !self.imports.contains_key(&id) {
            return Err(Error::Limit {
                what: "imported objects",
                limit: limit as u64,
            });
        }
        let entry = self.imports.entry(id).or_insert_with(|| ImportEntry {
            refs: 0,
            import: Weak::new(),
        });
        entry.refs = entry
            .refs
            .checked_add(1)
            .ok_or_else(|| protocol_error("too many references to one object"))?;
        if let Some(import) = entry.import.upgrade() {
            return Ok(Cap::Remote(import));
        }
        let import = Arc::new(Import {
            conn: conn.clone(),
            id,
            resolved: std::sync::OnceLock::new(),
            promise,
        });
        entry.import = Arc::downgrade(&import);
        Ok(Cap::Remote(import))
    }

    /// Keeps a capability back; gives the number by which the peer says that it may be called.
    pub(super) fn embargo(&mut self, promise: Arc<Promise>, cap: Cap) -> u32 {
        self.embargoes.insert((promise, cap))
    }

    /// Ends an embargo.
    pub(super) fn disembargo(&mut self, id: u32) -> Option<(Arc<Promise>, Cap)> {
        self.embargoes.remove(id)
    }

    /// The import of this number, if it is still held.
    pub(super) fn imported(&self, id: u32) -> Option<Arc<Import>> {
        self.imports.get(&id)?.import.upgrade()
    }

    /// Forgets an import that is being dropped; gives the references to give back, unless the peer has meanwhile
    /// sent the object anew.
    pub(super) fn drop_import(&mut self, id: u32, import: &Import) -> Option<u32> {
        let entry = self.imports.get(&id)?;
        if !std::ptr::eq(entry.import.as_ptr(), import) {
            return None;
        }
        self.imports.remove(&id).map(|entry| entry.refs)
    }

    /// Empties the tables.
    pub(super) fn take(&mut self) -> Remains {
        self.imports.clear();
        self.by_key.clear();
        Remains {
            questions: self.questions.take(),
            embargoes: self.embargoes.take(),
            answers: std::mem::take(&mut self.answers),
            exports: self
                .exports
                .take()
                .into_iter()
                .map(|export| export.cap)
                .collect(),
        }
    }
}

/// Places in the results of one running call that may be referred to. A struct has few capabilities.
const MAX_PROMISES: usize = 64;

impl AnswerState {
    /// A promise of the capability at `path` in results that are not there yet; `None` if there are too many.
    pub(super) fn promise(&mut self, path: Path) -> Option<Arc<Promise>> {
        if !matches!(self, Self::Awaited { .. }) {
            *self = Self::Awaited {
                promises: Vec::new(),
                takers: Vec::new(),
            };
        }
        let Self::Awaited { promises, .. } = self else {
            return None;
        };
        if let Some((_, promise)) = promises.iter().find(|(known, _)| *known == path) {
            return Some(promise.clone());
        }
        if promises.len() >= MAX_PROMISES {
            return None;
        }
        let promise = Arc::new(Promise::default());
        promises.push((path, promise.clone()));
        Some(promise)
    }

    /// Tells who waits that there will be no results.
    pub(super) fn abandon(self, error: &Error) {
        if let Self::Awaited { promises, takers } = self {
            for (_, promise) in promises {
                promise.resolve(Cap::Broken(error.clone()));
            }
            for taker in takers {
                taker.deliver(Err(error.clone()));
            }
        }
    }

    /// Asks for results that are not there yet.
    pub(super) fn take_later(&mut self, taker: ReplyTo) {
        match self {
            Self::Awaited { takers, .. } => takers.push(taker),
            _ => {
                *self = Self::Awaited {
                    promises: Vec::new(),
                    takers: vec![taker],
                }
            }
        }
    }
}

/// A breach of the protocol by the peer, which ends the connection.
pub(super) fn protocol_error(what: &'static str) -> Error {
    Error::decode(
        "message",
        crate::error::DecodeError::Invalid(what.to_owned()),
    )
}

/// Values numbered by the lowest free number.
struct Slab<T> {
    entries: Vec<Option<T>>,
    free: Vec<u32>,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self {
            entries: Vec::new(),
            free: Vec::new(),
        }
    }
}

impl<T> Slab<T> {
    fn len(&self) -> usize {
        self.entries.len() - self.free.len()
    }

    fn insert(&mut self, value: T) -> u32 {
        match self.free.pop() {
            Some(id) => {
                self.entries[id as usize] = Some(value);
                id
            }
            None => {
                self.entries.push(Some(value));
                (self.entries.len() - 1) as u32
            }
        }
    }

    fn get(&self, id: u32) -> Option<&T> {
        self.entries.get(id as usize)?.as_ref()
    }

    fn get_mut(&mut self, id: u32) -> Option<&mut T> {
        self.entries.get_mut(id as usize)?.as_mut()
    }

    fn remove(&mut self, id: u32) -> Option<T> {
        let value = self.entries.get_mut(id as usize)?.take()?;
        self.free.push(id);
        Some(value)
    }

    fn take(&mut self) -> Vec<T> {
        self.free.clear();
        std::mem::take(&mut self.entries)
            .into_iter()
            .flatten()
            .collect()
    }
}
