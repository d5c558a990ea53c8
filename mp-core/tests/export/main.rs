//! A trait with a schema file and one without are the same on the wire, where the file is what the other exports.
//!
//! `plane.capnp` is that export, and `tables/plane.rs` what `mpgen` printed from it; `cargo xtask codegen` writes the
//! latter, and with `UPDATE_SCHEMA=1` these tests write the former.

#![allow(missing_docs, clippy::unwrap_used)]

mod calls;
mod declared;
mod inline;
mod text;

#[allow(dead_code)]
#[rustfmt::skip]
#[path = "tables/plane.rs"]
mod tables;
