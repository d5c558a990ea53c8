//! The yardstick: what the system itself needs.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use mp_core::Error;
use mp_core::process::{Spawned, spawn};

use crate::measure::Row;

/// What the bare socket's process is started with, and the size of messages after it.
pub const RAW: &str = "--raw-echo=";

/// Receives messages of `size` bytes and sends each back, until the stream ends.
pub fn echo(mut stream: UnixStream, size: usize) {
    let mut buffer = vec![0; size];
    while stream.read_exact(&mut buffer).is_ok() && stream.write_all(&buffer).is_ok() {}
}

/// A bare socket to another process, which sends back what it gets.
pub struct Bare {
    process: Spawned,
    stream: UnixStream,
    message: Vec<u8>,
}

impl Bare {
    /// Starts the other process. Messages have `size` bytes.
    pub fn start(size: usize) -> Result<Self, Error> {
        let own = std::env::current_exe()
            .map_err(|error| Error::failed(format!("cannot find this program: {error}")))?;
        let (process, stream) = spawn(own, [format!("{RAW}{size}")])?;
        Ok(Self {
            process,
            stream,
            message: vec![7; size],
        })
    }

    /// Sends messages there and back.
    pub fn measure(&mut self, time: Duration) -> io::Result<Row> {
        Row::of(time, |_| {
            self.stream.write_all(&self.message)?;
            self.stream.read_exact(&mut self.message)
        })
    }

    /// Ends the other process.
    pub fn end(self) -> Result<(), Error> {
        let Self {
            mut process,
            stream,
            ..
        } = self;
        drop(stream);
        process.wait().map(drop)
    }
}

/// One thread wakes another and waits to be woken: what a hand-over costs inside a process, there and back.
pub fn hand_over(time: Duration) -> Row {
    #[derive(PartialEq, Clone, Copy)]
    enum Turn {
        Here,
        There,
        Over,
    }
    let shared = Arc::new((Mutex::new(Turn::Here), Condvar::new()));
    let theirs = shared.clone();
    let other = std::thread::spawn(move || {
        let (turn, changed) = &*theirs;
        let mut now = turn.lock().unwrap();
        loop {
            now = changed.wait_while(now, |turn| *turn == Turn::Here).unwrap();
            if *now == Turn::Over {
                return;
            }
            *now = Turn::Here;
            changed.notify_one();
        }
    });
    let (turn, changed) = &*shared;
    let row = Row::of(time, |_| {
        let mut now = turn.lock().unwrap();
        *now = Turn::There;
        changed.notify_one();
        drop(
            changed
                .wait_while(now, |turn| *turn == Turn::There)
                .unwrap(),
        );
        Ok::<(), std::convert::Infallible>(())
    })
    .unwrap_or_else(|never| match never {});
    *turn.lock().unwrap() = Turn::Over;
    changed.notify_one();
    other.join().expect("the other thread does not panic");
    row
}
