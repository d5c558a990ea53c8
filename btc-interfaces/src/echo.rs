//! The smallest interface: is anybody there?

use crate::Result;

/// Returns what it is given. Source: Core's `interfaces::Echo`, behind the RPC `echoipc`.
#[cfg_attr(feature = "ipc", mp_core::interface(codec = crate::ipc::Btc, schema = crate::ipc::schema::echo::ECHO))]
pub trait Echo: Send + Sync {
    /// Returns `echo` unchanged.
    fn echo(&self, echo: String) -> Result<String>;
}
