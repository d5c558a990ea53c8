//! Every seed through its target, as a plain test.

use std::path::Path;

/// Runs `target` over the files of `seeds/<name>` and, where a fuzzer has found some, `artifacts/<name>`.
fn run(name: &str, target: fn(&[u8])) {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut count = 0;
    for folder in ["seeds", "artifacts"] {
        let Ok(entries) = std::fs::read_dir(here.join(folder).join(name)) else {
            continue;
        };
        for entry in entries {
            let path = entry.expect("the folder can be listed").path();
            println!("{}", path.display());
            target(&std::fs::read(&path).expect("the seed can be read"));
            count += 1;
        }
    }
    assert!(count > 0, "{name} has no seeds");
}

#[test]
fn codegen_request() {
    run("codegen_request", fuzz::codegen_request);
}

#[test]
fn consensus_script() {
    run("consensus_script", fuzz::consensus_script);
}

#[test]
fn consensus_tx() {
    run("consensus_tx", fuzz::consensus_tx);
}

#[test]
fn rpc_connection() {
    run("rpc_connection", fuzz::rpc_connection);
}

#[test]
fn wire_message() {
    run("wire_message", fuzz::wire_message);
}
