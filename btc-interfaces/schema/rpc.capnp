# The RPC server, without HTTP.

@0x9c3505dc45e146ac;

using Proxy = import "/mp/proxy.capnp";
using Rust = import "/mp/rust.capnp";

interface Rpc $Proxy.wrap("btc_interfaces::Rpc") {
    # Runs JSON-RPC requests.

    executeRpc @0 (context :Proxy.Context, request :Text $Rust.secret, uri :Text, user :Text) -> (result :Text $Rust.secret);
    # `request` and `result` are JSON texts; `uri` and `user` are what HTTP would have brought.
}
