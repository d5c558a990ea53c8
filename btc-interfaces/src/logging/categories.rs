//! Which lines are logged.

use super::LogError;
use crate::args::Args;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use tracing::Level;

/// Every category, sorted. The names are Core's.
pub const CATEGORIES: [&str; 29] = [
    "addrman",
    "bench",
    "blockstorage",
    "cmpctblock",
    "coindb",
    "estimatefee",
    "http",
    "i2p",
    "ipc",
    "kernel",
    "leveldb",
    "mempool",
    "mempoolrej",
    "net",
    "privatebroadcast",
    "proxy",
    "prune",
    "qt",
    "rand",
    "reindex",
    "rpc",
    "scan",
    "selectcoins",
    "tor",
    "txpackages",
    "txreconciliation",
    "validation",
    "walletdb",
    "zmq",
];

const ALL: u64 = (1 << CATEGORIES.len()) - 1;

/// A category that existed once; naming it has no effect.
const RETIRED: &str = "libevent";

/// How much detail of an enabled category is logged; what is above the level debug always is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Detail {
    /// Not set for this category.
    Unset = 0,
    Trace = 1,
    Debug = 2,
    Info = 3,
}

impl Detail {
    fn parse(text: &str) -> Option<Self> {
        match text {
            "trace" => Some(Self::Trace),
            "debug" => Some(Self::Debug),
            "info" => Some(Self::Info),
            _ => None,
        }
    }
}

/// Which lines are logged. Clones are one filter.
#[derive(Debug, Clone)]
pub struct Filter(Arc<State>);

#[derive(Debug)]
struct State {
    /// A bit for each enabled category.
    enabled: AtomicU64,
    /// The detail of categories that have none of their own.
    detail: Detail,
    own_detail: [AtomicU8; CATEGORIES.len()],
}

impl Default for Filter {
    /// No category, from the level debug up.
    fn default() -> Self {
        Self::new(Detail::Debug)
    }
}

impl Filter {
    fn new(detail: Detail) -> Self {
        Self(Arc::new(State {
            enabled: AtomicU64::new(0),
            detail,
            own_detail: std::array::from_fn(|_| AtomicU8::new(Detail::Unset as u8)),
        }))
    }

    /// From `-debug`, `-debugexclude` and `-loglevel`.
    pub(super) fn from_args(args: &Args) -> Result<Self, LogError> {
        let mut detail = Detail::Debug;
        let mut own = Vec::new();
        for text in args.values("loglevel") {
            match text.split_once(':') {
                None => {
                    detail = Detail::parse(&text).ok_or(LogError::Level(text))?;
                }
                Some((category, level)) => match (bits(category), Detail::parse(level)) {
                    (Some(bits), Some(detail)) if bits != ALL => own.push((bits, detail)),
                    _ => return Err(LogError::CategoryLevel(text)),
                },
            }
        }
        let filter = Self::new(detail);
        for (bits, detail) in own {
            for (index, own) in filter.0.own_detail.iter().enumerate() {
                if bits & (1 << index) != 0 {
                    own.store(detail as u8, Ordering::Relaxed);
                }
            }
        }
        let categories = args.values("debug");
        let none = |category: &String| category == "0" || category == "none";
        let after_none = categories.iter().rposition(none).map_or(0, |last| last + 1);
        for (option, names, enabled) in [
            ("debug", &categories[after_none..], true),
            (
                "debugexclude",
                args.values("debugexclude").as_slice(),
                false,
            ),
        ] {
            for category in names {
                if !filter.set(category, enabled) {
                    let category = category.clone();
                    return Err(LogError::Category { option, category });
                }
            }
        }
        Ok(filter)
    }

    /// Whether an event of this target and level is logged.
    pub fn shows(&self, target: &str, level: Level) -> bool {
        if level <= Level::INFO {
            return true;
        }
        let Ok(index) = CATEGORIES.binary_search(&target) else {
            return false;
        };
        if self.0.enabled.load(Ordering::Relaxed) & (1 << index) == 0 {
            return false;
        }
        let own = self.0.own_detail[index].load(Ordering::Relaxed);
        let detail = if own == Detail::Unset as u8 {
            self.0.detail as u8
        } else {
            own
        };
        let least = if level == Level::TRACE {
            Detail::Trace
        } else {
            Detail::Debug
        };
        detail <= least as u8
    }

    /// Enables or disables a category, or all; `false` if there is none of this name.
    pub(super) fn set(&self, name: &str, enabled: bool) -> bool {
        let Some(bits) = bits(name) else {
            return false;
        };
        if enabled {
            self.0.enabled.fetch_or(bits, Ordering::Relaxed);
        } else {
            self.0.enabled.fetch_and(!bits, Ordering::Relaxed);
        }
        true
    }

    /// Whether no category is enabled.
    pub(super) fn is_quiet(&self) -> bool {
        self.0.enabled.load(Ordering::Relaxed) == 0
    }

    pub(super) fn list(&self) -> Vec<(String, bool)> {
        let enabled = self.0.enabled.load(Ordering::Relaxed);
        let categories = CATEGORIES.iter().enumerate();
        categories
            .map(|(index, name)| ((*name).to_owned(), enabled & (1 << index) != 0))
            .collect()
    }
}

/// The categories that a name stands for.
fn bits(name: &str) -> Option<u64> {
    match name {
        "" | "1" | "all" => Some(ALL),
        RETIRED => {
            tracing::warn!(
                "The logging category `{RETIRED}` is deprecated, does nothing, and will be removed in a future version"
            );
            Some(0)
        }
        name => CATEGORIES.binary_search(&name).ok().map(|index| 1 << index),
    }
}
