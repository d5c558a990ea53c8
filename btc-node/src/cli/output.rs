//! How answers are shown.

use btc_interfaces::rpc::code;
use serde_json::Value;
use std::fmt::Write as _;

/// A result: a string bare, nothing for null, anything else as JSON with two spaces for each level.
pub(super) fn result(result: &Value) -> String {
    match result {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => pretty(other),
    }
}

/// The `error` of a reply as text, and the exit code.
pub(super) fn error(error: &Value) -> (String, i32) {
    let code = error["code"].as_i64();
    let mut text = String::new();
    if error.is_object() {
        if let Some(code) = code {
            let _ = writeln!(text, "error code: {code}");
        }
        if let Some(message) = error["message"].as_str() {
            let _ = write!(text, "error message:\n{message}");
        }
        if code == Some(i64::from(code::WALLET_NOT_SPECIFIED)) {
            text.push_str(
                " Or for the CLI, specify the \"-rpcwallet=<walletname>\" option before the command (run \"bitcoin-cli -h\" for help or \"bitcoin-cli listwallets\" to see which wallets are currently loaded).",
            );
        }
    } else {
        let _ = write!(text, "error: {error}");
    }
    let exit = code.and_then(|code| i32::try_from(code.unsigned_abs()).ok());
    (text, exit.unwrap_or(1))
}

fn pretty(value: &Value) -> String {
    let mut out = String::new();
    push(value, 1, &mut out);
    out
}

/// As bitcoin-cli writes JSON: an empty array or object still takes two lines.
fn push(value: &Value, level: usize, out: &mut String) {
    let indent = |level: usize, out: &mut String| out.push_str(&" ".repeat(2 * level));
    match value {
        Value::Array(items) => {
            out.push_str("[\n");
            for (index, item) in items.iter().enumerate() {
                indent(level, out);
                push(item, level + 1, out);
                out.push_str(if index + 1 < items.len() { ",\n" } else { "\n" });
            }
            indent(level - 1, out);
            out.push(']');
        }
        Value::Object(fields) => {
            out.push_str("{\n");
            for (index, (name, field)) in fields.iter().enumerate() {
                indent(level, out);
                let _ = write!(out, "{}: ", Value::from(name.as_str()));
                push(field, level + 1, out);
                out.push_str(if index + 1 < fields.len() {
                    ",\n"
                } else {
                    "\n"
                });
            }
            indent(level - 1, out);
            out.push('}');
        }
        scalar => {
            let _ = write!(out, "{scalar}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn results() {
        assert_eq!(result(&json!(null)), "");
        assert_eq!(result(&json!("a\nb")), "a\nb");
        assert_eq!(result(&json!(true)), "true");
        assert_eq!(
            result(&json!({"a": [1, {"b": "ü\""}], "c": [], "d": {}})),
            "{\n  \"a\": [\n    1,\n    {\n      \"b\": \"ü\\\"\"\n    }\n  ],\n  \"c\": [\n  ],\n  \"d\": {\n  }\n}"
        );
        let amount: Value = serde_json::from_str("0.10000000").expect("a number");
        assert_eq!(result(&amount), "0.10000000");
    }

    #[test]
    fn errors() {
        let (text, exit) = error(&json!({"code": -8, "message": "Block height out of range"}));
        assert_eq!(
            (text.as_str(), exit),
            (
                "error code: -8\nerror message:\nBlock height out of range",
                8
            )
        );
        let (text, exit) = error(&json!({"code": -19, "message": "x"}));
        assert!(
            text.starts_with("error code: -19\nerror message:\nx Or for the CLI,") && exit == 19
        );
        assert_eq!(error(&json!("odd")), ("error: \"odd\"".to_owned(), 1));
    }
}
