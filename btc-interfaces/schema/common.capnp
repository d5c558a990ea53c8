# Types that several interfaces use.

@0xcd2c6232cb484a28;

using Proxy = import "/mp/proxy.capnp";

struct BlockRef $Proxy.wrap("btc_interfaces::BlockRef") {
    # A block's place in the chain.

    hash @0 :Data;
    # 32 bytes, in the order they are hashed in (the reverse of what is shown).

    height @1 :Int32;
    # 0 for the genesis block.
}

struct GlobalArgs $Proxy.wrap("btc_interfaces::GlobalArgs") {
    # The configuration of the process that starts another.

    chain @0 :Text;
    netDataDir @1 :Text;

    options @2 :List(Text);
    # name=value, in order of precedence.

    mockTime @3 :Int64;
    # Seconds since 1970, or 0 for the real clock.
}
