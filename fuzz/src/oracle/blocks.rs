//! Blocks for chains, and the ways in which they can be wrong.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use bitcoin::absolute::LockTime;
use bitcoin::block::{Header, Version};
use bitcoin::hashes::Hash;
use bitcoin::key::Secp256k1;
use bitcoin::key::TapTweak;
use bitcoin::script::{Builder, PushBytesBuf};
use bitcoin::secp256k1::{All, Keypair, Message, SecretKey};
use bitcoin::sighash::{Annex, EcdsaSighashType, Prevouts, SighashCache, TapSighashType};
use bitcoin::{
    Amount, Block, CompactTarget, OutPoint, PublicKey, ScriptBuf, Sequence, Target, Transaction,
    TxIn, TxMerkleNode, TxOut, Txid, Witness, transaction,
};
use btc_consensus::block::{WITNESS_RESERVED_VALUE, commitment_script};

use super::random::Random;

mod twist;

pub use twist::Twist;

/// The target of every block on regtest.
const BITS: u32 = 0x207f_ffff;
/// Blocks on top of a coinbase before it can be spent.
pub const MATURITY: u32 = 100;
/// Blocks between two halvings on regtest.
const HALVING: u32 = 150;

static SECP: LazyLock<Secp256k1<All>> = LazyLock::new(Secp256k1::new);
static PAIR: LazyLock<Keypair> = LazyLock::new(|| {
    let secret = SecretKey::from_slice(&[9; 32]).expect("a small number is a key");
    secret.keypair(&SECP)
});

/// An output that can be spent.
#[derive(Clone, Debug)]
pub struct Owned {
    output: TxOut,
    height: u32,
    coinbase: bool,
}

/// The unspent outputs as of a block, in an order that does not depend on luck.
pub type Coins = BTreeMap<OutPoint, Owned>;

/// A block with what builds on it.
#[derive(Clone, Debug)]
pub struct Node {
    pub header: Header,
    pub height: u32,
    /// Times of the last eleven blocks, this one's last.
    pub times: Vec<u32>,
    /// The median time past of each block up to this one, by height.
    pub medians: Vec<u32>,
    /// What is unspent after it.
    pub coins: Coins,
    /// Whether it and all before it are right.
    pub valid: bool,
}

/// A transaction being made, with what it spends.
struct Draft {
    transaction: Transaction,
    spent: Vec<Owned>,
}

/// A block on top of `parent`, with a twist, and the coins that it leaves if it is right.
pub fn block(random: &mut Random, parent: &Node, twist: Twist) -> (Block, Coins) {
    let height = parent.height + 1;
    let mut coins = parent.coins.clone();
    let mut fees = 0;
    let mut transactions = Vec::new();
    let wanted = if twist == Twist::None {
        random.below(4)
    } else {
        1 + random.below(2)
    };
    for number in 0..wanted {
        // The twist is in the last one, so that others come before it.
        let twist = if number + 1 == wanted {
            twist
        } else {
            Twist::None
        };
        if let Some(draft) = spend(random, &mut coins, height, twist, parent) {
            fees = fee(&draft).saturating_add(fees);
            let txid = draft.transaction.compute_txid();
            add(&mut coins, &draft.transaction, txid, height, false);
            transactions.push(draft.transaction);
        }
    }
    let mut block = assemble(random, parent, transactions, fees, twist);
    bend(random, &mut block, twist);
    commit(random, &mut block, twist);
    finish(random, &mut block, twist);
    let first = block.txdata.first().cloned();
    if let Some(coinbase) = first {
        let txid = coinbase.compute_txid();
        add(&mut coins, &coinbase, txid, height, true);
    }
    (block, coins)
}

/// A block on top of `parent` with these transactions, which pay no fees that are taken.
pub fn with_transactions(
    random: &mut Random,
    parent: &Node,
    transactions: Vec<Transaction>,
) -> Block {
    let mut block = assemble(random, parent, transactions, 0, Twist::None);
    commit(random, &mut block, Twist::None);
    finish(random, &mut block, Twist::None);
    block
}

/// A transaction that spends the first coin that can be spent, for these outputs.
pub fn fund(parent: &Node, output: Vec<TxOut>) -> Option<Transaction> {
    let height = parent.height + 1;
    let mature = |owned: &Owned| !owned.coinbase || owned.height + MATURITY <= height;
    let (outpoint, owned) = parent.coins.iter().find(|(_, owned)| mature(owned))?;
    let mut transaction = Transaction {
        version: transaction::Version::TWO,
        lock_time: LockTime::ZERO,
        input: vec![TxIn {
            previous_output: *outpoint,
            ..TxIn::default()
        }],
        output,
    };
    sign(&mut transaction, std::slice::from_ref(owned), None);
    Some(transaction)
}

/// A block without a commitment and without work.
fn assemble(
    random: &mut Random,
    parent: &Node,
    transactions: Vec<Transaction>,
    fees: u64,
    twist: Twist,
) -> Block {
    let coinbase = coinbase(random, parent.height + 1, fees, twist);
    let mut block = Block {
        header: Header {
            version: Version::from_consensus(if twist == Twist::OldVersion {
                random.pick(&[1, 2, 3, 0, -1])
            } else {
                0x2000_0000
            }),
            prev_blockhash: parent.header.block_hash(),
            merkle_root: TxMerkleNode::all_zeros(),
            time: time(random, parent, twist),
            bits: CompactTarget::from_consensus(BITS),
            nonce: random.next() as u32,
        },
        txdata: vec![coinbase],
    };
    block.txdata.extend(transactions);
    block
}

/// Has the coinbase commit to the witnesses, or fail to.
fn commit(random: &mut Random, block: &mut Block, twist: Twist) {
    if twist == Twist::NoCommitment || block.txdata.is_empty() {
        return;
    }
    let output = |script_pubkey| TxOut {
        value: Amount::ZERO,
        script_pubkey,
    };
    if twist == Twist::CommitmentElsewhere && random.once_in(3) {
        // In a transaction that is no coinbase nothing is committed to; nobody checks that it is signed before.
        let commitment = commitment_script(block, &WITNESS_RESERVED_VALUE);
        let last = block.txdata.last_mut().expect("there is a coinbase");
        last.output.push(output(commitment));
        return;
    }
    let reserved = if twist == Twist::OtherReservedValue {
        let value = [random.byte(); 32];
        block.txdata[0].input[0].witness = Witness::from_slice(&[value]);
        value
    } else {
        WITNESS_RESERVED_VALUE
    };
    let mut bytes = commitment_script(block, &reserved).into_bytes();
    match twist {
        Twist::WrongCommitment => bytes[10] ^= 1,
        Twist::TwoCommitments => {
            // The last one counts.
            let mut other = bytes.clone();
            other[20] ^= 1;
            let mut both = [bytes, other];
            both.rotate_left(random.below(2));
            let [first, last] = both;
            let first = output(ScriptBuf::from_bytes(first));
            block.txdata[0].output.push(first);
            bytes = last;
        }
        Twist::LongCommitment => {
            if random.once_in(3) {
                bytes.pop();
            } else {
                bytes.extend(random.bytes(20));
            }
        }
        Twist::CommitmentElsewhere => match random.below(4) {
            // First among the outputs is as good as last.
            0 | 1 => {
                let first = output(ScriptBuf::from_bytes(bytes));
                block.txdata[0].output.insert(0, first);
                return;
            }
            // Forms that are not the one.
            2 => {
                bytes.insert(1, 0x4c);
            }
            _ => {
                let at = random.below(6);
                bytes[at] ^= 1;
            }
        },
        _ => {}
    }
    let last = output(ScriptBuf::from_bytes(bytes));
    block.txdata[0].output.push(last);
}

/// Makes the header fit the transactions and have work, or fail to.
fn finish(random: &mut Random, block: &mut Block, twist: Twist) {
    block.header.merkle_root = block
        .compute_merkle_root()
        .unwrap_or(TxMerkleNode::all_zeros());
    match twist {
        Twist::WrongMerkleRoot => block.header.merkle_root = TxMerkleNode::from_byte_array([3; 32]),
        Twist::RepeatLast => {
            // The same root: a list of two or more that repeats an odd end.
            if let Some(last) = block.txdata.last().cloned() {
                block.txdata.push(last);
            }
        }
        Twist::WrongTarget => {
            block.header.bits = CompactTarget::from_consensus(random.pick(&[
                0x207f_fffe,
                0x1f7f_ffff,
                0x2100_7fff,
                0x20ff_ffff,
                0x0100_3456,
            ]));
        }
        _ => {}
    }
    let target = Target::from_compact(CompactTarget::from_consensus(BITS));
    while (block.header.block_hash().to_byte_array()[31] >= 0x7f) != (twist == Twist::NoWork)
        || (twist != Twist::NoWork && !target.is_met_by(block.header.block_hash()))
    {
        block.header.nonce = block.header.nonce.wrapping_add(1);
    }
}

fn add(coins: &mut Coins, transaction: &Transaction, txid: Txid, height: u32, coinbase: bool) {
    for (vout, output) in (0..).zip(&transaction.output) {
        if output.value > Amount::ZERO && !output.script_pubkey.is_op_return() {
            let owned = Owned {
                output: output.clone(),
                height,
                coinbase,
            };
            coins.insert(OutPoint::new(txid, vout), owned);
        }
    }
}

fn fee(draft: &Draft) -> u64 {
    let spent = sum(draft.spent.iter().map(|coin| &coin.output));
    spent.saturating_sub(sum(&draft.transaction.output))
}

/// The value of outputs in sat. Blocks on top of a wrong one may spend more than there can be.
fn sum<'a>(outputs: impl IntoIterator<Item = &'a TxOut>) -> u64 {
    let values = outputs.into_iter().map(|output| output.value.to_sat());
    values.fold(0, u64::saturating_add)
}

fn median(times: &[u32]) -> u32 {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    sorted[sorted.len() / 2]
}

fn time(random: &mut Random, parent: &Node, twist: Twist) -> u32 {
    let past = median(&parent.times);
    match twist {
        Twist::TimeTooOld => past - random.below(3) as u32,
        Twist::TimeAtLimit => past + 1,
        // Whenever this is run.
        Twist::TimeTooNew => 4_000_000_000 + random.below(1000) as u32,
        _ => parent.header.time.max(past) + 1 + random.below(900) as u32,
    }
}

fn coinbase(random: &mut Random, height: u32, fees: u64, twist: Twist) -> Transaction {
    let subsidy = 5_000_000_000_u64 >> (height / HALVING);
    let told = if twist == Twist::WrongHeight {
        height + random.pick(&[1, 16, 128])
    } else {
        height
    };
    let mut script_sig = Builder::new().push_int(told.into()).into_script();
    let extra = match twist {
        Twist::ShortCoinbaseScript => random.below(2),
        Twist::LongCoinbaseScript => random.pick(&[90, 96, 97, 98, 99, 110]),
        _ => 4,
    };
    let filler: Vec<u8> = (0..extra).map(|_| random.byte()).collect();
    if twist != Twist::ShortCoinbaseScript || extra > 0 {
        script_sig.push_slice(PushBytesBuf::try_from(filler).expect("it is short"));
    }
    let excess = u64::from(twist == Twist::CoinbaseTooMuch);
    let spare = if random.once_in(5) {
        random.below(1000) as u64
    } else {
        0
    };
    let amount = fees.saturating_add(subsidy + excess);
    let amount = amount.saturating_sub(if excess == 0 { spare } else { 0 });
    Transaction {
        version: transaction::Version::TWO,
        lock_time: LockTime::ZERO,
        input: vec![TxIn {
            previous_output: OutPoint::null(),
            script_sig,
            sequence: Sequence::MAX,
            witness: if twist == Twist::NoCommitment && random.once_in(2) {
                Witness::new()
            } else if twist == Twist::OddReservedValue {
                odd_reserved_value(random)
            } else {
                Witness::from_slice(&[WITNESS_RESERVED_VALUE])
            },
        }],
        output: vec![TxOut {
            value: Amount::from_sat(amount),
            script_pubkey: lock(random),
        }],
    }
}

/// What a coinbase's witness may not be, or another value that the commitment does not fit.
fn odd_reserved_value(random: &mut Random) -> Witness {
    let value = WITNESS_RESERVED_VALUE;
    match random.below(5) {
        0 => Witness::new(),
        1 => Witness::from_slice(&[value, value]),
        2 => Witness::from_slice(&[&value[..31]]),
        3 => Witness::from_slice(&[vec![0; 33]]),
        _ => Witness::from_slice(&[[1; 32]]),
    }
}

/// One of the scripts that [`sign`] can satisfy.
fn lock(random: &mut Random) -> ScriptBuf {
    let key = PublicKey::new(PAIR.public_key());
    match random.below(7) {
        0 => ScriptBuf::new_p2pk(&key),
        1 => ScriptBuf::new_p2pkh(&key.pubkey_hash()),
        2 => key_program(),
        3 => ScriptBuf::new_p2tr(&SECP, PAIR.x_only_public_key().0, None),
        4 => key_program().to_p2sh(),
        5 => witness_true().to_p2sh(),
        _ => witness_true().to_p2wsh(),
    }
}

/// The output that pays to the key's hash in a witness.
fn key_program() -> ScriptBuf {
    let key = PublicKey::new(PAIR.public_key());
    ScriptBuf::new_p2wpkh(&key.wpubkey_hash().expect("the key is compressed"))
}

/// A script that anybody satisfies.
fn witness_true() -> ScriptBuf {
    Builder::new().push_int(1).into_script()
}

fn spend(
    random: &mut Random,
    coins: &mut Coins,
    height: u32,
    twist: Twist,
    parent: &Node,
) -> Option<Draft> {
    let mature = |owned: &Owned| !owned.coinbase || owned.height + MATURITY <= height;
    let immature = twist == Twist::SpendImmature;
    let candidates: Vec<OutPoint> = coins
        .iter()
        .filter(|(_, owned)| mature(owned) != immature)
        .map(|(outpoint, _)| *outpoint)
        .collect();
    if candidates.is_empty() {
        return None;
    }
    let hashed: Vec<OutPoint> = candidates
        .iter()
        .filter(|outpoint| coins[outpoint].output.script_pubkey.is_p2wsh())
        .copied()
        .collect();
    let candidates = if twist == Twist::WitnessSigops && !hashed.is_empty() {
        hashed
    } else {
        candidates
    };
    let mut chosen = Vec::new();
    for _ in 0..=random.below(3) {
        let outpoint = if immature && random.once_in(2) {
            // The one that is nearest to maturity.
            *candidates
                .iter()
                .min_by_key(|outpoint| coins[outpoint].height)?
        } else {
            random.pick(&candidates)
        };
        if !chosen.contains(&outpoint) {
            chosen.push(outpoint);
        }
    }
    let mut spent: Vec<Owned> = Vec::new();
    for outpoint in &chosen {
        spent.push(coins[outpoint].clone());
        if twist != Twist::SpendTwice || random.once_in(2) {
            coins.remove(outpoint);
        }
    }
    let total = sum(spent.iter().map(|owned| &owned.output));
    let outputs = 1 + random.below(3) as u64;
    let fee = (random.below(1000) as u64).min(total / 2);
    let mut share = (total - fee) / outputs;
    if twist == Twist::CreateMoney {
        share = (total / outputs).saturating_add(1);
    }
    let mut transaction = Transaction {
        version: transaction::Version::TWO,
        lock_time: LockTime::ZERO,
        input: chosen
            .iter()
            .map(|outpoint| TxIn {
                previous_output: *outpoint,
                sequence: Sequence(random.pick(&[u32::MAX, u32::MAX - 1, u32::MAX - 2])),
                ..TxIn::default()
            })
            .collect(),
        output: (0..outputs)
            .map(|_| TxOut {
                value: Amount::from_sat(share),
                script_pubkey: lock(random),
            })
            .collect(),
    };
    let first = transaction.input.first_mut()?;
    match twist {
        Twist::SpendMissing => first.previous_output.vout += 100,
        Twist::NotFinal => {
            first.sequence = Sequence(0);
            transaction.lock_time = LockTime::from_consensus(match random.below(4) {
                0 => height,
                1 => height - 1,
                2 => median(&parent.times),
                _ => median(&parent.times) - 1,
            });
        }
        Twist::SequenceLocked => {
            let age = height - spent[0].height;
            first.sequence = Sequence(age.min(0xfffe) + 1);
        }
        Twist::SequenceJustUnlocked => {
            let age = height - spent[0].height;
            first.sequence = Sequence(if random.once_in(2) {
                age.min(0xffff)
            } else {
                (1 << 22) | random.below(200) as u32
            });
        }
        Twist::RelativeLocks => {
            for (input, coin) in transaction.input.iter_mut().zip(&spent) {
                input.sequence = relative_lock(random, parent, coin);
            }
            if random.once_in(4) {
                transaction.version = random.pick(&[
                    transaction::Version::ONE,
                    transaction::Version(0),
                    transaction::Version(-1),
                    transaction::Version(3),
                ]);
            }
        }
        Twist::NegativeOutput => {
            transaction.output[0].value =
                Amount::from_sat(random.pick(&[u64::MAX, 1 << 63, 2_100_000_000_000_001]));
        }
        Twist::TotalTooLarge => {
            let other = transaction.output[0].clone();
            transaction.output.push(other);
            for output in &mut transaction.output {
                output.value = Amount::from_sat(1_500_000_000_000_000);
            }
        }
        Twist::NoOutputs => transaction.output.clear(),
        Twist::DuplicateInput => {
            let again = random.below(transaction.input.len());
            transaction.input.push(transaction.input[again].clone());
            spent.push(spent[again].clone());
        }
        Twist::NullPrevout => {
            transaction.input.push(TxIn::default());
            spent.push(spent[0].clone());
        }
        _ => {}
    }
    let annex = (twist == Twist::HeavyWitness).then(|| {
        let mut annex = vec![0x50];
        annex.resize(3_996_000 + random.below(5000), 7);
        annex
    });
    sign(&mut transaction, &spent, annex.as_deref());
    if twist == Twist::WitnessSigops {
        // What a witness script would check counts, whether it is the right one or not. 80,000 are the limit.
        let script = vec![0xac; 79_940 + random.below(60)];
        transaction.input[0].witness = Witness::from_slice(&[script]);
    }
    if twist == Twist::BadSignature {
        let input = &mut transaction.input[0];
        let mut bytes = input.script_sig.to_bytes();
        if bytes.is_empty() {
            let mut items = input.witness.to_vec();
            let at = random.below(items.len());
            random.mutate(&mut items[at]);
            input.witness = Witness::from_slice(&items);
        } else {
            random.mutate(&mut bytes);
            input.script_sig = ScriptBuf::from_bytes(bytes);
        }
    }
    Some(Draft { transaction, spent })
}

/// A sequence that locks for about as long as the coin has existed (BIP 68), in blocks or in units of 512 seconds.
fn relative_lock(random: &mut Random, parent: &Node, coin: &Owned) -> Sequence {
    let height = parent.height + 1;
    let value = if random.once_in(2) {
        height - coin.height
    } else {
        let created = parent.medians[coin.height.saturating_sub(1) as usize];
        let passed = parent.medians[parent.height as usize] - created;
        (1 << 22) | (passed / 512)
    };
    let moved = match random.below(8) {
        0 => value.saturating_sub(1),
        1 => value + 1,
        // Bits that say nothing.
        2 => value | (1 << 16),
        3 => value | (1 << 21),
        // No lock at all.
        4 => (value + 100) | (1 << 31),
        _ => value,
    };
    Sequence(moved)
}

/// Changes that concern the whole list of transactions.
fn bend(random: &mut Random, block: &mut Block, twist: Twist) {
    match twist {
        Twist::SpendTwice => {
            if let Some(last) = block.txdata.last().filter(|_| block.txdata.len() > 1) {
                let mut again = last.clone();
                // Another transaction that spends the same; without a signature where none is needed it is else valid.
                again.version = transaction::Version::ONE;
                block.txdata.push(again);
            }
        }
        Twist::SameTransaction => {
            if let Some(last) = block.txdata.last().cloned() {
                block.txdata.push(last);
            }
        }
        Twist::TwoCoinbases => {
            let mut second = block.txdata[0].clone();
            second.lock_time = LockTime::from_consensus(1);
            block.txdata.push(second);
        }
        Twist::NoCoinbase => {
            block.txdata.remove(0);
        }
        Twist::TwoCoinbaseInputs => {
            let mut second = block.txdata[0].input[0].clone();
            second.previous_output.vout = random.pick(&[u32::MAX, 0]);
            block.txdata[0].input.push(second);
        }
        Twist::Weight => {
            // Without the commitment's output, which is 47 bytes, and the three bytes that longer lengths take.
            let own = block.weight().to_wu() / 4 + 47 + 12;
            let script = vec![0x6a; (1_000_000 - own) as usize - 5 + random.below(12)];
            block.txdata[0].output.push(TxOut {
                value: Amount::ZERO,
                script_pubkey: ScriptBuf::from_bytes(script),
            });
        }
        Twist::ManySigops | Twist::SigopsAtLimit => {
            // Each counts one, four times over: 20,000 are the limit.
            let own: u64 = block
                .txdata
                .iter()
                .map(btc_consensus::tx::legacy_sigops)
                .sum();
            let witness: u64 = block.txdata.iter().map(|tx| tx.input.len() as u64).sum();
            let most = 20_000 - own;
            let count = if twist == Twist::ManySigops {
                most + 1
            } else {
                // Signatures in witnesses count too, so both sides of the limit are met.
                most - random.below(witness as usize + 2) as u64
            };
            let script = ScriptBuf::from_bytes(vec![0xac; count as usize]);
            block.txdata[0].output.push(TxOut {
                value: Amount::ZERO,
                script_pubkey: script,
            });
        }
        _ => {}
    }
}

/// Signs all inputs; those of taproot outputs with the annex, if there is one.
fn sign(transaction: &mut Transaction, spent: &[Owned], annex: Option<&[u8]>) {
    let prevouts: Vec<TxOut> = spent.iter().map(|owned| owned.output.clone()).collect();
    let signed: Vec<(ScriptBuf, Witness)> = (0..spent.len())
        .map(|input| sign_input(transaction, &prevouts, input, annex))
        .collect();
    for (input, (script_sig, witness)) in transaction.input.iter_mut().zip(signed) {
        input.script_sig = script_sig;
        input.witness = witness;
    }
}

fn sign_input(
    transaction: &Transaction,
    prevouts: &[TxOut],
    input: usize,
    annex: Option<&[u8]>,
) -> (ScriptBuf, Witness) {
    let TxOut {
        value,
        ref script_pubkey,
    } = prevouts[input];
    let all = EcdsaSighashType::All;
    let mut cache = SighashCache::new(transaction);
    let ecdsa = |hash: [u8; 32]| {
        let signature = SECP.sign_ecdsa(&Message::from_digest(hash), &PAIR.secret_key());
        let mut bytes = signature.serialize_der().to_vec();
        bytes.push(all as u8);
        bytes
    };
    let key = PAIR.public_key().serialize().to_vec();
    let pushes = |items: Vec<Vec<u8>>| {
        items.into_iter().fold(Builder::new(), |script, item| {
            script.push_slice(PushBytesBuf::try_from(item).expect("items are short"))
        })
    };
    if script_pubkey.is_p2tr() {
        let all = Prevouts::All(prevouts);
        let signed = annex.map(|annex| Annex::new(annex).expect("it begins as one"));
        let hash = cache
            .taproot_signature_hash(input, &all, signed, None, TapSighashType::Default)
            .expect("the input exists");
        let pair = PAIR.tap_tweak(&SECP, None).to_keypair();
        let message = Message::from_digest(hash.to_byte_array());
        let signature = SECP.sign_schnorr_no_aux_rand(&message, &pair);
        let mut witness = Witness::from_slice(&[signature.serialize()]);
        if let Some(annex) = annex {
            witness.push(annex);
        }
        return (ScriptBuf::new(), witness);
    }
    if script_pubkey.is_p2sh() {
        // One of two, by what is behind the hash.
        let nested = key_program();
        if *script_pubkey != nested.to_p2sh() {
            return (
                pushes(vec![witness_true().into_bytes()]).into_script(),
                Witness::new(),
            );
        }
        let hash = cache
            .p2wpkh_signature_hash(input, &nested, value, all)
            .expect("the input exists");
        let items = [ecdsa(hash.to_byte_array()), key];
        return (
            pushes(vec![nested.into_bytes()]).into_script(),
            Witness::from_slice(&items),
        );
    }
    if script_pubkey.is_p2wpkh() {
        let hash = cache
            .p2wpkh_signature_hash(input, script_pubkey, value, all)
            .expect("the input exists");
        let items = [ecdsa(hash.to_byte_array()), key];
        return (ScriptBuf::new(), Witness::from_slice(&items));
    }
    if script_pubkey.is_p2wsh() {
        return (
            ScriptBuf::new(),
            Witness::from_slice(&[witness_true().into_bytes()]),
        );
    }
    let hash = cache
        .legacy_signature_hash(input, script_pubkey, all.to_u32())
        .expect("the input exists");
    let mut items = vec![ecdsa(hash.to_byte_array())];
    if script_pubkey.is_p2pkh() {
        items.push(key);
    }
    (pushes(items).into_script(), Witness::new())
}

/// The node of the genesis block.
pub fn genesis(header: Header) -> Node {
    Node {
        header,
        height: 0,
        times: vec![header.time],
        medians: vec![header.time],
        coins: Coins::new(),
        valid: true,
    }
}

/// The node of a block on top of `parent`.
pub fn node(parent: &Node, block: &Block, coins: Coins) -> Node {
    let mut times = parent.times.clone();
    times.push(block.header.time);
    if times.len() > 11 {
        times.remove(0);
    }
    let mut medians = parent.medians.clone();
    medians.push(median(&times));
    Node {
        header: block.header,
        height: parent.height + 1,
        times,
        medians,
        coins,
        valid: true,
    }
}
