//! Call objects in another process through the trait they implement.
//!
//! A trait with [`interface`](macro@interface) on it is an interface: whoever holds an `Arc<dyn Trait>` cannot tell
//! whether the object is in this process or in another one, except that a call may then end in [`Error`]. Objects,
//! callbacks among them, can be passed to and fro as arguments and results; an object lives for as long as either
//! side refers to it.
//!
//! What travels is Cap'n Proto, in the dialect of libmultiprocess, so the other side may be a program in C++: Bitcoin
//! Core's processes, for one. See [`Connection`] for how a connection begins and ends, [`process`] for spawning the
//! other side, [`Field`] for the types that can travel, and [`thread`](mod@thread) for the rules of threads.
//!
//! ```
//! use std::os::unix::net::UnixStream;
//! use std::sync::Arc;
//! use mp_core::{Connection, Error, Options};
//!
//! /// The marker type under which this program's types travel.
//! pub struct Codec;
//!
//! #[mp_core::interface(codec = Codec, id = 0xb2d7_4a1c_93e0_55f1)]
//! pub trait Listener: Send + Sync {
//!     fn heard(&self, word: String) -> Result<u64, Error>;
//! }
//!
//! #[mp_core::interface(codec = Codec, id = 0xa5c1_7be0_1234_9f01, root)]
//! pub trait Echo: Send + Sync {
//!     fn say(&self, word: String, listener: Arc<dyn Listener>) -> Result<u64, Error>;
//! }
//!
//! struct Cave;
//! impl Echo for Cave {
//!     fn say(&self, word: String, listener: Arc<dyn Listener>) -> Result<u64, Error> {
//!         // In this program the listener is in "another process": the call goes there and back.
//!         Ok(listener.heard(word.clone())? + listener.heard(word)?)
//!     }
//! }
//!
//! struct Ear;
//! impl Listener for Ear {
//!     fn heard(&self, word: String) -> Result<u64, Error> {
//!         Ok(word.len() as u64)
//!     }
//! }
//!
//! let (here, there) = UnixStream::pair().unwrap();
//! let cave: Arc<dyn Echo> = Arc::new(Cave);
//! Connection::serve(there, cave, Options::default())?;
//! let (connection, echo) = Connection::connect::<dyn Echo>(here, Options::default())?;
//! assert_eq!(echo.say("hello".to_owned(), Arc::new(Ear))?, 10);
//! # drop(connection);
//! # Ok::<(), Error>(())
//! ```
//!
//! # From a schema to a trait
//!
//! `mp-codegen` prints a `.capnp` file as tables of [`schema`]; the macro's `schema = …` names one, and methods and
//! parameters are found in it by their Rust names: `get_tip` for `getTip`, or whatever `$Proxy.name` says. What the
//! schema declares beyond them is the runtime's:
//!
//! - a parameter of type `mp.Context` carries the threads of the call; a method without it runs on the connection's
//!   own thread and must not wait for anything;
//! - a method that takes and gives an `mp.ThreadMap` is called when a connection begins;
//! - a method `destroy` is called when the last proxy is dropped, so that the object ends before its proxy has.
//!
//! A Rust method that the schema lacks, or one whose parameters differ from the schema's, does not compile (unless it
//! has a body: then it is local to each side):
//!
//! ```compile_fail
//! use mp_core::schema::Interface;
//!
//! struct Codec;
//! const EMPTY: Interface = Interface { id: 0x9b2f_3c61_80d4_e577, name: "Empty", wrap: "", extends: &[], methods: &[] };
//!
//! #[mp_core::interface(codec = Codec, schema = EMPTY)]
//! trait Empty: Send + Sync {
//!     // the schema of `Empty` declares no method `wait_tip` (by its `$Proxy.name`, or `waitTip`): …
//!     fn wait_tip(&self) -> Result<(), mp_core::Error>;
//! }
//! ```
//!
//! Several results are a struct with `#[derive(Message)]` and `#[mp(codec = …, results)]`, whose members have the
//! results' names. A result declared with `$Proxy.exception` makes the method's type `Result<Result<R, X>, E>`.
//!
//! Traits without a schema file have all of this too, and [`schema::SchemaFile`] writes the file that they would have.
//!
//! # Bounds of a call
//!
//! A call takes as long as the other side needs, unless its caller bounds it with [`with_timeout`] or calls it off with
//! a [`Cancellation`]. The other side is told: a call that has not begun does not run, and one that runs learns of it
//! from [`cancelled`] or [`Cancellation::of_call`].
//!
//! # Calls that do not wait
//!
//! With `async_twin`, a trait `Echo` has a twin `EchoAsync`, whose methods send their call and give a [`Pending`]
//! reply, a future for any executor. Dropping it calls the call off; what bounds the calls of the thread that made it,
//! when it made it, bounds it too. Such calls run on threads that the other side
//! keeps for them, see [`Connection::make_pool`].
//!
//! # Whom to trust with what
//!
//! [`Options`] say which user the other process must belong to, which interfaces it may call, and what it may cost.
//! Values marked as secret (`$Rust.secret` in a schema, `#[mp(secret)]` without one) are never written to a log.

#![deny(rustdoc::broken_intra_doc_links)]

mod cancel;
mod cap;
mod connection;
mod error;
mod field;
mod interface;
mod limits;
mod log;
mod options;
mod pending;
mod plan;
pub mod process;
mod rpc;
pub mod schema;
mod sync;
pub mod thread;
mod timer;
mod transport;
pub mod wire;

pub use cancel::{Cancellation, cancelled, with_timeout};
pub use connection::Connection;
pub use error::{DecodeError, Error, ExceptionKind};
pub use field::{Decoder, Encoder, Field, Outcome, Slot, SlotMut};
pub use interface::{Extends, Interface, Proxy};
pub use limits::Limits;
pub use mp_derive::{Message, interface};
pub use options::{Options, PeerCheck};
pub use pending::{AsyncProxy, Pending};
pub use transport::{Memory, Readiness, Role, Transport, memory};

/// What the macros' code refers to. No part of the interface that semantic versions speak of.
#[doc(hidden)]
pub mod __private {
    pub use crate::interface::{
        Reply, ServerCall, check_fields, only_results, plan_at, plans, result_named,
    };
    pub use crate::pending::local_only;
    pub use crate::plan::{
        FieldPlan, Member, MethodPlan, Results, check_params, construct, count_fields, find_method,
        layout_members, layout_results, layout_struct, plan_field,
    };
    pub use crate::schema::MethodTypes;

    /// What stands for a parameter of a method that is not in the schema.
    pub const NO_FIELD: FieldPlan = FieldPlan {
        field: crate::schema::Field::new("", "", crate::schema::Kind::Void, 0),
        has: None,
    };
}
