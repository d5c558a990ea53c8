//! Writing messages.

use std::sync::Arc;

use super::{
    ElementSize, Message, PointerKind, PointerReader, ReadLimits, Spares, StructReader, WORD,
    WireError,
};

/// Room kept before each segment, where the frame's header goes if the segment turns out to be the only one.
const HEAD: usize = WORD;
/// What a list's length may be, in elements or words.
const MAX_COUNT: usize = (1 << 29) - 1;

/// A message being written.
///
/// Objects are addressed by small copyable positions ([`PointerAt`], [`StructAt`], [`ListAt`]), which are only good
/// for the builder that gave them. A value too large for the encoding is remembered and reported by
/// [`Builder::finish`], so that writing needs no error handling of its own.
pub struct Builder {
    segments: Vec<Vec<u8>>,
    /// Segments are not grown beyond this many bytes, unless for a single object that is larger.
    segment_bytes: usize,
    overflow: bool,
    /// Where memory for large values may be had.
    spares: Option<Arc<Spares>>,
}

/// Room behind a large value, for what is written after it.
const BEHIND: usize = 4 << 10;

impl std::fmt::Debug for Builder {
    /// Without the bytes: they may hold what is not for logs.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Builder")
            .field("segments", &self.segments.len())
            .field("overflow", &self.overflow)
            .finish_non_exhaustive()
    }
}

/// Where a pointer stands.
#[derive(Debug, Clone, Copy)]
pub struct PointerAt {
    segment: u32,
    at: usize,
}

/// Where a struct stands.
#[derive(Debug, Clone, Copy)]
pub struct StructAt {
    segment: u32,
    at: usize,
    data_words: u16,
    pointers: u16,
}

/// Where a list stands.
#[derive(Debug, Clone, Copy)]
pub struct ListAt {
    segment: u32,
    at: usize,
    len: u32,
    element: ElementSize,
    data_words: u16,
    pointers: u16,
}

impl Default for Builder {
    fn default() -> Self {
        Self::new()
    }
}

impl Builder {
    /// A message in one segment that grows as needed.
    pub fn new() -> Self {
        Self::with_segments(MAX_COUNT * WORD)
    }

    /// A message in segments of about `segment_bytes`, as other implementations write them.
    pub fn with_segments(segment_bytes: usize) -> Self {
        let mut first = Vec::with_capacity(512);
        first.resize(HEAD + WORD, 0);
        Self {
            segments: vec![first],
            segment_bytes,
            overflow: false,
            spares: None,
        }
    }

    /// A message that takes memory for large values from `spares`.
    pub(crate) fn with_spares(spares: Arc<Spares>) -> Self {
        Self {
            spares: Some(spares),
            ..Self::new()
        }
    }

    /// The pointer that every message begins with.
    pub fn root(&self) -> PointerAt {
        PointerAt { segment: 0, at: 0 }
    }

    /// Bytes written so far.
    pub fn size(&self) -> usize {
        self.segments
            .iter()
            .map(|segment| segment.len() - HEAD)
            .sum()
    }

    /// Makes room for at least `bytes` more, so that a large value does not grow the message step by step.
    pub fn reserve(&mut self, bytes: usize) {
        if let Some(last) = self.segments.last_mut() {
            last.reserve(bytes);
        }
    }

    fn put(&mut self, segment: u32, at: usize, bytes: &[u8]) {
        self.segments[segment as usize][HEAD + at..HEAD + at + bytes.len()].copy_from_slice(bytes);
    }

    fn put_word(&mut self, at: PointerAt, word: u64) {
        self.put(at.segment, at.at, &word.to_le_bytes());
    }

    /// Appends zeroed words to a segment that has room, and says where.
    fn extend(&mut self, segment: u32, words: usize) -> usize {
        let bytes = &mut self.segments[segment as usize];
        let at = bytes.len() - HEAD;
        bytes.resize(HEAD + at + words * WORD, 0);
        at
    }

    /// Room for an object that the pointer at `from` leads to. Gives the object's segment and offset, and where the
    /// word that describes it belongs: at `from`, or in a landing pad when the object had to go elsewhere.
    fn allocate(&mut self, from: PointerAt, words: usize) -> (u32, usize, PointerAt) {
        let room =
            |bytes: &Vec<u8>, words: usize| bytes.len() - HEAD + words * WORD <= self.segment_bytes;
        if room(&self.segments[from.segment as usize], words) {
            return (from.segment, self.extend(from.segment, words), from);
        }
        let mut segment = self.segments.len() - 1;
        if !room(&self.segments[segment], words + 1) {
            self.segments.push(vec![0; HEAD]);
            segment += 1;
        }
        let segment = segment as u32;
        let pad = self.extend(segment, words + 1);
        let far = 2 | ((pad / WORD) as u64 * 8) | (u64::from(segment) << 32);
        self.put_word(from, far);
        (segment, pad + WORD, PointerAt { segment, at: pad })
    }

    /// Writes the word that leads to the object at `start`; `low` is the pointer's kind, `high` its upper half.
    fn link(&mut self, tag: PointerAt, start: usize, low: u32, high: u32) {
        let offset = (start as i64 - tag.at as i64) / WORD as i64 - 1;
        let word = u64::from((offset as i32 as u32) << 2 | low) | u64::from(high) << 32;
        self.put_word(tag, word);
    }

    /// Puts a new struct of zeroes where `at` stands.
    pub fn init_struct(&mut self, at: PointerAt, data_words: u16, pointers: u16) -> StructAt {
        let words = usize::from(data_words) + usize::from(pointers);
        let high = u32::from(data_words) | u32::from(pointers) << 16;
        if words == 0 {
            // A struct without size stands nowhere; its pointer leads to itself, to differ from null.
            self.put_word(at, u64::from(u32::MAX << 2));
            return StructAt {
                segment: at.segment,
                at: at.at,
                data_words,
                pointers,
            };
        }
        let (segment, start, tag) = self.allocate(at, words);
        self.link(tag, start, 0, high);
        StructAt {
            segment,
            at: start,
            data_words,
            pointers,
        }
    }

    /// Puts a new list of `len` zeroed elements, not structs, where `at` stands.
    pub fn init_list(&mut self, at: PointerAt, element: ElementSize, len: usize) -> ListAt {
        let len = self.count(len);
        let (segment, start, tag) = self.allocate(at, (len as usize * element.bits()).div_ceil(64));
        self.link(tag, start, 1, element.code() as u32 | len << 3);
        ListAt {
            segment,
            at: start,
            len,
            element,
            data_words: 0,
            pointers: 0,
        }
    }

    /// Puts a new list of `len` structs of zeroes where `at` stands.
    pub fn init_struct_list(
        &mut self,
        at: PointerAt,
        len: usize,
        data_words: u16,
        pointers: u16,
    ) -> ListAt {
        let each = usize::from(data_words) + usize::from(pointers);
        let words = self.count(len.saturating_mul(each)) as usize;
        let len = if words == len.saturating_mul(each) {
            self.count(len)
        } else {
            0
        };
        let (segment, start, tag) = self.allocate(at, words + 1);
        self.link(
            tag,
            start,
            1,
            ElementSize::Composite.code() as u32 | (words as u32) << 3,
        );
        let head = u64::from(len) << 2 | u64::from(data_words) << 32 | u64::from(pointers) << 48;
        self.put_word(PointerAt { segment, at: start }, head);
        ListAt {
            segment,
            at: start + WORD,
            len,
            element: ElementSize::Composite,
            data_words,
            pointers,
        }
    }

    fn count(&mut self, count: usize) -> u32 {
        if count > MAX_COUNT {
            self.overflow = true;
            return 0;
        }
        count as u32
    }

    /// Puts bytes where `at` stands.
    pub fn set_data(&mut self, at: PointerAt, bytes: &[u8]) {
        self.set_bytes(at, bytes, 0);
    }

    /// Puts text where `at` stands.
    pub fn set_text(&mut self, at: PointerAt, text: &str) {
        self.set_bytes(at, text.as_bytes(), 1);
    }

    /// A byte list of `bytes` and `zeroes` zero bytes. Copies once: large values are the ones that matter.
    fn set_bytes(&mut self, at: PointerAt, bytes: &[u8], zeroes: usize) {
        let len = self.count(bytes.len() + zeroes);
        if len as usize != bytes.len() + zeroes {
            return;
        }
        if bytes.len() < 64 {
            let list = self.init_list(at, ElementSize::Byte, len as usize);
            return self.put(list.segment, list.at, bytes);
        }
        // An empty object first finds the segment; the bytes are then appended without being zeroed before.
        let words = (len as usize).div_ceil(WORD);
        let fits =
            self.segments[at.segment as usize].len() - HEAD + words * WORD <= self.segment_bytes;
        if !fits {
            let list = self.init_list(at, ElementSize::Byte, len as usize);
            return self.put(list.segment, list.at, bytes);
        }
        let segment = &mut self.segments[at.segment as usize];
        let start = segment.len() - HEAD;
        let wanted = segment.len() + words * WORD + BEHIND;
        if segment.capacity() < wanted {
            match self.spares.as_ref().and_then(|spares| spares.take(wanted)) {
                Some(mut spare) => {
                    spare.extend_from_slice(segment);
                    *segment = spare;
                }
                None => segment.reserve(words * WORD + BEHIND),
            }
        }
        segment.extend_from_slice(bytes);
        segment.resize(HEAD + start + words * WORD, 0);
        self.link(at, start, 1, ElementSize::Byte.code() as u32 | len << 3);
    }

    /// Puts the capability with this index in the message's table where `at` stands.
    pub fn set_capability(&mut self, at: PointerAt, index: u32) {
        self.put_word(at, 3 | u64::from(index) << 32);
    }

    /// Copies whatever `from` leads to, in another message, to where `at` stands; capabilities keep their indices.
    ///
    /// # Errors
    /// When the original is malformed or breaks its limits.
    pub fn copy(&mut self, at: PointerAt, from: PointerReader<'_>) -> Result<(), WireError> {
        match from.kind()? {
            PointerKind::Null => {}
            PointerKind::Capability => {
                if let Some(index) = from.capability()? {
                    self.set_capability(at, index);
                }
            }
            PointerKind::Struct => {
                let from = from.structure()?;
                let data_words = from.data_section().len() / WORD;
                let to = self.init_struct(at, data_words as u16, from.pointer_count());
                self.copy_struct(to, from)?;
            }
            PointerKind::List => {
                let list = from.list()?;
                match list.element() {
                    ElementSize::Composite => {
                        let (data_words, pointers) = list.struct_size();
                        let to =
                            self.init_struct_list(at, list.len() as usize, data_words, pointers);
                        for index in 0..list.len() {
                            self.copy_struct(to.structure(index), list.structure(index)?)?;
                        }
                    }
                    ElementSize::Pointer => {
                        let to = self.init_list(at, ElementSize::Pointer, list.len() as usize);
                        for index in 0..list.len() {
                            self.copy(to.pointer(index), list.pointer(index)?)?;
                        }
                    }
                    ElementSize::Byte => self.set_data(at, from.data()?),
                    element => {
                        let to = self.init_list(at, element, list.len() as usize);
                        for index in 0..list.len() {
                            self.set_element(to, index, list.bits(element.bits(), index));
                        }
                    }
                }
            }
        }
        Ok(())
    }

    fn copy_struct(&mut self, to: StructAt, from: StructReader<'_>) -> Result<(), WireError> {
        self.put(to.segment, to.at, from.data_section());
        for index in 0..from.pointer_count() {
            self.copy(to.pointer(u32::from(index)), from.pointer(u32::from(index)))?;
        }
        Ok(())
    }

    /// Writes the low `width` bits (8, 16, 32 or 64) of `value` at `offset` in units of that width.
    ///
    /// # Panics
    /// When the struct has no such field: sizes and offsets come from one table.
    pub fn set_bits(&mut self, at: StructAt, width: usize, offset: u32, value: u64) {
        let bytes = width / 8;
        let start = offset as usize * bytes;
        assert!(
            start + bytes <= usize::from(at.data_words) * WORD,
            "field lies outside its struct"
        );
        self.put(at.segment, at.at + start, &value.to_le_bytes()[..bytes]);
    }

    /// Writes the bit at `offset`.
    ///
    /// # Panics
    /// When the struct has no such field.
    pub fn set_bit(&mut self, at: StructAt, offset: u32, value: bool) {
        let byte = offset as usize / 8;
        assert!(
            byte < usize::from(at.data_words) * WORD,
            "field lies outside its struct"
        );
        let place = &mut self.segments[at.segment as usize][HEAD + at.at + byte];
        *place = *place & !(1 << (offset % 8)) | u8::from(value) << (offset % 8);
    }

    /// Writes a number as element `index` of a list of numbers or bits.
    ///
    /// # Panics
    /// When the list has no such element.
    pub fn set_element(&mut self, at: ListAt, index: u32, value: u64) {
        assert!(index < at.len, "element lies outside its list");
        let index = index as usize;
        match at.element {
            ElementSize::Bit => {
                let place = &mut self.segments[at.segment as usize][HEAD + at.at + index / 8];
                *place = *place & !(1 << (index % 8)) | ((value & 1) as u8) << (index % 8);
            }
            element => {
                let bytes = element.bits() / 8;
                self.put(
                    at.segment,
                    at.at + index * bytes,
                    &value.to_le_bytes()[..bytes],
                );
            }
        }
    }

    /// A copy of what is written so far.
    #[must_use]
    pub fn snapshot(&self) -> Self {
        Self {
            segments: self.segments.clone(),
            segment_bytes: self.segment_bytes,
            overflow: self.overflow,
            spares: None,
        }
    }

    /// Checks that the message can be sent.
    ///
    /// # Errors
    /// [`WireError::TooLarge`] when it is longer than `limit` bytes, or a value was too large to write.
    pub fn check(&self, limit: usize) -> Result<(), WireError> {
        if self.overflow || self.size() + HEAD > limit {
            Err(WireError::TooLarge)
        } else {
            Ok(())
        }
    }

    /// The framed message.
    ///
    /// # Errors
    /// [`WireError::TooLarge`] when it is longer than `limit` bytes, or a value was too large to write.
    pub fn finish(mut self, limit: usize) -> Result<Vec<u8>, WireError> {
        self.check(limit)?;
        if let [only] = &mut self.segments[..] {
            let words = ((only.len() - HEAD) / WORD) as u64;
            only[..HEAD].copy_from_slice(&(words << 32).to_le_bytes());
            return Ok(std::mem::take(only));
        }
        let mut frame = Vec::with_capacity(self.size() + 8 + 4 * self.segments.len());
        frame.extend_from_slice(&(self.segments.len() as u32 - 1).to_le_bytes());
        for segment in &self.segments {
            frame.extend_from_slice(&(((segment.len() - HEAD) / WORD) as u32).to_le_bytes());
        }
        frame.resize(frame.len().next_multiple_of(WORD), 0);
        for segment in &self.segments {
            frame.extend_from_slice(&segment[HEAD..]);
        }
        Ok(frame)
    }

    /// The message as its reader would see it.
    ///
    /// # Errors
    /// As [`Builder::finish`].
    pub fn into_message(self, limits: &ReadLimits) -> Result<Message, WireError> {
        Message::parse(self.finish(limits.message_bytes)?, limits)
    }
}

impl StructAt {
    /// The pointer with this index.
    ///
    /// # Panics
    /// When the struct has no such pointer: sizes and offsets come from one table.
    pub fn pointer(self, index: u32) -> PointerAt {
        assert!(
            index < u32::from(self.pointers),
            "pointer lies outside its struct"
        );
        let at = self.at + (usize::from(self.data_words) + index as usize) * WORD;
        PointerAt {
            segment: self.segment,
            at,
        }
    }
}

impl ListAt {
    /// How many elements there are.
    pub fn len(self) -> u32 {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.len == 0
    }

    /// The pointer that is element `index` of a list of pointers.
    ///
    /// # Panics
    /// When the list has no such element or is of another kind.
    pub fn pointer(self, index: u32) -> PointerAt {
        assert!(
            index < self.len && self.element == ElementSize::Pointer,
            "element lies outside its list"
        );
        PointerAt {
            segment: self.segment,
            at: self.at + index as usize * WORD,
        }
    }

    /// The struct that is element `index` of a list of structs.
    ///
    /// # Panics
    /// When the list has no such element or is of another kind.
    pub fn structure(self, index: u32) -> StructAt {
        assert!(
            index < self.len && self.element == ElementSize::Composite,
            "element lies outside its list"
        );
        let each = usize::from(self.data_words) + usize::from(self.pointers);
        StructAt {
            segment: self.segment,
            at: self.at + index as usize * each * WORD,
            data_words: self.data_words,
            pointers: self.pointers,
        }
    }
}
