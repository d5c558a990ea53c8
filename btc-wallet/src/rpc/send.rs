//! Sending and signing.

use super::{Call, Entry, invalid_parameter};
use crate::error::{Result, WalletError};
use crate::sign::{self, Coverage, SignableInput};
use crate::spend::fee::FeeRate;
use crate::spend::{Recipient, SpendControl};
use crate::wallet::addresses::parse_address;
use crate::wallet::{FLAG_AVOID_REUSE, FLAG_DISABLE_PRIVATE_KEYS, Wallet};
use bitcoin::consensus::encode::{deserialize, serialize_hex};
use bitcoin::hex::FromHex;
use bitcoin::secp256k1::rand::rngs::OsRng;
use bitcoin::secp256k1::rand::seq::SliceRandom;
use bitcoin::sighash::{EcdsaSighashType, TapSighashType};
use bitcoin::{Amount, OutPoint, ScriptBuf, Transaction, TxOut, Txid};
use btc_interfaces::descriptor::{ExpandedScript, SecretKeys};
use btc_interfaces::rpc::table::{Arg, Kind, Method, Shape};
use btc_interfaces::rpc::{code, value};
use serde_json::{Value, json};
use std::collections::{HashMap, HashSet};

const REPLACEABLE: Arg = Arg::hint(
    "replaceable",
    Kind::Bool,
    "wallet default",
    "Signal that the transaction may be replaced (BIP 125)",
);
const CONF_TARGET: Arg = Arg::hint(
    "conf_target",
    Kind::Number,
    "wallet -txconfirmtarget",
    "Within how many blocks it is to confirm",
);
const ESTIMATE_MODE: Arg = Arg::default(
    "estimate_mode",
    Kind::String,
    "\"unset\"",
    "\"unset\", \"economical\" or \"conservative\"",
);
const FEE_RATE: Arg = Arg::hint(
    "fee_rate",
    Kind::Amount,
    "not set, fall back to wallet fee estimation",
    "The feerate in sat/vB",
);
const VERBOSE: Arg = Arg::default(
    "verbose",
    Kind::Bool,
    "false",
    "Also tell where the feerate comes from",
);

/// What a method that sends gives.
const SENT: &[Shape] = &[
    Shape::hex("", "The transaction's id").when("not verbose"),
    Shape::object(
        "",
        "",
        &[
            Shape::hex("txid", "The transaction's id"),
            Shape::string("fee_reason", "Where the feerate comes from"),
        ],
    )
    .when("verbose"),
];

pub(super) const METHODS: &[Entry] = &[
    Entry {
        method: Method {
            name: "sendtoaddress",
            category: "wallet",
            summary: "Sends an amount to an address. Needs the passphrase if the wallet is encrypted.",
            args: &[
                Arg::required("address", Kind::String, "The address"),
                Arg::required("amount", Kind::Amount, "The amount in BTC"),
                Arg::optional(
                    "comment",
                    Kind::String,
                    "What it is for; kept in the wallet only",
                ),
                Arg::optional(
                    "comment_to",
                    Kind::String,
                    "Whom it is for; kept in the wallet only",
                ),
                Arg::default(
                    "subtractfeefromamount",
                    Kind::Bool,
                    "false",
                    "Take the fee off the amount",
                ),
                REPLACEABLE,
                CONF_TARGET,
                ESTIMATE_MODE,
                Arg::default(
                    "avoid_reuse",
                    Kind::Bool,
                    "true",
                    "Leave out coins on addresses that were spent from",
                ),
                FEE_RATE,
                VERBOSE,
            ],
            results: SENT,
            examples: &["\"bc1q09vm5lfy0j5reeulh4x5752q25uqqvz34hufdl\" 0.1"],
        },
        run: send_to_address,
    },
    Entry {
        method: Method {
            name: "sendmany",
            category: "wallet",
            summary: "Sends to several addresses at once. Needs the passphrase if the wallet is encrypted.",
            args: &[
                Arg::default(
                    "dummy",
                    Kind::String,
                    "\"\\\"\\\"\"",
                    "Must be \"\"; only for the sake of old callers",
                )
                .placeholder()
                .shown_as("\"\""),
                Arg::required("amounts", Kind::ObjectUserKeys, "Amounts in BTC by address")
                    .with(&[Arg::required("address", Kind::Amount, "The amount")]),
                Arg::optional("minconf", Kind::Number, "No longer used").placeholder(),
                Arg::optional(
                    "comment",
                    Kind::String,
                    "What it is for; kept in the wallet only",
                ),
                Arg::optional(
                    "subtractfeefrom",
                    Kind::Array,
                    "The addresses whose amounts pay the fee",
                )
                .with(&[Arg::optional("address", Kind::String, "An address")]),
                REPLACEABLE,
                CONF_TARGET,
                ESTIMATE_MODE,
                FEE_RATE,
                VERBOSE,
            ],
            results: SENT,
            examples: &["\"\" \"{\\\"bc1q09vm5lfy0j5reeulh4x5752q25uqqvz34hufdl\\\":0.01}\""],
        },
        run: send_many,
    },
    Entry {
        method: Method {
            name: "signrawtransactionwithwallet",
            category: "wallet",
            summary: "Signs the inputs of a raw transaction that are the wallet's. Needs the passphrase if the wallet is encrypted.",
            args: &[
                Arg::required("hexstring", Kind::String, "The transaction"),
                Arg::optional(
                    "prevtxs",
                    Kind::Array,
                    "Outputs it spends that are not on the chain yet",
                )
                .with(&[Arg::optional("", Kind::Object, "An output").with(&[
                    Arg::required("txid", Kind::StringHex, "Its transaction"),
                    Arg::required("vout", Kind::Number, "Its number"),
                    Arg::required("scriptPubKey", Kind::StringHex, "Its script"),
                    Arg::optional("redeemScript", Kind::StringHex, "What P2SH hashes"),
                    Arg::optional("witnessScript", Kind::StringHex, "What P2WSH hashes"),
                    Arg::optional("amount", Kind::Amount, "Its value in BTC"),
                ])]),
                Arg::default(
                    "sighashtype",
                    Kind::String,
                    "\"DEFAULT for Taproot, ALL otherwise\"",
                    "What signatures cover: DEFAULT, ALL, NONE, SINGLE, or one of the last three with |ANYONECANPAY",
                ),
            ],
            results: super::results::SIGN_RAW_TRANSACTION_WITH_WALLET,
            examples: &["\"myhex\""],
        },
        run: sign_raw_transaction,
    },
];

/// Feerate options of a call, by the positions of their arguments.
fn fee_options(
    call: &Call<'_>,
    wallet: &Wallet,
    control: &mut SpendControl,
    places: [usize; 3],
) -> Result<()> {
    let [target, mode, rate] = places;
    let mode_text = call.args.opt_string(mode)?;
    if call.args.opt(target).is_some()
        && mode_text.is_none_or(|mode| mode == "unset")
        && call.args.opt(rate).is_none()
    {
        return Err(invalid_parameter("Specify estimate_mode"));
    }
    if let Some(rate) = call.args.opt(rate) {
        if call.args.opt(target).is_some() {
            return Err(invalid_parameter(
                "Cannot specify both conf_target and fee_rate. Please provide either a confirmation target in blocks for automatic fee estimation, or an explicit fee rate.",
            ));
        }
        if mode_text.is_some_and(|mode| mode != "unset") {
            return Err(invalid_parameter(
                "Cannot specify both estimate_mode and fee_rate",
            ));
        }
        control.feerate = Some(FeeRate::from_sat_per_kvb(value::fixed_point(rate, 3)?));
        control.signal_rbf.get_or_insert(true);
        return Ok(());
    }
    control.conservative = match mode_text.map(str::to_lowercase).as_deref() {
        None | Some("unset") => None,
        Some("economical") => Some(false),
        Some("conservative") => Some(true),
        Some(_) => {
            return Err(invalid_parameter(
                "Invalid estimate_mode parameter, must be one of: \"unset\", \"economical\", \"conservative\"",
            ));
        }
    };
    if let Some(blocks) = call.args.opt_int::<i32>(target)? {
        let most = wallet.context.chain.max_fee_estimate_blocks()?;
        let blocks = u32::try_from(blocks).unwrap_or(0);
        if blocks < 1 || blocks > most {
            return Err(invalid_parameter(format!(
                "Invalid conf_target, must be between 1 and {most}"
            )));
        }
        control.confirm_target = Some(blocks);
    }
    Ok(())
}

fn recipient(
    wallet: &Wallet,
    address: &str,
    amount: &Value,
    subtract_fee: bool,
) -> Result<Recipient> {
    let script = parse_address(address, wallet.context.options.network).ok_or_else(|| {
        WalletError::refused(
            code::INVALID_ADDRESS_OR_KEY,
            format!("Invalid Bitcoin address: {address}"),
        )
    })?;
    let amount = value::amount(amount)?;
    Ok(Recipient {
        script,
        amount,
        subtract_fee,
    })
}

fn note_text(call: &Call<'_>, index: usize) -> Result<Option<String>> {
    Ok(call
        .args
        .opt_string(index)?
        .filter(|text| !text.is_empty())
        .map(str::to_owned))
}

fn send(
    wallet: &Wallet,
    mut recipients: Vec<Recipient>,
    control: &SpendControl,
    comment: Option<String>,
    comment_to: Option<String>,
    verbose: bool,
) -> Result<Value> {
    wallet.ensure_unlocked()?;
    if wallet.lock().has_flag(FLAG_DISABLE_PRIVATE_KEYS) {
        return Err(WalletError::refused(
            code::WALLET_ERROR,
            "Error: Private keys are disabled for this wallet",
        ));
    }
    recipients.shuffle(&mut OsRng);
    let sent = wallet.send(&recipients, control, |record| {
        record.comment = comment;
        record.comment_to = comment_to;
    })?;
    let txid = sent.txid.to_string();
    Ok(if verbose {
        json!({ "txid": txid, "fee_reason": sent.reason.text() })
    } else {
        txid.into()
    })
}

fn send_to_address(call: &Call<'_>) -> Result<Value> {
    let wallet = call.wallet()?;
    wallet.sync_with_chain()?;
    let args = &call.args;
    let avoids = wallet.lock().has_flag(FLAG_AVOID_REUSE);
    if args.opt_bool(8)? == Some(true) && !avoids {
        return Err(WalletError::refused(
            code::WALLET_ERROR,
            "wallet does not have the \"avoid reuse\" feature enabled",
        ));
    }
    let mut control = SpendControl {
        signal_rbf: args.opt_bool(5)?,
        avoid_reuse: args.opt_bool(8)?,
        ..SpendControl::default()
    };
    fee_options(call, &wallet, &mut control, [6, 7, 9])?;
    wallet.ensure_unlocked()?;
    let to = recipient(&wallet, args.string(0)?, args.get(1), args.bool(4)?)?;
    send(
        &wallet,
        vec![to],
        &control,
        note_text(call, 2)?,
        note_text(call, 3)?,
        args.bool(10)?,
    )
}

fn send_many(call: &Call<'_>) -> Result<Value> {
    let wallet = call.wallet()?;
    wallet.sync_with_chain()?;
    let args = &call.args;
    if args.opt_string(0)?.is_some_and(|dummy| !dummy.is_empty()) {
        return Err(invalid_parameter("Dummy value must be set to \"\""));
    }
    let mut control = SpendControl {
        signal_rbf: args.opt_bool(5)?,
        ..SpendControl::default()
    };
    fee_options(call, &wallet, &mut control, [6, 7, 8])?;
    let mut payers = HashSet::new();
    if let Some(given) = args.opt(4) {
        for address in value::array(given)? {
            payers.insert(value::string(address)?.to_owned());
        }
    }
    let amounts = args.object(1)?;
    let repeated = args.repeated_key(1);
    let mut scripts = HashSet::new();
    let mut recipients = Vec::new();
    for (address, amount) in amounts {
        let to = recipient(&wallet, address, amount, payers.remove(address))?;
        if !scripts.insert(to.script.clone()) || repeated.as_ref() == Some(address) {
            return Err(invalid_parameter(format!(
                "Invalid parameter, duplicated address: {address}"
            )));
        }
        recipients.push(to);
    }
    if let Some(unknown) = payers.into_iter().next() {
        return Err(invalid_parameter(format!(
            "Invalid parameter 'subtract fee from output', destination {unknown} not found in tx outputs"
        )));
    }
    if recipients.is_empty() {
        return Err(WalletError::refused(
            code::WALLET_INSUFFICIENT_FUNDS,
            "Transaction must have at least one recipient",
        ));
    }
    send(
        &wallet,
        recipients,
        &control,
        note_text(call, 3)?,
        None,
        args.bool(9)?,
    )
}

pub(super) fn coverage(text: Option<&str>) -> Result<Coverage> {
    let Some(text) = text else {
        return Ok(Coverage::default());
    };
    let (ecdsa, taproot) = match text {
        "DEFAULT" => (EcdsaSighashType::All, TapSighashType::Default),
        "ALL" => (EcdsaSighashType::All, TapSighashType::All),
        "NONE" => (EcdsaSighashType::None, TapSighashType::None),
        "SINGLE" => (EcdsaSighashType::Single, TapSighashType::Single),
        "ALL|ANYONECANPAY" => (
            EcdsaSighashType::AllPlusAnyoneCanPay,
            TapSighashType::AllPlusAnyoneCanPay,
        ),
        "NONE|ANYONECANPAY" => (
            EcdsaSighashType::NonePlusAnyoneCanPay,
            TapSighashType::NonePlusAnyoneCanPay,
        ),
        "SINGLE|ANYONECANPAY" => (
            EcdsaSighashType::SinglePlusAnyoneCanPay,
            TapSighashType::SinglePlusAnyoneCanPay,
        ),
        _ => {
            return Err(invalid_parameter(format!(
                "'{text}' is not a valid sighash parameter."
            )));
        }
    };
    Ok(Coverage { ecdsa, taproot })
}

/// An output that the caller tells of.
struct GivenOutput {
    output: TxOut,
    redeem_script: Option<ScriptBuf>,
    witness_script: Option<ScriptBuf>,
}

/// Outputs that the caller tells of, with the scripts they commit to.
fn given_outputs(call: &Call<'_>) -> Result<HashMap<OutPoint, GivenOutput>> {
    let mut outputs = HashMap::new();
    let Some(given) = call.args.opt(1) else {
        return Ok(outputs);
    };
    for output in value::array(given)? {
        use value::Field;
        if !output.is_object() {
            return Err(WalletError::refused(
                code::DESERIALIZATION_ERROR,
                "expected object with {\"txid'\",\"vout\",\"scriptPubKey\"}",
            ));
        }
        value::check_object(
            output,
            &[
                ("txid", Field::Of("string")),
                ("vout", Field::Of("number")),
                ("scriptPubKey", Field::Of("string")),
            ],
            false,
            false,
        )?;
        let txid: Txid = value::hash(&output["txid"], "txid")?;
        let vout = u32::try_from(value::int::<i32>(&output["vout"])?).map_err(|_| {
            WalletError::refused(code::DESERIALIZATION_ERROR, "vout cannot be negative")
        })?;
        let script = |name: &str| {
            output
                .get(name)
                .filter(|value| !value.is_null())
                .map(|text| value::hex(text, name).map(ScriptBuf::from_bytes))
                .transpose()
        };
        let amount = output
            .get("amount")
            .filter(|value| !value.is_null())
            .map(value::amount)
            .transpose()?
            .unwrap_or(Amount::MAX_MONEY);
        let given = GivenOutput {
            output: TxOut {
                value: amount,
                script_pubkey: script("scriptPubKey")?.unwrap_or_default(),
            },
            redeem_script: script("redeemScript")?,
            witness_script: script("witnessScript")?,
        };
        outputs.insert(OutPoint { txid, vout }, given);
    }
    Ok(outputs)
}

fn sign_raw_transaction(call: &Call<'_>) -> Result<Value> {
    let undecodable = || {
        WalletError::refused(
            code::DESERIALIZATION_ERROR,
            "TX decode failed. Make sure the tx has at least one input.",
        )
    };
    let wallet = call.wallet()?;
    let bytes = Vec::<u8>::from_hex(call.args.string(0)?).map_err(|_| undecodable())?;
    let tx: Transaction = deserialize(&bytes).map_err(|_| undecodable())?;
    if tx.input.is_empty() {
        return Err(undecodable());
    }
    let coverage = coverage(call.args.opt_string(2)?)?;
    let given = given_outputs(call)?;
    let outpoints: Vec<OutPoint> = tx.input.iter().map(|input| input.previous_output).collect();
    let on_chain: HashMap<OutPoint, TxOut> = wallet
        .context
        .chain
        .find_coins(outpoints.clone())?
        .into_iter()
        .map(|coin| (coin.outpoint, coin.output))
        .collect();
    wallet.ensure_unlocked()?;

    let state = wallet.lock();
    let mut secrets = SecretKeys::new(state.network_kind());
    let mut inputs = Vec::new();
    for outpoint in &outpoints {
        let from_caller = given.get(outpoint);
        let output = from_caller
            .map(|given| given.output.clone())
            .or_else(|| on_chain.get(outpoint).cloned());
        let Some(output) = output else {
            inputs.push(None);
            continue;
        };
        let script = &output.script_pubkey;
        state.collect_secrets(script, &mut secrets)?;
        let solved = state.solve(script).map(|(solved, expansion)| {
            // The caller may know more than a descriptor that only names the address.
            let solved = ExpandedScript {
                redeem_script: solved
                    .redeem_script
                    .or_else(|| from_caller.and_then(|given| given.redeem_script.clone())),
                witness_script: solved
                    .witness_script
                    .or_else(|| from_caller.and_then(|given| given.witness_script.clone())),
                ..solved
            };
            (solved, expansion.keys)
        });
        inputs.push(Some(SignableInput { output, solved }));
    }
    drop(state);
    let (signed, errors) = sign::sign(tx, &inputs, &secrets, coverage);
    let mut result = json!({ "hex": serialize_hex(&signed), "complete": errors.is_empty() });
    if !errors.is_empty() {
        let list: Vec<Value> = errors
            .into_iter()
            .map(|(index, error)| {
                let input = &signed.input[index];
                let witness: Vec<String> = input.witness.iter().map(hex).collect();
                json!({
                    "txid": input.previous_output.txid.to_string(),
                    "vout": input.previous_output.vout,
                    "witness": witness,
                    "scriptSig": input.script_sig.to_hex_string(),
                    "sequence": input.sequence.0,
                    "error": error.to_string(),
                })
            })
            .collect();
        result["errors"] = list.into();
    }
    Ok(result)
}

fn hex(bytes: &[u8]) -> String {
    use bitcoin::hex::DisplayHex;
    bytes.to_lower_hex_string()
}
