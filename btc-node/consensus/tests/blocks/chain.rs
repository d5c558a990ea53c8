//! A chain in memory that takes blocks by the rules, and makes blocks for the tests to break.

use std::collections::HashMap;
use std::sync::Arc;

use bitcoin::absolute::LockTime;
use bitcoin::block::{Header, Version};
use bitcoin::hashes::Hash;
use bitcoin::{
    Amount, Block, CompactTarget, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxMerkleNode,
    TxOut, Witness, transaction,
};
use btc_consensus::block::{WITNESS_RESERVED_VALUE, commitment_script, height_push};
use btc_consensus::header::check_proof_of_work;
use btc_consensus::merkle::block_root;
use btc_consensus::subsidy::subsidy;
use btc_consensus::{
    Ancestors, BlockContext, BlockError, ChainParams, CheckBlockOptions, Coin, ConnectContext,
    HeaderContext, HeaderInfo, check_block, connect, contextual_check_block,
    contextual_check_header, pow, prevouts_needed,
};

/// A script that anybody can satisfy with nothing.
pub(crate) const TRUE: &[u8] = &[0x51];

pub(crate) struct TestChain {
    pub(crate) params: ChainParams,
    pub(crate) headers: Vec<HeaderInfo>,
    pub(crate) coins: HashMap<OutPoint, Coin>,
    /// The time at the node.
    pub(crate) now: u32,
    /// How many scripts were run.
    pub(crate) scripts: usize,
}

impl TestChain {
    /// The genesis block alone.
    pub(crate) fn new(params: ChainParams) -> Self {
        let genesis = HeaderInfo::from(&params.genesis.header);
        let now = genesis.time + 1_000_000;
        Self {
            params,
            headers: vec![genesis],
            coins: HashMap::new(),
            now,
            scripts: 0,
        }
    }

    /// With `count` blocks that hold nothing but a coinbase to [`TRUE`].
    pub(crate) fn with_blocks(params: ChainParams, count: u32) -> Self {
        let mut chain = Self::new(params);
        for _ in 0..count {
            let block = chain.block(Vec::new());
            chain.accept(&block).unwrap();
        }
        chain
    }

    pub(crate) fn height(&self) -> u32 {
        self.headers.height()
    }

    pub(crate) fn tip(&self) -> HeaderInfo {
        self.headers[self.height() as usize]
    }

    /// The first coinbase output of the block at a height.
    pub(crate) fn coinbase_of(&self, height: u32) -> OutPoint {
        let found = self
            .coins
            .iter()
            .find(|(outpoint, coin)| coin.height == height && coin.coinbase && outpoint.vout == 0);
        *found.expect("an unspent coinbase").0
    }

    /// A valid block on the tip with these transactions, each of which pays no fee.
    pub(crate) fn block(&self, transactions: Vec<Transaction>) -> Block {
        let height = self.height() + 1;
        let time = self.tip().time + 60;
        let mut script_sig = height_push(height);
        script_sig.push(0);
        let coinbase = Transaction {
            version: transaction::Version::TWO,
            lock_time: LockTime::ZERO,
            input: vec![TxIn {
                previous_output: OutPoint::null(),
                script_sig: ScriptBuf::from_bytes(script_sig),
                sequence: Sequence::MAX,
                witness: Witness::from_slice(&[WITNESS_RESERVED_VALUE]),
            }],
            output: vec![pay(subsidy(height, &self.params).to_sat(), TRUE)],
        };
        let mut block = Block {
            header: Header {
                version: Version::from_consensus(0x2000_0000),
                prev_blockhash: self.tip().hash,
                merkle_root: TxMerkleNode::all_zeros(),
                time,
                bits: CompactTarget::from_consensus(pow::next_bits(
                    &self.headers,
                    time,
                    &self.params,
                )),
                nonce: 0,
            },
            txdata: vec![coinbase],
        };
        block.txdata.extend(transactions);
        commit_to_witness(&mut block);
        self.seal(&mut block);
        block
    }

    /// Commits the header to the transactions as they are, and finds a nonce.
    pub(crate) fn seal(&self, block: &mut Block) {
        block.header.merkle_root = TxMerkleNode::from_byte_array(block_root(block).root);
        self.mine(block);
    }

    /// Finds a nonce.
    pub(crate) fn mine(&self, block: &mut Block) {
        while check_proof_of_work(&block.header, &self.params).is_err() {
            block.header.nonce += 1;
        }
    }

    /// Checks a block as a node does, and takes it if it is valid.
    pub(crate) fn accept(&mut self, block: &Block) -> Result<(), BlockError> {
        let (params, prev) = (&self.params, &self.headers);
        check_proof_of_work(&block.header, params)?;
        contextual_check_header(
            &block.header,
            &HeaderContext {
                params,
                prev,
                now: self.now,
            },
        )?;
        check_block(block, &CheckBlockOptions::default(), params)?;
        let prev_median_time = prev.median_time_past(prev.height());
        let height = prev.height() + 1;
        contextual_check_block(
            block,
            &BlockContext {
                params,
                height,
                prev_median_time,
            },
        )?;

        let context = ConnectContext {
            params,
            prev,
            check_scripts: true,
        };
        let (delta, jobs) = connect(
            &Arc::new(block.clone()),
            |outpoint| self.coins.get(outpoint).cloned(),
            &context,
        )?;
        for job in &jobs {
            job.run().map_err(|error| job.failure(error))?;
        }
        let spends: Vec<OutPoint> = delta
            .spent
            .iter()
            .flatten()
            .map(|(spent, _)| *spent)
            .collect();
        assert!(
            prevouts_needed(block)
                .iter()
                .all(|needed| spends.contains(needed))
        );

        self.scripts += jobs.len();
        self.coins.extend(delta.created);
        for outpoint in spends {
            assert!(self.coins.remove(&outpoint).is_some());
        }
        self.headers.push(HeaderInfo::from(&block.header));
        Ok(())
    }
}

/// Replaces the coinbase's commitment by one to the witnesses as they are.
pub(crate) fn commit_to_witness(block: &mut Block) {
    let script_pubkey = commitment_script(block, &WITNESS_RESERVED_VALUE);
    let outputs = &mut block.txdata[0].output;
    outputs.retain(|output| !output.script_pubkey.is_op_return());
    outputs.push(TxOut {
        value: Amount::ZERO,
        script_pubkey,
    });
}

/// An output.
pub(crate) fn pay(amount: u64, script: &[u8]) -> TxOut {
    TxOut {
        value: Amount::from_sat(amount),
        script_pubkey: ScriptBuf::from_bytes(script.to_vec()),
    }
}

/// A transaction that spends `prevouts` with empty scripts.
pub(crate) fn spend(prevouts: &[OutPoint], output: Vec<TxOut>) -> Transaction {
    let input = |prevout: &OutPoint| TxIn {
        previous_output: *prevout,
        script_sig: ScriptBuf::new(),
        sequence: Sequence::MAX,
        witness: Witness::new(),
    };
    Transaction {
        version: transaction::Version::TWO,
        lock_time: LockTime::ZERO,
        input: prevouts.iter().map(input).collect(),
        output,
    }
}
