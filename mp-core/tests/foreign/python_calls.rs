//! pycapnp as client of our server. Each case is a function of the same name in `client.py`.

use std::sync::Arc;

use mp_core::{Connection, Options};

use crate::interface::Foo;
use crate::server::Server;
use crate::{ended_well, python};

fn holds(case: &str) {
    let Some((spawned, stream)) = python("client.py", case) else {
        return;
    };
    let server = Arc::new(Server::default());
    let served: Arc<dyn Foo> = server.clone();
    let connection = Connection::serve(stream, served, Options::default()).unwrap();
    ended_well(spawned, case);
    let why = connection.closed();
    assert!(why.is_none(), "{case}: {why:?}");
    // Whatever the peer left behind is gone with it.
    drop(connection);
    let left = || server.counters.load(std::sync::atomic::Ordering::SeqCst);
    let until = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while left() > 0 {
        assert!(
            std::time::Instant::now() < until,
            "{case}: {} objects are left",
            left()
        );
        std::thread::yield_now();
    }
}

macro_rules! cases {
    ($($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                holds(stringify!($name));
            }
        )*
    };
}

cases! {
    plain_calls
    structs
    missing_values
    maps_and_pairs
    defaults
    data
    several_results
    declared_exceptions
    exceptions
    callbacks
    nested_calls
    saved_callbacks
    objects
    identity
    pipelined_objects
    threads
    pipelined_threads
    order_on_a_thread
    pools
    wrong_threads
}
