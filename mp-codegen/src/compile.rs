//! Runs the `capnp` tool.

use crate::inputs::SHIPPED;
use crate::{Error, Options, Place};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The request that the tool prints for the files of `options`.
pub(crate) fn request(options: &Options) -> Result<Vec<u8>, Error> {
    // Our own annotations come last, so that an import path of the caller's may bring another version.
    let shipped = tempfile::tempdir().map_err(|source| Error::Io {
        path: std::env::temp_dir(),
        source,
    })?;
    let folder = shipped.path().join("mp");
    std::fs::create_dir(&folder).map_err(|source| Error::Io {
        path: folder.clone(),
        source,
    })?;
    for (name, text) in SHIPPED {
        let path = folder.join(name);
        std::fs::write(&path, text).map_err(|source| Error::Io { path, source })?;
    }

    let tool = options.tool.as_deref().unwrap_or(Path::new("capnp"));
    let mut command = Command::new(tool);
    command
        .arg("compile")
        .arg("-o-")
        .current_dir(if options.root.as_os_str().is_empty() {
            Path::new(".")
        } else {
            &options.root
        });
    for path in &options.import_paths {
        command.arg(joined("-I", path));
    }
    command.arg(joined("-I", shipped.path()));
    for file in &options.files {
        // A leading `./` keeps a file named like an option from being one.
        if file.is_absolute() {
            command.arg(file);
        } else {
            command.arg(Path::new(".").join(file));
        }
    }
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|source| match source.kind() {
            std::io::ErrorKind::NotFound => Error::ToolMissing {
                tool: tool.to_owned(),
            },
            _ => Error::Run {
                tool: tool.to_owned(),
                source,
            },
        })?;
    if !output.status.success() {
        let mut messages = String::from_utf8_lossy(&output.stderr).into_owned();
        if messages.trim().is_empty() {
            messages = format!("{} failed: {}", tool.display(), output.status);
        }
        return Err(Error::Compile { messages });
    }
    Ok(output.stdout)
}

fn joined(option: &str, path: &Path) -> std::ffi::OsString {
    let mut arg = std::ffi::OsString::from(option);
    arg.push(path);
    arg
}

/// Gives the place of a problem its line, by looking the declaration up in the source.
pub(crate) fn locate(error: Error, options: &Options) -> Error {
    match error {
        Error::Schema { place, problem } => {
            let line = options
                .files
                .iter()
                .find(|file| crate::inputs::shown(file) == place.file)
                .map(|file| options.root.join(file))
                .and_then(|path: PathBuf| std::fs::read_to_string(path).ok())
                .and_then(|text| line_of(&text, &place.item));
            Error::Schema {
                place: Place { line, ..place },
                problem,
            }
        }
        other => other,
    }
}

/// The line that declares `item`: `Type`, `Type.member`, or `Outer.Type.member`, or `Type.method.parameter`.
fn line_of(text: &str, item: &str) -> Option<usize> {
    let mut line = None;
    let mut from = 0;
    for name in item.split('.') {
        // A name that is not found (an instance's) leaves the line of the one before.
        let found = text
            .lines()
            .enumerate()
            .skip(from)
            .find(|(_, line)| declares(line, name));
        match found {
            Some((index, _)) => {
                from = index;
                line = Some(index + 1);
            }
            None => break,
        }
    }
    line
}

/// Whether the line declares `name`: after a keyword, or before an ordinal or a type.
fn declares(line: &str, name: &str) -> bool {
    let code = line.split('#').next().unwrap_or("");
    let mut rest = code;
    while let Some(at) = rest.find(name) {
        let (before, after) = (&rest[..at], &rest[at + name.len()..]);
        let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let alone = !before.ends_with(word) && !after.starts_with(word);
        let keyword = ["struct", "interface", "enum", "const", "using"]
            .iter()
            .any(|k| before.trim_end().ends_with(k));
        let member =
            after.trim_start().starts_with(['@', ':']) && !before.trim_end().ends_with('.');
        if alone && (keyword || member) {
            return true;
        }
        rest = after;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_declaration_is_found_by_its_path() {
        let text = "@0x1;\n# interface Foo\nusing Foo = import \"x\".Foo2;\nstruct Bar {\n  a @0 :Text;\n}\n\
                    interface Baz {\n  call @0 (a :Text,\n    b :Int32) -> ();\n}\n";
        assert_eq!(line_of(text, "Bar"), Some(4));
        assert_eq!(line_of(text, "Bar.a"), Some(5));
        assert_eq!(line_of(text, "Baz.call"), Some(8));
        assert_eq!(line_of(text, "Baz.call.b"), Some(9));
        assert_eq!(line_of(text, "Qux"), None);
    }
}
