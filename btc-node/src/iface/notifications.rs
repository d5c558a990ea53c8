//! The queue's events as [`ChainNotifications`].

use crate::notify::{BlockEvent, Event, Listener, RemovalReason};
use btc_interfaces::{BlockInfo, ChainNotifications, NotifyOptions, Result};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Passes events on to one listener, until that one is gone.
pub(super) struct Forwarder {
    notifications: Arc<dyn ChainNotifications>,
    options: NotifyOptions,
    gone: AtomicBool,
}

impl Forwarder {
    pub(super) fn new(notifications: Arc<dyn ChainNotifications>, options: NotifyOptions) -> Self {
        Self {
            notifications,
            options,
            gone: AtomicBool::new(false),
        }
    }

    fn forward(&self, event: &Event) -> Result<()> {
        match event {
            Event::BlockConnected(event) => {
                self.notifications.block_connected(block_info(event, true))
            }
            Event::BlockDisconnected(event) => self
                .notifications
                .block_disconnected(block_info(event, self.options.disconnect_data)),
            Event::TipChanged { .. } => self.notifications.updated_block_tip(),
            Event::TxAdded { tx, .. } => self
                .notifications
                .transaction_added_to_mempool(tx.as_ref().clone()),
            Event::TxRemoved { tx, reason, .. } => self
                .notifications
                .transaction_removed_from_mempool(tx.as_ref().clone(), removal_reason(*reason)),
            Event::ChainFlushed { locator } => {
                self.notifications.chain_state_flushed(locator.clone())
            }
            _ => Ok(()),
        }
    }
}

impl Listener for Forwarder {
    fn event(&self, event: &Event) {
        if self.gone.load(Ordering::Relaxed) {
            return;
        }
        match self.forward(event) {
            Ok(()) => {}
            Err(error) if error.is_disconnected() => self.gone.store(true, Ordering::Relaxed),
            Err(error) => tracing::warn!("a listener of the chain failed: {error}"),
        }
    }
}

fn block_info(event: &BlockEvent, with_data: bool) -> BlockInfo {
    BlockInfo {
        hash: event.hash,
        prev_hash: event.block.header.prev_blockhash,
        height: super::signed(event.height),
        // Where the block lies is the store's own business.
        file_number: -1,
        data_pos: 0,
        chain_time_max: event.time_max,
        data: with_data.then(|| event.block.as_ref().clone()),
    }
}

fn removal_reason(reason: RemovalReason) -> btc_interfaces::RemovalReason {
    match reason {
        RemovalReason::Expiry => btc_interfaces::RemovalReason::Expiry,
        RemovalReason::SizeLimit => btc_interfaces::RemovalReason::SizeLimit,
        RemovalReason::Reorg => btc_interfaces::RemovalReason::Reorg,
        RemovalReason::Block => btc_interfaces::RemovalReason::Block,
        RemovalReason::Conflict => btc_interfaces::RemovalReason::Conflict,
        RemovalReason::Replaced => btc_interfaces::RemovalReason::Replaced,
    }
}
