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
