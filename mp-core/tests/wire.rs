//! The codec against the `capnp` crate, and against itself.

#![allow(missing_docs, clippy::unwrap_used)]

use capnp::message::ReaderOptions;
use mp_core::wire::{
    Builder, ElementSize, Message, PointerAt, PointerReader, ReadLimits, WireError,
};
use proptest::prelude::*;

/// Anything that a pointer can lead to.
#[derive(Debug, Clone, PartialEq)]
enum Value {
    Null,
    Struct(Vec<u64>, Vec<Value>),
    Text(String),
    Data(Vec<u8>),
    Bools(Vec<bool>),
    Numbers(Vec<u32>),
    Pointers(Vec<Value>),
    /// Words and pointers of each element; all have the same counts.
    Structs(usize, Vec<(Vec<u64>, Value)>),
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        ".{0,12}".prop_map(Value::Text),
        prop::collection::vec(any::<u8>(), 0..40).prop_map(Value::Data),
        prop::collection::vec(any::<bool>(), 1..70).prop_map(Value::Bools),
        prop::collection::vec(any::<u32>(), 1..9).prop_map(Value::Numbers),
        prop::collection::vec(any::<u64>(), 0..3).prop_map(|data| Value::Struct(data, Vec::new())),
    ];
    leaf.prop_recursive(4, 48, 5, |inner| {
        prop_oneof![
            (
                prop::collection::vec(any::<u64>(), 0..3),
                prop::collection::vec(inner.clone(), 0..4)
            )
                .prop_map(|(data, pointers)| Value::Struct(data, pointers)),
            prop::collection::vec(inner.clone(), 1..4).prop_map(Value::Pointers),
            (
                0..3_usize,
                prop::collection::vec((any::<[u64; 2]>(), inner), 1..4)
            )
                .prop_map(|(words, items)| {
                    let items = items
                        .into_iter()
                        .map(|(data, value)| (data[..words.min(2)].to_vec(), value));
                    Value::Structs(words.min(2), items.collect())
                }),
        ]
    })
}

fn write(builder: &mut Builder, at: PointerAt, value: &Value) {
    match value {
        Value::Null => {}
        Value::Struct(data, pointers) => {
            let made = builder.init_struct(at, data.len() as u16, pointers.len() as u16);
            for (offset, word) in data.iter().enumerate() {
                builder.set_bits(made, 64, offset as u32, *word);
            }
            for (index, pointer) in pointers.iter().enumerate() {
                write(builder, made.pointer(index as u32), pointer);
            }
        }
        Value::Text(text) => builder.set_text(at, text),
        Value::Data(data) => builder.set_data(at, data),
        Value::Bools(bools) => {
            let list = builder.init_list(at, ElementSize::Bit, bools.len());
            for (index, bool) in bools.iter().enumerate() {
                builder.set_element(list, index as u32, u64::from(*bool));
            }
        }
        Value::Numbers(numbers) => {
            let list = builder.init_list(at, ElementSize::FourBytes, numbers.len());
            for (index, number) in numbers.iter().enumerate() {
                builder.set_element(list, index as u32, u64::from(*number));
            }
        }
        Value::Pointers(pointers) => {
            let list = builder.init_list(at, ElementSize::Pointer, pointers.len());
            for (index, pointer) in pointers.iter().enumerate() {
                write(builder, list.pointer(index as u32), pointer);
            }
        }
        Value::Structs(words, items) => {
            let list = builder.init_struct_list(at, items.len(), *words as u16, 1);
            for (index, (data, pointer)) in items.iter().enumerate() {
                let made = list.structure(index as u32);
                for (offset, word) in data.iter().enumerate() {
                    builder.set_bits(made, 64, offset as u32, *word);
                }
                write(builder, made.pointer(0), pointer);
            }
        }
    }
}

/// Reads what `like` says is there.
fn read(at: PointerReader<'_>, like: &Value) -> Result<Value, WireError> {
    Ok(match like {
        Value::Null => {
            assert!(at.is_null());
            Value::Null
        }
        Value::Struct(data, pointers) => {
            let found = at.structure()?;
            let data = (0..data.len())
                .map(|offset| found.bits(64, offset as u32))
                .collect();
            let pointers = pointers
                .iter()
                .enumerate()
                .map(|(index, like)| read(found.pointer(index as u32), like));
            Value::Struct(data, pointers.collect::<Result<_, _>>()?)
        }
        Value::Text(_) => Value::Text(at.text()?.to_owned()),
        Value::Data(_) => Value::Data(at.data()?.to_vec()),
        Value::Bools(_) => {
            let list = at.list()?;
            list.expect_bits(1)?;
            Value::Bools(
                (0..list.len())
                    .map(|index| list.bits(1, index) == 1)
                    .collect(),
            )
        }
        Value::Numbers(_) => {
            let list = at.list()?;
            list.expect_bits(32)?;
            Value::Numbers(
                (0..list.len())
                    .map(|index| list.bits(32, index) as u32)
                    .collect(),
            )
        }
        Value::Pointers(like) => {
            let list = at.list()?;
            let items = like
                .iter()
                .enumerate()
                .map(|(index, like)| read(list.pointer(index as u32)?, like));
            Value::Pointers(items.collect::<Result<_, _>>()?)
        }
        Value::Structs(words, like) => {
            let list = at.list()?;
            let items = like.iter().enumerate().map(|(index, (_, like))| {
                let found = list.structure(index as u32)?;
                let data = (0..*words)
                    .map(|offset| found.bits(64, offset as u32))
                    .collect();
                Ok((data, read(found.pointer(0), like)?))
            });
            Value::Structs(*words, items.collect::<Result<_, WireError>>()?)
        }
    })
}

fn frame(value: &Value, segment_bytes: usize) -> Vec<u8> {
    let mut builder = Builder::with_segments(segment_bytes);
    let root = builder.root();
    write(&mut builder, root, value);
    builder.finish(1 << 20).unwrap()
}

fn parse(frame: Vec<u8>) -> Message {
    Message::parse(frame, &ReadLimits::default()).unwrap()
}

/// The message as the `capnp` crate writes it canonically: equal messages have equal canonical forms, so its reader
/// found in ours what we put there.
fn canonical(frame: &[u8]) -> Vec<u8> {
    let message = capnp::serialize::read_message(frame, ReaderOptions::new()).unwrap();
    let words = message.canonicalize().unwrap();
    capnp::Word::words_to_bytes(&words).to_vec()
}

proptest! {
    #[test]
    fn what_is_written_is_read(value in value(), segment_bytes in prop::sample::select(vec![16, 64, 256, 1 << 20])) {
        let message = parse(frame(&value, segment_bytes));
        prop_assert_eq!(read(message.root(), &value).unwrap(), value);
    }

    #[test]
    fn capnp_reads_the_same_from_one_segment_and_from_many(data in prop::collection::vec(any::<u64>(), 0..3), values in prop::collection::vec(value(), 1..4)) {
        let value = Value::Struct(data, values);
        let (one, many) = (frame(&value, 1 << 20), frame(&value, 24));
        prop_assert_eq!(canonical(&one), canonical(&many));
    }

    #[test]
    fn what_capnp_wrote_is_read(data in prop::collection::vec(any::<u64>(), 0..3), values in prop::collection::vec(value(), 1..4)) {
        // Its copy of our message, in segments as it likes them.
        let value = Value::Struct(data, values);
        let ours = frame(&value, 1 << 20);
        let read_back = capnp::serialize::read_message(&ours[..], ReaderOptions::new()).unwrap();
        let mut copy = capnp::message::Builder::new(capnp::message::HeapAllocator::new().first_segment_words(2));
        copy.set_root::<capnp::any_pointer::Owned>(read_back.get_root::<capnp::any_pointer::Reader<'_>>().unwrap()).unwrap();
        let theirs = parse(capnp::serialize::write_message_to_words(&copy));
        prop_assert_eq!(read(theirs.root(), &value).unwrap(), value);
    }

    #[test]
    fn a_copy_is_equal(value in value()) {
        let message = parse(frame(&value, 32));
        let mut builder = Builder::new();
        let root = builder.root();
        builder.copy(root, message.root()).unwrap();
        let copy = builder.into_message(&ReadLimits::default()).unwrap();
        prop_assert_eq!(read(copy.root(), &value).unwrap(), value);
    }

    #[test]
    fn any_bytes_are_read_or_refused(mut bytes in prop::collection::vec(any::<u8>(), 16..400), like in value()) {
        // A plausible head, so that most cases get past it.
        let words = (bytes.len() / 8 - 1) as u32;
        bytes[..4].fill(0);
        bytes[4..8].copy_from_slice(&words.to_le_bytes());
        let message = parse(bytes);
        if like != Value::Null {
            let _ = std::panic::catch_unwind(|| read(message.root(), &like)).expect("reading panicked");
        }
        let _ = Builder::new().copy(Builder::new().root(), message.root());
    }

    #[test]
    fn a_spoilt_message_is_read_or_refused(value in value(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = frame(&value, 64);
        let at = 8 + at.index(bytes.len() - 8);
        bytes[at] = byte;
        if let Ok(message) = Message::parse(bytes, &ReadLimits::default()) {
            let _ = Builder::new().copy(Builder::new().root(), message.root());
        }
    }
}

#[test]
fn far_pointers_to_far_pointers() {
    // Segment 0: a double far pointer. Segment 1: its landing pad. Segment 2: the struct.
    let words: [u64; 6] = [
        // Header: three segments of 1, 2 and 1 words.
        2 | 1 << 32,
        2 | 1 << 32,
        2 | 4 | 1 << 32,
        2 | 2 << 32,
        1 << 32,
        0xabcd,
    ];
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    let message = parse(bytes.clone());
    assert_eq!(message.root().structure().unwrap().bits(64, 0), 0xabcd);
    let theirs = capnp::serialize::read_message(&bytes[..], ReaderOptions::new()).unwrap();
    assert_eq!(theirs.size_in_words(), 4);
    assert_eq!(canonical(&bytes)[8..], 0xabcd_u64.to_le_bytes());
}

fn message(words: &[u64]) -> Message {
    let head = (words.len() as u64) << 32;
    parse(
        [head]
            .iter()
            .chain(words)
            .flat_map(|word| word.to_le_bytes())
            .collect(),
    )
}

#[test]
fn a_pointer_loop_ends_at_the_nesting_limit() {
    // A struct of one pointer, which leads back to the struct.
    let message = message(&[1 << 48, u64::from((-1_i32 as u32) << 2) | 1 << 48]);
    let mut at = message.root();
    let mut depth = 0;
    let error = loop {
        match at.structure() {
            Ok(found) => at = found.pointer(0),
            Err(error) => break error,
        }
        depth += 1;
    };
    assert_eq!((depth, error), (64, WireError::NestingLimit));
    assert_eq!(
        Builder::new().copy(Builder::new().root(), message.root()),
        Err(WireError::NestingLimit)
    );
}

#[test]
fn elements_without_size_are_charged_for() {
    // A list of 2^29-1 voids, and one of as many structs without fields: a few bytes each.
    let voids = message(&[1 | 0xffff_fff8 << 32]);
    let structs = message(&[1 | 7 << 32, (1_u64 << 31) - 4]);
    for message in [voids, structs] {
        let mut refused = false;
        for _ in 0..64 {
            refused |= message.root().list().err() == Some(WireError::TraversalLimit);
        }
        assert!(refused);
    }
}

#[test]
fn limits_of_frames() {
    let limits = ReadLimits {
        message_bytes: 64,
        segments: 2,
        ..ReadLimits::default()
    };
    let too_many = [2, 0, 0, 0, 0, 0, 0, 0];
    assert_eq!(
        Message::parse(too_many.to_vec(), &limits).unwrap_err(),
        WireError::TooManySegments
    );
    let too_large = [0, 0, 0, 0, 8, 0, 0, 0];
    assert_eq!(
        Message::parse(too_large.to_vec(), &limits).unwrap_err(),
        WireError::TooLarge
    );
    let cut = [0, 0, 0, 0, 2, 0, 0, 0, 1];
    assert_eq!(
        Message::parse(cut.to_vec(), &limits).unwrap_err(),
        WireError::Truncated
    );
    assert_eq!(
        Message::parse(vec![u8::MAX; 8], &limits).unwrap_err(),
        WireError::TooManySegments
    );
    assert!(
        Message::parse(vec![0; 8], &limits)
            .unwrap()
            .root()
            .is_null()
    );
    let mut builder = Builder::new();
    let root = builder.root();
    builder.set_data(root, &[0; 64]);
    assert_eq!(builder.finish(64), Err(WireError::TooLarge));
}

#[test]
fn a_list_that_became_a_list_of_structs() {
    let mut builder = Builder::new();
    let root = builder.root();
    let list = builder.init_struct_list(root, 3, 1, 1);
    for index in 0..3 {
        builder.set_bits(list.structure(index), 32, 0, 10 + u64::from(index));
        builder.set_text(list.structure(index).pointer(0), "label");
    }
    let grown = builder.into_message(&ReadLimits::default()).unwrap();
    let list = grown.root().list().unwrap();
    list.expect_bits(32).unwrap();
    assert_eq!(list.bits(32, 2), 12);
    assert_eq!(list.pointer(1).unwrap().text().unwrap(), "label");
    assert!(list.expect_bits(1).is_err());

    let mut builder = Builder::new();
    let root = builder.root();
    let list = builder.init_list(root, ElementSize::TwoBytes, 3);
    builder.set_element(list, 1, 77);
    let old = builder.into_message(&ReadLimits::default()).unwrap();
    let list = old.root().list().unwrap();
    assert_eq!(list.structure(1).unwrap().bits(16, 0), 77);
    assert_eq!(list.structure(1).unwrap().bits(32, 0), 0);
    assert!(list.expect_bits(32).is_err());
}
