//! What lies on a disk, which may hold anything.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::path::Path;
use std::sync::{Arc, LazyLock};

use btc_consensus::Chain;
use btc_node::mempool::fees::file as fees;
use btc_node::net::addrman::AddrMan;
use btc_node::net::asmap::Asmap;
use btc_node::net::bans::Bans;
use btc_node::net::netgroup::NetGroups;
use btc_node::store::codec::Reader;
use btc_node::store::compress::{read_coin, write_coin};
use btc_node::store::import::BlockScanner;
use btc_node::store::index_db::{decode_record, encode_record};
use btc_node::store::mempool_file;
use btc_node::store::obfuscation::Obfuscation;
use btc_node::store::undo::BlockUndo;
use btc_node::store::utxo_snapshot::{SnapshotCoins, SnapshotMetadata};
use leveldb_engine::{Batch, Crash, Db, Durability, MemoryFs, Options};

const MAGIC: [u8; 4] = [0xfa, 0xbf, 0xb5, 0xda];

/// The first byte chooses the kind of record or file, the rest is its bytes. What is read is written to what reads the
/// same; what is a list ends.
pub fn storage_record(data: &[u8]) {
    let Some((&choice, rest)) = data.split_first() else {
        return;
    };
    match choice % 10 {
        0 => again(
            rest,
            |bytes| BlockUndo::decode(bytes).ok(),
            BlockUndo::encode,
        ),
        1 => again(
            rest,
            |bytes| read_coin(&mut Reader::new(bytes)).ok(),
            |coin| {
                let mut out = Vec::new();
                write_coin(&mut out, coin);
                out
            },
        ),
        2 => again(rest, |bytes| decode_record(bytes).ok(), encode_record),
        3 => mempool(rest),
        4 => book(rest),
        5 => {
            let Ok(bans) = std::str::from_utf8(rest).map(|text| Bans::parse(text, 1)) else {
                return;
            };
            if let Ok(bans) = bans {
                let written = bans.to_json();
                let read = Bans::parse(&written, 1).expect("it was just written");
                assert_eq!(read.to_json(), written);
            }
        }
        6 => {
            let mut input = rest;
            let Ok(metadata) = SnapshotMetadata::read(&mut input, Chain::Regtest, MAGIC) else {
                return;
            };
            let coins = SnapshotCoins::new(input, metadata.coins);
            let count = coins.take_while(Result::is_ok).count();
            assert!(count as u64 <= metadata.coins && count <= rest.len());
        }
        7 => {
            let mut blocks = BlockScanner::new(rest, MAGIC, Obfuscation::default());
            let found = blocks.by_ref().filter(Result::is_ok).count();
            assert!(found <= rest.len());
        }
        8 => {
            if let Ok(policy) = fees::decode_block_policy(rest) {
                let written = fees::encode_block_policy(&policy);
                let read = fees::decode_block_policy(&written).expect("it was just written");
                assert_eq!(fees::encode_block_policy(&read), written);
            }
            let _ = fees::decode_coverage(rest);
        }
        _ => {
            if let Ok(map) = Asmap::new(rest.to_vec()) {
                for byte in [0, 1, 0x20, 0x7f, 0xff] {
                    let _ = map.lookup(&[byte; 16]);
                }
            }
        }
    }
}

fn again<T: PartialEq + Debug>(
    bytes: &[u8],
    read: impl Fn(&[u8]) -> Option<T>,
    write: impl Fn(&T) -> Vec<u8>,
) {
    if let Some(value) = read(bytes) {
        assert_eq!(read(&write(&value)).as_ref(), Some(&value));
    }
}

fn mempool(bytes: &[u8]) {
    static DIR: LazyLock<tempfile::TempDir> =
        LazyLock::new(|| tempfile::tempdir().expect("there is room"));
    let path = DIR.path().join("mempool.dat");
    std::fs::write(&path, bytes).expect("there is room");
    // What came before damage is as good as any.
    if let Ok(found) = mempool_file::read(&path) {
        mempool_file::write(&path, &found.dump, false).expect("there is room");
        let read = mempool_file::read(&path).expect("it was just written");
        assert_eq!((read.dump, read.failure.is_none()), (found.dump, true));
    }
}

fn book(bytes: &[u8]) {
    let read = |bytes: &[u8]| AddrMan::decode(bytes, NetGroups::new(None), [7; 32], 0);
    let Ok((book, used)) = read(bytes) else {
        return;
    };
    assert!(used <= bytes.len());
    let written = book.encode();
    let (again, used) = match read(&written) {
        Ok(read) => read,
        Err(error) => panic!("its own file is refused: {error}"),
    };
    assert_eq!(used, written.len());
    assert_eq!(again.encode().len(), written.len());
}

/// A database with files of every kind, and what it holds.
struct Model {
    fs: MemoryFs,
    files: Vec<String>,
    values: BTreeMap<Vec<u8>, Vec<Vec<u8>>>,
}

const DIR: &str = "/db";

static MODEL: LazyLock<Model> = LazyLock::new(|| {
    let fs = MemoryFs::new();
    let mut values: BTreeMap<Vec<u8>, Vec<Vec<u8>>> = BTreeMap::new();
    let db = Db::open(Arc::new(fs.clone()), Path::new(DIR), options()).expect("it is new");
    for round in 0..3_u8 {
        let mut batch = Batch::new();
        for number in 0..200_u16 {
            let key = [&b"key"[..], &(number * 7).to_be_bytes()].concat();
            let value = vec![round; usize::from(number % 50)];
            batch.put(&key, &value);
            values.entry(key).or_default().push(value);
        }
        db.write(&batch, Durability::Durable).expect("it is memory");
        if round < 2 {
            // The last ones stay in the log.
            db.flush().expect("it is memory");
        }
    }
    drop(db);
    let mut files = leveldb_engine::Fs::list(&fs, Path::new(DIR)).expect("the folder is there");
    files.retain(|name| name != "LOCK");
    files.sort();
    Model { fs, files, values }
});

fn options() -> Options {
    Options::with_budget(1 << 20)
}

/// Damages of a database's files, each of five bytes: the file, the place (2), how, and the byte. It opens or does not;
/// if it opens, every value is one that was written, keys are in order, and it can be written to and opened again.
pub fn leveldb_files(data: &[u8]) {
    let model = &*MODEL;
    let fs = model.fs.after(Crash::Process);
    for damage in data.chunks_exact(5).take(64) {
        let name = &model.files[usize::from(damage[0]) % model.files.len()];
        let path = Path::new(DIR).join(name);
        let mut bytes = fs.contents(&path).expect("the file is there");
        let place = usize::from(damage[1]) << 8 | usize::from(damage[2]);
        let place = place % (bytes.len() + 1);
        match damage[3] % 5 {
            0 => bytes.truncate(place),
            1 => bytes.insert(place, damage[4]),
            2 => bytes.extend_from_slice(&data[..place.min(data.len())]),
            _ if place == bytes.len() => bytes.push(damage[4]),
            3 => bytes[place] = damage[4],
            _ => bytes[place] ^= damage[4],
        }
        fs.overwrite(&path, &bytes);
    }
    let open = || Db::open(Arc::new(fs.clone()), Path::new(DIR), options());
    let Ok(db) = open() else { return };
    for (key, values) in &model.values {
        if let Ok(Some(value)) = db.get(key) {
            assert!(values.contains(&value), "a value that nobody wrote");
        }
    }
    if let Ok(mut iter) = db.iter() {
        let mut last: Option<Vec<u8>> = None;
        let mut going = iter.seek_to_first();
        while let (Ok(()), Some((key, _))) = (&going, iter.entry()) {
            assert!(
                last.is_none_or(|last| &*last < key),
                "keys are not in order"
            );
            last = Some(key.to_vec());
            going = iter.advance();
        }
    }
    let mut batch = Batch::new();
    batch.put(b"new", b"value");
    if db.write(&batch, Durability::Durable).is_ok() {
        assert_eq!(
            db.get(b"new").ok().flatten().as_deref(),
            Some(&b"value"[..])
        );
        drop(db);
        if let Ok(db) = open() {
            assert_eq!(
                db.get(b"new").ok().flatten().as_deref(),
                Some(&b"value"[..])
            );
        }
    }
}
