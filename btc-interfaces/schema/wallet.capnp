# Wallets, as the node and a GUI see them. Ordinals and ids are this project's own, as in chain.capnp.
@0xa9d03c2ebddc07ab;

using Proxy = import "/mp/proxy.capnp";
using Chain = import "chain.capnp";
using Common = import "common.capnp";
using Handler = import "handler.capnp";

interface WalletLoader $Proxy.wrap("btc_interfaces::WalletLoader") {
    # The wallets of a process.

    destroy @0 (context :Proxy.Context) -> ();
    chainClient @1 (context :Proxy.Context) -> (result :Chain.ChainClient);
    createWallet @2 (context :Proxy.Context, options :CreateWallet) -> (wallet :Wallet, warnings :List(Text), error :Text, code :Int32);
    loadWallet @3 (context :Proxy.Context, name :Text, loadOnStartup :Bool, hasLoadOnStartup :Bool) -> (wallet :Wallet, warnings :List(Text), error :Text, code :Int32);
    walletDir @4 (context :Proxy.Context) -> (result :Text);
    listWalletDir @5 (context :Proxy.Context) -> (result :List(Text));
    wallets @6 (context :Proxy.Context) -> (result :List(Wallet));
    handleLoadWallet @7 (context :Proxy.Context, listener :WalletListener) -> (result :Handler.Handler);
}

interface WalletListener $Proxy.wrap("btc_interfaces::WalletListener") {
    # Hears of loaded wallets.

    destroy @0 (context :Proxy.Context) -> ();
    walletLoaded @1 (context :Proxy.Context, wallet :Wallet) -> ();
}

interface Wallet $Proxy.wrap("btc_interfaces::Wallet") {
    # One loaded wallet.

    destroy @0 (context :Proxy.Context) -> ();
    walletName @1 (context :Proxy.Context) -> (result :Text);
    balances @2 (context :Proxy.Context) -> (result :Balances);
    txCount @3 (context :Proxy.Context) -> (result :UInt64);
    newDestination @4 (context :Proxy.Context, addressType :Int32, label :Text) -> (address :Text, error :Text);
    isCrypted @5 (context :Proxy.Context) -> (result :Bool);
    isLocked @6 (context :Proxy.Context) -> (result :Bool);
    lastBlock @7 (context :Proxy.Context) -> (result :Common.BlockRef);
}

struct Balances $Proxy.wrap("btc_interfaces::Balances") {
    trusted @0 :Int64;
    # All in sat.
    untrustedPending @1 :Int64;
    immature @2 :Int64;
}

struct WalletFlags $Proxy.wrap("btc_interfaces::WalletFlags") {
    disablePrivateKeys @0 :Bool;
    blank @1 :Bool;
    avoidReuse @2 :Bool;
}

struct CreateWallet $Proxy.wrap("btc_interfaces::CreateWallet") {
    name @0 :Text;
    flags @1 :WalletFlags;
    loadOnStartup @2 :Bool;
    hasLoadOnStartup @3 :Bool;
}
