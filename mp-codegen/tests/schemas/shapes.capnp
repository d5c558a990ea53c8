# Every shape that an interface can have, in one file.

@0xa1b2c3d4e5f60718;

using Proxy = import "/mp/proxy.capnp";
using Rust = import "/mp/rust.capnp";
using Base = import "base.capnp";

const answer :Int32 = -42;
# A number with a sign.

const limit :UInt64 = 18446744073709551615;
const small :UInt8 = 255;
const ratio :Float32 = 0.1;
const huge :Float64 = 1.7976931348623157e308;
const endless :Float64 = inf;
const greeting :Text = "say \"hi\"\n";
const magic :Data = 0x"f9 be b4 d9 22 5c";
const flag :Bool = true;
const favourite :Colour = green;

interface Shapes $Proxy.wrap("crate::Shapes") {
    # Has a method for each shape.
    #
    # Its comment has a [bracket], a <tag> and `code [x]`,
    #     a line that is indented:
    #
    #         let x = 1;

    construct @0 (threadMap: Proxy.ThreadMap) -> (threadMap :Proxy.ThreadMap);
    destroy @1 (context :Proxy.Context) -> ();

    scalars @2 (b :Bool, i8 :Int8, i16 :Int16, i32 :Int32, i64 :Int64, f32 :Float32, f64 :Float64, v :Void) -> (result :UInt32);
    # Numbers of all widths.

    defaults @3 (b :Bool = true, i8 :Int8 = -1, u16 :UInt16 = 7, i32 :Int32 = -2, f64 :Float64 = .huge, c :Colour = blue) -> ();
    blobs @4 (text :Text, data :Data, many :List(Data), deep :List(List(Int16))) -> (result :List(Text));
    optional @5 (value :Int64, hasValue :Bool) -> (result :Base.Point, hasResult :Bool);
    pairs @6 (map :List(Pair(Text, Base.Point)), nested :Pair(Pair(Text, Text), List(Int32))) -> (result :Pair(Data, Data));
    fails @7 (colour :Colour) -> (error :Text $Proxy.exception("std::exception"), result :Int32);
    inOut @8 (sum :Int32) -> (sum :Int32, reason :Text, result :Bool);
    callback @9 (context :Proxy.Context, callback :Listener) -> (result :Base.Handle);
    named @10 Base.Point -> Whole;
    renamed @11 (type :Text) -> () $Proxy.name("spelledInRust");
    counted @12 (counted :Text $Proxy.count(0), pair :Text $Proxy.count(2)) -> ();
    later @14 () -> ();
    # Declared before its elder.

    elder @13 (contextLast :Proxy.Context) -> ();
    login @15 (passphrase :Text $Rust.secret, pin :Int32 = 4 $Rust.secret) -> (result :Data $Rust.secret);
}

interface Root {
    construct @0 (threadMap: Proxy.ThreadMap) -> (threadMap :Proxy.ThreadMap);
    makeListener @1 (context :Proxy.Context, favourite :Colour) -> (result :Listener);
}

interface Listener extends(Base.Handle) {
    # Names no trait.

    call @0 (context :Proxy.Context, colour :Colour) -> (result :Bool);
    list @1 (items :List(Inner)) -> (total :Int32, first :Inner, hasFirst :Bool);

    struct Inner {
        # Lies within an interface.

        point @0 :Base.Point;
        parent @1 :List(Inner);
    }
}

enum Colour {
    red @0;
    # The first.

    green @1;
    darkBlue @3;
    blue @2;
}

struct Pair(First, Second) {
    first @0 :First;
    second @1 :Second;
}

struct Whole $Proxy.wrap("crate::Whole") {
    # Fields out of order.

    second @1 :Text;
    # Comes first in the code.

    first @0 :Int32 = 8000 $Proxy.name("the_first");
    skipped @2 :UInt64 $Proxy.skip;
    small @3 :UInt8 = 3;
    flag @4 :Bool = true;
    any @5 :AnyPointer;
    ratio @6 :Float32 = 0.5;
}
