//! What a peer sends: the transports' streams, and the payload of every message.

use btc_node::net::message::Command;
use btc_node::net::{FrameError, Message, Transport};

/// The network's magic; regtest's.
const MAGIC: [u8; 4] = [0xfa, 0xbf, 0xb5, 0xda];

/// The messages that have a decoder, and one that has none.
const NAMES: [&str; 31] = [
    "version",
    "verack",
    "addr",
    "addrv2",
    "sendaddrv2",
    "getaddr",
    "inv",
    "getdata",
    "notfound",
    "getblocks",
    "getheaders",
    "headers",
    "sendheaders",
    "block",
    "tx",
    "mempool",
    "ping",
    "pong",
    "feefilter",
    "wtxidrelay",
    "sendcmpct",
    "cmpctblock",
    "getblocktxn",
    "blocktxn",
    "feature",
    "sendtxrcncl",
    "filterload",
    "filteradd",
    "filterclear",
    "merkleblock",
    "getcfilters",
];

/// More messages than any input can hold: each takes a header.
const MANY: usize = 1 << 16;

/// The first byte chooses: a message by its number, whose payload the rest is; 253 a stream of the v1 transport; 254 a
/// stream to a node that was connected to, which speaks either; 255 a message over the v2 transport, of which one byte
/// is changed on its way.
///
/// What is decoded is written to what decodes to the same; a stream ends in an error or waits for more.
pub fn p2p_message(data: &[u8]) {
    let Some((&choice, rest)) = data.split_first() else {
        return;
    };
    match choice {
        253 => stream(Transport::v1(MAGIC), rest),
        254 => stream(Transport::accept(MAGIC), rest),
        255 => disturbed(rest),
        number => {
            let name = NAMES[usize::from(number) % NAMES.len()];
            let command = Command::new(name).expect("names are short");
            payload(command, rest);
        }
    }
}

fn payload(command: Command, payload: &[u8]) {
    let Ok(message) = Message::decode(command, payload) else {
        return;
    };
    assert_eq!(message.command(), command);
    let again = message.encode();
    match Message::decode(command, &again) {
        Ok(other) => assert_eq!(other.encode(), again, "{}", message.name()),
        Err(error) => panic!("{} is not read again: {error}", message.name()),
    }
}

fn stream(mut side: Transport, bytes: &[u8]) {
    for piece in bytes.chunks(100) {
        side.push(piece);
        for taken in 0.. {
            assert!(taken < MANY, "messages without end");
            match side.next_frame() {
                Ok(None) => break,
                Ok(Some(frame)) => payload(frame.command, &frame.payload),
                Err(error) if error.is_fatal() => return,
                Err(_) => {}
            }
        }
        assert!(side.take_handshake().len() < 10_000);
    }
}

/// Two sides meet, then one sends a message of which a byte is changed. It must not arrive, and nothing else either.
fn disturbed(data: &[u8]) {
    let Some((&[number, place, change], content)) = data.split_first_chunk() else {
        return;
    };
    let (mut ours, mut theirs) = (Transport::initiate_v2(MAGIC), Transport::accept(MAGIC));
    for _ in 0..4 {
        theirs.push(&ours.take_handshake());
        assert_eq!(theirs.next_frame(), Ok(None));
        ours.push(&theirs.take_handshake());
        assert_eq!(ours.next_frame(), Ok(None));
    }
    assert!(ours.can_send() && theirs.can_send());
    let command = Command::new(NAMES[usize::from(number) % NAMES.len()]).expect("names are short");
    let mut send = || ours.encode(command, content).expect("it can send");
    theirs.push(&send());
    let arrived = theirs.next_frame().expect("nothing was changed");
    let arrived = arrived.expect("all of it came");
    assert_eq!((arrived.command, &arrived.payload[..]), (command, content));
    let mut packet = send();
    let place = packet.len() * usize::from(place) / 256;
    packet[place] ^= change;
    theirs.push(&packet);
    match theirs.next_frame() {
        Ok(Some(frame)) => assert!(change == 0 && frame.payload == content),
        // The length is not authenticated by itself: it may ask for more.
        Ok(None) => assert!(change != 0 && place < 3),
        Err(FrameError::V2(error)) => assert!(change != 0 && error.is_fatal()),
        Err(error) => panic!("{error}"),
    }
}
