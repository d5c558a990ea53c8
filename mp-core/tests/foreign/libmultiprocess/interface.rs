//! The traits of libmultiprocess's test interface.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use mp_core::{Error, Message};

#[allow(dead_code)]
mod tables {
    include!(concat!(env!("OUT_DIR"), "/foo.rs"));
}

pub struct Codec;

#[mp_core::interface(codec = Codec, schema = tables::FOO_INTERFACE, async_twin)]
pub trait Foo: Send + Sync {
    fn add(&self, a: i32, b: i32) -> Result<i32, Error>;
    fn add_out(&self, a: i32, b: i32) -> Result<Out, Error>;
    fn add_in_out(&self, x: i32, sum: i32) -> Result<InOut, Error>;
    fn map_size(&self, map: BTreeMap<String, String>) -> Result<i32, Error>;
    fn pass(&self, arg: Struct) -> Result<Struct, Error>;
    fn raise(&self, arg: Struct) -> Result<Result<(), Struct>, Error>;
    fn callback(&self, callback: Arc<dyn Callback>, arg: i32) -> Result<i32, Error>;
    fn callback_unique(&self, callback: Arc<dyn Callback>, arg: i32) -> Result<i32, Error>;
    fn callback_shared(&self, callback: Arc<dyn Callback>, arg: i32) -> Result<i32, Error>;
    fn save_callback(&self, callback: Option<Arc<dyn Callback>>) -> Result<(), Error>;
    fn callback_saved(&self, arg: i32) -> Result<i32, Error>;
    fn callback_extended(&self, callback: Arc<dyn Extended>, arg: i32) -> Result<i32, Error>;
    fn pass_custom(&self, arg: Custom) -> Result<Custom, Error>;
    fn pass_empty(&self, arg: Empty) -> Result<Empty, Error>;
    fn pass_data(&self, arg: Vec<u8>) -> Result<Vec<u8>, Error>;
    fn pass_message(&self, arg: Words) -> Result<Words, Error>;
    fn pass_mutable(&self, arg: Changed) -> Result<Mutable, Error>;
    fn pass_enum(&self, arg: i32) -> Result<i32, Error>;
    fn pass_double(&self, arg: f64) -> Result<f64, Error>;
    fn pass_fn(&self, r#fn: Arc<dyn Function>) -> Result<i32, Error>;
    fn call_fn(&self) -> Result<(), Error>;
    fn call_fn_async(&self) -> Result<(), Error>;
    fn call_int_fn_async(&self, arg: i32) -> Result<i32, Error>;
    fn pass_data_pointers(&self, arg: Vec<Option<Vec<u8>>>) -> Result<Vec<Option<Vec<u8>>>, Error>;
}

#[mp_core::interface(codec = Codec, schema = tables::FOO_CALLBACK)]
pub trait Callback: Send + Sync {
    fn call(&self, arg: i32) -> Result<i32, Error>;
}

#[mp_core::interface(codec = Codec, schema = tables::EXTENDED_CALLBACK)]
pub trait Extended: Callback + Send + Sync {
    fn call_extended(&self, arg: i32) -> Result<i32, Error>;
}

#[mp_core::interface(codec = Codec, schema = tables::FOO_FN)]
pub trait Function: Send + Sync {
    fn call(&self) -> Result<i32, Error>;
}

#[derive(Message, Debug, Clone, Default, PartialEq)]
#[mp(codec = Codec, schema = tables::FOO_STRUCT)]
pub struct Struct {
    pub name: String,
    pub set_int: BTreeSet<i32>,
    pub vector_bool: Vec<bool>,
    pub optional_int: Option<i32>,
    pub unordered_set_int: HashSet<i32>,
    pub map_string_int: BTreeMap<String, i32>,
}

#[derive(Message, Debug, Clone, PartialEq)]
#[mp(codec = Codec, schema = tables::FOO_CUSTOM)]
pub struct Custom {
    pub v1: String,
    pub v2: i32,
}

#[derive(Message, Debug, Clone, PartialEq)]
#[mp(codec = Codec, schema = tables::FOO_EMPTY)]
pub struct Empty {}

#[derive(Message, Debug, Clone, PartialEq)]
#[mp(codec = Codec, schema = tables::FOO_MESSAGE)]
pub struct Words {
    pub message: String,
}

#[derive(Message, Debug, Clone, PartialEq)]
#[mp(codec = Codec, schema = tables::FOO_MUTABLE)]
pub struct Changed {
    pub message: String,
}

#[derive(Message, Debug, Clone, PartialEq)]
#[mp(codec = Codec, results)]
pub struct Out {
    pub ret: i32,
}

#[derive(Message, Debug, Clone, PartialEq)]
#[mp(codec = Codec, results)]
pub struct InOut {
    pub sum: i32,
}

#[derive(Message, Debug, Clone, PartialEq)]
#[mp(codec = Codec, results)]
pub struct Mutable {
    pub arg: Changed,
}
