//! Running Core's test runner: the build directory it expects, its configuration, its results.

use super::command_line::Wanted;
use super::entries::Entry;
use super::table::Status;
use crate::Result;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};

/// The programs that tests may start, and the setting of `config.ini` that says that there is one.
const PROGRAMS: [(&str, &[&str]); 8] = [
    ("bitcoin-node", &[]),
    ("bitcoind", &[]),
    ("bitcoin", &["ENABLE_IPC"]),
    ("bitcoin-cli", &["ENABLE_CLI"]),
    ("bitcoin-wallet", &["ENABLE_WALLET", "ENABLE_WALLET_TOOL"]),
    ("bitcoin-tx", &["BUILD_BITCOIN_TX"]),
    ("bitcoin-util", &["ENABLE_BITCOIN_UTIL"]),
    ("bitcoin-chainstate", &["ENABLE_BITCOIN_CHAINSTATE"]),
];

/// What a full build of Core has, besides programs. A node that lacks one of these shall fail, not skip.
const PARTS: [(&str, bool); 8] = [
    ("ENABLE_BITCOIND", true),
    ("ENABLE_ZMQ", true),
    ("ENABLE_EMBEDDED_ASMAP", true),
    ("ENABLE_EXTERNAL_SIGNER", true),
    ("BUILD_BENCH", false),
    ("BUILD_GUI", false),
    ("ENABLE_FUZZ_BINARY", false),
    ("ENABLE_USDT_TRACEPOINTS", false),
];

/// Runs the chosen entries on the programs of a folder. Gives how each of them ended; an entry that the runner did not
/// come to is not among them.
pub fn run(
    wanted: &Wanted,
    programs: &Path,
    chosen: &[&Entry],
) -> Result<BTreeMap<String, Status>> {
    let node = programs.join("bitcoin-node");
    if !node.is_file() {
        return Err(format!("{} is not there", node.display()).into());
    }
    let mut dir = tempfile::Builder::new().prefix("conformance-").tempdir()?;
    dir.disable_cleanup(wanted.keep);
    let build = dir.path().join("build");
    let data = dir.path().join("run");
    fs::create_dir(&data)?;
    build_directory(wanted, programs, &build)?;
    let results = dir.path().join("results.csv");
    let status = Command::new("python3")
        .arg(build.join("test/functional/test_runner.py"))
        .arg(format!("--jobs={}", wanted.jobs))
        .arg(format!("--tmpdirprefix={}", data.display()))
        .arg(format!("--resultsfile={}", results.display()))
        .args(arguments(chosen))
        .env("BITCOIND", build.join("bin/bitcoin-node"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::null())
        .current_dir(&build)
        .status()
        .map_err(|error| format!("python3: {error}"))?;
    if wanted.keep {
        println!("the suite's directories stay at {}", dir.path().display());
    }
    let text = fs::read_to_string(&results)
        .map_err(|_| format!("the test runner ended with {status} and wrote no results"))?;
    let all = parse_results(&text)?;
    Ok(chosen
        .iter()
        .filter_map(|entry| Some((entry.name.clone(), *all.get(&entry.name)?)))
        .collect())
}

/// The entries as the runner takes them. It runs everything that begins with a name, so that an entry which
/// begins with another chosen one would run twice.
fn arguments<'a>(chosen: &[&'a Entry]) -> Vec<&'a str> {
    chosen
        .iter()
        .filter(|entry| {
            !chosen
                .iter()
                .any(|other| other.name != entry.name && entry.name.starts_with(&other.name))
        })
        .map(|entry| entry.name.as_str())
        .collect()
}

/// The programs that are a node, of which a mixed network has two kinds.
const NODES: [&str; 2] = ["bitcoin-node", "bitcoind"];

/// Makes what a build of Core would leave: the scripts, the programs and `config.ini`, by symbolic links.
fn build_directory(wanted: &Wanted, programs: &Path, build: &Path) -> Result {
    let core = &wanted.core;
    let scripts = build.join("test/functional");
    let bin = build.join("bin");
    let data = build.join("src/test/data");
    for folder in [&scripts, &bin, &data] {
        fs::create_dir_all(folder)?;
    }
    for entry in fs::read_dir(core.join("test/functional"))? {
        let entry = entry?;
        symlink(entry.path(), scripts.join(entry.file_name()))?;
    }
    // The tests of the framework itself read it from where the build put it.
    symlink(
        core.join("src/test/data/siphash.json"),
        data.join("siphash.json"),
    )?;
    for (name, _) in PROGRAMS {
        let program = programs.join(name);
        if !program.is_file() {
            continue;
        }
        match &wanted.mixture {
            Some(mixture) if NODES.contains(&name) => {
                mixture.write_program(name, programs, &bin.join(name))?;
            }
            _ => symlink(program, bin.join(name))?,
        }
    }
    fs::write(
        build.join("test/config.ini"),
        configuration(core, build, &client_name(programs)?, &|name| {
            programs.join(name).is_file()
        }),
    )?;
    Ok(())
}

/// The product's name in the texts of the programs, which tests compare: what `bitcoin-node -version` begins with.
fn client_name(programs: &Path) -> Result<String> {
    let output = Command::new(programs.join("bitcoin-node"))
        .arg("-version")
        .output()?;
    let text = String::from_utf8(output.stdout)?;
    match text.split_once(" daemon version ") {
        Some((name, _)) => Ok(name.to_owned()),
        None => Err("bitcoin-node -version does not say what it is".into()),
    }
}

/// The runner's `config.ini`.
fn configuration(core: &Path, build: &Path, client: &str, has: &dyn Fn(&str) -> bool) -> String {
    let core = core.display();
    let mut text = format!(
        "[environment]\n\
         CLIENT_NAME={client}\n\
         CLIENT_BUGREPORT={}/issues\n\
         SRCDIR={core}\n\
         BUILDDIR={}\n\
         EXEEXT=\n\
         RPCAUTH={core}/share/rpcauth/rpcauth.py\n\
         \n\
         [components]\n",
        env!("CARGO_PKG_REPOSITORY"),
        build.display()
    );
    let of_programs = PROGRAMS
        .iter()
        .flat_map(|(program, settings)| settings.iter().map(|setting| (*setting, has(program))));
    for (setting, on) in of_programs.chain(PARTS) {
        text.push_str(&format!("{setting}={on}\n"));
    }
    text
}

/// Reads the runner's table of results: name, how it ended, seconds. The last line sums up and is left out.
fn parse_results(text: &str) -> Result<BTreeMap<String, Status>> {
    let mut results = BTreeMap::new();
    for line in text.lines().skip(1) {
        // Names of entries hold options, but never a comma.
        let mut cells = line.split(',');
        let (Some(name), Some(word)) = (cells.next(), cells.next()) else {
            return Err(format!("the runner's results have a short line: '{line}'").into());
        };
        if name == "ALL" {
            continue;
        }
        let status = match word {
            "Passed" => Status::Passed,
            "Skipped" => Status::Skipped,
            "Failed" => Status::Failed,
            other => return Err(format!("{name} ended in an unknown way: '{other}'").into()),
        };
        results.insert(name.to_owned(), status);
    }
    Ok(results)
}

#[cfg(test)]
mod tests {
    use super::{arguments, configuration, parse_results};
    use crate::conformance::entries::Entry;
    use crate::conformance::table::Status;
    use std::path::Path;

    fn entry(name: &str) -> Entry {
        Entry {
            name: name.to_owned(),
            wave: 1,
            area: "rpc".to_owned(),
        }
    }

    #[test]
    fn an_entry_does_not_run_twice() {
        let plain = entry("rpc_deriveaddresses.py");
        let by_cli = entry("rpc_deriveaddresses.py --usecli");
        assert_eq!(arguments(&[&plain, &by_cli]), ["rpc_deriveaddresses.py"]);
        assert_eq!(arguments(&[&by_cli]), ["rpc_deriveaddresses.py --usecli"]);
    }

    #[test]
    fn programs_that_are_missing_are_said_so() {
        let text = configuration(Path::new("/core"), Path::new("/build"), "ours", &|name| {
            name == "bitcoin-cli"
        });
        assert!(text.contains("SRCDIR=/core\nBUILDDIR=/build\n"));
        assert!(text.contains("CLIENT_NAME=ours\n"));
        assert!(text.contains("ENABLE_CLI=true\n"));
        assert!(text.contains("ENABLE_WALLET=false\nENABLE_WALLET_TOOL=false\n"));
        assert!(text.contains("ENABLE_ZMQ=true\n"));
    }

    #[test]
    fn results_are_read() {
        let results = parse_results(
            "test,status,duration(seconds)\nrpc_bind.py --ipv4,Passed,4\nrpc_users.py,Failed,1\n\
             tool_utils.py,Skipped,0\nALL,Failed,9\n",
        )
        .expect("these are results");
        assert_eq!(results.len(), 3);
        assert_eq!(results["rpc_bind.py --ipv4"], Status::Passed);
        assert_eq!(results["rpc_users.py"], Status::Failed);
        assert_eq!(results["tool_utils.py"], Status::Skipped);
        assert!(parse_results("test,status\nx.py,Maybe,1\n").is_err());
        assert!(parse_results("test,status\nx.py\n").is_err());
    }
}
