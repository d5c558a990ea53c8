//! The help of a method, written from its table.

mod columns;

use super::{Arg, Form, Kind, Method, Presence, Shape};
use columns::Columns;
use std::fmt::Write as _;

impl Method {
    /// The method and its arguments in one line: `getblock "blockhash" ( verbosity )`.
    pub fn usage(&self) -> String {
        let mut line = self.name.to_owned();
        let mut in_optional = false;
        for arg in self.args.iter().take_while(|arg| !arg.hidden) {
            match (in_optional, arg.is_optional()) {
                (false, true) => line.push_str(" ("),
                (true, false) => line.push_str(" )"),
                _ => {}
            }
            in_optional = arg.is_optional();
            line.push(' ');
            line.push_str(&arg.sketch());
        }
        if in_optional {
            line.push_str(" )");
        }
        line
    }

    /// The whole help: usage, summary, arguments, results, examples.
    pub fn help(&self) -> String {
        let mut text = format!("{}\n\n{}\n", self.usage(), self.summary.trim());
        let mut columns = Columns::default();
        let mut named = Columns::default();
        let shown = self.args.iter().take_while(|arg| !arg.hidden);
        for (index, arg) in shown.enumerate() {
            columns.push(
                format!("{}. {}", index + 1, arg.name()),
                arg.description(true),
            );
            if arg.kind == Kind::ObjectNamedParams {
                for field in arg.inner {
                    named.push(field.name().to_owned(), field.description(true));
                    named.push_inner(field, 5, "");
                }
            } else {
                columns.push_inner(arg, 5, "");
            }
        }
        columns.write("Arguments:", &mut text);
        named.write("Named Arguments:", &mut text);
        for shape in self.results {
            let title = if shape.when.is_empty() {
                "Result:".to_owned()
            } else {
                format!("Result ({}):", shape.when)
            };
            let mut columns = Columns::default();
            columns.push_shape(shape, 0, Place::Whole);
            columns.write(&title, &mut text);
        }
        if !self.examples.is_empty() {
            text.push_str("\nExamples:\n");
            for example in self.examples {
                let call = format!("> bitcoin-cli {} {example}", self.name);
                let _ = writeln!(text, "{}", call.trim_end());
            }
        }
        text
    }
}

impl Arg {
    /// How the argument looks in the usage line.
    fn sketch(&self) -> String {
        if !self.usage.is_empty() {
            return self.usage.to_owned();
        }
        let name = self.name();
        match self.kind {
            Kind::String | Kind::StringHex => format!("\"{name}\""),
            Kind::Number | Kind::Amount | Kind::Bool | Kind::Range => name.to_owned(),
            Kind::Array => {
                let mut text = String::from("[");
                for element in self.inner {
                    let _ = write!(text, "{},", element.sketch());
                }
                text + "...]"
            }
            Kind::Object | Kind::ObjectUserKeys | Kind::ObjectNamedParams => {
                let fields = self.inner.iter().map(|field| field.field_sketch(""));
                let fields: Vec<String> = fields.collect();
                let more = if self.kind == Kind::Object {
                    ""
                } else {
                    ",..."
                };
                format!("{{{}{more}}}", fields.join(","))
            }
        }
    }

    /// How it looks as a field of an object, with `gap` before the value.
    fn field_sketch(&self, gap: &str) -> String {
        let value = match self.kind {
            Kind::String => "\"str\"".to_owned(),
            Kind::StringHex => "\"hex\"".to_owned(),
            Kind::Number => "n".to_owned(),
            Kind::Range => "n or [n,n]".to_owned(),
            Kind::Amount => "amount".to_owned(),
            Kind::Bool => "bool".to_owned(),
            _ => self.sketch(),
        };
        format!("\"{}\":{gap}{value}", self.name())
    }

    /// Type, presence and meaning. An element of an array, which has no name, is just left out if it is optional.
    fn description(&self, is_named: bool) -> String {
        let kind = match (self.label, self.kind) {
            (Some(label), _) => label.words,
            (None, Kind::String | Kind::StringHex) => "string",
            (None, Kind::Number) => "numeric",
            (None, Kind::Amount) => "numeric or string",
            (None, Kind::Range) => "numeric or array",
            (None, Kind::Bool) => "boolean",
            (None, Kind::Array) => "json array",
            (None, Kind::Object | Kind::ObjectUserKeys | Kind::ObjectNamedParams) => "json object",
        };
        let presence = match self.presence {
            Presence::Required => ", required".to_owned(),
            Presence::Optional if is_named => ", optional".to_owned(),
            Presence::Optional => String::new(),
            Presence::Default(text) | Presence::Hint(text) => format!(", optional, default={text}"),
        };
        let options = if self.kind == Kind::ObjectNamedParams {
            " Options, which can also be passed as the named arguments listed below."
        } else {
            ""
        };
        let space = if self.about.is_empty() { "" } else { " " };
        format!("({kind}{presence}){options}{space}{}", self.about)
    }
}

/// Where a part of JSON stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// It is the whole.
    Whole,
    /// In an array.
    Element,
    /// In an object.
    Field,
}

impl Columns {
    /// The fields or elements of an argument, nested as its JSON is; `end` follows the closing bracket.
    fn push_inner(&mut self, arg: &Arg, indent: usize, end: &str) {
        let (open, close) = match arg.kind {
            Kind::Array => ('[', ']'),
            Kind::Object | Kind::ObjectUserKeys | Kind::ObjectNamedParams => ('{', '}'),
            _ => return,
        };
        if arg.inner.is_empty() {
            return;
        }
        let pad = " ".repeat(indent);
        // The argument's own line has said what it is; that of a nested one is this.
        if end.is_empty() {
            self.push(format!("{pad}{open}"), String::new());
        }
        let in_object = open == '{';
        for inner in arg.inner {
            let nested = match inner.kind {
                Kind::Array => Some('['),
                Kind::Object | Kind::ObjectUserKeys => Some('{'),
                _ => None,
            };
            let left = match (nested, inner.label) {
                (Some(open), _) if in_object => format!("\"{}\": {open}", inner.name()),
                (Some(open), _) => open.to_string(),
                (None, Some(label)) if in_object => {
                    format!("\"{}\": {},", inner.name(), label.value)
                }
                (None, _) if in_object => inner.field_sketch(" ") + ",",
                (None, _) => inner.sketch() + ",",
            };
            self.push(format!("{pad}  {left}"), inner.description(in_object));
            self.push_inner(inner, indent + 2, ",");
        }
        if arg.kind != Kind::Object {
            self.push(format!("{pad}  ..."), String::new());
        }
        self.push(format!("{pad}{close}{end}"), String::new());
    }

    /// A result or a part of one, nested as its JSON is.
    fn push_shape(&mut self, shape: &Shape, indent: usize, place: Place) {
        if shape.hidden {
            return;
        }
        let pad = " ".repeat(indent);
        let end = if place == Place::Whole { "" } else { "," };
        let key = if place == Place::Field {
            format!("\"{}\" : ", shape.name)
        } else {
            String::new()
        };
        let (value, words) = match shape.form {
            Form::String => ("\"str\"", "string"),
            Form::Hex => ("\"hex\"", "string"),
            Form::Number | Form::Amount => ("n", "numeric"),
            Form::Time => ("xxx", "numeric"),
            Form::Bool => ("true|false", "boolean"),
            Form::Null => ("null", "json null"),
            Form::Any => ("xxx", "any"),
            Form::Array | Form::Tuple => ("[", "json array"),
            Form::Object | Form::Map if shape.inner.is_empty() => ("{}", "empty JSON object"),
            Form::Object | Form::Map => ("{", "json object"),
            Form::Fields if shape.about.is_empty() => {
                for field in shape.inner {
                    self.push_shape(field, indent, place);
                }
                return;
            }
            Form::Fields => {
                self.push(format!("{pad}...{end}"), shape.about.to_owned());
                return;
            }
        };
        let optional = if shape.optional { ", optional" } else { "" };
        let space = if shape.about.is_empty() { "" } else { " " };
        let description = format!("({words}{optional}){space}{}", shape.about);
        if shape.inner.is_empty() {
            self.push(format!("{pad}{key}{value}{end}"), description);
            return;
        }
        self.push(format!("{pad}{key}{value}"), description);
        let is_array = matches!(shape.form, Form::Array | Form::Tuple);
        for inner in shape.inner {
            let place = if is_array {
                Place::Element
            } else {
                Place::Field
            };
            self.push_shape(inner, indent + 2, place);
        }
        if matches!(shape.form, Form::Array | Form::Map) {
            self.push(format!("{pad}  ..."), String::new());
        } else {
            self.drop_comma();
        }
        let close = if is_array { "]" } else { "}" };
        self.push(format!("{pad}{close}{end}"), String::new());
    }
}
