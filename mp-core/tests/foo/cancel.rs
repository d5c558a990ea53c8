//! Calls that end before they have ended by themselves.

use std::os::unix::net::UnixStream;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use mp_core::{Cancellation, Connection, Error, Options, cancelled, with_timeout};

use crate::interface::{Callback, Foo};
use crate::server::{Calls, Pair, pair};

const SOON: Duration = Duration::from_secs(10);
const SHORT: Duration = Duration::from_millis(20);

/// A pair, and the server's proxy of a callback that this side serves.
fn saved(
    callback: impl Fn(i32) -> Result<i32, Error> + Send + Sync + 'static,
) -> (Pair, Arc<dyn Callback>) {
    let pair = pair();
    pair.foo.save(Arc::new(Calls(callback))).unwrap();
    let saved = pair.server.saved.lock().unwrap().clone().unwrap();
    (pair, saved)
}

#[test]
fn a_call_takes_no_longer_than_allowed() {
    let pair = pair();
    let start = Instant::now();
    let error = with_timeout(SHORT, || pair.foo.block()).unwrap_err();
    assert!(matches!(error, Error::Timeout));
    assert_eq!(error.to_string(), "call timed out");
    assert!((SHORT..SOON).contains(&start.elapsed()));
    pair.server.unblock();
    // Outside there is no deadline, and the thread's counterpart goes on.
    assert_eq!(pair.foo.add(1, 2).unwrap(), 3);
    assert_eq!(with_timeout(SOON, || pair.foo.add(1, 2)).unwrap(), 3);
}

#[test]
fn the_earliest_deadline_counts() {
    let pair = pair();
    let error = with_timeout(SHORT, || with_timeout(SOON, || pair.foo.block())).unwrap_err();
    assert!(matches!(error, Error::Timeout));
    pair.server.unblock();
    let error = with_timeout(SOON, || with_timeout(Duration::ZERO, || pair.foo.add(1, 1)));
    assert!(matches!(error.unwrap_err(), Error::Timeout));
    let endless = with_timeout(Duration::MAX, || pair.foo.add(1, 1));
    assert_eq!(endless.unwrap(), 2);
}

#[test]
fn a_silent_peer_does_not_hold_up_connecting() {
    let (here, _there) = UnixStream::pair().unwrap();
    let connected = with_timeout(SHORT, || {
        Connection::connect::<dyn Foo>(here, Options::new())
    });
    assert!(matches!(connected.err().unwrap(), Error::Timeout));
}

#[test]
fn a_word_ends_calls_of_other_threads() {
    let pair = pair();
    let stop = Cancellation::new();
    let callers: Vec<_> = (0..3)
        .map(|_| {
            let (foo, stop) = (pair.foo.clone(), stop.clone());
            thread::spawn(move || stop.run(|| foo.block()).unwrap_err())
        })
        .collect();
    pair.server.wait_blocked();
    assert!(!stop.is_cancelled());
    stop.cancel();
    for caller in callers {
        let error = caller.join().unwrap();
        assert!(matches!(error, Error::Cancelled), "{error}");
    }
    pair.server.unblock();
    // A word once given holds for calls to come, but only inside.
    assert!(matches!(
        stop.run(|| pair.foo.add(1, 1)),
        Err(Error::Cancelled)
    ));
    assert_eq!(pair.foo.add(1, 1).unwrap(), 2);
}

#[test]
fn a_running_method_learns_that_nobody_waits() {
    let (started, starts) = channel();
    let (ended, ends) = channel();
    let (_pair, saved) = saved(move |_| {
        assert!(!cancelled());
        let (woken, wakes) = channel();
        let word = Cancellation::of_call().unwrap();
        word.on_cancel(move || woken.send(()).unwrap());
        started.send(()).unwrap();
        let woken = wakes.recv_timeout(SOON);
        ended
            .send((woken.is_ok(), cancelled(), word.is_cancelled()))
            .unwrap();
        Ok(0)
    });
    let stop = Cancellation::new();
    let theirs = stop.clone();
    let caller = thread::spawn(move || theirs.run(|| saved.call(1)).unwrap_err());
    starts.recv_timeout(SOON).unwrap();
    stop.cancel();
    assert!(matches!(caller.join().unwrap(), Error::Cancelled));
    assert_eq!(ends.recv_timeout(SOON).unwrap(), (true, true, true));
}

#[test]
fn a_running_method_learns_that_the_peer_is_gone() {
    let (started, starts) = channel();
    let (ended, ends) = channel();
    let (pair, saved) = saved(move |_| {
        let (woken, wakes) = channel();
        Cancellation::of_call()
            .unwrap()
            .on_cancel(move || woken.send(()).unwrap());
        started.send(()).unwrap();
        ended
            .send((wakes.recv_timeout(SOON).is_ok(), cancelled()))
            .unwrap();
        Ok(0)
    });
    let caller = thread::spawn(move || saved.call(1).unwrap_err());
    starts.recv_timeout(SOON).unwrap();
    pair.serving.close();
    assert_eq!(ends.recv_timeout(SOON).unwrap(), (true, true));
    assert!(caller.join().unwrap().is_disconnected());
}

#[test]
fn outside_of_calls_there_is_nothing_to_cancel() {
    assert!(!cancelled());
    assert!(Cancellation::of_call().is_none());
}

#[test]
fn a_call_given_up_before_it_began_does_not_run() {
    let pair = pair();
    let stop = Cancellation::new();
    let (foo, theirs) = (pair.foo.clone(), stop.clone());
    let caller = thread::spawn(move || {
        assert!(matches!(theirs.run(|| foo.block()), Err(Error::Cancelled)));
        // The first still runs on the thread that is to serve this one.
        let callback = Arc::new(Calls(Ok));
        assert!(matches!(
            with_timeout(SHORT, || foo.save(callback)),
            Err(Error::Timeout)
        ));
        // This one needs no thread, so when it is answered, the peer knows that nobody waits for the others.
        foo.add_direct(1, 1).unwrap();
        foo
    });
    pair.server.wait_blocked();
    stop.cancel();
    let foo = caller.join().unwrap();
    pair.server.unblock();
    foo.add(1, 1).unwrap();
    // The caller's counterpart ends when its work is done; what is still to run there runs before the end.
    assert!(pair.serving.shutdown(SOON));
    assert!(pair.server.saved.lock().unwrap().is_none());
}

#[test]
fn what_is_called_back_is_not_bound_by_the_callers_deadline() {
    let pair = pair();
    let inner = Arc::<Mutex<Option<Result<i32, Error>>>>::default();
    let (foo, noted) = (pair.foo.clone(), inner.clone());
    let callback: Arc<dyn Callback> = Arc::new(Calls(move |n| {
        // Until after the deadline of the call that waits.
        thread::sleep(2 * SHORT);
        *noted.lock().unwrap() = Some(foo.add(n, 1));
        Ok(0)
    }));
    let until = Instant::now() + SOON;
    while inner.lock().unwrap().is_none() {
        // On a busy machine the time may be over before the callback comes.
        assert!(Instant::now() < until);
        // Its own reply may still be faster than the look at the clock.
        match with_timeout(SHORT, || pair.foo.callback(callback.clone(), 1)) {
            Ok(0) | Err(Error::Timeout) => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(inner.lock().unwrap().take().unwrap().unwrap(), 2);
}

#[test]
fn objects_in_a_reply_that_nobody_took_are_let_go() {
    let pair = pair();
    // The word is given at any moment of the call; whichever way it ends, no object stays behind.
    for _ in 0..200 {
        let (foo, word) = (pair.foo.clone(), Cancellation::new());
        let theirs = word.clone();
        let caller = thread::spawn(move || drop(theirs.run(|| foo.make_counter())));
        word.cancel();
        caller.join().unwrap();
    }
    let until = Instant::now() + SOON;
    // Each of these calls comes after the releases before it.
    while pair
        .server
        .counters
        .load(std::sync::atomic::Ordering::SeqCst)
        > 0
    {
        assert!(Instant::now() < until);
        pair.foo.add(1, 1).unwrap();
    }
}
