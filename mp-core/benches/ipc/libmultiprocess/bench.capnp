# The interface that the benchmark measures, for peers in other languages. ../interface.rs says the same.

@0xf1d0a8c5736e2b04;

using Proxy = import "/mp/proxy.capnp";
$Proxy.include("bench.h");
$Proxy.includeTypes("bench-types.h");

interface BenchInit @0x9d1c0f4e62b8a701 $Proxy.wrap("bench::Bench") {
    construct @0 (threadMap :Proxy.ThreadMap) -> (threadMap :Proxy.ThreadMap);
    ping @1 (context :Proxy.Context, n :UInt64) -> (result :UInt64);
    pingDirect @2 (n :UInt64) -> (result :UInt64);
    echo @3 (context :Proxy.Context, data :Data) -> (result :Data);
    callBack @4 (context :Proxy.Context, callback :Callback, n :UInt64) -> (result :UInt64);
    makeObject @5 (context :Proxy.Context) -> (result :Object);
}

interface Callback @0xb3a751c80e94d602 $Proxy.wrap("bench::Callback") {
    call @0 (context :Proxy.Context, n :UInt64) -> (result :UInt64);
}

interface Object @0xe0f28b167d35c403 $Proxy.wrap("bench::Object") {
    number @0 (context :Proxy.Context) -> (result :UInt64);
}
