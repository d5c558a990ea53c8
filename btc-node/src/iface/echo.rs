//! [`Echo`].

use btc_interfaces::{Echo, Result};

/// Answers from this process.
#[derive(Debug, Clone, Copy, Default)]
pub struct LocalEcho;

impl Echo for LocalEcho {
    fn echo(&self, echo: String) -> Result<String> {
        Ok(echo)
    }
}
