//! `-getinfo`: what the node and its wallet are at, on one screen.

use super::batch::Replies;
use super::{CliError, request};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::io::IsTerminal as _;

/// The calls that it takes, as a batch.
pub(super) fn requests() -> Value {
    let methods = [
        "getnetworkinfo",
        "getblockchaininfo",
        "getwalletinfo",
        "getbalances",
    ];
    let requests = methods.iter().enumerate();
    requests
        .map(|(id, method)| request(method, Value::Null, json!(id)))
        .collect()
}

/// The results of those calls.
pub(super) struct Info {
    network: Value,
    chain: Value,
    wallet: Value,
    balances: Value,
}

/// The colours of a terminal, or none.
#[derive(Clone, Copy)]
pub(super) struct Colors(bool);

impl Colors {
    /// As `-color` says.
    pub(super) fn choose(option: Option<&str>) -> Result<Self, &'static str> {
        match option.unwrap_or("auto") {
            "auto" => Ok(Self(std::io::stdout().is_terminal())),
            "always" => Ok(Self(true)),
            "never" => Ok(Self(false)),
            _ => Err("Invalid value for -color option. Valid values: always, auto, never."),
        }
    }

    fn paint(self, color: u8, text: &str) -> String {
        if self.0 {
            format!("\x1b[{color}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}

const GREEN: u8 = 32;
const YELLOW: u8 = 33;
const BLUE: u8 = 34;
const MAGENTA: u8 = 35;
const CYAN: u8 = 36;

impl Info {
    /// The results in a batch of replies. Without network or chain there is nothing to show, and their error is it; a
    /// wallet may be missing.
    pub(super) fn read(batch: &Value) -> Result<Result<Self, Value>, CliError> {
        let replies = Replies::read(batch)?;
        if let Some(error) = replies.error(&[0, 1])? {
            return Ok(Err(error.clone()));
        }
        Ok(Ok(Self {
            network: replies.result(0)?.clone(),
            chain: replies.result(1)?.clone(),
            wallet: replies.result(2)?.clone(),
            balances: replies.result(3)?.clone(),
        }))
    }

    /// The screen. `others` are the balances of several wallets.
    pub(super) fn show(&self, others: &[(String, Value)], colors: Colors) -> String {
        let mut out = String::new();
        let (network, chain) = (&self.network, &self.chain);
        let heading = format!("Chain: {}", text(&chain["chain"]));
        let _ = writeln!(out, "{}", colors.paint(BLUE, &heading));
        let _ = writeln!(out, "Blocks: {}", text(&chain["blocks"]));
        let _ = writeln!(out, "Headers: {}", text(&chain["headers"]));
        let progress = chain["verificationprogress"].as_f64().unwrap_or(0.0);
        let bar = progress_bar(progress);
        let _ = writeln!(out, "Verification progress: {bar}{:.4}%", progress * 100.0);
        let _ = writeln!(out, "Difficulty: {}\n", text(&chain["difficulty"]));
        let heading = format!(
            "Network: in {}, out {}, total {}",
            text(&network["connections_in"]),
            text(&network["connections_out"]),
            text(&network["connections"])
        );
        let _ = writeln!(out, "{}", colors.paint(GREEN, &heading));
        let _ = writeln!(out, "Version: {}", text(&network["version"]));
        let _ = writeln!(out, "Time offset (s): {}", text(&network["timeoffset"]));
        let _ = writeln!(out, "Proxies: {}", proxies(&network["networks"]));
        let _ = writeln!(
            out,
            "Min tx relay fee rate (BTC/kvB): {}\n",
            text(&network["relayfee"])
        );
        if !self.wallet.is_null() {
            let heading = format!("Wallet: {}", wallet_name(&text(&self.wallet["walletname"])));
            let _ = writeln!(out, "{}", colors.paint(MAGENTA, &heading));
            let _ = writeln!(out, "Keypool size: {}", text(&self.wallet["keypoolsize"]));
            if !self.wallet["unlocked_until"].is_null() {
                let until = text(&self.wallet["unlocked_until"]);
                let _ = writeln!(out, "Unlocked until: {until}");
            }
        }
        let balance = &self.balances["mine"]["trusted"];
        if !balance.is_null() {
            let label = colors.paint(CYAN, "Balance:");
            let _ = writeln!(out, "{label} {}\n", text(balance));
        }
        if !others.is_empty() {
            let _ = writeln!(out, "{}", colors.paint(CYAN, "Balances"));
            let balances: Vec<String> = others.iter().map(|(_, balance)| text(balance)).collect();
            let width = balances.iter().map(String::len).max().unwrap_or(0).max(10);
            for ((name, _), balance) in others.iter().zip(balances) {
                let _ = writeln!(out, "{balance:>width$} {}", wallet_name(name));
            }
            out.push('\n');
        }
        let warnings = match &network["warnings"] {
            Value::Array(warnings) => warnings.iter().map(text).collect::<Vec<_>>().join("\n"),
            other => text(other),
        };
        let warnings = if warnings.is_empty() {
            "(none)"
        } else {
            &warnings
        };
        let _ = write!(out, "{} {warnings}", colors.paint(YELLOW, "Warnings:"));
        out
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn wallet_name(name: &str) -> &str {
    if name.is_empty() { "\"\"" } else { name }
}

/// A bar of twenty boxes while the node is catching up.
fn progress_bar(progress: f64) -> String {
    if !(0.0..0.99).contains(&progress) {
        return String::new();
    }
    // Between 0 and 20, as the check above makes sure.
    let full = (progress * 20.0).ceil() as usize;
    format!(
        "{}{} ",
        "\u{2592}".repeat(full),
        "\u{2591}".repeat(20 - full)
    )
}

/// Each proxy once, with the networks that it serves.
fn proxies(networks: &Value) -> String {
    let mut proxies: Vec<(String, Vec<String>)> = Vec::new();
    for network in networks.as_array().into_iter().flatten() {
        let proxy = text(&network["proxy"]);
        if proxy.is_empty() {
            continue;
        }
        let name = text(&network["name"]);
        match proxies.iter_mut().find(|(known, _)| *known == proxy) {
            Some((_, names)) => names.push(name),
            None => proxies.push((proxy, vec![name])),
        }
    }
    let shown: Vec<String> = proxies
        .iter()
        .map(|(proxy, names)| format!("{proxy} ({})", names.join(", ")))
        .collect();
    if shown.is_empty() {
        "n/a".to_owned()
    } else {
        shown.join(", ")
    }
}
