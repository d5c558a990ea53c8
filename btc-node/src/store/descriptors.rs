//! The file descriptors of this process, which databases and sockets share.

/// How many this process may have, after the system was asked for at least `wanted`; `None` if it sets no limit.
///
/// What many systems give at first is too few for the tables of a large chainstate and many peers, and more may be asked
/// for up to a limit that only the system's owner raises.
#[cfg(unix)]
pub fn reserve(wanted: u64) -> Option<u64> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let limit = getrlimit(Resource::Nofile);
    let current = limit.current?;
    let wanted = limit.maximum.map_or(wanted, |most| most.min(wanted));
    let raised = Rlimit {
        current: Some(wanted),
        ..limit
    };
    if current < wanted && setrlimit(Resource::Nofile, raised).is_ok() {
        return Some(wanted);
    }
    Some(current)
}

/// As above, where the system sets no limit that can be asked for.
#[cfg(not(unix))]
pub fn reserve(_wanted: u64) -> Option<u64> {
    None
}
