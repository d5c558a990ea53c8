//! The same with the schema file that the others export.

use std::collections::BTreeMap;
use std::sync::Arc;

use mp_core::{Error, Message};

use super::tables;

pub struct Codec;

#[derive(Message, Debug, Clone, Default, PartialEq)]
#[mp(codec = Codec, schema = tables::POINT)]
pub struct Point {
    pub hidden: bool,
    pub x: i32,
    pub y: Option<i64>,
    pub last_name: String,
    pub weight: f32,
    pub next: Option<Box<Point>>,
    pub key: Vec<u8>,
    pub seen: Option<bool>,
    pub colour: Colour,
    pub b_1_x: u8,
}

#[derive(Message, Debug, Clone, Copy, Default, PartialEq)]
#[mp(codec = Codec, repr = "Int8")]
pub enum Colour {
    #[default]
    Red = -1,
    Green = 2,
}

#[derive(Message, Debug, Clone, PartialEq)]
#[mp(codec = Codec, results)]
pub struct Nearest {
    pub point: Option<Point>,
    pub distance: Option<f64>,
    pub tried: u16,
}

#[mp_core::interface(codec = Codec, schema = tables::PLANE)]
pub trait Plane: Send + Sync {
    fn mirror(&self, point: Point, times: u8) -> Result<Vec<Point>, Error>;
    fn nearest(&self, to_point: &Point) -> Result<Nearest, Error>;
    fn divide(&self, a: i16, b: i16) -> Result<Result<Option<i16>, String>, Error>;
    fn place(&self, point: Point) -> Result<Result<(), Point>, Error>;
    fn each(&self, seen: Option<Arc<dyn Seen>>) -> Result<u64, Error>;
    fn names(&self, sizes: BTreeMap<String, i64>) -> Result<Vec<(String, i64)>, Error>;
    fn unlock(&self, passphrase: &str, certain: bool) -> Result<bool, Error>;
    fn count(&self) -> Result<u16, Error>;
}

#[mp_core::interface(codec = Codec, schema = tables::NAMED)]
pub trait Named: Send + Sync {
    fn name(&self) -> Result<String, Error>;
}

#[mp_core::interface(codec = Codec, schema = tables::SEEN)]
pub trait Seen: Named {
    fn seen(&self, point: Point) -> Result<u64, Error>;
}
