//! `-daemon` and `-daemonwait`: the node goes on in the background.
//!
//! A program that may have threads cannot fork and go on, so the process that was started checks its options, starts the
//! program once more with [`CHILD`] before its arguments, and ends. A socket joins the two, the child's standard input:
//! over it the child tells that the node is ready; if it closes without a word, the start has failed.

use super::error::StartError;
use super::options::Options;
use btc_interfaces::args::Args;
use std::ffi::OsString;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use thiserror::Error;

/// Tells a process that it is the one in the background. No option of a user's begins with two dashes and this word.
const CHILD: &str = "--in-background";

/// What the child says once the node is ready.
const READY: u8 = 1;

/// Why the node does not run in the background.
#[derive(Debug, Error)]
pub(super) enum DaemonError {
    /// An option is wrong.
    #[error(transparent)]
    Options(#[from] StartError),
    /// The second process could not be started.
    #[error("the node cannot be started in the background: {0}")]
    Spawn(#[from] io::Error),
    /// It ended before the node was ready; why is in its log.
    #[error("Error during initialization - check {0} for details")]
    Failed(String),
}

/// Whether the options ask for a node in the background.
pub(super) fn is_asked(args: &Args) -> bool {
    ["daemon", "daemonwait"]
        .into_iter()
        .any(|name| args.flag(name) == Some(true))
}

/// Starts the program with these arguments once more, detached from the terminal. With `-daemonwait` it returns once
/// the node is ready.
pub(super) fn launch(args: &Args, arguments: &[OsString]) -> Result<(), DaemonError> {
    // What is wrong with the options can still be told where they were typed.
    Options::read(args)?;
    println!("{} starting", crate::CLIENT_NAME);
    let (mut child, input) = UnixStream::pair()?;
    let name = std::env::args_os().next().unwrap_or_default();
    Command::new(std::env::current_exe()?)
        .arg0(name)
        .arg(CHILD)
        .args(arguments)
        .stdin(OwnedFd::from(input))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    if args.flag("daemonwait") != Some(true) {
        return Ok(());
    }
    let mut word = [0];
    match child.read_exact(&mut word) {
        Ok(()) if word == [READY] => Ok(()),
        _ => {
            let log = args.net_file("debuglogfile", "debug.log");
            let log = log.as_deref().and_then(|path| path.file_name());
            let log = log.unwrap_or("debug.log".as_ref()).to_string_lossy();
            Err(DaemonError::Failed(log.into_owned()))
        }
    }
}

/// The process in the background, and its way to the one that started it.
pub(super) struct Background(UnixStream);

impl Background {
    /// Takes [`CHILD`] out of the arguments, if it is there, and leaves the terminal's session.
    pub(super) fn enter(arguments: &mut Vec<OsString>) -> io::Result<Option<Self>> {
        if arguments.first().is_none_or(|first| first != CHILD) {
            return Ok(None);
        }
        arguments.remove(0);
        // It fails only for who leads a session already, and so has what it asks for.
        let _ = rustix::process::setsid();
        let stream = io::stdin().as_fd().try_clone_to_owned()?;
        Ok(Some(Self(UnixStream::from(stream))))
    }

    /// Tells the process that waits, if it does, that the node is ready.
    pub(super) fn ready(mut self) {
        // With -daemon nobody waits.
        let _ = self.0.write_all(&[READY]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use btc_interfaces::args::Program;

    #[test]
    fn either_option_asks_for_it() {
        for (options, asked) in [
            (&[][..], false),
            (&["-daemon"], true),
            (&["-daemonwait"], true),
            (&["-daemon", "-nodaemon"], false),
            (&["-nodaemonwait"], false),
        ] {
            let mut args = Args::new(Program::Node);
            args.parse(options.iter().copied()).unwrap();
            assert_eq!(is_asked(&args), asked, "{options:?}");
        }
    }

    #[test]
    fn only_the_first_argument_marks_the_child() {
        let mut arguments: Vec<OsString> = vec!["-regtest".into(), CHILD.into()];
        assert!(Background::enter(&mut arguments).unwrap().is_none());
        assert_eq!(arguments.len(), 2);
    }
}
