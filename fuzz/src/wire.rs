//! Cap'n Proto messages from a peer.

use mp_core::wire::{
    Builder, ElementSize, Message, PointerKind, PointerReader, ReadLimits, StructReader, WireError,
};

/// Reads every value of a message, and copies it to new messages, in one segment and in many, which then hold the same.
pub fn wire_message(data: &[u8]) {
    let limits = ReadLimits {
        message_bytes: 1 << 20,
        traversal_words: 1 << 16,
        ..ReadLimits::default()
    };
    let parse = || Message::parse(data.to_vec(), &limits);
    let Ok(message) = parse() else { return };
    let mut values = Vec::new();
    if walk(message.root(), &mut values).is_err() {
        return;
    }
    for segment_bytes in [64, 1 << 20] {
        let original = parse().expect("it was parsed before");
        let mut builder = Builder::with_segments(segment_bytes);
        let root = builder.root();
        builder
            .copy(root, original.root())
            .expect("every value was read before");
        // Small segments cost a far pointer each, and shared values are copied as often as they are referred to.
        let generous = ReadLimits {
            message_bytes: 64 << 20,
            segments: 1 << 20,
            traversal_words: 1 << 24,
            nesting: 64,
        };
        let bytes = builder
            .finish(generous.message_bytes)
            .expect("what is read within limits can be written");
        let copy = Message::parse(bytes, &generous).expect("the builder writes whole frames");
        let mut copied = Vec::new();
        match walk(copy.root(), &mut copied) {
            Ok(()) => assert!(values == copied, "the copy has other values"),
            // Without the original's unused words it is too short for so many empty elements.
            Err(WireError::TraversalLimit) => {}
            Err(error) => panic!("the copy cannot be read: {error}"),
        }
    }
}

/// Notes all that can be reached from `pointer`.
fn walk(pointer: PointerReader<'_>, values: &mut Vec<u64>) -> Result<(), WireError> {
    match pointer.kind()? {
        PointerKind::Null => values.push(0),
        PointerKind::Capability => {
            values.extend([1, u64::from(pointer.capability()?.unwrap_or(u32::MAX))]);
        }
        PointerKind::Struct => {
            values.push(2);
            walk_struct(pointer.structure()?, values)?;
        }
        PointerKind::List => {
            let list = pointer.list()?;
            values.extend([3, list.element() as u64, u64::from(list.len())]);
            match list.element() {
                ElementSize::Composite => {
                    for index in 0..list.len() {
                        walk_struct(list.structure(index)?, values)?;
                    }
                }
                ElementSize::Pointer => {
                    for index in 0..list.len() {
                        walk(list.pointer(index)?, values)?;
                    }
                }
                ElementSize::Void => {}
                element => {
                    list.expect_bits(element.bits())?;
                    values.extend((0..list.len()).map(|i| list.bits(element.bits(), i)));
                }
            }
            if list.element() == ElementSize::Byte {
                assert_eq!(pointer.data()?.len(), list.len() as usize);
                // It may be no text, but that is for the reader to say.
                let _ = pointer.text();
            }
        }
    }
    Ok(())
}

fn walk_struct(reader: StructReader<'_>, values: &mut Vec<u64>) -> Result<(), WireError> {
    let words = reader.data_section().len() / 8;
    values.extend([words as u64, u64::from(reader.pointer_count())]);
    values.extend((0..words).map(|i| reader.bits(64, u32::try_from(i).unwrap_or(u32::MAX))));
    for index in 0..reader.pointer_count() {
        walk(reader.pointer(u32::from(index)), values)?;
    }
    Ok(())
}
