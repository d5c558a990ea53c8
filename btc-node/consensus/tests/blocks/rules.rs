//! Blocks that break one rule each, by the reason and message that Bitcoin Core gives.

use std::sync::Arc;

use bitcoin::absolute::LockTime;
use bitcoin::hashes::{Hash, hash160};
use bitcoin::{Amount, Block, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Witness};
use btc_consensus::block::{is_mutated, signet};
use btc_consensus::connect::{created_outpoints, flags_for_block};
use btc_consensus::script::instruction::push_data;
use btc_consensus::script::opcode::*;
use btc_consensus::{
    BlockError, BlockFault, Chain, ChainParams, CheckBlockOptions, ConnectContext, ScriptFlags,
    TxError, check_block, connect,
};

use crate::chain::{TRUE, TestChain, commit_to_witness, pay, spend};

const COIN: u64 = 100_000_000;

fn regtest() -> ChainParams {
    ChainParams::new(Chain::Regtest)
}

/// Height 101, so that the coinbases of heights 1 and 2 can be spent in the next block.
fn mature() -> TestChain {
    TestChain::with_blocks(regtest(), 101)
}

/// Checks that a block is refused for this reason, and that nothing of it was taken.
#[track_caller]
fn assert_refused(chain: &mut TestChain, block: &Block, reason: &str, message: &str) -> BlockError {
    let height = chain.height();
    let error = chain.accept(block).expect_err(reason);
    assert_eq!(error.reject_reason(), reason);
    assert_eq!(error.debug_message(), message);
    assert_eq!(chain.height(), height);
    error
}

/// The next block, changed and then made to fit its header again.
fn changed(chain: &TestChain, change: impl FnOnce(&mut Block)) -> Block {
    let mut block = chain.block(Vec::new());
    change(&mut block);
    chain.seal(&mut block);
    block
}

#[test]
fn commitments_of_the_header() {
    let mut chain = mature();
    let mut block = chain.block(Vec::new());
    block.txdata[0].output[0].value = Amount::from_sat(1);
    let error = assert_refused(
        &mut chain,
        &block,
        "bad-txnmrklroot",
        "hashMerkleRoot mismatch",
    );
    assert_eq!(error.fault(), BlockFault::Mutated);

    // Whoever builds a block may check it before it commits to anything.
    let options = CheckBlockOptions {
        check_pow: false,
        check_merkle_root: false,
    };
    block.header.nonce = 0;
    assert_eq!(check_block(&block, &options, &chain.params), Ok(()));
}

#[test]
fn coinbases() {
    let mut chain = mature();
    let block = changed(&chain, |block| block.txdata.clear());
    assert_refused(&mut chain, &block, "bad-blk-length", "size limits failed");

    let prevout = chain.coinbase_of(1);
    let payment = spend(&[prevout], vec![pay(COIN, TRUE)]);
    let block = changed(&chain, |block| block.txdata[0] = payment.clone());
    assert_refused(
        &mut chain,
        &block,
        "bad-cb-missing",
        "first tx is not coinbase",
    );

    let block = changed(&chain, |block| {
        let mut second = block.txdata[0].clone();
        second.output[0].value = Amount::ZERO;
        block.txdata.push(second);
    });
    assert_refused(
        &mut chain,
        &block,
        "bad-cb-multiple",
        "more than one coinbase",
    );

    for length in [1, 101] {
        let block = changed(&chain, |block| {
            block.txdata[0].input[0].script_sig = vec![0x51; length].into();
        });
        let txid = block.txdata[0].compute_txid();
        let message = format!("Transaction check failed (tx hash {txid}) ");
        assert_refused(&mut chain, &block, "bad-cb-length", &message);
    }

    let block = changed(&chain, |block| {
        block.txdata[0].input[0].script_sig = vec![1, 101, 0].into();
    });
    assert_refused(
        &mut chain,
        &block,
        "bad-cb-height",
        "block height mismatch in coinbase",
    );

    let block = changed(&chain, |block| {
        block.txdata[0].output[0].value += Amount::ONE_SAT
    });
    let message = "coinbase pays too much (actual=5000000001 vs limit=5000000000)";
    assert_refused(&mut chain, &block, "bad-cb-amount", message);

    // Fees belong to the miner, to the last satoshi.
    let generous = spend(&[prevout], vec![pay(50 * COIN - 7, TRUE)]);
    let mut block = chain.block(vec![generous]);
    block.txdata[0].output[0].value += Amount::from_sat(8);
    chain.seal(&mut block);
    let message = "coinbase pays too much (actual=5000000008 vs limit=5000000007)";
    assert_refused(&mut chain, &block, "bad-cb-amount", message);
    block.txdata[0].output[0].value -= Amount::ONE_SAT;
    chain.seal(&mut block);
    assert_eq!(chain.accept(&block), Ok(()));
}

#[test]
fn transactions_by_themselves() {
    let mut chain = mature();
    let prevout = chain.coinbase_of(1);
    let max = 21_000_000 * COIN;
    let good = spend(&[prevout], vec![pay(COIN, TRUE)]);
    let with_outputs = |output| Transaction {
        output,
        ..good.clone()
    };
    for (reason, transaction) in [
        (
            "bad-txns-vin-empty",
            Transaction {
                input: Vec::new(),
                ..good.clone()
            },
        ),
        ("bad-txns-vout-empty", with_outputs(Vec::new())),
        (
            "bad-txns-vout-negative",
            with_outputs(vec![pay(u64::MAX, TRUE)]),
        ),
        (
            "bad-txns-vout-toolarge",
            with_outputs(vec![pay(max + 1, TRUE)]),
        ),
        (
            "bad-txns-txouttotal-toolarge",
            with_outputs(vec![pay(max, TRUE), pay(1, TRUE)]),
        ),
        (
            "bad-txns-inputs-duplicate",
            spend(&[prevout, prevout], vec![pay(COIN, TRUE)]),
        ),
        (
            "bad-txns-prevout-null",
            spend(&[prevout, OutPoint::null()], vec![pay(COIN, TRUE)]),
        ),
    ] {
        let txid = transaction.compute_txid();
        let block = changed(&chain, |block| block.txdata.push(transaction));
        let message = format!("Transaction check failed (tx hash {txid}) ");
        let error = assert_refused(&mut chain, &block, reason, &message);
        assert!(matches!(error, BlockError::Transaction { index: 1, .. }));
        assert_eq!(error.fault(), BlockFault::Consensus);
    }
}

#[test]
fn oversize_transaction() {
    let of_size = |size: usize| {
        let mut transaction = spend(&[OutPoint::new(Hash::all_zeros(), 0)], vec![pay(0, TRUE)]);
        let padding = size - transaction.base_size() - 4;
        transaction.input[0].script_sig = vec![0; padding].into();
        assert_eq!(transaction.base_size(), size);
        transaction
    };
    assert_eq!(
        btc_consensus::check_transaction(&of_size(1_000_000)),
        Ok(())
    );
    let error = btc_consensus::check_transaction(&of_size(1_000_001)).unwrap_err();
    assert_eq!(error, TxError::Oversize);
    assert_eq!(error.reject_reason(), "bad-txns-oversize");
}

#[test]
fn sizes() {
    let mut chain = mature();
    // One byte above a million without witnesses, and four million weight units exactly.
    let padded = |chain: &TestChain, base: usize| {
        changed(chain, |block| {
            let missing = base - btc_consensus::block::base_size(block) as usize;
            let output = pay(0, &vec![OP_RETURN; missing - 13]);
            assert_eq!(output.size(), missing);
            block.txdata[0].output.insert(0, output);
        })
    };
    let block = padded(&chain, 1_000_001);
    assert_refused(&mut chain, &block, "bad-blk-length", "size limits failed");

    let witness_size = btc_consensus::block::total_size(&chain.block(Vec::new()))
        - btc_consensus::block::base_size(&chain.block(Vec::new()));
    let block = padded(&chain, 1_000_000);
    assert!(btc_consensus::block::weight(&block) == 4_000_000 + witness_size);
    let message = "ContextualCheckBlock : weight limit failed";
    assert_refused(&mut chain, &block, "bad-blk-weight", message);
    let block = padded(&chain, 1_000_000 - witness_size.div_ceil(4) as usize);
    assert_eq!(chain.accept(&block), Ok(()));
}

#[test]
fn signature_check_limits() {
    let mut chain = mature();
    let checks = |count: usize| {
        changed(&chain, |block| {
            block.txdata[0]
                .output
                .push(pay(0, &vec![OP_CHECKSIG; count]));
        })
    };
    let (most, too_many) = (checks(20_000), checks(20_001));
    assert_refused(
        &mut chain,
        &too_many,
        "bad-blk-sigops",
        "out-of-bounds SigOpCount",
    );
    assert_eq!(chain.accept(&most), Ok(()));

    // A redeem script's checks are seen only with the coin that it belongs to.
    let redeem_script = vec![OP_CHECKSIG; 255];
    let p2sh = p2sh(&redeem_script);
    let funding = spend(&[chain.coinbase_of(1)], vec![pay(1, &p2sh); 80]);
    let block = chain.block(vec![funding.clone()]);
    chain.accept(&block).unwrap();
    let prevouts: Vec<_> = (0..80)
        .map(|vout| OutPoint::new(funding.compute_txid(), vout))
        .collect();
    let mut all = spend(&prevouts, vec![pay(80, TRUE)]);
    for input in &mut all.input {
        input.script_sig = pushes(&[&redeem_script]);
    }
    let block = chain.block(vec![all]);
    assert_refused(&mut chain, &block, "bad-blk-sigops", "too many sigops");
}

#[test]
fn lock_times() {
    let mut chain = mature();
    let prevout = chain.coinbase_of(1);
    let locked = |lock_time: u32| {
        let mut transaction = spend(&[prevout], vec![pay(50 * COIN, TRUE)]);
        transaction.lock_time = LockTime::from_consensus(lock_time);
        transaction.input[0].sequence = Sequence::ZERO;
        transaction
    };
    let median = chain.headers[96].time;
    for too_late in [102, median] {
        let block = chain.block(vec![locked(too_late)]);
        assert_refused(
            &mut chain,
            &block,
            "bad-txns-nonfinal",
            "non-final transaction",
        );
    }
    for reached in [101, median - 1] {
        let mut chain = mature();
        let block = chain.block(vec![locked(reached)]);
        assert_eq!(chain.accept(&block), Ok(()));
    }
    // Before BIP 113 the block's own time counts.
    let params = regtest().with_activation_height("csv".parse().unwrap(), 1000);
    let mut chain = TestChain::with_blocks(params, 101);
    let block = chain.block(vec![Transaction {
        lock_time: LockTime::from_consensus(chain.tip().time + 59),
        ..locked(0)
    }]);
    assert_eq!(chain.accept(&block), Ok(()));
    // A final input switches the lock time off.
    let mut chain = mature();
    let mut transaction = locked(1000);
    transaction.input[0].sequence = Sequence::MAX;
    let block = chain.block(vec![transaction]);
    assert_eq!(chain.accept(&block), Ok(()));
}

#[test]
fn relative_lock_times() {
    /// Locks by time are in units of this many seconds, in a chain with a block a minute.
    const UNIT: u32 = 512;
    let locked = |chain: &TestChain, version: i32, sequence: u32| {
        let mut transaction = spend(&[chain.coinbase_of(1)], vec![pay(50 * COIN, TRUE)]);
        transaction.version = bitcoin::transaction::Version(version);
        transaction.input[0].sequence = Sequence(sequence);
        transaction
    };
    // The coin is from height 1, the block has height 102: 101 blocks between. The median time
    // has gone from that of the genesis block to that of height 96.
    let chain = mature();
    let elapsed = (chain.headers[96].time - chain.headers[0].time) / UNIT;
    for (version, sequence, valid) in [
        (2, 101, true),
        (2, 102, false),
        (1, 102, true),
        (-1, 102, false),
        (2, 1 << 31 | 102, true),
        (2, 1 << 22 | elapsed, true),
        (2, 1 << 22 | (elapsed + 1), false),
    ] {
        let mut chain = mature();
        let transaction = locked(&chain, version, sequence);
        let txid = transaction.compute_txid();
        let block = chain.block(vec![transaction]);
        if valid {
            assert_eq!(chain.accept(&block), Ok(()), "{version} {sequence:x}");
        } else {
            let message = format!("contains a non-BIP68-final transaction {txid}");
            assert_refused(&mut chain, &block, "bad-txns-nonfinal", &message);
        }
    }
    let params = regtest().with_activation_height("csv".parse().unwrap(), 103);
    let mut chain = TestChain::with_blocks(params, 101);
    let block = chain.block(vec![locked(&chain, 2, 102)]);
    assert_eq!(chain.accept(&block), Ok(()));
}

#[test]
fn witness_commitments() {
    let mut chain = mature();
    let reserved = |items: &[&[u8]]| {
        let mut block = chain.block(Vec::new());
        block.txdata[0].input[0].witness = Witness::from_slice(items);
        block
    };
    let mut cases: Vec<_> = [&[][..], &[&[0; 31][..]], &[&[0; 32], &[]]]
        .into_iter()
        .map(|items| {
            (
                reserved(items),
                "bad-witness-nonce-size",
                "invalid witness reserved value size",
            )
        })
        .collect();
    cases.push((
        reserved(&[&[1; 32]]),
        "bad-witness-merkle-match",
        "witness merkle commitment mismatch",
    ));
    cases.push((
        changed(&chain, |block| {
            block.txdata[0].output.pop();
        }),
        "unexpected-witness",
        "unexpected witness data found",
    ));
    for (block, reason, message) in cases {
        let message = format!("CheckWitnessMalleation : {message}");
        let error = assert_refused(&mut chain, &block, reason, &message);
        // Another witness may make the same block valid.
        assert_eq!(error.fault(), BlockFault::Mutated);
        assert!(is_mutated(&block, true));
    }

    // The last commitment counts.
    let mut block = chain.block(Vec::new());
    let commitment = block.txdata[0].output.pop().unwrap();
    let mut decoy = commitment.clone();
    decoy.script_pubkey = [&decoy.script_pubkey.as_bytes()[..37], &[0]]
        .concat()
        .into();
    block.txdata[0].output.extend([decoy, commitment]);
    chain.seal(&mut block);
    assert!(!is_mutated(&block, true));
    assert_eq!(chain.accept(&block), Ok(()));

    // Without segwit there is nothing to commit to, and no witness.
    let params = regtest().with_activation_height("segwit".parse().unwrap(), 1000);
    let mut chain = TestChain::new(params);
    let mut block = chain.block(Vec::new());
    let message = "CheckWitnessMalleation : unexpected witness data found";
    assert_refused(&mut chain, &block, "unexpected-witness", message);
    block.txdata[0].input[0].witness = Witness::new();
    assert_eq!(chain.accept(&block), Ok(()));
}

#[test]
fn inputs() {
    let mut chain = mature();
    let unknown = OutPoint::new(Hash::all_zeros(), 7);
    let (ripe, unripe) = (chain.coinbase_of(2), chain.coinbase_of(3));
    let missing = "CheckTxInputs: inputs missing/spent";
    for (prevouts, value, reason, message) in [
        (
            vec![unknown],
            COIN,
            "bad-txns-inputs-missingorspent",
            missing,
        ),
        (
            vec![ripe, unknown],
            COIN,
            "bad-txns-inputs-missingorspent",
            missing,
        ),
        (
            vec![unripe],
            COIN,
            "bad-txns-premature-spend-of-coinbase",
            "tried to spend coinbase at depth 99",
        ),
        (
            vec![ripe],
            50 * COIN + 1_000_000,
            "bad-txns-in-belowout",
            "value in (50.00) < value out (50.01)",
        ),
        (
            vec![ripe],
            50 * COIN + 1,
            "bad-txns-in-belowout",
            "value in (50.00) < value out (50.00000001)",
        ),
    ] {
        let transaction = spend(&prevouts, vec![pay(value, TRUE)]);
        let message = format!("{message} in transaction {}", transaction.compute_txid());
        let block = chain.block(vec![transaction]);
        let error = assert_refused(&mut chain, &block, reason, &message);
        assert_eq!(error.fault(), BlockFault::Consensus);
    }
}

#[test]
fn within_one_block() {
    let mut chain = mature();
    let first = spend(
        &[chain.coinbase_of(1)],
        vec![pay(50 * COIN, TRUE), pay(0, &[OP_RETURN])],
    );
    let of_first = |vout| OutPoint::new(first.compute_txid(), vout);
    let second = spend(&[of_first(0)], vec![pay(50 * COIN, TRUE)]);
    let rival = spend(&[of_first(0)], vec![pay(49 * COIN, TRUE)]);

    // An output can be spent by a later transaction of its own block, but neither by an earlier
    // one nor twice, and not at all if it is unspendable.
    let unspendable = spend(&[of_first(1)], vec![pay(0, TRUE)]);
    for transactions in [
        vec![second.clone(), first.clone()],
        vec![first.clone(), second.clone(), rival],
        vec![first.clone(), unspendable],
    ] {
        let txid = if transactions[0] == second {
            &transactions[0]
        } else {
            transactions.last().unwrap()
        }
        .compute_txid();
        let message = format!("CheckTxInputs: inputs missing/spent in transaction {txid}");
        let block = chain.block(transactions);
        assert_refused(
            &mut chain,
            &block,
            "bad-txns-inputs-missingorspent",
            &message,
        );
    }

    let block = Arc::new(chain.block(vec![first.clone(), second.clone()]));
    let context = ConnectContext {
        params: &chain.params,
        prev: &chain.headers,
        check_scripts: false,
    };
    let (delta, jobs) = connect(
        &block,
        |outpoint| chain.coins.get(outpoint).cloned(),
        &context,
    )
    .unwrap();
    assert!(jobs.is_empty(), "scripts of an assumed valid block");
    assert_eq!(delta.fees, Amount::ZERO);
    assert_eq!(delta.spent.len(), 2);
    assert_eq!(delta.spent[1][0].0, of_first(0));
    assert_eq!(delta.spent[1][0].1.height, 102);
    // The commitment and the other OP_RETURN are not among the coins.
    let created: Vec<_> = delta
        .created
        .iter()
        .map(|(outpoint, _)| *outpoint)
        .collect();
    let coinbase = OutPoint::new(block.txdata[0].compute_txid(), 0);
    assert_eq!(
        created,
        [
            coinbase,
            of_first(0),
            OutPoint::new(second.compute_txid(), 0)
        ]
    );
    assert!(delta.created[0].1.coinbase && !delta.created[1].1.coinbase);

    chain.accept(&block).unwrap();
    assert!(!chain.coins.contains_key(&of_first(0)));
}

#[test]
fn a_transaction_with_unspent_outputs_is_not_repeated() {
    let params = regtest().with_activation_height("bip34".parse().unwrap(), 1000);
    let mut chain = TestChain::with_blocks(params, 1);
    let mut block = chain.block(Vec::new());
    let outpoint = chain.coinbase_of(1);
    let same_coinbase = |block: &mut Block, chain: &TestChain| {
        block.txdata[0].input[0].script_sig = vec![0x51, 0].into();
        commit_to_witness(block);
        chain.seal(block);
    };
    same_coinbase(&mut block, &chain);
    assert_eq!(block.txdata[0].compute_txid(), outpoint.txid);
    let error = assert_refused(
        &mut chain,
        &block,
        "bad-txns-BIP30",
        "tried to overwrite transaction",
    );
    assert_eq!(error, BlockError::Overwrite { outpoint });
    assert_eq!(created_outpoints(&block).next(), Some(outpoint));

    // Once nothing of it is left it can come again.
    chain.coins.remove(&outpoint);
    assert_eq!(chain.accept(&block), Ok(()));
}

#[test]
fn scripts() {
    let mut chain = mature();
    let redeem_script = [OP_2, OP_EQUAL];
    let outputs = vec![
        pay(1, &[OP_2, OP_EQUAL]),
        pay(1, &p2sh(&redeem_script)),
        pay(1, &[OP_0]),
    ];
    let funding = spend(&[chain.coinbase_of(1)], outputs);
    let block = chain.block(vec![funding.clone()]);
    chain.accept(&block).unwrap();
    let solved = |vout, script_sig| {
        let mut transaction = spend(
            &[OutPoint::new(funding.compute_txid(), vout)],
            vec![pay(1, TRUE)],
        );
        transaction.input[0].script_sig = script_sig;
        transaction
    };
    let two = ScriptBuf::from_bytes(vec![OP_2]);
    for (vout, script_sig, reason) in [
        (
            0,
            vec![OP_3].into(),
            "Script evaluated without error but finished with a false/empty top stack element",
        ),
        (
            0,
            ScriptBuf::new(),
            "Operation not valid with the current stack size",
        ),
        (
            1,
            vec![OP_3, 2, OP_2, OP_EQUAL].into(),
            "Script evaluated without error but finished with a false/empty top stack element",
        ),
        (
            1,
            vec![OP_NOP, OP_2, 2, OP_2, OP_EQUAL].into(),
            "Only push operators allowed in signatures",
        ),
        (
            2,
            two.clone(),
            "Script evaluated without error but finished with a false/empty top stack element",
        ),
    ] {
        let transaction = solved(vout, script_sig);
        let (txid, wtxid) = (transaction.compute_txid(), transaction.compute_wtxid());
        let block = chain.block(vec![transaction]);
        let reason = format!("block-script-verify-flag-failed ({reason})");
        let prevout = funding.compute_txid();
        let message = format!("input 0 of {txid} (wtxid {wtxid}), spending {prevout}:{vout}");
        assert_refused(&mut chain, &block, &reason, &message);
    }
    let solutions = vec![
        solved(0, two),
        solved(1, vec![OP_2, 2, OP_2, OP_EQUAL].into()),
    ];
    let block = chain.block(solutions);
    assert_eq!(chain.accept(&block), Ok(()));
    assert_eq!(chain.scripts, 3);
}

#[test]
fn script_rules_by_height() {
    let params = ChainParams::new(Chain::Main);
    let hash = params.genesis_hash;
    let always = ScriptFlags::P2SH | ScriptFlags::WITNESS | ScriptFlags::TAPROOT;
    assert_eq!(flags_for_block(1, &hash, &params), always);
    assert_eq!(
        flags_for_block(363_725, &hash, &params),
        always | ScriptFlags::DERSIG
    );
    assert_eq!(
        flags_for_block(481_824, &hash, &params),
        ScriptFlags::MANDATORY
    );
    let (bip16, rules) = params.script_flag_exceptions[0];
    assert_eq!(rules, ScriptFlags::NONE);
    assert_eq!(flags_for_block(170_060, &bip16, &params), ScriptFlags::NONE);
    let (taproot, _) = params.script_flag_exceptions[1];
    let expected = ScriptFlags::MANDATORY.without(ScriptFlags::TAPROOT);
    assert_eq!(flags_for_block(692_261, &taproot, &params), expected);
}

#[test]
fn signed_blocks() {
    // Whoever knows two numbers with the sum of 5 may make blocks.
    let challenge = ScriptBuf::from_bytes(vec![OP_ADD, OP_5, OP_EQUAL]);
    let mut chain = TestChain::new(easy_signet(challenge.clone()));
    let unsigned = chain.block(Vec::new());
    let sign = |chain: &TestChain, script_sig: &[u8], trailing: &[u8]| {
        changed(chain, |block| {
            let mut solution = vec![0xec, 0xc7, 0xda, 0xa2];
            push_data(&mut solution, script_sig);
            solution.push(0);
            solution.extend_from_slice(trailing);
            let script_pubkey = &mut block.txdata[0].output.last_mut().unwrap().script_pubkey;
            let mut script = script_pubkey.to_bytes();
            push_data(&mut script, &solution);
            *script_pubkey = script.into();
        })
    };
    let message = "signet block signature validation failure";
    let wrong = sign(&chain, &[OP_2, OP_4], &[]);
    let trailing = sign(&chain, &[OP_2, OP_3], &[0]);
    for block in [&unsigned, &wrong, &trailing] {
        assert_refused(&mut chain, block, "bad-signet-blksig", message);
    }
    assert_eq!(
        signet::check_solution(&trailing, &challenge),
        Err(signet::SignetError::Malformed)
    );
    let signed = sign(&chain, &[OP_2, OP_3], &[]);
    assert_eq!(chain.accept(&signed), Ok(()));

    // A challenge that asks for nothing needs no signature, but a place for one.
    let mut chain = TestChain::new(easy_signet(ScriptBuf::from_bytes(TRUE.to_vec())));
    let block = changed(&chain, |block| {
        block.txdata[0].output.pop();
        block.txdata[0].input[0].witness = Witness::new();
    });
    assert_refused(&mut chain, &block, "bad-signet-blksig", message);
    let block = chain.block(Vec::new());
    assert_eq!(chain.accept(&block), Ok(()));
}

/// A signet whose blocks take no more work than those of regtest.
fn easy_signet(challenge: ScriptBuf) -> ChainParams {
    let mut params = ChainParams::signet(challenge);
    params.pow_limit = regtest().pow_limit;
    params.genesis.header.bits = regtest().genesis.header.bits;
    params
}

#[test]
fn blocks_that_were_never_checked_do_not_panic() {
    let chain = mature();
    let context = ConnectContext {
        params: &chain.params,
        prev: &chain.headers,
        check_scripts: true,
    };
    let odd = Transaction {
        input: Vec::new(),
        ..spend(&[], vec![pay(u64::MAX, TRUE)])
    };
    let nothing = |outpoint: &OutPoint| chain.coins.get(outpoint).cloned();
    for transactions in [
        Vec::new(),
        vec![odd.clone()],
        vec![odd.clone(), odd.clone()],
        vec![spend(&[OutPoint::null()], vec![pay(u64::MAX, TRUE); 3])],
        vec![Transaction {
            input: vec![TxIn::default(), TxIn::default()],
            output: Vec::<TxOut>::new(),
            ..odd
        }],
    ] {
        let mut block = chain.block(Vec::new());
        block.txdata = transactions;
        assert!(connect(&Arc::new(block), nothing, &context).is_err());
    }
}

fn p2sh(redeem_script: &[u8]) -> Vec<u8> {
    let hash = hash160::Hash::hash(redeem_script).to_byte_array();
    [&[OP_HASH160, 20][..], &hash, &[OP_EQUAL]].concat()
}

fn pushes(items: &[&[u8]]) -> ScriptBuf {
    let mut script = Vec::new();
    for item in items {
        push_data(&mut script, item);
    }
    script.into()
}
