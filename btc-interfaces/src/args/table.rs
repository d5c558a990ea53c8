//! Every option, as data.
//!
//! Names, kinds and defaults are bitcoind's; an option that does nothing here yet says so by its
//! [`Effect`](super::Effect).

mod cli;
mod connection;
mod debug;
mod general;
mod gui;
mod relay;
mod rpc;
mod wallet;

use super::{Category, OptionSpec, Program};

const NODE: &[&[OptionSpec]] = &[
    general::GENERAL,
    general::CHAIN,
    connection::CONNECTION,
    connection::ZMQ,
    debug::DEBUG,
    debug::LOGGING,
    debug::HIDDEN,
    relay::RELAY,
    relay::MINING,
    rpc::RPC,
    wallet::WALLET,
    gui::GUI_IN_NODE,
];

const GUI: &[&[OptionSpec]] = &[
    general::GENERAL,
    general::CHAIN,
    connection::CONNECTION,
    connection::ZMQ,
    debug::DEBUG,
    debug::LOGGING,
    debug::HIDDEN,
    relay::RELAY,
    relay::MINING,
    rpc::RPC,
    wallet::WALLET,
    gui::GUI,
];

const CLI: &[&[OptionSpec]] = &[cli::CLI, general::CHAIN];

const WALLET: &[&[OptionSpec]] = &[wallet::TOOL, general::CHAIN];

/// The options of a program.
pub fn of(program: Program) -> impl Iterator<Item = &'static OptionSpec> {
    let groups = match program {
        Program::Node | Program::Daemon => NODE,
        Program::Cli => CLI,
        Program::Wallet => WALLET,
        Program::Gui => GUI,
    };
    let options = groups.iter().copied().flatten();
    options.filter(move |spec| program != Program::Daemon || spec.category != Category::Ipc)
}

/// The option of this name, without a leading `-`.
pub fn find(program: Program, name: &str) -> Option<&'static OptionSpec> {
    of(program).find(|spec| spec.name() == name)
}

/// The option of this name in any of the programs.
pub(super) fn find_in_any(name: &str) -> Option<&'static OptionSpec> {
    [Program::Gui, Program::Cli, Program::Wallet]
        .into_iter()
        .find_map(|program| find(program, name))
}
