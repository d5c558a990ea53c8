//! What can go wrong, and where.

use std::fmt;
use std::path::PathBuf;

/// Why a schema could not be read or its tables not written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The `capnp` tool is not on the `PATH`.
    #[error(
        "{} not found: install the Cap'n Proto compiler (Debian and Ubuntu: `apt install capnproto`, Fedora: \
         `dnf install capnproto`, macOS: `brew install capnp`) or name it with --capnp",
        tool.display()
    )]
    ToolMissing {
        /// The program that was looked for.
        tool: PathBuf,
    },
    /// The `capnp` tool refused the schema; its messages name file, line and column.
    #[error("{}", messages.trim_end())]
    Compile {
        /// What the tool wrote, a line for each error.
        messages: String,
    },
    /// A file could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The `capnp` tool could not be run.
    #[error("running {}: {source}", tool.display())]
    Run {
        /// The program.
        tool: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A file imports another that is in none of the import paths.
    #[error("{file}: import {import:?} not found in any import path; add its folder with -I")]
    ImportMissing {
        /// The importing file.
        file: String,
        /// The path as the import states it.
        import: String,
    },
    /// The request is no well-formed Cap'n Proto message.
    #[error("code generator request: {0}")]
    Decode(#[from] capnp::Error),
    /// The request is well formed but does not describe schemas.
    #[error("code generator request: {0}")]
    Request(&'static str),
    /// A schema says something that has no meaning in Rust.
    #[error("{place}: {problem}")]
    Schema {
        /// Where.
        place: Place,
        /// What, and what to write instead.
        problem: Problem,
    },
}

impl Error {
    pub(crate) fn at(place: Place, problem: Problem) -> Self {
        Self::Schema { place, problem }
    }
}

/// A declaration in a schema file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file as it was named to the compiler.
    pub file: String,
    /// The line of the declaration, from 1, where the source text is at hand.
    pub line: Option<usize>,
    /// The type, then the member where one is meant: `Mining.getTip`.
    pub item: String,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.file)?;
        if let Some(line) = self.line {
            write!(f, "{line}:")?;
        }
        write!(f, " {}", self.item)
    }
}

/// What is wrong with a declaration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// A union, for which the tables have no place.
    #[error("unions cannot cross; write a separate field for each case")]
    Union,
    /// A group, for which the tables have no place.
    #[error("groups cannot cross; write a struct of its own and a field of that type")]
    Group,
    /// A pointer field with a default that is not empty.
    #[error(
        "a default value on a text, data, list or struct field cannot cross; let the code supply it"
    )]
    PointerDefault,
    /// A constant of a type that has no plain Rust constant.
    #[error("a constant of this type has no Rust constant; use a number, a Bool, Text or Data")]
    ConstType,
    /// `$Proxy.count` with a negative number.
    #[error(
        "$Proxy.count({0}) counts nothing; write 0 for a parameter that the runtime fills, else leave it out"
    )]
    Count(i32),
    /// An annotation of `/mp/proxy.capnp` or `/mp/rust.capnp` that this generator does not know.
    #[error("annotation ${0} is not known here; update mp-codegen or leave it out")]
    UnknownAnnotation(String),
    /// An annotation whose value is not of its type.
    #[error("annotation ${0} has a value of another type than it declares")]
    AnnotationValue(&'static str),
    /// A name that is no identifier.
    #[error("{0:?} is no Rust name; use letters, digits and underscores, in $Proxy.name too")]
    Name(String),
    /// Two members that Rust would not tell apart.
    #[error("{name:?} is the Rust name of {first} too; give one of them another with $Proxy.name")]
    Clash {
        /// The name both get.
        name: String,
        /// The schema's name of the earlier one.
        first: String,
    },
    /// Two files that would be written to one.
    #[error("{0}.rs is written for another file of that name already; rename one")]
    FileClash(String),
    /// An interface extends one that is not written along with it.
    #[error("extends {0}, whose file is not among those to write; name it too")]
    ForeignBase(String),
    /// A type that the request does not define.
    #[error("the type with id 0x{0:016x} is not defined")]
    Undefined(u64),
    /// A type is of another sort than its use needs: a struct where an interface stands.
    #[error("the type with id 0x{0:016x} is of the wrong sort here")]
    WrongSort(u64),
    /// A field of `AnyPointer`, for which a Rust trait has no type.
    #[error(
        "{0} has no Rust type in a generated trait; write the trait by hand and name it with $Proxy.wrap"
    )]
    NoRustType(&'static str),
}
