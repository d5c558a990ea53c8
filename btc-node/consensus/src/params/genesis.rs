//! The first block of each network.

use bitcoin::absolute::LockTime;
use bitcoin::block::{Header, Version};
use bitcoin::hashes::Hash;
use bitcoin::{
    Amount, Block, BlockHash, CompactTarget, OutPoint, ScriptBuf, Sequence, Transaction, TxIn,
    TxMerkleNode, TxOut, Witness, transaction,
};

use crate::script::instruction::push_data;
use crate::script::opcode::OP_CHECKSIG;

/// What the first blocks of all networks but testnet4 say, and the key that they pay.
const TIMES: (&str, &[u8]) = (
    "The Times 03/Jan/2009 Chancellor on brink of second bailout for banks",
    &[
        0x04, 0x67, 0x8a, 0xfd, 0xb0, 0xfe, 0x55, 0x48, 0x27, 0x19, 0x67, 0xf1, 0xa6, 0x71, 0x30,
        0xb7, 0x10, 0x5c, 0xd6, 0xa8, 0x28, 0xe0, 0x39, 0x09, 0xa6, 0x79, 0x62, 0xe0, 0xea, 0x1f,
        0x61, 0xde, 0xb6, 0x49, 0xf6, 0xbc, 0x3f, 0x4c, 0xef, 0x38, 0xc4, 0xf3, 0x55, 0x04, 0xe5,
        0x1e, 0xc1, 0x12, 0xde, 0x5c, 0x38, 0x4d, 0xf7, 0xba, 0x0b, 0x8d, 0x57, 0x8a, 0x4c, 0x70,
        0x2b, 0x6b, 0xf1, 0x1d, 0x5f,
    ],
);

/// The same for testnet4: a block of mainnet that was new, and no key.
const TESTNET4: (&str, &[u8]) = (
    "03/May/2024 000000000000000000001ebd58c244970b3aa9d783bb001011fbe8ea8e98e00e",
    &[0; 33],
);

/// The first block that says what Satoshi's did.
pub(super) fn times(time: u32, nonce: u32, bits: u32) -> Block {
    block(TIMES, time, nonce, bits)
}

/// The first block of testnet4.
pub(super) fn testnet4(time: u32, nonce: u32, bits: u32) -> Block {
    block(TESTNET4, time, nonce, bits)
}

fn block((message, key): (&str, &[u8]), time: u32, nonce: u32, bits: u32) -> Block {
    // The bits of mainnet's first block and the number 4 open every coinbase, whatever the network.
    let mut script_sig = Vec::new();
    push_data(&mut script_sig, &0x1d00_ffff_u32.to_le_bytes());
    push_data(&mut script_sig, &[4]);
    push_data(&mut script_sig, message.as_bytes());
    let mut script_pubkey = Vec::new();
    push_data(&mut script_pubkey, key);
    script_pubkey.push(OP_CHECKSIG);

    let coinbase = Transaction {
        version: transaction::Version::ONE,
        lock_time: LockTime::ZERO,
        input: vec![TxIn {
            previous_output: OutPoint::null(),
            script_sig: ScriptBuf::from_bytes(script_sig),
            sequence: Sequence::MAX,
            witness: Witness::new(),
        }],
        output: vec![TxOut {
            value: Amount::from_sat(50 * 100_000_000),
            script_pubkey: ScriptBuf::from_bytes(script_pubkey),
        }],
    };
    Block {
        header: Header {
            version: Version::ONE,
            prev_blockhash: BlockHash::all_zeros(),
            merkle_root: TxMerkleNode::from_byte_array(coinbase.compute_txid().to_byte_array()),
            time,
            bits: CompactTarget::from_consensus(bits),
            nonce,
        },
        txdata: vec![coinbase],
    }
}
