//! `bitcoin-gui`: spawns bitcoin-node and shows its chain and wallets, as lines of text.
//!
//! Every option but its own goes to the node. The window comes later; the models it will show are these.

use btc_gui_bridge::{ChainModel, WalletsModel};
use btc_interfaces::{Init, Node};
use mp_core::{Connection, Options, PeerCheck, process};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

const HELP: &str = "\
Usage: bitcoin-gui [-once] [options of bitcoin-node]

Starts bitcoin-node, shows its chain and wallets as they change, and stops it at the end of input (Ctrl-D).

  -once      show them once and stop
  -help      this text
  -version   the version

Every other option is bitcoin-node's.";

/// How often the wallets and the mempool are asked again; blocks are told by events.
const REFRESH: Duration = Duration::from_secs(5);
/// How often a starting node is asked whether it is ready.
const START_REFRESH: Duration = Duration::from_millis(200);
/// How long a node may take to come up, and to stop.
const NODE_LIMIT: Duration = Duration::from_secs(120);

type Result<T, E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

fn main() -> ExitCode {
    let mut once = false;
    // What the node would print is in its log; an option of the user's comes later and wins.
    let mut for_node = vec!["-printtoconsole=0".to_owned()];
    for argument in std::env::args().skip(1) {
        match argument.trim_start_matches('-') {
            "help" | "h" | "?" => {
                println!("{HELP}");
                return ExitCode::SUCCESS;
            }
            "version" => {
                println!("bitcoin-gui version v{}", env!("CARGO_PKG_VERSION"));
                return ExitCode::SUCCESS;
            }
            "once" => once = true,
            _ => for_node.push(argument),
        }
    }
    match run(&for_node, once) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("Error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(for_node: &[String], once: bool) -> Result<()> {
    let (mut child, stream) = process::spawn(sibling("bitcoin-node")?, for_node)?;
    let shown = Connection::connect::<dyn Init>(stream, Options::new().peer(PeerCheck::SameUser))
        .map_err(Into::into)
        .and_then(|(_connection, init)| show(&*init.make_node()?, once));
    let status = child.wait_within(NODE_LIMIT)?;
    // A node that refused its options has said so on stderr; its exit code is then the whole story.
    if !status.success() {
        return Err(format!("bitcoin-node ended with {status}").into());
    }
    shown
}

fn show(node: &dyn Node, once: bool) -> Result<()> {
    let chain = ChainModel::attach(node)?;
    let input = (!once).then(watch_input);
    let mut shown = String::new();
    loop {
        let snapshot = chain.snapshot();
        let mut lines = format!("{snapshot}\n");
        let started = snapshot.status.is_some();
        if started {
            let wallets = WalletsModel::load(node)?;
            if !wallets.available {
                lines += "no wallets\n";
            }
            for row in &wallets.rows {
                lines += &format!("  {row}\n");
            }
        }
        if lines != shown {
            print!("{lines}");
            shown = lines;
        }
        let ended = match &input {
            Some(input) => Arc::strong_count(input) == 1,
            None => started,
        };
        if ended {
            node.start_shutdown()?;
            return Ok(());
        }
        // Of the end of the start-up no event tells.
        chain.wait_newer(
            snapshot.revision,
            if started { REFRESH } else { START_REFRESH },
        );
        chain.refresh(node)?;
    }
}

/// A token whose twin goes when the input ends.
fn watch_input() -> Arc<()> {
    let token = Arc::new(());
    let twin = Arc::clone(&token);
    std::thread::spawn(move || {
        // A read error ends the input as well.
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        drop(twin);
    });
    token
}

/// The program of this name beside this one.
fn sibling(name: &str) -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    let path = own
        .parent()
        .unwrap_or(Path::new("."))
        .join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    if path.exists() {
        Ok(path)
    } else {
        Err(format!("{} is not there", path.display()).into())
    }
}
