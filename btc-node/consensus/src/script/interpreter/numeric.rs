//! Arithmetic and comparison.

use super::Interpreter;
use crate::script::ScriptError;
use crate::script::checker::SignatureChecker;
use crate::script::opcode::*;

impl<C: SignatureChecker> Interpreter<'_, C> {
    /// Operands are at most four bytes long, so no result can overflow.
    pub(super) fn compute(&mut self, opcode: u8) -> Result<(), ScriptError> {
        match opcode {
            OP_1ADD..=OP_0NOTEQUAL => self.unary(opcode),
            OP_ADD..=OP_MAX => self.binary(opcode),
            OP_WITHIN => {
                self.stack.require(3)?;
                let (value, min, max) = (self.number(2)?, self.number(1)?, self.number(0)?);
                self.stack.drop_items(3)?;
                self.stack.push_bool((min..max).contains(&value));
                Ok(())
            }
            _ => Err(ScriptError::BadOpcode),
        }
    }

    fn unary(&mut self, opcode: u8) -> Result<(), ScriptError> {
        let operand = self.number(0)?;
        let result = match opcode {
            OP_1ADD => operand + 1,
            OP_1SUB => operand - 1,
            OP_NEGATE => -operand,
            OP_ABS => operand.abs(),
            OP_NOT => i64::from(operand == 0),
            OP_0NOTEQUAL => i64::from(operand != 0),
            _ => return Err(ScriptError::BadOpcode),
        };
        self.stack.drop_items(1)?;
        self.stack.push_number(result);
        Ok(())
    }

    fn binary(&mut self, opcode: u8) -> Result<(), ScriptError> {
        self.stack.require(2)?;
        let (left, right) = (self.number(1)?, self.number(0)?);
        let result = match opcode {
            OP_ADD => left + right,
            OP_SUB => left - right,
            OP_BOOLAND => i64::from(left != 0 && right != 0),
            OP_BOOLOR => i64::from(left != 0 || right != 0),
            OP_NUMEQUAL | OP_NUMEQUALVERIFY => i64::from(left == right),
            OP_NUMNOTEQUAL => i64::from(left != right),
            OP_LESSTHAN => i64::from(left < right),
            OP_GREATERTHAN => i64::from(left > right),
            OP_LESSTHANOREQUAL => i64::from(left <= right),
            OP_GREATERTHANOREQUAL => i64::from(left >= right),
            OP_MIN => left.min(right),
            OP_MAX => left.max(right),
            _ => return Err(ScriptError::BadOpcode),
        };
        self.stack.drop_items(2)?;
        self.stack.push_number(result);
        if opcode == OP_NUMEQUALVERIFY {
            return self.verify(left == right, ScriptError::NumEqualVerify);
        }
        Ok(())
    }
}
