//! The sources of options, and which of their values is in force.
//!
//! Precedence: forced, command line, `settings.json`, the network's section of the configuration file, the rest of that
//! file. Within a source the last value wins, but in configuration files the first. Source: Core's
//! `common/settings.cpp`, whose odd corners are kept, since configurations rely on them.

use serde_json::{Map, Value};
use std::collections::BTreeMap;

type ByName = BTreeMap<String, Vec<Value>>;

/// Every value of every option, by source. False stands for a negated option.
#[derive(Clone, Default)]
pub(super) struct Settings {
    pub(super) forced: BTreeMap<String, Value>,
    pub(super) command_line: ByName,
    pub(super) rw: Map<String, Value>,
    /// By section; the part before the first section is under the empty name.
    pub(super) config: BTreeMap<String, ByName>,
}

/// Which value is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reading {
    /// The value in force.
    Value {
        /// Values outside of the network's section don't count.
        network_only: bool,
    },
    /// The choice of a network: the last value in a file wins, too, and negations on the command line are passed over.
    Network,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Source {
    Forced,
    CommandLine,
    Rw,
    ConfigSection,
    ConfigDefault,
}

impl Source {
    const fn is_config(self) -> bool {
        matches!(self, Self::ConfigSection | Self::ConfigDefault)
    }
}

/// The values of one option in one source.
#[derive(Clone, Copy)]
struct Span<'a>(&'a [Value]);

impl<'a> Span<'a> {
    /// How many values count no more because a negation follows them, the negation included.
    fn negated(self) -> usize {
        let last = self
            .0
            .iter()
            .rposition(|value| *value == Value::Bool(false));
        last.map_or(0, |last| last + 1)
    }

    fn is_last_negated(self) -> bool {
        self.0.last() == Some(&Value::Bool(false))
    }

    /// The values after the last negation.
    fn in_force(self) -> &'a [Value] {
        &self.0[self.negated()..]
    }
}

impl Settings {
    /// The sources that name the option, in order of precedence.
    fn sources(&self, section: &str, name: &str) -> Vec<(Source, Span<'_>)> {
        let config = |section: &str| self.config.get(section)?.get(name).map(Vec::as_slice);
        let found = [
            (
                Source::Forced,
                self.forced.get(name).map(std::slice::from_ref),
            ),
            (
                Source::CommandLine,
                self.command_line.get(name).map(Vec::as_slice),
            ),
            // A list there is one value: nothing in it negates the option.
            (Source::Rw, self.rw.get(name).map(std::slice::from_ref)),
            (
                Source::ConfigSection,
                Some(section)
                    .filter(|section| !section.is_empty())
                    .and_then(config),
            ),
            (Source::ConfigDefault, config("")),
        ];
        let found = found.into_iter();
        found
            .filter_map(|(source, values)| Some((source, Span(values?))))
            .collect()
    }

    /// The one value that counts.
    pub(super) fn one(&self, section: &str, name: &str, reading: Reading) -> Option<Value> {
        let for_network = reading == Reading::Network;
        let network_only = reading == Reading::Value { network_only: true };
        for (source, span) in self.sources(section, name) {
            let negated = span.is_last_negated();
            // A negation outside of the network's section counts even where a value there would not.
            if network_only && source == Source::ConfigDefault && !negated {
                continue;
            }
            if for_network && negated {
                continue;
            }
            let values = span.in_force();
            let value = if source.is_config() && !for_network {
                values.first()
            } else {
                values.last()
            };
            match value {
                Some(value) => return Some(value.clone()),
                None if negated => return Some(Value::Bool(false)),
                None => {}
            }
        }
        None
    }

    /// All values that count.
    pub(super) fn all(&self, section: &str, name: &str, network_only: bool) -> Vec<Value> {
        let mut result = Vec::new();
        let mut done = false;
        let mut negated_to_nothing = false;
        for (source, span) in self.sources(section, name) {
            if network_only && source == Source::ConfigDefault {
                continue;
            }
            // Values of configuration files come back even after a negation on the command line, if a value follows it
            // there.
            if !done || (source.is_config() && !negated_to_nothing) {
                for value in span.in_force() {
                    match value {
                        Value::Array(values) => result.extend(values.iter().cloned()),
                        value => result.push(value.clone()),
                    }
                }
            }
            done |= span.negated() > 0 || source == Source::Forced;
            negated_to_nothing |= span.is_last_negated() && result.is_empty();
        }
        result
    }

    /// Whether the option has a value outside of the network's section and nowhere else.
    pub(super) fn only_in_default_section(&self, section: &str, name: &str) -> bool {
        let sources = self.sources(section, name);
        let mut sources = sources
            .iter()
            .filter(|(_, span)| !span.in_force().is_empty())
            .peekable();
        sources.peek().is_some() && sources.all(|(source, _)| *source == Source::ConfigDefault)
    }

    /// What the command line says of an option after its last negation.
    pub(super) fn one_source(&self, name: &str) -> &[Value] {
        let values = self.command_line.get(name);
        values.map_or(&[], |values| Span(values).in_force())
    }

    /// The names of all options that have a value for the network.
    pub(super) fn names(&self, section: &str) -> Vec<String> {
        let config = ["", section]
            .into_iter()
            .filter_map(|name| self.config.get(name));
        let mut names: Vec<String> = self
            .forced
            .keys()
            .chain(self.command_line.keys())
            .chain(self.rw.keys())
            .chain(config.flat_map(BTreeMap::keys))
            .cloned()
            .collect();
        names.sort();
        names.dedup();
        names
    }
}
