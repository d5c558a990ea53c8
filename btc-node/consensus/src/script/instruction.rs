//! Splitting a script into opcodes and the data they push.

use super::ScriptError;
use super::opcode::{OP_0, OP_16, OP_PUSHDATA1, OP_PUSHDATA2, OP_PUSHDATA4};

/// One opcode with the data that it pushes, which is empty for all but pushes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instruction<'a> {
    /// The opcode's byte.
    pub opcode: u8,
    /// What a push opcode pushes.
    pub data: &'a [u8],
}

impl Instruction<'_> {
    /// Whether a shorter push of the same data exists (BIP 62's rule 3).
    ///
    /// Only meaningful for pushes of data; opcodes that push a number are minimal by nature.
    pub fn is_minimal_push(&self) -> bool {
        match self.data {
            [] => self.opcode == OP_0,
            [1..=16 | 0x81] => false,
            data => match data.len() {
                len @ ..=75 => usize::from(self.opcode) == len,
                76..=0xff => self.opcode == OP_PUSHDATA1,
                0x100..=0xffff => self.opcode == OP_PUSHDATA2,
                _ => true,
            },
        }
    }
}

/// The instructions of a script, in order.
///
/// Ends after the first error: a push that runs past the script's end.
#[derive(Clone, Debug)]
pub struct Instructions<'a> {
    script: &'a [u8],
    position: usize,
    failed: bool,
}

impl<'a> Instructions<'a> {
    /// Starts at the first byte of `script`.
    pub const fn new(script: &'a [u8]) -> Self {
        Self {
            script,
            position: 0,
            failed: false,
        }
    }

    /// The offset of the next instruction; after an error, of the first byte that was not read
    /// as an opcode or a length.
    pub const fn position(&self) -> usize {
        self.position
    }

    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let taken = self.script.get(self.position..)?.get(..count)?;
        self.position += count;
        Some(taken)
    }

    fn take_length(&mut self, width: usize) -> Option<usize> {
        let mut bytes = [0; 4];
        bytes[..width].copy_from_slice(self.take(width)?);
        usize::try_from(u32::from_le_bytes(bytes)).ok()
    }

    fn read(&mut self) -> Option<Instruction<'a>> {
        let opcode = self.take(1)?[0];
        let length = match opcode {
            ..OP_PUSHDATA1 => usize::from(opcode),
            OP_PUSHDATA1 => self.take_length(1)?,
            OP_PUSHDATA2 => self.take_length(2)?,
            OP_PUSHDATA4 => self.take_length(4)?,
            _ => 0,
        };
        Some(Instruction {
            opcode,
            data: self.take(length)?,
        })
    }
}

impl<'a> Iterator for Instructions<'a> {
    type Item = Result<Instruction<'a>, ScriptError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed || self.position >= self.script.len() {
            return None;
        }
        let instruction = self.read();
        self.failed = instruction.is_none();
        Some(instruction.ok_or(ScriptError::BadOpcode))
    }
}

/// Whether a script is well formed and holds only pushes, which `OP_RESERVED` counts as.
pub fn is_push_only(script: &[u8]) -> bool {
    Instructions::new(script).all(|step| step.is_ok_and(|step| step.opcode <= OP_16))
}

/// Appends a push of `data`, by the shortest length prefix but never as a number opcode.
pub fn push_data(script: &mut Vec<u8>, data: &[u8]) {
    let length = data.len();
    #[allow(
        clippy::cast_possible_truncation,
        reason = "each arm bounds the length"
    )]
    match length {
        ..=75 => script.push(length as u8),
        76..=0xff => script.extend([OP_PUSHDATA1, length as u8]),
        0x100..=0xffff => {
            script.push(OP_PUSHDATA2);
            script.extend((length as u16).to_le_bytes());
        }
        _ => {
            script.push(OP_PUSHDATA4);
            script.extend((length as u32).to_le_bytes());
        }
    }
    script.extend_from_slice(data);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_cut_push_is_an_error_and_the_end() {
        for script in [
            &[1][..],
            &[76],
            &[76, 1],
            &[77, 1],
            &[77, 1, 0],
            &[78, 0, 0, 0],
            &[75; 75],
        ] {
            let mut steps = Instructions::new(script);
            assert_eq!(
                steps.next(),
                Some(Err(ScriptError::BadOpcode)),
                "{script:?}"
            );
            assert_eq!(steps.next(), None);
            assert!(!is_push_only(script));
        }
    }

    #[test]
    fn minimal_pushes() {
        let minimal = |opcode, data| Instruction { opcode, data }.is_minimal_push();
        assert!(minimal(0, &[]));
        assert!(!minimal(76, &[]));
        assert!(!minimal(1, &[16]));
        assert!(minimal(1, &[17]));
        assert!(!minimal(1, &[0x81]));
        assert!(minimal(1, &[0]));
        assert!(minimal(75, &[7; 75]));
        assert!(!minimal(76, &[7; 75]));
        assert!(minimal(76, &[7; 76]));
        assert!(!minimal(77, &[7; 255]));
        assert!(minimal(77, &[7; 256]));
        assert!(!minimal(78, &[7; 65_535]));
        assert!(minimal(78, &[7; 65_536]));
    }

    proptest! {
        #[test]
        fn what_is_pushed_is_read(data in proptest::collection::vec(any::<u8>(), 0..70_000)) {
            let mut script = Vec::new();
            push_data(&mut script, &data);
            let steps: Vec<_> = Instructions::new(&script).collect();
            prop_assert_eq!(steps.len(), 1);
            prop_assert_eq!(steps[0].unwrap().data, &data[..]);
            prop_assert!(is_push_only(&script));
        }

        #[test]
        fn any_bytes_split_within_bounds(script in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut steps = Instructions::new(&script);
            let mut last = 0;
            while let Some(step) = steps.next() {
                prop_assert!(steps.position() > last && steps.position() <= script.len());
                last = steps.position();
                if step.is_err() { break; }
            }
        }
    }
}
