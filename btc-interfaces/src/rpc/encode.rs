//! Transactions and scripts as the JSON that every RPC method shows, and the kinds of scripts behind it.
//!
//! Pure: `bitcoin` types in, `serde_json` values out, keys in Core's order. The node and the wallet both use it, so that
//! one transaction looks the same whoever answers.

mod asm;
mod kind;

pub use asm::{is_valid_signature_encoding, script_to_asm};
pub use kind::{Push, Pushes, ScriptKind, is_push_only};

use super::value::{from_amount, from_sat};
use crate::descriptor::checksum;
use bitcoin::consensus::encode::serialize_hex;
use bitcoin::hex::DisplayHex;
use bitcoin::{Address, BlockHash, Network, Script, Transaction, TxOut, XOnlyPublicKey};
use serde_json::{Map, Value, json};

/// The output that an input spends, as undo data or the coins know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpentOutput {
    /// Value and script.
    pub output: TxOut,
    /// Height of the block that made it.
    pub height: u32,
    /// Whether a coinbase made it.
    pub coinbase: bool,
}

/// What [`transaction`] shows beside the transaction itself.
#[derive(Debug, Clone, Copy)]
pub struct TxDetails<'a> {
    /// The network whose addresses are shown.
    pub network: Network,
    /// The block it is in, shown as `blockhash`.
    pub block_hash: Option<BlockHash>,
    /// The outputs it spends, one for each input; with them the fee is shown. Leave out for a coinbase.
    pub spent: Option<&'a [SpentOutput]>,
    /// Whether each input also shows the output it spends (`prevout`).
    pub show_prevouts: bool,
    /// Whether the transaction's hex comes last.
    pub include_hex: bool,
}

impl TxDetails<'_> {
    /// The transaction alone, with its hex.
    pub fn plain(network: Network) -> Self {
        Self {
            network,
            block_hash: None,
            spent: None,
            show_prevouts: false,
            include_hex: true,
        }
    }
}

/// A transaction with its inputs, outputs and sizes, as `decoderawtransaction` and others show it.
pub fn transaction(tx: &Transaction, details: &TxDetails<'_>) -> Map<String, Value> {
    let mut out = Map::new();
    // Without inputs the library would write an empty list of witnesses, which the protocol has not.
    let (hash, size, weight) = if tx.input.is_empty() {
        let size = tx.base_size();
        (tx.compute_txid().to_string(), size, 4 * size as u64)
    } else {
        let weight = tx.weight().to_wu();
        (tx.compute_wtxid().to_string(), tx.total_size(), weight)
    };
    out.insert("txid".into(), json!(tx.compute_txid().to_string()));
    out.insert("hash".into(), json!(hash));
    // The protocol's version is unsigned; the library keeps it signed.
    out.insert("version".into(), json!(tx.version.0.cast_unsigned()));
    out.insert("size".into(), json!(size));
    out.insert("vsize".into(), json!(weight.div_ceil(4)));
    out.insert("weight".into(), json!(weight));
    out.insert("locktime".into(), json!(tx.lock_time.to_consensus_u32()));
    let spent = details
        .spent
        .filter(|spent| spent.len() == tx.input.len() && !tx.is_coinbase());
    out.insert("vin".into(), inputs(tx, spent, details));
    let outputs = tx.output.iter().enumerate().map(|(n, output)| {
        json!({
            "value": from_amount(output.value),
            "n": n,
            "scriptPubKey": script_pubkey(&output.script_pubkey, details.network),
        })
    });
    out.insert("vout".into(), outputs.collect());
    if let Some(spent) = spent {
        let paid_in: u64 = spent.iter().map(|spent| spent.output.value.to_sat()).sum();
        let paid_out: u64 = tx.output.iter().map(|output| output.value.to_sat()).sum();
        out.insert(
            "fee".into(),
            from_sat(paid_in.cast_signed().saturating_sub(paid_out.cast_signed())),
        );
    }
    if let Some(hash) = details.block_hash {
        out.insert("blockhash".into(), json!(hash.to_string()));
    }
    if details.include_hex {
        out.insert("hex".into(), json!(serialize_hex(tx)));
    }
    out
}

fn inputs(tx: &Transaction, spent: Option<&[SpentOutput]>, details: &TxDetails<'_>) -> Value {
    let coinbase = tx.is_coinbase();
    tx.input
        .iter()
        .enumerate()
        .map(|(index, input)| {
            let mut vin = Map::new();
            if coinbase {
                vin.insert("coinbase".into(), json!(input.script_sig.to_hex_string()));
            } else {
                vin.insert("txid".into(), json!(input.previous_output.txid.to_string()));
                vin.insert("vout".into(), json!(input.previous_output.vout));
                vin.insert(
                    "scriptSig".into(),
                    json!({
                        "asm": script_to_asm(&input.script_sig, true),
                        "hex": input.script_sig.to_hex_string(),
                    }),
                );
            }
            if !input.witness.is_empty() {
                let items = input
                    .witness
                    .iter()
                    .map(|item| json!(item.to_lower_hex_string()));
                vin.insert("txinwitness".into(), items.collect());
            }
            if let Some(spent) = spent
                .filter(|_| details.show_prevouts)
                .map(|spent| &spent[index])
            {
                vin.insert(
                    "prevout".into(),
                    json!({
                        "generated": spent.coinbase,
                        "height": spent.height,
                        "value": from_amount(spent.output.value),
                        "scriptPubKey": script_pubkey(&spent.output.script_pubkey, details.network),
                    }),
                );
            }
            vin.insert("sequence".into(), json!(input.sequence.0));
            Value::Object(vin)
        })
        .collect()
}

/// An output script with its descriptor, hex, address and type.
pub fn script_pubkey(script: &Script, network: Network) -> Value {
    script_details(script, network, true)
}

/// As [`script_pubkey`]; the hex can be left out where the caller shows it elsewhere.
pub fn script_details(script: &Script, network: Network, include_hex: bool) -> Value {
    let mut out = Map::new();
    out.insert("asm".into(), json!(script_to_asm(script, false)));
    out.insert("desc".into(), json!(infer_descriptor(script, network)));
    if include_hex {
        out.insert("hex".into(), json!(script.to_hex_string()));
    }
    if let Some(address) = address(script, network) {
        out.insert("address".into(), json!(address));
    }
    out.insert("type".into(), json!(ScriptKind::of(script).name()));
    Value::Object(out)
}

/// The address that pays to `script`, if there is one.
pub fn address(script: &Script, network: Network) -> Option<String> {
    ScriptKind::of(script).has_address().then_some(())?;
    Address::from_script(script, network)
        .ok()
        .map(|address| address.to_string())
}

/// The descriptor of an output script of which no more is known than the script: with its checksum.
pub fn infer_descriptor(script: &Script, network: Network) -> String {
    let descriptor = match ScriptKind::of(script) {
        ScriptKind::PubKey { key } => format!("pk({})", key.to_lower_hex_string()),
        ScriptKind::Multisig { required, keys } => {
            let mut text = format!("multi({required}");
            for key in keys {
                text.push(',');
                text.push_str(&key.to_lower_hex_string());
            }
            text + ")"
        }
        ScriptKind::WitnessV1Taproot { output_key }
            if XOnlyPublicKey::from_slice(output_key).is_ok() =>
        {
            format!("rawtr({})", output_key.to_lower_hex_string())
        }
        _ => match address(script, network) {
            Some(address) => format!("addr({address})"),
            None => format!("raw({})", script.to_hex_string()),
        },
    };
    let sum = checksum(&descriptor).unwrap_or_default();
    format!("{descriptor}#{sum}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use bitcoin::ScriptBuf;

    fn script(hex: &str) -> ScriptBuf {
        ScriptBuf::from_hex(hex).unwrap()
    }

    /// Shown by Core for the outputs of its cached regtest chain.
    #[test]
    fn scripts_look_as_core_shows_them() {
        let shown = script_pubkey(
            &script("76a9142b4569203694fc997e13f2c0a1383b9e16c77a0d88ac"),
            Network::Regtest,
        );
        assert_eq!(
            shown["asm"],
            "OP_DUP OP_HASH160 2b4569203694fc997e13f2c0a1383b9e16c77a0d OP_EQUALVERIFY OP_CHECKSIG"
        );
        assert_eq!(shown["address"], "mjTkW3DjgyZck4KbiRusZsqTgaYTxdSz6z");
        assert_eq!(shown["type"], "pubkeyhash");
        let shown = script_pubkey(&script("51024e73"), Network::Regtest);
        assert_eq!(shown["type"], "anchor");
        assert_eq!(shown["address"], "bcrt1pfeesnyr2tx");
        let shown = script_pubkey(&script("6a"), Network::Regtest);
        assert_eq!(shown["type"], "nulldata");
        assert!(shown.get("address").is_none());
        let keys: Vec<&String> = shown.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["asm", "desc", "hex", "type"]);
    }
}
