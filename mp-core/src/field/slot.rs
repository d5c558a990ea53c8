//! A place for one value: a field of a struct or an element of a list.

use std::sync::Arc;

use crate::cap::Cap;
use crate::error::{DecodeError, Error};
use crate::plan::FieldPlan;
use crate::rpc::Conn;
use crate::schema::{Field, Kind};
use crate::wire::{Builder, ListAt, ListReader, PointerAt, PointerReader, StructAt, StructReader};

/// What reading needs beside the message: its capabilities and the connection they came over.
#[derive(Debug, Clone, Copy)]
pub struct Decoder<'a> {
    pub(crate) caps: &'a [Cap],
    pub(crate) conn: Option<&'a Arc<Conn>>,
}

/// What writing needs: the message, and the capabilities put into it.
#[derive(Debug, Default)]
pub struct Encoder {
    pub(crate) builder: Builder,
    pub(crate) caps: Vec<Cap>,
    pub(crate) conn: Option<Arc<Conn>>,
}

impl Encoder {
    pub(crate) fn new(conn: Option<Arc<Conn>>) -> Self {
        Self {
            builder: match &conn {
                Some(conn) => Builder::with_spares(conn.spares()),
                None => Builder::new(),
            },
            caps: Vec::new(),
            conn,
        }
    }

    /// Puts a capability into the message's table and leads the pointer to it.
    pub(crate) fn put_cap(&mut self, at: PointerAt, cap: Cap) {
        if !matches!(cap, Cap::Null) {
            let index = self.caps.len() as u32;
            self.caps.push(cap);
            self.builder.set_capability(at, index);
        }
    }
}

/// Where a value is read from.
#[derive(Debug, Clone, Copy)]
pub struct Slot<'a> {
    name: &'static str,
    kind: Kind,
    at: At<'a>,
    /// What the companion `hasFoo` says, if there is one.
    present: Option<bool>,
    element: bool,
    decoder: Decoder<'a>,
}

#[derive(Debug, Clone, Copy)]
enum At<'a> {
    Bits(u64),
    Pointer(PointerReader<'a>),
    Struct(StructReader<'a>),
}

impl<'a> Slot<'a> {
    /// The slot of a struct's field.
    #[must_use]
    pub fn field(structure: &StructReader<'a>, plan: &FieldPlan, decoder: &Decoder<'a>) -> Self {
        let field = &plan.field;
        let at = match field.kind {
            Kind::Void => At::Bits(0),
            Kind::Bool => At::Bits(u64::from(structure.bit(field.offset)) ^ field.default),
            _ => match width(&field.kind) {
                Some(width) => At::Bits(structure.bits(width, field.offset) ^ field.default),
                None => At::Pointer(structure.pointer(field.offset)),
            },
        };
        let present = plan
            .has
            .as_ref()
            .map(|has| structure.bit(has.offset) != (has.default != 0));
        Self {
            name: field.rust_name,
            kind: field.kind,
            at,
            present,
            element: false,
            decoder: *decoder,
        }
    }

    /// The slot of a list's element.
    pub(super) fn element(
        &self,
        list: &ListReader<'a>,
        kind: &Kind,
        index: u32,
    ) -> Result<Self, Error> {
        let at = match kind {
            Kind::Void => At::Bits(0),
            Kind::Bool => At::Bits(list.bits(1, index)),
            Kind::Struct(_) => {
                At::Struct(list.structure(index).map_err(|error| self.error(error))?)
            }
            _ => match width(kind) {
                Some(width) => At::Bits(list.bits(width, index)),
                None => At::Pointer(list.pointer(index).map_err(|error| self.error(error))?),
            },
        };
        Ok(Self {
            kind: *kind,
            at,
            present: None,
            element: true,
            ..*self
        })
    }

    /// The name of the field, for errors.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// What the schema keeps here.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// What the message was sent with.
    #[must_use]
    pub fn decoder(&self) -> Decoder<'a> {
        self.decoder
    }

    /// An error that names this slot.
    pub fn error(&self, source: impl Into<DecodeError>) -> Error {
        Error::decode(self.name, source)
    }

    fn mismatch(&self, rust: &'static str) -> Error {
        self.error(DecodeError::Kind {
            schema: kind_name(&self.kind),
            rust,
        })
    }

    fn pointer(&self, rust: &'static str) -> Result<PointerReader<'a>, Error> {
        match self.at {
            At::Pointer(pointer) => Ok(pointer),
            _ => Err(self.mismatch(rust)),
        }
    }

    /// Whether nothing was put here: the companion says so; or, without one, the pointer is null; or, in a list, the
    /// element is empty.
    #[must_use]
    pub fn is_absent(&self) -> bool {
        if let Some(present) = self.present {
            return !present;
        }
        match self.at {
            At::Bits(_) => false,
            At::Pointer(pointer) if self.element && self.kind == Kind::Data => {
                pointer.data().is_ok_and(<[u8]>::is_empty)
            }
            At::Pointer(pointer) => pointer.is_null(),
            At::Struct(structure) => {
                structure.data_section().iter().all(|byte| *byte == 0)
                    && (0..structure.pointer_count())
                        .all(|index| structure.pointer(index.into()).is_null())
            }
        }
    }

    /// Whether bytes are kept here, and none of them.
    pub(super) fn is_empty(&self) -> bool {
        self.kind == Kind::Data && self.data().is_ok_and(<[u8]>::is_empty)
    }

    /// The bits of a number and how many the schema gives it.
    ///
    /// # Errors
    /// When no number is kept here.
    pub fn bits(&self) -> Result<(u64, usize), Error> {
        match (self.at, width(&self.kind)) {
            (At::Bits(bits), Some(width)) => Ok((bits, width)),
            _ => Err(self.mismatch("a number")),
        }
    }

    /// The bit kept here.
    ///
    /// # Errors
    /// When the schema keeps something else.
    pub fn bool(&self) -> Result<bool, Error> {
        match self.at {
            At::Bits(bits) if self.kind == Kind::Bool => Ok(bits != 0),
            _ => Err(self.mismatch("a bool")),
        }
    }

    /// The text kept here; `Data` must be UTF-8.
    ///
    /// # Errors
    /// When it is not, or the schema keeps something else.
    pub fn text(&self) -> Result<&'a str, Error> {
        let pointer = self.pointer("text")?;
        if self.kind == Kind::Data {
            let data = pointer.data().map_err(|error| self.error(error))?;
            return std::str::from_utf8(data)
                .map_err(|_| self.error(crate::wire::WireError::NotUtf8));
        }
        pointer.text().map_err(|error| self.error(error))
    }

    /// The bytes kept here, or those of the text.
    ///
    /// # Errors
    /// When the schema keeps something else.
    pub fn data(&self) -> Result<&'a [u8], Error> {
        let pointer = self.pointer("data")?;
        if self.kind == Kind::Text {
            return pointer
                .text()
                .map(str::as_bytes)
                .map_err(|error| self.error(error));
        }
        pointer.data().map_err(|error| self.error(error))
    }

    /// The list kept here and the kind of its elements.
    ///
    /// # Errors
    /// When the schema keeps something else.
    pub fn list(&self) -> Result<(ListReader<'a>, &'static Kind), Error> {
        let Kind::List(kind) = self.kind else {
            return Err(self.mismatch("a list"));
        };
        let list = self
            .pointer("a list")?
            .list()
            .map_err(|error| self.error(error))?;
        let fits = match kind {
            Kind::Void => Ok(()),
            Kind::Bool => list.expect_bits(1),
            _ => width(kind).map_or(Ok(()), |width| list.expect_bits(width)),
        };
        fits.map_err(|error| self.error(error))?;
        Ok((list, kind))
    }

    /// The struct kept here.
    ///
    /// # Errors
    /// When the schema keeps something else.
    pub fn structure(&self) -> Result<StructReader<'a>, Error> {
        match (self.at, self.kind) {
            (At::Struct(structure), _) => Ok(structure),
            (At::Pointer(pointer), Kind::Struct(_) | Kind::AnyPointer) => {
                pointer.structure().map_err(|error| self.error(error))
            }
            _ => Err(self.mismatch("a struct")),
        }
    }

    /// The capability kept here.
    pub(crate) fn capability(&self) -> Result<Cap, Error> {
        if !matches!(self.kind, Kind::Interface(_) | Kind::AnyPointer) {
            return Err(self.mismatch("an object"));
        }
        match self
            .pointer("an object")?
            .capability()
            .map_err(|error| self.error(error))?
        {
            None => Ok(Cap::Null),
            Some(index) => match self.decoder.caps.get(index as usize) {
                Some(cap) => Ok(cap.clone()),
                None => Err(self.error(DecodeError::MissingCapability)),
            },
        }
    }
}

/// Where a value is written to.
#[derive(Debug)]
pub struct SlotMut<'a> {
    name: &'static str,
    kind: Kind,
    at: AtMut,
    default: u64,
    has: Option<(StructAt, Field)>,
    encoder: &'a mut Encoder,
}

#[derive(Debug, Clone, Copy)]
enum AtMut {
    Field(StructAt, u32),
    Element(ListAt, u32),
    Pointer(PointerAt),
    Struct(StructAt),
}

impl<'a> SlotMut<'a> {
    /// The slot of a struct's field.
    pub fn field(structure: StructAt, plan: &FieldPlan, encoder: &'a mut Encoder) -> Self {
        let field = &plan.field;
        let at = match field.kind {
            Kind::Void | Kind::Bool => AtMut::Field(structure, field.offset),
            _ if width(&field.kind).is_some() => AtMut::Field(structure, field.offset),
            _ => AtMut::Pointer(structure.pointer(field.offset)),
        };
        let has = plan.has.map(|has| (structure, has));
        let mut slot = Self {
            name: field.rust_name,
            kind: field.kind,
            at,
            default: field.default,
            has,
            encoder,
        };
        slot.set_present(true);
        slot
    }

    /// The slot of a list's element.
    pub(super) fn element(
        name: &'static str,
        kind: &Kind,
        list: ListAt,
        index: u32,
        encoder: &'a mut Encoder,
    ) -> Self {
        let at = match kind {
            Kind::Void | Kind::Bool => AtMut::Element(list, index),
            Kind::Struct(_) => AtMut::Struct(list.structure(index)),
            _ if width(kind).is_some() => AtMut::Element(list, index),
            _ => AtMut::Pointer(list.pointer(index)),
        };
        Self {
            name,
            kind: *kind,
            at,
            default: 0,
            has: None,
            encoder,
        }
    }

    /// The name of the field, for errors.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// What the schema keeps here.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// An error that names this slot.
    pub fn error(&self, source: impl Into<DecodeError>) -> Error {
        Error::decode(self.name, source)
    }

    fn mismatch(&self, rust: &'static str) -> Error {
        self.error(DecodeError::Kind {
            schema: kind_name(&self.kind),
            rust,
        })
    }

    /// Says by the companion, if there is one, whether anything is put here.
    pub fn set_present(&mut self, present: bool) {
        if let Some((structure, has)) = &self.has {
            self.encoder
                .builder
                .set_bit(*structure, has.offset, present != (has.default != 0));
        }
    }

    /// Bits that the schema gives the number kept here.
    pub(super) fn width(&self) -> Result<usize, Error> {
        width(&self.kind).ok_or_else(|| self.mismatch("a number"))
    }

    /// Writes the low bits of a number; the caller checked that it fits.
    pub(super) fn set_bits(self, value: u64) -> Result<(), Error> {
        let width = self.width()?;
        match self.at {
            AtMut::Field(structure, offset) => {
                self.encoder
                    .builder
                    .set_bits(structure, width, offset, value ^ self.default);
            }
            AtMut::Element(list, index) => self.encoder.builder.set_element(list, index, value),
            _ => return Err(self.mismatch("a number")),
        }
        Ok(())
    }

    /// Writes a bit.
    ///
    /// # Errors
    /// When the schema keeps something else.
    pub fn set_bool(self, value: bool) -> Result<(), Error> {
        match self.at {
            AtMut::Field(structure, offset) if self.kind == Kind::Bool => {
                self.encoder
                    .builder
                    .set_bit(structure, offset, value != (self.default != 0));
            }
            AtMut::Element(list, index) if self.kind == Kind::Bool => {
                self.encoder
                    .builder
                    .set_element(list, index, u64::from(value));
            }
            _ => return Err(self.mismatch("a bool")),
        }
        Ok(())
    }

    /// Writes text, or its bytes where the schema keeps `Data`.
    ///
    /// # Errors
    /// When the schema keeps something else.
    pub fn set_text(self, text: &str) -> Result<(), Error> {
        match (self.at, self.kind) {
            (AtMut::Pointer(at), Kind::Text) => self.encoder.builder.set_text(at, text),
            (AtMut::Pointer(at), Kind::Data) => self.encoder.builder.set_data(at, text.as_bytes()),
            _ => return Err(self.mismatch("text")),
        }
        Ok(())
    }

    /// Writes bytes; where the schema keeps `Text` they must be UTF-8.
    ///
    /// # Errors
    /// When they are not, or the schema keeps something else.
    pub fn set_data(self, data: &[u8]) -> Result<(), Error> {
        match (self.at, self.kind) {
            (AtMut::Pointer(at), Kind::Data | Kind::List(Kind::Bits8)) => {
                self.encoder.builder.set_data(at, data)
            }
            (AtMut::Pointer(at), Kind::Text) => {
                let text = std::str::from_utf8(data)
                    .map_err(|_| self.error(crate::wire::WireError::NotUtf8))?;
                self.encoder.builder.set_text(at, text);
            }
            _ => return Err(self.mismatch("data")),
        }
        Ok(())
    }

    /// Begins a struct of that many data words and pointers.
    ///
    /// # Errors
    /// When the schema keeps something else.
    pub fn begin_struct(self, size: (u16, u16)) -> Result<(StructAt, &'a mut Encoder), Error> {
        match (self.at, self.kind) {
            (AtMut::Pointer(at), Kind::Struct(_) | Kind::AnyPointer) => Ok((
                self.encoder.builder.init_struct(at, size.0, size.1),
                self.encoder,
            )),
            (AtMut::Struct(structure), _) => Ok((structure, self.encoder)),
            _ => Err(self.mismatch("a struct")),
        }
    }

    /// Begins a list of `len` elements; `size` is that of each, if they are structs.
    pub(super) fn begin_list(
        self,
        len: usize,
        size: (u16, u16),
    ) -> Result<(ListAt, &'static Kind, &'a mut Encoder), Error> {
        let (AtMut::Pointer(at), Kind::List(kind)) = (self.at, self.kind) else {
            return Err(self.mismatch("a list"));
        };
        let builder = &mut self.encoder.builder;
        let list = match element_size(kind) {
            crate::wire::ElementSize::Composite => {
                builder.init_struct_list(at, len, size.0, size.1)
            }
            element => builder.init_list(at, element, len),
        };
        Ok((list, kind, self.encoder))
    }

    /// The connection that the message will go over.
    pub(crate) fn conn(&self) -> Option<&Arc<Conn>> {
        self.encoder.conn.as_ref()
    }

    /// Writes a capability.
    pub(crate) fn set_capability(self, cap: Cap) -> Result<(), Error> {
        match (self.at, self.kind) {
            (AtMut::Pointer(at), Kind::Interface(_) | Kind::AnyPointer) => {
                self.encoder.put_cap(at, cap)
            }
            _ => return Err(self.mismatch("an object")),
        }
        Ok(())
    }
}

/// Bits of a number of this kind.
fn width(kind: &Kind) -> Option<usize> {
    match kind {
        Kind::Bits8 => Some(8),
        Kind::Bits16 => Some(16),
        Kind::Bits32 => Some(32),
        Kind::Bits64 => Some(64),
        _ => None,
    }
}

fn element_size(kind: &Kind) -> crate::wire::ElementSize {
    use crate::wire::ElementSize;
    match kind {
        Kind::Void => ElementSize::Void,
        Kind::Bool => ElementSize::Bit,
        Kind::Bits8 => ElementSize::Byte,
        Kind::Bits16 => ElementSize::TwoBytes,
        Kind::Bits32 => ElementSize::FourBytes,
        Kind::Bits64 => ElementSize::EightBytes,
        Kind::Struct(_) => ElementSize::Composite,
        _ => ElementSize::Pointer,
    }
}

fn kind_name(kind: &Kind) -> &'static str {
    match kind {
        Kind::Void => "nothing",
        Kind::Bool => "a bool",
        Kind::Bits8 | Kind::Bits16 | Kind::Bits32 | Kind::Bits64 => "a number",
        Kind::Text => "text",
        Kind::Data => "data",
        Kind::List(_) => "a list",
        Kind::Struct(_) => "a struct",
        Kind::Interface(_) => "an object",
        Kind::AnyPointer => "any pointer",
    }
}
