//! What the status bar shows of the chain.

use btc_interfaces::{BlockRef, Handler, Node, NodeEvents, NodeStatus, Result};
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The chain as it was last heard of.
#[derive(Debug, Clone, PartialEq)]
pub struct ChainSnapshot {
    /// What the node said when it was last asked, with the tip of the last event.
    pub status: NodeStatus,
    /// The start-up's last message; empty once the node runs.
    pub message: String,
    /// Counts the changes, so that a view knows whether it is out of date.
    pub revision: u64,
}

impl fmt::Display for ChainSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let NodeStatus {
            chain,
            tip,
            header_tip,
            verification_progress,
            connections,
            mempool_size,
            ..
        } = &self.status;
        write!(
            f,
            "{chain}: block {} of {}, ",
            tip.height,
            header_tip.height.max(tip.height)
        )?;
        write!(f, "{:.2} % verified, ", verification_progress * 100.0)?;
        write!(f, "{connections} peer{}, ", plural(*connections))?;
        write!(
            f,
            "{mempool_size} transaction{} waiting",
            plural(*mempool_size)
        )?;
        if !self.message.is_empty() {
            write!(f, " ({})", self.message)?;
        }
        Ok(())
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
            snapshot.status.tip = tip;
            snapshot.status.tip_time = time;
            snapshot.status.verification_progress = verification_progress;
            snapshot.message.clear();
        });
        Ok(())
    }

    fn init_message(&self, message: String) -> Result<()> {
        self.update(|snapshot| snapshot.message = message);
        Ok(())
    }
}

impl ChainModel {
    /// Asks `node` how it stands and follows its events.
    ///
    /// # Errors
    /// Those of the node's methods; a model is not made half.
    pub fn attach(node: &dyn Node) -> Result<Self> {
        let status = node.status()?;
        let snapshot = ChainSnapshot {
            status,
            message: String::new(),
            revision: 0,
        };
        let shared = Arc::new(Shared {
            snapshot: Mutex::new(snapshot),
            changed: Condvar::new(),
        });
        let registration = node.handle_events(Arc::clone(&shared) as Arc<dyn NodeEvents>)?;
        // What changed between the question and the registration was heard by neither.
        let model = Self {
            shared,
            _registration: registration,
        };
        model.refresh(node)?;
        Ok(model)
    }

    /// Asks again, for what no event tells: peers, mempool, headers.
    pub fn refresh(&self, node: &dyn Node) -> Result<()> {
        let status = node.status()?;
        self.shared.update(|snapshot| {
            snapshot.status = status;
            snapshot.message.clear(); // A node that answers is past its start-up.
        });
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
    use btc_interfaces::suite::Model;

    fn model() -> ChainModel {
        ChainModel::attach(
            &*Model::new()
                .make_node()
                .expect("the suite's model has a node"),
        )
        .expect("it answers")
    }

    #[test]
    fn events_change_the_snapshot_and_wake_a_waiter() {
        let chain = model();
        let before = chain.snapshot();
        let heard = Arc::clone(&chain.shared);
        let waiter = std::thread::scope(|scope| {
            let waiter = scope.spawn(|| chain.wait_newer(before.revision, Duration::from_secs(60)));
            let tip = BlockRef {
                height: 9,
                ..before.status.tip
            };
            heard
                .block_tip(tip, 77, 0.75)
                .expect("a model takes every event");
            waiter.join().expect("waiting does not panic")
        });
        assert!(waiter);
        let after = chain.snapshot();
        assert_eq!((after.status.tip.height, after.status.tip_time), (9, 77));
        assert_eq!(after.revision, before.revision + 1);
    }

    #[test]
    fn a_message_stands_until_the_next_block() {
        let chain = model();
        chain
            .shared
            .init_message("Verifying blocks…".to_owned())
            .expect("a model takes every event");
        assert!(
            chain
                .snapshot()
                .to_string()
                .ends_with("(Verifying blocks…)")
        );
        let tip = chain.snapshot().status.tip;
        chain
            .shared
            .block_tip(tip, 1, 1.0)
            .expect("a model takes every event");
        assert!(chain.snapshot().message.is_empty());
    }

    #[test]
    fn nothing_new_is_no_reason_to_wake() {
        let chain = model();
        assert!(!chain.wait_newer(chain.snapshot().revision, Duration::from_millis(1)));
    }
}
