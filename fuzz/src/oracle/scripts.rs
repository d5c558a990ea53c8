//! Spends of every kind, right and wrong, by every set of consensus flags.

mod pitfalls;
mod signatures;
mod templates;
mod wrapping;

use bitcoin::absolute::LockTime;
use bitcoin::consensus::serialize;
use bitcoin::hashes::Hash;
use bitcoin::transaction::Version;
use bitcoin::{Amount, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Txid, Witness};
use bitcoinkernel::{
    KernelError, PrecomputedTransactionData, ScriptPubkey, ScriptVerifyError,
    VERIFY_CHECKLOCKTIMEVERIFY, VERIFY_CHECKSEQUENCEVERIFY, VERIFY_DERSIG, VERIFY_NONE,
    VERIFY_NULLDUMMY, VERIFY_P2SH, VERIFY_TAPROOT, VERIFY_WITNESS, verify,
};
use btc_consensus::script::ScriptFlags;
use btc_consensus::sighash::Spend;
use btc_consensus::{ScriptError, ScriptJob};
use std::sync::Arc;

use super::random::Random;
use super::rules::{Part, Rules};
use super::{Count, hex};

/// Each consensus flag as both have it.
const FLAGS: [(ScriptFlags, u32); 7] = [
    (ScriptFlags::P2SH, VERIFY_P2SH),
    (ScriptFlags::DERSIG, VERIFY_DERSIG),
    (ScriptFlags::NULLDUMMY, VERIFY_NULLDUMMY),
    (ScriptFlags::CHECKLOCKTIMEVERIFY, VERIFY_CHECKLOCKTIMEVERIFY),
    (ScriptFlags::CHECKSEQUENCEVERIFY, VERIFY_CHECKSEQUENCEVERIFY),
    (ScriptFlags::WITNESS, VERIFY_WITNESS),
    (ScriptFlags::TAPROOT, VERIFY_TAPROOT),
];

/// What an annex begins with.
const ANNEX: u8 = 0x50;

/// A spend to be judged.
pub struct Case {
    /// What spends.
    pub transaction: Transaction,
    /// What it spends, in the order of its inputs.
    pub prevouts: Vec<TxOut>,
    /// The input that matters.
    pub input: usize,
    /// Comes after what a taproot input has in its witness.
    annex: Option<Vec<u8>>,
}

/// Makes a spend and compares what both say of it.
pub fn compare(random: &mut Random, count: &mut Count, rules: &mut Rules) -> Result<(), String> {
    let case = case(random, None);
    let all = random.once_in(2);
    for round in 0..3 {
        let (mut ours, mut theirs) = (ScriptFlags::NONE, VERIFY_NONE);
        for (flag, bit) in FLAGS {
            if (all && round == 0) || random.once_in(2) {
                (ours, theirs) = (ours | flag, theirs | bit);
            }
        }
        // Later rules build on earlier ones.
        if ours.contains(ScriptFlags::TAPROOT) {
            (ours, theirs) = (ours | ScriptFlags::WITNESS, theirs | VERIFY_WITNESS);
        }
        if ours.contains(ScriptFlags::WITNESS) {
            (ours, theirs) = (ours | ScriptFlags::P2SH, theirs | VERIFY_P2SH);
        }
        let verdict = judge(&case, ours, theirs)?;
        count.add(verdict.is_ok());
        if let Err(error) = verdict {
            rules.note(Part::Spends, error.name());
        }
    }
    Ok(())
}

/// A spend, at times with something wrong. On a chain it spends `outpoints`, as far as there are so many; the same
/// choices make the same outputs to be spent, whatever the outpoints, as long as no signature is part of one.
pub fn case(random: &mut Random, outpoints: Option<&[OutPoint]>) -> Case {
    let mut case = make(random, outpoints);
    for _ in 0..random.pick(&[0, 0, 0, 1, 1, 2, 3]) {
        disturb(random, &mut case);
    }
    case
}

/// What both say of a spend, if it is the same.
fn judge(case: &Case, ours: ScriptFlags, theirs: u32) -> Result<Result<(), ScriptError>, String> {
    let Case {
        transaction,
        prevouts,
        input,
        annex: _,
    } = case;
    let bytes = serialize(transaction);
    let describe = |said: &str| {
        let outputs: Vec<String> = prevouts
            .iter()
            .map(|output| {
                format!(
                    "{} {}",
                    output.value.to_sat(),
                    hex(output.script_pubkey.as_bytes())
                )
            })
            .collect();
        format!(
            "{said}: input {input} of {} spending {outputs:?} by {ours}",
            hex(&bytes)
        )
    };
    let kernel_transaction = bitcoinkernel::Transaction::new(&bytes)
        .map_err(|error| describe(&format!("the kernel does not read it: {error}")))?;
    let kernel_outputs: Vec<bitcoinkernel::TxOut> = prevouts
        .iter()
        .map(|output| {
            let script = ScriptPubkey::new(output.script_pubkey.as_bytes())
                .expect("every script is one to the kernel");
            let value = i64::try_from(output.value.to_sat()).expect("values are amounts of money");
            bitcoinkernel::TxOut::new(&script, value)
        })
        .collect();
    let precomputed = PrecomputedTransactionData::new(&kernel_transaction, &kernel_outputs)
        .map_err(|error| describe(&format!("the kernel refuses it: {error}")))?;
    let script = ScriptPubkey::new(prevouts[*input].script_pubkey.as_bytes())
        .expect("every script is one to the kernel");
    let value = i64::try_from(prevouts[*input].value.to_sat()).expect("it is an amount of money");
    let kernel = verify(
        &script,
        Some(value),
        &kernel_transaction,
        *input,
        Some(theirs),
        &precomputed,
    );
    let kernel = match kernel {
        Ok(()) => true,
        Err(KernelError::ScriptVerify(ScriptVerifyError::Invalid)) => false,
        Err(error) => return Err(describe(&format!("the kernel gives no verdict: {error}"))),
    };
    let spend = Spend::new(transaction.clone(), prevouts.clone())
        .expect("a case has as many outputs as inputs");
    let job = ScriptJob::new(Arc::new(spend), *input, ours).expect("the input exists");
    let own = job.run();
    if own.is_ok() == kernel {
        Ok(own)
    } else {
        Err(describe(&format!("the kernel says {kernel}, we {own:?}")))
    }
}

fn make(random: &mut Random, outpoints: Option<&[OutPoint]>) -> Case {
    let on_chain = outpoints.is_some();
    let inputs = 1 + random.below(3);
    let input = random.below(inputs);
    let outputs = random.below(3) + usize::from(!random.once_in(8));
    let lock_time = if on_chain && !random.once_in(6) {
        // Else most of them would wait for it.
        random.below(20) as u32
    } else {
        number(random)
    };
    let mut transaction = Transaction {
        version: Version(random.pick(&[1, 2, 2, 3, -1, 0])),
        lock_time: LockTime::from_consensus(lock_time),
        input: (0..inputs)
            .map(|index| {
                let made_up = [random.byte(); 32];
                let given = outpoints.and_then(|outpoints| outpoints.get(index));
                TxIn {
                    previous_output: given.copied().unwrap_or_else(|| {
                        OutPoint::new(Txid::from_byte_array(made_up), index as u32)
                    }),
                    sequence: Sequence(number(random)),
                    ..TxIn::default()
                }
            })
            .collect(),
        output: (0..outputs.max(1))
            .map(|_| TxOut {
                value: Amount::from_sat(random.next() % if on_chain { 1000 } else { 1_000_000 }),
                script_pubkey: ScriptBuf::from_bytes(random.bytes(30)),
            })
            .collect(),
    };
    let prevouts = (0..inputs)
        .map(|_| {
            let script = random.bytes(30);
            TxOut {
                value: Amount::from_sat(random.next() % 1_000_000 + 10_000),
                // On a chain all inputs are looked at, and one shall matter.
                script_pubkey: ScriptBuf::from_bytes(if on_chain { vec![0x51] } else { script }),
            }
        })
        .collect();
    for other in &mut transaction.input {
        if random.once_in(4) {
            let script = random.bytes(20);
            if !on_chain {
                other.script_sig = ScriptBuf::from_bytes(script);
            }
        }
    }
    transaction.input[input].script_sig = ScriptBuf::new();
    let mut case = Case {
        transaction,
        prevouts,
        input,
        annex: random.once_in(6).then(|| {
            let mut annex = random.bytes(60);
            annex.insert(0, ANNEX);
            annex
        }),
    };
    match random.below(18) {
        0 => templates::key_hash(random, &mut case, false),
        1 => templates::key_hash(random, &mut case, true),
        2 => templates::taproot_key(random, &mut case),
        3..=6 => templates::signed_script(random, &mut case),
        7 => templates::locked(random, &mut case),
        8 => templates::budget(random, &mut case),
        9 => templates::limited(random, &mut case),
        10 => templates::deleted(random, &mut case),
        11 | 12 => pitfalls::script(random, &mut case),
        13 => pitfalls::program(random, &mut case),
        14 => pitfalls::success(random, &mut case),
        _ => templates::free_script(random, &mut case),
    }
    case
}

/// A lock time or sequence at which something changes.
fn number(random: &mut Random) -> u32 {
    match random.below(8) {
        0 => u32::MAX,
        1 => u32::MAX - 1,
        2 => 499_999_999 + random.below(3) as u32,
        3 => (1 << 22) | random.below(20) as u32,
        4 => (1 << 31) | random.below(20) as u32,
        5 => random.next() as u32,
        _ => random.below(20) as u32,
    }
}

/// Makes something of a spend wrong, or just other.
fn disturb(random: &mut Random, case: &mut Case) {
    let index = case.input;
    let bytes_of = |script: &ScriptBuf| script.as_bytes().to_vec();
    match random.below(9) {
        0 => {
            let mut bytes = bytes_of(&case.transaction.input[index].script_sig);
            random.mutate(&mut bytes);
            case.transaction.input[index].script_sig = ScriptBuf::from_bytes(bytes);
        }
        1 => {
            let mut bytes = bytes_of(&case.prevouts[index].script_pubkey);
            random.mutate(&mut bytes);
            case.prevouts[index].script_pubkey = ScriptBuf::from_bytes(bytes);
        }
        2..=5 => {
            let mut items = case.transaction.input[index].witness.to_vec();
            match random.below(5) {
                0 => {
                    let mut item = random.bytes(8);
                    if random.once_in(2) {
                        // What nobody signed.
                        item.insert(0, ANNEX);
                    }
                    items.push(item);
                }
                1 => drop(items.pop()),
                _ if items.is_empty() => {}
                _ => {
                    let at = random.below(items.len());
                    random.mutate(&mut items[at]);
                }
            }
            case.transaction.input[index].witness = Witness::from_slice(&items);
        }
        6 => case.prevouts[index].value += Amount::ONE_SAT,
        7 => case.transaction.lock_time = LockTime::from_consensus(number(random)),
        _ => {
            let other = random.below(case.transaction.input.len());
            case.transaction.input[other].sequence = Sequence(number(random));
        }
    }
}
