//! Scripts as text for people.

use super::kind::Pushes;
use crate::rpc::writer::push_hex;
use bitcoin::Script;

/// The script as opcode names, small numbers in decimal and data in hex; `[error]` where it ends inside a push. With
/// `decode_signatures` data that has the form of a signature shows its hash type by name, as for scriptSigs.
pub fn script_to_asm(script: &Script, decode_signatures: bool) -> String {
    let bytes = script.as_bytes();
    // Data behind OP_RETURN may look like a signature by chance.
    let decode_signatures =
        decode_signatures && bytes.first() != Some(&0x6a) && bytes.len() <= 10_000;
    let mut words = String::with_capacity(2 * bytes.len() + 32);
    for instruction in Pushes::new(bytes) {
        if !words.is_empty() {
            words.push(' ');
        }
        match instruction {
            Err(_) => words.push_str("[error]"),
            Ok(push) => match push.data {
                Some(data) if data.len() <= 4 => words.push_str(&number(data).to_string()),
                Some(data) => match signature_hash_type(data).filter(|_| decode_signatures) {
                    Some(name) => {
                        push_hex(&mut words, &data[..data.len() - 1]);
                        words.push('[');
                        words.push_str(name);
                        words.push(']');
                    }
                    None => push_hex(&mut words, data),
                },
                None => words.push_str(&opcode_name(push.opcode)),
            },
        }
    }
    words
}

/// Script's numbers: little-endian, the highest bit is the sign.
fn number(data: &[u8]) -> i64 {
    let Some((last, _)) = data.split_last() else {
        return 0;
    };
    let magnitude = data
        .iter()
        .rev()
        .fold(0i64, |sum, byte| sum << 8 | i64::from(*byte));
    let sign_bit = 0x80i64 << (8 * (data.len() - 1));
    if last & 0x80 != 0 {
        -(magnitude & !sign_bit)
    } else {
        magnitude
    }
}

/// The name of the hash type, if `data` is strictly DER with a defined hash type behind it (BIP 66).
fn signature_hash_type(data: &[u8]) -> Option<&'static str> {
    let (hash_type, der) = data.split_last()?;
    let name = match hash_type {
        0x01 => "ALL",
        0x81 => "ALL|ANYONECANPAY",
        0x02 => "NONE",
        0x82 => "NONE|ANYONECANPAY",
        0x03 => "SINGLE",
        0x83 => "SINGLE|ANYONECANPAY",
        _ => return None,
    };
    let [0x30, length, integers @ ..] = der else {
        return None;
    };
    if usize::from(*length) != integers.len() || data.len() > 73 {
        return None;
    }
    let rest = strict_integer(integers)?;
    strict_integer(rest)?.is_empty().then_some(name)
}

/// Whether `data` is an ECDSA signature as consensus and policy want it written: strict DER with a defined hash type behind it (BIP 66).
pub fn is_valid_signature_encoding(data: &[u8]) -> bool {
    signature_hash_type(data).is_some()
}

/// Reads one positive DER integer without padding; gives what follows it.
fn strict_integer(bytes: &[u8]) -> Option<&[u8]> {
    let [0x02, length, rest @ ..] = bytes else {
        return None;
    };
    let (value, rest) = rest.split_at_checked(usize::from(*length))?;
    let padded = matches!(value, [0, second, ..] if second & 0x80 == 0);
    let negative = value.first()? & 0x80 != 0;
    (!padded && !negative).then_some(rest)
}

fn opcode_name(opcode: u8) -> String {
    match opcode {
        0x4f => "-1".to_owned(),
        0x50 => "OP_RESERVED".to_owned(),
        0x51..=0x60 => (opcode - 0x50).to_string(),
        0xff => "OP_INVALIDOPCODE".to_owned(),
        _ => match OPCODES.get(usize::from(opcode).wrapping_sub(0x61)) {
            Some(name) => format!("OP_{name}"),
            None => "OP_UNKNOWN".to_owned(),
        },
    }
}

/// The names from 0x61 on.
const OPCODES: [&str; 90] = [
    "NOP",
    "VER",
    "IF",
    "NOTIF",
    "VERIF",
    "VERNOTIF",
    "ELSE",
    "ENDIF",
    "VERIFY",
    "RETURN",
    "TOALTSTACK",
    "FROMALTSTACK",
    "2DROP",
    "2DUP",
    "3DUP",
    "2OVER",
    "2ROT",
    "2SWAP",
    "IFDUP",
    "DEPTH",
    "DROP",
    "DUP",
    "NIP",
    "OVER",
    "PICK",
    "ROLL",
    "ROT",
    "SWAP",
    "TUCK",
    "CAT",
    "SUBSTR",
    "LEFT",
    "RIGHT",
    "SIZE",
    "INVERT",
    "AND",
    "OR",
    "XOR",
    "EQUAL",
    "EQUALVERIFY",
    "RESERVED1",
    "RESERVED2",
    "1ADD",
    "1SUB",
    "2MUL",
    "2DIV",
    "NEGATE",
    "ABS",
    "NOT",
    "0NOTEQUAL",
    "ADD",
    "SUB",
    "MUL",
    "DIV",
    "MOD",
    "LSHIFT",
    "RSHIFT",
    "BOOLAND",
    "BOOLOR",
    "NUMEQUAL",
    "NUMEQUALVERIFY",
    "NUMNOTEQUAL",
    "LESSTHAN",
    "GREATERTHAN",
    "LESSTHANOREQUAL",
    "GREATERTHANOREQUAL",
    "MIN",
    "MAX",
    "WITHIN",
    "RIPEMD160",
    "SHA1",
    "SHA256",
    "HASH160",
    "HASH256",
    "CODESEPARATOR",
    "CHECKSIG",
    "CHECKSIGVERIFY",
    "CHECKMULTISIG",
    "CHECKMULTISIGVERIFY",
    "NOP1",
    "CHECKLOCKTIMEVERIFY",
    "CHECKSEQUENCEVERIFY",
    "NOP4",
    "NOP5",
    "NOP6",
    "NOP7",
    "NOP8",
    "NOP9",
    "NOP10",
    "CHECKSIGADD",
];

#[cfg(test)]
mod tests {
    use super::*;
    use bitcoin::ScriptBuf;

    fn asm(hex: &str, decode: bool) -> String {
        script_to_asm(&ScriptBuf::from_hex(hex).unwrap(), decode)
    }

    #[test]
    fn opcodes_have_their_names() {
        assert_eq!(asm("61ac", false), "OP_NOP OP_CHECKSIG");
        assert_eq!(asm("ba", false), "OP_CHECKSIGADD");
        assert_eq!(asm("bb", false), "OP_UNKNOWN");
        assert_eq!(asm("ff", false), "OP_INVALIDOPCODE");
        assert_eq!(
            asm("b1b2", false),
            "OP_CHECKLOCKTIMEVERIFY OP_CHECKSEQUENCEVERIFY"
        );
        assert_eq!(
            asm("a9aeaf", false),
            "OP_HASH160 OP_CHECKMULTISIG OP_CHECKMULTISIGVERIFY"
        );
    }

    #[test]
    fn short_data_are_numbers() {
        assert_eq!(asm("004f5160", false), "0 -1 1 16");
        assert_eq!(asm("02c700", false), "199");
        assert_eq!(asm("0181", false), "-1");
        assert_eq!(asm("040000ff80", false), "-16711680");
        assert_eq!(asm("050102030405", false), "0102030405");
        assert_eq!(asm("05010203", false), "[error]");
    }

    #[test]
    fn signatures_show_their_hash_type() {
        // The first payment between two people: block 170's second transaction.
        let signature = "304402204e45e16932b8af514961a1d3a1a25fdf3f4f7732e9d624c6c61548ab5fb8cd410220181522ec8eca07de4860a4acdd12909d831cc56cbbac4622082221a8768d1d09";
        assert_eq!(
            asm(&format!("47{signature}01"), true),
            format!("{signature}[ALL]")
        );
        assert_eq!(
            asm(&format!("47{signature}01"), false),
            format!("{signature}01")
        );
        assert_eq!(
            asm(&format!("47{signature}05"), true),
            format!("{signature}05")
        );
    }
}
