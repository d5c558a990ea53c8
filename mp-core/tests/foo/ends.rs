//! How connections end.

use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use mp_core::{Connection, Error, Options};

use crate::interface::Foo;
use crate::server::{Calls, Pair, Server, pair};

const SOON: Duration = Duration::from_secs(10);

#[test]
fn calls_after_the_end() {
    let pair = pair();
    pair.serving.close();
    assert!(pair.connection.closed_within(SOON));
    let error = pair.foo.add(1, 1).unwrap_err();
    assert!(matches!(error, Error::Disconnected { during: false }));
    assert_eq!(
        error.to_string(),
        "IPC client method called after disconnect."
    );
}

#[test]
fn every_waiting_call_learns_of_the_end_at_once() {
    let pair = pair();
    let waiting: Vec<_> = (0..4)
        .map(|_| {
            let foo = pair.foo.clone();
            thread::spawn(move || foo.block().unwrap_err())
        })
        .collect();
    pair.server.wait_blocked();
    pair.serving.close();
    for thread in waiting {
        let error = thread.join().unwrap();
        assert!(error.is_disconnected());
        // A thread that had not sent its call yet is told the other text.
        if let Error::Disconnected { during: true } = error {
            assert_eq!(
                error.to_string(),
                "IPC client method call interrupted by disconnect."
            );
        }
    }
    pair.server.unblock();
}

#[test]
fn a_call_cut_off_says_so() {
    let pair = pair();
    let foo = pair.foo.clone();
    let waiting = thread::spawn(move || foo.block().unwrap_err());
    pair.server.wait_blocked();
    pair.serving.close();
    assert!(matches!(
        waiting.join().unwrap(),
        Error::Disconnected { during: true }
    ));
    pair.server.unblock();
}

#[test]
fn a_client_leaves_with_its_last_proxy() {
    let Pair {
        serving,
        connection,
        foo,
        ..
    } = pair();
    drop(connection);
    assert_eq!(foo.add(1, 2).unwrap(), 3);
    drop(foo);
    assert!(serving.closed_within(SOON));
}

#[test]
fn whoever_asks_is_told_of_the_end() {
    let pair = pair();
    let (sender, told) = channel();
    let late = sender.clone();
    pair.serving
        .on_closed(move |why| sender.send(why.map(ToString::to_string)).unwrap());
    pair.connection.close();
    assert_eq!(told.recv_timeout(SOON).unwrap(), None);
    assert!(pair.serving.closed().is_none());
    pair.serving.on_closed(move |_| late.send(None).unwrap());
    assert_eq!(told.try_recv().unwrap(), None);
}

#[test]
fn shutdown_lets_running_calls_end() {
    let pair = pair();
    let foo = pair.foo.clone();
    let waiting = thread::spawn(move || foo.block());
    pair.server.wait_blocked();
    let server = pair.server.clone();
    let unblocks = thread::spawn(move || server.unblock());
    assert!(pair.serving.shutdown(SOON));
    waiting.join().unwrap().unwrap();
    unblocks.join().unwrap();
}

#[test]
fn calls_that_race_a_shutdown_are_answered_or_refused() {
    for _ in 0..10 {
        let pair = pair();
        let (begun, begins) = channel();
        let callers: Vec<_> = (0..4)
            .map(|n| {
                let (foo, begun) = (pair.foo.clone(), begun.clone());
                thread::spawn(move || {
                    foo.add(n, 1).unwrap();
                    begun.send(()).unwrap();
                    loop {
                        match foo.add(n, 1) {
                            Ok(sum) => assert_eq!(sum, n + 1),
                            Err(error) => return error,
                        }
                    }
                })
            })
            .collect();
        for _ in &callers {
            begins.recv_timeout(SOON).unwrap();
        }
        assert!(pair.serving.shutdown(SOON), "short calls are all answered");
        for caller in callers {
            let error = caller.join().unwrap();
            let refused = error.to_string() == "connection is being closed";
            assert!(refused || error.is_disconnected(), "{error:?}");
        }
    }
}

#[test]
fn two_may_shut_down_at_once() {
    let pair = pair();
    let foo = pair.foo.clone();
    let waiting = thread::spawn(move || foo.block());
    pair.server.wait_blocked();
    let shutting: Vec<_> = [pair.serving.clone(), pair.connection.clone()]
        .into_iter()
        .map(|connection| thread::spawn(move || connection.shutdown(SOON)))
        .collect();
    // The caller's side has no calls to answer, so it ends the connection; the server's call is cut off.
    let error = waiting.join().unwrap().unwrap_err();
    assert!(error.is_disconnected(), "{error}");
    pair.server.unblock();
    for thread in shutting {
        thread.join().unwrap();
    }
    assert!(pair.serving.is_closed() && pair.connection.is_closed());
}

#[test]
fn shutdown_does_not_wait_longer_than_told() {
    let pair = pair();
    let foo = pair.foo.clone();
    let waiting = thread::spawn(move || foo.block());
    pair.server.wait_blocked();
    let start = Instant::now();
    assert!(!pair.serving.shutdown(Duration::from_millis(20)));
    assert!(start.elapsed() < SOON);
    assert!(waiting.join().unwrap().unwrap_err().is_disconnected());
    pair.server.unblock();
}

#[test]
fn each_side_may_serve() {
    let (here, there) = UnixStream::pair().unwrap();
    let serve = |stream, n| {
        let root: Arc<dyn Foo> = Arc::new(Server::default());
        let (connection, foo) =
            Connection::both::<dyn Foo, dyn Foo>(stream, root, Options::default()).unwrap();
        assert_eq!(
            foo.callback(Arc::new(Calls(move |k| Ok(k + n))), 4)
                .unwrap(),
            4 + n
        );
        (connection, foo)
    };
    let other = thread::spawn(move || serve(there, 1));
    let (connection, _foo) = serve(here, 2);
    let (other, _other_foo) = other.join().unwrap();
    connection.close();
    assert!(other.closed_within(SOON));
}
