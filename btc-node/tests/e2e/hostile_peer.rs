//! What anybody may send to a running node's port for peers.

use crate::harness::{PATIENCE, TestNode, wait_for};
use bitcoin::block::{Header, Version as BlockVersion};
use bitcoin::consensus::serialize;
use bitcoin::hashes::{Hash, sha256d};
use bitcoin::{BlockHash, CompactTarget, TxMerkleNode};
use btc_node::net::message::Command;
use btc_node::net::{Frames, Message, Version, frame};
use serde_json::json;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

const MAGIC: [u8; 4] = [0xfa, 0xbf, 0xb5, 0xda];

/// A node that listens for peers.
struct Listening {
    node: TestNode,
    address: SocketAddr,
    _dir: tempfile::TempDir,
}

impl Listening {
    fn start(options: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let free = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let bind = format!("-bind={address}");
        let mut all = vec!["-disablewallet", "-listen=1", "-debug=net", &bind];
        all.extend(options);
        Self {
            node: TestNode::start(dir.path(), &all),
            address,
            _dir: dir,
        }
    }

    /// A connection on which nothing was said yet.
    fn connect(&self) -> Peer {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Peer {
            stream,
            frames: Frames::new(MAGIC),
            pings: 0,
        }
    }

    /// A connection that has shaken hands.
    fn greet(&self) -> Peer {
        let mut peer = self.connect();
        let nonce = u64::from(peer.stream.local_addr().unwrap().port());
        peer.say(&Message::Version(Box::new(Version {
            nonce,
            ..Version::new(self.address.into(), 1_700_000_000)
        })));
        peer.say(&Message::SendAddrV2);
        peer.say(&Message::Verack);
        assert!(peer.is_heard());
        peer
    }
}

struct Peer {
    stream: TcpStream,
    frames: Frames,
    pings: u64,
}

impl Peer {
    fn send(&mut self, bytes: &[u8]) {
        // The node may have gone already, as it should.
        let _ = self.stream.write_all(bytes);
    }

    fn say(&mut self, message: &Message) {
        self.send(&frame::encode(MAGIC, message));
    }

    /// Sends a payload as a message of this type.
    fn utter(&mut self, name: &str, payload: &[u8]) {
        self.send(&framed(name, payload));
    }

    /// Pings; says whether the node answers, and not rather ends the connection.
    fn is_heard(&mut self) -> bool {
        self.pings += 1;
        self.say(&Message::Ping(self.pings));
        let mut buffer = [0; 4096];
        loop {
            while let Some(frame) = self.frames.next_frame().unwrap() {
                let pong = Message::Pong(Some(self.pings));
                if Message::decode(frame.command, &frame.payload) == Ok(pong) {
                    return true;
                }
            }
            match self.stream.read(&mut buffer) {
                Ok(0) | Err(_) => return false,
                Ok(read) => self.frames.push(&buffer[..read]),
            }
        }
    }
}

/// A message, well framed, whatever its payload.
fn framed(name: &str, payload: &[u8]) -> Vec<u8> {
    let command = Command::new(name).unwrap();
    let payload = payload.to_vec();
    frame::encode(MAGIC, &Message::Other { command, payload })
}

/// A count and as many copies.
fn list(count: u16, element: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0xfd];
    bytes.extend(count.to_le_bytes());
    bytes.extend(element.repeat(count.into()));
    bytes
}

/// Well-formed payloads of what a peer sends after the handshake, which cut short are nothing.
fn payloads() -> Vec<(&'static str, Vec<u8>)> {
    let hash = sha256d::Hash::hash(b"hash").to_byte_array();
    let address = [
        &[0; 4][..],
        &[9],
        &[0; 7],
        &[0; 10],
        &[0xff, 0xff, 1, 2, 3, 4, 0x20, 0x8d],
    ]
    .concat();
    let header = serialize(&Header {
        version: BlockVersion::TWO,
        prev_blockhash: BlockHash::from_byte_array(hash),
        merkle_root: TxMerkleNode::from_byte_array(hash),
        time: 1,
        bits: CompactTarget::from_consensus(0x207f_ffff),
        nonce: 0,
    });
    let inventory = [&[1][..], &[1, 0, 0, 0], &hash].concat();
    let locator = [&[0; 4][..], &[1], &hash, &hash].concat();
    vec![
        ("addr", [&[1], &address[..]].concat()),
        (
            "addrv2",
            [&[1, 0, 0, 0, 0, 9, 1, 4][..], &[1, 2, 3, 4, 0x20, 0x8d]].concat(),
        ),
        ("inv", inventory.clone()),
        ("getdata", inventory.clone()),
        ("notfound", inventory),
        ("getblocks", locator.clone()),
        ("getheaders", locator),
        ("headers", [&[1][..], &header, &[0]].concat()),
        ("block", [&header[..], &[1, 1, 0, 0, 0]].concat()),
        ("tx", vec![1, 0, 0, 0, 0, 1, 2, 3]),
        ("ping", vec![1; 8]),
        ("feefilter", vec![0; 8]),
        ("sendcmpct", vec![0; 9]),
        ("cmpctblock", [&header[..], &[0; 8], &[1, 1, 2, 3]].concat()),
        ("getblocktxn", [&hash[..], &[2, 0, 0]].concat()),
        ("blocktxn", [&hash[..], &[1, 1, 0, 0, 0]].concat()),
        ("getcfilters", [&[0, 0, 0, 0, 0][..], &hash].concat()),
        ("getcfheaders", [&[0, 0, 0, 0, 0][..], &hash].concat()),
        ("getcfcheckpt", [&[0][..], &hash].concat()),
    ]
}

#[test]
fn messages_that_end_too_early_are_passed_over() {
    let listening = Listening::start(&[]);
    let mut peer = listening.greet();
    for (name, payload) in payloads() {
        for length in [0, 1, payload.len() / 2, payload.len() - 1] {
            peer.utter(name, &payload[..length.min(payload.len() - 1)]);
            assert!(peer.is_heard(), "{name} of {length} bytes");
        }
        // A count of what cannot follow. Headers are counted first, and the other has no list.
        if !["headers", "sendcmpct"].contains(&name) {
            peer.utter(name, &[0xff; 9]);
            assert!(peer.is_heard(), "{name} with an endless list");
        }
    }
    for name in [
        "getaddr",
        "verack",
        "sendheaders",
        "merkleblock",
        "alert",
        "nonsense",
        "\u{7e}",
    ] {
        peer.utter(name, &[0xff; 300]);
        assert!(peer.is_heard(), "{name}");
    }
    // Another version, or a pong that nobody asked for, changes nothing.
    peer.utter("version", &[0; 20]);
    peer.utter("pong", &[1, 2]);
    assert!(peer.is_heard());
    assert_eq!(listening.node.call("getconnectioncount", json!([])), 1);
    listening.node.stop_cleanly();
}

#[test]
fn a_frame_that_is_damaged_is_lost_alone() {
    let listening = Listening::start(&[]);
    let mut peer = listening.greet();
    let mut bytes = framed("ping", &[7; 8]);
    bytes[20] ^= 1;
    peer.send(&bytes);
    assert!(peer.is_heard());
    let mut bytes = framed("ping", &[7; 8]);
    bytes[4..16].copy_from_slice(b"pi\0ng\x80\0\0\0\0\0\0");
    peer.send(&bytes);
    assert!(peer.is_heard());
    // One byte at a time.
    for byte in framed("ping", &[8; 8]) {
        peer.send(&[byte]);
    }
    assert!(peer.is_heard());
    let log = listening.node.log();
    assert!(log.contains("Header error: Wrong checksum (ping, 8 bytes), expected"));
    assert!(log.contains("Header error: Invalid message type ("));
    listening.node.stop_cleanly();
}

#[test]
fn what_only_an_attacker_sends_ends_the_connection() {
    let listening = Listening::start(&[]);
    let inventory = [&[1, 0, 0, 0][..], &[7; 32]].concat();
    let address = [
        &[0; 4][..],
        &[9],
        &[0; 7],
        &[0; 10],
        &[0xff, 0xff, 1, 2, 3, 4, 0x20, 0x8d],
    ]
    .concat();
    let locator = [&[0; 4][..], &[102], &[7; 102 * 32], &[0; 32]].concat();
    let headers = payloads().remove(7).1;
    let mut wrong_magic = framed("ping", &[0; 8]);
    wrong_magic[0] = 0;
    let mut too_large = framed("tx", &[0; 8]);
    too_large[16..20].copy_from_slice(&4_000_001_u32.to_le_bytes());
    for (bytes, text) in [
        (
            wrong_magic,
            "Header error: Wrong MessageStart 00bfb5da received",
        ),
        (
            too_large,
            "Header error: Size too large (tx, 4000001 bytes)",
        ),
        (
            framed("inv", &list(50_001, &inventory)),
            "inv message size = 50001",
        ),
        (
            framed("getdata", &list(50_001, &inventory)),
            "getdata message size = 50001",
        ),
        (
            framed("addr", &list(1001, &address)),
            "addr message size = 1001",
        ),
        (
            framed(
                "addrv2",
                &list(1001, &[0, 0, 0, 0, 9, 1, 4, 1, 2, 3, 4, 0x20, 0x8d]),
            ),
            "addrv2 message size = 1001",
        ),
        (
            framed("headers", &[0xfd, 0xd1, 0x07]),
            "headers message size = 2001",
        ),
        (
            framed("headers", &headers),
            "header with invalid proof of work",
        ),
        (
            framed("getheaders", &locator),
            "getheaders locator size 102 > 101",
        ),
        (
            framed("getblocks", &locator),
            "getblocks locator size 102 > 101",
        ),
        (
            framed("sendcmpct", &[2; 9]),
            "invalid sendcmpct announce field",
        ),
        (
            framed("mempool", &[]),
            "mempool request with bloom filters disabled",
        ),
        (
            framed("filterload", &[1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
            "filterload received despite",
        ),
        (framed("filteradd", &[1, 1]), "filteradd received despite"),
        (framed("filterclear", &[]), "filterclear received despite"),
        (
            framed("wtxidrelay", &[]),
            "wtxidrelay received after verack",
        ),
        (
            framed("sendaddrv2", &[]),
            "sendaddrv2 received after verack",
        ),
    ] {
        let mut peer = listening.greet();
        peer.send(&bytes);
        assert!(!peer.is_heard(), "{text}");
        assert!(listening.node.log().contains(text), "{text}");
    }
    // More than it takes, but nothing wrong: as in Core, none of it counts.
    let mut peer = listening.greet();
    peer.utter("notfound", &list(50_001, &inventory));
    assert!(peer.is_heard());
    listening.node.stop_cleanly();
}

#[test]
fn a_burst_of_connections_takes_no_more_places_than_there_are() {
    // Of 40, eleven are for connections of the node's own; eight more may be on their way out.
    let listening = Listening::start(&["-maxconnections=40"]);
    let burst: Vec<TcpStream> = (0..200)
        .map(|_| TcpStream::connect(listening.address).unwrap())
        .collect();
    let answered = |log: &str| {
        let lines = log.lines().filter(|line| line.contains("connection"));
        lines
            .filter(|line| line.ends_with(" accepted") || line.contains(" dropped"))
            .count()
    };
    wait_for("every connection to be answered", || {
        (answered(&listening.node.log()) >= burst.len()).then_some(())
    });
    let count = listening.node.call("getconnectioncount", json!([]));
    let count = count.as_u64().unwrap();
    assert!((29..=37).contains(&count), "{count}");
    listening.node.stop_cleanly();
}
