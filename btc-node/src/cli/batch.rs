//! The replies to a batch of calls.

use super::CliError;
use serde_json::Value;

/// Replies, each with the id of its request.
pub(super) struct Replies<'a>(&'a [Value]);

impl<'a> Replies<'a> {
    /// # Errors
    /// [`CliError::Server`] if this is no array.
    pub(super) fn read(batch: &'a Value) -> Result<Self, CliError> {
        Ok(Self(batch.as_array().ok_or_else(malformed)?))
    }

    fn find(&self, id: u64) -> Result<&'a Value, CliError> {
        self.0
            .iter()
            .find(|reply| reply["id"].as_u64() == Some(id))
            .ok_or_else(malformed)
    }

    /// What a call gave; null if it failed.
    ///
    /// # Errors
    /// [`CliError::Server`] if it has no reply.
    pub(super) fn result(&self, id: u64) -> Result<&'a Value, CliError> {
        Ok(&self.find(id)?["result"])
    }

    /// The error of the first of these calls that failed.
    ///
    /// # Errors
    /// [`CliError::Server`] if one of them has no reply.
    pub(super) fn error(&self, ids: &[u64]) -> Result<Option<&'a Value>, CliError> {
        for id in ids {
            let error = &self.find(*id)?["error"];
            if !error.is_null() {
                return Ok(Some(error));
            }
        }
        Ok(None)
    }
}

fn malformed() -> CliError {
    CliError::Server("expected an array of replies".to_owned())
}
