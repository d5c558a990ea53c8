//! Partially signed transactions with what a wallet knows.

use super::{Call, Entry};
use crate::error::{Result, WalletError};
use crate::sign::{Coverage, randomness};
use crate::wallet::state::State;
use bitcoin::consensus::encode::serialize_hex;
use bitcoin::key::{TapTweak, XOnlyPublicKey};
use bitcoin::{PublicKey, ScriptBuf};
use btc_interfaces::descriptor::{SecretKeys, secp};
use btc_interfaces::psbt::sign::{Missing, Options, Session, SignError, sign_input, update_output};
use btc_interfaces::psbt::table::{FINALIZE, PROCESSED, SIGHASH_TYPE, WITH_ORIGINS};
use btc_interfaces::psbt::{Provider, Psbt, PsbtInput, extract};
use btc_interfaces::rpc::code;
use btc_interfaces::rpc::table::{Arg, Kind, Method};
use serde_json::{Value, json};

pub(super) const METHODS: &[Entry] = &[Entry {
    method: Method {
        name: "walletprocesspsbt",
        category: "wallet",
        summary: "Fills in what the wallet knows of a partially signed transaction, and signs what it can. Needs the passphrase if the wallet is encrypted and is to sign.",
        args: &[
            Arg::required("psbt", Kind::String, "The transaction in base64"),
            Arg::default("sign", Kind::Bool, "true", "Sign, rather than only fill in"),
            SIGHASH_TYPE,
            WITH_ORIGINS,
            FINALIZE,
        ],
        results: PROCESSED,
        examples: &["\"psbt\""],
    },
    run: process,
}];

/// A method's error for what is wrong with signing.
fn refused(error: SignError) -> WalletError {
    let code = match error {
        SignError::SighashMismatch => code::DESERIALIZATION_ERROR,
        _ => code::VERIFY_ERROR,
    };
    WalletError::refused(code, error.to_string())
}

fn process(call: &Call<'_>) -> Result<Value> {
    let wallet = call.wallet()?;
    let mut psbt = Psbt::from_base64(call.args.string(0)?).map_err(|error| {
        WalletError::refused(
            code::DESERIALIZATION_ERROR,
            format!("TX decode failed {error}"),
        )
    })?;
    let sign = call.args.bool(1)?;
    let coverage = match call.args.opt_string(2)? {
        None => None,
        Some(name) => Some(super::send::coverage(Some(name))?),
    };
    let with_origins = call.args.bool(3)?;
    let finalize = call.args.bool(4)?;
    if sign {
        wallet.ensure_unlocked()?;
    }
    {
        let state = wallet.lock();
        fill(
            &state,
            &mut psbt,
            Fill {
                sign,
                coverage,
                with_origins,
                finalize,
            },
        )?;
    }
    let tx = extract(&psbt);
    let mut out = json!({"psbt": psbt.to_base64(), "complete": tx.is_some()});
    if let Some(tx) = tx {
        out["hex"] = serialize_hex(&tx).into();
    }
    Ok(out)
}

/// What to fill in.
struct Fill {
    sign: bool,
    coverage: Option<Coverage>,
    with_origins: bool,
    finalize: bool,
}

fn fill(state: &State, psbt: &mut Psbt, wanted: Fill) -> Result<()> {
    let mut provider = Provider::new();
    if !wanted.with_origins {
        provider.hide_origins();
    }
    let mut secrets = SecretKeys::new(state.network_kind());
    for input in &mut psbt.inputs {
        if input.is_finalized() {
            continue;
        }
        if input.non_witness_utxo.is_none()
            && let Some(known) = state.txs.get(&input.previous_output.txid)
        {
            input.non_witness_utxo = Some(known.record.tx.clone());
        }
        for script in scripts_of(input) {
            if let Some((_, expansion)) = state.solve(&script) {
                provider.add_expansion(&expansion);
                if wanted.sign {
                    state.collect_secrets(&script, &mut secrets)?;
                }
            }
        }
    }
    for (_, secret) in secrets.iter() {
        provider.add_secret(secret.clone());
    }
    let tx = psbt
        .unsigned_tx()
        .ok_or_else(|| refused(SignError::InvalidTx))?;
    let mut session = Session::new(psbt, &tx).with_randomness(randomness());
    for (index, input) in psbt.inputs.iter_mut().enumerate() {
        // What nobody told of cannot be filled in.
        let Some(output) = input.utxo() else {
            continue;
        };
        let options = Options {
            sighash_type: wanted.coverage.map(|coverage| coverage.number(output)),
            finalize: wanted.finalize,
        };
        let mut missing = Missing::default();
        match sign_input(&provider, input, index, &mut session, options, &mut missing) {
            Ok(()) | Err(SignError::Incomplete) => {}
            Err(error) => return Err(refused(error)),
        }
    }
    for output in &mut psbt.outputs {
        let mut own = Provider::new();
        if !wanted.with_origins {
            own.hide_origins();
        }
        if let Some((_, expansion)) = state.solve(&output.script) {
            own.add_expansion(&expansion);
            update_output(&own, output);
        }
    }
    psbt.remove_unnecessary_transactions();
    Ok(())
}

/// The script that an input spends, and those of the wallet's own addresses with a key that the input names: a key of
/// a script that several share may be that of an address of one of them.
fn scripts_of(input: &PsbtInput) -> Vec<ScriptBuf> {
    let spent = input.utxo().map(|output| output.script_pubkey.clone());
    let mut scripts: Vec<ScriptBuf> = spent.into_iter().collect();
    for key in input.keys.keys() {
        scripts.extend(addresses_of(key));
    }
    for key in input.tap_keys.keys() {
        scripts.push(key_path(*key));
    }
    scripts
}

fn addresses_of(key: &PublicKey) -> Vec<ScriptBuf> {
    let mut scripts = vec![
        ScriptBuf::new_p2pkh(&key.pubkey_hash()),
        key_path(key.inner.x_only_public_key().0),
    ];
    if let Ok(hash) = key.wpubkey_hash() {
        let program = ScriptBuf::new_p2wpkh(&hash);
        scripts.push(ScriptBuf::new_p2sh(&program.script_hash()));
        scripts.push(program);
    }
    scripts
}

fn key_path(key: XOnlyPublicKey) -> ScriptBuf {
    ScriptBuf::new_p2tr_tweaked(key.tap_tweak(secp(), None).0)
}
