//! Data that a benchmark program makes once, always the same, and that later runs find under the target folder.

use crate::build;
use std::fs;
use std::path::{Path, PathBuf};

/// Why there are no data, or a file among or beside them could not be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// A file or folder could not be read or written, or a program not be started.
    #[error("bench: {}: {source}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// Building or generating failed, as its output says.
    #[error("bench: {0}")]
    Failed(Box<dyn std::error::Error + Send + Sync>),
    /// The summary of the data is not what the generator writes.
    #[error("bench: {} says nothing of {field}; delete its folder", path.display())]
    Summary {
        /// What is missing.
        field: &'static str,
        /// The summary.
        path: PathBuf,
    },
}

/// A folder of data with a summary: a line for each field, its name and its value.
pub(super) struct Generated {
    folder: PathBuf,
    summary: String,
}

impl Generated {
    /// The data as an earlier call left them in this folder of the target folder, or made now by btc-node's benchmark
    /// program of that name. `data` names what it makes: other data need another name.
    pub(super) fn obtain(bench: &str, data: &str) -> Result<Self, Error> {
        let parent = place(bench);
        let folder = parent.join(data);
        let summary = folder.join(SUMMARY);
        if !summary.exists() {
            println!("generating {data}...");
            fs::create_dir_all(&parent).map_err(io(&parent))?;
            // Half of it must never be taken for all: it gets its name when it is whole.
            let unfinished = parent.join("unfinished");
            run(bench, &["generate", &unfinished.display().to_string()])?;
            fs::rename(&unfinished, &folder).map_err(io(&folder))?;
        }
        let summary = fs::read_to_string(&summary).map_err(io(&summary))?;
        Ok(Self { folder, summary })
    }

    /// Where the data are.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// A field of the summary.
    pub(super) fn field(&self, name: &'static str) -> Result<&str, Error> {
        self.summary
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))
            .ok_or_else(|| self.missing(name))
    }

    /// A field that is a number.
    pub(super) fn number(&self, name: &'static str) -> Result<u64, Error> {
        self.field(name)?.parse().map_err(|_| self.missing(name))
    }

    fn missing(&self, field: &'static str) -> Error {
        Error::Summary {
            field,
            path: self.folder.join(SUMMARY),
        }
    }
}

const SUMMARY: &str = "summary";

/// Where a benchmark keeps its data and runs.
pub(super) fn place(bench: &str) -> PathBuf {
    build::target().join("bench").join(bench)
}

/// Runs btc-node's benchmark program of that name.
pub(super) fn run(bench: &str, arguments: &[&str]) -> Result<(), Error> {
    let mut command = build::cargo();
    command
        .args(["bench", "--quiet", "-p", "btc-node", "--bench", bench])
        .arg("--")
        .args(arguments);
    build::run(&mut command).map_err(Error::Failed)
}

/// As [`run`], and gives what the program writes instead of showing it.
pub(super) fn output(bench: &str, arguments: &[&str]) -> Result<String, Error> {
    let mut command = build::cargo();
    command
        .args(["bench", "--quiet", "-p", "btc-node", "--bench", bench])
        .arg("--")
        .args(arguments)
        .stderr(std::process::Stdio::inherit());
    let output = command.output().map_err(io(Path::new("cargo")))?;
    if !output.status.success() {
        let what = format!("cargo bench ended with {}", output.status);
        return Err(Error::Failed(what.into()));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Builds our node and gives the program.
pub(super) fn node() -> Result<PathBuf, Error> {
    let mut build = build::cargo();
    build.args(["build", "--quiet", "--release", "-p", "btc-node"]);
    build::run(build.args(["--bin", "bitcoin-node"])).map_err(Error::Failed)?;
    Ok(build::target().join("release").join("bitcoin-node"))
}

/// An error about a file.
pub(super) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Error + use<> {
    let path = path.to_owned();
    move |source| Error::Io { path, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_says_what_it_lacks() {
        let data = Generated {
            folder: "data".into(),
            summary: "blocks 12\ntip ab\n".to_owned(),
        };
        assert_eq!(data.number("blocks").ok(), Some(12));
        assert_eq!(data.field("tip").ok(), Some("ab"));
        for wrong in [data.field("block").map(drop), data.number("tip").map(drop)] {
            let text = wrong.expect_err("is not there").to_string();
            assert!(text.contains("says nothing of"), "{text}");
        }
    }
}
