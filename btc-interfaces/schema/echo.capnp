# The smallest interface.

@0x888b4f7f51e691f7;

using Proxy = import "/mp/proxy.capnp";

interface Echo $Proxy.wrap("btc_interfaces::Echo") {
    # Returns what it is given.

    destroy @0 (context :Proxy.Context) -> ();
    # Frees the object; the reply says that it is gone.

    echo @1 (context :Proxy.Context, echo: Text) -> (result :Text);
    # Returns `echo` unchanged.
}
