//! What the rules ask about the blocks before the one at hand.

use bitcoin::BlockHash;
use bitcoin::block::Header;

use crate::limits::MEDIAN_TIME_SPAN;

/// What the rules need to know of one header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeaderInfo {
    /// The block's hash.
    pub hash: BlockHash,
    /// The header's time, in seconds since 1970.
    pub time: u32,
    /// The target in compact form.
    pub bits: u32,
    /// The version.
    pub version: i32,
}

impl From<&Header> for HeaderInfo {
    fn from(header: &Header) -> Self {
        Self {
            hash: header.block_hash(),
            time: header.time,
            bits: header.bits.to_consensus(),
            version: header.version.to_consensus(),
        }
    }
}

/// One chain of headers, from the genesis block to some tip.
///
/// A block index answers from any of its entries, without allocation.
pub trait Ancestors {
    /// The tip's height.
    fn height(&self) -> u32;

    /// The header at a height; `None` above the tip, and only there.
    fn ancestor(&self, height: u32) -> Option<HeaderInfo>;

    /// The median of the times of the block at `height` and the ten before it, as many as there
    /// are, in seconds since 1970. Above the tip, the tip's.
    fn median_time_past(&self, height: u32) -> u32 {
        let height = height.min(self.height());
        let mut times = [0; MEDIAN_TIME_SPAN as usize];
        let mut count = 0;
        for height in (0..=height).rev().take(times.len()) {
            let Some(header) = self.ancestor(height) else {
                break;
            };
            times[count] = header.time;
            count += 1;
        }
        let times = &mut times[..count];
        times.sort_unstable();
        times.get(count / 2).copied().unwrap_or(0)
    }
}

/// Headers in the order of their heights, the genesis block first. An empty slice has height 0 and
/// no ancestor at all, which no chain does.
impl Ancestors for [HeaderInfo] {
    fn height(&self) -> u32 {
        u32::try_from(self.len().saturating_sub(1)).unwrap_or(u32::MAX)
    }

    fn ancestor(&self, height: u32) -> Option<HeaderInfo> {
        self.get(usize::try_from(height).ok()?).copied()
    }
}

impl Ancestors for Vec<HeaderInfo> {
    fn height(&self) -> u32 {
        self.as_slice().height()
    }

    fn ancestor(&self, height: u32) -> Option<HeaderInfo> {
        self.as_slice().ancestor(height)
    }
}

#[cfg(test)]
mod tests {
    use bitcoin::hashes::Hash;

    use super::*;

    fn chain(times: &[u32]) -> Vec<HeaderInfo> {
        let header = |time: &u32| HeaderInfo {
            hash: BlockHash::all_zeros(),
            time: *time,
            bits: 0,
            version: 1,
        };
        times.iter().map(header).collect()
    }

    #[test]
    fn median_of_the_last_eleven() {
        assert_eq!(chain(&[5]).median_time_past(0), 5);
        assert_eq!(chain(&[5, 9]).median_time_past(1), 9);
        assert_eq!(chain(&[5, 9, 7]).median_time_past(2), 7);
        let times: Vec<u32> = (0..20).collect();
        assert_eq!(chain(&times).median_time_past(19), 14);
        assert_eq!(chain(&times).median_time_past(10), 5);
        assert_eq!(chain(&times).median_time_past(99), 14);
    }
}
