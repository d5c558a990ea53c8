//! Calls, objects and callbacks over a socket pair.

use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex};
use std::thread::ThreadId;

use mp_core::{Connection, Error, Options};

pub struct Codec;

#[mp_core::interface(codec = Codec, id = 0x8101_0000_0000_0001)]
pub trait Callback: Send + Sync {
    fn call(&self, n: i32) -> Result<i32, Error>;
}

#[mp_core::interface(codec = Codec, id = 0x8101_0000_0000_0002, root)]
pub trait Foo: Send + Sync {
    fn add(&self, a: i32, b: i32) -> Result<i32, Error>;
    fn callback(&self, callback: Arc<dyn Callback>, n: i32) -> Result<i32, Error>;
    fn save(&self, callback: Arc<dyn Callback>) -> Result<(), Error>;
    fn call_saved(&self, n: i32) -> Result<i32, Error>;
    fn fail(&self, text: String) -> Result<(), Error>;
}

#[derive(Default)]
struct Server {
    saved: Mutex<Option<Arc<dyn Callback>>>,
}

impl Foo for Server {
    fn add(&self, a: i32, b: i32) -> Result<i32, Error> {
        Ok(a + b)
    }
    fn callback(&self, callback: Arc<dyn Callback>, n: i32) -> Result<i32, Error> {
        callback.call(n)
    }
    fn save(&self, callback: Arc<dyn Callback>) -> Result<(), Error> {
        *self.saved.lock().unwrap() = Some(callback);
        Ok(())
    }
    fn call_saved(&self, n: i32) -> Result<i32, Error> {
        let saved = self.saved.lock().unwrap().clone();
        saved.ok_or_else(|| Error::failed("nothing saved"))?.call(n)
    }
    fn fail(&self, text: String) -> Result<(), Error> {
        Err(Error::failed(text))
    }
}

fn pair() -> (Connection, Arc<dyn Foo>) {
    let (here, there) = UnixStream::pair().unwrap();
    let server: Arc<dyn Foo> = Arc::new(Server::default());
    Connection::serve(there, server, Options::default()).unwrap();
    Connection::connect::<dyn Foo>(here, Options::default()).unwrap()
}

struct Recurse {
    foo: Arc<dyn Foo>,
    seen: Mutex<Vec<ThreadId>>,
    this: std::sync::Weak<Recurse>,
}

impl Callback for Recurse {
    fn call(&self, n: i32) -> Result<i32, Error> {
        self.seen.lock().unwrap().push(std::thread::current().id());
        if n == 0 {
            return Ok(0);
        }
        let this: Arc<dyn Callback> = self.this.upgrade().unwrap();
        Ok(1 + self.foo.callback(this, n - 1)?)
    }
}

#[test]
fn calls() {
    let (_connection, foo) = pair();
    assert_eq!(foo.add(1, 2).unwrap(), 3);
    assert_eq!(foo.fail("why".to_owned()).unwrap_err().to_string(), "why");
}

#[test]
fn nested_callbacks_run_on_the_callers_thread() {
    let (_connection, foo) = pair();
    let recurse = Arc::new_cyclic(|this| Recurse {
        foo: foo.clone(),
        seen: Mutex::default(),
        this: this.clone(),
    });
    assert_eq!(foo.callback(recurse.clone(), 5).unwrap(), 5);
    let seen = recurse.seen.lock().unwrap();
    assert_eq!(*seen, [std::thread::current().id(); 6]);
}

#[test]
fn saved_callback_runs_later() {
    let (_connection, foo) = pair();
    let recurse = Arc::new_cyclic(|this| Recurse {
        foo: foo.clone(),
        seen: Mutex::default(),
        this: this.clone(),
    });
    foo.save(recurse).unwrap();
    let other = foo.clone();
    std::thread::spawn(move || assert_eq!(other.call_saved(0).unwrap(), 0))
        .join()
        .unwrap();
}
