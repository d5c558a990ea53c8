//! Spending witness programs (BIPs 141, 341 and 342).

use bitcoin::Witness;
use bitcoin::hashes::{Hash, sha256};
use bitcoin::secp256k1::{Parity, Scalar, XOnlyPublicKey};

use super::checker::{SignatureChecker, TaprootSpend};
use super::instruction::Instructions;
use super::interpreter::{Rules, Tapscript, evaluate};
use super::opcode::{OP_CHECKSIG, OP_DUP, OP_EQUALVERIFY, OP_HASH160, is_success};
use super::program::WitnessProgram;
use super::stack::Stack;
use super::{ScriptError, ScriptFlags};
use crate::curve::secp;
use crate::limits::{MAX_SCRIPT_ELEMENT_SIZE, MAX_STACK_SIZE};
use crate::sighash::{annex_hash, branch_hash, leaf_hash, tweak_hash};

/// The first byte of an annex.
const ANNEX_TAG: u8 = 0x50;
/// The bits of a control block's first byte that are the leaf's version.
const LEAF_VERSION_MASK: u8 = 0xfe;
/// The leaf version of tapscript.
const TAPSCRIPT_LEAF: u8 = 0xc0;
/// A control block is this long, and longer by a hash for each level of the tree.
const CONTROL_BASE: usize = 33;
/// The deepest leaf.
const MAX_DEPTH: usize = 128;
/// The weight that tapscript may spend on signatures beyond its witness's size.
const WEIGHT_ALLOWANCE: i64 = 50;

/// Checks that `witness` satisfies `program`.
pub(super) fn verify_program<C: SignatureChecker>(
    program: WitnessProgram<'_>,
    witness: &Witness,
    nested: bool,
    flags: ScriptFlags,
    checker: &C,
) -> Result<(), ScriptError> {
    match (program.version, program.program) {
        (0, bytes) => match (<&[u8; 32]>::try_from(bytes), <&[u8; 20]>::try_from(bytes)) {
            (Ok(script_hash), _) => verify_script_hash(script_hash, witness, flags, checker),
            (_, Ok(key_hash)) => verify_key_hash(key_hash, witness, flags, checker),
            _ => Err(ScriptError::WitnessProgramWrongLength),
        },
        (1, bytes) if !nested && bytes.len() == 32 => {
            let output_key = bytes
                .try_into()
                .map_err(|_| ScriptError::WitnessProgramMismatch)?;
            verify_taproot(output_key, witness, flags, checker)
        }
        _ if !nested && program.is_anchor() => Ok(()),
        _ if flags.contains(ScriptFlags::DISCOURAGE_UPGRADABLE_WITNESS_PROGRAM) => {
            Err(ScriptError::DiscourageUpgradableWitnessProgram)
        }
        // Left to future soft forks.
        _ => Ok(()),
    }
}

fn verify_script_hash<C: SignatureChecker>(
    script_hash: &[u8; 32],
    witness: &Witness,
    flags: ScriptFlags,
    checker: &C,
) -> Result<(), ScriptError> {
    let items: Vec<&[u8]> = witness.iter().collect();
    let Some((script, arguments)) = items.split_last() else {
        return Err(ScriptError::WitnessProgramWitnessEmpty);
    };
    if sha256::Hash::hash(script).as_byte_array() != script_hash {
        return Err(ScriptError::WitnessProgramMismatch);
    }
    execute(arguments, script, Rules::WitnessV0, flags, checker)
}

fn verify_key_hash<C: SignatureChecker>(
    key_hash: &[u8; 20],
    witness: &Witness,
    flags: ScriptFlags,
    checker: &C,
) -> Result<(), ScriptError> {
    if witness.len() != 2 {
        return Err(ScriptError::WitnessProgramMismatch);
    }
    let arguments: Vec<&[u8]> = witness.iter().collect();
    let mut script = vec![OP_DUP, OP_HASH160, 20];
    script.extend_from_slice(key_hash);
    script.extend([OP_EQUALVERIFY, OP_CHECKSIG]);
    execute(&arguments, &script, Rules::WitnessV0, flags, checker)
}

fn verify_taproot<C: SignatureChecker>(
    output_key: &[u8; 32],
    witness: &Witness,
    flags: ScriptFlags,
    checker: &C,
) -> Result<(), ScriptError> {
    if !flags.contains(ScriptFlags::TAPROOT) {
        return Ok(());
    }
    let items: Vec<&[u8]> = witness.iter().collect();
    let (items, annex_hash) = match &items[..] {
        [rest @ .., annex] if !rest.is_empty() && annex.first() == Some(&ANNEX_TAG) => {
            (rest, Some(annex_hash(annex)))
        }
        all => (all, None),
    };
    match items {
        [] => Err(ScriptError::WitnessProgramWitnessEmpty),
        [signature] => checker.check_schnorr(
            signature,
            output_key,
            &TaprootSpend {
                annex_hash,
                leaf: None,
            },
        ),
        [arguments @ .., script, control] => {
            let leaf_version = control_leaf_version(control)?;
            let leaf_hash = leaf_hash(leaf_version, script);
            if !commits_to(output_key, control, leaf_hash) {
                return Err(ScriptError::WitnessProgramMismatch);
            }
            if leaf_version == TAPSCRIPT_LEAF {
                let rules = Rules::Tapscript(Tapscript {
                    annex_hash,
                    leaf_hash,
                    weight_left: witness.size() as i64 + WEIGHT_ALLOWANCE,
                    code_separator: Tapscript::NO_SEPARATOR,
                });
                return execute_tapscript(arguments, script, rules, flags, checker);
            }
            if flags.contains(ScriptFlags::DISCOURAGE_UPGRADABLE_TAPROOT_VERSION) {
                return Err(ScriptError::DiscourageUpgradableTaprootVersion);
            }
            Ok(())
        }
    }
}

/// The leaf version in a control block of right size.
fn control_leaf_version(control: &[u8]) -> Result<u8, ScriptError> {
    let path = control.len().checked_sub(CONTROL_BASE);
    match (control.first(), path) {
        (Some(first), Some(path)) if path % 32 == 0 && path / 32 <= MAX_DEPTH => {
            Ok(first & LEAF_VERSION_MASK)
        }
        _ => Err(ScriptError::TaprootWrongControlSize),
    }
}

/// Whether the output key is the control block's internal key tweaked by a tree with this leaf.
fn commits_to(output_key: &[u8; 32], control: &[u8], leaf_hash: sha256::Hash) -> bool {
    let [first, rest @ ..] = control else {
        return false;
    };
    let Some((internal_key, path)) = rest.split_first_chunk::<32>() else {
        return false;
    };
    let (path, _) = path.as_chunks::<32>();
    let root = path.iter().fold(leaf_hash, |node, sibling| {
        branch_hash(node.as_byte_array(), sibling)
    });
    let tweak = tweak_hash(internal_key, &root);
    let (Ok(internal), Ok(output), Ok(tweak)) = (
        XOnlyPublicKey::from_slice(internal_key),
        XOnlyPublicKey::from_slice(output_key),
        Scalar::from_be_bytes(tweak.to_byte_array()),
    ) else {
        return false;
    };
    let parity = if first & 1 == 1 {
        Parity::Odd
    } else {
        Parity::Even
    };
    internal.tweak_add_check(secp(), &output, parity, tweak)
}

fn execute_tapscript<C: SignatureChecker>(
    arguments: &[&[u8]],
    script: &[u8],
    rules: Rules,
    flags: ScriptFlags,
    checker: &C,
) -> Result<(), ScriptError> {
    // An OP_SUCCESS anywhere decides, even before what could not be decoded after it, and before
    // every limit.
    for step in Instructions::new(script) {
        if is_success(step?.opcode) {
            return if flags.contains(ScriptFlags::DISCOURAGE_OP_SUCCESS) {
                Err(ScriptError::DiscourageOpSuccess)
            } else {
                Ok(())
            };
        }
    }
    if arguments.len() > MAX_STACK_SIZE {
        return Err(ScriptError::StackSize);
    }
    execute(arguments, script, rules, flags, checker)
}

/// Runs a witness script, which must leave exactly one true item.
fn execute<C: SignatureChecker>(
    arguments: &[&[u8]],
    script: &[u8],
    rules: Rules,
    flags: ScriptFlags,
    checker: &C,
) -> Result<(), ScriptError> {
    if arguments
        .iter()
        .any(|item| item.len() > MAX_SCRIPT_ELEMENT_SIZE)
    {
        return Err(ScriptError::PushSize);
    }
    let mut stack = Stack::new(arguments.iter().map(|item| item.to_vec()).collect());
    evaluate(&mut stack, script, rules, flags, checker)?;
    if stack.len() != 1 {
        return Err(ScriptError::CleanStack);
    }
    match stack.top_is_true() {
        Some(true) => Ok(()),
        _ => Err(ScriptError::EvalFalse),
    }
}
