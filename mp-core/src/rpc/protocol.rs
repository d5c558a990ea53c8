//! The messages of the RPC protocol, as offsets into the structs of Cap'n Proto's `rpc.capnp`.

use crate::error::ExceptionKind;
use crate::wire::{
    Builder, ElementSize, PointerAt, PointerReader, StructAt, StructReader, WireError,
};

/// Tags of `Message`.
pub(super) mod tag {
    pub(crate) const UNIMPLEMENTED: u64 = 0;
    pub(crate) const ABORT: u64 = 1;
    pub(crate) const CALL: u64 = 2;
    pub(crate) const RETURN: u64 = 3;
    pub(crate) const FINISH: u64 = 4;
    pub(crate) const RESOLVE: u64 = 5;
    pub(crate) const RELEASE: u64 = 6;
    pub(crate) const BOOTSTRAP: u64 = 8;
    pub(crate) const DISEMBARGO: u64 = 13;
}

/// Steps from the results of a call to a capability in them: indices of pointers.
pub(super) type Path = Vec<u16>;

/// What a call is made on.
pub(super) enum Target {
    Imported(u32),
    Answer(u32, Path),
}

/// A capability in a payload's table, as the peer describes it.
pub(super) enum Descriptor {
    None,
    /// An object of the sender.
    SenderHosted(u32),
    /// A promise of the sender's, who says later what became of it.
    SenderPromise(u32),
    ReceiverHosted(u32),
    ReceiverAnswer(u32, Path),
    Unknown,
}

/// Path steps that a promised answer may have; a schema's structs nest less deep.
const MAX_STEPS: u32 = 64;

/// Starts a message of which only the body's struct is left to fill.
fn message(builder: &mut Builder, tag: u64, data_words: u16, pointers: u16) -> StructAt {
    let root = builder.init_struct(builder.root(), 1, 1);
    builder.set_bits(root, 16, 0, tag);
    builder.init_struct(root.pointer(0), data_words, pointers)
}

/// A call being written.
pub(super) struct CallAt {
    pub(super) call: StructAt,
    pub(super) payload: StructAt,
}

impl CallAt {
    pub(super) fn content(&self) -> PointerAt {
        self.payload.pointer(0)
    }

    pub(super) fn set_question(&self, builder: &mut Builder, question: u32) {
        builder.set_bits(self.call, 32, 0, question.into());
    }
}

pub(super) fn begin_call(
    builder: &mut Builder,
    import: u32,
    interface: u64,
    ordinal: u16,
) -> CallAt {
    let call = message(builder, tag::CALL, 3, 3);
    builder.set_bits(call, 64, 1, interface);
    builder.set_bits(call, 16, 2, ordinal.into());
    let target = builder.init_struct(call.pointer(0), 1, 1);
    builder.set_bits(target, 32, 0, import.into());
    let payload = builder.init_struct(call.pointer(1), 0, 2);
    CallAt { call, payload }
}

/// A return with results being written.
pub(super) struct ReturnAt {
    ret: StructAt,
    pub(super) payload: StructAt,
}

impl ReturnAt {
    pub(super) fn content(&self) -> PointerAt {
        self.payload.pointer(0)
    }

    /// Tells the peer that it need not send `Finish`. The field came with Cap'n Proto 1.1; older peers do not see it.
    pub(super) fn set_no_finish(&self, builder: &mut Builder) {
        builder.set_bit(self.ret, 33, true);
    }
}

/// `releaseParamCaps` is never used: references are released one by one as they are dropped.
fn begin_return_body(builder: &mut Builder, answer: u32, variant: u64) -> StructAt {
    let ret = message(builder, tag::RETURN, 2, 1);
    builder.set_bits(ret, 32, 0, answer.into());
    // The field's default is true, so a set bit means false.
    builder.set_bit(ret, 32, true);
    builder.set_bits(ret, 16, 3, variant);
    ret
}

pub(super) fn begin_return(builder: &mut Builder, answer: u32) -> ReturnAt {
    let ret = begin_return_body(builder, answer, 0);
    let payload = builder.init_struct(ret.pointer(0), 0, 2);
    ReturnAt { ret, payload }
}

pub(super) fn return_exception(answer: u32, kind: ExceptionKind, reason: &str) -> Builder {
    let mut builder = Builder::new();
    let ret = begin_return_body(&mut builder, answer, 1);
    builder.set_bit(ret, 33, true);
    exception(&mut builder, ret.pointer(0), kind, reason);
    builder
}

/// A return without a body: 2 is canceled, 3 is results sent elsewhere.
pub(super) fn return_bare(answer: u32, variant: u64) -> Builder {
    let mut builder = Builder::new();
    begin_return_body(&mut builder, answer, variant);
    builder
}

fn exception(builder: &mut Builder, at: PointerAt, kind: ExceptionKind, reason: &str) {
    let exception = builder.init_struct(at, 1, 2);
    builder.set_text(exception.pointer(0), reason);
    let code = match kind {
        ExceptionKind::Failed => 0,
        ExceptionKind::Overloaded => 1,
        ExceptionKind::Disconnected => 2,
        ExceptionKind::Unimplemented => 3,
    };
    builder.set_bits(exception, 16, 2, code);
}

pub(super) fn read_exception(
    exception: StructReader<'_>,
) -> Result<(ExceptionKind, String), WireError> {
    let kind = match exception.bits(16, 2) {
        1 => ExceptionKind::Overloaded,
        2 => ExceptionKind::Disconnected,
        3 => ExceptionKind::Unimplemented,
        _ => ExceptionKind::Failed,
    };
    Ok((kind, exception.pointer(0).text()?.to_owned()))
}

pub(super) fn abort(reason: &str) -> Builder {
    let mut builder = Builder::new();
    let root = builder.init_struct(builder.root(), 1, 1);
    builder.set_bits(root, 16, 0, tag::ABORT);
    exception(&mut builder, root.pointer(0), ExceptionKind::Failed, reason);
    builder
}

pub(super) fn bootstrap(question: u32) -> Builder {
    let mut builder = Builder::new();
    let body = message(&mut builder, tag::BOOTSTRAP, 1, 1);
    builder.set_bits(body, 32, 0, question.into());
    builder
}

/// References to capabilities in the results are kept: each is released on its own.
pub(super) fn finish(question: u32) -> Builder {
    let mut builder = Builder::new();
    let body = message(&mut builder, tag::FINISH, 1, 0);
    builder.set_bits(body, 32, 0, question.into());
    // The field's default is true, so a set bit means false.
    builder.set_bit(body, 32, true);
    builder
}

pub(super) fn release(id: u32, count: u32) -> Builder {
    let mut builder = Builder::new();
    let body = message(&mut builder, tag::RELEASE, 1, 0);
    builder.set_bits(body, 32, 0, id.into());
    builder.set_bits(body, 32, 1, count.into());
    builder
}

/// The request of a disembargo: everything sent before to the promise `import` is to have come back when it is answered.
pub(super) fn disembargo_sender(import: u32, id: u32) -> Builder {
    disembargo(import, id, 0)
}

/// The answer to a disembargo: it goes back to the object that the peer's own calls reached through us.
pub(super) fn disembargo_receiver(import: u32, id: u32) -> Builder {
    disembargo(import, id, 1)
}

fn disembargo(import: u32, id: u32, context: u64) -> Builder {
    let mut builder = Builder::new();
    let body = message(&mut builder, tag::DISEMBARGO, 1, 1);
    builder.set_bits(body, 32, 0, id.into());
    builder.set_bits(body, 16, 2, context);
    let target = builder.init_struct(body.pointer(0), 1, 1);
    builder.set_bits(target, 32, 0, import.into());
    builder
}

pub(super) fn unimplemented(original: PointerReader<'_>) -> Result<Builder, WireError> {
    let mut builder = Builder::new();
    let root = builder.init_struct(builder.root(), 1, 1);
    builder.set_bits(root, 16, 0, tag::UNIMPLEMENTED);
    builder.copy(root.pointer(0), original)?;
    Ok(builder)
}

/// What to put into a payload's table.
pub(super) enum Described {
    None,
    SenderHosted(u32),
    ReceiverHosted(u32),
}

pub(super) fn put_cap_table(builder: &mut Builder, payload: StructAt, table: &[Described]) {
    if table.is_empty() {
        return;
    }
    let list = builder.init_struct_list(payload.pointer(1), table.len(), 1, 1);
    for (index, described) in (0..list.len()).zip(table) {
        let at = list.structure(index);
        let (variant, id) = match described {
            Described::None => (0, 0),
            Described::SenderHosted(id) => (1, *id),
            Described::ReceiverHosted(id) => (3, *id),
        };
        builder.set_bits(at, 16, 0, variant);
        // No descriptor is attached: the field's default is 255, so 0 bits say 255.
        builder.set_bits(at, 32, 1, id.into());
    }
}

pub(super) fn read_target(target: StructReader<'_>) -> Result<Option<Target>, WireError> {
    Ok(match target.bits(16, 2) {
        0 => Some(Target::Imported(target.bits(32, 0) as u32)),
        1 => {
            let (answer, path) = read_promised(target.pointer(0).structure()?)?;
            Some(Target::Answer(answer, path))
        }
        _ => None,
    })
}

fn read_promised(promised: StructReader<'_>) -> Result<(u32, Path), WireError> {
    let steps = promised.pointer(0).list()?;
    if steps.len() > MAX_STEPS {
        return Err(WireError::NestingLimit);
    }
    let mut path = Path::new();
    for index in 0..steps.len() {
        let step = steps.structure(index)?;
        if step.bits(16, 0) == 1 {
            path.push(step.bits(16, 1) as u16);
        }
    }
    Ok((promised.bits(32, 0) as u32, path))
}

pub(super) fn read_descriptor(descriptor: StructReader<'_>) -> Result<Descriptor, WireError> {
    let id = descriptor.bits(32, 1) as u32;
    Ok(match descriptor.bits(16, 0) {
        0 => Descriptor::None,
        1 => Descriptor::SenderHosted(id),
        2 => Descriptor::SenderPromise(id),
        3 => Descriptor::ReceiverHosted(id),
        4 => {
            let (answer, path) = read_promised(descriptor.pointer(0).structure()?)?;
            Descriptor::ReceiverAnswer(answer, path)
        }
        // An object of a third party comes with one of the sender that stands for it.
        5 => Descriptor::SenderHosted(descriptor.pointer(0).structure()?.bits(32, 0) as u32),
        _ => Descriptor::Unknown,
    })
}

/// The table of a payload, of no more than `limit` entries.
pub(super) fn read_cap_table(
    payload: StructReader<'_>,
    limit: usize,
) -> Result<Vec<Descriptor>, WireError> {
    let list = payload.pointer(1).list()?;
    if list.len() as usize > limit {
        return Err(WireError::TooLarge);
    }
    // An honest table has structs; no other list can name a capability.
    if !list.is_empty() && list.element() != ElementSize::Composite {
        return Err(WireError::BadList);
    }
    (0..list.len())
        .map(|index| read_descriptor(list.structure(index)?))
        .collect()
}

/// The results in a `Return`.
pub(crate) fn results_of(root: PointerReader<'_>) -> Result<PointerReader<'_>, WireError> {
    Ok(root
        .structure()?
        .pointer(0)
        .structure()?
        .pointer(0)
        .structure()?
        .pointer(0))
}

/// The parameters in a `Call`.
pub(super) fn params_of(root: PointerReader<'_>) -> Result<PointerReader<'_>, WireError> {
    Ok(root
        .structure()?
        .pointer(0)
        .structure()?
        .pointer(1)
        .structure()?
        .pointer(0))
}
