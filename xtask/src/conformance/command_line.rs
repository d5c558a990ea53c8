//! What a person asks for on the command line.

use super::mixture::Mixture;
use crate::Result;
use std::path::PathBuf;

/// The arguments of `cargo xtask conformance`.
#[derive(Debug, Default)]
pub struct Wanted {
    /// A checkout of Bitcoin Core.
    pub core: PathBuf,
    /// A file that stands in for the project's own list of entries.
    pub entries: Option<PathBuf>,
    /// A folder with programs to run instead of those of this checkout, so that Core's own give the reference.
    pub programs: Option<PathBuf>,
    /// Which nodes of each test run Core's program instead, if any.
    pub mixture: Option<Mixture>,
    /// Waves to run; all if none is named.
    pub waves: Vec<u8>,
    /// Areas to run; all if none is named.
    pub areas: Vec<String>,
    /// Entries, or scripts with all their entries; those of the waves and areas if none is named.
    pub tests: Vec<String>,
    /// How many scripts run at a time.
    pub jobs: u32,
    /// Write the statuses into the kept table.
    pub update: bool,
    /// Leave the suite's directories for a look.
    pub keep: bool,
}

impl Wanted {
    /// Reads the arguments after the command's name.
    pub fn parse(arguments: &[String]) -> Result<Self> {
        let mut wanted = Self {
            jobs: 2,
            ..Self::default()
        };
        let mut arguments = arguments.iter();
        let (mut core, mut core_nodes, mut core_programs) = (None, Vec::new(), None);
        while let Some(argument) = arguments.next() {
            let mut value = || {
                arguments
                    .next()
                    .ok_or_else(|| format!("{argument} needs a value"))
            };
            match argument.as_str() {
                "--core" => core = Some(PathBuf::from(value()?)),
                "--core-node" => core_nodes.push(number(argument, value()?)?),
                "--core-programs" => core_programs = Some(PathBuf::from(value()?)),
                "--entries" => wanted.entries = Some(value()?.into()),
                "--programs" => wanted.programs = Some(value()?.into()),
                "--wave" => wanted.waves.push(number(argument, value()?)?),
                "--area" => wanted.areas.push(value()?.clone()),
                "--jobs" => wanted.jobs = number(argument, value()?)?,
                "--update" => wanted.update = true,
                "--keep" => wanted.keep = true,
                option if option.starts_with('-') => {
                    return Err(format!("conformance has no option '{option}'").into());
                }
                test => wanted.tests.push(test.to_owned()),
            }
        }
        if wanted.jobs == 0 {
            return Err("--jobs needs a number of at least 1".into());
        }
        wanted.core = core.ok_or("name a checkout of Bitcoin Core with --core DIR")?;
        if !wanted.core.join("test/functional/test_runner.py").is_file() {
            return Err(format!("{} is no checkout of Bitcoin Core", wanted.core.display()).into());
        }
        wanted.core = wanted.core.canonicalize()?;
        if core_nodes.is_empty() && core_programs.is_some() {
            return Err("--core-programs needs --core-node N: which nodes shall run them".into());
        }
        if !core_nodes.is_empty() {
            if wanted.update {
                return Err("--update keeps what a whole network of this project's nodes does, not a mixed one".into());
            }
            let programs = core_programs.unwrap_or_else(|| wanted.core.join("build/bin"));
            wanted.mixture = Some(Mixture {
                nodes: core_nodes,
                programs: programs
                    .canonicalize()
                    .map_err(|error| format!("{}: {error}", programs.display()))?,
            });
        }
        Ok(wanted)
    }
}

fn number<T: std::str::FromStr>(option: &str, text: &str) -> Result<T> {
    text.parse()
        .map_err(|_| format!("{option} needs a number, not '{text}'").into())
}

#[cfg(test)]
mod tests {
    use super::Wanted;

    fn parse(words: &[&str]) -> crate::Result<Wanted> {
        Wanted::parse(
            &words
                .iter()
                .map(|word| (*word).to_owned())
                .collect::<Vec<_>>(),
        )
    }

    #[test]
    fn a_checkout_must_be_named() {
        let error = |words: &[&str]| parse(words).expect_err("it lacks something").to_string();
        assert!(error(&["--wave", "1"]).contains("--core"));
        assert!(error(&["--core", "/nowhere"]).contains("no checkout"));
        assert!(error(&["--core"]).contains("needs a value"));
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        let error = |words: &[&str]| parse(words).expect_err("it is wrong").to_string();
        assert_eq!(error(&["--wave", "x"]), "--wave needs a number, not 'x'");
        assert_eq!(
            error(&["--jobs", "0"]),
            "--jobs needs a number of at least 1"
        );
        assert_eq!(error(&["--fast"]), "conformance has no option '--fast'");
    }

    fn checkout() -> tempfile::TempDir {
        let core = tempfile::tempdir().expect("a directory");
        let scripts = core.path().join("test/functional");
        std::fs::create_dir_all(&scripts).expect("a directory");
        std::fs::write(scripts.join("test_runner.py"), "").expect("a file");
        core
    }

    #[test]
    fn a_mixed_network_is_never_kept_as_a_status() {
        let core = checkout();
        let path = core.path().to_str().expect("it is UTF-8");
        let error = |words: &[&str]| {
            let words: Vec<&str> = ["--core", path].iter().chain(words).copied().collect();
            parse(&words).expect_err("it is wrong").to_string()
        };
        assert!(error(&["--core-node", "1", "--update"]).contains("mixed"));
        assert!(error(&["--core-node", "one"]).contains("needs a number"));
        assert!(error(&["--core-programs", path]).contains("--core-node"));
        assert!(error(&["--core-node", "1"]).contains("build/bin"));
        let words = [
            "--core",
            path,
            "--core-node",
            "1",
            "--core-node",
            "3",
            "--core-programs",
            path,
        ];
        let mixture = parse(&words).expect("it is complete").mixture;
        assert_eq!(mixture.expect("it is asked for").nodes, [1, 3]);
    }

    #[test]
    fn choices_add_up() {
        let core = checkout();
        let path = core.path().to_str().expect("it is UTF-8");
        let wanted = parse(&[
            "--core",
            path,
            "--wave",
            "1",
            "--wave",
            "2",
            "--area",
            "rpc",
            "rpc_uptime.py",
            "--update",
        ])
        .expect("it is complete");
        assert_eq!(wanted.waves, [1, 2]);
        assert_eq!(wanted.areas, ["rpc"]);
        assert_eq!(wanted.tests, ["rpc_uptime.py"]);
        assert!(wanted.update && !wanted.keep);
        assert_eq!(wanted.jobs, 2);
    }
}
