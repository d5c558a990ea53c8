//! Script: whether an input may spend an output.
//!
//! [`verify`] is the whole of it; the submodules are the vocabulary that mempool policy, wallets
//! and RPC share with consensus.

mod checker;
mod encoding;
mod error;
mod flags;
pub mod instruction;
mod interpreter;
pub mod number;
pub mod opcode;
pub mod program;
pub mod sigops;
mod stack;
mod witness;

use bitcoin::{Script, Witness};

pub use checker::{
    CurveVerifier, EcdsaVersion, LeafSpend, NoSuchInput, SignatureChecker, TaprootSpend,
    TransactionChecker, Uncached,
};
pub use error::ScriptError;
pub use flags::{ScriptFlags, UnknownFlag};

use instruction::{is_push_only, push_data};
use interpreter::{Rules, evaluate};
use program::{WitnessProgram, is_p2sh};
use stack::Stack;

/// Checks that `script_sig` and `witness` satisfy `script_pubkey` under the rules of `flags`,
/// asking `checker` about the spending transaction.
///
/// # Errors
/// The first rule that is broken.
///
/// ```
/// use bitcoin::absolute::LockTime;
/// use bitcoin::{Amount, ScriptBuf, Transaction, TxIn, TxOut, transaction::Version};
/// use btc_consensus::script::{self, ScriptError, ScriptFlags, TransactionChecker};
/// use btc_consensus::sighash::Spend;
///
/// // 2 + 3 = 5 is an output that anybody can spend who can add.
/// let output = TxOut {
///     value: Amount::from_sat(1000),
///     script_pubkey: ScriptBuf::from_hex("935587")?,
/// };
/// let transaction = Transaction {
///     version: Version::TWO,
///     lock_time: LockTime::ZERO,
///     input: vec![TxIn { script_sig: ScriptBuf::from_hex("5253")?, ..TxIn::default() }],
///     output: vec![],
/// };
/// let spend = Spend::new(transaction, vec![output])?;
/// let checker = TransactionChecker::new(&spend, 0)?;
/// let input = &spend.transaction().input[0];
/// let verify = |script_pubkey| {
///     script::verify(&input.script_sig, script_pubkey, &input.witness, ScriptFlags::ALL, &checker)
/// };
/// assert_eq!(verify(&spend.prevouts()[0].script_pubkey), Ok(()));
/// assert_eq!(verify(&ScriptBuf::from_hex("935687")?), Err(ScriptError::EvalFalse));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn verify<C: SignatureChecker>(
    script_sig: &Script,
    script_pubkey: &Script,
    witness: &Witness,
    flags: ScriptFlags,
    checker: &C,
) -> Result<(), ScriptError> {
    let flags = flags.with_implied();
    let script_sig = script_sig.as_bytes();
    let script_pubkey = script_pubkey.as_bytes();
    if flags.contains(ScriptFlags::SIGPUSHONLY) && !is_push_only(script_sig) {
        return Err(ScriptError::SigPushOnly);
    }

    // One after the other on the same stack, never as one script: the first must not be able to
    // reach into the second.
    let mut stack = Stack::default();
    evaluate(&mut stack, script_sig, Rules::Legacy, flags, checker)?;
    let nested = flags.contains(ScriptFlags::P2SH) && is_p2sh(script_pubkey);
    let pushed = if nested {
        stack.items().to_vec()
    } else {
        Vec::new()
    };
    evaluate(&mut stack, script_pubkey, Rules::Legacy, flags, checker)?;
    require_true(&stack)?;

    let mut spent_program = false;
    if flags.contains(ScriptFlags::WITNESS)
        && let Some(program) = WitnessProgram::from_script(script_pubkey)
    {
        spent_program = true;
        if !script_sig.is_empty() {
            return Err(ScriptError::WitnessMalleated);
        }
        witness::verify_program(program, witness, false, flags, checker)?;
    }

    if nested {
        if !is_push_only(script_sig) {
            return Err(ScriptError::SigPushOnly);
        }
        stack = Stack::new(pushed);
        // The output script took the redeem script from the stack, so there is one.
        let redeem_script = stack.pop()?;
        evaluate(&mut stack, &redeem_script, Rules::Legacy, flags, checker)?;
        require_true(&stack)?;

        if flags.contains(ScriptFlags::WITNESS)
            && let Some(program) = WitnessProgram::from_script(&redeem_script)
        {
            spent_program = true;
            let mut only_push = Vec::with_capacity(redeem_script.len() + 1);
            push_data(&mut only_push, &redeem_script);
            if script_sig != only_push {
                return Err(ScriptError::WitnessMalleatedP2sh);
            }
            witness::verify_program(program, witness, true, flags, checker)?;
        }
    }

    // A witness program leaves its own bytes behind; its script has been held to one item already.
    if flags.contains(ScriptFlags::CLEANSTACK) && !spent_program && stack.len() != 1 {
        return Err(ScriptError::CleanStack);
    }
    if flags.contains(ScriptFlags::WITNESS) && !spent_program && !witness.is_empty() {
        return Err(ScriptError::WitnessUnexpected);
    }
    Ok(())
}

fn require_true(stack: &Stack) -> Result<(), ScriptError> {
    match stack.top_is_true() {
        Some(true) => Ok(()),
        _ => Err(ScriptError::EvalFalse),
    }
}
