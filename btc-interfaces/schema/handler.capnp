@0xe40a47db9e207559;

using Proxy = import "/mp/proxy.capnp";

interface Handler $Proxy.wrap("btc_interfaces::Handler") {
    # What registering a callback gives. Dropping it (destroy) unregisters.

    destroy @0 (context :Proxy.Context) -> ();
    disconnect @1 (context :Proxy.Context) -> ();
}
