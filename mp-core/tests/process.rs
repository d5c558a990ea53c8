//! Two processes: this program spawns itself. It has a `main` of its own, since it must take `-ipcfd`.

#![allow(missing_docs, clippy::unwrap_used)]

use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mp_core::process::{FD_OPTION, from_fd, spawn};
use mp_core::{Connection, Error, Options};

pub struct Codec;

#[mp_core::interface(codec = Codec, id = 0xc4b0_0000_0000_0001, root)]
pub trait Child: Send + Sync {
    fn pid(&self) -> Result<u32, Error>;
    fn ask(&self, parent: Arc<dyn Parent>, depth: u32) -> Result<Vec<u32>, Error>;
    fn descriptors(&self) -> Result<Vec<String>, Error>;
    fn hang(&self) -> Result<(), Error>;
    fn echo(&self, data: Vec<u8>) -> Result<Vec<u8>, Error>;
}

#[mp_core::interface(codec = Codec, id = 0xc4b0_0000_0000_0002)]
pub trait Parent: Send + Sync {
    /// Process ids from here on down.
    fn pids(&self, depth: u32) -> Result<Vec<u32>, Error>;
}

struct Served;

impl Child for Served {
    fn pid(&self) -> Result<u32, Error> {
        Ok(std::process::id())
    }
    fn ask(&self, parent: Arc<dyn Parent>, depth: u32) -> Result<Vec<u32>, Error> {
        let mut pids = vec![std::process::id()];
        if depth > 0 {
            pids.extend(parent.pids(depth - 1)?);
        }
        Ok(pids)
    }
    fn descriptors(&self) -> Result<Vec<String>, Error> {
        let open =
            std::fs::read_dir("/proc/self/fd").map_err(|error| Error::failed(error.to_string()))?;
        let targets = open.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
        Ok(targets
            .map(|target| target.to_string_lossy().into_owned())
            .collect())
    }
    fn hang(&self) -> Result<(), Error> {
        loop {
            std::thread::park();
        }
    }
    fn echo(&self, data: Vec<u8>) -> Result<Vec<u8>, Error> {
        Ok(data)
    }
}

struct Asked {
    child: Arc<dyn Child>,
    thread: std::thread::ThreadId,
}

impl Parent for Asked {
    fn pids(&self, depth: u32) -> Result<Vec<u32>, Error> {
        assert_eq!(std::thread::current().id(), self.thread);
        let mut pids = vec![std::process::id()];
        if depth > 0 {
            let next = Asked {
                child: self.child.clone(),
                thread: self.thread,
            };
            pids.extend(self.child.ask(Arc::new(next), depth - 1)?);
        }
        Ok(pids)
    }
}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    if let Some(at) = args.iter().position(|arg| arg == FD_OPTION) {
        let stream = from_fd(args[at + 1].parse().unwrap()).unwrap();
        let child: Arc<dyn Child> = Arc::new(Served);
        let connection = Connection::serve(stream, child, Options::default()).unwrap();
        connection.closed();
        std::process::exit(0);
    }
    let tests: [(&str, fn()); 6] = [
        ("calls_and_callbacks", calls_and_callbacks),
        ("only_the_socket_is_inherited", only_the_socket_is_inherited),
        (
            "the_child_leaves_when_the_parent_does",
            the_child_leaves_when_the_parent_does,
        ),
        ("a_killed_child_is_noticed", a_killed_child_is_noticed),
        ("what_is_no_socket_is_refused", what_is_no_socket_is_refused),
        ("large_data", large_data),
    ];
    for (name, test) in tests {
        test();
        println!("test {name} ... ok");
    }
}

fn child() -> (mp_core::process::Spawned, Connection, Arc<dyn Child>) {
    let (spawned, stream) = spawn(std::env::current_exe().unwrap(), ["child"]).unwrap();
    let (connection, child) = Connection::connect::<dyn Child>(stream, Options::default()).unwrap();
    (spawned, connection, child)
}

fn calls_and_callbacks() {
    let (mut spawned, connection, child) = child();
    assert_eq!(child.pid().unwrap(), spawned.id());
    let (ours, theirs) = (std::process::id(), spawned.id());
    let asked = Asked {
        child: child.clone(),
        thread: std::thread::current().id(),
    };
    let pids = child.ask(Arc::new(asked), 5).unwrap();
    assert_eq!(pids, [theirs, ours, theirs, ours, theirs, ours]);
    drop((connection, child));
    assert!(
        spawned
            .wait_within(Duration::from_secs(10))
            .unwrap()
            .success()
    );
}

fn only_the_socket_is_inherited() {
    // Descriptors that a careless library left inheritable.
    let (leaked, _peer) = UnixStream::pair().unwrap();
    let file = std::fs::File::open("/dev/zero").unwrap();
    rustix::io::fcntl_setfd(&leaked, rustix::io::FdFlags::empty()).unwrap();
    rustix::io::fcntl_setfd(&file, rustix::io::FdFlags::empty()).unwrap();
    let (mut spawned, connection, child) = child();
    let open = child.descriptors().unwrap();
    let sockets = open
        .iter()
        .filter(|target| target.starts_with("socket:"))
        .count();
    assert_eq!(sockets, 1, "{open:?}");
    assert!(!open.iter().any(|target| target == "/dev/zero"), "{open:?}");
    drop((connection, child));
    spawned.wait_within(Duration::from_secs(10)).unwrap();
}

fn the_child_leaves_when_the_parent_does() {
    let (mut spawned, connection, child) = child();
    let waiting = std::thread::spawn(move || child.hang().unwrap_err());
    assert!(matches!(
        spawned.wait_within(Duration::from_millis(20)),
        Err(Error::Timeout)
    ));
    connection.close();
    assert!(waiting.join().unwrap().is_disconnected());
    let start = Instant::now();
    assert!(
        spawned
            .wait_within(Duration::from_secs(10))
            .unwrap()
            .success()
    );
    assert!(start.elapsed() < Duration::from_secs(1));
}

fn a_killed_child_is_noticed() {
    let (mut spawned, connection, child) = child();
    let calling = child.clone();
    let waiting = std::thread::spawn(move || calling.hang().unwrap_err());
    assert_eq!(child.pid().unwrap(), spawned.id());
    spawned.kill().unwrap();
    let error = waiting.join().unwrap();
    assert!(error.is_disconnected());
    assert!(connection.closed_within(Duration::from_secs(10)));
    assert_eq!(
        child.pid().unwrap_err().to_string(),
        "IPC client method called after disconnect."
    );
    assert!(
        !spawned
            .wait_within(Duration::from_secs(10))
            .unwrap()
            .success()
    );
}

fn what_is_no_socket_is_refused() {
    let file = std::fs::File::open("/dev/null").unwrap();
    assert!(from_fd(file.as_raw_fd()).is_err());
    assert!(from_fd(1).is_err());
    assert!(from_fd(-1).is_err());
    assert!(from_fd(100_000).is_err());
}

fn large_data() {
    let (_spawned, _connection, child) = child();
    let data: Vec<u8> = (0..5_000_000_u32).map(|n| (n / 7) as u8).collect();
    for _ in 0..3 {
        assert_eq!(child.echo(data.clone()).unwrap(), data);
    }
}
