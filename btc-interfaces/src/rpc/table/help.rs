//! The help of a method, written from its table.

use super::{Arg, Kind, Method, Presence};
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

    /// The whole help: usage, summary, arguments, result, examples.
    pub fn help(&self) -> String {
        let mut text = format!("{}\n\n{}\n", self.usage(), self.summary.trim());
        let mut lines = Lines::default();
        let mut named = Lines::default();
        let shown = self.args.iter().take_while(|arg| !arg.hidden);
        for (index, arg) in shown.enumerate() {
            lines.push(format!("{}. {}", index + 1, arg.name()), arg.description());
            if arg.kind == Kind::ObjectNamedParams {
                for field in arg.inner {
                    named.push(field.name().to_owned(), field.description());
                    named.push_inner(field, 5);
                }
            } else {
                lines.push_inner(arg, 5);
            }
        }
        lines.write("\nArguments:\n", &mut text);
        named.write("\nNamed Arguments:\n", &mut text);
        if !self.result.is_empty() {
            let _ = write!(text, "\nResult:\n{}\n", self.result.trim_end());
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
        let name = self.name();
        match self.kind {
            Kind::String | Kind::StringHex => format!("\"{name}\""),
            Kind::Number | Kind::Amount | Kind::Bool | Kind::Range | Kind::Any(_) => {
                name.to_owned()
            }
            Kind::Array => {
                let mut text = String::from("[");
                for element in self.inner {
                    let _ = write!(text, "{},", element.sketch());
                }
                text + "...]"
            }
            Kind::Object | Kind::ObjectUserKeys | Kind::ObjectNamedParams => {
                let fields: Vec<String> = self.inner.iter().map(Self::field_sketch).collect();
                let more = if self.kind == Kind::Object {
                    ""
                } else {
                    ",..."
                };
                format!("{{{}{more}}}", fields.join(","))
            }
        }
    }

    /// How it looks as a field of an object in the usage line.
    fn field_sketch(&self) -> String {
        let value = match self.kind {
            Kind::String => "\"str\"".to_owned(),
            Kind::StringHex => "\"hex\"".to_owned(),
            Kind::Number => "n".to_owned(),
            Kind::Range => "n or [n,n]".to_owned(),
            Kind::Amount => "amount".to_owned(),
            Kind::Bool => "bool".to_owned(),
            Kind::Any(label) => label.to_owned(),
            _ => self.sketch(),
        };
        format!("\"{}\":{value}", self.name())
    }

    /// Type, presence and meaning.
    fn description(&self) -> String {
        let kind = match self.kind {
            Kind::String | Kind::StringHex => "string",
            Kind::Number => "numeric",
            Kind::Amount => "numeric or string",
            Kind::Range => "numeric or array",
            Kind::Bool => "boolean",
            Kind::Array => "json array",
            Kind::Object | Kind::ObjectUserKeys | Kind::ObjectNamedParams => "json object",
            Kind::Any(label) => label,
        };
        let presence = match self.presence {
            Presence::Required => ", required".to_owned(),
            Presence::Optional => ", optional".to_owned(),
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

/// Lines of two columns, the second one aligned.
#[derive(Default)]
struct Lines(Vec<(String, String)>);

impl Lines {
    fn push(&mut self, left: String, right: String) {
        self.0.push((left, right));
    }

    /// The fields or elements of an argument, nested as its JSON is.
    fn push_inner(&mut self, arg: &Arg, indent: usize) {
        let (open, close) = match arg.kind {
            Kind::Array => ('[', ']'),
            Kind::Object | Kind::ObjectUserKeys | Kind::ObjectNamedParams => ('{', '}'),
            _ => return,
        };
        if arg.inner.is_empty() {
            return;
        }
        let pad = " ".repeat(indent);
        self.push(format!("{pad}{open}"), String::new());
        for inner in arg.inner {
            let sketch = if open == '{' {
                inner.field_sketch()
            } else {
                inner.sketch()
            };
            self.push(format!("{pad}  {sketch},"), inner.description());
            self.push_inner(inner, indent + 2);
        }
        if arg.kind != Kind::Object {
            self.push(format!("{pad}  ..."), String::new());
        }
        self.push(format!("{pad}{close}"), String::new());
    }

    fn write(self, title: &str, out: &mut String) {
        let Some(width) = self.0.iter().map(|(left, _)| left.chars().count()).max() else {
            return;
        };
        out.push_str(title);
        for (left, right) in self.0 {
            let right = right.replace('\n', &format!("\n{}", " ".repeat(width + 4)));
            let _ = writeln!(out, "{}", format!("{left:0$}{right}", width + 4).trim_end());
        }
    }
}
