//! Typed views into a [`Message`].

use super::{ElementSize, Message, WORD, WireError, load};

/// A place in a message where a pointer stands, or would stand: a missing one reads as null.
#[derive(Debug, Clone, Copy)]
pub struct PointerReader<'a> {
    message: &'a Message,
    /// Segment and byte offset of the pointer; `None` reads as null.
    at: Option<(u32, usize)>,
    nesting: u32,
}

/// What a pointer leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PointerKind {
    /// Nothing.
    Null,
    /// A struct.
    Struct,
    /// A list, text or data.
    List,
    /// A capability.
    Capability,
}

/// A struct; fields past its end read as zero or null, which is how an older sender looks to a newer reader.
#[derive(Debug, Clone, Copy)]
pub struct StructReader<'a> {
    message: &'a Message,
    segment: u32,
    data: &'a [u8],
    /// Byte offset of the first pointer in the segment.
    pointers: usize,
    pointer_count: u16,
    nesting: u32,
}

/// A list of anything.
#[derive(Debug, Clone, Copy)]
pub struct ListReader<'a> {
    message: &'a Message,
    segment: u32,
    start: usize,
    len: u32,
    element: ElementSize,
    /// For [`ElementSize::Composite`]: words of data and pointers of each element.
    data_words: u16,
    pointer_count: u16,
    nesting: u32,
}

/// A pointer followed past its far pointers: the word that describes the object, and where the object begins.
struct Object {
    word: u64,
    segment: u32,
    start: usize,
}

impl<'a> PointerReader<'a> {
    pub(super) fn new(message: &'a Message, segment: u32, at: usize, nesting: u32) -> Self {
        Self {
            message,
            at: Some((segment, at)),
            nesting,
        }
    }

    fn null(message: &'a Message) -> Self {
        Self {
            message,
            at: None,
            nesting: 0,
        }
    }

    fn word(self, segment: u32, at: usize) -> Result<u64, WireError> {
        let bytes = self.message.segment(segment)?;
        let end = at.checked_add(WORD).ok_or(WireError::OutOfBounds)?;
        bytes
            .get(at..end)
            .map(|word| load(word, 0, WORD))
            .ok_or(WireError::OutOfBounds)
    }

    fn follow(self) -> Result<Option<Object>, WireError> {
        let Some((segment, at)) = self.at else {
            return Ok(None);
        };
        // An empty segment is an empty message: its root is null.
        if at == 0 && self.message.segment(segment)?.is_empty() {
            return Ok(None);
        }
        let word = self.word(segment, at)?;
        match word & 3 {
            _ if word == 0 => Ok(None),
            2 => self.follow_far(word).map(Some),
            3 => Ok(Some(Object {
                word,
                segment,
                start: 0,
            })),
            _ => Ok(Some(Object {
                word,
                segment,
                start: near(at, word)?,
            })),
        }
    }

    fn follow_far(self, word: u64) -> Result<Object, WireError> {
        let (segment, pad) = far(word);
        self.message.charge(1)?;
        let landing = self.word(segment, pad)?;
        if word & 4 == 0 {
            return match landing & 3 {
                2 => Err(WireError::BadFarPointer),
                3 => Ok(Object {
                    word: landing,
                    segment,
                    start: 0,
                }),
                _ if landing == 0 => Err(WireError::BadFarPointer),
                _ => Ok(Object {
                    word: landing,
                    segment,
                    start: near(pad, landing)?,
                }),
            };
        }
        // A double far pointer: the pad is a far pointer to the object and a tag that describes it.
        let tag = self.word(segment, pad + WORD)?;
        if landing & 7 != 2 || tag & 3 > 1 {
            return Err(WireError::BadFarPointer);
        }
        let (segment, start) = far(landing);
        Ok(Object {
            word: tag,
            segment,
            start,
        })
    }

    /// Whether nothing is there. A malformed pointer is something.
    pub fn is_null(self) -> bool {
        matches!(self.follow(), Ok(None))
    }

    /// What is there.
    ///
    /// # Errors
    /// When a far pointer is malformed.
    pub fn kind(self) -> Result<PointerKind, WireError> {
        Ok(match self.follow()? {
            None => PointerKind::Null,
            Some(object) => match object.word & 3 {
                0 => PointerKind::Struct,
                1 => PointerKind::List,
                _ => PointerKind::Capability,
            },
        })
    }

    fn deeper(self) -> Result<u32, WireError> {
        self.nesting.checked_sub(1).ok_or(WireError::NestingLimit)
    }

    /// The struct there; null reads as a struct whose every field is zero.
    ///
    /// # Errors
    /// When the pointer is malformed, leads elsewhere than to a struct, or breaks a limit.
    pub fn structure(self) -> Result<StructReader<'a>, WireError> {
        let empty = StructReader {
            message: self.message,
            segment: 0,
            data: &[],
            pointers: 0,
            pointer_count: 0,
            nesting: self.nesting,
        };
        let Some(object) = self.follow()? else {
            return Ok(empty);
        };
        expect_kind(object.word, 0, "struct")?;
        let data_words = (object.word >> 32) as u16;
        let pointer_count = (object.word >> 48) as u16;
        let nesting = self.deeper()?;
        let words = usize::from(data_words) + usize::from(pointer_count);
        self.message.charge(words as u64)?;
        let bytes = span(
            self.message.segment(object.segment)?,
            object.start,
            words * WORD,
        )?;
        let data = usize::from(data_words) * WORD;
        Ok(StructReader {
            message: self.message,
            segment: object.segment,
            data: &bytes[..data],
            pointers: object.start + data,
            pointer_count,
            nesting,
        })
    }

    /// The list there; null reads as an empty list.
    ///
    /// # Errors
    /// When the pointer is malformed, leads elsewhere than to a list, or breaks a limit.
    pub fn list(self) -> Result<ListReader<'a>, WireError> {
        let mut list = ListReader {
            message: self.message,
            segment: 0,
            start: 0,
            len: 0,
            element: ElementSize::Void,
            data_words: 0,
            pointer_count: 0,
            nesting: self.nesting,
        };
        let Some(object) = self.follow()? else {
            return Ok(list);
        };
        expect_kind(object.word, 1, "list")?;
        list.nesting = self.deeper()?;
        list.segment = object.segment;
        list.element = ElementSize::from_code(object.word >> 32);
        let count = (object.word >> 35) as u32;
        let segment = self.message.segment(object.segment)?;
        if list.element == ElementSize::Composite {
            let words = u64::from(count);
            self.message.charge(words + 1)?;
            span(segment, object.start, (count as usize + 1) * WORD)?;
            let tag = load(segment, object.start, WORD);
            if tag & 3 != 0 {
                return Err(WireError::BadList);
            }
            list.start = object.start + WORD;
            list.len = (tag as u32) >> 2;
            list.data_words = (tag >> 32) as u16;
            list.pointer_count = (tag >> 48) as u16;
            let each = u64::from(list.data_words) + u64::from(list.pointer_count);
            if u64::from(list.len) * each > words {
                return Err(WireError::BadList);
            }
            if each == 0 {
                // Elements without size would let a few bytes cost a reader a billion steps.
                self.message.charge(u64::from(list.len))?;
            }
        } else {
            list.start = object.start;
            list.len = count;
            let words = (count as usize * list.element.bits()).div_ceil(64);
            self.message
                .charge(words.max(if words == 0 { count as usize } else { 0 }) as u64)?;
            span(segment, object.start, words * WORD)?;
        }
        Ok(list)
    }

    /// The bytes there; null reads as none.
    ///
    /// # Errors
    /// As [`PointerReader::list`], and when the list is not of bytes.
    pub fn data(self) -> Result<&'a [u8], WireError> {
        let list = self.list()?;
        match list.element {
            ElementSize::Byte => span(
                self.message.segment(list.segment)?,
                list.start,
                list.len as usize,
            ),
            ElementSize::Void if list.len == 0 && self.is_null() => Ok(&[]),
            _ => Err(WireError::WrongKind {
                wanted: "list of bytes",
                found: "list of another kind",
            }),
        }
    }

    /// The text there; null reads as the empty text.
    ///
    /// # Errors
    /// As [`PointerReader::data`], and when it is not zero-terminated UTF-8.
    pub fn text(self) -> Result<&'a str, WireError> {
        if self.is_null() {
            return Ok("");
        }
        let (last, text) = self
            .data()?
            .split_last()
            .ok_or(WireError::UnterminatedText)?;
        if *last != 0 {
            return Err(WireError::UnterminatedText);
        }
        std::str::from_utf8(text).map_err(|_| WireError::NotUtf8)
    }

    /// The index of the capability there in the message's capability table.
    ///
    /// # Errors
    /// When the pointer is neither null nor a capability.
    pub fn capability(self) -> Result<Option<u32>, WireError> {
        let Some(object) = self.follow()? else {
            return Ok(None);
        };
        // Other uses of this kind of pointer are reserved.
        if object.word as u32 != 3 {
            return Err(WireError::WrongKind {
                wanted: "capability",
                found: name(object.word),
            });
        }
        Ok(Some((object.word >> 32) as u32))
    }
}

impl<'a> StructReader<'a> {
    /// The unsigned value of `width` bits (8, 16, 32 or 64) at `offset` in units of that width.
    pub fn bits(&self, width: usize, offset: u32) -> u64 {
        let bytes = width / 8;
        load(self.data, offset as usize * bytes, bytes)
    }

    /// The bit at `offset`.
    pub fn bit(&self, offset: u32) -> bool {
        self.data
            .get(offset as usize / 8)
            .is_some_and(|byte| byte >> (offset % 8) & 1 == 1)
    }

    /// The pointer with this index.
    pub fn pointer(&self, index: u32) -> PointerReader<'a> {
        if index >= u32::from(self.pointer_count) {
            return PointerReader::null(self.message);
        }
        PointerReader::new(
            self.message,
            self.segment,
            self.pointers + index as usize * WORD,
            self.nesting,
        )
    }

    /// The data section.
    pub fn data_section(&self) -> &'a [u8] {
        self.data
    }

    /// How many pointers the struct has.
    pub fn pointer_count(&self) -> u16 {
        self.pointer_count
    }
}

impl<'a> ListReader<'a> {
    /// How many elements there are.
    pub fn len(&self) -> u32 {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How the elements are laid out.
    pub fn element(&self) -> ElementSize {
        self.element
    }

    /// Words of data and number of pointers of each struct, for a list of structs.
    pub fn struct_size(&self) -> (u16, u16) {
        (self.data_words, self.pointer_count)
    }

    fn step(&self) -> usize {
        (usize::from(self.data_words) + usize::from(self.pointer_count)) * WORD
    }

    fn segment(&self) -> &'a [u8] {
        // `list` found this segment before it made the reader.
        self.message.segment(self.segment).unwrap_or(&[])
    }

    /// Checks that numbers of `width` bits can be read: the list is of elements at least as wide, or of structs,
    /// whose first field is then meant.
    ///
    /// # Errors
    /// When it is neither.
    pub fn expect_bits(&self, width: usize) -> Result<(), WireError> {
        let fits = match self.element {
            _ if self.len == 0 || width == 0 => true,
            ElementSize::Bit => width == 1,
            ElementSize::Composite => width > 1 && self.data_words > 0,
            ElementSize::Pointer => false,
            element => width > 1 && element.bits() >= width,
        };
        if fits {
            Ok(())
        } else {
            Err(WireError::WrongKind {
                wanted: "list of numbers",
                found: "list of another kind",
            })
        }
    }

    /// The number of `width` bits in element `index`; zero past the end. See [`ListReader::expect_bits`].
    pub fn bits(&self, width: usize, index: u32) -> u64 {
        if index >= self.len {
            return 0;
        }
        let index = index as usize;
        match self.element {
            ElementSize::Bit => {
                u64::from(load(self.segment(), self.start + index / 8, 1) as u8 >> (index % 8) & 1)
            }
            ElementSize::Composite if self.data_words > 0 => load(
                self.segment(),
                self.start + index * self.step(),
                width.div_ceil(8),
            ),
            ElementSize::Composite | ElementSize::Pointer => 0,
            element => load(
                self.segment(),
                self.start + index * (element.bits() / 8),
                width.div_ceil(8),
            ),
        }
    }

    /// The pointer in element `index`; the first pointer of it, if the elements are structs. Null past the end.
    ///
    /// # Errors
    /// When the elements have no pointers.
    pub fn pointer(&self, index: u32) -> Result<PointerReader<'a>, WireError> {
        if index >= self.len {
            return Ok(PointerReader::null(self.message));
        }
        let at = match self.element {
            ElementSize::Pointer => self.start + index as usize * WORD,
            ElementSize::Composite if self.pointer_count > 0 => {
                self.start + index as usize * self.step() + usize::from(self.data_words) * WORD
            }
            _ => {
                return Err(WireError::WrongKind {
                    wanted: "list of pointers",
                    found: "list of another kind",
                });
            }
        };
        Ok(PointerReader::new(
            self.message,
            self.segment,
            at,
            self.nesting,
        ))
    }

    /// The struct in element `index`; an element that is a number or a pointer reads as a struct whose first field
    /// it is, which is how a list looks after its element type grew into a struct.
    ///
    /// # Errors
    /// When the elements are bits, or `index` is past the end.
    pub fn structure(&self, index: u32) -> Result<StructReader<'a>, WireError> {
        if index >= self.len {
            return Err(WireError::OutOfBounds);
        }
        let nesting = self.nesting.checked_sub(1).ok_or(WireError::NestingLimit)?;
        let index = index as usize;
        let (start, data, pointer_count) = match self.element {
            ElementSize::Bit => {
                return Err(WireError::WrongKind {
                    wanted: "list of structs",
                    found: "list of bits",
                });
            }
            ElementSize::Composite => (
                self.start + index * self.step(),
                usize::from(self.data_words) * WORD,
                self.pointer_count,
            ),
            ElementSize::Pointer => (self.start + index * WORD, 0, 1),
            element => (
                self.start + index * (element.bits() / 8),
                element.bits() / 8,
                0,
            ),
        };
        Ok(StructReader {
            message: self.message,
            segment: self.segment,
            data: span(self.segment(), start, data)?,
            pointers: start + data,
            pointer_count,
            nesting,
        })
    }
}

fn span(bytes: &[u8], start: usize, len: usize) -> Result<&[u8], WireError> {
    let end = start.checked_add(len).ok_or(WireError::OutOfBounds)?;
    bytes.get(start..end).ok_or(WireError::OutOfBounds)
}

/// Where an object begins whose pointer stands at `at`.
fn near(at: usize, word: u64) -> Result<usize, WireError> {
    let offset = i64::from(word as u32 as i32 >> 2) * WORD as i64;
    let start = at as i64 + WORD as i64 + offset;
    usize::try_from(start).map_err(|_| WireError::OutOfBounds)
}

/// Segment and byte offset that a far pointer names.
fn far(word: u64) -> (u32, usize) {
    ((word >> 32) as u32, (word as u32 >> 3) as usize * WORD)
}

fn name(word: u64) -> &'static str {
    match word & 3 {
        0 => "struct",
        1 => "list",
        _ => "capability",
    }
}

fn expect_kind(word: u64, kind: u64, wanted: &'static str) -> Result<(), WireError> {
    if word & 3 == kind {
        Ok(())
    } else {
        Err(WireError::WrongKind {
            wanted,
            found: name(word),
        })
    }
}
