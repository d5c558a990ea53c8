//! A peer that writes its own bytes: what other implementations send, and what none should.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use mp_core::wire::{Builder, Message, PointerAt, ReadLimits, StructAt, frame_size};
use mp_core::{Connection, Limits, Options};
use proptest::prelude::*;

use crate::interface::Foo;
use crate::server::Server;
use crate::tables::{COUNTER, FOO};

const CALL: u64 = 2;
const RETURN: u64 = 3;
const FINISH: u64 = 4;
const RELEASE: u64 = 6;
const BOOTSTRAP: u64 = 8;
const ABORT: u64 = 1;
const UNIMPLEMENTED: u64 = 0;
const THREAD_MAP: u64 = 0xee5e_3717_9ad9_dc9d;

/// What a call is made on, or a capability in its parameters.
#[derive(Clone, Copy)]
enum To {
    Hosted(u32),
    /// The pointer with this index in the results of an earlier call; none means the results themselves.
    Answer(u32, Option<u16>),
}

/// A return that says the call was canceled.
const CANCELED: Got = Got::Other(102);

struct Raw {
    stream: UnixStream,
    serving: Connection,
    server: Arc<Server>,
}

/// A reply: whether it is an exception, its text, and what it is about.
#[derive(Debug, PartialEq)]
enum Got {
    Results(u32),
    Exception(u32, String),
    Other(u64),
}

impl Raw {
    fn new() -> Self {
        Self::with(Limits::default())
    }

    fn with(limits: Limits) -> Self {
        let (stream, there) = UnixStream::pair().unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        let server = Arc::<Server>::default();
        let served: Arc<dyn Foo> = server.clone();
        let options = Options {
            limits,
            ..Options::default()
        };
        let serving = Connection::serve(there, served, options).unwrap();
        Self {
            stream,
            serving,
            server,
        }
    }

    fn send(&mut self, builder: Builder) {
        self.stream
            .write_all(&builder.finish(1 << 20).unwrap())
            .unwrap();
    }

    fn message(&mut self, tag: u64, size: (u16, u16), fill: impl FnOnce(&mut Builder, StructAt)) {
        let mut builder = Builder::new();
        let root = builder.init_struct(builder.root(), 1, 1);
        builder.set_bits(root, 16, 0, tag);
        let body = builder.init_struct(root.pointer(0), size.0, size.1);
        fill(&mut builder, body);
        self.send(builder);
    }

    fn bootstrap(&mut self, question: u32) {
        self.message(BOOTSTRAP, (1, 1), |builder, body| {
            builder.set_bits(body, 32, 0, question.into())
        });
    }

    fn finish(&mut self, question: u32) {
        self.message(FINISH, (1, 0), |builder, body| {
            builder.set_bits(body, 32, 0, question.into())
        });
    }

    fn release(&mut self, id: u32, count: u32) {
        self.message(RELEASE, (1, 0), |builder, body| {
            builder.set_bits(body, 32, 0, id.into());
            builder.set_bits(body, 32, 1, count.into());
        });
    }

    fn call(
        &mut self,
        question: u32,
        to: To,
        interface: u64,
        method: u16,
        caps: &[To],
        fill: impl FnOnce(&mut Builder, PointerAt),
    ) {
        self.message(CALL, (3, 3), |builder, body| {
            builder.set_bits(body, 32, 0, question.into());
            builder.set_bits(body, 64, 1, interface);
            builder.set_bits(body, 16, 2, method.into());
            let target = builder.init_struct(body.pointer(0), 1, 1);
            match to {
                To::Hosted(id) => builder.set_bits(target, 32, 0, id.into()),
                To::Answer(answer, step) => {
                    builder.set_bits(target, 16, 2, 1);
                    promised(builder, target.pointer(0), answer, step);
                }
            }
            let payload = builder.init_struct(body.pointer(1), 0, 2);
            fill(builder, payload.pointer(0));
            let table = builder.init_struct_list(payload.pointer(1), caps.len(), 1, 1);
            for (index, cap) in caps.iter().enumerate() {
                let at = table.structure(index as u32);
                match *cap {
                    To::Hosted(id) => {
                        builder.set_bits(at, 16, 0, 3);
                        builder.set_bits(at, 32, 1, id.into());
                    }
                    To::Answer(answer, step) => {
                        builder.set_bits(at, 16, 0, 4);
                        promised(builder, at.pointer(0), answer, step);
                    }
                }
            }
        });
    }

    /// `Foo.add`, run on the thread that is capability 0 of the table, or on none.
    fn add(&mut self, question: u32, foo: To, thread: Option<To>) {
        let caps: Vec<To> = thread.into_iter().collect();
        self.call(question, foo, FOO.id, 1, &caps, |builder, at| {
            let params = builder.init_struct(at, 1, 1);
            builder.set_bits(params, 32, 0, 40);
            builder.set_bits(params, 32, 1, 2);
            if !caps.is_empty() {
                let context = builder.init_struct(params.pointer(0), 0, 2);
                builder.set_capability(context.pointer(0), 0);
            }
        });
    }

    /// `Foo.addDirect`, which needs no thread.
    fn add_direct(&mut self, question: u32) {
        self.call(question, To::Hosted(0), FOO.id, 2, &[], |builder, at| {
            builder.init_struct(at, 1, 0);
        });
    }

    /// The next message; `None` when the server ended the connection.
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
            match self.stream.read_exact(&mut word) {
                Ok(()) => bytes.extend(word),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => panic!("no answer"),
                Err(_) => return None,
            }
        }
    }

    fn got(&mut self) -> Option<Got> {
        let message = self.next()?;
        let root = message.root().structure().unwrap();
        let body = root.pointer(0).structure().unwrap();
        Some(match root.bits(16, 0) {
            RETURN => {
                let question = body.bits(32, 0) as u32;
                match body.bits(16, 3) {
                    0 => Got::Results(question),
                    1 => {
                        let exception = body.pointer(0).structure().unwrap();
                        Got::Exception(question, exception.pointer(0).text().unwrap().to_owned())
                    }
                    other => Got::Other(100 + other),
                }
            }
            tag => Got::Other(tag),
        })
    }

    fn exception(&mut self) -> String {
        match self.got() {
            Some(Got::Exception(_, text)) => text,
            other => panic!("{other:?} is no exception"),
        }
    }

    /// Bootstraps with question 0; the root is then export 0.
    fn ready() -> Self {
        let mut raw = Self::new();
        raw.bootstrap(0);
        assert_eq!(raw.got(), Some(Got::Results(0)));
        raw
    }

    fn ended(&mut self) {
        while self.next().is_some() {}
        assert!(self.serving.closed_within(Duration::from_secs(10)));
    }
}

fn promised(builder: &mut Builder, at: PointerAt, answer: u32, step: Option<u16>) {
    let promised = builder.init_struct(at, 1, 1);
    builder.set_bits(promised, 32, 0, answer.into());
    if let Some(step) = step {
        let steps = builder.init_struct_list(promised.pointer(0), 1, 1, 0);
        builder.set_bits(steps.structure(0), 16, 0, 1);
        builder.set_bits(steps.structure(0), 16, 1, step.into());
    }
}

fn empty(builder: &mut Builder, at: PointerAt) {
    builder.init_struct(at, 0, 1);
}

#[test]
fn everything_may_be_pipelined() {
    let mut raw = Raw::new();
    // As libmultiprocess does: nothing waits for an answer before the last.
    raw.bootstrap(0);
    raw.call(1, To::Answer(0, None), FOO.id, 0, &[], empty);
    raw.call(
        2,
        To::Answer(1, Some(0)),
        THREAD_MAP,
        0,
        &[],
        |builder, at| {
            let params = builder.init_struct(at, 0, 1);
            builder.set_text(params.pointer(0), "raw");
        },
    );
    raw.add(3, To::Answer(0, None), Some(To::Answer(2, Some(0))));
    for question in 0..3 {
        assert_eq!(raw.got(), Some(Got::Results(question)));
    }
    let message = raw.next().unwrap();
    let results = message
        .root()
        .structure()
        .unwrap()
        .pointer(0)
        .structure()
        .unwrap();
    let results = results
        .pointer(0)
        .structure()
        .unwrap()
        .pointer(0)
        .structure()
        .unwrap();
    assert_eq!(results.bits(32, 0), 42);
}

#[test]
fn a_call_may_be_made_on_results_that_are_still_to_come() {
    let mut raw = Raw::ready();
    raw.call(1, To::Hosted(0), FOO.id, 0, &[], empty);
    raw.call(2, To::Answer(1, Some(0)), THREAD_MAP, 0, &[], empty);
    // The counter is made on a worker; its name is asked for before it exists.
    raw.call(
        3,
        To::Hosted(0),
        FOO.id,
        13,
        &[To::Answer(2, Some(0))],
        |builder, at| {
            let params = builder.init_struct(at, 0, 1);
            let context = builder.init_struct(params.pointer(0), 0, 2);
            builder.set_capability(context.pointer(0), 0);
        },
    );
    for question in 4..8 {
        raw.call(
            question,
            To::Answer(3, Some(0)),
            COUNTER.id,
            1,
            &[To::Answer(2, Some(0))],
            |builder, at| {
                let params = builder.init_struct(at, 0, 1);
                let context = builder.init_struct(params.pointer(0), 0, 2);
                builder.set_capability(context.pointer(0), 0);
            },
        );
    }
    for question in 1..8 {
        assert_eq!(raw.got(), Some(Got::Results(question)));
    }
}

#[test]
fn a_call_that_others_depend_on_runs_though_its_caller_gave_up() {
    let mut raw = Raw::ready();
    raw.call(1, To::Hosted(0), FOO.id, 0, &[], empty);
    raw.call(2, To::Answer(1, Some(0)), THREAD_MAP, 0, &[], empty);
    for question in [1, 2] {
        assert_eq!(raw.got(), Some(Got::Results(question)));
    }
    let thread = [To::Answer(2, Some(0))];
    let on_thread = |builder: &mut Builder, at: PointerAt| {
        let params = builder.init_struct(at, 0, 1);
        let context = builder.init_struct(params.pointer(0), 0, 2);
        builder.set_capability(context.pointer(0), 0);
    };
    // The thread is busy, so that the rest waits: a counter that its number is asked of, and one of no use to anybody.
    raw.call(3, To::Hosted(0), FOO.id, 23, &thread, on_thread);
    raw.server.wait_blocked();
    raw.call(4, To::Hosted(0), FOO.id, 13, &thread, on_thread);
    raw.call(5, To::Answer(4, Some(0)), COUNTER.id, 1, &thread, on_thread);
    raw.call(6, To::Hosted(0), FOO.id, 13, &thread, on_thread);
    raw.finish(4);
    raw.finish(6);
    // Answered on the connection's own thread, so after the two above are known.
    raw.add_direct(7);
    assert_eq!(raw.got(), Some(Got::Results(7)));
    raw.server.unblock();
    assert_eq!(raw.got(), Some(Got::Results(3)));
    assert_eq!(raw.got(), Some(CANCELED), "4 has no results for its caller");
    let order = [raw.got(), raw.got()];
    assert!(order.contains(&Some(Got::Results(5))), "{order:?}");
    assert!(order.contains(&Some(CANCELED)), "{order:?}");
    // Nobody holds the counter any more, once 5 is finished; 6 made none.
    raw.finish(5);
    raw.add_direct(8);
    assert_eq!(raw.got(), Some(Got::Results(8)));
}

#[test]
fn calls_need_a_thread_or_a_pool() {
    let mut raw = Raw::ready();
    raw.add(1, To::Hosted(0), None);
    assert_eq!(
        raw.exception(),
        "std::exception: no thread specified and no pool configured"
    );
    raw.add(2, To::Hosted(0), Some(To::Hosted(0)));
    assert_eq!(raw.exception(), "std::exception: invalid thread handle");
    raw.call(3, To::Hosted(0), FOO.id, 0, &[], empty);
    assert_eq!(raw.got(), Some(Got::Results(3)));
    let pool = |builder: &mut Builder, at: PointerAt| {
        let params = builder.init_struct(at, 1, 0);
        builder.set_bits(params, 32, 0, 2);
    };
    raw.call(4, To::Answer(3, Some(0)), THREAD_MAP, 1, &[], pool);
    assert_eq!(raw.got(), Some(Got::Results(4)));
    raw.add(5, To::Hosted(0), None);
    assert_eq!(raw.got(), Some(Got::Results(5)));
    raw.call(6, To::Answer(3, Some(0)), THREAD_MAP, 1, &[], pool);
    assert_eq!(
        raw.exception(),
        "std::exception: makePool called on connection with existing pool"
    );
}

#[test]
fn threads_are_limited() {
    let mut raw = Raw::with(Limits {
        threads: 2,
        ..Limits::default()
    });
    raw.bootstrap(0);
    raw.call(1, To::Answer(0, None), FOO.id, 0, &[], empty);
    assert_eq!(
        (raw.got(), raw.got()),
        (Some(Got::Results(0)), Some(Got::Results(1)))
    );
    for question in 2..4 {
        raw.call(question, To::Answer(1, Some(0)), THREAD_MAP, 0, &[], empty);
        assert_eq!(raw.got(), Some(Got::Results(question)));
    }
    raw.call(4, To::Answer(1, Some(0)), THREAD_MAP, 0, &[], empty);
    assert_eq!(
        raw.exception(),
        "std::exception: limit of 2 threads reached"
    );
    raw.call(
        5,
        To::Answer(1, Some(0)),
        THREAD_MAP,
        1,
        &[],
        |builder, at| {
            let params = builder.init_struct(at, 1, 0);
            builder.set_bits(params, 32, 0, u32::MAX.into());
        },
    );
    assert_eq!(
        raw.exception(),
        "std::exception: limit of 2 threads reached"
    );
    // A thread that is let go makes room.
    raw.finish(2);
    raw.call(6, To::Answer(1, Some(0)), THREAD_MAP, 0, &[], empty);
    assert_eq!(raw.got(), Some(Got::Results(6)));
}

#[test]
fn unknown_methods_and_interfaces_are_unimplemented() {
    let mut raw = Raw::ready();
    raw.call(1, To::Hosted(0), FOO.id, 999, &[], empty);
    assert!(raw.exception().starts_with("Method not implemented."));
    raw.call(2, To::Hosted(0), 0x1234, 0, &[], empty);
    assert!(raw.exception().starts_with("Method not implemented."));
    // In the schema, but not in the trait.
    raw.call(3, To::Hosted(0), FOO.id, 0, &[], empty);
    raw.got();
    raw.call(4, To::Answer(3, Some(0)), THREAD_MAP, 0, &[], empty);
    raw.got();
    raw.call(
        5,
        To::Hosted(0),
        FOO.id,
        22,
        &[To::Answer(4, Some(0))],
        |builder, at| {
            let params = builder.init_struct(at, 0, 1);
            let context = builder.init_struct(params.pointer(0), 0, 2);
            builder.set_capability(context.pointer(0), 0);
        },
    );
    assert_eq!(
        raw.exception(),
        "Method not implemented.; interfaceName = Foo; methodName = unknownToRust"
    );
}

#[test]
fn calls_after_destroy_are_errors() {
    let mut raw = Raw::ready();
    raw.call(1, To::Hosted(0), FOO.id, 0, &[], empty);
    raw.call(2, To::Answer(1, Some(0)), THREAD_MAP, 0, &[], empty);
    let on_thread = |builder: &mut Builder, at: PointerAt| {
        let params = builder.init_struct(at, 0, 1);
        let context = builder.init_struct(params.pointer(0), 0, 2);
        builder.set_capability(context.pointer(0), 0);
    };
    let thread = [To::Answer(2, Some(0))];
    raw.call(3, To::Hosted(0), FOO.id, 13, &thread, on_thread);
    raw.call(4, To::Answer(3, Some(0)), COUNTER.id, 0, &thread, on_thread);
    for question in 1..5 {
        assert_eq!(raw.got(), Some(Got::Results(question)));
    }
    raw.call(5, To::Answer(3, Some(0)), COUNTER.id, 1, &thread, on_thread);
    assert_eq!(raw.exception(), "std::exception: object was destroyed");
}

#[test]
fn breaches_of_the_protocol_end_the_connection() {
    let breaches: [fn(&mut Raw); 6] = [
        |raw| raw.call(1, To::Hosted(77), FOO.id, 2, &[], empty),
        |raw| raw.release(0, 2),
        |raw| raw.release(9, 1),
        |raw| {
            // One number for two calls.
            raw.bootstrap(5);
            raw.bootstrap(5);
        },
        |raw| {
            raw.message(RETURN, (2, 1), |builder, body| {
                builder.set_bits(body, 32, 0, 3)
            })
        },
        |raw| raw.message(13, (1, 1), |_, _| {}),
    ];
    for breach in breaches {
        let mut raw = Raw::ready();
        breach(&mut raw);
        let last = std::iter::from_fn(|| raw.got()).last();
        assert_eq!(last, Some(Got::Other(ABORT)));
        raw.ended();
    }
}

#[test]
fn messages_of_higher_levels_are_unimplemented() {
    let mut raw = Raw::ready();
    raw.message(11, (1, 1), |_, _| {});
    assert_eq!(raw.got(), Some(Got::Other(UNIMPLEMENTED)));
    raw.call(1, To::Hosted(0), FOO.id, 2, &[], |builder, at| {
        builder.init_struct(at, 1, 0);
    });
    assert_eq!(raw.got(), Some(Got::Results(1)));
}

#[test]
fn a_message_announced_too_large_ends_the_connection() {
    let mut raw = Raw::ready();
    raw.stream
        .write_all(&[0, 0, 0, 0, 0xff, 0xff, 0xff, 0x7f])
        .unwrap();
    raw.ended();
    assert!(
        raw.serving
            .closed()
            .unwrap()
            .to_string()
            .contains("message is too large")
    );
}

#[test]
fn a_peer_that_hangs_up_half_way_is_let_go_and_nobody_else() {
    let mut whole = Raw::ready();
    for length in [1, 7, 8, 15, 16] {
        // It still listens, but will never say the rest of its message.
        let mut half = Raw::ready();
        half.stream.write_all(&conversation()[..length]).unwrap();
        half.stream.shutdown(std::net::Shutdown::Write).unwrap();
        half.ended();
        whole.add_direct(length as u32);
        assert_eq!(whole.got(), Some(Got::Results(length as u32)));
    }
}

#[test]
fn a_peer_that_asks_and_does_not_read_is_cut_off() {
    let mut raw = Raw::with(Limits {
        output_bytes_max: 1 << 20,
        ..Limits::default()
    });
    raw.stream
        .set_write_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    let mut question = 0;
    let refused = loop {
        let mut builder = Builder::new();
        let root = builder.init_struct(builder.root(), 1, 1);
        builder.set_bits(root, 16, 0, BOOTSTRAP);
        let body = builder.init_struct(root.pointer(0), 1, 1);
        builder.set_bits(body, 32, 0, question);
        question += 1;
        if let Err(error) = raw.stream.write_all(&builder.finish(1 << 20).unwrap()) {
            break error;
        }
    };
    assert_ne!(
        refused.kind(),
        std::io::ErrorKind::WouldBlock,
        "server stopped reading instead"
    );
    raw.ended();
}

/// Bytes of a conversation that makes sense, to be spoilt.
fn conversation() -> Vec<u8> {
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    let mut raw = Raw {
        stream: theirs,
        ..Raw::new()
    };
    raw.bootstrap(0);
    raw.call(1, To::Answer(0, None), FOO.id, 0, &[], empty);
    raw.call(2, To::Answer(1, Some(0)), THREAD_MAP, 0, &[], empty);
    raw.add(3, To::Answer(0, None), Some(To::Answer(2, Some(0))));
    raw.finish(3);
    raw.release(0, 1);
    drop(raw);
    let mut bytes = Vec::new();
    ours.read_to_end(&mut bytes).unwrap();
    bytes
}

/// Sends bytes to a server, which must end the connection, or answer until the stream ends, but neither hang nor
/// panic.
fn survive(bytes: &[u8]) {
    let mut raw = Raw::new();
    let mut writing = raw.stream.try_clone().unwrap();
    // The server may hang up first.
    let _ = writing.write_all(bytes);
    let _ = writing.shutdown(std::net::Shutdown::Write);
    let mut sink = Vec::new();
    let _ = raw.stream.read_to_end(&mut sink);
    assert!(raw.serving.closed_within(Duration::from_secs(10)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn random_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        survive(&bytes);
    }

    #[test]
    fn a_spoilt_conversation_is_survived(
        spoils in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = conversation();
        for (at, value) in spoils {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        let cut = cut.index(bytes.len() * 2).min(bytes.len());
        survive(&bytes[..cut]);
    }
}
