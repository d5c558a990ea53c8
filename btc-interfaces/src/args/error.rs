//! What can be wrong with options. The texts are those of Core, word for word, since scripts look for them.

use std::path::PathBuf;
use thiserror::Error;

/// Why the options of a program cannot be used. bitcoind shows the text after `Error: ` and ends with 1.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ArgsError {
    /// An option of the command line.
    #[error("Error parsing command line arguments: {0}")]
    CommandLine(OptionError),
    /// A word of the command line that is no option.
    #[error(
        "Command line contains unexpected token '{token}', see bitcoind -h for a list of options."
    )]
    UnexpectedToken {
        /// The word.
        token: String,
    },
    /// The configuration file.
    #[error("Error reading configuration file: {0}")]
    Config(OptionError),
    /// `-datadir` names no directory.
    #[error("Specified data directory \"{0}\" does not exist.")]
    NoDataDir(String),
    /// More than one network is chosen.
    #[error(
        "Invalid combination of -regtest, -signet, -testnet, -testnet4 and -chain. Can use at most one."
    )]
    SeveralChains,
    /// `-chain` names no network.
    #[error("Unknown chain {0}.")]
    UnknownChain(String),
    /// A `bitcoin.conf` lies in the data directory and is not the one that was read.
    #[error("{0}")]
    IgnoredConfig(String),
    /// A directory cannot be made.
    #[error("cannot create directory {}: {reason}", .path.display())]
    CreateDir {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// An option asks for what this program cannot do and must not leave undone.
    #[error("-{0} is not supported by this node yet.")]
    NotSupported(&'static str),
    /// An option has a value that it cannot have.
    #[error("Invalid value '{value}' for -{name}")]
    InvalidValue {
        /// The option.
        name: &'static str,
        /// What it was set to.
        value: String,
    },
}

/// What is wrong with one option or one line.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum OptionError {
    /// There is no such option.
    #[error("Invalid parameter {0}")]
    Invalid(String),
    /// The option cannot be negated.
    #[error("Negating of -{0} is meaningless and therefore forbidden")]
    Negation(String),
    /// The option needs a value.
    #[error("Can not set -{0} with no value. Please specify value with -{0}=value.")]
    NoValue(String),
    /// `-includeconf` on the command line.
    #[error("-includeconf cannot be used from commandline; -includeconf={0}")]
    IncludeConf(String),
    /// A line that sets nothing.
    #[error("parse error on line {line}: {text}{}", suggestion(.text))]
    Line {
        /// Its number.
        line: usize,
        /// What it says.
        text: String,
    },
    /// A line with an option as on the command line.
    #[error(
        "parse error on line {line}: {text}, options in configuration file must be specified without leading -"
    )]
    LeadingDash {
        /// Its number.
        line: usize,
        /// What it says.
        text: String,
    },
    /// A comment behind a password, or a password with the sign of a comment.
    #[error(
        "parse error on line {0}, using # in rpcpassword can be ambiguous and should be avoided"
    )]
    HashInPassword(usize),
    /// `conf` in a configuration file.
    #[error(
        "conf cannot be set in the configuration file; use includeconf= if you want to include additional config files"
    )]
    ConfInConfig,
    /// There is no such option, in a file where that counts.
    #[error("Invalid configuration value {0}")]
    UnknownInConfig(String),
    /// The configuration file is a directory.
    #[error("Config file \"{}\" is a directory.", .0.display())]
    IsDirectory(PathBuf),
    /// An included file is a directory.
    #[error("Included config file \"{}\" is a directory.", .0.display())]
    IncludedIsDirectory(PathBuf),
    /// The file that `-conf` names cannot be read.
    #[error("specified config file \"{}\" could not be opened.", .0.display())]
    CannotOpen(PathBuf),
    /// An included file cannot be read.
    #[error("Failed to include configuration file {0}")]
    CannotInclude(String),
    /// A file is no text.
    #[error("configuration file \"{}\" is not valid UTF-8", .0.display())]
    NotText(PathBuf),
    /// A file is too long to be a configuration.
    #[error("configuration file \"{}\" is larger than {most} bytes", .path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The most it may have.
        most: u64,
    },
    /// The file's `datadir` names no directory.
    #[error("specified data directory \"{0}\" does not exist.")]
    NoDataDir(String),
    /// The file chooses networks that don't go together.
    #[error("{0}")]
    Network(Box<ArgsError>),
}

fn suggestion(text: &str) -> String {
    if text.starts_with("no") {
        format!(", if you intended to specify a negated option, use {text}=1 instead")
    } else {
        String::new()
    }
}
