//! What can be wrong with a partially signed transaction.

/// Why bytes or text are no partially signed transaction. Texts are those that Core's users know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PsbtError {
    /// The text is no base64.
    #[error("invalid base64")]
    Base64,
    /// Bytes are left over.
    #[error("extra data after PSBT")]
    ExtraData,
    /// The bytes break a rule of the format. Core says where the failure came from, and so its users expect it.
    #[error("{0}: iostream error")]
    Format(String),
}

impl PsbtError {
    pub(super) fn format(text: impl Into<String>) -> Self {
        Self::Format(text.into())
    }
}
