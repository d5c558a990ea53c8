//! Holds the code to the block ```rooms of ARCHITECTURE.md: who may know whom.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What the checkout's top level consists of, besides dot files.
const TOP: [&str; 24] = [
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "README.md",
    "btc-gui-bridge",
    "btc-interfaces",
    "btc-node",
    "btc-wallet",
    "clippy.toml",
    "deny.toml",
    "docs",
    "fuzz",
    "mp-codegen",
    "mp-core",
    "mp-derive",
    "rustfmt.toml",
    "target",
    "typos.toml",
    "xtask",
    "",
];

/// Longest file that one can still read at a sitting; data and generated tables are no reading.
const LONGEST: usize = 900;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("xtask lies in the workspace's root")
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every Rust file below `dir`.
fn rust_files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() && entry.file_name() != "target" {
            found.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

/// The text without comments and string contents, so that a word in prose is no use of a room.
fn code_of(text: &str) -> String {
    text.lines()
        .map(|line| line.split("//").next().unwrap_or_default())
        .collect::<Vec<_>>()
        .join("\n")
}

struct Rules {
    rooms: BTreeMap<String, BTreeSet<String>>,
    crates: Vec<(String, Vec<String>)>,
    sources: Vec<(String, Vec<String>)>,
}

fn rules() -> Rules {
    let text = read(&root().join("ARCHITECTURE.md"));
    let block = text
        .split("```rooms\n")
        .nth(1)
        .and_then(|rest| rest.split("```").next());
    let mut rules = Rules {
        rooms: BTreeMap::new(),
        crates: Vec::new(),
        sources: Vec::new(),
    };
    for line in block.expect("ARCHITECTURE.md has a block of rooms").lines() {
        let (head, rest) = line
            .split_once(':')
            .unwrap_or_else(|| panic!("'{line}' is no rule"));
        let (kind, name) = head
            .split_once(' ')
            .unwrap_or_else(|| panic!("'{line}' names nothing"));
        // `std::fs` holds colons of its own, so only the first one parts head and words.
        let words = |skip: &str| -> Vec<String> {
            let rest = rest.trim();
            let words = rest
                .strip_prefix(skip)
                .unwrap_or_else(|| panic!("'{line}' says no '{skip}'"));
            words.split_whitespace().map(str::to_owned).collect()
        };
        match kind {
            "room" => drop(
                rules
                    .rooms
                    .insert(name.to_owned(), words("may use").into_iter().collect()),
            ),
            "crate" => rules.crates.push((name.to_owned(), words("never"))),
            "source" => rules.sources.push((name.to_owned(), words("never"))),
            other => panic!("there are no rules for a '{other}'"),
        }
    }
    rules
}

#[test]
fn top_level_is_fixed() {
    for entry in fs::read_dir(root())
        .expect("the root can be read")
        .flatten()
    {
        let name = entry.file_name().to_string_lossy().into_owned();
        assert!(
            name.starts_with('.') || TOP.contains(&name.as_str()),
            "'{name}' has no place at the top level"
        );
    }
}

#[test]
fn rooms_know_only_what_they_may() {
    let rules = rules();
    let source = root().join("btc-node/src");
    let mut wrong = Vec::new();
    let known: BTreeSet<&String> = rules.rooms.keys().collect();
    for entry in fs::read_dir(&source)
        .expect("btc-node has sources")
        .flatten()
    {
        let name = entry
            .path()
            .file_stem()
            .map(|stem| stem.to_string_lossy().into_owned())
            .unwrap_or_default();
        let room = entry.path().is_dir() && !["bin", "cli"].contains(&name.as_str());
        assert!(
            !room || known.contains(&name),
            "the room '{name}' is not in ARCHITECTURE.md"
        );
    }
    for (room, may) in &rules.rooms {
        assert!(
            source.join(format!("{room}.rs")).exists(),
            "there is no room '{room}' in btc-node/src"
        );
        let mut files = rust_files(&source.join(room));
        files.push(source.join(format!("{room}.rs")));
        for file in files {
            let code = code_of(&read(&file));
            let uses = |other: &str| {
                if other == "consensus" {
                    return code.contains("btc_consensus::");
                }
                code.contains(&format!("crate::{other}::"))
                    || code.contains(&format!("crate::{other};"))
                    || code.contains(&format!("crate::{{{other}::"))
            };
            for other in known
                .iter()
                .copied()
                .map(String::as_str)
                .chain(["consensus"])
            {
                if other != room && uses(other) && !may.contains(other) {
                    wrong.push(format!(
                        "{} uses '{other}', which '{room}' may not know",
                        file.display()
                    ));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn crates_depend_on_nothing_they_must_not_know() {
    let mut wrong = Vec::new();
    for (name, never) in rules().crates {
        // Without default features and development dependencies: what everybody who takes the crate gets.
        let tree = Command::new(env!("CARGO"))
            .args([
                "tree",
                "--offline",
                "--edges",
                "normal",
                "--prefix",
                "none",
                "--format",
                "{p}",
                "-p",
                &name,
            ])
            .current_dir(root())
            .output()
            .expect("cargo runs");
        assert!(
            tree.status.success(),
            "{}",
            String::from_utf8_lossy(&tree.stderr)
        );
        let tree = String::from_utf8_lossy(&tree.stdout).into_owned();
        let has: BTreeSet<&str> = tree
            .lines()
            .skip(1)
            .filter_map(|line| line.split(' ').next())
            .collect();
        wrong.extend(
            never
                .iter()
                .filter(|other| has.contains(other.as_str()))
                .map(|other| format!("{name} depends on {other}")),
        );
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn sources_reach_for_nothing_that_is_absent() {
    let mut wrong = Vec::new();
    for (dir, never) in rules().sources {
        let files = rust_files(&root().join(&dir));
        assert!(!files.is_empty(), "there are no sources in {dir}");
        for file in files {
            let code = code_of(&read(&file));
            let hits = never.iter().filter(|path| code.contains(path.as_str()));
            wrong.extend(hits.map(|path| format!("{} reaches for {path}", file.display())));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn unsafe_code_is_where_it_says_so() {
    // Each of these allows it in the file, with a reason at each block.
    let allowed = [
        "btc-node/leveldb-engine/tests/support/leveldb.rs",
        "btc-node/src/store/leveldb.rs",
        "btc-wallet/src/bin/bitcoin-wallet.rs",
        "mp-core/src/process.rs",
        "mp-core/src/transport.rs",
    ];
    for dir in [
        "mp-core",
        "mp-codegen",
        "mp-derive",
        "btc-interfaces",
        "btc-node",
        "btc-wallet",
        "btc-gui-bridge",
    ] {
        for file in rust_files(&root().join(dir)) {
            let place = file
                .strip_prefix(root())
                .expect("the file is below the root")
                .to_string_lossy()
                .into_owned();
            let allows = code_of(&read(&file)).contains("allow(unsafe_code)");
            assert!(
                !allows || allowed.contains(&place.as_str()),
                "{place} allows unsafe code but is not listed here"
            );
        }
    }
}

#[test]
fn files_can_be_read_at_a_sitting() {
    let mut long = Vec::new();
    for file in rust_files(root()) {
        let text = read(&file);
        if text.lines().count() > LONGEST && !text.starts_with("// @generated") {
            long.push(format!(
                "{}: {} lines",
                file.display(),
                text.lines().count()
            ));
        }
    }
    assert!(long.is_empty(), "{}", long.join("\n"));
}
