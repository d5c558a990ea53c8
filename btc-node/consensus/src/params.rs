//! The numbers that make one network differ from another.

mod deployment;
mod genesis;
mod networks;

use std::fmt;
use std::str::FromStr;

use bitcoin::hashes::{Hash, HashEngine, sha256d};
use bitcoin::{Block, BlockHash, Network, ScriptBuf};

use crate::pow::{Target, Work};
use crate::script::ScriptFlags;

pub use deployment::{
    Bip9Deployment, BuriedDeployment, Deployment, InvalidVersionBits, UnknownDeployment,
    VersionBitsParameters,
};

/// A network, by Bitcoin Core's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Chain {
    /// Where the money is.
    Main,
    /// The third public test network.
    Testnet3,
    /// The fourth public test network (BIP 94).
    Testnet4,
    /// A test network whose blocks are signed (BIP 325).
    Signet,
    /// A private network for tests, with blocks at will.
    Regtest,
}

impl Chain {
    /// Every network.
    pub const ALL: [Self; 5] = [
        Self::Main,
        Self::Testnet3,
        Self::Testnet4,
        Self::Signet,
        Self::Regtest,
    ];

    /// The name in `-chain` and `getblockchaininfo`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Main => "main",
            Self::Testnet3 => "test",
            Self::Testnet4 => "testnet4",
            Self::Signet => "signet",
            Self::Regtest => "regtest",
        }
    }

    /// Whether coins on this network are worth nothing.
    pub const fn is_test(self) -> bool {
        !matches!(self, Self::Main)
    }

    /// The network as the `bitcoin` crate has it, for addresses and keys.
    pub const fn network(self) -> Network {
        match self {
            Self::Main => Network::Bitcoin,
            Self::Testnet3 => Network::Testnet,
            Self::Testnet4 => Network::Testnet4,
            Self::Signet => Network::Signet,
            Self::Regtest => Network::Regtest,
        }
    }
}

impl fmt::Display for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that is no network's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown chain {0}")]
pub struct UnknownChain(pub String);

impl FromStr for Chain {
    type Err = UnknownChain;

    fn from_str(name: &str) -> Result<Self, UnknownChain> {
        Self::ALL
            .into_iter()
            .find(|chain| chain.name() == name)
            .ok_or_else(|| UnknownChain(name.to_owned()))
    }
}

/// The version bytes of base58 strings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Base58Prefixes {
    /// Of pay-to-pubkey-hash addresses.
    pub pubkey_address: u8,
    /// Of pay-to-script-hash addresses.
    pub script_address: u8,
    /// Of private keys.
    pub secret_key: u8,
    /// Of extended public keys (BIP 32).
    pub ext_public_key: [u8; 4],
    /// Of extended private keys (BIP 32).
    pub ext_secret_key: [u8; 4],
}

/// A snapshot of the unspent outputs that a node may start from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AssumeUtxo {
    /// The height of the snapshot's block.
    pub height: u32,
    /// The snapshot's block.
    pub block_hash: BlockHash,
    /// What `gettxoutsetinfo hash_serialized_3` gives for the snapshot.
    pub hash_serialized: sha256d::Hash,
    /// The number of transactions up to and with the block.
    pub chain_tx_count: u64,
}

/// What is known of a chain's transactions, to guess how far validation has come.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ChainTxData {
    /// The time of the last known count, in seconds since 1970.
    pub time: u32,
    /// The transactions up to that time.
    pub tx_count: u64,
    /// Transactions per second since.
    pub tx_rate: f64,
}

/// How a chain of headers is checked before it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadersSyncParams {
    /// The distance between commitments, in blocks.
    pub commitment_period: usize,
    /// How many headers are downloaded again before one is stored.
    pub redownload_buffer_size: usize,
}

/// Everything that depends on the network.
///
/// Start from [`new`](Self::new) or [`signet`](Self::signet); the `with_` methods are what
/// `-testactivationheight`, `-vbparams` and `-test=bip94` do.
#[derive(Clone, Debug)]
pub struct ChainParams {
    /// Which network.
    pub chain: Chain,
    /// The first four bytes of every message and of every block in a block file.
    pub magic: [u8; 4],
    /// The port for peers.
    pub default_port: u16,
    /// The port for JSON-RPC.
    pub rpc_port: u16,
    /// The first block.
    pub genesis: Block,
    /// The first block's hash.
    pub genesis_hash: BlockHash,

    /// After how many blocks the subsidy halves.
    pub subsidy_halving_interval: u32,
    /// Blocks that break the usual script rules, with the rules that they are held to.
    pub script_flag_exceptions: Vec<(BlockHash, ScriptFlags)>,
    /// From which height a coinbase states its height (BIP 34).
    pub bip34_height: u32,
    /// The block at that height, if it is known.
    pub bip34_hash: Option<BlockHash>,
    /// From which height `OP_CHECKLOCKTIMEVERIFY` holds (BIP 65).
    pub bip65_height: u32,
    /// From which height signatures are strictly DER (BIP 66).
    pub bip66_height: u32,
    /// From which height relative lock times hold (BIPs 68, 112, 113).
    pub csv_height: u32,
    /// From which height blocks commit to witnesses (BIPs 141, 143, 147).
    pub segwit_height: u32,
    /// Below which height unknown version bits are no cause for a warning.
    pub min_bip9_warning_height: u32,
    /// The deployment of each version bit.
    pub deployments: [Bip9Deployment; Deployment::ALL.len()],

    /// The easiest target.
    pub pow_limit: Target,
    /// Whether a late block may be of least difficulty.
    pub allow_min_difficulty_blocks: bool,
    /// Whether BIP 94 holds: no time warp, and no loss of difficulty at a retarget.
    pub enforce_bip94: bool,
    /// Whether difficulty stays as it is, so that blocks can be mined at will.
    pub no_retargeting: bool,
    /// The wanted time between blocks, in seconds.
    pub pow_target_spacing: u32,
    /// The wanted time between retargets, in seconds.
    pub pow_target_timespan: u32,
    /// The work that the best chain is known to have.
    pub minimum_chain_work: Work,
    /// A block whose ancestors' scripts are taken to be valid.
    pub assume_valid: Option<BlockHash>,
    /// The script that signs blocks (BIP 325).
    pub signet_challenge: Option<ScriptBuf>,

    /// Names that resolve to peers.
    pub dns_seeds: Vec<String>,
    /// The version bytes of base58 strings.
    pub base58: Base58Prefixes,
    /// The human-readable part of segwit addresses.
    pub bech32_hrp: &'static str,
    /// Below which height nothing is pruned.
    pub prune_after_height: u32,
    /// The expected size of the blocks, in gigabytes.
    pub assumed_blockchain_size: u64,
    /// The expected size of the unspent outputs, in gigabytes.
    pub assumed_chain_state_size: u64,
    /// The snapshots that are known to be right.
    pub assume_utxo: Vec<AssumeUtxo>,
    /// What is known of the chain's transactions.
    pub tx_data: ChainTxData,
    /// How headers are checked before they are stored.
    pub headers_sync: HeadersSyncParams,
    /// Whether expensive self-checks are on by default.
    pub default_consistency_checks: bool,
    /// Whether a test may set the clock.
    pub is_mockable: bool,
}

impl ChainParams {
    /// The parameters of a network; the default signet for [`Chain::Signet`].
    pub fn new(chain: Chain) -> Self {
        match chain {
            Chain::Main => networks::main(),
            Chain::Testnet3 => networks::testnet3(),
            Chain::Testnet4 => networks::testnet4(),
            Chain::Signet => networks::signet(),
            Chain::Regtest => networks::regtest(),
        }
    }

    /// A signet of one's own: blocks satisfy `challenge`, and nothing is known of the chain.
    pub fn signet(challenge: ScriptBuf) -> Self {
        let default = networks::signet();
        Self {
            magic: signet_magic(&challenge),
            minimum_chain_work: Work::ZERO,
            assume_valid: None,
            signet_challenge: Some(challenge),
            dns_seeds: Vec::new(),
            assumed_blockchain_size: 0,
            assumed_chain_state_size: 0,
            tx_data: ChainTxData {
                time: 0,
                tx_count: 0,
                tx_rate: 0.0,
            },
            ..default
        }
    }

    /// The same network with a buried deployment's rules from another height on.
    #[must_use]
    pub fn with_activation_height(mut self, deployment: BuriedDeployment, height: u32) -> Self {
        *self.buried_height_mut(deployment) = height;
        self
    }

    /// The same network with another schedule for a deployment by version bits.
    #[must_use]
    pub fn with_version_bits(
        mut self,
        deployment: Deployment,
        schedule: VersionBitsParameters,
    ) -> Self {
        let entry = &mut self.deployments[deployment as usize];
        entry.start_time = schedule.start_time;
        entry.timeout = schedule.timeout;
        entry.min_activation_height = schedule.min_activation_height;
        self
    }

    /// The same network with BIP 94 enforced.
    #[must_use]
    pub fn with_bip94(mut self) -> Self {
        self.enforce_bip94 = true;
        self
    }

    /// From which height a buried deployment's rules hold.
    pub const fn buried_height(&self, deployment: BuriedDeployment) -> u32 {
        match deployment {
            BuriedDeployment::HeightInCoinbase => self.bip34_height,
            BuriedDeployment::Cltv => self.bip65_height,
            BuriedDeployment::DerSig => self.bip66_height,
            BuriedDeployment::Csv => self.csv_height,
            BuriedDeployment::Segwit => self.segwit_height,
        }
    }

    fn buried_height_mut(&mut self, deployment: BuriedDeployment) -> &mut u32 {
        match deployment {
            BuriedDeployment::HeightInCoinbase => &mut self.bip34_height,
            BuriedDeployment::Cltv => &mut self.bip65_height,
            BuriedDeployment::DerSig => &mut self.bip66_height,
            BuriedDeployment::Csv => &mut self.csv_height,
            BuriedDeployment::Segwit => &mut self.segwit_height,
        }
    }

    /// Whether a buried deployment's rules hold for the block at `height`.
    pub const fn is_active(&self, deployment: BuriedDeployment, height: u32) -> bool {
        height >= self.buried_height(deployment)
    }

    /// The deployment of a version bit.
    pub const fn deployment(&self, deployment: Deployment) -> &Bip9Deployment {
        &self.deployments[deployment as usize]
    }

    /// After how many blocks difficulty is set anew; never 0.
    pub const fn difficulty_interval(&self) -> u32 {
        match self
            .pow_target_timespan
            .checked_div(self.pow_target_spacing)
        {
            Some(0) | None => 1,
            Some(interval) => interval,
        }
    }

    /// The snapshot at a height.
    pub fn assume_utxo_at(&self, height: u32) -> Option<&AssumeUtxo> {
        self.assume_utxo
            .iter()
            .find(|snapshot| snapshot.height == height)
    }
}

/// The network whose messages and block files start with `magic`, of those that are public.
pub fn chain_by_magic(magic: [u8; 4]) -> Option<Chain> {
    Chain::ALL
        .into_iter()
        .find(|chain| ChainParams::new(*chain).magic == magic)
}

/// A signet's magic: the start of the hash of its challenge, which is so part of every message.
fn signet_magic(challenge: &ScriptBuf) -> [u8; 4] {
    let mut engine = sha256d::Hash::engine();
    let length = bitcoin::consensus::serialize(&bitcoin::VarInt::from(challenge.len()));
    engine.input(&length);
    engine.input(challenge.as_bytes());
    let [a, b, c, d, ..] = sha256d::Hash::from_engine(engine).to_byte_array();
    [a, b, c, d]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn genesis_blocks() {
        for (chain, hash, magic) in [
            (
                Chain::Main,
                "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f",
                [0xf9, 0xbe, 0xb4, 0xd9],
            ),
            (
                Chain::Testnet3,
                "000000000933ea01ad0ee984209779baaec3ced90fa3f408719526f8d77f4943",
                [0x0b, 0x11, 0x09, 0x07],
            ),
            (
                Chain::Testnet4,
                "00000000da84f2bafbbc53dee25a72ae507ff4914b867c565be350b0da8bf043",
                [0x1c, 0x16, 0x3f, 0x28],
            ),
            (
                Chain::Signet,
                "00000008819873e925422c1ff0f99f7cc9bbb232af63a077a480a3633bee1ef6",
                [0x0a, 0x03, 0xcf, 0x40],
            ),
            (
                Chain::Regtest,
                "0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206",
                [0xfa, 0xbf, 0xb5, 0xda],
            ),
        ] {
            let params = ChainParams::new(chain);
            assert_eq!(params.genesis.block_hash().to_string(), hash, "{chain}");
            assert_eq!(params.genesis_hash, params.genesis.block_hash());
            assert!(params.genesis.check_merkle_root());
            assert_eq!(params.magic, magic);
            assert_eq!(chain_by_magic(magic), Some(chain));
            assert_eq!(chain.name().parse(), Ok(chain));
            let bits = params.genesis.header.bits.to_consensus();
            assert!(
                crate::pow::meets_target(&params.genesis_hash, bits, &params),
                "{chain}"
            );
        }
    }

    #[test]
    fn a_signet_of_ones_own() {
        let params = ChainParams::signet(ScriptBuf::from_bytes(vec![0x51]));
        assert_ne!(params.magic, ChainParams::new(Chain::Signet).magic);
        assert_eq!(
            params.genesis_hash,
            ChainParams::new(Chain::Signet).genesis_hash
        );
        assert_eq!(params.minimum_chain_work, Work::ZERO);
        assert_eq!(params.assume_valid, None);
    }

    #[test]
    fn overrides() {
        let params = ChainParams::new(Chain::Regtest)
            .with_activation_height("segwit".parse().unwrap(), 300)
            .with_version_bits(
                Deployment::TestDummy,
                VersionBitsParameters {
                    start_time: 7,
                    timeout: 9,
                    min_activation_height: 144,
                },
            );
        assert!(!params.is_active(BuriedDeployment::Segwit, 299));
        assert!(params.is_active(BuriedDeployment::Segwit, 300));
        assert_eq!(params.deployment(Deployment::TestDummy).start_time, 7);
        assert_eq!(params.difficulty_interval(), 144);
    }
}
