//! Limits are errors that name them.

use std::sync::Arc;
use std::thread;

use mp_core::wire::ReadLimits;
use mp_core::{Error, Limits};

use crate::interface::{Callback, Foo};
use crate::server::{Calls, pair_with};

#[test]
fn messages_too_large_are_not_sent() {
    let message = ReadLimits {
        message_bytes: 10_000,
        ..ReadLimits::default()
    };
    let small = Limits {
        message,
        ..Limits::default()
    };
    let pair = pair_with(Limits::default(), small.clone());
    let error = pair.foo.echo_data(vec![0; 20_000]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot decode `message`: message is too large"
    );
    assert_eq!(pair.foo.echo_data(vec![1; 5_000]).unwrap(), vec![1; 5_000]);
    // A reply too large is an error to the caller, and to nobody else.
    let pair = pair_with(small, Limits::default());
    let error = pair.foo.check("x".repeat(9_000)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot decode `message`: message is too large"
    );
    assert_eq!(pair.foo.add(1, 1).unwrap(), 2);
}

#[test]
fn objects_are_counted() {
    let few = Limits {
        exports: 6,
        ..Limits::default()
    };
    let pair = pair_with(few, Limits::default());
    let mut counters = Vec::new();
    let error = loop {
        match pair.foo.make_counter() {
            Ok(counter) => counters.push(counter),
            Err(error) => break error,
        }
    };
    assert_eq!(error.to_string(), "limit of 6 exported objects reached");
    assert!(!counters.is_empty());
    counters.clear();
    assert!(pair.foo.make_counter().is_ok());
}

#[test]
fn a_peer_with_too_many_objects_is_cut_off() {
    let pair = pair_with(
        Limits {
            imports: 3,
            ..Limits::default()
        },
        Limits::default(),
    );
    let mut kept = Vec::new();
    let error = (0..8).find_map(|_| {
        let callback: Arc<dyn Callback> = Arc::new(Calls(Ok));
        let saved = pair.foo.save(callback).err();
        // The server's proxies are held on to, the replaced ones as well.
        kept.push(pair.server.saved.lock().unwrap().clone());
        saved
    });
    assert!(error.unwrap().is_disconnected());
    assert_eq!(
        pair.serving.closed().unwrap().to_string(),
        "limit of 3 imported objects reached"
    );
}

#[test]
fn calls_nest_so_deep() {
    let pair = pair_with(
        Limits {
            nested_calls: 4,
            ..Limits::default()
        },
        Limits {
            nested_calls: 4,
            ..Limits::default()
        },
    );
    struct Deep(Arc<dyn Foo>);
    impl Callback for Deep {
        fn call(&self, n: i32) -> Result<i32, Error> {
            self.0.callback(Arc::new(Deep(self.0.clone())), n + 1)
        }
    }
    let error = pair
        .foo
        .callback(Arc::new(Deep(pair.foo.clone())), 0)
        .unwrap_err();
    assert_eq!(error.to_string(), "limit of 4 nested calls reached");
    assert_eq!(pair.foo.add(1, 1).unwrap(), 2);
}

#[test]
fn calls_in_flight_are_counted() {
    let pair = pair_with(
        Limits::default(),
        Limits {
            questions: 1,
            ..Limits::default()
        },
    );
    pair.foo.add(1, 1).unwrap();
    let foo = pair.foo.clone();
    let waiting = thread::spawn(move || foo.block());
    pair.server.wait_blocked();
    let error = pair.foo.add(1, 1).unwrap_err();
    assert_eq!(error.to_string(), "limit of 1 calls in flight reached");
    pair.server.unblock();
    waiting.join().unwrap().unwrap();
    assert_eq!(pair.foo.add(1, 1).unwrap(), 2);
}
