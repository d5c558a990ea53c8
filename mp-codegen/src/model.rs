//! What the schemas say, with the annotations understood: what the emitters print.

use crate::request::{
    Annotation, Body, Field as RawField, InterfaceBody, Node, Request, Scope, StructBody, Type,
    Value,
};
use crate::{Error, Place, Problem, names};
use std::collections::{BTreeMap, BTreeSet};

/// Ids of `/mp/proxy.capnp`; facts of the protocol.
mod proxy {
    pub(super) const FILE: u64 = 0xcc31_6e3f_71a0_40fb;
    pub(super) const INCLUDE: u64 = 0xb899_f3c1_54fd_b458;
    pub(super) const INCLUDE_TYPES: u64 = 0xbcec_1564_8e8a_0cf1;
    pub(super) const WRAP: u64 = 0xe6f4_6079_b7b1_405e;
    pub(super) const COUNT: u64 = 0xd026_82b3_19f6_9b38;
    pub(super) const EXCEPTION: u64 = 0x996a_1832_0099_2f88;
    pub(super) const NAME: u64 = 0xb594_888f_63f4_dbb9;
    pub(super) const SKIP: u64 = 0x824c_08b8_2695_d8dd;
}

/// A schema file.
pub(crate) struct File {
    /// As it was named to the compiler.
    pub(crate) name: String,
    /// The Rust module.
    pub(crate) module: String,
    /// In declaration order, nested types after the type that holds them, then the instances of generic types.
    pub(crate) items: Vec<Item>,
}

pub(crate) enum Item {
    Interface(Interface),
    Struct(Struct),
    Enum(Enum),
    Const(Const),
}

pub(crate) struct Interface {
    pub(crate) id: u64,
    pub(crate) name: String,
    pub(crate) constant: String,
    pub(crate) wrap: String,
    pub(crate) doc: String,
    pub(crate) extends: Vec<u64>,
    pub(crate) methods: Vec<Method>,
}

pub(crate) struct Method {
    pub(crate) name: String,
    pub(crate) rust_name: String,
    pub(crate) doc: String,
    pub(crate) params: Struct,
    pub(crate) results: Struct,
}

/// A struct of a file, an instance of a generic one, or an implicit one of a method; the last two have id 0.
pub(crate) struct Struct {
    pub(crate) id: u64,
    pub(crate) name: String,
    /// Empty for an implicit struct.
    pub(crate) constant: String,
    pub(crate) wrap: String,
    pub(crate) doc: String,
    pub(crate) data_words: u16,
    pub(crate) pointers: u16,
    /// In declaration order.
    pub(crate) fields: Vec<Field>,
}

pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) rust_name: String,
    pub(crate) doc: String,
    pub(crate) ty: Type,
    pub(crate) offset: u32,
    pub(crate) default: u64,
    pub(crate) implicit: bool,
    pub(crate) exception: String,
}

pub(crate) struct Enum {
    pub(crate) id: u64,
    pub(crate) name: String,
    pub(crate) doc: String,
    /// Names and comments, by ordinal.
    pub(crate) enumerants: Vec<(String, String)>,
}

pub(crate) struct Const {
    pub(crate) name: String,
    pub(crate) constant: String,
    pub(crate) doc: String,
    pub(crate) ty: Type,
    pub(crate) value: Value,
}

/// Where a type of the requested files is found in the generated code.
pub(crate) struct Home {
    pub(crate) module: String,
    /// The name of its table, which is also the name of its id.
    pub(crate) constant: String,
    /// The name in the schema.
    pub(crate) name: String,
}

/// The requested files and where their types are.
pub(crate) struct Model {
    pub(crate) files: Vec<File>,
    pub(crate) homes: BTreeMap<u64, Home>,
    /// The names of all types, those of other files too.
    names: BTreeMap<u64, String>,
}

impl Model {
    /// The name of the table of an instance of a generic struct.
    pub(crate) fn instance_constant(&self, ty: &Type) -> String {
        instance_constant(&spell(ty, &self.names))
    }
}

/// Makes the model of the files that `request` names.
pub(crate) fn build(request: &Request) -> Result<Model, Error> {
    let names: BTreeMap<u64, String> = request
        .nodes
        .iter()
        .map(|(&id, node)| (id, local_name(node).to_owned()))
        .collect();
    let mut modules = BTreeSet::new();
    let mut homes = BTreeMap::new();
    let mut drafts = Vec::new();
    for file in &request.files {
        let module = module_name(&file.name);
        let place = Place {
            file: file.name.clone(),
            line: None,
            item: module.clone(),
        };
        if !names::is_identifier(&module) {
            return Err(Error::at(place, Problem::Name(module)));
        }
        if !modules.insert(module.clone()) {
            return Err(Error::at(place, Problem::FileClash(module)));
        }
        let ids = declared(request, file.id)?;
        for &id in &ids {
            let name = local_name(&request.nodes[&id]).to_owned();
            let constant = names::screaming(&name);
            homes.insert(
                id,
                Home {
                    module: module.clone(),
                    constant,
                    name,
                },
            );
        }
        drafts.push((file.name.clone(), module, ids));
    }
    let mut files = Vec::new();
    for (name, module, ids) in drafts {
        let builder = Builder {
            request,
            homes: &homes,
            names: &names,
            file: &name,
        };
        let items = builder.items(&ids)?;
        files.push(File {
            name,
            module,
            items,
        });
    }
    files.sort_by(|a, b| a.module.cmp(&b.module));
    Ok(Model {
        files,
        homes,
        names,
    })
}

pub(crate) fn module_name(file: &str) -> String {
    let base = file.rsplit(['/', '\\']).next().unwrap_or(file);
    names::snake(base.strip_suffix(".capnp").unwrap_or(base)).replace(['-', '.', '+'], "_")
}

/// The name within the file: `Outer.Inner`.
fn local_name(node: &Node) -> &str {
    node.display_name
        .rsplit_once(':')
        .map_or(node.display_name.as_str(), |(_, name)| name)
}

/// Ids of what a file declares, depth first. Groups and implicit structs are in no list of nested nodes.
fn declared(request: &Request, file: u64) -> Result<Vec<u64>, Error> {
    let root = request
        .nodes
        .get(&file)
        .ok_or(Error::Request("a requested file is not among the nodes"))?;
    let mut seen = BTreeSet::from([file]);
    let mut stack: Vec<u64> = root.nested.iter().rev().copied().collect();
    let mut ids = Vec::new();
    while let Some(id) = stack.pop() {
        // The compiler leaves out nested nodes that nothing uses, annotations for one.
        let Some(node) = request.nodes.get(&id) else {
            continue;
        };
        if !seen.insert(id) {
            return Err(Error::Request("a node is nested twice"));
        }
        stack.extend(node.nested.iter().rev());
        ids.push(id);
    }
    Ok(ids)
}

struct Builder<'a> {
    request: &'a Request,
    homes: &'a BTreeMap<u64, Home>,
    names: &'a BTreeMap<u64, String>,
    file: &'a str,
}

impl Builder<'_> {
    fn place(&self, item: &str, member: Option<&str>) -> Place {
        Place {
            file: self.file.to_owned(),
            line: None,
            item: member.map_or_else(|| item.to_owned(), |member| format!("{item}.{member}")),
        }
    }

    fn items(&self, ids: &[u64]) -> Result<Vec<Item>, Error> {
        let mut items = Vec::new();
        let mut instances = BTreeMap::new();
        let mut taken = BTreeMap::new();
        for &id in ids {
            let node = &self.request.nodes[&id];
            let name = local_name(node);
            if !name.split('.').all(names::is_identifier) {
                return Err(Error::at(
                    self.place(name, None),
                    Problem::Name(name.to_owned()),
                ));
            }
            let constant = names::screaming(name);
            let item = match &node.body {
                Body::File | Body::Annotation => continue,
                Body::Enum(enumerants) => {
                    let mut named = Vec::new();
                    for (index, enumerant) in enumerants.iter().enumerate() {
                        self.check_name(name, &enumerant.name, &enumerant.name)?;
                        named.push((enumerant.name.clone(), member_doc(node, index)));
                    }
                    Item::Enum(Enum {
                        id,
                        name: name.to_owned(),
                        doc: node.doc.clone(),
                        enumerants: named,
                    })
                }
                Body::Const { ty, value } => Item::Const(Const {
                    name: name.to_owned(),
                    constant: constant.clone(),
                    doc: node.doc.clone(),
                    ty: ty.clone(),
                    value: value.clone(),
                }),
                Body::Struct(body) => {
                    let item = self.structure(id, node, body, name, &constant, &[])?;
                    self.collect_instances(&item, &mut instances);
                    Item::Struct(item)
                }
                Body::Interface(body) => {
                    let item = self.interface(id, node, body, name, &constant)?;
                    for method in &item.methods {
                        self.collect_instances(&method.params, &mut instances);
                        self.collect_instances(&method.results, &mut instances);
                    }
                    Item::Interface(item)
                }
            };
            if let Some(first) = taken.insert(constant.clone(), name.to_owned()) {
                return Err(Error::at(
                    self.place(name, None),
                    Problem::Clash {
                        name: constant,
                        first,
                    },
                ));
            }
            items.push(item);
        }
        for (constant, (id, brand, name)) in instances {
            if let Some(first) = taken.insert(constant.clone(), name.clone()) {
                return Err(Error::at(
                    self.place(&name, None),
                    Problem::Clash {
                        name: constant,
                        first,
                    },
                ));
            }
            let node = &self.request.nodes[&id];
            if let Body::Struct(body) = &node.body {
                let mut item = self.structure(0, node, body, &name, &constant, &brand)?;
                // The class is that of the generic type, its arguments are lost.
                item.wrap.clear();
                items.push(Item::Struct(item));
            }
        }
        Ok(items)
    }

    fn interface(
        &self,
        id: u64,
        node: &Node,
        body: &InterfaceBody,
        name: &str,
        constant: &str,
    ) -> Result<Interface, Error> {
        for &base in &body.superclasses {
            if !self.homes.contains_key(&base) {
                let base = self
                    .request
                    .nodes
                    .get(&base)
                    .map_or_else(|| format!("0x{base:016x}"), |n| n.display_name.clone());
                return Err(Error::at(
                    self.place(name, None),
                    Problem::ForeignBase(base),
                ));
            }
        }
        let annotations = self.annotations(&node.annotations, name, None)?;
        let mut methods: Vec<Method> = Vec::new();
        let mut taken = BTreeMap::new();
        for (ordinal, raw) in body.methods.iter().enumerate() {
            let notes = self.annotations(&raw.annotations, name, Some(&raw.name))?;
            let rust_name = notes.rust_name(&raw.name);
            self.check_name(name, &raw.name, &rust_name)?;
            if let Some(first) = taken.insert(rust_name.clone(), &raw.name) {
                return Err(self.clash(name, &raw.name, rust_name, first));
            }
            methods.push(Method {
                name: raw.name.clone(),
                rust_name,
                doc: member_doc(node, ordinal),
                params: self.half(raw.params, name, &raw.name, "Params")?,
                results: self.half(raw.results, name, &raw.name, "Results")?,
            });
        }
        Ok(Interface {
            id,
            name: name.to_owned(),
            constant: constant.to_owned(),
            wrap: annotations.wrap,
            doc: node.doc.clone(),
            extends: body.superclasses.clone(),
            methods,
        })
    }

    /// The parameters or the results of a method: an implicit struct or one with a name of its own.
    fn half(&self, id: u64, interface: &str, method: &str, half: &str) -> Result<Struct, Error> {
        let place = || self.place(interface, Some(method));
        let node = self
            .request
            .nodes
            .get(&id)
            .ok_or_else(|| Error::at(place(), Problem::Undefined(id)))?;
        let Body::Struct(body) = &node.body else {
            return Err(Error::at(place(), Problem::WrongSort(id)));
        };
        if node.scope == 0 {
            let name = format!("{method}${half}");
            let shown = format!("{interface}.{method}");
            let mut item = self.structure(0, node, body, &shown, "", &[])?;
            item.name = name;
            Ok(item)
        } else {
            let name = local_name(node).to_owned();
            let constant = names::screaming(&name);
            self.structure(id, node, body, &name, &constant, &[])
        }
    }

    fn structure(
        &self,
        id: u64,
        node: &Node,
        body: &StructBody,
        name: &str,
        constant: &str,
        brand: &[Scope],
    ) -> Result<Struct, Error> {
        if body.has_union {
            return Err(Error::at(self.place(name, None), Problem::Union));
        }
        let annotations = self.annotations(&node.annotations, name, None)?;
        let mut fields: Vec<(u16, Field)> = Vec::new();
        let mut taken = BTreeMap::new();
        for (index, raw) in body.fields.iter().enumerate() {
            let field = self.field(raw, name, member_doc(node, index), brand)?;
            if let Some(first) = taken.insert(field.rust_name.clone(), &raw.name) {
                return Err(self.clash(name, &raw.name, field.rust_name, first));
            }
            fields.push((raw.code_order, field));
        }
        fields.sort_by_key(|&(code_order, _)| code_order);
        Ok(Struct {
            id,
            name: name.to_owned(),
            constant: constant.to_owned(),
            wrap: annotations.wrap,
            doc: node.doc.clone(),
            data_words: body.data_words,
            pointers: body.pointers,
            fields: fields.into_iter().map(|(_, field)| field).collect(),
        })
    }

    fn field(
        &self,
        raw: &RawField,
        item: &str,
        doc: String,
        brand: &[Scope],
    ) -> Result<Field, Error> {
        let place = || self.place(item, Some(&raw.name));
        let slot = raw
            .slot
            .as_ref()
            .ok_or_else(|| Error::at(place(), Problem::Group))?;
        let notes = self.annotations(&raw.annotations, item, Some(&raw.name))?;
        let rust_name = notes.rust_name(&raw.name);
        self.check_name(item, &raw.name, &rust_name)?;
        let ty = substitute(&slot.ty, brand);
        self.check_type(&ty, &place)?;
        let default = match &slot.default {
            Value::Text(text) if slot.explicit_default && !text.is_empty() => None,
            Value::Data(data) if slot.explicit_default && !data.is_empty() => None,
            Value::Pointer if slot.explicit_default => None,
            value => Some(default_bits(value, &slot.ty)),
        };
        let default = default.ok_or_else(|| Error::at(place(), Problem::PointerDefault))?;
        let type_notes = match &ty {
            Type::Struct { id, .. } | Type::Interface(id) => {
                let node = &self.request.nodes[id];
                self.annotations(&node.annotations, local_name(node), None)?
            }
            _ => Notes::default(),
        };
        Ok(Field {
            name: raw.name.clone(),
            rust_name,
            doc,
            offset: slot.offset,
            default,
            implicit: notes.implicit.or(type_notes.implicit).unwrap_or(false),
            exception: notes.exception,
            ty,
        })
    }

    /// Every type named is defined and of the right sort.
    fn check_type(&self, ty: &Type, place: &dyn Fn() -> Place) -> Result<(), Error> {
        let (id, right) = match ty {
            Type::List(element) => return self.check_type(element, place),
            Type::Enum(id) => (*id, self.body(*id).map(|b| matches!(b, Body::Enum(_)))),
            Type::Interface(id) => (*id, self.body(*id).map(|b| matches!(b, Body::Interface(_)))),
            Type::Struct { id, brand } => {
                for bound in brand.iter().flat_map(|s| &s.bindings).flatten() {
                    self.check_type(bound, place)?;
                }
                (*id, self.body(*id).map(|b| matches!(b, Body::Struct(_))))
            }
            _ => return Ok(()),
        };
        match right {
            Some(true) => Ok(()),
            Some(false) => Err(Error::at(place(), Problem::WrongSort(id))),
            None => Err(Error::at(place(), Problem::Undefined(id))),
        }
    }

    fn body(&self, id: u64) -> Option<&Body> {
        self.request.nodes.get(&id).map(|node| &node.body)
    }

    fn check_name(&self, item: &str, member: &str, rust_name: &str) -> Result<(), Error> {
        for name in [member, rust_name] {
            if !names::is_identifier(name) {
                let place = self.place(item, Some(member));
                return Err(Error::at(place, Problem::Name(name.to_owned())));
            }
        }
        Ok(())
    }

    fn clash(&self, item: &str, member: &str, name: String, first: &str) -> Error {
        let first = first.to_owned();
        Error::at(
            self.place(item, Some(member)),
            Problem::Clash { name, first },
        )
    }

    fn annotations(
        &self,
        list: &[Annotation],
        item: &str,
        member: Option<&str>,
    ) -> Result<Notes, Error> {
        let mut notes = Notes::default();
        let fail = |problem| Err(Error::at(self.place(item, member), problem));
        for Annotation { id, value } in list {
            match (*id, value) {
                (proxy::INCLUDE | proxy::INCLUDE_TYPES, _) => {}
                (proxy::WRAP, Value::Text(class)) => notes.wrap = class.clone(),
                (proxy::NAME, Value::Text(name)) => notes.name = Some(name.clone()),
                (proxy::EXCEPTION, Value::Text(class)) => notes.exception = class.clone(),
                (proxy::SKIP, _) => notes.implicit = Some(true),
                (proxy::COUNT, Value::Int(count)) => match i32::try_from(*count) {
                    Ok(count @ 0..) => notes.implicit = Some(count == 0),
                    Ok(count) => return fail(Problem::Count(count)),
                    Err(_) => return fail(Problem::AnnotationValue("Proxy.count")),
                },
                (proxy::WRAP, _) => return fail(Problem::AnnotationValue("Proxy.wrap")),
                (proxy::NAME, _) => return fail(Problem::AnnotationValue("Proxy.name")),
                (proxy::EXCEPTION, _) => return fail(Problem::AnnotationValue("Proxy.exception")),
                (proxy::COUNT, _) => return fail(Problem::AnnotationValue("Proxy.count")),
                (other, _) => {
                    // Those of other files are for other tools; an unknown one of this file would change the meaning.
                    if let Some(node) = self.request.nodes.get(&other)
                        && node.scope == proxy::FILE
                    {
                        let name = format!("Proxy.{}", local_name(node));
                        return fail(Problem::UnknownAnnotation(name));
                    }
                }
            }
        }
        Ok(notes)
    }

    /// Adds the instances of generic structs that the fields of `item` use, by the names of their constants.
    fn collect_instances(
        &self,
        item: &Struct,
        found: &mut BTreeMap<String, (u64, Vec<Scope>, String)>,
    ) {
        for field in &item.fields {
            self.collect_from_type(&field.ty, found);
        }
    }

    fn collect_from_type(
        &self,
        ty: &Type,
        found: &mut BTreeMap<String, (u64, Vec<Scope>, String)>,
    ) {
        match ty {
            Type::List(element) => self.collect_from_type(element, found),
            Type::Struct { id, brand } if is_instance(brand) => {
                if brand
                    .iter()
                    .flat_map(|s| &s.bindings)
                    .flatten()
                    .any(has_parameter)
                {
                    return;
                }
                for bound in brand.iter().flat_map(|s| &s.bindings).flatten() {
                    self.collect_from_type(bound, found);
                }
                let name = spell(ty, self.names);
                let constant = instance_constant(&name);
                found
                    .entry(constant)
                    .or_insert_with(|| (*id, brand.clone(), name));
            }
            _ => {}
        }
    }
}

/// The type as a schema spells it, without its file.
fn spell(ty: &Type, names: &BTreeMap<u64, String>) -> String {
    let named = |id: &u64| {
        names
            .get(id)
            .cloned()
            .unwrap_or_else(|| format!("0x{id:016x}"))
    };
    match ty {
        Type::Void => "Void".to_owned(),
        Type::Bool => "Bool".to_owned(),
        Type::Int { bits, signed: true } => format!("Int{bits}"),
        Type::Int { bits, .. } => format!("UInt{bits}"),
        Type::Float { bits } => format!("Float{bits}"),
        Type::Text => "Text".to_owned(),
        Type::Data => "Data".to_owned(),
        Type::List(element) => format!("List({})", spell(element, names)),
        Type::Enum(id) | Type::Interface(id) => named(id),
        Type::Struct { id, brand } => {
            let args: Vec<String> = brand
                .iter()
                .flat_map(|s| &s.bindings)
                .map(|bound| {
                    bound
                        .as_ref()
                        .map_or_else(|| "AnyPointer".to_owned(), |t| spell(t, names))
                })
                .collect();
            if args.is_empty() {
                named(id)
            } else {
                format!("{}({})", named(id), args.join(", "))
            }
        }
        Type::AnyPointer | Type::Parameter { .. } => "AnyPointer".to_owned(),
    }
}

/// The name of the table of an instance: `PAIR_TEXT_LIST_OF_INT32` for `Pair(Text, List(Int32))`.
fn instance_constant(spelled: &str) -> String {
    names::screaming(
        &spelled
            .replace("List(", "ListOf(")
            .replace(['(', ',', ' ', ')'], "_"),
    )
    .split('_')
    .filter(|word| !word.is_empty())
    .collect::<Vec<_>>()
    .join("_")
}

/// What the annotations of one declaration say.
#[derive(Default)]
struct Notes {
    wrap: String,
    name: Option<String>,
    exception: String,
    /// Set by `count` and `skip`.
    implicit: Option<bool>,
}

impl Notes {
    fn rust_name(&self, schema_name: &str) -> String {
        names::snake(self.name.as_deref().unwrap_or(schema_name))
    }
}

fn member_doc(node: &Node, index: usize) -> String {
    node.member_docs.get(index).cloned().unwrap_or_default()
}

/// Whether a parameter of the type is bound to something.
pub(crate) fn is_instance(brand: &[Scope]) -> bool {
    brand.iter().any(|s| s.bindings.iter().any(Option::is_some))
}

fn has_parameter(ty: &Type) -> bool {
    match ty {
        Type::Parameter { .. } => true,
        Type::List(element) => has_parameter(element),
        Type::Struct { brand, .. } => brand
            .iter()
            .flat_map(|s| &s.bindings)
            .flatten()
            .any(has_parameter),
        _ => false,
    }
}

/// `ty` with the parameters that `brand` binds replaced.
fn substitute(ty: &Type, brand: &[Scope]) -> Type {
    match ty {
        Type::Parameter { scope, index } => brand
            .iter()
            .find(|s| s.id == *scope)
            .and_then(|s| s.bindings.get(usize::from(*index)).cloned().flatten())
            .unwrap_or_else(|| ty.clone()),
        Type::List(element) => Type::List(Box::new(substitute(element, brand))),
        Type::Struct { id, brand: inner } => Type::Struct {
            id: *id,
            brand: inner
                .iter()
                .map(|s| Scope {
                    id: s.id,
                    bindings: s
                        .bindings
                        .iter()
                        .map(|b| b.as_ref().map(|t| substitute(t, brand)))
                        .collect(),
                })
                .collect(),
        },
        other => other.clone(),
    }
}

/// The default value as the bits that the stored value is XORed with; 0 for pointers.
fn default_bits(value: &Value, ty: &Type) -> u64 {
    let width = match ty {
        Type::Int { bits, .. } => u32::from(*bits),
        _ => 64,
    };
    match *value {
        Value::Bool(v) => v.into(),
        Value::Int(v) => v.cast_unsigned() & (u64::MAX >> (64 - width)),
        Value::Uint(v) => v,
        Value::Float32(v) => v.to_bits().into(),
        Value::Float64(v) => v.to_bits(),
        Value::Enum(v) => v.into(),
        Value::Void | Value::Text(_) | Value::Data(_) | Value::Null | Value::Pointer => 0,
    }
}
