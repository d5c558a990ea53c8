//! From a call's parameters, by position or by name, to the arguments in the table's order.

use super::{Arg, Arguments, Kind, Method};
use crate::rpc::{RpcError, RpcRequest, code, json, value};
use serde_json::{Map, Value};

impl Method {
    /// Checks a call's parameters like [`Method::bind`], and minds the keys that they repeat.
    ///
    /// # Errors
    /// Those of [`Method::bind`]; -8 for a named argument that is given twice.
    pub fn bind_request(&self, request: &RpcRequest) -> Result<Arguments, RpcError> {
        let places = request.repeated.iter();
        let places: Vec<Vec<&str>> = places
            .map(|place| place.split('/').skip(1).collect())
            .collect();
        if request.params.is_object()
            && let Some([name]) = places
                .iter()
                .map(Vec::as_slice)
                .find(|place| place.len() == 1)
        {
            let name = json::unescape(name);
            return Err(invalid(format!(
                "Parameter {name} specified multiple times"
            )));
        }
        let repeated = places.iter().filter_map(|place| match place[..] {
            ["args", index, ref rest @ ..]
                if request.params.is_object() && self.position("args").is_none() =>
            {
                Some((index.parse().ok()?, rest.join("/")))
            }
            [name, ref rest @ ..] if request.params.is_object() => {
                Some((self.position(&json::unescape(name))?, rest.join("/")))
            }
            [index, ref rest @ ..] => Some((index.parse().ok()?, rest.join("/"))),
            [] => None,
        });
        Ok(self
            .bind(&request.params)?
            .with_repeated(repeated.collect()))
    }

    /// Checks the parameters of a call: an array, an object of named arguments (positional ones may be in its `args`), or
    /// null for none.
    ///
    /// # Errors
    /// -8 for an unknown name or an argument given twice; -1 with the help text for too few or too many; -3 for a wrong
    /// type, naming each position.
    pub fn bind(&self, params: &Value) -> Result<Arguments, RpcError> {
        let values = match params {
            Value::Null => Vec::new(),
            Value::Array(values) => values.clone(),
            Value::Object(named) => self.position_named(named)?,
            _ => {
                return Err(RpcError::new(
                    code::INVALID_REQUEST,
                    "Params must be an array or object",
                ));
            }
        };
        let required = self.args.iter().rposition(|arg| !arg.is_optional());
        let least = required.map_or(0, |last| last + 1);
        if !(least..=self.args.len()).contains(&values.len()) {
            return Err(RpcError::new(code::MISC_ERROR, self.help()));
        }
        self.check_types(&values)?;
        Ok(Arguments::new(self, values))
    }

    fn check_types(&self, values: &[Value]) -> Result<(), RpcError> {
        let mut mismatches = Vec::new();
        for (index, arg) in self.args.iter().enumerate() {
            let given = values.get(index).unwrap_or(&Value::Null);
            if let Some(expected) = arg.kind.json_type()
                && !arg.unchecked
                && !(given.is_null() && arg.is_optional())
                && value::type_name(given) != expected
            {
                let text = value::type_mismatch(given, expected);
                let place = format!("Position {} ({})", index + 1, arg.names);
                mismatches.push(format!("    {}: {}", Value::from(place), Value::from(text)));
            }
        }
        if mismatches.is_empty() {
            return Ok(());
        }
        Err(RpcError::new(
            code::TYPE_ERROR,
            format!("Wrong type passed:\n{{\n{}\n}}", mismatches.join(",\n")),
        ))
    }

    /// Puts named arguments in their places. An argument left out before one that is given becomes null; none is added
    /// after the last one given, since some methods go by the count.
    fn position_named(&self, named: &Map<String, Value>) -> Result<Vec<Value>, RpcError> {
        let mut rest = named.clone();
        let mut values: Vec<Value> = Vec::new();
        let mut first_named: Option<(usize, &Arg)> = None;
        for (index, arg) in self.args.iter().enumerate() {
            let options = take_options(arg, &mut rest)?;
            let direct = take(arg, &mut rest);
            let given = match (direct, options) {
                (None, None) => continue,
                (Some((_, direct)), None) => direct,
                (None, Some((_, options))) => Value::Object(options),
                (Some((name, _)), Some((option, _))) => {
                    return Err(invalid(format!(
                        "Parameter {name} conflicts with parameter {option}"
                    )));
                }
            };
            first_named.get_or_insert((index, arg));
            values.resize(index, Value::Null);
            values.push(given);
        }
        if let Some(Value::Array(positional)) = rest.get("args") {
            if let Some((index, arg)) = first_named
                && index < positional.len()
            {
                let names = arg.names;
                return Err(invalid(format!(
                    "Parameter {names} specified twice both as positional and named argument"
                )));
            }
            let mut all = positional.clone();
            all.extend(values.into_iter().skip(positional.len()));
            values = all;
            rest.shift_remove("args");
        }
        match rest.keys().next() {
            Some(name) => Err(invalid(format!("Unknown named parameter {name}"))),
            None => Ok(values),
        }
    }
}

/// Takes the argument out of `named` by the first of its names that is there.
fn take(arg: &Arg, named: &mut Map<String, Value>) -> Option<(&'static str, Value)> {
    arg.aliases()
        .find_map(|name| Some((name, named.shift_remove(name)?)))
}

/// Fields of an options object and the name of the first.
type Options = (&'static str, Map<String, Value>);

/// Takes those fields of an options object that were given as named arguments of the call itself. Gives the first one's
/// name and all of them.
fn take_options(arg: &Arg, named: &mut Map<String, Value>) -> Result<Option<Options>, RpcError> {
    if arg.kind != Kind::ObjectNamedParams {
        return Ok(None);
    }
    let mut options = Map::new();
    let mut first = None;
    for field in arg.inner {
        if let Some((name, value)) = take(field, named) {
            first.get_or_insert(name);
            if options.insert(name.to_owned(), value).is_some() {
                return Err(invalid(format!(
                    "Parameter {name} specified multiple times"
                )));
            }
        }
    }
    Ok(first.map(|name| (name, options)))
}

fn invalid(text: String) -> RpcError {
    RpcError::new(code::INVALID_PARAMETER, text)
}

impl Kind {
    /// The one JSON type that a value must have; `None` where the method looks itself.
    pub(super) const fn json_type(self) -> Option<&'static str> {
        match self {
            Self::String | Self::StringHex => Some("string"),
            Self::Number => Some("number"),
            Self::Bool => Some("bool"),
            Self::Array => Some("array"),
            Self::Object | Self::ObjectUserKeys | Self::ObjectNamedParams => Some("object"),
            Self::Amount | Self::Range => None,
        }
    }
}
