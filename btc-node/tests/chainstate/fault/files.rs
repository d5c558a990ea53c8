//! Files that are replaced whole: `mempool.dat`, `peers.dat`, `banlist.json` and the like.

use bitcoin::constants::genesis_block;
use btc_node::store::StoreError;
use btc_node::store::checked_file::{self, CheckedFile};
use btc_node::store::data_dir::replace_file_on;
use btc_node::store::disk::Disk;
use btc_node::store::mempool_file::{self, MempoolDump, MempoolRecord};
use std::path::Path;

use super::gate::{Fault, inject};

/// Replaces what `write` wrote first; afterwards one of the two is there, and it can be replaced again.
fn replace<T: Clone + PartialEq + std::fmt::Debug>(
    both: [T; 2],
    write: impl Fn(&Disk, &Path, &T) -> Result<(), StoreError>,
    read: impl Fn(&Path) -> T,
) {
    let [old, new] = both;
    inject(u64::MAX, |gate| {
        let dir = tempfile::tempdir().expect("temporary directory");
        let path = dir.path().join("file");
        write(&Disk::default(), &path, &old).expect("writes");
        let done = write(&gate.disk(), &path, &new);
        match gate.happened() {
            Some(Fault::Gone | Fault::Fail | Fault::Short) => assert!(done.is_err(), "unnoticed"),
            // Nothing grows after the fault fell.
            Some(Fault::Full) => {}
            None => assert!(done.is_ok(), "{done:?}"),
        }
        let found = read(&path);
        match done {
            Ok(()) => assert_eq!(found, new),
            Err(_) => assert!(found == old || found == new, "{found:?}"),
        }
        write(&Disk::default(), &path, &new).expect("writes");
        assert_eq!(read(&path), new);
        assert_eq!(std::fs::read_dir(dir.path()).expect("lists").count(), 1);
    });
}

#[test]
fn whatever_call_fails_the_old_file_or_the_new_one_is_there() {
    replace(
        [b"old".to_vec(), b"new and longer".to_vec()],
        |disk, path, bytes| replace_file_on(disk, path, bytes),
        |path| std::fs::read(path).expect("reads"),
    );
}

#[test]
fn whatever_call_fails_the_transactions_that_wait_are_those_before_or_after() {
    let record = MempoolRecord {
        transaction: genesis_block(bitcoin::Network::Bitcoin).txdata.remove(0),
        time: 1_700_000_000,
        fee_delta: 7,
    };
    let one = MempoolDump {
        transactions: vec![record.clone()],
        ..MempoolDump::default()
    };
    let two = MempoolDump {
        transactions: vec![record.clone(), record],
        ..MempoolDump::default()
    };
    replace(
        [one, two],
        |disk, path, dump| mempool_file::write_on(disk, path, dump, false),
        |path| {
            let reading = mempool_file::read(path).expect("reads");
            assert!(reading.failure.is_none());
            reading.dump
        },
    );
}

#[test]
fn whatever_call_fails_a_checked_file_keeps_its_checksum() {
    const MAGIC: [u8; 4] = [1, 2, 3, 4];
    replace(
        [b"peers".to_vec(), b"other".to_vec()],
        |disk, path, content| checked_file::write_on(disk, path, MAGIC, content),
        |path| {
            let file = CheckedFile::open(path).expect("reads").expect("is there");
            file.verify(5).expect("is whole");
            file.content(MAGIC).expect("is whole")[..5].to_vec()
        },
    );
}
