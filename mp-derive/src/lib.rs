//! The macros of `mp-core`: a trait or a struct becomes its proxies.
//!
//! Use them through `mp_core`, which re-exports them and documents what they make of a trait: `mp_core::interface`
//! and `mp_core::Message`.

mod attribute;
mod interface;
mod message;
mod names;

use proc_macro::TokenStream;

/// Makes a trait callable from another process.
///
/// ```text
/// #[mp_core::interface(codec = Codec, schema = path::TO_TABLE)]
/// pub trait Calculator: Send + Sync {
///     fn add(&self, a: i32, b: i32) -> Result<i32, mp_core::Error>;
/// }
/// ```
///
/// The trait itself is kept as it is. What is added: `mp_core::Interface` for `dyn Calculator`, and `Calculator` for
/// `mp_core::Proxy<dyn Calculator>`.
///
/// | argument | meaning |
/// |---|---|
/// | `codec = path` | the marker type `C` of the `mp_core::Field<C>` that arguments and results implement |
/// | `schema = path` | the `mp_core::schema::Interface` of the trait; methods and parameters are found in it by their Rust names, in any order |
/// | `id = 0x…` | instead of a schema: the type id; ordinals come from `#[mp(ordinal = n)]` on each method, or from their order |
/// | `root` | with `id`: the interface is where connections begin; ordinal 0 becomes `construct`, by which each side lets the other make threads |
/// | `extends(Base, …)` | further interfaces whose methods the objects have; supertraits other than `Send`, `Sync`, `Debug` and `Any` count without being named |
/// | `async_twin` | makes a struct `CalculatorAsync`, whose methods give futures instead of waiting; see `mp_core::Pending` |
/// | `local(name, …)` | methods that never travel; they need a body |
///
/// With `id`, `#[mp(secret)]` on a parameter keeps its value out of logs, and on a method its result; a schema says
/// `$Rust.secret`.
///
/// Methods take `&self` and arguments that they own (or `&str`, `&[T]`, `&T`), and return a `Result<R, E>` where
/// `E: From<mp_core::Error> + Into<mp_core::Error>`. A method with a body that the schema does not declare is local; one
/// without a body that the schema does not declare, or whose parameters differ from the schema's, is a compile error.
#[proc_macro_attribute]
pub fn interface(arguments: TokenStream, item: TokenStream) -> TokenStream {
    interface::expand(arguments.into(), item.into())
        .unwrap_or_else(|error| error.to_compile_error())
        .into()
}

/// Makes a struct or an enum without data a value that a message can keep.
///
/// ```text
/// #[derive(mp_core::Message)]
/// #[mp(codec = Codec, schema = path::TO_TABLE)]
/// struct Point { x: i32, y: Option<i32> }
///
/// #[derive(mp_core::Message)]
/// #[mp(codec = Codec, repr = "Int32")]
/// enum Colour { Red = 0, Green = 1 }
/// ```
///
/// | argument | meaning |
/// |---|---|
/// | `codec = path` | the marker type of `mp_core::Field` |
/// | `schema = path` | the `mp_core::schema::Struct`; members are found in it by their Rust names |
/// | `id = 0x…` | instead of a schema: the type id; members have the order of their ordinals |
/// | `results` | the members are the results of a method that has several |
/// | `repr = "Int32"` | for an enum: the integer type it is kept in (`Int8` to `UInt64`, or `UInt16` for a schema's enum) |
///
/// With `id`, `#[mp(secret)]` on a member keeps its value out of logs; a schema says `$Rust.secret`.
#[proc_macro_derive(Message, attributes(mp))]
pub fn message(item: TokenStream) -> TokenStream {
    message::expand(item.into())
        .unwrap_or_else(|error| error.to_compile_error())
        .into()
}
