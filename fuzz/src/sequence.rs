//! A peer that keeps to the protocol's letters, not to its sense.

use crate::rpc::rpc_connection;
use mp_core::wire::{Builder, PointerAt, StructAt};

/// Messages of one conversation at most.
const MOST: usize = 200;

const ROOM: u64 = 0xf1a1_0000_0000_0002;
const LISTENER: u64 = 0xf1a1_0000_0000_0001;
const THREAD_MAP: u64 = 0xee5e_3717_9ad9_dc9d;
const THREAD: u64 = 0x81c1_e260_0d0b_56c5;

/// Interfaces and methods that a call may be of, as bytes choose them; the last are not there.
const METHODS: [(u64, u16); 12] = [
    (ROOM, 0),
    (ROOM, 1),
    (ROOM, 2),
    (ROOM, 3),
    (LISTENER, 0),
    (THREAD_MAP, 0),
    (THREAD_MAP, 1),
    (THREAD, 0),
    (ROOM, 1),
    (ROOM, 3),
    (ROOM, 9),
    (1, 0),
];

/// Sends well-formed messages to a connection that serves a room: calls on objects, on threads and on results that are
/// still to come, replies to calls that may not have been made, finishes, releases and embargoes, with the numbers that
/// the bytes say. Then leaves. What must hold is told at [`rpc_connection`].
pub fn rpc_sequence(data: &[u8]) {
    rpc_connection(&conversation(data));
}

/// The messages, of four bytes and more each.
fn conversation(data: &[u8]) -> Vec<u8> {
    let mut choices = Choices(data);
    let mut bytes = Vec::new();
    for _ in 0..MOST {
        if choices.0.is_empty() {
            break;
        }
        let message = message(&mut choices);
        bytes.extend(message.finish(1 << 20).expect("messages are short"));
    }
    bytes
}

/// What is left of the bytes that choose; then zeros.
struct Choices<'a>(&'a [u8]);

impl Choices<'_> {
    fn next(&mut self) -> u8 {
        let Some((&first, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        first
    }

    fn below(&mut self, end: u8) -> u8 {
        self.next() % end
    }

    /// The number of a call or an object: few, so that they meet.
    fn number(&mut self) -> u64 {
        match self.next() {
            255 => u64::from(u32::MAX),
            byte => u64::from(byte % 16),
        }
    }
}

fn message(choices: &mut Choices<'_>) -> Builder {
    let mut builder = Builder::new();
    let root = builder.init_struct(builder.root(), 1, 1);
    let kind = choices.below(16);
    let (tag, words, pointers) = match kind {
        0 => (8, 1, 1),
        1..=8 => (2, 3, 3),
        9 | 10 => (4, 1, 0),
        11 | 12 => (6, 1, 0),
        13 | 14 => (3, 2, 1),
        _ => (13, 1, 1),
    };
    builder.set_bits(root, 16, 0, tag);
    let body = builder.init_struct(root.pointer(0), words, pointers);
    let number = choices.number();
    builder.set_bits(body, 32, 0, number);
    match tag {
        2 => call(&mut builder, body, choices),
        // The flag that says to keep the results' references is inverted.
        4 => builder.set_bit(body, 32, choices.below(2) == 0),
        6 => builder.set_bits(body, 32, 1, u64::from(choices.below(4))),
        3 => reply(&mut builder, body, choices),
        13 => {
            builder.set_bits(body, 16, 2, u64::from(choices.below(3)));
            target(&mut builder, body.pointer(0), choices);
        }
        _ => {}
    }
    builder
}

fn call(builder: &mut Builder, body: StructAt, choices: &mut Choices<'_>) {
    let (interface, method) = METHODS[usize::from(choices.below(METHODS.len() as u8))];
    builder.set_bits(body, 64, 1, interface);
    builder.set_bits(body, 16, 2, method.into());
    // Mostly to the caller; also kept for others, and sent elsewhere.
    builder.set_bits(body, 16, 3, u64::from(choices.below(16).saturating_sub(13)));
    target(builder, body.pointer(0), choices);
    let payload = builder.init_struct(body.pointer(1), 0, 2);
    let params = builder.init_struct(payload.pointer(0), 1, 4);
    builder.set_bits(params, 32, 0, u64::from(choices.below(8)));
    let first = params.pointer(0);
    if interface == THREAD_MAP {
        builder.set_text(first, "thread");
    } else if (interface, method) == (ROOM, 0) {
        builder.set_capability(first, 2);
    } else {
        let context = builder.init_struct(first, 0, 2);
        if choices.below(4) > 0 {
            builder.set_capability(context.pointer(0), 0);
            builder.set_capability(context.pointer(1), 1);
        }
    }
    let second = params.pointer(1);
    if method == 3 {
        builder.set_capability(second, 2);
    } else if method == 1 || interface == LISTENER {
        builder.set_text(second, "word");
        builder.set_capability(params.pointer(2), 2);
    }
    capabilities(builder, payload.pointer(1), choices);
}

fn reply(builder: &mut Builder, body: StructAt, choices: &mut Choices<'_>) {
    match choices.below(4) {
        0 | 1 => {
            let payload = builder.init_struct(body.pointer(0), 0, 2);
            let results = builder.init_struct(payload.pointer(0), 1, 1);
            builder.set_bits(results, 64, 0, u64::from(choices.next()));
            builder.set_capability(results.pointer(0), u32::from(choices.below(4)));
            capabilities(builder, payload.pointer(1), choices);
        }
        2 => {
            builder.set_bits(body, 16, 3, 1);
            let exception = builder.init_struct(body.pointer(0), 1, 2);
            builder.set_text(exception.pointer(0), "std::exception: no");
            builder.set_bits(exception, 16, 2, u64::from(choices.below(5)));
        }
        _ => builder.set_bits(body, 16, 3, u64::from(choices.below(7))),
    }
}

/// What a call or an embargo is about.
fn target(builder: &mut Builder, at: PointerAt, choices: &mut Choices<'_>) {
    let target = builder.init_struct(at, 1, 1);
    if choices.below(2) == 0 {
        let id = choices.number();
        builder.set_bits(target, 32, 0, id);
    } else {
        builder.set_bits(target, 16, 2, 1);
        answer(builder, target.pointer(0), choices);
    }
}

/// A pointer in the results of an earlier call.
fn answer(builder: &mut Builder, at: PointerAt, choices: &mut Choices<'_>) {
    let promised = builder.init_struct(at, 1, 1);
    let number = choices.number();
    builder.set_bits(promised, 32, 0, number);
    let count = usize::from(choices.below(3));
    let steps = builder.init_struct_list(promised.pointer(0), count, 1, 0);
    for index in 0..count {
        let step = steps.structure(index as u32);
        builder.set_bits(step, 16, 0, u64::from(choices.below(2)));
        builder.set_bits(step, 16, 1, u64::from(choices.below(3)));
    }
}

/// A table of three: objects of either side, promises, and pointers in earlier results.
fn capabilities(builder: &mut Builder, at: PointerAt, choices: &mut Choices<'_>) {
    let table = builder.init_struct_list(at, 3, 1, 1);
    for index in 0..3 {
        let entry = table.structure(index);
        let kind = u64::from(choices.below(6));
        builder.set_bits(entry, 16, 0, kind);
        match kind {
            1..=3 => {
                let id = choices.number();
                builder.set_bits(entry, 32, 1, id);
            }
            4 => answer(builder, entry.pointer(0), choices),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::conversation;
    use mp_core::wire::{Message, ReadLimits, frame_size};

    #[test]
    fn conversations_are_messages() {
        for seed in [
            &[][..],
            &[1; 40],
            b"any bytes will do, and a few more are better",
        ] {
            let bytes = conversation(seed);
            let mut rest = &bytes[..];
            let mut count = 0;
            while !rest.is_empty() {
                let size = frame_size(rest, &ReadLimits::default())
                    .expect("a frame")
                    .expect("a whole one");
                let (frame, others) = rest.split_at(size);
                Message::parse(frame.to_vec(), &ReadLimits::default()).expect("a message");
                rest = others;
                count += 1;
            }
            assert_eq!(count > 0, !seed.is_empty());
        }
    }
}
