//! Passphrases.

use super::{Call, Entry, invalid_parameter};
use crate::error::{Result, WalletError};
use crate::wallet::{FLAG_DISABLE_PRIVATE_KEYS, Wallet};
use btc_interfaces::rpc::code;
use btc_interfaces::rpc::table::{Arg, Kind, Method, Shape};
use serde_json::Value;
use zeroize::Zeroizing;

/// The longest time a wallet stays open: about three years.
const MAX_UNLOCK_SECONDS: i64 = 100_000_000;

pub(super) const METHODS: &[Entry] = &[
    Entry {
        method: Method {
            name: "encryptwallet",
            category: "wallet",
            summary: "Encrypts the wallet's private keys with a passphrase. New keys are made; back the wallet up again.",
            args: &[Arg::required(
                "passphrase",
                Kind::String,
                "The passphrase; without it the coins are lost",
            )],
            results: &[Shape::string("", "What to do next")],
            examples: &["\"my pass phrase\""],
        },
        run: encrypt_wallet,
    },
    Entry {
        method: Method {
            name: "walletpassphrase",
            category: "wallet",
            summary: "Opens the private keys for some time.",
            args: &[
                Arg::required("passphrase", Kind::String, "The passphrase"),
                Arg::required(
                    "timeout",
                    Kind::Number,
                    "For how many seconds, at most 100000000",
                ),
            ],
            results: &[Shape::null()],
            examples: &["\"my pass phrase\" 60"],
        },
        run: wallet_passphrase,
    },
    Entry {
        method: Method {
            name: "walletlock",
            category: "wallet",
            summary: "Closes the private keys.",
            args: &[],
            results: &[Shape::null()],
            examples: &[""],
        },
        run: wallet_lock,
    },
    Entry {
        method: Method {
            name: "walletpassphrasechange",
            category: "wallet",
            summary: "Changes the passphrase.",
            args: &[
                Arg::required("oldpassphrase", Kind::String, "The passphrase"),
                Arg::required("newpassphrase", Kind::String, "The one to come"),
            ],
            results: &[Shape::null()],
            examples: &["\"old one\" \"new one\""],
        },
        run: wallet_passphrase_change,
    },
];

fn passphrase(call: &Call<'_>, index: usize) -> Result<Zeroizing<String>> {
    Ok(Zeroizing::new(call.args.string(index)?.to_owned()))
}

fn empty() -> WalletError {
    invalid_parameter("passphrase cannot be empty")
}

fn ensure_encrypted(wallet: &Wallet, method: &str) -> Result<()> {
    if wallet.lock().is_encrypted() {
        return Ok(());
    }
    Err(WalletError::refused(
        code::WALLET_WRONG_ENC_STATE,
        format!("Error: running with an unencrypted wallet, but {method} was called."),
    ))
}

fn ensure_not_scanning(wallet: &Wallet, before: &str) -> Result<()> {
    if wallet.scan.status().is_none() {
        return Ok(());
    }
    Err(WalletError::refused(
        code::WALLET_ERROR,
        format!(
            "Error: the wallet is currently being used to rescan the blockchain for related transactions. Please call `abortrescan` before {before}."
        ),
    ))
}

fn encrypt_wallet(call: &Call<'_>) -> Result<Value> {
    let wallet = call.wallet()?;
    {
        let state = wallet.lock();
        if state.has_flag(FLAG_DISABLE_PRIVATE_KEYS) {
            return Err(WalletError::refused(
                code::WALLET_ENCRYPTION_FAILED,
                "Error: wallet does not contain private keys, nothing to encrypt.",
            ));
        }
        if state.is_encrypted() {
            return Err(WalletError::refused(
                code::WALLET_WRONG_ENC_STATE,
                "Error: running with an encrypted wallet, but encryptwallet was called.",
            ));
        }
    }
    ensure_not_scanning(&wallet, "encrypting the wallet")?;
    let passphrase = passphrase(call, 0)?;
    if passphrase.is_empty() {
        return Err(empty());
    }
    wallet.encrypt(&passphrase)?;
    Ok(
        "wallet encrypted; The keypool has been flushed and a new HD seed was generated. You need to make a new backup with the backupwallet RPC."
            .into(),
    )
}

fn wallet_passphrase(call: &Call<'_>) -> Result<Value> {
    let wallet = call.wallet()?;
    ensure_encrypted(&wallet, "walletpassphrase")?;
    let passphrase = passphrase(call, 0)?;
    let timeout: i64 = call.args.int(1)?;
    if timeout < 0 {
        return Err(invalid_parameter("Timeout cannot be negative."));
    }
    // Longer ones are cut, as Core does.
    let seconds = u32::try_from(timeout.min(MAX_UNLOCK_SECONDS)).unwrap_or(0);
    if passphrase.is_empty() {
        return Err(empty());
    }
    if !wallet.unlock_for(&passphrase, seconds)? {
        return Err(WalletError::refused(
            code::WALLET_PASSPHRASE_INCORRECT,
            "Error: The wallet passphrase entered was incorrect.",
        ));
    }
    Ok(Value::Null)
}

fn wallet_lock(call: &Call<'_>) -> Result<Value> {
    let wallet = call.wallet()?;
    ensure_encrypted(&wallet, "walletlock")?;
    ensure_not_scanning(&wallet, "locking the wallet")?;
    wallet.lock_now();
    Ok(Value::Null)
}

fn wallet_passphrase_change(call: &Call<'_>) -> Result<Value> {
    let wallet = call.wallet()?;
    ensure_encrypted(&wallet, "walletpassphrasechange")?;
    ensure_not_scanning(&wallet, "changing the passphrase")?;
    let (old, new) = (passphrase(call, 0)?, passphrase(call, 1)?);
    if old.is_empty() || new.is_empty() {
        return Err(empty());
    }
    if !wallet.change_passphrase(&old, &new)? {
        return Err(WalletError::refused(
            code::WALLET_PASSPHRASE_INCORRECT,
            "Error: The wallet passphrase entered was incorrect.",
        ));
    }
    Ok(Value::Null)
}
