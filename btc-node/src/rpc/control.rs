//! The methods about the server itself: help, stop, uptime, logging, echo, and the clocks of tests.

use super::registry::{LocalHandler, Registration, Registry, RequestContext, RpcResult};
use btc_interfaces::rpc::table::{Arg, Kind, Method, Shape};
use btc_interfaces::rpc::{RpcError, code, value};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What these methods need of the node.
pub trait ControlHooks: Send + Sync {
    /// The program's name, as `stop` answers with it.
    fn client_name(&self) -> String;
    /// Asks the node to stop; returns at once.
    fn request_shutdown(&self);
    /// The path of the debug log.
    fn log_path(&self) -> String;
    /// Whether this chain's clock may be set.
    fn is_mockable_chain(&self) -> bool;
    /// Sets the clock of all parts to so many seconds since 1970; 0 lets it run again.
    fn set_mock_time(&self, time: i64) -> Result<(), RpcError>;
    /// Moves the schedulers of all parts forward by so many seconds.
    fn mock_scheduler(&self, seconds: i64) -> Result<(), RpcError>;
    /// Every log category, sorted, and whether it is logged.
    fn log_categories(&self) -> Vec<(String, bool)>;
    /// Starts or ends logging of a category (`all` and `1` name all); `false` if there is none of this name.
    fn set_log_category(&self, category: &str, enabled: bool) -> bool;
}

const HELP: Method = Method {
    name: "help",
    category: "control",
    summary: "Lists the commands, or says how one is used.",
    args: &[Arg::hint(
        "command",
        Kind::String,
        "all commands",
        "The command to say more about",
    )],
    results: &[
        Shape::string("", "The text"),
        Shape::any("", "How command lines pass arguments").hidden(),
    ],
    examples: &["", "getblockchaininfo"],
};

const GET_OPEN_RPC_INFO: Method = Method {
    name: "getopenrpcinfo",
    category: "control",
    summary: "Describes all methods, what they take and what they give, as an OpenRPC document.",
    args: &[Arg::default(
        "show_hidden",
        Kind::Bool,
        "false",
        "Describe hidden methods and arguments too",
    )],
    results: super::results::control::OPEN_RPC,
    examples: &[""],
};

const RPC_DISCOVER: Method = Method {
    name: "rpc.discover",
    category: "control",
    summary: "Describes this service by its OpenRPC document.",
    args: &[],
    results: super::results::control::OPEN_RPC,
    examples: &[""],
};

const STOP: Method = Method {
    name: "stop",
    category: "control",
    summary: "Shuts the node down in good order.",
    args: &[Arg::optional(
        "wait",
        Kind::Number,
        "Milliseconds to wait before the reply",
    )
    .hidden()],
    results: &[Shape::string("", "That it is stopping")],
    examples: &[""],
};

const UPTIME: Method = Method {
    name: "uptime",
    category: "control",
    summary: "How long the server has been running.",
    args: &[],
    results: &[Shape::number("", "Seconds since its start")],
    examples: &[""],
};

const GET_RPC_INFO: Method = Method {
    name: "getrpcinfo",
    category: "control",
    summary: "What the RPC server is doing.",
    args: &[],
    results: &[Shape::object(
        "",
        "",
        &[
            Shape::array(
                "active_commands",
                "Calls that are running",
                &[Shape::object(
                    "",
                    "",
                    &[
                        Shape::string("method", "The command"),
                        Shape::number("duration", "How long it has been running, in microseconds"),
                    ],
                )],
            ),
            Shape::string("logpath", "The path of the debug log"),
        ],
    )],
    examples: &[""],
};

const LOGGING: Method = Method {
    name: "logging",
    category: "control",
    summary: "Shows and sets which categories are logged in detail. Without arguments it only shows them. What is both \
              included and excluded is excluded. \"all\" and \"1\" name every category.",
    args: &[
        Arg::optional("include", Kind::Array, "Categories to log").with(&[Arg::optional(
            "include_category",
            Kind::String,
            "A category",
        )]),
        Arg::optional("exclude", Kind::Array, "Categories to log no more").with(&[Arg::optional(
            "exclude_category",
            Kind::String,
            "A category",
        )]),
    ],
    results: &[Shape::map(
        "",
        "",
        &[Shape::bool("category", "Whether it is logged")],
    )],
    examples: &["", r#"'["all"]' '["http"]'"#],
};

const GET_MEMORY_INFO: Method = Method {
    name: "getmemoryinfo",
    category: "control",
    summary: "How much memory is locked for secrets. This node locks none, so all values are 0.",
    args: &[Arg::default(
        "mode",
        Kind::String,
        "\"stats\"",
        "stats for numbers; mallocinfo, a report of the C library's allocator, is not available",
    )],
    results: &[
        Shape::object(
            "",
            "",
            &[Shape::object(
                "locked",
                "The manager of locked memory",
                &[
                    Shape::number("used", "Bytes in use"),
                    Shape::number("free", "Bytes at hand"),
                    Shape::number("total", "Bytes managed"),
                    Shape::number("locked", "Bytes locked"),
                    Shape::number("chunks_used", "Pieces in use"),
                    Shape::number("chunks_free", "Pieces at hand"),
                ],
            )],
        )
        .when("mode stats"),
        Shape::string("", "").when("mode mallocinfo"),
    ],
    examples: &[""],
};

const SET_MOCK_TIME: Method = Method {
    name: "setmocktime",
    category: "hidden",
    summary: "Sets the clock (regtest only).",
    args: &[Arg::required(
        "timestamp",
        Kind::Number,
        "Seconds since 1970; 0 for the system's clock",
    )],
    results: &[Shape::null()],
    examples: &[],
};

const MOCK_SCHEDULER: Method = Method {
    name: "mockscheduler",
    category: "hidden",
    summary: "Moves scheduled work nearer (regtest only).",
    args: &[Arg::required(
        "delta_time",
        Kind::Number,
        "Seconds to move the scheduler forward, 1 to 3600",
    )],
    results: &[Shape::null()],
    examples: &[],
};

const ECHO_ARGS: &[Arg] = &[
    Arg::optional("arg0", Kind::String, "").unchecked(),
    Arg::optional("arg1", Kind::String, "").unchecked(),
    Arg::optional("arg2", Kind::String, "").unchecked(),
    Arg::optional("arg3", Kind::String, "").unchecked(),
    Arg::optional("arg4", Kind::String, "").unchecked(),
    Arg::optional("arg5", Kind::String, "").unchecked(),
    Arg::optional("arg6", Kind::String, "").unchecked(),
    Arg::optional("arg7", Kind::String, "").unchecked(),
    Arg::optional("arg8", Kind::String, "").unchecked(),
    Arg::optional("arg9", Kind::String, "").unchecked(),
];

const ECHO: Method = Method {
    name: "echo",
    category: "hidden",
    summary: "Gives its arguments back, for tests. The command line passes them as strings.",
    args: ECHO_ARGS,
    results: &[Shape::any("", "The arguments")],
    examples: &[],
};

const ECHO_JSON: Method = Method {
    name: "echojson",
    category: "hidden",
    summary: "Gives its arguments back, for tests. The command line passes them as JSON.",
    args: ECHO_ARGS,
    results: &[Shape::any("", "The arguments")],
    examples: &[],
};

/// The tables of this category.
pub fn methods() -> &'static [Method] {
    &[
        HELP,
        GET_OPEN_RPC_INFO,
        RPC_DISCOVER,
        STOP,
        UPTIME,
        GET_RPC_INFO,
        LOGGING,
        GET_MEMORY_INFO,
        SET_MOCK_TIME,
        MOCK_SCHEDULER,
        ECHO,
        ECHO_JSON,
    ]
}

/// Registers this category; `started` is when the node did.
pub fn register(
    registry: &Registry,
    hooks: &Arc<dyn ControlHooks>,
    started: Instant,
) -> Vec<Registration> {
    // The registry's handlers must not keep the registry alive.
    let weak = registry.downgrade();
    let hooked = |run: fn(&dyn ControlHooks, &RequestContext<'_>) -> RpcResult| -> LocalHandler {
        let hooks = Arc::clone(hooks);
        Arc::new(move |call| run(&*hooks, call))
    };
    let listing = weak.clone();
    let describing = weak.clone();
    let discovering = weak.clone();
    let hooks_for_info = Arc::clone(hooks);
    let (hooks_for_document, hooks_for_discovery) = (Arc::clone(hooks), Arc::clone(hooks));
    vec![
        registry.register(
            &HELP,
            Arc::new(move |call| {
                let command = call.arguments.opt_string(0)?;
                let registry = listing.upgrade().unwrap_or_default();
                if command == Some("dump_all_command_conversions") {
                    return Ok(Value::Array(registry.conversions()));
                }
                help(&registry.list(), command)
            }),
        ),
        registry.register(
            &GET_OPEN_RPC_INFO,
            Arc::new(move |call| {
                let registry = describing.upgrade().unwrap_or_default();
                Ok(open_rpc(
                    &*hooks_for_document,
                    &registry,
                    call.arguments.bool(0)?,
                ))
            }),
        ),
        registry.register(
            &RPC_DISCOVER,
            Arc::new(move |_| {
                let registry = discovering.upgrade().unwrap_or_default();
                Ok(open_rpc(&*hooks_for_discovery, &registry, false))
            }),
        ),
        registry.register(&STOP, hooked(stop)),
        registry.register(
            &UPTIME,
            Arc::new(move |_| Ok(json!(started.elapsed().as_secs()))),
        ),
        registry.register(
            &GET_RPC_INFO,
            Arc::new(move |_| {
                let active = weak.upgrade().map(|registry| registry.active());
                Ok(rpc_info(
                    &active.unwrap_or_default(),
                    &hooks_for_info.log_path(),
                ))
            }),
        ),
        registry.register(&LOGGING, hooked(logging)),
        registry.register(&GET_MEMORY_INFO, Arc::new(memory_info)),
        registry.register(&SET_MOCK_TIME, hooked(set_mock_time)),
        registry.register(&MOCK_SCHEDULER, hooked(mock_scheduler)),
        registry.register(&ECHO, Arc::new(echo)),
        registry.register(&ECHO_JSON, Arc::new(echo)),
    ]
}

fn help(listed: &[super::registry::Listed], command: Option<&str>) -> RpcResult {
    let command = command.unwrap_or_default();
    if !command.is_empty() {
        let found = listed.iter().find(|method| method.name == command);
        return Ok(match found {
            Some(method) => Value::from(method.help.as_str()),
            None => Value::from(format!("help: unknown command: {command}")),
        });
    }
    let mut text = String::new();
    let mut category = "";
    for method in listed.iter().filter(|method| method.category != "hidden") {
        if method.category != category {
            let gap = if category.is_empty() { "" } else { "\n" };
            category = &method.category;
            let _ = writeln!(text, "{gap}== {} ==", capitalize(category));
        }
        let _ = writeln!(text, "{}", method.help.lines().next().unwrap_or_default());
    }
    Ok(Value::from(text.trim_end()))
}

/// The OpenRPC document of all methods.
fn open_rpc(hooks: &dyn ControlHooks, registry: &Registry, show_hidden: bool) -> Value {
    let name = hooks.client_name();
    json!({
        "openrpc": "1.4.1",
        "info": {
            "title": format!("{name} JSON-RPC"),
            "version": concat!("v", env!("CARGO_PKG_VERSION")),
            "description": format!("Made from the tables of {name}'s methods."),
        },
        "methods": registry.describe(show_hidden),
    })
}

fn capitalize(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(letters).collect()
}

fn stop(hooks: &dyn ControlHooks, call: &RequestContext<'_>) -> RpcResult {
    let wait = match call.arguments.opt(0) {
        Some(wait) => value::int::<i32>(wait)?,
        None => 0,
    };
    // Calls that run are still answered, this one among them.
    hooks.request_shutdown();
    std::thread::sleep(Duration::from_millis(u64::try_from(wait).unwrap_or(0)));
    Ok(Value::from(format!("{} stopping", hooks.client_name())))
}

fn rpc_info(active: &[(String, Duration)], log_path: &str) -> Value {
    let active: Vec<Value> = active
        .iter()
        .map(|(method, duration)| {
            let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
            json!({"method": method, "duration": micros})
        })
        .collect();
    json!({"active_commands": active, "logpath": log_path})
}

fn logging(hooks: &dyn ControlHooks, call: &RequestContext<'_>) -> RpcResult {
    for (index, enabled) in [(0, true), (1, false)] {
        let Some(categories) = call.arguments.opt(index) else {
            continue;
        };
        for category in value::array(categories)? {
            let category = value::string(category)?;
            if !hooks.set_log_category(category, enabled) {
                return Err(RpcError::new(
                    code::INVALID_PARAMETER,
                    format!("unknown logging category {category}"),
                ));
            }
        }
    }
    let categories = hooks.log_categories().into_iter();
    Ok(Value::Object(
        categories
            .map(|(name, on)| (name, Value::Bool(on)))
            .collect(),
    ))
}

fn memory_info(call: &RequestContext<'_>) -> RpcResult {
    let invalid = |text: String| Err(RpcError::new(code::INVALID_PARAMETER, text));
    match call.arguments.string(0)? {
        "stats" => Ok(json!({"locked": {
            "used": 0, "free": 0, "total": 0, "locked": 0, "chunks_used": 0, "chunks_free": 0,
        }})),
        "mallocinfo" => invalid("mallocinfo mode not available".to_owned()),
        other => invalid(format!("unknown mode {other}")),
    }
}

fn set_mock_time(hooks: &dyn ControlHooks, call: &RequestContext<'_>) -> RpcResult {
    if !hooks.is_mockable_chain() {
        return Err(RpcError::new(
            code::MISC_ERROR,
            "setmocktime is for regression testing (-regtest mode) only",
        ));
    }
    let time = call.arguments.int::<i64>(0)?;
    // Block times have 32 bits, so that a later time could mean nothing to the rules.
    let latest = i64::from(u32::MAX);
    if !(0..=latest).contains(&time) {
        return Err(RpcError::new(
            code::INVALID_PARAMETER,
            format!("Mocktime must be in the range [0, {latest}], not {time}."),
        ));
    }
    hooks.set_mock_time(time)?;
    Ok(Value::Null)
}

fn mock_scheduler(hooks: &dyn ControlHooks, call: &RequestContext<'_>) -> RpcResult {
    let refuse = |text: &str| Err(RpcError::new(code::MISC_ERROR, text));
    if !hooks.is_mockable_chain() {
        return refuse("mockscheduler is for regression testing (-regtest mode) only");
    }
    let seconds = call.arguments.int::<i64>(0)?;
    if !(1..=3600).contains(&seconds) {
        return refuse("delta_time must be between 1 and 3600 seconds (1 hr)");
    }
    hooks.mock_scheduler(seconds)?;
    Ok(Value::Null)
}

fn echo(call: &RequestContext<'_>) -> RpcResult {
    Ok(Value::Array(call.arguments.given().to_vec()))
}
