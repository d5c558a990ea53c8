@0x9000000000000020;

using Proxy = import "/mp/proxy.capnp";
using Rust = import "/mp/rust.capnp";

interface Plane @0x9000000000000022 $Proxy.wrap("Plane") {
    construct @0 (threadMap :Proxy.ThreadMap) -> (threadMap :Proxy.ThreadMap);
    mirror @1 (context :Proxy.Context, point :Point, times :UInt8) -> (result :List(Point));
    nearest @2 (context :Proxy.Context, toPoint :Point) -> (point :Point, distance :Float64, hasDistance :Bool, tried :UInt16);
    divide @3 (context :Proxy.Context, a :Int16, b :Int16) -> (result :Int16, hasResult :Bool, error :Text $Proxy.exception("std::exception"));
    place @4 (context :Proxy.Context, point :Point) -> (error :Point $Proxy.exception("Point"));
    each @5 (context :Proxy.Context, seen :Seen) -> (result :UInt64);
    names @6 (context :Proxy.Context, sizes :List(PairTextInt64)) -> (result :List(PairTextInt64));
    unlock @7 (context :Proxy.Context, passphrase :Text $Rust.secret, certain :Bool) -> (result :Bool);
    unused8 @8 () -> ();
    unused9 @9 () -> ();
    count @10 () -> (result :UInt16);
}

struct Point @0x9000000000000021 $Proxy.wrap("Point") {
    hidden @0 :Bool;
    x @1 :Int32;
    y @2 :Int64;
    hasY @3 :Bool;
    lastName @4 :Text;
    weight @5 :Float32;
    next @6 :Point;
    key @7 :Data $Rust.secret;
    seen @8 :Bool;
    hasSeen @9 :Bool;
    colour @10 :Int8;
    b1X @11 :UInt8 $Proxy.name("b_1_x");
}

interface Seen @0x9000000000000024 extends(Named) $Proxy.wrap("Seen") {
    seen @0 (context :Proxy.Context, point :Point) -> (result :UInt64);
}

interface Named @0x9000000000000023 $Proxy.wrap("Named") {
    name @0 (context :Proxy.Context) -> (result :Text);
}

struct PairTextInt64 {
    first @0 :Text;
    second @1 :Int64;
}
