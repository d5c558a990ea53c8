//! Properties of signature hashes on transactions of any shape.

use bitcoin::absolute::LockTime;
use bitcoin::hashes::Hash;
use bitcoin::sighash::{EcdsaSighashType, SighashCache};
use bitcoin::transaction::Version;
use bitcoin::{Amount, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Txid, Witness};
use btc_consensus::script::{CurveVerifier, TaprootSpend};
use btc_consensus::script::{EcdsaVersion, SignatureChecker, TransactionChecker};
use btc_consensus::sighash::{self, Spend};
use proptest::prelude::*;
use std::cell::RefCell;
use std::rc::Rc;

fn script() -> impl Strategy<Value = ScriptBuf> {
    proptest::collection::vec(any::<u8>(), 0..40).prop_map(ScriptBuf::from_bytes)
}

fn output() -> impl Strategy<Value = TxOut> {
    (0..2_100_000_000_000_000u64, script()).prop_map(|(value, script_pubkey)| TxOut {
        value: Amount::from_sat(value),
        script_pubkey,
    })
}

fn input() -> impl Strategy<Value = TxIn> {
    (any::<[u8; 32]>(), any::<u32>(), script(), any::<u32>()).prop_map(
        |(txid, vout, script_sig, sequence)| TxIn {
            previous_output: OutPoint::new(Txid::from_byte_array(txid), vout),
            script_sig,
            sequence: Sequence(sequence),
            witness: Witness::new(),
        },
    )
}

prop_compose! {
    fn spends()(
        version: i32,
        lock_time: u32,
        inputs in proptest::collection::vec((input(), output()), 1..6),
        output in proptest::collection::vec(output(), 0..6),
    ) -> Spend {
        let (input, prevouts): (Vec<_>, Vec<_>) = inputs.into_iter().unzip();
        let lock_time = LockTime::from_consensus(lock_time);
        let transaction = Transaction { version: Version(version), lock_time, input, output };
        Spend::new(transaction, prevouts).expect("as many prevouts as inputs")
    }
}

/// Keeps the hashes that it is asked to verify.
#[derive(Clone, Default)]
struct Recorder(Rc<RefCell<Vec<[u8; 32]>>>);

impl CurveVerifier for Recorder {
    fn ecdsa(&self, sighash: [u8; 32], _: &[u8], _: &[u8]) -> bool {
        self.0.borrow_mut().push(sighash);
        true
    }

    fn schnorr(&self, sighash: [u8; 32], _: &[u8; 64], _: &[u8; 32]) -> bool {
        self.0.borrow_mut().push(sighash);
        true
    }
}

proptest! {
    /// One checker that sees many checks, each hash type twice and the script codes in turn, asks
    /// for the same hashes as a fresh computation of each.
    #[test]
    fn midstates_change_nothing(
        spend in spends(),
        pick: prop::sample::Index,
        codes in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..60), 1..3),
        checks in proptest::collection::vec((any::<u8>(), 0..3usize, any::<bool>()), 1..24),
    ) {
        let input = pick.index(spend.transaction().input.len());
        let recorder = Recorder::default();
        let checker = TransactionChecker::with_verifier(&spend, input, recorder.clone()).unwrap();
        let mut pubkey = [7; 33];
        pubkey[0] = 2;
        let mut expected = Vec::new();
        for (hash_type, code, segwit) in checks.iter().chain(&checks) {
            let code = &codes[code % codes.len()];
            let hash_type_wide = i32::from(*hash_type);
            let version = if *segwit { EcdsaVersion::WitnessV0 } else { EcdsaVersion::Legacy };
            prop_assert!(checker.check_ecdsa(&[*hash_type], &pubkey, code, version));
            expected.push(if *segwit {
                sighash::segwit_v0(&spend, input, code, hash_type_wide).unwrap()
            } else {
                sighash::legacy(spend.transaction(), input, code, hash_type_wide).unwrap()
            });
        }
        prop_assert_eq!(&*recorder.0.borrow(), &expected);
    }

    /// The `bitcoin` crate's signer, written by others from the same documents, agrees.
    #[test]
    fn a_second_implementation_agrees(
        spend in spends(),
        pick: prop::sample::Index,
        code in script(),
        hash_type in prop_oneof![Just(1u8), Just(2), Just(3), Just(0x81), Just(0x82), Just(0x83)],
    ) {
        let transaction = spend.transaction();
        let input = pick.index(transaction.input.len());
        let value = spend.prevouts()[input].value;
        let ecdsa_type = EcdsaSighashType::from_consensus(hash_type.into());
        let mut cache = SighashCache::new(transaction);
        let segwit = cache.p2wsh_signature_hash(input, &code, value, ecdsa_type).unwrap();
        let ours = sighash::segwit_v0(&spend, input, code.as_bytes(), hash_type.into());
        prop_assert_eq!(ours, Some(segwit.to_byte_array()));

        let prevouts = bitcoin::sighash::Prevouts::All(spend.prevouts());
        let taproot_type = bitcoin::TapSighashType::from_consensus_u8(hash_type).unwrap();
        let theirs = cache.taproot_key_spend_signature_hash(input, &prevouts, taproot_type);
        let recorder = Recorder::default();
        let checker = TransactionChecker::with_verifier(&spend, input, recorder.clone()).unwrap();
        let mut signature = [0; 65];
        signature[64] = hash_type;
        let key_spend = TaprootSpend { annex_hash: None, leaf: None };
        let verdict = checker.check_schnorr(&signature, &[7; 32], &key_spend);
        match theirs {
            Ok(hash) => prop_assert_eq!(&*recorder.0.borrow(), &[hash.to_byte_array()]),
            // There is no output of the input's number to sign.
            Err(_) => prop_assert!(verdict.is_err()),
        }
    }
}
