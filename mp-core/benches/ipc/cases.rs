//! What is measured.

use std::future::Future;
use std::os::unix::net::UnixStream;
use std::pin::pin;
use std::sync::{Arc, Barrier};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::Duration;

use mp_core::{Connection, Error, Options};

use crate::Failure;
use crate::interface::{Bench, BenchAsync, Callback, Echo, EchoMaker};
use crate::measure::{Row, Table};

struct Mirror;

impl Callback for Mirror {
    fn call(&self, n: u64) -> Result<u64, Error> {
        Ok(n)
    }
}

/// Every row of the interface [`Bench`], over one connection.
pub fn bench(table: &mut Table, stream: UnixStream) -> Result<(), Failure> {
    let (connection, bench) = Connection::connect::<dyn Bench>(stream, Options::default())?;
    table.row("call without Context", None, |time| {
        Row::of(time, |n| same(bench.ping_direct(n)?, n))
    })?;
    table.row("call with Context", None, |time| {
        Row::of(time, |n| same(bench.ping(n)?, n))
    })?;
    for count in [4, 16, 64] {
        let name = format!("call with Context, {count} threads");
        table.row(&name, None, |time| threads(time, &bench, count))?;
    }
    let twin = BenchAsync::new(&bench)?;
    connection.make_pool(POOL)?;
    table.row("call with Context, 64 futures", None, |time| {
        Row::overlapping(
            time,
            64,
            |n| twin.ping(n),
            |n, call| same(block_on(call)?, n),
        )
    })?;
    let mirror: Arc<dyn Callback> = Arc::new(Mirror);
    table.row("call with a nested callback", None, |time| {
        Row::of(time, |n| same(bench.call_back(mirror.clone(), n)?, n))
    })?;
    for (name, size) in [("echo of 1 KB", 1 << 10), ("echo of 1 MB", 1 << 20)] {
        // What comes back goes out again: copies of the caller's own are none of the runtime's.
        let mut data: Vec<u8> = (0..size).map(|n: u32| n as u8).collect();
        let len = data.len();
        table.row(name, Some(len), |time| {
            Row::of(time, |_| {
                data = bench.echo(std::mem::take(&mut data))?;
                same(data.len(), len)
            })
        })?;
    }
    table.row("an object made and released", None, |time| {
        Row::of(time, |_| {
            bench.make_object().map(drop).map_err(Failure::from)
        })
    })?;
    drop(connection);
    Ok(())
}

/// Threads that run the calls of futures.
const POOL: u32 = 4;

/// Polls on this thread, which sleeps until it is woken.
fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => std::thread::park(),
        }
    }
}

/// The same call from several threads at once.
fn threads(time: Duration, bench: &Arc<dyn Bench>, count: usize) -> Result<Row, Failure> {
    let start = Arc::new(Barrier::new(count));
    let threads: Vec<_> = (0..count)
        .map(|_| {
            let (bench, start) = (bench.clone(), start.clone());
            std::thread::spawn(move || {
                // The first call makes the counterpart of this thread.
                let made = bench.ping(0);
                start.wait();
                made?;
                Row::of(time, |n| same(bench.ping(n)?, n))
            })
        })
        .collect();
    let mut all = Row::default();
    for thread in threads {
        all.merge(thread.join().expect("a caller does not panic")?);
    }
    Ok(all)
}

/// A peer whose results are wrong is not worth measuring.
fn same<T: PartialEq + std::fmt::Display>(got: T, expected: T) -> Result<(), Failure> {
    if got == expected {
        Ok(())
    } else {
        Err(format!("peer gave {got} for {expected}").into())
    }
}

/// The echo of our own server.
pub fn echo_of_bench(table: &mut Table, stream: UnixStream) -> Result<(), Failure> {
    let (connection, bench) = Connection::connect::<dyn Bench>(stream, Options::default())?;
    echo(table, &*bench.make_echo()?)?;
    drop(connection);
    Ok(())
}

/// The one row that a server of an unknown program has.
pub fn echo_at(table: &mut Table, path: &str) -> Result<(), Failure> {
    let stream =
        UnixStream::connect(path).map_err(|error| format!("cannot connect to {path}: {error}"))?;
    let (connection, maker) = Connection::connect::<dyn EchoMaker>(stream, Options::default())?;
    echo(table, &*maker.make_echo()?)?;
    drop(connection);
    Ok(())
}

fn echo(table: &mut Table, echo: &dyn Echo) -> Result<(), Failure> {
    table.row("Echo.echo with Context, 13 letters", None, |time| {
        Row::of(time, |_| {
            same(
                echo.echo("hello, world!".to_owned())?.as_str(),
                "hello, world!",
            )
        })
    })
}
