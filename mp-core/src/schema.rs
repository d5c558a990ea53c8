//! What a Cap'n Proto schema says of an interface or a struct, as constants.
//!
//! `mp-codegen` writes these tables from `.capnp` files; the macros of `mp-derive` compute them from a trait or a
//! struct that has no schema file. Proxies read and write by them alone, so there is one path from either source to
//! the bytes on the wire.

mod text;

#[doc(hidden)]
pub use text::MethodTypes;
pub use text::{ExportError, FieldType, SchemaFile};

/// An interface: its id and its methods, sorted by ordinal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interface {
    /// The 64-bit type id, as `capnp compile` assigns or the schema file states it.
    pub id: u64,
    /// The name as the schema spells it, without its file: `Mining`.
    pub name: &'static str,
    /// The C++ or Rust class that `$Proxy.wrap` names, or an empty string.
    pub wrap: &'static str,
    /// Ids of the interfaces this one extends, nearest first; their methods are listed under `methods` of their own.
    pub extends: &'static [&'static Interface],
    /// The methods declared here, sorted by ordinal.
    pub methods: &'static [Method],
}

/// A method: where it is found and what it carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Method {
    /// Id of the interface that declares the method.
    pub interface: u64,
    /// The method's ordinal within that interface.
    pub ordinal: u16,
    /// The name as the schema spells it: `waitTipChanged`.
    pub name: &'static str,
    /// The name of the Rust method: the schema's name or its `$Proxy.name`, in snake case.
    pub rust_name: &'static str,
    /// The implicit struct of the parameters.
    pub params: Struct,
    /// The implicit struct of the results.
    pub results: Struct,
}

/// A struct: its size and its fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Struct {
    /// The type id; 0 for the implicit structs of parameters and results.
    pub id: u64,
    /// The name as the schema spells it, without its file; `getTip$Params` for an implicit one.
    pub name: &'static str,
    /// The class that `$Proxy.wrap` names, or an empty string.
    pub wrap: &'static str,
    /// Size of the data section in 64-bit words.
    pub data_words: u16,
    /// Size of the pointer section.
    pub pointers: u16,
    /// The fields in declaration order (which is the order of the code, not of the ordinals).
    pub fields: &'static [Field],
}

/// A field of a struct, a parameter or a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    /// The name as the schema spells it: `coinbaseTx`.
    pub name: &'static str,
    /// The name of the Rust field or parameter: the schema's name or its `$Proxy.name`, in snake case.
    pub rust_name: &'static str,
    /// What is stored.
    pub kind: Kind,
    /// Where: in units of the field's own size within the data section (bits for [`Kind::Bool`]), or the index of
    /// the pointer.
    pub offset: u32,
    /// The default value of a data field, as the bits it is XORed with on the wire; 0 where there is none.
    pub default: u64,
    /// `$Proxy.count(0)` or `$Proxy.skip` on the field or on its type: the runtime fills it, no argument does.
    pub implicit: bool,
    /// The class that `$Proxy.exception` names, or an empty string.
    pub exception: &'static str,
    /// `$Rust.secret`: logs show how much the value is, never the value.
    pub secret: bool,
}

impl Field {
    /// The parameter that says on which threads a call runs, where it stands in nearly every schema: first.
    pub const CONTEXT: Self = Self::implicit("context", "context", Kind::Struct(CONTEXT_ID), 0);

    /// A field that an argument or a member of a Rust struct fills, with no default value.
    #[must_use]
    pub const fn new(name: &'static str, rust_name: &'static str, kind: Kind, offset: u32) -> Self {
        Self {
            name,
            rust_name,
            kind,
            offset,
            default: 0,
            implicit: false,
            exception: "",
            secret: false,
        }
    }

    /// A field like one of [`Field::new`], whose value no log may show.
    #[must_use]
    pub const fn secret(
        name: &'static str,
        rust_name: &'static str,
        kind: Kind,
        offset: u32,
    ) -> Self {
        Self {
            secret: true,
            ..Self::new(name, rust_name, kind, offset)
        }
    }

    /// A field that the runtime fills.
    #[must_use]
    pub const fn implicit(
        name: &'static str,
        rust_name: &'static str,
        kind: Kind,
        offset: u32,
    ) -> Self {
        Self {
            implicit: true,
            ..Self::new(name, rust_name, kind, offset)
        }
    }

    /// A data field whose value is XORed with `default` on the wire.
    #[must_use]
    pub const fn with_default(
        name: &'static str,
        rust_name: &'static str,
        kind: Kind,
        offset: u32,
        default: u64,
    ) -> Self {
        Self {
            default,
            ..Self::new(name, rust_name, kind, offset)
        }
    }

    /// A result that stands for an error: set when the method fails with the class `exception`.
    #[must_use]
    pub const fn with_exception(
        name: &'static str,
        rust_name: &'static str,
        kind: Kind,
        offset: u32,
        exception: &'static str,
    ) -> Self {
        Self {
            exception,
            ..Self::new(name, rust_name, kind, offset)
        }
    }
}

/// What a field holds, as far as a proxy has to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Nothing.
    Void,
    /// One bit.
    Bool,
    /// A signed or unsigned integer of 8 bits.
    Bits8,
    /// A signed or unsigned integer of 16 bits, or an enum.
    Bits16,
    /// An integer of 32 bits or a `Float32`.
    Bits32,
    /// An integer of 64 bits or a `Float64`.
    Bits64,
    /// `Text`.
    Text,
    /// `Data`.
    Data,
    /// A list of elements of one kind.
    List(&'static Kind),
    /// A struct, named by its type id; 0 where a generic one has none of its own.
    Struct(u64),
    /// A capability of the interface with this id.
    Interface(u64),
    /// `AnyPointer`.
    AnyPointer,
}

/// Type id of `mp.Context`, the parameter that says on which threads a call runs.
pub const CONTEXT_ID: u64 = 0x9c44_e664_5d0b_22c6;
