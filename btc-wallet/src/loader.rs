//! The wallets of a process, as the node starts and stops them.

use crate::db::file;
use crate::error::{Result, WalletError};
use crate::options::{Clock, Options};
use crate::rpc;
use crate::wallet::{Context, Wallet, lock};
use btc_interfaces::rpc::{RpcHandler, RpcReply, RpcRequest, code};
use btc_interfaces::{
    AddressType, Balances, BlockRef, Chain, ChainClient, CreateWallet, DestinationOutcome, Echo,
    Error, FnHandler, GlobalArgs, Handler, Init, Mining, Node, Rpc, SettingsAction, WalletFlags,
    WalletListener, WalletLoader, WalletOutcome,
};
use serde_json::Value;
use std::collections::HashSet;
use std::sync::{Arc, Mutex, Weak};
use zeroize::Zeroizing;

/// The setting that names the wallets to load at the start.
const WALLET_SETTING: &str = "wallet";

/// The wallets of this process, working on `chain`, configured by `args`.
///
/// The node drives them through [`WalletLoader::chain_client`]: register, verify, load, start, stop.
pub fn local(
    args: GlobalArgs,
    chain: Arc<dyn Chain>,
) -> btc_interfaces::Result<Arc<dyn WalletLoader>> {
    let options = Options::new(&args).map_err(Error::failed)?;
    let context = Arc::new(Context {
        chain,
        options,
        clock: Clock::new(args.mock_time),
    });
    Ok(Arc::new_cyclic(|me| Loader {
        me: Weak::clone(me),
        context,
        wallets: Mutex::new(Vec::new()),
        busy: Mutex::new(HashSet::new()),
        handlers: Mutex::new(Vec::new()),
        listeners: Mutex::new(Listeners::default()),
    }))
}

#[derive(Default)]
struct Listeners {
    next: u64,
    list: Vec<(u64, Arc<dyn WalletListener>)>,
}

/// The wallets of this process.
pub(crate) struct Loader {
    me: Weak<Self>,
    pub(crate) context: Arc<Context>,
    wallets: Mutex<Vec<Arc<Wallet>>>,
    /// Names that are being loaded or created.
    busy: Mutex<HashSet<String>>,
    handlers: Mutex<Vec<Arc<dyn Handler>>>,
    listeners: Mutex<Listeners>,
}

/// Holds a name while its wallet is loaded.
struct Busy<'a> {
    loader: &'a Loader,
    name: String,
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        lock(&self.loader.busy).remove(&self.name);
    }
}

impl Loader {
    /// Whether results of methods are held against their tables.
    pub(crate) fn checks_results(&self) -> bool {
        self.context.options.check_results
    }

    /// The loaded wallets, in the order they were loaded.
    pub(crate) fn loaded(&self) -> Vec<Arc<Wallet>> {
        lock(&self.wallets).clone()
    }

    pub(crate) fn find(&self, name: &str) -> Option<Arc<Wallet>> {
        lock(&self.wallets)
            .iter()
            .find(|wallet| wallet.name() == name)
            .cloned()
    }

    fn reserve(&self, name: &str) -> Result<Busy<'_>> {
        if !lock(&self.busy).insert(name.to_owned()) {
            return Err(WalletError::refused(
                code::WALLET_ERROR,
                "Wallet already loading.",
            ));
        }
        Ok(Busy {
            loader: self,
            name: name.to_owned(),
        })
    }

    /// Makes a wallet and loads it.
    pub(crate) fn create(
        &self,
        name: &str,
        flags: WalletFlags,
        passphrase: Option<&Zeroizing<String>>,
        load_on_startup: Option<bool>,
        warnings: &mut Vec<String>,
    ) -> Result<Arc<Wallet>> {
        let _busy = self.reserve(name)?;
        self.context
            .chain
            .init_message("Creating wallet…".to_owned())?;
        let wallet = Wallet::create(name, &self.context, flags, passphrase, warnings)?;
        self.add(&wallet);
        self.remember(name, load_on_startup, warnings)?;
        Ok(wallet)
    }

    /// Loads a wallet.
    pub(crate) fn load_one(
        &self,
        name: &str,
        load_on_startup: Option<bool>,
        warnings: &mut Vec<String>,
    ) -> Result<Arc<Wallet>> {
        let _busy = self.reserve(name)?;
        if self.find(name).is_some() {
            return Err(WalletError::refused(
                code::WALLET_ALREADY_LOADED,
                format!("Wallet \"{name}\" is already loaded."),
            ));
        }
        self.context
            .chain
            .init_message("Loading wallet…".to_owned())?;
        let wallet = Wallet::load(name, &self.context, warnings)?;
        self.add(&wallet);
        self.remember(name, load_on_startup, warnings)?;
        Ok(wallet)
    }

    fn add(&self, wallet: &Arc<Wallet>) {
        lock(&self.wallets).push(Arc::clone(wallet));
        let listeners: Vec<_> = lock(&self.listeners)
            .list
            .iter()
            .map(|(_, listener)| Arc::clone(listener))
            .collect();
        for listener in listeners {
            let status: Arc<dyn btc_interfaces::Wallet> = Arc::new(Status(Arc::clone(wallet)));
            if let Err(error) = listener.wallet_loaded(status) {
                tracing::debug!(target: "wallet", "a listener failed: {error}");
            }
        }
    }

    /// Lets go of a wallet; gives whether it was loaded.
    pub(crate) fn unload(
        &self,
        wallet: &Arc<Wallet>,
        load_on_startup: Option<bool>,
        warnings: &mut Vec<String>,
    ) -> Result<bool> {
        let removed = {
            let mut wallets = lock(&self.wallets);
            let before = wallets.len();
            wallets.retain(|known| !Arc::ptr_eq(known, wallet));
            wallets.len() < before
        };
        if removed {
            wallet.close();
            self.remember(wallet.name(), load_on_startup, warnings)?;
        }
        Ok(removed)
    }

    /// Adds a wallet to those loaded at the start, or takes it out.
    fn remember(
        &self,
        name: &str,
        load_on_startup: Option<bool>,
        warnings: &mut Vec<String>,
    ) -> Result<()> {
        let Some(load) = load_on_startup else {
            return Ok(());
        };
        let chain = &self.context.chain;
        let mut names = match chain.rw_setting(WALLET_SETTING.to_owned())? {
            Value::Array(names) => names,
            _ => Vec::new(),
        };
        let known = names.iter().any(|value| value.as_str() == Some(name));
        if load == known {
            return Ok(());
        }
        if load {
            names.push(Value::from(name));
        } else {
            names.retain(|value| value.as_str() != Some(name));
        }
        if !chain.overwrite_rw_setting(
            WALLET_SETTING.to_owned(),
            Value::Array(names),
            SettingsAction::Write,
        )? {
            warnings.push(
                if load {
                    "Wallet load on startup setting could not be updated, so wallet may not be loaded next node startup."
                } else {
                    "Wallet load on startup setting could not be updated, so wallet may still be loaded next node startup."
                }
                .to_owned(),
            );
        }
        Ok(())
    }

    /// The wallets that the settings name, without repetitions; `None` if the setting is no list of names.
    fn configured(&self) -> btc_interfaces::Result<Option<Vec<String>>> {
        let mut names: Vec<String> = Vec::new();
        for value in self
            .context
            .chain
            .settings_list(WALLET_SETTING.to_owned())?
        {
            match value {
                Value::String(name) if names.contains(&name) => {
                    self.context
                        .chain
                        .init_warning(format!("Ignoring duplicate -wallet {name}."))?;
                }
                Value::String(name) => names.push(name),
                _ => {
                    self.context.chain.init_error(
                        "Invalid value detected for '-wallet' or '-nowallet'. '-wallet' requires a string value, while '-nowallet' accepts only '1' to disable all wallets"
                            .to_owned(),
                    )?;
                    return Ok(None);
                }
            }
        }
        Ok(Some(names))
    }
}

impl ChainClient for Loader {
    fn register_rpcs(&self) -> btc_interfaces::Result<()> {
        let mut registered: Vec<Arc<dyn Handler>> = Vec::new();
        for entry in rpc::methods() {
            let handler: Arc<dyn RpcHandler> = Arc::new(MethodHandler {
                loader: Weak::clone(&self.me),
                entry,
            });
            registered.push(
                self.context
                    .chain
                    .handle_rpc((&entry.method).into(), handler)?,
            );
        }
        *lock(&self.handlers) = registered;
        Ok(())
    }

    fn verify(&self) -> btc_interfaces::Result<bool> {
        let chain = &self.context.chain;
        if let Err(error) = self.context.options.check_wallet_dir() {
            chain.init_error(error.to_string())?;
            return Ok(false);
        }
        chain.init_message("Verifying wallet(s)…".to_owned())?;
        // A wallet at the top of the directory is there from old times, when it was the only one.
        if chain.setting(WALLET_SETTING.to_owned())?.is_null()
            && Wallet::verify("", &self.context).is_ok()
        {
            let unnamed = Value::Array(vec![Value::from("")]);
            chain.overwrite_rw_setting(
                WALLET_SETTING.to_owned(),
                unnamed,
                SettingsAction::SkipWrite,
            )?;
        }
        let Some(names) = self.configured()? else {
            return Ok(false);
        };
        for name in names {
            match Wallet::verify(&name, &self.context) {
                Ok(()) => {}
                Err(WalletError::Db(error @ crate::db::DbError::NotFound(_))) => {
                    chain.init_warning(format!(
                        "Skipping -wallet path that doesn't exist. {error}"
                    ))?;
                }
                // Reported when it is to be loaded.
                Err(WalletError::Db(crate::db::DbError::Legacy(_))) => {}
                Err(error) => {
                    chain.init_error(error.to_string())?;
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    fn load(&self) -> btc_interfaces::Result<bool> {
        let chain = &self.context.chain;
        let Some(names) = self.configured()? else {
            return Ok(false);
        };
        for name in names {
            let mut warnings = Vec::new();
            let loaded = chain
                .init_message("Loading wallet…".to_owned())
                .map_err(WalletError::from)
                .and_then(|()| Wallet::load(&name, &self.context, &mut warnings));
            if !warnings.is_empty() {
                chain.init_warning(warnings.join("\n"))?;
            }
            match loaded {
                Ok(wallet) => self.add(&wallet),
                Err(WalletError::Chain(error)) => return Err(error),
                Err(error) if error.code() == code::WALLET_NOT_FOUND => {
                    tracing::warn!(target: "wallet", "{error}");
                }
                Err(error) => {
                    chain.init_error(error.to_string())?;
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    fn start(&self) -> btc_interfaces::Result<()> {
        Ok(())
    }

    fn stop(&self) -> btc_interfaces::Result<()> {
        let handlers = std::mem::take(&mut *lock(&self.handlers));
        for handler in handlers {
            // A node that is gone has forgotten the methods already.
            let _ = handler.disconnect();
        }
        let wallets = std::mem::take(&mut *lock(&self.wallets));
        for wallet in wallets {
            wallet.close();
        }
        Ok(())
    }

    fn set_mock_time(&self, time: i64) -> btc_interfaces::Result<()> {
        self.context.clock.set(time);
        Ok(())
    }

    fn scheduler_mock_forward(&self, seconds: i64) -> btc_interfaces::Result<()> {
        for wallet in self.loaded() {
            wallet.forward_relock(seconds);
        }
        Ok(())
    }
}

fn outcome(
    result: Result<Arc<Wallet>>,
    warnings: Vec<String>,
) -> btc_interfaces::Result<WalletOutcome> {
    Ok(match result {
        Ok(wallet) => WalletOutcome {
            wallet: Some(Arc::new(Status(wallet))),
            warnings,
            error: String::new(),
            code: 0,
        },
        Err(WalletError::Chain(error)) => return Err(error),
        Err(error) => WalletOutcome {
            wallet: None,
            warnings,
            error: error.to_string(),
            code: error.code(),
        },
    })
}

impl WalletLoader for Loader {
    fn chain_client(&self) -> btc_interfaces::Result<Arc<dyn ChainClient>> {
        let me: Arc<dyn ChainClient> = self
            .me
            .upgrade()
            .ok_or_else(|| Error::failed("the wallets are closing"))?;
        Ok(me)
    }

    fn create_wallet(&self, options: CreateWallet) -> btc_interfaces::Result<WalletOutcome> {
        let mut warnings = Vec::new();
        let made = self.create(
            &options.name,
            options.flags,
            None,
            options.load_on_startup,
            &mut warnings,
        );
        outcome(made, warnings)
    }

    fn load_wallet(
        &self,
        name: String,
        load_on_startup: Option<bool>,
    ) -> btc_interfaces::Result<WalletOutcome> {
        let mut warnings = Vec::new();
        let loaded = self.load_one(&name, load_on_startup, &mut warnings);
        outcome(loaded, warnings)
    }

    fn wallet_dir(&self) -> btc_interfaces::Result<String> {
        Ok(self.context.options.wallets_dir().display().to_string())
    }

    fn list_wallet_dir(&self) -> btc_interfaces::Result<Vec<String>> {
        let found = file::list(&self.context.options.wallets_dir(), self.context.magic());
        Ok(found.into_iter().map(|(name, _)| name).collect())
    }

    fn wallets(&self) -> btc_interfaces::Result<Vec<Arc<dyn btc_interfaces::Wallet>>> {
        Ok(self
            .loaded()
            .into_iter()
            .map(|wallet| Arc::new(Status(wallet)) as Arc<dyn btc_interfaces::Wallet>)
            .collect())
    }

    fn handle_load_wallet(
        &self,
        listener: Arc<dyn WalletListener>,
    ) -> btc_interfaces::Result<Arc<dyn Handler>> {
        let number = {
            let mut listeners = lock(&self.listeners);
            let number = listeners.next;
            listeners.next += 1;
            listeners.list.push((number, listener));
            number
        };
        let me = Weak::clone(&self.me);
        Ok(Arc::new(FnHandler::new(move || {
            if let Some(loader) = me.upgrade() {
                lock(&loader.listeners)
                    .list
                    .retain(|(known, _)| *known != number);
            }
        })))
    }
}

/// Answers one RPC method.
struct MethodHandler {
    loader: Weak<Loader>,
    entry: &'static rpc::Entry,
}

impl RpcHandler for MethodHandler {
    fn call(&self, request: RpcRequest) -> btc_interfaces::Result<RpcReply> {
        let loader = self
            .loader
            .upgrade()
            .ok_or_else(|| Error::failed("the wallets are closing"))?;
        Ok(rpc::run(&loader, self.entry, &request).into())
    }
}

/// A loaded wallet as a status display sees it.
struct Status(Arc<Wallet>);

impl btc_interfaces::Wallet for Status {
    fn wallet_name(&self) -> btc_interfaces::Result<String> {
        Ok(self.0.name().to_owned())
    }

    fn balances(&self) -> btc_interfaces::Result<Balances> {
        let spend_zero_conf_change = self.0.context.options.spend_zero_conf_change;
        Ok(self
            .0
            .lock()
            .balances(0, true, false, spend_zero_conf_change)
            .into())
    }

    fn tx_count(&self) -> btc_interfaces::Result<u64> {
        Ok(self.0.lock().txs.len() as u64)
    }

    fn new_destination(
        &self,
        address_type: AddressType,
        label: String,
    ) -> btc_interfaces::Result<DestinationOutcome> {
        Ok(match self.0.new_address(address_type, &label) {
            Ok(address) => DestinationOutcome {
                address,
                error: String::new(),
            },
            Err(error) => DestinationOutcome {
                address: String::new(),
                error: error.to_string(),
            },
        })
    }

    fn is_crypted(&self) -> btc_interfaces::Result<bool> {
        Ok(self.0.lock().is_encrypted())
    }

    fn is_locked(&self) -> btc_interfaces::Result<bool> {
        Ok(self.0.lock().is_locked())
    }

    fn last_block(&self) -> btc_interfaces::Result<Option<BlockRef>> {
        Ok(self
            .0
            .lock()
            .last_block
            .map(|(height, hash)| BlockRef { hash, height }))
    }
}

/// What a wallet process offers: its wallets, and an echo.
#[derive(Debug, Clone, Copy, Default)]
pub struct WalletInit;

struct WalletEcho;

impl Echo for WalletEcho {
    fn echo(&self, echo: String) -> btc_interfaces::Result<String> {
        Ok(echo)
    }
}

impl Init for WalletInit {
    fn make_echo(&self) -> btc_interfaces::Result<Arc<dyn Echo>> {
        Ok(Arc::new(WalletEcho))
    }

    fn make_mining_old2(&self) -> btc_interfaces::Result<()> {
        Err(Error::unsupported("mining"))
    }

    fn make_mining(&self) -> btc_interfaces::Result<Arc<dyn Mining>> {
        Err(Error::unsupported("mining"))
    }

    fn make_rpc(&self) -> btc_interfaces::Result<Arc<dyn Rpc>> {
        Err(Error::unsupported("rpc"))
    }

    fn make_chain(&self) -> btc_interfaces::Result<Arc<dyn Chain>> {
        Err(Error::unsupported("chain"))
    }

    fn make_node(&self) -> btc_interfaces::Result<Arc<dyn Node>> {
        Err(Error::unsupported("node"))
    }

    fn make_wallet_loader(
        &self,
        global_args: GlobalArgs,
        chain: Arc<dyn Chain>,
    ) -> btc_interfaces::Result<Arc<dyn WalletLoader>> {
        local(global_args, chain)
    }
}
