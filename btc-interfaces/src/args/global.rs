//! The options as another process gets them.

use super::{Args, Program, table};
use crate::GlobalArgs;
use bitcoin::Network;
use serde_json::Value;

impl Args {
    /// The configuration for a process that this one starts. Options that hold credentials are left out, as are those
    /// that only choose what [`GlobalArgs`] says otherwise.
    pub fn to_global(&self) -> GlobalArgs {
        const SAID_OTHERWISE: [&str; 9] = [
            "chain",
            "regtest",
            "signet",
            "testnet",
            "testnet4",
            "datadir",
            "conf",
            "includeconf",
            "mocktime",
        ];
        let mut options = Vec::new();
        for name in self.settings.names(self.section_name()) {
            let secret = table::find(self.program, &name).is_none_or(|spec| spec.secret);
            if secret || SAID_OTHERWISE.contains(&name.as_str()) {
                continue;
            }
            // The first value is the one in force where one counts.
            let Some(first) = self.value(&name) else {
                continue;
            };
            let mut values = self.values(&name);
            if let Some(index) = values.iter().position(|value| *value == first) {
                values.remove(index);
            }
            options.push(format!("{name}={first}"));
            options.extend(values.into_iter().map(|value| format!("{name}={value}")));
        }
        GlobalArgs {
            chain: self.chain_name().to_owned(),
            net_data_dir: self.net_data_dir().display().to_string(),
            options,
            mock_time: self.int("mocktime").unwrap_or(0),
        }
    }

    /// The configuration that another process gave. Options that this program does not know are passed over.
    pub fn from_global(program: Program, global: &GlobalArgs) -> Self {
        let mut args = Self::new(program);
        let network = Network::from_core_arg(&global.chain).unwrap_or(Network::Bitcoin);
        args.section = Some(network);
        args.force("chain", network.to_core_arg());
        for option in &global.options {
            let (name, value) = option.split_once('=').unwrap_or((option, ""));
            if table::find_in_any(name).is_some() {
                // In a configuration's section the first value wins, as in the list.
                let section = args.settings.config.entry(network.to_core_arg().to_owned());
                let values = section.or_default().entry(name.to_owned());
                values.or_default().push(Value::from(value));
            }
        }
        args
    }

    /// The options that are set, without credentials, for `Debug`.
    pub(super) fn shown_options(&self) -> Vec<String> {
        let names = self.settings.names(self.section_name()).into_iter();
        names
            .map(|name| match table::find(self.program, &name) {
                Some(spec) if !spec.secret => {
                    format!("{name}={}", self.value(&name).unwrap_or_default())
                }
                _ => format!("{name}=****"),
            })
            .collect()
    }

    /// The options of the command line and of the configuration files as the log shows them: where each comes from, its
    /// name and its value, credentials left out.
    pub fn log_lines(&self) -> Vec<String> {
        let shown = |name: &str, value: &Value| match table::find(self.program, name) {
            Some(spec) if spec.secret => "****".to_owned(),
            _ => value.to_string(),
        };
        let mut lines = Vec::new();
        for (section, options) in &self.settings.config {
            let prefix = match section.as_str() {
                "" => String::new(),
                section => format!("[{section}] "),
            };
            for (name, values) in options {
                for value in values {
                    lines.push(format!(
                        "Config file arg: {prefix}{name}={}",
                        shown(name, value)
                    ));
                }
            }
        }
        for (name, value) in &self.settings.rw {
            lines.push(format!("Setting file arg: {name} = {}", shown(name, value)));
        }
        for (name, values) in &self.settings.command_line {
            for value in values {
                lines.push(format!("Command-line arg: {name}={}", shown(name, value)));
            }
        }
        lines
    }
}
