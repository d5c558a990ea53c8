//! The tree of all known headers, and the chain in it that is active.
//!
//! | module | what it holds |
//! |---|---|
//! | [`entry`] | one block's place, work and status |
//! | [`tree`] | all entries, by number and by hash; ancestors in logarithmic time |
//! | [`active`] | the active chain, by height; forks and locators |
//! | [`record`] | what is stored about a header |
//! | [`candidates`] | the tips that may become active, best first |
//!
//! What is absent: no file, no lock, no clock. The rules of headers are `btc_consensus`'s; the tree only remembers.

pub mod active;
pub mod candidates;
pub mod entry;
pub mod record;
pub mod tree;

pub use active::ActiveChain;
pub use candidates::Candidates;
pub use entry::{BlockEntry, BlockId, Validity};
pub use tree::BlockTree;
