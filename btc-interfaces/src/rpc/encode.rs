//! Transactions and scripts as the JSON that every RPC method shows, and the kinds of scripts behind it.
//!
//! Pure: `bitcoin` types in, JSON out, as `serde_json` values or written straight into a text, keys in Core's order. The node and the wallet both use it, so that
//! one transaction looks the same whoever answers.

mod asm;
mod kind;
pub mod shape;

pub use asm::{is_valid_signature_encoding, script_to_asm};
pub use kind::{Push, Pushes, ScriptKind, is_push_only};

use super::writer::JsonWriter;
use crate::descriptor::checksum;
use bitcoin::consensus::encode::serialize;
use bitcoin::hashes::Hash;
use bitcoin::hex::DisplayHex;
use bitcoin::{Address, BlockHash, Network, Script, Transaction, TxOut, XOnlyPublicKey};
use serde_json::{Map, Value};

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
    let mut out = JsonWriter::default();
    write_transaction(&mut out, tx, details);
    parsed(out)
}

/// As [`transaction`], written.
pub fn write_transaction(out: &mut JsonWriter, tx: &Transaction, details: &TxDetails<'_>) {
    // Without inputs the library would write an empty list of witnesses, which the protocol has not.
    let (hash, size) = if tx.input.is_empty() {
        (tx.compute_txid().to_byte_array(), tx.base_size())
    } else {
        (tx.compute_wtxid().to_byte_array(), tx.total_size())
    };
    let weight = 3 * tx.base_size() + size;
    let spent = details
        .spent
        .filter(|spent| spent.len() == tx.input.len() && !tx.is_coinbase());
    out.object(|out| {
        out.key("txid").hash(tx.compute_txid().to_byte_array());
        out.key("hash").hash(hash);
        // The protocol's version is unsigned; the library keeps it signed.
        out.key("version").number(tx.version.0.cast_unsigned());
        out.key("size").number(size as u64);
        out.key("vsize").number(weight.div_ceil(4) as u64);
        out.key("weight").number(weight as u64);
        out.key("locktime").number(tx.lock_time.to_consensus_u32());
        out.key("vin")
            .array(|out| write_inputs(out, tx, spent, details));
        out.key("vout").array(|out| {
            for (n, output) in (0u32..).zip(&tx.output) {
                out.object(|out| {
                    out.key("value").amount(output.value.to_sat().cast_signed());
                    out.key("n").number(n);
                    out.key("scriptPubKey");
                    write_script(out, &output.script_pubkey, details.network, true);
                });
            }
        });
        if let Some(spent) = spent {
            let paid_in: u64 = spent.iter().map(|spent| spent.output.value.to_sat()).sum();
            let paid_out: u64 = tx.output.iter().map(|output| output.value.to_sat()).sum();
            out.key("fee")
                .amount(paid_in.cast_signed().saturating_sub(paid_out.cast_signed()));
        }
        if let Some(hash) = details.block_hash {
            out.key("blockhash").hash(hash.to_byte_array());
        }
        if details.include_hex {
            out.key("hex").hex(&serialize(tx));
        }
    });
}

fn write_inputs(
    out: &mut JsonWriter,
    tx: &Transaction,
    spent: Option<&[SpentOutput]>,
    details: &TxDetails<'_>,
) {
    let coinbase = tx.is_coinbase();
    for (index, input) in tx.input.iter().enumerate() {
        out.object(|out| {
            if coinbase {
                out.key("coinbase").hex(input.script_sig.as_bytes());
            } else {
                let source = input.previous_output;
                out.key("txid").hash(source.txid.to_byte_array());
                out.key("vout").number(source.vout);
                out.key("scriptSig").object(|out| {
                    out.key("asm")
                        .plain(&script_to_asm(&input.script_sig, true));
                    out.key("hex").hex(input.script_sig.as_bytes());
                });
            }
            if !input.witness.is_empty() {
                out.key("txinwitness").array(|out| {
                    for item in &input.witness {
                        out.hex(item);
                    }
                });
            }
            if let Some(spent) = spent.filter(|_| details.show_prevouts) {
                let spent = &spent[index];
                out.key("prevout").object(|out| {
                    out.key("generated").boolean(spent.coinbase);
                    out.key("height").number(spent.height);
                    out.key("value")
                        .amount(spent.output.value.to_sat().cast_signed());
                    out.key("scriptPubKey");
                    write_script(out, &spent.output.script_pubkey, details.network, true);
                });
            }
            out.key("sequence").number(input.sequence.0);
        });
    }
}

/// What was written, read again.
fn parsed(out: JsonWriter) -> Map<String, Value> {
    serde_json::from_str(&out.into_text()).expect("an object was written")
}

/// An output script with its descriptor, hex, address and type.
pub fn script_pubkey(script: &Script, network: Network) -> Value {
    script_details(script, network, true)
}

/// As [`script_pubkey`]; the hex can be left out where the caller shows it elsewhere.
pub fn script_details(script: &Script, network: Network, include_hex: bool) -> Value {
    let mut out = JsonWriter::default();
    write_script(&mut out, script, network, include_hex);
    Value::Object(parsed(out))
}

fn write_script(out: &mut JsonWriter, script: &Script, network: Network, include_hex: bool) {
    let kind = ScriptKind::of(script);
    let address = address_of(&kind, script, network);
    let descriptor = descriptor_of(&kind, script, address.as_deref());
    out.object(|out| {
        out.key("asm").plain(&script_to_asm(script, false));
        out.key("desc").string(&descriptor);
        if include_hex {
            out.key("hex").hex(script.as_bytes());
        }
        if let Some(address) = &address {
            out.key("address").plain(address);
        }
        out.key("type").plain(kind.name());
    });
}

/// The address that pays to `script`, if there is one.
pub fn address(script: &Script, network: Network) -> Option<String> {
    address_of(&ScriptKind::of(script), script, network)
}

fn address_of(kind: &ScriptKind<'_>, script: &Script, network: Network) -> Option<String> {
    kind.has_address().then_some(())?;
    Address::from_script(script, network)
        .ok()
        .map(|address| address.to_string())
}

/// The descriptor of an output script of which no more is known than the script: with its checksum.
pub fn infer_descriptor(script: &Script, network: Network) -> String {
    let kind = ScriptKind::of(script);
    let address = address_of(&kind, script, network);
    descriptor_of(&kind, script, address.as_deref())
}

fn descriptor_of(kind: &ScriptKind<'_>, script: &Script, address: Option<&str>) -> String {
    let descriptor = match kind {
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
        _ => match address {
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
