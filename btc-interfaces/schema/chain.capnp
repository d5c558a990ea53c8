# The chain as wallets see it. Core has no such interface on its main branch yet: ordinals and ids are this project's
# own until it does.
@0xfa4cba5f93da14a7;

using Proxy = import "/mp/proxy.capnp";
using Rust = import "/mp/rust.capnp";
using Handler = import "handler.capnp";

interface Chain $Proxy.wrap("btc_interfaces::Chain") {
    # The chain, the mempool and the node's settings.

    destroy @0 (context :Proxy.Context) -> ();
    height @1 (context :Proxy.Context) -> (result :Int32, hasResult :Bool);
    blockHash @2 (context :Proxy.Context, height :Int32) -> (result :Data);
    haveBlockOnDisk @3 (context :Proxy.Context, height :Int32) -> (result :Bool);
    findLocatorFork @4 (context :Proxy.Context, locator :List(Data)) -> (result :Int32, hasResult :Bool);
    findBlock @5 (context :Proxy.Context, hash :Data, want :WantBlock) -> (result :FoundBlock);
    findFirstBlockWithTimeAndHeight @6 (context :Proxy.Context, minTime :Int64, minHeight :Int32) -> (result :FoundBlock);
    findAncestorByHeight @7 (context :Proxy.Context, blockHash :Data, ancestorHeight :Int32) -> (result :FoundBlock);
    findAncestorByHash @8 (context :Proxy.Context, blockHash :Data, ancestorHash :Data) -> (result :FoundBlock);
    findCommonAncestor @9 (context :Proxy.Context, blockHash1 :Data, blockHash2 :Data) -> (result :FoundBlock);
    findCoins @10 (context :Proxy.Context, outpoints :List(Data)) -> (result :List(FoundCoin));
    guessVerificationProgress @11 (context :Proxy.Context, blockHash :Data) -> (result :Float64);
    hasBlocks @12 (context :Proxy.Context, blockHash :Data, minHeight :Int32, maxHeight :Int32, hasMaxHeight :Bool) -> (result :Bool);
    isInMempool @13 (context :Proxy.Context, txid :Data) -> (result :Bool);
    hasDescendantsInMempool @14 (context :Proxy.Context, txid :Data) -> (result :Bool);
    broadcastTransaction @15 (context :Proxy.Context, tx :Data, maxTxFee :Int64, method :Int32) -> (error :Text, result :Bool);
    transactionAncestry @16 (context :Proxy.Context, txid :Data) -> (ancestors :UInt64, clusterCount :UInt64, ancestorSize :UInt64, ancestorFees :Int64);
    packageLimits @17 (context :Proxy.Context) -> (ancestors :UInt32, descendants :UInt32);
    checkChainLimits @18 (context :Proxy.Context, tx :Data) -> (result :Text);
    feeEstimate @19 (context :Proxy.Context, blocks :Int32, conservative :Bool) -> (result :FeeEstimate);
    maxFeeEstimateBlocks @20 (context :Proxy.Context) -> (result :UInt32);
    mempoolMinFee @21 (context :Proxy.Context) -> (result :UInt64);
    relayMinFee @22 (context :Proxy.Context) -> (result :UInt64);
    relayIncrementalFee @23 (context :Proxy.Context) -> (result :UInt64);
    relayDustFee @24 (context :Proxy.Context) -> (result :UInt64);
    havePruned @25 (context :Proxy.Context) -> (result :Bool);
    pruneHeight @26 (context :Proxy.Context) -> (result :Int32, hasResult :Bool);
    isReadyToBroadcast @27 (context :Proxy.Context) -> (result :Bool);
    isInitialBlockDownload @28 (context :Proxy.Context) -> (result :Bool);
    shutdownRequested @29 (context :Proxy.Context) -> (result :Bool);
    initMessage @30 (context :Proxy.Context, message :Text) -> ();
    initWarning @31 (context :Proxy.Context, message :Text) -> ();
    initError @32 (context :Proxy.Context, message :Text) -> ();
    showProgress @33 (context :Proxy.Context, title :Text, progress :Int32, resumePossible :Bool) -> ();
    handleNotifications @34 (context :Proxy.Context, notifications :ChainNotifications, options :NotifyOptions) -> (result :Handler.Handler);
    waitForNotificationsIfTipChanged @35 (context :Proxy.Context, oldTip :Data) -> ();
    waitForNotifications @36 (context :Proxy.Context) -> ();
    handleRpc @37 (context :Proxy.Context, command :RpcCommand, handler :RpcHandler) -> (result :Handler.Handler);
    rpcEnableDeprecated @38 (context :Proxy.Context, method :Text) -> (result :Bool);
    setting @39 (context :Proxy.Context, name :Text) -> (result :Text $Rust.secret);
    # Settings are JSON text.
    settingsList @40 (context :Proxy.Context, name :Text) -> (result :List(Text) $Rust.secret);
    rwSetting @41 (context :Proxy.Context, name :Text) -> (result :Text $Rust.secret);
    overwriteRwSetting @42 (context :Proxy.Context, name :Text, value :Text $Rust.secret, action :Int32) -> (result :Bool);
    requestMempoolTransactions @43 (context :Proxy.Context, notifications :ChainNotifications) -> ();
    hasAssumedValidChain @44 (context :Proxy.Context) -> (result :Bool);
}

interface ChainNotifications $Proxy.wrap("btc_interfaces::ChainNotifications") {
    # What a node tells of its chain.

    destroy @0 (context :Proxy.Context) -> ();
    transactionAddedToMempool @1 (context :Proxy.Context, tx :Data) -> ();
    transactionRemovedFromMempool @2 (context :Proxy.Context, tx :Data, reason :Int32) -> ();
    blockConnected @3 (context :Proxy.Context, block :BlockInfo) -> ();
    blockDisconnected @4 (context :Proxy.Context, block :BlockInfo) -> ();
    updatedBlockTip @5 (context :Proxy.Context) -> ();
    chainStateFlushed @6 (context :Proxy.Context, locator :List(Data)) -> ();
}

interface ChainClient $Proxy.wrap("btc_interfaces::ChainClient") {
    # A part that the node starts and stops.

    destroy @0 (context :Proxy.Context) -> ();
    registerRpcs @1 (context :Proxy.Context) -> ();
    verify @2 (context :Proxy.Context) -> (result :Bool);
    load @3 (context :Proxy.Context) -> (result :Bool);
    start @4 (context :Proxy.Context) -> ();
    stop @5 (context :Proxy.Context) -> ();
    setMockTime @6 (context :Proxy.Context, time :Int64) -> ();
    schedulerMockForward @7 (context :Proxy.Context, seconds :Int64) -> ();
}

interface RpcHandler $Proxy.wrap("btc_interfaces::rpc::RpcHandler") {
    # Answers one registered RPC method.

    destroy @0 (context :Proxy.Context) -> ();
    call @1 (context :Proxy.Context, request :RpcRequest) -> (result :RpcReply);
}

struct WantBlock $Proxy.wrap("btc_interfaces::WantBlock") {
    data @0 :Bool;
    locator @1 :Bool;
}

struct FoundBlock $Proxy.wrap("btc_interfaces::FoundBlock") {
    hash @0 :Data;
    height @1 :Int32;
    time @2 :Int64;
    maxTime @3 :Int64;
    mtpTime @4 :Int64;
    inActiveChain @5 :Bool;
    nextBlock @6 :Data;
    locator @7 :List(Data);
    data @8 :Data;
}

struct FoundCoin $Proxy.wrap("btc_interfaces::FoundCoin") {
    outpoint @0 :Data;
    output @1 :Data;
    height @2 :UInt32;
    coinbase @3 :Bool;
}

struct FeeEstimate $Proxy.wrap("btc_interfaces::FeeEstimate") {
    feerate @0 :UInt64;
    blocks @1 :Int32;
}

struct BlockInfo $Proxy.wrap("btc_interfaces::BlockInfo") {
    hash @0 :Data;
    prevHash @1 :Data;
    height @2 :Int32;
    fileNumber @3 :Int32 = -1;
    dataPos @4 :UInt32;
    chainTimeMax @5 :UInt32;
    data @6 :Data;
}

struct NotifyOptions $Proxy.wrap("btc_interfaces::NotifyOptions") {
    disconnectData @0 :Bool;
}

struct RpcRequest $Proxy.wrap("btc_interfaces::rpc::RpcRequest") {
    method @0 :Text;
    params @1 :Text $Rust.secret;
    # JSON text.
    uri @2 :Text;
    authUser @3 :Text;
    repeated @4 :List(Text);
    # JSON pointers into the params, to keys that came more than once.
}

struct RpcReply $Proxy.wrap("btc_interfaces::rpc::RpcReply") {
    result @0 :Text $Rust.secret;
    # JSON text.
    error @1 :RpcError;
}

struct RpcError $Proxy.wrap("btc_interfaces::rpc::RpcError") {
    code @0 :Int32;
    message @1 :Text;
}

struct RpcCommand $Proxy.wrap("btc_interfaces::rpc::RpcCommand") {
    category @0 :Text;
    name @1 :Text;
    arguments @2 :List(Text);
    help @3 :Text;
    openrpc @4 :Text;
    # JSON text.
    conversions @5 :Text;
    # JSON text.
}
