//! `cargo xtask codegen`: writes the tables that proxies work from, or checks that they are up to date.

use crate::build;
use mp_codegen::{Job, Options, Stale, Style};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// Why generating or checking failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// An argument that the command does not know.
    #[error("codegen: unknown argument {0:?}; it takes --check, --digests or nothing")]
    Argument(String),
    /// The generator's error.
    #[error(transparent)]
    Codegen(#[from] mp_codegen::Error),
    /// The folder of schemas could not be listed.
    #[error("{}: {source}", path.display())]
    Io {
        /// The folder.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// Files that are not up to date, with the reasons.
    #[error("not up to date, run `cargo xtask codegen`:{}", list(.0))]
    Stale(Vec<(PathBuf, Stale)>),
}

fn list(files: &[(PathBuf, Stale)]) -> String {
    files
        .iter()
        .map(|(path, why)| format!("\n  {} {why}", path.display()))
        .collect()
}

/// Runs the command with the arguments after its name.
///
/// # Errors
///
/// [`Error::Stale`] if a check finds something, else what went wrong.
pub(crate) fn run(args: &[String]) -> Result<(), Error> {
    let jobs = [interfaces(build::root())?, export(build::root())];
    let mut stale = Vec::new();
    match args {
        [] => {
            for job in &jobs {
                for path in job.write()? {
                    println!("wrote {}", path.display());
                }
                // A file of a schema that is gone is for a person to delete.
                stale.extend(job.check_digests()?);
            }
        }
        [arg] if arg == "--check" => {
            for job in &jobs {
                stale.extend(match job.check() {
                    Err(mp_codegen::Error::ToolMissing { .. }) => {
                        println!("no `capnp` here: comparing digests");
                        job.check_digests()?
                    }
                    result => result?,
                });
            }
        }
        [arg] if arg == "--digests" => {
            for job in &jobs {
                stale.extend(job.check_digests()?);
            }
        }
        [first, rest @ ..] => {
            let known = ["--check", "--digests"].contains(&first.as_str());
            let bad = if known { &rest[0] } else { first };
            return Err(Error::Argument(bad.clone()));
        }
    }
    if stale.is_empty() {
        Ok(())
    } else {
        Err(Error::Stale(stale))
    }
}

/// The schema that a test of `mp-core` exports, whose tables it compares with those of its traits.
fn export(root: &Path) -> Job {
    let folder = root.join("mp-core").join("tests").join("export");
    Job {
        out: folder.join("tables"),
        options: Options {
            root: folder,
            files: vec!["plane.capnp".into()],
            ..Options::default()
        },
        style: Style::default(),
        parent: None,
    }
}

/// The schemas of `btc-interfaces` and where their tables go.
fn interfaces(root: &Path) -> Result<Job, Error> {
    let package = root.join("btc-interfaces");
    let folder = package.join("schema");
    let io = |source| Error::Io {
        path: folder.clone(),
        source,
    };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(&folder).map_err(io)? {
        let path = entry.map_err(io)?.path();
        if path.extension() == Some(OsStr::new("capnp"))
            && let Some(name) = path.file_name()
        {
            files.push(Path::new("schema").join(name));
        }
    }
    files.sort();
    let ipc = package.join("src").join("ipc");
    Ok(Job {
        options: Options {
            root: package,
            files,
            ..Options::default()
        },
        style: Style::default(),
        out: ipc.join("schema"),
        parent: Some(ipc.join("schema.rs")),
    })
}
