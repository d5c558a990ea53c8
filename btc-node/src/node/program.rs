//! What the programs `bitcoin-node` and `bitcoind` share: arguments in, exit code out.
//!
//! Standard error carries `Error: …` and `Warning: …` and nothing else, as scripts around bitcoind expect.

use super::{Builder, Message, Node, Placement, PlacementError, Shutdown, StartError};
use btc_interfaces::args::{Args, Program};
use std::ffi::OsString;
use std::process::ExitCode;

/// Runs a node to its end.
///
/// `name` is the program's; `placement` says where its wallets are, and is asked only if the node starts.
pub fn run(name: &str, placement: impl FnOnce() -> Result<Placement, PlacementError>) -> ExitCode {
    match start(name, placement) {
        Ok(Some(node)) => {
            node.shutdown().wait();
            node.stop()
        }
        Ok(None) => ExitCode::SUCCESS,
        Err(Failure::Start(StartError::Interrupted)) => ExitCode::SUCCESS,
        Err(failure) => {
            if !matches!(&failure, Failure::Start(error) if error.is_told()) {
                eprintln!("Error: {failure}");
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
    #[error("cannot wait for signals: {0}")]
    Signals(#[source] std::io::Error),
}

/// Starts the node; `None` if the arguments only ask for a text.
fn start(
    name: &str,
    placement: impl FnOnce() -> Result<Placement, PlacementError>,
) -> Result<Option<Node>, Failure> {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let args = Args::read(Program::Node, arguments).map_err(StartError::from)?;
    if let Some(text) = args.info_text(name) {
        print!("{text}");
        return Ok(None);
    }
    let shutdown = Shutdown::new();
    stop_on_signals(&shutdown).map_err(Failure::Signals)?;
    let node = Builder::default()
        .args(args)
        .serve_rpc()
        .write_log()
        .shutdown(shutdown)
        .wallet(placement()?)
        .on_message(print)
        .start()?;
    Ok(Some(node))
}

fn print(message: &Message) {
    match message {
        Message::Error(text) => eprintln!("Error: {text}"),
        Message::Warning(text) => eprintln!("Warning: {text}"),
        Message::Progress(_) => {}
    }
}

/// Turns the signals by which a user or the system ends a program into a request to stop.
fn stop_on_signals(shutdown: &Shutdown) -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?;
    let (mut terminate, mut interrupt) = {
        let _inside = runtime.enter();
        (
            signal(SignalKind::terminate())?,
            signal(SignalKind::interrupt())?,
        )
    };
    let shutdown = shutdown.clone();
    std::thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
            });
            shutdown.request();
        })?;
    Ok(())
}
