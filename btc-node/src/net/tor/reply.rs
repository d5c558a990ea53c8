//! Replies of the control port.

use std::collections::BTreeMap;

/// The longest line that is taken, in bytes. The protocol sets no limit.
pub const MAX_LINE: usize = 100_000;
/// The lines that one reply may have.
pub const MAX_LINES: usize = 1000;

/// The code of a command that did what it should.
pub const OK: u16 = 250;
/// The code of a command that is not known.
pub const UNRECOGNIZED: u16 = 510;
/// The code of a command with arguments that are not known.
pub const SYNTAX_ERROR: u16 = 512;
/// From here on codes tell of what happened, unasked.
const ASYNCHRONOUS: u16 = 600;

/// One reply.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reply {
    /// What became of the command; 0 if the line has no number.
    pub code: u16,
    /// The lines, without code and separator.
    pub lines: Vec<String>,
}

/// More was sent than any reply holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplyError {
    /// A line is too long.
    #[error("Control port line exceeded {MAX_LINE} bytes, disconnecting")]
    Line,
    /// A reply has too many lines.
    #[error("Control port reply exceeded {MAX_LINES} lines, disconnecting")]
    Lines,
}

/// Puts replies together from bytes.
#[derive(Debug, Default)]
pub struct Replies {
    /// The start of a line.
    line: Vec<u8>,
    reply: Reply,
}

impl Replies {
    /// Takes bytes and gives the replies that they complete.
    ///
    /// # Errors
    /// See [`ReplyError`]; nothing that comes afterwards makes sense.
    pub fn push(&mut self, bytes: &[u8]) -> Result<Vec<Reply>, ReplyError> {
        let mut complete = Vec::new();
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (text, ends) = match part.split_last() {
                Some((b'\n', text)) => (text, true),
                _ => (part, false),
            };
            if self.line.len() + text.len() > MAX_LINE {
                return Err(ReplyError::Line);
            }
            self.line.extend_from_slice(text);
            if ends {
                let line = std::mem::take(&mut self.line);
                complete.extend(self.end_line(&line)?);
            }
        }
        Ok(complete)
    }

    fn end_line(&mut self, line: &[u8]) -> Result<Option<Reply>, ReplyError> {
        if self.reply.lines.len() == MAX_LINES {
            return Err(ReplyError::Lines);
        }
        let line = String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(line));
        // The code has three digits, then comes a separator.
        let Some((code, rest)) = line
            .split_at_checked(3)
            .filter(|(_, rest)| !rest.is_empty())
        else {
            return Ok(None);
        };
        let mut rest = rest.chars();
        let separator = rest.next();
        self.reply.code = code.parse().unwrap_or(0);
        self.reply.lines.push(rest.as_str().to_owned());
        if separator != Some(' ') {
            return Ok(None);
        }
        let reply = std::mem::take(&mut self.reply);
        Ok((reply.code < ASYNCHRONOUS).then_some(reply))
    }
}

/// Splits a line of a reply into its keyword and the rest.
pub fn keyword(line: &str) -> (&str, &str) {
    line.split_once(' ').unwrap_or((line, ""))
}

/// Reads `KEY=value KEY="quoted value" …`. A word without a value ends the list; a line that breaks off says nothing.
pub fn values(text: &str) -> BTreeMap<String, String> {
    read_values(text).unwrap_or_default()
}

fn read_values(text: &str) -> Option<BTreeMap<String, String>> {
    let mut values = BTreeMap::new();
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find(['=', ' '])?;
        let (key, after) = rest.split_at(end);
        let Some(after) = after.strip_prefix('=') else {
            break;
        };
        let (value, after) = match after.strip_prefix('"') {
            Some(quoted) => unquote(quoted)?,
            None => {
                let end = after.find(' ').unwrap_or(after.len());
                (after[..end].to_owned(), &after[end..])
            }
        };
        values.insert(key.to_owned(), value);
        rest = after.strip_prefix(' ').unwrap_or(after);
    }
    Some(values)
}

/// Reads up to the closing quote; gives what follows it, too. A backslash stands before C's escapes, in octal also, and
/// before characters that stand for themselves.
fn unquote(text: &str) -> Option<(String, &str)> {
    let mut bytes = Vec::new();
    let mut chars = text.char_indices().peekable();
    while let Some((at, char)) = chars.next() {
        match char {
            '"' => {
                let value = String::from_utf8_lossy(&bytes).into_owned();
                return Some((value, &text[at + 1..]));
            }
            '\\' => {
                let (_, escaped) = chars.next()?;
                let byte = match escaped {
                    'n' => b'\n',
                    't' => b'\t',
                    'r' => b'\r',
                    '0'..='7' => {
                        let mut value = escaped.to_digit(8)?;
                        // Three digits make a byte only up to 377.
                        let most = if value > 3 { 1 } else { 2 };
                        for _ in 0..most {
                            let Some(digit) = chars.peek().and_then(|(_, char)| char.to_digit(8))
                            else {
                                break;
                            };
                            value = value * 8 + digit;
                            chars.next();
                        }
                        u8::try_from(value).ok()?
                    }
                    other => {
                        bytes.extend(other.encode_utf8(&mut [0; 4]).bytes());
                        continue;
                    }
                };
                bytes.push(byte);
            }
            other => bytes.extend(other.encode_utf8(&mut [0; 4]).bytes()),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn reply(code: u16, lines: &[&str]) -> Reply {
        Reply {
            code,
            lines: lines.iter().map(|line| (*line).to_owned()).collect(),
        }
    }

    #[test]
    fn replies_come_in_pieces() {
        let mut replies = Replies::default();
        assert_eq!(replies.push(b"250-PROTOCOLINFO 1\r\n25").unwrap(), []);
        assert_eq!(replies.push(b"0-AUTH METHODS=NULL\r\n250 OK").unwrap(), []);
        let expected = reply(250, &["PROTOCOLINFO 1", "AUTH METHODS=NULL", "OK"]);
        assert_eq!(replies.push(b"\r\n").unwrap(), [expected]);
        // What happened unasked is no answer, nor is a line that is none.
        let two = replies
            .push(b"650 NOTICE x\r\n\r\n510 no\r\n250 a\r\n")
            .unwrap();
        assert_eq!(two, [reply(510, &["no"]), reply(250, &["a"])]);
    }

    #[test]
    fn lines_and_replies_have_limits() {
        let line = |length: usize| [b"250-".to_vec(), vec![b'A'; length - 5], b"\r\n".to_vec()];
        let mut replies = Replies::default();
        assert_eq!(replies.push(&line(MAX_LINE).concat()), Ok(Vec::new()));
        let long = line(MAX_LINE + 1).concat();
        assert_eq!(replies.push(&long), Err(ReplyError::Line));
        let mut replies = Replies::default();
        assert_eq!(replies.push(&[b'A'; MAX_LINE + 1]), Err(ReplyError::Line));
        let mut replies = Replies::default();
        let many = b"250-more\r\n".repeat(MAX_LINES - 1);
        assert_eq!(replies.push(&many), Ok(Vec::new()));
        assert_eq!(
            replies.push(b"250 OK\r\n").unwrap()[0].lines.len(),
            MAX_LINES
        );
        let many = b"250-more\r\n".repeat(MAX_LINES + 1);
        assert_eq!(replies.push(&many), Err(ReplyError::Lines));
    }

    #[test]
    fn values_are_words_and_quoted_texts() {
        let read = values(r#"METHODS=COOKIE,SAFECOOKIE COOKIEFILE="/a \"b\"\\c\101\60x""#);
        assert_eq!(read["METHODS"], "COOKIE,SAFECOOKIE");
        assert_eq!(read["COOKIEFILE"], "/a \"b\"\\cA0x");
        let read = values(r#"Foo=Bar=Baz Spam OptArguments="x""#);
        assert_eq!(read["Foo"], "Bar=Baz");
        assert_eq!(read.len(), 1);
        // The first digit of three is at most 3.
        assert_eq!(values(r#"Foo="\477\n""#)["Foo"], "'7\n");
        for broken in ["Foo", "Foo=\"Bar", "Foo=\"Bar\\\"", "METHODS=A Foo"] {
            assert!(values(broken).is_empty(), "{broken}");
        }
        assert_eq!(keyword("AUTH METHODS=NULL"), ("AUTH", "METHODS=NULL"));
        assert_eq!(keyword("OK"), ("OK", ""));
    }

    proptest! {
        #[test]
        fn it_matters_not_how_bytes_are_cut(bytes in prop::collection::vec(any::<u8>(), 0..300), cut in 0usize..300) {
            let cut = cut.min(bytes.len());
            let whole = Replies::default().push(&bytes);
            let mut replies = Replies::default();
            let first = replies.push(&bytes[..cut]);
            let second = replies.push(&bytes[cut..]);
            let parts = first.and_then(|mut first| {
                first.extend(second?);
                Ok(first)
            });
            prop_assert_eq!(whole, parts);
        }

        #[test]
        fn no_text_breaks_the_values(text in ".*") {
            values(&text);
        }
    }
}
