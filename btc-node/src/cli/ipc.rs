//! Requests over a node's IPC socket instead of HTTP.

use super::CliError;
use btc_interfaces::args::Args;
use serde_json::Value;

/// Where `-ipcconnect` sends requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Route {
    /// Over HTTP.
    Http,
    /// To the socket in the data directory, if somebody listens there; else over HTTP.
    Auto,
    /// To this socket.
    Socket(String),
}

impl Route {
    /// As `-ipcconnect` and `-rpcconnect` say: whoever names a server for HTTP wants that.
    pub(super) fn choose(args: &Args) -> Result<Self, CliError> {
        let http = args.is_set("rpcconnect") && !args.is_negated("rpcconnect");
        let route = match args.value("ipcconnect").as_deref() {
            _ if args.is_negated("ipcconnect") => Self::Http,
            Some("" | "0") => Self::Http,
            None | Some("auto") if http => Self::Http,
            None | Some("auto") => Self::Auto,
            Some(address) => Self::Socket(address.to_owned()),
        };
        if http && matches!(route, Self::Socket(_)) {
            let text = "-rpcconnect and -ipcconnect options cannot both be enabled";
            return Err(CliError::Usage(text.to_owned()));
        }
        Ok(route)
    }
}

/// Sends the request by the route and gives the reply; `None` if it is to go over HTTP.
#[cfg(feature = "ipc")]
pub(super) fn execute(
    route: &Route,
    args: &Args,
    body: &Value,
    path: &str,
) -> Result<Option<Value>, CliError> {
    use crate::node::listen::socket_path;
    use btc_interfaces::Init;
    use mp_core::{Connection, Options, PeerCheck};
    use std::io::ErrorKind;
    use std::os::unix::net::UnixStream;

    let address = match route {
        Route::Http => return Ok(None),
        Route::Auto => "unix",
        Route::Socket(address) => address,
    };
    let auto = *route == Route::Auto;
    let socket = match socket_path(address, &args.net_data_dir(), "node") {
        Ok(socket) => socket,
        // A data directory of that depth cannot hold a socket.
        Err(_) if auto => return Ok(None),
        Err(error) => return Err(no_node(args, &error.to_string())),
    };
    let stream = match UnixStream::connect(socket) {
        Ok(stream) => stream,
        Err(error) => {
            let nobody = matches!(
                error.kind(),
                ErrorKind::ConnectionRefused | ErrorKind::NotFound | ErrorKind::NotADirectory
            );
            return if auto && nobody {
                Ok(None)
            } else {
                Err(no_node(args, &system_text(&error)))
            };
        }
    };
    let failed = |error: &dyn std::fmt::Display| CliError::Server(error.to_string());
    let options = Options::new().peer(PeerCheck::SameUser);
    let (_connection, init) =
        Connection::connect::<dyn Init>(stream, options).map_err(|error| failed(&error))?;
    let user = args.value("rpcuser").unwrap_or_default();
    let reply = init
        .make_rpc()
        .and_then(|rpc| rpc.execute_rpc(body.to_string(), path.to_owned(), user))
        .map_err(|error| failed(&error))?;
    Ok(Some(reply))
}

/// A program without IPC has no socket to call.
#[cfg(not(feature = "ipc"))]
pub(super) fn execute(
    route: &Route,
    _args: &Args,
    _body: &Value,
    _path: &str,
) -> Result<Option<Value>, CliError> {
    match route {
        Route::Http | Route::Auto => Ok(None),
        Route::Socket(_) => Err(CliError::Usage(
            "bitcoin-cli was not built with IPC support".to_owned(),
        )),
    }
}

#[cfg(feature = "ipc")]
fn no_node(args: &Args, reason: &str) -> CliError {
    CliError::Connection(format!(
        "{reason}\n\n\
         Probably bitcoin-node is not running or not listening on a unix socket. Can be started with:\n\n    \
         bitcoin-node -chain={} -ipcbind=unix",
        args.chain_name()
    ))
}

/// What the system says, without the number that Rust adds.
#[cfg(feature = "ipc")]
fn system_text(error: &std::io::Error) -> String {
    let text = error.to_string();
    match text.find(" (os error") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use btc_interfaces::args::Program;

    fn route(options: &[&str]) -> Result<Route, String> {
        let mut args = Args::new(Program::Cli);
        args.parse(options.iter().copied()).expect("known options");
        Route::choose(&args).map_err(|error| error.to_string())
    }

    #[test]
    fn a_named_server_is_called_over_http() {
        assert_eq!(route(&[]), Ok(Route::Auto));
        assert_eq!(route(&["-ipcconnect=auto"]), Ok(Route::Auto));
        assert_eq!(route(&["-noipcconnect"]), Ok(Route::Http));
        assert_eq!(route(&["-ipcconnect=0"]), Ok(Route::Http));
        assert_eq!(route(&["-rpcconnect=127.0.0.1"]), Ok(Route::Http));
        assert_eq!(route(&["-norpcconnect"]), Ok(Route::Auto));
        let socket = Route::Socket("unix:a".to_owned());
        assert_eq!(route(&["-ipcconnect=unix:a"]), Ok(socket));
        let both = route(&["-ipcconnect=unix", "-rpcconnect=::1"]);
        assert_eq!(
            both,
            Err("-rpcconnect and -ipcconnect options cannot both be enabled".to_owned())
        );
    }
}
