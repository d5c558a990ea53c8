//! Who may be on the other side, and what it may call.

use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;

use mp_core::{Connection, Error, ExceptionKind, Options, PeerCheck};

use crate::interface::{Callback, Counter, Foo};
use crate::server::{Calls, Server, pair_of};

fn own_user() -> u32 {
    rustix::process::geteuid().as_raw()
}

fn connect(stream: UnixStream, peer: PeerCheck) -> Result<(Connection, Arc<dyn Foo>), Error> {
    Connection::connect::<dyn Foo>(stream, Options::new().peer(peer))
}

#[test]
fn the_right_user_is_let_in_on_both_sides() {
    let folder = std::env::temp_dir().join(format!("mp-core-peers-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("socket");
    let listener = UnixListener::bind(&path).unwrap();
    let here = UnixStream::connect(&path).unwrap();
    let (there, _) = listener.accept().unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    let root: Arc<dyn Foo> = Arc::<Server>::default();
    let same = Options::new().peer(PeerCheck::SameUser);
    Connection::serve(there, root, same).unwrap();
    let (_connection, foo) = connect(here, PeerCheck::User(own_user())).unwrap();
    assert_eq!(foo.add(1, 2).unwrap(), 3);
}

#[test]
fn another_user_is_refused_on_both_sides() {
    let other = own_user() + 1;
    let text = format!("peer is user {}, not user {other}", own_user());
    let (here, there) = UnixStream::pair().unwrap();
    let error = connect(here, PeerCheck::User(other)).err().unwrap();
    assert_eq!(error.to_string(), text);
    let root: Arc<dyn Foo> = Arc::<Server>::default();
    let refused = Connection::serve(there, root, Options::new().peer(PeerCheck::User(other)));
    let error = refused.unwrap_err();
    assert!(
        matches!(error, Error::WrongPeer { user: Some(user), wanted } if user == own_user() && wanted == other)
    );
}

#[test]
fn only_allowed_interfaces_can_be_called() {
    let pair = pair_of(Options::new().allow::<dyn Foo>(), Options::new());
    assert_eq!(pair.foo.add(1, 2).unwrap(), 3);
    let counter = pair.foo.make_counter().unwrap();
    let error = counter.next().unwrap_err();
    assert!(matches!(
        &error,
        Error::Remote {
            kind: ExceptionKind::Unimplemented,
            ..
        }
    ));
    assert_eq!(
        error.to_string(),
        "interface 0x93f261c8d0a54b33 is not allowed on this connection"
    );
    // The connection lives on.
    assert_eq!(pair.foo.add(1, 2).unwrap(), 3);
}

#[test]
fn what_an_allowed_interface_extends_is_allowed() {
    let options = Options::new().allow::<dyn Foo>().allow::<dyn Counter>();
    let pair = pair_of(options, Options::new());
    let counter = pair.foo.make_counter().unwrap();
    assert_eq!(counter.next().unwrap(), 1);
    assert_eq!(counter.name().unwrap(), "counter");
}

#[test]
fn callbacks_have_to_be_allowed_too() {
    let none = Options {
        interfaces: Some(std::collections::BTreeSet::default()),
        ..Options::new()
    };
    let pair = pair_of(Options::new(), none);
    let error = pair.foo.callback(Arc::new(Calls(Ok)), 1).unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("is not allowed on this connection"),
        "{error}"
    );
    let pair = pair_of(Options::new(), Options::new().allow::<dyn Callback>());
    assert_eq!(pair.foo.callback(Arc::new(Calls(Ok)), 1).unwrap(), 1);
}
