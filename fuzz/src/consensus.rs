//! Transactions and scripts from peers.

use bitcoin::absolute::LockTime;
use bitcoin::consensus::{deserialize_partial, serialize};
use bitcoin::transaction::Version;
use bitcoin::{Amount, ScriptBuf, Transaction, TxIn, TxOut, Witness};
use btc_consensus::script::{self, ScriptFlags, TransactionChecker};
use btc_consensus::sighash::Spend;
use btc_consensus::tx;

/// Checks a transaction by the rules that need no other transaction.
///
/// A transaction that is valid is so whatever its witness is; it keeps its bytes when written; its outputs sum up to
/// no more than all money; and its signature operations are counted without fail, valid or not.
pub fn consensus_tx(data: &[u8]) {
    let Ok((transaction, length)) = deserialize_partial::<Transaction>(data) else {
        return;
    };
    assert_eq!(serialize(&transaction), data[..length]);
    let verdict = tx::check_transaction(&transaction);
    if let Err(error) = verdict {
        assert!(!error.reject_reason().is_empty());
    } else {
        let total = tx::value_out(&transaction).expect("the outputs of a valid transaction add up");
        assert!(total <= Amount::MAX_MONEY);
    }
    let mut stripped = transaction.clone();
    for input in &mut stripped.input {
        input.witness = Witness::new();
    }
    assert_eq!(verdict, tx::check_transaction(&stripped));
    let _ = tx::is_coinbase(&transaction);
    let _ = tx::legacy_sigops(&transaction);
    for (height, time) in [(0, 0), (1, 1_600_000_000), (u32::MAX, u32::MAX)] {
        let _ = tx::is_final(&transaction, height, time);
    }
}

/// Runs a spend.
///
/// The bytes are: the flags (4, little-endian), a second set of flags (4), lock time (4), sequence (4), the value in
/// sat (8), then three lists of bytes that each have their length (2) before them: scriptSig, output script, and the
/// witness items, each again with its length (2); what is missing is empty.
///
/// Rules only ever forbid: what is valid by some rules is valid by fewer.
pub fn consensus_script(data: &[u8]) {
    let mut data = data;
    let flags = ScriptFlags::from_bits_truncate(number(&mut data)).with_implied();
    let fewer = ScriptFlags::from_bits_truncate(flags.bits() & number(&mut data)).with_implied();
    let lock_time = LockTime::from_consensus(number(&mut data));
    let sequence = bitcoin::Sequence(number(&mut data));
    let value = u64::from(number(&mut data)) << 32 | u64::from(number(&mut data));
    let script_sig = ScriptBuf::from_bytes(bytes(&mut data).to_vec());
    let script_pubkey = ScriptBuf::from_bytes(bytes(&mut data).to_vec());
    let mut items = bytes(&mut data);
    let mut witness = Witness::new();
    while !items.is_empty() {
        witness.push(bytes(&mut items));
    }
    let output = TxOut {
        value: Amount::from_sat(value % Amount::MAX_MONEY.to_sat()),
        script_pubkey,
    };
    let transaction = Transaction {
        version: Version::TWO,
        lock_time,
        input: vec![TxIn {
            script_sig,
            sequence,
            witness,
            ..TxIn::default()
        }],
        output: vec![TxOut {
            value: Amount::ZERO,
            script_pubkey: ScriptBuf::new(),
        }],
    };
    let spend = Spend::new(transaction, vec![output]).expect("one output for one input");
    let checker = TransactionChecker::new(&spend, 0).expect("there is an input");
    let input = &spend.transaction().input[0];
    let verify = |flags| {
        let script_pubkey = &spend.prevouts()[0].script_pubkey;
        script::verify(
            &input.script_sig,
            script_pubkey,
            &input.witness,
            flags,
            &checker,
        )
    };
    if verify(flags).is_ok() {
        assert_eq!(verify(fewer), Ok(()), "valid by {flags}, not by {fewer}");
        assert_eq!(
            verify(ScriptFlags::NONE),
            Ok(()),
            "valid by {flags}, not by none"
        );
    }
}

/// The next four bytes; missing ones are zero.
fn number(data: &mut &[u8]) -> u32 {
    let mut word = [0; 4];
    let (taken, rest) = data.split_at(data.len().min(4));
    word[..taken.len()].copy_from_slice(taken);
    *data = rest;
    u32::from_le_bytes(word)
}

/// As many bytes as the next two say, or as there are.
fn bytes<'a>(data: &mut &'a [u8]) -> &'a [u8] {
    let (head, rest) = data.split_at(data.len().min(2));
    let length = head
        .iter()
        .rev()
        .fold(0, |sum, &byte| sum << 8 | usize::from(byte));
    let (taken, rest) = rest.split_at(rest.len().min(length));
    *data = rest;
    taken
}
