//! How long objects live, and where they are.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use mp_core::Error;

use crate::interface::{Callback, Counter, Named};
use crate::server::{Calls, pair};

/// Says when it is dropped.
struct Tell(Sender<()>);

impl Callback for Tell {
    fn call(&self, n: i32) -> Result<i32, Error> {
        Ok(n)
    }
}

impl Drop for Tell {
    fn drop(&mut self) {
        let _ = self.0.send(());
    }
}

const SOON: Duration = Duration::from_secs(10);

#[test]
fn an_object_lives_as_long_as_the_peer_refers_to_it() {
    let pair = pair();
    let (sender, dropped) = channel();
    pair.foo.save(Arc::new(Tell(sender))).unwrap();
    assert_eq!(pair.foo.call_saved(3).unwrap(), 3);
    assert!(dropped.try_recv().is_err());
    pair.foo.forget().unwrap();
    dropped.recv_timeout(SOON).unwrap();
}

#[test]
fn an_argument_is_dropped_with_its_call() {
    let pair = pair();
    let (sender, dropped) = channel();
    assert!(pair.foo.maybe_call(Some(Arc::new(Tell(sender)))).unwrap());
    dropped.recv_timeout(SOON).unwrap();
}

#[test]
fn objects_end_with_their_connection() {
    let pair = pair();
    let (sender, dropped) = channel();
    pair.foo.save(Arc::new(Tell(sender))).unwrap();
    pair.serving.close();
    dropped.recv_timeout(SOON).unwrap();
}

#[test]
fn destroy_ends_the_object_before_its_proxy() {
    let pair = pair();
    let counter = pair.foo.make_counter().unwrap();
    assert_eq!(counter.next().unwrap(), 1);
    assert_eq!(counter.next().unwrap(), 2);
    assert_eq!(counter.name().unwrap(), "counter");
    let named: Arc<dyn Named> = counter.clone();
    assert_eq!(named.name().unwrap(), "counter");
    assert_eq!(pair.server.counters.load(Ordering::SeqCst), 1);
    drop(named);
    drop(counter);
    // No waiting: `destroy` was answered.
    assert_eq!(pair.server.counters.load(Ordering::SeqCst), 0);
}

#[test]
fn an_object_that_comes_home_is_itself() {
    let pair = pair();
    let callback: Arc<dyn Callback> = Arc::new(Calls(Ok));
    let back = pair.foo.give_back(callback.clone()).unwrap();
    assert!(Arc::ptr_eq(&callback, &back));
}

#[test]
fn a_proxy_sent_home_is_the_object() {
    let pair = pair();
    pair.foo.save(Arc::new(Calls(|n| Ok(n * 2)))).unwrap();
    // The server's proxy travels to the client as the client's own object.
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = calls.clone();
    let callback: Arc<dyn Callback> = Arc::new(Calls(move |n| {
        counted.fetch_add(1, Ordering::SeqCst);
        Ok(n)
    }));
    let back = pair.foo.give_back(callback).unwrap();
    assert_eq!(back.call(9).unwrap(), 9);
    assert_eq!(calls.load(Ordering::SeqCst), 1);
}

#[test]
fn an_object_passed_along_a_chain_of_connections() {
    let (first, second) = (pair(), pair());
    // An object behind one connection is passed over another: calls go through both.
    first.foo.save(Arc::new(Calls(|n| Ok(n + 100)))).unwrap();
    let remote = first.server.saved.lock().unwrap().clone().unwrap();
    assert_eq!(second.foo.callback(remote, 1).unwrap(), 101);
}

#[test]
fn proxies_may_be_dropped_on_any_thread() {
    let pair = pair();
    let counters: Vec<Arc<dyn Counter>> =
        (0..8).map(|_| pair.foo.make_counter().unwrap()).collect();
    std::thread::spawn(move || drop(counters)).join().unwrap();
    assert_eq!(pair.server.counters.load(Ordering::SeqCst), 0);
}
