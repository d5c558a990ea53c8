//! Holds a result against what the table says of it.

use super::super::Method;
use super::{Form, Shape};
use crate::rpc::{RpcError, code, value};
use serde_json::{Map, Value};

impl Method {
    /// Holds a result against the table, as `-rpcdoccheck` asks for.
    ///
    /// # Errors
    /// -1 with Core's text for a bug of its own, which names each place where they differ.
    #[track_caller]
    pub fn check_result(&self, result: &Value) -> Result<(), RpcError> {
        let mut mismatches = Vec::new();
        for shape in self.results {
            match shape.mismatch(result) {
                None => return Ok(()),
                Some(mismatch) => mismatches.push(mismatch),
            }
        }
        let explained = match mismatches.as_slice() {
            [] => "no possible results defined".to_owned(),
            [only] => pretty(only),
            _ => pretty(&Value::Array(mismatches)),
        };
        let place = std::panic::Location::caller();
        Err(RpcError::new(
            code::MISC_ERROR,
            format!(
                "Internal bug detected: RPC call \"{}\" returned incorrect type:\n{explained}\n{place}\n{} {}\n",
                self.name,
                env!("CARGO_PKG_NAME"),
                env!("CARGO_PKG_VERSION"),
            ),
        ))
    }
}

/// JSON with an indent of four.
fn pretty(value: &Value) -> String {
    let text = format!("{value:#}");
    let lines = text.lines().map(|line| {
        let indent = line.len() - line.trim_start_matches(' ').len();
        format!("{}{line}", " ".repeat(indent))
    });
    lines.collect::<Vec<_>>().join("\n")
}

impl Shape {
    /// What of `result` is other than told: a text, or an object or array's places with what is wrong there. `None` for
    /// nothing. The texts are Core's.
    pub fn mismatch(&self, result: &Value) -> Option<Value> {
        if self.unchecked {
            return None;
        }
        let expected = self.form.json_type()?;
        let found = value::type_name(result);
        if found != expected {
            let text = format!("returned type is {found}, but declared as {expected} in doc");
            return Some(Value::from(text));
        }
        let errors = match result {
            Value::Array(elements) => self.wrong_elements(elements),
            Value::Object(fields) if self.form == Form::Map => {
                let value = self.inner.first()?;
                let wrong = fields
                    .iter()
                    .filter_map(|(key, field)| Some((key.clone(), value.mismatch(field)?)));
                wrong.collect()
            }
            Value::Object(fields) => self.wrong_fields(fields),
            _ => return None,
        };
        (!errors.is_empty()).then_some(Value::Object(errors))
    }

    fn wrong_elements(&self, elements: &[Value]) -> Map<String, Value> {
        let Some(last) = self.inner.last() else {
            return Map::new();
        };
        let wrong = elements.iter().enumerate().filter_map(|(index, element)| {
            let shape = self.inner.get(index).unwrap_or(last);
            Some((index.to_string(), shape.mismatch(element)?))
        });
        wrong.collect()
    }

    fn wrong_fields(&self, fields: &Map<String, Value>) -> Map<String, Value> {
        let told = self.flat_fields();
        let mut unknown: Vec<&String> = fields
            .keys()
            .filter(|key| !told.iter().any(|shape| shape.name == *key))
            .collect();
        unknown.sort_unstable();
        let unknown = unknown
            .into_iter()
            .map(|key| (key.clone(), "key returned that was not in doc".into()));
        let wrong = told.iter().filter_map(|shape| {
            let text = match fields.get(shape.name) {
                Some(field) => shape.mismatch(field)?,
                None if shape.optional => return None,
                None => "key missing, despite not being optional in doc".into(),
            };
            Some((shape.name.to_owned(), text))
        });
        unknown.chain(wrong).collect()
    }
}

impl Form {
    /// The one JSON type that it has; `None` for any.
    const fn json_type(self) -> Option<&'static str> {
        match self {
            Self::String | Self::Hex => Some("string"),
            Self::Number | Self::Amount | Self::Time => Some("number"),
            Self::Bool => Some("bool"),
            Self::Null => Some("null"),
            Self::Array | Self::Tuple => Some("array"),
            Self::Object | Self::Map | Self::Fields => Some("object"),
            Self::Any => None,
        }
    }
}
