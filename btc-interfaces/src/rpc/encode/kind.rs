//! The kinds of output scripts that have a name.

use bitcoin::Script;

/// An output script by its form. Source: the types of Core's solver, BIP 11, 13, 16, 141, 341 and 433.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ScriptKind<'a> {
    /// None of the others.
    NonStandard,
    /// Pays to a public key in the script.
    PubKey {
        /// The key, 33 or 65 bytes.
        key: &'a [u8],
    },
    /// Pays to the hash of a public key.
    PubKeyHash,
    /// Pays to the hash of a script.
    ScriptHash,
    /// Pays to some of several public keys in the script.
    Multisig {
        /// How many signatures are needed, 1 to 20.
        required: u8,
        /// The keys, at least as many as `required` and at most 20.
        keys: Vec<&'a [u8]>,
    },
    /// Carries data and can never be spent.
    NullData,
    /// Pays to anyone, as an anchor for fees.
    Anchor,
    /// Pays to the hash of a public key, in a witness.
    WitnessV0KeyHash,
    /// Pays to the hash of a script, in a witness.
    WitnessV0ScriptHash,
    /// Pays to a taproot output key.
    WitnessV1Taproot {
        /// The x-only key, 32 bytes.
        output_key: &'a [u8],
    },
    /// A witness program of a version or length that has no meaning yet.
    WitnessUnknown,
}

impl<'a> ScriptKind<'a> {
    /// The kind of `script`.
    pub fn of(script: &'a Script) -> Self {
        let bytes = script.as_bytes();
        if matches!(bytes, [0xa9, 0x14, .., 0x87]) && bytes.len() == 23 {
            return Self::ScriptHash;
        }
        if let Some((version, program)) = witness_program(bytes) {
            return match (version, program.len()) {
                (0, 20) => Self::WitnessV0KeyHash,
                (0, 32) => Self::WitnessV0ScriptHash,
                (1, 32) => Self::WitnessV1Taproot {
                    output_key: program,
                },
                (1, 2) if program == [0x4e, 0x73] => Self::Anchor,
                (0, _) => Self::NonStandard,
                _ => Self::WitnessUnknown,
            };
        }
        match bytes {
            [0x6a, data @ ..] if is_push_only(Script::from_bytes(data)) => Self::NullData,
            [33, key @ .., 0xac] if key.len() == 33 && is_public_key_sized(key) => {
                Self::PubKey { key }
            }
            [65, key @ .., 0xac] if key.len() == 65 && is_public_key_sized(key) => {
                Self::PubKey { key }
            }
            [0x76, 0xa9, 0x14, .., 0x88, 0xac] if bytes.len() == 25 => Self::PubKeyHash,
            _ => multisig(bytes).unwrap_or(Self::NonStandard),
        }
    }

    /// The name that RPC results give it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::NonStandard => "nonstandard",
            Self::PubKey { .. } => "pubkey",
            Self::PubKeyHash => "pubkeyhash",
            Self::ScriptHash => "scripthash",
            Self::Multisig { .. } => "multisig",
            Self::NullData => "nulldata",
            Self::Anchor => "anchor",
            Self::WitnessV0KeyHash => "witness_v0_keyhash",
            Self::WitnessV0ScriptHash => "witness_v0_scripthash",
            Self::WitnessV1Taproot { .. } => "witness_v1_taproot",
            Self::WitnessUnknown => "witness_unknown",
        }
    }

    /// Whether an address stands for exactly this script.
    pub fn has_address(&self) -> bool {
        !matches!(
            self,
            Self::NonStandard | Self::PubKey { .. } | Self::Multisig { .. } | Self::NullData
        )
    }
}

fn witness_program(bytes: &[u8]) -> Option<(u8, &[u8])> {
    if !(4..=42).contains(&bytes.len()) || usize::from(bytes[1]) + 2 != bytes.len() {
        return None;
    }
    let version = match bytes[0] {
        0 => 0,
        number @ 0x51..=0x60 => number - 0x50,
        _ => return None,
    };
    Some((version, &bytes[2..]))
}

/// Whether the first byte and the length fit each other; the point may still be off the curve.
fn is_public_key_sized(key: &[u8]) -> bool {
    matches!(
        (key.first(), key.len()),
        (Some(2 | 3), 33) | (Some(4 | 6 | 7), 65)
    )
}

fn multisig(bytes: &[u8]) -> Option<ScriptKind<'_>> {
    if bytes.last() != Some(&0xae) {
        return None;
    }
    let mut pushes = Pushes::new(bytes);
    let required = small_count(&pushes.next()?.ok()?)?;
    let mut keys = Vec::new();
    let count = loop {
        let push = pushes.next()?.ok()?;
        match push.data {
            Some(key) if is_public_key_sized(key) => keys.push(key),
            _ => break small_count(&push)?,
        }
    };
    let fits = (1..=20).contains(&required)
        && (required..=20).contains(&count)
        && keys.len() == usize::from(count)
        && pushes.rest().len() == 1;
    fits.then_some(ScriptKind::Multisig { required, keys })
}

/// A number as multisig scripts write it: an opcode up to 16, or a minimal one-byte push.
fn small_count(push: &Push<'_>) -> Option<u8> {
    match (push.opcode, push.data) {
        (number @ 0x51..=0x60, _) => Some(number - 0x50),
        (1, Some([number @ 17..=0x7f])) => Some(*number),
        _ => None,
    }
}

/// One instruction of a script: an opcode, and the bytes it pushes if it is a push with data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Push<'a> {
    /// The opcode.
    pub opcode: u8,
    /// What it pushes, for opcodes up to `OP_PUSHDATA4` (`OP_0` pushes nothing, which is `Some` of no bytes).
    pub data: Option<&'a [u8]>,
}

/// The script ends inside a push.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("script ends inside a push")]
pub struct CutShort;

/// Reads a script instruction by instruction; ends after the first error.
#[derive(Debug, Clone)]
pub struct Pushes<'a> {
    rest: &'a [u8],
}

impl<'a> Pushes<'a> {
    /// From the beginning of `script`.
    pub fn new(script: &'a [u8]) -> Self {
        Self { rest: script }
    }

    /// What is not read yet.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    fn read(&mut self, opcode: u8) -> Option<Push<'a>> {
        let width = match opcode {
            0..=0x4b => 0,
            0x4c => 1,
            0x4d => 2,
            0x4e => 4,
            _ => return Some(Push { opcode, data: None }),
        };
        let (prefix, rest) = self.rest.split_at_checked(width)?;
        let length = match width {
            0 => usize::from(opcode),
            _ => prefix
                .iter()
                .rev()
                .fold(0, |sum, byte| sum << 8 | usize::from(*byte)),
        };
        let (data, rest) = rest.split_at_checked(length)?;
        self.rest = rest;
        Some(Push {
            opcode,
            data: Some(data),
        })
    }
}

impl<'a> Iterator for Pushes<'a> {
    type Item = Result<Push<'a>, CutShort>;

    fn next(&mut self) -> Option<Self::Item> {
        let (&opcode, rest) = self.rest.split_first()?;
        self.rest = rest;
        match self.read(opcode) {
            Some(push) => Some(Ok(push)),
            None => {
                self.rest = &[];
                Some(Err(CutShort))
            }
        }
    }
}

/// Whether a script holds nothing but pushes, counting `OP_RESERVED` among them as the rules do.
pub fn is_push_only(script: &Script) -> bool {
    Pushes::new(script.as_bytes()).all(|push| push.is_ok_and(|push| push.opcode <= 0x60))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bitcoin::ScriptBuf;
    use bitcoin::hex::FromHex;

    fn kind_name(hex: &str) -> &'static str {
        let script = ScriptBuf::from(Vec::from_hex(hex).unwrap());
        ScriptKind::of(&script).name()
    }

    #[test]
    fn every_kind_is_told_by_its_form() {
        let key = "02".to_owned() + &"11".repeat(32);
        let cases = [
            ("", "nonstandard"),
            ("51", "nonstandard"),
            (&format!("21{key}ac"), "pubkey"),
            (&format!("2105{}ac", "11".repeat(32)), "nonstandard"),
            (&format!("4104{}ac", "11".repeat(64)), "pubkey"),
            (&format!("76a914{}88ac", "22".repeat(20)), "pubkeyhash"),
            (&format!("a914{}87", "22".repeat(20)), "scripthash"),
            (&format!("5121{key}51ae"), "multisig"),
            (&format!("5221{key}21{key}52ae"), "multisig"),
            (&format!("5221{key}51ae"), "nonstandard"),
            (&format!("0021{key}51ae"), "nonstandard"),
            ("6a", "nulldata"),
            ("6a0401020304", "nulldata"),
            ("6a05010203", "nonstandard"),
            ("51024e73", "anchor"),
            ("51024e74", "witness_unknown"),
            (&format!("0014{}", "33".repeat(20)), "witness_v0_keyhash"),
            (&format!("0020{}", "33".repeat(32)), "witness_v0_scripthash"),
            (&format!("0015{}", "33".repeat(21)), "nonstandard"),
            (&format!("5120{}", "33".repeat(32)), "witness_v1_taproot"),
            (&format!("6020{}", "33".repeat(32)), "witness_unknown"),
        ];
        for (hex, name) in cases {
            assert_eq!(kind_name(hex), name, "{hex}");
        }
    }

    #[test]
    fn up_to_twenty_keys_are_counted_by_a_push() {
        let keys = ("21".to_owned() + "03" + &"44".repeat(32)).repeat(20);
        assert_eq!(kind_name(&format!("51{keys}0114ae")), "multisig");
        assert_eq!(kind_name(&format!("0114{keys}0114ae")), "multisig");
        assert_eq!(kind_name(&format!("51{keys}0115ae")), "nonstandard");
    }
}
