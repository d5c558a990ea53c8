//! One loaded wallet.
//!
//! A [`Wallet`] is shared by the threads that serve RPC calls and by the one that brings the chain's events. What it
//! knows is in one [`State`] behind one lock.
//!
//! Lock order: the state's lock is the innermost and the only one that is held for long. **It is never held while the
//! chain is called**: the node may be waiting for this very wallet to take a notification. So an operation asks the chain
//! first, then locks, decides, writes, unlocks, and tells the chain last. The lock of the notifications' handler is held
//! for an assignment only.
//!
//! Everything that changes is written in one batch per operation, before the operation reports success.

pub(crate) mod addresses;
mod attach;
pub(crate) mod balance;
pub(crate) mod encryption;
mod events;
pub(crate) mod import;
pub(crate) mod state;
mod sync;

pub(crate) use attach::WatchFrom;
pub(crate) use events::Listener;
pub(crate) use state::State;

use crate::db::Batch;
use crate::error::{Result, WalletError};
use crate::options::{Clock, Options};
use bitcoin::BlockHash;
use bitcoin::p2p::Magic;
use btc_interfaces::rpc::code;
use btc_interfaces::{Chain, Handler};
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The wallet holds no private keys and never will.
pub(crate) const FLAG_DISABLE_PRIVATE_KEYS: u64 = 1 << 32;
/// The wallet does not spend from addresses that were spent from.
pub(crate) const FLAG_AVOID_REUSE: u64 = 1 << 0;
/// Key origins are stored (a mark of old wallets).
pub(crate) const FLAG_KEY_ORIGIN_METADATA: u64 = 1 << 1;
/// Descriptor caches hold the last hardened key.
pub(crate) const FLAG_LAST_HARDENED_XPUB_CACHED: u64 = 1 << 2;
/// The wallet was made without keys.
pub(crate) const FLAG_BLANK: u64 = 1 << 33;
/// The wallet works with descriptors.
pub(crate) const FLAG_DESCRIPTORS: u64 = 1 << 34;
/// A device signs for the wallet.
pub(crate) const FLAG_EXTERNAL_SIGNER: u64 = 1 << 35;

/// What all wallets of a process share.
pub(crate) struct Context {
    pub(crate) chain: Arc<dyn Chain>,
    pub(crate) options: Options,
    pub(crate) clock: Clock,
}

impl Context {
    pub(crate) fn magic(&self) -> Magic {
        Magic::from(self.options.network)
    }

    /// The tip; `None` while there is no chain.
    pub(crate) fn tip(&self) -> Result<Option<(i32, BlockHash)>> {
        let Some(height) = self.chain.height()? else {
            return Ok(None);
        };
        // A reorganization in between may take the block away; the caller then learns of the new tip by its events.
        Ok(self.chain.block_hash(height)?.map(|hash| (height, hash)))
    }
}

/// A rescan under way.
#[derive(Debug, Default)]
pub(crate) struct Scan {
    running: AtomicBool,
    pub(crate) abort: AtomicBool,
    /// In millionths.
    progress: AtomicU64,
    since: Mutex<Option<Instant>>,
}

/// Holds the right to rescan until dropped.
pub(crate) struct ScanGuard<'a>(&'a Scan);

impl Drop for ScanGuard<'_> {
    fn drop(&mut self) {
        *lock(&self.0.since) = None;
        self.0.running.store(false, Ordering::Release);
    }
}

impl Scan {
    /// The right to rescan, unless somebody has it.
    pub(crate) fn reserve(&self) -> Option<ScanGuard<'_>> {
        self.running
            .compare_exchange(false, true, Ordering::AcqRel, Ordering::Acquire)
            .ok()?;
        self.abort.store(false, Ordering::Relaxed);
        self.progress.store(0, Ordering::Relaxed);
        *lock(&self.since) = Some(Instant::now());
        Some(ScanGuard(self))
    }

    /// How long it has been running, and how far it is between 0 and 1.
    pub(crate) fn status(&self) -> Option<(Duration, f64)> {
        let since = (*lock(&self.since))?;
        Some((
            since.elapsed(),
            self.progress.load(Ordering::Relaxed) as f64 / 1e6,
        ))
    }

    fn set_progress(&self, progress: f64) {
        self.progress
            .store((progress.clamp(0.0, 1.0) * 1e6) as u64, Ordering::Relaxed);
    }
}

/// When an unlocked wallet locks itself again.
#[derive(Debug, Default)]
pub(crate) struct Relock {
    pub(crate) deadline: Mutex<Option<Instant>>,
    pub(crate) changed: Condvar,
}

/// A loaded wallet.
pub struct Wallet {
    name: String,
    pub(crate) context: Arc<Context>,
    pub(crate) scan: Scan,
    pub(crate) relock: Relock,
    state: Mutex<State>,
    notifications: Mutex<Option<Arc<dyn Handler>>>,
}

impl fmt::Debug for Wallet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wallet")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// Locks; a panic of another holder leaves data that are still whole, since they are written record by record.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Wallet {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Waits until the wallet has seen all that the chain had to tell when this was called.
    pub(crate) fn sync_with_chain(&self) -> Result<()> {
        let last = self.lock().last_block;
        match last {
            Some((_, hash)) => self
                .context
                .chain
                .wait_for_notifications_if_tip_changed(hash)?,
            None => self.context.chain.wait_for_notifications()?,
        }
        Ok(())
    }

    /// Refuses while the wallet needs its passphrase.
    pub(crate) fn ensure_unlocked(&self) -> Result<()> {
        if self.lock().is_locked() {
            return Err(WalletError::refused(
                code::WALLET_UNLOCK_NEEDED,
                "Error: Please enter the wallet passphrase with walletpassphrase first.",
            ));
        }
        Ok(())
    }

    /// Records on disk that the wallet is up to its last block, so that the next start need not look again.
    pub(crate) fn write_best_block(&self) -> Result<()> {
        let hash = match &*self.lock() {
            State {
                behind: false,
                last_block: Some((_, hash)),
                ..
            } => *hash,
            _ => return Ok(()),
        };
        let want = btc_interfaces::WantBlock {
            locator: true,
            data: false,
        };
        let Some(found) = self.context.chain.find_block(hash, want)? else {
            return Ok(());
        };
        if found.locator.is_empty() {
            return Ok(());
        }
        let mut batch = Batch::new();
        batch.best_block(&found.locator);
        let mut state = self.lock();
        if state.last_block.is_some_and(|(_, last)| last == hash) {
            state.db.commit(batch)?;
        }
        Ok(())
    }

    /// Lets go of the chain; what the wallet knows is on disk already.
    pub(crate) fn close(&self) {
        let handler = lock(&self.notifications).take();
        if let Some(handler) = handler {
            // Whether the node heard of it or is gone: no more events come.
            let _ = handler.disconnect();
        }
        if let Err(error) = self.write_best_block() {
            tracing::debug!(target: "wallet", "[{}] best block not recorded: {error}", self.name);
        }
        *lock(&self.relock.deadline) = None;
        self.relock.changed.notify_all();
        self.lock().lock_keys();
    }
}
