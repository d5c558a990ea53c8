//! The v1 transport: a header of 24 bytes before each payload.

use super::MAX_PAYLOAD;
use super::message::{Command, Message};
use bitcoin::hashes::{Hash, sha256d};

/// Length of a header: magic, name, length, checksum.
pub const HEADER: usize = 24;

/// A payload with its name, as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The name of the message's type.
    pub command: Command,
    /// The payload.
    pub payload: Vec<u8>,
    /// Bytes it took on the wire.
    pub wire_len: usize,
}

/// Why bytes are not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// They are of another network or none: the stream cannot be understood.
    #[error("Header error: Wrong MessageStart {} received", hex(.0))]
    Magic([u8; 4]),
    /// The payload is longer than any may be.
    #[error("Header error: Size too large ({command}, {size} bytes)")]
    TooLarge {
        /// The name of the message's type.
        command: String,
        /// The length that it says it has.
        size: u32,
    },
    /// The name is none. This message is lost; the next is fine.
    #[error("Header error: Invalid message type ({command}, {size} bytes)")]
    Command {
        /// What can be shown of the name.
        command: String,
        /// The payload's length.
        size: usize,
    },
    /// The payload is not what was sent. This message is lost; the next is fine.
    #[error("Header error: Wrong checksum ({command}, {size} bytes), expected {} was {}", hex(.expected), hex(.was))]
    Checksum {
        /// The name of the message's type.
        command: String,
        /// The payload's length.
        size: usize,
        /// The payload's checksum.
        expected: [u8; 4],
        /// What the header says.
        was: [u8; 4],
    },
    /// What came over the encrypted transport is not right.
    #[error(transparent)]
    V2(#[from] super::v2::Error),
}

impl FrameError {
    /// Bytes that the lost message took on the wire; 0 where that cannot be told.
    pub fn wire_len(&self) -> usize {
        match self {
            Self::Command { size, .. } | Self::Checksum { size, .. } => HEADER + size,
            _ => 0,
        }
    }

    /// Whether the connection cannot go on.
    pub fn is_fatal(&self) -> bool {
        match self {
            Self::Magic(_) | Self::TooLarge { .. } => true,
            Self::Command { .. } | Self::Checksum { .. } => false,
            Self::V2(error) => error.is_fatal(),
        }
    }
}

fn hex(bytes: &[u8; 4]) -> String {
    u32::from_be_bytes(*bytes)
        .to_be_bytes()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// Cuts a stream of bytes into messages. Holds at most one message beside what was pushed last.
#[derive(Debug)]
pub struct Frames {
    magic: [u8; 4],
    buffer: Vec<u8>,
    /// Bytes at the buffer's start that were given out already.
    used: usize,
}

impl Frames {
    /// For the network with this magic.
    pub fn new(magic: [u8; 4]) -> Self {
        Self {
            magic,
            buffer: Vec::new(),
            used: 0,
        }
    }

    /// Takes bytes as they come.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.drain(..self.used);
        self.used = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole message; `None` if more bytes are needed.
    ///
    /// # Errors
    /// See [`FrameError`]. After one that is not [fatal](FrameError::is_fatal), go on.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, FrameError> {
        let waiting = &self.buffer[self.used..];
        let Some(header) = waiting.first_chunk::<HEADER>() else {
            return Ok(None);
        };
        let magic = *header.first_chunk().expect("is longer");
        if magic != self.magic {
            return Err(FrameError::Magic(magic));
        }
        let field: [u8; 12] = header[4..16].try_into().expect("twelve bytes");
        let size = u32::from_le_bytes(header[16..20].try_into().expect("four bytes"));
        let was: [u8; 4] = header[20..24].try_into().expect("four bytes");
        let name = || super::version::printable(&field);
        let length = size as usize;
        if length > MAX_PAYLOAD {
            return Err(FrameError::TooLarge {
                command: name(),
                size,
            });
        }
        let Some(payload) = waiting.get(HEADER..HEADER + length) else {
            return Ok(None);
        };
        self.used += HEADER + length;
        let expected = checksum(payload);
        if expected != was {
            return Err(FrameError::Checksum {
                command: name(),
                size: length,
                expected,
                was,
            });
        }
        let Some(command) = Command::from_wire(field) else {
            return Err(FrameError::Command {
                command: name(),
                size: length,
            });
        };
        Ok(Some(Frame {
            command,
            payload: payload.to_vec(),
            wire_len: HEADER + length,
        }))
    }
}

fn checksum(payload: &[u8]) -> [u8; 4] {
    let hash = sha256d::Hash::hash(payload).to_byte_array();
    [hash[0], hash[1], hash[2], hash[3]]
}

/// A message as it goes onto the wire.
///
/// ```
/// use btc_node::net::{Frames, Message, frame};
///
/// let magic = [0xfa, 0xbf, 0xb5, 0xda];
/// let mut frames = Frames::new(magic);
/// frames.push(&frame::encode(magic, &Message::Ping(7)));
/// let frame = frames.next_frame()?.expect("is whole");
/// assert_eq!(Message::decode(frame.command, &frame.payload)?, Message::Ping(7));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn encode(magic: [u8; 4], message: &Message) -> Vec<u8> {
    seal(magic, message.command(), &message.encode())
}

/// A payload with its header.
pub(super) fn seal(magic: [u8; 4], command: Command, payload: &[u8]) -> Vec<u8> {
    let size = u32::try_from(payload.len()).expect("no message of ours is that long");
    let mut out = Vec::with_capacity(HEADER + payload.len());
    out.extend_from_slice(&magic);
    out.extend_from_slice(&command.to_wire());
    out.extend_from_slice(&size.to_le_bytes());
    out.extend_from_slice(&checksum(payload));
    out.extend_from_slice(payload);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MAGIC: [u8; 4] = [0xfa, 0xbf, 0xb5, 0xda];

    proptest! {
        #[test]
        fn a_stream_gives_its_messages_however_it_is_cut(
            nonces in proptest::collection::vec(any::<u64>(), 1..8), step in 1usize..60,
        ) {
            let stream: Vec<u8> = nonces.iter().flat_map(|n| encode(MAGIC, &Message::Ping(*n))).collect();
            let mut frames = Frames::new(MAGIC);
            let mut seen = Vec::new();
            for piece in stream.chunks(step) {
                frames.push(piece);
                while let Some(frame) = frames.next_frame().expect("is well formed") {
                    seen.push(Message::decode(frame.command, &frame.payload).expect("is a ping"));
                }
            }
            prop_assert_eq!(seen, nonces.into_iter().map(Message::Ping).collect::<Vec<_>>());
        }

        #[test]
        fn garbage_ends_in_an_error_or_waits(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut frames = Frames::new(MAGIC);
            frames.push(&bytes);
            while let Ok(Some(_)) = frames.next_frame() {}
        }
    }

    #[test]
    fn another_networks_bytes_and_endless_payloads_are_fatal() {
        let mut frames = Frames::new(MAGIC);
        frames.push(&encode([1, 2, 3, 4], &Message::Verack));
        let error = frames.next_frame().expect_err("is another network's");
        assert!(error.is_fatal());
        assert_eq!(
            error.to_string(),
            "Header error: Wrong MessageStart 01020304 received"
        );
        let mut bytes = encode(MAGIC, &Message::Verack);
        bytes[16..20].copy_from_slice(&4_000_001u32.to_le_bytes());
        let mut frames = Frames::new(MAGIC);
        frames.push(&bytes);
        assert!(frames.next_frame().expect_err("is too large").is_fatal());
    }

    #[test]
    fn a_broken_message_does_not_hide_the_next() {
        let mut bytes = encode(MAGIC, &Message::Ping(1));
        bytes[20] ^= 1;
        let mut named = encode(MAGIC, &Message::Ping(2));
        named[15] = b'x';
        bytes.extend(named);
        bytes.extend(encode(MAGIC, &Message::Verack));
        let mut frames = Frames::new(MAGIC);
        frames.push(&bytes);
        assert!(matches!(
            frames.next_frame(),
            Err(FrameError::Checksum { .. })
        ));
        assert!(matches!(
            frames.next_frame(),
            Err(FrameError::Command { .. })
        ));
        let frame = frames.next_frame().expect("is fine").expect("is whole");
        assert_eq!(frame.command.as_str(), "verack");
    }
}
