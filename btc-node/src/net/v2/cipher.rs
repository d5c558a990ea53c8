//! The cipher suite of BIP 324: how two ephemeral keys become ciphers, and how a packet is sealed.

use bitcoin::secp256k1::ellswift::{ElligatorSwift, ElligatorSwiftParty};
use bitcoin::secp256k1::{Secp256k1, SecretKey, rand};
use chacha20::ChaCha20;
use chacha20::cipher::{KeyIvInit, StreamCipher};
use chacha20poly1305::aead::{AeadInPlace, KeyInit};
use chacha20poly1305::{ChaCha20Poly1305, Tag};
use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::{Zeroize, Zeroizing};

/// Length of a public key in its encoding, in bytes.
pub(super) const KEY: usize = 64;
/// Length of what ends the garbage, in bytes.
pub(super) const TERMINATOR: usize = 16;
/// Length of a packet's own length, in bytes.
pub(super) const LENGTH: usize = 3;
/// Bytes that a packet has beside its contents: length, header, tag.
pub(super) const OVERHEAD: usize = LENGTH + HEADER + TAG;

const HEADER: usize = 1;
const TAG: usize = 16;
/// Packets that one key seals.
const REKEY_INTERVAL: u32 = 224;
/// The bit of the header that says that a packet means nothing.
const IGNORE: u8 = 0x80;

/// A key for one connection.
pub(super) struct Ephemeral {
    secret: SecretKey,
    public: ElligatorSwift,
}

impl Ephemeral {
    /// From the system's randomness.
    pub(super) fn random() -> Self {
        let secret = SecretKey::new(&mut rand::thread_rng());
        let public = ElligatorSwift::from_seckey(&Secp256k1::new(), secret, Some(rand::random()));
        Self { secret, public }
    }

    /// The public key, which looks like random bytes.
    pub(super) fn public(&self) -> [u8; KEY] {
        self.public.to_array()
    }

    /// What both sides can compute once they have each other's public keys.
    pub(super) fn agree(&self, theirs: [u8; KEY], initiating: bool, magic: [u8; 4]) -> Session {
        let theirs = ElligatorSwift::from_array(theirs);
        let (first, second, party) = if initiating {
            (self.public, theirs, ElligatorSwiftParty::A)
        } else {
            (theirs, self.public, ElligatorSwiftParty::B)
        };
        let tag = Some(b"bip324_ellswift_xonly_ecdh".as_slice());
        let shared = ElligatorSwift::shared_secret(first, second, self.secret, party, tag);
        let mut salt = b"bitcoin_v2_shared_secret".to_vec();
        salt.extend_from_slice(&magic);
        let source = Hkdf::<Sha256>::new(Some(&salt), shared.as_secret_bytes());
        let derive = |info: &[u8]| {
            let mut key = Zeroizing::new([0; 32]);
            source
                .expand(info, key.as_mut_slice())
                .expect("32 bytes are fewer than HKDF can give");
            key
        };
        let initiators = Packets::new(&derive(b"initiator_L"), &derive(b"initiator_P"));
        let responders = Packets::new(&derive(b"responder_L"), &derive(b"responder_P"));
        let terminators = derive(b"garbage_terminators");
        let (of_initiator, of_responder) = terminators.split_at(TERMINATOR);
        let terminator = |half: &[u8]| half.try_into().expect("is half of 32 bytes");
        let (send, receive) = if initiating {
            (initiators, responders)
        } else {
            (responders, initiators)
        };
        let (own, other) = if initiating {
            (of_initiator, of_responder)
        } else {
            (of_responder, of_initiator)
        };
        Session {
            id: *derive(b"session_id"),
            send,
            receive,
            send_terminator: terminator(own),
            receive_terminator: terminator(other),
        }
    }
}

impl Drop for Ephemeral {
    fn drop(&mut self) {
        self.secret.non_secure_erase();
    }
}

/// What two public keys agree on.
pub(super) struct Session {
    /// Equal on both sides, and on no other connection.
    pub(super) id: [u8; 32],
    pub(super) send: Packets,
    pub(super) receive: Packets,
    /// What ends the garbage that is sent.
    pub(super) send_terminator: [u8; TERMINATOR],
    /// What ends the garbage that is received.
    pub(super) receive_terminator: [u8; TERMINATOR],
}

/// A packet is not what was sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Tampered;

/// The packets of one direction, in order.
pub(super) struct Packets {
    lengths: Lengths,
    contents: Contents,
}

impl Packets {
    fn new(length_key: &[u8; 32], packet_key: &[u8; 32]) -> Self {
        Self {
            lengths: Lengths::new(length_key),
            contents: Contents::new(packet_key),
        }
    }

    /// Appends a packet with these contents, given in parts, to `out`.
    ///
    /// # Panics
    /// If the contents are 16 MiB or more: no message is.
    pub(super) fn seal(&mut self, parts: &[&[u8]], aad: &[u8], ignore: bool, out: &mut Vec<u8>) {
        let length: usize = parts.iter().map(|part| part.len()).sum();
        assert!(length < 1 << 24, "no message is that long");
        out.reserve(length + OVERHEAD);
        let start = out.len();
        out.extend_from_slice(&length.to_le_bytes()[..LENGTH]);
        self.lengths.crypt(&mut out[start..]);
        out.push(if ignore { IGNORE } else { 0 });
        for part in parts {
            out.extend_from_slice(part);
        }
        let tag = self.contents.seal(aad, &mut out[start + LENGTH..]);
        out.extend_from_slice(&tag);
    }

    /// The length of the next packet's contents. To be asked once for each packet, before [`open`](Self::open).
    pub(super) fn length(&mut self, mut bytes: [u8; LENGTH]) -> usize {
        self.lengths.crypt(&mut bytes);
        let [low, middle, high] = bytes.map(usize::from);
        low | middle << 8 | high << 16
    }

    /// Opens a packet in place, given without its length: its contents, or `None` if they mean nothing.
    pub(super) fn open<'a>(
        &mut self,
        packet: &'a mut [u8],
        aad: &[u8],
    ) -> Result<Option<&'a [u8]>, Tampered> {
        let (sealed, tag) = packet.split_last_chunk_mut::<TAG>().ok_or(Tampered)?;
        self.contents.open(aad, sealed, *tag)?;
        let (header, contents) = sealed.split_first().ok_or(Tampered)?;
        Ok((header & IGNORE == 0).then_some(contents))
    }
}

/// The cipher of lengths: one stream, cut into keys after each interval.
struct Lengths {
    stream: ChaCha20,
    used: u32,
    interval: u64,
}

impl Lengths {
    fn new(key: &[u8; 32]) -> Self {
        Self {
            stream: ChaCha20::new(key.into(), &nonce(0, 0).into()),
            used: 0,
            interval: 0,
        }
    }

    fn crypt(&mut self, length: &mut [u8]) {
        self.stream.apply_keystream(length);
        self.used += 1;
        if self.used == REKEY_INTERVAL {
            let mut key = Zeroizing::new([0; 32]);
            self.stream.apply_keystream(key.as_mut_slice());
            self.interval += 1;
            self.used = 0;
            let nonce = nonce(0, self.interval);
            self.stream = ChaCha20::new((&*key).into(), &nonce.into());
        }
    }
}

/// The cipher of contents.
struct Contents {
    cipher: ChaCha20Poly1305,
    used: u32,
    interval: u64,
}

impl Contents {
    fn new(key: &[u8; 32]) -> Self {
        Self {
            cipher: ChaCha20Poly1305::new(key.into()),
            used: 0,
            interval: 0,
        }
    }

    fn seal(&mut self, aad: &[u8], contents: &mut [u8]) -> [u8; TAG] {
        let nonce = nonce(self.used, self.interval);
        let tag = self
            .cipher
            .encrypt_in_place_detached(&nonce.into(), aad, contents)
            .expect("the cipher takes more than the 16 MiB of a packet");
        self.advance();
        tag.into()
    }

    fn open(&mut self, aad: &[u8], contents: &mut [u8], tag: [u8; TAG]) -> Result<(), Tampered> {
        let nonce = nonce(self.used, self.interval);
        let opened =
            self.cipher
                .decrypt_in_place_detached(&nonce.into(), aad, contents, &Tag::from(tag));
        self.advance();
        opened.map_err(|_| Tampered)
    }

    fn advance(&mut self) {
        self.used += 1;
        if self.used < REKEY_INTERVAL {
            return;
        }
        let mut key = [0; 32];
        let last = nonce(u32::MAX, self.interval);
        self.cipher
            .encrypt_in_place_detached(&last.into(), &[], &mut key)
            .expect("32 bytes are few");
        self.cipher = ChaCha20Poly1305::new((&key).into());
        key.zeroize();
        self.interval += 1;
        self.used = 0;
    }
}

fn nonce(packet: u32, interval: u64) -> [u8; 12] {
    let mut nonce = [0; 12];
    nonce[..4].copy_from_slice(&packet.to_le_bytes());
    nonce[4..].copy_from_slice(&interval.to_le_bytes());
    nonce
}

#[cfg(test)]
mod tests {
    use super::*;
    use bitcoin::hex::FromHex;

    const VECTORS: &str =
        include_str!("../../../tests/data/bip-0324-packet_encoding_test_vectors.csv");
    const MAINNET: [u8; 4] = [0xf9, 0xbe, 0xb4, 0xd9];

    fn bytes(text: &str) -> Vec<u8> {
        Vec::from_hex(text).expect("is hex")
    }

    fn key(text: &str) -> [u8; KEY] {
        bytes(text).try_into().expect("is a key")
    }

    #[test]
    fn packets_are_those_of_the_bip() {
        let mut lines = VECTORS.lines();
        let names: Vec<&str> = lines.next().expect("has a head").split(',').collect();
        let mut count = 0;
        for line in lines {
            let cells: Vec<&str> = line.split(',').collect();
            let cell = |name: &str| {
                let column = names.iter().position(|n| *n == name).expect("is a column");
                cells[column]
            };
            let number = |name: &str| cell(name).parse::<usize>().expect("is a number");
            let ours = Ephemeral {
                secret: SecretKey::from_slice(&bytes(cell("in_priv_ours"))).expect("is a key"),
                public: ElligatorSwift::from_array(key(cell("in_ellswift_ours"))),
            };
            let initiating = number("in_initiating") == 1;
            let mut session = ours.agree(key(cell("in_ellswift_theirs")), initiating, MAINNET);
            assert_eq!(session.id.to_vec(), bytes(cell("out_session_id")));
            assert_eq!(
                session.send_terminator.to_vec(),
                bytes(cell("mid_send_garbage_terminator"))
            );
            assert_eq!(
                session.receive_terminator.to_vec(),
                bytes(cell("mid_recv_garbage_terminator"))
            );
            for _ in 0..number("in_idx") {
                session.send.seal(&[], &[], false, &mut Vec::new());
            }
            let contents = bytes(cell("in_contents")).repeat(number("in_multiply"));
            let mut sealed = Vec::new();
            let ignore = number("in_ignore") == 1;
            let aad = bytes(cell("in_aad"));
            session.send.seal(&[&contents], &aad, ignore, &mut sealed);
            let (whole, end) = (cell("out_ciphertext"), cell("out_ciphertext_endswith"));
            assert!(whole.is_empty() != end.is_empty());
            if !whole.is_empty() {
                assert_eq!(sealed, bytes(whole));
            }
            assert!(sealed.ends_with(&bytes(end)));
            count += 1;
        }
        assert_eq!(count, 7);
    }

    #[test]
    fn the_other_side_reads_over_several_keys_and_notices_a_changed_bit() {
        let (alice, bob) = (Ephemeral::random(), Ephemeral::random());
        let mut a = alice.agree(bob.public(), true, MAINNET);
        let mut b = bob.agree(alice.public(), false, MAINNET);
        assert_eq!(a.id, b.id);
        assert_eq!(a.send_terminator, b.receive_terminator);
        for round in 0..3 * REKEY_INTERVAL {
            let text = round.to_le_bytes();
            let mut packet = Vec::new();
            a.send
                .seal(&[&text[..1], &text[1..]], b"", round % 5 == 0, &mut packet);
            let (length, rest) = packet.split_first_chunk_mut::<LENGTH>().expect("is longer");
            assert_eq!(b.receive.length(*length), text.len());
            let opened = b.receive.open(rest, b"").expect("is what was sent");
            assert_eq!(opened, (round % 5 != 0).then_some(text.as_slice()));
        }
        let mut packet = Vec::new();
        b.send.seal(&[b"hello"], b"aad", false, &mut packet);
        a.receive.length(*packet.first_chunk().expect("is longer"));
        packet[7] ^= 1;
        assert_eq!(a.receive.open(&mut packet[LENGTH..], b"aad"), Err(Tampered));
    }
}
