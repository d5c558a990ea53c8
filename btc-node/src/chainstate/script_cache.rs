//! Signatures and scripts that were found good, so that they need not be checked again.
//!
//! The mempool checks a transaction's scripts when it comes; the block that holds it comes later. What was found good is
//! remembered by a salted hash of all that the verdict follows from, so nobody outside can aim at a collision. Only good
//! verdicts are kept: whatever is forgotten is checked once more.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use bitcoin::Wtxid;
use bitcoin::hashes::{Hash, HashEngine, sha256};
use bitcoin::secp256k1::rand::{Rng, thread_rng};
use btc_consensus::script::{CurveVerifier, ScriptFlags, Uncached};
use hashbrown::HashSet;

/// Memory for the cache in bytes, unless `-maxsigcachesize` says otherwise.
pub const DEFAULT_SCRIPT_CACHE_BYTES: usize = 32 << 20;

/// Parts that are locked apart from each other, so that script threads seldom meet.
const SHARDS: usize = 16;
/// What an entry takes in a table: the hash, and a byte of the table's own.
const ENTRY_BYTES: usize = 33;

type Digest = [u8; 32];

/// Verdicts within a fixed amount of memory, half for signatures and half for transactions. Shared by all threads.
pub struct ScriptCache {
    /// A hash that has read the salt.
    salted: sha256::HashEngine,
    signatures: Verdicts,
    transactions: Verdicts,
}

impl ScriptCache {
    /// An empty cache of at most about `bytes`; with none it never remembers anything.
    pub fn new(bytes: usize) -> Self {
        // As long as the hash's block, so that it is read once and for all.
        let salt: [[u8; 32]; 2] = thread_rng().r#gen();
        let mut salted = sha256::Hash::engine();
        salted.input(salt.as_flattened());
        Self {
            salted,
            signatures: Verdicts::new(bytes / 2),
            transactions: Verdicts::new(bytes / 2),
        }
    }

    /// Whether all scripts of the transaction were found good by exactly these rules.
    /// `wtxid` is asked for only if there is anything that it could be found in.
    pub fn knows_transaction(&self, wtxid: impl FnOnce() -> Wtxid, flags: ScriptFlags) -> bool {
        self.transactions.may_know() && self.transactions.knows(&self.transaction(wtxid(), flags))
    }

    /// Remembers that all scripts of the transaction are good by these rules. The transaction commits to what it spends,
    /// so nothing else can make them bad.
    pub fn add_transaction(&self, wtxid: Wtxid, flags: ScriptFlags) {
        self.transactions.add(self.transaction(wtxid, flags));
    }

    /// A verifier that does not check a signature again which is known to be good; `remember` says whether what it finds
    /// good is known from then on.
    pub fn verifier(&self, remember: bool) -> CachedVerifier<'_> {
        CachedVerifier {
            cache: self,
            remember,
        }
    }

    fn transaction(&self, wtxid: Wtxid, flags: ScriptFlags) -> Digest {
        let mut engine = self.salted.clone();
        engine.input(wtxid.as_byte_array());
        engine.input(&flags.bits().to_le_bytes());
        sha256::Hash::from_engine(engine).to_byte_array()
    }

    /// `kind` tells the two kinds of signatures apart.
    fn signature(&self, kind: u8, sighash: &[u8; 32], signature: &[u8], pubkey: &[u8]) -> Digest {
        let mut engine = self.salted.clone();
        // Keys have lengths that a byte can tell, so that no two cases read the same.
        engine.input(&[kind, pubkey.len() as u8]);
        engine.input(sighash);
        engine.input(pubkey);
        engine.input(signature);
        sha256::Hash::from_engine(engine).to_byte_array()
    }
}

impl fmt::Debug for ScriptCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScriptCache").finish_non_exhaustive()
    }
}

/// Verifies signatures by libsecp256k1, but for those that the cache knows.
#[derive(Clone, Copy, Debug)]
pub struct CachedVerifier<'a> {
    cache: &'a ScriptCache,
    remember: bool,
}

impl CachedVerifier<'_> {
    fn check(&self, digest: impl FnOnce() -> Digest, verify: impl FnOnce() -> bool) -> bool {
        let signatures = &self.cache.signatures;
        if !self.remember && !signatures.may_know() {
            return verify();
        }
        let digest = digest();
        if signatures.knows(&digest) {
            return true;
        }
        let good = verify();
        if good && self.remember {
            signatures.add(digest);
        }
        good
    }
}

impl CurveVerifier for CachedVerifier<'_> {
    fn ecdsa(&self, sighash: [u8; 32], signature: &[u8], pubkey: &[u8]) -> bool {
        self.check(
            || self.cache.signature(b'E', &sighash, signature, pubkey),
            || Uncached.ecdsa(sighash, signature, pubkey),
        )
    }

    fn schnorr(&self, sighash: [u8; 32], signature: &[u8; 64], pubkey: &[u8; 32]) -> bool {
        self.check(
            || self.cache.signature(b'S', &sighash, signature, pubkey),
            || Uncached.schnorr(sighash, signature, pubkey),
        )
    }
}

/// A set that forgets its older half when it is full.
struct Verdicts {
    shards: [Mutex<Generations>; SHARDS],
    /// Most entries of one generation of a shard.
    limit: usize,
    /// Whether anything was ever added: until then nobody needs to hash or lock.
    used: AtomicBool,
}

#[derive(Default)]
struct Generations {
    young: HashSet<Digest>,
    old: HashSet<Digest>,
}

impl Verdicts {
    fn new(bytes: usize) -> Self {
        // Tables have as many buckets as a power of two, and fill seven eighths of them.
        let buckets = bytes / SHARDS / 2 / ENTRY_BYTES;
        let limit = buckets.checked_ilog2().map_or(0, |log| (1 << log) / 8 * 7);
        Self {
            shards: Default::default(),
            limit,
            used: AtomicBool::new(false),
        }
    }

    fn may_know(&self) -> bool {
        self.used.load(Ordering::Relaxed)
    }

    fn shard(&self, digest: &Digest) -> std::sync::MutexGuard<'_, Generations> {
        // Nothing is left half done in a set by a thread that panics.
        self.shards[usize::from(digest[0]) % SHARDS]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn knows(&self, digest: &Digest) -> bool {
        let shard = self.shard(digest);
        shard.young.contains(digest) || shard.old.contains(digest)
    }

    fn add(&self, digest: Digest) {
        if self.limit == 0 {
            return;
        }
        let mut shard = self.shard(&digest);
        if shard.young.len() >= self.limit {
            // The memory of the oldest entries serves the newest.
            let mut emptied = std::mem::take(&mut shard.old);
            emptied.clear();
            shard.old = std::mem::replace(&mut shard.young, emptied);
        }
        shard.young.insert(digest);
        drop(shard);
        self.used.store(true, Ordering::Relaxed);
    }

    #[cfg(test)]
    fn memory(&self) -> usize {
        self.shards
            .iter()
            .map(|shard| {
                let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
                shard.young.allocation_size() + shard.old.allocation_size()
            })
            .sum()
    }
}

#[cfg(test)]
mod tests {
    use bitcoin::secp256k1::{Message, Secp256k1, SecretKey};

    use super::*;

    fn wtxid(number: u32) -> Wtxid {
        Wtxid::from_byte_array(sha256::Hash::hash(&number.to_le_bytes()).to_byte_array())
    }

    #[test]
    fn a_transaction_is_known_by_the_rules_that_it_was_checked_by() {
        let cache = ScriptCache::new(1 << 20);
        let flags = ScriptFlags::P2SH | ScriptFlags::WITNESS;
        assert!(!cache.knows_transaction(|| wtxid(1), flags));
        cache.add_transaction(wtxid(1), flags);
        assert!(cache.knows_transaction(|| wtxid(1), flags));
        assert!(!cache.knows_transaction(|| wtxid(1), ScriptFlags::P2SH));
        assert!(!cache.knows_transaction(|| wtxid(2), flags));
    }

    #[test]
    fn memory_is_bounded_and_the_newest_are_kept() {
        let bytes = 256 << 10;
        let cache = ScriptCache::new(bytes);
        for number in 0..40_000 {
            cache.add_transaction(wtxid(number), ScriptFlags::ALL);
            assert!(cache.knows_transaction(|| wtxid(number), ScriptFlags::ALL));
        }
        assert!(cache.transactions.memory() <= bytes / 2 * 21 / 20);
        assert!(cache.knows_transaction(|| wtxid(39_500), ScriptFlags::ALL));
        assert!(!cache.knows_transaction(|| wtxid(0), ScriptFlags::ALL));
        let none = ScriptCache::new(0);
        none.add_transaction(wtxid(1), ScriptFlags::ALL);
        assert!(!none.knows_transaction(|| wtxid(1), ScriptFlags::ALL));
    }

    #[test]
    fn a_good_signature_is_remembered_and_a_bad_one_never() {
        let secp = Secp256k1::new();
        let pair = SecretKey::from_slice(&[7; 32])
            .expect("a key")
            .keypair(&secp);
        let (sighash, other) = ([5; 32], [6; 32]);
        let message = Message::from_digest(sighash);
        let ecdsa = secp
            .sign_ecdsa(&message, &pair.secret_key())
            .serialize_der();
        let schnorr = secp.sign_schnorr_no_aux_rand(&message, &pair).serialize();
        let key = pair.public_key().serialize();
        let x_only = pair.x_only_public_key().0.serialize();

        let cache = ScriptCache::new(1 << 20);
        let (reads, writes) = (cache.verifier(false), cache.verifier(true));
        let known = |kind, signature: &[u8], key: &[u8]| {
            let digest = cache.signature(kind, &sighash, signature, key);
            cache.signatures.knows(&digest)
        };
        assert!(reads.ecdsa(sighash, &ecdsa, &key));
        assert!(!known(b'E', &ecdsa, &key));
        for verifier in [writes, reads] {
            assert!(verifier.ecdsa(sighash, &ecdsa, &key));
            assert!(verifier.schnorr(sighash, &schnorr, &x_only));
            assert!(known(b'E', &ecdsa, &key) && known(b'S', &schnorr, &x_only));
            assert!(!verifier.ecdsa(other, &ecdsa, &key));
            assert!(!verifier.schnorr(other, &schnorr, &x_only));
            assert!(
                !verifier.ecdsa(other, &ecdsa, &key),
                "bad the second time too"
            );
        }
    }
}
