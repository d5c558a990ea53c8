//! A Bitcoin full node with its wallets in one process.

use btc_node::node::{Placement, program};
use std::process::ExitCode;

fn main() -> ExitCode {
    program::run("bitcoind", || Ok(Placement::local()))
}
