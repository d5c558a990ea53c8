//! Bitcoin Core's `script_tests.json`: each case's exact error, and that rules only ever restrict.

use bitcoin::absolute::LockTime;
use bitcoin::key::UntweakedPublicKey;
use bitcoin::secp256k1::{Secp256k1, SecretKey};
use bitcoin::taproot::{LeafVersion, TaprootBuilder, TaprootSpendInfo};
use bitcoin::transaction::Version;
use bitcoin::{
    Amount, Denomination, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Witness,
};
use btc_consensus::script::{self, ScriptFlags, TransactionChecker};
use btc_consensus::sighash::Spend;
use serde_json::Value;

use crate::notation::{self, hex, text};

const CASES: usize = 1233;

struct Case {
    script_sig: ScriptBuf,
    script_pubkey: ScriptBuf,
    witness: Witness,
    amount: Amount,
    flags: ScriptFlags,
    expected: String,
}

impl Case {
    /// The case's fields, of which a witness with an amount may come first; `None` for comments.
    fn parse(fields: &[Value]) -> Option<Self> {
        let (witness_fields, fields) = match fields {
            [Value::Array(witness), rest @ ..] => (Some(witness), rest),
            all => (None, all),
        };
        let [script_sig, script_pubkey, flags, expected, ..] = fields else {
            assert_eq!(fields.len(), 1, "neither a case nor a comment: {fields:?}");
            return None;
        };
        let mut witness = Witness::new();
        let mut amount = Amount::ZERO;
        let mut tree = None;
        if let Some((value, items)) = witness_fields.and_then(|fields| fields.split_last()) {
            amount = Amount::from_str_in(&value.to_string(), Denomination::Bitcoin).unwrap();
            tree = push_witness(&mut witness, items);
        }
        let script_pubkey = match text(script_pubkey) {
            "0x51 0x20 #TAPROOTOUTPUT#" => {
                ScriptBuf::new_p2tr_tweaked(tree.expect("a script to commit to").output_key())
            }
            notation => notation::script(notation),
        };
        Some(Self {
            script_sig: notation::script(text(script_sig)),
            script_pubkey,
            witness,
            amount,
            flags: text(flags).parse().unwrap(),
            expected: text(expected).to_owned(),
        })
    }

    /// A transaction with one input that spends the only output of another.
    fn spend(&self) -> Spend {
        let transaction = |input, output| Transaction {
            version: Version::ONE,
            lock_time: LockTime::ZERO,
            input: vec![input],
            output: vec![output],
        };
        let prevout = TxOut {
            value: self.amount,
            script_pubkey: self.script_pubkey.clone(),
        };
        let crediting = transaction(
            TxIn {
                script_sig: notation::script("0 0"),
                ..TxIn::default()
            },
            prevout.clone(),
        );
        let spending = transaction(
            TxIn {
                previous_output: OutPoint::new(crediting.compute_txid(), 0),
                script_sig: self.script_sig.clone(),
                sequence: Sequence::MAX,
                witness: self.witness.clone(),
            },
            TxOut {
                value: self.amount,
                script_pubkey: ScriptBuf::new(),
            },
        );
        Spend::new(spending, vec![prevout]).unwrap()
    }
}

/// Reads witness items; a script after `#SCRIPT#` may be followed by the control block of a tree
/// that holds it alone.
fn push_witness(witness: &mut Witness, items: &[Value]) -> Option<TaprootSpendInfo> {
    let mut tree = None;
    for item in items {
        let item = text(item);
        if let Some(notation) = item.strip_prefix("#SCRIPT#") {
            witness.push(notation::script(notation).as_bytes());
        } else if item == "#CONTROLBLOCK#" {
            let leaf = ScriptBuf::from_bytes(witness.last().expect("a script").to_vec());
            let spend_info = single_leaf(&leaf);
            let control = spend_info
                .control_block(&(leaf, LeafVersion::TapScript))
                .unwrap();
            witness.push(control.serialize());
            tree = Some(spend_info);
        } else {
            witness.push(hex(item));
        }
    }
    tree
}

fn single_leaf(leaf: &ScriptBuf) -> TaprootSpendInfo {
    let secp = Secp256k1::new();
    let mut secret = [0; 32];
    secret[31] = 1;
    let secret = SecretKey::from_slice(&secret).unwrap();
    let internal = UntweakedPublicKey::from(secret.public_key(&secp));
    TaprootBuilder::new()
        .add_leaf(0, leaf.clone())
        .unwrap()
        .finalize(&secp, internal)
        .unwrap()
}

fn outcome(spend: &Spend, flags: ScriptFlags) -> &'static str {
    let checker = TransactionChecker::new(spend, 0).unwrap();
    let input = &spend.transaction().input[0];
    let script_pubkey = &spend.prevouts()[0].script_pubkey;
    match script::verify(
        &input.script_sig,
        script_pubkey,
        &input.witness,
        flags,
        &checker,
    ) {
        Ok(()) => "OK",
        Err(error) => error.name(),
    }
}

#[test]
fn script_tests() {
    let cases: Vec<Vec<Value>> =
        serde_json::from_str(include_str!("../data/script_tests.json")).unwrap();
    let mut ran = 0;
    for fields in &cases {
        let Some(case) = Case::parse(fields) else {
            continue;
        };
        ran += 1;
        let spend = case.spend();
        assert_eq!(outcome(&spend, case.flags), case.expected, "{fields:?}");

        // Every rule is a soft fork: a valid script stays valid without any of them, an invalid
        // one stays invalid with more.
        let valid = case.expected == "OK";
        for (name, flag) in ScriptFlags::NAMES {
            let flags = if valid {
                trimmed(case.flags.with_implied().without(*flag))
            } else {
                case.flags | *flag
            };
            assert_eq!(
                outcome(&spend, flags) == "OK",
                valid,
                "{name} changes {fields:?}"
            );
        }
    }
    notation::report("script_tests.json", ran, CASES);
}

/// Without the flags that lost what they build on.
fn trimmed(flags: ScriptFlags) -> ScriptFlags {
    let flags = match flags.contains(ScriptFlags::P2SH) {
        true => flags,
        false => flags.without(ScriptFlags::WITNESS),
    };
    match flags.contains(ScriptFlags::WITNESS) {
        true => flags,
        false => flags.without(ScriptFlags::CLEANSTACK),
    }
}
