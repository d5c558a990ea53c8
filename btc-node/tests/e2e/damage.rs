//! What damage to each file makes of the start. The texts are those that bitcoind prints, and writes to its log, when
//! the same is done to its files; where the node goes on and bitcoind does not, the row says so.

use crate::harness::{TestNode, free_port, node_program, signal, wait_for};
use Damage::{Cut, Directory, Empty, Flipped, Missing, Unreadable};
use Outcome::{Refused, Starts};
use serde_json::json;
use std::fs;
use std::io::Read;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

/// What is done to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Damage {
    Missing,
    /// Half of it is gone; of block files, what is behind the first few thousand bytes.
    Cut,
    /// One bit is another.
    Flipped,
    Empty,
    /// A directory is in its place.
    Directory,
    /// The node's user may not open it.
    Unreadable,
}

/// What becomes of the start. `NET` stands for the network's directory.
#[derive(Clone, Copy, Debug)]
enum Outcome {
    /// The node ends with status 1 after printing exactly this.
    Refused(&'static str),
    /// It starts, and its log holds this.
    Starts(&'static str),
}

/// A file below the network's directory, by its name or by what that begins or ends with, and its rows.
type Rows = &'static [(&'static str, &'static [(Damage, Outcome)])];

const CORRUPTED: Outcome = Refused(
    "Corrupted block database detected.\nPlease restart with -reindex or -reindex-chainstate to recover.\n",
);
const NO_BLOCK_FILE: Outcome = Refused(
    "Error loading block database.\nPlease restart with -reindex or -reindex-chainstate to recover.\n",
);
const NO_INDEX: Outcome = Refused(
    "Error opening block database.\nPlease restart with -reindex or -reindex-chainstate to recover.\n",
);
const NO_DATABASES: Outcome = Refused(
    "Error loading databases.\nPlease restart with -reindex or -reindex-chainstate to recover.\n",
);
const NOT_INITIALIZED: Outcome = Refused(
    "Error initializing block database.\nPlease restart with -reindex or -reindex-chainstate to recover.\n",
);
const NO_COINS: Outcome = Refused(
    "Error opening coins database.\nPlease restart with -reindex or -reindex-chainstate to recover.\n",
);
/// Nothing is said of it.
const SILENT: Outcome = Starts("");

const BLOCK_FILES: Rows = &[
    (
        "blocks/blk00000.dat",
        &[
            (Missing, NO_BLOCK_FILE),
            (Cut, CORRUPTED),
            (Flipped, CORRUPTED),
            (Empty, CORRUPTED),
            (Directory, CORRUPTED),
            (Unreadable, NO_BLOCK_FILE),
        ],
    ),
    (
        "blocks/rev00000.dat",
        &[
            (Missing, CORRUPTED),
            (Empty, CORRUPTED),
            (Directory, CORRUPTED),
            (Unreadable, CORRUPTED),
        ],
    ),
    (
        "blocks/xor.dat",
        &[
            (Missing, CORRUPTED),
            (
                Cut,
                Refused(
                    "Error: Failed to initialize ChainstateManager: AutoFile::read: end of file: iostream error\n",
                ),
            ),
            (Flipped, CORRUPTED),
            (
                Empty,
                Refused(
                    "Error: Failed to initialize ChainstateManager: AutoFile::read: end of file: iostream error\n",
                ),
            ),
            (
                Directory,
                Refused(
                    "Error: Failed to initialize ChainstateManager: AutoFile::read: fread failed: iostream error\n",
                ),
            ),
            (
                Unreadable,
                Refused(
                    "Error: Failed to initialize ChainstateManager: AutoFile::read: file handle is nullptr: iostream error\n",
                ),
            ),
        ],
    ),
];

const DATABASES: Rows = &[
    (
        "blocks/index/CURRENT",
        &[
            (Missing, NOT_INITIALIZED),
            (Cut, NO_INDEX),
            (Flipped, NO_INDEX),
            (Empty, NO_INDEX),
            (Directory, NO_INDEX),
            (Unreadable, NO_INDEX),
        ],
    ),
    (
        "blocks/index/MANIFEST-*",
        &[
            (Missing, NO_INDEX),
            (Cut, NO_INDEX),
            (Flipped, NO_INDEX),
            (Empty, NO_INDEX),
        ],
    ),
    (
        "blocks/index/*.log",
        &[(Missing, SILENT), (Empty, SILENT), (Directory, NO_INDEX)],
    ),
    (
        "blocks/index/*.ldb",
        &[
            (Missing, NO_INDEX),
            (Cut, NO_DATABASES),
            (Flipped, NO_BLOCK_FILE),
            (Empty, NO_DATABASES),
            (Unreadable, NO_DATABASES),
        ],
    ),
    (
        "chainstate/CURRENT",
        &[
            // bitcoind replays what is left of the old log into a new database, and takes that for damage.
            (Missing, Starts("UpdateTip: new best=")),
            (Cut, NO_COINS),
            (Flipped, NO_COINS),
        ],
    ),
    (
        "chainstate/MANIFEST-*",
        &[(Missing, NO_COINS), (Cut, NO_COINS), (Flipped, NO_COINS)],
    ),
    (
        "chainstate/*.ldb",
        &[(Missing, NO_COINS), (Cut, NO_COINS), (Flipped, NO_COINS)],
    ),
];

const INDEXES: Rows = &[
    (
        "indexes/txindex/CURRENT",
        &[
            (Missing, Starts("txindex is enabled")),
            (
                Empty,
                Refused(
                    "\n\n************************\nEXCEPTION: 15dbwrapper_error       \nFatal LevelDB error: \
                     Corruption: CURRENT file does not end with newline       \nbitcoin in AppInit()       \n\n",
                ),
            ),
        ],
    ),
    (
        "indexes/txospenderindex/db/CURRENT",
        &[(
            Directory,
            Refused(
                "\n\n************************\nEXCEPTION: 15dbwrapper_error       \nFatal LevelDB error: IO error: \
                 NET/indexes/txospenderindex/db/CURRENT: Is a directory       \nbitcoin in AppInit()       \n\n",
            ),
        )],
    ),
    (
        "indexes/coinstatsindex/db/MANIFEST-*",
        &[(
            Cut,
            Refused(
                "\n\n************************\nEXCEPTION: 15dbwrapper_error       \nFatal LevelDB error: Corruption: \
                 no meta-nextfile entry in descriptor       \nbitcoin in AppInit()       \n\n",
            ),
        )],
    ),
    (
        "indexes/blockfilter/basic/db/*.ldb",
        &[(
            Cut,
            Refused(
                "\n\n************************\nEXCEPTION: 15dbwrapper_error       \nFatal LevelDB error: IO error: \
                 NET/indexes/blockfilter/basic/db/FILE: Invalid argument       \nbitcoin in AppInit()       \n\n",
            ),
        )],
    ),
    (
        "indexes/blockfilter/basic/fltr00000.dat",
        &[(Missing, SILENT), (Empty, SILENT)],
    ),
];

const SMALL_FILES: Rows = &[
    (
        "mempool.dat",
        &[
            (
                Missing,
                Starts("Failed to open mempool file. Continuing anyway."),
            ),
            (
                Cut,
                Starts(
                    "Failed to deserialize mempool data on file: AutoFile::read: end of file: iostream error. Continuing anyway.",
                ),
            ),
            (
                Directory,
                Starts(
                    "Failed to deserialize mempool data on file: AutoFile::read: fread failed: iostream error. Continuing anyway.",
                ),
            ),
            (
                Unreadable,
                Starts("Failed to open mempool file. Continuing anyway."),
            ),
        ],
    ),
    (
        "peers.dat",
        &[
            (
                Missing,
                Starts("Creating peers.dat because the file was not found (\"NET/peers.dat\")"),
            ),
            (
                Cut,
                Refused(
                    "Error: Invalid or corrupt peers.dat (AutoFile::read: end of file: iostream error). If you believe \
                     this is a bug, please report it to REPOSITORY/issues. As a workaround, you can move the file \
                     (\"NET/peers.dat\") out of the way (rename, move, or delete) to have a new one created on the next \
                     start.\n",
                ),
            ),
            (
                Directory,
                Refused(
                    "Error: Invalid or corrupt peers.dat (AutoFile::read: fread failed: iostream error). If you believe \
                     this is a bug, please report it to REPOSITORY/issues. As a workaround, you can move the file \
                     (\"NET/peers.dat\") out of the way (rename, move, or delete) to have a new one created on the next \
                     start.\n",
                ),
            ),
            (
                Unreadable,
                Starts("Creating peers.dat because the file was not found (\"NET/peers.dat\")"),
            ),
        ],
    ),
    (
        "banlist.json",
        &[
            (Missing, Starts("Recreating the banlist database")),
            (
                Cut,
                Starts(
                    "Cannot load banlist NET/banlist.json: Settings file NET/banlist.json does not contain valid JSON. \
                     This may be caused by a crash, power loss, full disk, or storage error, and can be fixed by \
                     removing the file, which will reset settings to default values.",
                ),
            ),
            (
                Unreadable,
                Starts(
                    "Cannot load banlist NET/banlist.json: NET/banlist.json. Please check permissions.",
                ),
            ),
        ],
    ),
    (
        "settings.json",
        &[
            (Missing, SILENT),
            (
                Cut,
                Refused(
                    "Error: Settings file could not be read:\n- Settings file NET/settings.json does not contain valid \
                     JSON. This may be caused by a crash, power loss, full disk, or storage error, and can be fixed by \
                     removing the file, which will reset settings to default values.\n",
                ),
            ),
            (
                Unreadable,
                Refused(
                    "Error: Settings file could not be read:\n- NET/settings.json. Please check permissions.\n",
                ),
            ),
        ],
    ),
    (
        "fees/block_policy_estimates.dat",
        &[
            (
                Missing,
                Starts("NET/fees/block_policy_estimates.dat is not found. Continue anyway."),
            ),
            (
                Cut,
                Starts(
                    "Unable to read policy estimator data (non-fatal): AutoFile::read: end of file: iostream error",
                ),
            ),
            (
                Directory,
                Starts(
                    "Unable to read policy estimator data (non-fatal): AutoFile::read: fread failed: iostream error",
                ),
            ),
        ],
    ),
    (
        "fees/mempool_policy_estimator.dat",
        &[(
            Empty,
            Starts("mempool_policy: Unable to read mined-block stats from stream (non-fatal)"),
        )],
    ),
    ("anchors.dat", &[(Empty, SILENT), (Directory, SILENT)]),
    (
        ".cookie",
        &[
            (Empty, SILENT),
            (
                Directory,
                Refused("Error: Unable to start HTTP server. See debug log for details.\n"),
            ),
        ],
    ),
    (
        ".lock",
        &[
            (Missing, SILENT),
            (
                Directory,
                Refused("Error: Cannot write to directory 'NET'; check permissions.\n"),
            ),
            (
                Unreadable,
                Refused("Error: Cannot write to directory 'NET'; check permissions.\n"),
            ),
        ],
    ),
    (
        "bitcoind.pid",
        &[
            (Empty, SILENT),
            (
                Directory,
                Refused(
                    "Error: Unable to create the PID file 'NET/bitcoind.pid': Is a directory (21)\n",
                ),
            ),
            (
                Unreadable,
                Refused(
                    "Error: Unable to create the PID file 'NET/bitcoind.pid': Permission denied (13)\n",
                ),
            ),
        ],
    ),
];

const OPTIONS: [&str; 7] = [
    "-disablewallet",
    "-txindex",
    "-blockfilterindex",
    "-coinstatsindex",
    "-txospenderindex",
    "-checkblocks=0",
    "-checklevel=4",
];
const HEIGHT: u64 = 12;
/// Nobody, for rows about rights: the test's own user may be one that may do everything.
const NOBODY: u32 = 65_534;

/// The data directory of a node that has run twice, so that its databases have tables, and empty logs.
fn sound() -> &'static Path {
    static SOUND: OnceLock<tempfile::TempDir> = OnceLock::new();
    let dir = SOUND.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        let node = TestNode::start(dir.path(), &OPTIONS);
        node.call("generatetodescriptor", json!([HEIGHT, "raw(51)#8lvh9jxk"]));
        node.call("setban", json!(["10.0.0.1", "add", 86_400]));
        node.stop_cleanly();
        let node = TestNode::start(dir.path(), &OPTIONS);
        assert_eq!(node.call("getblockcount", json!([])), HEIGHT);
        node.stop_cleanly();
        dir
    });
    dir.path()
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

fn give_away(path: &Path) {
    chown(path, Some(NOBODY), None).unwrap();
    if path.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            give_away(&entry.unwrap().path());
        }
    }
}

/// The file that a row is about.
fn find(net: &Path, pattern: &str) -> PathBuf {
    let Some((before, after)) = pattern.split_once('*') else {
        return net.join(pattern);
    };
    let (dir, before) = before.rsplit_once('/').unwrap();
    let mut found: Vec<PathBuf> = fs::read_dir(net.join(dir))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            let name = path.file_name().unwrap().to_str().unwrap();
            name.starts_with(before) && name.ends_with(after)
        })
        .collect();
    found.sort();
    found.swap_remove(0)
}

fn inflict(path: &Path, damage: Damage) {
    if !path.exists() {
        // One that a run leaves nothing of.
        fs::write(path, b"123456\n").unwrap();
    }
    let mut bytes = fs::read(path).unwrap();
    // Files that grow in steps hold nothing at their end.
    let at = if bytes.len() >= 1 << 20 {
        1000
    } else {
        bytes.len() / 2
    };
    match damage {
        Missing => return fs::remove_file(path).unwrap(),
        Directory => {
            fs::remove_file(path).unwrap();
            return fs::create_dir(path).unwrap();
        }
        Unreadable => {
            return fs::set_permissions(path, fs::Permissions::from_mode(0o000)).unwrap();
        }
        Cut => bytes.truncate(at),
        Flipped => bytes[at] ^= 0x10,
        Empty => bytes.clear(),
    }
    fs::write(path, bytes).unwrap();
}

/// A node's process that ends with the test.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Whether the test's user may do everything, so that rights must be those of another.
fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Whether another user can run the program at all.
fn others_can_run_it() -> bool {
    static CAN: OnceLock<bool> = OnceLock::new();
    *CAN.get_or_init(|| {
        let mut command = Command::new(node_program());
        command.arg("-version").uid(NOBODY).stdout(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    })
}

fn run(pattern: &str, damage: Damage, outcome: Outcome) {
    let other_user = damage == Unreadable && is_root();
    if other_user && !others_can_run_it() {
        println!("{pattern}, unreadable: nobody else can run the program here");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    copy(sound(), dir.path());
    let net = dir.path().join("regtest");
    fs::remove_file(net.join("debug.log")).unwrap();
    let path = find(&net, pattern);
    inflict(&path, damage);
    let mut command = Command::new(node_program());
    command
        .arg(format!("-datadir={}", dir.path().display()))
        .args(["-regtest", "-connect=0", "-listen=0", "-pid=bitcoind.pid"])
        .arg(format!("-rpcport={}", free_port()))
        .args(OPTIONS)
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    if other_user {
        give_away(dir.path());
        command.uid(NOBODY);
    }
    let what = format!("{pattern}, {damage:?}");
    let fill = |text: &str| {
        text.replace("NET", &net.display().to_string())
            .replace("FILE", path.file_name().unwrap().to_str().unwrap())
            .replace("REPOSITORY", env!("CARGO_PKG_REPOSITORY"))
    };
    let log = || fs::read_to_string(net.join("debug.log")).unwrap_or_default();
    let mut node = Process(command.spawn().unwrap());
    let wanted = match outcome {
        Starts(text) => Some(fill(text)),
        Refused(_) => None,
    };
    let mut told = false;
    let status = wait_for(&what, || {
        if let Some(wanted) = &wanted
            && !told
        {
            let log = log();
            if log.contains("Done loading") && log.contains(wanted.as_str()) {
                told = true;
                signal(node.0.id(), "TERM");
            }
        }
        node.0.try_wait().unwrap()
    });
    let mut stderr = String::new();
    node.0
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut stderr)
        .unwrap();
    match outcome {
        Starts(_) => {
            assert!(told, "{what}: it ended: {stderr}\n{}", log());
            assert!(status.success(), "{what}: {status}, {stderr}");
            assert_eq!(stderr, "", "{what}");
        }
        Refused(text) => {
            assert_eq!(stderr, fill(text), "{what}");
            assert_eq!(status.code(), Some(1), "{what}");
        }
    }
}

fn run_all(rows: Rows) {
    for (pattern, rows) in rows {
        for (damage, outcome) in *rows {
            run(pattern, *damage, *outcome);
        }
    }
}

#[test]
fn of_damaged_block_files() {
    run_all(BLOCK_FILES);
}

#[test]
fn of_damaged_databases() {
    run_all(DATABASES);
}

#[test]
fn of_damaged_indexes() {
    run_all(INDEXES);
}

#[test]
fn of_damaged_small_files() {
    run_all(SMALL_FILES);
}
