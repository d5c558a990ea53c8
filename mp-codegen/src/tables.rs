//! Prints the tables of a file: one constant for each interface, struct and constant.

use crate::model::{Const, Field, File, Interface, Item, Method, Model, Struct, is_instance};
use crate::request::{Type, Value};
use crate::rust::{Expr, decimal, doc, hex};
use crate::{Error, Place, Problem, Style};
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// `mp.Context`, which the runtime has a name for.
const CONTEXT_ID: u64 = 0x9c44_e664_5d0b_22c6;

/// The tables of `file`, without the head of the file.
pub(crate) fn print(model: &Model, file: &File, style: &Style) -> Result<String, Error> {
    let mut printer = Printer {
        model,
        file,
        style,
        imports: BTreeSet::new(),
        body: String::new(),
    };
    printer.file()?;
    Ok(printer.finish())
}

struct Printer<'a> {
    model: &'a Model,
    file: &'a File,
    style: &'a Style,
    imports: BTreeSet<&'static str>,
    body: String,
}

impl Printer<'_> {
    fn file(&mut self) -> Result<(), Error> {
        let mut ids = String::new();
        for item in &self.file.items {
            match item {
                Item::Interface(item) => {
                    self.interface(item);
                    push_id(&mut ids, &item.name, &item.constant, item.id);
                }
                Item::Struct(item) => {
                    self.structure(item);
                    if item.id != 0 {
                        push_id(&mut ids, &item.name, &item.constant, item.id);
                    }
                }
                Item::Const(item) => self.constant(item)?,
                // An enum is a 16-bit number in a table.
                Item::Enum(_) => {}
            }
        }
        if !ids.is_empty() {
            self.body.push_str("\n/// Type ids.\npub mod id {\n");
            self.body.push_str(&ids);
            self.body.push_str("}\n");
        }
        Ok(())
    }

    fn finish(self) -> String {
        let runtime = &self.style.runtime;
        // rustfmt puts SCREAMING names first.
        let imports: Vec<&str> = self.imports.iter().copied().collect();
        let mut out = match &imports[..] {
            [] => String::new(),
            [one] => format!("use {runtime}::schema::{one};\n"),
            many => {
                let line = format!("use {runtime}::schema::{{{}}};\n", many.join(", "));
                if line.len() - 1 <= self.style.format.max_width {
                    line
                } else {
                    format!("use {runtime}::schema::{{\n    {},\n}};\n", many.join(", "))
                }
            }
        };
        out.push_str(if imports.is_empty() {
            self.body.trim_start_matches('\n')
        } else {
            &self.body
        });
        out
    }

    fn docs(&mut self, text: &str, what: &str) {
        self.body.push('\n');
        doc(&mut self.body, "///", 0, text);
        if !text.trim().is_empty() {
            self.body.push_str("///\n");
        }
        doc(&mut self.body, "///", 0, what);
    }

    fn declare(&mut self, constant: &str, ty: &str, value: &Expr) {
        let start = format!("pub const {constant}: {ty} = ");
        self.body.push_str(&start);
        value.print(&mut self.body, self.style.format, 0, start.len(), 1);
        self.body.push_str(";\n");
    }

    fn interface(&mut self, item: &Interface) {
        self.imports.insert("Interface");
        let what = format!(
            "Interface `{}`{}.",
            item.name,
            wrapped(&item.wrap, ", implemented by")
        );
        self.docs(&item.doc, &what);
        let extends = item
            .extends
            .iter()
            .map(|id| {
                Expr::Atom(match self.model.homes.get(id) {
                    Some(home) if home.module == self.file.module => format!("&{}", home.constant),
                    Some(home) => format!("&super::{}::{}", home.module, home.constant),
                    None => String::new(),
                })
            })
            .collect();
        let methods = item
            .methods
            .iter()
            .enumerate()
            .map(|(ordinal, method)| self.method(item, ordinal, method))
            .collect();
        let value = Expr::Literal(
            "Interface",
            vec![
                ("id", Expr::Atom(format!("id::{}", item.constant))),
                ("name", Expr::string(&item.name)),
                ("wrap", Expr::string(&item.wrap)),
                ("extends", Expr::Slice(extends)),
                ("methods", Expr::Slice(methods)),
            ],
        );
        self.declare(&item.constant, "Interface", &value);
    }

    fn method(&mut self, interface: &Interface, ordinal: usize, method: &Method) -> Expr {
        self.imports.insert("Method");
        let params = self.half(&method.params);
        let results = self.half(&method.results);
        Expr::Literal(
            "Method",
            vec![
                (
                    "interface",
                    Expr::Atom(format!("id::{}", interface.constant)),
                ),
                ("ordinal", Expr::number(ordinal)),
                ("name", Expr::string(&method.name)),
                ("rust_name", Expr::string(&method.rust_name)),
                ("params", params),
                ("results", results),
            ],
        )
    }

    fn half(&mut self, item: &Struct) -> Expr {
        match self.model.homes.get(&item.id) {
            Some(home) if home.module == self.file.module => Expr::Atom(home.constant.clone()),
            Some(home) => Expr::Atom(format!("super::{}::{}", home.module, home.constant)),
            None => self.layout(item, hex(item.id)),
        }
    }

    fn structure(&mut self, item: &Struct) {
        let what = format!("Struct `{}`{}.", item.name, wrapped(&item.wrap, ", for"));
        self.docs(&item.doc, &what);
        let id = if item.id == 0 {
            "0".to_owned()
        } else {
            format!("id::{}", item.constant)
        };
        let value = self.layout(item, id);
        self.declare(&item.constant, "Struct", &value);
    }

    fn layout(&mut self, item: &Struct, id: String) -> Expr {
        self.imports.insert("Struct");
        let id = if id == "0x0" { "0".to_owned() } else { id };
        let fields = item.fields.iter().map(|f| self.field(f)).collect();
        Expr::Literal(
            "Struct",
            vec![
                ("id", Expr::Atom(id)),
                ("name", Expr::string(&item.name)),
                ("wrap", Expr::string(&item.wrap)),
                ("data_words", Expr::number(item.data_words)),
                ("pointers", Expr::number(item.pointers)),
                ("fields", Expr::Slice(fields)),
            ],
        )
    }

    fn field(&mut self, field: &Field) -> Expr {
        self.imports.insert("Field");
        if is_context(field) {
            return Expr::Atom("Field::CONTEXT".to_owned());
        }
        self.imports.insert("Kind");
        let name = Expr::string(&field.name);
        let rust_name = Expr::string(&field.rust_name);
        let kind = Expr::Atom(self.kind(&field.ty));
        let offset = Expr::number(field.offset);
        let default = Expr::Atom(if field.default < 10 {
            field.default.to_string()
        } else {
            hex(field.default)
        });
        let exception = Expr::string(&field.exception);
        let basics = vec![name, rust_name, kind, offset];
        let with = |extra| {
            let mut args = basics;
            args.extend(extra);
            args
        };
        match (field.implicit, field.default, field.exception.as_str()) {
            (false, 0, "") if field.secret => Expr::Call("Field::secret", with(None)),
            _ if field.secret => self.field_literal(field, default, exception),
            (false, 0, "") => Expr::Call("Field::new", with(None)),
            (true, 0, "") => Expr::Call("Field::implicit", with(None)),
            (false, _, "") => Expr::Call("Field::with_default", with(Some(default))),
            (false, 0, _) => Expr::Call("Field::with_exception", with(Some(exception))),
            _ => self.field_literal(field, default, exception),
        }
    }

    /// A field for which the runtime has no short form.
    fn field_literal(&mut self, field: &Field, default: Expr, exception: Expr) -> Expr {
        let mut basics = basics_of(field, self.kind(&field.ty));
        basics.extend([
            ("default", default),
            ("implicit", Expr::number(field.implicit)),
            ("exception", exception),
            ("secret", Expr::number(field.secret)),
        ]);
        Expr::Literal("Field", basics)
    }

    fn kind(&mut self, ty: &Type) -> String {
        match ty {
            Type::Void => "Kind::Void".to_owned(),
            Type::Bool => "Kind::Bool".to_owned(),
            Type::Int { bits, .. } | Type::Float { bits } => format!("Kind::Bits{bits}"),
            Type::Enum(_) => "Kind::Bits16".to_owned(),
            Type::Text => "Kind::Text".to_owned(),
            Type::Data => "Kind::Data".to_owned(),
            Type::List(element) => format!("Kind::List(&{})", self.kind(element)),
            Type::Struct { brand, .. } if is_instance(brand) => "Kind::Struct(0)".to_owned(),
            Type::Struct { id, .. } => format!("Kind::Struct({})", self.id(*id)),
            Type::Interface(id) => format!("Kind::Interface({})", self.id(*id)),
            Type::AnyPointer | Type::Parameter { .. } => "Kind::AnyPointer".to_owned(),
        }
    }

    fn id(&mut self, id: u64) -> String {
        match self.model.homes.get(&id) {
            Some(home) if home.module == self.file.module => format!("id::{}", home.constant),
            Some(home) => format!("super::{}::id::{}", home.module, home.constant),
            None if id == CONTEXT_ID => {
                self.imports.insert("CONTEXT_ID");
                "CONTEXT_ID".to_owned()
            }
            None => hex(id),
        }
    }

    fn constant(&mut self, item: &Const) -> Result<(), Error> {
        self.docs(&item.doc, &format!("Constant `{}`.", item.name));
        let (ty, value) = constant_value(&item.ty, &item.value).ok_or_else(|| {
            Error::at(
                Place {
                    file: self.file.name.clone(),
                    line: None,
                    item: item.name.clone(),
                },
                Problem::ConstType,
            )
        })?;
        self.declare(&item.constant, ty, &Expr::Atom(value));
        Ok(())
    }
}

/// Whether the runtime has a constant for just this field.
fn is_context(field: &Field) -> bool {
    field.name == "context"
        && field.rust_name == "context"
        && matches!(&field.ty, Type::Struct { id: CONTEXT_ID, .. })
        && (field.offset, field.default, field.implicit) == (0, 0, true)
        && field.exception.is_empty()
}

fn basics_of(field: &Field, kind: String) -> Vec<(&'static str, Expr)> {
    vec![
        ("name", Expr::string(&field.name)),
        ("rust_name", Expr::string(&field.rust_name)),
        ("kind", Expr::Atom(kind)),
        ("offset", Expr::number(field.offset)),
    ]
}

fn wrapped(class: &str, by: &str) -> String {
    // A class that is no plain path could break out of its code marks.
    if class.is_empty() || class.contains(['`', '\n', '\r']) {
        String::new()
    } else {
        format!("{by} `{class}`")
    }
}

fn push_id(ids: &mut String, name: &str, constant: &str, id: u64) {
    // Writing to a string cannot fail.
    let _ = write!(
        ids,
        "    /// Of `{name}`.\n    pub const {constant}: u64 = {};\n",
        hex(id)
    );
}

fn constant_value(ty: &Type, value: &Value) -> Option<(&'static str, String)> {
    Some(match (ty, value) {
        (Type::Bool, Value::Bool(v)) => ("bool", v.to_string()),
        (Type::Int { bits, signed: true }, Value::Int(v)) => {
            let ty = match bits {
                8 => "i8",
                16 => "i16",
                32 => "i32",
                _ => "i64",
            };
            (ty, decimal(i128::from(*v)))
        }
        (Type::Int { bits, .. }, Value::Uint(v)) => {
            let ty = match bits {
                8 => "u8",
                16 => "u16",
                32 => "u32",
                _ => "u64",
            };
            (ty, decimal(i128::from(*v)))
        }
        (Type::Float { .. }, Value::Float32(v)) => ("f32", float(format!("{v:?}"), "f32")),
        (Type::Float { .. }, Value::Float64(v)) => ("f64", float(format!("{v:?}"), "f64")),
        (Type::Enum(_), Value::Enum(v)) => ("u16", v.to_string()),
        (Type::Text, Value::Text(v)) => ("&str", format!("{v:?}")),
        (Type::Data, Value::Data(v)) => ("&[u8]", format!("b\"{}\"", v.escape_ascii())),
        _ => return None,
    })
}

/// Infinities and "not a number" have names, the rest is written as it is.
fn float(shown: String, ty: &str) -> String {
    match shown.as_str() {
        "inf" => format!("{ty}::INFINITY"),
        "-inf" => format!("{ty}::NEG_INFINITY"),
        "NaN" => format!("{ty}::NAN"),
        _ => shown,
    }
}
