//! A transaction as the wallet keeps it: where it stands, and what its owner wants to remember of it.

use crate::db::CodecError;
use crate::db::codec::{Reader, Writer};
use bitcoin::hashes::Hash;
use bitcoin::{Amount, BlockHash, Transaction, Txid, Wtxid};
use std::collections::BTreeMap;

/// Where a transaction stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TxState {
    /// In a block of the active chain.
    Confirmed {
        /// The block.
        block: BlockHash,
        /// Its height; -1 until the chain was asked.
        height: i32,
        /// The transaction's place in it.
        index: i32,
    },
    /// In the mempool.
    InMempool,
    /// A block spends one of its inputs elsewhere.
    Conflicted {
        /// The block.
        block: BlockHash,
        /// Its height; -1 until the chain was asked.
        height: i32,
    },
    /// Nowhere: not yet sent, refused, or dropped.
    Inactive {
        /// Given up by its owner, or a coinbase that lost its block.
        abandoned: bool,
    },
    /// Stored by a writer that meant something else by it; treated as inactive and kept as it is.
    Unrecognized {
        /// What stands for the block.
        block: BlockHash,
        /// What stands for the place.
        index: i32,
    },
}

impl TxState {
    /// Whether it is in a block.
    pub fn is_confirmed(&self) -> bool {
        matches!(self, Self::Confirmed { .. })
    }

    /// Whether a block spends one of its inputs elsewhere.
    pub fn is_conflicted(&self) -> bool {
        matches!(self, Self::Conflicted { .. })
    }

    /// Whether its owner gave it up.
    pub fn is_abandoned(&self) -> bool {
        matches!(self, Self::Inactive { abandoned: true })
    }

    /// Whether it may still confirm, as far as the wallet knows.
    pub fn is_unconfirmed(&self) -> bool {
        !self.is_confirmed() && !self.is_conflicted() && !self.is_abandoned()
    }

    fn hash_one() -> BlockHash {
        let mut bytes = [0; 32];
        bytes[0] = 1;
        BlockHash::from_byte_array(bytes)
    }

    fn to_stored(self) -> (BlockHash, i32) {
        match self {
            Self::Confirmed { block, index, .. } | Self::Unrecognized { block, index } => {
                (block, index)
            }
            Self::InMempool | Self::Inactive { abandoned: false } => (BlockHash::all_zeros(), 0),
            Self::Inactive { abandoned: true } => (Self::hash_one(), -1),
            Self::Conflicted { block, .. } => (block, -1),
        }
    }

    fn from_stored(block: BlockHash, index: i32) -> Self {
        if block == BlockHash::all_zeros() && index == 0 {
            Self::Inactive { abandoned: false }
        } else if block == Self::hash_one() && index == -1 {
            Self::Inactive { abandoned: true }
        } else if block == BlockHash::all_zeros() || block == Self::hash_one() || index < -1 {
            Self::Unrecognized { block, index }
        } else if index == -1 {
            Self::Conflicted { block, height: -1 }
        } else {
            Self::Confirmed {
                block,
                height: -1,
                index,
            }
        }
    }
}

/// A wallet's transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TxRecord {
    /// The transaction, in the variant that counts: the confirmed one, else the smallest one with witness.
    pub tx: Transaction,
    /// Other variants seen, which differ in their witnesses only.
    others: BTreeMap<Wtxid, Transaction>,
    /// Where it stands.
    pub state: TxState,
    /// When the wallet first saw it, seconds since 1970.
    pub time_received: u32,
    /// The time shown for it, which keeps the order in which transactions came; 0 if never computed.
    pub time_smart: u32,
    /// Its place among the wallet's transactions; -1 if never given.
    pub order: i64,
    /// What the payer noted about it.
    pub comment: Option<String>,
    /// What the payer noted about the payee.
    pub comment_to: Option<String>,
    /// The transaction that it replaces.
    pub replaces: Option<Txid>,
    /// The transaction that replaces it.
    pub replaced_by: Option<Txid>,
    /// Values from other times, kept as they are.
    kept: BTreeMap<String, String>,
    /// Messages and payment requests of payment links, kept as they are.
    kept_pairs: Vec<(String, String)>,
}

const KNOWN_KEPT: [&str; 2] = ["from", "message"];

impl TxRecord {
    /// A transaction seen just now.
    pub(crate) fn new(tx: Transaction, state: TxState, now: u32, order: i64) -> Self {
        Self {
            tx,
            others: BTreeMap::new(),
            state,
            time_received: now,
            time_smart: 0,
            order,
            comment: None,
            comment_to: None,
            replaces: None,
            replaced_by: None,
            kept: BTreeMap::new(),
            kept_pairs: Vec::new(),
        }
    }

    /// The time shown for it, seconds since 1970.
    pub fn time(&self) -> u32 {
        if self.time_smart == 0 {
            self.time_received
        } else {
            self.time_smart
        }
    }

    /// All variants, the one that counts included.
    pub(crate) fn variants(&self) -> impl Iterator<Item = &Transaction> {
        std::iter::once(&self.tx).chain(self.others.values())
    }

    pub(crate) fn add_variants(&mut self, variants: Vec<Transaction>) {
        let own = self.tx.compute_wtxid();
        for tx in variants {
            let wtxid = tx.compute_wtxid();
            if wtxid != own {
                self.others.insert(wtxid, tx);
            }
        }
    }

    /// Takes a new state, with the variant that it was seen in. Gives whether anything changed.
    pub(crate) fn update(&mut self, tx: &Transaction, state: TxState) -> bool {
        let before_state = self.state;
        let before = self.tx.compute_wtxid();
        let wtxid = tx.compute_wtxid();
        let mut changed = false;
        if wtxid != before && !self.others.contains_key(&wtxid) {
            self.others.insert(wtxid, tx.clone());
            changed = true;
        }
        self.state = state;
        let rank = |tx: &Transaction| {
            let bare = tx.input.iter().all(|input| input.witness.is_empty());
            (bare, tx.weight())
        };
        let canonical = if state.is_confirmed() {
            wtxid
        } else {
            self.variants()
                .min_by_key(|tx| rank(tx))
                .map_or(before, Transaction::compute_wtxid)
        };
        if canonical != before
            && let Some(chosen) = self.others.remove(&canonical)
        {
            let former = std::mem::replace(&mut self.tx, chosen);
            self.others.insert(before, former);
        }
        changed || canonical != before || state != before_state
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut values = self.kept.clone();
        values.insert("fromaccount".into(), String::new());
        let mut optional = |name: &str, value: Option<String>| {
            if let Some(value) = value {
                values.insert(name.into(), value);
            }
        };
        optional("comment", self.comment.clone());
        optional("to", self.comment_to.clone());
        optional("replaces_txid", self.replaces.map(|txid| txid.to_string()));
        optional(
            "replaced_by_txid",
            self.replaced_by.map(|txid| txid.to_string()),
        );
        optional("n", (self.order != -1).then(|| self.order.to_string()));
        optional(
            "timesmart",
            (self.time_smart != 0).then(|| self.time_smart.to_string()),
        );

        let (block, index) = self.state.to_stored();
        let mut writer = Writer::new()
            .bitcoin(&self.tx)
            .bitcoin(&block)
            .size(0) // once a merkle branch
            .i32(index)
            .size(0) // once the previous transactions
            .size(values.len());
        for (name, value) in &values {
            writer = writer.text(name).text(value);
        }
        writer = writer.size(self.kept_pairs.len());
        for (name, value) in &self.kept_pairs {
            writer = writer.text(name).text(value);
        }
        // Between and after the time: flags that lost their meaning.
        writer.u32(0).u32(self.time_received).u8(0).u8(0).done()
    }

    pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        let tx: Transaction = reader.bitcoin()?;
        // Sums over what is stored must not overflow, whoever wrote the file.
        tx.output
            .iter()
            .try_fold(Amount::ZERO, |sum, output| sum.checked_add(output.value))
            .filter(|sum| *sum <= Amount::MAX_MONEY)
            .ok_or(CodecError::Invalid("output value"))?;
        let block: BlockHash = reader.bitcoin()?;
        for _ in 0..reader.size()? {
            reader.take(32)?;
        }
        let index = reader.i32()?;
        for _ in 0..reader.size()? {
            // A transaction with its block, branch and place.
            let _: Transaction = reader.bitcoin()?;
            reader.take(32)?;
            for _ in 0..reader.size()? {
                reader.take(32)?;
            }
            reader.i32()?;
        }
        let mut values = BTreeMap::new();
        for _ in 0..reader.size()? {
            values.insert(reader.text()?, reader.text()?);
        }
        let mut kept_pairs = Vec::new();
        for _ in 0..reader.size()? {
            kept_pairs.push((reader.text()?, reader.text()?));
        }
        reader.u32()?;
        let time_received = reader.u32()?;
        reader.u8()?;
        reader.u8()?;

        values.remove("fromaccount");
        values.remove("spent");
        let number = |text: Option<String>| text.and_then(|text| text.parse::<i64>().ok());
        let txid = |text: Option<String>| text.and_then(|text| text.parse::<Txid>().ok());
        let record = Self {
            tx,
            others: BTreeMap::new(),
            state: TxState::from_stored(block, index),
            time_received,
            time_smart: number(values.remove("timesmart"))
                .and_then(|time| u32::try_from(time).ok())
                .unwrap_or(0),
            order: number(values.remove("n")).unwrap_or(-1),
            comment: values.remove("comment"),
            comment_to: values.remove("to"),
            replaces: txid(values.remove("replaces_txid")),
            replaced_by: txid(values.remove("replaced_by_txid")),
            kept: values,
            kept_pairs,
        };
        if record
            .kept
            .keys()
            .any(|name| !KNOWN_KEPT.contains(&name.as_str()))
        {
            return Err(CodecError::Invalid("value of a transaction"));
        }
        Ok(record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn state() -> impl Strategy<Value = TxState> {
        let hash = || any::<[u8; 32]>().prop_map(BlockHash::from_byte_array);
        prop_oneof![
            (hash(), 0..i32::MAX).prop_map(|(block, index)| TxState::Confirmed {
                block,
                height: -1,
                index
            }),
            hash().prop_map(|block| TxState::Conflicted { block, height: -1 }),
            any::<bool>().prop_map(|abandoned| TxState::Inactive { abandoned }),
        ]
    }

    proptest! {
        #[test]
        fn records_come_back(state in state(), times: (u32, u32), order in -1..i64::MAX, comment: Option<String>) {
            let tx = Transaction {
                version: bitcoin::transaction::Version::TWO,
                lock_time: bitcoin::absolute::LockTime::ZERO,
                input: vec![bitcoin::TxIn::default()],
                output: vec![bitcoin::TxOut {
                    value: Amount::from_sat(1),
                    script_pubkey: bitcoin::ScriptBuf::new(),
                }],
            };
            let mut record = TxRecord::new(tx, state, times.0, order);
            record.time_smart = times.1;
            record.comment = comment;
            let bytes = record.encode();
            let mut reader = Reader::new(&bytes);
            prop_assert_eq!(TxRecord::decode(&mut reader), Ok(record));
            prop_assert!(reader.is_empty());
        }

        #[test]
        fn garbage_is_an_error_not_a_panic(bytes: Vec<u8>) {
            let _ = TxRecord::decode(&mut Reader::new(&bytes));
        }
    }
}
