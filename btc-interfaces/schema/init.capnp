# The first object of a connection.

@0xf2c5cfa319406aa6;

using Proxy = import "/mp/proxy.capnp";
using Echo = import "echo.capnp";
using Chain = import "chain.capnp";
using Common = import "common.capnp";
using Mining = import "mining.capnp";
using Node = import "node.capnp";
using Rpc = import "rpc.capnp";
using Wallet = import "wallet.capnp";

interface Init $Proxy.wrap("btc_interfaces::Init") {
    # Makes the other objects of a process.

    construct @0 (threadMap: Proxy.ThreadMap) -> (threadMap :Proxy.ThreadMap);
    # Called once, first: each side gets the means to make threads on the other.

    makeEcho @1 (context :Proxy.Context) -> (result :Echo.Echo);

    makeMiningOld2 @2 () -> ();
    # Where `makeMining` stood in Core 30; it answers with an error that says so.

    makeMining @3 (context :Proxy.Context) -> (result :Mining.Mining);

    makeRpc @4 (context :Proxy.Context) -> (result :Rpc.Rpc);

    makeChain @5 (context :Proxy.Context) -> (result :Chain.Chain);

    makeNode @6 (context :Proxy.Context) -> (result :Node.Node);

    makeWalletLoader @7 (context :Proxy.Context, globalArgs :Common.GlobalArgs, chain :Chain.Chain) -> (result :Wallet.WalletLoader);
}
