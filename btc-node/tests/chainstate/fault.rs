//! The disk fails, writes short, runs full or is gone at each call that changes it: the node says so once and stops, and
//! the next one comes back with what was reported as done and goes on to the same coins.

#[path = "fault/files.rs"]
mod files;
#[path = "fault/gate.rs"]
mod gate;
#[path = "fault/growth.rs"]
mod growth;
#[path = "fault/rebuild.rs"]
mod rebuild;
#[path = "fault/snapshot.rs"]
mod snapshot;
