//! From words on a command line to a call's parameters.
//!
//! The server knows the types, but the command line must decide before it calls what is JSON and what is text; `0` may be
//! a number or a label. It decides by a table of its own, which a client has without asking a server.

mod table;

use super::json;
use serde_json::{Map, Value};
use thiserror::Error;

/// How an argument is written on a command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    /// As JSON.
    Json,
    /// As text, even where it holds a `=` and arguments are named.
    Text,
    /// As JSON if it is JSON, as text otherwise.
    Either,
}

/// Position, name and format of an argument.
type Argument = (usize, &'static str, Format);

/// Why words are no parameters.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ConvertError {
    /// An argument must be JSON and is not.
    #[error("Error parsing JSON: {0}")]
    NotJson(String),
    /// There are positional arguments and an `args=` that holds others.
    #[error("Parameter args specified multiple times")]
    TwoArgs,
}

/// Every argument that is told of: method, position and name. The others are passed as they are typed.
pub fn arguments() -> impl Iterator<Item = (&'static str, usize, &'static str)> {
    table::METHODS.iter().flat_map(|(method, arguments)| {
        let arguments = arguments.iter();
        arguments.map(|(position, name, _)| (*method, *position, *name))
    })
}

fn formats(method: &str) -> &'static [Argument] {
    let found = table::METHODS.binary_search_by_key(&method, |(name, _)| name);
    found.map_or(&[], |index| table::METHODS[index].1)
}

fn by_position(method: &str, position: usize) -> Option<Format> {
    let mut formats = formats(method).iter();
    formats
        .find(|(index, _, _)| *index == position)
        .map(|(_, _, format)| *format)
}

fn by_name(method: &str, name: &str) -> Option<Format> {
    let mut formats = formats(method).iter();
    formats
        .find(|(_, other, _)| *other == name)
        .map(|(_, _, format)| *format)
}

fn convert(format: Option<Format>, text: &str) -> Result<Value, ConvertError> {
    match format {
        Some(Format::Json) => json::value(text).map_err(|_| ConvertError::NotJson(text.to_owned())),
        Some(Format::Either) => Ok(json::value(text).unwrap_or_else(|_| Value::from(text))),
        Some(Format::Text) | None => Ok(Value::from(text)),
    }
}

/// Parameters by position.
///
/// ```
/// use btc_interfaces::rpc::convert::positional;
/// use serde_json::json;
///
/// assert_eq!(positional("getblockhash", &["7"])?, json!([7]));
/// assert_eq!(positional("getblock", &["00", "2"])?, json!(["00", 2]));
/// assert!(positional("getblockhash", &["seven"]).is_err());
/// # Ok::<(), btc_interfaces::rpc::convert::ConvertError>(())
/// ```
pub fn positional<S: AsRef<str>>(method: &str, arguments: &[S]) -> Result<Value, ConvertError> {
    let arguments = arguments.iter().enumerate();
    let values = arguments.map(|(index, text)| convert(by_position(method, index), text.as_ref()));
    values.collect::<Result<Vec<Value>, _>>().map(Value::Array)
}

/// Parameters by name, each `name=value`; those without a `=` are positional and go into `args`.
///
/// An argument with a `=` may yet be positional: if what stands before the `=` is no name of an argument, and the next
/// positional one is JSON and the whole is, or is text.
///
/// ```
/// use btc_interfaces::rpc::convert::named;
/// use serde_json::json;
///
/// let params = named("createwallet", &["my=wallet", "blank=true"])?;
/// assert_eq!(params, json!({"blank": true, "args": ["my=wallet"]}));
/// # Ok::<(), btc_interfaces::rpc::convert::ConvertError>(())
/// ```
pub fn named<S: AsRef<str>>(method: &str, arguments: &[S]) -> Result<Value, ConvertError> {
    let mut params = Map::new();
    let mut positional = Vec::new();
    for argument in arguments {
        let argument = argument.as_ref();
        let next = by_position(method, positional.len());
        let Some((name, value)) = argument.split_once('=') else {
            positional.push(convert(next, argument)?);
            continue;
        };
        let format = by_name(method, name);
        if format.is_none() {
            match next {
                Some(Format::Json) => {
                    if let Ok(value) = json::value(argument) {
                        positional.push(value);
                        continue;
                    }
                }
                Some(Format::Text) => {
                    positional.push(Value::from(argument));
                    continue;
                }
                _ => {}
            }
        }
        // A later value of the same name takes the earlier one's place.
        params.insert(name.to_owned(), convert(format, value)?);
    }
    if !positional.is_empty() {
        let taken = params.insert("args".to_owned(), Value::Array(positional));
        if taken.is_some() {
            return Err(ConvertError::TwoArgs);
        }
    }
    Ok(Value::Object(params))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_table_is_sorted() {
        assert!(table::METHODS.is_sorted_by(|(a, _), (b, _)| a < b));
    }

    #[test]
    fn types_by_position_and_name() {
        let call = |method, arguments: &[&str]| positional(method, arguments).expect("valid");
        assert_eq!(
            call("echojson", &["\"a\"", "1", "null"]),
            json!(["a", 1, null])
        );
        assert_eq!(call("echo", &["\"a\"", "1"]), json!(["\"a\"", "1"]));
        assert_eq!(call("nosuchmethod", &["1"]), json!(["1"]));
        assert_eq!(
            positional("getblockhash", &["x"]),
            Err(ConvertError::NotJson("x".to_owned()))
        );
        assert_eq!(
            ConvertError::NotJson("x".to_owned()).to_string(),
            "Error parsing JSON: x"
        );
        let call = |method, arguments: &[&str]| named(method, arguments).expect("valid");
        assert_eq!(call("getblockhash", &["height=7"]), json!({"height": 7}));
        assert_eq!(
            call("getblockhash", &["height=7", "height=8"]),
            json!({"height": 8})
        );
        assert_eq!(call("getblockhash", &["7"]), json!({"args": [7]}));
        assert_eq!(call("echojson", &["[\"a=b\"]"]), json!({"args": [["a=b"]]}));
        assert_eq!(named("echo", &["1", "args=[]"]), Err(ConvertError::TwoArgs));
        assert_eq!(call("nosuchmethod", &["a=b=c"]), json!({"a": "b=c"}));
    }
}
