//! What signatures commit to: the original algorithm, BIP 143 and BIP 341.
//!
//! Hashes that all inputs of a transaction share are computed once, when first asked for; what one
//! input's checks share is kept as a midstate. So neither many inputs nor many signature checks in
//! one script cost more than a pass over the transaction, but for inputs from before segwit, which
//! each need a pass of their own.

mod ecdsa;
mod spend;
mod taproot;

pub(crate) use ecdsa::EcdsaMidstates;
pub use ecdsa::{legacy, segwit_v0};
pub use spend::{BlockTransaction, PrevoutCount, Spend, TransactionRef};
pub use taproot::{leaf_hash, taproot};

pub(crate) use taproot::{annex_hash, branch_hash, tweak_hash};

/// The output for an input of the same number is all that is signed.
const SINGLE: i32 = 3;
/// No output is signed.
const NONE: i32 = 2;
/// No other input is signed.
const ANYONE_CAN_PAY: i32 = 0x80;
/// The bits of an ECDSA hash type that choose outputs.
const OUTPUT_MASK: i32 = 0x1f;

/// Why writing to a hash engine cannot fail.
const INFALLIBLE: &str = "a hash engine accepts every byte";
