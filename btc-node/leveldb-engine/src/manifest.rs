//! The manifest: the file that says which tables make up the database, and CURRENT, which says which manifest counts.

use std::path::Path;
use std::sync::Arc;

use crate::edit::{COMPARATOR, Edit, LEVELS};
use crate::error::{Error, Result};
use crate::fs::{FileName, Fs, ReadFile};
use crate::log::{LogReader, LogWriter};
use crate::version::{Tables, Version};

/// Longest CURRENT file that makes sense.
const MAX_CURRENT: u64 = 4096;

/// What a manifest says.
#[derive(Debug)]
pub(crate) struct Recovered {
    pub(crate) version: Version,
    pub(crate) compact_pointers: [Option<Vec<u8>>; LEVELS],
    pub(crate) next_file: u64,
    pub(crate) last_sequence: u64,
    pub(crate) log_number: u64,
    pub(crate) prev_log_number: u64,
}

/// Writes the manifest of a database without tables, and makes it current.
///
/// # Errors
/// The file system's.
pub(crate) fn create_empty(fs: &dyn Fs, dir: &Path) -> Result<()> {
    let edit = Edit {
        comparator: Some(COMPARATOR.to_vec()),
        log_number: Some(0),
        next_file: Some(2),
        last_sequence: Some(0),
        ..Edit::default()
    };
    ManifestWriter::begin(fs, dir, 1, &edit).map(drop)
}

/// Appends to the current manifest.
#[derive(Debug)]
pub(crate) struct ManifestWriter {
    log: LogWriter,
    pub(crate) number: u64,
}

impl ManifestWriter {
    /// Begins a manifest with one record that says all, and makes it current once the disk has it.
    ///
    /// # Errors
    /// The file system's; the manifest that was current before then still is, unless nobody can say.
    pub(crate) fn begin(fs: &dyn Fs, dir: &Path, number: u64, all: &Edit) -> Result<Self> {
        let path = FileName::Manifest(number).path(dir);
        let file = fs.create(&path).map_err(Error::io(&path))?;
        let mut log = LogWriter::new(file, path);
        log.add(&[], &all.encode())?;
        log.sync()?;

        let temporary = FileName::Temporary(number).path(dir);
        let current = FileName::Current.path(dir);
        let mut file = fs.create(&temporary).map_err(Error::io(&temporary))?;
        file.append(format!("MANIFEST-{number:06}\n").as_bytes())
            .and_then(|()| file.sync())
            .map_err(Error::io(&temporary))?;
        drop(file);
        // The names of the manifest and of the tables it speaks of must be on the disk before CURRENT names it.
        fs.sync_dir(dir).map_err(Error::io(dir))?;
        fs.rename(&temporary, &current)
            .map_err(Error::io(&temporary))?;
        fs.sync_dir(dir).map_err(Error::io(dir))?;
        Ok(Self { log, number })
    }

    /// Appends a change; the disk has it when this returns.
    ///
    /// # Errors
    /// The file system's; nobody can then say whether the change is in force.
    pub(crate) fn add(&mut self, tables: &Tables, edit: &Edit) -> Result<()> {
        tables.sync_dir()?;
        self.log.add(&[], &edit.encode())?;
        self.log.sync()
    }
}

/// Reads CURRENT and the manifest that it names.
///
/// # Errors
/// They cannot be read, are damaged, or are of a database with another order of keys.
pub(crate) fn recover(fs: &dyn Fs, dir: &Path) -> Result<Recovered> {
    let path = FileName::Current.path(dir);
    let file = fs.open(&path).map_err(Error::io(&path))?;
    let name = read_current(&*file).map_err(Error::io(&path))?;
    let ends = || Error::Corruption("CURRENT file does not end with newline".into());
    let name = name.strip_suffix(b"\n").ok_or_else(ends)?;
    let number = std::str::from_utf8(name).ok().and_then(FileName::parse);
    let stranger = || Error::Corruption("CURRENT does not name a manifest".into());
    if name.iter().any(|byte| b"/\\\0".contains(byte)) {
        return Err(stranger());
    }
    let path = dir.join(String::from_utf8_lossy(name).as_ref());
    let file = fs.open(&path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => Error::Corruption(format!(
            "CURRENT points to a non-existent file: {}",
            Error::from_io(path.display().to_string(), &error)
        )),
        _ => Error::from_io(path.display().to_string(), &error),
    })?;
    let Some(FileName::Manifest(manifest)) = number else {
        return Err(stranger());
    };
    let mut reader = LogReader::new(file, path);
    let mut edits = Vec::new();
    while let Some(record) = reader.next()? {
        let edit = Edit::decode(&record)?;
        if let Some(name) = &edit.comparator
            && name != COMPARATOR
        {
            return Err(Error::InvalidArgument(format!(
                "{} does not match existing comparator : {}",
                String::from_utf8_lossy(name),
                String::from_utf8_lossy(COMPARATOR)
            )));
        }
        edits.push(edit);
    }
    let last = |field: fn(&Edit) -> Option<u64>, what: &str| {
        let found = edits.iter().rev().find_map(field);
        found.ok_or_else(|| Error::Corruption(format!("no {what} entry in descriptor")))
    };
    let next_file = last(|edit| edit.next_file, "meta-nextfile")?;
    let log_number = last(|edit| edit.log_number, "meta-lognumber")?;
    let last_sequence = last(|edit| edit.last_sequence, "last-sequence-number")?;
    let prev_log_number = last(|edit| edit.prev_log_number, "").unwrap_or(0);
    let mut compact_pointers: [Option<Vec<u8>>; LEVELS] = Default::default();
    for (level, pointer) in edits.iter().flat_map(|edit| &edit.compact_pointers) {
        compact_pointers[*level] = Some(pointer.clone());
    }
    let version = Version::default().edited(&edits)?;
    // A number that is in use must not be given to another file, whatever the counter says.
    let tables = version.levels.iter().flatten();
    let used = tables.map(|file| file.record.number);
    let used = used.chain([manifest, log_number, prev_log_number]).max();
    Ok(Recovered {
        next_file: next_file.max(used.map_or(0, |used| used + 1)),
        version,
        compact_pointers,
        last_sequence,
        log_number,
        prev_log_number,
    })
}

fn read_current(file: &dyn ReadFile) -> std::io::Result<Vec<u8>> {
    let mut bytes = vec![0; file.size()?.min(MAX_CURRENT) as usize];
    let read = file.read_at(&mut bytes, 0)?;
    bytes.truncate(read);
    Ok(bytes)
}

/// One record that says all that `version` is.
pub(crate) fn whole(version: &Version, compact_pointers: &[Option<Vec<u8>>; LEVELS]) -> Edit {
    let pointers = compact_pointers.iter().enumerate();
    let files = version.levels.iter().enumerate();
    Edit {
        comparator: Some(COMPARATOR.to_vec()),
        compact_pointers: pointers
            .filter_map(|(level, pointer)| Some((level, pointer.clone()?)))
            .collect(),
        added: files
            .flat_map(|(level, files)| files.iter().map(move |file| (level, Arc::clone(file))))
            .map(|(level, file)| (level, file.record.clone()))
            .collect(),
        ..Edit::default()
    }
}
