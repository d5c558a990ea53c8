//! Opcodes by their numbers and names.

macro_rules! opcodes {
    ($($name:ident = $value:literal,)*) => {
        $(
            #[doc = concat!("The opcode `", stringify!($name), "`.")]
            pub const $name: u8 = $value;
        )*

        /// The name of an opcode as Bitcoin Core writes it in `asm` fields, where small numbers
        /// are written as such; `None` for direct pushes and for bytes that name no opcode.
        pub const fn name(opcode: u8) -> Option<&'static str> {
            match opcode {
                OP_0 => Some("0"),
                OP_1NEGATE => Some("-1"),
                OP_1 => Some("1"),
                OP_2 => Some("2"),
                OP_3 => Some("3"),
                OP_4 => Some("4"),
                OP_5 => Some("5"),
                OP_6 => Some("6"),
                OP_7 => Some("7"),
                OP_8 => Some("8"),
                OP_9 => Some("9"),
                OP_10 => Some("10"),
                OP_11 => Some("11"),
                OP_12 => Some("12"),
                OP_13 => Some("13"),
                OP_14 => Some("14"),
                OP_15 => Some("15"),
                OP_16 => Some("16"),
                $($value => Some(stringify!($name)),)*
                _ => None,
            }
        }
    };
}

opcodes! {
    OP_PUSHDATA1 = 0x4c,
    OP_PUSHDATA2 = 0x4d,
    OP_PUSHDATA4 = 0x4e,
    OP_RESERVED = 0x50,
    OP_NOP = 0x61,
    OP_VER = 0x62,
    OP_IF = 0x63,
    OP_NOTIF = 0x64,
    OP_VERIF = 0x65,
    OP_VERNOTIF = 0x66,
    OP_ELSE = 0x67,
    OP_ENDIF = 0x68,
    OP_VERIFY = 0x69,
    OP_RETURN = 0x6a,
    OP_TOALTSTACK = 0x6b,
    OP_FROMALTSTACK = 0x6c,
    OP_2DROP = 0x6d,
    OP_2DUP = 0x6e,
    OP_3DUP = 0x6f,
    OP_2OVER = 0x70,
    OP_2ROT = 0x71,
    OP_2SWAP = 0x72,
    OP_IFDUP = 0x73,
    OP_DEPTH = 0x74,
    OP_DROP = 0x75,
    OP_DUP = 0x76,
    OP_NIP = 0x77,
    OP_OVER = 0x78,
    OP_PICK = 0x79,
    OP_ROLL = 0x7a,
    OP_ROT = 0x7b,
    OP_SWAP = 0x7c,
    OP_TUCK = 0x7d,
    OP_CAT = 0x7e,
    OP_SUBSTR = 0x7f,
    OP_LEFT = 0x80,
    OP_RIGHT = 0x81,
    OP_SIZE = 0x82,
    OP_INVERT = 0x83,
    OP_AND = 0x84,
    OP_OR = 0x85,
    OP_XOR = 0x86,
    OP_EQUAL = 0x87,
    OP_EQUALVERIFY = 0x88,
    OP_RESERVED1 = 0x89,
    OP_RESERVED2 = 0x8a,
    OP_1ADD = 0x8b,
    OP_1SUB = 0x8c,
    OP_2MUL = 0x8d,
    OP_2DIV = 0x8e,
    OP_NEGATE = 0x8f,
    OP_ABS = 0x90,
    OP_NOT = 0x91,
    OP_0NOTEQUAL = 0x92,
    OP_ADD = 0x93,
    OP_SUB = 0x94,
    OP_MUL = 0x95,
    OP_DIV = 0x96,
    OP_MOD = 0x97,
    OP_LSHIFT = 0x98,
    OP_RSHIFT = 0x99,
    OP_BOOLAND = 0x9a,
    OP_BOOLOR = 0x9b,
    OP_NUMEQUAL = 0x9c,
    OP_NUMEQUALVERIFY = 0x9d,
    OP_NUMNOTEQUAL = 0x9e,
    OP_LESSTHAN = 0x9f,
    OP_GREATERTHAN = 0xa0,
    OP_LESSTHANOREQUAL = 0xa1,
    OP_GREATERTHANOREQUAL = 0xa2,
    OP_MIN = 0xa3,
    OP_MAX = 0xa4,
    OP_WITHIN = 0xa5,
    OP_RIPEMD160 = 0xa6,
    OP_SHA1 = 0xa7,
    OP_SHA256 = 0xa8,
    OP_HASH160 = 0xa9,
    OP_HASH256 = 0xaa,
    OP_CODESEPARATOR = 0xab,
    OP_CHECKSIG = 0xac,
    OP_CHECKSIGVERIFY = 0xad,
    OP_CHECKMULTISIG = 0xae,
    OP_CHECKMULTISIGVERIFY = 0xaf,
    OP_NOP1 = 0xb0,
    OP_CHECKLOCKTIMEVERIFY = 0xb1,
    OP_CHECKSEQUENCEVERIFY = 0xb2,
    OP_NOP4 = 0xb3,
    OP_NOP5 = 0xb4,
    OP_NOP6 = 0xb5,
    OP_NOP7 = 0xb6,
    OP_NOP8 = 0xb7,
    OP_NOP9 = 0xb8,
    OP_NOP10 = 0xb9,
    OP_CHECKSIGADD = 0xba,
    OP_INVALIDOPCODE = 0xff,
}

/// The opcode `OP_0`.
pub const OP_0: u8 = 0x00;
/// The opcode `OP_1NEGATE`.
pub const OP_1NEGATE: u8 = 0x4f;
/// The opcode `OP_1`.
pub const OP_1: u8 = 0x51;
/// The opcode `OP_2`.
pub const OP_2: u8 = 0x52;
/// The opcode `OP_3`.
pub const OP_3: u8 = 0x53;
/// The opcode `OP_4`.
pub const OP_4: u8 = 0x54;
/// The opcode `OP_5`.
pub const OP_5: u8 = 0x55;
/// The opcode `OP_6`.
pub const OP_6: u8 = 0x56;
/// The opcode `OP_7`.
pub const OP_7: u8 = 0x57;
/// The opcode `OP_8`.
pub const OP_8: u8 = 0x58;
/// The opcode `OP_9`.
pub const OP_9: u8 = 0x59;
/// The opcode `OP_10`.
pub const OP_10: u8 = 0x5a;
/// The opcode `OP_11`.
pub const OP_11: u8 = 0x5b;
/// The opcode `OP_12`.
pub const OP_12: u8 = 0x5c;
/// The opcode `OP_13`.
pub const OP_13: u8 = 0x5d;
/// The opcode `OP_14`.
pub const OP_14: u8 = 0x5e;
/// The opcode `OP_15`.
pub const OP_15: u8 = 0x5f;
/// The opcode `OP_16`.
pub const OP_16: u8 = 0x60;

/// The number that `OP_0` and `OP_1` to `OP_16` push.
pub const fn small_number(opcode: u8) -> Option<u8> {
    match opcode {
        OP_0 => Some(0),
        OP_1..=OP_16 => Some(opcode - (OP_1 - 1)),
        _ => None,
    }
}

/// Whether an opcode fails every script before tapscript that contains it, executed or not.
pub const fn is_disabled(opcode: u8) -> bool {
    matches!(
        opcode,
        OP_CAT..=OP_RIGHT | OP_INVERT..=OP_XOR | OP_2MUL | OP_2DIV | OP_MUL..=OP_RSHIFT
    )
}

/// Whether an opcode makes every tapscript that contains it valid (BIP 342).
pub const fn is_success(opcode: u8) -> bool {
    matches!(
        opcode,
        80 | 98 | 126..=129 | 131..=134 | 137..=138 | 141..=142 | 149..=153 | 187..=254
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        assert_eq!(name(OP_0), Some("0"));
        assert_eq!(name(OP_16), Some("16"));
        assert_eq!(name(OP_CHECKSIGADD), Some("OP_CHECKSIGADD"));
        assert_eq!(name(75), None);
        assert_eq!(name(187), None);
    }

    #[test]
    fn counts_of_special_opcodes() {
        assert_eq!((0..=255).filter(|opcode| is_disabled(*opcode)).count(), 15);
        assert_eq!((0..=255).filter(|opcode| is_success(*opcode)).count(), 87);
        assert_eq!(
            (0..=255)
                .filter_map(small_number)
                .map(u32::from)
                .sum::<u32>(),
            136
        );
    }
}
