//! Changed inputs that are the same on every machine and in every run.

/// A variant is at most so much longer than its seed.
const GROWTH: usize = 512;

/// Numbers at which code that counts tends to err.
const EDGES: [u64; 12] = [
    0,
    1,
    7,
    8,
    0x7f,
    0xff,
    0x7fff,
    0xffff,
    0x7fff_ffff,
    0xffff_ffff,
    0x1fff_ffff,
    u64::MAX,
];

/// Changed copies of a seed, without end.
///
/// They depend on the seed alone, neither on other seeds nor on what the code under test does with them: a change of
/// that code is tried by inputs that its previous version stood, so that what fails is what the change broke.
pub struct Variants<'a> {
    seed: &'a [u8],
    random: Random,
}

impl<'a> Variants<'a> {
    /// The variants of `seed`.
    #[must_use]
    pub fn new(seed: &'a [u8]) -> Self {
        // FNV-1a, to begin elsewhere for each seed.
        let start = seed.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, &byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        Self {
            seed,
            random: Random(start),
        }
    }
}

impl Iterator for Variants<'_> {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        let mut bytes = self.seed.to_vec();
        for _ in 0..1 << self.random.below(4) {
            change(&mut bytes, &mut self.random);
        }
        bytes.truncate(self.seed.len() + GROWTH);
        Some(bytes)
    }
}

/// Makes one change.
fn change(bytes: &mut Vec<u8>, random: &mut Random) {
    if bytes.is_empty() {
        bytes.extend((0..=random.below(16)).map(|_| random.byte()));
        return;
    }
    let at = random.below(bytes.len());
    match random.below(9) {
        0 => bytes[at] ^= 1 << random.below(8),
        1 => bytes[at] = random.byte(),
        2 => number(bytes, random, |_, random| EDGES[random.below(EDGES.len())]),
        3 => number(bytes, random, |old, random| {
            let by = random.below(32) as u64 + 1;
            if random.below(2) == 0 {
                old.wrapping_add(by)
            } else {
                old.wrapping_sub(by)
            }
        }),
        4 => {
            let part = random.part(bytes);
            bytes.drain(part);
        }
        5 => {
            let part = random.part(bytes);
            let copy = bytes[part].to_vec();
            bytes.splice(at..at, copy);
        }
        6 => {
            let part = random.part(bytes);
            let copy = bytes[part].to_vec();
            let end = bytes.len().min(at + copy.len());
            bytes[at..end].copy_from_slice(&copy[..end - at]);
        }
        7 => {
            let length = random.below(8) + 1;
            let new: Vec<u8> = (0..length).map(|_| random.byte()).collect();
            bytes.splice(at..at, new);
        }
        _ => bytes.truncate(at),
    }
}

/// Replaces a little-endian number of 2, 4 or 8 bytes, mostly where one may stand: at a multiple of its size.
fn number(bytes: &mut [u8], random: &mut Random, new: impl FnOnce(u64, &mut Random) -> u64) {
    let size = 2 << random.below(3);
    let mut at = random.below(bytes.len());
    if random.below(4) > 0 {
        at -= at % size;
    }
    let end = bytes.len().min(at + size);
    let mut wide = [0; 8];
    wide[..end - at].copy_from_slice(&bytes[at..end]);
    let wide = new(u64::from_le_bytes(wide), random).to_le_bytes();
    bytes[at..end].copy_from_slice(&wide[..end - at]);
}

/// splitmix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`, which is not 0.
    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    fn byte(&mut self) -> u8 {
        self.next() as u8
    }

    /// A part of the bytes, of whole words as often as not, for messages are made of these.
    fn part(&mut self, bytes: &[u8]) -> std::ops::Range<usize> {
        let mut start = self.below(bytes.len());
        let mut length = self.below(64.min(bytes.len() - start)) + 1;
        if self.below(2) == 0 {
            start -= start % 8;
            length = length.next_multiple_of(8);
        }
        start..bytes.len().min(start + length)
    }
}

#[cfg(test)]
mod tests {
    use super::Variants;

    #[test]
    fn variants_depend_on_the_seed_alone() {
        let take = |seed| Variants::new(seed).take(500).collect::<Vec<_>>();
        let first = take(b"a seed of some length, with words in it");
        assert_eq!(first, take(b"a seed of some length, with words in it"));
        assert_ne!(first, take(b"a seed of some length, with words in It"));
        let mut distinct = first.clone();
        distinct.sort();
        distinct.dedup();
        assert!(distinct.len() > 450, "{}", distinct.len());
        // The generator must not drift: what one machine stood, all are to try.
        let sum = first.iter().flatten().fold(0_u64, |sum, &byte| {
            sum.wrapping_mul(31).wrapping_add(u64::from(byte))
        });
        assert_eq!(sum, 7_494_859_437_566_252_637);
    }

    #[test]
    fn nothing_has_variants_too() {
        assert!(Variants::new(b"").take(50).any(|bytes| !bytes.is_empty()));
    }
}
