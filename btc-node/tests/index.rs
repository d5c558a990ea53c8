//! Indexes as their callers meet them: what they answer, across reorganizations, restarts and kills.

#[path = "chainstate/support.rs"]
#[allow(
    dead_code,
    reason = "shared with the tests of the chainstate, which need more of it"
)]
mod support;

#[path = "index/answers.rs"]
mod answers;
#[path = "index/files.rs"]
mod files;
#[path = "index/kill.rs"]
mod kill;
#[path = "index/reorg.rs"]
mod reorg;
#[path = "index/vectors.rs"]
mod vectors;
