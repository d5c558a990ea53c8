//! Partially signed transactions against the vectors of their BIPs.

#![allow(clippy::unwrap_used)]

use bitcoin::consensus::encode::serialize_hex;
use bitcoin::{Network, NetworkKind, PrivateKey};
use btc_interfaces::descriptor::{DerivedKey, Descriptor, KeyOrigin, Secret, SecretKeys, secp};
use btc_interfaces::psbt::sign::{Missing, Options, Session, SignError, sign_input};
use btc_interfaces::psbt::{
    Analysis, Provider, Psbt, PsbtVersion, Role, analyze, extract, finalize,
};
use proptest::prelude::*;
use serde_json::Value;

fn vectors() -> Value {
    serde_json::from_str(include_str!("data/psbt.json")).unwrap()
}

fn texts(list: &Value) -> Vec<String> {
    let list = list.as_array().unwrap();
    list.iter()
        .map(|text| text.as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn what_breaks_the_format_is_refused() {
    for text in texts(&vectors()["invalid"]) {
        assert!(Psbt::from_base64(&text).is_err(), "{text}");
    }
}

#[test]
fn a_refusal_says_what_is_wrong() {
    for case in vectors()["invalid_with_msg"].as_array().unwrap() {
        let (text, words) = (case[0].as_str().unwrap(), case[1].as_str().unwrap());
        let error = Psbt::from_base64(text).unwrap_err().to_string();
        assert!(error.contains(words), "{error} for {words}");
    }
}

#[test]
fn what_is_valid_is_written_and_read_again() {
    for text in texts(&vectors()["valid"]) {
        let psbt = Psbt::from_base64(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
        let again = Psbt::from_base64(&psbt.to_base64()).unwrap();
        assert_eq!(psbt.to_base64(), again.to_base64());
        assert_eq!(psbt.version(), again.version());
    }
}

#[test]
fn copies_are_combined_finished_and_extracted() {
    let vectors = vectors();
    let case = &vectors["combiner"][0];
    let copies = texts(&case["combine"]);
    let mut all = Psbt::from_base64(&copies[0]).unwrap();
    assert!(all.merge(&Psbt::from_base64(&copies[1]).unwrap()));
    assert_eq!(all.to_base64(), case["result"].as_str().unwrap());

    let case = &vectors["finalizer"][0];
    let mut psbt = Psbt::from_base64(case["finalize"].as_str().unwrap()).unwrap();
    assert!(finalize(&mut psbt));
    assert_eq!(psbt.to_base64(), case["result"].as_str().unwrap());

    let case = &vectors["extractor"][0];
    let psbt = Psbt::from_base64(case["extract"].as_str().unwrap()).unwrap();
    let tx = extract(&psbt).unwrap();
    assert_eq!(serialize_hex(&tx), case["result"].as_str().unwrap());
}

#[test]
fn different_transactions_are_not_combined() {
    let vectors = texts(&vectors()["valid"]);
    let mut psbt = Psbt::from_base64(&vectors[0]).unwrap();
    let before = psbt.clone();
    let others = vectors.iter().map(|text| Psbt::from_base64(text).unwrap());
    let other = others
        .into_iter()
        .find(|other| other.unique_id() != psbt.unique_id());
    assert!(!psbt.merge(&other.unwrap()));
    assert_eq!(psbt, before);
}

fn provider_of(keys: &Value) -> Provider {
    let mut provider = Provider::new();
    for wif in texts(keys) {
        let key = PrivateKey::from_wif(&wif).unwrap();
        let public = key.public_key(secp());
        let mut fingerprint = [0; 4];
        fingerprint.copy_from_slice(&public.pubkey_hash()[..4]);
        provider.add_key(&DerivedKey {
            key: public,
            origin: KeyOrigin {
                fingerprint: fingerprint.into(),
                path: Vec::new(),
            },
        });
        provider.add_secret(Secret::new(key.inner, key.compressed));
    }
    // The keys' origins are in the transactions already.
    provider.hide_origins();
    provider
}

#[test]
fn signers_add_their_signatures() {
    for case in vectors()["signer"].as_array().unwrap() {
        let mut psbt = Psbt::from_base64(case["psbt"].as_str().unwrap()).unwrap();
        let provider = provider_of(&case["privkeys"]);
        let tx = psbt.unsigned_tx().unwrap();
        let mut session = Session::new(&psbt, &tx);
        let options = Options {
            sighash_type: None,
            finalize: false,
        };
        for (index, input) in psbt.inputs.iter_mut().enumerate() {
            let mut missing = Missing::default();
            let outcome = sign_input(&provider, input, index, &mut session, options, &mut missing);
            assert_ne!(outcome, Err(SignError::SighashMismatch));
        }
        if let Some(result) = case["result"].as_str() {
            assert_eq!(psbt.to_base64(), result);
        }
    }
}

const SPENT: &str = "02f9308a019258c31049344f85f89d5229b531c845836f99b08601f113bce036f9";
const SECRET: &str = "cMahea7zqjxrtgAbB7LSGbcQUr1uX1ojuat9jZodMN87K7XCyj5v";

/// Pays to what a descriptor says and spends it again with the descriptor's own keys.
fn spend(text: &str, sequence: u32) -> (Psbt, Result<(), SignError>) {
    use bitcoin::{Amount, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Witness};
    let parsed = Descriptor::parse(text, Network::Regtest, false).unwrap();
    let expansion = parsed
        .descriptor
        .expand(0, &parsed.secrets, &mut Default::default())
        .unwrap();
    let mut provider = Provider::new();
    provider.add_expansion(&expansion);
    for secret in parsed.descriptor.secrets_at(0, &parsed.secrets).unwrap() {
        provider.add_secret(secret);
    }
    let funding = Transaction {
        version: bitcoin::transaction::Version::TWO,
        lock_time: bitcoin::absolute::LockTime::ZERO,
        input: vec![TxIn::default()],
        output: vec![TxOut {
            value: Amount::from_sat(100_000),
            script_pubkey: expansion.scripts[0].script_pubkey.clone(),
        }],
    };
    let tx = Transaction {
        input: vec![TxIn {
            previous_output: OutPoint::new(funding.compute_txid(), 0),
            script_sig: ScriptBuf::new(),
            sequence: Sequence(sequence),
            witness: Witness::new(),
        }],
        output: vec![TxOut {
            value: Amount::from_sat(90_000),
            script_pubkey: ScriptBuf::from_hex("0014751e76e8199196d454941c45d1b3a323f1433bd6")
                .unwrap(),
        }],
        ..funding.clone()
    };
    let mut psbt = Psbt::from_unsigned(&tx, PsbtVersion::Two);
    psbt.inputs[0].non_witness_utxo = Some(funding);
    let mut session = Session::new(&psbt, &tx);
    let mut input = psbt.inputs[0].clone();
    let mut missing = Missing::default();
    let outcome = sign_input(
        &provider,
        &mut input,
        0,
        &mut session,
        Options::default(),
        &mut missing,
    );
    psbt.inputs[0] = input;
    (psbt, outcome)
}

fn witness(psbt: &Psbt) -> Vec<Vec<u8>> {
    let witness = psbt.inputs[0].final_script_witness.as_ref();
    witness.map(bitcoin::Witness::to_vec).unwrap_or_default()
}

#[test]
fn a_tree_is_spent_through_the_leaf_whose_key_is_known() {
    let (psbt, outcome) = spend(
        &format!("tr({SPENT},{{pk({SECRET}),multi_a(1,{SPENT})}})"),
        0xffff_fffd,
    );
    assert_eq!(outcome, Ok(()));
    let witness = witness(&psbt);
    assert_eq!(witness.len(), 3);
    assert_eq!(witness[0].len(), 64);
    assert_eq!(witness[2].len(), 65);
}

#[test]
fn miniscript_is_satisfied_once_its_delay_is_over() {
    let text = format!("wsh(and_v(v:pk({SECRET}),older(10)))");
    let (psbt, outcome) = spend(&text, 10);
    assert_eq!(outcome, Ok(()));
    assert_eq!(witness(&psbt).len(), 2);
    let (psbt, outcome) = spend(&text, 9);
    assert_eq!(outcome, Err(SignError::Incomplete));
    // The signature is kept all the same.
    assert_eq!(psbt.inputs[0].partial_signatures.len(), 1);
}

#[test]
fn analysis_tells_who_is_next() {
    let (psbt, _) = spend(&format!("wpkh({SPENT})"), 0);
    let Analysis::Valid {
        inputs, next, fee, ..
    } = analyze(&psbt, &|_, _| false)
    else {
        panic!("valid");
    };
    assert_eq!((next, fee), (Role::Signer, Some(10_000)));
    assert_eq!(inputs[0].missing.signatures.len(), 1);
    let (psbt, _) = spend(&format!("wpkh({SECRET})"), 0);
    let Analysis::Valid { next, .. } = analyze(&psbt, &|_, input| input.is_finalized()) else {
        panic!("valid");
    };
    assert_eq!(next, Role::Extractor);
}

#[test]
fn secrets_are_not_shown() {
    let mut keys = SecretKeys::new(NetworkKind::Test);
    let key = PrivateKey::from_wif(SECRET).unwrap();
    keys.insert(Secret::new(key.inner, true));
    let mut provider = Provider::new();
    provider.add_secret(Secret::new(key.inner, true));
    let shown = format!("{provider:?}");
    assert_eq!(shown, "Provider(0 scripts, 0 keys, 1 secrets)");
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = Psbt::from_bytes(&bytes);
        let _ = Psbt::from_bytes(&[b"psbt\xff".as_slice(), &bytes].concat());
    }

    #[test]
    fn no_changed_byte_makes_it_panic(which in 0..20_usize, at in any::<proptest::sample::Index>(), byte: u8) {
        let text = texts(&vectors()["valid"])[which].clone();
        let mut bytes = Psbt::from_base64(&text).unwrap().to_bytes();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(mut psbt) = Psbt::from_bytes(&bytes) {
            analyze(&psbt, &|_, _| false);
            finalize(&mut psbt);
            prop_assert!(Psbt::from_bytes(&psbt.to_bytes()).is_ok());
        }
    }
}
