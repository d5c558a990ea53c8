//! Prints Rust traits and structs that carry the runtime's attributes, for interfaces and structs that name none.

use crate::model::{Enum, Field, File, Interface, Item, Method, Model, Struct, is_instance};
use crate::request::Type;
use crate::rust::doc;
use crate::{Error, Place, Problem, Style, Traits, names};
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// Names in scope of the generated file, which a printed type may not take.
const TAKEN: [&str; 9] = [
    "Self",
    "Field",
    "Interface",
    "Kind",
    "Method",
    "Struct",
    "String",
    "Vec",
    "Option",
];

/// The traits and structs of `file`, each preceded by an empty line; nothing if the style wants none.
pub(crate) fn print(model: &Model, file: &File, style: &Style) -> Result<String, Error> {
    if style.traits == Traits::None {
        return Ok(String::new());
    }
    let printed = chosen(model, style.traits);
    let objects = object_holders(model);
    let mut printer = Printer {
        model,
        file,
        style,
        printed: &printed,
        objects: &objects,
        out: String::new(),
    };
    for item in &file.items {
        match item {
            Item::Interface(item) if printed.contains(&item.id) => printer.interface(item)?,
            Item::Struct(item) if wanted(item, &printed) => printer.structure(item)?,
            Item::Enum(item) if printed.contains(&item.id) => printer.enumeration(item)?,
            _ => {}
        }
    }
    Ok(printer.out)
}

/// Ids of the types to print: those the style asks for, and all that they use.
fn chosen(model: &Model, traits: Traits) -> BTreeSet<u64> {
    let mut chosen = BTreeSet::new();
    let items = || model.files.iter().flat_map(|file| &file.items);
    for item in items() {
        match item {
            Item::Interface(item) if traits == Traits::All || item.wrap.is_empty() => {
                chosen.insert(item.id);
            }
            Item::Struct(item) if traits == Traits::All || item.wrap.is_empty() => {
                chosen.insert(item.id);
            }
            Item::Enum(item) => {
                chosen.insert(item.id);
            }
            _ => {}
        }
    }
    chosen.remove(&0);
    chosen
}

fn wanted(item: &Struct, printed: &BTreeSet<u64>) -> bool {
    // A generic struct stands for its instances, which have id 0 and are all printed.
    !item.fields.iter().any(|f| is_open(&f.ty)) && (item.id == 0 || printed.contains(&item.id))
}

fn is_open(ty: &Type) -> bool {
    match ty {
        Type::Parameter { .. } => true,
        Type::List(element) => is_open(element),
        _ => false,
    }
}

struct Printer<'a> {
    model: &'a Model,
    file: &'a File,
    style: &'a Style,
    printed: &'a BTreeSet<u64>,
    /// Ids of structs that hold capabilities.
    objects: &'a BTreeSet<u64>,
    out: String,
}

impl Printer<'_> {
    fn interface(&mut self, item: &Interface) -> Result<(), Error> {
        let name = self.name_of(&item.name)?;
        let mut results = Vec::new();
        let mut methods = String::new();
        for method in &item.methods {
            // These two are the runtime's.
            if method.name == "construct" || method.name == "destroy" {
                continue;
            }
            methods.push_str(&self.method(item, method, &mut results)?);
        }
        self.docs(&item.doc, &format!("Interface `{}`.", item.name));
        let Style { runtime, codec, .. } = self.style;
        let mut bounds = vec!["Send".to_owned(), "Sync".to_owned()];
        for base in &item.extends {
            bounds.insert(bounds.len() - 2, self.path(*base, item, None)?);
        }
        self.line(format!(
            "#[{runtime}::interface(codec = {codec}, schema = {})]",
            item.constant
        ));
        self.line(format!("pub trait {name}: {} {{", bounds.join(" + ")));
        self.out.push_str(&methods);
        self.line("}");
        for (name, method) in results {
            self.results(item, &name, method)?;
        }
        Ok(())
    }

    fn method<'m>(
        &self,
        item: &Interface,
        method: &'m Method,
        results: &mut Vec<(String, &'m Method)>,
    ) -> Result<String, Error> {
        let mut params = vec!["&self".to_owned()];
        for field in visible(&method.params) {
            let ty = self.field_type(field, &method.params, &item.name, &method.name)?;
            params.push(format!("{}: {ty}", names::in_code(&field.rust_name)));
        }
        let error = format!("{}::Error", self.style.runtime);
        let values: Vec<&Field> = visible(&method.results)
            .into_iter()
            .filter(|field| field.exception.is_empty())
            .collect();
        let value = match &values[..] {
            [] => "()".to_owned(),
            [one] if one.name == "result" => {
                self.field_type(one, &method.results, &item.name, &method.name)?
            }
            _ => {
                let name = self.name_of(&format!(
                    "{}.{}Results",
                    item.name,
                    names::camel(&method.rust_name)
                ))?;
                results.push((name.clone(), method));
                name
            }
        };
        let exceptions: Vec<&Field> = visible(&method.results)
            .into_iter()
            .filter(|field| !field.exception.is_empty())
            .collect();
        let value = match &exceptions[..] {
            [] => value,
            [one] => {
                let ty = self.field_type(one, &method.results, &item.name, &method.name)?;
                format!("Result<{value}, {ty}>")
            }
            _ => {
                return Err(self.no_type(
                    &item.name,
                    Some(&method.name),
                    "a second error of one method",
                ));
            }
        };
        let mut out = String::new();
        let text = if method.doc.trim().is_empty() {
            format!("Method `{}`.", method.name)
        } else {
            method.doc.clone()
        };
        doc(&mut out, "///", 4, &text);
        let name = names::in_code(&method.rust_name);
        let output = format!("Result<{value}, {error}>");
        let line = format!("    fn {name}({}) -> {output};", params.join(", "));
        if line.len() <= self.style.format.max_width {
            out.push_str(&line);
            out.push('\n');
        } else {
            // Writing to a string cannot fail.
            let _ = writeln!(out, "    fn {name}(");
            for param in params {
                let _ = writeln!(out, "        {param},");
            }
            let _ = writeln!(out, "    ) -> {output};");
        }
        Ok(out)
    }

    /// The struct of a method with several results.
    fn results(&mut self, item: &Interface, name: &str, method: &Method) -> Result<(), Error> {
        let what = format!("What `{}.{}` returns.", item.name, method.name);
        self.docs("", &what);
        let derives = self.derives(visible(&method.results));
        let Style { runtime, codec, .. } = self.style;
        self.line(format!("#[derive({derives}, {runtime}::Message)]"));
        self.line(format!("#[mp(codec = {codec}, results)]"));
        let fields: Vec<&Field> = visible(&method.results)
            .into_iter()
            .filter(|field| field.exception.is_empty())
            .collect();
        self.members(name, &fields, &method.results, &item.name)
    }

    fn structure(&mut self, item: &Struct) -> Result<(), Error> {
        let name = self.name_of(&instance_name(item))?;
        self.docs(&item.doc, &format!("Struct `{}`.", item.name));
        let Style { runtime, codec, .. } = self.style;
        let derives = self.derives(visible(item));
        self.line(format!("#[derive({derives}, {runtime}::Message)]"));
        self.line(format!(
            "#[mp(codec = {codec}, schema = {})]",
            item.constant
        ));
        self.members(&name, &visible(item), item, &item.name)
    }

    fn members(
        &mut self,
        name: &str,
        fields: &[&Field],
        whole: &Struct,
        item: &str,
    ) -> Result<(), Error> {
        if fields.is_empty() {
            self.line(format!("pub struct {name} {{}}"));
            return Ok(());
        }
        self.line(format!("pub struct {name} {{"));
        for field in fields {
            let ty = self.field_type(field, whole, item, &field.name)?;
            let text = if field.doc.trim().is_empty() {
                format!("Field `{}`.", field.name)
            } else {
                field.doc.clone()
            };
            doc(&mut self.out, "///", 4, &text);
            self.line(format!(
                "    pub {}: {ty},",
                names::in_code(&field.rust_name)
            ));
        }
        self.line("}");
        Ok(())
    }

    fn enumeration(&mut self, item: &Enum) -> Result<(), Error> {
        let name = self.name_of(&item.name)?;
        self.docs(&item.doc, &format!("Enum `{}`.", item.name));
        let Style { runtime, codec, .. } = self.style;
        self.line(format!(
            "#[derive(Debug, Clone, Copy, PartialEq, Eq, {runtime}::Message)]"
        ));
        self.line(format!("#[mp(codec = {codec}, repr = \"UInt16\")]"));
        self.line(format!("pub enum {name} {{"));
        for (ordinal, (variant, text)) in item.enumerants.iter().enumerate() {
            let text = if text.trim().is_empty() {
                format!("Value `{variant}`.")
            } else {
                text.clone()
            };
            doc(&mut self.out, "///", 4, &text);
            let name = names::camel(variant);
            if !names::is_identifier(&name) {
                let place = self.place(&item.name, Some(variant));
                return Err(Error::at(place, Problem::Name(name)));
            }
            self.line(format!("    {} = {ordinal},", names::in_code(&name)));
        }
        self.line("}");
        Ok(())
    }

    /// A capability has no equality and no Debug, and neither has a struct that holds one.
    fn derives(&self, fields: Vec<&Field>) -> &'static str {
        if fields.iter().any(|f| holds_object(&f.ty, self.objects)) {
            "Clone"
        } else {
            "Debug, Clone, PartialEq"
        }
    }

    fn field_type(
        &self,
        field: &Field,
        whole: &Struct,
        item: &str,
        member: &str,
    ) -> Result<String, Error> {
        let ty = self.rust_type(&field.ty, item, member)?;
        Ok(if is_optional(whole, field) {
            format!("Option<{ty}>")
        } else {
            ty
        })
    }

    fn rust_type(&self, ty: &Type, item: &str, member: &str) -> Result<String, Error> {
        Ok(match ty {
            Type::Void => "()".to_owned(),
            Type::Bool => "bool".to_owned(),
            Type::Int { bits, signed: true } => format!("i{bits}"),
            Type::Int { bits, .. } => format!("u{bits}"),
            Type::Float { bits } => format!("f{bits}"),
            Type::Text => "String".to_owned(),
            Type::Data => "Vec<u8>".to_owned(),
            Type::List(element) => format!("Vec<{}>", self.rust_type(element, item, member)?),
            Type::Struct { brand, .. } if is_instance(brand) => {
                return self
                    .instance(ty)
                    .ok_or_else(|| self.no_type(item, Some(member), "a generic type"));
            }
            Type::Enum(id) | Type::Struct { id, .. } => self.member_path(*id, item, member)?,
            Type::Interface(id) => {
                format!(
                    "std::sync::Arc<dyn {}>",
                    self.member_path(*id, item, member)?
                )
            }
            Type::AnyPointer | Type::Parameter { .. } => {
                return Err(self.no_type(item, Some(member), "AnyPointer"));
            }
        })
    }

    /// The struct printed for an instance of a generic one, which lies in the file that uses it.
    fn instance(&self, ty: &Type) -> Option<String> {
        let constant = self.model.instance_constant(ty);
        self.file.items.iter().find_map(|item| match item {
            Item::Struct(s) if s.id == 0 && s.constant == constant => {
                Some(names::camel(&instance_name(s)))
            }
            _ => None,
        })
    }

    fn path(&self, id: u64, item: &Interface, member: Option<&str>) -> Result<String, Error> {
        self.member_path(id, &item.name, member.unwrap_or_default())
    }

    /// Where the trait, struct or enum for a type is: printed in one of the files, or named by `$Proxy.wrap`.
    fn member_path(&self, id: u64, item: &str, member: &str) -> Result<String, Error> {
        let Some(home) = self.model.homes.get(&id) else {
            return Err(self.no_type(item, Some(member), "a type of a file that is not written"));
        };
        if self.printed.contains(&id) {
            let name = self.name_of(&home.name)?;
            return Ok(if home.module == self.file.module {
                name
            } else {
                format!("super::{}::{name}", names::in_code(&home.module))
            });
        }
        let wrap = self
            .model
            .files
            .iter()
            .flat_map(|f| &f.items)
            .find_map(|i| match i {
                Item::Interface(i) if i.id == id => Some(&i.wrap),
                Item::Struct(s) if s.id == id => Some(&s.wrap),
                _ => None,
            });
        match wrap {
            Some(path) if names::is_path(path) => Ok(path.clone()),
            _ => Err(self.no_type(item, Some(member), "a class that is no Rust path")),
        }
    }

    fn name_of(&self, path: &str) -> Result<String, Error> {
        let name = names::camel(path);
        if !names::is_identifier(&name) {
            return Err(Error::at(self.place(path, None), Problem::Name(name)));
        }
        if TAKEN.contains(&name.as_str()) {
            let problem = Problem::Clash {
                name: name.clone(),
                first: name,
            };
            return Err(Error::at(self.place(path, None), problem));
        }
        Ok(name)
    }

    fn no_type(&self, item: &str, member: Option<&str>, what: &'static str) -> Error {
        let member = member.filter(|m| !m.is_empty());
        Error::at(self.place(item, member), Problem::NoRustType(what))
    }

    fn place(&self, item: &str, member: Option<&str>) -> Place {
        Place {
            file: self.file.name.clone(),
            line: None,
            item: member.map_or_else(|| item.to_owned(), |m| format!("{item}.{m}")),
        }
    }

    fn docs(&mut self, text: &str, what: &str) {
        self.out.push('\n');
        let text = if text.trim().is_empty() { what } else { text };
        doc(&mut self.out, "///", 0, text);
    }

    fn line(&mut self, line: impl AsRef<str>) {
        self.out.push_str(line.as_ref());
        self.out.push('\n');
    }
}

/// `Pair(Text, Text)` as `Pair_Text_Text`.
fn instance_name(item: &Struct) -> String {
    item.name
        .split(|c: char| !c.is_ascii_alphanumeric() && c != '.')
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join("_")
}

/// Ids of the structs that hold a capability, themselves or through others.
fn object_holders(model: &Model) -> BTreeSet<u64> {
    let structs = || {
        let items = model.files.iter().flat_map(|file| &file.items);
        items.filter_map(|item| match item {
            Item::Struct(item) if item.id != 0 => Some(item),
            _ => None,
        })
    };
    let mut found = BTreeSet::new();
    loop {
        let before = found.len();
        for item in structs() {
            if item.fields.iter().any(|f| holds_object(&f.ty, &found)) {
                found.insert(item.id);
            }
        }
        if found.len() == before {
            return found;
        }
    }
}

fn holds_object(ty: &Type, holders: &BTreeSet<u64>) -> bool {
    match ty {
        Type::Interface(_) => true,
        Type::List(element) => holds_object(element, holders),
        Type::Struct { id, brand } => {
            holders.contains(id)
                || brand
                    .iter()
                    .flat_map(|s| &s.bindings)
                    .flatten()
                    .any(|bound| holds_object(bound, holders))
        }
        _ => false,
    }
}

/// The fields that Rust sees: not what the runtime fills, not the companions of optional ones.
fn visible(item: &Struct) -> Vec<&Field> {
    let companions: BTreeSet<String> = item
        .fields
        .iter()
        .map(|f| companion_name(&f.name))
        .collect();
    item.fields
        .iter()
        .filter(|f| !(f.implicit || f.ty == Type::Bool && companions.contains(&f.name)))
        .collect()
}

/// Whether the struct says by a `hasFoo :Bool` if `foo` is there.
fn is_optional(whole: &Struct, field: &Field) -> bool {
    let name = companion_name(&field.name);
    whole
        .fields
        .iter()
        .any(|other| other.name == name && other.ty == Type::Bool)
}

fn companion_name(name: &str) -> String {
    let mut chars = name.chars();
    let first = chars.next().map(|c| c.to_ascii_uppercase());
    format!(
        "has{}{}",
        first.into_iter().collect::<String>(),
        chars.as_str()
    )
}
