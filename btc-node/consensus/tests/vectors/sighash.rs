//! Signature hashes: Bitcoin Core's `sighash.json`, and BIPs 340 and 341.

use bitcoin::hashes::{Hash, sha256};
use bitcoin::{Amount, ScriptBuf, Transaction, TxOut, Witness, consensus};
use btc_consensus::script::{
    self, CurveVerifier, ScriptError, ScriptFlags, TaprootSpend, TransactionChecker, Uncached,
};
use btc_consensus::sighash::{self, Spend};
use serde_json::Value;

use crate::notation::{hex, report, text, transaction};

fn array<const N: usize>(digits: &str) -> [u8; N] {
    hex(digits)
        .try_into()
        .unwrap_or_else(|_| panic!("not {N} bytes: {digits}"))
}

#[test]
fn legacy_signature_hashes() {
    let cases: Vec<Vec<Value>> =
        serde_json::from_str(include_str!("../data/sighash.json")).unwrap();
    let mut ran = 0;
    for case in &cases {
        let [raw, script, input, hash_type, expected] = &case[..] else {
            assert_eq!(case.len(), 1, "neither a case nor a comment: {case:?}");
            continue;
        };
        ran += 1;
        let transaction = transaction(text(raw));
        let input = input.as_u64().unwrap() as usize;
        let hash_type = hash_type.as_i64().unwrap() as i32;
        let hash = sighash::legacy(&transaction, input, &hex(text(script)), hash_type).unwrap();
        let mut displayed = hash;
        displayed.reverse();
        assert_eq!(displayed, array(text(expected)), "{case:?}");
    }
    report("sighash.json", ran, 500);
}

/// Bitcoin signs hashes alone, so the four vectors with messages of other lengths do not apply.
#[test]
fn schnorr_signatures() {
    let mut ran = 0;
    let mut other_lengths = 0;
    for line in include_str!("../data/bip-0340-test-vectors.csv")
        .lines()
        .skip(1)
    {
        let fields: Vec<&str> = line.split(',').collect();
        let (pubkey, message, signature, expected) = (fields[2], fields[4], fields[5], fields[6]);
        if message.len() != 64 {
            other_lengths += 1;
            continue;
        }
        ran += 1;
        let valid = Uncached.schnorr(array(message), &array(signature), &array(pubkey));
        assert_eq!(valid, expected == "TRUE", "{line}");
    }
    report("bip-0340-test-vectors.csv", ran, 15);
    assert_eq!(other_lengths, 4);
}

#[test]
fn taproot_key_spends() {
    let vectors: Value =
        serde_json::from_str(include_str!("../data/bip341_wallet_vectors.json")).unwrap();
    let mut ran = 0;
    for case in vectors["keyPathSpending"].as_array().unwrap() {
        let prevouts: Vec<TxOut> = case["given"]["utxosSpent"]
            .as_array()
            .unwrap()
            .iter()
            .map(|output| TxOut {
                value: Amount::from_sat(output["amountSats"].as_u64().unwrap()),
                script_pubkey: ScriptBuf::from_bytes(hex(text(&output["scriptPubKey"]))),
            })
            .collect();
        let unsigned: Transaction =
            consensus::deserialize(&hex(text(&case["given"]["rawUnsignedTx"]))).unwrap();
        let spend = Spend::new(unsigned, prevouts.clone()).unwrap();
        for input in case["inputSpending"].as_array().unwrap() {
            ran += 1;
            let index = input["given"]["txinIndex"].as_u64().unwrap() as usize;
            let hash_type = input["given"]["hashType"].as_u64().unwrap() as u8;
            let output_hash = || {
                let output = &spend.transaction().output[index];
                sha256::Hash::hash(&consensus::serialize(output))
            };
            let context = TaprootSpend {
                annex_hash: None,
                leaf: None,
            };
            let hash = sighash::taproot(&spend, index, hash_type, &context, output_hash).unwrap();
            assert_eq!(
                hash,
                array(text(&input["intermediary"]["sigHash"])),
                "input {index}"
            );
        }

        let signed = transaction(text(&case["auxiliary"]["fullySignedTx"]));
        let spend = Spend::new(signed, prevouts).unwrap();
        for (index, input) in spend.transaction().input.iter().enumerate() {
            let checker = TransactionChecker::new(&spend, index).unwrap();
            let script_pubkey = &spend.prevouts()[index].script_pubkey;
            let verdict = script::verify(
                &input.script_sig,
                script_pubkey,
                &input.witness,
                ScriptFlags::STANDARD,
                &checker,
            );
            assert_eq!(verdict, Ok(()), "input {index}");
        }
    }
    report("bip341_wallet_vectors.json, key spends", ran, 7);
}

#[test]
fn taproot_commitments() {
    let vectors: Value =
        serde_json::from_str(include_str!("../data/bip341_wallet_vectors.json")).unwrap();
    let mut leaves = 0;
    for case in vectors["scriptPubKey"].as_array().unwrap() {
        let Some(blocks) = case["expected"]["scriptPathControlBlocks"].as_array() else {
            continue;
        };
        let script_pubkey = ScriptBuf::from_bytes(hex(text(&case["expected"]["scriptPubKey"])));
        let mut scripts = Vec::new();
        collect_leaves(&case["given"]["scriptTree"], &mut scripts);
        for (index, (version, script)) in scripts.iter().enumerate() {
            leaves += 1;
            let expected: [u8; 32] = array(text(&case["intermediary"]["leafHashes"][index]));
            assert_eq!(
                sighash::leaf_hash(*version, script).to_byte_array(),
                expected
            );

            // The scripts want signatures that nobody has, so what shows that the control block
            // is right is that the script's own error comes first.
            let control = hex(text(&blocks[index]));
            let mismatch = Err(ScriptError::WitnessProgramMismatch);
            assert_ne!(reveal(&script_pubkey, script, &control), mismatch);
            for byte in 0..control.len() {
                let mut wrong = control.clone();
                wrong[byte] ^= 1;
                assert_eq!(
                    reveal(&script_pubkey, script, &wrong),
                    mismatch,
                    "byte {byte}"
                );
            }
        }
    }
    report("bip341_wallet_vectors.json, leaves", leaves, 12);
}

fn collect_leaves(tree: &Value, leaves: &mut Vec<(u8, Vec<u8>)>) {
    match tree {
        Value::Array(branches) => branches
            .iter()
            .for_each(|tree| collect_leaves(tree, leaves)),
        leaf => {
            let version = leaf["leafVersion"].as_u64().unwrap() as u8;
            leaves.push((version, hex(text(&leaf["script"]))));
        }
    }
}

/// Spends an output by a script with no arguments.
fn reveal(script_pubkey: &ScriptBuf, script: &[u8], control: &[u8]) -> Result<(), ScriptError> {
    let transaction = Transaction {
        version: bitcoin::transaction::Version::TWO,
        lock_time: bitcoin::absolute::LockTime::ZERO,
        input: vec![bitcoin::TxIn::default()],
        output: Vec::new(),
    };
    let prevout = TxOut {
        value: Amount::ZERO,
        script_pubkey: script_pubkey.clone(),
    };
    let spend = Spend::new(transaction, vec![prevout]).unwrap();
    let checker = TransactionChecker::new(&spend, 0).unwrap();
    let witness = Witness::from_slice(&[script, control]);
    script::verify(
        &ScriptBuf::new(),
        script_pubkey,
        &witness,
        ScriptFlags::ALL,
        &checker,
    )
}
