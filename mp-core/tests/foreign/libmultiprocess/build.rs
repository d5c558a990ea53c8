//! The tables of libmultiprocess's test interface.

use mp_codegen::{Options, Schemas, Style};
use std::path::PathBuf;

fn main() {
    println!("cargo::rerun-if-env-changed=FOO_SOURCE");
    let source = PathBuf::from(std::env::var_os("FOO_SOURCE").expect("FOO_SOURCE: see `build`"));
    let schemas = Schemas::compile(&Options {
        root: source.join("test"),
        files: vec!["mp/test/foo.capnp".into()],
        import_paths: vec![source.join("include")],
        ..Options::default()
    })
    .unwrap_or_else(|error| panic!("{error}"));
    let files = schemas
        .emit(&Style::default())
        .unwrap_or_else(|error| panic!("{error}"));
    // What is included cannot describe the module that it is included in.
    let text: String = files[0]
        .text
        .lines()
        .filter(|line| !line.starts_with("//!"))
        .map(|line| format!("{line}\n"))
        .collect();
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets it"));
    std::fs::write(out.join("foo.rs"), text).expect("the tables can be written");
}
