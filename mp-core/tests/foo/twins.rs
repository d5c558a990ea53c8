//! Calls that do not wait.

use std::future::Future;
use std::pin::pin;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

use mp_core::{Cancellation, Error, Limits, cancelled};

use crate::interface::{CallbackAsync, Foo, FooAsync};
use crate::server::{Calls, Pair, Server, pair, pair_with};

const SOON: Duration = Duration::from_secs(10);

/// Polls on this thread, which sleeps until it is woken.
fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

/// A pair whose server has `threads` threads for calls that do not wait.
fn twin(threads: u32) -> (Pair, FooAsync) {
    let pair = pair();
    pair.connection.make_pool(threads).unwrap();
    let twin = FooAsync::new(&pair.foo).unwrap();
    (pair, twin)
}

fn is_send<T: Send>(value: T) -> T {
    value
}

#[test]
fn replies_come_as_futures() {
    let (_pair, foo) = twin(1);
    assert_eq!(block_on(is_send(foo.add(40, 2))).unwrap(), 42);
    assert_eq!(block_on(foo.find("12")).unwrap(), Some(12));
    assert_eq!(
        block_on(foo.divide(1, 0)).unwrap(),
        Err("division by zero".to_owned())
    );
    let error = block_on(foo.fail("no".to_owned())).unwrap_err();
    assert_eq!(error.to_string(), "no");
    // Needs no thread of a pool.
    assert_eq!(block_on(foo.add_direct(3, 4)).unwrap(), 43);
    assert!(matches!(block_on(foo.describe()), Err(Error::Local(_))));
}

#[test]
fn objects_come_and_go() {
    let (pair, foo) = twin(2);
    let counter = block_on(foo.make_counter()).unwrap();
    assert_eq!(counter.next().unwrap(), 1);
    drop(counter);
    let called = thread::current().id();
    let (sender, ran) = channel();
    let callback = Calls(move |n| {
        sender.send(thread::current().id()).unwrap();
        Ok(n + 1)
    });
    assert_eq!(block_on(foo.callback(Arc::new(callback), 1)).unwrap(), 2);
    assert_ne!(
        ran.recv().unwrap(),
        called,
        "nobody waits on the caller's thread"
    );
    assert_eq!(
        pair.server
            .counters
            .load(std::sync::atomic::Ordering::SeqCst),
        0
    );
}

#[test]
fn sixty_four_calls_may_be_under_way() {
    let (pair, foo) = twin(4);
    let blocked = foo.block();
    pair.server.wait_blocked();
    let pending: Vec<_> = (0..64).map(|n| foo.add(n, 1000)).collect();
    // A few of them wait behind the first, on the same thread of the pool.
    pair.server.unblock();
    // In any order.
    for (n, pending) in pending.into_iter().enumerate().rev() {
        assert_eq!(block_on(pending).unwrap(), n as i32 + 1000);
    }
    block_on(blocked).unwrap();
}

#[test]
fn a_future_may_be_moved_to_another_thread_and_waker() {
    let (pair, foo) = twin(2);
    let mut pending = Box::pin(foo.block());
    pair.server.wait_blocked();
    let first = pending
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()));
    assert!(first.is_pending());
    let elsewhere = thread::spawn(move || block_on(pending));
    pair.server.unblock();
    elsewhere.join().unwrap().unwrap();
}

#[test]
fn a_dropped_future_calls_its_call_off() {
    let pair = pair();
    let (started, starts) = channel();
    let (ended, ends) = channel();
    let (started, ended) = (Mutex::new(started), Mutex::new(ended));
    let callback = Calls(move |n| {
        let (woken, wakes) = channel();
        Cancellation::of_call()
            .unwrap()
            .on_cancel(move || woken.send(()).unwrap());
        started.lock().unwrap().send(()).unwrap();
        let woken = wakes.recv_timeout(SOON).is_ok();
        ended.lock().unwrap().send(woken && cancelled()).unwrap();
        Ok(n)
    });
    pair.foo.save(Arc::new(callback)).unwrap();
    let saved = pair.server.saved.lock().unwrap().clone().unwrap();
    pair.serving.make_pool(1).unwrap();
    let saved = CallbackAsync::new(&saved).unwrap();
    let pending = saved.call(1);
    starts.recv_timeout(SOON).unwrap();
    drop(pending);
    assert!(ends.recv_timeout(SOON).unwrap());
}

#[test]
fn what_cannot_be_called_says_so() {
    let pair = pair();
    let foo = FooAsync::new(&pair.foo).unwrap();
    let error = block_on(foo.add(1, 1)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "calls that do not wait run on a pool of the peer; make one with Connection::make_pool"
    );
    pair.connection.make_pool(1).unwrap();
    assert_eq!(block_on(foo.add(1, 1)).unwrap(), 2);
    let error = pair.connection.make_pool(1).unwrap_err();
    assert_eq!(
        error.to_string(),
        "makePool called on connection with existing pool"
    );
    let here: Arc<dyn Foo> = Arc::<Server>::default();
    let error = FooAsync::new(&here).unwrap_err();
    assert_eq!(
        error.to_string(),
        "this Foo is no object of another process; call it directly"
    );
}

#[test]
fn futures_are_woken_by_the_end() {
    let (pair, foo) = twin(1);
    let pending = foo.block();
    pair.server.wait_blocked();
    pair.serving.close();
    assert!(matches!(
        block_on(pending),
        Err(Error::Disconnected { during: true })
    ));
    assert!(pair.connection.closed_within(SOON));
    assert!(matches!(
        block_on(foo.add(1, 1)),
        Err(Error::Disconnected { during: false })
    ));
    pair.server.unblock();
}

#[test]
fn the_twin_keeps_its_connection() {
    let (
        Pair {
            foo: proxy,
            connection,
            serving,
            ..
        },
        foo,
    ) = twin(1);
    drop((proxy, connection));
    let pending = foo.add(1, 1);
    drop(foo);
    assert_eq!(block_on(pending).unwrap(), 2);
    assert!(serving.closed_within(SOON));
}

#[test]
fn calls_under_way_are_counted() {
    let few = Limits {
        questions: 2,
        ..Limits::default()
    };
    let pair = pair_with(Limits::default(), few);
    pair.connection.make_pool(1).unwrap();
    let foo = FooAsync::new(&pair.foo).unwrap();
    let blocked = foo.block();
    pair.server.wait_blocked();
    let queued = foo.add(1, 1);
    let error = block_on(foo.add(1, 1)).unwrap_err();
    assert_eq!(error.to_string(), "limit of 2 calls in flight reached");
    pair.server.unblock();
    block_on(blocked).unwrap();
    assert_eq!(block_on(queued).unwrap(), 2);
}
