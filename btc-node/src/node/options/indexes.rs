//! Options of the indexes.

use super::option;
use crate::index::IndexOptions;
use crate::node::StartError;
use btc_interfaces::args::Args;

/// The one type of compact filters that there is.
const BASIC: &str = "basic";

pub(super) fn indexes(args: &Args) -> Result<IndexOptions, StartError> {
    let flag = |name: &str| args.flag(name).unwrap_or(false);
    let options = IndexOptions {
        txs: flag("txindex"),
        spenders: flag("txospenderindex"),
        filters: filters(args)?,
        coin_stats: flag("coinstatsindex"),
        wipe: flag("reindex"),
        compact: flag("forcecompactdb"),
    };
    if flag("peerblockfilters") && !options.filters {
        return Err(option(
            "Cannot set -peerblockfilters without -blockfilterindex.",
        ));
    }
    Ok(options)
}

fn filters(args: &Args) -> Result<bool, StartError> {
    match args.value("blockfilterindex").as_deref() {
        None | Some("0") => return Ok(false),
        Some("" | "1") => return Ok(true),
        Some(_) => {}
    }
    for name in args.values("blockfilterindex") {
        if name != BASIC {
            return Err(option(format!("Unknown -blockfilterindex value {name}.")));
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use btc_interfaces::args::Program;

    fn read(arguments: &[&str]) -> Result<IndexOptions, String> {
        let mut args = Args::new(Program::Node);
        args.parse(["-regtest"].iter().chain(arguments))
            .expect("known options");
        indexes(&args).map_err(|error| error.to_string())
    }

    #[test]
    fn each_index_has_its_option() {
        assert_eq!(read(&[]), Ok(IndexOptions::default()));
        let all = read(&[
            "-txindex",
            "-txospenderindex",
            "-blockfilterindex=basic",
            "-coinstatsindex",
            "-reindex",
            "-forcecompactdb",
        ])
        .expect("fits");
        assert!(
            all.txs && all.spenders && all.filters && all.coin_stats && all.wipe && all.compact
        );
        for (argument, kept) in [
            ("-blockfilterindex", true),
            ("-blockfilterindex=1", true),
            ("-blockfilterindex=0", false),
            ("-noblockfilterindex", false),
        ] {
            assert_eq!(read(&[argument]).expect("fits").filters, kept, "{argument}");
        }
    }

    #[test]
    fn what_does_not_go_together_is_refused_in_cores_words() {
        for (arguments, text) in [
            (
                &["-blockfilterindex=abc"][..],
                "Unknown -blockfilterindex value abc.",
            ),
            (
                &["-peerblockfilters"],
                "Cannot set -peerblockfilters without -blockfilterindex.",
            ),
        ] {
            assert_eq!(read(arguments), Err(text.to_owned()));
        }
    }
}
