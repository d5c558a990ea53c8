//! `mpgen`: writes the Rust tables of Cap'n Proto schemas.

use mp_codegen::{Error, Format, Job, Options, Style, Traits};
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

const HELP: &str = "\
Writes the Rust tables of Cap'n Proto schemas annotated for libmultiprocess.

Usage: mpgen [OPTIONS] --out DIR FILE.capnp...

Options:
  -I DIR            also look here for imports that start with `/`; may be repeated
                    (/mp/proxy.capnp and /mp/rust.capnp are built in)
  --out DIR         the folder for the generated files, FILE.rs for FILE.capnp
  --module FILE     also write FILE, which declares the generated files as modules
  --check           write nothing; name stale files and exit with 1 if there are any
  --traits[=all]    also write traits and structs where $Proxy.wrap names none, or always
  --codec PATH      the codec that written traits name (default: Codec)
  --runtime PATH    the path of the runtime crate in generated code (default: mp_core)
  --max-width N     rustfmt's max_width where the files go (default: 100)
  --wide            rustfmt has use_small_heuristics = \"Max\" there
  --capnp PROGRAM   the Cap'n Proto compiler (default: capnp, on the PATH)
  --version         print the version
  --help            print this

Exit codes: 0 done, 1 stale files or a faulty schema, 2 wrong usage.
";

fn main() -> ExitCode {
    let command = match parse(std::env::args_os().skip(1)) {
        Ok(command) => command,
        Err(usage) => {
            eprintln!("mpgen: {usage}; see mpgen --help");
            return ExitCode::from(2);
        }
    };
    match command {
        Command::Help => print!("{HELP}"),
        Command::Version => println!("mpgen {}", env!("CARGO_PKG_VERSION")),
        Command::Write(job) => match job.write() {
            Ok(written) => {
                for path in written {
                    println!("wrote {}", path.display());
                }
            }
            Err(error) => return failed(&error),
        },
        Command::Check(job) => match job.check() {
            Ok(stale) if stale.is_empty() => {}
            Ok(stale) => {
                for (path, why) in stale {
                    eprintln!("mpgen: {} {why}", path.display());
                }
                return ExitCode::FAILURE;
            }
            Err(error) => return failed(&error),
        },
    }
    ExitCode::SUCCESS
}

fn failed(error: &Error) -> ExitCode {
    eprintln!("mpgen: {error}");
    ExitCode::FAILURE
}

enum Command {
    Help,
    Version,
    Write(Job),
    Check(Job),
}

#[derive(Debug, thiserror::Error)]
enum Usage {
    #[error("unknown option {0}")]
    Unknown(String),
    #[error("option {0} needs a value")]
    NoValue(&'static str),
    #[error("option {0} given twice")]
    Twice(&'static str),
    #[error("--max-width: {0:?} is no number from 40 to 1000")]
    Width(String),
    #[error("{0}: {1:?} is not UTF-8")]
    NotText(&'static str, OsString),
    #[error("no schema file given")]
    NoFile,
    #[error("--out DIR is missing")]
    NoOut,
}

fn parse(args: impl Iterator<Item = OsString>) -> Result<Command, Usage> {
    let mut args = args;
    let mut options = Options::default();
    let mut style = Style::default();
    let mut format = Format::default();
    let mut out = None;
    let mut parent = None;
    let mut check = false;
    let mut only_files = false;
    while let Some(arg) = args.next() {
        let text = arg.to_string_lossy().into_owned();
        if only_files || !text.starts_with('-') || text == "-" {
            options.files.push(PathBuf::from(arg));
            continue;
        }
        let (name, inline) = match text.split_once('=') {
            Some((name, value)) if name.starts_with("--") => (name, Some(OsString::from(value))),
            _ => (text.as_str(), None),
        };
        let mut value = |option| {
            inline
                .clone()
                .or_else(|| args.next())
                .ok_or(Usage::NoValue(option))
        };
        match name {
            "--help" | "-h" if inline.is_none() => return Ok(Command::Help),
            "--version" | "-V" if inline.is_none() => return Ok(Command::Version),
            "--check" if inline.is_none() => check = true,
            "--wide" if inline.is_none() => format.wide = true,
            "--" => only_files = true,
            "--traits" => {
                style.traits = match inline.as_ref().map(|v| v.to_string_lossy()) {
                    None => Traits::Unwrapped,
                    Some(all) if all == "all" => Traits::All,
                    Some(_) => return Err(Usage::Unknown(text)),
                }
            }
            "-I" => options.import_paths.push(value("-I")?.into()),
            "--out" => once(&mut out, value("--out")?, "--out")?,
            "--module" => once(&mut parent, value("--module")?, "--module")?,
            "--capnp" => options.tool = Some(value("--capnp")?.into()),
            "--codec" => style.codec = utf8("--codec", value("--codec")?)?,
            "--runtime" => style.runtime = utf8("--runtime", value("--runtime")?)?,
            "--max-width" => {
                let value = utf8("--max-width", value("--max-width")?)?;
                format.max_width = value
                    .parse()
                    .ok()
                    .filter(|width| (40..=1000).contains(width))
                    .ok_or(Usage::Width(value))?;
            }
            // `-Ifolder`, as compilers take it.
            _ if text.starts_with("-I") => options.import_paths.push(text[2..].into()),
            _ => return Err(Usage::Unknown(text)),
        }
    }
    if options.files.is_empty() {
        return Err(Usage::NoFile);
    }
    style.format = format;
    let job = Job {
        options,
        style,
        out: out.ok_or(Usage::NoOut)?.into(),
        parent: parent.map(PathBuf::from),
    };
    Ok(if check {
        Command::Check(job)
    } else {
        Command::Write(job)
    })
}

fn once(slot: &mut Option<OsString>, value: OsString, option: &'static str) -> Result<(), Usage> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(Usage::Twice(option)),
    }
}

fn utf8(option: &'static str, value: OsString) -> Result<String, Usage> {
    value
        .into_string()
        .map_err(|value| Usage::NotText(option, value))
}
