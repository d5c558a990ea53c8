//! The numbers that bound blocks, transactions and scripts.

/// The largest weight of a block, in weight units (BIP 141).
pub const MAX_BLOCK_WEIGHT: u64 = 4_000_000;

/// The largest serialized block, in bytes: what a reader need never exceed.
pub const MAX_BLOCK_SERIALIZED_SIZE: usize = 4_000_000;

/// The largest cost of signature checks in a block (BIP 141).
pub const MAX_BLOCK_SIGOPS_COST: u64 = 80_000;

/// How much more a byte outside the witness weighs than one inside, and the same for signature
/// checks (BIP 141).
pub const WITNESS_SCALE_FACTOR: u64 = 4;

/// How many blocks after its own a coinbase's outputs can be spent.
pub const COINBASE_MATURITY: u32 = 100;

/// No amount, and no sum of amounts, is larger than this; in satoshi.
pub const MAX_MONEY: u64 = 2_100_000_000_000_000;

/// Lock times below this are heights, the rest are times.
pub const LOCKTIME_THRESHOLD: u32 = 500_000_000;

/// How far ahead of the clock a block's time may be, in seconds.
pub const MAX_FUTURE_BLOCK_TIME: u32 = 2 * 60 * 60;

/// How far before its predecessor the first block of a difficulty period may be dated, in seconds
/// (BIP 94).
pub const MAX_TIMEWARP: u32 = 600;

/// How many blocks the median time past looks at.
pub const MEDIAN_TIME_SPAN: u32 = 11;

/// The longest script before tapscript, in bytes.
pub const MAX_SCRIPT_SIZE: usize = 10_000;

/// The longest item on the stack, in bytes.
pub const MAX_SCRIPT_ELEMENT_SIZE: usize = 520;

/// The most opcodes above `OP_16` in a script before tapscript.
pub const MAX_OPS_PER_SCRIPT: usize = 201;

/// The most public keys in a multisignature.
pub const MAX_PUBKEYS_PER_MULTISIG: usize = 20;

/// The most items on the stack and the alternative stack together.
pub const MAX_STACK_SIZE: usize = 1000;
