//! The declarative table of RPC methods that node, wallet and command line share.
//!
//! A method says once what it is called, what it takes and what it gives. From that come the check of a call's
//! arguments, with the texts that Core's clients know, the help, its part of the OpenRPC document, the check of its
//! results, and what goes over the wire when a part registers the method with the node ([`RpcCommand`]).
//!
//! ```
//! use btc_interfaces::rpc::table::{Arg, Kind, Method, Shape};
//! use serde_json::json;
//!
//! const GET_BLOCK_HASH: Method = Method {
//!     name: "getblockhash",
//!     category: "blockchain",
//!     summary: "The hash of the active chain's block at a height.",
//!     args: &[Arg::required("height", Kind::Number, "The height")],
//!     results: &[Shape::hex("", "The block hash")],
//!     examples: &["1000"],
//! };
//! let arguments = GET_BLOCK_HASH.bind(&json!({"height": 7}))?;
//! assert_eq!(arguments.int::<i32>(0)?, 7);
//! let error = GET_BLOCK_HASH.bind(&json!({"depth": 7})).unwrap_err();
//! assert_eq!((error.code, error.message.as_str()), (-8, "Unknown named parameter depth"));
//! # Ok::<(), btc_interfaces::rpc::RpcError>(())
//! ```

mod arguments;
mod bind;
mod help;
mod openrpc;
mod shape;

pub use arguments::Arguments;
pub use shape::{Form, Shape};

use super::RpcCommand;

/// One RPC method, as data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Method {
    /// Its name.
    pub name: &'static str,
    /// The group that `help` lists it under, in lower case; `hidden` keeps it out of the list.
    pub category: &'static str,
    /// What it does, in a sentence or more.
    pub summary: &'static str,
    /// What it takes, in order.
    pub args: &'static [Arg],
    /// What it may give: one shape, or several of which each call gives one.
    pub results: &'static [Shape],
    /// Calls as one would type them after the method's name on the command line.
    pub examples: &'static [&'static str],
}

/// One argument of a method, or one field of an argument that is an object or array.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arg {
    /// Its name; aliases follow, separated by `|`.
    pub names: &'static str,
    /// The JSON type it must have.
    pub kind: Kind,
    /// Whether it must be there, and what stands in for it.
    pub presence: Presence,
    /// What it means.
    pub about: &'static str,
    /// For an object its fields, for an array its elements, as far as they are known.
    pub inner: &'static [Arg],
    /// Kept out of the help, with every argument after it.
    pub hidden: bool,
    /// Kept for old callers; it should be left out.
    pub placeholder: bool,
    /// Whether the method checks its type itself.
    pub unchecked: bool,
    /// Words for its type, in place of the kind's.
    pub label: Option<Label>,
    /// How it looks in the usage line, in place of what its kind makes of it; empty for that.
    pub usage: &'static str,
    /// A field of [`Kind::ObjectNamedParams`] that is also a top-level argument of the same name.
    pub also_positional: bool,
}

/// Words for the type of an argument that no kind tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Label {
    /// In place of a value, where the help shows JSON.
    pub value: &'static str,
    /// In a description.
    pub words: &'static str,
}

/// The JSON type of an argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A string.
    String,
    /// A string of hexadecimal digits.
    StringHex,
    /// A number.
    Number,
    /// An amount in BTC or a feerate, a number or a string of a number. Its type is checked when it is read.
    Amount,
    /// A boolean.
    Bool,
    /// An array.
    Array,
    /// An object.
    Object,
    /// An object whose keys the caller chooses.
    ObjectUserKeys,
    /// An object of options, each of which may also be given as a named argument of the call itself.
    ObjectNamedParams,
    /// The end of a range, or its begin and end in an array. Its type is checked when it is read.
    Range,
}

/// Whether an argument must be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// It must.
    Required,
    /// It may be left out or null.
    Optional,
    /// It may be left out or null, and then this JSON text stands in for it.
    Default(&'static str),
    /// It may be left out or null; what happens then is said in words.
    Hint(&'static str),
}

impl Arg {
    /// An argument that must be given.
    pub const fn required(names: &'static str, kind: Kind, about: &'static str) -> Self {
        Self::new(names, kind, Presence::Required, about)
    }

    /// An argument that may be left out.
    pub const fn optional(names: &'static str, kind: Kind, about: &'static str) -> Self {
        Self::new(names, kind, Presence::Optional, about)
    }

    /// An argument that may be left out, and then is `json`.
    pub const fn default(
        names: &'static str,
        kind: Kind,
        json: &'static str,
        about: &'static str,
    ) -> Self {
        Self::new(names, kind, Presence::Default(json), about)
    }

    /// An argument that may be left out, with words for what happens then.
    pub const fn hint(
        names: &'static str,
        kind: Kind,
        hint: &'static str,
        about: &'static str,
    ) -> Self {
        Self::new(names, kind, Presence::Hint(hint), about)
    }

    const fn new(names: &'static str, kind: Kind, presence: Presence, about: &'static str) -> Self {
        Self {
            names,
            kind,
            presence,
            about,
            inner: &[],
            hidden: false,
            placeholder: false,
            unchecked: false,
            label: None,
            usage: "",
            also_positional: false,
        }
    }

    /// The same argument with these fields or elements.
    #[must_use]
    pub const fn with(mut self, inner: &'static [Self]) -> Self {
        self.inner = inner;
        self
    }

    /// The same argument, left out of the help.
    #[must_use]
    pub const fn hidden(mut self) -> Self {
        self.hidden = true;
        self
    }

    /// The same argument, kept for old callers alone.
    #[must_use]
    pub const fn placeholder(mut self) -> Self {
        self.placeholder = true;
        self
    }

    /// The same argument, whose type the method checks itself.
    #[must_use]
    pub const fn unchecked(mut self) -> Self {
        self.unchecked = true;
        self
    }

    /// The same argument with words for its type: in place of a value, and in its description.
    #[must_use]
    pub const fn labelled(mut self, value: &'static str, words: &'static str) -> Self {
        self.label = Some(Label { value, words });
        self
    }

    /// The same argument, which looks like this in the usage line.
    #[must_use]
    pub const fn shown_as(mut self, usage: &'static str) -> Self {
        self.usage = usage;
        self
    }

    /// The same field, which the method also takes as a top-level argument.
    #[must_use]
    pub const fn also_positional(mut self) -> Self {
        self.also_positional = true;
        self
    }

    /// The first of its names.
    pub fn name(&self) -> &'static str {
        self.aliases().next().unwrap_or_default()
    }

    /// All of its names.
    pub fn aliases(&self) -> impl Iterator<Item = &'static str> + use<> {
        self.names.split('|')
    }

    /// Whether a call may leave it out.
    pub const fn is_optional(&self) -> bool {
        !matches!(self.presence, Presence::Required)
    }
}

impl Method {
    /// The position of the argument with this name or alias.
    pub fn position(&self, name: &str) -> Option<usize> {
        self.args
            .iter()
            .position(|arg| arg.aliases().any(|alias| alias == name))
    }
}

impl From<&Method> for RpcCommand {
    fn from(method: &Method) -> Self {
        Self {
            category: method.category.to_owned(),
            name: method.name.to_owned(),
            arguments: method.args.iter().map(|arg| arg.names.to_owned()).collect(),
            help: method.help(),
            openrpc: method.openrpc(false),
            conversions: method.conversions(),
        }
    }
}
