//! Blocks at once, on chains where that is possible.

use super::super::context::{Entry, NodeParts, decode_transaction, submit_error};
use super::super::registry::{RequestContext, RpcResult};
use crate::chainstate::{BlockRejection, SubmitError};
use crate::mining::generate::{DEFAULT_MAX_TRIES, GenerateError, generate, solve, submit};
use crate::mining::template::TemplateError;
use crate::mining::{TemplateOptions, coinbase, create, reject_text};
use bitcoin::address::NetworkUnchecked;
use bitcoin::consensus::encode::serialize_hex;
use bitcoin::{Address, Block, ScriptBuf, Transaction, Txid};
use btc_consensus::HashedBlock;
use btc_consensus::params::BuriedDeployment;
use btc_interfaces::descriptor::{Descriptor, DescriptorError};
use btc_interfaces::rpc::table::{Arg, Kind, Method, Shape};
use btc_interfaces::rpc::{RpcError, code, value};
use serde_json::{Map, Value, json};
use std::sync::Arc;

const MAX_TRIES: Arg = Arg::default("maxtries", Kind::Number, "1000000", "Nonces to try in all");
const HASHES: &[Shape] = &[Shape::array(
    "",
    "Hashes of the blocks",
    &[Shape::hex("", "A hash")],
)];

/// The methods of this module.
pub(super) const METHODS: &[Entry] = &[
    Entry {
        method: Method {
            name: "generatetoaddress",
            category: "hidden",
            summary: "Makes blocks that pay to an address.",
            args: &[
                Arg::required("nblocks", Kind::Number, "How many blocks"),
                Arg::required("address", Kind::String, "The address"),
                MAX_TRIES,
            ],
            results: HASHES,
            examples: &["11 \"myaddress\""],
        },
        run: generate_to_address,
    },
    Entry {
        method: Method {
            name: "generatetodescriptor",
            category: "hidden",
            summary: "Makes blocks that pay to a descriptor's script.",
            args: &[
                Arg::required("num_blocks", Kind::Number, "How many blocks"),
                Arg::required("descriptor", Kind::String, "The descriptor"),
                MAX_TRIES,
            ],
            results: HASHES,
            examples: &["11 \"mydesc\""],
        },
        run: generate_to_descriptor,
    },
    Entry {
        method: Method {
            name: "generateblock",
            category: "hidden",
            summary: "Makes one block of certain transactions, in this order. Their fees are lost.",
            args: &[
                Arg::required(
                    "output",
                    Kind::String,
                    "The address or descriptor to pay to",
                ),
                Arg::required("transactions", Kind::Array, "The transactions").with(&[
                    Arg::optional(
                        "rawtx/txid",
                        Kind::StringHex,
                        "A transaction's hex, or the id of one in the mempool",
                    ),
                ]),
                Arg::default(
                    "submit",
                    Kind::Bool,
                    "true",
                    "Take the block in, or else show its hex",
                ),
            ],
            results: &[Shape::object(
                "",
                "",
                &[
                    Shape::hex("hash", "The block's hash"),
                    Shape::hex("hex", "The block, if it was not taken in").optional(),
                ],
            )],
            examples: &["\"myaddress\" '[\"rawtx\", \"mempool_txid\"]'"],
        },
        run: generate_block,
    },
    Entry {
        method: Method {
            name: "generate",
            category: "hidden",
            summary: "has been replaced by the -generate cli option. Refer to -help for more information.",
            args: &[],
            results: &[],
            examples: &[],
        },
        run: |_, _| {
            Err(RpcError::new(
                code::METHOD_NOT_FOUND,
                "generate\n\nhas been replaced by the -generate cli option. Refer to -help for more information.\n",
            ))
        },
    },
];

fn generate_to_address(parts: &NodeParts, context: &RequestContext<'_>) -> RpcResult {
    let count: i32 = context.arguments.int(0)?;
    let max_tries: i32 = context.arguments.int(2)?;
    let script = address_script(parts, context.arguments.string(1)?)
        .ok_or_else(|| RpcError::new(code::INVALID_ADDRESS_OR_KEY, "Error: Invalid address"))?;
    // Core reads a negative number of tries as a very large one.
    blocks(
        parts,
        context,
        &script,
        count,
        i64::from(max_tries).cast_unsigned(),
    )
}

fn generate_to_descriptor(parts: &NodeParts, context: &RequestContext<'_>) -> RpcResult {
    let count: i32 = context.arguments.int(0)?;
    let max_tries: u64 = context.arguments.int(2)?;
    let script = descriptor_script(parts, context.arguments.string(1)?)?
        .map_err(|error| RpcError::new(code::INVALID_ADDRESS_OR_KEY, error))?;
    blocks(parts, context, &script, count, max_tries)
}

fn blocks(
    parts: &NodeParts,
    context: &RequestContext<'_>,
    script: &ScriptBuf,
    count: i32,
    max_tries: u64,
) -> RpcResult {
    let count = u64::try_from(count).unwrap_or(0);
    let stop = || context.interrupt.is_raised();
    let hashes = generate(
        &parts.chain,
        &parts.mempool,
        script,
        &parts.template,
        count,
        max_tries,
        &stop,
    )
    .map_err(generate_error)?;
    Ok(hashes.iter().map(|hash| json!(hash.to_string())).collect())
}

fn generate_error(error: GenerateError) -> RpcError {
    match error {
        GenerateError::Template(error) => template_error(error),
        GenerateError::NotAccepted(reason) => {
            tracing::error!("block not accepted: {reason}");
            RpcError::new(code::INTERNAL_ERROR, "ProcessNewBlock, block not accepted")
        }
        GenerateError::Chainstate(error) => submit_error(error),
    }
}

/// No template could be made.
pub(super) fn template_error(error: TemplateError) -> RpcError {
    match error {
        TemplateError::Chainstate(error) => submit_error(error),
        other => RpcError::new(code::MISC_ERROR, other.to_string()),
    }
}

/// The script that an address of this network stands for.
pub(in crate::rpc) fn address_script(parts: &NodeParts, text: &str) -> Option<ScriptBuf> {
    let address: Address<NetworkUnchecked> = text.parse().ok()?;
    Some(
        address
            .require_network(parts.network())
            .ok()?
            .script_pubkey(),
    )
}

/// The script that a descriptor stands for; of several, that of a witness. The inner error says that it is no descriptor.
fn descriptor_script(parts: &NodeParts, text: &str) -> Result<Result<ScriptBuf, String>, RpcError> {
    let parsed = match Descriptor::parse(text, parts.network(), false) {
        Ok(parsed) => parsed,
        Err(error @ DescriptorError::Multipath) => {
            return Err(RpcError::new(code::INVALID_PARAMETER, error.to_string()));
        }
        Err(error) => return Ok(Err(error.to_string())),
    };
    if parsed.descriptor.is_range() {
        return Err(RpcError::new(
            code::INVALID_PARAMETER,
            "Ranged descriptor not accepted. Maybe pass through deriveaddresses first?",
        ));
    }
    let underivable = || {
        RpcError::new(
            code::INVALID_ADDRESS_OR_KEY,
            "Cannot derive script without private keys",
        )
    };
    let expansion = parsed
        .descriptor
        .expand(0, &parsed.secrets, &mut Default::default())
        .map_err(|_| underivable())?;
    // combo() gives p2pk, p2pkh and, for a compressed key, p2wpkh and p2sh-p2wpkh.
    let index = match expansion.scripts.len() {
        4 => 2,
        2 => 1,
        _ => 0,
    };
    let script = expansion.scripts.get(index).ok_or_else(underivable)?;
    Ok(Ok(script.script_pubkey.clone()))
}

fn generate_block(parts: &NodeParts, context: &RequestContext<'_>) -> RpcResult {
    let output = context.arguments.string(0)?;
    let script = match descriptor_script(parts, output)? {
        Ok(script) => script,
        Err(_) => address_script(parts, output).ok_or_else(|| {
            RpcError::new(
                code::INVALID_ADDRESS_OR_KEY,
                "Error: Invalid address or descriptor",
            )
        })?,
    };
    let mut transactions = Vec::new();
    for text in context.arguments.array(1)? {
        let text = value::string(text)?;
        transactions.push(if let Ok(txid) = text.parse::<Txid>() {
            let tx = parts.mempool.get(&txid).ok_or_else(|| {
                RpcError::new(
                    code::INVALID_ADDRESS_OR_KEY,
                    format!("Transaction {text} not in mempool."),
                )
            })?;
            (*tx).clone()
        } else {
            decode_transaction(text).ok_or_else(|| {
                RpcError::new(
                    code::DESERIALIZATION_ERROR,
                    format!(
                        "Transaction decode failed for {text}. Make sure the tx has at least one input."
                    ),
                )
            })?
        });
    }
    let process = context.arguments.bool(2)?;
    let options = TemplateOptions {
        use_mempool: false,
        script_pubkey: script,
        ..parts.template.clone()
    };
    let stop = || context.interrupt.is_raised();
    let mut block = loop {
        let block = assemble(parts, &options, &transactions)?;
        match parts.chain.test_block_validity(&block, false, false) {
            Ok(()) => break block,
            // The tip moved on between the template and its check; the next template builds on the new one.
            Err(SubmitError::Rejected(BlockRejection::NotOnTip)) if !stop() => {}
            Err(SubmitError::Rejected(rejection)) => {
                return Err(RpcError::new(
                    code::VERIFY_ERROR,
                    format!("TestBlockValidity failed: {}", reject_text(&rejection)),
                ));
            }
            Err(other) => return Err(submit_error(other)),
        }
    };
    let mut tries = DEFAULT_MAX_TRIES;
    if !solve(&mut block, parts.chain.params(), &mut tries, &stop) {
        return Err(RpcError::new(code::MISC_ERROR, "Failed to make block."));
    }
    let mut out = Map::new();
    out.insert("hash".into(), json!(block.block_hash().to_string()));
    if process {
        submit(&parts.chain, HashedBlock::new(Arc::new(block))).map_err(generate_error)?;
    } else {
        out.insert("hex".into(), json!(serialize_hex(&block)));
    }
    Ok(Value::Object(out))
}

/// A block on the tip of these transactions alone, not yet solved.
fn assemble(
    parts: &NodeParts,
    options: &TemplateOptions,
    transactions: &[Transaction],
) -> Result<Block, RpcError> {
    let template = create(&parts.chain, &parts.mempool, options).map_err(template_error)?;
    let mut block = template.block;
    if let Some(commitment) = block.txdata.first().and_then(coinbase::commitment_index) {
        block.txdata[0].output.remove(commitment);
    }
    block.txdata.extend_from_slice(transactions);
    let segwit = parts
        .chain
        .params()
        .is_active(BuriedDeployment::Segwit, template.height);
    coinbase::commit(&mut block, segwit);
    Ok(block)
}
