//! One address of the book, and where its buckets are.

use crate::net::address::{NetAddress, PeerAddress};
use crate::net::message::put_list;
use crate::net::netgroup::NetGroups;
use bitcoin::hashes::{Hash, sha256d};

/// Buckets of addresses that this node was once connected to.
pub(super) const TRIED_BUCKETS: usize = 256;
/// Buckets of addresses that this node only heard of.
pub(super) const NEW_BUCKETS: usize = 1024;
/// Places in a bucket.
pub(super) const BUCKET_SIZE: usize = 64;
/// New buckets that one address may be in.
pub(super) const MAX_REFERENCES: u8 = 8;
/// Tried buckets that one group's addresses spread over.
const TRIED_BUCKETS_PER_GROUP: u64 = 8;
/// New buckets that the addresses told by one group spread over.
const NEW_BUCKETS_PER_SOURCE_GROUP: u64 = 64;

const MINUTE: i64 = 60;
const DAY: i64 = 24 * 60 * MINUTE;
/// An address not seen for so long is of no use.
const HORIZON: i64 = 30 * DAY;
/// Attempts that may fail before the first success.
const RETRIES: i32 = 3;
/// Attempts that may fail in a row …
const MAX_FAILURES: i32 = 10;
/// … within this time.
const MIN_FAIL: i64 = 7 * DAY;

/// What hashes an address to its place: the book's own secret, so that nobody else can tell.
#[derive(Clone, Copy)]
pub(super) struct BucketKey(pub(super) [u8; 32]);

impl BucketKey {
    fn hash(&self, write: impl FnOnce(&mut Vec<u8>)) -> u64 {
        let mut bytes = self.0.to_vec();
        write(&mut bytes);
        let hash = sha256d::Hash::hash(&bytes).to_byte_array();
        u64::from_le_bytes(*hash.first_chunk().expect("a hash is longer"))
    }
}

/// An address with what is known of it. Times are in seconds since 1970; 0 is never.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The address, when it was last seen and what it offers.
    pub address: PeerAddress,
    /// Who told of it first.
    pub source: NetAddress,
    /// When a connection last worked.
    pub last_success: i64,
    /// When one was last tried.
    pub last_try: i64,
    /// When a failure last counted.
    pub last_counted: i64,
    /// Failures since the last success.
    pub attempts: i32,
    /// New buckets that it is in.
    pub(super) references: u8,
    /// Whether it is in a tried bucket.
    pub(super) tried: bool,
    /// Its place in the random order.
    pub(super) order: usize,
}

impl Entry {
    pub(super) fn new(address: PeerAddress, source: NetAddress) -> Self {
        Self {
            address,
            source,
            last_success: 0,
            last_try: 0,
            last_counted: 0,
            attempts: 0,
            references: 0,
            tried: false,
            order: 0,
        }
    }

    pub(super) fn tried_bucket(&self, key: &BucketKey, groups: &NetGroups) -> usize {
        let endpoint = self.address.endpoint;
        let first = key.hash(|out| put_list(out, &endpoint.key_bytes()));
        let second = key.hash(|out| {
            put_list(out, &groups.group(endpoint.address));
            out.extend((first % TRIED_BUCKETS_PER_GROUP).to_le_bytes());
        });
        index(second, TRIED_BUCKETS)
    }

    pub(super) fn new_bucket(
        &self,
        key: &BucketKey,
        source: NetAddress,
        groups: &NetGroups,
    ) -> usize {
        let source = groups.group(source);
        let first = key.hash(|out| {
            put_list(out, &groups.group(self.address.endpoint.address));
            put_list(out, &source);
        });
        let second = key.hash(|out| {
            put_list(out, &source);
            out.extend((first % NEW_BUCKETS_PER_SOURCE_GROUP).to_le_bytes());
        });
        index(second, NEW_BUCKETS)
    }

    /// The place in a bucket.
    pub(super) fn position(&self, key: &BucketKey, tried: bool, bucket: usize) -> usize {
        let bucket = u32::try_from(bucket).expect("there are few buckets");
        let hash = key.hash(|out| {
            out.push(if tried { b'K' } else { b'N' });
            out.extend(bucket.to_le_bytes());
            put_list(out, &self.address.endpoint.key_bytes());
        });
        index(hash, BUCKET_SIZE)
    }

    /// Whether it is so bad that any other may take its place.
    pub fn is_terrible(&self, now: i64) -> bool {
        let seen = i64::from(self.address.time);
        if now - self.last_try <= MINUTE {
            return false;
        }
        seen > now + 10 * MINUTE
            || now - seen > HORIZON
            || (self.last_success == 0 && self.attempts >= RETRIES)
            || (now - self.last_success > MIN_FAIL && self.attempts >= MAX_FAILURES)
    }

    /// How likely it is to be chosen, beside one that nothing speaks against.
    pub(super) fn chance(&self, now: i64) -> f64 {
        let recent = if now - self.last_try < 10 * MINUTE {
            0.01
        } else {
            1.0
        };
        recent * 0.66f64.powi(self.attempts.min(8))
    }
}

fn index(hash: u64, count: usize) -> usize {
    usize::try_from(hash % count as u64).expect("is below count")
}
