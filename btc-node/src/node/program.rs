//! What the programs `bitcoin-node` and `bitcoind` share: arguments in, exit code out.
//!
//! Standard error carries `Error: …` and `Warning: …` and nothing else, as scripts around bitcoind expect.

use super::daemon::{self, Background, DaemonError};
use super::{Builder, Message, Node, Placement, PlacementError, Shutdown, StartError};
use btc_interfaces::args::{Args, Program};
use btc_interfaces::logging::{LogOptions, Logger};
use std::ffi::OsString;
#[cfg(feature = "ipc")]
use std::os::unix::net::UnixStream;
use std::process::ExitCode;

/// Runs a node to its end.
///
/// `name` is the program's; `placement` says where its wallets are, and is asked only if the node starts.
pub fn run(name: &str, placement: impl FnOnce() -> Result<Placement, PlacementError>) -> ExitCode {
    // What the node writes is for its user alone: keys, cookies, logs. Its children inherit this.
    rustix::process::umask(rustix::fs::Mode::RWXG | rustix::fs::Mode::RWXO);
    match start(name, placement) {
        Ok(Some(node)) => {
            node.shutdown().wait();
            node.stop()
        }
        Ok(None) => ExitCode::SUCCESS,
        Err(Failure::Start(StartError::Interrupted)) => ExitCode::SUCCESS,
        Err(Failure::Daemon(error @ DaemonError::Failed(_))) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
        Err(failure) => {
            match &failure {
                Failure::Start(error) if error.is_told() => {}
                Failure::Start(error) => match error.printed() {
                    Some(text) => eprint!("{text}"),
                    None => eprintln!("Error: {error}"),
                },
                failure => eprintln!("Error: {failure}"),
            }
            ExitCode::FAILURE
        }
    }
}

/// Why there is no node to run.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Start(#[from] StartError),
    #[error(transparent)]
    Placement(#[from] PlacementError),
    #[cfg(feature = "ipc")]
    #[error("Invalid -ipcfd number '{number}' ({reason})")]
    InvalidFd { number: String, reason: String },
    #[error(transparent)]
    Daemon(#[from] DaemonError),
    #[error("cannot wait for signals: {0}")]
    Signals(#[source] std::io::Error),
}

/// Starts the node; `None` if the arguments only ask for a text, or if it runs in the background.
fn start(
    name: &str,
    placement: impl FnOnce() -> Result<Placement, PlacementError>,
) -> Result<Option<Node>, Failure> {
    let mut arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let background = Background::enter(&mut arguments).map_err(DaemonError::from)?;
    #[cfg(feature = "ipc")]
    let parent = parent(&mut arguments)?;
    let program = match name {
        "bitcoind" => Program::Daemon,
        _ => Program::Node,
    };
    let mut args = Args::read(program, arguments.clone()).map_err(StartError::from)?;
    for notice in args.take_notices() {
        eprintln!("{notice}");
    }
    if let Some(text) = args.info_text(name) {
        print!("{text}");
        return Ok(None);
    }
    if background.is_none() && daemon::is_asked(&args) {
        daemon::launch(&args, &arguments)?;
        return Ok(None);
    }
    let logger = LogOptions::from_args(&args)
        .map(|options| Logger::new(&options))
        .map_err(StartError::from)?;
    logger.install().map_err(StartError::from)?;
    log_panics();
    let shutdown = Shutdown::new();
    watch_signals(&shutdown, &logger).map_err(Failure::Signals)?;
    let builder = Builder::default();
    #[cfg(feature = "ipc")]
    let builder = builder.parent(parent);
    let node = builder
        .args(args)
        .serve_rpc()
        .logger(logger)
        .shutdown(shutdown)
        .wallet(placement()?)
        .on_message(print)
        .start()?;
    if let Some(background) = background {
        background.ready();
    }
    Ok(Some(node))
}

/// Takes `-ipcfd N` out of the arguments and gives the stream to the process that put it there.
#[cfg(feature = "ipc")]
fn parent(arguments: &mut Vec<OsString>) -> Result<Option<UnixStream>, Failure> {
    let option = |argument: &OsString| argument == mp_core::process::FD_OPTION;
    let Some(index) = arguments.iter().position(option) else {
        return Ok(None);
    };
    arguments.remove(index);
    let number = match index < arguments.len() {
        true => arguments.remove(index),
        false => OsString::new(),
    };
    let number = number.to_string_lossy().into_owned();
    let invalid = |reason: String| Failure::InvalidFd {
        number: number.clone(),
        reason,
    };
    let fd = number
        .parse()
        .map_err(|error: std::num::ParseIntError| invalid(error.to_string()))?;
    let stream = mp_core::process::from_fd(fd).map_err(|error| invalid(error.to_string()))?;
    Ok(Some(stream))
}

/// Puts panics into the log too, before the place where they go anyway.
fn log_panics() {
    let default = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        tracing::error!("{panic}");
        default(panic);
    }));
}

fn print(message: &Message) {
    match message {
        Message::Error(text) => eprintln!("Error: {text}"),
        Message::Warning(text) => eprintln!("Warning: {text}"),
        Message::Progress(_) => {}
    }
}

/// Turns the signals by which a user or the system ends a program into a request to stop, and the one by which log
/// rotation asks for it into a new log file.
fn watch_signals(shutdown: &Shutdown, logger: &Logger) -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?;
    let (mut terminate, mut interrupt, mut hangup) = {
        let _inside = runtime.enter();
        (
            signal(SignalKind::terminate())?,
            signal(SignalKind::interrupt())?,
            signal(SignalKind::hangup())?,
        )
    };
    let (shutdown, logger) = (shutdown.clone(), logger.clone());
    std::thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            runtime.block_on(async {
                loop {
                    tokio::select! {
                        _ = terminate.recv() => return,
                        _ = interrupt.recv() => return,
                        _ = hangup.recv() => {
                            if let Err(error) = logger.reopen() {
                                tracing::error!("{error}");
                            }
                        }
                    }
                }
            });
            shutdown.request();
        })?;
    Ok(())
}
