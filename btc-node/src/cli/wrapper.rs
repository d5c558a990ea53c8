//! `bitcoin`: one command for all programs.

use btc_interfaces::args::{Args, Program};
use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use thiserror::Error;

const USAGE: &str = "\
Usage: bitcoin [OPTIONS] COMMAND...

Options:
  -m, --multiprocess     Run the programs that work in several processes: bitcoin-node, bitcoin-gui
  -M, --monolithic       Run the programs that work in one process: bitcoind (the default)
  -v, --version          Show the version
  -h, --help             Show this text

Commands:
  gui [ARGS]     Start the window, as bitcoin-gui [ARGS] does
  node [ARGS]    Start the node, as bitcoind [ARGS] or bitcoin-node [ARGS] does
  rpc [ARGS]     Call a node, as bitcoin-cli -named [ARGS] does
  wallet [ARGS]  Work on a wallet file, as bitcoin-wallet [ARGS] does
  help           Show this text
";

/// Options that only a program for several processes understands.
const IPC_OPTIONS: [&str; 3] = ["ipcbind", "ipcconnect", "ipcfd"];

/// Why no program was started.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum WrapperError {
    /// There is no such option.
    #[error("Unknown option: {0}")]
    Option(String),
    /// There is no such command.
    #[error("Unrecognized command: '{0}'")]
    Command(String),
    /// The program cannot be run.
    #[error("execvp failed to execute '{}': {source}", .path.display())]
    Exec {
        /// The program.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

/// What to do.
#[derive(Debug, PartialEq, Eq)]
enum Plan {
    Usage {
        asked: bool,
    },
    Version,
    Run {
        program: &'static str,
        arguments: Vec<OsString>,
    },
}

/// The program.
pub fn main() -> ExitCode {
    let mut arguments = std::env::args_os();
    let own = arguments.next().unwrap_or_else(|| "bitcoin".into());
    let outcome = match plan(arguments.collect()) {
        Ok(Plan::Usage { asked }) => {
            print!("{USAGE}");
            return if asked {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            };
        }
        Ok(Plan::Version) => {
            println!(
                "multiprocess-bitcoin version v{}",
                env!("CARGO_PKG_VERSION")
            );
            return ExitCode::SUCCESS;
        }
        Ok(Plan::Run { program, arguments }) => exec(Path::new(&own), program, &arguments),
        Err(error) => error,
    };
    let own = own.to_string_lossy();
    eprintln!("Error: {outcome}\nTry '{own} --help' for more information.");
    ExitCode::FAILURE
}

fn plan(arguments: Vec<OsString>) -> Result<Plan, WrapperError> {
    let mut several_processes = None;
    let mut arguments = arguments.into_iter();
    while let Some(argument) = arguments.next() {
        match argument.to_string_lossy().as_ref() {
            "-m" | "--multiprocess" => several_processes = Some(true),
            "-M" | "--monolithic" => several_processes = Some(false),
            "-v" | "--version" => return Ok(Plan::Version),
            "-h" | "--help" | "help" => return Ok(Plan::Usage { asked: true }),
            "" => {}
            option if option.starts_with('-') => {
                return Err(WrapperError::Option(option.to_owned()));
            }
            command => {
                let mut rest: Vec<OsString> = arguments.collect();
                let program = match command {
                    "node" if several_processes.unwrap_or_else(|| wants_ipc(&rest)) => {
                        "bitcoin-node"
                    }
                    "node" => "bitcoind",
                    "gui" => "bitcoin-gui",
                    "wallet" => "bitcoin-wallet",
                    "rpc" => {
                        // Names are more convenient, and this command is new, so that nobody relies on positions.
                        rest.insert(0, "-named".into());
                        "bitcoin-cli"
                    }
                    other => return Err(WrapperError::Command(other.to_owned())),
                };
                return Ok(Plan::Run {
                    program,
                    arguments: rest,
                });
            }
        }
    }
    Ok(Plan::Usage { asked: false })
}

/// Whether the options of the command line or of the configuration file ask for IPC.
fn wants_ipc(arguments: &[OsString]) -> bool {
    let names = arguments.iter().any(|argument| {
        let argument = argument.to_string_lossy();
        let name = argument.trim_start_matches('-');
        let name = name.split('=').next().unwrap_or_default();
        argument.starts_with('-') && IPC_OPTIONS.contains(&name)
    });
    names || configured(arguments)
}

/// Whether the configuration file asks for it, also where the command line asks for no more than a version.
fn configured(arguments: &[OsString]) -> bool {
    let mut args = Args::new(Program::Node);
    let words = arguments.iter().map(|argument| argument.to_string_lossy());
    let read = args.parse(words).and_then(|()| args.load_config());
    // What is wrong with the configuration is for the program to say.
    read.is_ok() && args.is_set("ipcbind")
}

/// Becomes the program; returns only with what is wrong.
fn exec(own: &Path, program: &'static str, arguments: &[OsString]) -> WrapperError {
    let dir = std::env::current_exe().ok();
    let dir = dir.as_deref().and_then(Path::parent);
    let mut candidates = Vec::new();
    if let Some(dir) = dir {
        if dir.file_name().is_some_and(|name| name == "bin") {
            candidates.push(dir.with_file_name("libexec").join(program));
        }
        candidates.push(dir.join(program));
    }
    // Found by a search of the path, so that the others may be, too; called by its place, never.
    if own.components().count() == 1 {
        candidates.push(program.into());
    }
    let mut failure = None;
    for path in candidates {
        let source = Command::new(&path).args(arguments).exec();
        let missing = source.kind() == std::io::ErrorKind::NotFound;
        failure = Some(WrapperError::Exec { path, source });
        if !missing {
            break;
        }
    }
    failure.unwrap_or_else(|| WrapperError::Command(program.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planned(arguments: &[&str]) -> Result<Plan, String> {
        let arguments = arguments.iter().map(OsString::from).collect();
        plan(arguments).map_err(|error| error.to_string())
    }

    fn run(program: &'static str, arguments: &[&str]) -> Result<Plan, String> {
        let arguments = arguments.iter().map(OsString::from).collect();
        Ok(Plan::Run { program, arguments })
    }

    #[test]
    fn commands_become_programs() {
        let regtest = "-regtest";
        assert_eq!(
            planned(&["-m", "node", regtest]),
            run("bitcoin-node", &[regtest])
        );
        assert_eq!(
            planned(&["-M", "node", "-ipcbind=unix"]),
            run("bitcoind", &["-ipcbind=unix"])
        );
        assert_eq!(
            planned(&["node", "-ipcbind=unix"]),
            run("bitcoin-node", &["-ipcbind=unix"])
        );
        assert_eq!(
            planned(&["rpc", "help"]),
            run("bitcoin-cli", &["-named", "help"])
        );
        assert_eq!(planned(&["wallet", "-m"]), run("bitcoin-wallet", &["-m"]));
        assert_eq!(planned(&["-m", "gui"]), run("bitcoin-gui", &[]));
    }

    #[test]
    fn texts_and_mistakes() {
        assert_eq!(planned(&[]), Ok(Plan::Usage { asked: false }));
        assert_eq!(planned(&["-m", "-h", "x"]), Ok(Plan::Usage { asked: true }));
        assert_eq!(planned(&["--version"]), Ok(Plan::Version));
        assert_eq!(planned(&["-x"]), Err("Unknown option: -x".to_owned()));
        assert_eq!(planned(&["x"]), Err("Unrecognized command: 'x'".to_owned()));
    }
}
