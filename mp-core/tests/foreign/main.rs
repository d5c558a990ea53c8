//! The runtime against a peer by other hands: pycapnp, which is Cap'n Proto's C++ runtime under Python. It knows the
//! wire and nothing of threads, so everything libmultiprocess's conventions ask for is done by hand in the scripts
//! beside this file, from the same schema file as our own tables.
//!
//! Without python3 and its module `capnp` there is nothing to test against: the tests say so and pass, except in CI,
//! where they fail. `MP_PYTHON` names another interpreter.

#![allow(missing_docs, clippy::unwrap_used, clippy::disallowed_names)]

#[allow(dead_code)]
#[path = "../foo/interface.rs"]
mod interface;
#[allow(dead_code)]
#[path = "../foo/server.rs"]
mod server;
#[allow(dead_code)]
#[rustfmt::skip]
#[path = "../foo/tables.rs"]
mod tables;

mod python_calls;
mod python_serves;

use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::sync::LazyLock;
use std::time::Duration;

use mp_core::process::{Spawned, spawn};

/// The interpreter, if it has what is needed.
static PYTHON: LazyLock<Option<String>> = LazyLock::new(|| {
    let python = std::env::var("MP_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let probe = Command::new(&python)
        .args(["-c", "import capnp"])
        .stderr(Stdio::null())
        .status();
    probe.is_ok_and(|status| status.success()).then_some(python)
});

/// A script of ours at the far end of a stream; `None` where it cannot run.
fn python(script: &str, case: &str) -> Option<(Spawned, UnixStream)> {
    let Some(python) = &*PYTHON else {
        assert!(
            std::env::var_os("CI").is_none(),
            "CI must have python3 with pycapnp"
        );
        eprintln!("SKIPPED: {case}: no python3 with pycapnp here");
        return None;
    };
    let script = format!("{}/tests/foreign/{script}", env!("CARGO_MANIFEST_DIR"));
    Some(spawn(python, ["-B", script.as_str(), case]).unwrap())
}

/// Waits for the script; a case that does not hold is one that it leaves with a failure, its reason on stderr.
fn ended_well(mut spawned: Spawned, case: &str) {
    match spawned.wait_within(Duration::from_secs(60)) {
        Ok(status) => assert!(
            status.success(),
            "the script says that {case} fails: {status}"
        ),
        Err(error) => {
            let _ = spawned.kill();
            panic!("{case}: {error}");
        }
    }
}
