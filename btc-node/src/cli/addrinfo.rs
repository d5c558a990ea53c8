//! `-addrinfo`: how many addresses the node knows of each network.

use super::{CliError, request};
use btc_interfaces::rpc::code;
use serde_json::{Map, Value, json};

/// The call that it takes.
pub(super) fn request_body(words: &[String]) -> Result<Value, CliError> {
    if words.is_empty() {
        return Ok(request("getaddrmaninfo", Value::Null, json!(1)));
    }
    Err(CliError::Usage("-addrinfo takes no arguments".to_owned()))
}

/// The counts in the reply, or its error.
pub(super) fn read(reply: &Value) -> Result<Result<Value, Value>, CliError> {
    let error = &reply["error"];
    if error["code"] == json!(code::METHOD_NOT_FOUND) {
        return Err(CliError::Server(
            "-addrinfo requires bitcoind v26.0 or later which supports getaddrmaninfo RPC. Please upgrade your node or use bitcoin-cli from the same version."
                .to_owned(),
        ));
    }
    if !error.is_null() {
        return Ok(Err(error.clone()));
    }
    let networks = reply["result"].as_object();
    let networks =
        networks.ok_or_else(|| CliError::Server("expected an object of networks".to_owned()))?;
    let counts: Map<String, Value> = networks
        .iter()
        .map(|(name, counts)| {
            let name = match name.as_str() {
                "all_networks" => "total",
                name => name,
            };
            (name.to_owned(), counts["total"].clone())
        })
        .collect();
    Ok(Ok(json!({ "addresses_known": counts })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_are_shown_by_network() {
        let reply = json!({"error": null, "result": {
            "ipv4": {"new": 1, "tried": 2, "total": 3},
            "all_networks": {"new": 1, "tried": 2, "total": 3},
        }});
        let shown = read(&reply).expect("a reply").expect("no error");
        assert_eq!(
            shown.to_string(),
            r#"{"addresses_known":{"ipv4":3,"total":3}}"#
        );
        let old = json!({"error": {"code": -32601, "message": "Method not found"}});
        assert!(read(&old).is_err());
        assert!(request_body(&["x".to_owned()]).is_err());
    }
}
