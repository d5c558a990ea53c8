//! Options and configuration as bitcoind has them: command line, `bitcoin.conf`, `settings.json`.
//!
//! One [table] of all options gives parsing, help and what is said of options that do nothing yet. The rules of
//! precedence, sections, negation and their odd corners are those of Core's `ArgsManager`, since people's files rely on
//! them.
//!
//! ```
//! use btc_interfaces::args::{Args, Program};
//!
//! let mut args = Args::new(Program::Node);
//! args.parse(["-regtest", "-nolisten", "-rpcport=18000"])?;
//! assert_eq!(args.network()?.to_core_arg(), "regtest");
//! assert_eq!(args.flag("listen"), Some(false));
//! assert_eq!(args.int("rpcport"), Some(18000));
//! let error = args.parse(["-nonsense"]).unwrap_err();
//! assert_eq!(error.to_string(), "Error parsing command line arguments: Invalid parameter -nonsense");
//! # Ok::<(), btc_interfaces::args::ArgsError>(())
//! ```

mod config;
mod error;
mod global;
mod help;
mod key;
mod option;
mod paths;
mod settings;
pub mod table;

pub use error::{ArgsError, OptionError};
pub use help::paragraph;
pub use option::{Category, Effect, OptionSpec};
pub use paths::{default_data_dir, net_dir_name, rpc_port};

use bitcoin::Network;
use key::Key;
use serde_json::{Map, Value};
use settings::{Reading, Settings};
use std::path::PathBuf;

/// Which program's options are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// `bitcoin-node`.
    Node,
    /// `bitcoind`: the same in one process, without the options of IPC.
    Daemon,
    /// `bitcoin-cli`.
    Cli,
    /// `bitcoin-wallet`.
    Wallet,
    /// `bitcoin-gui`: the node's options and some of its own.
    Gui,
}

impl Program {
    /// Whether the program is or holds a node.
    const fn is_node(self) -> bool {
        matches!(self, Self::Node | Self::Daemon | Self::Gui)
    }
}

/// A section that a configuration file opens.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Section {
    name: String,
    file: String,
    line: usize,
}

/// The options of a program, from all of their sources.
///
/// Names are given without the leading `-`. Options that hold credentials are left out of `Debug` output.
#[derive(Clone)]
pub struct Args {
    program: Program,
    settings: Settings,
    /// The network whose section counts; set once the configuration is read.
    section: Option<Network>,
    sections: Vec<Section>,
    config_path: Option<PathBuf>,
    command: Vec<String>,
    warnings: Vec<String>,
    notices: Vec<String>,
}

impl std::fmt::Debug for Args {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Args")
            .field("program", &self.program)
            .field("section", &self.section)
            .field("options", &self.shown_options())
            .finish_non_exhaustive()
    }
}

impl Args {
    /// No options given.
    pub fn new(program: Program) -> Self {
        Self {
            program,
            settings: Settings::default(),
            section: None,
            sections: Vec::new(),
            config_path: None,
            command: Vec::new(),
            warnings: Vec::new(),
            notices: Vec::new(),
        }
    }

    /// Reads the command line, without the program's name, and then the configuration; see [`Args::parse`] and
    /// [`Args::load_config`]. If help or version is asked for, the configuration is left alone.
    pub fn read<I>(program: Program, arguments: I) -> Result<Self, ArgsError>
    where
        I: IntoIterator,
        I::Item: Into<std::ffi::OsString>,
    {
        let mut args = Self::new(program);
        let arguments = arguments.into_iter().map(|argument| {
            let argument: std::ffi::OsString = argument.into();
            argument.to_string_lossy().into_owned()
        });
        args.parse(arguments)?;
        if args.info_text("").is_none() {
            args.load_config()?;
        }
        Ok(args)
    }

    /// Reads the command line, without the program's name.
    ///
    /// # Errors
    /// For an unknown option, a value where none may be or the other way round, a word that is no option (but the command
    /// line's and the wallet tool's commands).
    pub fn parse<I>(&mut self, arguments: I) -> Result<(), ArgsError>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        self.settings.command_line.clear();
        let mut arguments = arguments.into_iter();
        while let Some(argument) = arguments.next() {
            let argument = argument.as_ref();
            if argument == "-" {
                break;
            }
            if !argument.starts_with('-') {
                if self.program.is_node() {
                    let token = argument.to_owned();
                    return Err(ArgsError::UnexpectedToken { token });
                }
                self.command.push(argument.to_owned());
                let rest = arguments.by_ref();
                self.command
                    .extend(rest.map(|argument| argument.as_ref().to_owned()));
                break;
            }
            self.parse_option(argument)
                .map_err(ArgsError::CommandLine)?;
        }
        let includes = self.settings.one_source("includeconf");
        match includes.first() {
            Some(first) => Err(ArgsError::CommandLine(OptionError::IncludeConf(
                first.to_string(),
            ))),
            None => Ok(()),
        }
    }

    fn parse_option(&mut self, argument: &str) -> Result<(), OptionError> {
        let (text, value) = match argument.split_once('=') {
            Some((text, value)) => (text, Some(value)),
            None => (argument, None),
        };
        let text = text.strip_prefix('-').unwrap_or(text);
        let text = text.strip_prefix('-').unwrap_or(text);
        let key = Key::parse(text);
        let spec = table::find(self.program, key.name);
        let Some(spec) = spec.filter(|_| key.section.is_empty()) else {
            return Err(OptionError::Invalid(argument.to_owned()));
        };
        let value = self.interpret(&key, value, spec)?;
        let values = self.settings.command_line.entry(key.name.to_owned());
        values.or_default().push(value);
        Ok(())
    }

    fn interpret(
        &mut self,
        key: &Key<'_>,
        value: Option<&str>,
        spec: &OptionSpec,
    ) -> Result<Value, OptionError> {
        let (interpreted, warning) = key.interpret(value, spec)?;
        self.warnings.extend(warning);
        Ok(interpreted)
    }

    /// The network that `-chain`, `-regtest`, `-signet`, `-testnet` or `-testnet4` chooses.
    ///
    /// # Errors
    /// For more than one of them, and for a name that is no network's.
    pub fn network(&self) -> Result<Network, ArgsError> {
        let chosen = |name: &str| {
            let value = self.settings.one("", name, Reading::Network);
            value.is_some_and(|value| key::truth(&value))
        };
        let flags = [
            ("regtest", Network::Regtest),
            ("signet", Network::Signet),
            ("testnet", Network::Testnet),
            ("testnet4", Network::Testnet4),
        ];
        let mut flags = flags.into_iter().filter(|(name, _)| chosen(name));
        let chain = self.value("chain");
        match (flags.next(), flags.next(), chain) {
            (None, _, None) => Ok(Network::Bitcoin),
            (Some((_, network)), None, None) => Ok(network),
            (None, _, Some(name)) => {
                Network::from_core_arg(&name).map_err(|_| ArgsError::UnknownChain(name))
            }
            _ => Err(ArgsError::SeveralChains),
        }
    }

    /// The network's name as `-chain` takes it; `main` where [`Args::network`] has none.
    pub fn chain_name(&self) -> &'static str {
        self.network().unwrap_or(Network::Bitcoin).to_core_arg()
    }

    /// The raw value in force: false if negated, a string, or what `settings.json` holds.
    pub fn setting(&self, name: &str) -> Option<Value> {
        let network_only = self.skips_default_section(name);
        self.settings
            .one(self.section_name(), name, Reading::Value { network_only })
    }

    /// All raw values in force, in order of precedence of their sources.
    pub fn settings_list(&self, name: &str) -> Vec<Value> {
        let network_only = self.skips_default_section(name);
        self.settings.all(self.section_name(), name, network_only)
    }

    /// Whether the option has a value.
    pub fn is_set(&self, name: &str) -> bool {
        self.setting(name).is_some()
    }

    /// Whether the option is negated: `-noname`.
    pub fn is_negated(&self, name: &str) -> bool {
        self.setting(name) == Some(Value::Bool(false))
    }

    /// The value as text: `0` if negated.
    pub fn value(&self, name: &str) -> Option<String> {
        self.setting(name).map(|value| key::text(&value))
    }

    /// All values as text.
    pub fn values(&self, name: &str) -> Vec<String> {
        self.settings_list(name).iter().map(key::text).collect()
    }

    /// The value as a switch: true without a value, else whether its number is not 0.
    pub fn flag(&self, name: &str) -> Option<bool> {
        self.setting(name).map(|value| key::truth(&value))
    }

    /// The number that the value begins with, 0 if it begins with none, bounded by what an `i64` holds.
    pub fn int(&self, name: &str) -> Option<i64> {
        self.setting(name).map(|value| key::number(&value))
    }

    /// Sets an option above every other source.
    pub fn force(&mut self, name: &str, value: &str) {
        let value = Value::from(value);
        self.settings.forced.insert(name.to_owned(), value);
    }

    /// Sets an option unless it has a value; gives whether it did.
    pub fn soft_set(&mut self, name: &str, value: &str) -> bool {
        let unset = !self.is_set(name);
        if unset {
            self.force(name, value);
        }
        unset
    }

    /// Takes over the values of `settings.json`, replacing earlier ones.
    pub fn set_rw_settings(&mut self, values: Map<String, Value>) {
        for name in values.keys() {
            if table::find(self.program, Key::parse(name).name).is_none() {
                let warning = format!("Ignoring unknown rw_settings value {name}");
                self.warnings.push(warning);
            }
        }
        self.settings.rw = values;
    }

    /// The words after the options: a command and its arguments.
    pub fn command(&self) -> &[String] {
        &self.command
    }

    /// What reading found worth a line in the log; taken out, so that each is logged once. Each is a warning.
    pub fn take_warnings(&mut self) -> Vec<String> {
        std::mem::take(&mut self.warnings)
    }

    /// What a user should see on the screen, though it hinders nothing; taken out, so that each is shown once.
    pub fn take_notices(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notices)
    }

    /// Options that only count in a network's own section of the configuration file, but stand outside of it.
    pub fn unsuitable_section_only(&self) -> Vec<&'static str> {
        let section = self.section_name();
        if section.is_empty() || section == Network::Bitcoin.to_core_arg() {
            return Vec::new();
        }
        let network_only = table::of(self.program).filter(|spec| spec.network_only);
        network_only
            .map(OptionSpec::name)
            .filter(|name| self.settings.only_in_default_section(section, name))
            .collect()
    }

    /// For each section of the configuration files that names no network: file, line and what is wrong.
    pub fn unrecognized_sections(&self) -> Vec<String> {
        let unknown = |section: &&Section| Network::from_core_arg(&section.name).is_err();
        let sections = self.sections.iter().filter(unknown);
        sections
            .map(|Section { name, file, line }| {
                format!("{file}:{line} Section [{name}] is not recognized.")
            })
            .collect()
    }

    /// Options that are set, have an effect in Core and none here yet; each deserves a warning.
    pub fn not_yet_effective(&self) -> Vec<&'static str> {
        self.set_with(|effect, asks| match effect {
            Effect::Pending => asks,
            Effect::PendingAlways => true,
            Effect::Now | Effect::Refused => false,
        })
    }

    /// The first option that is set and asks for what this node cannot do and must not leave undone.
    pub fn check_supported(&self) -> Result<(), ArgsError> {
        let refused = self.set_with(|effect, asks| effect == Effect::Refused && asks);
        match refused.first() {
            Some(name) => Err(ArgsError::NotSupported(name)),
            None => Ok(()),
        }
    }

    /// The options that are set and whose effect and value matter. A value asks for something unless it is `0`, or
    /// empty where only a value would say something.
    fn set_with(&self, matters: impl Fn(Effect, bool) -> bool) -> Vec<&'static str> {
        table::of(self.program)
            .filter(|spec| spec.effect != Effect::Now && self.is_set(spec.name()))
            .filter(|spec| {
                let off = |value: &String| value == "0" || (spec.needs_value && value.is_empty());
                let asks = self.values(spec.name()).iter().any(|value| !off(value));
                matters(spec.effect, asks)
            })
            .map(OptionSpec::name)
            .collect()
    }

    fn section_name(&self) -> &'static str {
        self.section.map_or("", Network::to_core_arg)
    }

    /// Whether values outside of the network's own section don't count for the option.
    fn skips_default_section(&self, name: &str) -> bool {
        self.section != Some(Network::Bitcoin)
            && table::find(self.program, name).is_some_and(|spec| spec.network_only)
    }
}
