//! What a person or CI types: `cargo xtask <command>`.

mod bench;
mod build;
mod check;
mod codegen;
mod conformance;
mod demo;
mod fuzz;
mod kill;
mod node;
mod oracle;
mod procfs;
mod rpc;
mod test;

use std::process::ExitCode;

/// What a command gives: a failure is a text for the person who typed it.
type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

const USAGE: &str = "\
cargo xtask <command>

  demo [--real] [--release] [--keep]
                   run the main job on the built binaries and show what happened;
                   --real feeds mainnet's first 255 blocks instead
  test             build what the tests need and run every one of them
  check            formatting, lints, docs, generated code, dependencies, spelling
  codegen [--check | --digests]
                   write the tables of the schemas, or name those that are not up to date
                   (by their digests alone where `capnp` is not installed)
  conformance --core DIR [--wave N] [--area A] [--jobs N] [--update] [--keep]
              [--programs DIR] [--entries FILE] [--core-node N]... [--core-programs DIR] [TEST...]
                   run Bitcoin Core's functional suite, from the checkout of Core in DIR, and
                   show how each entry ended beside docs/conformance.md; --update writes it there;
                   --core-node lets node N of each test be Core's own, from CORE/build/bin or DIR
  fuzz [--runs N] --seconds N [TARGET...]
                   run the fuzz targets, each for its share of the time: with --runs over N inputs
                   that are the same each time, else over new ones (which needs cargo-fuzz)
  kill [--count N] [--phase ibd|reorg|flush|prune|reindex|reindex-chainstate|indexes|mempool-file|
       snapshot|snapshot-adoption]... [--seed N] [--programs DIR] [--keep]
                   kill the node at random points of each kind of work, start it again, and hold
                   what it then has against a chain that nothing happened to
  exchange --core DIR [--programs DIR]
                   a UTXO snapshot of each program loaded by the other, Core's bitcoin-node in DIR and
                   ours, which take turns in the directory until it is validated
  bench ipc [--seconds S] [--peer NODE]... [--program EXE]...
                   what calls between processes cost, beside the bare socket; --peer adds a row
                   for another bitcoin-node, --program rows for another server of the interface
  bench store [--rounds N] [--engine rust|leveldb]
                   the databases' engine beside the system's LevelDB, and that churn loses no key
  bench validation [--core DIR] [--rounds N] [--par N]... [--dbcache MIB] [--micro]
                   -reindex and -reindex-chainstate of a chain with every type of output, timed;
                   --core does the same with the bitcoind in DIR; --micro times single steps, and
                   with --core those of the bench_bitcoin in DIR; --rounds 0 times nothing else
  bench rpc [--core DIR] [--rounds N]
                   calls with large results: blocks, the whole mempool; --core times the bitcoind
                   in DIR beside ours, on the same data
  bench mempool [--core DIR] [--rounds N]
                   loading a mempool, sending transactions one by one, block templates
  oracle --seconds N [--first CASE]
                   verdicts on made-up spends, transactions, blocks and chains, held against
                   Bitcoin Core's libbitcoinkernel (needs cmake, a C++ compiler, boost's headers)
  help             this text
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (command, rest) = match arguments.split_first() {
        Some((command, rest)) => (command.as_str(), rest),
        None => ("help", [].as_slice()),
    };
    let outcome = match command {
        "demo" => demo::run(rest),
        "test" => test::run(rest),
        "check" => check::run(rest),
        "codegen" => codegen::run(rest).map_err(Into::into),
        "conformance" => conformance::run(rest),
        "bench" => bench::run(rest).map_err(Into::into),
        "fuzz" => fuzz::run(rest).map_err(Into::into),
        "kill" => kill::run(rest),
        "exchange" => kill::exchange::run(rest),
        "oracle" => oracle::run(rest).map_err(Into::into),
        "help" | "--help" | "-h" => {
            print!("{USAGE}");
            Ok(())
        }
        unknown => Err(format!("there is no command '{unknown}'\n\n{USAGE}").into()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Refuses options that a command does not have.
fn only(arguments: &[String], known: &[&str]) -> Result {
    match arguments
        .iter()
        .find(|argument| !known.contains(&argument.as_str()))
    {
        Some(unknown) => Err(format!("there is no option '{unknown}' here\n\n{USAGE}").into()),
        None => Ok(()),
    }
}
