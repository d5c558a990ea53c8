//! The chainstate as its callers meet it: blocks in, coins, events and files out.

#[path = "chainstate/support.rs"]
mod support;

#[path = "chainstate/datadir.rs"]
mod datadir;
#[path = "chainstate/dump.rs"]
mod dump;
#[path = "chainstate/durability.rs"]
mod durability;
#[cfg(not(feature = "system-leveldb"))]
#[path = "chainstate/fault.rs"]
mod fault;
#[path = "chainstate/import.rs"]
mod import;
#[path = "chainstate/model.rs"]
mod model;
#[path = "chainstate/prune.rs"]
mod prune;
#[path = "chainstate/reorg.rs"]
mod reorg;
#[path = "chainstate/run_ahead.rs"]
mod run_ahead;
#[path = "chainstate/snapshot.rs"]
mod snapshot;
#[path = "chainstate/snapshot_source.rs"]
mod snapshot_source;
#[path = "chainstate/submit.rs"]
mod submit;
