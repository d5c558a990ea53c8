//! The arguments of one call, in the order of the method's table.

use super::{Method, Presence};
use crate::rpc::{RpcError, json, value};
use bitcoin::Amount;
use serde_json::Value;
use std::ops::RangeInclusive;
use std::str::FromStr;

/// The arguments of one call, checked against the method's table by [`Method::bind`].
///
/// Every getter takes the argument's position in the table. Those without `opt_` in their name use the table's default
/// for an argument that was left out or null; those with it give `None` then.
#[derive(Debug, Clone, PartialEq)]
pub struct Arguments {
    values: Vec<Value>,
    defaults: Vec<Value>,
    names: Vec<&'static str>,
    /// Positions, and JSON pointers from there, without the slash before them.
    repeated: Vec<(usize, String)>,
}

impl Arguments {
    /// `values` must have been checked against `method`.
    pub(super) fn new(method: &Method, values: Vec<Value>) -> Self {
        let default = |presence| match presence {
            Presence::Default(json) => serde_json::from_str(json).unwrap_or_default(),
            _ => Value::Null,
        };
        Self {
            values,
            defaults: method
                .args
                .iter()
                .map(|arg| default(arg.presence))
                .collect(),
            names: method.args.iter().map(super::Arg::name).collect(),
            repeated: Vec::new(),
        }
    }

    pub(super) fn with_repeated(mut self, repeated: Vec<(usize, String)>) -> Self {
        self.repeated = repeated;
        self
    }

    /// The first key that came twice in the argument itself, an object. Its first value stands in the argument.
    pub fn repeated_key(&self, index: usize) -> Option<String> {
        let mut of_it = self.repeated.iter().filter(|(at, _)| *at == index);
        let (_, key) = of_it.find(|(_, place)| !place.contains('/'))?;
        Some(json::unescape(key))
    }

    /// The elements of the argument, an array, that are objects in which a key came twice.
    pub fn elements_with_repeated_key(&self, index: usize) -> impl Iterator<Item = usize> {
        let of_it = self.repeated.iter().filter(move |(at, _)| *at == index);
        of_it.filter_map(|(_, place)| match place.split_once('/')? {
            (element, key) if !key.contains('/') => element.parse().ok(),
            _ => None,
        })
    }

    /// How many arguments the call gave, nulls among them counted.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether the call gave none.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The arguments that the call gave.
    pub fn given(&self) -> &[Value] {
        &self.values
    }

    /// The argument that the call gave, null if it gave none. No default.
    pub fn get(&self, index: usize) -> &Value {
        self.values.get(index).unwrap_or(&Value::Null)
    }

    /// The argument or, if it is null or was left out, its default; null if there is none.
    pub fn value(&self, index: usize) -> &Value {
        match self.get(index) {
            Value::Null => self.defaults.get(index).unwrap_or(&Value::Null),
            given => given,
        }
    }

    /// The argument, if it is there and not null. No default.
    pub fn opt(&self, index: usize) -> Option<&Value> {
        Some(self.get(index)).filter(|value| !value.is_null())
    }

    /// A string.
    pub fn string(&self, index: usize) -> Result<&str, RpcError> {
        value::string(self.value(index))
    }

    /// A string, if there is one.
    pub fn opt_string(&self, index: usize) -> Result<Option<&str>, RpcError> {
        self.opt(index).map(value::string).transpose()
    }

    /// An integer that `T` holds; error -1 `JSON integer out of range` if it is none.
    pub fn int<T: FromStr>(&self, index: usize) -> Result<T, RpcError> {
        value::int(self.value(index))
    }

    /// An integer, if there is one.
    pub fn opt_int<T: FromStr>(&self, index: usize) -> Result<Option<T>, RpcError> {
        self.opt(index).map(value::int).transpose()
    }

    /// A number.
    pub fn real(&self, index: usize) -> Result<f64, RpcError> {
        value::real(self.value(index))
    }

    /// A boolean.
    pub fn bool(&self, index: usize) -> Result<bool, RpcError> {
        value::boolean(self.value(index))
    }

    /// A boolean, if there is one.
    pub fn opt_bool(&self, index: usize) -> Result<Option<bool>, RpcError> {
        self.opt(index).map(value::boolean).transpose()
    }

    /// A level that may also be given as a boolean: false is 0, true is 1. The table's default, else `default`.
    pub fn verbosity(&self, index: usize, default: i32) -> Result<i32, RpcError> {
        match self.value(index) {
            Value::Null => Ok(default),
            Value::Bool(verbose) => Ok(i32::from(*verbose)),
            other => value::int(other),
        }
    }

    /// An amount in BTC, a number or a string of one, exactly.
    pub fn amount(&self, index: usize) -> Result<Amount, RpcError> {
        value::amount(self.value(index))
    }

    /// An amount, if there is one.
    pub fn opt_amount(&self, index: usize) -> Result<Option<Amount>, RpcError> {
        self.opt(index).map(value::amount).transpose()
    }

    /// A 32-byte hash, such as a `BlockHash` or `Txid`; errors name the argument.
    pub fn hash<H: FromStr>(&self, index: usize) -> Result<H, RpcError> {
        value::hash(self.value(index), self.name(index))
    }

    /// Bytes in hexadecimal; errors name the argument.
    pub fn hex(&self, index: usize) -> Result<Vec<u8>, RpcError> {
        value::hex(self.value(index), self.name(index))
    }

    /// An array.
    pub fn array(&self, index: usize) -> Result<&[Value], RpcError> {
        value::array(self.value(index)).map(Vec::as_slice)
    }

    /// An object.
    pub fn object(&self, index: usize) -> Result<&serde_json::Map<String, Value>, RpcError> {
        value::object(self.value(index))
    }

    /// A range of descriptor indexes, if there is one.
    pub fn opt_range(&self, index: usize) -> Result<Option<RangeInclusive<u32>>, RpcError> {
        self.opt(index).map(value::descriptor_range).transpose()
    }

    fn name(&self, index: usize) -> &'static str {
        self.names.get(index).copied().unwrap_or("parameter")
    }
}
