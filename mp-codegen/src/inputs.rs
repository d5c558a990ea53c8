//! What a generated file was made from, as digests, so that a stale one is known without the `capnp` tool.

use crate::{Error, Options, Style};
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Schemas that come with this crate, by their names below `/mp/`; used where no import path has one.
pub(crate) const SHIPPED: [(&str, &str); 2] = [
    ("proxy.capnp", include_str!("../schema/mp/proxy.capnp")),
    ("rust.capnp", include_str!("../schema/mp/rust.capnp")),
];

/// Counts changes of the output for the same input, so that they make old files stale.
const FORMAT: u32 = 2;

/// The texts that each file depends on: itself and what it imports, near and far.
///
/// Not among them are the imports that come with the Cap'n Proto tool (`/capnp/…`): they differ from one machine to
/// the next and hold nothing that a table shows.
pub(crate) struct Inputs {
    /// By the file's name, as [`Options::files`] has it: the names and digests of its inputs.
    files: BTreeMap<String, BTreeMap<String, String>>,
}

impl Inputs {
    pub(crate) fn read(options: &Options) -> Result<Self, Error> {
        let mut files = BTreeMap::new();
        for file in &options.files {
            let mut inputs = BTreeMap::new();
            let mut seen = BTreeSet::new();
            let mut queue = vec![Input {
                name: shown(file),
                source: Source::Disk(options.root.join(file)),
            }];
            while let Some(input) = queue.pop() {
                if !seen.insert(input.name.clone()) {
                    continue;
                }
                let text = input.source.read()?;
                for import in imports(&text) {
                    queue.extend(find(options, &input, &import)?);
                }
                inputs.insert(input.name, hex(&Sha256::digest(text.as_bytes())));
            }
            files.insert(shown(file), inputs);
        }
        Ok(Self { files })
    }

    /// For a request that came without its sources.
    pub(crate) fn of_request(bytes: &[u8], names: impl Iterator<Item = String>) -> Self {
        let request = BTreeMap::from([("request".to_owned(), hex(&Sha256::digest(bytes)))]);
        Self {
            files: names.map(|name| (name, request.clone())).collect(),
        }
    }

    /// The digest that stands in the file generated from `file` in `style`.
    pub(crate) fn digest(&self, file: &str, style: &Style) -> String {
        let mut hash = Sha256::new();
        hash.update(format!("{FORMAT}\n{style:?}\n"));
        for (name, digest) in self.files.get(file).into_iter().flatten() {
            hash.update(format!("{digest} {name}\n"));
        }
        hex(&hash.finalize())
    }
}

/// A path as it is shown and compared: with slashes, and of an absolute one the last part alone, so that a generated
/// file does not depend on where it was made.
pub(crate) fn shown(path: &Path) -> String {
    if path.is_absolute() {
        path.file_name()
            .map_or_else(String::new, |name| name.to_string_lossy().into_owned())
    } else {
        path.to_string_lossy().replace('\\', "/")
    }
}

struct Input {
    name: String,
    source: Source,
}

enum Source {
    Disk(PathBuf),
    Shipped(&'static str),
}

impl Source {
    fn read(&self) -> Result<String, Error> {
        match self {
            Self::Shipped(text) => Ok((*text).to_owned()),
            Self::Disk(path) => std::fs::read_to_string(path).map_err(|source| Error::Io {
                path: path.clone(),
                source,
            }),
        }
    }
}

/// Where `import` of `from` is found; nothing for what the tool brings itself.
fn find(options: &Options, from: &Input, import: &str) -> Result<Option<Input>, Error> {
    if let Some(rest) = import.strip_prefix('/') {
        for folder in &options.import_paths {
            let path = options.root.join(folder).join(rest);
            if path.is_file() {
                return Ok(Some(Input {
                    name: import.to_owned(),
                    source: Source::Disk(path),
                }));
            }
        }
        let shipped = rest
            .strip_prefix("mp/")
            .and_then(|name| SHIPPED.iter().find(|(shipped, _)| *shipped == name));
        if let Some((_, text)) = shipped {
            return Ok(Some(Input {
                name: import.to_owned(),
                source: Source::Shipped(text),
            }));
        }
        if rest.starts_with("capnp/") {
            return Ok(None);
        }
    } else if let Source::Disk(path) = &from.source {
        let folder = path.parent().unwrap_or(Path::new(""));
        let target = folder.join(import);
        if target.is_file() {
            let parent = from.name.rsplit_once('/').map_or("", |(parent, _)| parent);
            let name = if parent.is_empty() {
                import.to_owned()
            } else {
                format!("{parent}/{import}")
            };
            return Ok(Some(Input {
                name: normal(&name),
                source: Source::Disk(target),
            }));
        }
    }
    Err(Error::ImportMissing {
        file: from.name.clone(),
        import: import.to_owned(),
    })
}

/// `a/../b/./c` as `b/c`.
fn normal(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "." => {}
            ".." if parts
                .last()
                .is_some_and(|last| *last != ".." && !last.is_empty()) =>
            {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// The paths that a schema names after `import` or `embed`.
fn imports(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut word = String::new();
    let mut wanted = false;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c.is_ascii_alphanumeric() || c == '_' {
            word.push(c);
            continue;
        }
        if !word.is_empty() {
            wanted = word == "import" || word == "embed";
            word.clear();
        }
        match c {
            '#' => while chars.next().is_some_and(|c| c != '\n') {},
            '"' => {
                let mut path = String::new();
                while let Some(c) = chars.next() {
                    match c {
                        '"' => break,
                        '\\' => path.extend(chars.next()),
                        c => path.push(c),
                    }
                }
                if wanted {
                    found.push(path);
                }
                wanted = false;
            }
            c if c.is_whitespace() => {}
            _ => wanted = false,
        }
    }
    found
}

const MARK: &str = "// @generated by mp-codegen from ";
const INPUTS: &str = "// Inputs: sha256 ";
const TEXT: &str = "// Text: sha256 ";

/// The lines at the start of a generated file, for the text that follows them.
pub(crate) fn head(sources: &str, inputs: &str, text: &str) -> String {
    let text = hex(&Sha256::digest(text.as_bytes()));
    format!("{MARK}{sources}; do not edit.\n{INPUTS}{inputs}\n{TEXT}{text}\n")
}

/// As [`head`], for a text that depends on no more than the names in it.
pub(crate) fn head_without_inputs(sources: &str, text: &str) -> String {
    let text = hex(&Sha256::digest(text.as_bytes()));
    format!("{MARK}{sources}; do not edit.\n{TEXT}{text}\n")
}

/// Whether `text` starts as a file of this generator does.
#[must_use]
pub fn is_generated(text: &str) -> bool {
    text.starts_with(MARK)
}

/// Why a generated file is not what its sources would give.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Stale {
    /// It does not start with the generator's mark and digests.
    #[error("is no output of mp-codegen")]
    Foreign,
    /// The schema, an import, the style or the generator is another than at the time.
    #[error("was made from other sources or by another version")]
    Inputs,
    /// The text is not what the generator wrote.
    #[error("was edited by hand")]
    Edited,
    /// Generating it anew gives another text.
    #[error("differs from what its sources give")]
    Differs,
    /// No schema gives this file any more.
    #[error("has no schema; delete it")]
    Orphaned,
    /// There is no such file.
    #[error("is missing")]
    Missing,
}

/// Compares the digests in a generated `text` with those of its inputs and of itself.
pub(crate) fn check(text: &str, inputs: &str) -> Result<(), Stale> {
    let rest = text.strip_prefix(MARK).ok_or(Stale::Foreign)?;
    let (_, rest) = rest.split_once('\n').ok_or(Stale::Foreign)?;
    let rest = rest.strip_prefix(INPUTS).ok_or(Stale::Foreign)?;
    let (made_from, rest) = rest.split_once('\n').ok_or(Stale::Foreign)?;
    let rest = rest.strip_prefix(TEXT).ok_or(Stale::Foreign)?;
    let (digest, body) = rest.split_once('\n').ok_or(Stale::Foreign)?;
    if made_from != inputs {
        Err(Stale::Inputs)
    } else if digest != hex(&Sha256::digest(body.as_bytes())) {
        Err(Stale::Edited)
    } else {
        Ok(())
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn imports_are_found_and_only_they() {
        let text = r#"
            using A = import "a.capnp"; # using B = import "b.capnp"
            const c :Text = "import \"d.capnp\"";
            const e :Data = embed "e.bin";
            struct F { importance @0 :Text = "g.capnp"; import @1 :Text = "h"; }
            using I = import
                "/i.capnp".J;
        "#;
        assert_eq!(imports(text), ["a.capnp", "e.bin", "/i.capnp"]);
    }

    #[test]
    fn paths_are_compared_in_normal_form() {
        assert_eq!(normal("schema/../schema/./a.capnp"), "schema/a.capnp");
        assert_eq!(normal("../a.capnp"), "../a.capnp");
    }

    #[test]
    fn each_kind_of_staleness_is_told() {
        let body = "pub const A: u8 = 1;\n";
        let text = format!("{}{body}", head("a.capnp", "1234", body));
        assert_eq!(check(&text, "1234"), Ok(()));
        assert_eq!(check(&text, "1235"), Err(Stale::Inputs));
        assert_eq!(
            check(&text.replace("= 1", "= 2"), "1234"),
            Err(Stale::Edited)
        );
        assert_eq!(check(body, "1234"), Err(Stale::Foreign));
        assert_eq!(check("", "1234"), Err(Stale::Foreign));
    }
}
