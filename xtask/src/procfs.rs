//! What the system knows of a process: its children and what it holds open.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

/// The processes whose parent is `parent`, oldest first.
pub fn children(parent: u32) -> Vec<u32> {
    let mut found: Vec<u32> = fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|pid| stat(*pid).is_some_and(|(state, ppid)| ppid == parent && state != 'Z'))
        .collect();
    found.sort_unstable();
    found
}

/// Whether the process runs: a zombie does not.
pub fn runs(pid: u32) -> bool {
    stat(pid).is_some_and(|(state, _)| state != 'Z')
}

/// State and parent. The name before them may hold anything, so they are counted from its closing parenthesis.
fn stat(pid: u32) -> Option<(char, u32)> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = text.rsplit_once(')')?.1.split_whitespace();
    Some((fields.next()?.chars().next()?, fields.next()?.parse().ok()?))
}

/// The most memory that the process ever had resident, in bytes; `None` once it has ended.
pub fn peak_memory(pid: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// Processor time that the process has used, all threads together; kept until its parent waits for it.
pub fn cpu_time(pid: u32) -> Option<Duration> {
    /// What Linux shows every program, whatever the kernel counts by.
    const TICKS_PER_SECOND: f64 = 100.0;
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // After the name: state, and as the 12th and 13th field the times in user and kernel mode.
    let mut fields = text.rsplit_once(')')?.1.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let kernel: u64 = fields.next()?.parse().ok()?;
    Some(Duration::from_secs_f64(
        (user + kernel) as f64 / TICKS_PER_SECOND,
    ))
}

/// The program's file name and arguments.
pub fn command_line(pid: u32) -> String {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let mut words = bytes.split(|byte| *byte == 0).map(String::from_utf8_lossy);
    let program = words.next().unwrap_or_default();
    let name = program.rsplit('/').next().unwrap_or_default().to_owned();
    words
        .fold(name, |line, word| line + " " + &word)
        .trim_end()
        .to_owned()
}

/// Files that the process has open or mapped, and the number of its sockets.
pub fn holdings(pid: u32) -> (BTreeSet<PathBuf>, usize) {
    let mut files = BTreeSet::new();
    let mut sockets = 0;
    let descriptors = fs::read_dir(format!("/proc/{pid}/fd"))
        .into_iter()
        .flatten()
        .flatten();
    for target in descriptors.filter_map(|entry| fs::read_link(entry.path()).ok()) {
        if target.to_string_lossy().starts_with("socket:") {
            sockets += 1;
        } else if target.is_absolute() {
            files.insert(target);
        }
    }
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap_or_default();
    files.extend(
        maps.lines()
            .filter_map(|line| line.find('/').map(|at| PathBuf::from(&line[at..]))),
    );
    (files, sockets)
}
