//! JSON as RPC requests carry it: nested as deep as Core takes it, and with what an ordinary parser forgets.
//!
//! [`Value`]'s own parser recurses, keeps the last of several equal keys, and says nothing of the others. Core keeps a
//! loop, takes 512 levels, goes by the first of the keys, and some of its methods refuse an object that names a thing
//! twice. Here values without parts are read by serde_json, and what they are nested in by a loop.

use serde_json::{Map, Value};
use std::fmt::Write as _;

/// How deep arrays and objects may be nested. Source: Core's UniValue.
pub const MAX_DEPTH: usize = 512;

/// How long all [`Json::repeated`] of one text may be together: a short text could make many long ones.
const MAX_REPEATED_BYTES: usize = 1 << 20;

/// How deep below the top an object may be whose repeated key is told: an argument of a call in a batch is at 3, an
/// object in an argument that is an array at 4.
const MAX_REPEAT_DEPTH: usize = 5;

/// A text that was read.
#[derive(Debug, Clone, PartialEq)]
pub struct Json {
    /// Its value. Of equal keys the first one's value stands.
    pub value: Value,
    /// The keys that came again in one object, the first one of each object, as JSON pointers (RFC 6901). Objects
    /// deeper than arguments and their elements are not looked at.
    pub repeated: Vec<String>,
}

/// Why a text is no JSON, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// Something else is expected at this byte.
    #[error("unexpected byte at {0}")]
    Unexpected(usize),
    /// The string or number that begins at this byte is none.
    #[error("malformed string or number at {0}")]
    Scalar(usize),
    /// The text ends too early.
    #[error("unexpected end")]
    End,
    /// The array or object that begins at this byte is one too many in others.
    #[error("nested deeper than {MAX_DEPTH} at {0}")]
    TooDeep(usize),
    /// More keys are repeated than could be told.
    #[error("too many repeated keys")]
    TooManyRepeats,
}

/// Reads a text that is one JSON value and nothing else.
///
/// # Errors
/// What is wrong with it.
///
/// ```
/// let json = btc_interfaces::rpc::json::parse(br#"{"params": [{"a": 1, "a": 2}]}"#).expect("JSON");
/// assert_eq!(json.value["params"][0]["a"], 1);
/// assert_eq!(json.repeated, ["/params/0/a"]);
/// ```
pub fn parse(text: &[u8]) -> Result<Json, JsonError> {
    Parser {
        text,
        at: 0,
        open: Vec::new(),
        repeated: Vec::new(),
        repeated_bytes: 0,
    }
    .run()
}

/// Reads a text like [`parse`], for those who do not mind repeated keys.
///
/// # Errors
/// What is wrong with it.
pub fn value(text: &str) -> Result<Value, JsonError> {
    parse(text.as_bytes()).map(|json| json.value)
}

struct Parser<'a> {
    text: &'a [u8],
    at: usize,
    open: Vec<Open>,
    repeated: Vec<String>,
    repeated_bytes: usize,
}

/// An array or object that is being read.
enum Open {
    Array(Vec<Value>),
    Object {
        fields: Map<String, Value>,
        /// The key whose value is being read.
        key: String,
        told: bool,
    },
}

impl Parser<'_> {
    fn run(mut self) -> Result<Json, JsonError> {
        loop {
            // A value begins here.
            let mut done = match self.next()? {
                b'[' => {
                    self.enter(Open::Array(Vec::new()))?;
                    if self.next()? != b']' {
                        continue;
                    }
                    self.leave()
                }
                b'{' => {
                    self.enter(Open::Object {
                        fields: Map::new(),
                        key: String::new(),
                        told: false,
                    })?;
                    if self.next()? != b'}' {
                        self.key()?;
                        continue;
                    }
                    self.leave()
                }
                _ => self.scalar()?,
            };
            // A value ends here, and perhaps what it is in.
            loop {
                match self.open.last_mut() {
                    None => {
                        self.skip_space();
                        return if self.at == self.text.len() {
                            Ok(Json {
                                value: done,
                                repeated: self.repeated,
                            })
                        } else {
                            Err(JsonError::Unexpected(self.at))
                        };
                    }
                    Some(Open::Array(elements)) => elements.push(done),
                    Some(Open::Object { fields, key, .. }) => {
                        fields.entry(std::mem::take(key)).or_insert(done);
                    }
                }
                let in_object = matches!(self.open.last(), Some(Open::Object { .. }));
                match (self.next()?, in_object) {
                    (b',', true) => {
                        self.at += 1;
                        self.key()?;
                        break;
                    }
                    (b',', false) => {
                        self.at += 1;
                        break;
                    }
                    (b'}', true) | (b']', false) => done = self.leave(),
                    _ => return Err(JsonError::Unexpected(self.at)),
                }
            }
        }
    }

    fn enter(&mut self, open: Open) -> Result<(), JsonError> {
        if self.open.len() == MAX_DEPTH {
            return Err(JsonError::TooDeep(self.at));
        }
        self.at += 1;
        self.open.push(open);
        Ok(())
    }

    /// Steps over the closing bracket and gives what it closes.
    fn leave(&mut self) -> Value {
        self.at += 1;
        match self.open.pop() {
            Some(Open::Array(elements)) => Value::Array(elements),
            Some(Open::Object { fields, .. }) => Value::Object(fields),
            None => Value::Null,
        }
    }

    /// Reads a key and its colon.
    fn key(&mut self) -> Result<(), JsonError> {
        if self.next()? != b'"' {
            return Err(JsonError::Unexpected(self.at));
        }
        let name = self.string()?;
        if self.next()? != b':' {
            return Err(JsonError::Unexpected(self.at));
        }
        self.at += 1;
        let shallow = self.open.len() <= MAX_REPEAT_DEPTH;
        let mut repeats = false;
        if let Some(Open::Object { fields, key, told }) = self.open.last_mut() {
            repeats = shallow && !*told && fields.contains_key(&name);
            *told |= repeats;
            *key = name;
        }
        if repeats {
            let pointer = self.pointer();
            self.repeated_bytes += pointer.len();
            if self.repeated_bytes > MAX_REPEATED_BYTES {
                return Err(JsonError::TooManyRepeats);
            }
            self.repeated.push(pointer);
        }
        Ok(())
    }

    /// The place that is being read.
    fn pointer(&self) -> String {
        let mut pointer = String::new();
        for open in &self.open {
            match open {
                Open::Array(elements) => {
                    // Writing to a string does not fail.
                    let _ = write!(pointer, "/{}", elements.len());
                }
                Open::Object { key, .. } => {
                    pointer.push('/');
                    pointer.push_str(&escape(key));
                }
            }
        }
        pointer
    }

    fn scalar(&mut self) -> Result<Value, JsonError> {
        let start = self.at;
        let rest = &self.text[start..];
        for (word, value) in [
            (&b"null"[..], Value::Null),
            (b"true", Value::Bool(true)),
            (b"false", Value::Bool(false)),
        ] {
            if rest.starts_with(word) {
                self.at += word.len();
                return Ok(value);
            }
        }
        match rest.first() {
            Some(b'"') => self.string().map(Value::String),
            Some(b'-' | b'0'..=b'9') => {
                let part =
                    |byte: &u8| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E');
                let length = rest.iter().take_while(|byte| part(byte)).count();
                self.at += length;
                serde_json::from_slice(&rest[..length])
                    .map(Value::Number)
                    .map_err(|_| JsonError::Scalar(start))
            }
            _ => Err(JsonError::Unexpected(start)),
        }
    }

    fn string(&mut self) -> Result<String, JsonError> {
        let start = self.at;
        let mut end = start + 1;
        loop {
            match self.text.get(end) {
                None => return Err(JsonError::End),
                Some(b'"') => break,
                Some(b'\\') => end += 2,
                Some(_) => end += 1,
            }
        }
        self.at = end + 1;
        serde_json::from_slice(&self.text[start..self.at]).map_err(|_| JsonError::Scalar(start))
    }

    /// The next byte that is no space, without stepping over it.
    fn next(&mut self) -> Result<u8, JsonError> {
        self.skip_space();
        self.text.get(self.at).copied().ok_or(JsonError::End)
    }

    fn skip_space(&mut self) {
        let space = |byte: &&u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
        self.at += self.text[self.at..].iter().take_while(space).count();
    }
}

/// A key as a JSON pointer has it.
pub(super) fn escape(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

/// The key that a JSON pointer has so.
pub(super) fn unescape(key: &str) -> String {
    key.replace("~1", "/").replace("~0", "~")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn nested(depth: usize) -> String {
        "[".repeat(depth) + &"]".repeat(depth)
    }

    #[test]
    fn nesting_is_taken_to_core_s_depth_and_no_further() {
        let text = nested(MAX_DEPTH);
        let value = value(&text).expect("as deep as it may be");
        assert_eq!(value.to_string(), text);
        let objects = r#"{"a":"#.repeat(MAX_DEPTH) + "1" + &"}".repeat(MAX_DEPTH);
        assert!(parse(objects.as_bytes()).is_ok());
        for deep in [
            nested(MAX_DEPTH + 1),
            nested(1_000_000),
            "[".repeat(1_000_000),
        ] {
            assert_eq!(parse(deep.as_bytes()), Err(JsonError::TooDeep(MAX_DEPTH)));
        }
    }

    #[test]
    fn the_first_of_equal_keys_stands_and_each_object_is_told_once() {
        let text = br#" {"b":1,"params":[{"x/~":1,"x/~":2,"x/~":3},{"y":{"z":1,"z":[]}},[]],"b":{"c":1,"c":2}} "#;
        let json = parse(text).expect("JSON");
        assert_eq!(
            json.value,
            json!({"b": 1, "params": [{"x/~": 1}, {"y": {"z": 1}}, []]})
        );
        assert_eq!(
            json.repeated,
            ["/params/0/x~1~0", "/params/1/y/z", "/b", "/b/c"]
        );
        assert_eq!(unescape(&escape("x/~01")), "x/~01");
    }

    #[test]
    fn what_is_told_of_repeats_is_bounded() {
        let many = |count| format!("[{}0]", r#"{"a":1,"a":2},"#.repeat(count));
        let json = parse(many(1000).as_bytes()).expect("JSON");
        assert_eq!(json.repeated.len(), 1000);
        let long = format!(r#"{{"{}":{}}}"#, "k".repeat(20_000), many(1000));
        assert_eq!(parse(long.as_bytes()), Err(JsonError::TooManyRepeats));
        let deep = format!("{}{}{}", "[".repeat(9), r#"{"a":1,"a":2}"#, "]".repeat(9));
        assert_eq!(parse(deep.as_bytes()).expect("JSON").repeated, [""; 0]);
    }

    #[test]
    fn what_is_no_json_is_refused_where_it_errs() {
        use JsonError::{End, Scalar, Unexpected};
        for (text, error) in [
            ("", End),
            ("  ", End),
            ("[", End),
            ("[1", End),
            ("[1,", End),
            (r#"{"a"#, End),
            (r#"{"a":"#, End),
            (r#""\"#, End),
            ("[1,]", Unexpected(3)),
            ("[,1]", Unexpected(1)),
            ("[1}", Unexpected(2)),
            (r#"{"a":1]"#, Unexpected(6)),
            (r#"{"a":1,}"#, Unexpected(7)),
            ("{1:1}", Unexpected(1)),
            (r#"{"a" 1}"#, Unexpected(5)),
            ("1 2", Unexpected(2)),
            ("null0", Unexpected(4)),
            ("[] x", Unexpected(3)),
            ("'a'", Unexpected(0)),
            ("\u{b}1", Unexpected(0)),
            ("01", Scalar(0)),
            ("1.", Scalar(0)),
            ("-", Scalar(0)),
            ("1e", Scalar(0)),
            ("\"\u{1}\"", Scalar(0)),
            (r#""\ud800""#, Scalar(0)),
            (r#""\x""#, Scalar(0)),
        ] {
            assert_eq!(parse(text.as_bytes()), Err(error), "{text}");
        }
        assert_eq!(parse(b"\"\xff\""), Err(Scalar(0)));
    }

    proptest! {
        #[test]
        fn agrees_with_serde_json(
            text in r#"([\[\]{},:]|"[a-c]?"|"\\\\u00[0-9a-f]{2}"|-?[0-9]{1,3}(\.[0-9])?(e[0-9])?|true|null| ){0,24}"#
        ) {
            let own = value(&text).ok();
            let theirs = serde_json::from_str::<Value>(&text).ok();
            prop_assert_eq!(own.is_some(), theirs.is_some());
            if parse(text.as_bytes()).is_ok_and(|json| json.repeated.is_empty()) {
                prop_assert_eq!(own, theirs);
            }
        }

        #[test]
        fn what_is_written_is_read_back(value in value_tree()) {
            let text = value.to_string();
            prop_assert_eq!(super::value(&text), Ok(value.clone()));
            let spaced = serde_json::to_string_pretty(&value).expect("values are written");
            prop_assert_eq!(super::value(&spaced), Ok(value));
        }
    }

    fn value_tree() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            ".{0,8}".prop_map(Value::from),
        ];
        leaf.prop_recursive(6, 40, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::vec((".{0,4}", inner), 0..5)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }
}
