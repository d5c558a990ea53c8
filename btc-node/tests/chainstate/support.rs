//! Regtest nodes and blocks for them.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use bitcoin::absolute::LockTime;
use bitcoin::block::{Header, Version};
use bitcoin::consensus::serialize;
use bitcoin::hashes::Hash;
use bitcoin::script::Builder;
use bitcoin::transaction;
use bitcoin::{
    Amount, Block, BlockHash, CompactTarget, OutPoint, ScriptBuf, Sequence, Transaction, TxIn,
    TxOut, Witness,
};
use btc_consensus::{Chain, ChainParams};
use btc_node::chainstate::{
    Accepted, ChainstateManager, Clock, Dirs, OpenError, Options, SubmitError, SubmitOptions,
    UtxoHash, UtxoHashKind,
};
use btc_node::notify::Notifier;

/// A clock that stands where a test puts it.
pub(crate) struct TestClock(AtomicI64);

impl TestClock {
    pub(crate) fn at(time: i64) -> Arc<Self> {
        Arc::new(Self(AtomicI64::new(time)))
    }
}

impl Clock for TestClock {
    fn now(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Some time after the regtest genesis block.
pub(crate) const NOW: i64 = 1_700_000_000;

/// Where a node's files lie.
pub(crate) enum HomeDir {
    /// As long as the test lives.
    Temporary(tempfile::TempDir),
    /// Somebody else's.
    Borrowed(PathBuf),
}

impl HomeDir {
    pub(crate) fn path(&self) -> &Path {
        match self {
            Self::Temporary(dir) => dir.path(),
            Self::Borrowed(path) => path,
        }
    }
}

/// A directory for nodes one after the other.
pub(crate) struct Home {
    pub(crate) dir: HomeDir,
    pub(crate) chain: Chain,
    pub(crate) now: i64,
}

impl Home {
    pub(crate) fn new(chain: Chain) -> Self {
        Self {
            dir: HomeDir::Temporary(tempfile::tempdir().expect("temporary directory")),
            chain,
            now: NOW,
        }
    }

    pub(crate) fn regtest() -> Self {
        Self::new(Chain::Regtest)
    }

    pub(crate) fn in_dir(dir: &Path) -> Self {
        Self {
            dir: HomeDir::Borrowed(dir.to_owned()),
            chain: Chain::Regtest,
            now: NOW,
        }
    }

    pub(crate) fn blocks(&self) -> PathBuf {
        self.dir.path().join("blocks")
    }

    /// Copies everything to a directory where no node has been.
    pub(crate) fn copy_to(&self, other: &Self) {
        fn copy(from: &Path, to: &Path) {
            fs::create_dir_all(to).expect("creates");
            for entry in fs::read_dir(from).expect("lists") {
                let entry = entry.expect("lists");
                let to = to.join(entry.file_name());
                if entry.file_type().expect("is known").is_dir() {
                    copy(&entry.path(), &to);
                } else {
                    fs::copy(entry.path(), to).expect("copies");
                }
            }
        }
        copy(self.dir.path(), other.dir.path());
    }

    pub(crate) fn options(&self) -> Options {
        let dirs = Dirs {
            net: self.dir.path().to_owned(),
            blocks: self.blocks(),
        };
        fs::create_dir_all(&dirs.blocks).expect("creates");
        let mut options = Options::new(dirs, ChainParams::new(self.chain));
        options.dbcache = 16 << 20;
        options.script_threads = 1;
        options.check_level = 4;
        options.check_blocks = 0;
        options.check_index = 1;
        options
    }

    pub(crate) fn try_open_with(
        &self,
        change: impl FnOnce(&mut Options),
    ) -> Result<ChainstateManager, OpenError> {
        let mut options = self.options();
        change(&mut options);
        ChainstateManager::open(options, TestClock::at(self.now), Arc::new(Notifier::new()))
    }

    pub(crate) fn open_with(&self, change: impl FnOnce(&mut Options)) -> ChainstateManager {
        self.try_open_with(change).expect("opens")
    }

    pub(crate) fn open(&self) -> ChainstateManager {
        self.open_with(|_| {})
    }
}

/// Anyone may spend it.
pub(crate) fn anyone() -> ScriptBuf {
    Builder::new()
        .push_opcode(bitcoin::opcodes::OP_TRUE)
        .into_script()
}

/// A transaction that spends outpoints to outputs of the given values that anyone may spend.
pub(crate) fn spend(from: &[OutPoint], values: &[u64]) -> Transaction {
    Transaction {
        version: transaction::Version::TWO,
        lock_time: LockTime::ZERO,
        input: from
            .iter()
            .map(|outpoint| TxIn {
                previous_output: *outpoint,
                script_sig: ScriptBuf::new(),
                sequence: Sequence::MAX,
                witness: Witness::new(),
            })
            .collect(),
        output: values
            .iter()
            .map(|value| TxOut {
                value: Amount::from_sat(*value),
                script_pubkey: anyone(),
            })
            .collect(),
    }
}

/// A block before its proof of work.
pub(crate) struct Template {
    pub(crate) prev: BlockHash,
    pub(crate) height: u32,
    pub(crate) time: u32,
    /// Makes blocks at the same place differ.
    pub(crate) tag: u32,
    pub(crate) reward: u64,
    pub(crate) transactions: Vec<Transaction>,
}

impl Template {
    pub(crate) fn after(prev: &Header, height: u32) -> Self {
        Self {
            prev: prev.block_hash(),
            height: height + 1,
            time: prev.time + 1,
            tag: 0,
            reward: subsidy(height + 1),
            transactions: Vec::new(),
        }
    }

    pub(crate) fn mine(self) -> Arc<Block> {
        let script_sig = Builder::new()
            .push_int(self.height.into())
            .push_slice(self.tag.to_le_bytes())
            .into_script();
        let mut coinbase = spend(&[OutPoint::null()], &[self.reward]);
        coinbase.input[0].script_sig = script_sig;
        let mut txdata = vec![coinbase];
        txdata.extend(self.transactions);
        let header = Header {
            version: Version::from_consensus(0x2000_0000),
            prev_blockhash: self.prev,
            merkle_root: bitcoin::TxMerkleNode::all_zeros(),
            time: self.time,
            bits: CompactTarget::from_consensus(0x207f_ffff),
            nonce: 0,
        };
        let mut block = Block { header, txdata };
        seal(&mut block);
        Arc::new(block)
    }
}

/// Sets the merkle root and finds a nonce.
pub(crate) fn seal(block: &mut Block) {
    block.header.merkle_root = block.compute_merkle_root().expect("has transactions");
    while block.header.validate_pow(block.header.target()).is_err() {
        block.header.nonce += 1;
    }
}

/// What a block of the regtest chain creates.
pub(crate) fn subsidy(height: u32) -> u64 {
    50_0000_0000 >> (height / 150)
}

/// The block after the tip of a node, with the given transactions.
pub(crate) fn next_block(node: &ChainstateManager, transactions: Vec<Transaction>) -> Arc<Block> {
    let tip = node.tip();
    Template {
        transactions,
        ..Template::after(&tip.header, tip.height)
    }
    .mine()
}

pub(crate) fn submit(
    node: &ChainstateManager,
    block: &Arc<Block>,
) -> Result<Accepted, SubmitError> {
    node.submit_block(Arc::clone(block), SubmitOptions { force: true })
}

/// Mines on the tip and gives the blocks.
pub(crate) fn mine(node: &ChainstateManager, count: usize) -> Vec<Arc<Block>> {
    (0..count)
        .map(|_| {
            let block = next_block(node, Vec::new());
            let accepted = submit(node, &block).expect("is valid");
            assert!(accepted.new && accepted.tip);
            block
        })
        .collect()
}

/// A chain of blocks on top of a header, without a node.
pub(crate) fn branch(from: &Header, height: u32, count: usize, tag: u32) -> Vec<Arc<Block>> {
    let mut blocks: Vec<Arc<Block>> = Vec::new();
    for n in 0..count {
        let prev = blocks.last().map_or(*from, |block| block.header);
        blocks.push(
            Template {
                tag,
                ..Template::after(&prev, height + n as u32)
            }
            .mine(),
        );
    }
    blocks
}

/// The first output of a block's coinbase.
pub(crate) fn reward_of(block: &Block) -> OutPoint {
    OutPoint {
        txid: block.txdata[0].compute_txid(),
        vout: 0,
    }
}

/// The digest of a node's coins, as hexadecimal.
pub(crate) fn digest(node: &ChainstateManager, kind: UtxoHashKind) -> String {
    match node
        .utxo_stats(kind)
        .expect("computes")
        .expect("is not interrupted")
        .hash
    {
        UtxoHash::None => String::new(),
        UtxoHash::HashSerialized3(hash) | UtxoHash::MuHash(hash) => hash.to_string(),
    }
}

pub(crate) fn muhash(node: &ChainstateManager) -> String {
    digest(node, UtxoHashKind::MuHash)
}

pub(crate) fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data")
        .join(name)
}

/// A block as it stands in a block file.
pub(crate) fn record(magic: [u8; 4], block: &Block) -> Vec<u8> {
    let bytes = serialize(block);
    let mut out = magic.to_vec();
    out.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
    out.extend_from_slice(&bytes);
    out
}

/// Unpacks a `.tar.xz` of plain files and directories, leaving out the first path component.
pub(crate) fn unpack(archive: &Path, to: &Path) {
    let mut input = std::io::BufReader::new(fs::File::open(archive).expect("opens"));
    let mut tar = Vec::new();
    lzma_rs::xz_decompress(&mut input, &mut tar).expect("is an xz archive");
    let mut rest = &tar[..];
    loop {
        let (header, after) = rest.split_at(512);
        if header.iter().all(|byte| *byte == 0) {
            return;
        }
        let text = |range: std::ops::Range<usize>| {
            let field = &header[range];
            let end = field
                .iter()
                .position(|byte| *byte == 0)
                .unwrap_or(field.len());
            String::from_utf8(field[..end].to_vec()).expect("is text")
        };
        let size = usize::from_str_radix(text(124..136).trim(), 8).expect("is a number");
        let path: PathBuf = Path::new(&text(0..100)).components().skip(1).collect();
        let target = to.join(path);
        match header[156] {
            b'5' => fs::create_dir_all(&target).expect("creates"),
            b'0' | 0 => {
                let mut content = Vec::new();
                (&after[..size]).read_to_end(&mut content).expect("reads");
                fs::write(&target, content).expect("writes");
            }
            other => panic!("the archive holds an entry of kind {other}"),
        }
        rest = &after[size.next_multiple_of(512)..];
    }
}
