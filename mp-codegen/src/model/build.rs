//! Makes the items of one file.

use super::notes::Notes;
use super::{Const, Enum, Field, Home, Interface, Item, Method, Struct, generic, local_name};
use crate::request::{
    Annotation, Body, Field as RawField, InterfaceBody, Node, Request, Scope, StructBody, Type,
    Value,
};
use crate::{Error, Place, Problem, names};
use std::collections::BTreeMap;

pub(super) struct Builder<'a> {
    pub(super) request: &'a Request,
    pub(super) homes: &'a BTreeMap<u64, Home>,
    pub(super) names: &'a BTreeMap<u64, String>,
    pub(super) file: &'a str,
}

impl Builder<'_> {
    fn place(&self, item: &str, member: Option<&str>) -> Place {
        Place {
            file: self.file.to_owned(),
            line: None,
            item: member.map_or_else(|| item.to_owned(), |member| format!("{item}.{member}")),
        }
    }

    pub(super) fn items(&self, ids: &[u64]) -> Result<Vec<Item>, Error> {
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
                    generic::collect(&item, self.names, &mut instances);
                    Item::Struct(item)
                }
                Body::Interface(body) => {
                    let item = self.interface(id, node, body, name, &constant)?;
                    for method in &item.methods {
                        generic::collect(&method.params, self.names, &mut instances);
                        generic::collect(&method.results, self.names, &mut instances);
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
        for (constant, instance) in instances {
            let generic::Instance { id, brand, name } = instance;
            // Its arguments may be of files that are not generated, whose names nobody has checked.
            if !names::is_identifier(&constant) {
                return Err(Error::at(self.place(&name, None), Problem::Name(name)));
            }
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
        let ty = generic::substitute(&slot.ty, brand);
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
            secret: notes.secret,
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
        Notes::read(self.request, list)
            .map_err(|problem| Error::at(self.place(item, member), problem))
    }
}

fn member_doc(node: &Node, index: usize) -> String {
    node.member_docs.get(index).cloned().unwrap_or_default()
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
