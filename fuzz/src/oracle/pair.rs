//! A kernel and a node that are handed the same headers and blocks.

use std::sync::{Arc, Mutex, Once, PoisonError};

use bitcoin::block::Header;
use bitcoin::consensus::serialize;
use bitcoin::hashes::Hash;
use bitcoin::{Block, Network};
use bitcoinkernel::log::logging::LoggingOptions;
use bitcoinkernel::prelude::*;
use bitcoinkernel::{
    BLOCK_CHECK_ALL, BlockCheckResult, BlockHeader, BlockValidationResult, BlockValidationStateRef,
    ChainType, ChainstateManager as Kernel, Context, ContextBuilder, Log, Logger,
    ProcessBlockHeaderResult, ProcessBlockResult, ValidationMode,
};
use btc_consensus::{BlockFault, Chain, ChainParams, CheckBlockOptions, check_block};
use btc_node::chainstate::{
    BlockRejection, BlockSummary, ChainstateManager, Options, SubmitError, SubmitOptions,
    SystemClock,
};
use btc_node::notify::Notifier;
use btc_node::store::data_dir::DataDir;

use super::rules::Part;
use super::{Tally, hex};

/// What the kernel said of the blocks that it tried to connect since it was last asked.
type Checked = Arc<Mutex<Vec<([u8; 32], bool, BlockValidationResult)>>>;

/// What the kernel logged about blocks that it refused since it was last asked. Its log is one for the whole process.
static REFUSALS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Keeps the lines that tell why a block was refused.
struct Refusals;

impl Log for Refusals {
    fn log(&self, message: &str) {
        if message.contains("AcceptBlock FAILED (") || message.contains("ConnectBlock ") {
            let mut refusals = REFUSALS.lock().unwrap_or_else(PoisonError::into_inner);
            refusals.push(message.trim_end().to_owned());
        }
    }
}

/// Has the kernel tell its log, from the first call on.
pub fn listen() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let options = LoggingOptions {
            log_timestamps: false,
            ..LoggingOptions::default()
        };
        let logger = Logger::new_with_options(Refusals, options);
        // It listens until the process ends.
        std::mem::forget(logger.expect("the kernel's log can be listened to"));
    });
}

/// Both engines, each on a directory of its own.
pub struct Pair {
    kernel: Kernel,
    kernel_params: bitcoinkernel::ChainParams,
    checked: Checked,
    node: ChainstateManager,
    params: ChainParams,
    _context: Context,
    _dirs: [tempfile::TempDir; 2],
}

impl Pair {
    /// Both, with the genesis block of regtest.
    pub fn new() -> Result<Self, Box<dyn std::error::Error>> {
        listen();
        let dirs = [tempfile::tempdir()?, tempfile::tempdir()?];
        let checked = Checked::default();
        let seen = Arc::clone(&checked);
        let context = ContextBuilder::new()
            .chain_type(ChainType::Regtest)
            .with_block_checked_validation(
                move |block: bitcoinkernel::Block, state: BlockValidationStateRef<'_>| {
                    let valid = state.mode() == ValidationMode::Valid;
                    let verdict = (block.hash().to_bytes(), valid, state.result());
                    seen.lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .push(verdict);
                },
            )
            .build()?;
        let data = dirs[0].path().display().to_string();
        // With a thread for scripts, as in a node: what needs no scripts is then said first.
        let kernel = Kernel::builder(&context, &data, &format!("{data}/blocks"))?
            .block_tree_db_in_memory(true)
            .chainstate_db_in_memory(true)
            .worker_threads(1)
            .build()?;
        kernel.import_blocks()?;

        let dir = DataDir::open(dirs[1].path(), Network::Regtest, None, "Oracle")?;
        let params = ChainParams::new(Chain::Regtest);
        let options = Options::new((&dir).into(), params.clone());
        let (clock, notifier) = (Arc::new(SystemClock::new()), Arc::new(Notifier::new()));
        Ok(Self {
            kernel,
            kernel_params: bitcoinkernel::ChainParams::new(ChainType::Regtest),
            checked,
            node: ChainstateManager::open(options, clock, notifier)?,
            params,
            _context: context,
            _dirs: dirs,
        })
    }

    /// Our node's tip, which is the kernel's too after each submission.
    pub fn tip(&self) -> BlockSummary {
        self.node.tip()
    }

    /// Ends our node in order.
    pub fn close(self) -> Result<(), String> {
        let closed = self.node.close();
        closed.map_err(|error| format!("our node does not close: {error}"))
    }

    /// Hands a header to both and compares what they say of it.
    pub fn submit_header(&self, header: &Header, tally: &mut Tally) -> Result<(), String> {
        let bytes = serialize(header);
        let describe = |said: String| {
            format!(
                "{said}: header {} on {}",
                hex(&bytes),
                header.prev_blockhash
            )
        };
        let kernel_header = BlockHeader::new(&bytes)
            .map_err(|error| describe(format!("the kernel does not read it: {error}")))?;
        let theirs = match self.kernel.process_block_header(&kernel_header) {
            Ok(ProcessBlockHeaderResult::Valid) => None,
            Ok(ProcessBlockHeaderResult::Invalid(state)) => Some(state.result()),
            Err(error) => return Err(describe(format!("the kernel failed: {error}"))),
        };
        let ours = match self.node.submit_header(header) {
            Ok(_) => None,
            Err(SubmitError::Rejected(BlockRejection::Rule(error))) => {
                tally.rules.note_block(Part::Chains, &error);
                Some(kernel_result(error.fault()))
            }
            Err(error) => return Err(describe(format!("our node failed: {error}"))),
        };
        if ours != theirs {
            return Err(describe(format!("the kernel says {theirs:?}, we {ours:?}")));
        }
        tally.headers.add(theirs.is_none());
        Ok(())
    }

    /// Hands a block to both and compares what they say of it, in Core's words, and where they stand then. Gives whether
    /// it was taken in.
    pub fn submit(&self, block: &Block, tally: &mut Tally) -> Result<bool, String> {
        let bytes = serialize(block);
        let describe = |said: String| {
            format!(
                "{said}: block {} ({}) on {}",
                block.block_hash(),
                hex(&bytes),
                block.header.prev_blockhash
            )
        };
        let kernel_block = bitcoinkernel::Block::new(&bytes)
            .map_err(|error| describe(format!("the kernel does not read it: {error}")))?;
        compare_alone(
            &kernel_block,
            &self.kernel_params,
            block,
            &self.params,
            tally,
        )
        .map_err(describe)?;

        let hash = block.block_hash().to_byte_array();
        let checked = || self.checked.lock().unwrap_or_else(PoisonError::into_inner);
        let refusals = || REFUSALS.lock().unwrap_or_else(PoisonError::into_inner);
        checked().clear();
        refusals().clear();
        let result = self.kernel.process_block(&kernel_block);
        // A block that turns out invalid is followed by what is connected in its place.
        let said = std::mem::take(&mut *checked());
        let why = refusal(&refusals(), block);
        let found_invalid = said
            .iter()
            .find(|(of, valid, _)| *of == hash && !valid)
            .map(|(_, _, class)| *class);
        let theirs = !matches!(result, ProcessBlockResult::Rejected) && found_invalid.is_none();
        let options = SubmitOptions { force: true };
        let ours = self.node.submit_block(Arc::new(block.clone()), options);
        let error = match &ours {
            Ok(_) => None,
            Err(SubmitError::Rejected(BlockRejection::Rule(error))) => Some(error),
            Err(error) => return Err(describe(format!("our node failed: {error}"))),
        };
        // A block on top of one that turned out invalid just now is bad too, which the kernel does not say of it.
        let on_invalid = theirs && said.iter().any(|(_, valid, _)| !valid);
        if error.is_none() != theirs && !on_invalid {
            return Err(describe(format!(
                "the kernel says {theirs} ({result:?}, {said:?}), we {ours:?}"
            )));
        }
        if let Some(error) = error.filter(|_| !theirs) {
            let text = text(error);
            let why = why.ok_or_else(|| describe("the kernel does not say why".to_owned()))?;
            if text != why && !either_script(&text, &why) {
                return Err(describe(format!("the kernel says '{why}', we '{text}'")));
            }
            let class = kernel_result(error.fault());
            if found_invalid.is_some_and(|theirs| theirs != class) {
                return Err(describe(format!(
                    "the kernel says {found_invalid:?}, we {class:?} ({text})"
                )));
            }
            tally.rules.note_block(Part::Chains, error);
        }
        tally.submissions.add(theirs);
        let theirs = self.kernel.active_chain().tip().block_hash().to_bytes();
        let ours = self.node.tip().hash.to_byte_array();
        if ours != theirs {
            return Err(describe(format!(
                "after it, the kernel's tip is {}, ours {}",
                hex(&theirs),
                hex(&ours)
            )));
        }
        Ok(error.is_none())
    }
}

/// Compares what both say of a block by itself.
pub fn compare_alone(
    kernel_block: &bitcoinkernel::Block,
    kernel_params: &bitcoinkernel::ChainParams,
    block: &Block,
    params: &ChainParams,
    tally: &mut Tally,
) -> Result<(), String> {
    let theirs = match kernel_block.check(kernel_params, BLOCK_CHECK_ALL) {
        BlockCheckResult::Valid => None,
        BlockCheckResult::Invalid(state) => Some(state.result()),
    };
    let own = check_block(block, &CheckBlockOptions::default(), params);
    let ours = own.as_ref().err().map(|error| kernel_result(error.fault()));
    if ours != theirs {
        return Err(format!(
            "by itself, the kernel says {theirs:?}, we {ours:?} ({own:?})"
        ));
    }
    if let Err(error) = &own {
        tally.rules.note_block(Part::Blocks, error);
    }
    tally.blocks.add(theirs.is_none());
    Ok(())
}

/// Why the kernel refused a block, as it logged it.
fn refusal(lines: &[String], block: &Block) -> Option<String> {
    let connecting = format!("ConnectBlock {} failed, ", block.block_hash());
    lines.iter().find_map(|line| {
        if let Some((_, said)) = line.split_once("AcceptBlock FAILED (") {
            return said.strip_suffix(')').map(str::to_owned);
        }
        let (_, said) = line.split_once(&connecting)?;
        Some(said.to_owned())
    })
}

/// The same of ours.
fn text(error: &btc_consensus::BlockError) -> String {
    let (reason, debug) = (error.reject_reason(), error.debug_message());
    if debug.is_empty() {
        reason.into_owned()
    } else {
        format!("{reason}, {debug}")
    }
}

/// Where several scripts of a block fail, it depends on threads which of them is named.
fn either_script(ours: &str, theirs: &str) -> bool {
    let script = "block-script-verify-flag-failed ";
    let input = |text: &str| Some(text.split_once("), ")?.1.to_owned());
    ours.starts_with(script) && theirs.starts_with(script) && input(ours) != input(theirs)
}

fn kernel_result(fault: BlockFault) -> BlockValidationResult {
    match fault {
        BlockFault::Consensus => BlockValidationResult::Consensus,
        BlockFault::CachedInvalid => BlockValidationResult::CachedInvalid,
        BlockFault::InvalidHeader => BlockValidationResult::InvalidHeader,
        BlockFault::Mutated => BlockValidationResult::Mutated,
        BlockFault::MissingPrev => BlockValidationResult::MissingPrev,
        BlockFault::InvalidPrev => BlockValidationResult::InvalidPrev,
        BlockFault::TimeFuture => BlockValidationResult::TimeFuture,
        BlockFault::HeaderLowWork => BlockValidationResult::HeaderLowWork,
    }
}
