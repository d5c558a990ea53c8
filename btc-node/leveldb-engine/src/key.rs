//! Internal keys: the user's key, then the sequence number of the change and whether it was a deletion.

use std::cmp::Ordering;

/// The largest sequence number: 56 bits.
pub(crate) const MAX_SEQUENCE: u64 = (1 << 56) - 1;
/// Bytes that an internal key has beyond the user's key.
pub(crate) const TRAILER: usize = 8;

/// Whether a change sets or removes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Deletion = 0,
    Value = 1,
}

/// The word that follows the user's key. Larger is newer.
pub(crate) fn trailer(sequence: u64, kind: Kind) -> u64 {
    sequence << 8 | kind as u64
}

/// The word that seeks the newest change visible at `sequence`.
pub(crate) fn seek_trailer(sequence: u64) -> u64 {
    trailer(sequence, Kind::Value)
}

/// An internal key from its parts.
pub(crate) fn internal(user_key: &[u8], trailer: u64) -> Vec<u8> {
    let mut key = Vec::with_capacity(user_key.len() + TRAILER);
    key.extend_from_slice(user_key);
    key.extend_from_slice(&trailer.to_le_bytes());
    key
}

/// The user's key and the trailer. A key too short to have a trailer, which no reader lets through, is all trailer.
pub(crate) fn split(key: &[u8]) -> (&[u8], u64) {
    match key.split_last_chunk() {
        Some((user, word)) => (user, u64::from_le_bytes(*word)),
        None => (&[], 0),
    }
}

/// The user's part of an internal key.
pub(crate) fn user(key: &[u8]) -> &[u8] {
    split(key).0
}

/// Sequence number and kind; `None` for a kind that does not exist.
pub(crate) fn parse_trailer(trailer: u64) -> Option<(u64, Kind)> {
    let kind = match trailer & 0xff {
        0 => Kind::Deletion,
        1 => Kind::Value,
        _ => return None,
    };
    Some((trailer >> 8, kind))
}

/// Order of internal keys: by the user's key, then newest first.
pub(crate) fn compare(a: &[u8], b: &[u8]) -> Ordering {
    let ((user_a, trailer_a), (user_b, trailer_b)) = (split(a), split(b));
    user_a.cmp(user_b).then(trailer_b.cmp(&trailer_a))
}

/// The first eight bytes of a user key as a number that orders as they do; what is not there counts as zeros.
#[inline]
pub(crate) fn prefix(user_key: &[u8]) -> u64 {
    match user_key.first_chunk() {
        Some(whole) => u64::from_be_bytes(*whole),
        None => {
            let mut word = [0; 8];
            word[..user_key.len()].copy_from_slice(user_key);
            u64::from_be_bytes(word)
        }
    }
}

/// What a point read looks for: the newest change of a key at or before some sequence number. The filters' hash and the
/// prefix are worked out once for all tables.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sought<'a> {
    pub(crate) user: &'a [u8],
    pub(crate) trailer: u64,
    pub(crate) prefix: u64,
    pub(crate) hash: u32,
}

impl<'a> Sought<'a> {
    /// Looks for `user` as it was at `sequence`.
    pub(crate) fn new(user: &'a [u8], sequence: u64) -> Self {
        Self {
            user,
            trailer: seek_trailer(sequence),
            prefix: prefix(user),
            hash: crate::bloom::hash(user),
        }
    }

    /// Order of an internal key against what is sought.
    #[inline]
    pub(crate) fn compare(&self, internal_key: &[u8]) -> Ordering {
        let (user, trailer) = split(internal_key);
        // The first word nearly always decides.
        match prefix(user).cmp(&self.prefix) {
            Ordering::Equal => user.cmp(self.user).then(self.trailer.cmp(&trailer)),
            unequal => unequal,
        }
    }
}

/// A short internal key `k` with `start <= k < limit`, for an index. Both are internal keys and `start < limit`.
pub(crate) fn separator(start: &[u8], limit: &[u8]) -> Vec<u8> {
    let (from, to) = (user(start), user(limit));
    let shared = from.iter().zip(to).take_while(|(a, b)| a == b).count();
    if let (Some(&byte), Some(&bound)) = (from.get(shared), to.get(shared))
        && shared + 1 < from.len()
        && byte.checked_add(1).is_some_and(|next| next < bound)
    {
        let mut short = from[..=shared].to_vec();
        short[shared] += 1;
        return internal(&short, seek_trailer(MAX_SEQUENCE));
    }
    start.to_vec()
}

/// A short internal key that is not less than `key`, for the end of an index.
pub(crate) fn successor(key: &[u8]) -> Vec<u8> {
    let from = user(key);
    match from.iter().position(|&byte| byte != 0xff) {
        Some(at) if at + 1 < from.len() => {
            let mut short = from[..=at].to_vec();
            short[at] += 1;
            internal(&short, seek_trailer(MAX_SEQUENCE))
        }
        _ => key.to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn separators_separate(mut a: Vec<u8>, mut b: Vec<u8>, s in 0..100u64, t in 0..100u64) {
            if a > b { std::mem::swap(&mut a, &mut b); }
            let (a, b) = (internal(&a, trailer(s.max(t) + 1, Kind::Value)), internal(&b, trailer(s.min(t), Kind::Value)));
            let middle = separator(&a, &b);
            prop_assert!(compare(&a, &middle).is_le() && compare(&middle, &b).is_lt());
            prop_assert!(compare(&b, &successor(&b)).is_le());
        }
    }

    #[test]
    fn newer_changes_come_first() {
        let old = internal(b"k", trailer(1, Kind::Value));
        let new = internal(b"k", trailer(2, Kind::Deletion));
        assert_eq!(compare(&new, &old), Ordering::Less);
        assert_eq!(compare(&internal(b"j", 0), &new), Ordering::Less);
    }
}
