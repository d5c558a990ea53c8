//! A disk that is really full: a small file system in memory, which only root can mount. For others these tests say so
//! and do nothing.

use crate::harness::{TestNode, run_to_end, wait_for};
use rustix::fs::{FallocateFlags, fallocate, statvfs};
use serde_json::{Value, json};
use std::fs::{self, File};
use std::path::Path;
use std::process::Command;

/// What must stay free, by which Core goes.
const RESERVE: u64 = 50 << 20;
/// Enough for the reserve, two steps of a block file, and what is written besides.
const SIZE: u64 = 160 << 20;
const OPTIONS: [&str; 3] = ["-disablewallet", "-txindex", "-blockfilterindex"];

/// A file system of [`SIZE`] bytes.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    /// `None` if it cannot be mounted here.
    fn mount() -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={SIZE}"), "tmpfs"])
            .arg(dir.path())
            .output();
        if !mounted.is_ok_and(|output| output.status.success()) {
            println!("a file system cannot be mounted here: nothing is tested");
            return None;
        }
        Some(Self(dir))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn free(&self) -> u64 {
        let stat = statvfs(self.path()).unwrap();
        stat.f_bavail * stat.f_frsize
    }

    /// Leaves so many bytes free.
    fn fill(&self, leave: u64) {
        let file = File::create(self.path().join("filler")).unwrap();
        let taken = self.free().saturating_sub(leave);
        fallocate(&file, FallocateFlags::empty(), 0, taken).unwrap();
    }

    fn make_room(&self) {
        fs::remove_file(self.path().join("filler")).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // What is left of it goes with the machine.
        let _ = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}

fn mine(node: &TestNode, blocks: u32) {
    node.call("generatetodescriptor", json!([blocks, "raw(51)#8lvh9jxk"]));
}

fn coins(node: &TestNode) -> Value {
    node.call("gettxoutsetinfo", json!(["muhash"]))["muhash"].clone()
}

const TOO_LOW: &str =
    "Error: A fatal internal error occurred, see debug.log for details: Disk space is too low!\n";

#[test]
fn without_room_no_chain_is_begun() {
    let Some(disk) = SmallDisk::mount() else {
        return;
    };
    disk.fill(RESERVE / 2);
    let ended = run_to_end(disk.path(), &OPTIONS);
    assert_eq!(
        ended.stderr,
        format!("{TOO_LOW}Error: Error initializing block database\n")
    );
    assert_eq!(ended.status.code(), Some(1));
    disk.make_room();
    let node = TestNode::start(disk.path(), &OPTIONS);
    mine(&node, 1);
    node.stop_cleanly();
}

#[test]
fn a_node_whose_disk_runs_full_ends_and_loses_nothing_that_was_written() {
    let Some(disk) = SmallDisk::mount() else {
        return;
    };
    let node = TestNode::start(disk.path(), &OPTIONS);
    mine(&node, 20);
    let flushed = coins(&node);
    disk.fill(RESERVE - 1);
    // There is room in the block file, but none to write the databases.
    mine(&node, 3);
    let tip = node.call("getbestblockhash", json!([]));
    let ended = node.stop();
    assert_eq!(ended.stderr, TOO_LOW);
    assert_eq!(ended.status.code(), Some(1));
    // It is not begun again before there is room.
    let ended = run_to_end(disk.path(), &OPTIONS);
    let low = format!(
        "Error: Error: Disk space is low for \"{}\"\n",
        disk.path().join("regtest").display()
    );
    assert!(ended.stderr.starts_with(&low), "{ended:?}");
    assert_eq!(ended.status.code(), Some(1));
    disk.make_room();
    let node = TestNode::start(disk.path(), &OPTIONS);
    // The blocks were in their file already.
    assert_eq!(node.call("getbestblockhash", json!([])), tip);
    assert_eq!(node.call("verifychain", json!([4, 0])), true);
    let later = node.call("getblockhash", json!([21]));
    node.call("invalidateblock", json!([later]));
    assert_eq!(coins(&node), flushed);
    node.call("reconsiderblock", json!([later]));
    assert_eq!(node.call("getbestblockhash", json!([])), tip);
    wait_for("the indexes", || {
        let info = node.call("getindexinfo", json!([]));
        let all = info.as_object().unwrap().values();
        let mut all = all.map(|index| index["synced"] == true);
        all.all(|synced| synced).then_some(())
    });
    node.stop_cleanly();
}

#[test]
fn without_a_byte_of_room_files_stay_as_they_were() {
    let Some(disk) = SmallDisk::mount() else {
        return;
    };
    let node = TestNode::start(disk.path(), &OPTIONS);
    mine(&node, 20);
    let flushed = coins(&node);
    node.call("setban", json!(["10.0.0.1", "add", 86_400]));
    node.call("savemempool", json!([]));
    let files = ["banlist.json", "mempool.dat"].map(|name| node.net_dir().join(name));
    let before = files.clone().map(|path| fs::read(path).unwrap());
    disk.fill(0);
    let error = node.call_error("", "savemempool", json!([]));
    assert_eq!(error.message, "Unable to dump mempool to disk");
    node.call("setban", json!(["10.0.0.2", "add", 86_400]));
    let dump = disk.path().join("coins");
    node.call_error("", "dumptxoutset", json!([dump, "latest"]));
    assert!(!dump.exists());
    let ended = node.wait();
    assert_eq!(ended.stderr, TOO_LOW);
    for (path, before) in files.iter().zip(before) {
        assert!(fs::read(path).unwrap() == before, "{}", path.display());
    }
    disk.make_room();
    let node = TestNode::start(disk.path(), &OPTIONS);
    assert_eq!(node.call("getblockcount", json!([])), 20);
    assert_eq!(coins(&node), flushed);
    node.call("dumptxoutset", json!([dump, "latest"]));
    node.stop_cleanly();
}
