//! One block's effect on the coins, forwards and backwards.

use std::sync::Arc;

use bitcoin::{Block, BlockHash, OutPoint};
use btc_consensus::connect::{Delta, is_coinbase_overwritten};
use btc_consensus::pow::equivalent_time;
use btc_consensus::script::program::is_unspendable;
use btc_consensus::{BlockError, Coin, ConnectContext, HashedBlock, ScriptError, ScriptJob};

use super::checks::{CheckQueue, Failure, Job, Ticket};
use super::coins_cache::Overlay;
use super::options::Options;
use super::script_cache::ScriptCache;
use super::view::TreeView;
use crate::chain::{BlockId, BlockTree};
use crate::store::StoreError;
use crate::store::undo::BlockUndo;

/// Work below the best header, as time at the present rate, that a block must lie under for its scripts to be taken as
/// checked: two weeks, in seconds.
const BURIED_SECONDS: i64 = 2 * 7 * 24 * 60 * 60;

/// Why a block was not connected.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectError {
    /// It breaks a rule.
    #[error(transparent)]
    Invalid(#[from] BlockError),
    /// The disk or a thread failed; nothing is known about the block.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The check of one input, by what is known from before.
struct Check {
    job: ScriptJob,
    cache: Arc<ScriptCache>,
}

impl Job for Check {
    type Error = ScriptError;

    fn run(&self) -> Result<(), ScriptError> {
        // What a block holds is seldom checked again: it would only push out what the mempool found.
        self.job.run_with(self.cache.verifier(false))
    }
}

/// Why the scripts of a block are run. The texts are Core's, for the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ScriptsReason {
    #[error("assumevalid=0 (always verify)")]
    Always,
    #[error("assumevalid hash not in headers")]
    UnknownAssumed,
    #[error("block height above assumevalid height")]
    Above,
    #[error("block not in assumevalid chain")]
    OtherChain,
    #[error("block not in best header chain")]
    NotBest,
    #[error("best header chainwork below minimumchainwork")]
    LittleWork,
    #[error("block too recent relative to best header")]
    Recent,
}

/// Why the scripts of a block must be run; `None` if it lies deep under the assumed-valid block on the chain that has, as
/// far as headers tell, enough work.
pub(super) fn must_check_scripts(
    tree: &BlockTree,
    options: &Options,
    id: BlockId,
) -> Option<ScriptsReason> {
    let Some(assumed) = options.assume_valid else {
        return Some(ScriptsReason::Always);
    };
    let Some(assumed) = tree.find(&assumed) else {
        return Some(ScriptsReason::UnknownAssumed);
    };
    let entry = tree.entry(id);
    if !tree.is_ancestor(id, assumed) {
        return Some(match entry.height > tree.entry(assumed).height {
            true => ScriptsReason::Above,
            false => ScriptsReason::OtherChain,
        });
    }
    let best = tree
        .best_header()
        .filter(|best| tree.is_ancestor(id, *best));
    let Some(best) = best.map(|best| tree.entry(best)) else {
        return Some(ScriptsReason::NotBest);
    };
    if best.chainwork < options.minimum_chain_work {
        return Some(ScriptsReason::LittleWork);
    }
    let bits = best.header.bits.to_consensus();
    let age = equivalent_time(best.chainwork, entry.chainwork, bits, &options.params);
    (age <= BURIED_SECONDS).then_some(ScriptsReason::Recent)
}

/// Checks a block against the coins and applies it to them; gives what it takes to undo it. If it fails, the overlay is
/// unchanged but for what it has read.
pub(super) fn connect_block(
    block: &HashedBlock,
    coins: &mut Overlay<'_>,
    context: &ConnectContext<'_>,
    checks: &CheckQueue,
    cache: &Arc<ScriptCache>,
) -> Result<BlockUndo, ConnectError> {
    let (delta, scripts) = check_coins(block, coins, context, checks, cache)?;
    scripts.finish()?;
    Ok(apply_delta(block, delta, coins))
}

/// As [`connect_block`], without waiting for the scripts: the block is good only once they are. If it fails here, the
/// overlay is unchanged but for what it has read; if the scripts fail, the overlay is not to be used.
pub(super) fn connect_block_unproven(
    block: &HashedBlock,
    coins: &mut Overlay<'_>,
    context: &ConnectContext<'_>,
    checks: &CheckQueue,
    cache: &Arc<ScriptCache>,
) -> Result<(BlockUndo, ScriptChecks), ConnectError> {
    let (delta, scripts) = check_coins(block, coins, context, checks, cache)?;
    Ok((apply_delta(block, delta, coins), scripts))
}

/// Holds a block to all rules but those of scripts, which are under way then.
fn check_coins(
    block: &HashedBlock,
    coins: &mut Overlay<'_>,
    context: &ConnectContext<'_>,
    checks: &CheckQueue,
    cache: &Arc<ScriptCache>,
) -> Result<(Delta, ScriptChecks), ConnectError> {
    // The rules see a plain function from outpoint to coin; a failure of the disk is kept aside, so that it is never
    // taken for a missing coin.
    let mut failure = None;
    let lookup = |outpoint: &OutPoint| match coins.coin(outpoint) {
        Ok(coin) => coin.cloned(),
        Err(error) => {
            failure = Some(error);
            None
        }
    };
    let connected = btc_consensus::connect_hashed(block, lookup, context);
    if let Some(error) = failure {
        return Err(error.into());
    }
    let (delta, jobs) = connected?;
    Ok((delta, ScriptChecks::start(checks, cache, block, jobs)))
}

/// Does to the coins what the block does to those that it was just checked against.
fn apply_delta(block: &HashedBlock, delta: Delta, coins: &mut Overlay<'_>) -> BlockUndo {
    coins.reserve(delta.created.len() + delta.spent.iter().map(Vec::len).sum::<usize>());
    for (outpoint, coin) in delta.created {
        // Two coinbases of the main network repeat others: only a coinbase may replace a coin.
        let overwrite = coin.coinbase;
        coins.add(outpoint, coin, overwrite);
    }
    let spent = delta.spent.into_iter().map(|inputs| {
        let coins = inputs.into_iter().map(|(outpoint, coin)| {
            coins.spend_found(outpoint);
            coin
        });
        coins.collect()
    });
    let undo = BlockUndo(spent.collect());
    coins.set_best_block(block.hash());
    undo
}

/// The scripts of one block, under way on other threads. Dropping it gives them up.
pub(super) struct ScriptChecks(Ticket<Check>);

impl ScriptChecks {
    fn start(
        checks: &CheckQueue,
        cache: &Arc<ScriptCache>,
        block: &HashedBlock,
        jobs: Vec<ScriptJob>,
    ) -> Self {
        // The inputs of a transaction follow each other, the first leading.
        let mut known = false;
        let unknown = jobs.into_iter().filter(|job| {
            if job.input() == 0 {
                let spend = job.spend();
                let wtxid = || match spend.number_in_block() {
                    Some(number) => block.wtxids()[number],
                    None => spend.transaction().compute_wtxid(),
                };
                known = cache.knows_transaction(wtxid, job.flags());
            }
            !known
        });
        let unknown = unknown.map(|job| Check {
            job,
            cache: Arc::clone(cache),
        });
        Self(checks.submit(unknown.collect()))
    }

    /// How many inputs are checked.
    pub(super) fn len(&self) -> usize {
        self.0.jobs().len()
    }

    /// Waits for all of them.
    ///
    /// # Errors
    /// The first that failed, or that a check broke down, which says nothing of the block.
    pub(super) fn finish(&self) -> Result<(), ConnectError> {
        match self.0.wait() {
            Ok(()) => Ok(()),
            Err(Failure::Job(index, error)) => {
                let job = &self.0.jobs()[index].job;
                Err(BlockError::Script(job.failure(error)).into())
            }
            Err(Failure::Panicked) => {
                Err(StoreError::corrupt("script check", "it panicked").into())
            }
        }
    }
}

/// How undoing a block went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Undone {
    /// The coins were exactly those that the block leaves.
    Clean,
    /// They were not; now they are those from before the block all the same. Only right while an interrupted flush is
    /// being completed.
    Unclean,
}

/// Takes a block's effect back.
///
/// # Errors
/// Block and undo record do not fit together, or the disk failed; the overlay must be dropped then.
pub(super) fn disconnect_block(
    block: &Block,
    height: u32,
    undo: BlockUndo,
    coins: &mut Overlay<'_>,
) -> Result<Undone, StoreError> {
    let hash = block.block_hash();
    let inconsistent =
        |reason: &str| StoreError::corrupt(format!("undo record of block {hash}"), reason);
    if undo.0.len() + 1 != block.txdata.len() {
        return Err(inconsistent("block and undo data inconsistent"));
    }
    let mut clean = true;
    // The coinbase has no undo record: it comes first in the block and last here.
    let mut records: Vec<_> = std::iter::once(Vec::new()).chain(undo.0).collect();
    for (index, transaction) in block.txdata.iter().enumerate().rev() {
        let txid = transaction.compute_txid();
        let coinbase = index == 0;
        let overwritten = coinbase && is_coinbase_overwritten(height, &hash);
        for (vout, output) in (0..).zip(&transaction.output) {
            if is_unspendable(output.script_pubkey.as_bytes()) {
                continue;
            }
            let spent = coins.spend(&OutPoint { txid, vout })?;
            let expected = Coin {
                output: output.clone(),
                height,
                coinbase,
            };
            clean &= overwritten || spent == Some(expected);
        }
        let record = std::mem::take(&mut records[index]);
        if coinbase {
            continue;
        }
        if record.len() != transaction.input.len() {
            return Err(inconsistent("transaction and undo data inconsistent"));
        }
        for (input, coin) in transaction.input.iter().zip(record).rev() {
            clean &= restore_coin(input.previous_output, coin, coins)?;
        }
    }
    coins.set_best_block(block.header.prev_blockhash);
    Ok(if clean {
        Undone::Clean
    } else {
        Undone::Unclean
    })
}

/// Puts a spent coin back; says whether its place was free.
fn restore_coin(
    outpoint: OutPoint,
    mut coin: Coin,
    coins: &mut Overlay<'_>,
) -> Result<bool, StoreError> {
    let occupied = coins.coin(&outpoint)?.is_some();
    if coin.height == 0 {
        // Records of old versions tell height and coinbase only with a transaction's last spent output; the others are
        // found at an output that is unspent still.
        let Some((height, coinbase)) = sibling(&outpoint, coins)? else {
            return Err(StoreError::corrupt(
                "undo record",
                "no height known for a restored coin",
            ));
        };
        (coin.height, coin.coinbase) = (height, coinbase);
    }
    coins.add(outpoint, coin, occupied);
    Ok(!occupied)
}

/// Height and coinbase mark of any unspent output of the same transaction.
fn sibling(
    outpoint: &OutPoint,
    coins: &mut Overlay<'_>,
) -> Result<Option<(u32, bool)>, StoreError> {
    /// More outputs than the smallest of them, 9 bytes each, can fill a block with.
    const MOST_OUTPUTS: u32 = 1_000_000 / 9;
    for vout in 0..MOST_OUTPUTS {
        if let Some(coin) = coins.coin(&OutPoint { vout, ..*outpoint })? {
            return Ok(Some((coin.height, coin.coinbase)));
        }
    }
    Ok(None)
}

/// Applies a block that was connected before, whether or not its effect is there already.
pub(super) fn roll_forward(
    block: &Block,
    height: u32,
    coins: &mut Overlay<'_>,
) -> Result<(), StoreError> {
    for (index, transaction) in block.txdata.iter().enumerate() {
        if index > 0 {
            for input in &transaction.input {
                coins.spend(&input.previous_output)?;
            }
        }
        let txid = transaction.compute_txid();
        for (vout, output) in (0..).zip(&transaction.output) {
            if !is_unspendable(output.script_pubkey.as_bytes()) {
                let coin = Coin {
                    output: output.clone(),
                    height,
                    coinbase: index == 0,
                };
                coins.add(OutPoint { txid, vout }, coin, true);
            }
        }
    }
    coins.set_best_block(block.block_hash());
    Ok(())
}

/// The chain before a block, and the context in which it is connected.
pub(super) fn connect_context<'a>(
    options: &'a Options,
    prev: &'a TreeView<'a>,
    check_scripts: bool,
) -> ConnectContext<'a> {
    ConnectContext {
        params: &options.params,
        prev,
        check_scripts,
    }
}

/// Whether a block is the one that is never connected by its transactions.
pub(super) fn is_genesis(options: &Options, hash: &BlockHash) -> bool {
    *hash == options.params.genesis_hash
}
