//! Arithmetic. Nothing here knows of processes.

use mp_core::Error;

/// Parentheses within parentheses that are followed before the expression is refused.
const DEEPEST: u32 = 100;

/// Works out `text`; `step` is told each operation, such as `3 + 4 = 7`.
///
/// # Errors
/// What is wrong with the text; a division by zero; what `step` gives.
pub fn evaluate(
    text: &str,
    step: &mut dyn FnMut(String) -> Result<(), Error>,
) -> Result<f64, Error> {
    let mut reader = Reader {
        rest: text,
        depth: 0,
        step,
    };
    let value = reader.sum()?;
    match reader.peek() {
        None => Ok(value),
        Some(letter) => Err(Error::failed(format!("'{letter}' is not expected here"))),
    }
}

struct Reader<'a> {
    rest: &'a str,
    depth: u32,
    step: &'a mut dyn FnMut(String) -> Result<(), Error>,
}

impl Reader<'_> {
    fn peek(&mut self) -> Option<char> {
        self.rest = self.rest.trim_start();
        self.rest.chars().next()
    }

    /// Takes one of the letters, if it comes next.
    fn take(&mut self, letters: &[char]) -> Option<char> {
        let letter = self.peek().filter(|letter| letters.contains(letter))?;
        self.rest = &self.rest[letter.len_utf8()..];
        Some(letter)
    }

    fn sum(&mut self) -> Result<f64, Error> {
        let mut left = self.product()?;
        while let Some(sign) = self.take(&['+', '-']) {
            let right = self.product()?;
            left = self.operation(left, sign, right)?;
        }
        Ok(left)
    }

    fn product(&mut self) -> Result<f64, Error> {
        let mut left = self.factor()?;
        while let Some(sign) = self.take(&['*', '/']) {
            let right = self.factor()?;
            left = self.operation(left, sign, right)?;
        }
        Ok(left)
    }

    fn factor(&mut self) -> Result<f64, Error> {
        if self.take(&['(']).is_some() {
            self.depth += 1;
            if self.depth > DEEPEST {
                return Err(Error::failed("too many parentheses"));
            }
            let value = self.sum()?;
            self.depth -= 1;
            return match self.take(&[')']) {
                Some(_) => Ok(value),
                None => Err(Error::failed("a parenthesis is not closed")),
            };
        }
        self.peek();
        let end = self
            .rest
            .find(|letter: char| !letter.is_ascii_digit() && letter != '.')
            .unwrap_or(self.rest.len());
        let (number, rest) = self.rest.split_at(end);
        self.rest = rest;
        number
            .parse()
            .map_err(|_| Error::failed("a number is missing"))
    }

    fn operation(&mut self, left: f64, sign: char, right: f64) -> Result<f64, Error> {
        let value = match sign {
            '+' => left + right,
            '-' => left - right,
            '*' => left * right,
            _ if right == 0.0 => return Err(Error::failed("division by zero")),
            _ => left / right,
        };
        (self.step)(format!("{left} {sign} {right} = {value}"))?;
        Ok(value)
    }
}
