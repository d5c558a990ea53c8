//! An object that does what the tests ask, and the pairs of connections they use.

use std::collections::BTreeMap;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use mp_core::{Connection, Error, Limits, Options};

use crate::interface::{Callback, Counter, Foo, Named, Shape, Verdict};

#[derive(Default)]
pub struct Server {
    pub saved: Mutex<Option<Arc<dyn Callback>>>,
    pub counters: Arc<AtomicUsize>,
    pub blocked: Mutex<bool>,
    pub changed: Condvar,
}

impl Server {
    /// Waits until a call blocks in [`Foo::block`].
    pub fn wait_blocked(&self) {
        let mut blocked = self.blocked.lock().unwrap();
        while !*blocked {
            blocked = self.changed.wait(blocked).unwrap();
        }
    }

    pub fn unblock(&self) {
        *self.blocked.lock().unwrap() = false;
        self.changed.notify_all();
    }
}

impl Foo for Server {
    fn add(&self, a: i32, b: i32) -> Result<i32, Error> {
        Ok(a.wrapping_add(b))
    }
    fn add_direct(&self, b: i32, a: i32) -> Result<i32, Error> {
        // Not symmetric, to tell the parameters apart.
        Ok(10 * a + b)
    }
    fn pass(&self, shape: Shape) -> Result<Shape, Error> {
        Ok(shape)
    }
    fn echo_data(&self, data: Vec<u8>) -> Result<Vec<u8>, Error> {
        Ok(data)
    }
    fn find(&self, key: &str) -> Result<Option<i32>, Error> {
        Ok(key.parse().ok())
    }
    fn find_shape(&self, key: String) -> Result<Option<Shape>, Error> {
        Ok((!key.is_empty()).then(|| Shape {
            title: key,
            ..Shape::default()
        }))
    }
    fn divide(&self, a: i32, b: i32) -> Result<Result<i32, String>, Error> {
        Ok(a.checked_div(b)
            .ok_or_else(|| "division by zero".to_owned()))
    }
    fn check(&self, text: String) -> Result<Verdict, Error> {
        Ok(Verdict {
            result: text.is_empty(),
            reason: format!("bad-{text}"),
            debug: text,
        })
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
        saved
            .ok_or_else(|| Error::failed("nothing is saved"))?
            .call(n)
    }
    fn forget(&self) -> Result<(), Error> {
        let saved = self.saved.lock().unwrap().take();
        drop(saved);
        Ok(())
    }
    fn make_counter(&self) -> Result<Arc<dyn Counter>, Error> {
        self.counters.fetch_add(1, Ordering::SeqCst);
        Ok(Arc::new(Count {
            next: AtomicU64::new(1),
            alive: self.counters.clone(),
        }))
    }
    fn give_back(&self, callback: Arc<dyn Callback>) -> Result<Arc<dyn Callback>, Error> {
        Ok(callback)
    }
    fn maybe_call(&self, callback: Option<Arc<dyn Callback>>) -> Result<bool, Error> {
        callback.map_or(Ok(false), |callback| callback.call(1).map(|_| true))
    }
    fn fail(&self, text: String) -> Result<(), Error> {
        Err(Error::failed(text))
    }
    fn panic(&self) -> Result<(), Error> {
        std::panic::resume_unwind(Box::new("on purpose"))
    }
    fn thread_name(&self) -> Result<String, Error> {
        Ok(format!("{:?}", std::thread::current().id()))
    }
    fn limits(&self, wanted: bool, timeout: f64, count: u64) -> Result<Vec<String>, Error> {
        Ok(vec![
            wanted.to_string(),
            timeout.to_string(),
            count.to_string(),
        ])
    }
    fn transactions(&self, ids: Vec<Option<Vec<u8>>>) -> Result<Vec<Option<Vec<u8>>>, Error> {
        Ok(ids)
    }
    fn sizes(
        &self,
        map: BTreeMap<String, i64>,
        names: Vec<(String, String)>,
    ) -> Result<BTreeMap<String, i64>, Error> {
        let named = names
            .into_iter()
            .map(|(key, value)| (key, value.len() as i64));
        Ok(map.into_iter().chain(named).collect())
    }
    fn block(&self) -> Result<(), Error> {
        let mut blocked = self.blocked.lock().unwrap();
        *blocked = true;
        self.changed.notify_all();
        while *blocked {
            blocked = self.changed.wait(blocked).unwrap();
        }
        Ok(())
    }
    fn narrow(&self, value: i64) -> Result<i64, Error> {
        Ok(value)
    }
    fn unlock(
        &self,
        name: &str,
        passphrase: String,
        shares: Vec<String>,
        pin: i32,
    ) -> Result<Vec<u8>, Error> {
        // All that was given goes back, so that a log of the reply would show it.
        Ok(format!("{name} {passphrase} {shares:?} {pin}").into_bytes())
    }
}

pub struct Count {
    next: AtomicU64,
    alive: Arc<AtomicUsize>,
}

impl Named for Count {
    fn name(&self) -> Result<String, Error> {
        Ok("counter".to_owned())
    }
}

impl Counter for Count {
    fn next(&self) -> Result<u64, Error> {
        Ok(self.next.fetch_add(1, Ordering::SeqCst))
    }
}

impl Drop for Count {
    fn drop(&mut self) {
        self.alive.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A callback made of a closure.
pub struct Calls<F>(pub F);

impl<F: Fn(i32) -> Result<i32, Error> + Send + Sync> Callback for Calls<F> {
    fn call(&self, n: i32) -> Result<i32, Error> {
        (self.0)(n)
    }
}

/// Both ends of a connection.
pub struct Pair {
    pub server: Arc<Server>,
    pub serving: Connection,
    pub connection: Connection,
    pub foo: Arc<dyn Foo>,
}

pub fn pair() -> Pair {
    pair_with(Limits::default(), Limits::default())
}

/// A pair whose sides have names of their own in the log.
pub fn pair_named(serving: &str, calling: &str) -> Pair {
    pair_of(Options::new().name(serving), Options::new().name(calling))
}

pub fn pair_with(serving: Limits, calling: Limits) -> Pair {
    pair_of(
        Options::new().name("server").limits(serving),
        Options::new().name("client").limits(calling),
    )
}

pub fn pair_of(serving: Options, calling: Options) -> Pair {
    let (here, there) = UnixStream::pair().unwrap();
    let server = Arc::new(Server::default());
    let served: Arc<dyn Foo> = server.clone();
    let serving = Connection::serve(there, served, serving).unwrap();
    let (connection, foo) = Connection::connect::<dyn Foo>(here, calling).unwrap();
    Pair {
        server,
        serving,
        connection,
        foo,
    }
}
