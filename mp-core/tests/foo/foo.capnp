# An interface with every shape that a call can have, for the tests of mp-core. The tables in tables.rs come from it:
# mpgen --out DIR foo.capnp

@0xe6d19b4057a2c803;

using Proxy = import "/mp/proxy.capnp";
using Rust = import "/mp/rust.capnp";

interface Foo @0xc1a02f6d9be47011 $Proxy.wrap("Foo") {
    construct @0 (threadMap :Proxy.ThreadMap) -> (threadMap :Proxy.ThreadMap);
    add @1 (context :Proxy.Context, a :Int32, b :Int32) -> (result :Int32);
    addDirect @2 (a :Int32, b :Int32) -> (result :Int32);
    pass @3 (context :Proxy.Context, shape :Shape) -> (result :Shape);
    echoData @4 (context :Proxy.Context, data :Data) -> (result :Data);
    find @5 (context :Proxy.Context, key :Text) -> (result :Int32, hasResult :Bool);
    findShape @6 (context :Proxy.Context, key :Text) -> (result :Shape);
    divide @7 (context :Proxy.Context, a :Int32, b :Int32) -> (result :Int32, error :Text $Proxy.exception("std::exception"));
    check @8 (context :Proxy.Context, text :Text) -> (reason :Text, debug :Text, result :Bool);
    callback @9 (context :Proxy.Context, callback :Callback, n :Int32) -> (result :Int32);
    save @10 (context :Proxy.Context, callback :Callback) -> ();
    callSaved @11 (context :Proxy.Context, n :Int32) -> (result :Int32);
    forget @12 (context :Proxy.Context) -> ();
    makeCounter @13 (context :Proxy.Context) -> (result :Counter);
    giveBack @14 (context :Proxy.Context, callback :Callback) -> (result :Callback);
    maybeCall @15 (context :Proxy.Context, callback :Callback) -> (result :Bool);
    fail @16 (context :Proxy.Context, text :Text) -> ();
    panic @17 (context :Proxy.Context) -> ();
    threadName @18 (context :Proxy.Context) -> (result :Text);
    limits @19 (context :Proxy.Context, timeout :Float64 = 1.5, count :UInt64 = 8000, wanted :Bool = true) -> (result :List(Text));
    transactions @20 (context :Proxy.Context, ids :List(Data)) -> (result :List(Data));
    sizes @21 (context :Proxy.Context, map :List(Size), names :List(Pair(Text, Text))) -> (result :List(Size));
    unknownToRust @22 (context :Proxy.Context) -> ();
    block @23 (context :Proxy.Context) -> ();
    narrow @24 (context :Proxy.Context, value :Int64) -> (result :Int8);
    unlock @25 (context :Proxy.Context, name :Text, passphrase :Text $Rust.secret, shares :List(Text) $Rust.secret, pin :Int32 $Rust.secret) -> (result :Data $Rust.secret);
}

interface Callback @0xa9d403b715ce8e22 $Proxy.wrap("Callback") {
    call @0 (context :Proxy.Context, n :Int32) -> (result :Int32);
}

interface Counter @0x93f261c8d0a54b33 extends(Named) $Proxy.wrap("Counter") {
    destroy @0 (context :Proxy.Context) -> ();
    next @1 (context :Proxy.Context) -> (result :UInt64);
}

interface Named @0xb5e722d98c316f44 $Proxy.wrap("Named") {
    name @0 (context :Proxy.Context) -> (result :Text);
}

struct Shape @0xd8b347e106fa9c55 $Proxy.wrap("Shape") {
    title @0 :Text;
    sides @1 :List(Int32);
    flags @2 :List(Bool);
    area @3 :Int64;
    hasArea @4 :Bool;
    colour @5 :Int32 $Proxy.name("paint");
    parts @6 :List(Part);
    weights @7 :List(Weight);
    ratio @8 :Float64;
    small @9 :Int8;
    raw @10 :Data;
    whole @11 :Part;
    visible @12 :Bool = true;
}

struct Part @0xf0c95a82b3172d66 $Proxy.wrap("Part") {
    id @0 :UInt32 = 7;
    label @1 :Text;
}

struct Size @0xa3f18d026be94c77 {
    first @0 :Text;
    second @1 :Int64;
}

struct Weight @0xbe0247d935f61a88 {
    first @0 :Text;
    second @1 :Int32;
}

struct Pair(First, Second) {
    first @0 :First;
    second @1 :Second;
}
