//! Why a transaction does not come into the mempool.

use crate::store::StoreError;
use btc_consensus::fault::TxFault;
use btc_consensus::script::ScriptError;
use btc_consensus::tx::TxError;

/// One rule that a transaction breaks. [`Reject::reason`] is the word for it that other programs know,
/// [`Reject::debug`] what there is to say beyond.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.text())]
pub enum Reject {
    /// A consensus rule, of the transaction alone or with the coins it spends.
    Consensus(#[from] TxError),
    /// It is a coinbase.
    Coinbase,
    /// Its form is not standard; the reason says what of it.
    NonStandard(&'static str),
    /// Its size without the witness is that of a merkle tree's inner node, or less.
    TooSmall,
    /// Its lock time is not reached.
    NonFinal,
    /// It is there already.
    AlreadyInMempool,
    /// It is there already, with another witness.
    SameTxidInMempool,
    /// Outputs of it are in the chain.
    AlreadyKnown,
    /// An input is neither in the chain nor in the mempool.
    MissingInputs,
    /// A relative lock time is not reached (BIP 68).
    NonBip68Final,
    /// An input's script is not standard.
    NonStandardInput(String),
    /// A witness is larger or other than what is relayed.
    NonStandardWitness,
    /// It has a dust output and pays a fee.
    DustWithFee,
    /// It has this many signature operations.
    TooManySigops(i64),
    /// It pays less than `required` sat, the least for its size that the mempool takes now.
    MempoolMinFee {
        /// Its modified fee in sat.
        fee: i64,
        /// The least, in sat.
        required: i64,
    },
    /// It pays less than `required` sat, the least for its size that is relayed.
    MinRelayFee {
        /// Its modified fee in sat.
        fee: i64,
        /// The least, in sat.
        required: i64,
    },
    /// It spends what another spends that it may not replace here.
    ReplacementDisallowed,
    /// It would replace transactions of too many clusters.
    TooManyReplacements {
        /// Whether a sibling would be among them.
        sibling: bool,
        /// In numbers.
        debug: String,
    },
    /// It pays too little to replace what it conflicts with.
    InsufficientReplacementFee {
        /// Whether a sibling would be among the replaced.
        sibling: bool,
        /// In numbers.
        debug: String,
    },
    /// Replacing would not make the mempool worth more to a miner.
    ReplacementFailed,
    /// The cluster it would join is full.
    ClusterLimit,
    /// It spends an output of a transaction that it would replace.
    SpendsConflicting(String),
    /// It breaks a rule of version 3 transactions.
    Truc(String),
    /// It leaves its parent's dust unspent.
    MissingEphemeralSpends(String),
    /// A script fails.
    Script {
        /// How.
        error: ScriptError,
        /// Which input.
        debug: String,
        /// It has no witness though it needs one: the witness may have been cut off on the way.
        witness_stripped: bool,
    },
    /// It passes the relay rules for scripts but not those of the next block, which are fewer.
    ConsensusScript {
        /// How.
        error: ScriptError,
        /// Which input.
        debug: String,
    },
    /// The coins cannot be read: nothing is known of the transaction.
    CoinsUnavailable(String),
    /// It was the first to go when the mempool was cut to its size.
    MempoolFull,
    /// It pays a higher feerate than its owner allows.
    MaxFeerateExceeded,
    /// It pays more than its owner allows.
    MaxFeeExceeded,
}

/// What a reject says of the transaction and of whoever sent it. Source: Core's `TxValidationResult`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RejectClass {
    /// It breaks consensus.
    Consensus,
    /// Its inputs are not standard; another witness does not help.
    InputsNotStandard,
    /// It is not standard.
    NotStandard,
    /// Inputs are missing.
    MissingInputs,
    /// A lock time or a coinbase's maturity is not reached.
    PrematureSpend,
    /// Its witness is wrong; the transaction may be right.
    WitnessMutated,
    /// Its witness may have been cut off.
    WitnessStripped,
    /// It is known already.
    Conflict,
    /// The mempool's own rules.
    MempoolPolicy,
    /// Its fee is too low, but with others in a package it may do.
    Reconsiderable,
    /// Nothing: this node failed.
    Internal,
}

impl From<StoreError> for Reject {
    fn from(error: StoreError) -> Self {
        Self::CoinsUnavailable(error.to_string())
    }
}

impl Reject {
    /// The reject string.
    pub fn reason(&self) -> String {
        let with_sibling = |text: &str, sibling: bool| {
            let suffix = if sibling {
                " (including sibling eviction)"
            } else {
                ""
            };
            format!("{text}{suffix}")
        };
        match self {
            Self::Consensus(error) => error.reject_reason().to_owned(),
            Self::NonStandard(reason) => (*reason).to_owned(),
            Self::TooManyReplacements { sibling, .. } => {
                with_sibling("too many potential replacements", *sibling)
            }
            Self::InsufficientReplacementFee { sibling, .. } => {
                with_sibling("insufficient fee", *sibling)
            }
            Self::Script { error, .. } => format!("mempool-script-verify-flag-failed ({error})"),
            Self::ConsensusScript { error, .. } => {
                format!("block-script-verify-flag-failed ({error})")
            }
            _ => self.fixed_reason().to_owned(),
        }
    }

    fn fixed_reason(&self) -> &'static str {
        match self {
            Self::Coinbase => "coinbase",
            Self::TooSmall => "tx-size-small",
            Self::NonFinal => "non-final",
            Self::AlreadyInMempool => "txn-already-in-mempool",
            Self::SameTxidInMempool => "txn-same-nonwitness-data-in-mempool",
            Self::AlreadyKnown => "txn-already-known",
            Self::MissingInputs => "bad-txns-inputs-missingorspent",
            Self::NonBip68Final => "non-BIP68-final",
            Self::NonStandardInput(_) => "bad-txns-nonstandard-inputs",
            Self::NonStandardWitness => "bad-witness-nonstandard",
            Self::DustWithFee => "dust",
            Self::TooManySigops(_) => "bad-txns-too-many-sigops",
            Self::MempoolMinFee { .. } => "mempool min fee not met",
            Self::MinRelayFee { .. } => "min relay fee not met",
            Self::ReplacementDisallowed => "bip125-replacement-disallowed",
            Self::ReplacementFailed => "replacement-failed",
            Self::ClusterLimit => "too-large-cluster",
            Self::SpendsConflicting(_) => "bad-txns-spends-conflicting-tx",
            Self::Truc(_) => "TRUC-violation",
            Self::MissingEphemeralSpends(_) => "missing-ephemeral-spends",
            Self::CoinsUnavailable(_) => "coins-unavailable",
            Self::MempoolFull => "mempool full",
            Self::MaxFeerateExceeded => "max feerate exceeded",
            Self::MaxFeeExceeded => "max-fee-exceeded",
            Self::Consensus(_)
            | Self::NonStandard(_)
            | Self::TooManyReplacements { .. }
            | Self::InsufficientReplacementFee { .. }
            | Self::Script { .. }
            | Self::ConsensusScript { .. } => "",
        }
    }

    /// More on the same; empty where the reason says all.
    pub fn debug(&self) -> String {
        match self {
            Self::Consensus(error) => error.debug_message(),
            Self::NonStandardInput(debug)
            | Self::SpendsConflicting(debug)
            | Self::Truc(debug)
            | Self::MissingEphemeralSpends(debug)
            | Self::CoinsUnavailable(debug)
            | Self::TooManyReplacements { debug, .. }
            | Self::InsufficientReplacementFee { debug, .. }
            | Self::Script { debug, .. }
            | Self::ConsensusScript { debug, .. } => debug.clone(),
            Self::DustWithFee => "tx with dust output must be 0-fee".to_owned(),
            Self::TooManySigops(cost) => cost.to_string(),
            Self::MempoolMinFee { fee, required } | Self::MinRelayFee { fee, required } => {
                format!("{fee} < {required}")
            }
            Self::ReplacementFailed => {
                "insufficient feerate: does not improve feerate diagram".to_owned()
            }
            _ => String::new(),
        }
    }

    /// Reason and more in one line, as logs and RPC errors show it.
    pub fn text(&self) -> String {
        let (reason, debug) = (self.reason(), self.debug());
        if debug.is_empty() {
            reason
        } else {
            format!("{reason}, {debug}")
        }
    }

    /// What it says of the transaction.
    pub fn class(&self) -> RejectClass {
        match self {
            Self::Consensus(error) if error.fault() == TxFault::PrematureSpend => {
                RejectClass::PrematureSpend
            }
            Self::Consensus(_)
            | Self::Coinbase
            | Self::SpendsConflicting(_)
            | Self::ConsensusScript { .. } => RejectClass::Consensus,
            Self::NonStandard(_) | Self::TooSmall | Self::DustWithFee | Self::TooManySigops(_) => {
                RejectClass::NotStandard
            }
            Self::CoinsUnavailable(_) => RejectClass::Internal,
            Self::NonFinal | Self::NonBip68Final => RejectClass::PrematureSpend,
            Self::AlreadyInMempool | Self::SameTxidInMempool | Self::AlreadyKnown => {
                RejectClass::Conflict
            }
            Self::MissingInputs => RejectClass::MissingInputs,
            Self::NonStandardInput(_) => RejectClass::InputsNotStandard,
            Self::NonStandardWitness => RejectClass::WitnessMutated,
            Self::MempoolMinFee { .. }
            | Self::MinRelayFee { .. }
            | Self::InsufficientReplacementFee { .. }
            | Self::ReplacementFailed
            | Self::MempoolFull => RejectClass::Reconsiderable,
            Self::TooManyReplacements { .. }
            | Self::ReplacementDisallowed
            | Self::ClusterLimit
            | Self::Truc(_)
            | Self::MissingEphemeralSpends(_)
            | Self::MaxFeerateExceeded
            | Self::MaxFeeExceeded => RejectClass::MempoolPolicy,
            Self::Script {
                witness_stripped: true,
                ..
            } => RejectClass::WitnessStripped,
            Self::Script { .. } => RejectClass::NotStandard,
        }
    }
}
