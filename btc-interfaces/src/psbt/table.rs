//! What the tables of the methods that process a partially signed transaction have in common: the node's, which is told
//! descriptors, and the wallet's.

use crate::rpc::table::{Arg, Kind, Shape};

/// What signatures are to cover.
pub const SIGHASH_TYPE: Arg = Arg::default(
    "sighashtype",
    Kind::String,
    "\"DEFAULT for Taproot, ALL otherwise\"",
    "What signatures cover: DEFAULT, ALL, NONE, SINGLE, or the last three with |ANYONECANPAY",
);

/// Whether to fill in the paths of keys.
pub const WITH_ORIGINS: Arg = Arg::default(
    "bip32derivs",
    Kind::Bool,
    "true",
    "Tell where keys come from",
);

/// Whether to finish inputs.
pub const FINALIZE: Arg = Arg::default(
    "finalize",
    Kind::Bool,
    "true",
    "Finish inputs where all is there",
);

/// What they give.
pub const PROCESSED: &[Shape] = &[Shape::object(
    "",
    "",
    &[
        Shape::string("psbt", "The partially signed transaction in base64"),
        Shape::bool("complete", "Whether all inputs are signed"),
        Shape::hex("hex", "The transaction, if it is complete").optional(),
    ],
)];
