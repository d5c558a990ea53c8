//! The methods for transactions as bytes.

mod create;
mod decode;
mod get;
mod package;
mod psbt;
mod send;
mod sign;
mod signer;

use super::context::Entry;
use std::sync::LazyLock;

/// The category's methods.
pub fn methods() -> &'static [Entry] {
    static METHODS: LazyLock<Vec<Entry>> = LazyLock::new(|| {
        let mut methods = Vec::new();
        methods.extend(create::METHODS);
        methods.extend(decode::METHODS);
        methods.extend(get::METHODS);
        methods.extend(package::METHODS);
        methods.extend(psbt::methods());
        methods.extend(send::METHODS);
        methods.extend(sign::METHODS);
        methods
    });
    &METHODS
}
