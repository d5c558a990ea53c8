//! The rules of the chain, as far as options set them.

use super::option;
use crate::node::StartError;
use bitcoin::{Network, ScriptBuf};
use btc_consensus::params::{BuriedDeployment, Chain, ChainParams, VersionBitsParameters};
use btc_interfaces::args::Args;

/// The chosen network's parameters with what `-testactivationheight`, `-vbparams`, `-test` and `-signetchallenge` change.
pub(super) fn params(args: &Args) -> Result<ChainParams, StartError> {
    let chain = match args.network()? {
        Network::Bitcoin => Chain::Main,
        Network::Testnet => Chain::Testnet3,
        Network::Testnet4 => Chain::Testnet4,
        Network::Signet => Chain::Signet,
        Network::Regtest => Chain::Regtest,
    };
    let mut params = match args.values("signetchallenge").as_slice() {
        [challenge] if chain == Chain::Signet => ChainParams::signet(
            ScriptBuf::from_hex(challenge)
                .map_err(|_| option(format!("-signetchallenge must be hex, not '{challenge}'.")))?,
        ),
        [_, _, ..] if chain == Chain::Signet => {
            return Err(option("-signetchallenge cannot be multiple values."));
        }
        _ => ChainParams::new(chain),
    };
    for value in args.values("testactivationheight") {
        let (deployment, height) = activation_height(&value)?;
        params = params.with_activation_height(deployment, height);
    }
    for value in args.values("vbparams") {
        let (deployment, schedule) =
            VersionBitsParameters::parse(&value).map_err(|error| option(error.to_string()))?;
        params = params.with_version_bits(deployment, schedule);
    }
    if args.values("test").iter().any(|test| test == "bip94") {
        params = params.with_bip94();
    }
    if chain == Chain::Regtest && args.flag("fastprune").unwrap_or(false) {
        // With small files, a short chain is enough to prune.
        params.prune_after_height = 100;
    }
    Ok(params)
}

/// Reads `name@height`.
fn activation_height(value: &str) -> Result<(BuriedDeployment, u32), StartError> {
    let invalid = |what: &str| {
        option(format!(
            "Invalid {what} ({value}) for -testactivationheight=name@height."
        ))
    };
    let (name, height) = value.split_once('@').ok_or_else(|| invalid("format"))?;
    let height = height
        .parse::<u32>()
        .ok()
        .filter(|height| *height < i32::MAX.cast_unsigned())
        .ok_or_else(|| invalid("height value"))?;
    let deployment = name.parse().map_err(|_| invalid("name"))?;
    Ok((deployment, height))
}
