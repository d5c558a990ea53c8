//! Numbers that are the same for the same seed.

/// A generator of numbers (SplitMix64), good enough to spread choices; or the choices of somebody else.
#[derive(Clone)]
pub struct Random {
    state: u64,
    /// Choices to be made before any others, the last one first.
    given: Vec<u8>,
}

impl Random {
    pub fn new(seed: u64) -> Self {
        let state = seed ^ 0x5eed_0f0a_c1e5;
        let given = Vec::new();
        Self { state, given }
    }

    /// Chooses as `choices` say, one byte for each; what comes after them depends on how many there were.
    pub fn from_choices(choices: &[u8]) -> Self {
        let given = choices.iter().rev().copied().collect();
        Self {
            given,
            ..Self::new(choices.len() as u64)
        }
    }

    pub fn next(&mut self) -> u64 {
        if let Some(choice) = self.given.pop() {
            return choice.into();
        }
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`, which is small and not 0.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    /// True once in `times`.
    pub fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    pub fn byte(&mut self) -> u8 {
        self.next() as u8
    }

    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    /// Up to `most` bytes.
    pub fn bytes(&mut self, most: usize) -> Vec<u8> {
        let length = self.below(most + 1);
        (0..length).map(|_| self.byte()).collect()
    }

    /// Changes, removes, adds or repeats a byte or a few.
    pub fn mutate(&mut self, bytes: &mut Vec<u8>) {
        if bytes.is_empty() {
            bytes.push(self.byte());
            return;
        }
        let at = self.below(bytes.len());
        match self.below(5) {
            0 => bytes[at] ^= 1 << self.below(8),
            1 => bytes[at] = self.byte(),
            2 => drop(bytes.remove(at)),
            3 => bytes.insert(at, self.byte()),
            _ => {
                let end = (at + 1 + self.below(40)).min(bytes.len());
                let copy = bytes[at..end].to_vec();
                bytes.splice(at..at, copy);
            }
        }
    }
}
