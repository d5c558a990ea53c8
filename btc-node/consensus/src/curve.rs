//! The shared libsecp256k1 context.

use std::sync::LazyLock;

use bitcoin::secp256k1::{Secp256k1, VerifyOnly};

/// The context that all verification uses: it holds no secret and is never written after creation.
pub(crate) fn secp() -> &'static Secp256k1<VerifyOnly> {
    static CONTEXT: LazyLock<Secp256k1<VerifyOnly>> = LazyLock::new(Secp256k1::verification_only);
    &CONTEXT
}
