//! What a node relays and mines beyond what it must: standardness, dust, and the rules for special kinds of transactions.
//!
//! Pure functions over transactions and the outputs they spend.

pub mod inputs;
pub mod replacement;
pub mod standard;
pub mod truc;

use super::feerate::Feerate;

/// The greatest weight of a standard transaction, in weight units.
pub const MAX_STANDARD_WEIGHT: u64 = 400_000;
/// The smallest size of a relayed transaction without its witness, in bytes: 64 would let it pass for an inner node of a
/// merkle tree (CVE-2017-12842).
pub const MIN_NON_WITNESS_SIZE: usize = 65;
/// Signature operations of a standard transaction, in BIP 141's cost.
pub const MAX_STANDARD_SIGOP_COST: i64 = 80_000 / 5;
/// Signature operations of a standard P2SH redeem script.
pub const MAX_P2SH_SIGOPS: u64 = 15;
/// Legacy signature operations that one transaction may run (BIP 54).
pub const MAX_LEGACY_SIGOPS: u64 = 2_500;
/// The greatest size of a standard scriptSig, in bytes.
pub const MAX_SCRIPT_SIG_SIZE: usize = 1_650;
/// Stack items of a standard P2WSH witness, without the script.
pub const MAX_P2WSH_ITEMS: usize = 100;
/// The greatest size of each of them, in bytes.
pub const MAX_P2WSH_ITEM_SIZE: usize = 80;
/// The greatest size of a standard witness script, in bytes.
pub const MAX_P2WSH_SCRIPT_SIZE: usize = 3_600;
/// The greatest size of a stack item of a standard tapscript spend, in bytes.
pub const MAX_TAPSCRIPT_ITEM_SIZE: usize = 80;
/// Blocks that must follow a coinbase before it is spent, its own among them.
pub const COINBASE_MATURITY: u32 = 100;
/// Dust outputs of a transaction that pays no fee and whose child spends them.
pub const MAX_DUST_OUTPUTS: usize = 1;

/// Policy that options set. Source: Core's defaults.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Refuse what is not standard (`-acceptnonstdtxn=0`; test chains may accept it).
    pub require_standard: bool,
    /// The lowest feerate that is relayed (`-minrelaytxfee`).
    pub min_relay_feerate: Feerate,
    /// What a replacement pays for its own relay, and what the floor rises by after evictions
    /// (`-incrementalrelayfee`).
    pub incremental_feerate: Feerate,
    /// The feerate at which an output is not worth spending (`-dustrelayfee`).
    pub dust_feerate: Feerate,
    /// The greatest sum of the sizes of data outputs, in bytes; `None` accepts none (`-datacarrier`,
    /// `-datacarriersize`).
    pub max_datacarrier_bytes: Option<usize>,
    /// Accept outputs that are multisignature scripts themselves (`-permitbaremultisig`).
    pub permit_bare_multisig: bool,
    /// The bytes that a signature operation counts for (`-bytespersigop`).
    pub bytes_per_sigop: i64,
    /// Transactions in a cluster (`-limitclustercount`).
    pub cluster_count: usize,
    /// Size of a cluster in vB (`-limitclustersize`).
    pub cluster_vsize: i64,
    /// Ancestors that a wallet should not exceed (`-limitancestorcount`).
    pub ancestor_count: u32,
    /// Descendants that a wallet should not exceed (`-limitdescendantcount`).
    pub descendant_count: u32,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            require_standard: true,
            min_relay_feerate: Feerate::from_sat_per_kvb(100),
            incremental_feerate: Feerate::from_sat_per_kvb(100),
            dust_feerate: Feerate::from_sat_per_kvb(3000),
            max_datacarrier_bytes: Some(100_000),
            permit_bare_multisig: true,
            bytes_per_sigop: 20,
            cluster_count: 64,
            cluster_vsize: 101_000,
            ancestor_count: 25,
            descendant_count: 25,
        }
    }
}
