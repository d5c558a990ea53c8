//! What a request's path says, and how a reply is written.

use bitcoin::hex::DisplayHex;
use serde_json::Value;
use std::str::FromStr;

/// The reply may change with the next block, or never was good.
const NO_STORE: &str = "no-store";
/// The reply never changes. A day bounds how long one of an older program is shown.
const IMMUTABLE: &str = "public, immutable, max-age=86400";

/// A reply as HTTP sends it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// `Cache-Control`.
    pub cache: &'static str,
    /// `Content-Type`.
    pub content_type: &'static str,
    /// The body.
    pub body: Vec<u8>,
}

/// Why there is no answer: a status, and a text for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub(super) struct Failure {
    status: u16,
    text: String,
}

impl Failure {
    pub(super) fn new(status: u16, text: impl Into<String>) -> Self {
        Self {
            status,
            text: text.into(),
        }
    }

    pub(super) fn into_reply(self) -> Reply {
        Reply {
            status: self.status,
            cache: NO_STORE,
            content_type: "text/plain",
            body: (self.text + "\r\n").into_bytes(),
        }
    }
}

pub(super) fn bad_request(text: impl Into<String>) -> Failure {
    Failure::new(400, text)
}

pub(super) fn not_found(text: impl Into<String>) -> Failure {
    Failure::new(404, text)
}

pub(super) fn internal(text: impl Into<String>) -> Failure {
    Failure::new(500, text)
}

/// How the reply is to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Binary,
    Hex,
    Json,
}

/// The path without its query, and its ending as a format, which is cut off if it is one.
pub(super) fn split_format(part: &str) -> (&str, Option<Format>) {
    let path = part.rsplit_once('?').map_or(part, |(path, _)| path);
    let Some((param, ending)) = path.rsplit_once('.') else {
        return (path, None);
    };
    match ending {
        "bin" => (param, Some(Format::Binary)),
        "hex" => (param, Some(Format::Hex)),
        "json" => (param, Some(Format::Json)),
        // A dot at the end is cut off; another ending is a part of the path.
        "" => (param, None),
        _ => (path, None),
    }
}

/// No such format is offered for the path.
pub(super) fn no_format() -> Failure {
    not_found("output format not found (available: .bin, .hex, .json)")
}

/// The path is answered in JSON alone.
pub(super) fn json_only() -> Failure {
    not_found("output format not found (available: json)")
}

/// Whether a reply may be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cache {
    NoStore,
    Immutable,
}

impl Cache {
    fn header(self) -> &'static str {
        match self {
            Self::NoStore => NO_STORE,
            Self::Immutable => IMMUTABLE,
        }
    }
}

pub(super) fn binary(bytes: Vec<u8>, cache: Cache) -> Reply {
    Reply {
        status: 200,
        cache: cache.header(),
        content_type: "application/octet-stream",
        body: bytes,
    }
}

pub(super) fn text(text: &str, cache: Cache) -> Reply {
    Reply {
        status: 200,
        cache: cache.header(),
        content_type: "text/plain",
        body: format!("{text}\n").into_bytes(),
    }
}

pub(super) fn json(value: &Value, cache: Cache) -> Reply {
    json_text(value.to_string(), cache)
}

/// As [`json`], for what is written already.
pub(super) fn json_text(mut text: String, cache: Cache) -> Reply {
    text.push('\n');
    Reply {
        status: 200,
        cache: cache.header(),
        content_type: "application/json",
        body: text.into_bytes(),
    }
}

/// The same data in the format asked for; `value` makes the JSON.
pub(super) fn reply(
    format: Option<Format>,
    cache: Cache,
    bytes: impl FnOnce() -> Vec<u8>,
    value: impl FnOnce() -> Value,
) -> Result<Reply, Failure> {
    match format {
        Some(Format::Binary) => Ok(binary(bytes(), cache)),
        Some(Format::Hex) => Ok(text(&bytes().to_lower_hex_string(), cache)),
        Some(Format::Json) => Ok(json(&value(), cache)),
        None => Err(no_format()),
    }
}

/// A hash as its 64 hexadecimal digits.
pub(super) fn hash<H: FromStr>(text: &str) -> Result<H, Failure> {
    let invalid = || bad_request(format!("Invalid hash: {text}"));
    // No other length, and nothing but digits.
    if text.len() != 64 {
        return Err(invalid());
    }
    text.parse().map_err(|_| invalid())
}

/// A whole number written in digits alone, with a minus if its type has one.
pub(super) fn integral<T: FromStr>(text: &str) -> Option<T> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| text.parse().ok()).flatten()
}

/// The text without characters that have no place in a path.
pub(super) fn sanitized(text: &str) -> String {
    let safe = |c: &char| c.is_ascii_alphanumeric() || "!*'();:@&=+$,/?#[]-_.~%".contains(*c);
    text.chars().filter(safe).collect()
}

/// The parameters after a path.
#[derive(Clone, Copy, Debug)]
pub(super) struct Query<'a>(&'a str);

impl<'a> Query<'a> {
    /// Those of a path with its query.
    pub(super) fn of(target: &'a str) -> Self {
        let query = target.split_once('?').map_or("", |(_, query)| query);
        Self(query.split('#').next().unwrap_or_default())
    }

    /// A parameter's value, decoded; empty if it has none.
    pub(super) fn get(self, name: &str) -> Option<String> {
        let mut pairs = self.0.split('&').filter(|pair| !pair.is_empty());
        pairs.find_map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decoded(key) == name).then(|| decoded(value))
        })
    }
}

/// Percent-decoded; what is no such code stays as it is.
fn decoded(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let code = after
            .get(..2)
            .filter(|code| *first == b'%' && code.iter().all(u8::is_ascii_hexdigit))
            .and_then(|code| std::str::from_utf8(code).ok())
            .and_then(|code| u8::from_str_radix(code, 16).ok());
        match code {
            Some(byte) => {
                out.push(byte);
                rest = &after[2..];
            }
            None => {
                out.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_ending_is_the_format() {
        for (part, param, format) in [
            ("ab.json", "ab", Some(Format::Json)),
            ("ab.bin?count=1", "ab", Some(Format::Binary)),
            ("ab.hex", "ab", Some(Format::Hex)),
            ("ab", "ab", None),
            ("ab.", "ab", None),
            ("ab.xyz", "ab.xyz", None),
            ("a.b.json", "a.b", Some(Format::Json)),
            (".json", "", Some(Format::Json)),
        ] {
            assert_eq!(split_format(part), (param, format), "{part}");
        }
    }

    #[test]
    fn parameters_are_decoded() {
        let query = Query::of("/rest/x.json?a=1&b=%41%2b&%63=c%&d&a=2#a=3");
        assert_eq!(query.get("a").as_deref(), Some("1"));
        assert_eq!(query.get("b").as_deref(), Some("A+"));
        assert_eq!(query.get("c").as_deref(), Some("c%"));
        assert_eq!(query.get("d").as_deref(), Some(""));
        assert_eq!(query.get("e"), None);
        assert_eq!(Query::of("/rest/x.json").get("a"), None);
    }

    #[test]
    fn numbers_are_digits_alone() {
        assert_eq!(integral::<u32>("0012"), Some(12));
        assert_eq!(integral::<i32>("-1"), Some(-1));
        for text in ["+1", "", "-", " 1", "1 ", "0x1", "4294967296", "-1"] {
            assert_eq!(integral::<u32>(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_target_is_too_strange(target in ".{0,60}", name in ".{0,5}") {
            let _ = Query::of(&target).get(&name);
            let _ = split_format(&target);
        }
    }
}
