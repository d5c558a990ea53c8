//! A Bitcoin full node, as a library.
//!
//! [`node`] is the whole; everything else is a part of it, and each part knows only those it stands on:
//!
//! | room | what it does |
//! |---|---|
//! | [`chain`] | the tree of blocks, work, locators |
//! | [`store`] | block files, databases, `mempool.dat`, the data directory's lock |
//! | [`notify`] | what happened, told in order |
//! | [`chainstate`] | the single writer: which chain is active, which coins it leaves |
//! | [`index`] | where transactions lie, what spends an output, compact filters, figures of the coins |
//! | [`mempool`] | transactions that wait for a block, and the rules by which they do |
//! | [`mining`] | block templates |
//! | [`net`] | messages of peers, and the connections they travel over |
//! | [`sync`] | what peers say to each other, and what follows from it |
//! | [`rpc`] | the HTTP port and the methods behind it |
//! | [`cli`] | the programs `bitcoin-cli` and `bitcoin` |
//! | [`iface`] | the traits of `btc-interfaces` over a node |
//! | [`node`] | configuration, start-up, shutdown, the wallets' place |
//!
//! The rules of the chain are in the crate `btc-consensus`; the wallet is in `btc-wallet`, in a process of its own unless
//! feature `wallet` links it in.
//!
//! A node inside a program:
//!
//! ```
//! use btc_node::node::Node;
//!
//! let dir = tempfile::tempdir()?;
//! let node = Node::builder()
//!     .data_dir(dir.path())
//!     .option("chain", "regtest")
//!     .option("connect", "0")
//!     .start()?;
//! assert_eq!(node.chain().height()?, Some(0));
//! node.stop();
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod chain;
pub mod chainstate;
pub mod cli;
pub mod iface;
pub mod index;
pub mod mempool;
pub mod mining;
pub mod net;
pub mod node;
pub mod notify;
pub mod rpc;
pub mod store;
pub mod sync;

pub use btc_interfaces::CLIENT_NAME;

/// The version as one number: 10000 * major + 100 * minor + patch.
pub const CLIENT_VERSION: i64 = 10_000 * number(env!("CARGO_PKG_VERSION_MAJOR"))
    + 100 * number(env!("CARGO_PKG_VERSION_MINOR"))
    + number(env!("CARGO_PKG_VERSION_PATCH"));

/// A decimal number, which a part of the package's version is.
const fn number(text: &str) -> i64 {
    let digits = text.as_bytes();
    let (mut value, mut index) = (0, 0);
    while index < digits.len() {
        value = 10 * value + (digits[index] - b'0') as i64;
        index += 1;
    }
    value
}

/// The examples of the project's first page, compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
