//! The compact form in which coins lie in the UTXO database and in undo records.
//!
//! Amounts lose their trailing decimal zeros, the common scripts shrink to a tag and a hash or key, and the height
//! carries the coinbase mark in its lowest bit. The layout is that of Core's `TxOutCompression` and `Coin`.

use bitcoin::hashes::Hash;
use bitcoin::opcodes::all::{OP_CHECKSIG, OP_DUP, OP_EQUAL, OP_EQUALVERIFY, OP_HASH160, OP_RETURN};
use bitcoin::secp256k1::PublicKey;
use bitcoin::{Amount, PubkeyHash, ScriptBuf, ScriptHash, TxOut};
use btc_consensus::Coin;

use super::codec::{DecodeError, Reader, write_varint};

/// How many tags stand for a special script; other scripts are stored with their length plus this.
const SPECIAL_SCRIPTS: u32 = 6;
/// Longest script that consensus lets run. A longer one can never be spent, so its content is not kept.
const MAX_SCRIPT_SIZE: usize = 10_000;

/// Squeezes the decimal zeros out of an amount. Injective on all of `0..=21e14`.
pub fn compress_amount(sats: u64) -> u64 {
    if sats == 0 {
        return 0;
    }
    let mut value = sats;
    let mut zeros = 0;
    while value.is_multiple_of(10) && zeros < 9 {
        value /= 10;
        zeros += 1;
    }
    if zeros < 9 {
        let last_digit = value % 10;
        1 + (value / 10 * 9 + last_digit - 1) * 10 + zeros
    } else {
        1 + (value - 1) * 10 + 9
    }
}

/// The reverse of [`compress_amount`]; an encoding of more than 64 bits is refused.
pub fn decompress_amount(encoded: u64) -> Result<u64, DecodeError> {
    let Some(rest) = encoded.checked_sub(1) else {
        return Ok(0);
    };
    let zeros = (rest % 10) as u32;
    let rest = rest / 10;
    let value = if zeros < 9 {
        (rest / 9)
            .checked_mul(10)
            .and_then(|tens| tens.checked_add(rest % 9 + 1))
    } else {
        rest.checked_add(1)
    };
    value
        .and_then(|value| value.checked_mul(10_u64.pow(zeros)))
        .ok_or(DecodeError::Amount)
}

/// Appends `script` in its compressed form.
pub fn write_script(out: &mut Vec<u8>, script: &ScriptBuf) {
    let bytes = script.as_bytes();
    match bytes {
        [dup, hash160, 20, hash @ .., equal_verify, check_sig]
            if hash.len() == 20
                && *dup == OP_DUP.to_u8()
                && *hash160 == OP_HASH160.to_u8()
                && *equal_verify == OP_EQUALVERIFY.to_u8()
                && *check_sig == OP_CHECKSIG.to_u8() =>
        {
            out.push(0);
            out.extend_from_slice(hash);
        }
        [hash160, 20, hash @ .., equal]
            if hash.len() == 20 && *hash160 == OP_HASH160.to_u8() && *equal == OP_EQUAL.to_u8() =>
        {
            out.push(1);
            out.extend_from_slice(hash);
        }
        [33, key @ .., check_sig]
            if key.len() == 33 && matches!(key[0], 2 | 3) && *check_sig == OP_CHECKSIG.to_u8() =>
        {
            out.extend_from_slice(key);
        }
        // Only a key on the curve can be rebuilt from its x coordinate.
        [65, key @ .., check_sig]
            if key.len() == 65
                && key[0] == 4
                && *check_sig == OP_CHECKSIG.to_u8()
                && PublicKey::from_slice(key).is_ok() =>
        {
            out.push(4 | (key[64] & 1));
            out.extend_from_slice(&key[1..33]);
        }
        _ => {
            write_varint(out, bytes.len() as u64 + u64::from(SPECIAL_SCRIPTS));
            out.extend_from_slice(bytes);
        }
    }
}

/// Reads a compressed script.
pub fn read_script(reader: &mut Reader<'_>) -> Result<ScriptBuf, DecodeError> {
    let tag = reader.varint_u32()?;
    match tag {
        0 => Ok(ScriptBuf::new_p2pkh(&PubkeyHash::from_byte_array(
            reader.array()?,
        ))),
        1 => Ok(ScriptBuf::new_p2sh(&ScriptHash::from_byte_array(
            reader.array()?,
        ))),
        2 | 3 => {
            let mut script = vec![33, tag as u8];
            script.extend_from_slice(reader.take(32)?);
            script.push(OP_CHECKSIG.to_u8());
            Ok(ScriptBuf::from_bytes(script))
        }
        4 | 5 => {
            let mut key = [0; 33];
            key[0] = tag as u8 - 2;
            key[1..].copy_from_slice(reader.take(32)?);
            let key = PublicKey::from_slice(&key).map_err(|_| DecodeError::PublicKey)?;
            let mut script = vec![65];
            script.extend_from_slice(&key.serialize_uncompressed());
            script.push(OP_CHECKSIG.to_u8());
            Ok(ScriptBuf::from_bytes(script))
        }
        _ => {
            let bytes = reader.take((tag - SPECIAL_SCRIPTS) as usize)?;
            if bytes.len() > MAX_SCRIPT_SIZE {
                return Ok(ScriptBuf::from_bytes(vec![OP_RETURN.to_u8()]));
            }
            Ok(ScriptBuf::from_bytes(bytes.to_vec()))
        }
    }
}

/// Appends an output: compressed amount, then compressed script.
pub fn write_tx_out(out: &mut Vec<u8>, output: &TxOut) {
    write_varint(out, compress_amount(output.value.to_sat()));
    write_script(out, &output.script_pubkey);
}

/// Reads an output written by [`write_tx_out`].
pub fn read_tx_out(reader: &mut Reader<'_>) -> Result<TxOut, DecodeError> {
    let value = Amount::from_sat(decompress_amount(reader.varint_u64()?)?);
    let script_pubkey = read_script(reader)?;
    Ok(TxOut {
        value,
        script_pubkey,
    })
}

/// Height and coinbase mark in one number, as coins and undo records store them.
pub fn coin_code(coin: &Coin) -> u32 {
    coin.height << 1 | u32::from(coin.coinbase)
}

/// Appends a coin as the UTXO database stores it.
pub fn write_coin(out: &mut Vec<u8>, coin: &Coin) {
    write_varint(out, coin_code(coin).into());
    write_tx_out(out, &coin.output);
}

/// Reads a coin record.
pub fn read_coin(reader: &mut Reader<'_>) -> Result<Coin, DecodeError> {
    let code = reader.varint_u32()?;
    let output = read_tx_out(reader)?;
    Ok(Coin {
        output,
        height: code >> 1,
        coinbase: code & 1 == 1,
    })
}

#[cfg(test)]
mod tests {
    use bitcoin::hex::FromHex;
    use btc_consensus::limits::MAX_MONEY;
    use proptest::prelude::*;

    use super::*;

    fn compressed(script: &ScriptBuf) -> Vec<u8> {
        let mut out = Vec::new();
        write_script(&mut out, script);
        out
    }

    fn script(hex: &str) -> ScriptBuf {
        ScriptBuf::from_bytes(Vec::from_hex(hex).expect("test hex"))
    }

    #[test]
    fn amounts_compress_as_published() {
        const CENT: u64 = 1_000_000;
        const COIN: u64 = 100_000_000;
        for (sats, encoded) in [
            (0, 0),
            (1, 1),
            (CENT, 7),
            (COIN, 9),
            (50 * COIN, 0x32),
            (21_000_000 * COIN, 0x0140_6f40),
        ] {
            assert_eq!(compress_amount(sats), encoded);
            assert_eq!(decompress_amount(encoded), Ok(sats));
        }
        assert_eq!(decompress_amount(u64::MAX), Err(DecodeError::Amount));
    }

    #[test]
    fn known_scripts_shrink_to_tag_and_payload() {
        let hash = "89abcdefabbaabbaabbaabbaabbaabbaabbaabba";
        assert_eq!(compressed(&script(&format!("76a914{hash}88ac"))).len(), 21);
        assert_eq!(compressed(&script(&format!("a914{hash}87"))).len(), 21);
        let x = "79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798";
        let y = "483ada7726a3c4655da4fbfc0e1108a8fd17b448a68554199c47d08ffb10d4b8";
        assert_eq!(compressed(&script(&format!("2102{x}ac"))).len(), 33);
        let full = script(&format!("4104{x}{y}ac"));
        let out = compressed(&full);
        assert_eq!((out.len(), out[0]), (33, 4));
        assert_eq!(read_script(&mut Reader::new(&out)), Ok(full));
        // A point off the curve cannot be rebuilt, so it is kept whole.
        let off_curve = script(&format!("4104{x}{x}ac"));
        let out = compressed(&off_curve);
        assert_eq!(out.len(), 68);
        assert_eq!(read_script(&mut Reader::new(&out)), Ok(off_curve));
    }

    #[test]
    fn a_compressed_key_off_the_curve_is_an_error() {
        let mut bytes = vec![4];
        bytes.extend_from_slice(&[0xff; 32]);
        assert_eq!(
            read_script(&mut Reader::new(&bytes)),
            Err(DecodeError::PublicKey)
        );
    }

    fn any_script() -> impl Strategy<Value = ScriptBuf> {
        prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..300).prop_map(ScriptBuf::from_bytes),
            any::<[u8; 20]>().prop_map(|h| ScriptBuf::new_p2pkh(&PubkeyHash::from_byte_array(h))),
            any::<[u8; 20]>().prop_map(|h| ScriptBuf::new_p2sh(&ScriptHash::from_byte_array(h))),
            any::<[u8; 32]>().prop_map(|x| {
                let mut bytes = vec![33, 2];
                bytes.extend_from_slice(&x);
                bytes.push(OP_CHECKSIG.to_u8());
                ScriptBuf::from_bytes(bytes)
            }),
        ]
    }

    proptest! {
        #[test]
        fn amounts_round_trip(sats in 0..=MAX_MONEY) {
            prop_assert_eq!(decompress_amount(compress_amount(sats)), Ok(sats));
        }

        #[test]
        fn coins_round_trip(
            sats in 0..=MAX_MONEY,
            script_pubkey in any_script(),
            height in 0..1_u32 << 31,
            coinbase: bool,
        ) {
            let coin = Coin {
                output: TxOut { value: Amount::from_sat(sats), script_pubkey },
                height,
                coinbase,
            };
            let mut bytes = Vec::new();
            write_coin(&mut bytes, &coin);
            let mut reader = Reader::new(&bytes);
            prop_assert_eq!(read_coin(&mut reader), Ok(coin));
            prop_assert_eq!(reader.finish(), Ok(()));
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = read_coin(&mut Reader::new(&bytes));
        }
    }
}
