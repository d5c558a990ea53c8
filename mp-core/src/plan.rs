//! From names to offsets, at compile time.
//!
//! A proxy connects a Rust method to a schema by names alone: the functions here look each name up in a table of
//! [`schema`](crate::schema) while the program is compiled, so a missing one is a compile error and a call at run
//! time follows constants.

mod inline;

pub use inline::{
    Layout, Member, Results, construct, count_fields, has_companion, layout, layout_members,
    layout_results, layout_struct,
};

use crate::schema::{CONTEXT_ID, Field, Interface, Kind, Method, Struct};

/// Type id of `mp.ThreadMap`.
pub const THREAD_MAP_ID: u64 = 0xee5e_3717_9ad9_dc9d;
/// Type id of `mp.Thread`.
pub const THREAD_ID: u64 = 0x81c1_e260_0d0b_56c5;

/// A field and the field `hasFoo: Bool` that says whether it holds anything, where the schema has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FieldPlan {
    /// The field.
    pub field: Field,
    /// Its companion.
    pub has: Option<Field>,
}

/// What a proxy knows of a method before it is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MethodPlan {
    /// Name of the interface that declares it, for logs.
    pub interface: &'static str,
    /// Its entry in the schema.
    pub method: Method,
    /// The parameter that carries the threads; without it the call runs on the connection's own thread.
    pub context: Option<Field>,
    /// The result named `result`.
    pub result: Option<FieldPlan>,
    /// The result that stands for an error.
    pub exception: Option<FieldPlan>,
}

/// Whether two names are equal.
#[must_use]
pub const fn same(left: &str, right: &str) -> bool {
    same_after(left, 0, right)
}

/// Whether `left` from byte `skip` on equals `right`.
const fn same_after(left: &str, skip: usize, right: &str) -> bool {
    let (left, right) = (left.as_bytes(), right.as_bytes());
    if left.len() != skip + right.len() {
        return false;
    }
    let mut at = 0;
    while at < right.len() {
        if left[skip + at] != right[at] {
            return false;
        }
        at += 1;
    }
    true
}

const fn starts(name: &str, prefix: &str) -> bool {
    let (name, prefix) = (name.as_bytes(), prefix.as_bytes());
    if name.len() < prefix.len() {
        return false;
    }
    let mut at = 0;
    while at < prefix.len() {
        if name[at] != prefix[at] {
            return false;
        }
        at += 1;
    }
    true
}

/// The field whose Rust name is `name`.
#[must_use]
pub const fn find_field(fields: &[Field], name: &str) -> Option<Field> {
    let mut at = 0;
    while at < fields.len() {
        if same(fields[at].rust_name, name) {
            return Some(fields[at]);
        }
        at += 1;
    }
    None
}

/// The companion of the field called `name`.
const fn find_companion(fields: &[Field], name: &str) -> Option<Field> {
    let mut at = 0;
    while at < fields.len() {
        let found = &fields[at];
        if matches!(found.kind, Kind::Bool)
            && starts(found.rust_name, "has_")
            && same_after(found.rust_name, 4, name)
        {
            return Some(*found);
        }
        at += 1;
    }
    None
}

/// The plan of the field called `name`, if the struct has one.
#[must_use]
pub const fn find_plan(structure: &Struct, name: &str) -> Option<FieldPlan> {
    match find_field(structure.fields, name) {
        Some(field) => Some(FieldPlan {
            field,
            has: find_companion(structure.fields, name),
        }),
        None => None,
    }
}

/// The plan of the field called `name`, which a Rust type of kind `kind` fills.
///
/// # Panics
/// With `missing` or `mismatch` when there is no such field or it holds something else; at compile time, as the
/// macros use it.
#[must_use]
pub const fn plan_field(
    structure: &Struct,
    name: &str,
    kind: Kind,
    missing: &'static str,
    mismatch: &'static str,
) -> FieldPlan {
    match find_plan(structure, name) {
        Some(plan) => {
            assert!(compatible(&plan.field.kind, &kind), "{}", mismatch);
            plan
        }
        None => panic!("{}", missing),
    }
}

/// Whether a Rust type whose natural kind is `rust` can be kept in a field of kind `schema`. Widths of integers may
/// differ: values are checked when they are read and written.
#[must_use]
pub const fn compatible(schema: &Kind, rust: &Kind) -> bool {
    match (schema, rust) {
        (Kind::Void, Kind::Void)
        | (Kind::Bool, Kind::Bool)
        | (Kind::AnyPointer, _)
        | (_, Kind::AnyPointer)
        | (Kind::Text | Kind::Data, Kind::Text | Kind::Data) => true,
        (
            Kind::Bits8 | Kind::Bits16 | Kind::Bits32 | Kind::Bits64,
            Kind::Bits8 | Kind::Bits16 | Kind::Bits32 | Kind::Bits64,
        ) => true,
        (Kind::List(schema), Kind::List(rust)) => compatible(schema, rust),
        (Kind::Data, Kind::List(item)) | (Kind::List(item), Kind::Data) => {
            matches!(item, Kind::Bits8)
        }
        (Kind::Struct(schema), Kind::Struct(rust)) => {
            *schema == *rust || *schema == 0 || *rust == 0
        }
        (Kind::Interface(schema), Kind::Interface(rust)) => *schema == *rust,
        _ => false,
    }
}

/// The plan of the method whose Rust name is `name`, if the interface declares one.
#[must_use]
pub const fn find_method(interface: &Interface, name: &str) -> Option<MethodPlan> {
    let mut at = 0;
    while at < interface.methods.len() {
        if same(interface.methods[at].rust_name, name) {
            return Some(plan_of(interface, &interface.methods[at]));
        }
        at += 1;
    }
    None
}

/// The plan of one method.
#[must_use]
pub const fn plan_of(interface: &Interface, method: &Method) -> MethodPlan {
    let mut context = None;
    let mut at = 0;
    while at < method.params.fields.len() {
        let field = &method.params.fields[at];
        if matches!(field.kind, Kind::Struct(CONTEXT_ID)) {
            context = Some(*field);
        }
        at += 1;
    }
    let mut exception = None;
    at = 0;
    while at < method.results.fields.len() {
        let field = &method.results.fields[at];
        if !field.exception.is_empty() && exception.is_none() {
            exception = find_plan(&method.results, field.rust_name);
        }
        at += 1;
    }
    MethodPlan {
        interface: interface.name,
        method: *method,
        context,
        result: find_plan(&method.results, "result"),
        exception,
    }
}

/// Checks that each parameter of a method is filled by the runtime, by an argument, or as an argument's companion.
///
/// # Panics
/// With `message` when one is not; at compile time, as the macros use it.
pub const fn check_params(method: &Method, arguments: &[&str], message: &'static str) {
    let mut at = 0;
    while at < method.params.fields.len() {
        check_field(&method.params.fields[at], arguments, message);
        at += 1;
    }
}

/// Checks that a field is filled by the runtime, by one of `names`, or as the companion of one.
///
/// # Panics
/// With `message` when it is not.
pub const fn check_field(field: &Field, names: &[&str], message: &'static str) {
    let filled = field.implicit
        || matches!(field.kind, Kind::Struct(CONTEXT_ID))
        || contains(names, field.rust_name, 0)
        || (starts(field.rust_name, "has_") && contains(names, field.rust_name, 4));
    assert!(filled, "{}", message);
}

/// Whether `names` contains `name` from byte `skip` on.
const fn contains(names: &[&str], name: &str, skip: usize) -> bool {
    let mut at = 0;
    while at < names.len() {
        if same_after(name, skip, names[at]) {
            return true;
        }
        at += 1;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn companion_is_found_by_name() {
        const FIELDS: &[Field] = &[
            Field::new("tip", "tip", Kind::Data, 0),
            Field::new("hasTip", "has_tip", Kind::Bool, 0),
            Field::new("tipper", "tipper", Kind::Data, 1),
        ];
        let structure = Struct {
            id: 1,
            name: "S",
            wrap: "",
            data_words: 1,
            pointers: 2,
            fields: FIELDS,
        };
        assert!(find_plan(&structure, "tip").is_some_and(|plan| plan.has.is_some()));
        assert!(find_plan(&structure, "tipper").is_some_and(|plan| plan.has.is_none()));
        assert!(find_plan(&structure, "missing").is_none());
    }
}
