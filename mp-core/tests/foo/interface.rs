//! The traits of `foo.capnp`.

use std::collections::BTreeMap;
use std::sync::Arc;

use mp_core::{Error, Message};

use crate::tables;

pub struct Codec;

#[mp_core::interface(codec = Codec, schema = tables::FOO, async_twin)]
pub trait Foo: Send + Sync {
    fn add(&self, a: i32, b: i32) -> Result<i32, Error>;
    fn add_direct(&self, b: i32, a: i32) -> Result<i32, Error>;
    fn pass(&self, shape: Shape) -> Result<Shape, Error>;
    fn echo_data(&self, data: Vec<u8>) -> Result<Vec<u8>, Error>;
    fn find(&self, key: &str) -> Result<Option<i32>, Error>;
    fn find_shape(&self, key: String) -> Result<Option<Shape>, Error>;
    fn divide(&self, a: i32, b: i32) -> Result<Result<i32, String>, Error>;
    fn check(&self, text: String) -> Result<Verdict, Error>;
    fn callback(&self, callback: Arc<dyn Callback>, n: i32) -> Result<i32, Error>;
    fn save(&self, callback: Arc<dyn Callback>) -> Result<(), Error>;
    fn call_saved(&self, n: i32) -> Result<i32, Error>;
    fn forget(&self) -> Result<(), Error>;
    fn make_counter(&self) -> Result<Arc<dyn Counter>, Error>;
    fn give_back(&self, callback: Arc<dyn Callback>) -> Result<Arc<dyn Callback>, Error>;
    fn maybe_call(&self, callback: Option<Arc<dyn Callback>>) -> Result<bool, Error>;
    fn fail(&self, text: String) -> Result<(), Error>;
    fn panic(&self) -> Result<(), Error>;
    fn thread_name(&self) -> Result<String, Error>;
    fn limits(&self, wanted: bool, timeout: f64, count: u64) -> Result<Vec<String>, Error>;
    fn transactions(&self, ids: Vec<Option<Vec<u8>>>) -> Result<Vec<Option<Vec<u8>>>, Error>;
    fn sizes(
        &self,
        map: BTreeMap<String, i64>,
        names: Vec<(String, String)>,
    ) -> Result<BTreeMap<String, i64>, Error>;
    fn block(&self) -> Result<(), Error>;
    fn narrow(&self, value: i64) -> Result<i64, Error>;
    fn unlock(
        &self,
        name: &str,
        passphrase: String,
        shares: Vec<String>,
        pin: i32,
    ) -> Result<Vec<u8>, Error>;

    /// Not in the schema, so local to each side.
    fn describe(&self) -> Result<String, Error> {
        Ok("described locally".to_owned())
    }

    /// No remote method could look like this.
    fn local_only(&self) -> usize {
        7
    }
}

#[mp_core::interface(codec = Codec, schema = tables::CALLBACK, async_twin)]
pub trait Callback: Send + Sync {
    fn call(&self, n: i32) -> Result<i32, Error>;
}

#[mp_core::interface(codec = Codec, schema = tables::NAMED)]
pub trait Named: Send + Sync {
    fn name(&self) -> Result<String, Error>;
}

#[mp_core::interface(codec = Codec, schema = tables::COUNTER)]
pub trait Counter: Named + Send + Sync {
    fn next(&self) -> Result<u64, Error>;
}

#[derive(Message, Debug, Clone, Default, PartialEq)]
#[mp(codec = Codec, schema = tables::SHAPE)]
pub struct Shape {
    pub title: String,
    pub sides: Vec<i32>,
    pub flags: Vec<bool>,
    pub area: Option<i64>,
    pub paint: Paint,
    pub parts: Vec<Part>,
    pub weights: BTreeMap<String, i32>,
    pub ratio: f64,
    pub small: i8,
    pub raw: Vec<u8>,
    pub whole: Option<Box<Part>>,
    pub visible: bool,
}

#[derive(Message, Debug, Clone, Default, PartialEq)]
#[mp(codec = Codec, schema = tables::PART)]
pub struct Part {
    pub id: u32,
    pub label: String,
}

#[derive(Message, Debug, Clone, Copy, Default, PartialEq)]
#[mp(codec = Codec, repr = "Int32")]
pub enum Paint {
    #[default]
    Red = 0,
    Green = 5,
    Blue = -3,
}

#[derive(Message, Debug, PartialEq)]
#[mp(codec = Codec, results)]
pub struct Verdict {
    pub result: bool,
    pub reason: String,
    pub debug: String,
}
