//! JSON written straight into a text.
//!
//! A block of thousands of transactions is a tree of a million values; to build it only to print it costs more than all
//! else that a call does. What is large is written value by value instead.

use serde_json::Value;
use std::fmt::{Display, Write as _};

/// A growing JSON text. Values follow each other as they are written; commas come by themselves.
#[derive(Debug, Default)]
pub struct JsonWriter {
    text: String,
    /// Whether something stands before in the array or object that is open.
    follows: bool,
}

impl JsonWriter {
    /// An empty text with room for so many bytes.
    pub fn with_capacity(bytes: usize) -> Self {
        Self {
            text: String::with_capacity(bytes),
            follows: false,
        }
    }

    /// The text: JSON, if exactly one value was written.
    pub fn into_text(self) -> String {
        self.text
    }

    /// An object, whose fields `fill` writes by [`key`](Self::key).
    pub fn object(&mut self, fill: impl FnOnce(&mut Self)) {
        self.nested('{', '}', fill);
    }

    /// An array, whose values `fill` writes.
    pub fn array(&mut self, fill: impl FnOnce(&mut Self)) {
        self.nested('[', ']', fill);
    }

    fn nested(&mut self, open: char, close: char, fill: impl FnOnce(&mut Self)) {
        self.begin();
        self.text.push(open);
        self.follows = false;
        fill(self);
        self.text.push(close);
        self.follows = true;
    }

    /// The name of the field whose value is written next. Names are plain: they hold nothing that JSON escapes.
    pub fn key(&mut self, name: &str) -> &mut Self {
        self.begin();
        self.text.push('"');
        self.text.push_str(name);
        self.text.push_str("\":");
        self.follows = false;
        self
    }

    /// A string of whatever characters.
    pub fn string(&mut self, value: &str) {
        let harmless = |byte: u8| byte >= b' ' && byte != b'"' && byte != b'\\';
        if value.bytes().all(harmless) {
            self.plain(value);
        } else {
            self.value(&Value::from(value));
        }
    }

    /// A string of characters that JSON does not escape.
    pub fn plain(&mut self, value: &str) {
        self.begin();
        self.text.push('"');
        self.text.push_str(value);
        self.text.push('"');
    }

    /// A string of what `value` shows, which JSON does not escape.
    pub fn shown(&mut self, value: impl Display) {
        self.begin();
        // A String takes whatever is written.
        let _ = write!(self.text, "\"{value}\"");
    }

    /// An integer.
    pub fn number(&mut self, value: impl Into<i128>) {
        self.begin();
        let value = value.into();
        // Most fit, and take less time then.
        let _ = match i64::try_from(value) {
            Ok(value) => write!(self.text, "{value}"),
            Err(_) => write!(self.text, "{value}"),
        };
    }

    /// A boolean.
    pub fn boolean(&mut self, value: bool) {
        self.begin();
        self.text.push_str(if value { "true" } else { "false" });
    }

    /// An amount of sat as a number of BTC with eight digits after the point.
    pub fn amount(&mut self, sat: i64) {
        self.begin();
        let sign = if sat < 0 { "-" } else { "" };
        let sat = sat.unsigned_abs();
        let (whole, rest) = (sat / 100_000_000, sat % 100_000_000);
        let _ = write!(self.text, "{sign}{whole}.{rest:08}");
    }

    /// Bytes in hexadecimal.
    pub fn hex(&mut self, bytes: &[u8]) {
        self.begin();
        self.text.push('"');
        push_hex(&mut self.text, bytes);
        self.text.push('"');
    }

    /// A hash in hexadecimal, the last byte first, as hashes are shown.
    pub fn hash(&mut self, mut bytes: [u8; 32]) {
        bytes.reverse();
        self.hex(&bytes);
    }

    /// Any value.
    pub fn value(&mut self, value: &Value) {
        self.begin();
        let _ = write!(self.text, "{value}");
    }

    /// A text that is JSON already.
    pub fn json(&mut self, text: &str) {
        self.begin();
        self.text.push_str(text);
    }

    fn begin(&mut self) {
        if self.follows {
            self.text.push(',');
        }
        self.follows = true;
    }
}

/// Appends bytes in hexadecimal.
pub fn push_hex(text: &mut String, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    const PIECE: usize = 64;
    text.reserve(2 * bytes.len());
    let mut digits = [0; 2 * PIECE];
    for piece in bytes.chunks(PIECE) {
        for (pair, byte) in digits.chunks_exact_mut(2).zip(piece) {
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 15)];
        }
        let shown = std::str::from_utf8(&digits[..2 * piece.len()]);
        text.push_str(shown.expect("digits are ASCII"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_written_reads_back() {
        let mut out = JsonWriter::default();
        out.object(|out| {
            out.key("empty").array(|_| {});
            out.key("list").array(|out| {
                out.number(1u64);
                out.number(-2);
                out.number(i128::MAX);
                out.object(|_| {});
                out.boolean(true);
            });
            out.key("text").string("a\"b\\c\nd\u{1}é");
            out.key("plain").plain("x");
            out.key("shown").shown(7);
            out.key("fee").amount(-150_000_001);
            out.key("small").amount(5);
            out.key("hex").hex(&[0, 0xab, 0xff]);
            out.key("value").value(&json!({"a": [null]}));
            out.key("json").json("[1, 2]");
        });
        let text = out.into_text();
        assert_eq!(
            text,
            "{\"empty\":[],\"list\":[1,-2,170141183460469231731687303715884105727,{},true],\
             \"text\":\"a\\\"b\\\\c\\nd\\u0001é\",\"plain\":\"x\",\"shown\":\"7\",\
             \"fee\":-1.50000001,\"small\":0.00000005,\"hex\":\"00abff\",\
             \"value\":{\"a\":[null]},\"json\":[1, 2]}"
        );
        assert!(serde_json::from_str::<Value>(&text).is_ok());
    }

    #[test]
    fn long_data_come_in_order() {
        let bytes: Vec<u8> = (0..=255).cycle().take(1000).collect();
        let mut text = String::new();
        push_hex(&mut text, &bytes);
        let expected: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(text, expected);
        let mut out = JsonWriter::default();
        out.hash(std::array::from_fn(|i| i as u8));
        assert!(out.into_text().starts_with("\"1f1e1d"));
    }
}
