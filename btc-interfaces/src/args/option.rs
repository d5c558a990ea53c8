//! What is known of an option.

/// An option of a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OptionSpec {
    /// Its name and how its value is written in the help: `conf=<file>`, `rest`.
    pub usage: &'static str,
    /// The group that the help lists it in.
    pub category: Category,
    /// What it does.
    pub help: &'static str,
    /// It may be negated: `-noname`.
    pub negatable: bool,
    /// It cannot be given without a value.
    pub needs_value: bool,
    /// Outside of the main network it counts only on the command line and in the network's own section.
    pub network_only: bool,
    /// The help shows it only with `-help-debug`.
    pub debug_only: bool,
    /// Its value is a credential and goes into no log, no help and no other process.
    pub secret: bool,
    /// Whether it does here what it does in Core.
    pub effect: Effect,
}

/// A group of options, in the order of the help.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum Category {
    General,
    Connection,
    Zmq,
    DebugTest,
    Relay,
    Mining,
    Rpc,
    Ipc,
    Wallet,
    WalletDebugTest,
    Chain,
    Gui,
    Commands,
    CliCommands,
    Hidden,
}

/// Whether an option does here what it does in Core.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// It does.
    Now,
    /// Not yet; setting it to anything but 0 deserves a warning.
    Pending,
    /// Not yet; setting it at all deserves a warning.
    PendingAlways,
    /// Not yet, and a node that went on without it would not do what its user counts on: setting it to anything but 0 is
    /// an error.
    Refused,
}

impl OptionSpec {
    pub(super) const fn new(category: Category, usage: &'static str, help: &'static str) -> Self {
        Self {
            usage,
            category,
            help,
            negatable: true,
            needs_value: false,
            network_only: false,
            debug_only: false,
            secret: false,
            effect: Effect::Now,
        }
    }

    pub(super) const fn no_negation(mut self) -> Self {
        self.negatable = false;
        self
    }

    pub(super) const fn needs_value(mut self) -> Self {
        self.needs_value = true;
        self
    }

    pub(super) const fn network_only(mut self) -> Self {
        self.network_only = true;
        self
    }

    pub(super) const fn debug(mut self) -> Self {
        self.debug_only = true;
        self
    }

    pub(super) const fn secret(mut self) -> Self {
        self.secret = true;
        self
    }

    pub(super) const fn pending(mut self) -> Self {
        self.effect = Effect::Pending;
        self
    }

    pub(super) const fn pending_always(mut self) -> Self {
        self.effect = Effect::PendingAlways;
        self
    }

    pub(super) const fn refused(mut self) -> Self {
        self.effect = Effect::Refused;
        self
    }

    /// Its name, without the leading `-`.
    pub fn name(&self) -> &'static str {
        self.usage.split('=').next().unwrap_or_default()
    }
}

impl Category {
    /// The heading in the help.
    pub const fn title(self) -> &'static str {
        match self {
            Self::General => "Options:",
            Self::Connection => "Connection options:",
            Self::Zmq => "ZeroMQ notification options:",
            Self::DebugTest => "Debugging/Testing options:",
            Self::Relay => "Node relay options:",
            Self::Mining => "Block creation options:",
            Self::Rpc => "RPC server options:",
            Self::Ipc => "IPC interprocess connection options:",
            Self::Wallet => "Wallet options:",
            Self::WalletDebugTest => "Wallet debugging/testing options:",
            Self::Chain => "Chain selection options:",
            Self::Gui => "UI Options:",
            Self::Commands => "Commands:",
            Self::CliCommands => "CLI Commands:",
            Self::Hidden => "",
        }
    }
}
