//! One transaction of the mempool as its methods show it.

use crate::mempool::{Entry, Feerate, Pool, Totals};
use crate::rpc::context::NodeParts;
use bitcoin::hashes::Hash;
use bitcoin::{Txid, Wtxid};
use btc_interfaces::rpc::writer::JsonWriter;
use serde_json::Value;

/// What is shown, taken out of the mempool.
pub(super) struct View {
    pub(super) txid: Txid,
    wtxid: Wtxid,
    vsize: i64,
    weight: i64,
    time: i64,
    height: u32,
    fee: i64,
    modified_fee: i64,
    chunk: Feerate,
    above: Totals,
    below: Totals,
    parents: Vec<Txid>,
    children: Vec<Txid>,
    unbroadcast: bool,
    /// Whether it signals that it may be replaced, where that is still shown.
    replaceable: Option<bool>,
}

impl View {
    /// Bytes of the usual text.
    pub(super) const ROOM: usize = 640;

    /// `None` if the transaction is not here.
    pub(super) fn of(pool: &Pool, txid: &Txid, parts: &NodeParts) -> Option<Self> {
        let graph = pool.graph();
        let entry = graph.get(txid)?;
        let ancestors = || graph.ancestors([*txid]);
        let alone = Totals {
            count: 1,
            vsize: entry.vsize(),
            fees: entry.modified_fee(),
        };
        let (mut above, mut below) = (alone, alone);
        if !entry.parents.is_empty() {
            above = graph.totals(&ancestors());
        }
        if !entry.children.is_empty() {
            below = graph.totals(&graph.descendants([*txid]));
        }
        let signals = |entry: &Entry| entry.tx.input.iter().any(|input| input.sequence.is_rbf());
        let replaceable = parts.is_deprecated_enabled("bip125").then(|| {
            let ancestors = ancestors();
            let mut ancestors = ancestors.iter().filter_map(|txid| graph.get(txid));
            ancestors.any(signals)
        });
        let mut parents: Vec<Txid> = entry.parents.iter().copied().collect();
        // As they are shown: the last byte first.
        parents.sort_by(|a, b| {
            let (a, b) = (a.to_byte_array(), b.to_byte_array());
            a.iter().rev().cmp(b.iter().rev())
        });
        Some(Self {
            txid: *txid,
            wtxid: entry.wtxid,
            vsize: entry.vsize(),
            weight: entry.weight,
            time: entry.time,
            height: entry.height,
            fee: entry.fee,
            modified_fee: entry.modified_fee(),
            chunk: graph.chunk_of(txid)?.feerate,
            above,
            below,
            parents,
            children: entry.children.iter().copied().collect(),
            unbroadcast: pool.unbroadcast().contains(txid),
            replaceable,
        })
    }

    /// Writes it as an object.
    pub(super) fn write(&self, out: &mut JsonWriter) {
        let list = |out: &mut JsonWriter, txids: &[Txid]| {
            out.array(|out| {
                for txid in txids {
                    out.hash(txid.to_byte_array());
                }
            });
        };
        out.object(|out| {
            out.key("vsize_adjusted").number(self.vsize);
            out.key("vsize").number(self.vsize);
            out.key("vsize_bip141").number((self.weight + 3) / 4);
            out.key("weight").number(self.weight);
            out.key("time").number(self.time);
            out.key("height").number(self.height);
            out.key("descendantcount").number(self.below.count);
            out.key("descendantsize").number(self.below.vsize);
            out.key("ancestorcount").number(self.above.count);
            out.key("ancestorsize").number(self.above.vsize);
            out.key("wtxid").hash(self.wtxid.to_byte_array());
            out.key("chunkweight").number(self.chunk.size);
            out.key("fees").object(|out| {
                out.key("base").amount(self.fee);
                out.key("modified").amount(self.modified_fee);
                out.key("ancestor").amount(self.above.fees);
                out.key("descendant").amount(self.below.fees);
                out.key("chunk").amount(self.chunk.fee);
            });
            list(out.key("depends"), &self.parents);
            list(out.key("spentby"), &self.children);
            out.key("unbroadcast").boolean(self.unbroadcast);
            if let Some(replaceable) = self.replaceable {
                out.key("bip125-replaceable").boolean(replaceable);
            }
        });
    }

    /// It as a value.
    pub(super) fn value(&self) -> Value {
        let mut out = JsonWriter::with_capacity(Self::ROOM);
        self.write(&mut out);
        serde_json::from_str(&out.into_text()).expect("an object was written")
    }
}
