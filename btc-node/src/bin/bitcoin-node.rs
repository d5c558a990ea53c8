//! A Bitcoin full node whose wallets live in a process of their own, `bitcoin-wallet`.

use btc_node::node::{Placement, program};
use std::process::ExitCode;

fn main() -> ExitCode {
    program::run("bitcoin-node", Placement::spawn_sibling)
}
