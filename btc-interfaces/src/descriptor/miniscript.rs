//! Witness scripts that are Miniscript.

use bitcoin::Script;
use miniscript::{Miniscript, Segwitv0};

/// The Miniscript expression of a witness script, as it stands inside `wsh()`.
///
/// `None` if the script is no Miniscript, or one that is not safe to use: that takes no signature, that others could
/// change on its way, that mixes kinds of lock times, that names a key twice, that exceeds what a witness may hold, or
/// that names a key by its hash alone. Source: Core's `IsSane`.
pub fn infer_miniscript(witness_script: &Script) -> Option<String> {
    let miniscript = Miniscript::<bitcoin::PublicKey, Segwitv0>::decode(witness_script).ok()?;
    Some(miniscript.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use bitcoin::ScriptBuf;

    const KEY: &str = "0250929b74c1a04954b78b4b6035e97a5e078a5a0f28ec96d547bfee9ace803ac0";

    fn infer(hex: &str) -> Option<String> {
        infer_miniscript(&ScriptBuf::from_hex(hex).unwrap())
    }

    #[test]
    fn a_hash_lock_with_a_key_and_a_delay_is_read() {
        let hash = "f".repeat(40);
        let script = format!("82012088a914{hash}8821{KEY}ad51b2");
        assert_eq!(
            infer(&script),
            Some(format!(
                "and_v(and_v(v:hash160({hash}),v:pk({KEY})),older(1))"
            ))
        );
    }

    #[test]
    fn what_takes_no_signature_is_refused() {
        assert_eq!(infer("51b2"), None);
    }

    #[test]
    fn what_is_no_miniscript_is_none() {
        assert_eq!(infer("7693"), None);
        assert_eq!(infer("4c"), None);
        // A key that is no point of the curve.
        assert_eq!(infer(&format!("2102{}ac", "f".repeat(64))), None);
    }
}
