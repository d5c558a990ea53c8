//! Figures about blocks and stretches of the chain.

use super::super::block_json::spent_outputs;
use super::super::context::{Entry, NodeParts};
use super::super::numbers::real;
use super::super::registry::{RequestContext, RpcResult};
use super::blocks::{read_block, undo_unreadable};
use crate::chainstate::BlockSummary;
use crate::store::undo::BlockUndo;
use bitcoin::{Amount, Block, TxOut};
use btc_consensus::subsidy::subsidy;
use btc_interfaces::rpc::table::{Arg, Kind, Method};
use btc_interfaces::rpc::{RpcError, code, value};
use serde_json::{Map, Value, json};

/// What an output takes in the set of unspent ones besides itself: the outpoint, the height and the coinbase mark.
const UTXO_OVERHEAD: i64 = 36 + 4;

/// The methods of this module.
pub(super) const METHODS: &[Entry] = &[
    Entry {
        method: Method {
            name: "getchaintxstats",
            category: "blockchain",
            summary: "Counts transactions in the chain and in a stretch of it.",
            args: &[
                Arg::hint(
                    "nblocks",
                    Kind::Number,
                    "one month",
                    "Blocks in the stretch",
                ),
                Arg::hint(
                    "blockhash",
                    Kind::StringHex,
                    "chain tip",
                    "The stretch's last block",
                ),
            ],
            results: crate::rpc::results::blocks::GET_CHAIN_TX_STATS,
            examples: &["", "2016"],
        },
        run: get_chain_tx_stats,
    },
    Entry {
        method: Method {
            name: "getblockstats",
            category: "blockchain",
            summary: "Shows figures of a block; amounts are in sat.",
            args: &[
                Arg::required("hash_or_height", Kind::Number, "The block's hash or height")
                    .unchecked()
                    .labelled("", "string or numeric"),
                Arg::hint(
                    "stats",
                    Kind::Array,
                    "all values",
                    "The names of the figures to show",
                )
                .with(&[
                    Arg::optional("height", Kind::String, "The name of a figure"),
                    Arg::optional("time", Kind::String, "The name of a figure"),
                ])
                .shown_as("stats"),
            ],
            results: crate::rpc::results::blocks::GET_BLOCK_STATS,
            examples: &["1000 '[\"minfeerate\",\"avgfeerate\"]'"],
        },
        run: get_block_stats,
    },
];

fn invalid(message: impl Into<String>) -> RpcError {
    RpcError::new(code::INVALID_PARAMETER, message)
}

fn get_chain_tx_stats(parts: &NodeParts, context: &RequestContext<'_>) -> RpcResult {
    let last = match context.arguments.opt(1) {
        None => parts.chain.tip(),
        Some(_) => {
            let block = parts.block(&context.arguments.hash(1)?)?;
            if !block.active {
                return Err(invalid("Block is not in main chain"));
            }
            block
        }
    };
    let height = i64::from(last.height);
    let count = match context.arguments.opt_int::<i32>(0)? {
        None => {
            let month = 30 * 24 * 60 * 60 / i64::from(parts.chain.params().pow_target_spacing);
            month.min(height - 1).max(0)
        }
        Some(count) => {
            let count = i64::from(count);
            if count < 0 || (count > 0 && count >= height) {
                return Err(invalid(
                    "Invalid block count: should be between 0 and the block's height - 1",
                ));
            }
            count
        }
    };
    let first = u32::try_from(height - count)
        .ok()
        .and_then(|height| parts.chain.block_summary_at(height))
        .unwrap_or_else(|| last.clone());
    let interval = i64::from(last.median_time_past) - i64::from(first.median_time_past);
    let mut out = Map::new();
    out.insert("time".into(), json!(last.time));
    if last.chain_tx > 0 {
        out.insert("txcount".into(), json!(last.chain_tx));
    }
    out.insert(
        "window_final_block_hash".into(),
        json!(last.hash.to_string()),
    );
    out.insert("window_final_block_height".into(), json!(last.height));
    out.insert("window_block_count".into(), json!(count));
    if count > 0 {
        out.insert("window_interval".into(), json!(interval));
        if last.chain_tx > 0 && first.chain_tx > 0 {
            let transactions = last.chain_tx - first.chain_tx;
            out.insert("window_tx_count".into(), json!(transactions));
            if interval > 0 {
                out.insert("txrate".into(), real(transactions as f64 / interval as f64));
            }
        }
    }
    Ok(Value::Object(out))
}

fn get_block_stats(parts: &NodeParts, context: &RequestContext<'_>) -> RpcResult {
    let summary = find_block(parts, context.arguments.get(0))?;
    let block = read_block(parts, &summary)?;
    let undo = parts
        .chain
        .read_undo(&summary.hash)
        .map_err(|_| RpcError::new(code::MISC_ERROR, "Can't read undo data from disk"))?;
    // The genesis block spends nothing and has no record of it.
    let undo = match undo {
        None if summary.height > 0 => return Err(undo_unreadable()),
        undo => undo.unwrap_or_default(),
    };
    let mut all = figures(parts, &summary, &block, &undo);
    let Some(_) = context
        .arguments
        .opt(1)
        .filter(|names| names.as_array().is_none_or(|n| !n.is_empty()))
    else {
        return Ok(Value::Object(all));
    };
    let mut names = Vec::new();
    for name in context.arguments.array(1)? {
        names.push(value::string(name)?);
    }
    names.sort_unstable();
    names.dedup();
    let mut selected = Map::new();
    for name in names {
        let figure = all
            .remove(name)
            .ok_or_else(|| invalid(format!("Invalid selected statistic '{name}'")))?;
        selected.insert(name.to_owned(), figure);
    }
    Ok(Value::Object(selected))
}

/// A block that the caller named by hash or, on the active chain, by height.
pub(super) fn find_block(parts: &NodeParts, given: &Value) -> Result<BlockSummary, RpcError> {
    if !given.is_number() {
        return parts.block(&value::hash(given, "hash_or_height")?);
    }
    let height: i32 = value::int(given)?;
    let Ok(known) = u32::try_from(height) else {
        return Err(invalid(format!("Target block height {height} is negative")));
    };
    parts.chain.block_summary_at(known).ok_or_else(|| {
        let tip = parts.chain.tip().height;
        invalid(format!(
            "Target block height {height} after current tip {tip}"
        ))
    })
}

/// Sums over a block's transactions.
#[derive(Default)]
struct Sums {
    fees: Vec<i64>,
    /// Feerates in sat/vB, rounded down, with the weights that pay them.
    feerates: Vec<(i64, i64)>,
    sizes: Vec<i64>,
    inputs: i64,
    outputs: i64,
    total_out: i64,
    total_weight: i64,
    segwit_count: i64,
    segwit_size: i64,
    segwit_weight: i64,
    unspent: i64,
    unspent_size: i64,
    unspent_size_actual: i64,
}

impl Sums {
    fn of(block: &Block, undo: &BlockUndo, genesis: bool) -> Self {
        let mut sums = Self::default();
        for (index, tx) in block.txdata.iter().enumerate() {
            sums.outputs += count(tx.output.len());
            let mut paid_out = 0;
            for output in &tx.output {
                paid_out += sat(output.value);
                let size = unspent_size(output);
                sums.unspent_size += size;
                let script = &output.script_pubkey;
                // Those that can never be spent are not kept, nor is the genesis block's.
                if !genesis && !script.is_op_return() && script.len() <= 10_000 {
                    sums.unspent += 1;
                    sums.unspent_size_actual += size;
                }
            }
            if tx.is_coinbase() {
                continue;
            }
            sums.inputs += count(tx.input.len());
            sums.total_out += paid_out;
            let (size, weight) = (count(tx.total_size()), sat_like(tx.weight().to_wu()));
            sums.sizes.push(size);
            sums.total_weight += weight;
            if tx.input.iter().any(|input| !input.witness.is_empty()) {
                sums.segwit_count += 1;
                sums.segwit_size += size;
                sums.segwit_weight += weight;
            }
            let mut paid_in = 0;
            for spent in spent_outputs(undo, index).unwrap_or_default() {
                paid_in += sat(spent.output.value);
                let size = unspent_size(&spent.output);
                sums.unspent_size -= size;
                sums.unspent_size_actual -= size;
            }
            let fee = paid_in - paid_out;
            sums.fees.push(fee);
            sums.feerates.push((fee * 4 / weight.max(1), weight));
        }
        sums
    }
}

fn count(len: usize) -> i64 {
    i64::try_from(len).unwrap_or(i64::MAX)
}

fn sat_like(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn sat(amount: Amount) -> i64 {
    sat_like(amount.to_sat())
}

fn unspent_size(output: &TxOut) -> i64 {
    count(output.size()) + UTXO_OVERHEAD
}

fn figures(
    parts: &NodeParts,
    summary: &BlockSummary,
    block: &Block,
    undo: &BlockUndo,
) -> Map<String, Value> {
    // Coinbases that came twice, before BIP 30, did not add to the unspent outputs either.
    let repeats = parts.chain.params().chain == btc_consensus::params::Chain::Main
        && matches!(summary.height, 91_842 | 91_880);
    let sums = Sums::of(block, undo, summary.height == 0);
    let (unspent, unspent_size_actual) = if repeats {
        let of_coinbase: i64 = block
            .txdata
            .first()
            .map_or(0, |tx| tx.output.iter().map(unspent_size).sum());
        let outputs = block.txdata.first().map_or(0, |tx| count(tx.output.len()));
        (
            sums.unspent - outputs,
            sums.unspent_size_actual - of_coinbase,
        )
    } else {
        (sums.unspent, sums.unspent_size_actual)
    };
    let paying = count(sums.fees.len());
    let average = |sum: i64| if paying > 0 { sum / paying } else { 0 };
    let least = |values: &mut dyn Iterator<Item = i64>| values.min().unwrap_or(0);
    let most = |values: &mut dyn Iterator<Item = i64>| values.max().unwrap_or(0);
    let total_fee: i64 = sums.fees.iter().sum();
    let total_size: i64 = sums.sizes.iter().sum();
    let feerates = || sums.feerates.iter().map(|(rate, _)| *rate);
    let average_rate = if sums.total_weight > 0 {
        total_fee * 4 / sums.total_weight
    } else {
        0
    };
    let entries = [
        ("avgfee", json!(average(total_fee))),
        ("avgfeerate", json!(average_rate)),
        ("avgtxsize", json!(average(total_size))),
        ("blockhash", json!(summary.hash.to_string())),
        (
            "feerate_percentiles",
            json!(percentiles(&sums.feerates, sums.total_weight)),
        ),
        ("height", json!(summary.height)),
        ("ins", json!(sums.inputs)),
        ("maxfee", json!(most(&mut sums.fees.iter().copied()))),
        ("maxfeerate", json!(most(&mut feerates()))),
        ("maxtxsize", json!(most(&mut sums.sizes.iter().copied()))),
        ("medianfee", json!(median(&sums.fees))),
        ("mediantime", json!(summary.median_time_past)),
        ("mediantxsize", json!(median(&sums.sizes))),
        ("minfee", json!(least(&mut sums.fees.iter().copied()))),
        ("minfeerate", json!(least(&mut feerates()))),
        ("mintxsize", json!(least(&mut sums.sizes.iter().copied()))),
        ("outs", json!(sums.outputs)),
        (
            "subsidy",
            json!(subsidy(summary.height, parts.chain.params()).to_sat()),
        ),
        ("swtotal_size", json!(sums.segwit_size)),
        ("swtotal_weight", json!(sums.segwit_weight)),
        ("swtxs", json!(sums.segwit_count)),
        ("time", json!(summary.time)),
        ("total_out", json!(sums.total_out)),
        ("total_size", json!(total_size)),
        ("total_weight", json!(sums.total_weight)),
        ("totalfee", json!(total_fee)),
        ("txs", json!(block.txdata.len())),
        ("utxo_increase", json!(sums.outputs - sums.inputs)),
        ("utxo_size_inc", json!(sums.unspent_size)),
        ("utxo_increase_actual", json!(unspent - sums.inputs)),
        ("utxo_size_inc_actual", json!(unspent_size_actual)),
    ];
    entries
        .into_iter()
        .map(|(name, figure)| (name.to_owned(), figure))
        .collect()
}

/// The middle value, or the mean of the two in the middle, rounded down.
fn median(values: &[i64]) -> i64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => 0,
        len if len % 2 == 0 => (sorted[middle - 1] + sorted[middle]) / 2,
        _ => sorted[middle],
    }
}

/// The feerates at 10, 25, 50, 75 and 90 percent of the weight, the cheapest weight first.
fn percentiles(feerates: &[(i64, i64)], total_weight: i64) -> [i64; 5] {
    let mut sorted = feerates.to_vec();
    sorted.sort_unstable();
    let total = total_weight as f64;
    let marks = [
        total / 10.0,
        total / 4.0,
        total / 2.0,
        total * 3.0 / 4.0,
        total * 9.0 / 10.0,
    ];
    marks.map(|mark| {
        let mut weight = 0;
        let reached = sorted.iter().find(|(_, own)| {
            weight += own;
            weight as f64 >= mark
        });
        reached.or(sorted.last()).map_or(0, |(rate, _)| *rate)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_round_down() {
        assert_eq!(median(&[]), 0);
        assert_eq!(median(&[3]), 3);
        assert_eq!(median(&[4, 1]), 2);
        assert_eq!(median(&[9, 1, 5]), 5);
    }

    #[test]
    fn percentiles_count_weight() {
        assert_eq!(percentiles(&[], 0), [0; 5]);
        let even: Vec<(i64, i64)> = (1..=10).map(|rate| (rate, 10)).collect();
        assert_eq!(percentiles(&even, 100), [1, 3, 5, 8, 9]);
        assert_eq!(percentiles(&[(7, 90), (1, 10)], 100), [1, 7, 7, 7, 7]);
    }
}
