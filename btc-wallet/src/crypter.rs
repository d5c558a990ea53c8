//! Encryption of private keys under a passphrase, in Core's format.
//!
//! A random master key encrypts the private keys (AES-256-CBC, the vector taken from the public key's hash); the
//! passphrase encrypts the master key, stretched by many rounds of SHA-512.

use aes::Aes256;
use bitcoin::PublicKey;
use bitcoin::hashes::{Hash, sha256d, sha512};
use bitcoin::secp256k1::SecretKey;
use bitcoin::secp256k1::rand::RngCore;
use bitcoin::secp256k1::rand::rngs::OsRng;
use btc_interfaces::descriptor::Secret;
use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::{BlockDecryptMut, BlockEncryptMut, KeyIvInit};
use std::fmt;
use std::time::{Duration, Instant};
use zeroize::Zeroizing;

const KEY_SIZE: usize = 32;
const IV_SIZE: usize = 16;
const SALT_SIZE: usize = 8;
/// Rounds of hashing that every passphrase gets at least.
const MIN_ROUNDS: u32 = 25_000;
/// How long stretching a passphrase is to take on the machine that encrypts.
const TARGET_TIME: Duration = Duration::from_millis(100);

/// The stored, encrypted form of the key that encrypts a wallet's keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MasterKey {
    pub(crate) crypted_key: Vec<u8>,
    pub(crate) salt: Vec<u8>,
    pub(crate) derivation_method: u32,
    pub(crate) rounds: u32,
    pub(crate) other_parameters: Vec<u8>,
}

/// The key that encrypts a wallet's keys; erased when dropped, never shown.
#[derive(Clone)]
pub(crate) struct PlainMasterKey(Zeroizing<[u8; KEY_SIZE]>);

impl fmt::Debug for PlainMasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PlainMasterKey(..)")
    }
}

fn stretch(passphrase: &[u8], salt: &[u8], rounds: u32) -> Zeroizing<[u8; 64]> {
    let first = Zeroizing::new([passphrase, salt].concat());
    let mut hash = Zeroizing::new(sha512::Hash::hash(&first).to_byte_array());
    for _ in 1..rounds {
        *hash = sha512::Hash::hash(hash.as_slice()).to_byte_array();
    }
    hash
}

fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&bytes[..N]);
    out
}

fn encrypt(key: &[u8; KEY_SIZE], iv: &[u8; IV_SIZE], plain: &[u8]) -> Vec<u8> {
    cbc::Encryptor::<Aes256>::new(key.into(), iv.into()).encrypt_padded_vec_mut::<Pkcs7>(plain)
}

fn decrypt(key: &[u8; KEY_SIZE], iv: &[u8; IV_SIZE], crypted: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    cbc::Decryptor::<Aes256>::new(key.into(), iv.into())
        .decrypt_padded_vec_mut::<Pkcs7>(crypted)
        .ok()
        .map(Zeroizing::new)
}

impl MasterKey {
    /// Encrypts `plain` under `passphrase`, with as many rounds as this machine does in a tenth of a second.
    pub(crate) fn new(plain: &PlainMasterKey, passphrase: &[u8]) -> Self {
        let mut salt = vec![0; SALT_SIZE];
        OsRng.fill_bytes(&mut salt);
        let rounds = calibrate(passphrase, &salt);
        let mut made = Self {
            crypted_key: Vec::new(),
            salt,
            derivation_method: 0,
            rounds,
            other_parameters: Vec::new(),
        };
        let stretched = stretch(passphrase, &made.salt, rounds);
        let (key, iv) = (
            Zeroizing::new(array::<KEY_SIZE>(&stretched[..])),
            Zeroizing::new(array::<IV_SIZE>(&stretched[KEY_SIZE..])),
        );
        made.crypted_key = encrypt(&key, &iv, plain.0.as_slice());
        made
    }

    /// The key inside. `None` means a wrong passphrase, but a wrong one may also give a wrong key: check it with
    /// [`PlainMasterKey::decrypt`] on a stored key.
    pub(crate) fn open(&self, passphrase: &[u8]) -> Option<PlainMasterKey> {
        if self.derivation_method != 0 || self.rounds == 0 || self.salt.len() != SALT_SIZE {
            return None;
        }
        let stretched = stretch(passphrase, &self.salt, self.rounds);
        let (key, iv) = (
            Zeroizing::new(array::<KEY_SIZE>(&stretched[..])),
            Zeroizing::new(array::<IV_SIZE>(&stretched[KEY_SIZE..])),
        );
        let plain = decrypt(&key, &iv, &self.crypted_key)?;
        (plain.len() == KEY_SIZE).then(|| PlainMasterKey(Zeroizing::new(array(&plain))))
    }
}

/// The rounds for [`TARGET_TIME`], from two measurements.
fn calibrate(passphrase: &[u8], salt: &[u8]) -> u32 {
    let mut rounds = MIN_ROUNDS;
    for _ in 0..2 {
        let start = Instant::now();
        stretch(passphrase, salt, rounds);
        let taken = start.elapsed().as_secs_f64().max(1e-6);
        let fitting = f64::from(rounds) * TARGET_TIME.as_secs_f64() / taken;
        // Float casts saturate, and the clamp keeps the result sane on any clock.
        rounds = ((f64::from(rounds) + fitting) / 2.0).clamp(f64::from(MIN_ROUNDS), 100e6) as u32;
    }
    rounds
}

impl PlainMasterKey {
    /// A fresh one from the system's randomness.
    pub(crate) fn random() -> Self {
        let mut key = Zeroizing::new([0; KEY_SIZE]);
        OsRng.fill_bytes(key.as_mut_slice());
        Self(key)
    }

    fn iv(public_key: &PublicKey) -> [u8; IV_SIZE] {
        array(sha256d::Hash::hash(&public_key.to_bytes()).as_byte_array())
    }

    /// The encrypted form of a private key.
    pub(crate) fn encrypt(&self, secret: &Secret) -> Vec<u8> {
        let plain = Zeroizing::new(secret.key().secret_bytes());
        encrypt(&self.0, &Self::iv(&secret.public_key()), plain.as_slice())
    }

    /// The private key of `public_key`; `None` if this is not the key it was encrypted with.
    pub(crate) fn decrypt(&self, public_key: &PublicKey, crypted: &[u8]) -> Option<Secret> {
        let plain = decrypt(&self.0, &Self::iv(public_key), crypted)?;
        let key = SecretKey::from_slice(&plain).ok()?;
        let secret = Secret::new(key, public_key.compressed);
        (secret.public_key() == *public_key).then_some(secret)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_comes_back_with_its_passphrase_alone() {
        let plain = PlainMasterKey::random();
        let master = MasterKey::new(&plain, b"correct horse");
        assert!(master.rounds >= MIN_ROUNDS);
        let secret = Secret::new(SecretKey::from_slice(&[3; 32]).expect("in range"), true);
        let crypted = plain.encrypt(&secret);
        let opened = master.open(b"correct horse").expect("the right passphrase");
        assert!(
            opened
                .decrypt(&secret.public_key(), &crypted)
                .expect("the right key")
                == secret
        );
        let wrong = master
            .open(b"wrong")
            .and_then(|key| key.decrypt(&secret.public_key(), &crypted));
        assert!(wrong.is_none());
        assert_eq!(format!("{plain:?}"), "PlainMasterKey(..)");
    }
}
