//! Promises of a peer: what becomes of them is called in their stead.

#![allow(missing_docs, clippy::unwrap_used)]

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use mp_core::wire::{Builder, Message, ReadLimits, StructAt, frame_size};
use mp_core::{Connection, Error, Options, with_timeout};

struct Codec;

#[mp_core::interface(codec = Codec, id = 0xa0d5_11c8_7b3e_4f01)]
trait Shelf: Send + Sync {
    #[mp(direct)]
    fn fetch(&self) -> Result<Arc<dyn Item>, Error>;
    #[mp(direct)]
    fn keep(&self, item: Arc<dyn Item>) -> Result<(), Error>;
}

#[mp_core::interface(codec = Codec, id = 0xa0d5_11c8_7b3e_4f02)]
trait Item: Send + Sync {
    #[mp(direct)]
    fn number(&self) -> Result<u64, Error>;
}

struct Own;

impl Item for Own {
    fn number(&self) -> Result<u64, Error> {
        Ok(77)
    }
}

const CALL: u64 = 2;
const RETURN: u64 = 3;
const RESOLVE: u64 = 5;
const RELEASE: u64 = 6;
const BOOTSTRAP: u64 = 8;
const DISEMBARGO: u64 = 13;

const SENDER_HOSTED: u64 = 1;
const SENDER_PROMISE: u64 = 2;
const RECEIVER_HOSTED: u64 = 3;

/// The number of the item that is promised.
const PROMISE: u32 = 5;

/// A peer that writes its own bytes.
struct Peer {
    stream: UnixStream,
}

impl Peer {
    fn send(&mut self, tag: u64, size: (u16, u16), fill: impl FnOnce(&mut Builder, StructAt)) {
        let mut builder = Builder::new();
        let root = builder.init_struct(builder.root(), 1, 1);
        builder.set_bits(root, 16, 0, tag);
        let body = builder.init_struct(root.pointer(0), size.0, size.1);
        fill(&mut builder, body);
        let frame = builder.finish(1 << 20).unwrap();
        self.stream.write_all(&frame).unwrap();
    }

    /// The next message with this tag, and its number: of a question, an object or an embargo. Others are passed over.
    fn expect(&mut self, tag: u64) -> (Message, u32) {
        loop {
            let message = self.next().unwrap();
            let root = message.root().structure().unwrap();
            if root.bits(16, 0) == tag {
                let number = root.pointer(0).structure().unwrap().bits(32, 0) as u32;
                return (message, number);
            }
        }
    }

    fn next(&mut self) -> Option<Message> {
        let limits = ReadLimits::default();
        let mut bytes = Vec::new();
        loop {
            match frame_size(&bytes, &limits).unwrap() {
                Some(size) if bytes.len() == size => {
                    return Some(Message::parse(bytes, &limits).unwrap());
                }
                _ => {}
            }
            let mut word = [0; 8];
            self.stream.read_exact(&mut word).ok()?;
            bytes.extend(word);
        }
    }

    /// Returns an object: as the results themselves, or in a struct.
    fn gives(&mut self, answer: u32, in_struct: bool, variant: u64, id: u32) {
        self.send(RETURN, (2, 1), |builder, body| {
            builder.set_bits(body, 32, 0, answer.into());
            let payload = builder.init_struct(body.pointer(0), 0, 2);
            let at = match in_struct {
                true => builder.init_struct(payload.pointer(0), 0, 1).pointer(0),
                false => payload.pointer(0),
            };
            builder.set_capability(at, 0);
            let table = builder.init_struct_list(payload.pointer(1), 1, 1, 1);
            builder.set_bits(table.structure(0), 16, 0, variant);
            builder.set_bits(table.structure(0), 32, 1, id.into());
        });
    }

    /// Returns a struct with one number.
    fn returns(&mut self, answer: u32, number: u64) {
        self.send(RETURN, (2, 1), |builder, body| {
            builder.set_bits(body, 32, 0, answer.into());
            let payload = builder.init_struct(body.pointer(0), 0, 2);
            let results = builder.init_struct(payload.pointer(0), 1, 0);
            builder.set_bits(results, 64, 0, number);
        });
    }

    fn resolves(&mut self, variant: u64, id: u32) {
        self.send(RESOLVE, (1, 1), |builder, body| {
            builder.set_bits(body, 32, 0, PROMISE.into());
            let cap = builder.init_struct(body.pointer(0), 1, 1);
            builder.set_bits(cap, 16, 0, variant);
            builder.set_bits(cap, 32, 1, id.into());
        });
    }

    fn breaks(&mut self, reason: &str) {
        self.send(RESOLVE, (1, 1), |builder, body| {
            builder.set_bits(body, 32, 0, PROMISE.into());
            builder.set_bits(body, 16, 2, 1);
            let exception = builder.init_struct(body.pointer(0), 1, 2);
            builder.set_text(exception.pointer(0), reason);
        });
    }

    /// Says that everything called before has come back.
    fn disembargoes(&mut self, id: u32) {
        self.send(DISEMBARGO, (1, 1), |builder, body| {
            builder.set_bits(body, 32, 0, id.into());
            builder.set_bits(body, 16, 2, 1);
            builder.init_struct(body.pointer(0), 1, 1);
        });
    }
}

/// The body of a message.
macro_rules! body {
    ($message:expr) => {
        $message
            .root()
            .structure()
            .unwrap()
            .pointer(0)
            .structure()
            .unwrap()
    };
}

/// The object that a call is made on.
fn target(call: &Message) -> u32 {
    body!(call).pointer(0).structure().unwrap().bits(32, 0) as u32
}

/// A client that has fetched an item, which is a promise, and its peer.
struct Promised {
    connection: Connection,
    shelf: Arc<dyn Shelf>,
    item: Arc<dyn Item>,
    peer: Peer,
}

impl Promised {
    fn new() -> Self {
        let (here, there) = UnixStream::pair().unwrap();
        there
            .set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        let connecting = thread::spawn(move || {
            let (connection, shelf) =
                Connection::connect::<dyn Shelf>(here, Options::new()).unwrap();
            let item = shelf.fetch().unwrap();
            (connection, shelf, item)
        });
        let mut peer = Peer { stream: there };
        let (_, answer) = peer.expect(BOOTSTRAP);
        peer.gives(answer, false, SENDER_HOSTED, 1);
        let (_, answer) = peer.expect(CALL);
        peer.gives(answer, true, SENDER_PROMISE, PROMISE);
        let (connection, shelf, item) = connecting.join().unwrap();
        Self {
            connection,
            shelf,
            item,
            peer,
        }
    }

    /// Puts an object of this side on the peer's shelf, of which the promise turns out to be a promise. Gives the
    /// number of the embargo that follows.
    fn comes_back(&mut self) -> u32 {
        let (sender, kept) = channel();
        let shelf = self.shelf.clone();
        thread::spawn(move || sender.send(shelf.keep(Arc::new(Own))));
        let (call, answer) = self.peer.expect(CALL);
        let payload = body!(call).pointer(1).structure().unwrap();
        let table = payload.pointer(1).list().unwrap();
        let export = table.structure(0).unwrap().bits(32, 1) as u32;
        self.peer.resolves(RECEIVER_HOSTED, export);
        self.peer.returns(answer, 0);
        kept.recv_timeout(SOON).unwrap().unwrap();
        self.peer.expect(DISEMBARGO).1
    }
}

/// Calls on a thread of its own.
fn asks(item: &Arc<dyn Item>) -> Receiver<Result<u64, Error>> {
    let (sender, receiver) = channel();
    let item = item.clone();
    thread::spawn(move || {
        let number = item.number();
        drop(item);
        sender.send(number)
    });
    receiver
}

const SOON: Duration = Duration::from_secs(10);

#[test]
fn calls_go_to_what_a_promise_became() {
    let Promised {
        item,
        mut peer,
        connection: _connection,
        shelf: _shelf,
    } = Promised::new();
    let asked = asks(&item);
    let (call, answer) = peer.expect(CALL);
    assert_eq!(target(&call), PROMISE);
    peer.resolves(SENDER_HOSTED, 9);
    peer.returns(answer, 1);
    assert_eq!(asked.recv_timeout(SOON).unwrap().unwrap(), 1);
    let asked = asks(&item);
    let (call, answer) = peer.expect(CALL);
    assert_eq!(target(&call), 9);
    peer.returns(answer, 2);
    assert_eq!(asked.recv_timeout(SOON).unwrap().unwrap(), 2);
    // Both references are given back.
    drop(item);
    let mut released = [peer.expect(RELEASE).1, peer.expect(RELEASE).1];
    released.sort_unstable();
    assert_eq!(released, [PROMISE, 9]);
}

#[test]
fn a_promise_of_a_promise_is_still_called_itself() {
    let mut all = Promised::new();
    all.peer.resolves(SENDER_PROMISE, 9);
    assert_eq!(all.peer.expect(RELEASE).1, 9, "nobody calls the second one");
    let asked = asks(&all.item);
    let (call, answer) = all.peer.expect(CALL);
    assert_eq!(target(&call), PROMISE);
    all.peer.returns(answer, 3);
    assert_eq!(asked.recv_timeout(SOON).unwrap().unwrap(), 3);
}

#[test]
fn calls_on_a_broken_promise_fail_here() {
    let mut all = Promised::new();
    let asked = asks(&all.item);
    let (_, answer) = all.peer.expect(CALL);
    all.peer.breaks("std::exception: no such item");
    all.peer.returns(answer, 1);
    asked.recv_timeout(SOON).unwrap().unwrap();
    assert_eq!(all.item.number().unwrap_err().to_string(), "no such item");
}

#[test]
fn an_object_that_comes_back_is_called_when_nothing_is_on_its_way() {
    let mut all = Promised::new();
    let embargo = all.comes_back();
    // Until the peer says that nothing is under way, calls wait, and no longer than they may.
    let error = with_timeout(Duration::from_millis(20), || all.item.number()).unwrap_err();
    assert!(matches!(error, Error::Timeout), "{error}");
    let asked = asks(&all.item);
    all.peer.disembargoes(embargo);
    assert_eq!(asked.recv_timeout(SOON).unwrap().unwrap(), 77);
    assert_eq!(all.item.number().unwrap(), 77);
}

#[test]
fn whoever_waits_for_a_promise_learns_of_the_end() {
    let mut all = Promised::new();
    all.comes_back();
    let asked = asks(&all.item);
    drop(all.peer);
    let error = asked.recv_timeout(SOON).unwrap().unwrap_err();
    assert!(error.is_disconnected(), "{error}");
    assert!(all.connection.closed_within(SOON));
}

#[test]
fn what_nobody_asked_for_ends_the_connection() {
    let mut all = Promised::new();
    all.peer.disembargoes(3);
    assert!(all.connection.closed_within(SOON));
    let mut all = Promised::new();
    all.peer.resolves(SENDER_HOSTED, 9);
    all.peer.resolves(SENDER_HOSTED, 10);
    assert!(all.connection.closed_within(SOON));
}
