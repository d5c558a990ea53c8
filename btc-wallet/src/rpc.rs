//! The wallet's RPC methods: one file for each group, one table of all.
//!
//! A handler runs on the thread that brought the call; several run at once. It asks the chain before it locks the wallet
//! (see the [`wallet`](crate::wallet) module).

mod addresses;
mod coins;
mod descriptors;
mod encryption;
mod psbt;
mod received;
mod results;
mod send;
mod transactions;
mod wallets;

use crate::error::{Result, WalletError};
use crate::loader::Loader;
use crate::wallet::Wallet;
use btc_interfaces::rpc::table::{Arguments, Method};
use btc_interfaces::rpc::{RpcError, RpcRequest, code};
use serde_json::{Value, json};
use std::sync::Arc;

/// The path below which a request names its wallet.
const ENDPOINT: &str = "/wallet/";

/// A method and what answers it.
pub(crate) struct Entry {
    pub(crate) method: Method,
    run: fn(&Call<'_>) -> Result<Value>,
}

/// One call with its arguments checked.
pub(crate) struct Call<'a> {
    loader: &'a Loader,
    request: &'a RpcRequest,
    args: Arguments,
}

/// All methods.
pub(crate) fn methods() -> impl Iterator<Item = &'static Entry> {
    [
        wallets::METHODS,
        addresses::METHODS,
        coins::METHODS,
        received::METHODS,
        transactions::METHODS,
        send::METHODS,
        psbt::METHODS,
        descriptors::METHODS,
        encryption::METHODS,
    ]
    .into_iter()
    .flatten()
}

/// Answers one call.
pub(crate) fn run(
    loader: &Loader,
    entry: &Entry,
    request: &RpcRequest,
) -> std::result::Result<Value, RpcError> {
    let call = Call {
        loader,
        request,
        args: entry.method.bind_request(request)?,
    };
    let result = (entry.run)(&call).map_err(RpcError::from)?;
    if loader.checks_results() {
        entry.method.check_result(&result)?;
    }
    Ok(result)
}

/// Undoes percent encoding; what is no valid code stays as it is.
fn url_decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let code = (bytes[at] == b'%')
            .then(|| text.get(at + 1..at + 3))
            .flatten()
            .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match code {
            Some(byte) => {
                out.push(byte);
                at += 3;
            }
            None => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn invalid_parameter(message: impl Into<String>) -> WalletError {
    WalletError::refused(code::INVALID_PARAMETER, message)
}

impl Call<'_> {
    /// The wallet that the request's path names.
    fn endpoint(&self) -> Option<String> {
        self.request.uri.strip_prefix(ENDPOINT).map(url_decode)
    }

    /// The wallet of the call: the one it names, or the only one.
    fn wallet(&self) -> Result<Arc<Wallet>> {
        if let Some(name) = self.endpoint() {
            return self.named(&name);
        }
        let wallets = self.loader.loaded();
        match wallets.as_slice() {
            [only] => Ok(Arc::clone(only)),
            [] => Err(WalletError::refused(
                code::WALLET_NOT_FOUND,
                "No wallet is loaded. Load a wallet using loadwallet or create a new one with createwallet. (Note: A default wallet is no longer automatically created)",
            )),
            _ => Err(WalletError::refused(
                code::WALLET_NOT_SPECIFIED,
                "Multiple wallets are loaded. Please select which wallet to use by requesting the RPC through the /wallet/<walletname> URI path.",
            )),
        }
    }

    fn named(&self, name: &str) -> Result<Arc<Wallet>> {
        self.loader.find(name).ok_or_else(|| {
            WalletError::refused(
                code::WALLET_NOT_FOUND,
                "Requested wallet does not exist or is not loaded",
            )
        })
    }

    /// The name of the wallet that a method is about, given by path or by argument.
    fn unique_name(&self, argument: Option<&str>) -> Result<String> {
        match (self.endpoint(), argument) {
            (Some(endpoint), Some(argument)) if endpoint != argument => Err(invalid_parameter(
                "The RPC endpoint wallet and the wallet name parameter specify different wallets",
            )),
            (Some(endpoint), _) => Ok(endpoint),
            (None, Some(argument)) => Ok(argument.to_owned()),
            (None, None) => Err(invalid_parameter(
                "Either the RPC endpoint wallet or the wallet name parameter must be provided",
            )),
        }
    }

    /// A label, checked.
    fn label(&self, index: usize) -> Result<String> {
        let label = self.args.opt_string(index)?.unwrap_or_default();
        if label == "*" {
            return Err(WalletError::refused(
                code::WALLET_INVALID_LABEL_NAME,
                "Invalid label name",
            ));
        }
        Ok(label.to_owned())
    }
}

/// The block that an answer is about.
fn last_processed(last: Option<(i32, bitcoin::BlockHash)>) -> Value {
    match last {
        Some((height, hash)) => json!({ "hash": hash.to_string(), "height": height }),
        None => json!({ "hash": "0".repeat(64), "height": -1 }),
    }
}

fn push_warnings(object: &mut serde_json::Map<String, Value>, warnings: Vec<String>) {
    if !warnings.is_empty() {
        object.insert("warnings".to_owned(), warnings.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_paths_are_decoded() {
        assert_eq!(url_decode("a%20b%2Fc"), "a b/c");
        assert_eq!(url_decode("100%"), "100%");
        assert_eq!(url_decode("%zz%e2%82%ac"), "%zz€");
        assert_eq!(url_decode("é%"), "é%");
    }

    #[test]
    fn every_method_is_there_once() {
        let mut names: Vec<&str> = methods().map(|entry| entry.method.name).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
