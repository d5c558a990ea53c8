# Annotations and types shared by every schema whose interfaces cross processes.
#
# Ids, names, ordinals and types are those of libmultiprocess, so that a schema written against its file means the
# same here, and the two speak to each other. What an annotation does is told for Rust.

@0xcc316e3f71a040fb;

annotation include(file): Text;
# A C++ header; no concern of Rust's.

annotation includeTypes(file): Text;
# A C++ header with conversions; no concern of Rust's.

annotation wrap(interface, struct): Text;
# The trait or struct on the other side of the interface or struct. An interface that has it gets no trait from the
# generator: one exists.

annotation count(param, struct, interface): Int32;
# How many arguments of the call stand for the parameter. 0: none, the runtime fills it in. A positive number counts
# C++ arguments; in Rust there is one. On a type it holds for every parameter of that type.

annotation exception(param): Text;
# The result is an error of this type: set when the method fails with it.

annotation name(field, method): Text;
# The name on the Rust side, where it is not the schema's in snake case.

annotation skip(field): Void;
# No member of the Rust struct stands for the field.

interface ThreadMap $count(0) {
    # Makes threads for the other side's calls. Each side gives one to the other when they meet.

    makeThread @0 (name :Text) -> (result :Thread);
    # Starts a thread of this name for one thread of the caller, and gives its handle.

    makePool @1 (count :UInt32) -> ();
    # Starts `count` threads for the calls that name none. Once per connection.
}

interface Thread {
    # A thread that calls can be sent to. Calls sent to one run in the order of their sending.

    getName @0 () -> (result: Text);
    # The name given to `makeThread`, with what the serving side adds.
}

struct Context $count(0) {
    # On which threads a call runs.

    thread @0 : Thread;
    # The thread that serves the call; null for any of the pool.

    callbackThread @1 : Thread;
    # The caller's thread, which waits for the call's end meanwhile: what the call calls back runs there.
}
