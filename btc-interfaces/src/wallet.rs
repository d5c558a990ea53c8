//! Wallets, as the node and a GUI see them.

use crate::{ChainClient, Handler, Result};
use bitcoin::Amount;
use std::sync::Arc;

/// The kinds of address a wallet hands out, as `-addresstype` names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "ipc", derive(mp_core::Message), mp(codec = crate::ipc::Btc, repr = "Int32"))]
pub enum AddressType {
    /// `legacy`: P2PKH.
    Legacy = 0,
    /// `p2sh-segwit`: P2WPKH within P2SH.
    P2shSegwit = 1,
    /// `bech32`: P2WPKH.
    Bech32 = 2,
    /// `bech32m`: P2TR.
    Bech32m = 3,
}

/// What a wallet owns. Source: `getbalances`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[cfg_attr(feature = "ipc", derive(mp_core::Message), mp(codec = crate::ipc::Btc, schema = crate::ipc::schema::wallet::BALANCES))]
pub struct Balances {
    /// Confirmed, or unconfirmed from the wallet itself.
    pub trusted: Amount,
    /// Unconfirmed, from others.
    pub untrusted_pending: Amount,
    /// Coinbase outputs not yet deep enough.
    pub immature: Amount,
}

/// Properties that a wallet is made with and mostly keeps. Source: the wallet flags of Core.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[cfg_attr(feature = "ipc", derive(mp_core::Message), mp(codec = crate::ipc::Btc, schema = crate::ipc::schema::wallet::WALLET_FLAGS))]
pub struct WalletFlags {
    /// It holds no private keys and never will.
    pub disable_private_keys: bool,
    /// It starts without keys.
    pub blank: bool,
    /// It does not spend from addresses that were spent from.
    pub avoid_reuse: bool,
}

/// A wallet to create.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[cfg_attr(feature = "ipc", derive(mp_core::Message), mp(codec = crate::ipc::Btc, schema = crate::ipc::schema::wallet::CREATE_WALLET))]
pub struct CreateWallet {
    /// Its name: a path below the wallets' directory.
    pub name: String,
    /// Its properties.
    pub flags: WalletFlags,
    /// Whether the node loads it at its next start: `None` leaves the settings as they are.
    pub load_on_startup: Option<bool>,
}

/// A wallet that was created or loaded, or why not. Exactly one of `wallet` and `error` is set.
#[derive(Clone)]
#[cfg_attr(feature = "ipc", derive(mp_core::Message), mp(codec = crate::ipc::Btc, results))]
pub struct WalletOutcome {
    /// The wallet.
    pub wallet: Option<Arc<dyn Wallet>>,
    /// Things its owner should know.
    pub warnings: Vec<String>,
    /// Why there is no wallet; empty if there is.
    pub error: String,
    /// The RPC code of the error, one of [`crate::rpc::code`]; 0 if there is none.
    pub code: i32,
}

/// A fresh address, or why there is none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[cfg_attr(feature = "ipc", derive(mp_core::Message), mp(codec = crate::ipc::Btc, results))]
pub struct DestinationOutcome {
    /// The address; empty if there is an error.
    pub address: String,
    /// Why there is none, or empty.
    pub error: String,
}

/// One loaded wallet. Source: Core's `interfaces::Wallet`, of which this is the part that a status display needs; the
/// rest is reached through the wallet's RPC methods.
#[cfg_attr(feature = "ipc", mp_core::interface(codec = crate::ipc::Btc, schema = crate::ipc::schema::wallet::WALLET))]
pub trait Wallet: Send + Sync {
    /// Its name.
    fn wallet_name(&self) -> Result<String>;
    /// What it owns.
    fn balances(&self) -> Result<Balances>;
    /// How many transactions it knows.
    fn tx_count(&self) -> Result<u64>;
    /// A fresh address to receive to, under `label`.
    fn new_destination(
        &self,
        address_type: AddressType,
        label: String,
    ) -> Result<DestinationOutcome>;
    /// Whether its keys are encrypted.
    fn is_crypted(&self) -> Result<bool>;
    /// Whether it needs a passphrase before it signs.
    fn is_locked(&self) -> Result<bool>;
    /// The last block it has seen: hash and height.
    fn last_block(&self) -> Result<Option<crate::BlockRef>>;
}

/// The wallets of a process. Source: Core's `interfaces::WalletLoader`.
#[cfg_attr(feature = "ipc", mp_core::interface(codec = crate::ipc::Btc, schema = crate::ipc::schema::wallet::WALLET_LOADER))]
pub trait WalletLoader: Send + Sync {
    /// The same object as the node starts and stops it.
    fn chain_client(&self) -> Result<Arc<dyn ChainClient>>;
    /// Makes a wallet and loads it.
    fn create_wallet(&self, options: CreateWallet) -> Result<WalletOutcome>;
    /// Loads a wallet by name.
    fn load_wallet(&self, name: String, load_on_startup: Option<bool>) -> Result<WalletOutcome>;
    /// The directory wallets are looked for in.
    fn wallet_dir(&self) -> Result<String>;
    /// Names of the wallets in that directory.
    fn list_wallet_dir(&self) -> Result<Vec<String>>;
    /// The loaded wallets.
    fn wallets(&self) -> Result<Vec<Arc<dyn Wallet>>>;
    /// Registers for wallets that get loaded from now on.
    fn handle_load_wallet(&self, listener: Arc<dyn WalletListener>) -> Result<Arc<dyn Handler>>;
}

/// Hears of loaded wallets.
#[cfg_attr(feature = "ipc", mp_core::interface(codec = crate::ipc::Btc, schema = crate::ipc::schema::wallet::WALLET_LISTENER))]
pub trait WalletListener: Send + Sync {
    /// A wallet was loaded.
    fn wallet_loaded(&self, wallet: Arc<dyn Wallet>) -> Result<()>;
}
