# The RPC server, without HTTP.

@0x9c3505dc45e146ac;

using Proxy = import "/mp/proxy.capnp";

interface Rpc $Proxy.wrap("btc_interfaces::Rpc") {
    # Runs JSON-RPC requests.

    executeRpc @0 (context :Proxy.Context, request :Text, uri :Text, user :Text) -> (result :Text);
    # `request` and `result` are JSON texts; `uri` and `user` are what HTTP would have brought.
}
