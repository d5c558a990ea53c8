//! The spending cases that Bitcoin Core's `feature_taproot.py` generates, under every set of
//! consensus rules that a block could ever be held to.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io::BufRead;

use bitcoin::{ScriptBuf, Transaction, TxOut, Witness, consensus};
use btc_consensus::script::{self, CurveVerifier, ScriptFlags, TransactionChecker, Uncached};
use btc_consensus::sighash::Spend;
use serde_json::Value;

use crate::notation::{hex, report, text, transaction};

const CASES: usize = 4095;

/// The rules that blocks are held to.
const CONSENSUS: [ScriptFlags; 7] = [
    ScriptFlags::P2SH,
    ScriptFlags::DERSIG,
    ScriptFlags::NULLDUMMY,
    ScriptFlags::CHECKLOCKTIMEVERIFY,
    ScriptFlags::CHECKSEQUENCEVERIFY,
    ScriptFlags::WITNESS,
    ScriptFlags::TAPROOT,
];

/// Every set of those rules in which each has what it builds on.
fn consensus_flags() -> Vec<ScriptFlags> {
    (0..1 << CONSENSUS.len())
        .map(|bits| {
            let chosen = CONSENSUS
                .iter()
                .enumerate()
                .filter(|(bit, _)| bits >> bit & 1 == 1);
            chosen.fold(ScriptFlags::NONE, |set, (_, flag)| set | *flag)
        })
        .filter(|set| *set == set.with_implied())
        .filter(|set| !set.contains(ScriptFlags::TAPROOT) || set.contains(ScriptFlags::WITNESS))
        .collect()
}

/// A signature hash, a public key and a signature.
type Check = ([u8; 32], Vec<u8>, Vec<u8>);

/// Remembers what it verified: a case runs under some sixty sets of rules with the same signatures.
#[derive(Default)]
struct Remembering(RefCell<HashMap<Check, bool>>);

impl Remembering {
    fn verdict(
        &self,
        sighash: [u8; 32],
        pubkey: &[u8],
        signature: &[u8],
        verify: impl FnOnce() -> bool,
    ) -> bool {
        let check = (sighash, pubkey.to_vec(), signature.to_vec());
        *self.0.borrow_mut().entry(check).or_insert_with(verify)
    }
}

impl CurveVerifier for &Remembering {
    fn ecdsa(&self, sighash: [u8; 32], signature: &[u8], pubkey: &[u8]) -> bool {
        self.verdict(sighash, pubkey, signature, || {
            Uncached.ecdsa(sighash, signature, pubkey)
        })
    }

    fn schnorr(&self, sighash: [u8; 32], signature: &[u8; 64], pubkey: &[u8; 32]) -> bool {
        self.verdict(sighash, pubkey, signature, || {
            Uncached.schnorr(sighash, signature, pubkey)
        })
    }
}

struct Case {
    transaction: Transaction,
    prevouts: Vec<TxOut>,
    index: usize,
    flags: ScriptFlags,
}

impl Case {
    fn parse(case: &Value) -> Self {
        let prevouts = case["prevouts"].as_array().unwrap().iter();
        Self {
            transaction: transaction(text(&case["tx"])),
            prevouts: prevouts
                .map(|output| consensus::deserialize(&hex(text(output))).unwrap())
                .collect(),
            index: case["index"].as_u64().unwrap() as usize,
            flags: text(&case["flags"]).parse().unwrap(),
        }
    }

    /// The transaction with this input's scriptSig and witness filled in.
    fn spend(&self, solution: &Value) -> Spend {
        let mut transaction = self.transaction.clone();
        let input = &mut transaction.input[self.index];
        input.script_sig = ScriptBuf::from_bytes(hex(text(&solution["scriptSig"])));
        let items = solution["witness"].as_array().unwrap().iter();
        let items: Vec<Vec<u8>> = items.map(|item| hex(text(item))).collect();
        input.witness = Witness::from_slice(&items);
        Spend::new(transaction, self.prevouts.clone()).unwrap()
    }

    fn is_valid(&self, spend: &Spend, flags: ScriptFlags, verifier: &Remembering) -> bool {
        let checker = TransactionChecker::with_verifier(spend, self.index, verifier).unwrap();
        let input = &spend.transaction().input[self.index];
        let script_pubkey = &spend.prevouts()[self.index].script_pubkey;
        script::verify(
            &input.script_sig,
            script_pubkey,
            &input.witness,
            flags,
            &checker,
        )
        .is_ok()
    }
}

#[test]
fn taproot_cases() {
    let mut lines = Vec::new();
    let mut packed = &include_bytes!("../data/taproot_cases.jsonl.xz")[..];
    lzma_rs::xz_decompress(&mut packed, &mut lines).unwrap();

    let all_flags = consensus_flags();
    let mut ran = 0;
    let mut verdicts = 0;
    for line in lines.lines() {
        let value: Value = serde_json::from_str(&line.unwrap()).unwrap();
        let case = Case::parse(&value);
        let comment = &value["comment"];
        let verifier = Remembering::default();
        ran += 1;
        if let Some(solution) = value.get("success") {
            let spend = case.spend(solution);
            let is_final = value
                .get("final")
                .is_some_and(|value| value.as_bool().unwrap());
            for flags in &all_flags {
                if is_final || case.flags.contains(*flags) {
                    assert!(
                        case.is_valid(&spend, *flags, &verifier),
                        "{comment} under {flags}"
                    );
                    verdicts += 1;
                }
            }
        }
        if let Some(solution) = value.get("failure") {
            let spend = case.spend(solution);
            for flags in all_flags.iter().filter(|flags| flags.contains(case.flags)) {
                assert!(
                    !case.is_valid(&spend, *flags, &verifier),
                    "{comment} under {flags}"
                );
                verdicts += 1;
            }
        }
    }
    eprintln!("taproot_cases.jsonl.xz: {verdicts} verdicts");
    report("taproot_cases.jsonl.xz", ran, CASES);
}
