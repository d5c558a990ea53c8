//! How messages become bytes of a connection: plain (v1) or encrypted (v2).

use super::frame::{self, Frame, FrameError, Frames};
use super::message::Command;
use super::v2::{Progress, V2};

/// Which transport a connection speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// Not known yet.
    #[default]
    Detecting,
    /// Plain.
    V1,
    /// Encrypted, with the session's id: equal on both sides, and on no other connection.
    V2([u8; 32]),
}

impl Kind {
    /// The name in RPC: `detecting`, `v1` or `v2`.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Detecting => "detecting",
            Self::V1 => "v1",
            Self::V2(_) => "v2",
        }
    }
}

/// One side of a connection, without its socket: bytes in, messages out, and the reverse.
pub struct Transport {
    magic: [u8; 4],
    inner: Inner,
}

enum Inner {
    V1(Frames),
    V2(Box<V2>),
}

impl Transport {
    /// Speaks v1 alone.
    pub fn v1(magic: [u8; 4]) -> Self {
        let inner = Inner::V1(Frames::new(magic));
        Self { magic, inner }
    }

    /// Made the connection and speaks v2.
    pub fn initiate_v2(magic: [u8; 4]) -> Self {
        let inner = Inner::V2(Box::new(V2::initiate(magic)));
        Self { magic, inner }
    }

    /// Took the connection and speaks whichever the peer speaks.
    pub fn accept(magic: [u8; 4]) -> Self {
        let inner = Inner::V2(Box::new(V2::accept(magic)));
        Self { magic, inner }
    }

    /// Takes bytes as they come.
    pub fn push(&mut self, bytes: &[u8]) {
        match &mut self.inner {
            Inner::V1(frames) => frames.push(bytes),
            Inner::V2(side) => side.push(bytes),
        }
    }

    /// The next whole message; `None` if more bytes are needed. Holds at most one message beside what was pushed last.
    ///
    /// # Errors
    /// See [`FrameError`]. After one that is not [fatal](FrameError::is_fatal), go on.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, FrameError> {
        loop {
            match &mut self.inner {
                Inner::V1(frames) => return frames.next_frame(),
                Inner::V2(side) => match side.advance()? {
                    Progress::Frame(frame) => return Ok(Some(frame)),
                    Progress::Waiting => return Ok(None),
                    Progress::V1(frames) => self.inner = Inner::V1(frames),
                },
            }
        }
    }

    /// Bytes that are to be sent before any message: look for them at the start and after each [`push`](Self::push) and
    /// [`next_frame`](Self::next_frame).
    pub fn take_handshake(&mut self) -> Vec<u8> {
        match &mut self.inner {
            Inner::V1(_) => Vec::new(),
            Inner::V2(side) => side.take_handshake(),
        }
    }

    /// Whether messages can be sent already.
    pub fn can_send(&self) -> bool {
        match &self.inner {
            Inner::V1(_) => true,
            Inner::V2(side) => side.can_send(),
        }
    }

    /// A message as it goes onto the wire, after the handshake and the messages before it; `None` while it
    /// [cannot be sent](Self::can_send).
    pub fn encode(&mut self, command: Command, payload: &[u8]) -> Option<Vec<u8>> {
        match &mut self.inner {
            Inner::V1(_) => Some(frame::seal(self.magic, command, payload)),
            Inner::V2(side) => side.encode(command, payload),
        }
    }

    /// Which transport is spoken, as far as the peer has shown.
    pub fn kind(&self) -> Kind {
        match &self.inner {
            Inner::V1(_) => Kind::V1,
            Inner::V2(side) => side.session_id().map_or(Kind::Detecting, Kind::V2),
        }
    }

    /// Whether this side began with v2 and heard nothing: if the connection ends like this, the peer may speak v1 alone.
    pub fn is_unanswered_v2(&self) -> bool {
        match &self.inner {
            Inner::V1(_) => false,
            Inner::V2(side) => side.is_unanswered(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::Message;
    use proptest::prelude::*;

    const MAGIC: [u8; 4] = [0xfa, 0xbf, 0xb5, 0xda];

    fn send(from: &mut Transport, message: &Message) -> Vec<u8> {
        from.encode(message.command(), &message.encode())
            .expect("the handshake is over")
    }

    fn receive(at: &mut Transport) -> Option<Message> {
        let frame = at.next_frame().expect("nothing is wrong")?;
        Some(Message::decode(frame.command, &frame.payload).expect("is a message"))
    }

    /// Carries handshakes both ways in pieces until both can send.
    fn shake(a: &mut Transport, b: &mut Transport, piece: usize) {
        fn carry(from: &mut Transport, to: &mut Transport, piece: usize) {
            for bytes in from.take_handshake().chunks(piece) {
                to.push(bytes);
                assert_eq!(receive(to), None);
            }
        }
        for _ in 0..2 {
            carry(a, b, piece);
            carry(b, a, piece);
        }
        assert!(a.can_send() && b.can_send());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn two_sides_agree_however_the_stream_is_cut(
            nonces in proptest::collection::vec(any::<u64>(), 1..400), piece in 1usize..3000,
        ) {
            let (mut a, mut b) = (Transport::initiate_v2(MAGIC), Transport::accept(MAGIC));
            prop_assert!(a.is_unanswered_v2());
            shake(&mut a, &mut b, piece);
            prop_assert!(!a.is_unanswered_v2());
            prop_assert!(matches!(a.kind(), Kind::V2(_)));
            prop_assert_eq!(a.kind(), b.kind());
            // One name has a number, the other does not.
            let messages = nonces.iter().flat_map(|n| [Message::Ping(*n), Message::Verack]);
            let messages: Vec<Message> = messages.collect();
            for _ in 0..2 {
                let stream: Vec<u8> = messages.iter().flat_map(|m| send(&mut a, m)).collect();
                let mut seen = Vec::new();
                for bytes in stream.chunks(piece) {
                    b.push(bytes);
                    while let Some(message) = receive(&mut b) {
                        seen.push(message);
                    }
                }
                prop_assert_eq!(&seen, &messages);
                std::mem::swap(&mut a, &mut b);
            }
        }

        #[test]
        fn a_peer_of_v1_is_understood(nonce: u64, piece in 1usize..60) {
            let (mut a, mut b) = (Transport::v1(MAGIC), Transport::accept(MAGIC));
            let version = Command::new("version").expect("is a name");
            let mut stream = frame::seal(MAGIC, version, b"?");
            stream.extend(send(&mut a, &Message::Ping(nonce)));
            let mut names = Vec::new();
            for bytes in stream.chunks(piece) {
                b.push(bytes);
                while let Some(frame) = b.next_frame().expect("is well formed") {
                    names.push(frame.command.as_str().to_owned());
                }
            }
            prop_assert_eq!(names, ["version", "ping"]);
            prop_assert_eq!(b.kind(), Kind::V1);
            prop_assert!(b.take_handshake().is_empty());
        }

        #[test]
        fn garbage_ends_in_an_error_or_waits(
            pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..3000), 0..8),
            initiating: bool,
        ) {
            let mut side = if initiating { Transport::initiate_v2(MAGIC) } else { Transport::accept(MAGIC) };
            for bytes in pieces {
                side.push(&bytes);
                match side.next_frame() {
                    Ok(frame) => prop_assert!(frame.is_none()),
                    Err(error) => {
                        prop_assert!(error.is_fatal());
                        break;
                    }
                }
            }
        }
    }

    #[test]
    fn a_peer_of_another_network_is_told_apart() {
        let mut side = Transport::accept(MAGIC);
        side.push(&frame::encode([1, 2, 3, 4], &Message::Verack)[..4]);
        side.push(b"version\0\0\0\0\0");
        let error = side.next_frame().expect_err("is another network's");
        assert_eq!(
            error.to_string(),
            "V2 transport error: V1 peer with wrong MessageStart 01020304"
        );
        assert!(error.is_fatal());
    }

    #[test]
    fn a_key_may_begin_as_a_message_does() {
        let mut side = Transport::accept(MAGIC);
        side.push(&MAGIC);
        assert_eq!(side.next_frame(), Ok(None));
        assert!(side.take_handshake().is_empty());
        side.push(b"v");
        assert_eq!(side.next_frame(), Ok(None));
        assert!(side.take_handshake().is_empty());
        side.push(b"x");
        assert_eq!(side.next_frame(), Ok(None));
        assert!(side.take_handshake().len() >= 64);
    }

    #[test]
    fn garbage_without_end_is_refused_at_its_limit() {
        let mut side = Transport::accept(MAGIC);
        side.push(&[0; 64 + 4095 + 15]);
        assert_eq!(side.next_frame(), Ok(None));
        side.push(&[0]);
        let error = side.next_frame().expect_err("is too much");
        assert_eq!(
            error.to_string(),
            "V2 transport error: missing garbage terminator"
        );
    }

    #[test]
    fn changed_garbage_is_noticed() {
        let (mut a, mut b) = (Transport::initiate_v2(MAGIC), Transport::accept(MAGIC));
        let mut first = a.take_handshake();
        // Garbage may be empty; then there is nothing to change.
        let changed = first.len() > 64;
        if let Some(byte) = first.get_mut(64) {
            *byte ^= 1;
        }
        b.push(&first);
        assert_eq!(b.next_frame(), Ok(None));
        a.push(&b.take_handshake());
        assert_eq!(a.next_frame(), Ok(None));
        b.push(&a.take_handshake());
        assert_eq!(b.next_frame().is_err(), changed);
    }

    #[test]
    fn a_message_without_a_name_is_skipped() {
        let (mut a, mut b) = (Transport::initiate_v2(MAGIC), Transport::accept(MAGIC));
        shake(&mut a, &mut b, 1000);
        let unknown = a.encode(Command::new("whatever").expect("is a name"), b"x");
        let mut stream = unknown.expect("the handshake is over");
        stream.extend(send(&mut a, &Message::Ping(5)));
        b.push(&stream);
        let frame = b.next_frame().expect("is fine").expect("is whole");
        assert_eq!(
            (frame.command.as_str(), frame.payload.as_slice()),
            ("whatever", &b"x"[..])
        );
        assert_eq!(frame.wire_len, 20 + 13 + 1);
        assert_eq!(receive(&mut b), Some(Message::Ping(5)));
    }
}
