# Block templates and submissions.
#
# Blocks, headers and transactions are in their consensus encoding, with witnesses; hashes are 32 bytes in the order
# they are hashed in; amounts are in sat, times in milliseconds.

@0xc77d03df6a41b505;

using Common = import "common.capnp";
using Proxy = import "/mp/proxy.capnp";

const maxMoney :Int64 = 2100000000000000;
# All the money there will ever be, in sat.

const maxDouble :Float64 = 1.7976931348623157e308;
# The greatest finite number, which stands for "no limit" where a time is asked for.

const defaultBlockReservedWeight :UInt32 = 8000;
# Weight units kept free for the header, the transaction count and the coinbase.

const defaultCoinbaseOutputMaxAdditionalSigops :UInt32 = 400;
# Signature operations kept free for the coinbase's further outputs.

interface Mining $Proxy.wrap("btc_interfaces::Mining") {
    # Block templates of one node.

    isTestChain @0 (context :Proxy.Context) -> (result: Bool);
    isInitialBlockDownload @1 (context :Proxy.Context) -> (result: Bool);

    getTip @2 (context :Proxy.Context) -> (result: Common.BlockRef, hasResult: Bool);
    # No result while there is no tip.

    waitTipChanged @3 (context :Proxy.Context, currentTip: Data, timeout: Float64 = .maxDouble) -> (result: Common.BlockRef);
    # The tip once it is not `currentTip`, or when the time is over; null on shutdown.

    createNewBlock @4 (context :Proxy.Context, options: BlockCreateOptions, cooldown: Bool = true) -> (result: BlockTemplate);
    # Null on shutdown.

    checkBlock @5 (context :Proxy.Context, block: Data, options: BlockCheckOptions) -> (reason: Text, debug: Text, result: Bool);
    # Checks a block against the tip without accepting it.

    interrupt @6 () -> ();
    # Ends the waits that are under way.

    submitBlock @7 (context :Proxy.Context, block: Data) -> (reason: Text, debug: Text, result: Bool);
    # Accepts a block as if a peer had sent it.

    getTransactionsByTxID @8 (context :Proxy.Context, txids: List(Data)) -> (result: List(Data));
    # One for each id; empty where the mempool has none.

    getTransactionsByWitnessID @9 (context :Proxy.Context, wtxids: List(Data)) -> (result: List(Data));
    # The same by witness ids.
}

interface BlockTemplate $Proxy.wrap("btc_interfaces::BlockTemplate") {
    # A block that lacks its proof of work.

    destroy @0 (context :Proxy.Context) -> ();
    # Frees the template; the reply says that it is gone.

    getBlockHeader @1 (context: Proxy.Context) -> (result: Data);
    getBlock @2 (context: Proxy.Context) -> (result: Data);

    getTxFees @3 (context: Proxy.Context) -> (result: List(Int64));
    # One for each transaction but the coinbase.

    getTxSigops @4 (context: Proxy.Context) -> (result: List(Int64));
    # One for each transaction but the coinbase.

    getCoinbaseTx @5 (context: Proxy.Context) -> (result: CoinbaseTx);

    getCoinbaseMerklePath @6 (context: Proxy.Context) -> (result: List(Data));
    # Leaf first.

    submitSolutionOld7 @7 (context: Proxy.Context, version: UInt32, timestamp: UInt32, nonce: UInt32, coinbase :Data) -> (result: Bool);
    # Where `submitSolution` stood before it gave a reason; it answers with an error that says so.

    waitNext @8 (context: Proxy.Context, options: BlockWaitOptions) -> (result: BlockTemplate);
    # A better template, or null when the time is over or the wait interrupted.

    interruptWait @9() -> ();
    # Ends `waitNext`.

    submitSolution @10 (context: Proxy.Context, version: UInt32, timestamp: UInt32, nonce: UInt32, coinbase :Data) -> (reason: Text, debug: Text, result: Bool);
    # Accepts the template with these header fields and this coinbase as a block.
}

struct BlockCreateOptions $Proxy.wrap("btc_interfaces::CreateOptions") {
    # How a template is put together.

    useMempool @0 :Bool = true;
    # Whether transactions of the mempool go in.

    blockReservedWeight @1 :UInt64 = .defaultBlockReservedWeight;
    coinbaseOutputMaxAdditionalSigops @2 :UInt64 = .defaultCoinbaseOutputMaxAdditionalSigops;
}

struct BlockWaitOptions $Proxy.wrap("btc_interfaces::WaitOptions") {
    # How long to wait for a better template, and how much better it must be.

    timeout @0 : Float64 = .maxDouble;
    feeThreshold @1 : Int64 = .maxMoney;
}

struct BlockCheckOptions $Proxy.wrap("btc_interfaces::CheckOptions") {
    # Which checks are made besides the block's own rules.

    checkMerkleRoot @0 :Bool = true;
    checkPow @1 :Bool = true;
}

struct CoinbaseTx $Proxy.wrap("btc_interfaces::CoinbaseTx") {
    # What a miner's coinbase must hold.

    version @0 :UInt32;
    sequence @1 :UInt32;

    scriptSigPrefix @2 :Data;
    # The height (BIP34).

    witness @3 :Data;
    # The only witness item; null if the block commits to no witness.

    blockRewardRemaining @4 :Int64;
    # Subsidy and fees, less what the required outputs take.

    requiredOutputs @5 :List(Data);
    lockTime @6 :UInt32;
}
