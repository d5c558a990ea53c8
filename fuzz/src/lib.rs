//! What the fuzz targets do with their bytes, each a function that panics on a finding.
//!
//! They are here, not in the targets, so that the seeds also run as plain tests, without a sanitizer.

mod codegen;
mod consensus;
#[cfg(feature = "oracle")]
pub mod oracle;
mod rpc;
mod sequence;
mod variants;
mod wire;

pub use codegen::codegen_request;
pub use consensus::{consensus_script, consensus_tx};
pub use rpc::{Hall, Listener, Room, rpc_connection};
pub use sequence::rpc_sequence;
pub use variants::Variants;
pub use wire::wire_message;
