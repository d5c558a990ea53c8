//! The Cap'n Proto encoding, in safe Rust and without I/O.
//!
//! [`Message`] reads what a peer sent: every pointer is checked against the bounds of its segment, and the total
//! that one message may make a reader visit is limited, so hostile bytes cost an error and nothing more.
//! [`Builder`] writes messages. Capabilities are plain indices into a table that travels beside the message; what
//! they mean is the business of the RPC engine, which keeps everything here `Send`.
//!
//! The format is the one published at <https://capnproto.org/encoding.html>: unpacked, with the standard stream
//! framing.

mod build;
mod message;
mod pointer;
mod spares;

pub use build::{Builder, ListAt, PointerAt, StructAt};
pub use message::{Message, ReadLimits, frame_size};
pub use pointer::{ListReader, PointerKind, PointerReader, StructReader};
pub(crate) use spares::Spares;

/// Bytes in a word, the unit of the encoding.
pub const WORD: usize = 8;

/// What is wrong with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WireError {
    /// The bytes end before what they promise.
    #[error("message ends early")]
    Truncated,
    /// The frame announces more segments than [`ReadLimits::segments`].
    #[error("message has too many segments")]
    TooManySegments,
    /// The frame is larger than [`ReadLimits::message_bytes`], or a value is larger than the encoding can say.
    #[error("message is too large")]
    TooLarge,
    /// A pointer leads outside its segment, or to a segment that does not exist.
    #[error("message contains an out-of-bounds pointer")]
    OutOfBounds,
    /// The reader visited more words than [`ReadLimits::traversal_words`].
    #[error("message exceeds the traversal limit")]
    TraversalLimit,
    /// Structs and lists are nested deeper than [`ReadLimits::nesting`].
    #[error("message is too deeply nested")]
    NestingLimit,
    /// A pointer is of another kind than the field it stands in.
    #[error("message contains a {found} where a {wanted} was expected")]
    WrongKind {
        /// What the reader asked for.
        wanted: &'static str,
        /// What the message holds.
        found: &'static str,
    },
    /// A far pointer leads to something that is no landing pad.
    #[error("message contains a malformed far pointer")]
    BadFarPointer,
    /// A list of structs announces more elements than it has words.
    #[error("message contains a list whose elements overrun it")]
    BadList,
    /// Text without its final zero byte.
    #[error("message contains text that is not zero-terminated")]
    UnterminatedText,
    /// Text that is not UTF-8.
    #[error("message contains text that is not utf-8")]
    NotUtf8,
}

/// How the elements of a list are laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ElementSize {
    /// Elements take no space.
    Void,
    /// One bit each.
    Bit,
    /// One byte each.
    Byte,
    /// Two bytes each.
    TwoBytes,
    /// Four bytes each.
    FourBytes,
    /// Eight bytes each, no pointers.
    EightBytes,
    /// One pointer each.
    Pointer,
    /// Structs, of the size that a tag word before the first one states.
    Composite,
}

impl ElementSize {
    fn from_code(code: u64) -> Self {
        match code & 7 {
            0 => Self::Void,
            1 => Self::Bit,
            2 => Self::Byte,
            3 => Self::TwoBytes,
            4 => Self::FourBytes,
            5 => Self::EightBytes,
            6 => Self::Pointer,
            _ => Self::Composite,
        }
    }

    fn code(self) -> u64 {
        self as u64
    }

    /// Bits that one element takes; 0 for [`ElementSize::Composite`], whose tag says it.
    pub fn bits(self) -> usize {
        match self {
            Self::Void | Self::Composite => 0,
            Self::Bit => 1,
            Self::Byte => 8,
            Self::TwoBytes => 16,
            Self::FourBytes => 32,
            Self::EightBytes | Self::Pointer => 64,
        }
    }
}

/// Reads up to eight little-endian bytes at `at`; bytes past the end count as zero.
fn load(bytes: &[u8], at: usize, width: usize) -> u64 {
    let mut word = [0; WORD];
    if let Some(found) = at.checked_add(width).and_then(|end| bytes.get(at..end)) {
        word[..width].copy_from_slice(found);
    }
    u64::from_le_bytes(word)
}
