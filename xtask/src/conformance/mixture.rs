//! Networks of both kinds of node: Core's program for the nodes with some numbers, this project's for the others.

use crate::Result;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// Which of a test's nodes run Core's program.
#[derive(Debug, Default, PartialEq)]
pub struct Mixture {
    /// The numbers of the nodes, as the tests count them.
    pub nodes: Vec<u32>,
    /// The folder with Core's programs.
    pub programs: PathBuf,
}

impl Mixture {
    /// Writes a program at `path` that becomes Core's `name` or that of `ours`, by the number in the data directory it
    /// is told.
    pub fn write_program(&self, name: &str, ours: &Path, path: &Path) -> Result {
        let theirs = self.programs.join(name);
        if !theirs.is_file() {
            return Err(format!("{} is not there", theirs.display()).into());
        }
        fs::write(path, self.script(&theirs, &ours.join(name)))?;
        Ok(fs::set_permissions(
            path,
            fs::Permissions::from_mode(0o755),
        )?)
    }

    /// The program's text.
    fn script(&self, theirs: &Path, ours: &Path) -> String {
        let mut patterns = String::new();
        for number in &self.nodes {
            let separator = if patterns.is_empty() { "" } else { "|" };
            // Writing to a string cannot fail.
            let _ = write!(patterns, "{separator}-datadir=*/node{number}");
        }
        format!(
            "#!/bin/sh\n\
             for argument; do\n    \
                 case \"$argument\" in {patterns}) exec {} \"$@\" ;; esac\n\
             done\n\
             exec {} \"$@\"\n",
            quoted(theirs),
            quoted(ours)
        )
    }
}

/// A path as one word of the shell.
fn quoted(path: &Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::Mixture;
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::Path;
    use std::process::Command;

    /// A program that says who it is and with what it was started.
    fn program(folder: &Path, who: &str) {
        let path = folder.join("bitcoin-node");
        fs::create_dir_all(folder).expect("a folder");
        fs::write(&path, format!("#!/bin/sh\necho {who} \"$@\"\n")).expect("a file");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("ours");
    }

    #[test]
    fn the_number_of_a_node_chooses_its_program() {
        let dir = tempfile::tempdir().expect("a directory");
        let (ours, theirs) = (dir.path().join("it's ours"), dir.path().join("theirs"));
        program(&ours, "ours");
        program(&theirs, "core");
        let mixed = dir.path().join("mixed");
        let mixture = Mixture {
            nodes: vec![1, 12],
            programs: theirs,
        };
        mixture
            .write_program("bitcoin-node", &ours, &mixed)
            .expect("both are there");
        for (arguments, said) in [
            (
                &["-datadir=/tmp/x/node1", "-a b"][..],
                "core -datadir=/tmp/x/node1 -a b\n",
            ),
            (
                &["-logtimemicros", "-datadir=/tmp/x/node12"],
                "core -logtimemicros -datadir=/tmp/x/node12\n",
            ),
            (&["-datadir=/tmp/x/node2"], "ours -datadir=/tmp/x/node2\n"),
            (&["-datadir=/tmp/x/node11"], "ours -datadir=/tmp/x/node11\n"),
            (&["-version"], "ours -version\n"),
        ] {
            let output = Command::new(&mixed)
                .args(arguments)
                .output()
                .expect("it starts");
            assert_eq!(String::from_utf8_lossy(&output.stdout), said);
        }
        let error = mixture
            .write_program("bitcoind", &ours, &mixed)
            .expect_err("Core's is missing");
        assert!(error.to_string().ends_with("bitcoind is not there"));
    }
}
