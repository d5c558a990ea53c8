//! What a block took from the UTXO set, so that it can be given back.
//!
//! A `rev?????.dat` record holds, for each transaction but the coinbase, the coins that its inputs spent.

use bitcoin::BlockHash;
use bitcoin::hashes::{Hash, HashEngine, sha256d};
use btc_consensus::Coin;

use super::codec::{DecodeError, Reader, write_compact_size, write_varint};
use super::compress::{coin_code, read_tx_out, write_tx_out};

/// The coins that a block spent: one list for each transaction after the coinbase, in input order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BlockUndo(pub Vec<Vec<Coin>>);

impl BlockUndo {
    /// The record's bytes, without framing and checksum.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        write_compact_size(&mut out, self.0.len() as u64);
        for spent in &self.0 {
            write_compact_size(&mut out, spent.len() as u64);
            for coin in spent {
                write_varint(&mut out, coin_code(coin).into());
                // Old versions kept the spent transaction's version here; a zero holds its place.
                if coin.height > 0 {
                    out.push(0);
                }
                write_tx_out(&mut out, &coin.output);
            }
        }
        out
    }

    /// Reads a record; every byte must be used.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let transactions = reader.compact_size()?;
        let mut undo = Vec::with_capacity(transactions.min(bytes.len()));
        for _ in 0..transactions {
            let inputs = reader.compact_size()?;
            let mut spent = Vec::with_capacity(inputs.min(reader.rest().len()));
            for _ in 0..inputs {
                let code = reader.varint_u32()?;
                let height = code >> 1;
                if height > 0 {
                    reader.varint_u32()?;
                }
                let output = read_tx_out(&mut reader)?;
                spent.push(Coin {
                    output,
                    height,
                    coinbase: code & 1 == 1,
                });
            }
            undo.push(spent);
        }
        reader.finish()?;
        Ok(Self(undo))
    }
}

/// The checksum that follows an undo record: it ties the record to the block before the one it undoes.
pub fn checksum(previous: &BlockHash, record: &[u8]) -> [u8; 32] {
    let mut engine = sha256d::Hash::engine();
    engine.input(previous.as_byte_array());
    engine.input(record);
    sha256d::Hash::from_engine(engine).to_byte_array()
}

#[cfg(test)]
mod tests {
    use bitcoin::{Amount, ScriptBuf, TxOut};
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn records_round_trip(
            shape in proptest::collection::vec(
                proptest::collection::vec((any::<u32>(), 0..1_u32 << 31, any::<bool>()), 0..4),
                0..5,
            ),
        ) {
            let undo = BlockUndo(
                shape
                    .into_iter()
                    .map(|spent| {
                        spent
                            .into_iter()
                            .map(|(sats, height, coinbase)| Coin {
                                output: TxOut {
                                    value: Amount::from_sat(sats.into()),
                                    script_pubkey: ScriptBuf::from_bytes(vec![0x51; (sats % 40) as usize]),
                                },
                                height,
                                coinbase,
                            })
                            .collect()
                    })
                    .collect(),
            );
            prop_assert_eq!(BlockUndo::decode(&undo.encode()), Ok(undo));
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..120)) {
            let _ = BlockUndo::decode(&bytes);
        }
    }

    #[test]
    fn a_count_that_the_record_cannot_hold_allocates_nothing_and_fails() {
        assert_eq!(
            BlockUndo::decode(&[0xfe, 0, 0, 0, 2]),
            Err(DecodeError::End)
        );
    }
}
