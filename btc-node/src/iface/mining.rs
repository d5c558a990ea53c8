//! [`Mining`] and [`BlockTemplate`].

use super::block_ref;
use crate::chainstate::{Accepted, ChainstateManager, SubmitError, SubmitOptions};
use crate::mining::wait::{Wait, wait_next};
use crate::mining::{Template, TemplateOptions, create};
use crate::node::Context;
use bitcoin::block::{Header, Version};
use bitcoin::hashes::{Hash, sha256d};
use bitcoin::{Block, BlockHash, Transaction, Txid, Wtxid};
use btc_interfaces::{
    BlockRef, BlockTemplate, CheckOptions, CoinbaseTx, CreateOptions, Error, Mining, Result,
    Verdict, WaitOptions,
};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How often a wait looks whether it was interrupted.
const TICK: Duration = Duration::from_millis(250);

/// Block templates of a node.
pub struct ContextMining {
    context: Arc<Context>,
    interrupted: AtomicBool,
}

impl ContextMining {
    /// The miner's view of this node.
    pub fn new(context: Arc<Context>) -> Self {
        Self {
            context,
            interrupted: AtomicBool::new(false),
        }
    }
}

impl ContextMining {
    /// Waits while headers promise blocks on top of the tip, and they come: a template made meanwhile would be stale at
    /// once. Gives whether the wait went to its end, not interrupted.
    fn catch_up(&self, chainstate: &ChainstateManager) -> Result<bool> {
        loop {
            let (tip, best) = (chainstate.tip(), chainstate.best_header());
            let ahead = best.height.saturating_sub(tip.height);
            if ahead == 0 || chainstate.ancestor(&best.hash, tip.height) != Some(tip.hash) {
                return Ok(true);
            }
            // Each block that comes extends the wait for the others.
            let seconds = f64::from(ahead.clamp(3, 20));
            match self.wait_tip_changed(tip.hash, seconds * 1000.0)? {
                None => return Ok(false),
                Some(after) if after.hash == tip.hash => return Ok(true),
                Some(_) => {}
            }
        }
    }
}

impl Mining for ContextMining {
    fn is_test_chain(&self) -> Result<bool> {
        Ok(self.context.params.chain.is_test())
    }

    fn is_initial_block_download(&self) -> Result<bool> {
        Ok(self.context.chainstate()?.is_initial_block_download())
    }

    fn get_tip(&self) -> Result<Option<BlockRef>> {
        let tip = self.context.chainstate()?.tip();
        Ok(Some(block_ref(tip.hash, tip.height)))
    }

    fn wait_tip_changed(&self, current_tip: BlockHash, timeout: f64) -> Result<Option<BlockRef>> {
        let chainstate = self.context.chainstate()?;
        let deadline = duration(timeout).and_then(|timeout| Instant::now().checked_add(timeout));
        loop {
            if self.interrupted.swap(false, Ordering::SeqCst)
                || self.context.shutdown.is_requested()
            {
                return Ok(None);
            }
            let left = deadline.map(|it| it.saturating_duration_since(Instant::now()));
            let tick = left.map_or(TICK, |left| left.min(TICK));
            if let Some(tip) = chainstate.wait_tip_changed(&current_tip, tick) {
                return Ok(Some(block_ref(tip.hash, tip.height)));
            }
            if left.is_some_and(|left| left.is_zero()) {
                let tip = chainstate.tip();
                return Ok(Some(block_ref(tip.hash, tip.height)));
            }
        }
    }

    fn create_new_block(
        &self,
        options: CreateOptions,
        cooldown: bool,
    ) -> Result<Option<Arc<dyn BlockTemplate>>> {
        let chainstate = self.context.chainstate()?;
        let mempool = self.context.mempool()?;
        // There is a tip already; what this may find is an interruption that came first.
        if self
            .wait_tip_changed(BlockHash::all_zeros(), f64::INFINITY)?
            .is_none()
        {
            return Ok(None);
        }
        while cooldown && chainstate.is_initial_block_download() {
            let tip = chainstate.tip().hash;
            if self.wait_tip_changed(tip, 1000.0)?.is_none() {
                return Ok(None);
            }
        }
        if cooldown && !self.catch_up(&chainstate)? {
            return Ok(None);
        }
        if self.context.shutdown.is_requested() {
            return Ok(None);
        }
        let options = TemplateOptions {
            use_mempool: options.use_mempool,
            reserved_weight: options.block_reserved_weight,
            reserved_sigops: options.coinbase_output_max_additional_sigops,
            ..self.context.template_options()
        };
        let template = create(&chainstate, &mempool, &options).map_err(Error::failed)?;
        Ok(Some(Arc::new(ContextTemplate {
            context: self.context.clone(),
            options,
            template: Mutex::new(Arc::new(template)),
            interrupted: AtomicBool::new(false),
        })))
    }

    fn check_block(&self, block: Block, options: CheckOptions) -> Result<Verdict> {
        let chainstate = self.context.chainstate()?;
        match chainstate.test_block_validity(&block, options.check_pow, options.check_merkle_root) {
            Ok(()) => Ok(accepted()),
            Err(error) => rejected(error),
        }
    }

    fn interrupt(&self) -> Result<()> {
        self.interrupted.store(true, Ordering::SeqCst);
        Ok(())
    }

    fn submit_block(&self, block: Block) -> Result<Verdict> {
        submit(&*self.context.chainstate()?, block)
    }

    fn get_transactions_by_tx_id(&self, txids: Vec<Txid>) -> Result<Vec<Option<Transaction>>> {
        let mempool = self.context.mempool()?;
        Ok(txids
            .iter()
            .map(|txid| mempool.get(txid).map(|tx| tx.as_ref().clone()))
            .collect())
    }

    fn get_transactions_by_witness_id(
        &self,
        wtxids: Vec<Wtxid>,
    ) -> Result<Vec<Option<Transaction>>> {
        let mempool = self.context.mempool()?;
        Ok(wtxids
            .iter()
            .map(|wtxid| mempool.get_by_wtxid(wtxid).map(|tx| tx.as_ref().clone()))
            .collect())
    }
}

/// One template, with the options that its successors are made by.
struct ContextTemplate {
    context: Arc<Context>,
    options: TemplateOptions,
    /// With the last solution that was submitted, if one was.
    template: Mutex<Arc<Template>>,
    interrupted: AtomicBool,
}

impl ContextTemplate {
    fn template(&self) -> MutexGuard<'_, Arc<Template>> {
        self.template.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl BlockTemplate for ContextTemplate {
    fn get_block_header(&self) -> Result<Header> {
        Ok(self.template().block.header)
    }

    fn get_block(&self) -> Result<Block> {
        Ok(self.template().block.clone())
    }

    fn get_tx_fees(&self) -> Result<Vec<i64>> {
        Ok(self.template().fees.clone())
    }

    fn get_tx_sigops(&self) -> Result<Vec<i64>> {
        Ok(self.template().sigops.clone())
    }

    fn get_coinbase_tx(&self) -> Result<CoinbaseTx> {
        Ok(self.template().coinbase.clone())
    }

    fn get_coinbase_merkle_path(&self) -> Result<Vec<sha256d::Hash>> {
        Ok(crate::mining::merkle::coinbase_path(&self.template().block))
    }

    fn submit_solution(
        &self,
        version: u32,
        timestamp: u32,
        nonce: u32,
        coinbase: Option<Transaction>,
    ) -> Result<Verdict> {
        let Some(coinbase) = coinbase else {
            return Ok(refused("", ""));
        };
        let mut template = self.template();
        let block = &mut Arc::make_mut(&mut template).block;
        if let Some(first) = block.txdata.first_mut() {
            *first = coinbase;
        }
        block.header.version = Version::from_consensus(i32::from_ne_bytes(version.to_ne_bytes()));
        block.header.time = timestamp;
        block.header.nonce = nonce;
        if let Some(root) = block.compute_merkle_root() {
            block.header.merkle_root = root;
        }
        let block = block.clone();
        drop(template);
        submit(&*self.context.chainstate()?, block)
    }

    fn wait_next(&self, options: WaitOptions) -> Result<Option<Arc<dyn BlockTemplate>>> {
        let wait = Wait {
            timeout: duration(options.timeout),
            // Fees can't exceed all the money there is: such a threshold waits for another tip only.
            fee_threshold: (options.fee_threshold < bitcoin::Amount::MAX_MONEY.to_sat() as i64)
                .then_some(options.fee_threshold),
        };
        let current = Arc::clone(&self.template());
        let next = wait_next(
            &*self.context.chainstate()?,
            &*self.context.mempool()?,
            &current,
            &self.options,
            wait,
            &self.interrupted,
        )
        .map_err(Error::failed)?;
        self.interrupted.store(false, Ordering::Release);
        Ok(next.map(|template| -> Arc<dyn BlockTemplate> {
            Arc::new(Self {
                context: self.context.clone(),
                options: self.options.clone(),
                template: Mutex::new(Arc::new(template)),
                interrupted: AtomicBool::new(false),
            })
        }))
    }

    fn interrupt_wait(&self) -> Result<()> {
        self.interrupted.store(true, Ordering::Release);
        Ok(())
    }

    fn submit_solution_old7(
        &self,
        _version: u32,
        _timestamp: u32,
        _nonce: u32,
        _coinbase: Transaction,
    ) -> Result<bool> {
        Err(Error::failed(
            "Old submitSolution (@7) not supported. Please update your client!",
        ))
    }
}

/// A time in milliseconds; `None` for one that is no limit.
fn duration(milliseconds: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(milliseconds.max(0.0) / 1000.0).ok()
}

fn submit(chainstate: &ChainstateManager, block: Block) -> Result<Verdict> {
    match chainstate.submit_block(Arc::new(block), SubmitOptions { force: true }) {
        Ok(Accepted { new: false, .. }) => Ok(refused("duplicate", "")),
        // It was stored, but whether it would connect is not known.
        Ok(Accepted {
            connected: false, ..
        }) => Ok(refused("inconclusive", "")),
        Ok(_) => Ok(accepted()),
        Err(error) => rejected(error),
    }
}

fn accepted() -> Verdict {
    Verdict {
        reason: String::new(),
        debug: String::new(),
        result: true,
    }
}

fn refused(reason: impl Into<String>, debug: impl Into<String>) -> Verdict {
    Verdict {
        reason: reason.into(),
        debug: debug.into(),
        result: false,
    }
}

fn rejected(error: SubmitError) -> Result<Verdict> {
    match error {
        SubmitError::Rejected(rejection) => Ok(refused(
            rejection.reject_reason(),
            rejection.debug_message(),
        )),
        other => Err(Error::failed(other)),
    }
}
