//! One option as it is written: its key, and what its value means.

use super::{OptionError, OptionSpec};
use serde_json::Value;

/// `name`, `noname`, `section.name` or `section.noname`, taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Key<'a> {
    pub(super) section: &'a str,
    pub(super) name: &'a str,
    pub(super) negated: bool,
}

impl<'a> Key<'a> {
    pub(super) fn parse(text: &'a str) -> Self {
        let (section, name) = text.split_once('.').unwrap_or(("", text));
        let (name, negated) = match name.strip_prefix("no") {
            Some(name) => (name, true),
            None => (name, false),
        };
        Self {
            section,
            name,
            negated,
        }
    }

    /// What the option is set to: false if it is negated, else its text. A warning may come with it.
    pub(super) fn interpret(
        &self,
        value: Option<&str>,
        spec: &OptionSpec,
    ) -> Result<(Value, Option<String>), OptionError> {
        let name = self.name;
        if self.negated {
            if !spec.negatable {
                return Err(OptionError::Negation(name.to_owned()));
            }
            return Ok(match value {
                Some(value) if !is_true(value) => {
                    let shown = if spec.secret { "****" } else { value };
                    let warning =
                        format!("Parsed potentially confusing double-negative -{name}={shown}");
                    (Value::Bool(true), Some(warning))
                }
                _ => (Value::Bool(false), None),
            });
        }
        if value.is_none() && spec.needs_value {
            return Err(OptionError::NoValue(name.to_owned()));
        }
        Ok((Value::from(value.unwrap_or_default()), None))
    }
}

/// The number that a text begins with after white space, 0 if it begins with none, bounded by what an `i64` holds.
pub(super) fn leading_number(text: &str) -> i64 {
    let text = text.trim_start_matches([' ', '\t', '\n', '\r', '\x0b', '\x0c']);
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let magnitude = digits
        .bytes()
        .take_while(u8::is_ascii_digit)
        .fold(0_i64, |number, digit| {
            number
                .saturating_mul(10)
                .saturating_add(i64::from(digit - b'0'))
        });
    match (negative, magnitude) {
        (true, i64::MAX) => i64::MIN,
        (true, magnitude) => -magnitude,
        (false, magnitude) => magnitude,
    }
}

/// What a text means as a switch: nothing is true, a number is true unless 0, and anything else is 0.
pub(super) fn is_true(text: &str) -> bool {
    text.is_empty() || leading_number(text) != 0
}

pub(super) fn truth(value: &Value) -> bool {
    match value {
        Value::Bool(value) => *value,
        other => is_true(&text(other)),
    }
}

pub(super) fn number(value: &Value) -> i64 {
    match value {
        Value::Bool(value) => i64::from(*value),
        other => leading_number(&text(other)),
    }
}

pub(super) fn text(value: &Value) -> String {
    match value {
        Value::Bool(false) => "0".to_owned(),
        Value::Bool(true) => "1".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
