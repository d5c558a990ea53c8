//! Which thread runs what.

use std::sync::{Arc, Barrier, Mutex};
use std::thread::{self, ThreadId};

use mp_core::Error;

use crate::interface::{Callback, Foo};
use crate::server::{Calls, Pair, pair};

/// A callback that calls back again until `n` is 0, and notes where it ran.
struct Recurse {
    foo: Arc<dyn Foo>,
    seen: Arc<Mutex<Vec<ThreadId>>>,
}

impl Callback for Recurse {
    fn call(&self, n: i32) -> Result<i32, Error> {
        self.seen.lock().unwrap().push(thread::current().id());
        if n == 0 {
            return Ok(0);
        }
        let next = Recurse {
            foo: self.foo.clone(),
            seen: self.seen.clone(),
        };
        Ok(1 + self.foo.callback(Arc::new(next), n - 1)?)
    }
}

#[test]
fn nested_callbacks_run_on_the_callers_thread() {
    let pair = pair();
    let seen = Arc::<Mutex<Vec<_>>>::default();
    let recurse = Recurse {
        foo: pair.foo.clone(),
        seen: seen.clone(),
    };
    assert_eq!(pair.foo.callback(Arc::new(recurse), 5).unwrap(), 5);
    assert_eq!(*seen.lock().unwrap(), [thread::current().id(); 6]);
}

#[test]
fn each_thread_has_its_counterpart() {
    let pair = pair();
    let first = pair.foo.thread_name().unwrap();
    assert_eq!(pair.foo.thread_name().unwrap(), first);
    let foo = pair.foo.clone();
    let second = thread::spawn(move || foo.thread_name().unwrap())
        .join()
        .unwrap();
    assert_ne!(first, second);
}

#[test]
fn a_saved_callback_may_come_from_any_thread() {
    let pair = pair();
    let seen = Arc::<Mutex<Vec<_>>>::default();
    let noted = seen.clone();
    pair.foo
        .save(Arc::new(Calls(move |n| {
            noted.lock().unwrap().push(thread::current().id());
            Ok(n + 1)
        })))
        .unwrap();
    // Through another thread's call it runs on that thread.
    let foo = pair.foo.clone();
    let caller = thread::spawn(move || {
        assert_eq!(foo.call_saved(1).unwrap(), 2);
        thread::current().id()
    })
    .join()
    .unwrap();
    assert_eq!(*seen.lock().unwrap(), [caller]);
    // Fired by the server's own thread, with no call of ours under way, it runs on one made for that.
    let saved = pair.server.saved.lock().unwrap().clone().unwrap();
    let fired = thread::spawn(move || saved.call(5).unwrap())
        .join()
        .unwrap();
    assert_eq!(fired, 6);
    let last = *seen.lock().unwrap().last().unwrap();
    assert_ne!(last, caller);
    assert_ne!(last, thread::current().id());
}

#[test]
fn many_threads_call_at_once() {
    let pair = pair();
    let start = Arc::new(Barrier::new(4));
    let threads: Vec<_> = (0..4)
        .map(|base| {
            let (foo, start) = (pair.foo.clone(), start.clone());
            thread::spawn(move || {
                start.wait();
                for n in 0..1000 {
                    assert_eq!(foo.add(base, n).unwrap(), base + n);
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
}

#[test]
fn calls_of_a_callback_go_to_the_thread_that_waits() {
    // caller -> server thread A -> callback on caller -> must land on A again, nested.
    let pair = pair();
    let outer = pair.foo.thread_name().unwrap();
    let foo = pair.foo.clone();
    let inner = Arc::new(Mutex::new(String::new()));
    let noted = inner.clone();
    let callback = Calls(move |n| {
        *noted.lock().unwrap() = foo.thread_name()?;
        Ok(n)
    });
    pair.foo.callback(Arc::new(callback), 0).unwrap();
    assert_eq!(*inner.lock().unwrap(), outer);
}

#[test]
fn methods_without_context_cannot_wait_but_answer() {
    let Pair {
        foo, connection, ..
    } = pair();
    assert_eq!(foo.add_direct(3, 4).unwrap(), 43);
    drop(connection);
}
