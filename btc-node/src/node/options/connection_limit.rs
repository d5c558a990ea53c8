//! How many connections there may be: as the user wants, as far as the system has file descriptors for them.

use super::option;
use crate::node::StartError;
use crate::node::messages::Messages;
use crate::store::descriptors;
use btc_interfaces::args::Args;

/// File descriptors that databases take, and one for captured messages.
const FOR_FILES: u64 = 150 + 1;
/// Connections to peers of `-addnode`, which come on top of `-maxconnections`.
const FOR_ADDED: u64 = 8;

/// What `-maxconnections` comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ConnectionLimit {
    /// Connections that the user wants, at most.
    wanted: u64,
    /// Those that there may be.
    pub(crate) granted: u64,
    /// File descriptors that this process may have; `None` without a limit.
    descriptors: Option<u64>,
}

/// Shares out the file descriptors, after asking the system for as many as it takes.
pub(super) fn read(args: &Args, wanted: i64) -> Result<ConnectionLimit, StartError> {
    let wanted = u64::try_from(wanted).unwrap_or(0);
    let listeners = args.values("bind").len() + args.values("whitebind").len();
    let required = FOR_FILES + FOR_ADDED + u64::try_from(listeners.max(1)).unwrap_or(u64::MAX);
    let available = descriptors::reserve(wanted.saturating_add(required));
    ConnectionLimit::share(wanted, required, available)
}

impl ConnectionLimit {
    fn share(wanted: u64, required: u64, descriptors: Option<u64>) -> Result<Self, StartError> {
        let room = match descriptors {
            None => wanted,
            Some(available) => available.checked_sub(required).ok_or_else(|| {
                option(format!(
                    "Not enough file descriptors available. {available} available, {required} required."
                ))
            })?,
        };
        Ok(Self {
            wanted,
            granted: wanted.min(room),
            descriptors,
        })
    }

    /// Says how many there may be, and warns if that is less than the user wants.
    pub(crate) fn tell(&self, messages: &Messages) {
        let Self {
            wanted,
            granted,
            descriptors,
        } = self;
        if granted < wanted {
            messages.warning(format!(
                "Reducing -maxconnections from {wanted} to {granted}, because of system limitations."
            ));
        }
        let available = descriptors.map_or("unlimited".to_owned(), |number| number.to_string());
        tracing::info!(
            "Using at most {granted} automatic connections ({available} file descriptors available)"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_take_what_files_leave() {
        let share = |wanted, descriptors| ConnectionLimit::share(wanted, 160, descriptors);
        assert_eq!(share(125, Some(1024)).unwrap().granted, 125);
        assert_eq!(share(125, None).unwrap().granted, 125);
        assert_eq!(share(125, Some(200)).unwrap().granted, 40);
        assert_eq!(share(125, Some(160)).unwrap().granted, 0);
        assert_eq!(
            share(125, Some(159)).unwrap_err().to_string(),
            "Not enough file descriptors available. 159 available, 160 required."
        );
    }

    #[test]
    fn a_lower_limit_is_warned_of_once() {
        let messages = Messages::new();
        let said = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
        let heard = std::sync::Arc::clone(&said);
        let _listening =
            messages.listen(move |message| heard.lock().unwrap().push(message.clone()));
        ConnectionLimit::share(125, 160, Some(300))
            .unwrap()
            .tell(&messages);
        assert!(said.lock().unwrap().is_empty());
        ConnectionLimit::share(125, 160, Some(200))
            .unwrap()
            .tell(&messages);
        let text = "Reducing -maxconnections from 125 to 40, because of system limitations.";
        let warning = crate::node::messages::Message::Warning(text.to_owned());
        assert_eq!(*said.lock().unwrap(), [warning]);
    }
}
