//! What an OpenRPC document says of a method. Source: the OpenRPC specification 1.4.1; the form of schemas and the names of
//! extensions are Core's.

use super::{Arg, Form, Kind, Method, Presence, Shape};
use serde_json::{Map, Value, json};

/// Labels of arguments that are a number or a string.
const NUMBER_OR_STRING: [&str; 2] = ["integer / string", "string or numeric"];

/// What hexadecimal digits look like, as a regular expression.
const HEX: &str = "^[0-9a-fA-F]+$";

impl Method {
    /// The method's object in an OpenRPC document; with `show_hidden` hidden arguments are in it.
    pub fn openrpc(&self, show_hidden: bool) -> Value {
        let shown = self.args.iter().filter(|arg| show_hidden || !arg.hidden);
        let params: Vec<Value> = shown.map(|arg| arg.parameter(show_hidden)).collect();
        json!({
            "name": self.name,
            "description": self.summary.trim(),
            "params": params,
            "result": {"name": "result", "schema": self.result_schema()},
            "x-bitcoin-category": self.category,
        })
    }

    /// How a command line passes the arguments and the options in them: arrays of the method's name, the argument's
    /// position and name, and whether it is a string.
    pub fn conversions(&self) -> Value {
        let mut rows = Vec::new();
        for (index, arg) in self.args.iter().enumerate() {
            let fields = match arg.kind {
                Kind::ObjectNamedParams => arg.inner,
                _ => &[],
            };
            for name in arg.aliases() {
                rows.push(json!([self.name, index, name, arg.kind.is_string()]));
                for field in fields {
                    for name in field.aliases() {
                        rows.push(json!([self.name, index, name, field.kind.is_string()]));
                    }
                }
            }
        }
        Value::Array(rows)
    }

    fn result_schema(&self) -> Value {
        let told = self.results.iter().filter(|shape| shape.form != Form::Any);
        let mut schemas: Vec<Value> = told
            .map(|shape| {
                let mut schema = shape.schema();
                if !shape.when.is_empty() {
                    schema["description"] = shape.when.into();
                }
                schema
            })
            .collect();
        match schemas.len() {
            0 => json!({}),
            1 => schemas.remove(0),
            _ => json!({"oneOf": schemas}),
        }
    }
}

impl Arg {
    /// The argument as one of a method's `params`.
    fn parameter(&self, show_hidden: bool) -> Value {
        let mut param = json!({
            "name": self.name(),
            "required": !self.is_optional(),
            "schema": Value::Object(self.schema(show_hidden, false)),
        });
        let aliases: Vec<&str> = self.aliases().skip(1).collect();
        if !aliases.is_empty() {
            param["x-bitcoin-aliases"] = aliases.into();
        }
        if let Value::Object(param) = &mut param {
            self.annotate(param);
        }
        param
    }

    /// What stands beside the schema of an argument and in that of a field.
    fn annotate(&self, object: &mut Map<String, Value>) {
        if self.placeholder {
            object.insert("x-bitcoin-placeholder".to_owned(), true.into());
        }
        if self.also_positional {
            object.insert("x-bitcoin-also-positional".to_owned(), true.into());
        }
        if !self.about.is_empty() {
            object.insert("description".to_owned(), self.about.into());
        }
    }

    /// The JSON Schema of a value for it; `in_unchecked` within one whose type its method checks.
    fn schema(&self, show_hidden: bool, in_unchecked: bool) -> Map<String, Value> {
        let mut schema = if self.unchecked {
            match (self.label, self.kind) {
                (None, Kind::Array) => json!({"oneOf": [
                    {"type": "array", "items": self.items(show_hidden, true)},
                    {"type": "object"},
                ]}),
                _ => json!({}),
            }
        } else {
            self.kind_schema(show_hidden, in_unchecked)
        };
        match self.label {
            Some(label) if NUMBER_OR_STRING.contains(&label.words) => {
                schema = json!({"oneOf": [{"type": "integer"}, {"type": "string"}]});
            }
            Some(label) => schema["x-bitcoin-type-override"] = label.words.into(),
            None => {}
        }
        match self.presence {
            Presence::Default(text) => {
                schema["default"] =
                    serde_json::from_str(text).expect("defaults in the tables are JSON");
            }
            Presence::Hint(text) => schema["x-bitcoin-default-hint"] = text.into(),
            Presence::Required | Presence::Optional => {}
        }
        match schema {
            Value::Object(schema) => schema,
            _ => Map::new(),
        }
    }

    fn kind_schema(&self, show_hidden: bool, in_unchecked: bool) -> Value {
        match self.kind {
            Kind::String => json!({"type": "string"}),
            Kind::StringHex => json!({"type": "string", "pattern": HEX}),
            Kind::Number => json!({"type": "number"}),
            Kind::Bool => json!({"type": "boolean"}),
            Kind::Amount => json!({"oneOf": [{"type": "number"}, {"type": "string"}]}),
            Kind::Range => json!({"oneOf": [
                {"type": "number"},
                tuple(vec![json!({"type": "number"}); 2]),
            ]}),
            Kind::Array => {
                json!({"type": "array", "items": self.items(show_hidden, in_unchecked)})
            }
            Kind::Object | Kind::ObjectNamedParams => {
                let shown = self.inner.iter().filter(|arg| show_hidden || !arg.hidden);
                let fields = shown.map(|field| {
                    let mut schema = field.schema(show_hidden, in_unchecked);
                    field.annotate(&mut schema);
                    (field.name(), Value::Object(schema), field.is_optional())
                });
                object(fields)
            }
            Kind::ObjectUserKeys => match self.inner.first() {
                Some(value) => {
                    let mut schema = json!({
                        "type": "object",
                        "additionalProperties": Value::Object(value.schema(show_hidden, in_unchecked)),
                    });
                    if !value.about.is_empty() {
                        schema["description"] = value.about.into();
                    }
                    schema
                }
                None => json!({"type": "object", "additionalProperties": true}),
            },
        }
    }

    fn items(&self, show_hidden: bool, in_unchecked: bool) -> Value {
        let elements = self.inner.iter();
        let schemas =
            elements.map(|element| Value::Object(element.schema(show_hidden, in_unchecked)));
        one_of(schemas, if in_unchecked { "anyOf" } else { "oneOf" })
    }
}

impl Shape {
    /// The JSON Schema of such a value.
    fn schema(&self) -> Value {
        if self.unchecked {
            return match self.form {
                // A field that is left alone is an object, or false in its stead.
                Form::Object if !self.name.is_empty() => {
                    json!({"oneOf": [self.form_schema(), {"const": false}]})
                }
                Form::Object | Form::Array => self.form_schema(),
                _ => json!({}),
            };
        }
        self.form_schema()
    }

    fn form_schema(&self) -> Value {
        match self.form {
            Form::String => json!({"type": "string"}),
            Form::Hex => json!({"type": "string", "pattern": HEX}),
            Form::Number => json!({"type": "number"}),
            Form::Amount => json!({"type": "number", "x-bitcoin-unit": "amount"}),
            Form::Time => json!({"type": "number", "x-bitcoin-unit": "unix-time"}),
            Form::Bool => json!({"type": "boolean"}),
            Form::Null => json!({"type": "null"}),
            Form::Any => json!({}),
            Form::Array => {
                let items = one_of(self.inner.iter().map(Self::schema), "oneOf");
                json!({"type": "array", "items": items})
            }
            Form::Tuple => tuple(self.inner.iter().map(Self::schema).collect()),
            Form::Object | Form::Fields => object(self.flat_fields().into_iter().map(|field| {
                let mut schema = field.schema();
                if !field.about.is_empty() {
                    schema["description"] = field.about.into();
                }
                (field.name, schema, field.optional)
            })),
            Form::Map => {
                let value = self.inner.first().map(Self::schema);
                json!({"type": "object", "additionalProperties": value.unwrap_or_else(|| json!({}))})
            }
        }
    }
}

impl Kind {
    /// Whether a command line passes it as it is typed.
    const fn is_string(self) -> bool {
        matches!(self, Self::String | Self::StringHex)
    }
}

/// The schema of an array's elements, each of which has one of these.
fn one_of(schemas: impl Iterator<Item = Value>, key: &str) -> Value {
    let mut distinct: Vec<Value> = Vec::new();
    for schema in schemas {
        if !distinct.contains(&schema) {
            distinct.push(schema);
        }
    }
    match distinct.len() {
        0 => json!({}),
        1 => distinct.remove(0),
        _ => json!({ key: distinct }),
    }
}

/// The schema of an array of just these elements.
fn tuple(items: Vec<Value>) -> Value {
    let count = items.len();
    json!({
        "type": "array",
        "items": items,
        "additionalItems": false,
        "minItems": count,
        "maxItems": count,
    })
}

/// The schema of an object of just these fields: name, schema, whether it may be lacking.
fn object(fields: impl Iterator<Item = (&'static str, Value, bool)>) -> Value {
    let mut properties = Map::new();
    let mut required: Vec<&str> = Vec::new();
    for (name, schema, optional) in fields {
        properties.insert(name.to_owned(), schema);
        if !optional {
            required.push(name);
        }
    }
    let mut schema = json!({
        "type": "object",
        "properties": properties,
        "additionalProperties": false,
    });
    if !required.is_empty() {
        schema["required"] = required.into();
    }
    schema
}
