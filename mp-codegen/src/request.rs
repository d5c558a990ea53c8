//! The `CodeGeneratorRequest` that `capnp compile -o-` prints, read into plain values.
//!
//! Nothing here knows what the annotations mean. The bytes may be anybody's: sizes and depth are bounded by the limits
//! of the reader, and whatever does not decode is an error.

use crate::Error;
use capnp::message::ReaderOptions;
use capnp::schema_capnp::{annotation, brand, code_generator_request, field, node, type_, value};
use std::collections::BTreeMap;

/// What is read of one request at most: 64 MiB.
const MAX_WORDS: usize = 8 << 20;

/// Of how many types one type may be made: `List(List(Text))` of three.
const MAX_TYPE_PARTS: usize = 100;

/// Everything the request defines.
pub(crate) struct Request {
    pub(crate) nodes: BTreeMap<u64, Node>,
    /// The files to generate for, in the order of the command line.
    pub(crate) files: Vec<RequestedFile>,
}

pub(crate) struct RequestedFile {
    pub(crate) id: u64,
    pub(crate) name: String,
}

/// A file, a type, a constant or an annotation.
pub(crate) struct Node {
    pub(crate) display_name: String,
    pub(crate) scope: u64,
    pub(crate) nested: Vec<u64>,
    pub(crate) annotations: Vec<Annotation>,
    pub(crate) doc: String,
    /// The comments of fields, methods or enumerants, in the order of the node's own list.
    pub(crate) member_docs: Vec<String>,
    pub(crate) body: Body,
}

pub(crate) enum Body {
    File,
    Struct(StructBody),
    Enum(Vec<Enumerant>),
    Interface(InterfaceBody),
    Const { ty: Type, value: Value },
    Annotation,
}

pub(crate) struct StructBody {
    pub(crate) data_words: u16,
    pub(crate) pointers: u16,
    pub(crate) has_union: bool,
    pub(crate) fields: Vec<Field>,
}

pub(crate) struct Enumerant {
    pub(crate) name: String,
}

pub(crate) struct InterfaceBody {
    /// By ordinal.
    pub(crate) methods: Vec<Method>,
    pub(crate) superclasses: Vec<u64>,
}

pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) code_order: u16,
    pub(crate) annotations: Vec<Annotation>,
    /// `None` for a group.
    pub(crate) slot: Option<Slot>,
}

pub(crate) struct Slot {
    pub(crate) offset: u32,
    pub(crate) ty: Type,
    pub(crate) default: Value,
    pub(crate) explicit_default: bool,
}

pub(crate) struct Method {
    pub(crate) name: String,
    pub(crate) params: u64,
    pub(crate) results: u64,
    pub(crate) annotations: Vec<Annotation>,
}

pub(crate) struct Annotation {
    pub(crate) id: u64,
    pub(crate) value: Value,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Type {
    Void,
    Bool,
    Int {
        bits: u8,
        signed: bool,
    },
    Float {
        bits: u8,
    },
    Text,
    Data,
    List(Box<Type>),
    Enum(u64),
    Struct {
        id: u64,
        brand: Vec<Scope>,
    },
    Interface(u64),
    AnyPointer,
    /// The parameter of a generic type.
    Parameter {
        scope: u64,
        index: u16,
    },
}

/// What the parameters of one scope are bound to; `None` stands for a parameter left open.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Scope {
    pub(crate) id: u64,
    pub(crate) bindings: Vec<Option<Type>>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Void,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Float32(f32),
    Float64(f64),
    Text(String),
    Data(Vec<u8>),
    Enum(u16),
    Null,
    /// A list, a struct or any pointer that is not null.
    Pointer,
}

pub(crate) fn read(bytes: &[u8]) -> Result<Request, Error> {
    // Reading copies the segments, so that the caller's bytes need no alignment.
    let mut options = ReaderOptions::new();
    // Pointers that share their target must not make much of little.
    let words = bytes.len() / 8;
    options.traversal_limit_in_words(Some((words * 8 + 65_536).min(MAX_WORDS)));
    let message = capnp::serialize::read_message(bytes, options)?;
    let request: code_generator_request::Reader<'_> = message.get_root()?;
    let mut nodes = BTreeMap::new();
    for reader in request.get_nodes()? {
        nodes.insert(reader.get_id(), read_node(reader)?);
    }
    for info in request.get_source_info()? {
        // Some versions of the tool list the implicit structs with id 0.
        let Some(node) = nodes.get_mut(&info.get_id()) else {
            continue;
        };
        node.doc = text(info.get_doc_comment()?)?;
        for member in info.get_members()? {
            node.member_docs.push(text(member.get_doc_comment()?)?);
        }
    }
    let mut files = Vec::new();
    for file in request.get_requested_files()? {
        files.push(RequestedFile {
            id: file.get_id(),
            name: text(file.get_filename()?)?,
        });
    }
    Ok(Request { nodes, files })
}

fn text(reader: capnp::text::Reader<'_>) -> Result<String, Error> {
    Ok(reader
        .to_str()
        .map_err(|_| Error::Request("a text is not UTF-8"))?
        .to_owned())
}

fn unknown(_: capnp::NotInSchema) -> Error {
    Error::Request("holds a kind that a newer compiler knows; update mp-codegen")
}

fn read_node(reader: node::Reader<'_>) -> Result<Node, Error> {
    let body = match reader.which().map_err(unknown)? {
        node::File(()) => Body::File,
        node::Struct(body) => Body::Struct(StructBody {
            data_words: body.get_data_word_count(),
            pointers: body.get_pointer_count(),
            has_union: body.get_discriminant_count() > 0,
            fields: body
                .get_fields()?
                .iter()
                .map(read_field)
                .collect::<Result<_, _>>()?,
        }),
        node::Enum(body) => {
            let mut enumerants = Vec::new();
            for enumerant in body.get_enumerants()? {
                enumerants.push(Enumerant {
                    name: text(enumerant.get_name()?)?,
                });
            }
            Body::Enum(enumerants)
        }
        node::Interface(body) => {
            let mut methods = Vec::new();
            for method in body.get_methods()? {
                methods.push(Method {
                    name: text(method.get_name()?)?,
                    params: method.get_param_struct_type(),
                    results: method.get_result_struct_type(),
                    annotations: read_annotations(method.get_annotations()?)?,
                });
            }
            let superclasses = body.get_superclasses()?;
            Body::Interface(InterfaceBody {
                methods,
                superclasses: superclasses.iter().map(|base| base.get_id()).collect(),
            })
        }
        node::Const(body) => Body::Const {
            ty: read_type(body.get_type()?)?,
            value: read_value(body.get_value()?)?,
        },
        node::Annotation(_) => Body::Annotation,
    };
    let mut nested = Vec::new();
    for child in reader.get_nested_nodes()? {
        nested.push(child.get_id());
    }
    Ok(Node {
        display_name: text(reader.get_display_name()?)?,
        scope: reader.get_scope_id(),
        nested,
        annotations: read_annotations(reader.get_annotations()?)?,
        doc: String::new(),
        member_docs: Vec::new(),
        body,
    })
}

fn read_field(reader: field::Reader<'_>) -> Result<Field, Error> {
    let slot = match reader.which().map_err(unknown)? {
        field::Slot(slot) => Some(Slot {
            offset: slot.get_offset(),
            ty: read_type(slot.get_type()?)?,
            default: read_value(slot.get_default_value()?)?,
            explicit_default: slot.get_had_explicit_default(),
        }),
        field::Group(_) => None,
    };
    Ok(Field {
        name: text(reader.get_name()?)?,
        code_order: reader.get_code_order(),
        annotations: read_annotations(reader.get_annotations()?)?,
        slot,
    })
}

fn read_annotations(
    list: capnp::struct_list::Reader<'_, annotation::Owned>,
) -> Result<Vec<Annotation>, Error> {
    let mut annotations = Vec::new();
    for reader in list {
        annotations.push(Annotation {
            id: reader.get_id(),
            value: read_value(reader.get_value()?)?,
        });
    }
    Ok(annotations)
}

/// Recursion is as deep as the message, which the reader bounds.
fn read_type(reader: type_::Reader<'_>) -> Result<Type, Error> {
    read_type_part(reader, &mut 0)
}

fn read_type_part(reader: type_::Reader<'_>, parts: &mut usize) -> Result<Type, Error> {
    *parts += 1;
    if *parts > MAX_TYPE_PARTS {
        return Err(Error::Request("a type is made of more than 100 others"));
    }
    let int = |bits, signed| Type::Int { bits, signed };
    Ok(match reader.which().map_err(unknown)? {
        type_::Void(()) => Type::Void,
        type_::Bool(()) => Type::Bool,
        type_::Int8(()) => int(8, true),
        type_::Int16(()) => int(16, true),
        type_::Int32(()) => int(32, true),
        type_::Int64(()) => int(64, true),
        type_::Uint8(()) => int(8, false),
        type_::Uint16(()) => int(16, false),
        type_::Uint32(()) => int(32, false),
        type_::Uint64(()) => int(64, false),
        type_::Float32(()) => Type::Float { bits: 32 },
        type_::Float64(()) => Type::Float { bits: 64 },
        type_::Text(()) => Type::Text,
        type_::Data(()) => Type::Data,
        type_::List(list) => Type::List(Box::new(read_type_part(list.get_element_type()?, parts)?)),
        type_::Enum(body) => Type::Enum(body.get_type_id()),
        type_::Struct(body) => Type::Struct {
            id: body.get_type_id(),
            brand: read_brand(body.get_brand()?, parts)?,
        },
        type_::Interface(body) => Type::Interface(body.get_type_id()),
        type_::AnyPointer(body) => match body.which().map_err(unknown)? {
            type_::any_pointer::Parameter(parameter) => Type::Parameter {
                scope: parameter.get_scope_id(),
                index: parameter.get_parameter_index(),
            },
            type_::any_pointer::Unconstrained(_)
            | type_::any_pointer::ImplicitMethodParameter(_) => Type::AnyPointer,
        },
    })
}

fn read_brand(reader: brand::Reader<'_>, parts: &mut usize) -> Result<Vec<Scope>, Error> {
    let mut scopes = Vec::new();
    for scope in reader.get_scopes()? {
        let bindings = match scope.which().map_err(unknown)? {
            brand::scope::Inherit(()) => continue,
            brand::scope::Bind(list) => list?,
        };
        let mut bound = Vec::new();
        for binding in bindings {
            bound.push(match binding.which().map_err(unknown)? {
                brand::binding::Unbound(()) => None,
                brand::binding::Type(ty) => Some(read_type_part(ty?, parts)?),
            });
        }
        scopes.push(Scope {
            id: scope.get_scope_id(),
            bindings: bound,
        });
    }
    Ok(scopes)
}

fn read_value(reader: value::Reader<'_>) -> Result<Value, Error> {
    let pointer = |any: capnp::any_pointer::Reader<'_>| {
        if any.is_null() {
            Value::Null
        } else {
            Value::Pointer
        }
    };
    Ok(match reader.which().map_err(unknown)? {
        value::Void(()) => Value::Void,
        value::Bool(v) => Value::Bool(v),
        value::Int8(v) => Value::Int(v.into()),
        value::Int16(v) => Value::Int(v.into()),
        value::Int32(v) => Value::Int(v.into()),
        value::Int64(v) => Value::Int(v),
        value::Uint8(v) => Value::Uint(v.into()),
        value::Uint16(v) => Value::Uint(v.into()),
        value::Uint32(v) => Value::Uint(v.into()),
        value::Uint64(v) => Value::Uint(v),
        value::Float32(v) => Value::Float32(v),
        value::Float64(v) => Value::Float64(v),
        value::Text(v) => Value::Text(text(v?)?),
        value::Data(v) => Value::Data(v?.to_vec()),
        value::Enum(v) => Value::Enum(v),
        value::Interface(()) => Value::Null,
        value::List(any) | value::Struct(any) | value::AnyPointer(any) => pointer(any),
    })
}
