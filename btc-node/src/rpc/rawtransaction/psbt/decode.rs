//! Showing a partially signed transaction.

use super::super::super::context::{Entry, NodeParts};
use super::super::super::registry::{RequestContext, RpcResult};
use super::{PSBT, read};
use bitcoin::bip32::ChildNumber;
use bitcoin::hashes::Hash;
use bitcoin::hex::DisplayHex;
use bitcoin::{Amount, Network, PublicKey, Script, Transaction, base58};
use btc_interfaces::descriptor::KeyOrigin;
use btc_interfaces::psbt::{
    ProprietaryMap, Psbt, PsbtInput, PsbtOutput, PsbtVersion, TaprootKeys, Unknown,
};
use btc_interfaces::rpc::encode::{
    ScriptKind, TxDetails, script_details, script_to_asm, transaction,
};
use btc_interfaces::rpc::table::Method;
use btc_interfaces::rpc::value::{from_amount, from_sat};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// The methods of this module.
pub(super) const METHODS: &[Entry] = &[Entry {
    method: Method {
        name: "decodepsbt",
        category: "rawtransactions",
        summary: "Shows a partially signed transaction.",
        args: &[PSBT],
        results: crate::rpc::results::psbt::DECODE_PSBT,
        examples: &["\"psbt\""],
    },
    run: decode,
}];

fn decode(parts: &NodeParts, context: &RequestContext<'_>) -> RpcResult {
    let psbt = read(context.arguments.string(0)?)?;
    let network = parts.network();
    let mut out = Map::new();
    if psbt.version() == PsbtVersion::Zero
        && let Some(tx) = psbt.unsigned_tx()
    {
        out.insert("tx".into(), show_transaction(&tx, network));
    }
    let xpubs = psbt.xpubs.iter().map(|(origin, xpub)| {
        json!({
            "xpub": base58::encode_check(xpub),
            "master_fingerprint": origin.fingerprint.to_string(),
            "path": path(origin),
        })
    });
    out.insert("global_xpubs".into(), xpubs.collect());
    if psbt.version() == PsbtVersion::Two {
        let version = psbt.tx_version.0.cast_unsigned();
        out.insert("tx_version".into(), json!(version));
        if let Some(lock_time) = psbt.fallback_lock_time {
            let lock_time = lock_time.to_consensus_u32();
            out.insert("fallback_locktime".into(), json!(lock_time));
        }
        out.insert("input_count".into(), json!(psbt.inputs.len()));
        out.insert("output_count".into(), json!(psbt.outputs.len()));
        if let Some(flags) = psbt.modifiable {
            out.insert("inputs_modifiable".into(), json!(flags & 1 != 0));
            out.insert("outputs_modifiable".into(), json!(flags & 2 != 0));
            out.insert("has_sighash_single".into(), json!(flags & 4 != 0));
        }
    }
    out.insert("psbt_version".into(), json!(psbt.version().number()));
    out.insert("proprietary".into(), proprietary(&psbt.proprietary));
    out.insert("unknown".into(), unknown(&psbt.unknown));
    let inputs = psbt.inputs.iter();
    let inputs = inputs.map(|input| show_input(input, psbt.version(), network));
    out.insert("inputs".into(), inputs.collect());
    let outputs = psbt.outputs.iter();
    let outputs = outputs.map(|output| show_output(output, psbt.version(), network));
    out.insert("outputs".into(), outputs.collect());
    if let Some(fee) = fee(&psbt) {
        out.insert("fee".into(), from_sat(fee));
    }
    Ok(Value::Object(out))
}

/// What the inputs have beyond the outputs, if all is known and in the range of money.
fn fee(psbt: &Psbt) -> Option<i64> {
    let spent = psbt
        .inputs
        .iter()
        .map(|input| input.utxo().map(|output| output.value));
    let paid = psbt.outputs.iter().map(|output| Some(output.amount));
    let (spent, paid) = (sum_of(spent)?, sum_of(paid)?);
    // Both are at most 21 million coins.
    Some(spent.to_sat().cast_signed() - paid.to_sat().cast_signed())
}

/// The sum, if all is known and it stays in the range of money.
fn sum_of(mut amounts: impl Iterator<Item = Option<Amount>>) -> Option<Amount> {
    amounts.try_fold(Amount::ZERO, |sum, amount| {
        let amount = amount.filter(|amount| *amount <= Amount::MAX_MONEY)?;
        let sum = sum.checked_add(amount)?;
        (sum <= Amount::MAX_MONEY).then_some(sum)
    })
}

fn show_transaction(tx: &Transaction, network: Network) -> Value {
    let details = TxDetails {
        include_hex: false,
        ..TxDetails::plain(network)
    };
    Value::Object(transaction(tx, &details))
}

/// A script that an output commits to.
fn inner_script(script: &Script) -> Value {
    json!({
        "asm": script_to_asm(script, false),
        "hex": script.to_hex_string(),
        "type": ScriptKind::of(script).name(),
    })
}

fn path(origin: &KeyOrigin) -> String {
    let mut text = "m".to_owned();
    for step in &origin.path {
        text.push('/');
        match step {
            ChildNumber::Normal { index } => text.push_str(&index.to_string()),
            ChildNumber::Hardened { index } => {
                text.push_str(&index.to_string());
                text.push('h');
            }
        }
    }
    text
}

fn keys(keys: &BTreeMap<PublicKey, KeyOrigin>) -> Value {
    keys.iter()
        .map(|(key, origin)| {
            json!({
                "pubkey": key.to_string(),
                "master_fingerprint": origin.fingerprint.to_string(),
                "path": path(origin),
            })
        })
        .collect()
}

fn taproot_keys(keys: &TaprootKeys) -> Value {
    keys.iter()
        .map(|(key, (leaves, origin))| {
            let leaves: Vec<String> = leaves
                .iter()
                .map(|leaf| leaf.as_byte_array().to_lower_hex_string())
                .collect();
            json!({
                "pubkey": key.to_string(),
                "master_fingerprint": origin.fingerprint.to_string(),
                "path": path(origin),
                "leaf_hashes": leaves,
            })
        })
        .collect()
}

fn participants(all: &BTreeMap<PublicKey, Vec<PublicKey>>) -> Value {
    all.iter()
        .map(|(aggregate, participants)| {
            let participants: Vec<String> = participants.iter().map(|k| k.to_string()).collect();
            json!({
                "aggregate_pubkey": aggregate.to_string(),
                "participant_pubkeys": participants,
            })
        })
        .collect()
}

fn proprietary(records: &ProprietaryMap) -> Value {
    records
        .iter()
        .map(|(key, record)| {
            json!({
                "identifier": record.identifier.to_lower_hex_string(),
                "subtype": record.subtype,
                "key": key.to_lower_hex_string(),
                "value": record.value.to_lower_hex_string(),
            })
        })
        .collect()
}

fn unknown(records: &Unknown) -> Value {
    let shown = records.iter().map(|(key, value)| {
        (
            key.to_lower_hex_string(),
            json!(value.to_lower_hex_string()),
        )
    });
    Value::Object(shown.collect())
}

fn preimages<H: AsRef<[u8]>>(all: &BTreeMap<H, Vec<u8>>) -> Value {
    let shown = all.iter().map(|(hash, preimage)| {
        let hash = hash.as_ref().to_lower_hex_string();
        (hash, json!(preimage.to_lower_hex_string()))
    });
    Value::Object(shown.collect())
}

/// The name of what signatures cover; empty for what has none.
fn sighash_name(kind: u32) -> &'static str {
    match kind & 0xff {
        0x01 => "ALL",
        0x81 => "ALL|ANYONECANPAY",
        0x02 => "NONE",
        0x82 => "NONE|ANYONECANPAY",
        0x03 => "SINGLE",
        0x83 => "SINGLE|ANYONECANPAY",
        0x00 => "DEFAULT",
        _ => "",
    }
}

/// The fields of an object, of which empty ones are left away.
#[derive(Default)]
struct Fields(Map<String, Value>);

impl Fields {
    fn put(&mut self, name: &str, value: Value) {
        self.0.insert(name.to_owned(), value);
    }

    fn put_unless_empty(&mut self, name: &str, value: Value) {
        let empty = match &value {
            Value::Array(items) => items.is_empty(),
            Value::Object(fields) => fields.is_empty(),
            _ => false,
        };
        if !empty {
            self.put(name, value);
        }
    }
}

fn show_input(input: &PsbtInput, version: PsbtVersion, network: Network) -> Value {
    let mut out = Fields::default();
    if let Some(output) = &input.witness_utxo {
        out.put(
            "witness_utxo",
            json!({
                "amount": from_sat(output.value.to_sat().cast_signed()),
                "scriptPubKey": script_details(&output.script_pubkey, network, true),
            }),
        );
    }
    if let Some(tx) = &input.non_witness_utxo {
        out.put("non_witness_utxo", show_transaction(tx, network));
    }
    let signatures = input
        .partial_signatures
        .values()
        .map(|(key, signature)| (key.to_string(), json!(signature.to_lower_hex_string())));
    out.put_unless_empty("partial_signatures", Value::Object(signatures.collect()));
    if let Some(kind) = input.sighash_type {
        out.put("sighash", json!(sighash_name(kind)));
    }
    if let Some(script) = &input.redeem_script {
        out.put("redeem_script", inner_script(script));
    }
    if let Some(script) = &input.witness_script {
        out.put("witness_script", inner_script(script));
    }
    out.put_unless_empty("bip32_derivs", keys(&input.keys));
    if let Some(script) = &input.final_script_sig {
        let asm = script_to_asm(script, true);
        out.put(
            "final_scriptSig",
            json!({"asm": asm, "hex": script.to_hex_string()}),
        );
    }
    if let Some(witness) = &input.final_script_witness {
        let elements = witness.iter().map(|element| element.to_lower_hex_string());
        out.put("final_scriptwitness", elements.collect());
    }
    out.put_unless_empty("ripemd160_preimages", preimages(&input.ripemd160_preimages));
    out.put_unless_empty("sha256_preimages", preimages(&input.sha256_preimages));
    out.put_unless_empty("hash160_preimages", preimages(&input.hash160_preimages));
    out.put_unless_empty("hash256_preimages", preimages(&input.hash256_preimages));
    if version == PsbtVersion::Two {
        out.put(
            "previous_txid",
            json!(input.previous_output.txid.to_string()),
        );
        out.put("previous_vout", json!(input.previous_output.vout));
        if let Some(sequence) = input.sequence {
            out.put("sequence", json!(sequence.0));
        }
        if let Some(time) = input.time_lock_time {
            out.put("time_locktime", json!(time));
        }
        if let Some(height) = input.height_lock_time {
            out.put("height_locktime", json!(height));
        }
    }
    show_taproot(input, &mut out);
    show_musig(input, &mut out);
    out.put_unless_empty("proprietary", proprietary(&input.proprietary));
    out.put_unless_empty("unknown", unknown(&input.unknown));
    Value::Object(out.0)
}

fn show_taproot(input: &PsbtInput, out: &mut Fields) {
    if let Some(signature) = &input.tap_key_signature {
        out.put(
            "taproot_key_path_sig",
            json!(signature.to_lower_hex_string()),
        );
    }
    let signatures = input.tap_script_signatures.iter();
    let signatures = signatures.map(|((key, leaf), signature)| {
        json!({
            "pubkey": key.to_string(),
            "leaf_hash": leaf.as_byte_array().to_lower_hex_string(),
            "sig": signature.to_lower_hex_string(),
        })
    });
    out.put_unless_empty("taproot_script_path_sigs", signatures.collect());
    let scripts = input.tap_scripts.iter().map(|((script, version), blocks)| {
        let blocks: Vec<String> = blocks
            .iter()
            .map(|block| block.0.to_lower_hex_string())
            .collect();
        json!({
            "script": script.to_hex_string(),
            "leaf_ver": version,
            "control_blocks": blocks,
        })
    });
    out.put_unless_empty("taproot_scripts", scripts.collect());
    out.put_unless_empty("taproot_bip32_derivs", taproot_keys(&input.tap_keys));
    if let Some(key) = &input.tap_internal_key {
        out.put("taproot_internal_key", json!(key.to_string()));
    }
    if let Some(root) = &input.tap_merkle_root {
        let root = root.as_byte_array().to_lower_hex_string();
        out.put("taproot_merkle_root", json!(root));
    }
}

fn show_musig(input: &PsbtInput, out: &mut Fields) {
    out.put_unless_empty(
        "musig2_participant_pubkeys",
        participants(&input.musig2_participants),
    );
    let mut nonces = Vec::new();
    for (session, all) in &input.musig2_nonces {
        for (participant, nonce) in all {
            let nonce = nonce.to_lower_hex_string();
            nonces.push(musig_record(session, participant, "pubnonce", nonce));
        }
    }
    out.put_unless_empty("musig2_pubnonces", Value::Array(nonces));
    let mut signatures = Vec::new();
    for (session, all) in &input.musig2_signatures {
        for (participant, signature) in all {
            let signature = signature.to_lower_hex_string();
            signatures.push(musig_record(session, participant, "partial_sig", signature));
        }
    }
    out.put_unless_empty("musig2_partial_sigs", Value::Array(signatures));
}

fn musig_record(
    (aggregate, leaf): &btc_interfaces::psbt::MusigSession,
    participant: &PublicKey,
    name: &str,
    data: String,
) -> Value {
    let mut out = Fields::default();
    out.put("participant_pubkey", json!(participant.to_string()));
    out.put("aggregate_pubkey", json!(aggregate.to_string()));
    if let Some(leaf) = leaf {
        let leaf = leaf.as_byte_array().to_lower_hex_string();
        out.put("leaf_hash", json!(leaf));
    }
    out.put(name, json!(data));
    Value::Object(out.0)
}

fn show_output(output: &PsbtOutput, version: PsbtVersion, network: Network) -> Value {
    let mut out = Fields::default();
    if let Some(script) = &output.redeem_script {
        out.put("redeem_script", inner_script(script));
    }
    if let Some(script) = &output.witness_script {
        out.put("witness_script", inner_script(script));
    }
    out.put_unless_empty("bip32_derivs", keys(&output.keys));
    if version == PsbtVersion::Two {
        let amount = match output.amount {
            amount if amount <= Amount::MAX_MONEY => from_amount(amount),
            amount => from_sat(amount.to_sat().cast_signed()),
        };
        out.put("amount", amount);
        out.put("script", script_details(&output.script, network, true));
    }
    if let Some(key) = &output.tap_internal_key {
        out.put("taproot_internal_key", json!(key.to_string()));
    }
    let tree = output.tap_tree.iter().map(|(depth, version, script)| {
        json!({
            "depth": depth,
            "leaf_ver": version,
            "script": script.to_hex_string(),
        })
    });
    out.put_unless_empty("taproot_tree", tree.collect());
    out.put_unless_empty("taproot_bip32_derivs", taproot_keys(&output.tap_keys));
    out.put_unless_empty(
        "musig2_participant_pubkeys",
        participants(&output.musig2_participants),
    );
    out.put_unless_empty("proprietary", proprietary(&output.proprietary));
    out.put_unless_empty("unknown", unknown(&output.unknown));
    Value::Object(out.0)
}
