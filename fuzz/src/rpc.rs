//! A peer that sends what it likes.

use mp_core::{Connection, Error, Limits, Options};
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The marker type under which the values below travel.
pub struct Codec;

/// Something that a peer passes, or is given.
#[mp_core::interface(codec = Codec, id = 0xf1a1_0000_0000_0001)]
pub trait Listener: Send + Sync {
    /// Takes a word.
    fn heard(&self, word: String) -> Result<u64, Error>;
}

/// The first object.
#[mp_core::interface(codec = Codec, id = 0xf1a1_0000_0000_0002, root)]
pub trait Room: Send + Sync {
    /// Tells the listener of the word.
    fn say(&self, word: String, listener: Option<Arc<dyn Listener>>) -> Result<u64, Error>;
    /// Takes lists and gives bytes.
    fn sum(&self, numbers: Vec<i64>, words: Vec<String>, data: Vec<u8>) -> Result<Vec<u8>, Error>;
    /// Gives an object.
    fn echo(&self, listener: Option<Arc<dyn Listener>>) -> Result<Arc<dyn Listener>, Error>;
}

struct Local;

impl Listener for Local {
    fn heard(&self, word: String) -> Result<u64, Error> {
        Ok(word.len() as u64)
    }
}

/// A room that calls back whom it is given.
pub struct Hall;

impl Room for Hall {
    fn say(&self, word: String, listener: Option<Arc<dyn Listener>>) -> Result<u64, Error> {
        listener.map_or(Ok(0), |listener| listener.heard(word))
    }

    fn sum(
        &self,
        numbers: Vec<i64>,
        words: Vec<String>,
        mut data: Vec<u8>,
    ) -> Result<Vec<u8>, Error> {
        let sum = numbers.iter().fold(0_i64, |sum, n| sum.wrapping_add(*n));
        data.extend(sum.to_le_bytes());
        data.extend(words.concat().into_bytes());
        Ok(data)
    }

    fn echo(&self, listener: Option<Arc<dyn Listener>>) -> Result<Arc<dyn Listener>, Error> {
        Ok(listener.unwrap_or_else(|| Arc::new(Local)))
    }
}

/// Sends the bytes to a connection that serves a [`Room`], and leaves.
///
/// Whatever they were, the connection ends soon after, and what it started ends with it.
pub fn rpc_connection(data: &[u8]) {
    let before = threads();
    let (mut peer, served) = UnixStream::pair().expect("sockets can be made");
    let options = Options {
        limits: Limits {
            threads: 4,
            queued_calls: 16,
            queued_bytes: 1 << 20,
            exports: 64,
            imports: 64,
            questions: 64,
            answers: 64,
            destroy_wait: Duration::from_millis(10),
            ..Limits::default()
        },
        name: "fuzz".to_owned(),
        ..Options::default()
    };
    let room: Arc<dyn Room> = Arc::new(Hall);
    let connection = Connection::serve(served, Arc::clone(&room), options).expect("it can start");
    // It may have had enough before all is sent.
    let _ = peer.write_all(data);
    let _ = peer.shutdown(Shutdown::Write);
    peer.set_read_timeout(Some(Duration::from_secs(10)))
        .expect("a timeout can be set");
    let mut replies = Vec::new();
    match peer.read_to_end(&mut replies) {
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => {}
        Err(error) => panic!("the connection does not end: {error}"),
    }
    assert!(
        connection.closed_within(Duration::from_secs(10)),
        "the connection is not closed"
    );
    drop(connection);
    // A thread that ends tells nobody, so that there is nothing to wait for but its end.
    let start = Instant::now();
    while threads() > before {
        assert!(start.elapsed() < Duration::from_secs(10), "a thread stays");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// How many threads this process has; 0 where that cannot be told.
fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").map_or(0, Iterator::count)
}
