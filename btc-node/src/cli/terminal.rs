//! Secrets from standard input.

use rustix::termios::{LocalModes, OptionalActions, Termios, isatty, tcgetattr, tcsetattr};
use std::io::{BufRead, Write};

/// Reads a line that a terminal does not show; asks for it there. `None` at the end of the input.
pub(super) fn read_secret(
    prompt: &str,
    input: &mut dyn BufRead,
    err: &mut dyn Write,
) -> Option<String> {
    let silence = Silence::new();
    if silence.is_some() {
        let _ = write!(err, "{prompt}").and_then(|()| err.flush());
    }
    let mut line = String::new();
    let read = input.read_line(&mut line);
    if silence.is_some() {
        let _ = writeln!(err);
    }
    if read.ok()? == 0 {
        return None;
    }
    let secret = line.strip_suffix('\n').unwrap_or(&line);
    Some(secret.strip_suffix('\r').unwrap_or(secret).to_owned())
}

/// Keeps the terminal of standard input, if it is one, from showing what is typed.
struct Silence(Termios);

impl Silence {
    fn new() -> Option<Self> {
        let stdin = std::io::stdin();
        if !isatty(&stdin) {
            return None;
        }
        let before = tcgetattr(&stdin).ok()?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        tcsetattr(&stdin, OptionalActions::Now, &silent).ok()?;
        Some(Self(before))
    }
}

impl Drop for Silence {
    fn drop(&mut self) {
        let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, &self.0);
    }
}
