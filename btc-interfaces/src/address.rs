//! Reading addresses, with word of what is wrong and where.
//!
//! An address is taken as Bech32 if it begins as this network's do, and as Base58 otherwise. In a Bech32 string with a
//! wrong checksum up to two wrong characters can be found, since the code's distance is five.

use bitcoin::base58;
use bitcoin::constants::{
    PUBKEY_ADDRESS_PREFIX_MAIN, PUBKEY_ADDRESS_PREFIX_TEST, SCRIPT_ADDRESS_PREFIX_MAIN,
    SCRIPT_ADDRESS_PREFIX_TEST,
};
use bitcoin::hashes::Hash;
use bitcoin::script::{Builder, PushBytesBuf};
use bitcoin::{Network, NetworkKind, PubkeyHash, ScriptBuf, ScriptHash, WitnessVersion};
use std::collections::HashMap;

/// Why a text is no address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct AddressError {
    /// In the words that clients know.
    pub message: String,
    /// Positions of characters that are likely wrong, ascending.
    pub locations: Vec<usize>,
}

fn error(message: impl Into<String>) -> AddressError {
    AddressError {
        message: message.into(),
        locations: Vec::new(),
    }
}

/// The output script that an address of this network stands for.
///
/// # Errors
/// In Core's words, with the places of wrong characters where they can be found.
pub fn decode(text: &str, network: Network) -> Result<ScriptBuf, AddressError> {
    let hrp = match network {
        Network::Bitcoin => "bc",
        Network::Regtest => "bcrt",
        _ => "tb",
    };
    let prefix = text.as_bytes().get(..hrp.len());
    if prefix.is_some_and(|prefix| prefix.eq_ignore_ascii_case(hrp.as_bytes())) {
        decode_bech32(text, hrp)
    } else {
        decode_base58(text, network.into())
    }
}

fn decode_base58(text: &str, network: NetworkKind) -> Result<ScriptBuf, AddressError> {
    const UNSUPPORTED: &str = "Invalid or unsupported Segwit (Bech32) or Base58 encoding.";
    // Longer ones are neither read nor worth the time.
    let readable = text.len() <= 200 && base58::decode(text).is_ok_and(|bytes| bytes.len() <= 100);
    let data = match base58::decode_check(text) {
        _ if !readable => return Err(error(UNSUPPORTED)),
        Ok(data) if data.len() <= 21 => data,
        _ => {
            return Err(error(
                "Invalid checksum or length of Base58 address (P2PKH or P2SH)",
            ));
        }
    };
    let prefixes = match network {
        NetworkKind::Main => [PUBKEY_ADDRESS_PREFIX_MAIN, SCRIPT_ADDRESS_PREFIX_MAIN],
        NetworkKind::Test => [PUBKEY_ADDRESS_PREFIX_TEST, SCRIPT_ADDRESS_PREFIX_TEST],
    };
    match data.split_first() {
        Some((prefix, hash)) if hash.len() == 20 && *prefix == prefixes[0] => {
            let hash = PubkeyHash::from_slice(hash).map_err(|_| error(UNSUPPORTED))?;
            Ok(ScriptBuf::new_p2pkh(&hash))
        }
        Some((prefix, hash)) if hash.len() == 20 && *prefix == prefixes[1] => {
            let hash = ScriptHash::from_slice(hash).map_err(|_| error(UNSUPPORTED))?;
            Ok(ScriptBuf::new_p2sh(&hash))
        }
        Some((prefix, _)) if prefixes.contains(prefix) => {
            Err(error("Invalid length for Base58 address (P2PKH or P2SH)"))
        }
        _ => Err(error("Invalid or unsupported Base58-encoded address.")),
    }
}

const CHARSET: &[u8; 32] = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l";
const CHECKSUM_LEN: usize = 6;
const MAX_LEN: usize = 90;
const BECH32: u32 = 1;
const BECH32M: u32 = 0x2bc8_30a3;

/// A string in the form of Bech32, its checksum not looked at.
struct Parts {
    /// In lower case.
    hrp: String,
    /// Values of 5 bits, the checksum among them.
    values: Vec<u8>,
}

fn split(text: &str) -> Result<Parts, AddressError> {
    let located = |message: &str, locations: Vec<usize>| {
        Err(AddressError {
            message: message.to_owned(),
            locations,
        })
    };
    if text.len() > MAX_LEN {
        return located("Bech32 string too long", (MAX_LEN..text.len()).collect());
    }
    let wrong = wrong_characters(text.as_bytes());
    if !wrong.is_empty() {
        return located("Invalid character or mixed case", wrong);
    }
    let Some(separator) = text.rfind('1') else {
        return located("Missing separator", Vec::new());
    };
    if separator == 0 || separator + CHECKSUM_LEN >= text.len() {
        return located("Invalid separator position", vec![separator]);
    }
    let mut values = Vec::new();
    for (index, byte) in text.bytes().enumerate().skip(separator + 1) {
        match CHARSET
            .iter()
            .position(|known| *known == byte.to_ascii_lowercase())
        {
            Some(value) => values.push(u8::try_from(value).unwrap_or(0)),
            None => return located("Invalid Base 32 character", vec![index]),
        }
    }
    Ok(Parts {
        hrp: text[..separator].to_ascii_lowercase(),
        values,
    })
}

/// Positions of characters that no Bech32 string has, and of those in another case than the first letter's.
fn wrong_characters(text: &[u8]) -> Vec<usize> {
    let first_case = text.iter().find(|byte| byte.is_ascii_alphabetic());
    let lower = first_case.is_none_or(u8::is_ascii_lowercase);
    text.iter()
        .enumerate()
        .filter(|(_, byte)| {
            !(33..=126).contains(*byte)
                || (byte.is_ascii_alphabetic() && byte.is_ascii_lowercase() != lower)
        })
        .map(|(index, _)| index)
        .collect()
}

fn decode_bech32(text: &str, expected_hrp: &str) -> Result<ScriptBuf, AddressError> {
    let parts = split(text)?;
    let constant = checksum(&parts);
    if constant != BECH32 && constant != BECH32M {
        return Err(locate(&parts, text.len()));
    }
    if parts.hrp != expected_hrp {
        return Err(error(format!(
            "Invalid or unsupported prefix for Segwit (Bech32) address (expected {expected_hrp}, got {}).",
            parts.hrp
        )));
    }
    let data = &parts.values[..parts.values.len() - CHECKSUM_LEN];
    let Some((version, data)) = data.split_first() else {
        return Err(error("Empty Bech32 data section"));
    };
    if *version == 0 && constant != BECH32 {
        return Err(error("Version 0 witness address must use Bech32 checksum"));
    }
    if *version != 0 && constant != BECH32M {
        return Err(error(
            "Version 1+ witness address must use Bech32m checksum",
        ));
    }
    let Some(program) = to_bytes(data) else {
        return Err(error("Invalid padding in Bech32 data section"));
    };
    let size = format!(
        "{} {}",
        program.len(),
        if program.len() == 1 { "byte" } else { "bytes" }
    );
    if *version == 0 && !matches!(program.len(), 20 | 32) {
        return Err(error(format!(
            "Invalid Bech32 v0 address program size ({size}), per BIP141"
        )));
    }
    let Ok(version) = WitnessVersion::try_from(*version) else {
        return Err(error("Invalid Bech32 address witness version"));
    };
    let in_range = (2..=40).contains(&program.len());
    match PushBytesBuf::try_from(program) {
        Ok(program) if in_range => Ok(Builder::new()
            .push_opcode(version.into())
            .push_slice(program)
            .into_script()),
        _ => Err(error(format!(
            "Invalid Bech32 address program size ({size})"
        ))),
    }
}

/// Values of 5 bits as bytes; `None` if more than padding is left over, or the padding is not zero.
fn to_bytes(values: &[u8]) -> Option<Vec<u8>> {
    let (mut bits, mut count, mut bytes) = (0u32, 0u32, Vec::new());
    for value in values {
        bits = (bits << 5 | u32::from(*value)) & 0xfff;
        count += 5;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count & 0xff) as u8);
        }
    }
    (count < 5 && bits & ((1 << count) - 1) == 0).then_some(bytes)
}

/// One step of the checksum: the remainder so far, times x, plus the next value.
fn step(remainder: u32, value: u8) -> u32 {
    const GENERATOR: [u32; 5] = [
        0x3b6a_57b2,
        0x2650_8e6d,
        0x1ea1_19fa,
        0x3d42_33dd,
        0x2a14_62b3,
    ];
    let top = remainder >> 25;
    let shifted = (remainder & 0x1ff_ffff) << 5 ^ u32::from(value);
    GENERATOR
        .iter()
        .enumerate()
        .filter(|(bit, _)| top >> bit & 1 == 1)
        .fold(shifted, |sum, (_, generator)| sum ^ generator)
}

/// What the string's polynomial leaves: the constant of its encoding if it is right.
fn checksum(parts: &Parts) -> u32 {
    let high = parts.hrp.bytes().map(|byte| byte >> 5);
    let low = parts.hrp.bytes().map(|byte| byte & 31);
    high.chain([0])
        .chain(low)
        .chain(parts.values.iter().copied())
        .fold(1, step)
}

/// Finds one or two wrong characters in the data part.
///
/// The remainder is linear: an error of value `e` at a position adds the same to it whatever the rest of the string is.
/// So the wanted sum of one or two such contributions is looked up in a table of all single ones.
fn locate(parts: &Parts, text_len: usize) -> AddressError {
    let residue = checksum(parts);
    let mut best: Option<(&str, Vec<usize>)> = None;
    let singles = single_errors(parts.values.len());
    for (name, constant) in [("Bech32", BECH32), ("Bech32m", BECH32M)] {
        let wanted = residue ^ constant;
        let found = match singles.get(&wanted) {
            Some(position) => vec![*position],
            None => two_errors(&singles, wanted),
        };
        if !found.is_empty()
            && best
                .as_ref()
                .is_none_or(|(_, known)| found.len() < known.len())
        {
            best = Some((name, found));
        }
    }
    match best {
        Some((name, positions)) => {
            let mut locations: Vec<usize> = positions
                .into_iter()
                .map(|position| text_len - 1 - position)
                .collect();
            locations.sort_unstable();
            AddressError {
                message: format!("Invalid {name} checksum"),
                locations,
            }
        }
        None => error("Invalid checksum"),
    }
}

/// What each single error adds to the remainder, with its position counted from the end.
fn single_errors(len: usize) -> HashMap<u32, usize> {
    let mut singles = HashMap::with_capacity(len * 31);
    for value in 1..32u8 {
        let mut contribution = u32::from(value);
        for position in 0..len {
            singles.insert(contribution, position);
            contribution = step(contribution, 0);
        }
    }
    singles
}

fn two_errors(singles: &HashMap<u32, usize>, wanted: u32) -> Vec<usize> {
    singles
        .iter()
        .filter_map(|(contribution, first)| {
            let second = singles.get(&(wanted ^ contribution))?;
            (first != second).then(|| vec![*first.min(second), *first.max(second)])
        })
        .next()
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Result<ScriptBuf, (String, Vec<usize>)> {
        decode(text, Network::Regtest).map_err(|e| (e.message, e.locations))
    }

    /// Addresses and answers of Core's functional test rpc_invalid_address_message (MIT licence).
    #[test]
    fn what_is_wrong_is_said_as_core_says_it() {
        let cases: &[(&str, &str, &[usize])] = &[
            (
                "bcrt1s0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7v8n0nx0muaewav25430mtr",
                "Invalid Bech32 address program size (41 bytes)",
                &[],
            ),
            (
                "bc1pw508d6qejxtdg4y5r3zarvary0c5xw7kw508d6qejxtdg4y5r3zarvary0c5xw7k7grplx",
                "Invalid or unsupported Segwit (Bech32) or Base58 encoding.",
                &[],
            ),
            (
                "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7k35mrzd",
                "Version 0 witness address must use Bech32 checksum",
                &[],
            ),
            (
                "bcrt130xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqynjegk",
                "Invalid Bech32 address witness version",
                &[],
            ),
            (
                "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kqqq5k3my",
                "Invalid Bech32 v0 address program size (21 bytes), per BIP141",
                &[],
            ),
            (
                "bcrt1q049edschfnwystcqnsvyfpj23mpsg3jcedq9xv",
                "Invalid Bech32 checksum",
                &[9],
            ),
            (
                "BCRT1QPLMTZKC2XHARPPZDLNPAQL78RSHJ68U32RAH7R",
                "Invalid Bech32 checksum",
                &[38],
            ),
            (
                "bcrt1qax9suht3qv95sw33xavx8crpxduefdrsvgsklu",
                "Invalid Bech32 checksum",
                &[22, 43],
            ),
            (
                "bcrtq049ldschfnwystcqnsvyfpj23mpsg3jcedq9xv",
                "Missing separator",
                &[],
            ),
            (
                "bcrt1q04oldschfnwystcqnsvyfpj23mpsg3jcedq9xv",
                "Invalid Base 32 character",
                &[8],
            ),
            (
                "bcrt1qdg3myrgvzw7ml8q0ejxhlkyxn7vl9r56yzkfgvzclrf4hkpx9yfqhpsuks",
                "Invalid Bech32 checksum",
                &[19, 30],
            ),
            (
                "bcrt1ptmp74ayg7p24uslctssvjm06q5phz4yrxucgnv",
                "Invalid Bech32 checksum",
                &[5],
            ),
            (
                "17VZNX1SN5NtKa8UQFxwQbFeFc3iqRYhem",
                "Invalid or unsupported Base58-encoded address.",
                &[],
            ),
            (
                "mipcBbFg9gMiCh81Kj8tqqdgoZub1ZJJfn",
                "Invalid checksum or length of Base58 address (P2PKH or P2SH)",
                &[],
            ),
            (
                "2VKf7XKMrp4bVNVmuRbyCewkP8FhGLP2E54LHDPakr9Sq5mtU2",
                "Invalid checksum or length of Base58 address (P2PKH or P2SH)",
                &[],
            ),
            (
                "asfah14i8fajz0123f",
                "Invalid or unsupported Segwit (Bech32) or Base58 encoding.",
                &[],
            ),
            (
                "1q049ldschfnwystcqnsvyfpj23mpsg3jcedq9xv",
                "Invalid or unsupported Segwit (Bech32) or Base58 encoding.",
                &[],
            ),
        ];
        for (text, message, locations) in cases {
            let expected = Err(((*message).to_owned(), locations.to_vec()));
            assert_eq!(check(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_too_long_is_wrong_from_there_on() {
        let text = "bcrt1q049edschfnwystcqnsvyfpj23mpsg3jcedq9xv049edschfnwystcqnsvyfpj23mpsg3jcedq9xv049edschfnwystcqnsvyfpj23m";
        let expected = Err(("Bech32 string too long".to_owned(), (90..108).collect()));
        assert_eq!(check(text), expected);
    }

    #[test]
    fn valid_addresses_give_their_scripts() {
        let script =
            check("bcrt1p9yfmy5h72durp7zrhlw9lf7jpwjgvwdg0jr0lqmmjtgg83266lqsekaqka").unwrap();
        assert_eq!(
            script.to_hex_string(),
            "51202913b252fe537830f843bfdc5fa7d20ba48639a87c86ff837b92d083c55ad7c1"
        );
        let script = check("mjTkW3DjgyZck4KbiRusZsqTgaYTxdSz6z").unwrap();
        assert!(script.is_p2pkh());
        assert!(check("BCRT1PFEESNYR2TX").is_ok());
    }

    #[test]
    fn one_and_two_wrong_characters_are_found() {
        let right = "bcrt1q9dzkjgpkjn7fjlsn7tq2zwpmnctvw7sdq963ye";
        for (first, second) in [(10, 10), (6, 43), (20, 21), (30, 7)] {
            let mut text: Vec<u8> = right.bytes().collect();
            let mut expected = vec![first, second];
            expected.sort_unstable();
            expected.dedup();
            for at in &expected {
                text[*at] = if text[*at] == b'q' { b'p' } else { b'q' };
            }
            let (message, locations) = check(std::str::from_utf8(&text).unwrap()).unwrap_err();
            assert_eq!(
                (message.as_str(), locations),
                ("Invalid Bech32 checksum", expected)
            );
        }
    }
}
