//! Opcodes that move items between and within the stacks.

use super::Interpreter;
use crate::script::ScriptError;
use crate::script::checker::SignatureChecker;
use crate::script::opcode::*;

impl<C: SignatureChecker> Interpreter<'_, C> {
    pub(super) fn shuffle(&mut self, opcode: u8) -> Result<(), ScriptError> {
        let stack = &mut *self.stack;
        match opcode {
            OP_TOALTSTACK => self.alternative.push(stack.pop()?),
            OP_FROMALTSTACK => {
                let item = self
                    .alternative
                    .pop()
                    .ok_or(ScriptError::InvalidAltstackOperation)?;
                stack.push(item);
            }
            OP_2DROP => stack.drop_items(2)?,
            OP_2DUP => copy_items(self, 2, 1)?,
            OP_3DUP => copy_items(self, 3, 2)?,
            OP_2OVER => copy_items(self, 2, 3)?,
            OP_2ROT => {
                stack.require(6)?;
                stack.move_to_top(5)?;
                stack.move_to_top(5)?;
            }
            OP_2SWAP => {
                stack.require(4)?;
                stack.move_to_top(3)?;
                stack.move_to_top(3)?;
            }
            OP_IFDUP => {
                if stack
                    .top_is_true()
                    .ok_or(ScriptError::InvalidStackOperation)?
                {
                    stack.copy_to_top(0)?;
                }
            }
            OP_DEPTH => stack.push_number(stack.len() as i64),
            OP_DROP => stack.drop_items(1)?,
            OP_DUP => stack.copy_to_top(0)?,
            OP_NIP => stack.remove(1)?,
            OP_OVER => stack.copy_to_top(1)?,
            OP_PICK | OP_ROLL => return self.pick(opcode),
            OP_ROT => stack.move_to_top(2)?,
            OP_SWAP => stack.move_to_top(1)?,
            OP_TUCK => stack.copy_top_below(2)?,
            _ => return Err(ScriptError::BadOpcode),
        }
        Ok(())
    }

    fn pick(&mut self, opcode: u8) -> Result<(), ScriptError> {
        self.stack.require(2)?;
        let depth = self.number(0)?;
        self.stack.drop_items(1)?;
        // A depth beyond the stack fails below; a negative one has no place there either.
        let depth = usize::try_from(depth).map_err(|_| ScriptError::InvalidStackOperation)?;
        if opcode == OP_PICK {
            self.stack.copy_to_top(depth)
        } else {
            self.stack.move_to_top(depth)
        }
    }
}

/// Pushes copies of `count` items, of which the first is at `depth`.
fn copy_items<C>(
    interpreter: &mut Interpreter<'_, C>,
    count: usize,
    depth: usize,
) -> Result<(), ScriptError> {
    interpreter.stack.require(depth + 1)?;
    // Each copy pushes the next one in line down to the same depth.
    (0..count).try_for_each(|_| interpreter.stack.copy_to_top(depth))
}
