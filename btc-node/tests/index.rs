//! Indexes as their callers meet them: what they answer, across reorganizations, restarts and kills.

#[path = "chainstate/support.rs"]
#[allow(
    dead_code,
    reason = "shared with the tests of the chainstate, which need more of it"
)]
mod support;

#[path = "chainstate/snapshot_source.rs"]
#[allow(dead_code, reason = "as above")]
mod snapshot_source;

#[path = "index/answers.rs"]
mod answers;
#[cfg(not(feature = "system-leveldb"))]
#[path = "index/fault.rs"]
mod fault;
#[path = "index/files.rs"]
mod files;
#[cfg(not(feature = "system-leveldb"))]
#[path = "chainstate/fault/gate.rs"]
#[allow(dead_code, reason = "as above")]
mod gate;
#[path = "index/kill.rs"]
mod kill;
#[path = "index/reorg.rs"]
mod reorg;
#[path = "index/snapshot.rs"]
mod snapshot;
#[path = "index/vectors.rs"]
mod vectors;
