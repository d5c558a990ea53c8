//! A node without network, RPC port and wallets.

use bitcoin::absolute::LockTime;
use bitcoin::transaction::Version;
use bitcoin::{
    Amount, Block, BlockHash, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Witness,
};
use btc_consensus::params::{Chain, ChainParams};
use btc_node::chainstate::{ChainstateManager, Clock, Dirs, Options, SubmitOptions, SystemClock};
use btc_node::mempool::{Accepted, Limits, Mempool, Policy, Reject};
use btc_node::mining::{TemplateOptions, generate};
use btc_node::notify::{Event, Notifier, Registration};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use tempfile::TempDir;

pub(crate) struct Node {
    pub(crate) chain: Arc<ChainstateManager>,
    pub(crate) mempool: Arc<Mempool>,
    pub(crate) clock: Arc<SystemClock>,
    pub(crate) dir: TempDir,
    events: Arc<Mutex<Vec<Event>>>,
    _listener: Registration,
    /// What the node would have ended for: the mempool's rules are checked after each change.
    fatal: Arc<Mutex<Vec<String>>>,
}

impl Drop for Node {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.chain.notifier().sync_with_queue();
            assert_eq!(*self.fatal.lock().unwrap(), Vec::<String>::new());
        }
    }
}

impl Node {
    pub(crate) fn new() -> Self {
        Self::with(Policy::default(), Limits::default())
    }

    /// With a chain of `blocks` blocks to [`anyone`].
    pub(crate) fn mined(blocks: u64) -> Self {
        let node = Self::new();
        node.generate(blocks);
        node
    }

    pub(crate) fn with(policy: Policy, limits: Limits) -> Self {
        Self::at(1_700_000_000, policy, limits)
    }

    /// With a clock that stands at `time`.
    pub(crate) fn at(time: i64, policy: Policy, limits: Limits) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let dirs = Dirs {
            net: dir.path().join("regtest"),
            blocks: dir.path().join("regtest/blocks"),
        };
        std::fs::create_dir_all(&dirs.blocks).unwrap();
        let clock = Arc::new(SystemClock::new());
        clock.set_mock(Some(time));
        let notifier = Arc::new(Notifier::new());
        let options = Options::new(dirs, ChainParams::new(Chain::Regtest));
        let as_clock = || Arc::clone(&clock) as Arc<dyn Clock>;
        let chain =
            Arc::new(ChainstateManager::open(options, as_clock(), Arc::clone(&notifier)).unwrap());
        let mempool = Arc::new(Mempool::new(
            policy,
            limits,
            as_clock(),
            Arc::clone(&notifier),
        ));
        mempool.set_audit(1);
        let hook = Arc::clone(&mempool);
        assert!(chain.set_mempool(hook).is_ok());
        let events = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&events);
        let fatal = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&fatal);
        let listener = notifier.register(Arc::new(move |event: &Event| {
            if let Event::Fatal { message } = event {
                seen.lock().unwrap().push(message.clone());
            }
            log.lock().unwrap().push(event.clone())
        }));
        Self {
            chain,
            mempool,
            clock,
            dir,
            events,
            fatal,
            _listener: listener,
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn generate(&self, count: u64) -> Vec<BlockHash> {
        self.generate_to(&anyone(), count)
    }

    pub(crate) fn generate_to(&self, script: &ScriptBuf, count: u64) -> Vec<BlockHash> {
        let options = TemplateOptions::default();
        let hashes = generate(
            &self.chain,
            &self.mempool,
            script,
            &options,
            count,
            1_000_000,
            &|| false,
        )
        .unwrap();
        assert_eq!(hashes.len() as u64, count);
        hashes
    }

    /// The coinbase output of the active block at `height`, with its value.
    pub(crate) fn coinbase(&self, height: u32) -> (OutPoint, Amount) {
        let tx = &self.block_at(height).txdata[0];
        (OutPoint::new(tx.compute_txid(), 0), tx.output[0].value)
    }

    pub(crate) fn block_at(&self, height: u32) -> Block {
        let hash = self.chain.hash_at(height).unwrap();
        self.chain.read_block(&hash).unwrap().unwrap()
    }

    pub(crate) fn submit(&self, tx: &Transaction) -> Result<Accepted, Reject> {
        self.mempool.submit(&self.chain, Arc::new(tx.clone()))
    }

    /// The reject string of a transaction.
    pub(crate) fn reason(&self, tx: &Transaction) -> String {
        self.submit(tx)
            .expect_err("the transaction should be refused")
            .reason()
    }

    pub(crate) fn submit_block(&self, block: Block) -> bool {
        let options = SubmitOptions { force: true };
        self.chain
            .submit_block(Arc::new(block), options)
            .is_ok_and(|accepted| accepted.tip)
    }

    /// Everything that listeners were told since the last call.
    pub(crate) fn events(&self) -> Vec<Event> {
        self.chain.notifier().sync_with_queue();
        std::mem::take(&mut *self.events.lock().unwrap())
    }
}

/// An output that anybody can spend, in a standard form: P2WSH of `OP_TRUE`.
pub(crate) fn anyone() -> ScriptBuf {
    witness_script().to_p2wsh()
}

fn witness_script() -> ScriptBuf {
    ScriptBuf::from_bytes(vec![0x51])
}

/// Spends `inputs`, all of which anybody can, into `outputs` values that anybody can spend again.
pub(crate) fn spend(inputs: &[OutPoint], outputs: &[u64]) -> Transaction {
    Transaction {
        version: Version::TWO,
        lock_time: LockTime::ZERO,
        input: inputs
            .iter()
            .map(|outpoint| TxIn {
                previous_output: *outpoint,
                script_sig: ScriptBuf::new(),
                sequence: Sequence::ENABLE_RBF_NO_LOCKTIME,
                witness: Witness::from_slice(&[witness_script().into_bytes()]),
            })
            .collect(),
        output: outputs
            .iter()
            .map(|sats| TxOut {
                value: Amount::from_sat(*sats),
                script_pubkey: anyone(),
            })
            .collect(),
    }
}

/// The outpoint of an output of `tx`.
pub(crate) fn output(tx: &Transaction, vout: u32) -> OutPoint {
    OutPoint::new(tx.compute_txid(), vout)
}

/// Spends one output and pays `fee` sat.
pub(crate) fn pay((outpoint, value): (OutPoint, Amount), fee: u64) -> Transaction {
    spend(&[outpoint], &[value.to_sat() - fee])
}
