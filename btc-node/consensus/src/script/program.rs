//! The output scripts that consensus recognises by their form.

use super::opcode::{OP_1, OP_EQUAL, OP_HASH160, OP_RETURN, small_number};
use crate::limits::MAX_SCRIPT_SIZE;

/// A segregated witness program: a version opcode and one push of 2 to 40 bytes (BIP 141).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WitnessProgram<'a> {
    /// The version, 0 to 16.
    pub version: u8,
    /// The pushed bytes.
    pub program: &'a [u8],
}

impl<'a> WitnessProgram<'a> {
    /// Reads a script as a witness program; `None` if it is not one.
    pub fn from_script(script: &'a [u8]) -> Option<Self> {
        let [version, length, program @ ..] = script else {
            return None;
        };
        let version = small_number(*version)?;
        let exact = usize::from(*length) == program.len();
        (exact && (2..=40).contains(&program.len())).then_some(Self { version, program })
    }

    /// Whether this is the anyone-can-spend anchor program, version 1 with the bytes `4e73`.
    pub fn is_anchor(&self) -> bool {
        self.version == 1 && self.program == [0x4e, 0x73]
    }
}

/// Whether a script has the form of pay-to-script-hash (BIP 16).
pub fn is_p2sh(script: &[u8]) -> bool {
    matches!(script, [OP_HASH160, 20, hash @ .., OP_EQUAL] if hash.len() == 20)
}

/// Whether a script has the form of a taproot output (BIP 341).
pub fn is_p2tr(script: &[u8]) -> bool {
    matches!(script, [OP_1, 32, key @ ..] if key.len() == 32)
}

/// Whether no input can ever satisfy a script: it returns at once or is too long to run.
///
/// Such outputs are left out of the set of unspent outputs.
pub fn is_unspendable(script: &[u8]) -> bool {
    script.first() == Some(&OP_RETURN) || script.len() > MAX_SCRIPT_SIZE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn witness_programs() {
        let program = |script: &[u8]| WitnessProgram::from_script(script).map(|p| p.version);
        assert_eq!(program(&[&[0, 20][..], &[7; 20]].concat()), Some(0));
        assert_eq!(program(&[&[0x60, 40][..], &[7; 40]].concat()), Some(16));
        assert_eq!(program(&[0x51, 2, 0x4e, 0x73]), Some(1));
        assert_eq!(program(&[0x51, 1, 0x4e]), None);
        assert_eq!(program(&[&[0x51, 41][..], &[7; 41]].concat()), None);
        assert_eq!(program(&[0x4f, 2, 1, 1]), None);
        assert_eq!(program(&[0x51, 3, 1, 1]), None);
        assert_eq!(program(&[0x51]), None);
    }

    #[test]
    fn unspendable_scripts() {
        assert!(is_unspendable(&[OP_RETURN]));
        assert!(is_unspendable(&vec![0x51; MAX_SCRIPT_SIZE + 1]));
        assert!(!is_unspendable(&vec![0x51; MAX_SCRIPT_SIZE]));
        assert!(!is_unspendable(&[]));
    }
}
