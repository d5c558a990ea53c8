//! What the status bar shows of the chain.

use btc_interfaces::{BlockRef, Handler, Node, NodeEvents, NodeStatus, Result};
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The chain as it was last heard of.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ChainSnapshot {
    /// What the node said when it was last asked, with the tip of the last event; `None` until its start-up is over.
    pub status: Option<NodeStatus>,
    /// The start-up's last message.
    pub message: String,
    /// Counts the changes, so that a view knows whether it is out of date.
    pub revision: u64,
}

impl fmt::Display for ChainSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(status) = &self.status else {
            return write!(f, "starting: {}", self.message);
        };
        let NodeStatus {
            chain,
            tip,
            header_tip,
            connections,
            mempool_size,
            ..
        } = status;
        let headers = header_tip.height.max(tip.height);
        write!(f, "{chain}: block {} of {headers}, ", tip.height)?;
        write!(
            f,
            "{:.2} % verified, ",
            status.verification_progress * 100.0
        )?;
        write!(f, "{connections} peer{}, ", plural(*connections))?;
        write!(
            f,
            "{mempool_size} transaction{} waiting",
            plural(*mempool_size)
        )
    }
}

fn plural(count: u64) -> &'static str {
    if count == 1 { "" } else { "s" }
}

/// Follows a node's chain from [`ChainModel::attach`] until it is dropped.
pub struct ChainModel {
    shared: Arc<Shared>,
    _registration: Arc<dyn Handler>,
}

#[derive(Default)]
struct Shared {
    snapshot: Mutex<ChainSnapshot>,
    changed: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, ChainSnapshot> {
        self.snapshot.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn update(&self, change: impl FnOnce(&mut ChainSnapshot)) {
        let mut snapshot = self.lock();
        change(&mut snapshot);
        snapshot.revision += 1;
        self.changed.notify_all();
    }
}

impl NodeEvents for Shared {
    fn block_tip(&self, tip: BlockRef, time: i64, verification_progress: f64) -> Result<()> {
        self.update(|snapshot| {
            // Before the start-up is over there is nothing that this could be part of.
            if let Some(status) = &mut snapshot.status {
                status.tip = tip;
                status.tip_time = time;
                status.verification_progress = verification_progress;
            }
        });
        Ok(())
    }

    fn init_message(&self, message: String) -> Result<()> {
        self.update(|snapshot| snapshot.message = message);
        Ok(())
    }
}

impl ChainModel {
    /// Follows the events of `node` and asks it how it stands.
    ///
    /// # Errors
    /// Those of the node's methods; a model is not made half.
    pub fn attach(node: &dyn Node) -> Result<Self> {
        let shared = Arc::new(Shared::default());
        // First the events: what happens between the two calls is then heard of at least once.
        let registration = node.handle_events(Arc::clone(&shared) as Arc<dyn NodeEvents>)?;
        let model = Self {
            shared,
            _registration: registration,
        };
        model.refresh(node)?;
        Ok(model)
    }

    /// Asks again, for what no event tells: peers, mempool, headers, the end of the start-up.
    pub fn refresh(&self, node: &dyn Node) -> Result<()> {
        let status = node.status()?;
        self.shared.update(|snapshot| snapshot.status = status);
        Ok(())
    }

    /// The chain as it was last heard of.
    pub fn snapshot(&self) -> ChainSnapshot {
        self.shared.lock().clone()
    }

    /// Waits until the snapshot is newer than `revision`, at most for `limit`; whether it is.
    pub fn wait_newer(&self, revision: u64, limit: Duration) -> bool {
        let waited =
            self.shared
                .changed
                .wait_timeout_while(self.shared.lock(), limit, |snapshot| {
                    snapshot.revision <= revision
                });
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use btc_interfaces::Init;
    use btc_interfaces::noop::NoopNode;
    use btc_interfaces::suite::Model;

    fn model() -> ChainModel {
        let node = Model::new()
            .make_node()
            .expect("the suite's model has a node");
        ChainModel::attach(&*node).expect("it answers")
    }

    #[test]
    fn events_change_the_snapshot_and_wake_a_waiter() {
        let chain = model();
        let before = chain.snapshot();
        let tip = BlockRef {
            height: 9,
            ..before.status.expect("the model is past its start-up").tip
        };
        let woken = std::thread::scope(|scope| {
            let (chain, seen) = (&chain, before.revision);
            let waiter = scope.spawn(move || chain.wait_newer(seen, Duration::from_secs(60)));
            chain
                .shared
                .block_tip(tip, 77, 0.75)
                .expect("a model takes every event");
            waiter.join().expect("waiting does not panic")
        });
        assert!(woken);
        let after = chain.snapshot();
        let status = after.status.expect("an event takes nothing away");
        assert_eq!((status.tip.height, status.tip_time), (9, 77));
        assert_eq!(after.revision, before.revision + 1);
    }

    #[test]
    fn a_starting_node_shows_what_it_is_at() {
        let chain = ChainModel::attach(&NoopNode).expect("it answers");
        let message = "Verifying blocks…".to_owned();
        chain
            .shared
            .init_message(message)
            .expect("a model takes every event");
        assert_eq!(chain.snapshot().to_string(), "starting: Verifying blocks…");
    }

    #[test]
    fn nothing_new_is_no_reason_to_wake() {
        let chain = model();
        assert!(!chain.wait_newer(chain.snapshot().revision, Duration::from_millis(1)));
    }
}
