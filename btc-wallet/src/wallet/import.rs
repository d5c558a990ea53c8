//! Descriptors from outside.

use super::{FLAG_DISABLE_PRIVATE_KEYS, State};
use crate::db::Batch;
use crate::error::{Result, WalletError};
use crate::keys::{KeyManager, type_number};
use btc_interfaces::descriptor::{Descriptor, SecretKeys};
use btc_interfaces::rpc::code;

/// A descriptor to import, checked.
pub(crate) struct Import {
    pub(crate) descriptor: Descriptor,
    pub(crate) secrets: SecretKeys,
    /// Seconds since 1970.
    pub(crate) timestamp: i64,
    /// First index, and one past the last.
    pub(crate) range: (i32, i32),
    pub(crate) next_index: i32,
    pub(crate) label: String,
    /// Whether new addresses come from it; `None` leaves that as it is.
    pub(crate) active: bool,
    pub(crate) internal: bool,
}

impl State {
    /// Takes in a descriptor and writes it.
    pub(crate) fn import(&mut self, import: Import) -> Result<()> {
        let Import {
            descriptor,
            secrets,
            timestamp,
            range,
            next_index,
            label,
            active,
            internal,
        } = import;
        let id = descriptor.id();
        let creation_time = u64::try_from(timestamp).unwrap_or(0);
        let kind = descriptor.address_type();
        let mut batch = Batch::new();
        let stored_secrets = if self.has_flag(FLAG_DISABLE_PRIVATE_KEYS) {
            SecretKeys::new(self.network_kind())
        } else {
            secrets
        };
        let size = u32::try_from(range.1.saturating_sub(next_index)).unwrap_or(0);
        match self.managers.get_mut(&id) {
            Some(known) => {
                known
                    .reimport(creation_time, range, next_index, stored_secrets.clone())
                    .map_err(|message| WalletError::refused(code::INVALID_PARAMETER, message))?;
            }
            None => {
                let manager = KeyManager::new(
                    descriptor,
                    stored_secrets.clone(),
                    creation_time,
                    range.0,
                    range.1,
                    next_index,
                );
                self.managers.insert(id, manager);
            }
        }
        let unlocked = self.unlocked.clone();
        let keypool = self.keypool;
        let Some(manager) = self.managers.get_mut(&id) else {
            return Ok(());
        };
        if !manager.is_encrypted() {
            manager.store_keys(unlocked.as_ref(), &mut batch);
        }
        let ranged = manager.descriptor().is_range();
        let range_size = if ranged { size.max(keypool) } else { 1 };
        let topped = manager.top_up(range_size, &stored_secrets, &mut batch);
        let scripts = topped.map_err(|error| {
            WalletError::refused(
                code::WALLET_ERROR,
                format!("Could not top up scriptPubKeys: {error}"),
            )
        })?;
        self.add_scripts(id, scripts.clone());
        self.note_birth_time(timestamp);
        if !internal && !ranged {
            for script in &scripts {
                let address = self.address_of(script);
                if !address.is_empty() {
                    self.set_label(
                        &address,
                        &label,
                        Some(super::addresses::RECEIVE),
                        &mut batch,
                    );
                }
            }
        }
        if let Some(kind) = kind {
            let slot = (type_number(kind), internal);
            if active {
                batch.active(slot.0, slot.1, Some(&id));
                self.active.insert(slot, id);
            } else if self.active.get(&slot) == Some(&id) {
                batch.active(slot.0, slot.1, None);
                self.active.remove(&slot);
            }
        }
        self.db.commit(batch)?;
        self.refresh_outputs();
        Ok(())
    }
}
