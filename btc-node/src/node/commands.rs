//! Shell commands that the user wants run on events: `-startupnotify`, `-shutdownnotify`, `-blocknotify`,
//! `-alertnotify`.

use std::process::{Command, Stdio};
use std::thread::JoinHandle;

/// Runs `command` through the shell and logs a failure. An empty command does nothing.
pub(crate) fn run(command: &str) {
    if command.is_empty() {
        return;
    }
    match Command::new("/bin/sh")
        .arg("-c")
        .arg(command)
        .stdin(Stdio::null())
        .status()
    {
        Ok(status) if status.success() => {}
        Ok(status) => tracing::warn!("runCommand error: system({command}) returned {status}"),
        Err(error) => tracing::warn!("runCommand error: system({command}) failed: {error}"),
    }
}

/// Runs `command` on a thread of its own; `None` if no thread could be had, which is logged.
pub(crate) fn spawn(command: String) -> Option<JoinHandle<()>> {
    std::thread::Builder::new()
        .name("notify".to_owned())
        .spawn(move || run(&command))
        .inspect_err(|error| tracing::warn!("no thread for a notification command: {error}"))
        .ok()
}

/// `text` as one quoted word of the shell, reduced to characters that cannot end the quotes.
///
/// Source: the default character set of Core's `SanitizeString`.
pub(crate) fn quote(text: &str) -> String {
    let safe: String = text
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || " .,;-_/:?@()".contains(*c))
        .collect();
    format!("'{safe}'")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quoted_text_stays_one_word() {
        assert_eq!(quote("a'; rm -rf $HOME #"), "'a; rm -rf HOME '");
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("out");
        run(&format!(
            "printf %s {} > {}",
            quote("two words"),
            out.display()
        ));
        assert_eq!(std::fs::read_to_string(out).unwrap(), "two words");
    }
}
