//! Traits without a schema file.

use std::os::unix::net::UnixStream;
use std::sync::Arc;

use mp_core::schema::{CONTEXT_ID, Kind};
use mp_core::{Connection, Error, Interface, Message, Options};

pub struct Codec;

#[derive(Message, Debug, Clone, PartialEq)]
#[mp(codec = Codec, id = 0x9000_0000_0000_0011)]
pub struct Point {
    pub hidden: bool,
    pub x: i32,
    pub y: Option<i64>,
    pub name: String,
}

#[mp_core::interface(codec = Codec, id = 0x9000_0000_0000_0012, root)]
pub trait Plane: Send + Sync {
    fn mirror(&self, point: Point, times: u8) -> Result<Vec<Point>, Error>;
    #[mp(ordinal = 7)]
    fn each(&self, seen: Arc<dyn Seen>) -> Result<(), Error>;
    #[mp(direct, ordinal = 2)]
    fn count(&self) -> Result<u16, Error>;
}

#[mp_core::interface(codec = Codec, id = 0x9000_0000_0000_0013)]
pub trait Seen: Send + Sync {
    fn seen(&self, point: Point) -> Result<(), Error>;
}

struct Flat;

impl Plane for Flat {
    fn mirror(&self, point: Point, times: u8) -> Result<Vec<Point>, Error> {
        Ok(vec![
            Point {
                x: -point.x,
                ..point
            };
            times.into()
        ])
    }
    fn each(&self, seen: Arc<dyn Seen>) -> Result<(), Error> {
        seen.seen(Point {
            hidden: true,
            x: 1,
            y: Some(2),
            name: "first".to_owned(),
        })
    }
    fn count(&self) -> Result<u16, Error> {
        Ok(3)
    }
}

struct Expect;

impl Seen for Expect {
    fn seen(&self, point: Point) -> Result<(), Error> {
        assert_eq!(point.name, "first");
        Ok(())
    }
}

#[test]
fn calls_work() {
    let (here, there) = UnixStream::pair().unwrap();
    let flat: Arc<dyn Plane> = Arc::new(Flat);
    Connection::serve(there, flat, Options::default()).unwrap();
    let (_connection, plane) = Connection::connect::<dyn Plane>(here, Options::default()).unwrap();
    let point = Point {
        hidden: false,
        x: 5,
        y: Some(-6),
        name: "p".to_owned(),
    };
    let mirrored = plane.mirror(point.clone(), 2).unwrap();
    assert_eq!(mirrored, vec![Point { x: -5, ..point }; 2]);
    plane.each(Arc::new(Expect)).unwrap();
    assert_eq!(plane.count().unwrap(), 3);
}

#[test]
fn tables_are_what_a_schema_would_say() {
    let schema = <dyn Plane as Interface>::SCHEMA;
    let methods: Vec<_> = schema
        .methods
        .iter()
        .map(|method| (method.name, method.ordinal))
        .collect();
    assert_eq!(
        methods,
        [("construct", 0), ("mirror", 1), ("count", 2), ("each", 7)]
    );
    let mirror = &schema.methods[1].params;
    let fields: Vec<_> = mirror
        .fields
        .iter()
        .map(|field| (field.name, field.kind, field.offset))
        .collect();
    assert_eq!(
        fields,
        [
            ("context", Kind::Struct(CONTEXT_ID), 0),
            ("point", Kind::Struct(0x9000_0000_0000_0011), 1),
            ("times", Kind::Bits8, 0)
        ]
    );
    assert_eq!((mirror.data_words, mirror.pointers), (1, 2));
    assert!(schema.methods[2].params.fields.is_empty());
}
