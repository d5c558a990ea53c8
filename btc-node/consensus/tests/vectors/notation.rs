//! The notations that several vector files share.

use bitcoin::hex::FromHex;
use bitcoin::{ScriptBuf, Transaction, consensus};
use btc_consensus::script::{instruction, number, opcode};
use serde_json::Value;

/// The bytes that hexadecimal digits stand for.
pub(crate) fn hex(digits: &str) -> Vec<u8> {
    Vec::from_hex(digits).unwrap_or_else(|error| panic!("{error}: {digits}"))
}

/// A serialized transaction.
pub(crate) fn transaction(digits: &str) -> Transaction {
    consensus::deserialize(&hex(digits)).unwrap_or_else(|error| panic!("{error}: {digits}"))
}

/// A field that must be text.
pub(crate) fn text(value: &Value) -> &str {
    value
        .as_str()
        .unwrap_or_else(|| panic!("not text: {value}"))
}

/// A script in the notation of Bitcoin Core's vectors: numbers in decimal, raw bytes after `0x`,
/// pushed text in single quotes, and opcodes with or without `OP_`.
pub(crate) fn script(notation: &str) -> ScriptBuf {
    let mut script = Vec::new();
    for word in notation.split_ascii_whitespace() {
        if let Ok(value) = word.parse::<i64>() {
            push_number(&mut script, value);
        } else if let Some(digits) = word.strip_prefix("0x") {
            script.extend(hex(digits));
        } else if let Some(quoted) = word.strip_prefix('\'') {
            let quoted = quoted.strip_suffix('\'').expect("a closing quote");
            instruction::push_data(&mut script, quoted.as_bytes());
        } else {
            script.push(named_opcode(word));
        }
    }
    ScriptBuf::from_bytes(script)
}

fn push_number(script: &mut Vec<u8>, value: i64) {
    match value {
        0 => script.push(opcode::OP_0),
        -1 => script.push(opcode::OP_1NEGATE),
        1..=16 => script.push(opcode::OP_1 + value as u8 - 1),
        _ => instruction::push_data(script, &number::encode(value)),
    }
}

fn named_opcode(word: &str) -> u8 {
    (opcode::OP_1NEGATE + 1..=opcode::OP_CHECKSIGADD)
        .filter(|code| !(opcode::OP_1..=opcode::OP_16).contains(code))
        .find(|code| {
            opcode::name(*code)
                .is_some_and(|name| name == word || name.strip_prefix("OP_") == Some(word))
        })
        .unwrap_or_else(|| panic!("unknown opcode {word}"))
}

/// Says how many cases ran, and insists on all of them.
pub(crate) fn report(what: &str, ran: usize, expected: usize) {
    eprintln!("{what}: {ran} cases");
    assert_eq!(ran, expected, "{what}");
}
