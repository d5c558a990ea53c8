//! Running a script: the loop, its limits, and flow control.

mod numeric;
mod shuffle;
mod signatures;

use bitcoin::hashes::{Hash, hash160, ripemd160, sha1, sha256, sha256d};

use super::checker::SignatureChecker;
use super::instruction::{Instruction, Instructions};
use super::opcode::*;
use super::stack::{Conditions, Item, Stack};
use super::{ScriptError, ScriptFlags, number};
use crate::limits::{MAX_OPS_PER_SCRIPT, MAX_SCRIPT_ELEMENT_SIZE, MAX_SCRIPT_SIZE, MAX_STACK_SIZE};

/// The bit of a sequence number, and of an `OP_CHECKSEQUENCEVERIFY` operand, that turns relative
/// lock times off (BIP 68).
const SEQUENCE_DISABLE: i64 = 1 << 31;

/// Which rules a script runs under.
#[derive(Debug)]
pub(super) enum Rules {
    /// An output script, a scriptSig or a redeem script.
    Legacy,
    /// A version 0 witness script (BIP 143).
    WitnessV0,
    /// A taproot leaf of version 0xc0 (BIP 342).
    Tapscript(Tapscript),
}

/// What tapscript carries besides the stack.
#[derive(Debug)]
pub(super) struct Tapscript {
    pub(super) annex_hash: Option<sha256::Hash>,
    pub(super) leaf_hash: sha256::Hash,
    /// The weight that is left to pay for signature checks.
    pub(super) weight_left: i64,
    /// The position of the last executed `OP_CODESEPARATOR`.
    pub(super) code_separator: u32,
}

impl Tapscript {
    /// The code separator position that means none was executed.
    pub(super) const NO_SEPARATOR: u32 = u32::MAX;
}

/// Runs `script` on `stack`.
pub(super) fn evaluate<C: SignatureChecker>(
    stack: &mut Stack,
    script: &[u8],
    rules: Rules,
    flags: ScriptFlags,
    checker: &C,
) -> Result<(), ScriptError> {
    let interpreter = Interpreter {
        script,
        rules,
        flags,
        checker,
        stack,
        alternative: Vec::new(),
        conditions: Conditions::default(),
        op_count: 0,
        code_start: 0,
    };
    interpreter.run()
}

struct Interpreter<'a, C> {
    script: &'a [u8],
    rules: Rules,
    flags: ScriptFlags,
    checker: &'a C,
    stack: &'a mut Stack,
    alternative: Vec<Item>,
    conditions: Conditions,
    /// Opcodes above `OP_16` so far, and keys of multisignatures.
    op_count: usize,
    /// Where the code that signatures commit to starts: after the last executed separator.
    code_start: usize,
}

/// Where in the script the loop is.
#[derive(Clone, Copy)]
struct Place {
    /// The number of the instruction.
    position: u32,
    /// The offset of the byte after it.
    next: usize,
}

impl<C: SignatureChecker> Interpreter<'_, C> {
    fn run(mut self) -> Result<(), ScriptError> {
        if !self.is_tapscript() && self.script.len() > MAX_SCRIPT_SIZE {
            return Err(ScriptError::ScriptSize);
        }
        let mut instructions = Instructions::new(self.script);
        let mut position = 0;
        while let Some(instruction) = instructions.next() {
            let instruction = instruction?;
            self.check_instruction(instruction)?;
            let executing = self.conditions.all_true();
            if instruction.opcode <= OP_PUSHDATA4 {
                if executing {
                    if self.minimal() && !instruction.is_minimal_push() {
                        return Err(ScriptError::MinimalData);
                    }
                    self.stack.push(instruction.data.to_vec());
                }
            } else if executing || (OP_IF..=OP_ENDIF).contains(&instruction.opcode) {
                let place = Place {
                    position,
                    next: instructions.position(),
                };
                self.execute(instruction.opcode, place, executing)?;
            }
            if self.stack.len() + self.alternative.len() > MAX_STACK_SIZE {
                return Err(ScriptError::StackSize);
            }
            position += 1;
        }
        if self.conditions.is_empty() {
            Ok(())
        } else {
            Err(ScriptError::UnbalancedConditional)
        }
    }

    /// The rules that hold for every instruction, executed or not.
    fn check_instruction(&mut self, instruction: Instruction<'_>) -> Result<(), ScriptError> {
        let opcode = instruction.opcode;
        if instruction.data.len() > MAX_SCRIPT_ELEMENT_SIZE {
            return Err(ScriptError::PushSize);
        }
        if opcode > OP_16 && !self.is_tapscript() {
            self.count_ops(1)?;
        }
        if is_disabled(opcode) {
            return Err(ScriptError::DisabledOpcode);
        }
        if opcode == OP_CODESEPARATOR
            && matches!(self.rules, Rules::Legacy)
            && self.enforces(ScriptFlags::CONST_SCRIPTCODE)
        {
            return Err(ScriptError::OpCodeSeparator);
        }
        Ok(())
    }

    fn execute(&mut self, opcode: u8, place: Place, executing: bool) -> Result<(), ScriptError> {
        match opcode {
            OP_1NEGATE => self.stack.push_number(-1),
            OP_1..=OP_16 => self.stack.push_number(i64::from(opcode - OP_1) + 1),

            OP_NOP => {}
            OP_CHECKLOCKTIMEVERIFY => return self.check_lock_time(),
            OP_CHECKSEQUENCEVERIFY => return self.check_sequence(),
            OP_NOP1 | OP_NOP4..=OP_NOP10 => {
                if self.enforces(ScriptFlags::DISCOURAGE_UPGRADABLE_NOPS) {
                    return Err(ScriptError::DiscourageUpgradableNops);
                }
            }
            OP_IF | OP_NOTIF => return self.enter_branch(opcode, executing),
            OP_ELSE => return self.conditions.toggle(),
            OP_ENDIF => return self.conditions.pop(),
            OP_VERIFY => {
                let value = self
                    .stack
                    .top_is_true()
                    .ok_or(ScriptError::InvalidStackOperation)?;
                return self.verify(value, ScriptError::Verify);
            }
            OP_RETURN => return Err(ScriptError::OpReturn),

            OP_TOALTSTACK..=OP_TUCK => return self.shuffle(opcode),
            OP_SIZE => {
                let length = self.stack.peek(0)?.len();
                self.stack.push_number(length as i64);
            }
            OP_EQUAL | OP_EQUALVERIFY => {
                self.stack.require(2)?;
                let equal = self.stack.peek(0)? == self.stack.peek(1)?;
                self.stack.drop_items(2)?;
                self.stack.push_bool(equal);
                if opcode == OP_EQUALVERIFY {
                    return self.verify(equal, ScriptError::EqualVerify);
                }
            }
            OP_1ADD..=OP_WITHIN => return self.compute(opcode),
            OP_RIPEMD160..=OP_HASH256 => return self.hash(opcode),
            OP_CODESEPARATOR => {
                self.code_start = place.next;
                if let Rules::Tapscript(tapscript) = &mut self.rules {
                    tapscript.code_separator = place.position;
                }
            }
            OP_CHECKSIG | OP_CHECKSIGVERIFY => return self.check_sig(opcode),
            OP_CHECKSIGADD => return self.check_sig_add(),
            OP_CHECKMULTISIG | OP_CHECKMULTISIGVERIFY => return self.check_multisig(opcode),
            _ => return Err(ScriptError::BadOpcode),
        }
        Ok(())
    }

    fn enforces(&self, flag: ScriptFlags) -> bool {
        self.flags.contains(flag)
    }

    fn minimal(&self) -> bool {
        self.enforces(ScriptFlags::MINIMALDATA)
    }

    fn is_tapscript(&self) -> bool {
        matches!(self.rules, Rules::Tapscript(_))
    }

    fn count_ops(&mut self, count: usize) -> Result<(), ScriptError> {
        self.op_count += count;
        if self.op_count > MAX_OPS_PER_SCRIPT {
            Err(ScriptError::OpCount)
        } else {
            Ok(())
        }
    }

    /// The item at `depth` as an operand of arithmetic.
    fn number(&self, depth: usize) -> Result<i64, ScriptError> {
        number::decode(self.stack.peek(depth)?, number::MAX_LEN, self.minimal())
    }

    /// Drops the top if it is true, as the `VERIFY` forms of opcodes do.
    fn verify(&mut self, value: bool, error: ScriptError) -> Result<(), ScriptError> {
        if value {
            self.stack.drop_items(1)
        } else {
            Err(error)
        }
    }

    fn enter_branch(&mut self, opcode: u8, executing: bool) -> Result<(), ScriptError> {
        let mut taken = false;
        if executing {
            let condition = self.stack.pop()?;
            let minimal = matches!(condition[..], [] | [1]);
            match self.rules {
                Rules::Tapscript(_) if !minimal => return Err(ScriptError::TapscriptMinimalIf),
                Rules::WitnessV0 if !minimal && self.enforces(ScriptFlags::MINIMALIF) => {
                    return Err(ScriptError::MinimalIf);
                }
                _ => {}
            }
            taken = number::is_true(&condition) != (opcode == OP_NOTIF);
        }
        self.conditions.push(taken);
        Ok(())
    }

    fn lock_time_operand(&self) -> Result<i64, ScriptError> {
        let operand = self.stack.peek(0)?;
        let value = number::decode(operand, number::MAX_LOCK_TIME_LEN, self.minimal())?;
        if value < 0 {
            Err(ScriptError::NegativeLocktime)
        } else {
            Ok(value)
        }
    }

    fn check_lock_time(&self) -> Result<(), ScriptError> {
        if !self.enforces(ScriptFlags::CHECKLOCKTIMEVERIFY) {
            return Ok(());
        }
        let lock_time = self.lock_time_operand()?;
        if self.checker.check_lock_time(lock_time) {
            Ok(())
        } else {
            Err(ScriptError::UnsatisfiedLocktime)
        }
    }

    fn check_sequence(&self) -> Result<(), ScriptError> {
        if !self.enforces(ScriptFlags::CHECKSEQUENCEVERIFY) {
            return Ok(());
        }
        let sequence = self.lock_time_operand()?;
        if sequence & SEQUENCE_DISABLE != 0 || self.checker.check_sequence(sequence) {
            Ok(())
        } else {
            Err(ScriptError::UnsatisfiedLocktime)
        }
    }

    fn hash(&mut self, opcode: u8) -> Result<(), ScriptError> {
        let item = self.stack.pop()?;
        self.stack.push(match opcode {
            OP_RIPEMD160 => ripemd160::Hash::hash(&item).to_byte_array().to_vec(),
            OP_SHA1 => sha1::Hash::hash(&item).to_byte_array().to_vec(),
            OP_SHA256 => sha256::Hash::hash(&item).to_byte_array().to_vec(),
            OP_HASH160 => hash160::Hash::hash(&item).to_byte_array().to_vec(),
            OP_HASH256 => sha256d::Hash::hash(&item).to_byte_array().to_vec(),
            _ => return Err(ScriptError::BadOpcode),
        });
        Ok(())
    }
}
