# What the other schema imports.

@0xb1b2c3d4e5f60719;

using Proxy = import "/mp/proxy.capnp";

struct Point $Proxy.wrap("crate::Point") {
    x @0 :Int32;
    y @1 :Int32;
}

interface Handle $Proxy.wrap("crate::Handle") {
    destroy @0 (context :Proxy.Context) -> ();
    disconnect @1 (context :Proxy.Context) -> ();
}
