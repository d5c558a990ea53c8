//! What a call to another process costs, beside what the bare socket costs on the same machine in the same minute.
//!
//! ```text
//! cargo bench -p mp-core --bench ipc -- [--seconds S] [--only TEXT] [--program EXE]… [--socket PATH]…
//! ```
//!
//! The peer is this very program, spawned again. `--program` spawns another one that serves the same interface on the
//! descriptor that `-ipcfd` names: `libmultiprocess/peer.cpp`, for one. `--socket` connects to a server whose first
//! object makes an echo, as libmultiprocess's users have it. Both are measured after our own peer, by our client.
//! `--only` leaves out the rows without that text in their names.

#![allow(clippy::unwrap_used)]

mod cases;
mod interface;
mod measure;
mod raw;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use mp_core::process::{FD_OPTION, from_fd, spawn};
use mp_core::{Connection, Options};

use interface::{Bench, Server};
use measure::{Table, machine};
use raw::{Bare, RAW};

/// Whatever ends a measurement: shown to who started it.
type Failure = Box<dyn std::error::Error + Send + Sync>;

struct Arguments {
    /// Time for each row.
    time: Duration,
    only: Option<String>,
    programs: Vec<String>,
    sockets: Vec<String>,
}

fn main() -> ExitCode {
    let given: Vec<String> = std::env::args().skip(1).collect();
    if let Some(at) = given.iter().position(|argument| argument == FD_OPTION) {
        return serve(
            given.get(at + 1),
            given
                .iter()
                .find_map(|argument| argument.strip_prefix(RAW)?.parse().ok()),
        );
    }
    match parse(&given).and_then(|arguments| run(&arguments).map_err(|error| error.to_string())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The peer's side: everything until the other process leaves. `raw` asks for bare messages of that size.
fn serve(fd: Option<&String>, raw: Option<usize>) -> ExitCode {
    let Some(Ok(stream)) = fd.and_then(|fd| fd.parse().ok()).map(from_fd) else {
        eprintln!("error: {FD_OPTION} needs the number of a socket");
        return ExitCode::FAILURE;
    };
    if let Some(size) = raw {
        raw::echo(stream, size);
    } else {
        let server: Arc<dyn Bench> = Arc::new(Server);
        let connection = Connection::serve(stream, server, Options::default()).unwrap();
        connection.closed();
    }
    ExitCode::SUCCESS
}

fn parse(given: &[String]) -> Result<Arguments, String> {
    // Whether cargo measures, or only tries whether the program runs at all.
    let measures = given.iter().any(|argument| argument == "--bench");
    let mut arguments = Arguments {
        time: Duration::from_millis(if measures { 2000 } else { 20 }),
        only: None,
        programs: Vec::new(),
        sockets: Vec::new(),
    };
    let mut given = given.iter().filter(|argument| *argument != "--bench");
    while let Some(option) = given.next() {
        let mut value = || {
            given
                .next()
                .cloned()
                .ok_or_else(|| format!("{option} needs a value"))
        };
        match option.as_str() {
            "--seconds" => {
                let seconds: f64 = value()?.parse().map_err(|_| "--seconds needs a number")?;
                arguments.time = Duration::try_from_secs_f64(seconds)
                    .map_err(|_| "--seconds needs a length of time")?;
            }
            "--only" => arguments.only = Some(value()?),
            "--program" => arguments.programs.push(value()?),
            "--socket" => arguments.sockets.push(value()?),
            unknown => return Err(format!("there is no option '{unknown}' here")),
        }
    }
    Ok(arguments)
}

fn run(arguments: &Arguments) -> Result<(), Failure> {
    let own = std::env::current_exe()?;
    println!("{}", machine());
    let mut table = Table::new(arguments.time, arguments.only.clone(), Bare::start(64)?);
    table.headline("the system");
    let mut large = Bare::start(1 << 20)?;
    table.row("bare socket pair, 1 MB", Some(1 << 20), |time| {
        large.measure(time)
    })?;
    large.end()?;
    table.row("hand-over between two threads, and back", None, |time| {
        Ok::<_, Failure>(raw::hand_over(time))
    })?;

    table.headline("mp-core, client and server");
    let (mut spawned, stream) = spawn(&own, ["peer"])?;
    cases::bench(&mut table, stream)?;
    spawned.wait()?;
    let (mut spawned, stream) = spawn(&own, ["peer"])?;
    cases::echo_of_bench(&mut table, stream)?;
    spawned.wait()?;

    for program in &arguments.programs {
        table.headline(&format!(
            "mp-core as client, server is {}",
            name_of(program)
        ));
        let (mut spawned, stream) = spawn(program, ["peer"])?;
        cases::bench(&mut table, stream)?;
        spawned.wait()?;
    }
    for path in &arguments.sockets {
        table.headline(&format!(
            "mp-core as client, server is at {}",
            name_of(path)
        ));
        cases::echo_at(&mut table, path)?;
    }
    println!("\n{}", machine());
    Ok(())
}

/// The file name of a path.
fn name_of(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}
