//! What is generated for schemas with every shape. With `UPDATE_EXPECTED=1` the expected files are written anew.

use mp_codegen::{Job, Options, Schemas, Stale, Style, Traits};
use mp_core::schema::{CONTEXT_ID, Kind};
use std::path::{Path, PathBuf};

/// The expected files are compiled here: what is generated is valid.
#[allow(dead_code, reason = "not every table is looked at")]
mod expected {
    pub mod base;
    pub mod shapes;
}
use expected::{base, shapes};

/// Whether `capnp` can be run; without it there is nothing to compare.
fn tool_is_here() -> bool {
    let here = std::process::Command::new("capnp")
        .arg("--version")
        .output()
        .is_ok();
    if !here {
        eprintln!("skipped: no `capnp` here");
    }
    here
}

fn here() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests")
}

fn options() -> Options {
    Options {
        root: here(),
        files: vec!["schemas/base.capnp".into(), "schemas/shapes.capnp".into()],
        ..Options::default()
    }
}

fn compare(folder: &str, style: &Style) {
    if !tool_is_here() {
        return;
    }
    let schemas = Schemas::compile(&options()).expect("the schemas are right");
    let files = schemas.emit(style).expect("all types have a Rust equal");
    assert_eq!(files.len(), 2);
    for file in files {
        let path = here().join(folder).join(&file.name);
        if std::env::var_os("UPDATE_EXPECTED").is_some() {
            std::fs::write(&path, &file.text).expect("expected files can be written");
        }
        let expected = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            file.text == expected,
            "{} differs; see the difference with UPDATE_EXPECTED=1",
            path.display()
        );
    }
}

#[test]
fn tables_are_as_expected() {
    compare("expected", &Style::default());
}

#[test]
fn traits_are_as_expected() {
    let style = Style {
        traits: Traits::Unwrapped,
        codec: "crate::Codec".to_owned(),
        ..Style::default()
    };
    compare("expected/traits", &style);
}

#[test]
fn output_is_what_rustfmt_prints() {
    if !tool_is_here() {
        return;
    }
    let rustfmt = std::env::var_os("RUSTFMT").unwrap_or_else(|| "rustfmt".into());
    let runs = std::process::Command::new(&rustfmt)
        .arg("--version")
        .output();
    if !runs.is_ok_and(|o| o.status.success()) {
        eprintln!("skipped: no rustfmt here");
        return;
    }
    let schemas = Schemas::compile(&options()).expect("the schemas are right");
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (max_width, wide) in [(100, false), (120, false), (120, true), (80, false)] {
        let style = Style {
            traits: Traits::Unwrapped,
            format: mp_codegen::Format { max_width, wide },
            ..Style::default()
        };
        let heuristics = if wide { "Max" } else { "Default" };
        std::fs::write(
            folder.path().join("rustfmt.toml"),
            format!("max_width = {max_width}\nuse_small_heuristics = \"{heuristics}\"\n"),
        )
        .expect("the settings can be written");
        for file in schemas.emit(&style).expect("all types have a Rust equal") {
            let path = folder.path().join(&file.name);
            std::fs::write(&path, &file.text).expect("the file can be written");
            let output = std::process::Command::new(&rustfmt)
                .args(["--edition", "2024", "--check"])
                .arg(&path)
                .output()
                .expect("rustfmt runs");
            assert!(
                output.status.success(),
                "width {max_width}, {heuristics}: {}",
                String::from_utf8_lossy(&output.stdout)
            );
        }
    }
}

#[test]
fn fields_lie_where_capnp_puts_them() {
    let method = |name| {
        shapes::SHAPES
            .methods
            .iter()
            .find(|m| m.name == name)
            .expect("the schema has it")
    };
    let scalars = method("scalars");
    assert_eq!(scalars.params.data_words, 4);
    // After a bit and a byte: the second half-word, the second word, and so on.
    let offsets: Vec<u32> = scalars.params.fields.iter().map(|f| f.offset).collect();
    assert_eq!(offsets, [0, 1, 1, 1, 1, 4, 3, 0]);

    let defaults: Vec<u64> = method("defaults")
        .params
        .fields
        .iter()
        .map(|f| f.default)
        .collect();
    let expected = [1, 0xff, 7, 0xffff_fffe, f64::MAX.to_bits(), 2];
    assert_eq!(defaults, expected);

    // By ordinal, although declared the other way round.
    let ordinals: Vec<u16> = shapes::SHAPES.methods.iter().map(|m| m.ordinal).collect();
    assert_eq!(ordinals, (0..16).collect::<Vec<u16>>());
    assert_eq!(shapes::SHAPES.methods[13].name, "elder");

    // In the order of the code.
    let order: Vec<&str> = shapes::WHOLE.fields.iter().map(|f| f.name).collect();
    assert_eq!(
        order,
        [
            "second", "first", "skipped", "small", "flag", "any", "ratio"
        ]
    );
}

#[test]
fn annotations_have_their_effect() {
    assert_eq!(shapes::SHAPES.wrap, "crate::Shapes");
    assert_eq!(shapes::SHAPES.methods[11].rust_name, "spelled_in_rust");
    let first = shapes::WHOLE.fields[1];
    assert_eq!((first.name, first.rust_name), ("first", "the_first"));
    assert!(shapes::WHOLE.fields[2].implicit, "$Proxy.skip");
    let counted = shapes::SHAPES.methods[12].params.fields;
    assert!(counted[0].implicit, "$Proxy.count(0)");
    assert!(!counted[1].implicit, "$Proxy.count(2)");
    let error = shapes::SHAPES.methods[7].results.fields[0];
    assert_eq!(error.exception, "std::exception");
    let login = &shapes::SHAPES.methods[15];
    assert!(login.params.fields.iter().all(|f| f.secret), "$Rust.secret");
    assert_eq!(login.params.fields[1].default, 4);
    assert!(login.results.fields[0].secret);
    assert!(!counted[0].secret);
    // From the annotation on the types Context and ThreadMap.
    let callback = shapes::SHAPES.methods[9].params.fields[0];
    assert_eq!(
        (callback.kind, callback.implicit),
        (Kind::Struct(CONTEXT_ID), true)
    );
    assert!(shapes::SHAPES.methods[0].params.fields[0].implicit);
}

#[test]
fn types_refer_to_each_other() {
    assert_eq!(shapes::LISTENER.extends, [&base::HANDLE]);
    assert_eq!(shapes::SHAPES.methods[10].params, base::POINT);
    assert_eq!(shapes::LISTENER_INNER.name, "Listener.Inner");
    let result = shapes::SHAPES.methods[9].results.fields[0];
    assert_eq!(result.kind, Kind::Interface(base::HANDLE.id));
    // An instance has the generic type's layout, the fields their types, and no id of its own.
    assert_eq!(shapes::PAIR_TEXT_POINT.id, 0);
    assert_eq!(
        shapes::PAIR_TEXT_POINT.fields[1].kind,
        Kind::Struct(base::POINT.id)
    );
    assert_eq!(shapes::PAIR.fields[1].kind, Kind::AnyPointer);
    assert_eq!(
        shapes::SHAPES.methods[6].params.fields[0].kind,
        Kind::List(&Kind::Struct(0))
    );
}

#[test]
fn constants_keep_their_values() {
    assert_eq!(shapes::ANSWER, -42);
    assert_eq!(shapes::LIMIT, u64::MAX);
    assert_eq!(shapes::HUGE, f64::MAX);
    assert!(shapes::ENDLESS.is_infinite());
    assert_eq!(shapes::GREETING, "say \"hi\"\n");
    assert_eq!(shapes::MAGIC, [0xf9, 0xbe, 0xb4, 0xd9, 0x22, 0x5c]);
    assert_eq!(shapes::FAVOURITE, 1);
}

#[test]
fn the_annotation_file_has_the_ids_of_the_protocol() {
    if !tool_is_here() {
        return;
    }
    let schemas = Schemas::compile(&Options {
        root: Path::new(env!("CARGO_MANIFEST_DIR")).join("schema"),
        files: vec!["mp/proxy.capnp".into()],
        ..Options::default()
    })
    .expect("the file is right");
    let text = &schemas.emit(&Style::default()).expect("tables")[0].text;
    let text: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    for fact in [
        "pub const THREAD_MAP: u64 = 0xee5e_3717_9ad9_dc9d;",
        "pub const THREAD: u64 = 0x81c1_e260_0d0b_56c5;",
        "pub const CONTEXT: u64 = 0x9c44_e664_5d0b_22c6;",
        "\"callbackThread\", \"callback_thread\", Kind::Interface(id::THREAD), 1,",
    ] {
        assert!(text.contains(fact), "{fact} is not in\n{text}");
    }
}

#[test]
fn stale_files_are_found_with_and_without_the_tool() {
    if !tool_is_here() {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let root = folder.path();
    std::fs::create_dir(root.join("schemas")).expect("a folder");
    for name in ["base.capnp", "shapes.capnp"] {
        let name = Path::new("schemas").join(name);
        std::fs::copy(here().join(&name), root.join(&name)).expect("the schema can be copied");
    }
    let out = root.join("out");
    let job = Job {
        options: Options {
            root: root.to_owned(),
            ..options()
        },
        style: Style::default(),
        out: out.clone(),
        parent: Some(root.join("out.rs")),
    };
    let base = out.join("base.rs");
    let shapes = out.join("shapes.rs");
    let both = |job: &Job| {
        let full = job.check().expect("the schemas are right");
        let digests = job.check_digests().expect("the schemas can be read");
        (full, digests)
    };

    let missing: Vec<PathBuf> = both(&job).1.into_iter().map(|(path, _)| path).collect();
    assert_eq!(missing, [base.clone(), shapes.clone(), root.join("out.rs")]);
    assert_eq!(job.write().expect("all can be written").len(), 3);
    assert_eq!(both(&job), (vec![], vec![]));
    assert!(job.write().expect("all is there").is_empty());

    // An edited file.
    let text = std::fs::read_to_string(&base).expect("it was written");
    std::fs::write(&base, text.replace("pointers: 0", "pointers: 9")).expect("can be edited");
    let (full, digests) = both(&job);
    assert_eq!(full, [(base.clone(), Stale::Differs)]);
    assert_eq!(digests, [(base.clone(), Stale::Edited)]);
    job.write().expect("it can be mended");

    // A changed schema makes its importers stale too.
    let schema = root.join("schemas/base.capnp");
    let text = std::fs::read_to_string(&schema).expect("it was copied");
    std::fs::write(&schema, text + "struct More { z @0 :Int8; }\n").expect("can be edited");
    let (full, digests) = both(&job);
    assert_eq!(full.len(), 2);
    assert_eq!(
        digests,
        [
            (base.clone(), Stale::Inputs),
            (shapes.clone(), Stale::Inputs)
        ]
    );

    // A schema that is gone.
    let less = Job {
        options: Options {
            files: vec!["schemas/base.capnp".into()],
            ..job.options.clone()
        },
        parent: None,
        ..job
    };
    less.write().expect("it can be mended");
    assert_eq!(both(&less).0, [(shapes, Stale::Orphaned)]);
}
