//! The exported text, and the tables made of it.

use std::path::Path;

use mp_core::schema::{ExportError, Interface, Kind, SchemaFile, Struct};
use mp_core::{Error, Interface as _};

use crate::inline::{Named, Plane, Point, Seen};
use crate::{declared, tables};

#[test]
fn the_text_is_the_committed_file() {
    let file = SchemaFile::new(0x9000_0000_0000_0020)
        .interface::<dyn Plane>()
        .unwrap();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/export/plane.capnp");
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        std::fs::write(&path, file.to_string()).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap(), file.to_string());
}

#[test]
fn the_tables_of_the_text_are_those_of_the_traits() {
    same_interface(<dyn Plane>::SCHEMA, &tables::PLANE);
    same_interface(<dyn Named>::SCHEMA, &tables::NAMED);
    same_interface(<dyn Seen>::SCHEMA, &tables::SEEN);
    // The layout of a message can be seen through its use alone, but for its size.
    assert_eq!(
        <Point as mp_core::Field<_>>::STRUCT_SIZE,
        (tables::POINT.data_words, tables::POINT.pointers)
    );
}

/// The file has more methods where the trait skips ordinals.
fn same_interface(inline: &Interface, table: &Interface) {
    assert_eq!(
        (inline.id, inline.name, inline.wrap),
        (table.id, table.name, table.wrap)
    );
    let bases = |interface: &Interface| interface.extends.iter().map(|b| b.id).collect::<Vec<_>>();
    assert_eq!(bases(inline), bases(table));
    let mut methods = inline.methods.iter();
    for declared in table.methods {
        if declared.name.starts_with("unused") {
            continue;
        }
        let method = methods.next().unwrap();
        assert_eq!(
            (
                method.interface,
                method.ordinal,
                method.name,
                method.rust_name
            ),
            (
                declared.interface,
                declared.ordinal,
                declared.name,
                declared.rust_name
            )
        );
        same_struct(&method.params, &declared.params);
        same_struct(&method.results, &declared.results);
    }
    assert!(methods.next().is_none());
}

fn same_struct(inline: &Struct, table: &Struct) {
    assert_eq!(
        (inline.name, inline.data_words, inline.pointers),
        (table.name, table.data_words, table.pointers)
    );
    assert_eq!(inline.fields.len(), table.fields.len(), "{}", inline.name);
    for (field, declared) in inline.fields.iter().zip(table.fields) {
        let mut field = *field;
        // A pair has an id in a file, for it has a name there.
        assert!(
            same_kind(&field.kind, &declared.kind),
            "{field:?} {declared:?}"
        );
        field.kind = declared.kind;
        assert_eq!(field, *declared);
    }
}

fn same_kind(inline: &Kind, table: &Kind) -> bool {
    match (inline, table) {
        (Kind::Struct(0), Kind::Struct(_)) => true,
        (Kind::List(inline), Kind::List(table)) => same_kind(inline, table),
        _ => inline == table,
    }
}

#[test]
fn what_has_a_file_is_not_exported() {
    let refused = SchemaFile::new(1 << 63).interface::<dyn declared::Plane>();
    assert_eq!(refused.unwrap_err(), ExportError::HasSchema("Plane"));
    let refused = SchemaFile::new(1 << 63).message::<declared::Codec, declared::Point>();
    assert_eq!(
        refused.unwrap_err().to_string(),
        "`Point` has a schema file already"
    );
}

mod other {
    use super::{Error, Seen};
    use std::sync::Arc;

    #[derive(mp_core::Message)]
    #[mp(codec = crate::inline::Codec, id = 0x9000_0000_0000_0031)]
    pub struct Point {
        pub z: u8,
    }

    #[mp_core::interface(codec = crate::inline::Codec, id = 0x9000_0000_0000_0032)]
    pub trait Space: Send + Sync {
        fn flatten(&self, point: Point, seen: Arc<dyn Seen>) -> Result<(), Error>;
    }
}

#[test]
fn a_name_is_taken_once() {
    let refused = SchemaFile::new(1 << 63).interface::<dyn other::Space>();
    assert_eq!(
        refused.unwrap_err(),
        ExportError::NameTaken("Point".to_owned())
    );
}

#[mp_core::interface(codec = crate::inline::Codec, id = 0x9000_0000_0000_0033)]
trait Grid: Send + Sync {
    fn cell(&self, a_1: u8) -> Result<(), Error>;
}

#[test]
fn what_cannot_be_spelled_is_named() {
    let refused = SchemaFile::new(1 << 63).interface::<dyn Grid>();
    assert_eq!(refused.unwrap_err(), ExportError::Spelling("a_1"));
}
