//! What methods give, where it is too large to stand beside what they do: one file for each group of methods.

pub(super) mod blocks;
pub(super) mod chain;
pub(super) mod control;
pub(super) mod fees;
pub(super) mod mempool;
pub(super) mod mining;
pub(super) mod network;
pub(super) mod psbt;
pub(super) mod transactions;
pub(super) mod util;
