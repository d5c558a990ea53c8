//! Where the values of a trait or a struct lie that has no schema file: as if it had one.

use super::THREAD_MAP_ID;
use crate::schema::{CONTEXT_ID, Field, Kind, Method, Struct};

/// A parameter, a result, or a member of a struct.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    /// The name as a schema spells it.
    pub name: &'static str,
    /// The name in Rust.
    pub rust_name: &'static str,
    /// Both names of the companion, should it need one.
    pub has: (&'static str, &'static str),
    /// What is kept.
    pub kind: Kind,
    /// Whether it may be missing.
    pub optional: bool,
    /// Whether logs show only how much the value is.
    pub secret: bool,
    /// The class of the error that it stands for, or an empty string.
    pub exception: &'static str,
}

impl Member {
    /// The result of a method that has one.
    #[must_use]
    pub const fn result(kind: Kind, optional: bool) -> Self {
        Self {
            name: "result",
            rust_name: "result",
            has: ("hasResult", "has_result"),
            kind,
            optional,
            secret: false,
            exception: "",
        }
    }

    /// The result that stands for an error of the class `exception`.
    #[must_use]
    pub const fn error(kind: Kind, exception: &'static str) -> Self {
        Self {
            name: "error",
            rust_name: "error",
            has: ("hasError", "has_error"),
            exception,
            ..Self::result(kind, true)
        }
    }
}

/// The results of a method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Results {
    /// What it gives.
    pub members: &'static [Member],
    /// What stands for the error that it may end in instead.
    pub exception: Option<Member>,
}

impl Results {
    /// Of a method that gives nothing.
    pub const NONE: Self = Self::of(&[]);

    /// These.
    #[must_use]
    pub const fn of(members: &'static [Member]) -> Self {
        Self {
            members,
            exception: None,
        }
    }

    /// How many fields they take.
    #[must_use]
    pub const fn count(&self) -> usize {
        let exception = match &self.exception {
            Some(exception) => fields_of(exception),
            None => 0,
        };
        count_fields(self.members) + exception
    }
}

/// Whether a value of this kind cannot be missing of itself, as a pointer can, so that a field `hasFoo` has to say so.
#[must_use]
pub const fn has_companion(kind: &Kind) -> bool {
    size_log2(kind).is_some() || matches!(kind, Kind::Void)
}

/// The method `construct @0 (threadMap :ThreadMap) -> (threadMap :ThreadMap)` of an interface without a schema file.
#[must_use]
pub const fn construct(interface: u64) -> Method {
    const FIELDS: &[Field] = &[Field::implicit(
        "threadMap",
        "thread_map",
        Kind::Interface(THREAD_MAP_ID),
        0,
    )];
    const fn shape(name: &'static str) -> Struct {
        Struct {
            id: 0,
            name,
            wrap: "",
            data_words: 0,
            pointers: 1,
            fields: FIELDS,
        }
    }
    Method {
        interface,
        ordinal: 0,
        name: "construct",
        rust_name: "construct",
        params: shape("construct$Params"),
        results: shape("construct$Results"),
    }
}

/// Offsets and size of a struct whose fields have the given kinds, in the order of their ordinals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout<const N: usize> {
    /// Offset of each field, as in [`Field::offset`].
    pub offsets: [u32; N],
    /// Words of data.
    pub data_words: u16,
    /// Pointers.
    pub pointers: u16,
}

/// Lays fields out as `capnp compile` does: each takes the smallest hole that earlier ones left, or a new word.
#[must_use]
pub const fn layout<const N: usize>(kinds: [Kind; N]) -> Layout<N> {
    let mut offsets = [0; N];
    let mut words = 0_u32;
    let mut pointers = 0_u16;
    // holes[n] is the offset, in units of 2^n bits, of a free place of that size; 0 means none, since offset 0 is
    // never left free.
    let mut holes = [0_u32; 6];
    let mut at = 0;
    while at < N {
        offsets[at] = match size_log2(&kinds[at]) {
            Some(size) => {
                let mut found = size;
                while found < 6 && holes[found] == 0 {
                    found += 1;
                }
                let mut offset = if found < 6 {
                    let hole = holes[found];
                    holes[found] = 0;
                    hole
                } else {
                    words += 1;
                    words - 1
                };
                // Halve the place until it fits; each halving leaves its second half free.
                while found > size {
                    found -= 1;
                    offset *= 2;
                    holes[found] = offset + 1;
                }
                offset
            }
            None if matches!(kinds[at], Kind::Void) => 0,
            None => {
                pointers += 1;
                pointers as u32 - 1
            }
        };
        at += 1;
    }
    assert!(words <= u16::MAX as u32, "struct has too many fields");
    Layout {
        offsets,
        data_words: words as u16,
        pointers,
    }
}

/// Binary logarithm of the size in bits of a field in the data section.
const fn size_log2(kind: &Kind) -> Option<usize> {
    match kind {
        Kind::Bool => Some(0),
        Kind::Bits8 => Some(3),
        Kind::Bits16 => Some(4),
        Kind::Bits32 => Some(5),
        Kind::Bits64 => Some(6),
        _ => None,
    }
}

const fn fields_of(member: &Member) -> usize {
    if member.optional && has_companion(&member.kind) {
        2
    } else {
        1
    }
}

/// How many fields the members take, companions among them.
#[must_use]
pub const fn count_fields(members: &[Member]) -> usize {
    let mut count = 0;
    let mut at = 0;
    while at < members.len() {
        count += fields_of(&members[at]);
        at += 1;
    }
    count
}

/// The fields of a struct without a schema file: its members, each followed by its companion if it needs one.
///
/// # Panics
/// If `N` is not their number; at compile time, as the macros use it.
#[must_use]
pub const fn layout_members<const N: usize>(members: &[Member]) -> [Field; N] {
    let mut fields = [NO_FIELD; N];
    let mut count = 0;
    let mut at = 0;
    while at < members.len() {
        count = put(&mut fields, count, &members[at], false);
        at += 1;
    }
    assert!(count == N, "fields are counted before they are laid out");
    with_offsets(fields)
}

/// The fields of a method's results, all of them secret if one has to be.
///
/// # Panics
/// If `N` is not their number; at compile time, as the macros use it.
#[must_use]
pub const fn layout_results<const N: usize>(results: &Results, secret: bool) -> [Field; N] {
    let mut fields = [NO_FIELD; N];
    let mut count = 0;
    let mut at = 0;
    while at < results.members.len() {
        count = put(&mut fields, count, &results.members[at], secret);
        at += 1;
    }
    if let Some(exception) = &results.exception {
        count = put(&mut fields, count, exception, secret);
    }
    assert!(count == N, "fields are counted before they are laid out");
    with_offsets(fields)
}

/// Puts a member and its companion at `at`; gives the next place.
const fn put<const N: usize>(
    fields: &mut [Field; N],
    at: usize,
    member: &Member,
    secret: bool,
) -> usize {
    fields[at] = Field {
        implicit: matches!(member.kind, Kind::Struct(CONTEXT_ID)),
        secret: member.secret || secret,
        exception: member.exception,
        ..Field::new(member.name, member.rust_name, member.kind, 0)
    };
    if fields_of(member) == 2 {
        fields[at + 1] = Field::new(member.has.0, member.has.1, Kind::Bool, 0);
    }
    at + fields_of(member)
}

const fn with_offsets<const N: usize>(mut fields: [Field; N]) -> [Field; N] {
    let mut kinds = [Kind::Void; N];
    let mut at = 0;
    while at < N {
        kinds[at] = fields[at].kind;
        at += 1;
    }
    let layout = layout(kinds);
    at = 0;
    while at < N {
        fields[at].offset = layout.offsets[at];
        at += 1;
    }
    fields
}

const NO_FIELD: Field = Field::new("", "", Kind::Void, 0);

/// A struct of fields made by [`layout_members`] or [`layout_results`]; `wrap` is its Rust name, if it has one.
#[must_use]
pub const fn layout_struct(
    id: u64,
    name: &'static str,
    wrap: &'static str,
    fields: &'static [Field],
) -> Struct {
    let mut data_bits = 0_u32;
    let mut pointers = 0_u32;
    let mut at = 0;
    while at < fields.len() {
        let field = &fields[at];
        match size_log2(&field.kind) {
            Some(size) => {
                let end = (field.offset + 1) << size;
                if end > data_bits {
                    data_bits = end;
                }
            }
            None if matches!(field.kind, Kind::Void) => {}
            None => {
                if field.offset + 1 > pointers {
                    pointers = field.offset + 1;
                }
            }
        }
        at += 1;
    }
    Struct {
        id,
        name,
        wrap,
        data_words: data_bits.div_ceil(64) as u16,
        pointers: pointers as u16,
        fields,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layout_fills_holes_like_capnp() {
        // As `capnp compile` lays out (:Bool, :UInt32, :UInt8, :Text, :UInt64, :UInt16, :Bool).
        let made = layout([
            Kind::Bool,
            Kind::Bits32,
            Kind::Bits8,
            Kind::Text,
            Kind::Bits64,
            Kind::Bits16,
            Kind::Bool,
        ]);
        assert_eq!(made.offsets, [0, 1, 1, 0, 1, 1, 1]);
        assert_eq!((made.data_words, made.pointers), (2, 1));
    }

    #[test]
    fn a_number_that_may_be_missing_has_a_companion() {
        const MEMBERS: &[Member] = &[
            Member::result(Kind::Bits32, true),
            Member::result(Kind::Text, true),
            Member::result(Kind::Bool, false),
        ];
        let fields = layout_members::<{ count_fields(MEMBERS) }>(MEMBERS);
        let places = fields.map(|field| (field.name, field.offset));
        assert_eq!(
            places,
            [
                ("result", 0),
                ("hasResult", 32),
                ("result", 0),
                ("result", 33)
            ]
        );
    }
}
