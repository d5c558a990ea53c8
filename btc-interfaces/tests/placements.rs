//! The behaviour suite over every placement: in this thread, over a socket pair, in a spawned process.

use btc_interfaces::suite::{self, Model};
use btc_interfaces::{Chain, Error, Init};
use mp_core::{Connection, Options, process};
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

fn socket_pair() -> (Connection, Arc<dyn Init>) {
    let (here, there) = UnixStream::pair().expect("the system has sockets");
    let root: Arc<dyn Init> = Arc::new(Model::new());
    Connection::serve(there, root, Options::default()).expect("the model is served");
    Connection::connect::<dyn Init>(here, Options::default()).expect("the model answers")
}

/// The child of [`spawned`]: serves the model on the descriptor it is given. Run as a test it does nothing.
#[test]
fn the_child() {
    let Ok(fd) = std::env::var(CHILD_FD) else {
        return;
    };
    let stream = process::from_fd(fd.parse().expect("a number")).expect("an open socket");
    let root: Arc<dyn Init> = Arc::new(Model::new());
    let connection =
        Connection::serve(stream, root, Options::default()).expect("the model is served");
    connection.closed();
}

const CHILD_FD: &str = "PLACEMENTS_CHILD_FD";

/// This program once more, as the child. The test harness knows no `-ipcfd`, so a shell turns it into a variable.
fn spawned() -> (process::Spawned, Connection, Arc<dyn Init>) {
    let script = format!("{CHILD_FD}=\"$3\" exec \"$1\" --exact the_child >/dev/null");
    let mut command = Command::new("/bin/sh");
    command
        .args(["-c", &script, "sh"])
        .arg(std::env::current_exe().expect("this program has a path"));
    let (child, stream) = process::spawn_command(command).expect("a shell can be started");
    let (connection, init) =
        Connection::connect::<dyn Init>(stream, Options::default()).expect("the model answers");
    (child, connection, init)
}

#[test]
fn in_process() {
    suite::crossing(&Model::new()).expect("no call fails");
}

#[test]
fn over_a_socket_pair() {
    let (_connection, init) = socket_pair();
    suite::crossing(&*init).expect("no call fails");
}

#[test]
fn in_a_spawned_process() {
    let (mut child, connection, init) = spawned();
    suite::crossing(&*init).expect("no call fails");
    drop((init, connection));
    let status = child
        .wait_within(Duration::from_secs(30))
        .expect("the child leaves with its connection");
    assert!(status.success(), "{status}");
}

#[test]
fn from_four_threads_at_once() {
    let (_child, _connection, init) = spawned();
    let chain = init.make_chain().expect("the model has a chain");
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..20).for_each(|_| suite::chain(&*chain).expect("no call fails")));
        }
    });
}

#[test]
fn a_killed_process_is_a_disconnect() {
    let (mut child, connection, init) = spawned();
    let chain: Arc<dyn Chain> = init.make_chain().expect("the model has a chain");
    child.kill().expect("the child can be killed");
    assert!(connection.closed_within(Duration::from_secs(30)));
    assert_eq!(chain.height(), Err(Error::Disconnected { during: false }));
    child.wait().expect("the child can be waited for");
}
