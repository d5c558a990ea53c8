//! The chain's events on their way into a wallet.

use super::Wallet;
use super::state::State;
use super::sync::InBlock;
use crate::error::Result;
use bitcoin::{Block, BlockHash, Transaction};
use btc_interfaces::{BlockInfo, ChainNotifications, Error, RemovalReason, WantBlock};
use std::collections::VecDeque;
use std::sync::{Arc, Weak};

/// Takes the chain's events for a wallet, as long as it is loaded.
pub(crate) struct Listener(pub(crate) Weak<Wallet>);

/// Keeps events while the wallet catches up with the chain, so that they are taken in order after that.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    closed: bool,
    queue: VecDeque<Event>,
}

/// An event that waits. Blocks are kept by hash: there may be many while a wallet rescans.
#[derive(Debug)]
enum Event {
    Connected(BlockHash),
    Disconnected {
        hash: BlockHash,
        height: i32,
        prev: BlockHash,
    },
    Added(Transaction),
    Removed(Transaction, RemovalReason),
}

impl Gate {
    pub(crate) fn close(&mut self) {
        self.closed = true;
    }
}

impl State {
    /// Keeps an event back if the gate is closed.
    fn hold(&mut self, event: impl FnOnce() -> Event) -> bool {
        if self.gate.closed {
            self.gate.queue.push_back(event());
        }
        self.gate.closed
    }
}

impl Wallet {
    /// Takes the events that were kept back, and lets those to come straight through.
    pub(crate) fn open_gate(&self) -> Result<()> {
        loop {
            let event = {
                let mut state = self.lock();
                match state.gate.queue.pop_front() {
                    Some(event) => event,
                    None => {
                        state.gate.closed = false;
                        return Ok(());
                    }
                }
            };
            let now = self.context.clock.now();
            match event {
                Event::Added(tx) => self.lock().mempool_added(&tx, now)?,
                Event::Removed(tx, reason) => self.lock().mempool_removed(&tx, reason, now)?,
                Event::Disconnected { hash, height, prev } => {
                    self.lock().disconnect_block(hash, height, prev)?
                }
                Event::Connected(hash) => {
                    let want = WantBlock {
                        data: true,
                        locator: false,
                    };
                    let found = self.context.chain.find_block(hash, want)?;
                    if let Some((found, block)) =
                        found.and_then(|mut found| found.data.take().map(|data| (found, data)))
                    {
                        let at = InBlock {
                            hash,
                            height: found.height,
                            time: found.time,
                            max_time: found.max_time,
                            rescanning: false,
                        };
                        self.take_block(&block, at)?;
                    }
                }
            }
        }
    }

    fn take_block(&self, block: &Block, at: InBlock) -> Result<()> {
        let now = self.context.clock.now();
        let record = self.lock().connect_block(block, at, now)?;
        if record {
            self.write_best_block()?;
        }
        Ok(())
    }
}

impl Listener {
    fn with(
        &self,
        what: &str,
        take: impl FnOnce(&Arc<Wallet>) -> Result<()>,
    ) -> btc_interfaces::Result<()> {
        let Some(wallet) = self.0.upgrade() else {
            return Ok(());
        };
        take(&wallet).map_err(|error| {
            tracing::error!(target: "wallet", "[{}] {what}: {error}", wallet.name());
            Error::failed(error)
        })
    }
}

impl ChainNotifications for Listener {
    fn transaction_added_to_mempool(&self, tx: Transaction) -> btc_interfaces::Result<()> {
        self.with("transaction added to mempool", |wallet| {
            let now = wallet.context.clock.now();
            let mut state = wallet.lock();
            if state.hold(|| Event::Added(tx.clone())) {
                return Ok(());
            }
            state.mempool_added(&tx, now)
        })
    }

    fn transaction_removed_from_mempool(
        &self,
        tx: Transaction,
        reason: RemovalReason,
    ) -> btc_interfaces::Result<()> {
        self.with("transaction removed from mempool", |wallet| {
            let now = wallet.context.clock.now();
            let mut state = wallet.lock();
            if state.hold(|| Event::Removed(tx.clone(), reason)) {
                return Ok(());
            }
            state.mempool_removed(&tx, reason, now)
        })
    }

    fn block_connected(&self, block: BlockInfo) -> btc_interfaces::Result<()> {
        self.with("block connected", |wallet| {
            if wallet.lock().hold(|| Event::Connected(block.hash)) {
                return Ok(());
            }
            let Some(data) = &block.data else {
                return Err(Error::Malformed("a connected block without data".to_owned()).into());
            };
            let at = InBlock {
                hash: block.hash,
                height: block.height,
                time: i64::from(data.header.time),
                max_time: i64::from(block.chain_time_max),
                rescanning: false,
            };
            wallet.take_block(data, at)
        })
    }

    fn block_disconnected(&self, block: BlockInfo) -> btc_interfaces::Result<()> {
        self.with("block disconnected", |wallet| {
            {
                let mut state = wallet.lock();
                let event = || Event::Disconnected {
                    hash: block.hash,
                    height: block.height,
                    prev: block.prev_hash,
                };
                if state.hold(event) {
                    return Ok(());
                }
                state.disconnect_block(block.hash, block.height, block.prev_hash)?;
            }
            wallet.write_best_block()
        })
    }

    fn updated_block_tip(&self) -> btc_interfaces::Result<()> {
        Ok(())
    }

    fn chain_state_flushed(&self, locator: Vec<BlockHash>) -> btc_interfaces::Result<()> {
        self.with("chain state flushed", |wallet| {
            let mut state = wallet.lock();
            // Only what the wallet has seen may be recorded as seen.
            if state.gate.closed
                || state.behind
                || state.last_block.map(|(_, hash)| hash) != locator.first().copied()
            {
                return Ok(());
            }
            let mut batch = crate::db::Batch::new();
            batch.best_block(&locator);
            state.db.commit(batch)?;
            Ok(())
        })
    }
}
