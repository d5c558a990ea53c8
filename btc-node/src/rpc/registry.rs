//! Who answers which RPC method.
//!
//! A method of this process is a table entry and a closure; its arguments are checked here. A method of another process
//! (the wallet's) came with [`Chain::handle_rpc`](btc_interfaces::Chain::handle_rpc), and its arguments are checked
//! there. Where two register one name, the last one answers until it goes.

use btc_interfaces::rpc::table::{Arguments, Method};
use btc_interfaces::rpc::{RpcCommand, RpcError, RpcHandler, RpcReply, RpcRequest, code};
use btc_interfaces::{Error, Handler};
use serde_json::Value;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock, Weak};
use std::time::{Duration, Instant};

/// What a call is answered with.
pub type RpcResult = Result<Value, RpcError>;

/// A method of this process.
pub type LocalHandler = Arc<dyn Fn(&RequestContext<'_>) -> RpcResult + Send + Sync>;

/// What a call is answered with by a method whose result is large: the result's JSON, written as it is to be sent.
pub type TextResult = Result<String, RpcError>;

/// A method of this process that writes its result.
pub type TextHandler = Arc<dyn Fn(&RequestContext<'_>) -> TextResult + Send + Sync>;

/// The result of a call.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// A value.
    Value(Value),
    /// The JSON of one.
    Text(String),
}

impl Output {
    /// The value; a text is read for it.
    pub fn into_value(self) -> Value {
        match self {
            Self::Value(value) => value,
            Self::Text(text) => serde_json::from_str(&text).expect("methods write JSON"),
        }
    }
}

/// What a method of this process gets to see of a call.
pub struct RequestContext<'a> {
    /// The arguments, checked against the method's table.
    pub arguments: &'a Arguments,
    /// The call itself: path, user, unchecked parameters.
    pub request: &'a RpcRequest,
    /// Raised when the server stops, so that a waiting call can give up.
    pub interrupt: &'a Interrupt,
}

/// The sign for waiting calls that the server stops. Clones are one sign.
#[derive(Clone, Default)]
pub struct Interrupt(Arc<(Mutex<bool>, Condvar)>);

impl Interrupt {
    /// Raises it; it never goes down.
    pub fn raise(&self) {
        *lock(&self.0.0) = true;
        self.0.1.notify_all();
    }

    /// Whether it is raised.
    pub fn is_raised(&self) -> bool {
        *lock(&self.0.0)
    }

    /// Blocks until it is raised or `timeout` is over; gives whether it is raised.
    pub fn wait(&self, timeout: Duration) -> bool {
        let raised = lock(&self.0.0);
        let (raised, _) = self
            .0
            .1
            .wait_timeout_while(raised, timeout, |raised| !*raised)
            .unwrap_or_else(PoisonError::into_inner);
        *raised
    }
}

/// The methods of a node, by name. Clones are one registry.
#[derive(Clone, Default)]
pub struct Registry(Arc<Inner>);

/// A registry that its own handlers may hold.
#[derive(Clone)]
pub struct WeakRegistry(Weak<Inner>);

impl WeakRegistry {
    /// The registry, if it still is.
    pub fn upgrade(&self) -> Option<Registry> {
        self.0.upgrade().map(Registry)
    }
}

struct Inner {
    methods: RwLock<Methods>,
    /// What the start-up is at, until it is finished.
    warmup: RwLock<Option<String>>,
    active: Mutex<Active>,
    interrupt: Interrupt,
    /// Whether results are held against the tables.
    check_results: AtomicBool,
}

#[derive(Default)]
struct Methods {
    by_name: BTreeMap<String, Vec<Entry>>,
    next_id: u64,
}

#[derive(Clone)]
struct Entry {
    id: u64,
    target: Target,
}

#[derive(Clone)]
enum Target {
    Local(&'static Method, LocalHandler),
    Text(&'static Method, TextHandler),
    Remote(Arc<RpcCommand>, Arc<dyn RpcHandler>),
}

#[derive(Default)]
struct Active {
    calls: BTreeMap<u64, (String, Instant)>,
    next_id: u64,
}

/// What the help shows of a method.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The method's name.
    pub name: String,
    /// The group it is listed under; `hidden` for none.
    pub category: String,
    /// Its whole help; the first line is its usage.
    pub help: String,
}

impl Default for Inner {
    fn default() -> Self {
        Self {
            methods: RwLock::default(),
            warmup: RwLock::new(Some("RPC server started".to_owned())),
            active: Mutex::default(),
            interrupt: Interrupt::default(),
            check_results: AtomicBool::new(false),
        }
    }
}

impl Registry {
    /// A registry without methods, warming up.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same registry, without keeping it alive.
    pub fn downgrade(&self) -> WeakRegistry {
        WeakRegistry(Arc::downgrade(&self.0))
    }

    /// Registers a method of this process until the registration is dropped.
    #[must_use = "dropping the registration takes the method away"]
    pub fn register(&self, method: &'static Method, handler: LocalHandler) -> Registration {
        self.add(method.name, Target::Local(method, handler))
    }

    /// As [`register`](Self::register), for a method that writes its result.
    #[must_use = "dropping the registration takes the method away"]
    pub fn register_text(&self, method: &'static Method, handler: TextHandler) -> Registration {
        self.add(method.name, Target::Text(method, handler))
    }

    /// Registers a method that `handler` answers, usually in another process, until the registration is dropped.
    #[must_use = "dropping the registration takes the method away"]
    pub fn register_remote(
        &self,
        command: RpcCommand,
        handler: Arc<dyn RpcHandler>,
    ) -> Registration {
        let name = command.name.clone();
        self.add(&name, Target::Remote(Arc::new(command), handler))
    }

    fn add(&self, name: &str, target: Target) -> Registration {
        let mut methods = self.methods_mut();
        let id = methods.next_id;
        methods.next_id += 1;
        let entry = Entry { id, target };
        methods
            .by_name
            .entry(name.to_owned())
            .or_default()
            .push(entry);
        Registration {
            registry: Arc::downgrade(&self.0),
            name: name.to_owned(),
            id,
        }
    }

    /// Says what the start-up is at: calls get it with error -28 until [`Registry::set_warmup_finished`].
    pub fn set_warmup_status(&self, status: impl Into<String>) {
        let mut warmup = self
            .0
            .warmup
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        if warmup.is_some() {
            *warmup = Some(status.into());
        }
    }

    /// Lets calls through.
    pub fn set_warmup_finished(&self) {
        *self
            .0
            .warmup
            .write()
            .unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// What the start-up is at; `None` once it is finished.
    pub fn warmup_status(&self) -> Option<String> {
        self.0
            .warmup
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The sign that waiting calls watch.
    pub fn interrupt(&self) -> &Interrupt {
        &self.0.interrupt
    }

    /// The calls now running: method and how long.
    pub fn active(&self) -> Vec<(String, Duration)> {
        let active = lock(&self.0.active);
        active
            .calls
            .values()
            .map(|(method, since)| (method.clone(), since.elapsed()))
            .collect()
    }

    /// Every method, sorted by category and name.
    pub fn list(&self) -> Vec<Listed> {
        let mut listed: Vec<Listed> = self.targets().iter().map(Target::listed).collect();
        listed.sort_by(|a, b| (&a.category, &a.name).cmp(&(&b.category, &b.name)));
        listed
    }

    /// The methods as objects of an OpenRPC document, sorted by name; those of category `hidden` and hidden arguments only
    /// with `show_hidden`. A method of another process comes as it was registered.
    pub fn describe(&self, show_hidden: bool) -> Vec<Value> {
        let targets = self.targets();
        let shown = targets
            .iter()
            .filter(|target| show_hidden || target.category() != "hidden");
        shown.map(|target| target.openrpc(show_hidden)).collect()
    }

    /// How a command line passes the arguments of every method: arrays of the method's name, the argument's position and
    /// name, and whether it is a string. Sorted by method.
    pub fn conversions(&self) -> Vec<Value> {
        let all = self.targets().into_iter().map(|target| match target {
            Target::Local(method, _) | Target::Text(method, _) => method.conversions(),
            Target::Remote(command, _) => command.conversions.clone(),
        });
        all.flat_map(|rows| match rows {
            Value::Array(rows) => rows,
            _ => Vec::new(),
        })
        .collect()
    }

    /// Holds the results of this process's methods against their tables from now on, or no longer (`-rpcdoccheck`).
    pub fn set_check_results(&self, check: bool) {
        self.0.check_results.store(check, Ordering::Relaxed);
    }

    /// The tables of this process's methods, sorted by name.
    pub fn tables(&self) -> Vec<&'static Method> {
        let methods = self.methods();
        let last = methods
            .by_name
            .values()
            .filter_map(|entries| entries.last());
        last.filter_map(|entry| match &entry.target {
            Target::Local(method, _) | Target::Text(method, _) => Some(*method),
            Target::Remote(..) => None,
        })
        .collect()
    }

    /// Who answers each method, sorted by name.
    fn targets(&self) -> Vec<Target> {
        let methods = self.methods();
        let last = methods
            .by_name
            .values()
            .filter_map(|entries| entries.last());
        last.map(|entry| entry.target.clone()).collect()
    }

    /// Runs one call to its end, on this thread.
    pub fn execute(&self, request: RpcRequest) -> RpcReply {
        RpcReply::from(self.run(request).map(Output::into_value))
    }

    /// Runs one call to its end, on this thread, and leaves its result as the method gives it.
    ///
    /// # Errors
    /// What the caller is told in place of a result.
    pub fn run(&self, request: RpcRequest) -> Result<Output, RpcError> {
        if let Some(status) = self.warmup_status() {
            return Err(RpcError::new(code::IN_WARMUP, status));
        }
        let target = {
            let methods = self.methods();
            let entries = methods.by_name.get(&request.method);
            entries.and_then(|entries| entries.last()).cloned()
        }
        .ok_or_else(|| RpcError::new(code::METHOD_NOT_FOUND, "Method not found"))?
        .target;
        let _running = self.mark_running(&request.method);
        // A handler's panic must cost its caller the answer, not the node a worker.
        let output = catch_unwind(AssertUnwindSafe(|| target.call(request, &self.0.interrupt)))
            .unwrap_or_else(|_| {
                Err(RpcError::new(
                    code::INTERNAL_ERROR,
                    "Internal bug detected: the method's handler panicked",
                ))
            })?;
        if self.0.check_results.load(Ordering::Relaxed) {
            target.check(&output)?;
        }
        Ok(output)
    }

    fn mark_running(&self, method: &str) -> Running<'_> {
        let mut active = lock(&self.0.active);
        let id = active.next_id;
        active.next_id += 1;
        active.calls.insert(id, (method.to_owned(), Instant::now()));
        Running {
            active: &self.0.active,
            id,
        }
    }

    fn methods(&self) -> std::sync::RwLockReadGuard<'_, Methods> {
        self.0
            .methods
            .read()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn methods_mut(&self) -> std::sync::RwLockWriteGuard<'_, Methods> {
        self.0
            .methods
            .write()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Target {
    fn category(&self) -> &str {
        match self {
            Self::Local(method, _) | Self::Text(method, _) => method.category,
            Self::Remote(command, _) => &command.category,
        }
    }

    fn openrpc(&self, show_hidden: bool) -> Value {
        match self {
            Self::Local(method, _) | Self::Text(method, _) => method.openrpc(show_hidden),
            Self::Remote(command, _) => command.openrpc.clone(),
        }
    }

    /// Holds a result against the method's table; another process does so itself.
    fn check(&self, output: &Output) -> Result<(), RpcError> {
        match (self, output) {
            (Self::Local(method, _) | Self::Text(method, _), Output::Value(value)) => {
                method.check_result(value)
            }
            (Self::Local(method, _) | Self::Text(method, _), Output::Text(_)) => {
                method.check_result(&output.clone().into_value())
            }
            (Self::Remote(..), _) => Ok(()),
        }
    }

    fn listed(&self) -> Listed {
        match self {
            Self::Local(method, _) | Self::Text(method, _) => Listed {
                name: method.name.to_owned(),
                category: method.category.to_owned(),
                help: method.help(),
            },
            Self::Remote(command, _) => Listed {
                name: command.name.clone(),
                category: command.category.clone(),
                help: command.help.clone(),
            },
        }
    }

    fn call(&self, request: RpcRequest, interrupt: &Interrupt) -> Result<Output, RpcError> {
        match self {
            Self::Local(method, handler) => {
                bound(method, &request, interrupt, |context| handler(context)).map(Output::Value)
            }
            Self::Text(method, handler) => {
                bound(method, &request, interrupt, |context| handler(context)).map(Output::Text)
            }
            Self::Remote(_, handler) => match handler.call(request) {
                Ok(reply) => reply.into_result().map(Output::Value),
                Err(error) => Err(remote_failure(&error)),
            },
        }
    }
}

/// Runs a method of this process with its arguments checked.
fn bound<T>(
    method: &Method,
    request: &RpcRequest,
    interrupt: &Interrupt,
    handler: impl FnOnce(&RequestContext<'_>) -> Result<T, RpcError>,
) -> Result<T, RpcError> {
    let arguments = method.bind_request(request)?;
    handler(&RequestContext {
        arguments: &arguments,
        request,
        interrupt,
    })
}

/// What the caller of a method gets when the process that has it did not answer.
fn remote_failure(error: &Error) -> RpcError {
    match error {
        Error::Disconnected { .. } => RpcError::new(
            code::WALLET_ERROR,
            "The wallet process is not running; loadwallet starts it again",
        ),
        other => RpcError::new(code::MISC_ERROR, other.to_string()),
    }
}

/// Keeps a call in the list of running ones.
struct Running<'a> {
    active: &'a Mutex<Active>,
    id: u64,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        lock(self.active).calls.remove(&self.id);
    }
}

/// Keeps a method registered; dropping it takes the method away, and whoever had the name before answers again.
pub struct Registration {
    registry: Weak<Inner>,
    name: String,
    id: u64,
}

impl Registration {
    fn remove(&self) {
        let Some(inner) = self.registry.upgrade() else {
            return;
        };
        let mut methods = inner
            .methods
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let mut removed = None;
        if let Some(entries) = methods.by_name.get_mut(&self.name) {
            if let Some(index) = entries.iter().position(|entry| entry.id == self.id) {
                removed = Some(entries.remove(index));
            }
            if entries.is_empty() {
                methods.by_name.remove(&self.name);
            }
        }
        // A handler's own drop may call back here, so it runs without the lock.
        drop(methods);
        drop(removed);
    }
}

impl Handler for Registration {
    fn disconnect(&self) -> btc_interfaces::Result<()> {
        self.remove();
        Ok(())
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.remove();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Each value is replaced or changed in one step, so a panic elsewhere leaves nothing half done.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
