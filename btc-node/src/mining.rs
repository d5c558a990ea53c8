//! Blocks to be: templates from the mempool, their coinbase, and the search for a nonce on chains where that is quick.
//!
//! Plain functions over the chainstate and the mempool; nothing is kept here.
//!
//! | module | what it does |
//! |---|---|
//! | [`template`] | chooses transactions, makes the coinbase and the header |
//! | [`coinbase`] | the coinbase transaction, bit for bit as Core makes it |
//! | [`generate`](mod@generate) | searches nonces and submits what it finds |
//! | [`merkle`] | the branch that leads to the merkle root |
//! | [`fees`] | what a transaction should pay to be in one of the next blocks |
//! | [`wait`] | waits for a better template |

pub mod coinbase;
pub mod fees;
pub mod generate;
pub mod merkle;
pub mod template;
pub mod wait;

pub use generate::{GenerateError, generate, solve};
pub use template::{LastTemplate, Template, TemplateError, TemplateOptions, create, reject_text};
