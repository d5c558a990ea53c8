//! A short chain whose last block is full, a full mempool and more transactions for it, the same at every run.

use crate::random::Random;
use bitcoin::absolute::LockTime;
use bitcoin::block::{Header, Version};
use bitcoin::consensus::encode::serialize_hex;
use bitcoin::consensus::serialize;
use bitcoin::constants::genesis_block;
use bitcoin::hashes::{Hash, sha256};
use bitcoin::script::Builder;
use bitcoin::secp256k1::{All, Message, Secp256k1, SecretKey};
use bitcoin::sighash::{EcdsaSighashType, SighashCache};
use bitcoin::{
    Amount, Block, CompressedPublicKey, Network, OutPoint, ScriptBuf, Sequence, Transaction, TxIn,
    TxMerkleNode, TxOut, Witness, ecdsa, transaction,
};
use btc_consensus::block::{WITNESS_RESERVED_VALUE, commitment_script};
use btc_node::store::mempool_file::{self, MempoolDump, MempoolRecord};
use std::error::Error;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

/// Transactions in `mempool.dat`.
const WAITING: usize = 50_000;
/// Transactions that are sent one by one.
const SENT: usize = 10_000;
/// Transactions that come between two block templates, beside those sent.
const SPARE: usize = 100;
/// Outputs of one transaction that splits a coinbase, and how many of these there are.
const SPLIT: (usize, usize) = (2000, 24);
/// Splitting transactions in one block.
const SPLITS_IN_BLOCK: usize = 14;
/// Blocks until the coinbases of the first can be spent.
const FIRST: u32 = 145;
/// Weight of the full block's transactions, in weight units.
const FULL: u64 = 3_980_000;
/// Transactions of the largest cluster; the network's nodes allow 64.
const LARGEST: usize = 20;
/// Seconds between blocks.
const SPACING: u32 = 600;
/// Different keys.
const KEYS: u32 = 256;
/// What another coin is added to when it would be spent alone, in sat: it might not carry the fee.
const POOR: u64 = 50_000;

#[derive(Clone)]
struct Coin {
    outpoint: OutPoint,
    value: u64,
    key: usize,
}

struct Maker {
    secp: Secp256k1<All>,
    keys: Vec<(SecretKey, CompressedPublicKey, ScriptBuf)>,
    random: Random,
    coins: Vec<Coin>,
    next_key: usize,
    blocks: BufWriter<File>,
    tip: Header,
    height: u32,
}

/// Writes `blk00000.dat` (without obfuscation), `mempool.dat`, the hexadecimal transactions `sent` and `spare`, one a
/// line, and what is in them into `summary`.
pub fn generate(dir: &Path) -> Result<(), Box<dyn Error>> {
    std::fs::create_dir_all(dir)?;
    let mut maker = Maker::new(File::create(dir.join("blk00000.dat"))?)?;
    let coinbases: Vec<Coin> = (0..FIRST)
        .map(|_| maker.block(Vec::new()))
        .collect::<Result<_, _>>()?;
    let splits: Vec<Transaction> = coinbases[..SPLIT.1]
        .iter()
        .map(|coin| maker.pay(vec![coin.clone()], SPLIT.0, 1).0)
        .collect();
    for splits in splits.chunks(SPLITS_IN_BLOCK) {
        maker.block(splits.to_vec())?;
    }
    let mut weight = 0;
    let mut full = Vec::new();
    while weight < FULL {
        let inputs = 1 + maker.random.below(8) / 6;
        let coins = (0..inputs).map(|_| maker.coin()).collect();
        let (tx, made) = maker.pay(coins, 2, 20);
        weight += tx.weight().to_wu();
        maker.coins.truncate(maker.coins.len() - made);
        full.push(tx);
    }
    let transactions = full.len() + 1;
    maker.block(full)?;
    maker.blocks.flush()?;

    let mut waiting = Vec::with_capacity(WAITING);
    while waiting.len() < WAITING {
        let room = WAITING - waiting.len();
        waiting.extend(maker.cluster(room));
    }
    let mut dump = MempoolDump::default();
    let time = i64::from(maker.tip.time);
    dump.transactions = waiting
        .into_iter()
        .map(|transaction| MempoolRecord {
            transaction,
            time,
            fee_delta: 0,
        })
        .collect();
    mempool_file::write(&dir.join("mempool.dat"), &dump, true)?;
    for (name, count) in [("sent", SENT), ("spare", SPARE)] {
        let mut file = BufWriter::new(File::create(dir.join(name))?);
        let mut written = 0;
        while written < count {
            for tx in maker.cluster(count - written) {
                writeln!(file, "{}", serialize_hex(&tx))?;
                written += 1;
            }
        }
        file.flush()?;
    }
    std::fs::write(
        dir.join("summary"),
        format!(
            "blocks {}\nfull {}\ntransactions {transactions}\nwaiting {WAITING}\nsent {SENT}\ntime {}\naddress {}\n",
            maker.height,
            maker.tip.block_hash(),
            maker.tip.time,
            bitcoin::Address::p2wpkh(&maker.keys[0].1, Network::Regtest),
        ),
    )?;
    Ok(())
}

impl Maker {
    fn new(file: File) -> std::io::Result<Self> {
        let secp = Secp256k1::new();
        let keys = (0..KEYS)
            .map(|number| {
                let secret = sha256::Hash::hash(&number.to_be_bytes()).to_byte_array();
                let secret = SecretKey::from_slice(&secret).unwrap();
                let public = CompressedPublicKey(secret.public_key(&secp));
                let script = ScriptBuf::new_p2wpkh(&public.wpubkey_hash());
                (secret, public, script)
            })
            .collect();
        let genesis = genesis_block(Network::Regtest);
        let mut maker = Self {
            secp,
            keys,
            random: Random::new(0x006d_656d_706f_6f6c),
            coins: Vec::new(),
            next_key: 0,
            blocks: BufWriter::new(file),
            tip: genesis.header,
            height: 0,
        };
        maker.write(&genesis)?;
        Ok(maker)
    }

    fn write(&mut self, block: &Block) -> std::io::Result<()> {
        let bytes = serialize(block);
        self.blocks
            .write_all(&Network::Regtest.magic().to_bytes())?;
        self.blocks.write_all(&(bytes.len() as u32).to_le_bytes())?;
        self.blocks.write_all(&bytes)
    }

    /// Mines a block and gives its coinbase's output.
    fn block(&mut self, transactions: Vec<Transaction>) -> std::io::Result<Coin> {
        self.height += 1;
        let key = self.key();
        // Less than the subsidy at any height here: fees are left alone.
        let value = 2_500_000_000;
        let coinbase = Transaction {
            version: transaction::Version::TWO,
            lock_time: LockTime::ZERO,
            input: vec![TxIn {
                previous_output: OutPoint::null(),
                script_sig: Builder::new()
                    .push_int(self.height.into())
                    .push_int(0)
                    .into_script(),
                sequence: Sequence::MAX,
                witness: Witness::from_slice(&[WITNESS_RESERVED_VALUE]),
            }],
            output: vec![self.output(key, value)],
        };
        let mut block = Block {
            header: Header {
                version: Version::from_consensus(0x2000_0000),
                prev_blockhash: self.tip.block_hash(),
                merkle_root: TxMerkleNode::all_zeros(),
                time: self.tip.time + SPACING,
                bits: self.tip.bits,
                nonce: 0,
            },
            txdata: vec![coinbase],
        };
        block.txdata.extend(transactions);
        let commitment = commitment_script(&block, &WITNESS_RESERVED_VALUE);
        block.txdata[0].output.push(TxOut {
            value: Amount::ZERO,
            script_pubkey: commitment,
        });
        block.header.merkle_root = block.compute_merkle_root().expect("there is a coinbase");
        let target = block.header.target();
        while block.header.validate_pow(target).is_err() {
            block.header.nonce += 1;
        }
        self.write(&block)?;
        self.tip = block.header;
        Ok(Coin {
            outpoint: OutPoint::new(block.txdata[0].compute_txid(), 0),
            value,
            key,
        })
    }

    fn key(&mut self) -> usize {
        self.next_key += 1;
        self.next_key % self.keys.len()
    }

    fn output(&self, key: usize, value: u64) -> TxOut {
        TxOut {
            value: Amount::from_sat(value),
            script_pubkey: self.keys[key].2.clone(),
        }
    }

    /// A coin of the chain.
    fn coin(&mut self) -> Coin {
        let index = self.random.below(self.coins.len());
        self.coins.swap_remove(index)
    }

    /// Spends coins to so many outputs of equal value, at a feerate in sat/vB; the outputs are added to the coins.
    fn pay(&mut self, coins: Vec<Coin>, outputs: usize, feerate: u64) -> (Transaction, usize) {
        let vsize = 11 + 68 * coins.len() as u64 + 31 * outputs as u64;
        let value: u64 = coins.iter().map(|coin| coin.value).sum();
        let share = (value - feerate * vsize) / outputs as u64;
        let keys: Vec<usize> = (0..outputs).map(|_| self.key()).collect();
        let mut tx = Transaction {
            version: transaction::Version::TWO,
            lock_time: LockTime::ZERO,
            input: coins
                .iter()
                .map(|coin| TxIn {
                    previous_output: coin.outpoint,
                    sequence: Sequence::ENABLE_RBF_NO_LOCKTIME,
                    ..TxIn::default()
                })
                .collect(),
            output: keys.iter().map(|key| self.output(*key, share)).collect(),
        };
        let witnesses: Vec<Witness> = {
            let mut cache = SighashCache::new(&tx);
            (0..)
                .zip(&coins)
                .map(|(index, coin)| {
                    let (secret, public, script) = &self.keys[coin.key];
                    let value = Amount::from_sat(coin.value);
                    let hash = cache
                        .p2wpkh_signature_hash(index, script, value, EcdsaSighashType::All)
                        .unwrap();
                    let message = Message::from_digest(hash.to_byte_array());
                    let signature = ecdsa::Signature {
                        signature: self.secp.sign_ecdsa(&message, secret),
                        sighash_type: EcdsaSighashType::All,
                    };
                    Witness::p2wpkh(&signature, &public.0)
                })
                .collect()
        };
        for (input, witness) in tx.input.iter_mut().zip(witnesses) {
            input.witness = witness;
        }
        let txid = tx.compute_txid();
        for (vout, key) in (0..).zip(keys) {
            self.coins.push(Coin {
                outpoint: OutPoint::new(txid, vout),
                value: share,
                key,
            });
        }
        (tx, outputs)
    }

    /// Transactions that wait: mostly one alone, else some that spend from each other. At most `room`.
    fn cluster(&mut self, room: usize) -> Vec<Transaction> {
        let count = match self.random.below(10) {
            0..6 => 1,
            6..9 => 2 + self.random.below(4),
            _ => 2 + self.random.below(LARGEST - 1),
        };
        let mut made = Vec::new();
        let mut own: Vec<Coin> = Vec::new();
        for number in 0..count.min(room) {
            let mut coins = Vec::new();
            if number > 0 {
                coins.push(own.swap_remove(self.random.below(own.len())));
            }
            let poor = coins.iter().all(|coin| coin.value < POOR);
            if poor || self.random.below(10) == 0 {
                coins.push(self.coin());
            }
            // Cheap parents and dear children, and the other way round.
            let feerate = 1 + self.random.below(100) as u64;
            let (tx, outputs) = self.pay(coins, 2, feerate);
            own.extend(self.coins.drain(self.coins.len() - outputs..));
            made.push(tx);
        }
        made
    }
}
