//! A chain with transactions of every kind, the same at every run.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use bitcoin::absolute::LockTime;
use bitcoin::block::{Header, Version};
use bitcoin::consensus::serialize;
use bitcoin::constants::genesis_block;
use bitcoin::hashes::Hash;
use bitcoin::opcodes::all::OP_RETURN;
use bitcoin::script::Builder;
use bitcoin::{
    Amount, Block, BlockHash, Network, OutPoint, ScriptBuf, Sequence, Transaction, TxIn,
    TxMerkleNode, TxOut, Witness, transaction,
};
use btc_consensus::block::{WITNESS_RESERVED_VALUE, commitment_script};

use crate::outputs::{Keys, Kind, Owned};
use crate::random::Random;

/// Blocks after the genesis block.
const BLOCKS: u32 = 4000;
/// Blocks until the first coinbases can be spent.
const MATURITY: u32 = 100;
/// Blocks between two coinbases' halvings on regtest.
const HALVING: u32 = 150;
/// Seconds between blocks.
const SPACING: u32 = 600;
/// Bytes after which the next block file begins.
const FILE_BYTES: usize = 120 << 20;
/// What a transaction leaves to the miner, who does not take it, in satoshi.
const FEE: u64 = 1000;

/// Coins that may be spent, and what was made so far.
struct Maker {
    keys: Keys,
    random: Random,
    coins: Vec<Owned>,
    /// Coinbases that are not mature yet, the oldest first.
    young: std::collections::VecDeque<(u32, Owned)>,
    next_key: usize,
    counts: Counts,
}

#[derive(Default)]
struct Counts {
    transactions: u64,
    inputs: u64,
    outputs: u64,
    signatures: u64,
    bytes: u64,
}

/// Writes the chain into `dir` as `blk?????.dat`, and what is in it into `summary`.
pub fn generate(dir: &Path) -> io::Result<()> {
    std::fs::create_dir_all(dir)?;
    let mut files = Files::new(dir)?;
    let genesis = genesis_block(Network::Regtest);
    files.write(&genesis)?;
    let mut maker = Maker {
        keys: Keys::new(),
        random: Random::new(0x0b17_c01f),
        coins: Vec::new(),
        young: Default::default(),
        next_key: 0,
        counts: Counts::default(),
    };
    let mut tip = genesis.header;
    for height in 1..=BLOCKS {
        let block = maker.block(height, &tip);
        maker.counts.bytes += files.write(&block)?;
        tip = block.header;
    }
    files.finish()?;
    let Counts {
        transactions,
        inputs,
        outputs,
        signatures,
        bytes,
    } = maker.counts;
    let unspent = maker.coins.len();
    let hash = tip.block_hash();
    std::fs::write(
        dir.join("summary"),
        format!(
            "blocks {BLOCKS}\ntransactions {transactions}\ninputs {inputs}\noutputs {outputs}\n\
             signatures {signatures}\nunspent {unspent}\nbytes {bytes}\ntip {hash}\n"
        ),
    )
}

impl Maker {
    fn block(&mut self, height: u32, prev: &Header) -> Block {
        while let Some((born, _)) = self.young.front()
            && born + MATURITY <= height
        {
            let (_, coin) = self.young.pop_front().expect("there is a front");
            self.coins.push(coin);
        }
        let mut transactions = Vec::new();
        // Outputs of this block may be spent in it too, so the list of coins grows as it goes.
        if height > MATURITY + 1 {
            let wide = height.is_multiple_of(16);
            match height % 20 {
                _ if height < MATURITY + 60 => transactions.push(self.spend(1, 400)),
                5 => transactions.push(self.spend(250, 1)),
                15 => transactions.push(self.spend(1, 300)),
                _ => {}
            }
            let count = if wide { 60 } else { 16 };
            for _ in 0..count {
                let inputs = 1 + self.random.below(3);
                let outputs = 1 + self.random.below(4);
                transactions.push(self.spend(inputs, outputs));
            }
        }
        let mut block = Block {
            header: Header {
                version: Version::from_consensus(0x2000_0000),
                prev_blockhash: prev.block_hash(),
                merkle_root: TxMerkleNode::all_zeros(),
                time: prev.time + SPACING,
                bits: prev.bits,
                nonce: 0,
            },
            txdata: vec![self.coinbase(height)],
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
        self.keep_coinbase(height, &block);
        self.counts.transactions += block.txdata.len() as u64;
        block
    }

    fn coinbase(&mut self, height: u32) -> Transaction {
        let kind = Kind::ALL[height as usize % Kind::ALL.len()];
        let key = self.key();
        let subsidy = 5_000_000_000_u64
            .checked_shr(height / HALVING)
            .unwrap_or_default();
        Transaction {
            version: transaction::Version::TWO,
            lock_time: LockTime::ZERO,
            input: vec![TxIn {
                previous_output: OutPoint::null(),
                script_sig: Builder::new()
                    .push_int(height.into())
                    .push_int(0)
                    .into_script(),
                sequence: Sequence::MAX,
                witness: Witness::from_slice(&[WITNESS_RESERVED_VALUE]),
            }],
            output: vec![self.keys.output(kind, key, Amount::from_sat(subsidy))],
        }
    }

    fn keep_coinbase(&mut self, height: u32, block: &Block) {
        let transaction = &block.txdata[0];
        let output = transaction.output[0].clone();
        // What is worth less than a fee is left alone.
        if output.value.to_sat() > 1_000_000 {
            let coin = Owned {
                outpoint: OutPoint::new(transaction.compute_txid(), 0),
                output,
                kind: Kind::ALL[height as usize % Kind::ALL.len()],
                // The key that `coinbase` took last.
                key: self.next_key - 1,
            };
            self.young.push_back((height, coin));
        }
    }

    fn key(&mut self) -> usize {
        self.next_key += 1;
        self.next_key - 1
    }

    /// A coin: often a recent one, as on the real chain, else any.
    fn coin(&mut self) -> Owned {
        let count = self.coins.len();
        let index = if self.random.below(10) < 4 {
            count - 1 - self.random.below(count.min(500))
        } else {
            self.random.below(count)
        };
        self.coins.swap_remove(index)
    }

    /// A transaction with about so many inputs and outputs.
    fn spend(&mut self, inputs: usize, outputs: usize) -> Transaction {
        let inputs = inputs.min(self.coins.len());
        let mut spent: Vec<Owned> = (0..inputs).map(|_| self.coin()).collect();
        let value =
            |spent: &[Owned]| -> u64 { spent.iter().map(|coin| coin.output.value.to_sat()).sum() };
        // Dust is merged until it carries the fee.
        while value(&spent) < FEE * 2 * (outputs as u64 + 1) {
            let coin = self.coin();
            spent.push(coin);
        }
        let share = (value(&spent) - FEE) / outputs as u64;
        let mut made = Vec::new();
        let mut output = Vec::new();
        for vout in 0..outputs {
            let kind = Kind::usual(&mut self.random);
            let key = self.key();
            let txout = self.keys.output(kind, key, Amount::from_sat(share));
            made.push((vout, kind, key, txout.clone()));
            output.push(txout);
        }
        if self.random.below(12) == 0 {
            output.push(TxOut {
                value: Amount::ZERO,
                script_pubkey: self.note(),
            });
        }
        let mut transaction = Transaction {
            version: transaction::Version::TWO,
            lock_time: LockTime::ZERO,
            input: spent
                .iter()
                .map(|coin| TxIn {
                    previous_output: coin.outpoint,
                    sequence: Sequence::ENABLE_RBF_NO_LOCKTIME,
                    ..TxIn::default()
                })
                .collect(),
            output,
        };
        self.keys.sign(&mut transaction, &spent);
        let txid = transaction.compute_txid();
        self.counts.inputs += spent.len() as u64;
        self.counts.outputs += transaction.output.len() as u64;
        self.counts.signatures += spent.iter().map(|coin| coin.kind.signatures()).sum::<u64>();
        self.coins
            .extend(made.into_iter().map(|(vout, kind, key, output)| Owned {
                outpoint: OutPoint::new(txid, vout as u32),
                output,
                kind,
                key,
            }));
        transaction
    }

    /// A script that carries data and cannot be spent.
    fn note(&mut self) -> ScriptBuf {
        let number = self.random.next().to_le_bytes();
        Builder::new()
            .push_opcode(OP_RETURN)
            .push_slice(number)
            .into_script()
    }
}

/// Block files as a node writes them, without obfuscation.
struct Files<'a> {
    dir: &'a Path,
    number: u32,
    used: usize,
    file: BufWriter<File>,
}

impl<'a> Files<'a> {
    fn new(dir: &'a Path) -> io::Result<Self> {
        Ok(Self {
            dir,
            number: 0,
            used: 0,
            file: Self::create(dir, 0)?,
        })
    }

    fn create(dir: &Path, number: u32) -> io::Result<BufWriter<File>> {
        File::create(dir.join(format!("blk{number:05}.dat"))).map(BufWriter::new)
    }

    /// Appends a block, and gives its size in bytes.
    fn write(&mut self, block: &Block) -> io::Result<u64> {
        let bytes = serialize(block);
        if self.used + bytes.len() > FILE_BYTES {
            self.file.flush()?;
            self.number += 1;
            self.file = Self::create(self.dir, self.number)?;
            self.used = 0;
        }
        self.file.write_all(&Network::Regtest.magic().to_bytes())?;
        self.file.write_all(&(bytes.len() as u32).to_le_bytes())?;
        self.file.write_all(&bytes)?;
        self.used += bytes.len() + 8;
        Ok(bytes.len() as u64)
    }

    fn finish(mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Headers of a chain that goes on after `from`, for the benchmark of headers.
pub fn headers(from: &Header, count: u32) -> Vec<Header> {
    let mut headers: Vec<Header> = Vec::with_capacity(count as usize);
    let mut prev: (BlockHash, u32) = (from.block_hash(), from.time);
    for _ in 0..count {
        let mut header = Header {
            version: Version::from_consensus(0x2000_0000),
            prev_blockhash: prev.0,
            merkle_root: TxMerkleNode::all_zeros(),
            time: prev.1 + SPACING,
            bits: from.bits,
            nonce: 0,
        };
        let target = header.target();
        while header.validate_pow(target).is_err() {
            header.nonce += 1;
        }
        prev = (header.block_hash(), header.time);
        headers.push(header);
    }
    headers
}
