//! Blocks of any size that a request can carry.
//!
//! The decoder of the bitcoin library ends at 4 MB, for the whole and for a witness. Core's ends with the request, and
//! leaves it to the rules to say what is too large.

use bitcoin::block::Header;
use bitcoin::consensus::Decodable;
use bitcoin::consensus::encode::{Error, VarInt};
use bitcoin::{Block, Transaction, TxIn, Witness};

/// What stands in place of the count of inputs where there are witnesses.
const SEGWIT_FLAG: u8 = 1;

/// Reads a block.
///
/// # Errors
/// What is wrong with it.
pub(super) fn decode(bytes: &mut &[u8]) -> Result<Block, Error> {
    let header = Header::consensus_decode_from_finite_reader(bytes)?;
    let count = VarInt::consensus_decode(bytes)?.0;
    let mut txdata = Vec::new();
    for _ in 0..count {
        txdata.push(decode_transaction(bytes)?);
    }
    Ok(Block { header, txdata })
}

fn decode_transaction(bytes: &mut &[u8]) -> Result<Transaction, Error> {
    let version = Decodable::consensus_decode_from_finite_reader(bytes)?;
    let mut input = Vec::<TxIn>::consensus_decode_from_finite_reader(bytes)?;
    // No input, and then something: what follows are the inputs, and later their witnesses.
    let with_witness = input.is_empty() && bytes.first() != Some(&0);
    if with_witness {
        if u8::consensus_decode(bytes)? != SEGWIT_FLAG {
            return Err(Error::ParseFailed("unknown transaction optional data"));
        }
        input = Decodable::consensus_decode_from_finite_reader(bytes)?;
    }
    let output = Decodable::consensus_decode_from_finite_reader(bytes)?;
    if with_witness {
        for input in &mut input {
            input.witness = decode_witness(bytes)?;
        }
        if input.iter().all(|input| input.witness.is_empty()) {
            return Err(Error::ParseFailed("superfluous witness record"));
        }
    }
    Ok(Transaction {
        version,
        lock_time: Decodable::consensus_decode_from_finite_reader(bytes)?,
        input,
        output,
    })
}

fn decode_witness(bytes: &mut &[u8]) -> Result<Witness, Error> {
    let count = VarInt::consensus_decode(bytes)?.0;
    let mut elements = Vec::new();
    for _ in 0..count {
        let size = VarInt::consensus_decode(bytes)?.0;
        let element = usize::try_from(size)
            .ok()
            .and_then(|size| bytes.split_at_checked(size));
        let (element, rest) = element.ok_or(Error::ParseFailed("unexpected end"))?;
        elements.push(element);
        *bytes = rest;
    }
    Ok(Witness::from_slice(&elements))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bitcoin::consensus::{deserialize, serialize};
    use bitcoin::constants::genesis_block;
    use bitcoin::{Network, Sequence};
    use proptest::prelude::*;

    fn block() -> Block {
        let mut block = genesis_block(Network::Regtest);
        let mut spender = block.txdata[0].clone();
        spender.input.push(TxIn {
            sequence: Sequence::ZERO,
            ..TxIn::default()
        });
        spender.input[0].witness = Witness::from_slice(&[&[1_u8; 32][..], &[]]);
        block.txdata.push(spender);
        block
    }

    #[test]
    fn large_witnesses_are_read() {
        let mut block = block();
        block.txdata[1].input[1].witness.push(vec![7; 5_000_000]);
        let bytes = serialize(&block);
        assert!(deserialize::<Block>(&bytes).is_err());
        assert_eq!(decode(&mut bytes.as_slice()).expect("a block"), block);
    }

    #[test]
    fn malformed_blocks_are_refused() {
        let bytes = serialize(&block());
        for end in 0..bytes.len() {
            assert!(decode(&mut &bytes[..end]).is_err(), "{end}");
        }
        // Counts that no text could hold cost nothing.
        let mut many = bytes[..80].to_vec();
        many.extend([0xff; 9]);
        assert!(decode(&mut many.as_slice()).is_err());
    }

    proptest! {
        #[test]
        fn what_the_library_reads_is_read_as_it_does(at in 80_usize..400, byte: u8) {
            let mut bytes = serialize(&block());
            let at = at % bytes.len();
            bytes[at] = byte;
            // Not the other way round: to the library a transaction of nothing is none, to Core it is one.
            if let Ok(block) = Block::consensus_decode(&mut bytes.as_slice()) {
                prop_assert_eq!(decode(&mut bytes.as_slice()).ok(), Some(block));
            }
        }
    }
}
