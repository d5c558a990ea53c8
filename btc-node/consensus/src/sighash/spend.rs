//! A transaction together with the outputs that it spends.

use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use bitcoin::consensus::Encodable;
use bitcoin::hashes::{Hash, sha256};
use bitcoin::{Block, Transaction, TxOut};

use super::INFALLIBLE;

/// A shared transaction: one of its own, or one inside a shared block.
#[derive(Clone, Debug)]
pub enum TransactionRef {
    /// A transaction by itself.
    Transaction(Arc<Transaction>),
    /// The transaction with this number in a block.
    InBlock(BlockTransaction),
}

/// The number of a transaction in a block that holds one of that number.
#[derive(Clone, Debug)]
pub struct BlockTransaction {
    block: Arc<Block>,
    index: usize,
}

impl TransactionRef {
    /// The transaction with number `index` in `block`; `None` if there is none.
    pub fn in_block(block: &Arc<Block>, index: usize) -> Option<Self> {
        block.txdata.get(index)?;
        Some(Self::InBlock(BlockTransaction {
            block: Arc::clone(block),
            index,
        }))
    }
}

impl Deref for TransactionRef {
    type Target = Transaction;

    fn deref(&self) -> &Transaction {
        match self {
            Self::Transaction(transaction) => transaction,
            Self::InBlock(BlockTransaction { block, index }) => &block.txdata[*index],
        }
    }
}

impl From<Transaction> for TransactionRef {
    fn from(transaction: Transaction) -> Self {
        Self::Transaction(Arc::new(transaction))
    }
}

impl From<Arc<Transaction>> for TransactionRef {
    fn from(transaction: Arc<Transaction>) -> Self {
        Self::Transaction(transaction)
    }
}

/// A transaction was given with more or fewer outputs than it has inputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{inputs} inputs spend {prevouts} outputs")]
pub struct PrevoutCount {
    /// How many inputs the transaction has.
    pub inputs: usize,
    /// How many outputs were given.
    pub prevouts: usize,
}

/// A transaction, the outputs that its inputs spend, and the hashes that their signatures share.
///
/// Meant to be shared by the checks of all inputs, on any number of threads: each hash is computed
/// by whoever needs it first.
#[derive(Debug)]
pub struct Spend {
    transaction: TransactionRef,
    prevouts: Vec<TxOut>,
    common: OnceLock<CommonHashes>,
    spent: OnceLock<SpentHashes>,
}

/// Single SHA256 hashes that BIP 143 and BIP 341 share.
#[derive(Debug)]
pub(super) struct CommonHashes {
    pub(super) prevouts: sha256::Hash,
    pub(super) sequences: sha256::Hash,
    pub(super) outputs: sha256::Hash,
}

/// Single SHA256 hashes of what is spent, for BIP 341.
#[derive(Debug)]
pub(super) struct SpentHashes {
    pub(super) amounts: sha256::Hash,
    pub(super) scripts: sha256::Hash,
}

impl Spend {
    /// Joins a transaction with the outputs that it spends, in the order of its inputs.
    ///
    /// # Errors
    /// If there are more or fewer outputs than inputs.
    pub fn new(
        transaction: impl Into<TransactionRef>,
        prevouts: Vec<TxOut>,
    ) -> Result<Self, PrevoutCount> {
        let transaction = transaction.into();
        let inputs = transaction.input.len();
        if inputs != prevouts.len() {
            return Err(PrevoutCount {
                inputs,
                prevouts: prevouts.len(),
            });
        }
        Ok(Self {
            transaction,
            prevouts,
            common: OnceLock::new(),
            spent: OnceLock::new(),
        })
    }

    /// The spending transaction.
    pub fn transaction(&self) -> &Transaction {
        &self.transaction
    }

    /// Which of its block's transactions it is, if it was given as one of a block.
    pub fn number_in_block(&self) -> Option<usize> {
        match &self.transaction {
            TransactionRef::InBlock(BlockTransaction { index, .. }) => Some(*index),
            TransactionRef::Transaction(_) => None,
        }
    }

    /// The outputs spent, as many as there are inputs.
    pub fn prevouts(&self) -> &[TxOut] {
        &self.prevouts
    }

    /// The SHA256 of the output with this number; of nothing if there is none.
    pub(crate) fn hash_output(&self, index: usize) -> sha256::Hash {
        hash_all(self.transaction.output.get(index))
    }

    pub(super) fn common(&self) -> &CommonHashes {
        self.common.get_or_init(|| {
            let transaction = self.transaction();
            CommonHashes {
                prevouts: hash_all(transaction.input.iter().map(|input| &input.previous_output)),
                sequences: hash_all(transaction.input.iter().map(|input| &input.sequence)),
                outputs: hash_all(&transaction.output),
            }
        })
    }

    pub(super) fn spent(&self) -> &SpentHashes {
        self.spent.get_or_init(|| SpentHashes {
            amounts: hash_all(self.prevouts.iter().map(|output| &output.value)),
            scripts: hash_all(self.prevouts.iter().map(|output| &output.script_pubkey)),
        })
    }
}

fn hash_all<'a, T: Encodable + 'a>(items: impl IntoIterator<Item = &'a T>) -> sha256::Hash {
    let mut engine = sha256::Hash::engine();
    for item in items {
        item.consensus_encode(&mut engine).expect(INFALLIBLE);
    }
    sha256::Hash::from_engine(engine)
}

#[cfg(test)]
mod tests {
    use bitcoin::absolute::LockTime;
    use bitcoin::transaction::Version;

    use super::*;

    #[test]
    fn prevouts_must_match_the_inputs() {
        let transaction = Transaction {
            version: Version::TWO,
            lock_time: LockTime::ZERO,
            input: vec![Default::default()],
            output: Vec::new(),
        };
        assert_eq!(
            Spend::new(transaction, Vec::new()).unwrap_err(),
            PrevoutCount {
                inputs: 1,
                prevouts: 0
            }
        );
    }
}
