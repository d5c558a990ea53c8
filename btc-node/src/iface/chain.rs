//! [`Chain`]: what a wallet sees and asks of the node.

use super::notifications::Forwarder;
use super::signed;
use crate::chainstate::BlockSummary;
use crate::mining::fees;
use crate::node::{Context, Wallets};
use crate::rpc::network::PeerHooks as _;
use bitcoin::{Amount, BlockHash, OutPoint, Transaction, Txid};
use btc_interfaces::rpc::RpcCommand;
use btc_interfaces::{
    BroadcastMethod, BroadcastOutcome, Chain, ChainNotifications, Error, FeeEstimate, FnHandler,
    FoundBlock, FoundCoin, Handler, NotifyOptions, PackageLimits, Result, RpcHandler,
    SettingsAction, TxAncestry, WantBlock,
};
use serde_json::Value;
use std::sync::{Arc, Weak};

/// The chain of a node.
pub struct ContextChain {
    context: Arc<Context>,
    /// Whose RPC methods are registered through this object, if the node's wallets hold it.
    wallets: Option<Weak<Wallets>>,
}

impl ContextChain {
    /// The chain as any client sees it.
    pub fn new(context: Arc<Context>) -> Self {
        Self {
            context,
            wallets: None,
        }
    }

    /// The chain as the node's own wallets see it: the methods that they register outlive their process.
    pub(crate) fn for_wallets(context: Arc<Context>, wallets: Weak<Wallets>) -> Self {
        Self {
            context,
            wallets: Some(wallets),
        }
    }

    fn found(&self, block: BlockSummary, want: WantBlock) -> Result<FoundBlock> {
        let chainstate = self.context.chainstate()?;
        let locator = match want.locator && block.active {
            true => chainstate.locator_of(&block.hash).unwrap_or_default(),
            false => Vec::new(),
        };
        let data = match want.data {
            true => chainstate.read_block(&block.hash).map_err(Error::failed)?,
            false => None,
        };
        Ok(FoundBlock {
            hash: block.hash,
            height: signed(block.height),
            time: i64::from(block.time),
            max_time: i64::from(block.time_max),
            mtp_time: i64::from(block.median_time_past),
            in_active_chain: block.active,
            next_block: block.next,
            locator,
            data,
        })
    }

    fn find(&self, hash: Option<BlockHash>) -> Result<Option<FoundBlock>> {
        let chainstate = self.context.chainstate()?;
        hash.and_then(|hash| chainstate.block_summary(&hash))
            .map(|block| self.found(block, WantBlock::default()))
            .transpose()
    }
}

impl Chain for ContextChain {
    fn height(&self) -> Result<Option<i32>> {
        Ok(Some(signed(self.context.chainstate()?.tip().height)))
    }

    fn block_hash(&self, height: i32) -> Result<Option<BlockHash>> {
        let chainstate = self.context.chainstate()?;
        Ok(u32::try_from(height)
            .ok()
            .and_then(|height| chainstate.hash_at(height)))
    }

    fn have_block_on_disk(&self, height: i32) -> Result<bool> {
        let chainstate = self.context.chainstate()?;
        Ok(u32::try_from(height)
            .ok()
            .and_then(|height| chainstate.block_summary_at(height))
            .is_some_and(|block| block.has_data))
    }

    fn find_locator_fork(&self, locator: Vec<BlockHash>) -> Result<Option<i32>> {
        Ok(self
            .context
            .chainstate()?
            .locator_fork(&locator)
            .map(|block| signed(block.height)))
    }

    fn find_block(&self, hash: BlockHash, want: WantBlock) -> Result<Option<FoundBlock>> {
        let block = self.context.chainstate()?.block_summary(&hash);
        block.map(|block| self.found(block, want)).transpose()
    }

    fn find_first_block_with_time_and_height(
        &self,
        min_time: i64,
        min_height: i32,
    ) -> Result<Option<FoundBlock>> {
        let Ok(time) = u32::try_from(min_time.max(0)) else {
            // Later than any header can be.
            return Ok(None);
        };
        let height = u32::try_from(min_height).unwrap_or(0);
        let block = self.context.chainstate()?.first_block_since(time, height);
        block
            .map(|block| self.found(block, WantBlock::default()))
            .transpose()
    }

    fn find_ancestor_by_height(
        &self,
        block_hash: BlockHash,
        ancestor_height: i32,
    ) -> Result<Option<FoundBlock>> {
        let chainstate = self.context.chainstate()?;
        self.find(
            u32::try_from(ancestor_height)
                .ok()
                .and_then(|height| chainstate.ancestor(&block_hash, height)),
        )
    }

    fn find_ancestor_by_hash(
        &self,
        block_hash: BlockHash,
        ancestor_hash: BlockHash,
    ) -> Result<Option<FoundBlock>> {
        let chainstate = self.context.chainstate()?;
        let Some(ancestor) = chainstate.block_summary(&ancestor_hash) else {
            return Ok(None);
        };
        if chainstate.ancestor(&block_hash, ancestor.height) != Some(ancestor_hash) {
            return Ok(None);
        }
        self.found(ancestor, WantBlock::default()).map(Some)
    }

    fn find_common_ancestor(
        &self,
        block_hash1: BlockHash,
        block_hash2: BlockHash,
    ) -> Result<Option<FoundBlock>> {
        let chainstate = self.context.chainstate()?;
        self.find(chainstate.last_common_ancestor(&block_hash1, &block_hash2))
    }

    fn find_coins(&self, outpoints: Vec<OutPoint>) -> Result<Vec<FoundCoin>> {
        let chainstate = self.context.chainstate()?;
        let mempool = self.context.mempool()?;
        let mut found = Vec::new();
        for outpoint in outpoints {
            let coin = mempool.coin(&chainstate, &outpoint);
            if let Some(coin) = coin.map_err(Error::failed)? {
                found.push(FoundCoin {
                    outpoint,
                    output: coin.output,
                    height: coin.height,
                    coinbase: coin.coinbase,
                });
            }
        }
        Ok(found)
    }

    fn guess_verification_progress(&self, block_hash: BlockHash) -> Result<f64> {
        Ok(self
            .context
            .chainstate()?
            .verification_progress_at(&block_hash)
            .unwrap_or(0.0))
    }

    fn has_blocks(
        &self,
        block_hash: BlockHash,
        min_height: i32,
        max_height: Option<i32>,
    ) -> Result<bool> {
        let from_zero = |height: i32| u32::try_from(height).unwrap_or(0);
        Ok(self.context.chainstate()?.has_blocks(
            &block_hash,
            from_zero(min_height),
            max_height.map(from_zero),
        ))
    }

    fn is_in_mempool(&self, txid: Txid) -> Result<bool> {
        Ok(self.context.mempool()?.contains(&txid))
    }

    fn has_descendants_in_mempool(&self, txid: Txid) -> Result<bool> {
        Ok(self.context.mempool()?.has_descendants(&txid))
    }

    fn broadcast_transaction(
        &self,
        tx: Transaction,
        max_tx_fee: Amount,
        method: BroadcastMethod,
    ) -> Result<BroadcastOutcome> {
        let chainstate = self.context.chainstate()?;
        let mempool = self.context.mempool()?;
        let announce = match method {
            BroadcastMethod::MempoolAndBroadcastToAll => true,
            BroadcastMethod::MempoolNoBroadcast => false,
            BroadcastMethod::NoMempoolPrivateBroadcast => {
                return Err(Error::unsupported("private broadcast"));
            }
        };
        // Zero stands for "any fee".
        let max_fee = i64::try_from(max_tx_fee.to_sat())
            .ok()
            .filter(|fee| *fee > 0);
        let outcome = mempool.broadcast(&chainstate, &Arc::new(tx), max_fee, announce);
        Ok(match outcome {
            Ok(tx) => {
                if announce && let Some(network) = self.context.network() {
                    network.announce(&tx);
                }
                BroadcastOutcome {
                    error: String::new(),
                    result: true,
                }
            }
            Err(error) => BroadcastOutcome {
                error: error.to_string(),
                result: false,
            },
        })
    }

    fn transaction_ancestry(&self, txid: Txid) -> Result<TxAncestry> {
        let (totals, cluster_count) = self.context.mempool()?.ancestry(&txid);
        Ok(TxAncestry {
            ancestors: totals.count,
            cluster_count,
            ancestor_size: u64::try_from(totals.vsize).unwrap_or(0),
            ancestor_fees: totals.fees,
        })
    }

    fn package_limits(&self) -> Result<PackageLimits> {
        let policy = self.context.mempool()?.info().policy;
        Ok(PackageLimits {
            ancestors: policy.ancestor_count,
            descendants: policy.descendant_count,
        })
    }

    fn check_chain_limits(&self, tx: Transaction) -> Result<Option<String>> {
        Ok(self
            .context
            .mempool()?
            .check_cluster_limits(&tx)
            .err()
            .map(|_| "too many unconfirmed transactions in cluster".to_owned()))
    }

    fn fee_estimate(&self, blocks: i32, conservative: bool) -> Result<Option<FeeEstimate>> {
        let (chain, mempool) = (self.context.chainstate()?, self.context.mempool()?);
        let target = u32::try_from(blocks).unwrap_or(0);
        // Why there is none, the user learns from the RPC.
        Ok(fees::estimate(&chain, &mempool, None, target, conservative)
            .ok()
            .map(|estimate| FeeEstimate {
                feerate: u64::try_from(estimate.feerate.per_thousand()).unwrap_or(0),
                blocks: i32::try_from(estimate.target).unwrap_or(i32::MAX),
            }))
    }

    fn max_fee_estimate_blocks(&self) -> Result<u32> {
        Ok(fees::max_target(self.context.mempool()?.as_ref()).unwrap_or(0))
    }

    fn mempool_min_fee(&self) -> Result<u64> {
        Ok(u64::try_from(self.context.mempool()?.floor()).unwrap_or(0))
    }

    fn relay_min_fee(&self) -> Result<u64> {
        self.policy_feerate(|policy| policy.min_relay_feerate)
    }

    fn relay_incremental_fee(&self) -> Result<u64> {
        self.policy_feerate(|policy| policy.incremental_feerate)
    }

    fn relay_dust_fee(&self) -> Result<u64> {
        self.policy_feerate(|policy| policy.dust_feerate)
    }

    fn have_pruned(&self) -> Result<bool> {
        Ok(self.context.chainstate()?.have_pruned())
    }

    fn prune_height(&self) -> Result<Option<i32>> {
        let height = self.context.chainstate()?.prune_height();
        Ok(height.map(|height| i32::try_from(height).unwrap_or(i32::MAX)))
    }

    fn is_ready_to_broadcast(&self) -> Result<bool> {
        let chainstate = self.context.chainstate()?;
        Ok(!chainstate.is_importing() && !chainstate.is_initial_block_download())
    }

    fn is_initial_block_download(&self) -> Result<bool> {
        Ok(self.context.chainstate()?.is_initial_block_download())
    }

    fn shutdown_requested(&self) -> Result<bool> {
        Ok(self.context.shutdown.is_requested())
    }

    fn init_message(&self, message: String) -> Result<()> {
        self.context.messages.progress(message);
        Ok(())
    }

    fn init_warning(&self, message: String) -> Result<()> {
        self.context.messages.warning(message);
        Ok(())
    }

    fn init_error(&self, message: String) -> Result<()> {
        self.context.messages.error(message);
        Ok(())
    }

    fn show_progress(&self, title: String, progress: i32, _resume_possible: bool) -> Result<()> {
        // Nothing shows a bar yet; the log keeps what a person may look for.
        tracing::debug!("progress: {title} {progress}%");
        Ok(())
    }

    fn handle_notifications(
        &self,
        notifications: Arc<dyn ChainNotifications>,
        options: NotifyOptions,
    ) -> Result<Arc<dyn Handler>> {
        let forwarder = Arc::new(Forwarder::new(notifications, options));
        let registration = self.context.notifier.register(forwarder);
        Ok(Arc::new(FnHandler::new(move || drop(registration))))
    }

    fn wait_for_notifications_if_tip_changed(&self, old_tip: BlockHash) -> Result<()> {
        if self.context.chainstate()?.tip().hash != old_tip {
            self.context.notifier.sync_with_queue();
        }
        Ok(())
    }

    fn wait_for_notifications(&self) -> Result<()> {
        self.context.notifier.sync_with_queue();
        Ok(())
    }

    fn handle_rpc(
        &self,
        command: RpcCommand,
        handler: Arc<dyn RpcHandler>,
    ) -> Result<Arc<dyn Handler>> {
        if let Some(wallets) = &self.wallets {
            let wallets = wallets.upgrade().ok_or(Error::Cancelled)?;
            return wallets.handle_rpc(command, handler);
        }
        let registration = self.context.registry.register_remote(command, handler);
        Ok(Arc::new(FnHandler::new(move || drop(registration))))
    }

    fn rpc_enable_deprecated(&self, method: String) -> Result<bool> {
        Ok(self
            .context
            .args()
            .values("deprecatedrpc")
            .contains(&method))
    }

    fn setting(&self, name: String) -> Result<Value> {
        Ok(self.context.args().setting(&name).unwrap_or_default())
    }

    fn settings_list(&self, name: String) -> Result<Vec<Value>> {
        Ok(self.context.args().settings_list(&name))
    }

    fn rw_setting(&self, name: String) -> Result<Value> {
        Ok(self.context.settings.get(&name))
    }

    fn overwrite_rw_setting(
        &self,
        name: String,
        value: Value,
        action: SettingsAction,
    ) -> Result<bool> {
        Ok(self.context.set_rw_setting(&name, value, action))
    }

    fn request_mempool_transactions(
        &self,
        notifications: Arc<dyn ChainNotifications>,
    ) -> Result<()> {
        let mempool = self.context.mempool()?;
        // On the delivery thread, so that what the queue holds about these transactions comes before or after, and not
        // in between.
        self.context.notifier.call(move || {
            for tx in mempool.transactions() {
                if let Err(error) = notifications.transaction_added_to_mempool(tx.as_ref().clone())
                {
                    tracing::debug!("a listener did not take the mempool's transactions: {error}");
                    return;
                }
            }
        });
        self.context.notifier.sync_with_queue();
        Ok(())
    }

    fn has_assumed_valid_chain(&self) -> Result<bool> {
        // A chain state from a snapshot is not opened.
        Ok(false)
    }
}

impl ContextChain {
    fn policy_feerate(
        &self,
        feerate: impl FnOnce(&crate::mempool::Policy) -> crate::mempool::Feerate,
    ) -> Result<u64> {
        let policy = self.context.mempool()?.info().policy;
        Ok(u64::try_from(feerate(&policy).per_thousand()).unwrap_or(0))
    }
}
