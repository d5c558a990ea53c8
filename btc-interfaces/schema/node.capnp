# The node as a GUI sees it. Ordinals and ids are this project's own, as in chain.capnp.
@0x8cbac0ead425994b;

using Proxy = import "/mp/proxy.capnp";
using Rust = import "/mp/rust.capnp";
using Chain = import "chain.capnp";
using Common = import "common.capnp";
using Handler = import "handler.capnp";
using Wallet = import "wallet.capnp";

interface Node $Proxy.wrap("btc_interfaces::Node") {
    # A running node.

    destroy @0 (context :Proxy.Context) -> ();
    status @1 (context :Proxy.Context) -> (result :NodeStatus);
    startShutdown @2 (context :Proxy.Context) -> ();
    shutdownRequested @3 (context :Proxy.Context) -> (result :Bool);
    executeRpc @4 (context :Proxy.Context, method :Text, params :Text $Rust.secret, walletName :Text) -> (result :Chain.RpcReply);
    # Arguments are JSON text.
    listRpcCommands @5 (context :Proxy.Context) -> (result :List(Text));
    walletLoader @6 (context :Proxy.Context) -> (result :Wallet.WalletLoader);
    handleEvents @7 (context :Proxy.Context, events :NodeEvents) -> (result :Handler.Handler);
}

interface NodeEvents $Proxy.wrap("btc_interfaces::NodeEvents") {
    # Hears of what a GUI shows.

    destroy @0 (context :Proxy.Context) -> ();
    blockTip @1 (context :Proxy.Context, tip :Common.BlockRef, time :Int64, verificationProgress :Float64) -> ();
    initMessage @2 (context :Proxy.Context, message :Text) -> ();
}

struct NodeStatus $Proxy.wrap("btc_interfaces::NodeStatus") {
    chain @0 :Text;
    tip @1 :Common.BlockRef;
    headerTip @2 :Common.BlockRef;
    tipTime @3 :Int64;
    verificationProgress @4 :Float64;
    initialBlockDownload @5 :Bool;
    connections @6 :UInt64;
    mempoolSize @7 :UInt64;
    warnings @8 :Text;
}
