//! Names of messages.

use std::fmt;

/// The name of a message's type: up to twelve printable characters.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Command([u8; 12]);

impl Command {
    /// Of the header's field; `None` if it has other than printable characters, or anything after the first zero.
    pub fn from_wire(field: [u8; 12]) -> Option<Self> {
        let end = field
            .iter()
            .position(|byte| *byte == 0)
            .unwrap_or(field.len());
        let (name, padding) = field.split_at(end);
        let valid = name.iter().all(|byte| (b' '..0x7f).contains(byte))
            && padding.iter().all(|byte| *byte == 0);
        valid.then_some(Self(field))
    }

    /// Of a name with at most twelve printable characters.
    pub fn new(name: &str) -> Option<Self> {
        let mut field = [0; 12];
        field
            .get_mut(..name.len())?
            .copy_from_slice(name.as_bytes());
        Self::from_wire(field)
    }

    /// As the header's field.
    pub fn to_wire(self) -> [u8; 12] {
        self.0
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        let end = self.0.iter().position(|byte| *byte == 0).unwrap_or(12);
        std::str::from_utf8(&self.0[..end]).expect("only printable ASCII is let in")
    }
}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
