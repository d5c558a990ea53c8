//! Our side of the cross test with libmultiprocess: serves its test interface after `-ipcfd`, or calls the program that
//! it is given. `build` says how to run it.

mod interface;
mod server;

use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use interface::*;
use mp_core::process::{FD_OPTION, Spawned, from_fd, spawn};
use mp_core::{Cancellation, Connection, Error, Options, with_timeout};

const SOON: Duration = Duration::from_secs(10);

struct Peer {
    process: Spawned,
    connection: Connection,
    foo: Arc<dyn Foo>,
}

impl Peer {
    fn new(program: &str) -> Result<Self, Error> {
        let (process, stream) = spawn(program, [""; 0])?;
        let (connection, foo) = Connection::connect::<dyn Foo>(stream, Options::default())?;
        Ok(Self {
            process,
            connection,
            foo,
        })
    }
}

/// Adds to what it is given, and notes its threads and its end.
struct Adds {
    add: i32,
    alive: Arc<AtomicUsize>,
    thread: Arc<Mutex<Option<ThreadId>>>,
}

impl Adds {
    fn new(add: i32, alive: &Arc<AtomicUsize>) -> Arc<Self> {
        alive.fetch_add(1, Ordering::SeqCst);
        Arc::new(Self {
            add,
            alive: alive.clone(),
            thread: Arc::default(),
        })
    }
}

impl Drop for Adds {
    fn drop(&mut self) {
        self.alive.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Callback for Adds {
    fn call(&self, arg: i32) -> Result<i32, Error> {
        *self.thread.lock().unwrap() = Some(thread::current().id());
        if arg < 0 {
            return Err(Error::failed("too small"));
        }
        Ok(arg + self.add)
    }
}

impl Extended for Adds {
    fn call_extended(&self, arg: i32) -> Result<i32, Error> {
        Ok(arg * self.add)
    }
}

struct Calls<F>(F);

impl<F: Fn() -> Result<i32, Error> + Send + Sync> Function for Calls<F> {
    fn call(&self) -> Result<i32, Error> {
        (self.0)()
    }
}

/// Counts the cases that fail.
#[derive(Default)]
struct Cases(usize);

impl Cases {
    fn case(&mut self, name: &str, run: impl FnOnce() -> Result<bool, Error>) {
        let outcome = match run() {
            Ok(true) => "yes".to_owned(),
            Ok(false) => "NO: wrong result".to_owned(),
            Err(error) => format!("NO: {error}"),
        };
        self.0 += usize::from(outcome != "yes");
        println!("{name:<52} {outcome}");
    }
}

fn main() -> ExitCode {
    let program = match std::env::args().nth(1) {
        Some(flag) if flag == FD_OPTION => return serve(),
        Some(program) => program,
        None => {
            eprintln!("usage: ours PROGRAM | ours -ipcfd N");
            return ExitCode::from(2);
        }
    };
    let mut cases = Cases::default();
    let mut peer = Peer::new(&program).expect("the peer starts");
    values(&mut cases, &*peer.foo);
    callbacks(&mut cases, &peer.foo);
    threads(&mut cases, &peer.foo);
    bounds(&mut cases, &peer);
    cases.case("the connection was in order to the end", || {
        drop(peer.foo);
        drop(peer.connection);
        Ok(peer.process.wait_within(SOON)?.success())
    });
    ends(&mut cases, &program);
    println!("{} failed", cases.0);
    ExitCode::from(u8::from(cases.0 > 0))
}

fn serve() -> ExitCode {
    let served: Arc<dyn Foo> = Arc::<server::Server>::default();
    let fd = std::env::args()
        .nth(2)
        .and_then(|fd| fd.parse().ok())
        .expect("a descriptor");
    let served =
        from_fd(fd).and_then(|stream| Connection::serve(stream, served, Options::default()));
    match served {
        Ok(connection) => {
            connection.closed();
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn values(cases: &mut Cases, foo: &dyn Foo) {
    let full = Struct {
        name: "name".to_owned(),
        set_int: BTreeSet::from([2, 1, -5]),
        vector_bool: vec![false, true, false],
        optional_int: Some(0),
        unordered_set_int: [7, 8].into(),
        map_string_int: BTreeMap::from([("a".to_owned(), 1), (String::new(), -2)]),
    };
    cases.case("integers, without context", || Ok(foo.add(-1, 2)? == 1));
    cases.case("out and in-out parameters", || {
        Ok(foo.add_in_out(3, foo.add_out(3, 4)?.ret)?.sum == 10)
    });
    cases.case("maps", || {
        let map = [("a", "b"), ("c", "d")].map(|(key, value)| (key.to_owned(), value.to_owned()));
        Ok(foo.map_size(map.into())? == 2 && foo.map_size(BTreeMap::new())? == 0)
    });
    cases.case("structs: sets, vectors, maps, optional", || {
        let less = Struct {
            optional_int: None,
            ..full.clone()
        };
        Ok(foo.pass(full.clone())? == full
            && foo.pass(less.clone())? == less
            && foo.pass(Struct::default())? == Struct::default())
    });
    cases.case("declared exceptions", || {
        Ok(foo.raise(full.clone())? == Err(full.clone()))
    });
    cases.case("custom and empty structs", || {
        let custom = Custom {
            v1: "v1".to_owned(),
            v2: 5,
        };
        Ok(foo.pass_custom(custom.clone())? == custom && foo.pass_empty(Empty {})? == Empty {})
    });
    cases.case("data of 0 and 1,000,000 bytes", || {
        let large = vec![b'x'; 1_000_000];
        Ok(foo.pass_data(Vec::new())?.is_empty() && foo.pass_data(large.clone())? == large)
    });
    cases.case("messages, by value and changed", || {
        let words = foo.pass_message(Words {
            message: "init".to_owned(),
        })?;
        let changed = foo.pass_mutable(Changed {
            message: "init".to_owned(),
        })?;
        // The other side may have hooks of its own for these types, as libmultiprocess has.
        Ok(
            ["init call", "init read call build"].contains(&&*words.message)
                && ["init call", "init pass call return"].contains(&&*changed.arg.message),
        )
    });
    cases.case("enums and floating point", || {
        Ok(foo.pass_enum(2)? == 2 && foo.pass_double(-1.25)? == -1.25)
    });
    cases.case("lists with missing elements", || {
        let list = vec![Some(b"Hi".to_vec()), None];
        Ok(foo.pass_data_pointers(list.clone())? == list)
    });
}

fn callbacks(cases: &mut Cases, foo: &Arc<dyn Foo>) {
    let alive = Arc::new(AtomicUsize::new(0));
    cases.case("callbacks: borrowed, owned, shared", || {
        Ok(foo.callback(Adds::new(1, &alive), 1)? == 2
            && foo.callback_unique(Adds::new(2, &alive), 1)? == 3
            && foo.callback_shared(Adds::new(3, &alive), 1)? == 4)
    });
    // The other side lets go of a borrowed one when it gets round to it.
    cases.case("callbacks are destroyed with their last owner", || {
        Ok(gone(&alive))
    });
    cases.case("callbacks run on the thread that waits", || {
        let adds = Adds::new(1, &alive);
        let ran = adds.thread.clone();
        foo.callback(adds, 1)?;
        let ran = *ran.lock().unwrap();
        Ok(ran == Some(thread::current().id()))
    });
    cases.case("saved callbacks, and null to forget", || {
        foo.save_callback(Some(Adds::new(7, &alive)))?;
        let called = foo.callback_saved(1)? == 8;
        let kept = alive.load(Ordering::SeqCst) > 0;
        foo.save_callback(None)?;
        Ok(called && kept && gone(&alive))
    });
    cases.case("interfaces that extend others", || {
        Ok(foo.callback_extended(Adds::new(3, &alive), 5)? == 15)
    });
    cases.case("functions, nested in calls", || {
        let inner = foo.clone();
        let nested = move || Ok(inner.pass_fn(Arc::new(Calls(|| Ok(1))))? + 1);
        Ok(foo.pass_fn(Arc::new(Calls(|| Ok(10))))? == 10
            && foo.pass_fn(Arc::new(Calls(nested)))? == 2)
    });
    cases.case("a callback that throws", || {
        let error = foo.callback(Adds::new(3, &alive), -1);
        Ok(error.is_err_and(|error| error.to_string().contains("too small")))
    });
    cases.case("undeclared exceptions", || {
        let error = foo.call_int_fn_async(-1);
        Ok(matches!(error, Err(Error::Remote { reason, .. }) if reason == "less than nothing"))
    });
}

fn gone(alive: &AtomicUsize) -> bool {
    let start = Instant::now();
    while alive.load(Ordering::SeqCst) > 0 && start.elapsed() < SOON {
        thread::yield_now();
    }
    alive.load(Ordering::SeqCst) == 0
}

fn threads(cases: &mut Cases, foo: &Arc<dyn Foo>) {
    cases.case("one counterpart for each thread", || {
        let own = foo.call_int_fn_async(-3)?;
        let there = foo.clone();
        let other = thread::spawn(move || there.call_int_fn_async(-3))
            .join()
            .expect("it ends")?;
        Ok(own == foo.call_int_fn_async(-3)? && own != other)
    });
    cases.case("32 threads at once", || {
        let threads: Vec<_> = (0..32)
            .map(|i| {
                let foo = foo.clone();
                thread::spawn(move || {
                    (0..20).all(|n| foo.call_int_fn_async(100 * i + n).ok() == Some(100 * i + n))
                })
            })
            .collect();
        Ok(threads
            .into_iter()
            .all(|thread| thread.join().is_ok_and(|good| good)))
    });
    cases.case(
        "a call of another thread goes on beside one that waits",
        || {
            let there = foo.clone();
            let waits = thread::spawn(move || there.call_int_fn_async(-4));
            while foo.call_int_fn_async(-6)? != 1 {
                thread::yield_now();
            }
            foo.call_int_fn_async(-5)?;
            Ok(waits.join().expect("it ends")? == -4)
        },
    );
}

fn bounds(cases: &mut Cases, peer: &Peer) {
    let foo = &peer.foo;
    // libmultiprocess does not end a call that its caller has given up, but the caller goes on.
    let give_up = |caller: &dyn Fn() -> Result<i32, Error>| {
        let error = caller();
        foo.call_int_fn_async(-5)?;
        Ok(matches!(error, Err(Error::Timeout | Error::Cancelled)))
    };
    cases.case("calls with a timeout", || {
        let there = foo.clone();
        // On a thread of its own, for the call stays on its counterpart.
        give_up(&move || {
            let there = there.clone();
            let call =
                move || with_timeout(Duration::from_millis(50), || there.call_int_fn_async(-4));
            thread::spawn(call).join().expect("it ends")
        })
    });
    cases.case("calls that are called off", || {
        let there = foo.clone();
        give_up(&move || {
            let (there, other) = (there.clone(), there.clone());
            let cancellation = Cancellation::new();
            let scope = cancellation.clone();
            let call = thread::spawn(move || scope.run(|| there.call_int_fn_async(-4)));
            while other.call_int_fn_async(-6)? != 1 {
                thread::yield_now();
            }
            cancellation.cancel();
            call.join().expect("it ends")
        })
    });
    cases.case("makePool, and calls that do not wait", || {
        peer.connection.make_pool(2)?;
        let twin = FooAsync::new(foo)?;
        let pending: Vec<_> = (0..9).map(|n| twin.call_int_fn_async(n)).collect();
        let mut sum = 0;
        for pending in pending {
            sum += wait(pending)?;
        }
        Ok(sum == 36)
    });
}

/// Waits for a future on this thread.
fn wait<F: Future + Unpin>(mut future: F) -> F::Output {
    struct Unpark(thread::Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    loop {
        match Pin::new(&mut future).poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

fn ends(cases: &mut Cases, program: &str) {
    cases.case("the peer leaves when its client does", || {
        let mut peer = Peer::new(program)?;
        peer.foo.add(1, 2)?;
        drop((peer.foo, peer.connection));
        Ok(peer.process.wait_within(SOON)?.success())
    });
    cases.case("the peer dies during a call", || {
        let mut peer = Peer::new(program)?;
        let error = peer.foo.call_int_fn_async(-2);
        let after = peer.foo.add(1, 2);
        Ok(matches!(error, Err(Error::Disconnected { during: true }))
            && matches!(after, Err(Error::Disconnected { during: false }))
            && !peer.process.wait_within(SOON)?.success())
    });
    cases.case(
        "proxies outlive the peer that holds their callbacks",
        || {
            let alive = Arc::new(AtomicUsize::new(0));
            let mut peer = Peer::new(program)?;
            peer.foo.save_callback(Some(Adds::new(1, &alive)))?;
            let _ = peer.foo.call_int_fn_async(-2);
            peer.process.wait_within(SOON)?;
            Ok(gone(&alive))
        },
    );
    cases.case("a client leaves while its call runs", || {
        let mut peer = Peer::new(program)?;
        let there = peer.foo.clone();
        let waits = thread::spawn(move || there.call_int_fn_async(-4));
        while peer.foo.call_int_fn_async(-6)? != 1 {
            thread::yield_now();
        }
        peer.connection.close();
        let error = waits.join().expect("it ends");
        // Its thread still waits there, so the process has to be ended.
        peer.process.kill()?;
        Ok(matches!(error, Err(Error::Disconnected { during: true })))
    });
}
