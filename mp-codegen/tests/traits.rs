//! The printed traits are ones that the runtime's macros take, and that calls go through.

use mp_core::{Connection, Error, Options};
use std::os::unix::net::UnixStream;
use std::sync::Arc;

/// The marker type that the printed attributes name.
pub struct Codec;

/// What the schemas say exists.
mod by_hand {
    use crate::generated::base::{HANDLE, POINT};

    /// A registration.
    #[mp_core::interface(codec = crate::Codec, schema = HANDLE)]
    pub trait Handle: Send + Sync {
        /// Ends it.
        fn disconnect(&self) -> Result<(), mp_core::Error>;
    }

    /// A place.
    #[derive(Debug, Clone, PartialEq, mp_core::Message)]
    #[mp(codec = crate::Codec, schema = POINT)]
    pub struct Point {
        /// To the right.
        pub x: i32,
        /// Up.
        pub y: i32,
    }
}
pub use by_hand::{Handle, Point};

#[allow(dead_code, reason = "not every type is used")]
#[path = "expected/traits"]
mod generated {
    pub mod base;
    pub mod shapes;
}

use generated::shapes::{Colour, Listener, ListenerInner, ListenerListResults, Root};

struct Court;

impl Root for Court {
    fn make_listener(&self, favourite: Colour) -> Result<Arc<dyn Listener>, Error> {
        Ok(Arc::new(Judge(favourite)))
    }
}

/// Likes one colour.
struct Judge(Colour);

impl Handle for Judge {
    fn disconnect(&self) -> Result<(), Error> {
        Err(Error::failed("not now"))
    }
}

impl Listener for Judge {
    fn call(&self, colour: Colour) -> Result<bool, Error> {
        Ok(colour == self.0)
    }

    fn list(&self, items: Vec<ListenerInner>) -> Result<ListenerListResults, Error> {
        Ok(ListenerListResults {
            total: items.iter().map(|item| item.point.x).sum(),
            first: items.into_iter().next(),
        })
    }
}

#[test]
fn calls_go_through_printed_traits() {
    let (here, there) = UnixStream::pair().expect("a pair of sockets");
    let court: Arc<dyn Root> = Arc::new(Court);
    Connection::serve(there, court, Options::default()).expect("the other side is there");
    let (_connection, court) =
        Connection::connect::<dyn Root>(here, Options::default()).expect("it serves");
    let judge = court.make_listener(Colour::DarkBlue).expect("a call");

    assert!(!judge.call(Colour::Red).expect("a call"));
    assert!(judge.call(Colour::DarkBlue).expect("a call"));
    // A method of the interface that is extended.
    let error = judge.disconnect().expect_err("it refuses");
    assert!(error.to_string().contains("not now"), "{error}");

    let inner = |x, parent| ListenerInner {
        point: Point { x, y: -1 },
        parent,
    };
    let items = vec![inner(40, vec![inner(9, vec![])]), inner(2, vec![])];
    let results = judge.list(items.clone()).expect("a call");
    assert_eq!(results.total, 42);
    assert_eq!(results.first, Some(items[0].clone()));
    assert_eq!(judge.list(vec![]).expect("a call").first, None);
}
