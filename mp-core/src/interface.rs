//! Between traits and messages: what the macros generate against.

use std::any::Any;
use std::collections::HashMap;
use std::marker::PhantomData;
use std::sync::{Arc, LazyLock, Mutex};

use crate::cap::{Cap, Server};
use crate::error::{DecodeError, Error};
use crate::field::{Decoder, Encoder, Field, Outcome, Slot};
use crate::plan::{FieldPlan, MethodPlan, THREAD_MAP_ID};
use crate::rpc::{self, Anchor, Conn};
use crate::schema::{self, ExportError, SchemaFile};
use crate::sync::lock;
use crate::wire::{Message, StructAt, StructReader};

/// A trait whose objects may be in another process; implemented for `dyn Trait` by
/// [`interface`](macro@crate::interface).
pub trait Interface: Send + Sync + 'static {
    /// What the schema says of it.
    const SCHEMA: &'static schema::Interface;

    /// The plan of a method by its place on the wire.
    #[doc(hidden)]
    fn plan(interface: u64, ordinal: u16) -> Option<&'static MethodPlan>;

    /// Reads the parameters, calls the object and writes the results.
    #[doc(hidden)]
    fn invoke(
        this: &Arc<Self>,
        interface: u64,
        ordinal: u16,
        call: &mut ServerCall<'_>,
    ) -> Result<(), Error>;

    /// Writes the interface and what it uses to a schema file.
    #[doc(hidden)]
    fn describe(_: &mut SchemaFile) -> Result<(), ExportError> {
        Err(ExportError::HasSchema(Self::SCHEMA.name))
    }

    /// Makes an object of a proxy.
    #[doc(hidden)]
    fn from_proxy(proxy: Proxy<Self>) -> Arc<Self>;
}

/// Says that objects of `Self` have the methods of the interface `Base`; implemented by
/// [`interface`](macro@crate::interface).
pub trait Extends<Base: ?Sized> {}

/// An object of another process, seen through its interface. Proxies are held as `Arc<dyn Trait>`.
///
/// When a proxy is dropped, the other side's reference to the object goes with it. Where the interface declares a
/// method `destroy`, it is called first and waited for, as long as
/// [`Limits::destroy_wait`](crate::Limits::destroy_wait) allows.
pub struct Proxy<I: Interface + ?Sized> {
    cap: Cap,
    /// Keeps a connection of a client alive.
    _anchor: Option<Arc<Anchor>>,
    marker: PhantomData<fn(&I)>,
}

/// The capability of each live proxy by its address, to know a proxy when it is passed on as an `Arc<dyn Trait>`.
static PROXIES: LazyLock<Mutex<HashMap<usize, Cap>>> = LazyLock::new(Mutex::default);

fn address<T: ?Sized>(object: *const T) -> usize {
    object.cast::<()>() as usize
}

impl<I: Interface + ?Sized> Proxy<I> {
    /// Calls a method and waits for its reply.
    #[doc(hidden)]
    pub fn call(
        &self,
        plan: &'static MethodPlan,
        params: impl FnOnce(StructAt, &mut Encoder) -> Result<(), Error>,
    ) -> Result<Reply, Error> {
        rpc::call(&self.cap, plan, params)
    }
}

impl<I: Interface + ?Sized> Drop for Proxy<I> {
    fn drop(&mut self) {
        let registered = lock(&PROXIES).remove(&address(std::ptr::from_ref(self)));
        drop(registered);
        let destroy = I::SCHEMA
            .methods
            .iter()
            .find(|method| method.name == "destroy");
        if let (Some(destroy), Cap::Remote(import)) = (destroy, &self.cap)
            && let Some(plan) = I::plan(I::SCHEMA.id, destroy.ordinal)
        {
            rpc::destroy(import, plan);
        }
    }
}

impl<I: Interface + ?Sized> std::fmt::Debug for Proxy<I> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Proxy<{}>({:?})", I::SCHEMA.name, self.cap)
    }
}

/// An object for a capability: the very object if it is one of this process, else a proxy.
pub(crate) fn import<I: Interface + ?Sized>(cap: Cap) -> Arc<I> {
    let cap = cap.settled();
    if let Cap::Local(server) = &cap {
        let any: &dyn Any = &**server;
        if let Some(object) = any.downcast_ref::<Served<I>>().and_then(Served::object) {
            return object;
        }
    }
    let anchor = match &cap {
        Cap::Remote(import) => import.conn().anchor(),
        _ => None,
    };
    let object = I::from_proxy(Proxy {
        cap: cap.clone(),
        _anchor: anchor,
        marker: PhantomData,
    });
    lock(&PROXIES).insert(address(Arc::as_ptr(&object)), cap);
    object
}

/// The capability behind a proxy; `None` for other objects.
pub(crate) fn capability_of<I: Interface + ?Sized>(object: &Arc<I>) -> Option<Cap> {
    lock(&PROXIES).get(&address(Arc::as_ptr(object))).cloned()
}

/// A capability for an object: that of the proxy, if it is one of the same connection, else one that serves it.
pub(crate) fn export<I: Interface + ?Sized>(object: &Arc<I>, conn: Option<&Arc<Conn>>) -> Cap {
    let known = capability_of(object);
    match (&known, conn) {
        (Some(Cap::Remote(import)), Some(conn)) if Arc::ptr_eq(import.conn(), conn) => {
            return Cap::Remote(import.clone());
        }
        (Some(Cap::Local(server)), _) => return Cap::Local(server.clone()),
        _ => {}
    }
    Cap::Local(Arc::new(Served::new(object.clone())))
}

/// An object of this process as peers see it.
pub(crate) struct Served<I: Interface + ?Sized> {
    /// Empty after `destroy`.
    object: Mutex<Option<Arc<I>>>,
    address: usize,
}

impl<I: Interface + ?Sized> Served<I> {
    pub(crate) fn new(object: Arc<I>) -> Self {
        Self {
            address: address(Arc::as_ptr(&object)),
            object: Mutex::new(Some(object)),
        }
    }

    fn object(&self) -> Option<Arc<I>> {
        lock(&self.object).clone()
    }

    fn own_method(interface: u64, ordinal: u16) -> Option<&'static schema::Method> {
        let own = interface == I::SCHEMA.id;
        I::SCHEMA
            .methods
            .iter()
            .find(|method| own && method.ordinal == ordinal)
    }

    fn has_destroy() -> bool {
        I::SCHEMA
            .methods
            .iter()
            .any(|method| method.name == "destroy")
    }
}

impl<I: Interface + ?Sized> Server for Served<I> {
    fn plan(&self, interface: u64, ordinal: u16) -> Option<&'static MethodPlan> {
        I::plan(interface, ordinal)
    }

    fn invoke(&self, interface: u64, ordinal: u16, call: &mut ServerCall<'_>) -> Result<(), Error> {
        if let Some(method) = Self::own_method(interface, ordinal) {
            if method.name == "destroy" {
                let object = lock(&self.object).take();
                drop(object);
                call.begin(&method.results);
                return Ok(());
            }
            let threads =
                |field: &&schema::Field| field.kind == schema::Kind::Interface(THREAD_MAP_ID);
            if let Some(result) = method.results.fields.iter().find(threads) {
                return call.exchange_thread_maps(
                    method.params.fields.iter().find(threads),
                    result,
                    &method.results,
                );
            }
        }
        let object = self.object().ok_or(Error::Destroyed)?;
        I::invoke(&object, interface, ordinal, call)
    }

    fn key(&self) -> (usize, u64) {
        // Each reference to an object with `destroy` ends on its own, so each is an export of its own.
        if Self::has_destroy() {
            (address(std::ptr::from_ref(self)), 0)
        } else {
            (self.address, I::SCHEMA.id)
        }
    }

    fn runs_user_code(&self) -> bool {
        true
    }
}

/// A call that came in: its parameters, and the reply being written.
#[doc(hidden)]
pub struct ServerCall<'a> {
    params: StructReader<'a>,
    decoder: Decoder<'a>,
    encoder: &'a mut Encoder,
    /// Where the results' pointer stands.
    results: crate::wire::PointerAt,
    plan: &'static MethodPlan,
}

impl<'a> ServerCall<'a> {
    pub(crate) fn new(
        params: StructReader<'a>,
        decoder: Decoder<'a>,
        encoder: &'a mut Encoder,
        results: crate::wire::PointerAt,
        plan: &'static MethodPlan,
    ) -> Self {
        Self {
            params,
            decoder,
            encoder,
            results,
            plan,
        }
    }

    /// Reads a parameter.
    pub fn param<C, T: Field<C>>(&self, plan: &FieldPlan) -> Result<T, Error> {
        T::read(Slot::field(&self.params, plan, &self.decoder))
    }

    /// Writes what the method returned.
    pub fn finish<C, O: Outcome<C>>(&mut self, outcome: O, plan: &MethodPlan) -> Result<(), Error> {
        let results = self.begin(&plan.method.results);
        outcome.into_results(results, plan, self.encoder)
    }

    /// The error for a method that the trait has not.
    pub fn not_implemented(&self) -> Error {
        rpc::not_implemented(self.plan.interface, self.plan.method.name)
    }

    pub(crate) fn begin(&mut self, results: &schema::Struct) -> StructAt {
        self.encoder
            .builder
            .init_struct(self.results, results.data_words, results.pointers)
    }

    /// Writes the one result, a capability of the runtime's own.
    pub(crate) fn give(&mut self, plan: &MethodPlan, cap: Cap) -> Result<(), Error> {
        let at = self.begin(&plan.method.results);
        self.encoder.put_cap(at.pointer(0), cap);
        Ok(())
    }

    /// Serves `construct`: keeps the peer's thread map, gives ours.
    fn exchange_thread_maps(
        &mut self,
        param: Option<&schema::Field>,
        result: &schema::Field,
        results: &schema::Struct,
    ) -> Result<(), Error> {
        let conn = self
            .decoder
            .conn
            .ok_or_else(|| Error::Local("no connection to give threads to".to_owned()))?;
        if let Some(param) = param {
            let slot = Slot::field(
                &self.params,
                &FieldPlan {
                    field: *param,
                    has: None,
                },
                &self.decoder,
            );
            match slot.capability()? {
                Cap::Null => {}
                cap => conn.set_peer_threads(cap),
            }
        }
        let map = conn.thread_map();
        let at = self.begin(results);
        self.encoder.put_cap(at.pointer(result.offset), map);
        Ok(())
    }
}

/// The reply to a call.
#[doc(hidden)]
#[derive(Debug)]
pub struct Reply {
    message: Arc<Message>,
    caps: Vec<Cap>,
    conn: Option<Arc<Conn>>,
    /// Whether the message is a whole `Return` of the RPC protocol, and not the results alone.
    framed: bool,
}

impl Reply {
    pub(crate) fn framed(message: Arc<Message>, caps: Vec<Cap>, conn: Arc<Conn>) -> Self {
        Self {
            message,
            caps,
            conn: Some(conn),
            framed: true,
        }
    }

    pub(crate) fn bare(message: Message, caps: Vec<Cap>, conn: Option<Arc<Conn>>) -> Self {
        Self {
            message: Arc::new(message),
            caps,
            conn,
            framed: false,
        }
    }

    /// The struct of the results.
    pub fn results(&self) -> Result<StructReader<'_>, Error> {
        Ok(self.content()?.structure()?)
    }

    pub(crate) fn content(&self) -> Result<crate::wire::PointerReader<'_>, Error> {
        let root = self.message.root();
        Ok(if self.framed {
            rpc::results_of(root)?
        } else {
            root
        })
    }

    /// What reading the results needs.
    pub fn decoder(&self) -> Decoder<'_> {
        Decoder {
            caps: &self.caps,
            conn: self.conn.as_ref(),
        }
    }

    /// Another reference to the same reply.
    pub(crate) fn share(&self) -> Self {
        Self {
            message: self.message.clone(),
            caps: self.caps.clone(),
            conn: self.conn.clone(),
            framed: self.framed,
        }
    }

    pub(crate) fn into_caps(self) -> Vec<Cap> {
        self.caps
    }

    pub(crate) fn caps(&self) -> &[Cap] {
        &self.caps
    }
}

const NOTHING: schema::Struct = schema::Struct {
    id: 0,
    name: "",
    wrap: "",
    data_words: 0,
    pointers: 0,
    fields: &[],
};

/// The plan of no method.
pub(crate) const NO_PLAN: MethodPlan = MethodPlan {
    interface: "",
    method: schema::Method {
        interface: 0,
        ordinal: 0,
        name: "",
        rust_name: "",
        params: NOTHING,
        results: NOTHING,
    },
    context: None,
    result: None,
    exception: None,
};

/// The plans of all methods of an interface.
#[doc(hidden)]
#[must_use]
pub const fn plans<const N: usize>(interface: &schema::Interface) -> [MethodPlan; N] {
    assert!(N == interface.methods.len());
    let mut plans = [NO_PLAN; N];
    let mut at = 0;
    while at < N {
        plans[at] = crate::plan::plan_of(interface, &interface.methods[at]);
        at += 1;
    }
    plans
}

/// The plan with this ordinal. Plans are sorted; most interfaces leave no ordinal out.
#[doc(hidden)]
#[must_use]
pub fn plan_at(plans: &'static [MethodPlan], ordinal: u16) -> Option<&'static MethodPlan> {
    let direct = plans
        .get(usize::from(ordinal))
        .filter(|plan| plan.method.ordinal == ordinal);
    direct.or_else(|| plans.iter().find(|plan| plan.method.ordinal == ordinal))
}

/// A result of a method that has several.
#[doc(hidden)]
pub fn result_named(plan: &MethodPlan, name: &'static str) -> Result<FieldPlan, Error> {
    crate::plan::find_plan(&plan.method.results, name).ok_or_else(|| {
        Error::Local(format!(
            "schema of {}.{} has no result `{name}`",
            plan.interface, plan.method.name
        ))
    })
}

/// The error of a struct of results that stands where a value is wanted.
#[doc(hidden)]
#[must_use]
pub fn only_results(name: &'static str) -> Error {
    Error::decode(
        name,
        DecodeError::Invalid("can only be the results of a method".to_owned()),
    )
}

/// Checks that a struct of the schema has no field that the Rust struct has not.
#[doc(hidden)]
pub const fn check_fields(fields: &[schema::Field], names: &[&str], message: &'static str) {
    let mut at = 0;
    while at < fields.len() {
        crate::plan::check_field(&fields[at], names, message);
        at += 1;
    }
}
