//! Which autonomous system announces an address: the compressed maps that `-asmap` reads.
//!
//! A map is a program of bits. Walking it with the bits of an address ends at the number of a system. A program is
//! checked when it is loaded, for every address at once, so walking it cannot fail or go on for long.

use bitcoin::hashes::{Hash, sha256d};
use std::sync::Arc;

/// Bits of an address.
const ADDRESS_BITS: u32 = 128;

/// A map that was checked.
#[derive(Clone, PartialEq, Eq)]
pub struct Asmap(Arc<[u8]>);

impl std::fmt::Debug for Asmap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Asmap({} bytes)", self.0.len())
    }
}

/// The bytes are no map.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Sanity check of asmap data failed")]
pub struct InvalidAsmap;

/// What a program is made of.
enum Instruction {
    /// Ends with this system.
    Return(u32),
    /// Goes on if the address's next bit is 0, else so many bits further.
    Jump(u32),
    /// Goes on if the address's next bits are these, else ends with the default.
    Match { bits: u32, length: u32 },
    /// Sets the default.
    Default(u32),
}

/// Reads a program.
struct Bits<'a> {
    program: &'a [u8],
    position: usize,
}

impl Bits<'_> {
    fn end(&self) -> usize {
        self.program.len() * 8
    }

    fn bit(&mut self) -> Option<bool> {
        let byte = self.program.get(self.position / 8)?;
        let bit = byte >> (self.position % 8) & 1 == 1;
        self.position += 1;
        Some(bit)
    }

    /// A number: each leading one skips a class of as many numbers as its bits hold, then come the bits.
    fn number(&mut self, least: u32, classes: std::ops::RangeInclusive<u32>) -> Option<u32> {
        let mut number = least;
        let last = *classes.end();
        for size in classes {
            if size != last && self.bit()? {
                number += 1 << size;
                continue;
            }
            for shift in (0..size).rev() {
                number += u32::from(self.bit()?) << shift;
            }
            return Some(number);
        }
        None
    }

    fn system(&mut self) -> Option<u32> {
        self.number(1, 15..=24)
    }

    fn instruction(&mut self) -> Option<Instruction> {
        Some(if !self.bit()? {
            Instruction::Return(self.system()?)
        } else if !self.bit()? {
            Instruction::Jump(self.number(17, 5..=30)?)
        } else if !self.bit()? {
            let coded = self.number(2, 1..=8)?;
            // The highest bit tells how many follow it.
            let length = coded.ilog2();
            let bits = coded ^ (1 << length);
            Instruction::Match { bits, length }
        } else {
            Instruction::Default(self.system()?)
        })
    }
}

/// What came before an instruction, as far as it matters for what may come next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Before {
    Jump,
    Match,
    Default,
}

impl Asmap {
    /// Takes a map.
    ///
    /// # Errors
    /// The bytes are none, or one that is not made as simply as it could be.
    pub fn new(program: Vec<u8>) -> Result<Self, InvalidAsmap> {
        check(&program).ok_or(InvalidAsmap)?;
        Ok(Self(program.into()))
    }

    /// What tells one map from another.
    pub fn version(&self) -> [u8; 32] {
        sha256d::Hash::hash(&self.0).to_byte_array()
    }

    /// The system of an address, IPv4 ones written as IPv6; 0 if the map has none.
    pub fn lookup(&self, address: &[u8; 16]) -> u32 {
        let address = u128::from_be_bytes(*address);
        let mut used = 0;
        let mut next = |count: u32| {
            used += count;
            let bits = address.checked_shr(ADDRESS_BITS.checked_sub(used)?)?;
            Some((bits & ((1 << count) - 1)) as u32)
        };
        let mut walk = || {
            let mut bits = Bits {
                program: &self.0,
                position: 0,
            };
            let mut default = 0;
            loop {
                match bits.instruction()? {
                    Instruction::Return(system) => return Some(system),
                    Instruction::Jump(distance) => {
                        if next(1)? == 1 {
                            bits.position += distance as usize;
                        }
                    }
                    Instruction::Match {
                        bits: pattern,
                        length,
                    } => {
                        if next(length)? != pattern {
                            return Some(default);
                        }
                    }
                    Instruction::Default(system) => default = system,
                }
            }
        };
        walk().unwrap_or(0)
    }
}

/// Follows every path at once: in a program without detours, the instructions after a `return` are those that the last
/// open jump leads to.
fn check(program: &[u8]) -> Option<()> {
    let mut bits = Bits {
        program,
        position: 0,
    };
    let mut left = ADDRESS_BITS;
    // Where open jumps lead, and how many bits of the address are left there.
    let mut jumps: Vec<(usize, u32)> = Vec::new();
    let mut before = Before::Jump;
    let mut incomplete_match = false;
    loop {
        if jumps
            .last()
            .is_some_and(|(target, _)| bits.position >= *target)
        {
            return None;
        }
        match bits.instruction()? {
            Instruction::Return(_) => {
                if before == Before::Default {
                    return None;
                }
                let Some((target, bits_left)) = jumps.pop() else {
                    break;
                };
                if bits.position != target {
                    return None;
                }
                left = bits_left;
                before = Before::Jump;
            }
            Instruction::Jump(distance) => {
                let target = bits.position + distance as usize;
                left = left.checked_sub(1)?;
                let crosses = jumps.last().is_some_and(|(other, _)| target >= *other);
                if target > bits.end() || crosses {
                    return None;
                }
                jumps.push((target, left));
                before = Before::Jump;
            }
            Instruction::Match { length, .. } => {
                if before != Before::Match {
                    incomplete_match = false;
                }
                if length < 8 && incomplete_match {
                    return None;
                }
                incomplete_match = length < 8;
                left = left.checked_sub(length)?;
                before = Before::Match;
            }
            Instruction::Default(_) => {
                if before == Before::Default {
                    return None;
                }
                before = Before::Default;
            }
        }
    }
    // Padding to a whole byte.
    if bits.end() - bits.position > 7 {
        return None;
    }
    while let Some(bit) = bits.bit() {
        if bit {
            return None;
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// One jump on the first bit: system 1 below, system 2 above.
    fn two_halves() -> Vec<u8> {
        let mut bits = Vec::new();
        // Jump, by 17: over a return, which has 1 + 1 + 15 bits.
        bits.extend([true, false]);
        bits.extend([false; 6]);
        for system in [0u32, 1] {
            bits.push(false);
            bits.push(false);
            bits.extend((0..15).rev().map(|shift| system >> shift & 1 == 1));
        }
        let mut bytes = vec![0u8; bits.len().div_ceil(8)];
        for (index, bit) in bits.into_iter().enumerate() {
            bytes[index / 8] |= u8::from(bit) << (index % 8);
        }
        bytes
    }

    #[test]
    fn each_half_has_its_system() {
        let map = Asmap::new(two_halves()).expect("is a map");
        assert_eq!(map.lookup(&[0x7f; 16]), 1);
        assert_eq!(map.lookup(&[0x80; 16]), 2);
    }

    #[test]
    fn what_is_no_map_is_refused() {
        assert_eq!(Asmap::new(Vec::new()), Err(InvalidAsmap));
        let mut padded = two_halves();
        padded.push(0);
        assert_eq!(Asmap::new(padded), Err(InvalidAsmap));
        let mut cut = two_halves();
        cut.pop();
        assert_eq!(Asmap::new(cut), Err(InvalidAsmap));
    }

    proptest! {
        #[test]
        fn no_bytes_and_no_address_do_harm(bytes in proptest::collection::vec(any::<u8>(), 0..64), address: [u8; 16]) {
            if let Ok(map) = Asmap::new(bytes) {
                map.lookup(&address);
            }
        }
    }
}
