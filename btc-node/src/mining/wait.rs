//! Waiting for a template that is worth the switch.

use super::template::{self, Template, TemplateError, TemplateOptions};
use crate::chainstate::ChainstateManager;
use crate::mempool::Mempool;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How often the fees are looked at, and the interruption.
const TICK: Duration = Duration::from_millis(250);
/// On chains that allow easy blocks after a pause, how old a template gets before its target is looked at again.
const EASY_BLOCK_PAUSE: u32 = 20 * 60;

/// What is waited for.
#[derive(Debug, Clone, Copy)]
pub struct Wait {
    /// For how long; `None` for as long as it takes.
    pub timeout: Option<Duration>,
    /// Fees, in sat, by which a template on the same tip must be better; `None` waits for another tip only.
    pub fee_threshold: Option<i64>,
}

/// Waits until the tip is another than `current` builds on, or the mempool offers enough more; gives the new template,
/// or `None` after the time, when `interrupted` is set, or when the chainstate is stopping.
///
/// # Errors
/// See [`TemplateError`].
pub fn wait_next(
    chain: &ChainstateManager,
    mempool: &Mempool,
    current: &Template,
    options: &TemplateOptions,
    wait: Wait,
    interrupted: &AtomicBool,
) -> Result<Option<Template>, TemplateError> {
    let deadline = wait
        .timeout
        .and_then(|timeout| Instant::now().checked_add(timeout));
    let tip = current.block.header.prev_blockhash;
    loop {
        if interrupted.load(Ordering::Acquire) || chain.options().interrupt.load(Ordering::Relaxed)
        {
            return Ok(None);
        }
        let tick = match deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()))
        {
            Some(left) => left.min(TICK),
            None => TICK,
        };
        let moved = chain.wait_tip_changed(&tip, tick).is_some();
        let easy_now = chain.params().allow_min_difficulty_blocks
            && chain.clock().now()
                > i64::from(current.block.header.time.saturating_add(EASY_BLOCK_PAUSE));
        if moved || easy_now {
            return template::create(chain, mempool, options).map(Some);
        }
        if let Some(threshold) = wait.fee_threshold {
            let better = template::create(chain, mempool, options)?;
            if better.total_fees() >= current.total_fees().saturating_add(threshold) {
                return Ok(Some(better));
            }
        }
        if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            return Ok(None);
        }
    }
}
