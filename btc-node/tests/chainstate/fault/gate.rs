//! A disk on which a chosen call goes wrong, and a way to let each call of a piece of work go wrong once.
//!
//! Calls are many, so a run tries some of them; `BTC_NODE_FAULTS=all` tries all, in each way that there is.
//! `BTC_NODE_FAULTS_SEED` shifts which ones are tried.

use std::fmt::Debug;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use btc_node::store::disk::{Call, Disk, Gate, Refusal};

/// What goes wrong at the chosen call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It fails; later ones work.
    Fail,
    /// Half of it is written and it fails; later ones work.
    Short,
    /// There is no space from then on: half of it is written.
    Full,
    /// Nothing works from then on.
    Gone,
}

const FAULTS: [Fault; 4] = [Fault::Fail, Fault::Short, Fault::Full, Fault::Gone];

#[derive(Debug, Default)]
struct Counter {
    calls: u64,
    fault: Option<(u64, Fault)>,
    hit: Option<(Call, PathBuf)>,
}

/// Counts calls, and refuses some.
#[derive(Debug, Default)]
pub(crate) struct Faulty(Mutex<Counter>);

impl Faulty {
    fn counter(&self) -> MutexGuard<'_, Counter> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A disk behind it.
    pub(crate) fn disk(self: &Arc<Self>) -> Disk {
        Disk::gated(Arc::<Self>::clone(self))
    }

    /// What goes wrong, once it has.
    pub(crate) fn happened(&self) -> Option<Fault> {
        let counter = self.counter();
        counter.hit.as_ref().and(counter.fault).map(|(_, it)| it)
    }

    /// Checks that what went wrong was `noticed`, in `outcome`, and nothing else.
    pub(crate) fn judge(&self, noticed: bool, outcome: &dyn Debug) {
        match self.happened() {
            None => assert!(!noticed, "{outcome:?} without a fault"),
            Some(Fault::Gone) => assert!(noticed, "it went unnoticed"),
            // What is deleted late, or compacted behind, is tried again later.
            Some(_) => {}
        }
    }
}

impl Gate for Faulty {
    fn enter(&self, call: Call, path: &Path) -> Result<(), Refusal> {
        let mut counter = self.counter();
        let number = counter.calls;
        counter.calls += 1;
        let Some((at, fault)) = counter.fault.filter(|(at, _)| number >= *at) else {
            return Ok(());
        };
        let grows = matches!(call, Call::Create | Call::Write);
        let refuse = match fault {
            Fault::Fail | Fault::Short => number == at,
            Fault::Full => grows,
            Fault::Gone => true,
        };
        if !refuse {
            return Ok(());
        }
        counter.hit.get_or_insert_with(|| (call, path.to_owned()));
        let error = match fault {
            Fault::Full => io::Error::from_raw_os_error(28),
            _ => io::Error::from_raw_os_error(5),
        };
        let half = number == at && fault != Fault::Fail;
        Err(Refusal { error, half })
    }
}

/// Runs `trial` once on a sound disk, and then with calls going wrong: about `samples` of them, each in one way. The
/// trial does its work through the gate, ends it as a node ends, and checks without the gate what is there.
pub(crate) fn inject(samples: u64, trial: impl Fn(&Arc<Faulty>)) {
    let sound = Arc::new(Faulty::default());
    trial(&sound);
    let calls = sound.counter().calls;
    let all = std::env::var_os("BTC_NODE_FAULTS").is_some_and(|value| value == "all");
    let seed = std::env::var("BTC_NODE_FAULTS_SEED")
        .ok()
        .and_then(|seed| seed.parse::<u64>().ok())
        .unwrap_or(0);
    let step = if all { 1 } else { (calls / samples).max(1) };
    let (mut trials, mut hits) = (0, 0);
    let mut failures = Vec::new();
    for (round, at) in (seed..)
        .zip((0..calls).skip((seed % step) as usize))
        .step_by(step as usize)
    {
        let faults = if all {
            &FAULTS[..]
        } else {
            &FAULTS[(round / step + seed) as usize % 4..][..1]
        };
        for &fault in faults {
            let gate = Arc::new(Faulty(Mutex::new(Counter {
                fault: Some((at, fault)),
                ..Counter::default()
            })));
            let ended = catch_unwind(AssertUnwindSafe(|| trial(&gate)));
            trials += 1;
            let hit = gate.counter().hit.take();
            hits += u64::from(hit.is_some());
            if let Err(panic) = ended {
                let text = panic
                    .downcast_ref::<String>()
                    .cloned()
                    .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
                    .unwrap_or_default();
                failures.push(format!(
                    "{fault:?} at call {at} of {calls} ({hit:?}): {text}"
                ));
            }
        }
    }
    println!(
        "{calls} calls, {trials} trials, {hits} faults, {} failures",
        failures.len()
    );
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert!(hits > 0, "none of {trials} faults fell");
}
