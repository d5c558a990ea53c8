//! Instances of generic structs.

use super::Struct;
use crate::names;
use crate::request::{Scope, Type};
use std::collections::BTreeMap;

/// A generic struct with its parameters bound.
pub(super) struct Instance {
    /// The generic struct.
    pub(super) id: u64,
    pub(super) brand: Vec<Scope>,
    /// As a schema spells it: `Pair(Text, Text)`.
    pub(super) name: String,
}

/// Adds the instances that the fields of `item` use, by the names of their tables.
pub(super) fn collect(
    item: &Struct,
    names: &BTreeMap<u64, String>,
    found: &mut BTreeMap<String, Instance>,
) {
    for field in &item.fields {
        collect_from_type(&field.ty, names, found);
    }
}

fn collect_from_type(
    ty: &Type,
    names: &BTreeMap<u64, String>,
    found: &mut BTreeMap<String, Instance>,
) {
    match ty {
        Type::List(element) => collect_from_type(element, names, found),
        // One with a parameter in it is used within a generic type, which has no instance of its own.
        Type::Struct { id, brand } if is_instance(brand) && !has_parameter(ty) => {
            for bound in arguments(brand).flatten() {
                collect_from_type(bound, names, found);
            }
            let name = spell(ty, names);
            found.entry(constant(&name)).or_insert_with(|| Instance {
                id: *id,
                brand: brand.clone(),
                name,
            });
        }
        _ => {}
    }
}

/// The type as a schema spells it, without its file.
pub(super) fn spell(ty: &Type, names: &BTreeMap<u64, String>) -> String {
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
            let args: Vec<String> = arguments(brand)
                .map(|bound| bound.map_or_else(|| "AnyPointer".to_owned(), |t| spell(t, names)))
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
pub(super) fn constant(spelled: &str) -> String {
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

/// What the parameters are bound to, in order.
fn arguments(brand: &[Scope]) -> impl Iterator<Item = Option<&Type>> {
    brand
        .iter()
        .flat_map(|scope| scope.bindings.iter().map(Option::as_ref))
}

/// Whether a parameter of the type is bound to something.
pub(crate) fn is_instance(brand: &[Scope]) -> bool {
    arguments(brand).any(|bound| bound.is_some())
}

fn has_parameter(ty: &Type) -> bool {
    match ty {
        Type::Parameter { .. } => true,
        Type::List(element) => has_parameter(element),
        Type::Struct { brand, .. } => arguments(brand).flatten().any(has_parameter),
        _ => false,
    }
}

/// `ty` with the parameters that `brand` binds replaced.
pub(super) fn substitute(ty: &Type, brand: &[Scope]) -> Type {
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
