//! Where lines go.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;

/// Bytes of lines that are kept before the file is known; older ones make room.
const MAX_KEPT: usize = 1_000_000;

/// What remains of a file that is shrunk, and from which size on it is.
const SHRUNK_SIZE: u64 = 10_000_000;
const SHRINK_FROM: u64 = 11_000_000;

pub(super) struct Sink {
    console: bool,
    file: Option<File>,
    /// Lines from before the file was known; `None` afterwards.
    kept: Option<VecDeque<String>>,
    kept_size: usize,
}

impl Sink {
    pub(super) fn new(console: bool) -> Self {
        Self {
            console,
            file: None,
            kept: Some(VecDeque::new()),
            kept_size: 0,
        }
    }

    pub(super) fn write(&mut self, line: &str) {
        if let Some(kept) = &mut self.kept {
            self.kept_size += line.len();
            kept.push_back(line.to_owned());
            while self.kept_size > MAX_KEPT {
                let oldest = kept.pop_front().map_or(0, |line| line.len());
                self.kept_size -= oldest;
            }
            return;
        }
        self.put(line);
    }

    /// Whether lines are only kept yet.
    pub(super) fn keeps(&self) -> bool {
        self.kept.is_some()
    }

    /// Shows a line that does not go into the file.
    pub(super) fn write_to_console(&mut self, line: &str) {
        if self.console {
            let mut out = io::stdout().lock();
            let _ = out.write_all(line.as_bytes()).and_then(|()| out.flush());
        }
    }

    /// Writes what was kept; from now on lines are written at once.
    pub(super) fn release(&mut self, file: Option<File>, new_run: bool) {
        self.file = file;
        if let Some(file) = &mut self.file
            && new_run
        {
            // Parts this run from the one before.
            let _ = file.write_all(b"\n\n\n\n\n");
        }
        for line in self.kept.take().into_iter().flatten() {
            self.put(&line);
        }
    }

    pub(super) fn replace(&mut self, file: File) {
        self.file = Some(file);
    }

    fn put(&mut self, line: &str) {
        // There is nowhere left to tell of a log that cannot be written, and a full disk must not end the node.
        if let Some(file) = &mut self.file {
            let _ = file.write_all(line.as_bytes());
        }
        self.write_to_console(line);
    }
}

/// Opens a file for lines at its end. Only its owner may read it.
pub(super) fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Cuts a long file to its end, beginning with a whole line.
pub(super) fn shrink(path: &Path) -> io::Result<()> {
    let mut file = match OpenOptions::new().read(true).write(true).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let size = file.metadata()?.len();
    if size <= SHRINK_FROM {
        return Ok(());
    }
    file.seek(SeekFrom::Start(size - SHRUNK_SIZE))?;
    let mut end = Vec::new();
    file.read_to_end(&mut end)?;
    let start = end
        .iter()
        .position(|byte| *byte == b'\n')
        .map_or(0, |newline| newline + 1);
    file.seek(SeekFrom::Start(0))?;
    file.write_all(&end[start..])?;
    file.set_len((end.len() - start) as u64)
}
