//! Rust as rustfmt would print it, for the few expressions that tables are made of.

/// The settings of rustfmt that bear on the output; its defaults unless told otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Format {
    /// `max_width`.
    pub max_width: usize,
    /// `use_small_heuristics = "Max"`: whatever fits on a line goes on a line.
    pub wide: bool,
}

impl Default for Format {
    fn default() -> Self {
        Self {
            max_width: 100,
            wide: false,
        }
    }
}

impl Format {
    // rustfmt widens its limits with the line, in tenths.
    fn scaled(self, width: usize) -> usize {
        if self.wide {
            self.max_width
        } else {
            let tenths = ((self.max_width + 5) / 10).max(10);
            (width * tenths + 5) / 10
        }
    }

    fn call_width(self) -> usize {
        self.scaled(60)
    }

    fn array_width(self) -> usize {
        self.scaled(60)
    }

    fn struct_width(self) -> usize {
        self.scaled(18)
    }
}

/// An expression.
pub(crate) enum Expr {
    /// Something that does not break.
    Atom(String),
    /// `name(arguments)`.
    Call(&'static str, Vec<Expr>),
    /// `&[elements]`.
    Slice(Vec<Expr>),
    /// `Name { fields }`.
    Literal(&'static str, Vec<(&'static str, Expr)>),
}

impl Expr {
    pub(crate) fn string(text: &str) -> Self {
        Self::Atom(format!("{text:?}"))
    }

    pub(crate) fn number(value: impl ToString) -> Self {
        Self::Atom(value.to_string())
    }

    fn flat(&self, format: Format) -> Option<String> {
        let joined = |list: &[Self], width: usize| {
            let parts: Option<Vec<String>> = list.iter().map(|e| e.flat(format)).collect();
            parts.map(|p| p.join(", ")).filter(|s| s.len() <= width)
        };
        match self {
            Self::Atom(text) => Some(text.clone()),
            Self::Call(name, args) => {
                joined(args, format.call_width()).map(|args| format!("{name}({args})"))
            }
            Self::Slice(elements) => {
                joined(elements, format.array_width()).map(|inner| format!("&[{inner}]"))
            }
            Self::Literal(name, fields) => {
                let parts: Option<Vec<String>> = fields
                    .iter()
                    .map(|(field, value)| value.flat(format).map(|v| format!("{field}: {v}")))
                    .collect();
                parts
                    .map(|p| p.join(", "))
                    .filter(|s| s.len() <= format.struct_width())
                    .map(|inner| format!("{name} {{ {inner} }}"))
            }
        }
    }

    /// Prints at `indent`, where `before` columns of the line are taken (the indent included) and `after` must remain.
    pub(crate) fn print(
        &self,
        out: &mut String,
        format: Format,
        indent: usize,
        before: usize,
        after: usize,
    ) {
        if let Some(flat) = self.flat(format)
            && before + flat.len() + after <= format.max_width
        {
            out.push_str(&flat);
            return;
        }
        let inner = indent + 4;
        let pad = " ".repeat(inner);
        let close = " ".repeat(indent);
        match self {
            Self::Atom(text) => out.push_str(text),
            Self::Call(name, args) => {
                out.push_str(name);
                out.push_str("(\n");
                for arg in args {
                    out.push_str(&pad);
                    arg.print(out, format, inner, inner, 1);
                    out.push_str(",\n");
                }
                out.push_str(&close);
                out.push(')');
            }
            // A single element hugs its brackets.
            Self::Slice(elements)
                if matches!(&elements[..], [Self::Call(..) | Self::Literal(..)]) =>
            {
                out.push_str("&[");
                elements[0].print_broken(out, format, indent);
                out.push(']');
            }
            Self::Slice(elements) => {
                out.push_str("&[\n");
                for element in elements {
                    out.push_str(&pad);
                    element.print(out, format, inner, inner, 1);
                    out.push_str(",\n");
                }
                out.push_str(&close);
                out.push(']');
            }
            Self::Literal(name, fields) => {
                out.push_str(name);
                out.push_str(" {\n");
                for (field, value) in fields {
                    out.push_str(&pad);
                    out.push_str(field);
                    out.push_str(": ");
                    value.print(out, format, inner, inner + field.len() + 2, 1);
                    out.push_str(",\n");
                }
                out.push_str(&close);
                out.push('}');
            }
        }
    }

    fn print_broken(&self, out: &mut String, format: Format, indent: usize) {
        // No line is left for it, so that it must break.
        self.print(out, format, indent, format.max_width, 1);
    }
}

/// Comment lines for `text`, as `prefix` (`///` or `//!`) marks them at `indent`.
///
/// What rustdoc would take for markup that the schema's author did not mean is escaped: links, tags, tests.
pub(crate) fn doc(out: &mut String, prefix: &str, indent: usize, text: &str) {
    let pad = " ".repeat(indent);
    let mut fenced = false;
    for line in text.trim_end().lines() {
        let line: String = line
            .chars()
            .map(|c| if is_invisible(c) { ' ' } else { c })
            .collect();
        let line = line.trim_end();
        let trimmed = line.trim_start();
        // Four blanks would start a block of code, which rustdoc takes for a test.
        let lead = " ".repeat((line.len() - trimmed.len()).min(3));
        let body = if trimmed.starts_with("```") || trimmed.starts_with("~~~") {
            fenced = !fenced;
            if fenced {
                format!("{}text", &trimmed[..3])
            } else {
                trimmed.to_owned()
            }
        } else if fenced {
            trimmed.to_owned()
        } else {
            escape_markup(trimmed)
        };
        out.push_str(&pad);
        out.push_str(prefix);
        if !body.is_empty() {
            out.push(' ');
            out.push_str(&lead);
            out.push_str(&body);
        }
        out.push('\n');
    }
    if fenced {
        out.push_str(&pad);
        out.push_str(prefix);
        out.push_str(" ```\n");
    }
}

/// Control characters, and those that change the direction of writing, which could make code look like a comment.
fn is_invisible(c: char) -> bool {
    c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn escape_markup(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    // An unpaired backtick opens no code.
    let mut ticks = line.matches('`').count();
    let mut code = false;
    for c in line.chars() {
        if c == '`' {
            ticks -= 1;
            code = !code && ticks > 0;
        } else if !code && matches!(c, '[' | ']' | '<' | '>') {
            out.push('\\');
        }
        out.push(c);
    }
    // rustdoc wants addresses marked as such.
    if !out.contains('`') && (out.contains("http://") || out.contains("https://")) {
        out = out
            .split(' ')
            .map(|word| {
                if word.starts_with("http://") || word.starts_with("https://") {
                    format!("<{word}>")
                } else {
                    word.to_owned()
                }
            })
            .collect::<Vec<_>>()
            .join(" ");
    }
    out
}

/// A number with its digits in groups: `0x9c44_e664`, `2_100_000`.
pub(crate) fn hex(value: u64) -> String {
    let digits = if value > u64::from(u32::MAX) {
        format!("{value:016x}")
    } else if value > u64::from(u16::MAX) {
        format!("{value:08x}")
    } else {
        return format!("0x{value:x}");
    };
    format!("0x{}", grouped(&digits, 4))
}

/// A decimal number with its digits in groups of three from five digits on.
pub(crate) fn decimal(value: i128) -> String {
    let digits = value.unsigned_abs().to_string();
    let sign = if value < 0 { "-" } else { "" };
    if digits.len() < 5 {
        format!("{sign}{digits}")
    } else {
        format!("{sign}{}", grouped(&digits, 3))
    }
}

fn grouped(digits: &str, size: usize) -> String {
    let mut out = String::new();
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(size) {
            out.push('_');
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        assert_eq!(hex(1), "0x1");
        assert_eq!(hex(0x9c44_e664_5d0b_22c6), "0x9c44_e664_5d0b_22c6");
        assert_eq!(hex(0x1_2345), "0x0001_2345");
        assert_eq!(decimal(8000), "8000");
        assert_eq!(decimal(-2_100_000_000_000_000), "-2_100_000_000_000_000");
    }

    #[test]
    fn comments_carry_no_markup_of_their_own() {
        let mut out = String::new();
        doc(
            &mut out,
            "///",
            0,
            "See [1] of List(<T>) and `[x]`.\n\n      let x = 1;\n```\nrun()\n```\nat https://example.org now\r\u{7}",
        );
        assert_eq!(
            out,
            "/// See \\[1\\] of List(\\<T\\>) and `[x]`.\n///\n///    let x = 1;\n/// ```text\n/// run()\n/// ```\n\
             /// at <https://example.org> now\n"
        );
    }
}
