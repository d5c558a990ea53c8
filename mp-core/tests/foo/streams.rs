//! The same conversation over other streams: one within the process, and ones that split and cut it anywhere.

use std::io::{self, IoSlice};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use mp_core::{Connection, Error, Memory, Options, PeerCheck, Transport, memory, with_timeout};
use proptest::prelude::*;

use crate::interface::{Callback, Foo};
use crate::server::{Calls, Server};

const SOON: Duration = Duration::from_secs(10);

/// A stream whose bytes come and go in pieces of odd sizes, and which is cut after some.
struct Simulated {
    inner: Memory,
    /// Sizes of pieces, over and over.
    pieces: Vec<usize>,
    step: AtomicUsize,
    /// Bytes in either direction before it is cut.
    left: AtomicUsize,
    /// Every other try to send finds no room, although there is some.
    balks: AtomicBool,
}

impl Simulated {
    fn piece(&self) -> usize {
        let step = self.step.fetch_add(1, Ordering::Relaxed);
        self.pieces[step % self.pieces.len()].max(1)
    }

    /// How many of `size` bytes may pass before the cut.
    fn pass(&self, size: usize) -> usize {
        let take = |left: usize| Some(left.saturating_sub(size));
        let left = self
            .left
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, take);
        left.unwrap().min(size)
    }
}

impl Transport for Simulated {
    fn try_send(&self, bytes: &[IoSlice<'_>]) -> io::Result<usize> {
        if self.balks.fetch_xor(true, Ordering::Relaxed) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let Some(first) = bytes.iter().find(|slice| !slice.is_empty()) else {
            return Ok(0);
        };
        let size = self.pass(first.len().min(self.piece()));
        if size == 0 {
            self.inner.shutdown();
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        self.inner.try_send(&[IoSlice::new(&first[..size])])
    }

    fn wait_writable(&self) -> io::Result<()> {
        self.inner.wait_writable()
    }

    fn recv(&self, buffer: &mut Vec<u8>) -> io::Result<usize> {
        let room = buffer.capacity() - buffer.len();
        let mut piece = Vec::with_capacity(room.min(self.piece()));
        let count = self.inner.recv(&mut piece)?;
        let passed = self.pass(count);
        if passed < count || count == 0 {
            self.inner.shutdown();
        }
        buffer.extend_from_slice(&piece[..passed]);
        Ok(passed)
    }

    fn shutdown(&self) {
        self.inner.shutdown();
    }
}

/// Calls, objects and callbacks of every sort, and what comes of them.
fn conversation(client: impl Transport, server: Memory) -> Result<Vec<String>, Error> {
    let root: Arc<dyn Foo> = Arc::<Server>::default();
    let serving = Connection::serve(server, root, Options::new()).unwrap();
    // Only a bug takes so long: a cut must end every call at once.
    let talk = || {
        let (_connection, foo) = Connection::connect::<dyn Foo>(client, Options::new())?;
        let mut said = vec![foo.add(1, 2)?.to_string()];
        said.push(foo.check("x".repeat(100))?.reason);
        let callback: Arc<dyn Callback> = Arc::new(Calls(|n| Ok(n * 2)));
        said.push(foo.callback(callback.clone(), 21)?.to_string());
        foo.save(callback)?;
        let counter = foo.make_counter()?;
        said.push(format!("{} {}", counter.next()?, counter.name()?));
        drop(counter);
        said.push(foo.echo_data(vec![7; 3000])?.len().to_string());
        said.push(foo.call_saved(4)?.to_string());
        Ok(said)
    };
    let said = with_timeout(SOON, talk);
    assert!(serving.closed_within(SOON), "server hangs");
    said
}

#[test]
fn a_stream_within_the_process_carries_everything() {
    for capacity in [1, 100, 1 << 20] {
        let (here, there) = memory(capacity);
        let said = conversation(here, there).unwrap();
        assert_eq!(
            said.join(" "),
            format!("3 bad-{} 42 1 counter 3000 8", "x".repeat(100))
        );
    }
}

#[test]
fn the_peer_within_the_process_is_of_the_same_user() {
    let (here, there) = memory(1 << 16);
    let root: Arc<dyn Foo> = Arc::<Server>::default();
    let _serving = Connection::serve(there, root, Options::new()).unwrap();
    let same = Options::new().peer(PeerCheck::SameUser);
    let (_connection, foo) = Connection::connect::<dyn Foo>(here, same).unwrap();
    assert_eq!(foo.add(1, 2).unwrap(), 3);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn however_the_stream_is_split_the_result_is_the_same(
        pieces in prop::collection::vec(1_usize..700, 1..20),
        capacity in 1_usize..5000,
    ) {
        let (inner, there) = memory(capacity);
        let here = Simulated {
            inner,
            pieces,
            step: AtomicUsize::new(0),
            left: AtomicUsize::new(usize::MAX),
            balks: AtomicBool::new(false),
        };
        let said = conversation(here, there).unwrap();
        prop_assert_eq!(said.join(" "), format!("3 bad-{} 42 1 counter 3000 8", "x".repeat(100)));
    }

    #[test]
    fn wherever_the_stream_is_cut_every_call_ends(
        pieces in prop::collection::vec(1_usize..700, 1..20),
        left in 0_usize..9000,
    ) {
        let (inner, there) = memory(1 << 16);
        let here = Simulated {
            inner,
            pieces,
            step: AtomicUsize::new(0),
            left: AtomicUsize::new(left),
            balks: AtomicBool::new(false),
        };
        let ended = conversation(here, there);
        let cut = match &ended {
            Ok(said) => said.len() == 7 || said.len() == 6,
            // The server's own calls are cut as well, which it tells if it still can.
            Err(error) => error.is_disconnected() || matches!(error, Error::Remote { .. } | Error::Io { .. }),
        };
        prop_assert!(cut, "{:?}", ended);
    }
}
