//! Handing out addresses, and the address book.

use super::Wallet;
use super::state::{AddressEntry, State};
use crate::db::Batch;
use crate::error::{Result, WalletError};
use crate::keys::KeyError;
use bitcoin::{Network, ScriptBuf};
use btc_interfaces::AddressType;
use btc_interfaces::rpc::code;

/// The purpose of addresses that others pay to.
pub(crate) const RECEIVE: &str = "receive";
/// The purpose of addresses that the owner pays to.
pub(crate) const SEND: &str = "send";

/// What an address type is called in options and calls.
pub(crate) fn type_name(kind: AddressType) -> &'static str {
    match kind {
        AddressType::Legacy => "legacy",
        AddressType::P2shSegwit => "p2sh-segwit",
        AddressType::Bech32 => "bech32",
        AddressType::Bech32m => "bech32m",
    }
}

/// The script of an address of `network`.
pub(crate) fn parse_address(text: &str, network: Network) -> Option<ScriptBuf> {
    btc_interfaces::address::decode(text, network).ok()
}

impl State {
    /// The script of a fresh address; it counts as handed out once `batch` is written.
    pub(crate) fn next_script(
        &mut self,
        kind: AddressType,
        internal: bool,
        batch: &mut Batch,
    ) -> Result<ScriptBuf> {
        let id = self.active_id(kind, internal).ok_or_else(|| {
            WalletError::refused(
                code::WALLET_KEYPOOL_RAN_OUT,
                format!("Error: No {} addresses available.", type_name(kind)),
            )
        })?;
        let can = self
            .managers
            .get(&id)
            .is_some_and(crate::keys::KeyManager::can_give_addresses);
        if !can {
            return Err(WalletError::refused(
                code::WALLET_KEYPOOL_RAN_OUT,
                "No addresses available",
            ));
        }
        self.top_up(id, self.keypool, batch)?;
        let manager = self.managers.get_mut(&id).ok_or(KeyError::KeypoolRanOut)?;
        Ok(manager.take_next(batch)?)
    }

    /// Names an address; a purpose that is `None` stays as it is.
    pub(crate) fn set_label(
        &mut self,
        address: &str,
        label: &str,
        purpose: Option<&str>,
        batch: &mut Batch,
    ) {
        let entry = self.address_book.entry(address.to_owned()).or_default();
        entry.label = Some(label.to_owned());
        batch.name(address, label);
        if let Some(purpose) = purpose {
            entry.purpose = Some(purpose.to_owned());
            batch.purpose(address, purpose);
        }
    }

    /// The entry of an address that is no change.
    pub(crate) fn book_entry(&self, address: &str) -> Option<&AddressEntry> {
        self.address_book
            .get(address)
            .filter(|entry| entry.label.is_some())
    }
}

impl Wallet {
    /// A fresh address to be paid to. When this returns it is on disk that it was handed out.
    pub(crate) fn new_address(&self, kind: AddressType, label: &str) -> Result<String> {
        let mut state = self.lock();
        let mut batch = Batch::new();
        let script = state.next_script(kind, false, &mut batch)?;
        let address = state.address_of(&script);
        state.set_label(&address, label, Some(RECEIVE), &mut batch);
        state.db.commit(batch)?;
        Ok(address)
    }

    /// A fresh address for change.
    pub(crate) fn new_change_address(&self, kind: AddressType) -> Result<String> {
        let mut state = self.lock();
        let mut batch = Batch::new();
        let script = state.next_script(kind, true, &mut batch)?;
        state.db.commit(batch)?;
        Ok(state.address_of(&script))
    }
}
