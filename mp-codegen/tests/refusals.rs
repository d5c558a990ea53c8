//! What is refused, and in which words.

use mp_codegen::{Error, Options, Schemas, Style, Traits};
use proptest::prelude::*;
use std::path::Path;
use std::process::{Command, Output};

/// The request that the compiler printed for `schemas/base.capnp`.
const REQUEST: &[u8] = include_bytes!("expected/base.request");

fn tool_is_here() -> bool {
    let here = Command::new("capnp").arg("--version").output().is_ok();
    if !here {
        eprintln!("skipped: no `capnp` here");
    }
    here
}

/// Compiles a schema of this text, and prints its traits too.
fn refusal(text: &str) -> String {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let head = "@0xd1d2d3d4d5d6d7d8;\nusing Proxy = import \"/mp/proxy.capnp\";\n";
    std::fs::write(folder.path().join("bad.capnp"), format!("{head}{text}"))
        .expect("the schema can be written");
    let options = Options {
        root: folder.path().to_owned(),
        files: vec!["bad.capnp".into()],
        ..Options::default()
    };
    let style = Style {
        traits: Traits::Unwrapped,
        ..Style::default()
    };
    match Schemas::compile(&options).and_then(|schemas| schemas.emit(&style)) {
        Ok(_) => panic!("accepted: {text}"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn a_refusal_names_the_line_and_what_to_write() {
    if !tool_is_here() {
        return;
    }
    for (text, expected) in [
        (
            "struct A {\n  union { b @0 :Bool; c @1 :Void; }\n}",
            "bad.capnp:3: A: unions cannot cross; write a separate field for each case",
        ),
        (
            "struct A {\n  b :group { c @0 :Bool; }\n}",
            "bad.capnp:4: A.b: groups cannot cross; write a struct of its own and a field of that type",
        ),
        (
            "struct A {\n  b @0 :Text = \"c\";\n}",
            "bad.capnp:4: A.b: a default value on a text, data, list or struct field cannot cross; let the code \
             supply it",
        ),
        (
            "interface A {\n  b @0 (c :Int32 $Proxy.count(-1)) -> ();\n}",
            "bad.capnp:4: A.b.c: $Proxy.count(-1) counts nothing; write 0 for a parameter that the runtime fills, \
             else leave it out",
        ),
        (
            "interface A {\n  b @0 () -> () $Proxy.name(\"operator()\");\n}",
            "bad.capnp:4: A.b: \"operator()\" is no Rust name; use letters, digits and underscores, in $Proxy.name \
             too",
        ),
        (
            "interface A {\n  b @0 ();\n  c @1 () $Proxy.name(\"b\");\n}",
            "bad.capnp:5: A.c: \"b\" is the Rust name of b too; give one of them another with $Proxy.name",
        ),
        (
            "struct A {\n  b @0 :Text;\n}\nconst a :Text = \"\";",
            "bad.capnp:6: a: \"A\" is the Rust name of A too; give one of them another with $Proxy.name",
        ),
        (
            "interface A extends(Proxy.ThreadMap) {}",
            "bad.capnp:3: A: extends mp/proxy.capnp:ThreadMap, whose file is not among those to write; name it too",
        ),
        (
            "struct B {}\nconst a :List(B) = [];",
            "bad.capnp:4: a: a constant of this type has no Rust constant; use a number, a Bool, Text or Data",
        ),
        (
            "interface A {\n  b @0 (c :AnyPointer) -> ();\n}",
            "bad.capnp:4: A.b: AnyPointer has no Rust type in a generated trait; write the trait by hand and name \
             it with $Proxy.wrap",
        ),
    ] {
        assert_eq!(refusal(text), expected);
    }
}

#[test]
fn the_compilers_own_errors_come_through() {
    if !tool_is_here() {
        return;
    }
    let message = refusal("struct A {\n  b @0 :Nothing;\n}");
    assert!(message.contains("bad.capnp:4:9-16: error:"), "{message}");
}

#[test]
fn what_is_missing_is_named() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut options = Options {
        root: folder.path().to_owned(),
        files: vec!["a.capnp".into()],
        ..Options::default()
    };
    let Err(error) = Schemas::compile(&options) else {
        panic!("there is no such file")
    };
    assert!(matches!(&error, Error::Io { path, .. } if path.ends_with("a.capnp")));

    let text = "@0xd1d2d3d4d5d6d7d8; using B = import \"b.capnp\";";
    std::fs::write(folder.path().join("a.capnp"), text).expect("the schema can be written");
    let error = Schemas::compile(&options).err().expect("no b.capnp");
    assert_eq!(
        error.to_string(),
        "a.capnp: import \"b.capnp\" not found in any import path; add its folder with -I"
    );

    std::fs::write(folder.path().join("b.capnp"), "@0xd1d2d3d4d5d6d7d9;").expect("can be written");
    options.tool = Some("/nonexistent/capnp".into());
    let error = Schemas::compile(&options).err().expect("no such tool");
    assert!(matches!(error, Error::ToolMissing { .. }));
    assert!(error.to_string().contains("apt install capnproto"));
}

fn mpgen(args: &[&str]) -> (Option<i32>, String, String) {
    let output: Output = Command::new(env!("CARGO_BIN_EXE_mpgen"))
        .args(args)
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests"))
        .output()
        .expect("mpgen runs");
    let text = |bytes| String::from_utf8(bytes).expect("messages are UTF-8");
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

#[test]
fn mpgen_takes_no_option_that_it_does_not_know() {
    for (args, expected) in [
        (&["--outt", "x", "a.capnp"][..], "unknown option --outt"),
        (
            &["--traits=some", "--out", "x", "a.capnp"],
            "unknown option --traits=some",
        ),
        (
            &["--check=yes", "--out", "x", "a.capnp"],
            "unknown option --check=yes",
        ),
        (&["-x"], "unknown option -x"),
        (&["--out", "x"], "no schema file given"),
        (&["a.capnp"], "--out DIR is missing"),
        (&["a.capnp", "--out"], "option --out needs a value"),
        (
            &["a.capnp", "--out", "x", "--out", "y"],
            "option --out given twice",
        ),
        (
            &["--max-width", "wide", "--out", "x", "a.capnp"],
            "no number from 40 to 1000",
        ),
    ] {
        let (code, out, err) = mpgen(args);
        assert_eq!((code, out.as_str()), (Some(2), ""), "{args:?}");
        assert!(err.contains(expected), "{args:?}: {err}");
    }
    let (code, out, _) = mpgen(&["--help"]);
    assert_eq!(code, Some(0));
    assert!(out.contains("--check"));
    let (code, out, _) = mpgen(&["--version"]);
    assert_eq!(code, Some(0));
    assert_eq!(out, format!("mpgen {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn mpgen_writes_and_checks() {
    if !tool_is_here() {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let out = folder.path().join("out");
    let out = out.to_str().expect("a plain path");
    let base = ["--out", out, "schemas/base.capnp"];
    let check = ["--check", "--out", out, "schemas/base.capnp"];
    let (code, _, err) = mpgen(&check);
    assert_eq!(code, Some(1));
    assert!(err.contains("base.rs is missing"), "{err}");
    assert_eq!(mpgen(&base).0, Some(0));
    assert_eq!(mpgen(&check), (Some(0), String::new(), String::new()));
    let (code, _, err) = mpgen(&["--out", out, "schemas/none.capnp"]);
    assert_eq!(code, Some(1));
    assert!(err.starts_with("mpgen: "), "{err}");
}

#[test]
fn a_request_alone_gives_the_same_tables() {
    let schemas = Schemas::from_request(REQUEST).expect("the compiler printed it");
    let files = schemas.emit(&Style::default()).expect("tables");
    let body = |text: &str| text.split_once("\n\nuse ").map(|(_, rest)| rest.to_owned());
    assert_eq!(files[0].name, "base.rs");
    assert_eq!(body(&files[0].text), body(include_str!("expected/base.rs")));
}

fn read(bytes: &[u8]) {
    let style = Style {
        traits: Traits::All,
        ..Style::default()
    };
    if let Ok(schemas) = Schemas::from_request(bytes) {
        let _ = schemas.emit(&style);
    }
}

proptest! {
    #[test]
    fn no_bytes_are_too_strange(bytes in prop::collection::vec(any::<u8>(), 0..512)) {
        read(&bytes);
    }

    #[test]
    fn no_damage_is_too_great(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..20),
        end in any::<prop::sample::Index>(),
        cut in any::<bool>(),
    ) {
        let mut bytes = REQUEST.to_vec();
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if cut {
            bytes.truncate(end.index(bytes.len()));
        }
        read(&bytes);
    }
}

#[test]
fn names_cannot_bring_code_along() {
    let names: Vec<usize> = (1..REQUEST.len() - 6)
        .filter(|&at| &REQUEST[at..at + 6] == b":Point" && REQUEST[at - 1] != b':')
        .collect();
    assert!(!names.is_empty());
    for at in names {
        let mut bytes = REQUEST.to_vec();
        bytes[at + 1..at + 6].copy_from_slice(b"a;b//");
        let error = Schemas::from_request(&bytes).err().expect("no identifier");
        assert!(error.to_string().contains("is no Rust name"), "{error}");
    }
}

/// A request for `a.capnp`, whose struct `S` has a field of type `b.capnp:G(argument)`.
fn instance_of(argument: &str) -> Vec<u8> {
    use capnp::schema_capnp::code_generator_request;
    let mut message = capnp::message::Builder::new_default();
    let mut request = message.init_root::<code_generator_request::Builder<'_>>();
    let mut nodes = request.reborrow().init_nodes(4);
    let mut file = nodes.reborrow().get(0);
    file.set_id(1);
    file.set_display_name("a.capnp");
    file.reborrow().init_nested_nodes(1).get(0).set_id(2);
    file.set_file(());
    for (index, id, name) in [(1, 2, "a.capnp:S"), (2, 3, "b.capnp:G")] {
        let mut node = nodes.reborrow().get(index);
        node.set_id(id);
        node.set_display_name(name);
        node.set_scope_id(1);
        let mut body = node.init_struct();
        body.set_pointer_count(1);
        let mut field = body.init_fields(1).get(0);
        field.set_name("field");
        let ty = field.init_slot().init_type();
        if id == 3 {
            let mut parameter = ty.init_any_pointer().init_parameter();
            parameter.set_scope_id(3);
            continue;
        }
        let mut instance = ty.init_struct();
        instance.set_type_id(3);
        let mut scope = instance.init_brand().init_scopes(1).get(0);
        scope.set_scope_id(3);
        let bound = scope.init_bind(1).get(0).init_type();
        bound.init_struct().set_type_id(4);
    }
    let mut foreign = nodes.get(3);
    foreign.set_id(4);
    foreign.set_display_name(argument);
    foreign.init_struct();
    let mut files = request.init_requested_files(1);
    let mut requested = files.reborrow().get(0);
    requested.set_id(1);
    requested.set_filename("a.capnp");
    capnp::serialize::write_message_to_words(&message)
}

#[test]
fn nor_can_names_from_other_files() {
    // The node is of a file that is not generated, so that only its use can be refused.
    let files = Schemas::from_request(&instance_of("b.capnp:E"))
        .and_then(|schemas| schemas.emit(&Style::default()));
    let text = &files.expect("an ordinary name").remove(0).text;
    assert!(text.contains("G_E"), "{text}");
    for argument in ["b.capnp:E\0", "b.capnp:E;F", "E\u{e9}"] {
        let error = Schemas::from_request(&instance_of(argument)).err();
        let error = error.expect("no identifier").to_string();
        assert!(error.contains("is no Rust name"), "{argument:?}: {error}");
    }
}
