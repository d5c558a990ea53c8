use std::sync::Arc;

use super::{PeerPool, make_pool, tables};
use crate::cap::{Cap, Server};
use crate::error::Error;
use crate::interface::ServerCall;
use crate::options::Options;
use crate::plan::MethodPlan;
use crate::rpc::Conn;
use crate::transport::memory;

/// A thread map as libmultiprocess had it before its version 11, and the threads that it makes.
struct OldMap;

impl Server for OldMap {
    fn plan(&self, _: u64, _: u16) -> Option<&'static MethodPlan> {
        None
    }

    fn invoke(&self, _: u64, ordinal: u16, call: &mut ServerCall<'_>) -> Result<(), Error> {
        match ordinal {
            0 => call.give(&tables::MAKE_THREAD, Cap::Local(Arc::new(Self))),
            _ => Err(Error::unimplemented("Method not implemented.")),
        }
    }

    fn key(&self) -> (usize, u64) {
        (0, 0)
    }
}

fn is_same(left: &Cap, right: &Cap) -> bool {
    match (left, right) {
        (Cap::Local(left), Cap::Local(right)) => Arc::ptr_eq(left, right),
        _ => panic!("a pool of threads names one for each call"),
    }
}

#[test]
fn a_peer_without_pools_makes_threads_that_take_turns() {
    let (here, _there) = memory(1 << 10);
    let (conn, _anchor) =
        Conn::start(Box::new(here), None, true, Options::new()).expect("a thread can be started");
    conn.set_peer_threads(Cap::Local(Arc::new(OldMap)));
    make_pool(&conn, 2).expect("threads are made one by one");
    let pool = conn.peer_pool.get().expect("there is a pool");
    assert!(matches!(pool, PeerPool::Threads(..)));
    let named = [(); 3].map(|()| pool.context().thread);
    assert!(!is_same(&named[0], &named[1]));
    assert!(is_same(&named[0], &named[2]));
    let error = make_pool(&conn, 2).expect_err("one pool is enough");
    assert_eq!(error.to_string(), "connection has a pool already");
}
