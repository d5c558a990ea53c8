//! What calls carry, as text.

use std::fmt::Write;

use crate::field::Encoder;
use crate::interface::Reply;
use crate::plan::{MethodPlan, THREAD_ID};
use crate::schema::{CONTEXT_ID, Field, Kind, Struct};
use crate::wire::{ListReader, Message, PointerReader, ReadLimits, StructReader, WireError};

/// Characters of a text that are shown.
const MAX: usize = 200;

/// The parameters in a received call.
pub(super) fn params(plan: &MethodPlan, message: &Message) -> String {
    let find = || {
        message
            .root()
            .structure()?
            .pointer(0)
            .structure()?
            .pointer(1)
            .structure()?
            .pointer(0)
            .structure()
    };
    shown(find(), &plan.method.params)
}

/// The results in a received reply.
pub(super) fn results(plan: &MethodPlan, reply: &Reply) -> String {
    match reply.results() {
        Ok(results) => shown(Ok(results), &plan.method.results),
        Err(error) => error.to_string(),
    }
}

/// The parameters or results in a call or return being written: they stand at the same place.
fn written(encoder: &Encoder, shape: &Struct, pointer: u32) -> String {
    match encoder
        .builder
        .snapshot()
        .into_message(&ReadLimits::default())
    {
        Ok(message) => {
            let find = || {
                message
                    .root()
                    .structure()?
                    .pointer(0)
                    .structure()?
                    .pointer(pointer)
                    .structure()?
                    .pointer(0)
                    .structure()
            };
            shown(find(), shape)
        }
        Err(error) => error.to_string(),
    }
}

/// The parameters of a call being written.
pub(crate) fn building(encoder: &Encoder, plan: &MethodPlan) -> String {
    written(encoder, &plan.method.params, 1)
}

/// The results of a return being written.
pub(crate) fn of_results(encoder: &Encoder, plan: &MethodPlan) -> String {
    written(encoder, &plan.method.results, 0)
}

fn shown(structure: Result<StructReader<'_>, WireError>, shape: &Struct) -> String {
    let mut out = String::new();
    let done = structure.and_then(|structure| struct_text(&mut out, structure, shape.fields));
    match done {
        Ok(()) => escape(&out),
        Err(error) => error.to_string(),
    }
}

/// Escapes what is not printable, and cuts what is too long.
fn escape(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'\\' => out.push_str("\\\\"),
            0x20..=0x7e => out.push(char::from(byte)),
            _ => {
                let _ = write!(out, "\\{byte:02x}");
            }
        }
        if out.len() > MAX {
            out.push_str("...");
            break;
        }
    }
    out
}

fn struct_text(
    out: &mut String,
    structure: StructReader<'_>,
    fields: &[Field],
) -> Result<(), WireError> {
    out.push('(');
    let mut first = true;
    for field in fields {
        if out.len() > MAX {
            break;
        }
        let start = out.len();
        if !first {
            out.push_str(", ");
        }
        let _ = write!(out, "{} = ", field.name);
        let begun = out.len();
        match field.kind {
            _ if field.secret => hidden(out, structure, field)?,
            Kind::Void => out.push_str("void"),
            Kind::Bool => {
                let _ = write!(
                    out,
                    "{}",
                    structure.bit(field.offset) != (field.default != 0)
                );
            }
            Kind::Bits8 => number(out, structure.bits(8, field.offset) ^ field.default),
            Kind::Bits16 => number(out, structure.bits(16, field.offset) ^ field.default),
            Kind::Bits32 => number(out, structure.bits(32, field.offset) ^ field.default),
            Kind::Bits64 => number(out, structure.bits(64, field.offset) ^ field.default),
            kind => pointer_text(out, structure.pointer(field.offset), &kind)?,
        }
        if out.len() == begun {
            // Nothing is there, so nothing is said of it.
            out.truncate(start);
        } else {
            first = false;
        }
    }
    out.push(')');
    Ok(())
}

/// What stands for a value that is not for logs.
fn hidden(out: &mut String, structure: StructReader<'_>, field: &Field) -> Result<(), WireError> {
    let size = match field.kind {
        Kind::Text | Kind::Data | Kind::List(_) if structure.pointer(field.offset).is_null() => {
            return Ok(());
        }
        Kind::Text => Some((structure.pointer(field.offset).text()?.len(), "bytes")),
        Kind::Data => Some((structure.pointer(field.offset).data()?.len(), "bytes")),
        Kind::List(_) => Some((
            structure.pointer(field.offset).list()?.len() as usize,
            "elements",
        )),
        _ => None,
    };
    let _ = match size {
        Some((size, of)) => write!(out, "<{size} {of} hidden>"),
        None => write!(out, "<hidden>"),
    };
    Ok(())
}

fn number(out: &mut String, bits: u64) {
    let _ = write!(out, "{bits}");
}

fn pointer_text(
    out: &mut String,
    pointer: PointerReader<'_>,
    kind: &Kind,
) -> Result<(), WireError> {
    if pointer.is_null() {
        return Ok(());
    }
    match kind {
        Kind::Text => quoted(out, pointer.text()?.as_bytes()),
        Kind::Data => quoted(out, pointer.data()?),
        Kind::Struct(CONTEXT_ID) => struct_text(out, pointer.structure()?, CONTEXT)?,
        Kind::List(kind) => list_text(out, pointer.list()?, kind)?,
        Kind::Interface(_) => out.push_str("<external capability>"),
        // The layout of a nested struct is not at hand here.
        _ => out.push_str("(...)"),
    }
    Ok(())
}

fn quoted(out: &mut String, bytes: &[u8]) {
    out.push('"');
    for byte in bytes.iter().take(MAX) {
        let _ = match byte {
            b'"' | b'\\' => write!(out, "\\{}", char::from(*byte)),
            0x20..=0x7e => write!(out, "{}", char::from(*byte)),
            _ => write!(out, "\\x{byte:02x}"),
        };
    }
    out.push('"');
}

/// The fields of `mp.Context`.
const CONTEXT: &[Field] = &[
    Field::new("thread", "thread", Kind::Interface(THREAD_ID), 0),
    Field::new(
        "callbackThread",
        "callback_thread",
        Kind::Interface(THREAD_ID),
        1,
    ),
];

fn list_text(out: &mut String, list: ListReader<'_>, kind: &Kind) -> Result<(), WireError> {
    out.push('[');
    for index in 0..list.len() {
        if out.len() > MAX {
            break;
        }
        if index > 0 {
            out.push_str(", ");
        }
        match kind {
            Kind::Void => out.push_str("void"),
            Kind::Bool => {
                let _ = write!(out, "{}", list.bits(1, index) != 0);
            }
            Kind::Bits8 => number(out, list.bits(8, index)),
            Kind::Bits16 => number(out, list.bits(16, index)),
            Kind::Bits32 => number(out, list.bits(32, index)),
            Kind::Bits64 => number(out, list.bits(64, index)),
            Kind::Struct(_) => out.push_str("(...)"),
            kind => pointer_text(out, list.pointer(index)?, kind)?,
        }
    }
    out.push(']');
    Ok(())
}
