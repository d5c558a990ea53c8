//! Blocks of signets with challenges of their own (BIP 325).
//!
//! Even a signet's least work is millions of hashes, so these are few.

use bitcoin::absolute::LockTime;
use bitcoin::block::{Header, Version};
use bitcoin::consensus::serialize;
use bitcoin::hashes::{Hash, HashEngine, sha256d};
use bitcoin::key::Secp256k1;
use bitcoin::script::{Builder, PushBytesBuf};
use bitcoin::secp256k1::{Message, SecretKey};
use bitcoin::sighash::{EcdsaSighashType, SighashCache};
use bitcoin::{
    Amount, Block, CompactTarget, OutPoint, PublicKey, ScriptBuf, Sequence, Target, Transaction,
    TxIn, TxMerkleNode, TxOut, Witness, transaction,
};
use btc_consensus::ChainParams;
use btc_consensus::block::{WITNESS_RESERVED_VALUE, commitment_script};

use super::Tally;
use super::pair::compare_alone;
use super::random::Random;

/// What the push begins with that holds a signature.
const HEADER: [u8; 4] = [0xec, 0xc7, 0xda, 0xa2];
/// The target of a signet's first blocks.
const BITS: u32 = 0x1e03_77ae;

/// Makes a block that is signed, or nearly, and compares what both say of it.
pub fn compare(random: &mut Random, tally: &mut Tally) -> Result<(), String> {
    let secp = Secp256k1::new();
    let secret = SecretKey::from_slice(&[3; 32]).expect("a small number is a key");
    let key = PublicKey::new(secret.public_key(&secp));
    let segwit = random.once_in(2);
    let challenge = if random.once_in(8) {
        Builder::new().push_int(1).into_script()
    } else if segwit {
        ScriptBuf::new_p2wpkh(&key.wpubkey_hash().expect("the key is compressed"))
    } else {
        ScriptBuf::new_p2pk(&key)
    };
    let params = ChainParams::signet(challenge.clone());
    let kernel_params = bitcoinkernel::ChainParams::new_signet(challenge.as_bytes());

    let mut block = unsigned(random, &params);
    // Signed is the block with the header of a signature and no signature.
    let twist = random.below(12);
    let bare = block.txdata[0].output[1].script_pubkey.clone();
    let mut cleared = bare.to_bytes();
    cleared.push(4);
    cleared.extend(HEADER);
    block.txdata[0].output[1].script_pubkey = ScriptBuf::from_bytes(cleared);
    let spending = spending(&block, &challenge);
    let mut cache = SighashCache::new(&spending);
    let all = EcdsaSighashType::All;
    let hash = if segwit {
        let hash = cache.p2wpkh_signature_hash(0, &challenge, Amount::ZERO, all);
        hash.map(|hash| hash.to_byte_array()).unwrap_or_default()
    } else {
        let hash = cache.legacy_signature_hash(0, &challenge, all.to_u32());
        hash.expect("the input exists").to_byte_array()
    };
    let mut signature = secp
        .sign_ecdsa(&Message::from_digest(hash), &secret)
        .serialize_der()
        .to_vec();
    signature.push(all as u8);
    if twist == 0 {
        random.mutate(&mut signature);
    }
    let (script_sig, witness) = if segwit {
        (
            ScriptBuf::new(),
            Witness::from_slice(&[signature, key.to_bytes()]),
        )
    } else {
        let push = PushBytesBuf::try_from(signature).expect("it is short");
        (
            Builder::new().push_slice(push).into_script(),
            Witness::new(),
        )
    };
    let mut solution = HEADER.to_vec();
    solution.extend(serialize(&script_sig));
    solution.extend(serialize(&witness));
    match twist {
        1 => drop(solution.pop()),
        2 => solution.push(0),
        3 => solution.truncate(4),
        4 => solution[3] ^= 1,
        _ => {}
    }
    let mut script = bare.to_bytes();
    match twist {
        // A longer form of the push than it needs to have.
        5 => script.extend([0x4d, solution.len() as u8, 0]),
        _ if solution.len() > 0x4b => script.extend([0x4c, solution.len() as u8]),
        _ => script.push(solution.len() as u8),
    }
    script.extend(&solution);
    match twist {
        // What comes after is signed too, and here it came too late.
        6 => script.push(0x51),
        // What cannot be read is not.
        7 => script.extend([0x4c, 9]),
        8 => script = bare.into_bytes(),
        9 => script[3] ^= 1,
        _ => {}
    }
    block.txdata[0].output[1].script_pubkey = ScriptBuf::from_bytes(script);
    if twist == 10 {
        block.header.time += 1;
    }
    block.header.merkle_root = root(&block);
    work(&mut block.header);

    let bytes = serialize(&block);
    let kernel_block = bitcoinkernel::Block::new(&bytes)
        .map_err(|error| format!("the kernel does not read a block: {error}"))?;
    compare_alone(&kernel_block, &kernel_params, &block, &params, tally).map_err(|said| {
        let (challenge, block) = (super::hex(challenge.as_bytes()), super::hex(&bytes));
        format!("{said}: block {block} of the signet {challenge}")
    })?;
    tally.signed += 1;
    Ok(())
}

/// A first block with a commitment in its second output, without work.
fn unsigned(random: &mut Random, params: &ChainParams) -> Block {
    let mut block = Block {
        header: Header {
            version: Version::from_consensus(0x2000_0000),
            prev_blockhash: params.genesis_hash,
            merkle_root: TxMerkleNode::all_zeros(),
            time: params.genesis.header.time + 1 + random.below(1000) as u32,
            bits: CompactTarget::from_consensus(BITS),
            nonce: 0,
        },
        txdata: vec![transaction(
            OutPoint::null(),
            Builder::new()
                .push_int(1)
                .push_int(random.byte().into())
                .into_script(),
            Witness::from_slice(&[WITNESS_RESERVED_VALUE]),
            ScriptBuf::from_bytes(random.bytes(20)),
        )],
    };
    let commitment = commitment_script(&block, &WITNESS_RESERVED_VALUE);
    block.txdata[0].output.push(TxOut {
        value: Amount::ZERO,
        script_pubkey: commitment,
    });
    block
}

fn root(block: &Block) -> TxMerkleNode {
    block.compute_merkle_root().expect("there is a coinbase")
}

/// The transaction whose input a signature signs.
fn spending(block: &Block, challenge: &ScriptBuf) -> Transaction {
    let mut signed = serialize(&block.header.version);
    signed.extend(serialize(&block.header.prev_blockhash));
    signed.extend(serialize(&root(block)));
    signed.extend(serialize(&block.header.time));
    let push = PushBytesBuf::try_from(signed).expect("it is short");
    let to_spend = transaction(
        OutPoint::null(),
        Builder::new().push_int(0).push_slice(push).into_script(),
        Witness::new(),
        challenge.clone(),
    );
    transaction(
        OutPoint::new(to_spend.compute_txid(), 0),
        ScriptBuf::new(),
        Witness::new(),
        ScriptBuf::from_bytes(vec![0x6a]),
    )
}

fn transaction(
    previous_output: OutPoint,
    script_sig: ScriptBuf,
    witness: Witness,
    script_pubkey: ScriptBuf,
) -> Transaction {
    Transaction {
        version: transaction::Version(0),
        lock_time: LockTime::ZERO,
        input: vec![TxIn {
            previous_output,
            script_sig,
            sequence: Sequence::ZERO,
            witness,
        }],
        output: vec![TxOut {
            value: Amount::ZERO,
            script_pubkey,
        }],
    }
}

/// Finds a nonce; the first block of 64 bytes is hashed once for all of them.
fn work(header: &mut Header) {
    let target = Target::from_compact(CompactTarget::from_consensus(BITS)).to_le_bytes();
    let bytes = serialize(header);
    let mut first = sha256d::Hash::engine();
    first.input(&bytes[..64]);
    loop {
        let mut engine = first.clone();
        engine.input(&bytes[64..76]);
        engine.input(&header.nonce.to_le_bytes());
        let hash = sha256d::Hash::from_engine(engine).to_byte_array();
        if hash.iter().rev().le(target.iter().rev()) {
            return;
        }
        header.nonce = header
            .nonce
            .checked_add(1)
            .unwrap_or_else(|| unreachable!("of four billion nonces about a thousand will do"));
    }
}
