//! Addresses and private keys as text, held against Bitcoin Core's vectors.

use bitcoin::hex::FromHex as _;
use bitcoin::secp256k1::{Secp256k1, SecretKey};
use bitcoin::{Network, PrivateKey, ScriptBuf, base58};
use btc_interfaces::address;
use btc_interfaces::descriptor::{Descriptor, KeyCache};
use btc_interfaces::rpc::encode;
use serde_json::Value;

const NETWORKS: [(&str, Network); 4] = [
    ("main", Network::Bitcoin),
    ("testnet4", Network::Testnet4),
    ("signet", Network::Signet),
    ("regtest", Network::Regtest),
];

fn cases(text: &str) -> Vec<Vec<Value>> {
    serde_json::from_str(text).expect("an array of arrays")
}

fn bytes(case: &Value) -> Vec<u8> {
    Vec::from_hex(case.as_str().expect("hex")).expect("hex")
}

/// The script that a private key in this form is paid by, if it is one of this network.
fn paid_by_key(text: &str, network: Network) -> Option<ScriptBuf> {
    let parsed = Descriptor::parse(&format!("pkh({text})"), network, false).ok()?;
    let mut cache = KeyCache::default();
    let expansion = parsed.descriptor.expand(0, &parsed.secrets, &mut cache);
    let scripts = expansion.ok()?.scripts;
    scripts.first().map(|script| script.script_pubkey.clone())
}

#[test]
fn valid_addresses_and_keys_are_read_and_written() {
    let (mut addresses, mut keys) = (0, 0);
    for case in cases(include_str!("data/key_io_valid.json")) {
        let text = case[0].as_str().expect("text");
        let payload = bytes(&case[1]);
        let name = case[2]["chain"].as_str().expect("a chain");
        let (_, network) = NETWORKS
            .into_iter()
            .find(|(chain, _)| *chain == name)
            .expect("a known chain");
        if case[2]["isPrivkey"] == true {
            let secret = SecretKey::from_slice(&payload).expect("a key");
            let key = PrivateKey {
                compressed: case[2]["isCompressed"] == true,
                ..PrivateKey::new(secret, network)
            };
            assert_eq!(key.to_wif(), text);
            let public = key.public_key(&Secp256k1::new());
            let script = ScriptBuf::new_p2pkh(&public.pubkey_hash());
            assert_eq!(paid_by_key(text, network), Some(script), "{text}");
            address::decode(text, network).expect_err("a key is no address");
            keys += 1;
        } else {
            let script = ScriptBuf::from_bytes(payload);
            assert_eq!(address::decode(text, network).as_ref(), Ok(&script));
            assert_eq!(encode::address(&script, network).as_deref(), Some(text));
            let flipped: String = text
                .chars()
                .map(|c| match c {
                    'a'..='z' => c.to_ascii_uppercase(),
                    _ => c.to_ascii_lowercase(),
                })
                .collect();
            let expected = (case[2]["tryCaseFlip"] == true).then_some(script);
            assert_eq!(address::decode(&flipped, network).ok(), expected, "{text}");
            assert_eq!(paid_by_key(text, network), None);
            addresses += 1;
        }
    }
    assert_eq!((addresses, keys), (54, 16));
}

#[test]
fn what_is_neither_address_nor_key_is_refused_on_every_network() {
    let cases = cases(include_str!("data/key_io_invalid.json"));
    for case in &cases {
        let text = case[0].as_str().expect("text");
        for (name, network) in NETWORKS {
            assert!(address::decode(text, network).is_err(), "{name}: {text}");
            assert_eq!(paid_by_key(text, network), None, "{name}: {text}");
        }
    }
    assert_eq!(cases.len(), 70);
}

#[test]
fn base58_is_cores() {
    let cases = cases(include_str!("data/base58_encode_decode.json"));
    for case in &cases {
        let (decoded, text) = (bytes(&case[0]), case[1].as_str().expect("text"));
        assert_eq!(base58::encode(&decoded), text);
        assert_eq!(base58::decode(text).ok(), Some(decoded));
    }
    assert_eq!(cases.len(), 21);
}
