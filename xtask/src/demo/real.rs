//! Mainnet's first 255 blocks, from a file, through every rule.

use super::{line, same, step};
use crate::node::Node;
use crate::{Result, build};
use serde_json::{Value, json};
use std::path::Path;

const BLOCKS: &str = "btc-node/tests/data/mainnet-1-255.blk";
const TIP: &str = "00000000d0a75c861fabf9ff7b92022f60e4afeed9331fe5aa073d8e4706fe3c";
const MUHASH: &str = "60e29020ee287387a5b311fa9d665e232d41fb14f6243342cf1bdd967cc82117";
const HASH_SERIALIZED: &str = "507108bd18e2319f0a7102cfa1c7ffea10c9b1a47ff061d8098bc51a92e40241";

pub fn run(programs: &Path, dir: &Path) -> Result {
    step(
        1,
        "bitcoin-node on mainnet, without peers, loads blocks 1 to 255 from a file",
    );
    let blocks = build::root().join(BLOCKS);
    let load = format!("-loadblock={}", blocks.display());
    let node = Node::start(
        programs,
        dir,
        "",
        &["-connect=0", "-listen=0", "-disablewallet", &load],
    )?;
    line(
        "started",
        format_args!(
            "pid {}, all loaded after {:.2} s",
            node.pid(),
            node.started_in.as_secs_f64()
        ),
    );

    step(2, "what it made of them");
    let info = node.rpc.call("getblockchaininfo", json!([]))?;
    let check = |name: &str, got: &Value, expected: &str| {
        let got = got.as_str().map_or_else(|| got.to_string(), str::to_owned);
        line(name, &got);
        same(name, got, expected.to_owned())
    };
    check("chain", &info["chain"], "main")?;
    check("height", &info["blocks"], "255")?;
    check("tip", &info["bestblockhash"], TIP)?;
    let coins = node.rpc.call("gettxoutsetinfo", json!(["muhash"]))?;
    check("outputs", &coins["txouts"], "260")?;
    check("muhash", &coins["muhash"], MUHASH)?;
    let coins = node
        .rpc
        .call("gettxoutsetinfo", json!(["hash_serialized_3"]))?;
    check("serialized", &coins["hash_serialized_3"], HASH_SERIALIZED)?;
    node.stop()?;
    line("stopped", "exit code 0, nothing on stderr");
    Ok(())
}
