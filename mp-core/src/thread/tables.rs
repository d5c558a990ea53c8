//! The methods of `mp.ThreadMap` and `mp.Thread`.

use crate::plan::{FieldPlan, MethodPlan, THREAD_ID, THREAD_MAP_ID};
use crate::schema::{Field, Kind, Method, Struct};

const NAME: Field = Field::new("name", "name", Kind::Text, 0);
const COUNT: Field = Field::new("count", "count", Kind::Bits32, 0);
const THREAD: Field = Field::new("result", "result", Kind::Interface(THREAD_ID), 0);
const TEXT: Field = Field::new("result", "result", Kind::Text, 0);

const fn shape(
    name: &'static str,
    data_words: u16,
    pointers: u16,
    fields: &'static [Field],
) -> Struct {
    Struct {
        id: 0,
        name,
        wrap: "",
        data_words,
        pointers,
        fields,
    }
}

/// `ThreadMap.makeThread @0 (name :Text) -> (result :Thread)`
pub(super) static MAKE_THREAD: MethodPlan = MethodPlan {
    interface: "ThreadMap",
    method: Method {
        interface: THREAD_MAP_ID,
        ordinal: 0,
        name: "makeThread",
        rust_name: "make_thread",
        params: shape("makeThread$Params", 0, 1, &[NAME]),
        results: shape("makeThread$Results", 0, 1, &[THREAD]),
    },
    context: None,
    result: Some(FieldPlan {
        field: THREAD,
        has: None,
    }),
    exception: None,
};

/// `ThreadMap.makePool @1 (count :UInt32) -> ()`
pub(super) static MAKE_POOL: MethodPlan = MethodPlan {
    interface: "ThreadMap",
    method: Method {
        interface: THREAD_MAP_ID,
        ordinal: 1,
        name: "makePool",
        rust_name: "make_pool",
        params: shape("makePool$Params", 1, 0, &[COUNT]),
        results: shape("makePool$Results", 0, 0, &[]),
    },
    context: None,
    result: None,
    exception: None,
};

/// `Thread.getName @0 () -> (result :Text)`
pub(super) static GET_NAME: MethodPlan = MethodPlan {
    interface: "Thread",
    method: Method {
        interface: THREAD_ID,
        ordinal: 0,
        name: "getName",
        rust_name: "get_name",
        params: shape("getName$Params", 0, 0, &[]),
        results: shape("getName$Results", 0, 1, &[TEXT]),
    },
    context: None,
    result: Some(FieldPlan {
        field: TEXT,
        has: None,
    }),
    exception: None,
};
