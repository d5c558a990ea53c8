//! Transactions that wait for a block.
//!
//! [`Mempool`] is shared by `Arc`. A transaction comes in through [`Mempool::submit`], which judges it by the chain's tip
//! and the other transactions here; the chainstate tells of blocks through [`MempoolHook`](crate::chainstate::MempoolHook) while it commits them, so
//! nobody sees a new tip with an old mempool; what changed is told through [`notify`](crate::notify).
//!
//! **Lock order.** The chainstate's lock, then the mempool's. Whatever judges a transaction begins with
//! [`ChainstateManager::with_tip`]; nothing here calls into the chainstate with the mempool's lock held.
//!
//! | module | what it does |
//! |---|---|
//! | [`pool`] | the state as one thread sees it: additions, removals, limits, the fee floor |
//! | [`accept`] | judges a transaction |
//! | [`fees`] | what a transaction should pay |
//! | [`package`] | judges a child with its parents |
//! | [`broadcast`] | transactions of our own |
//! | [`policy`] | standardness, dust, replacement, version 3 |
//! | [`graph`] | who spends whom, clusters, chunks in order |
//! | [`linearize`] | the best order of a cluster |
//! | [`reject`] | why a transaction is refused |
//! | [`persist`] | `mempool.dat` |
//! | [`tip`] | what is asked of the chain |

pub mod accept;
pub mod broadcast;
pub mod entry;
pub mod feerate;
pub mod fees;
pub mod graph;
pub mod linearize;
pub mod package;
pub mod persist;
pub mod policy;
pub mod pool;
pub mod reject;
pub mod tip;

mod audit;
mod hook;
mod rules;

pub use accept::{AcceptOptions, Accepted};
pub use broadcast::BroadcastError;
pub use entry::{Entry, Totals};
pub use feerate::Feerate;
pub use package::{PackageError, PackageMember, PackageOutcome};
pub use policy::Policy;
pub use pool::{Limits, Pool};
pub use reject::{Reject, RejectClass};
pub use tip::ChainView;

use crate::chainstate::{ChainstateManager, Clock};
use crate::notify::{Event, Notifier};
use crate::store::StoreError;
use bitcoin::{Amount, OutPoint, Transaction, Txid, Wtxid};
use btc_consensus::Coin;
use graph::AFTER_CHANGE;
use pool::Change;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The mempool of a node.
pub struct Mempool {
    state: Mutex<State>,
    clock: Arc<dyn Clock>,
    notifier: Arc<Notifier>,
    loaded: AtomicBool,
    audit: audit::Audit,
}

struct State {
    pool: Pool,
    /// Transactions of disconnected blocks, until the new chain is in place.
    disconnected: hook::Disconnected,
}

/// Figures of the whole mempool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Info {
    /// Whether `mempool.dat` was read, or its reading was tried.
    pub loaded: bool,
    /// How many transactions there are.
    pub size: usize,
    /// The sum of their sizes, in vB.
    pub bytes: i64,
    /// Memory taken, in bytes.
    pub usage: usize,
    /// The sum of their fees, in sat.
    pub total_fee: i64,
    /// Memory allowed, in bytes.
    pub max_bytes: usize,
    /// The feerate below which nothing comes in now.
    pub min_feerate: Feerate,
    /// Transactions of our own that no peer has asked for.
    pub unbroadcast: usize,
    /// Whether all clusters are known to be in their best order.
    pub optimal: bool,
    /// The rules.
    pub policy: Policy,
}

impl fmt::Debug for Mempool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mempool")
            .field("size", &self.lock().pool.graph().len())
            .finish_non_exhaustive()
    }
}

impl Mempool {
    /// An empty one.
    pub fn new(
        policy: Policy,
        limits: Limits,
        clock: Arc<dyn Clock>,
        notifier: Arc<Notifier>,
    ) -> Self {
        let state = State {
            pool: Pool::new(policy, limits),
            disconnected: hook::Disconnected::default(),
        };
        Self {
            state: Mutex::new(state),
            clock,
            notifier,
            loaded: AtomicBool::new(false),
            audit: audit::Audit::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic inside leaves the graph whole or the process is lost anyway: its changes are made by single calls.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs `change` and queues what it did for the listeners, before anybody else can make another change.
    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.lock();
        let updates = state.pool.updates();
        let result = change(&mut state);
        let changes = state.pool.take_changes();
        if !changes.is_empty() || state.pool.updates() != updates {
            state.pool.graph.work(AFTER_CHANGE);
        }
        for change in changes {
            self.notifier.send(match change {
                Change::Added { tx, fee, sequence } => {
                    let fee = Amount::from_sat(u64::try_from(fee).unwrap_or(0));
                    Event::TxAdded { tx, fee, sequence }
                }
                Change::Removed {
                    tx,
                    reason,
                    sequence,
                } => Event::TxRemoved {
                    tx,
                    reason,
                    sequence,
                },
            });
        }
        result
    }

    /// Reads the mempool; nothing changes meanwhile. `read` must not call into the chainstate.
    pub fn read<T>(&self, read: impl FnOnce(&Pool) -> T) -> T {
        let mut state = self.lock();
        state.pool.graph.settle();
        read(&state.pool)
    }

    /// Judges a transaction by the tip and adds it.
    pub fn submit(
        &self,
        chain: &ChainstateManager,
        tx: Arc<Transaction>,
    ) -> Result<Accepted, Reject> {
        self.accept(chain, tx, AcceptOptions::at(self.clock.now()))
    }

    /// Says what would become of a transaction, and changes nothing.
    pub fn test(
        &self,
        chain: &ChainstateManager,
        tx: Arc<Transaction>,
    ) -> Result<Accepted, Reject> {
        self.accept(
            chain,
            tx,
            AcceptOptions {
                test: true,
                ..AcceptOptions::at(self.clock.now())
            },
        )
    }

    /// Judges a transaction by the tip, with options.
    pub fn accept(
        &self,
        chain: &ChainstateManager,
        tx: Arc<Transaction>,
        options: AcceptOptions,
    ) -> Result<Accepted, Reject> {
        let options = AcceptOptions {
            chain_is_current: self.watches_fees() && is_current(chain, options.now),
            ..options
        };
        let test = options.test;
        chain.with_tip(|view| {
            self.change(|state| {
                let accepted = state.pool.accept(view, tx, options);
                if accepted.is_ok() && !test {
                    self.audit.run(&state.pool, view, &self.notifier);
                }
                accepted
            })
        })
    }

    /// Checks the rules of the mempool over the whole of it after so many changes; 0 for never (`-checkmempool`). The
    /// node stops if one is broken.
    pub fn set_audit(&self, every: u32) {
        self.audit.set(every);
    }

    /// Lets estimators watch from now on.
    pub fn set_fee_estimators(&self, estimators: fees::Estimators) {
        self.lock().pool.fees = Some(estimators);
    }

    fn watches_fees(&self) -> bool {
        self.lock().pool.fees.is_some()
    }

    /// Asks the fee estimators; `None` if there are none.
    pub fn fees<T>(&self, ask: impl FnOnce(&fees::Estimators) -> T) -> Option<T> {
        self.lock().pool.fees.as_ref().map(ask)
    }

    /// Writes what the fee estimators know, if there are any. At the end of a run, `last`, transactions that still wait
    /// count as not mined.
    pub fn flush_fees(&self, last: bool) {
        let files = self.lock().pool.fees.as_mut().map(|fees| fees.files(last));
        // The disk is waited for without the lock.
        if let Some(files) = files {
            files.write();
        }
    }

    /// Judges a child and its parents, or one transaction, by the tip and adds what is fit. See
    /// [`Pool::accept_package`].
    pub fn submit_package(
        &self,
        chain: &ChainstateManager,
        package: &[Arc<Transaction>],
        max_feerate: Option<Feerate>,
    ) -> PackageOutcome {
        let now = self.clock.now();
        chain.with_tip(|view| {
            self.change(|state| {
                let outcome = state.pool.accept_package(view, package, max_feerate, now);
                self.audit.run(&state.pool, view, &self.notifier);
                outcome
            })
        })
    }

    /// Says what would become of transactions that come one after another, and changes nothing. See
    /// [`Pool::test_package`].
    pub fn test_package(
        &self,
        chain: &ChainstateManager,
        package: &[Arc<Transaction>],
    ) -> PackageOutcome {
        let now = self.clock.now();
        chain.with_tip(|view| self.change(|state| state.pool.test_package(view, package, now)))
    }

    /// The unspent output of the chain or of a transaction here; `None` too if a transaction here spends it.
    ///
    /// # Errors
    /// The coins database failed.
    pub fn unspent(
        &self,
        chain: &ChainstateManager,
        outpoint: &OutPoint,
    ) -> Result<Option<Coin>, StoreError> {
        chain.with_tip(|view| {
            let state = self.lock();
            if state.pool.graph().spender(outpoint).is_some() {
                return Ok(None);
            }
            state.pool.coin(view, outpoint)
        })
    }

    /// The output of the chain or of a transaction here, whether or not a transaction here spends it.
    ///
    /// # Errors
    /// The coins database failed.
    pub fn coin(
        &self,
        chain: &ChainstateManager,
        outpoint: &OutPoint,
    ) -> Result<Option<Coin>, StoreError> {
        chain.with_tip(|view| self.lock().pool.coin(view, outpoint))
    }

    /// The transaction with this id.
    pub fn get(&self, txid: &Txid) -> Option<Arc<Transaction>> {
        self.read(|pool| pool.graph().get(txid).map(|entry| Arc::clone(&entry.tx)))
    }

    /// The transaction with this id over the witness too.
    pub fn get_by_wtxid(&self, wtxid: &Wtxid) -> Option<Arc<Transaction>> {
        self.read(|pool| {
            pool.graph()
                .get_by_wtxid(wtxid)
                .map(|entry| Arc::clone(&entry.tx))
        })
    }

    /// Whether the transaction is here.
    pub fn contains(&self, txid: &Txid) -> bool {
        self.read(|pool| pool.graph().contains(txid))
    }

    /// Whether a transaction here spends one of its outputs.
    pub fn has_descendants(&self, txid: &Txid) -> bool {
        self.read(|pool| {
            pool.graph()
                .get(txid)
                .is_some_and(|entry| !entry.children.is_empty())
        })
    }

    /// The transaction's ancestors in sum, itself included, and the number of transactions in its cluster; zeros if it
    /// is not here.
    pub fn ancestry(&self, txid: &Txid) -> (Totals, u64) {
        self.read(|pool| {
            let graph = pool.graph();
            let cluster: usize = graph
                .cluster_of(txid)
                .iter()
                .map(|chunk| chunk.txids.len())
                .sum();
            (graph.totals(&graph.ancestors([*txid])), cluster as u64)
        })
    }

    /// Whether the cluster limits would let a transaction in, as things stand.
    pub fn check_cluster_limits(&self, tx: &Transaction) -> Result<(), Reject> {
        self.read(|pool| {
            let weight = i64::try_from(tx.weight().to_wu()).unwrap_or(i64::MAX);
            let (count, weight) = pool
                .graph()
                .cluster_with(&pool.graph().parents_of(tx), weight);
            pool.check_cluster(count, weight)
        })
    }

    /// All transactions, each after those that it spends from, the best feerates first.
    pub fn transactions(&self) -> Vec<Arc<Transaction>> {
        self.read(|pool| pool.sorted().map(|entry| Arc::clone(&entry.tx)).collect())
    }

    /// Figures of the whole.
    pub fn info(&self) -> Info {
        let now = self.clock.now();
        let mut state = self.lock();
        let min_feerate = state.pool.min_feerate(now);
        let (pool, graph) = (&state.pool, state.pool.graph());
        Info {
            loaded: self.loaded.load(Ordering::Acquire),
            size: graph.len(),
            bytes: graph.total_vsize(),
            usage: graph.memory_usage(),
            total_fee: graph.total_fee(),
            max_bytes: pool.limits().max_bytes,
            min_feerate,
            unbroadcast: pool.unbroadcast().len(),
            optimal: graph.is_optimal(),
            policy: pool.policy().clone(),
        }
    }

    /// The feerate below which nothing comes in now because the mempool was full a while ago, in sat/kvB.
    pub fn floor(&self) -> i64 {
        let now = self.clock.now();
        self.lock().pool.floor(now).per_thousand()
    }

    /// Adds `delta` sat to what miners see of a transaction's fee, here or not.
    pub fn prioritise(&self, txid: Txid, delta: i64) {
        self.change(|state| state.pool.prioritise(txid, delta));
    }

    /// Marks a transaction of our own as one that peers should still hear of.
    pub fn add_unbroadcast(&self, txid: Txid) {
        self.lock().pool.add_unbroadcast(txid);
    }

    /// Transactions of our own that no peer has asked for.
    pub fn unbroadcast(&self) -> Vec<Arc<Transaction>> {
        self.read(|pool| pool.graph().transactions(pool.unbroadcast()))
    }

    /// A peer has asked for a transaction of our own: others will hear of it from there.
    pub fn remove_unbroadcast(&self, txid: &Txid) {
        self.lock().pool.remove_unbroadcast(txid);
    }

    /// Removes what a change of the rules or the chain made unfit; then whatever is too old or too much.
    pub fn enforce_limits(&self) {
        let now = self.clock.now();
        self.change(|state| state.pool.enforce_limits(now));
    }

    /// Says that there is no file to read: the mempool is as loaded as it will be.
    pub fn set_loaded(&self) {
        self.loaded.store(true, Ordering::Release);
    }
}

/// How old the tip may be while the chain counts as up to date for fee estimates, in seconds.
const MAX_TIP_AGE: i64 = 3 * 60 * 60;

/// Whether blocks come as they are mined, so that the number of blocks a transaction waits tells of its fee.
fn is_current(chain: &ChainstateManager, now: i64) -> bool {
    let tip = chain.tip();
    !chain.is_initial_block_download()
        && i64::from(tip.time) >= now.saturating_sub(MAX_TIP_AGE)
        && tip.height + 1 >= chain.best_header().height
}
