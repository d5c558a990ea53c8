//! What an invalid block says about the block, its header and who sent it.

/// The kind of a block's or header's fault, which decides what a node remembers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BlockFault {
    /// The block breaks a rule; the header can be marked as leading nowhere.
    Consensus,
    /// The header was found invalid before, for a reason that was not kept.
    CachedInvalid,
    /// The header itself is invalid.
    InvalidHeader,
    /// The data is not what the header commits to: another copy may be valid, so the header must
    /// not be marked.
    Mutated,
    /// The block before it is not known.
    MissingPrev,
    /// The block before it is invalid.
    InvalidPrev,
    /// The header's time is too far ahead: it may become valid.
    TimeFuture,
    /// The header is on a chain with too little work to be stored.
    HeaderLowWork,
}

/// The kind of a transaction's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TxFault {
    /// The transaction can never be in a valid block.
    Consensus,
    /// An output that it spends is unknown or spent.
    MissingInputs,
    /// It may become valid: a coinbase is not mature, or a lock time not reached.
    PrematureSpend,
}
