//! The XOR that keeps virus scanners from finding signatures in block and coin data.
//!
//! It hides nothing from anyone who looks: the key lies beside the data.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use bitcoin::hex::DisplayHex;

use super::codec::Reader;
use super::error::StoreError;
use super::kv::{Batch, Change, Entries, KvError, KvStore, Sync};

/// Key length in bytes.
pub const KEY_SIZE: usize = 8;
/// Where a database keeps its key: a `CompactSize`, then a zero byte and a name that no record's key starts with.
const DB_KEY: &[u8] = b"\x0e\x00obfuscate_key";

/// An XOR key that repeats every eight bytes. All zeros means no obfuscation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Obfuscation([u8; KEY_SIZE]);

impl Obfuscation {
    /// The key with these bytes.
    pub fn new(key: [u8; KEY_SIZE]) -> Self {
        Self(key)
    }

    /// A fresh random key.
    pub fn random() -> Self {
        Self(bitcoin::secp256k1::rand::random())
    }

    /// The key's bytes.
    pub fn key(&self) -> [u8; KEY_SIZE] {
        self.0
    }

    /// The key in hexadecimal.
    pub fn hex(&self) -> String {
        self.0.to_lower_hex_string()
    }

    /// Whether applying it changes nothing.
    pub fn is_none(&self) -> bool {
        self.0 == [0; KEY_SIZE]
    }

    /// Obfuscates or reveals `bytes` that start at `offset` of the file or value they belong to.
    pub fn apply(&self, bytes: &mut [u8], offset: u64) {
        if self.is_none() {
            return;
        }
        let mut key = self.0;
        key.rotate_left((offset % KEY_SIZE as u64) as usize);
        let word = u64::from_ne_bytes(key);
        let mut words = bytes.chunks_exact_mut(KEY_SIZE);
        for chunk in &mut words {
            if let Ok(array) = <[u8; KEY_SIZE]>::try_from(&*chunk) {
                chunk.copy_from_slice(&(u64::from_ne_bytes(array) ^ word).to_ne_bytes());
            }
        }
        for (byte, key) in words.into_remainder().iter_mut().zip(key) {
            *byte ^= key;
        }
    }
}

/// A store whose values are obfuscated with the key that it holds itself.
pub struct ObfuscatedKv {
    inner: Box<dyn KvStore>,
    key: Obfuscation,
}

impl ObfuscatedKv {
    /// Reads the store's key; an empty store gets a random one if `obfuscate`.
    pub fn open(inner: Box<dyn KvStore>, obfuscate: bool) -> Result<Self, StoreError> {
        let key = match inner.get(DB_KEY)? {
            Some(stored) => {
                let mut reader = Reader::new(&stored);
                let key = match (reader.compact_size(), reader.array::<KEY_SIZE>()) {
                    (Ok(KEY_SIZE), Ok(key)) => key,
                    _ => {
                        return Err(StoreError::corrupt(
                            "obfuscation key",
                            "Obfuscation key size should be exactly 8 bytes long",
                        ));
                    }
                };
                Obfuscation::new(key)
            }
            None if obfuscate && inner.is_empty()? => {
                let key = Obfuscation::random();
                let mut value = vec![KEY_SIZE as u8];
                value.extend_from_slice(&key.key());
                let mut batch = Batch::new();
                batch.put(DB_KEY, value);
                inner.write(&batch, Sync::Lazy)?;
                if let Some(path) = inner.path() {
                    let (path, key) = (path.display(), key.hex());
                    tracing::info!("Wrote new obfuscation key for {path}: {key}");
                }
                key
            }
            None => Obfuscation::default(),
        };
        if let Some(path) = inner.path() {
            let (path, key) = (path.display(), key.hex());
            tracing::info!("Using obfuscation key for {path}: {key}");
        }
        Ok(Self { inner, key })
    }
}

impl KvStore for ObfuscatedKv {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, KvError> {
        let mut value = self.inner.get(key)?;
        if let Some(value) = &mut value {
            self.key.apply(value, 0);
        }
        Ok(value)
    }

    fn write(&self, batch: &Batch, sync: Sync) -> Result<(), KvError> {
        if self.key.is_none() {
            return self.inner.write(batch, sync);
        }
        let mut batch = batch.clone();
        for change in batch.changes_mut() {
            if let Change::Put(_, value) = change {
                self.key.apply(value, 0);
            }
        }
        self.inner.write(&batch, sync)
    }

    fn iter_from(&self, start: &[u8]) -> Result<Entries<'_>, KvError> {
        let key = self.key;
        Ok(Box::new(self.inner.iter_from(start)?.map(move |entry| {
            entry.map(|(name, mut value)| {
                key.apply(&mut value, 0);
                (name, value)
            })
        })))
    }

    fn approximate_size(&self, start: &[u8], end: &[u8]) -> u64 {
        self.inner.approximate_size(start, end)
    }

    fn compact(&self, stop: &Arc<AtomicBool>) -> Result<(), KvError> {
        self.inner.compact(stop)
    }

    fn path(&self) -> Option<&Path> {
        self.inner.path()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::store::kv::MemoryKv;

    proptest! {
        #[test]
        fn pieces_agree_with_the_whole(
            key: [u8; 8], data in proptest::collection::vec(any::<u8>(), 0..100), cut in 0_usize..100,
        ) {
            let key = Obfuscation::new(key);
            let cut = cut.min(data.len());
            let mut whole = data.clone();
            key.apply(&mut whole, 0);
            let mut pieces = data.clone();
            let (head, tail) = pieces.split_at_mut(cut);
            key.apply(head, 0);
            key.apply(tail, cut as u64);
            prop_assert_eq!(&whole, &pieces);
            key.apply(&mut whole, 0);
            prop_assert_eq!(whole, data);
        }
    }

    #[test]
    fn a_new_store_gets_a_key_and_keeps_it() {
        let db = ObfuscatedKv::open(Box::new(MemoryKv::new()), true).expect("opens");
        assert!(!db.key.is_none());
        let mut batch = Batch::new();
        batch.put(b"k".to_vec(), b"value".to_vec());
        db.write(&batch, Sync::Lazy).expect("writes");
        assert_ne!(
            db.inner.get(b"k").expect("reads").as_deref(),
            Some(&b"value"[..])
        );
        assert_eq!(db.get(b"k").expect("reads").as_deref(), Some(&b"value"[..]));
        let key = db.key;
        let again = ObfuscatedKv::open(db.inner, true).expect("opens");
        assert_eq!(again.key, key);
    }

    #[test]
    fn a_filled_store_without_a_key_stays_plain() {
        let inner = MemoryKv::new();
        let mut batch = Batch::new();
        batch.put(b"k".to_vec(), b"value".to_vec());
        inner.write(&batch, Sync::Lazy).expect("writes");
        let db = ObfuscatedKv::open(Box::new(inner), true).expect("opens");
        assert_eq!(db.get(b"k").expect("reads").as_deref(), Some(&b"value"[..]));
    }
}
