//! A block without its proof of work.
//!
//! Transactions come in the order of the mempool's chunks: the best feerate first, parents before children, and a chunk
//! as a whole or not at all. A chunk that does not fit is passed over, and a worse one may take the room.

use super::coinbase;
use crate::chainstate::{ChainstateManager, SubmitError, TipView};
use crate::mempool::{Entry, Feerate, Mempool, Pool};
use bitcoin::block::{Header, Version};
use bitcoin::hashes::Hash;
use bitcoin::{Amount, Block, CompactTarget, ScriptBuf, Transaction, TxMerkleNode, Txid, Wtxid};
use btc_consensus::ancestors::Ancestors;
use btc_consensus::params::{BuriedDeployment, ChainParams};
use btc_consensus::{HashedBlock, pow, subsidy::subsidy, tx};
use btc_interfaces::CoinbaseTx;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The greatest weight of a block, in weight units.
pub const MAX_BLOCK_WEIGHT: u64 = 4_000_000;
/// The greatest cost of a block's signature operations.
pub const MAX_BLOCK_SIGOPS: u64 = 80_000;
/// The least weight that can be reserved for header and coinbase, in weight units.
pub const MIN_RESERVED_WEIGHT: u64 = 2_000;

/// How far behind its parent the first block of a difficulty period may be, in seconds (BIP 94).
const MAX_TIMEWARP: u32 = 600;
/// Chunks in a row that did not fit, after which an almost full block is taken as full.
const MAX_FAILURES: u32 = 1000;
/// What counts as almost full: less than this is left, in weight units.
const ALMOST_FULL: u64 = 4_000;

/// Figures of the last template that was made. Zero until there was one.
#[derive(Debug, Default)]
pub struct LastTemplate {
    /// Its weight with what was reserved, in weight units.
    pub weight: AtomicU64,
    /// Its transactions without the coinbase.
    pub transactions: AtomicU64,
}

/// How a template is made.
#[derive(Debug, Clone)]
pub struct TemplateOptions {
    /// Whether transactions of the mempool go in.
    pub use_mempool: bool,
    /// The greatest weight of the block, in weight units (`-blockmaxweight`).
    pub max_weight: u64,
    /// Of that, what is kept for header and coinbase, in weight units (`-blockreservedweight`).
    pub reserved_weight: u64,
    /// Signature operations kept for the coinbase's outputs.
    pub reserved_sigops: u64,
    /// The least feerate of a chunk (`-blockmintxfee`), for vB.
    pub min_feerate: Feerate,
    /// Where the coinbase pays to.
    pub script_pubkey: ScriptBuf,
    /// The block's version in place of the one that signals deployments (`-blockversion`, on regtest).
    pub version: Option<i32>,
    /// Whether the log tells the feerate of each transaction (`-printpriority`).
    pub log_feerates: bool,
    /// Whether the finished template is checked by the rules of blocks.
    pub check: bool,
    /// Where the figures of the last template are kept; clones of the options share it.
    pub last: Arc<LastTemplate>,
}

/// Options are equal if they make the same template; what is logged and where figures are kept does not matter.
impl PartialEq for TemplateOptions {
    fn eq(&self, other: &Self) -> bool {
        let made_by = |options: &Self| {
            (
                (options.use_mempool, options.check, options.version),
                (
                    options.max_weight,
                    options.reserved_weight,
                    options.reserved_sigops,
                ),
                options.min_feerate,
                options.script_pubkey.clone(),
            )
        };
        made_by(self) == made_by(other)
    }
}

impl Eq for TemplateOptions {}

impl Default for TemplateOptions {
    fn default() -> Self {
        Self {
            use_mempool: true,
            max_weight: MAX_BLOCK_WEIGHT,
            reserved_weight: 8_000,
            reserved_sigops: 400,
            min_feerate: Feerate::from_sat_per_kvb(1),
            // Anybody can spend it: whoever mines the template brings a coinbase of their own.
            script_pubkey: ScriptBuf::from_bytes(vec![0x51]),
            version: None,
            log_feerates: false,
            check: true,
            last: Arc::default(),
        }
    }
}

/// A block that lacks only its nonce, and what a miner may want to know of it.
#[derive(Debug, Clone)]
pub struct Template {
    /// The block; its coinbase pays as the options say, the nonce is 0.
    pub block: Block,
    /// Its height.
    pub height: u32,
    /// The ids of its transactions but the coinbase, and of these with their witnesses.
    pub txids: Vec<Txid>,
    /// See [`txids`](Self::txids).
    pub wtxids: Vec<Wtxid>,
    /// Fees in sat, one for each transaction but the coinbase.
    pub fees: Vec<i64>,
    /// Signature operation costs, likewise.
    pub sigops: Vec<i64>,
    /// What another coinbase must hold.
    pub coinbase: CoinbaseTx,
    /// The least time that the header may have, in seconds since 1970.
    pub min_time: u32,
    /// The feerates of the chunks, in the order of the block, for vB.
    pub chunk_feerates: Vec<Feerate>,
}

impl Template {
    /// The block with the ids that are known of its transactions.
    pub(super) fn into_hashed(self) -> HashedBlock {
        HashedBlock::with_ids(Arc::new(self.block), &self.txids, &self.wtxids)
    }

    /// Shows the block with its ids to somebody who wants to share it for a while.
    fn lend<T>(&mut self, show: impl FnOnce(&HashedBlock) -> T) -> T {
        let nothing = Block {
            header: self.block.header,
            txdata: Vec::new(),
        };
        let block = Arc::new(std::mem::replace(&mut self.block, nothing));
        let hashed = HashedBlock::with_ids(Arc::clone(&block), &self.txids, &self.wtxids);
        let result = show(&hashed);
        drop(hashed);
        self.block = Arc::unwrap_or_clone(block);
        result
    }

    /// The sum of the fees, in sat.
    pub fn total_fees(&self) -> i64 {
        self.fees.iter().sum()
    }
}

/// Why there is no template.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    /// An option is out of its range.
    #[error("{option} ({value}) {problem}")]
    Option {
        /// The option's name.
        option: &'static str,
        /// What was given.
        value: u64,
        /// What is wrong with it, in Core's words.
        problem: String,
    },
    /// The finished block breaks a rule: the mempool and the rules of blocks disagree.
    #[error("TestBlockValidity failed: {0}")]
    Invalid(String),
    /// The chainstate failed.
    #[error(transparent)]
    Chainstate(SubmitError),
}

/// Makes a template on top of the tip.
///
/// # Errors
/// See [`TemplateError`].
pub fn create(
    chain: &ChainstateManager,
    mempool: &Mempool,
    options: &TemplateOptions,
) -> Result<Template, TemplateError> {
    check_options(options)?;
    // A block may come between making and checking; then the template is made anew.
    loop {
        let now = chain.clock().now();
        let mut template = chain.with_tip(|view| {
            let selection = if options.use_mempool {
                mempool.read(|pool| Selection::new(options).fill(pool, view))
            } else {
                Selection::new(options)
            };
            assemble(view, selection, options, now)
        });
        if !options.check {
            return Ok(template);
        }
        let verdict = template.lend(|block| chain.test_hashed_block(block, false, false));
        match verdict {
            Ok(()) => return Ok(template),
            Err(_) if chain.tip().hash != template.block.header.prev_blockhash => {}
            Err(SubmitError::Rejected(rejection)) => {
                return Err(TemplateError::Invalid(reject_text(&rejection)));
            }
            Err(error) => return Err(TemplateError::Chainstate(error)),
        }
    }
}

/// The feerates, for vB, of the chunks that a template would hold, in its order.
pub(super) fn chunk_feerates(
    chain: &ChainstateManager,
    mempool: &Mempool,
    options: &TemplateOptions,
) -> Vec<Feerate> {
    chain.with_tip(|view| {
        mempool.read(|pool| Selection::new(options).fill(pool, view).chunk_feerates)
    })
}

/// Reason and explanation in one line.
pub fn reject_text(rejection: &crate::chainstate::BlockRejection) -> String {
    let (reason, debug) = (rejection.reject_reason(), rejection.debug_message());
    if debug.is_empty() {
        reason
    } else {
        format!("{reason}, {debug}")
    }
}

fn check_options(options: &TemplateOptions) -> Result<(), TemplateError> {
    const MAX_WEIGHT: &str = "block_max_weight";
    let (reserved, max) = (options.reserved_weight, options.max_weight);
    let beyond_weight = || format!("exceeds consensus maximum block weight ({MAX_BLOCK_WEIGHT})");
    let (option, value, problem) = if reserved < MIN_RESERVED_WEIGHT {
        let least = format!("is lower than minimum safety value of ({MIN_RESERVED_WEIGHT})");
        ("block_reserved_weight", reserved, least)
    } else if reserved > MAX_BLOCK_WEIGHT {
        ("block_reserved_weight", reserved, beyond_weight())
    } else if max > MAX_BLOCK_WEIGHT {
        (MAX_WEIGHT, max, beyond_weight())
    } else if reserved > max {
        let most = format!("exceeds {MAX_WEIGHT} ({max})");
        ("block_reserved_weight", reserved, most)
    } else if options.reserved_sigops > MAX_BLOCK_SIGOPS {
        (
            "coinbase_output_max_additional_sigops",
            options.reserved_sigops,
            format!("exceeds consensus maximum block sigops cost ({MAX_BLOCK_SIGOPS})"),
        )
    } else {
        return Ok(());
    };
    Err(TemplateError::Option {
        option,
        value,
        problem,
    })
}

/// The transactions chosen so far.
struct Selection<'a> {
    options: &'a TemplateOptions,
    transactions: Vec<Arc<Transaction>>,
    txids: Vec<Txid>,
    wtxids: Vec<Wtxid>,
    fees: Vec<i64>,
    sigops: Vec<i64>,
    chunk_feerates: Vec<Feerate>,
    weight: u64,
    sigop_cost: u64,
}

impl<'a> Selection<'a> {
    fn new(options: &'a TemplateOptions) -> Self {
        Self {
            options,
            transactions: Vec::new(),
            txids: Vec::new(),
            wtxids: Vec::new(),
            fees: Vec::new(),
            sigops: Vec::new(),
            chunk_feerates: Vec::new(),
            weight: options.reserved_weight,
            sigop_cost: options.reserved_sigops,
        }
    }

    /// Takes chunks while there is room. A chunk follows all chunks that it descends from, so one whose ancestors were
    /// passed over must be passed over too.
    fn fill(mut self, pool: &Pool, view: &TipView<'_>) -> Self {
        let (height, cutoff) = (view.tip_height() + 1, view.tip_median_time_past());
        let mut skipped = std::collections::HashSet::new();
        let mut failures = 0;
        for chunk in pool.graph().chunks() {
            let feerate = chunk.feerate.weight_to_vsize();
            if feerate < self.options.min_feerate {
                break;
            }
            let entries: Vec<&Entry> = chunk
                .txids
                .iter()
                .filter_map(|txid| pool.graph().get(txid))
                .collect();
            let sigops: i64 = entries.iter().map(|entry| entry.sigop_cost).sum();
            let orphaned = !skipped.is_empty()
                && entries
                    .iter()
                    .any(|entry| entry.parents.iter().any(|p| skipped.contains(p)));
            if orphaned
                || !self.has_room(chunk.feerate.size, sigops)
                || !entries
                    .iter()
                    .all(|entry| tx::is_final(&entry.tx, height, cutoff))
            {
                skipped.extend(chunk.txids.iter().copied());
                failures += 1;
                if failures > MAX_FAILURES && self.weight + ALMOST_FULL > self.options.max_weight {
                    break;
                }
                continue;
            }
            failures = 0;
            for entry in entries {
                self.weight += entry.weight.unsigned_abs();
                self.sigop_cost += entry.sigop_cost.unsigned_abs();
                if self.options.log_feerates {
                    let feerate = Feerate::new(entry.modified_fee(), entry.vsize());
                    tracing::info!("fee rate {feerate} txid {}", entry.txid);
                }
                self.transactions.push(Arc::clone(&entry.tx));
                self.txids.push(entry.txid);
                self.wtxids.push(entry.wtxid);
                self.fees.push(entry.fee);
                self.sigops.push(entry.sigop_cost);
            }
            self.chunk_feerates.push(feerate);
        }
        self
    }

    /// Whether the block stays below its limits with the chunk; reaching them counts as exceeding.
    fn has_room(&self, weight: i64, sigops: i64) -> bool {
        self.weight.saturating_add(weight.unsigned_abs()) < self.options.max_weight
            && self.sigop_cost.saturating_add(sigops.unsigned_abs()) < MAX_BLOCK_SIGOPS
    }
}

fn assemble(
    view: &TipView<'_>,
    selection: Selection<'_>,
    options: &TemplateOptions,
    now: i64,
) -> Template {
    let params = view.params();
    let height = view.tip_height() + 1;
    let fees: i64 = selection.fees.iter().sum();
    let reward = subsidy(height, params) + Amount::from_sat(fees.unsigned_abs());
    let mut txdata = vec![coinbase::coinbase(
        height,
        reward,
        options.script_pubkey.clone(),
    )];
    txdata.extend(selection.transactions.iter().map(|tx| (**tx).clone()));
    let min_time = min_time(view, params);
    let time = u32::try_from(now).unwrap_or(0).max(min_time);
    let version = options
        .version
        .unwrap_or_else(|| view.thresholds().block_version(params, view));
    let mut block = Block {
        header: Header {
            version: Version::from_consensus(version),
            prev_blockhash: view.hash(),
            merkle_root: TxMerkleNode::all_zeros(),
            time,
            bits: CompactTarget::from_consensus(pow::next_bits(view, time, params)),
            nonce: 0,
        },
        txdata,
    };
    coinbase::commit_to(
        &mut block,
        params.is_active(BuriedDeployment::Segwit, height),
        &selection.txids,
        &selection.wtxids,
    );
    options
        .last
        .weight
        .store(selection.weight, Ordering::Release);
    options
        .last
        .transactions
        .store(selection.transactions.len() as u64, Ordering::Release);
    tracing::info!(
        "CreateNewBlock(): block weight: {} txs: {} fees: {fees} sigops {}",
        block.weight().to_wu(),
        selection.transactions.len(),
        selection.sigop_cost
    );
    Template {
        coinbase: coinbase::describe(&block.txdata[0], height, reward),
        block,
        height,
        txids: selection.txids,
        wtxids: selection.wtxids,
        fees: selection.fees,
        sigops: selection.sigops,
        min_time,
        chunk_feerates: selection.chunk_feerates,
    }
}

/// The least time that the next block's header may have, in seconds since 1970. BIP 94's rule is kept on all networks, so
/// that it can become one.
pub fn min_time(view: &TipView<'_>, params: &ChainParams) -> u32 {
    let after_median = view.tip_median_time_past() + 1;
    if (view.height() + 1).is_multiple_of(params.difficulty_interval()) {
        after_median.max(view.time().saturating_sub(MAX_TIMEWARP))
    } else {
        after_median
    }
}
