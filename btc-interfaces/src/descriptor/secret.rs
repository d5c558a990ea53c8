//! Secret keys as descriptors need them.

use super::secp;
use bitcoin::key::XOnlyPublicKey;
use bitcoin::secp256k1::SecretKey;
use bitcoin::{NetworkKind, PrivateKey, PubkeyHash, PublicKey};
use std::collections::BTreeMap;
use std::fmt;

/// A secret key that is erased when dropped and never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret {
    key: SecretKey,
    compressed: bool,
}

impl Secret {
    /// Takes a secret, and whether its public key is written in 33 bytes.
    pub fn new(key: SecretKey, compressed: bool) -> Self {
        Self { key, compressed }
    }

    /// Reads a key in the wallet import format of this network; `None` if the text is none.
    ///
    /// A key whose public key is written in 33 bytes ends with the byte 1, as Core has it. The library that decodes it
    /// takes any byte there.
    ///
    /// ```
    /// use bitcoin::NetworkKind::{Main, Test};
    /// use btc_interfaces::descriptor::Secret;
    ///
    /// let text = "cMahea7zqjxrtgAbB7LSGbcQUr1uX1ojuat9jZodMN87JcbXMTcA";
    /// let key = Secret::from_wif(text, Test).expect("it is one");
    /// assert!(key.public_key().compressed);
    /// assert!(Secret::from_wif(text, Main).is_none());
    /// ```
    pub fn from_wif(text: &str, network: NetworkKind) -> Option<Self> {
        let key = PrivateKey::from_wif(text).ok()?;
        let secret = Self::new(key.inner, key.compressed);
        // Nothing but the key itself is written like it.
        (key.network == network && key.to_wif() == text).then_some(secret)
    }

    /// The secret itself. Copies of it are not erased: keep them short-lived.
    pub fn key(&self) -> &SecretKey {
        &self.key
    }

    /// Its public key.
    pub fn public_key(&self) -> PublicKey {
        PublicKey {
            compressed: self.compressed,
            inner: self.key.public_key(secp()),
        }
    }

    pub(super) fn to_wif(&self, network: NetworkKind) -> String {
        PrivateKey {
            compressed: self.compressed,
            network,
            inner: self.key,
        }
        .to_wif()
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.key.non_secure_erase();
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// Secret keys by the hash of their public keys.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretKeys {
    network: NetworkKind,
    keys: BTreeMap<PubkeyHash, (PublicKey, Secret)>,
}

impl SecretKeys {
    /// None yet; `network` decides how they are written.
    pub fn new(network: NetworkKind) -> Self {
        Self {
            network,
            keys: BTreeMap::new(),
        }
    }

    /// How keys are written.
    pub fn network(&self) -> NetworkKind {
        self.network
    }

    /// Adds a key; gives its public key.
    pub fn insert(&mut self, secret: Secret) -> PublicKey {
        let public = secret.public_key();
        self.keys.insert(public.pubkey_hash(), (public, secret));
        public
    }

    /// The secret of `key`.
    pub fn get(&self, key: &PublicKey) -> Option<&Secret> {
        self.keys.get(&key.pubkey_hash()).map(|(_, secret)| secret)
    }

    /// The secret of a key of which only the x coordinate is known.
    pub fn get_x_only(&self, key: &XOnlyPublicKey) -> Option<&Secret> {
        self.keys
            .values()
            .find(|(public, _)| public.inner.x_only_public_key().0 == *key)
            .map(|(_, secret)| secret)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (&PublicKey, &Secret)> {
        self.keys.values().map(|(public, secret)| (public, secret))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.keys.len()
    }
}

impl fmt::Debug for SecretKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKeys({} keys)", self.keys.len())
    }
}
