//! Bitcoin Core's `tx_valid.json` and `tx_invalid.json`.

use std::collections::HashMap;

use bitcoin::{Amount, OutPoint, ScriptBuf, TxOut};
use btc_consensus::check_transaction;
use btc_consensus::script::{self, ScriptError, ScriptFlags, TransactionChecker};
use btc_consensus::sighash::Spend;
use serde_json::Value;

use crate::notation::{self, report, text, transaction};

struct Case {
    spend: Spend,
    flags: String,
}

impl Case {
    /// `None` for comments.
    fn parse(fields: &[Value]) -> Option<Self> {
        let [Value::Array(prevouts), raw, flags] = fields else {
            assert_eq!(fields.len(), 1, "neither a case nor a comment: {fields:?}");
            return None;
        };
        let prevouts: HashMap<OutPoint, TxOut> = prevouts.iter().map(prevout).collect();
        let transaction = transaction(text(raw));
        // Some cases are invalid before anybody asks what they spend.
        let nothing = TxOut {
            value: Amount::ZERO,
            script_pubkey: ScriptBuf::new(),
        };
        let spent = transaction
            .input
            .iter()
            .map(|input| {
                prevouts
                    .get(&input.previous_output)
                    .unwrap_or(&nothing)
                    .clone()
            })
            .collect();
        let spend = Spend::new(transaction, spent).unwrap();
        Some(Self {
            spend,
            flags: text(flags).to_owned(),
        })
    }

    /// Runs the scripts of all inputs.
    fn verify(&self, flags: ScriptFlags) -> Result<(), ScriptError> {
        let transaction = self.spend.transaction();
        transaction
            .input
            .iter()
            .enumerate()
            .try_for_each(|(index, input)| {
                let checker = TransactionChecker::new(&self.spend, index).unwrap();
                let script_pubkey = &self.spend.prevouts()[index].script_pubkey;
                script::verify(
                    &input.script_sig,
                    script_pubkey,
                    &input.witness,
                    flags,
                    &checker,
                )
            })
    }
}

fn prevout(fields: &Value) -> (OutPoint, TxOut) {
    let vout = fields[1].as_i64().unwrap() as u32;
    let amount = fields.get(3).map_or(0, |amount| amount.as_u64().unwrap());
    let output = TxOut {
        value: Amount::from_sat(amount),
        script_pubkey: notation::script(text(&fields[2])),
    };
    (
        OutPoint::new(text(&fields[0]).parse().unwrap(), vout),
        output,
    )
}

/// Flags that lost what they build on are dropped, so that no implied flag comes back.
fn trimmed(mut flags: ScriptFlags) -> ScriptFlags {
    if !flags.contains(ScriptFlags::P2SH) {
        flags = flags.without(ScriptFlags::WITNESS);
    }
    if !flags.contains(ScriptFlags::WITNESS) {
        flags = flags.without(ScriptFlags::CLEANSTACK);
    }
    flags
}

#[test]
fn valid_transactions() {
    let cases: Vec<Vec<Value>> =
        serde_json::from_str(include_str!("../data/tx_valid.json")).unwrap();
    let mut ran = 0;
    for fields in &cases {
        let Some(case) = Case::parse(fields) else {
            continue;
        };
        ran += 1;
        assert_eq!(
            check_transaction(case.spend.transaction()),
            Ok(()),
            "{fields:?}"
        );
        // A valid case names the rules that it breaks.
        let broken: ScriptFlags = case.flags.parse().unwrap();
        assert_eq!(case.verify(!broken), Ok(()), "{fields:?}");
        for (name, flag) in ScriptFlags::NAMES {
            let fewer = trimmed(!(broken | *flag));
            assert_eq!(case.verify(fewer), Ok(()), "without {name}: {fields:?}");
            if broken.contains(*flag) {
                let kept = trimmed(broken.without(*flag));
                assert!(case.verify(!kept).is_err(), "with {name}: {fields:?}");
            }
        }
    }
    report("tx_valid.json", ran, 121);
}

#[test]
fn invalid_transactions() {
    let cases: Vec<Vec<Value>> =
        serde_json::from_str(include_str!("../data/tx_invalid.json")).unwrap();
    let mut ran = 0;
    for fields in &cases {
        let Some(case) = Case::parse(fields) else {
            continue;
        };
        ran += 1;
        let structure = check_transaction(case.spend.transaction());
        assert_eq!(structure.is_err(), case.flags == "BADTX", "{fields:?}");
        if structure.is_err() {
            continue;
        }
        // An invalid case names a smallest set of rules that makes it so.
        let flags: ScriptFlags = case.flags.parse().unwrap();
        assert!(case.verify(flags).is_err(), "{fields:?}");
        for (name, flag) in ScriptFlags::NAMES {
            assert!(
                case.verify(flags | *flag).is_err(),
                "with {name}: {fields:?}"
            );
            if flags.contains(*flag) {
                let fewer = trimmed(flags.without(*flag));
                assert_eq!(case.verify(fewer), Ok(()), "without {name}: {fields:?}");
            }
        }
    }
    report("tx_invalid.json", ran, 93);
}
