//! Passphrases: encrypting, unlocking, locking again.

use super::{FLAG_BLANK, FLAG_DISABLE_PRIVATE_KEYS, State, Wallet};
use crate::crypter::{MasterKey, PlainMasterKey};
use crate::db::Batch;
use crate::error::{Result, WalletError};
use btc_interfaces::rpc::code;
use std::sync::Arc;
use std::time::{Duration, Instant};
use zeroize::Zeroizing;

impl State {
    /// Opens the private keys; gives whether the passphrase was right.
    fn unlock(&mut self, passphrase: &str) -> Result<bool> {
        for master_key in self.master_keys.values() {
            let Some(plain) = master_key.open(passphrase.as_bytes()) else {
                continue;
            };
            let mut checked = true;
            for manager in self.managers.values() {
                checked &= manager.check_master_key(&plain)?.unwrap_or(true);
            }
            if checked {
                self.unlocked = Some(plain);
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl Wallet {
    /// Encrypts the private keys, and makes new ones for new addresses, so that no address to come depends on a key that
    /// once lay open.
    pub(crate) fn encrypt(&self, passphrase: &Zeroizing<String>) -> Result<()> {
        let plain = PlainMasterKey::random();
        let master_key = MasterKey::new(&plain, passphrase.as_bytes());
        let now = self.context.clock.now();
        let mut state = self.lock();
        if state.is_encrypted() {
            return Err(WalletError::refused(
                code::WALLET_ENCRYPTION_FAILED,
                "Error: Failed to encrypt the wallet.",
            ));
        }
        let id = state
            .master_keys
            .keys()
            .next_back()
            .map_or(1, |last| last + 1);
        let mut batch = Batch::new();
        batch.master_key(id, &master_key);
        let crypted: Vec<_> = state
            .managers
            .iter()
            .map(|(id, manager)| (*id, manager.encrypt(&plain, &mut batch)))
            .collect();
        state.db.commit(batch)?;
        state.master_keys.insert(id, master_key);
        for (id, keys) in crypted {
            if let Some(manager) = state.managers.get_mut(&id) {
                manager.encrypted(keys);
            }
        }
        if !state.has_flag(FLAG_BLANK) && !state.has_flag(FLAG_DISABLE_PRIVATE_KEYS) {
            state.unlocked = Some(plain);
            state.generate_keys(now)?;
        }
        state.lock_keys();
        // The plain keys still lie in pages that SQLite has freed.
        state.db.rewrite()?;
        Ok(())
    }

    /// Opens the private keys for `seconds`; gives whether the passphrase was right.
    pub(crate) fn unlock_for(
        self: &Arc<Self>,
        passphrase: &Zeroizing<String>,
        seconds: u32,
    ) -> Result<bool> {
        {
            let mut state = self.lock();
            if !state.unlock(passphrase)? {
                return Ok(false);
            }
            let keypool = state.keypool;
            state.top_up_all(keypool)?;
            state.unlocked_until = self.context.clock.now() + i64::from(seconds);
        }
        let running = {
            let mut deadline = super::lock(&self.relock.deadline);
            deadline
                .replace(Instant::now() + Duration::from_secs(u64::from(seconds)))
                .is_some()
        };
        self.relock.changed.notify_all();
        if !running {
            let wallet = Arc::downgrade(self);
            let spawned = std::thread::Builder::new()
                .name("walletlock".to_owned())
                .spawn(move || {
                    // Looks in from time to time, so that an unloaded wallet is let go of.
                    const PATIENCE: Duration = Duration::from_millis(500);
                    while let Some(wallet) = wallet.upgrade() {
                        let deadline = super::lock(&wallet.relock.deadline);
                        let Some(at) = *deadline else { return };
                        let now = Instant::now();
                        if now >= at {
                            drop(deadline);
                            wallet.lock_now();
                            return;
                        }
                        drop(
                            wallet
                                .relock
                                .changed
                                .wait_timeout(deadline, (at - now).min(PATIENCE)),
                        );
                    }
                });
            if let Err(error) = spawned {
                // Without the timer the keys would stay open: better not to open them.
                self.lock_now();
                return Err(WalletError::refused(
                    code::WALLET_ERROR,
                    format!("cannot start the timer that locks the wallet: {error}"),
                ));
            }
        }
        Ok(true)
    }

    /// Brings the time nearer at which the wallet locks itself.
    pub(crate) fn forward_relock(&self, seconds: i64) {
        let by = Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
        if let Some(at) = super::lock(&self.relock.deadline).as_mut() {
            let now = Instant::now();
            *at = at.checked_sub(by).map_or(now, |earlier| earlier.max(now));
        }
        self.relock.changed.notify_all();
    }

    /// Forgets the key that opens the private keys.
    pub(crate) fn lock_now(&self) {
        *super::lock(&self.relock.deadline) = None;
        self.relock.changed.notify_all();
        self.lock().lock_keys();
    }

    /// Puts the private keys under another passphrase; gives whether the old one was right.
    pub(crate) fn change_passphrase(
        &self,
        old: &Zeroizing<String>,
        new: &Zeroizing<String>,
    ) -> Result<bool> {
        let mut state = self.lock();
        let mut found = None;
        for (id, master_key) in &state.master_keys {
            let Some(plain) = master_key.open(old.as_bytes()) else {
                continue;
            };
            let mut checked = true;
            for manager in state.managers.values() {
                checked &= manager.check_master_key(&plain)?.unwrap_or(true);
            }
            if checked {
                found = Some((*id, plain));
                break;
            }
        }
        let Some((id, plain)) = found else {
            return Ok(false);
        };
        let master_key = MasterKey::new(&plain, new.as_bytes());
        let mut batch = Batch::new();
        batch.master_key(id, &master_key);
        state.db.commit(batch)?;
        state.master_keys.insert(id, master_key);
        Ok(true)
    }
}
