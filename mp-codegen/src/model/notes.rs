//! What the annotations of `/mp/proxy.capnp` and `/mp/rust.capnp` mean.

use super::local_name;
use crate::request::{Annotation, Request, Value};
use crate::{Problem, names};

/// Ids of that file; facts of the protocol.
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

/// Ids of our own `/mp/rust.capnp`.
mod rust {
    pub(super) const FILE: u64 = 0xda3c_67f1_905b_e284;
    pub(super) const SECRET: u64 = 0xc81f_5a2e_937d_4b06;
}

/// What the annotations of one declaration say.
#[derive(Default)]
pub(super) struct Notes {
    pub(super) wrap: String,
    name: Option<String>,
    pub(super) exception: String,
    /// Set by `count` and `skip`.
    pub(super) implicit: Option<bool>,
    /// Not for logs.
    pub(super) secret: bool,
}

impl Notes {
    /// Reads the annotations of one declaration.
    pub(super) fn read(request: &Request, list: &[Annotation]) -> Result<Self, Problem> {
        let mut notes = Self::default();
        for Annotation { id, value } in list {
            match (*id, value) {
                (proxy::INCLUDE | proxy::INCLUDE_TYPES, _) => {}
                (proxy::WRAP, Value::Text(class)) => notes.wrap = class.clone(),
                (proxy::NAME, Value::Text(name)) => notes.name = Some(name.clone()),
                (proxy::EXCEPTION, Value::Text(class)) => notes.exception = class.clone(),
                (rust::SECRET, _) => notes.secret = true,
                (proxy::SKIP, _) => notes.implicit = Some(true),
                (proxy::COUNT, Value::Int(count)) => match i32::try_from(*count) {
                    Ok(count @ 0..) => notes.implicit = Some(count == 0),
                    Ok(count) => return Err(Problem::Count(count)),
                    Err(_) => return Err(Problem::AnnotationValue("Proxy.count")),
                },
                (proxy::WRAP, _) => return Err(Problem::AnnotationValue("Proxy.wrap")),
                (proxy::NAME, _) => return Err(Problem::AnnotationValue("Proxy.name")),
                (proxy::EXCEPTION, _) => return Err(Problem::AnnotationValue("Proxy.exception")),
                (proxy::COUNT, _) => return Err(Problem::AnnotationValue("Proxy.count")),
                (other, _) => {
                    // Those of other files are for other tools; an unknown one of these would change the meaning.
                    if let Some(node) = request.nodes.get(&other)
                        && let Some(file) = match node.scope {
                            proxy::FILE => Some("Proxy"),
                            rust::FILE => Some("Rust"),
                            _ => None,
                        }
                    {
                        let name = format!("{file}.{}", local_name(node));
                        return Err(Problem::UnknownAnnotation(name));
                    }
                }
            }
        }
        Ok(notes)
    }

    /// The name in Rust of what the schema calls `schema_name`.
    pub(super) fn rust_name(&self, schema_name: &str) -> String {
        names::snake(self.name.as_deref().unwrap_or(schema_name))
    }
}
