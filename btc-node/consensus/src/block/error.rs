//! Why a block is not accepted.

use std::borrow::Cow;

use bitcoin::{Amount, OutPoint, Txid, Wtxid};

use super::signet::SignetError;
use crate::fault::BlockFault;
use crate::header::HeaderError;
use crate::script::ScriptError;
use crate::tx::TxError;

/// The rule that a block breaks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BlockError {
    /// The header breaks a rule.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// The block is not signed as the signet asks (BIP 325).
    #[error("signet block signature validation failure")]
    SignetSolution(#[source] SignetError),
    /// The header commits to other transactions.
    #[error("hashMerkleRoot mismatch")]
    MerkleRoot,
    /// Transactions are repeated in a way that the header's commitment does not show.
    #[error("duplicate transaction")]
    DuplicateTransactions,
    /// No transaction, or more than fit into a block.
    #[error("size limits failed")]
    Length,
    /// The first transaction is not a coinbase.
    #[error("first tx is not coinbase")]
    CoinbaseMissing,
    /// Another than the first transaction is a coinbase.
    #[error("more than one coinbase")]
    CoinbaseMultiple,
    /// A transaction breaks a rule by itself.
    #[error("Transaction check failed (tx hash {txid}) {}", .error.debug_message())]
    Transaction {
        /// The transaction's number.
        index: usize,
        /// The transaction's id.
        txid: Txid,
        /// The rule.
        #[source]
        error: TxError,
    },
    /// Too many signature checks, even without those that only coins show.
    #[error("out-of-bounds SigOpCount")]
    LegacySigops,
    /// A transaction's lock time is not reached.
    #[error("non-final transaction")]
    NonFinal,
    /// The coinbase does not start with the height (BIP 34).
    #[error("block height mismatch in coinbase")]
    CoinbaseHeight,
    /// The coinbase's witness is not one item of 32 bytes (BIP 141).
    #[error("CheckWitnessMalleation : invalid witness reserved value size")]
    WitnessReservedValue,
    /// The coinbase commits to other witnesses (BIP 141).
    #[error("CheckWitnessMalleation : witness merkle commitment mismatch")]
    WitnessCommitment,
    /// There are witnesses that nothing commits to (BIP 141).
    #[error("CheckWitnessMalleation : unexpected witness data found")]
    UnexpectedWitness,
    /// The block weighs too much (BIP 141).
    #[error("ContextualCheckBlock : weight limit failed")]
    Weight,
    /// A transaction would replace one that still has unspent outputs (BIP 30).
    #[error("tried to overwrite transaction")]
    Overwrite {
        /// The output that exists.
        outpoint: OutPoint,
    },
    /// A transaction's inputs break a rule.
    #[error("{} in transaction {txid}", .error.debug_message())]
    Inputs {
        /// The transaction's number.
        index: usize,
        /// The transaction's id.
        txid: Txid,
        /// The rule.
        #[source]
        error: TxError,
    },
    /// The sum of the fees is more than all money.
    #[error("accumulated fee in the block out of range")]
    FeesOutOfRange,
    /// A transaction's relative lock times are not reached (BIP 68).
    #[error("contains a non-BIP68-final transaction {txid}")]
    SequenceLocks {
        /// The transaction's number.
        index: usize,
        /// The transaction's id.
        txid: Txid,
    },
    /// Too many signature checks (BIP 141).
    #[error("too many sigops")]
    Sigops,
    /// The coinbase takes more than the subsidy and the fees.
    #[error(
        "coinbase pays too much (actual={} vs limit={})",
        .actual.to_sat(),
        .limit.to_sat()
    )]
    CoinbaseAmount {
        /// What it takes.
        actual: Amount,
        /// What it may take.
        limit: Amount,
    },
    /// A script fails.
    #[error(transparent)]
    Script(#[from] ScriptFailure),
}

/// An input whose script fails.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "input {input} of {txid} (wtxid {wtxid}), spending {}:{}",
    .prevout.txid,
    .prevout.vout
)]
pub struct ScriptFailure {
    /// The rule.
    #[source]
    pub error: ScriptError,
    /// The input's number.
    pub input: usize,
    /// The spending transaction's id.
    pub txid: Txid,
    /// The same with its witness.
    pub wtxid: Wtxid,
    /// The output that is spent.
    pub prevout: OutPoint,
}

impl BlockError {
    /// Bitcoin Core's reject reason.
    pub fn reject_reason(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::Header(error) => return error.reject_reason(),
            Self::SignetSolution(_) => "bad-signet-blksig",
            Self::MerkleRoot => "bad-txnmrklroot",
            Self::DuplicateTransactions => "bad-txns-duplicate",
            Self::Length => "bad-blk-length",
            Self::CoinbaseMissing => "bad-cb-missing",
            Self::CoinbaseMultiple => "bad-cb-multiple",
            Self::Transaction { error, .. } | Self::Inputs { error, .. } => error.reject_reason(),
            Self::LegacySigops | Self::Sigops => "bad-blk-sigops",
            Self::NonFinal | Self::SequenceLocks { .. } => "bad-txns-nonfinal",
            Self::CoinbaseHeight => "bad-cb-height",
            Self::WitnessReservedValue => "bad-witness-nonce-size",
            Self::WitnessCommitment => "bad-witness-merkle-match",
            Self::UnexpectedWitness => "unexpected-witness",
            Self::Weight => "bad-blk-weight",
            Self::Overwrite { .. } => "bad-txns-BIP30",
            Self::FeesOutOfRange => "bad-txns-accumulated-fee-outofrange",
            Self::CoinbaseAmount { .. } => "bad-cb-amount",
            Self::Script(failure) => {
                return format!("block-script-verify-flag-failed ({})", failure.error).into();
            }
        })
    }

    /// What Bitcoin Core says besides the reason; empty where it says nothing.
    pub fn debug_message(&self) -> String {
        match self {
            Self::Header(error) => error.debug_message(),
            error => error.to_string(),
        }
    }

    /// What the fault says about the block and its header.
    pub const fn fault(&self) -> BlockFault {
        match self {
            Self::Header(error) => error.fault(),
            Self::MerkleRoot
            | Self::DuplicateTransactions
            | Self::WitnessReservedValue
            | Self::WitnessCommitment
            | Self::UnexpectedWitness => BlockFault::Mutated,
            _ => BlockFault::Consensus,
        }
    }
}
