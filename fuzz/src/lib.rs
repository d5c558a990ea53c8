//! What the fuzz targets do with their bytes, each a function that panics on a finding.
//!
//! They are here, not in the targets, so that the seeds also run as plain tests, without a sanitizer.

mod calls;
mod codegen;
mod config;
mod consensus;
mod descriptor;
mod files;
#[cfg(feature = "oracle")]
pub mod oracle;
mod peer;
mod rpc;
mod sequence;
mod variants;
mod wire;

pub use calls::{http_request, jsonrpc_args};
pub use codegen::codegen_request;
pub use config::config_file;
pub use consensus::{consensus_script, consensus_tx};
pub use descriptor::descriptor;
pub use files::{leveldb_files, storage_record};
pub use peer::p2p_message;
pub use rpc::{Hall, Listener, Room, rpc_connection};
pub use sequence::rpc_sequence;
pub use variants::Variants;
pub use wire::wire_message;
