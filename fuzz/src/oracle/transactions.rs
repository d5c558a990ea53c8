//! Transactions by themselves: whether their bytes can be read, and whether they are well formed.

use bitcoin::absolute::LockTime;
use bitcoin::consensus::{deserialize_partial, serialize};
use bitcoin::hashes::Hash;
use bitcoin::transaction::Version;
use bitcoin::{Amount, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Txid, Witness};
use bitcoinkernel::TxCheckResult;
use bitcoinkernel::prelude::*;
use btc_consensus::check_transaction;

use super::random::Random;
use super::rules::{Part, Rules};
use super::{Count, hex};

/// Makes a transaction, often a wrong one, and compares what both say of it.
pub fn compare(random: &mut Random, count: &mut Count, rules: &mut Rules) -> Result<(), String> {
    let mut bytes = serialize(&make(random));
    for _ in 0..random.pick(&[0, 0, 0, 1, 2]) {
        random.mutate(&mut bytes);
    }
    let describe = |said: String| format!("{said}: transaction {}", hex(&bytes));
    let kernel = bitcoinkernel::Transaction::new(&bytes);
    let own = deserialize_partial::<Transaction>(&bytes).map(|(transaction, _)| transaction);
    // To be unreadable and to be invalid are one verdict: of a transaction without inputs, one says this, one that.
    let theirs = kernel
        .as_ref()
        .is_ok_and(|kernel| matches!(kernel.check(), TxCheckResult::Valid));
    let ours = own.as_ref().map(check_transaction);
    if matches!(ours, Ok(Ok(()))) != theirs {
        return Err(describe(format!("the kernel says {theirs}, we {ours:?}")));
    }
    if let Ok(Err(error)) = ours {
        rules.note(Part::Transactions, error.reject_reason());
    }
    if let (Ok(kernel), Ok(own)) = (kernel, own)
        && !own.input.is_empty()
        && kernel.consensus_encode().ok() != Some(serialize(&own))
    {
        return Err(describe("written otherwise".to_owned()));
    }
    count.add(theirs);
    Ok(())
}

fn make(random: &mut Random) -> Transaction {
    let coinbase = random.once_in(4);
    let inputs = if coinbase { 1 } else { random.below(4) };
    let value = |random: &mut Random| match random.below(8) {
        0 => u64::MAX,
        1 => 2_100_000_000_000_000,
        2 => 2_100_000_000_000_001,
        3 => 1 << 63,
        _ => random.next() % 1_000_000,
    };
    // Without its witness, a quarter of a block's weight in bytes is the most.
    let heavy = random.once_in(400);
    Transaction {
        version: Version(random.next() as i32),
        lock_time: LockTime::from_consensus(random.next() as u32),
        input: (0..inputs)
            .map(|_| TxIn {
                previous_output: if coinbase || random.once_in(16) {
                    OutPoint::null()
                } else {
                    let txid = [random.below(3) as u8; 32];
                    OutPoint::new(Txid::from_byte_array(txid), random.below(3) as u32)
                },
                script_sig: ScriptBuf::from_bytes(random.bytes(if coinbase { 105 } else { 10 })),
                sequence: Sequence(random.next() as u32),
                witness: if random.once_in(3) {
                    Witness::from_slice(&[random.bytes(5)])
                } else {
                    Witness::new()
                },
            })
            .collect(),
        output: (0..random.below(4))
            .map(|_| TxOut {
                value: Amount::from_sat(value(random)),
                script_pubkey: ScriptBuf::from_bytes(if heavy {
                    vec![0x6a; 999_800 + random.below(200)]
                } else {
                    random.bytes(10)
                }),
            })
            .collect(),
    }
}
