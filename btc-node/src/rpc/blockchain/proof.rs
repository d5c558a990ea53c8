//! Proofs that a block holds a transaction.

use super::super::context::{Entry, NodeParts, index_error, store_error};
use super::super::registry::{RequestContext, RpcResult};
use super::blocks::read_block;
use crate::chainstate::BlockSummary;
use bitcoin::consensus::Decodable;
use bitcoin::consensus::encode::{self, serialize_hex};
use bitcoin::{MerkleBlock, OutPoint, Txid};
use btc_interfaces::rpc::table::{Arg, Kind, Method, Shape};
use btc_interfaces::rpc::{RpcError, code, value};
use serde_json::json;
use std::collections::BTreeSet;

/// The greatest number of outputs that a transaction can have: a block's weight by that of the smallest output.
const MAX_OUTPUTS: u32 = 4_000_000 / 36;

/// The methods of this module.
pub(super) const METHODS: &[Entry] = &[
    Entry {
        method: Method {
            name: "gettxoutproof",
            category: "blockchain",
            summary: "Proves that transactions are in a block. Without the block's hash, one of them must have an unspent output, or -txindex know the first.",
            args: &[
                Arg::required("txids", Kind::Array, "The transactions' ids")
                    .with(&[Arg::optional("txid", Kind::StringHex, "A transaction's id")]),
                Arg::optional("blockhash", Kind::StringHex, "The block"),
            ],
            results: &[Shape::string(
                "",
                "The proof: a block's header with a part of its merkle tree",
            )],
            examples: &["'[\"mytxid\"]' \"blockhash\""],
        },
        run: get_tx_out_proof,
    },
    Entry {
        method: Method {
            name: "verifytxoutproof",
            category: "blockchain",
            summary: "Checks a proof that transactions are in a block of the active chain.",
            args: &[Arg::required(
                "proof",
                Kind::StringHex,
                "What gettxoutproof gave",
            )],
            results: &[Shape::array(
                "",
                "Ids of the transactions that it proves; empty if it proves nothing",
                &[Shape::hex("", "")],
            )],
            examples: &["\"proof\""],
        },
        run: verify_tx_out_proof,
    },
];

fn refused(message: &str) -> RpcError {
    RpcError::new(code::INVALID_ADDRESS_OR_KEY, message)
}

fn get_tx_out_proof(parts: &NodeParts, context: &RequestContext<'_>) -> RpcResult {
    let invalid = |message: String| RpcError::new(code::INVALID_PARAMETER, message);
    let mut txids = BTreeSet::new();
    for given in context.arguments.array(0)? {
        let txid: Txid = value::hash(given, "txid")?;
        if !txids.insert(txid) {
            return Err(invalid(format!(
                "Invalid parameter, duplicated txid: {txid}"
            )));
        }
    }
    if txids.is_empty() {
        return Err(invalid("Parameter 'txids' cannot be empty".to_owned()));
    }
    let summary = match context.arguments.opt(1) {
        Some(_) => parts.block(&context.arguments.hash(1)?)?,
        None => {
            find_block(parts, &txids)?.ok_or_else(|| refused("Transaction not yet in block"))?
        }
    };
    let block = read_block(parts, &summary)?;
    let found = block
        .txdata
        .iter()
        .filter(|tx| txids.contains(&tx.compute_txid()))
        .count();
    if found != txids.len() {
        return Err(refused(
            "Not all transactions found in specified or retrieved block",
        ));
    }
    let proof = MerkleBlock::from_block_with_predicate(&block, |txid| txids.contains(txid));
    Ok(json!(serialize_hex(&proof)))
}

/// The block of the first transaction that has an unspent output, or else of the first that is indexed.
fn find_block(parts: &NodeParts, txids: &BTreeSet<Txid>) -> Result<Option<BlockSummary>, RpcError> {
    for txid in txids {
        for vout in 0..MAX_OUTPUTS {
            let coin = parts
                .chain
                .coin(&OutPoint::new(*txid, vout))
                .map_err(store_error)?;
            if let Some(coin) = coin {
                return Ok(parts.chain.block_summary_at(coin.height));
            }
        }
    }
    let (Some(index), Some(txid)) = (&parts.indexes.txs, txids.first()) else {
        return Ok(None);
    };
    index.follower().wait_until_synced();
    let Some(found) = index.find(txid).map_err(index_error)? else {
        return Ok(None);
    };
    let block = parts.chain.block_summary(&found.block);
    let corrupt = || RpcError::new(code::INTERNAL_ERROR, "Transaction index corrupt");
    block.ok_or_else(corrupt).map(Some)
}

fn verify_tx_out_proof(parts: &NodeParts, context: &RequestContext<'_>) -> RpcResult {
    let bytes = value::hex(context.arguments.value(0), "proof")?;
    // What follows the proof is passed over, as bitcoind does.
    let proof = MerkleBlock::consensus_decode(&mut bytes.as_slice()).map_err(|error| {
        let text = match error {
            encode::Error::Io(_) => "SpanReader::read(): end of data: iostream error".to_owned(),
            other => format!("malformed proof: {other}"),
        };
        RpcError::new(code::MISC_ERROR, text)
    })?;
    let (mut matches, mut indexes) = (Vec::new(), Vec::new());
    if proof.extract_matches(&mut matches, &mut indexes).is_err() {
        return Ok(json!([]));
    }
    let block = parts
        .chain
        .block_summary(&proof.header.block_hash())
        .filter(|block| block.active && block.n_tx > 0)
        .ok_or_else(|| refused("Block not found in chain"))?;
    // A tree of another size could pass an inner node for a transaction.
    if block.n_tx != proof.txn.num_transactions() {
        return Ok(json!([]));
    }
    Ok(matches.iter().map(|txid| json!(txid.to_string())).collect())
}
