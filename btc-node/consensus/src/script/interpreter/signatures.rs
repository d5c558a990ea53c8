//! Opcodes that check signatures.

use super::{Interpreter, Rules};
use crate::limits::MAX_PUBKEYS_PER_MULTISIG;
use crate::script::checker::{EcdsaVersion, LeafSpend, SignatureChecker, TaprootSpend};
use crate::script::encoding::{check_pubkey, check_signature};
use crate::script::instruction::{Instructions, push_data};
use crate::script::opcode::*;
use crate::script::{ScriptError, ScriptFlags};

/// What each checked signature of a tapscript takes from its budget, in weight units (BIP 342).
const WEIGHT_PER_CHECK: i64 = 50;

impl<C: SignatureChecker> Interpreter<'_, C> {
    pub(super) fn check_sig(&mut self, opcode: u8) -> Result<(), ScriptError> {
        self.stack.require(2)?;
        let valid = self.evaluate_signature(1, 0)?;
        self.stack.drop_items(2)?;
        self.stack.push_bool(valid);
        if opcode == OP_CHECKSIGVERIFY {
            return self.verify(valid, ScriptError::CheckSigVerify);
        }
        Ok(())
    }

    pub(super) fn check_sig_add(&mut self) -> Result<(), ScriptError> {
        if !self.is_tapscript() {
            return Err(ScriptError::BadOpcode);
        }
        self.stack.require(3)?;
        let count = self.number(1)?;
        let valid = self.evaluate_signature(2, 0)?;
        self.stack.drop_items(3)?;
        self.stack.push_number(count + i64::from(valid));
        Ok(())
    }

    /// Checks the signature and the key at these depths.
    ///
    /// `Ok(false)` is a signature that does not hold; an error ends the script.
    fn evaluate_signature(
        &mut self,
        signature_depth: usize,
        pubkey_depth: usize,
    ) -> Result<bool, ScriptError> {
        let signature = self.stack.peek(signature_depth)?;
        let pubkey = self.stack.peek(pubkey_depth)?;
        if let Rules::Tapscript(tapscript) = &mut self.rules {
            let valid = !signature.is_empty();
            if valid {
                tapscript.weight_left -= WEIGHT_PER_CHECK;
                if tapscript.weight_left < 0 {
                    return Err(ScriptError::TapscriptValidationWeight);
                }
            }
            if pubkey.is_empty() {
                return Err(ScriptError::TapscriptEmptyPubkey);
            }
            if let Ok(pubkey) = <&[u8; 32]>::try_from(&pubkey[..]) {
                if valid {
                    let spend = TaprootSpend {
                        annex_hash: tapscript.annex_hash,
                        leaf: Some(LeafSpend {
                            leaf_hash: tapscript.leaf_hash,
                            code_separator: tapscript.code_separator,
                        }),
                    };
                    self.checker.check_schnorr(signature, pubkey, &spend)?;
                }
            } else if self
                .flags
                .contains(ScriptFlags::DISCOURAGE_UPGRADABLE_PUBKEYTYPE)
            {
                return Err(ScriptError::DiscourageUpgradablePubkeyType);
            }
            return Ok(valid);
        }

        let version = self.ecdsa_version();
        let code = self.script_code(version, std::iter::once(&signature[..]))?;
        check_signature(signature, self.flags)?;
        check_pubkey(pubkey, self.flags, version)?;
        let valid = self.checker.check_ecdsa(signature, pubkey, &code, version);
        if !valid && !signature.is_empty() && self.enforces(ScriptFlags::NULLFAIL) {
            return Err(ScriptError::SigNullFail);
        }
        Ok(valid)
    }

    pub(super) fn check_multisig(&mut self, opcode: u8) -> Result<(), ScriptError> {
        if self.is_tapscript() {
            return Err(ScriptError::TapscriptCheckMultisig);
        }
        // From the top: number of keys, keys, number of signatures, signatures, one item more.
        let key_count = count_within(self.number(0)?, MAX_PUBKEYS_PER_MULTISIG)
            .ok_or(ScriptError::PubkeyCount)?;
        self.count_ops(key_count)?;
        let first_key = 1;
        self.stack.require(key_count + 2)?;
        let signature_count =
            count_within(self.number(key_count + 1)?, key_count).ok_or(ScriptError::SigCount)?;
        let first_signature = key_count + 2;
        let arguments = key_count + signature_count + 2;
        self.stack.require(arguments + 1)?;

        let valid =
            self.match_signatures(first_key, key_count, first_signature, signature_count)?;

        if !valid && self.enforces(ScriptFlags::NULLFAIL) {
            for depth in first_signature..arguments {
                if !self.stack.peek(depth)?.is_empty() {
                    return Err(ScriptError::SigNullFail);
                }
            }
        }
        self.stack.drop_items(arguments)?;
        // One item more than the arguments is consumed, which nothing else ever looked at.
        let extra = self.stack.pop()?;
        if !extra.is_empty() && self.enforces(ScriptFlags::NULLDUMMY) {
            return Err(ScriptError::SigNullDummy);
        }
        self.stack.push_bool(valid);
        if opcode == OP_CHECKMULTISIGVERIFY {
            return self.verify(valid, ScriptError::CheckMultisigVerify);
        }
        Ok(())
    }

    /// Whether every signature belongs to one of the keys, in the keys' order.
    fn match_signatures(
        &self,
        first_key: usize,
        mut keys_left: usize,
        first_signature: usize,
        mut signatures_left: usize,
    ) -> Result<bool, ScriptError> {
        let version = self.ecdsa_version();
        let signatures: Vec<&[u8]> = (first_signature..first_signature + signatures_left)
            .map(|depth| self.stack.peek(depth).map(Vec::as_slice))
            .collect::<Result<_, _>>()?;
        let code = self.script_code(version, signatures.iter().copied())?;

        let mut key_depth = first_key;
        let mut signatures = signatures.iter().copied();
        let mut next = signatures.next();
        while let Some(signature) = next {
            let pubkey = self.stack.peek(key_depth)?;
            check_signature(signature, self.flags)?;
            check_pubkey(pubkey, self.flags, version)?;
            if self.checker.check_ecdsa(signature, pubkey, &code, version) {
                next = signatures.next();
                signatures_left -= 1;
            }
            key_depth += 1;
            keys_left -= 1;
            if signatures_left > keys_left {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn ecdsa_version(&self) -> EcdsaVersion {
        match self.rules {
            Rules::Legacy => EcdsaVersion::Legacy,
            Rules::WitnessV0 | Rules::Tapscript(_) => EcdsaVersion::WitnessV0,
        }
    }

    /// The script that signatures commit to: from the last executed separator on and, before
    /// segwit, without any push of the signatures themselves.
    fn script_code<'s>(
        &self,
        version: EcdsaVersion,
        signatures: impl Iterator<Item = &'s [u8]>,
    ) -> Result<Vec<u8>, ScriptError> {
        let mut code = self.script[self.code_start..].to_vec();
        if version == EcdsaVersion::Legacy {
            for signature in signatures {
                let mut push = Vec::with_capacity(signature.len() + 3);
                push_data(&mut push, signature);
                if find_and_delete(&mut code, &push) && self.enforces(ScriptFlags::CONST_SCRIPTCODE)
                {
                    return Err(ScriptError::SigFindAndDelete);
                }
            }
        }
        Ok(code)
    }
}

/// A number of keys or signatures, if it is from 0 to `max`.
fn count_within(value: i64, max: usize) -> Option<usize> {
    usize::try_from(value).ok().filter(|count| *count <= max)
}

/// Removes every occurrence of `pattern` that starts where an instruction starts; says whether
/// there was any.
fn find_and_delete(code: &mut Vec<u8>, pattern: &[u8]) -> bool {
    // Cheaper than splitting the script, and nearly always the answer.
    if pattern.is_empty() || !code.windows(pattern.len()).any(|window| window == pattern) {
        return false;
    }
    let mut kept = Vec::with_capacity(code.len());
    let mut found = false;
    let mut rest = &code[..];
    loop {
        while let Some(after) = rest.strip_prefix(pattern) {
            rest = after;
            found = true;
        }
        let mut instructions = Instructions::new(rest);
        if !matches!(instructions.next(), Some(Ok(_))) {
            break;
        }
        let (instruction, after) = rest.split_at(instructions.position());
        kept.extend_from_slice(instruction);
        rest = after;
    }
    if found {
        kept.extend_from_slice(rest);
        *code = kept;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deleted(code: &[u8], pattern: &[u8]) -> (Vec<u8>, bool) {
        let mut code = code.to_vec();
        let found = find_and_delete(&mut code, pattern);
        (code, found)
    }

    #[test]
    fn deletion_happens_only_at_instructions() {
        assert_eq!(deleted(&[OP_1, OP_2, OP_1], &[OP_1]), (vec![OP_2], true));
        assert_eq!(
            deleted(&[1, OP_1, OP_2], &[OP_1]),
            (vec![1, OP_1, OP_2], false)
        );
        assert_eq!(deleted(&[2, 1, 7, 1, 7], &[1, 7]), (vec![2, 1, 7], true));
        assert_eq!(deleted(&[OP_1, OP_1], &[OP_1]), (vec![], true));
        assert_eq!(deleted(&[OP_1, OP_2], &[]), (vec![OP_1, OP_2], false));
    }

    #[test]
    fn an_undecodable_tail_is_kept() {
        assert_eq!(deleted(&[OP_1, 5, OP_1], &[OP_1]), (vec![5, OP_1], true));
        assert_eq!(
            deleted(&[OP_2, 5, OP_1], &[OP_1]),
            (vec![OP_2, 5, OP_1], false)
        );
    }
}
