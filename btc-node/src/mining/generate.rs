//! Finding the proof of work by trying, where the target is easy.

use super::template::{self, TemplateError, TemplateOptions, reject_text};
use crate::chainstate::{ChainstateManager, SubmitError, SubmitOptions};
use crate::mempool::Mempool;
use bitcoin::{Block, BlockHash, ScriptBuf};
use btc_consensus::HashedBlock;
use btc_consensus::params::ChainParams;
use btc_consensus::pow;

/// Nonces tried for one call, if the caller does not say otherwise.
pub const DEFAULT_MAX_TRIES: u64 = 1_000_000;

/// Why blocks were not generated.
#[derive(Debug, thiserror::Error)]
pub enum GenerateError {
    /// There is no template.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// The block was not taken in.
    #[error("ProcessNewBlock, block not accepted: {0}")]
    NotAccepted(String),
    /// The chainstate failed.
    #[error(transparent)]
    Chainstate(SubmitError),
}

/// Tries nonces upward from the header's until the hash meets the target. Counts down `tries`, and gives up when they
/// are used up or `stop` says so; then, or when all nonces are tried, the block is not solved.
pub fn solve(
    block: &mut Block,
    params: &ChainParams,
    tries: &mut u64,
    stop: &dyn Fn() -> bool,
) -> bool {
    let bits = block.header.bits.to_consensus();
    while *tries > 0 && block.header.nonce < u32::MAX {
        if pow::meets_target(&block.block_hash(), bits, params) {
            return true;
        }
        block.header.nonce += 1;
        *tries -= 1;
        if tries.is_multiple_of(0x1_0000) && stop() {
            *tries = 0;
        }
    }
    false
}

/// Takes a solved block in, as one of our own.
///
/// # Errors
/// It is not valid, or the chainstate failed.
pub fn submit(chain: &ChainstateManager, block: HashedBlock) -> Result<BlockHash, GenerateError> {
    match chain.submit_hashed_block(block, SubmitOptions { force: true }) {
        Ok(accepted) => Ok(accepted.hash),
        Err(SubmitError::Rejected(rejection)) => {
            Err(GenerateError::NotAccepted(reject_text(&rejection)))
        }
        Err(error) => Err(GenerateError::Chainstate(error)),
    }
}

/// Generates `count` blocks, each on top of the one before, that pay to `script_pubkey`; gives their hashes. It ends
/// early, without an error, after `max_tries` nonces in all or once `stop` says so.
///
/// # Errors
/// See [`GenerateError`]; the blocks made before stay.
pub fn generate(
    chain: &ChainstateManager,
    mempool: &Mempool,
    script_pubkey: &ScriptBuf,
    options: &TemplateOptions,
    count: u64,
    max_tries: u64,
    stop: &dyn Fn() -> bool,
) -> Result<Vec<BlockHash>, GenerateError> {
    let options = TemplateOptions {
        script_pubkey: script_pubkey.clone(),
        ..options.clone()
    };
    let mut tries = max_tries;
    let mut left = count;
    let mut hashes = Vec::new();
    while left > 0 && tries > 0 && !stop() {
        let mut template = template::create(chain, mempool, &options)?;
        if solve(&mut template.block, chain.params(), &mut tries, stop) {
            hashes.push(submit(chain, template.into_hashed())?);
            left -= 1;
        }
    }
    Ok(hashes)
}
