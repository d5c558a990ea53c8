//! Our client against a server in pycapnp, `server.py`.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use mp_core::{Connection, Error, ExceptionKind, Options};

use crate::interface::{Callback, Foo, Paint, Part, Shape, Verdict};
use crate::server::Calls;
use crate::{ended_well, python};

/// Runs `check` with the object that the script serves; then the script must end by itself, and well.
fn with_server(case: &str, check: impl FnOnce(&Arc<dyn Foo>)) {
    let Some((spawned, stream)) = python("server.py", case) else {
        return;
    };
    let (connection, foo) = Connection::connect::<dyn Foo>(stream, Options::default()).unwrap();
    check(&foo);
    drop((connection, foo));
    ended_well(spawned, case);
}

#[test]
fn plain_calls() {
    with_server("plain_calls", |foo| {
        assert_eq!(foo.add(40, 2).unwrap(), 42);
        assert_eq!(foo.add(i32::MIN, 1).unwrap(), i32::MIN + 1);
        assert_eq!(foo.add_direct(1, 2).unwrap(), 21);
    });
}

#[test]
fn structs() {
    let shape = Shape {
        title: "a shape".to_owned(),
        sides: vec![-1, 0, i32::MAX],
        flags: [true, false, true].repeat(5),
        area: Some(-5),
        paint: Paint::Blue,
        parts: vec![
            Part {
                id: 1,
                label: "one".to_owned(),
            },
            Part {
                id: 0,
                label: String::new(),
            },
        ],
        weights: BTreeMap::from([("a".to_owned(), 1), ("b".to_owned(), -1)]),
        ratio: 0.1,
        small: -128,
        raw: vec![0, 255],
        whole: Some(Box::new(Part {
            id: 9,
            label: "nine".to_owned(),
        })),
        visible: false,
    };
    with_server("structs", |foo| {
        assert_eq!(foo.pass(shape.clone()).unwrap(), shape);
        let empty = Shape::default();
        assert_eq!(foo.pass(empty.clone()).unwrap(), empty);
    });
}

#[test]
fn missing_values() {
    with_server("missing_values", |foo| {
        assert_eq!(foo.find("0").unwrap(), Some(0));
        assert_eq!(foo.find("x").unwrap(), None);
        assert_eq!(foo.find_shape(String::new()).unwrap(), None);
        assert_eq!(
            foo.find_shape("square".to_owned()).unwrap().unwrap().title,
            "square"
        );
        let ids = vec![Some(vec![1, 2]), None, Some(vec![3])];
        assert_eq!(foo.transactions(ids.clone()).unwrap(), ids);
        assert!(!foo.maybe_call(None).unwrap());
    });
}

#[test]
fn maps_and_pairs() {
    with_server("maps_and_pairs", |foo| {
        let map = BTreeMap::from([("a".to_owned(), -1), ("b".to_owned(), i64::MAX)]);
        let mut expected = map.clone();
        expected.insert("c".to_owned(), 4);
        let names = vec![("c".to_owned(), "four".to_owned())];
        assert_eq!(foo.sizes(map, names).unwrap(), expected);
    });
}

#[test]
fn defaults() {
    with_server("defaults", |foo| {
        assert_eq!(
            foo.limits(true, 1.5, 8000).unwrap(),
            ["true", "1.5", "8000"]
        );
        assert_eq!(foo.limits(false, 0.25, 9).unwrap(), ["false", "0.25", "9"]);
    });
}

#[test]
fn data() {
    with_server("data", |foo| {
        for size in [0, 1, 7, 8, 1 << 20, 5_000_000_u32] {
            let sent: Vec<u8> = (0..size).map(|n| n as u8).collect();
            assert_eq!(foo.echo_data(sent.clone()).unwrap(), sent);
        }
    });
}

#[test]
fn several_results() {
    with_server("several_results", |foo| {
        let expected = Verdict {
            result: false,
            reason: "bad-x".to_owned(),
            debug: "x".to_owned(),
        };
        assert_eq!(foo.check("x".to_owned()).unwrap(), expected);
    });
}

#[test]
fn declared_exceptions() {
    with_server("declared_exceptions", |foo| {
        assert_eq!(foo.divide(7, 2).unwrap(), Ok(3));
        assert_eq!(
            foo.divide(7, 0).unwrap(),
            Err("division by zero".to_owned())
        );
    });
}

#[test]
fn exceptions() {
    with_server("exceptions", |foo| {
        let Err(Error::Remote { kind, reason }) = foo.fail("no such thing".to_owned()) else {
            panic!("the method fails");
        };
        assert_eq!(kind, ExceptionKind::Failed);
        assert!(reason.contains("no such thing"), "{reason}");
        // A method that the script lacks: Python's own complaint, and the connection lives.
        let Err(Error::Remote { reason, .. }) = foo.block() else {
            panic!("the server has no such method");
        };
        assert!(reason.contains("block"), "{reason}");
        assert_eq!(foo.add(1, 1).unwrap(), 2);
    });
}

#[test]
fn integers_out_of_range() {
    with_server("integers_out_of_range", |foo| {
        assert_eq!(foo.narrow(-128).unwrap(), -128);
        // What does not fit its field is refused on the side that would have to write it.
        assert!(foo.narrow(128).is_err());
        assert_eq!(foo.narrow(127).unwrap(), 127);
    });
}

#[test]
fn callbacks() {
    with_server("callbacks", |foo| {
        let here = thread::current().id();
        let called = Arc::new(AtomicUsize::new(0));
        let count = called.clone();
        let callback = Arc::new(Calls(move |n| {
            assert_eq!(
                thread::current().id(),
                here,
                "a callback runs on the caller's thread"
            );
            count.fetch_add(1, Ordering::SeqCst);
            Ok(n + 1)
        }));
        assert_eq!(foo.callback(callback.clone(), 41).unwrap(), 42);
        assert!(foo.maybe_call(Some(callback)).unwrap());
        assert_eq!(called.load(Ordering::SeqCst), 2);
        let failing = Arc::new(Calls(|_| Err(Error::failed("the callback fails"))));
        let error = foo.callback(failing, 1).unwrap_err();
        assert!(error.to_string().contains("the callback fails"), "{error}");
    });
}

#[test]
fn nested_calls() {
    with_server("nested_calls", |foo| {
        let inner = foo.clone();
        let callback = Arc::new(Calls(move |n| inner.add(n, 1)));
        assert_eq!(foo.callback(callback, 1).unwrap(), 2);
    });
}

#[test]
fn saved_callbacks() {
    let callback_lives = Arc::new(());
    let lives = Arc::downgrade(&callback_lives);
    with_server("saved_callbacks", move |foo| {
        let ran_on = Arc::<Mutex<Vec<_>>>::default();
        let noted = ran_on.clone();
        let callback = Arc::new(Calls(move |n| {
            let _ = &callback_lives;
            noted.lock().unwrap().push(thread::current().id());
            Ok(n + 100)
        }));
        foo.save(callback).unwrap();
        assert_eq!(foo.call_saved(1).unwrap(), 101);
        assert_ne!(ran_on.lock().unwrap()[0], thread::current().id());
        foo.forget().unwrap();
    });
    // Python releases what it forgot when it likes; the end of the connection is the latest.
    let until = Instant::now() + Duration::from_secs(10);
    while lives.strong_count() > 0 {
        assert!(
            Instant::now() < until,
            "the callback outlives its connection"
        );
        thread::yield_now();
    }
}

#[test]
fn objects() {
    with_server("objects", |foo| {
        let first = foo.make_counter().unwrap();
        let second = foo.make_counter().unwrap();
        assert_eq!([first.next().unwrap(), first.next().unwrap()], [1, 2]);
        assert_eq!(second.next().unwrap(), 1);
        assert_eq!(first.name().unwrap(), "a counter in Python");
        drop(first);
        assert_eq!(second.next().unwrap(), 2);
        assert!(foo.thread_name().unwrap().ends_with("destroyed"));
    });
}

#[test]
fn identity() {
    with_server("identity", |foo| {
        let ours: Arc<dyn Callback> = Arc::new(Calls(|n| Ok(n + 7)));
        let back = foo.give_back(ours.clone()).unwrap();
        assert!(
            Arc::ptr_eq(&ours, &back),
            "an object of ours comes back as itself"
        );
        assert_eq!(back.call(1).unwrap(), 8);
    });
}

#[test]
fn threads() {
    with_server("threads", |foo| {
        // Each thread that calls asks once for its counterpart.
        for _ in 0..3 {
            foo.add(1, 1).unwrap();
        }
        assert_eq!(foo.thread_name().unwrap().split(", ").count(), 1);
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    foo.add(1, 1).unwrap();
                    foo.add(2, 2).unwrap();
                });
            }
        });
        assert_eq!(foo.thread_name().unwrap().split(", ").count(), 4);
    });
}

#[test]
fn the_peer_dies() {
    let Some((mut spawned, stream)) = python("server.py", "the_peer_dies") else {
        return;
    };
    let (connection, foo) = Connection::connect::<dyn Foo>(stream, Options::default()).unwrap();
    assert_eq!(foo.add(1, 1).unwrap(), 2);
    spawned.kill().unwrap();
    connection.closed();
    assert!(foo.add(1, 1).unwrap_err().is_disconnected());
    spawned.wait().unwrap();
}
