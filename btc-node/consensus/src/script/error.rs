//! Why a script fails.

/// One rule of script that was broken.
///
/// The text of an error is Bitcoin Core's, since it appears in reject reasons;
/// [`name`](ScriptError::name) is the short name that Core's test vectors use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum ScriptError {
    /// The script ran to its end and left nothing, or false, on top of the stack.
    #[error("Script evaluated without error but finished with a false/empty top stack element")]
    EvalFalse,
    /// `OP_RETURN` was executed.
    #[error("OP_RETURN was encountered")]
    OpReturn,
    /// A number was too long, or longer than needed under `MINIMALDATA`.
    #[error("Script number overflowed or is non-minimally encoded")]
    ScriptNum,
    /// A script before tapscript is longer than 10,000 bytes.
    #[error("Script is too big")]
    ScriptSize,
    /// A stack item is longer than 520 bytes.
    #[error("Push value size limit exceeded")]
    PushSize,
    /// A script before tapscript has more than 201 counted opcodes.
    #[error("Operation limit exceeded")]
    OpCount,
    /// Stack and alternative stack hold more than 1,000 items.
    #[error("Stack size limit exceeded")]
    StackSize,
    /// `OP_CHECKMULTISIG` was asked for a negative number of signatures, or more than there are keys.
    #[error("Signature count negative or greater than pubkey count")]
    SigCount,
    /// `OP_CHECKMULTISIG` was given a negative number of keys, or more than 20.
    #[error("Pubkey count negative or limit exceeded")]
    PubkeyCount,
    /// `OP_VERIFY` met false.
    #[error("Script failed an OP_VERIFY operation")]
    Verify,
    /// `OP_EQUALVERIFY` met two different items.
    #[error("Script failed an OP_EQUALVERIFY operation")]
    EqualVerify,
    /// `OP_CHECKMULTISIGVERIFY` failed.
    #[error("Script failed an OP_CHECKMULTISIGVERIFY operation")]
    CheckMultisigVerify,
    /// `OP_CHECKSIGVERIFY` failed.
    #[error("Script failed an OP_CHECKSIGVERIFY operation")]
    CheckSigVerify,
    /// `OP_NUMEQUALVERIFY` met two different numbers.
    #[error("Script failed an OP_NUMEQUALVERIFY operation")]
    NumEqualVerify,
    /// An opcode is unknown, reserved or cut short.
    #[error("Opcode missing or not understood")]
    BadOpcode,
    /// An opcode that was disabled in 2010 is present.
    #[error("Attempted to use a disabled opcode")]
    DisabledOpcode,
    /// The stack holds too few items for an opcode.
    #[error("Operation not valid with the current stack size")]
    InvalidStackOperation,
    /// The alternative stack is empty.
    #[error("Operation not valid with the current altstack size")]
    InvalidAltstackOperation,
    /// `OP_IF`, `OP_ELSE` and `OP_ENDIF` do not match.
    #[error("Invalid OP_IF construction")]
    UnbalancedConditional,
    /// A lock time operand is negative.
    #[error("Negative locktime")]
    NegativeLocktime,
    /// The transaction does not satisfy a lock time operand.
    #[error("Locktime requirement not satisfied")]
    UnsatisfiedLocktime,
    /// A signature's hash type is undefined (`STRICTENC`).
    #[error("Signature hash type missing or not understood")]
    SigHashType,
    /// A signature is not strictly DER.
    #[error("Non-canonical DER signature")]
    SigDer,
    /// A push is not in its shortest form (`MINIMALDATA`).
    #[error("Data push larger than necessary")]
    MinimalData,
    /// A scriptSig holds more than pushes.
    #[error("Only push operators allowed in signatures")]
    SigPushOnly,
    /// A signature's S value is in the upper half of the order (`LOW_S`).
    #[error("Non-canonical signature: S value is unnecessarily high")]
    SigHighS,
    /// The extra item of `OP_CHECKMULTISIG` is not empty.
    #[error("Dummy CHECKMULTISIG argument must be zero")]
    SigNullDummy,
    /// A public key has neither of the two usual forms (`STRICTENC`).
    #[error("Public key is neither compressed or uncompressed")]
    PubkeyType,
    /// More or less than one item is left.
    #[error("Stack size must be exactly one after execution")]
    CleanStack,
    /// A condition in a version 0 witness script is neither empty nor 1.
    #[error("OP_IF/NOTIF argument must be minimal")]
    MinimalIf,
    /// A signature that failed is not empty.
    #[error("Signature must be zero for failed CHECK(MULTI)SIG operation")]
    SigNullFail,
    /// A NOP that is kept for upgrades was executed.
    #[error("NOPx reserved for soft-fork upgrades")]
    DiscourageUpgradableNops,
    /// A witness program of unknown version or size is spent.
    #[error("Witness version reserved for soft-fork upgrades")]
    DiscourageUpgradableWitnessProgram,
    /// A taproot leaf of unknown version is spent.
    #[error("Taproot version reserved for soft-fork upgrades")]
    DiscourageUpgradableTaprootVersion,
    /// A tapscript holds an `OP_SUCCESS` opcode.
    #[error("OP_SUCCESSx reserved for soft-fork upgrades")]
    DiscourageOpSuccess,
    /// A tapscript uses a public key of unknown type.
    #[error("Public key version reserved for soft-fork upgrades")]
    DiscourageUpgradablePubkeyType,
    /// A version 0 program is neither 20 nor 32 bytes long.
    #[error("Witness program has incorrect length")]
    WitnessProgramWrongLength,
    /// A witness program is spent with no witness.
    #[error("Witness program was passed an empty witness")]
    WitnessProgramWitnessEmpty,
    /// The witness does not match the program's commitment.
    #[error("Witness program hash mismatch")]
    WitnessProgramMismatch,
    /// A native witness program is spent with a scriptSig.
    #[error("Witness requires empty scriptSig")]
    WitnessMalleated,
    /// A nested witness program is spent with more than one push of the redeem script.
    #[error("Witness requires only-redeemscript scriptSig")]
    WitnessMalleatedP2sh,
    /// A witness is present where no witness program is spent.
    #[error("Witness provided for non-witness script")]
    WitnessUnexpected,
    /// A version 0 witness script uses an uncompressed key.
    #[error("Using non-compressed keys in segwit")]
    WitnessPubkeyType,
    /// A Schnorr signature is neither 64 nor 65 bytes long.
    #[error("Invalid Schnorr signature size")]
    SchnorrSigSize,
    /// A Schnorr signature's hash type is undefined or has no output to sign.
    #[error("Invalid Schnorr signature hash type")]
    SchnorrSigHashType,
    /// A Schnorr signature does not verify.
    #[error("Invalid Schnorr signature")]
    SchnorrSig,
    /// A control block's size is not 33 + 32n with n at most 128.
    #[error("Invalid Taproot control block size")]
    TaprootWrongControlSize,
    /// More signatures are checked than the witness's weight pays for.
    #[error("Too much signature validation relative to witness weight")]
    TapscriptValidationWeight,
    /// `OP_CHECKMULTISIG` in tapscript.
    #[error("OP_CHECKMULTISIG(VERIFY) is not available in tapscript")]
    TapscriptCheckMultisig,
    /// A condition in tapscript is neither empty nor 1.
    #[error("OP_IF/NOTIF argument must be minimal in tapscript")]
    TapscriptMinimalIf,
    /// A public key in tapscript is empty.
    #[error("Empty public key in tapscript")]
    TapscriptEmptyPubkey,
    /// `OP_CODESEPARATOR` before segwit (`CONST_SCRIPTCODE`).
    #[error("Using OP_CODESEPARATOR in non-witness script")]
    OpCodeSeparator,
    /// A signature occurs in the script that it signs (`CONST_SCRIPTCODE`).
    #[error("Signature is found in scriptCode")]
    SigFindAndDelete,
}

impl ScriptError {
    /// The name of the rule in Bitcoin Core's script test vectors, such as `EVAL_FALSE`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::EvalFalse => "EVAL_FALSE",
            Self::OpReturn => "OP_RETURN",
            Self::ScriptNum => "SCRIPTNUM",
            Self::ScriptSize => "SCRIPT_SIZE",
            Self::PushSize => "PUSH_SIZE",
            Self::OpCount => "OP_COUNT",
            Self::StackSize => "STACK_SIZE",
            Self::SigCount => "SIG_COUNT",
            Self::PubkeyCount => "PUBKEY_COUNT",
            Self::Verify => "VERIFY",
            Self::EqualVerify => "EQUALVERIFY",
            Self::CheckMultisigVerify => "CHECKMULTISIGVERIFY",
            Self::CheckSigVerify => "CHECKSIGVERIFY",
            Self::NumEqualVerify => "NUMEQUALVERIFY",
            Self::BadOpcode => "BAD_OPCODE",
            Self::DisabledOpcode => "DISABLED_OPCODE",
            Self::InvalidStackOperation => "INVALID_STACK_OPERATION",
            Self::InvalidAltstackOperation => "INVALID_ALTSTACK_OPERATION",
            Self::UnbalancedConditional => "UNBALANCED_CONDITIONAL",
            Self::NegativeLocktime => "NEGATIVE_LOCKTIME",
            Self::UnsatisfiedLocktime => "UNSATISFIED_LOCKTIME",
            Self::SigHashType => "SIG_HASHTYPE",
            Self::SigDer => "SIG_DER",
            Self::MinimalData => "MINIMALDATA",
            Self::SigPushOnly => "SIG_PUSHONLY",
            Self::SigHighS => "SIG_HIGH_S",
            Self::SigNullDummy => "SIG_NULLDUMMY",
            Self::PubkeyType => "PUBKEYTYPE",
            Self::CleanStack => "CLEANSTACK",
            Self::MinimalIf => "MINIMALIF",
            Self::SigNullFail => "NULLFAIL",
            Self::DiscourageUpgradableNops => "DISCOURAGE_UPGRADABLE_NOPS",
            Self::DiscourageUpgradableWitnessProgram => "DISCOURAGE_UPGRADABLE_WITNESS_PROGRAM",
            Self::DiscourageUpgradableTaprootVersion => "DISCOURAGE_UPGRADABLE_TAPROOT_VERSION",
            Self::DiscourageOpSuccess => "DISCOURAGE_OP_SUCCESS",
            Self::DiscourageUpgradablePubkeyType => "DISCOURAGE_UPGRADABLE_PUBKEYTYPE",
            Self::WitnessProgramWrongLength => "WITNESS_PROGRAM_WRONG_LENGTH",
            Self::WitnessProgramWitnessEmpty => "WITNESS_PROGRAM_WITNESS_EMPTY",
            Self::WitnessProgramMismatch => "WITNESS_PROGRAM_MISMATCH",
            Self::WitnessMalleated => "WITNESS_MALLEATED",
            Self::WitnessMalleatedP2sh => "WITNESS_MALLEATED_P2SH",
            Self::WitnessUnexpected => "WITNESS_UNEXPECTED",
            Self::WitnessPubkeyType => "WITNESS_PUBKEYTYPE",
            Self::SchnorrSigSize => "SCHNORR_SIG_SIZE",
            Self::SchnorrSigHashType => "SCHNORR_SIG_HASHTYPE",
            Self::SchnorrSig => "SCHNORR_SIG",
            Self::TaprootWrongControlSize => "TAPROOT_WRONG_CONTROL_SIZE",
            Self::TapscriptValidationWeight => "TAPSCRIPT_VALIDATION_WEIGHT",
            Self::TapscriptCheckMultisig => "TAPSCRIPT_CHECKMULTISIG",
            Self::TapscriptMinimalIf => "TAPSCRIPT_MINIMALIF",
            Self::TapscriptEmptyPubkey => "TAPSCRIPT_EMPTY_PUBKEY",
            Self::OpCodeSeparator => "OP_CODESEPARATOR",
            Self::SigFindAndDelete => "SIG_FINDANDDELETE",
        }
    }
}
