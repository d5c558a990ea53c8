//! Callers and workers that receive for one another: under load, over streams that come in pieces, and cut anywhere.

#![allow(missing_docs, clippy::unwrap_used)]

use std::future::Future;
use std::io::{self, IoSlice};
use std::os::unix::net::UnixStream;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Condvar, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

use mp_core::{
    Cancellation, Connection, Error, Memory, Options, Readiness, Transport, memory, with_timeout,
};

struct Codec;

#[mp_core::interface(codec = Codec, id = 0xc3b1_94e2_5a7d_6f01, root, async_twin)]
trait Desk: Send + Sync {
    fn add(&self, left: u64, right: u64) -> Result<u64, Error>;
    #[mp(direct)]
    fn add_here(&self, left: u64, right: u64) -> Result<u64, Error>;
    /// Calls back `times`, one call inside another.
    fn deep(&self, caller: Arc<dyn Caller>, times: u64) -> Result<u64, Error>;
    /// Calls back from a thread that serves nobody.
    fn later(&self, caller: Arc<dyn Caller>) -> Result<(), Error>;
    fn wait(&self) -> Result<(), Error>;
}

#[mp_core::interface(codec = Codec, id = 0x8f60_2ad7_914c_e302)]
trait Caller: Send + Sync {
    fn again(&self, times: u64) -> Result<u64, Error>;
    #[mp(direct)]
    fn note(&self, word: String) -> Result<(), Error>;
}

#[derive(Default)]
struct Gate {
    open: Mutex<bool>,
    opened: Condvar,
    waiting: AtomicUsize,
}

impl Gate {
    fn open(&self) {
        *self.open.lock().unwrap() = true;
        self.opened.notify_all();
    }

    fn wait_for_one(&self) {
        while self.waiting.load(Ordering::SeqCst) == 0 {
            thread::yield_now();
        }
    }
}

struct Server(Arc<Gate>);

impl Desk for Server {
    fn add(&self, left: u64, right: u64) -> Result<u64, Error> {
        Ok(left + right)
    }
    fn add_here(&self, left: u64, right: u64) -> Result<u64, Error> {
        Ok(left + right)
    }
    fn deep(&self, caller: Arc<dyn Caller>, times: u64) -> Result<u64, Error> {
        match times {
            0 => Ok(0),
            _ => Ok(1 + caller.again(times - 1)?),
        }
    }
    fn later(&self, caller: Arc<dyn Caller>) -> Result<(), Error> {
        thread::spawn(move || caller.note("later".to_owned()));
        Ok(())
    }
    fn wait(&self) -> Result<(), Error> {
        self.0.waiting.fetch_add(1, Ordering::SeqCst);
        let open = self.0.open.lock().unwrap();
        drop(self.0.opened.wait_while(open, |open| !*open).unwrap());
        Ok(())
    }
}

/// Calls again when it is called, and knows the threads that calls came back on.
#[derive(Clone)]
struct Client {
    desk: Arc<dyn Desk>,
    threads: Arc<Mutex<Vec<thread::ThreadId>>>,
}

impl Client {
    fn new(desk: &Arc<dyn Desk>) -> Self {
        Self {
            desk: desk.clone(),
            threads: Arc::default(),
        }
    }
}

impl Caller for Client {
    fn again(&self, times: u64) -> Result<u64, Error> {
        self.threads.lock().unwrap().push(thread::current().id());
        self.desk.deep(Arc::new(self.clone()), times)
    }
    fn note(&self, word: String) -> Result<(), Error> {
        assert_eq!(word, "later");
        Ok(())
    }
}

const SOON: Duration = Duration::from_secs(20);

fn serve(transport: impl Transport) -> (Connection, Arc<Gate>) {
    let gate = Arc::<Gate>::default();
    let desk: Arc<dyn Desk> = Arc::new(Server(gate.clone()));
    let serving = Connection::serve(transport, desk, Options::new()).unwrap();
    (serving, gate)
}

fn connect(transport: impl Transport) -> (Connection, Arc<dyn Desk>) {
    Connection::connect::<dyn Desk>(transport, Options::new()).unwrap()
}

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

/// What one of a crowd does.
fn one(
    which: u64,
    n: u64,
    desk: &dyn Desk,
    twin: &DeskAsync,
    client: &Client,
) -> Result<(), Error> {
    match which {
        0 | 1 => assert_eq!(desk.add(n, which)?, n + which),
        2 => assert_eq!(desk.add_here(n, 2)?, n + 2),
        3 => assert_eq!(desk.deep(Arc::new(client.clone()), 3)?, 3),
        4 => desk.later(Arc::new(client.clone()))?,
        _ => {
            let two = [twin.add(n, 1), twin.add(n, 2)];
            drop(twin.add(n, 3));
            for (plus, sum) in (1..).zip(two) {
                assert_eq!(block_on(sum)?, n + plus);
            }
        }
    }
    Ok(())
}

/// Threads that call, threads that are called back, and futures, all at once. Gives what went wrong.
fn crowd(connection: &Connection, desk: &Arc<dyn Desk>, rounds: u64) -> Vec<Error> {
    let twin = DeskAsync::new(desk).unwrap();
    let mut failed: Vec<Error> = connection.make_pool(2).err().into_iter().collect();
    let threads: Vec<_> = (0..6_u64)
        .map(|which| {
            let (desk, twin) = (desk.clone(), twin.clone());
            thread::spawn(move || -> Result<(), Error> {
                let client = Client::new(&desk);
                for n in 0..rounds {
                    one(which, n, &*desk, &twin, &client)?;
                }
                let here = thread::current().id();
                assert!(client.threads.lock().unwrap().iter().all(|id| *id == here));
                Ok(())
            })
        })
        .collect();
    for thread in threads {
        failed.extend(thread.join().unwrap().err());
    }
    failed
}

#[test]
fn everybody_is_served_while_all_receive_for_each_other() {
    let (here, there) = UnixStream::pair().unwrap();
    let (serving, _gate) = serve(there);
    let (connection, desk) = connect(here);
    let failed = crowd(&connection, &desk, 300);
    assert!(failed.is_empty(), "{failed:?}");
    drop((connection, desk));
    assert!(serving.closed_within(SOON));
}

#[test]
fn within_one_process_too() {
    for capacity in [50, 1 << 16] {
        let (here, there) = memory(capacity);
        let (serving, _gate) = serve(there);
        let (connection, desk) = connect(here);
        let failed = crowd(&connection, &desk, 60);
        assert!(failed.is_empty(), "{failed:?}");
        drop((connection, desk));
        assert!(serving.closed_within(SOON));
    }
}

#[test]
fn who_waits_for_long_does_not_hold_up_who_calls_often() {
    let (here, there) = UnixStream::pair().unwrap();
    let (_serving, gate) = serve(there);
    let (_connection, desk) = connect(here);
    let (patient, done) = (desk.clone(), channel());
    thread::spawn(move || done.0.send(patient.wait()));
    gate.wait_for_one();
    for n in 0..200 {
        assert_eq!(desk.add(n, 1).unwrap(), n + 1);
    }
    gate.open();
    done.1.recv_timeout(SOON).unwrap().unwrap();
}

#[test]
fn who_gives_up_while_it_receives_leaves_nothing_behind() {
    let (here, there) = UnixStream::pair().unwrap();
    let (_serving, gate) = serve(there);
    let (_connection, desk) = connect(here);
    let word = Cancellation::new();
    let (theirs, waiting) = (word.clone(), desk.clone());
    let cancelled = thread::spawn(move || theirs.run(|| waiting.wait()).unwrap_err());
    gate.wait_for_one();
    for _ in 0..20 {
        let error = with_timeout(Duration::from_millis(1), || desk.wait()).unwrap_err();
        assert!(matches!(error, Error::Timeout), "{error}");
        assert_eq!(desk.add_here(1, 1).unwrap(), 2);
    }
    word.cancel();
    assert!(matches!(cancelled.join().unwrap(), Error::Cancelled));
    assert_eq!(desk.add_here(1, 2).unwrap(), 3);
    gate.open();
    assert_eq!(desk.add(1, 2).unwrap(), 3);
}

#[test]
fn futures_end_with_what_bounds_their_maker() {
    let (here, there) = UnixStream::pair().unwrap();
    let (_serving, gate) = serve(there);
    let (connection, desk) = connect(here);
    connection.make_pool(3).unwrap();
    let twin = DeskAsync::new(&desk).unwrap();
    let late = with_timeout(Duration::from_millis(20), || twin.wait());
    assert!(matches!(block_on(late).unwrap_err(), Error::Timeout));
    let word = Cancellation::new();
    let (called_off, in_time) = word.run(|| (twin.wait(), twin.add_here(1, 1)));
    assert_eq!(block_on(in_time).unwrap(), 2);
    word.cancel();
    let error = block_on(called_off).unwrap_err();
    assert!(matches!(error, Error::Cancelled), "{error}");
    let never = word.run(|| twin.add(1, 1));
    assert!(matches!(block_on(never).unwrap_err(), Error::Cancelled));
    let none = with_timeout(Duration::ZERO, || twin.add(1, 1));
    assert!(matches!(block_on(none).unwrap_err(), Error::Timeout));
    gate.open();
    let enough = with_timeout(SOON, || twin.add(1, 2));
    assert_eq!(block_on(enough).unwrap(), 3);
}

/// A stream that sends in pieces, and is cut after some bytes in one direction.
struct Cut<T> {
    inner: T,
    /// Sizes of pieces come of it; 0 for a stream in one piece.
    seed: AtomicU64,
    /// Bytes that may still be sent and received.
    left: [AtomicUsize; 2],
}

impl<T: Transport> Cut<T> {
    fn new(inner: T, seed: u64, sent: usize, received: usize) -> Self {
        Self {
            inner,
            seed: AtomicU64::new(seed),
            left: [AtomicUsize::new(sent), AtomicUsize::new(received)],
        }
    }

    /// How many of `size` bytes pass in a direction.
    fn pass(&self, direction: usize, size: usize) -> usize {
        let take = |left: usize| Some(left.saturating_sub(size));
        let left = self.left[direction].fetch_update(Ordering::SeqCst, Ordering::SeqCst, take);
        left.unwrap().min(size)
    }

    fn random(&self) -> u64 {
        let step = |seed: u64| {
            let seed = seed ^ seed << 13;
            let seed = seed ^ seed >> 7;
            Some(seed ^ seed << 17)
        };
        let seed = self
            .seed
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, step);
        seed.unwrap()
    }

    fn receive(&self, buffer: &mut Vec<u8>, received: io::Result<usize>) -> io::Result<usize> {
        let count = received?;
        let passed = self.pass(1, count);
        if passed < count {
            buffer.truncate(buffer.len() - (count - passed));
            self.inner.shutdown();
        }
        Ok(passed)
    }
}

impl<T: Transport> Transport for Cut<T> {
    fn try_send(&self, bytes: &[IoSlice<'_>]) -> io::Result<usize> {
        let random = self.random();
        if random != 0 && random.is_multiple_of(5) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let Some(first) = bytes.iter().find(|slice| !slice.is_empty()) else {
            return Ok(0);
        };
        let piece = match random {
            0 => usize::MAX,
            random => 1 + (random >> 8) as usize % 90,
        };
        let size = self.pass(0, first.len().min(piece));
        if size == 0 {
            self.inner.shutdown();
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        // What passed must go, for the cut counts it; the streams here have room for it.
        self.inner.try_send(&[IoSlice::new(&first[..size])])
    }

    fn wait_writable(&self) -> io::Result<()> {
        self.inner.wait_writable()
    }

    fn recv(&self, buffer: &mut Vec<u8>) -> io::Result<usize> {
        let received = self.inner.recv(buffer);
        self.receive(buffer, received)
    }

    fn try_recv(&self, buffer: &mut Vec<u8>) -> io::Result<usize> {
        let received = self.inner.try_recv(buffer);
        self.receive(buffer, received)
    }

    fn readiness(&self) -> Option<Box<dyn Readiness>> {
        self.inner.readiness()
    }

    fn shutdown(&self) {
        self.inner.shutdown();
    }
}

/// One of everything, in order. Gives how it ended.
fn conversation(client: impl Transport, server: impl Transport) -> Result<u64, Error> {
    let (serving, _gate) = serve(server);
    let talk = || {
        let (_connection, desk) = Connection::connect::<dyn Desk>(client, Options::new())?;
        let sum = desk.add(1, 2)? + desk.add_here(3, 4)?;
        let depth = desk.deep(Arc::new(Client::new(&desk)), 2)?;
        desk.later(Arc::new(Client::new(&desk)))?;
        Ok(sum + depth + desk.add(5, 6)?)
    };
    let ended = with_timeout(SOON, talk);
    assert!(serving.closed_within(SOON), "server hangs");
    ended
}

/// Cuts the conversation after every `step` bytes, in either direction, until it is over before the cut.
fn cut_everywhere<T: Transport>(pair: impl Fn() -> (T, T), step: usize) {
    for direction in 0..2 {
        let mut cuts = 0;
        for left in (0..).step_by(step) {
            let (here, there) = pair();
            let (sent, received) = match direction {
                0 => (left, usize::MAX),
                _ => (usize::MAX, left),
            };
            match conversation(Cut::new(here, 0, sent, received), there) {
                Ok(sum) => {
                    assert_eq!(sum, 23);
                    break;
                }
                // The server's own calls are cut as well, which it tells if it still can.
                Err(Error::Remote { .. } | Error::Io { .. }) => {}
                Err(error) => assert!(error.is_disconnected(), "cut after {left}: {error:?}"),
            }
            cuts += 1;
        }
        assert!(cuts > 20, "{cuts} places to cut are too few");
    }
}

#[test]
fn a_socket_cut_after_any_word_ends_every_call() {
    cut_everywhere(|| UnixStream::pair().unwrap(), 8);
}

#[test]
fn a_stream_cut_within_any_word_ends_every_call() {
    // Of no common factor with a word's size, so that every place in one is met.
    cut_everywhere(|| -> (Memory, Memory) { memory(1 << 16) }, 13);
}

#[test]
fn pieces_of_any_size_make_the_same_conversation() {
    for seed in 1..40 {
        let (here, there) = UnixStream::pair().unwrap();
        let here = Cut::new(here, seed, usize::MAX, usize::MAX);
        let there = Cut::new(there, seed * 977, usize::MAX, usize::MAX);
        assert_eq!(conversation(here, there).unwrap(), 23, "seed {seed}");
    }
}

#[test]
fn a_crowd_over_a_stream_in_pieces_is_served_or_told() {
    for seed in 1..6_u64 {
        let (here, there) = UnixStream::pair().unwrap();
        let left = match seed % 2 {
            0 => usize::MAX,
            _ => 20_000 * seed as usize,
        };
        let (serving, _gate) = serve(Cut::new(there, seed * 31, usize::MAX, usize::MAX));
        let (connection, desk) = connect(Cut::new(here, seed, left, usize::MAX));
        let failed = crowd(&connection, &desk, 40);
        if left == usize::MAX {
            assert!(failed.is_empty(), "seed {seed}: {failed:?}");
        }
        for error in failed {
            let cut = error.is_disconnected() || matches!(error, Error::Remote { .. });
            assert!(cut, "seed {seed}: {error:?}");
        }
        drop((connection, desk));
        assert!(serving.closed_within(SOON));
    }
}
