//! Calls that are made without waiting, as futures.

use std::any::Any;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use crate::cancel::{Bounds, Ends};
use crate::cap::Cap;
use crate::error::Error;
use crate::field::{Encoder, Outcome};
use crate::interface::{Interface, Reply, capability_of};
use crate::plan::MethodPlan;
use crate::rpc::Import;
use crate::sync::lock;
use crate::thread;
use crate::wire::StructAt;

/// A reply that is to come: what the methods of an asynchronous twin give.
///
/// The call is sent when the method is called, not when the future is first polled, so any number of calls can be under
/// way at once (up to [`Limits::questions`](crate::Limits::questions)). A future that is dropped before its reply came
/// calls its call off: the peer is told that nobody waits. No runtime is needed: whoever polls is woken through its
/// waker.
#[must_use = "dropping it calls the call off"]
pub struct Pending<O> {
    state: State,
    plan: &'static MethodPlan,
    read: fn(Result<Reply, Error>, &MethodPlan) -> O,
}

enum State {
    Failed(Error),
    Sent(Sent),
    Over,
}

/// A call that is under way.
struct Sent {
    call: Arc<Call>,
    _keep: Arc<Keep>,
    /// What may end it.
    _bounds: Bounds,
}

struct Call {
    question: u32,
    task: Arc<Task>,
    import: Arc<Import>,
}

impl Ends for Call {
    fn end(&self, error: Error) {
        let conn = self.import.conn();
        if conn.give_up_task(self.question, &self.task) {
            self.task.deliver(Err(error));
        }
    }
}

/// Where the reply to a future is put.
#[derive(Default)]
pub(crate) struct Task(Mutex<TaskState>);

#[derive(Default)]
struct TaskState {
    reply: Option<Result<Reply, Error>>,
    waker: Option<Waker>,
}

impl Task {
    pub(crate) fn deliver(&self, reply: Result<Reply, Error>) {
        let waker = {
            let mut state = lock(&self.0);
            state.reply = Some(reply);
            state.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// The object that is called, which must outlive its calls.
struct Keep {
    import: Arc<Import>,
    /// The proxy: its end may be the object's.
    _proxy: Box<dyn Any + Send + Sync>,
}

impl<O> std::fmt::Debug for Pending<O> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pending")
            .field("interface", &self.plan.interface)
            .field("method", &self.plan.method.name)
            .finish_non_exhaustive()
    }
}

impl<O> Future for Pending<O> {
    type Output = O;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<O> {
        let this = self.get_mut();
        let reply = match std::mem::replace(&mut this.state, State::Over) {
            State::Failed(error) => Err(error),
            State::Sent(sent) => {
                let mut state = lock(&sent.call.task.0);
                match state.reply.take() {
                    Some(reply) => reply,
                    None => {
                        let same = state
                            .waker
                            .as_ref()
                            .is_some_and(|waker| waker.will_wake(context.waker()));
                        if !same {
                            state.waker = Some(context.waker().clone());
                        }
                        drop(state);
                        this.state = State::Sent(sent);
                        return Poll::Pending;
                    }
                }
            }
            State::Over => Err(Error::Local("future was polled after its reply".to_owned())),
        };
        Poll::Ready((this.read)(reply, this.plan))
    }
}

// Nothing in it refers to itself.
impl<O> Unpin for Pending<O> {}

impl<O> Drop for Pending<O> {
    fn drop(&mut self) {
        if let State::Sent(Sent { call, .. }) = &self.state {
            let conn = call.import.conn();
            conn.give_up_task(call.question, &call.task);
        }
    }
}

/// An object of another process to which calls are made without waiting. Used through the asynchronous twin of a
/// trait, which `#[interface(…, async_twin)]` makes.
pub struct AsyncProxy<I: ?Sized> {
    keep: Arc<Keep>,
    marker: PhantomData<fn(&I)>,
}

impl<I: ?Sized> Clone for AsyncProxy<I> {
    fn clone(&self) -> Self {
        Self {
            keep: self.keep.clone(),
            marker: PhantomData,
        }
    }
}

impl<I: Interface + ?Sized> std::fmt::Debug for AsyncProxy<I> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "AsyncProxy<{}>", I::SCHEMA.name)
    }
}

impl<I: Interface + ?Sized> AsyncProxy<I> {
    /// The same object, called without waiting.
    ///
    /// # Errors
    /// [`Error::Local`] when the object is not of another process.
    pub fn new(object: &Arc<I>) -> Result<Self, Error> {
        match capability_of(object) {
            Some(Cap::Remote(import)) => Ok(Self {
                keep: Arc::new(Keep {
                    import,
                    _proxy: Box::new(object.clone()),
                }),
                marker: PhantomData,
            }),
            _ => Err(Error::Local(format!(
                "this {} is no object of another process; call it directly",
                I::SCHEMA.name
            ))),
        }
    }

    /// Sends a call.
    #[doc(hidden)]
    pub fn start<C, O: Outcome<C>>(
        &self,
        plan: &'static MethodPlan,
        params: impl FnOnce(StructAt, &mut Encoder) -> Result<(), Error>,
    ) -> Pending<O> {
        let task = Arc::<Task>::default();
        let conn = self.keep.import.conn();
        let scope = thread::scope();
        let sent = scope
            .check()
            .and_then(|()| conn.start_call(&self.keep.import, plan, params, task.clone()))
            .and_then(|question| {
                let call = Arc::new(Call {
                    question,
                    task,
                    import: self.keep.import.clone(),
                });
                let ends: Arc<dyn Ends> = call.clone();
                match scope.bind(&Arc::downgrade(&ends)) {
                    Ok(bounds) => Ok(Sent {
                        call,
                        _keep: self.keep.clone(),
                        _bounds: bounds,
                    }),
                    Err(error) => {
                        conn.give_up_task(call.question, &call.task);
                        Err(error)
                    }
                }
            });
        let state = sent.map_or_else(State::Failed, State::Sent);
        Pending {
            state,
            plan,
            read: O::from_reply,
        }
    }
}

/// What the twin of a method that never travels gives.
#[doc(hidden)]
pub fn local_only<C, O: Outcome<C>>() -> Pending<O> {
    const NOTHING: &MethodPlan = &crate::interface::NO_PLAN;
    Pending {
        state: State::Failed(Error::Local(
            "method is local to each process; call it on the object itself".to_owned(),
        )),
        plan: NOTHING,
        read: O::from_reply,
    }
}
