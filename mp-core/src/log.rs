//! Log lines, in the shapes that libmultiprocess gives them.
//!
//! Everything goes to the [`tracing`] target `ipc`. Requests and their ends are debug events, what they carry are
//! trace events; neither costs more than a test of a flag while nobody listens.

use tracing::{Level, enabled};

use crate::error::Error;
use crate::interface::Reply;
use crate::plan::MethodPlan;
use crate::wire::Message;

mod text;

/// The name of the threads that this crate makes, as debuggers show it and as peers' logs do.
pub(crate) const LOOP_THREAD: &str = "b-capnp-loop";

/// `exe-pid/name-tid`, which names a thread in the logs of both sides.
pub(crate) fn thread_name(exe_name: &str) -> String {
    let pid = std::process::id();
    let tid = rustix::thread::gettid().as_raw_nonzero();
    match std::thread::current().name() {
        // The system cuts names at 15 bytes.
        Some(name) => {
            let name: String = name.chars().take(15).collect();
            format!("{exe_name}-{pid}/{name}-{tid}")
        }
        None => format!("{exe_name}-{pid}/{tid}"),
    }
}

macro_rules! line {
    ($level:ident, $($text:tt)+) => {
        if enabled!(target: "ipc", Level::$level) {
            let text = format!($($text)+);
            tracing::event!(target: "ipc", Level::$level, "{{{}}} {text}", here());
        }
    };
}

/// What a client sends and receives; libmultiprocess does not name the thread here.
macro_rules! data {
    ($($text:tt)+) => {
        if enabled!(target: "ipc", Level::TRACE) {
            let text = format!($($text)+);
            tracing::event!(target: "ipc", Level::TRACE, "{text}");
        }
    };
}

fn here() -> String {
    crate::thread::name(exe_name())
}

/// The program's name, for threads that belong to no connection.
pub(crate) fn exe_name() -> &'static str {
    static NAME: std::sync::LazyLock<String> = std::sync::LazyLock::new(|| {
        let path = std::env::args_os()
            .next()
            .map(std::path::PathBuf::from)
            .unwrap_or_default();
        path.file_stem()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default()
    });
    &NAME
}

pub(crate) fn server_recv(request: u64, plan: &MethodPlan, message: &Message) {
    line!(
        DEBUG,
        "IPC server recv request  #{request} {}.{}",
        plan.interface,
        plan.method.params.name
    );
    line!(TRACE, "request data: {}", text::params(plan, message));
}

pub(crate) fn server_post(request: u64, thread: &str) {
    line!(DEBUG, "IPC server post request  #{request} {{{thread}}}");
}

pub(crate) fn server_executing(request: u64) {
    line!(DEBUG, "IPC server executing request #{request}");
}

pub(crate) fn server_send(request: u64, plan: &MethodPlan, results: impl FnOnce() -> String) {
    line!(
        DEBUG,
        "IPC server send response #{request} {}.{}",
        plan.interface,
        plan.method.results.name
    );
    line!(TRACE, "response data: {}", results());
}

pub(crate) fn server_refused(interface: u64, ordinal: u16) {
    line!(
        WARN,
        "IPC server refused request of method {ordinal} of interface {interface:#018x}"
    );
}

pub(crate) fn server_error(request: u64, plan: &MethodPlan, error: &str) {
    line!(
        ERROR,
        "IPC server error request #{request} {}.{} kj::Exception: {error}",
        plan.interface,
        plan.method.results.name
    );
}

pub(crate) fn server_canceled(request: u64) {
    line!(
        INFO,
        "IPC server request #{request} canceled before it could be executed"
    );
}

pub(crate) fn server_cut_off(request: u64) {
    line!(
        INFO,
        "IPC server request #{request} canceled while executing."
    );
}

pub(crate) fn server_interrupted(request: u64) {
    line!(INFO, "IPC server request #{request} interrupted (canceled)");
}

pub(crate) fn client_send(plan: &MethodPlan, params: impl FnOnce() -> String) {
    line!(
        DEBUG,
        "IPC client send {}.{}",
        plan.interface,
        plan.method.params.name
    );
    data!("send data: {}", params());
}

pub(crate) fn client_recv(plan: &MethodPlan, reply: &Reply) {
    line!(
        DEBUG,
        "IPC client recv {}.{}",
        plan.interface,
        plan.method.results.name
    );
    data!("recv data: {}", text::results(plan, reply));
}

pub(crate) fn client_failed(plan: &MethodPlan, error: &Error) {
    line!(
        DEBUG,
        "IPC client exception {}.{} {error}",
        plan.interface,
        plan.method.results.name
    );
}

pub(crate) fn destroy_failed(plan: &MethodPlan, error: &Error) {
    line!(
        ERROR,
        "IPC client {}.destroy failed: {error}",
        plan.interface
    );
}

pub(crate) fn connected() {
    line!(INFO, "IPC server: socket connected.");
}

pub(crate) fn disconnected(client: bool, expected: bool, why: Option<&Error>) {
    if let Some(error) = why {
        line!(WARN, "IPC connection ended: {error}");
    }
    if !client {
        line!(INFO, "IPC server: socket disconnected.");
    } else if !expected {
        line!(WARN, "IPC client: unexpected network disconnect.");
    }
}

pub(crate) use text::{building, of_results};
