//! What single steps of validation cost.

use std::fmt::Display;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bitcoin::absolute::LockTime;
use bitcoin::consensus::{deserialize, serialize};
use bitcoin::constants::genesis_block;
use bitcoin::hashes::Hash;
use bitcoin::{
    Amount, Block, Network, OutPoint, ScriptBuf, Transaction, TxIn, TxOut, Txid, transaction,
};
use btc_consensus::merkle::merkle_root;
use btc_consensus::script::ScriptFlags;
use btc_consensus::sighash::Spend;
use btc_consensus::{
    Chain, ChainParams, CheckBlockOptions, Coin, HashedBlock, ScriptJob, check_block,
    check_hashed_block,
};
use btc_node::chainstate::coins_cache::{CoinsCache, Overlay};
use btc_node::chainstate::{ChainstateManager, Options, SystemClock};
use btc_node::notify::Notifier;
use btc_node::store::Database;
use btc_node::store::coins_db::CoinsDb;
use btc_node::store::data_dir::DataDir;
use btc_node::store::kv::KvStore;

use crate::chain;
use crate::outputs::{Keys, Kind, Owned};
use crate::random::Random;

/// How long each benchmark runs, five times over; the fastest counts, which is the one least disturbed.
const RUN: Duration = Duration::from_millis(200);
const RUNS: usize = 5;
/// Coins in the benchmarks of the cache.
const COINS: u32 = 200_000;
/// Headers in the benchmark of headers.
const HEADERS: u32 = 20_000;

/// Runs all of them and prints a line for each.
pub fn run() {
    scripts();
    block();
    coins();
    headers();
}

fn report(name: impl Display, nanos: f64, unit: &str) {
    let (value, scale) = match nanos {
        ..1e4 => (nanos, "ns"),
        ..1e7 => (nanos / 1e3, "us"),
        _ => (nanos / 1e6, "ms"),
    };
    println!("{name:<44} {value:>10.1} {scale}/{unit}");
}

/// Nanoseconds that one call takes.
fn measure<R>(mut call: impl FnMut() -> R) -> f64 {
    let mut best = f64::MAX;
    for _ in 0..RUNS {
        let began = Instant::now();
        let mut calls = 0_u32;
        while began.elapsed() < RUN {
            black_box(call());
            calls += 1;
        }
        best = best.min(began.elapsed().as_nanos() as f64 / f64::from(calls));
    }
    best
}

fn scripts() {
    let keys = Keys::new();
    for kind in Kind::ALL {
        let output = keys.output(kind, 7, Amount::from_sat(50_000));
        let owned = Owned {
            outpoint: OutPoint::new(Txid::from_byte_array([5; 32]), 0),
            output: output.clone(),
            kind,
            key: 7,
        };
        let mut transaction = Transaction {
            version: transaction::Version::TWO,
            lock_time: LockTime::ZERO,
            input: vec![TxIn {
                previous_output: owned.outpoint,
                ..TxIn::default()
            }],
            output: vec![keys.output(Kind::WitnessPubKeyHash, 9, Amount::from_sat(40_000)); 2],
        };
        keys.sign(&mut transaction, &[owned]);
        let transaction = Arc::new(transaction);
        // As in Core's benchmark, what the inputs of a transaction share is there already.
        let spend = Spend::new(Arc::clone(&transaction), vec![output.clone()]).unwrap();
        let job = ScriptJob::new(Arc::new(spend), 0, ScriptFlags::ALL).unwrap();
        let nanos = measure(|| job.run().unwrap());
        report(format!("script verify, {kind:?}"), nanos, "input");
    }
}

fn block() {
    let bytes = include_bytes!("../../consensus/tests/data/mainnet-413567.raw");
    let params = ChainParams::new(Chain::Main);
    let block: Block = deserialize(bytes).unwrap();
    report(
        "block 413567, deserialize",
        measure(|| deserialize::<Block>(bytes).unwrap()),
        "block",
    );
    report(
        "block 413567, serialize",
        measure(|| serialize(&block)),
        "block",
    );
    // What Core's benchmark of deserializing does, since its transactions are hashed when they are read.
    let hashed = |block| HashedBlock::new(Arc::new(block));
    report(
        "block 413567, deserialize and hash",
        measure(|| hashed(deserialize::<Block>(bytes).unwrap())),
        "block",
    );
    let read = hashed(block.clone());
    report(
        "block 413567, check",
        measure(|| check_hashed_block(&read, &CheckBlockOptions::default(), &params).unwrap()),
        "block",
    );
    report(
        "block 413567, deserialize and check",
        measure(|| {
            let block: Block = deserialize(bytes).unwrap();
            check_block(&block, &CheckBlockOptions::default(), &params).unwrap();
        }),
        "block",
    );
    report(
        "block 413567, txids",
        measure(|| {
            block
                .txdata
                .iter()
                .map(|tx| tx.compute_txid().to_byte_array()[0])
                .fold(0, |sum: u8, byte| sum.wrapping_add(byte))
        }),
        "block",
    );
    let mut random = Random::new(9);
    let leaves: Vec<[u8; 32]> = (0..9001)
        .map(|_| std::array::from_fn(|_| random.next() as u8))
        .collect();
    report(
        "merkle root",
        measure(|| merkle_root(leaves.clone())) / leaves.len() as f64,
        "leaf",
    );
}

fn outpoint(number: u32) -> OutPoint {
    let hash = bitcoin::hashes::sha256d::Hash::hash(&number.to_le_bytes());
    OutPoint::new(Txid::from_raw_hash(hash), number % 3)
}

fn coin(number: u32) -> Coin {
    let mut script = vec![0, 20];
    script.extend_from_slice(&outpoint(number).txid.to_byte_array()[..20]);
    Coin {
        output: TxOut {
            value: Amount::from_sat(u64::from(number) * 1000),
            script_pubkey: ScriptBuf::from_bytes(script),
        },
        height: number / 2,
        coinbase: false,
    }
}

fn coins() {
    let dir = tempfile::tempdir().unwrap();
    let store: Box<dyn KvStore> = Box::new(Database::open(dir.path(), 8 << 20).unwrap());
    let db = Arc::new(CoinsDb::new(store));
    let mut cache = CoinsCache::new(Arc::clone(&db)).unwrap();
    let fill = |cache: &mut CoinsCache| {
        let mut overlay = Overlay::new(cache);
        for number in 0..COINS {
            overlay.add(outpoint(number), coin(number), false);
        }
        overlay.set_best_block(bitcoin::BlockHash::all_zeros());
        overlay.commit();
    };
    let each = |began: Instant| began.elapsed().as_nanos() as f64 / f64::from(COINS);
    let began = Instant::now();
    fill(&mut cache);
    report("coins cache, add", each(began), "coin");
    report(
        "coins cache, memory",
        cache.memory_usage() as f64 / f64::from(COINS),
        "coin (bytes)",
    );
    let outpoints: Vec<OutPoint> = (0..COINS).map(outpoint).collect();
    let mut random = Random::new(3);
    let mut pick = || outpoints[random.below(outpoints.len())];
    report(
        "coins cache, hit",
        measure(|| cache.coin(&pick()).unwrap().map(|coin| coin.height)),
        "coin",
    );
    let began = Instant::now();
    cache.flush(false).unwrap();
    report("coins cache, flush", each(began), "coin");
    let began = Instant::now();
    for outpoint in &outpoints {
        assert!(cache.coin(outpoint).unwrap().is_some());
    }
    report(
        "coins cache, miss that the database has",
        each(began),
        "coin",
    );
    let mut absent = COINS;
    report(
        "coins cache, miss that the database has not",
        measure(|| {
            absent += 1;
            cache.coin(&outpoint(absent)).unwrap().is_none()
        }),
        "coin",
    );
}

fn headers() {
    let headers = chain::headers(&genesis_block(Network::Regtest).header, HEADERS);
    let temporary = tempfile::tempdir().unwrap();
    let dir = DataDir::open(temporary.path(), Network::Regtest, None, "Bench").unwrap();
    let options = Options::new((&dir).into(), ChainParams::new(Chain::Regtest));
    let (clock, notifier) = (Arc::new(SystemClock::new()), Arc::new(Notifier::new()));
    let node = ChainstateManager::open(options, clock, notifier).unwrap();
    let began = Instant::now();
    for header in &headers {
        node.submit_header(header).unwrap();
    }
    let nanos = began.elapsed().as_nanos() as f64 / f64::from(HEADERS);
    report("headers accepted", nanos, "header");
    node.close().unwrap();
}
