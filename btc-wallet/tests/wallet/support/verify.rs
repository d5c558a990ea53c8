//! Signature checks for the scripts that wallets make, apart from the wallet's own code.

use bitcoin::hashes::Hash;
use bitcoin::secp256k1::{Message, Secp256k1, schnorr};
use bitcoin::sighash::{Prevouts, SighashCache, TapSighashType};
use bitcoin::{PublicKey, Script, Transaction, TxOut, XOnlyPublicKey, ecdsa};

fn pushes(script: &Script) -> Vec<Vec<u8>> {
    script
        .instructions()
        .filter_map(|instruction| Some(instruction.ok()?.push_bytes()?.as_bytes().to_vec()))
        .collect()
}

fn check_ecdsa(digest: [u8; 32], signature: &[u8], key: &PublicKey) -> Result<(), String> {
    let signature = ecdsa::Signature::from_slice(signature).map_err(|error| error.to_string())?;
    if signature.signature.serialize_der().len() > 70 {
        return Err("a signature that is not low-R".to_owned());
    }
    Secp256k1::verification_only()
        .verify_ecdsa(
            &Message::from_digest(digest),
            &signature.signature,
            &key.inner,
        )
        .map_err(|error| error.to_string())
}

/// Checks every input.
pub fn inputs(tx: &Transaction, prevouts: &[TxOut]) -> Result<(), String> {
    let mut cache = SighashCache::new(tx);
    for (index, (input, prevout)) in tx.input.iter().zip(prevouts).enumerate() {
        let outer = &prevout.script_pubkey;
        let sig_pushes = pushes(&input.script_sig);
        let redeem = sig_pushes
            .last()
            .map(|bytes| Script::from_bytes(bytes).to_owned());
        let inner = match &redeem {
            Some(redeem) if outer.is_p2sh() => {
                if redeem.to_p2sh() != *outer {
                    return Err("wrong redeem script".to_owned());
                }
                redeem
            }
            _ => outer,
        };
        let witness: Vec<Vec<u8>> = input.witness.iter().map(<[u8]>::to_vec).collect();
        if inner.is_p2wpkh() {
            let key = PublicKey::from_slice(&witness[1]).map_err(|error| error.to_string())?;
            if key.wpubkey_hash().map_err(|error| error.to_string())?[..] != inner.as_bytes()[2..] {
                return Err("wrong key".to_owned());
            }
            let kind = ecdsa::Signature::from_slice(&witness[0])
                .map_err(|error| error.to_string())?
                .sighash_type;
            let digest = cache
                .p2wpkh_signature_hash(index, inner, prevout.value, kind)
                .map_err(|error| error.to_string())?;
            check_ecdsa(digest.to_byte_array(), &witness[0], &key)?;
        } else if inner.is_p2tr() {
            let key = XOnlyPublicKey::from_slice(&inner.as_bytes()[2..])
                .map_err(|error| error.to_string())?;
            let digest = cache
                .taproot_key_spend_signature_hash(
                    index,
                    &Prevouts::All(prevouts),
                    TapSighashType::Default,
                )
                .map_err(|error| error.to_string())?;
            let signature =
                schnorr::Signature::from_slice(&witness[0]).map_err(|error| error.to_string())?;
            Secp256k1::verification_only()
                .verify_schnorr(
                    &signature,
                    &Message::from_digest(digest.to_byte_array()),
                    &key,
                )
                .map_err(|error| error.to_string())?;
        } else if inner.is_p2pkh() {
            let key = PublicKey::from_slice(&sig_pushes[1]).map_err(|error| error.to_string())?;
            let digest = cache
                .legacy_signature_hash(index, inner, 1)
                .map_err(|error| error.to_string())?;
            check_ecdsa(digest.to_byte_array(), &sig_pushes[0], &key)?;
        } else {
            return Err(format!(
                "a script that the test chain does not know: {inner}"
            ));
        }
    }
    Ok(())
}
