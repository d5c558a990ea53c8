//! Figures about all unspent coins, as `gettxoutsetinfo` shows them.

use std::collections::BTreeMap;

use bitcoin::consensus::Encodable;
use bitcoin::hashes::{Hash, HashEngine, sha256d};
use bitcoin::{Amount, BlockHash, OutPoint, TxOut, Txid};
use btc_consensus::Coin;

use super::muhash::MuHash;
use crate::store::StoreError;
use crate::store::coins_db::CoinsDb;
use crate::store::compress::coin_code;

/// Which digest to make of the coins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum UtxoHashKind {
    /// None.
    None,
    /// SHA256d of all coins in the order of the database; version 3 of the format.
    #[default]
    HashSerialized3,
    /// [MuHash](super::muhash), which does not depend on the order.
    MuHash,
}

/// The digest of the coins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UtxoHash {
    /// None was asked for.
    None,
    /// `hash_serialized_3`.
    HashSerialized3(sha256d::Hash),
    /// `muhash`.
    MuHash(sha256d::Hash),
}

/// Figures about all unspent coins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UtxoStats {
    /// The block after which the figures hold.
    pub best_block: BlockHash,
    /// Its height.
    pub height: u32,
    /// Number of unspent outputs.
    pub tx_outs: u64,
    /// Number of transactions that have unspent outputs.
    pub transactions: u64,
    /// A size that does not depend on the database: 50 bytes and the script for each output.
    pub bogo_size: u64,
    /// Sum of their values; `None` if it overflows 64 bits.
    pub total_amount: Option<Amount>,
    /// About how many bytes they take on disk.
    pub disk_size: u64,
    /// The digest.
    pub hash: UtxoHash,
}

/// Bytes that each output counts for besides its script: outpoint 36, height and coinbase 4, value 8, script length 2.
const BOGO_OUTPUT: u64 = 32 + 4 + 4 + 8 + 2;

/// What an unspent output adds to [`UtxoStats::bogo_size`], in bytes.
pub fn bogo_size(output: &TxOut) -> u64 {
    BOGO_OUTPUT + output.script_pubkey.len() as u64
}

/// What a digest is made over: outpoint, height and coinbase mark, output.
pub fn write_coin_for_hash(out: &mut Vec<u8>, outpoint: &OutPoint, coin: &Coin) {
    out.extend_from_slice(outpoint.txid.as_byte_array());
    out.extend_from_slice(&outpoint.vout.to_le_bytes());
    out.extend_from_slice(&coin_code(coin).to_le_bytes());
    coin.output
        .consensus_encode(out)
        .expect("writing to memory does not fail");
}

enum Digest {
    None,
    Serialized(<sha256d::Hash as Hash>::Engine),
    MuHash(Box<MuHash>),
}

/// Sums that grow transaction by transaction.
struct Walk {
    digest: Digest,
    stats: UtxoStats,
    bytes: Vec<u8>,
}

impl Walk {
    /// Takes in the unspent outputs of one transaction.
    fn add(&mut self, txid: Txid, outputs: &BTreeMap<u32, Coin>) {
        if outputs.is_empty() {
            return;
        }
        let stats = &mut self.stats;
        stats.transactions += 1;
        for (vout, coin) in outputs {
            stats.tx_outs += 1;
            stats.bogo_size += bogo_size(&coin.output);
            stats.total_amount = stats
                .total_amount
                .and_then(|sum| sum.checked_add(coin.output.value));
            self.bytes.clear();
            write_coin_for_hash(&mut self.bytes, &OutPoint { txid, vout: *vout }, coin);
            match &mut self.digest {
                Digest::None => {}
                Digest::Serialized(engine) => engine.input(&self.bytes),
                Digest::MuHash(set) => set.insert(&self.bytes),
            }
        }
    }
}

/// Walks over all coins in `db`. `interrupted` is asked now and then; once it says yes, the answer is `None`.
pub(super) fn compute(
    db: &CoinsDb,
    kind: UtxoHashKind,
    best_block: BlockHash,
    height: u32,
    interrupted: &dyn Fn() -> bool,
) -> Result<Option<UtxoStats>, StoreError> {
    let stats = compute_from(db.coins()?, kind, best_block, height, interrupted)?;
    Ok(stats.map(|stats| UtxoStats {
        disk_size: db.approximate_size(),
        ..stats
    }))
}

/// The same over coins in the order of the database; how much they take on disk is left open.
pub(super) fn compute_from(
    coins: impl Iterator<Item = Result<(OutPoint, Coin), StoreError>>,
    kind: UtxoHashKind,
    best_block: BlockHash,
    height: u32,
    interrupted: &dyn Fn() -> bool,
) -> Result<Option<UtxoStats>, StoreError> {
    let digest = match kind {
        UtxoHashKind::None => Digest::None,
        UtxoHashKind::HashSerialized3 => Digest::Serialized(sha256d::Hash::engine()),
        UtxoHashKind::MuHash => Digest::MuHash(Box::default()),
    };
    let stats = UtxoStats {
        best_block,
        height,
        tx_outs: 0,
        transactions: 0,
        bogo_size: 0,
        total_amount: Some(Amount::ZERO),
        disk_size: 0,
        hash: UtxoHash::None,
    };
    let mut walk = Walk {
        digest,
        stats,
        bytes: Vec::new(),
    };
    // The database does not keep a transaction's outputs in the order of their numbers: a VARINT of more bytes may
    // begin with a smaller byte. So they are gathered and sorted.
    let mut txid = Txid::all_zeros();
    let mut outputs = BTreeMap::new();
    for (count, entry) in coins.enumerate() {
        let (outpoint, coin) = entry?;
        if count % 1024 == 0 && interrupted() {
            return Ok(None);
        }
        if outpoint.txid != txid {
            walk.add(txid, &outputs);
            outputs.clear();
            txid = outpoint.txid;
        }
        outputs.insert(outpoint.vout, coin);
    }
    walk.add(txid, &outputs);
    let mut stats = walk.stats;
    stats.hash = match walk.digest {
        Digest::None => UtxoHash::None,
        Digest::Serialized(engine) => UtxoHash::HashSerialized3(sha256d::Hash::from_engine(engine)),
        Digest::MuHash(set) => UtxoHash::MuHash(sha256d::Hash::from_byte_array(set.finalize())),
    };
    Ok(Some(stats))
}
