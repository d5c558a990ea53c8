//! Partially signed transactions: what several parties and programs pass around until a transaction can be sent.
//!
//! Versions 0 and 2, with the fields of taproot and MuSig2, read and written as Bitcoin Core does. Source: BIPs 174, 370,
//! 371 and 373. Pure: no I/O, no keys of its own; [`sign`] fills in what somebody knows.
//!
//! ```
//! use bitcoin::{absolute::LockTime, transaction::Version, Transaction};
//! use btc_interfaces::psbt::{Psbt, PsbtVersion};
//!
//! let tx = Transaction {
//!     version: Version::TWO,
//!     lock_time: LockTime::ZERO,
//!     input: vec![],
//!     output: vec![],
//! };
//! let psbt = Psbt::from_unsigned(&tx, PsbtVersion::Two);
//! let text = psbt.to_base64();
//! assert_eq!(Psbt::from_base64(&text)?, psbt);
//! # Ok::<(), btc_interfaces::psbt::PsbtError>(())
//! ```

mod analysis;
mod error;
mod finalize;
mod merge;
mod provider;
mod read;
pub mod sign;
pub mod table;
mod write;

pub use analysis::{Analysis, InputAnalysis, Role, analyze};
pub use error::PsbtError;
pub use finalize::{extract, finalize};
pub use provider::{Provider, TaprootOutput};

use crate::descriptor::KeyOrigin;
use bitcoin::absolute::LockTime;
use bitcoin::hashes::{hash160, ripemd160, sha256, sha256d};
use bitcoin::key::XOnlyPublicKey;
use bitcoin::taproot::{TapLeafHash, TapNodeHash};
use bitcoin::transaction::Version;
use bitcoin::{
    Amount, OutPoint, PubkeyHash, PublicKey, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Txid,
    Witness,
};
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

/// Keys and values that are passed on as they are.
pub type Unknown = BTreeMap<Vec<u8>, Vec<u8>>;

/// Keys of taproot with the leaves that name them and where the keys come from.
pub type TaprootKeys = BTreeMap<XOnlyPublicKey, (BTreeSet<TapLeafHash>, KeyOrigin)>;

/// What a MuSig2 session is about: the aggregate key and, for a script path, the leaf.
pub type MusigSession = (PublicKey, Option<TapLeafHash>);

/// A version of the format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PsbtVersion {
    /// BIP 174: an unsigned transaction and maps beside it.
    Zero,
    /// BIP 370: each map holds its part of the transaction.
    Two,
}

impl PsbtVersion {
    /// As the format counts it.
    pub const fn number(self) -> u32 {
        match self {
            Self::Zero => 0,
            Self::Two => 2,
        }
    }

    /// The version of this number, if there is one.
    pub const fn from_number(number: u32) -> Option<Self> {
        match number {
            0 => Some(Self::Zero),
            2 => Some(Self::Two),
            _ => None,
        }
    }
}

/// A record that belongs to some program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proprietary {
    /// Whose it is.
    pub identifier: Vec<u8>,
    /// What it is, as that program counts.
    pub subtype: u64,
    /// The value.
    pub value: Vec<u8>,
}

/// Proprietary records by their whole keys.
pub type ProprietaryMap = BTreeMap<Vec<u8>, Proprietary>;

/// A control block; shorter ones come first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ControlBlockBytes(pub Vec<u8>);

impl Ord for ControlBlockBytes {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.0.len(), &self.0).cmp(&(other.0.len(), &other.0))
    }
}

impl PartialOrd for ControlBlockBytes {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// A script of a taproot tree and its leaf version.
pub type LeafScript = (ScriptBuf, u8);

/// What is known of one input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PsbtInput {
    /// The output it spends.
    pub previous_output: OutPoint,
    /// Its sequence number; the final one if it is not told.
    pub sequence: Option<Sequence>,
    /// The least lock time as a time, which a transaction with this input may have.
    pub time_lock_time: Option<u32>,
    /// The least lock time as a height.
    pub height_lock_time: Option<u32>,
    /// The whole transaction it spends from.
    pub non_witness_utxo: Option<Transaction>,
    /// The output it spends.
    pub witness_utxo: Option<TxOut>,
    /// What P2SH hashes.
    pub redeem_script: Option<ScriptBuf>,
    /// What P2WSH hashes.
    pub witness_script: Option<ScriptBuf>,
    /// The finished script.
    pub final_script_sig: Option<ScriptBuf>,
    /// The finished witness.
    pub final_script_witness: Option<Witness>,
    /// Keys and where they come from.
    pub keys: BTreeMap<PublicKey, KeyOrigin>,
    /// Signatures with their sighash bytes, by the hash of the key.
    pub partial_signatures: BTreeMap<PubkeyHash, (PublicKey, Vec<u8>)>,
    /// What signatures must cover.
    pub sighash_type: Option<u32>,
    /// Preimages of RIPEMD160.
    pub ripemd160_preimages: BTreeMap<ripemd160::Hash, Vec<u8>>,
    /// Preimages of SHA256.
    pub sha256_preimages: BTreeMap<sha256::Hash, Vec<u8>>,
    /// Preimages of HASH160.
    pub hash160_preimages: BTreeMap<hash160::Hash, Vec<u8>>,
    /// Preimages of HASH256.
    pub hash256_preimages: BTreeMap<sha256d::Hash, Vec<u8>>,
    /// The signature of the key path.
    pub tap_key_signature: Option<Vec<u8>>,
    /// Signatures of script paths, by key and leaf.
    pub tap_script_signatures: BTreeMap<(XOnlyPublicKey, TapLeafHash), Vec<u8>>,
    /// Scripts of the tree with the proofs that they are in it.
    pub tap_scripts: BTreeMap<LeafScript, BTreeSet<ControlBlockBytes>>,
    /// Keys of taproot.
    pub tap_keys: TaprootKeys,
    /// The internal key.
    pub tap_internal_key: Option<XOnlyPublicKey>,
    /// The root of the tree.
    pub tap_merkle_root: Option<TapNodeHash>,
    /// Participants of aggregate keys.
    pub musig2_participants: BTreeMap<PublicKey, Vec<PublicKey>>,
    /// Public nonces by session and participant.
    pub musig2_nonces: BTreeMap<MusigSession, BTreeMap<PublicKey, Vec<u8>>>,
    /// Partial signatures by session and participant.
    pub musig2_signatures: BTreeMap<MusigSession, BTreeMap<PublicKey, [u8; 32]>>,
    /// Records of programs.
    pub proprietary: ProprietaryMap,
    /// Records that nobody here knows.
    pub unknown: Unknown,
}

/// What is known of one output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PsbtOutput {
    /// Its value; beyond what there may be if a party says so.
    pub amount: Amount,
    /// Its script.
    pub script: ScriptBuf,
    /// What P2SH hashes.
    pub redeem_script: Option<ScriptBuf>,
    /// What P2WSH hashes.
    pub witness_script: Option<ScriptBuf>,
    /// Keys and where they come from.
    pub keys: BTreeMap<PublicKey, KeyOrigin>,
    /// The internal key.
    pub tap_internal_key: Option<XOnlyPublicKey>,
    /// The tree, depth first: depth, leaf version, script.
    pub tap_tree: Vec<(u8, u8, ScriptBuf)>,
    /// Keys of taproot.
    pub tap_keys: TaprootKeys,
    /// Participants of aggregate keys.
    pub musig2_participants: BTreeMap<PublicKey, Vec<PublicKey>>,
    /// Records of programs.
    pub proprietary: ProprietaryMap,
    /// Records that nobody here knows.
    pub unknown: Unknown,
}

/// An extended public key as it is serialized, version bytes included.
pub type XpubBytes = [u8; 78];

/// A partially signed transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Psbt {
    version: PsbtVersion,
    /// The version of the transaction.
    pub tx_version: Version,
    /// The lock time where no input asks for another.
    pub fallback_lock_time: Option<LockTime>,
    /// Bit 0: inputs may be added; bit 1: outputs; bit 2: there are signatures of `SIGHASH_SINGLE`.
    pub modifiable: Option<u8>,
    /// Extended keys and where they come from.
    pub xpubs: BTreeSet<(KeyOrigin, XpubBytes)>,
    /// The inputs.
    pub inputs: Vec<PsbtInput>,
    /// The outputs.
    pub outputs: Vec<PsbtOutput>,
    /// Records of programs.
    pub proprietary: ProprietaryMap,
    /// Records that nobody here knows.
    pub unknown: Unknown,
}

impl PsbtInput {
    /// An input of which only the outpoint is known.
    pub fn new(previous_output: OutPoint, sequence: Option<Sequence>) -> Self {
        Self {
            previous_output,
            sequence,
            time_lock_time: None,
            height_lock_time: None,
            non_witness_utxo: None,
            witness_utxo: None,
            redeem_script: None,
            witness_script: None,
            final_script_sig: None,
            final_script_witness: None,
            keys: BTreeMap::new(),
            partial_signatures: BTreeMap::new(),
            sighash_type: None,
            ripemd160_preimages: BTreeMap::new(),
            sha256_preimages: BTreeMap::new(),
            hash160_preimages: BTreeMap::new(),
            hash256_preimages: BTreeMap::new(),
            tap_key_signature: None,
            tap_script_signatures: BTreeMap::new(),
            tap_scripts: BTreeMap::new(),
            tap_keys: BTreeMap::new(),
            tap_internal_key: None,
            tap_merkle_root: None,
            musig2_participants: BTreeMap::new(),
            musig2_nonces: BTreeMap::new(),
            musig2_signatures: BTreeMap::new(),
            proprietary: ProprietaryMap::new(),
            unknown: Unknown::new(),
        }
    }

    /// The output that is spent, if it is known. A whole transaction must be the one that the outpoint names.
    pub fn utxo(&self) -> Option<&TxOut> {
        match &self.non_witness_utxo {
            Some(tx) => {
                let output = tx.output.get(self.previous_output.vout as usize)?;
                (tx.compute_txid() == self.previous_output.txid).then_some(output)
            }
            None => self.witness_utxo.as_ref(),
        }
    }

    /// Whether it holds a finished script or witness, be it right or wrong.
    pub fn is_finalized(&self) -> bool {
        self.final_script_sig.is_some() || self.final_script_witness.is_some()
    }
}

impl PsbtOutput {
    /// An output of which no more is known than the transaction tells.
    pub fn new(output: TxOut) -> Self {
        Self {
            amount: output.value,
            script: output.script_pubkey,
            redeem_script: None,
            witness_script: None,
            keys: BTreeMap::new(),
            tap_internal_key: None,
            tap_tree: Vec::new(),
            tap_keys: BTreeMap::new(),
            musig2_participants: BTreeMap::new(),
            proprietary: ProprietaryMap::new(),
            unknown: Unknown::new(),
        }
    }
}

impl Psbt {
    /// A blank one for `tx`, whose scripts and witnesses are not looked at.
    pub fn from_unsigned(tx: &Transaction, version: PsbtVersion) -> Self {
        Self {
            version,
            tx_version: tx.version,
            fallback_lock_time: Some(tx.lock_time),
            modifiable: None,
            xpubs: BTreeSet::new(),
            inputs: tx
                .input
                .iter()
                .map(|input| PsbtInput::new(input.previous_output, Some(input.sequence)))
                .collect(),
            outputs: tx.output.iter().cloned().map(PsbtOutput::new).collect(),
            proprietary: ProprietaryMap::new(),
            unknown: Unknown::new(),
        }
    }

    /// The version of the format.
    pub fn version(&self) -> PsbtVersion {
        self.version
    }

    /// The lock time of the transaction; `None` if inputs ask for both a time and a height.
    pub fn lock_time(&self) -> Option<LockTime> {
        let fallback = self.fallback_lock_time.unwrap_or(LockTime::ZERO);
        if self.version == PsbtVersion::Zero {
            return Some(fallback);
        }
        merge::required_lock_time(&self.inputs)
            .map(|required| required.map_or(fallback, LockTime::from_consensus))
    }

    /// The transaction without signatures; `None` if inputs contradict each other on the lock time.
    pub fn unsigned_tx(&self) -> Option<Transaction> {
        Some(Transaction {
            version: self.tx_version,
            lock_time: self.lock_time()?,
            input: self
                .inputs
                .iter()
                .map(|input| TxIn {
                    previous_output: input.previous_output,
                    script_sig: ScriptBuf::new(),
                    sequence: input.sequence.unwrap_or(Sequence::MAX),
                    witness: Witness::new(),
                })
                .collect(),
            output: self
                .outputs
                .iter()
                .map(|output| TxOut {
                    value: output.amount,
                    script_pubkey: output.script.clone(),
                })
                .collect(),
        })
    }

    /// What two of them must have in common to be joined by [`Psbt::merge`].
    pub fn unique_id(&self) -> Option<Txid> {
        let mut tx = self.unsigned_tx()?;
        if self.version == PsbtVersion::Two {
            for input in &mut tx.input {
                input.sequence = Sequence::ZERO;
            }
        }
        Some(tx.compute_txid())
    }

    /// How many inputs are not finished.
    pub fn unsigned_inputs(&self) -> usize {
        let open = self.inputs.iter().filter(|input| !input.is_finalized());
        open.count()
    }

    /// The outputs that are spent, in the order of inputs, if all are known.
    pub fn spent_outputs(&self) -> Option<Vec<TxOut>> {
        self.inputs
            .iter()
            .map(|input| input.utxo().cloned())
            .collect()
    }

    /// Leaves whole previous transactions away where every input is of taproot, whose signatures commit to amounts and
    /// scripts of all inputs.
    pub fn remove_unnecessary_transactions(&mut self) {
        let needs_none = |input: &PsbtInput| {
            const ANYONE_CAN_PAY: u32 = 0x80;
            let program = input.witness_utxo.as_ref().and_then(|output| {
                let version = output.script_pubkey.witness_version()?;
                Some(version.to_num() > 0)
            });
            let alone = input
                .sighash_type
                .is_some_and(|kind| kind & ANYONE_CAN_PAY != 0);
            program == Some(true) && !alone
        };
        if self.inputs.iter().all(needs_none) {
            for input in &mut self.inputs {
                input.non_witness_utxo = None;
            }
        }
    }
}
