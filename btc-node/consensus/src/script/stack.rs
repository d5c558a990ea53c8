//! The two stacks and the nesting of conditions.

use super::ScriptError;
use super::number;

/// One item on the stack.
pub(super) type Item = Vec<u8>;

/// The main stack. Depths count from the top, which is 0.
#[derive(Debug, Default)]
pub(super) struct Stack(Vec<Item>);

impl Stack {
    pub(super) fn new(items: Vec<Item>) -> Self {
        Self(items)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn items(&self) -> &[Item] {
        &self.0
    }

    /// Fails unless there are at least `count` items.
    pub(super) fn require(&self, count: usize) -> Result<(), ScriptError> {
        if self.len() < count {
            Err(ScriptError::InvalidStackOperation)
        } else {
            Ok(())
        }
    }

    fn index(&self, depth: usize) -> Result<usize, ScriptError> {
        self.len()
            .checked_sub(depth)
            .and_then(|above| above.checked_sub(1))
            .ok_or(ScriptError::InvalidStackOperation)
    }

    pub(super) fn peek(&self, depth: usize) -> Result<&Item, ScriptError> {
        Ok(&self.0[self.index(depth)?])
    }

    pub(super) fn push(&mut self, item: Item) {
        self.0.push(item);
    }

    pub(super) fn push_bool(&mut self, value: bool) {
        self.0.push(if value { vec![1] } else { Vec::new() });
    }

    pub(super) fn push_number(&mut self, value: i64) {
        self.0.push(number::encode(value));
    }

    pub(super) fn pop(&mut self) -> Result<Item, ScriptError> {
        self.0.pop().ok_or(ScriptError::InvalidStackOperation)
    }

    pub(super) fn drop_items(&mut self, count: usize) -> Result<(), ScriptError> {
        self.require(count)?;
        self.0.truncate(self.len() - count);
        Ok(())
    }

    /// Pushes a copy of the item at `depth`.
    pub(super) fn copy_to_top(&mut self, depth: usize) -> Result<(), ScriptError> {
        let item = self.peek(depth)?.clone();
        self.0.push(item);
        Ok(())
    }

    /// Moves the item at `depth` to the top.
    pub(super) fn move_to_top(&mut self, depth: usize) -> Result<(), ScriptError> {
        let index = self.index(depth)?;
        self.0[index..].rotate_left(1);
        Ok(())
    }

    pub(super) fn remove(&mut self, depth: usize) -> Result<(), ScriptError> {
        let index = self.index(depth)?;
        self.0.remove(index);
        Ok(())
    }

    /// Puts a copy of the top below the item at depth `depth - 1`.
    pub(super) fn copy_top_below(&mut self, depth: usize) -> Result<(), ScriptError> {
        self.require(depth)?;
        let item = self.peek(0)?.clone();
        let index = self.len() - depth;
        self.0.insert(index, item);
        Ok(())
    }

    /// The top item's truth; `None` if the stack is empty.
    pub(super) fn top_is_true(&self) -> Option<bool> {
        self.0.last().map(|item| number::is_true(item))
    }
}

/// The nested `OP_IF` branches, as much of them as can be observed: how many there are, and which
/// is the outermost that is not taken.
///
/// Two counters in place of a vector of booleans, so that deep nesting costs no more time per
/// opcode than none.
#[derive(Debug, Default)]
pub(super) struct Conditions {
    depth: usize,
    first_false: Option<usize>,
}

impl Conditions {
    pub(super) fn is_empty(&self) -> bool {
        self.depth == 0
    }

    pub(super) fn all_true(&self) -> bool {
        self.first_false.is_none()
    }

    pub(super) fn push(&mut self, taken: bool) {
        if !taken && self.first_false.is_none() {
            self.first_false = Some(self.depth);
        }
        self.depth += 1;
    }

    /// Leaves the innermost branch.
    pub(super) fn pop(&mut self) -> Result<(), ScriptError> {
        self.depth = self
            .depth
            .checked_sub(1)
            .ok_or(ScriptError::UnbalancedConditional)?;
        if self.first_false == Some(self.depth) {
            self.first_false = None;
        }
        Ok(())
    }

    /// Takes the innermost branch's other side.
    pub(super) fn toggle(&mut self) -> Result<(), ScriptError> {
        let innermost = self
            .depth
            .checked_sub(1)
            .ok_or(ScriptError::UnbalancedConditional)?;
        match self.first_false {
            None => self.first_false = Some(innermost),
            Some(depth) if depth == innermost => self.first_false = None,
            // An outer branch is not taken: the innermost has no effect either way.
            Some(_) => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn conditions_behave_as_a_vector_of_booleans(steps in proptest::collection::vec(0..4u8, 0..60)) {
            let mut conditions = Conditions::default();
            let mut model: Vec<bool> = Vec::new();
            for step in steps {
                match step {
                    0 | 1 => {
                        conditions.push(step == 1);
                        model.push(step == 1);
                    }
                    2 => prop_assert_eq!(conditions.pop().is_ok(), model.pop().is_some()),
                    _ => {
                        let top = model.last_mut().map(|top| *top = !*top);
                        prop_assert_eq!(conditions.toggle().is_ok(), top.is_some());
                    }
                }
                prop_assert_eq!(conditions.all_true(), model.iter().all(|taken| *taken));
                prop_assert_eq!(conditions.is_empty(), model.is_empty());
            }
        }
    }
}
