//! Blocks and headers from miners.

mod oversize;

use super::super::context::{Entry, NodeParts};
use super::super::registry::{RequestContext, RpcResult};
use crate::chainstate::{SubmitError, SubmitOptions};
use crate::mining::coinbase;
use bitcoin::Block;
use bitcoin::block::Header;
use bitcoin::consensus::Decodable as _;
use bitcoin::hex::FromHex;
use btc_consensus::params::BuriedDeployment;
use btc_interfaces::rpc::table::{Arg, Kind, Method, Shape};
use btc_interfaces::rpc::{RpcError, code};
use serde_json::{Value, json};
use std::sync::Arc;

/// The methods of this module.
pub(super) const METHODS: &[Entry] = &[
    Entry {
        method: Method {
            name: "submitblock",
            category: "mining",
            summary: "Takes in a block (BIP 22).",
            args: &[
                Arg::required("hexdata", Kind::StringHex, "The block in hexadecimal"),
                Arg::hint("dummy", Kind::String, "ignored", "Ignored; BIP 22 has it").placeholder(),
            ],
            results: &[
                Shape::null().when("the block is good"),
                Shape::string(
                    "",
                    "Null if the block is the tip now, else what stands against it",
                )
                .when("otherwise"),
            ],
            examples: &["\"mydata\""],
        },
        run: submit_block,
    },
    Entry {
        method: Method {
            name: "submitheader",
            category: "mining",
            summary: "Takes in a header; an invalid one is an error.",
            args: &[Arg::required(
                "hexdata",
                Kind::StringHex,
                "The header in hexadecimal",
            )],
            results: &[Shape::null()],
            examples: &["\"aabbcc\""],
        },
        run: submit_header,
    },
];

/// A block from hexadecimal text.
pub(super) fn decode_block(hex: &str) -> Result<Block, RpcError> {
    Vec::from_hex(hex)
        .ok()
        // What follows the block is passed over, as bitcoind does.
        .and_then(|bytes| oversize::decode(&mut bytes.as_slice()).ok())
        .ok_or_else(|| RpcError::new(code::DESERIALIZATION_ERROR, "Block decode failed"))
}

fn submit_block(parts: &NodeParts, context: &RequestContext<'_>) -> RpcResult {
    let mut block = decode_block(context.arguments.string(0)?)?;
    if let Some(parent) = parts.chain.block_summary(&block.header.prev_blockhash) {
        let active = parts
            .chain
            .params()
            .is_active(BuriedDeployment::Segwit, parent.height + 1);
        coinbase::add_reserved_value(&mut block, active);
    }
    match parts
        .chain
        .submit_block(Arc::new(block), SubmitOptions { force: true })
    {
        Ok(accepted) if !accepted.new => Ok(json!("duplicate")),
        Ok(accepted) if accepted.connected => Ok(Value::Null),
        // Stored, but not connected: nothing is known of its scripts yet.
        Ok(_) => Ok(json!("inconclusive")),
        Err(SubmitError::Rejected(rejection)) => Ok(json!(rejection.reject_reason())),
        Err(error) => Err(RpcError::new(code::VERIFY_ERROR, error.to_string())),
    }
}

fn submit_header(parts: &NodeParts, context: &RequestContext<'_>) -> RpcResult {
    let header: Header = Vec::from_hex(context.arguments.string(0)?)
        .ok()
        // What follows the header, such as its block, is passed over, as bitcoind does.
        .and_then(|bytes| Header::consensus_decode(&mut bytes.as_slice()).ok())
        .ok_or_else(|| RpcError::new(code::DESERIALIZATION_ERROR, "Block header decode failed"))?;
    let refused = |message: String| RpcError::new(code::VERIFY_ERROR, message);
    if parts.chain.block_summary(&header.prev_blockhash).is_none() {
        return Err(refused(format!(
            "Must submit previous header ({}) first",
            header.prev_blockhash
        )));
    }
    match parts.chain.submit_header(&header) {
        Ok(_) => Ok(Value::Null),
        Err(SubmitError::Rejected(rejection)) => Err(refused(rejection.reject_reason())),
        Err(error) => Err(refused(error.to_string())),
    }
}
