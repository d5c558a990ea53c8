//! Names as Rust and as a schema spell them.

/// `wait_tip_changed` as `waitTipChanged`.
pub(crate) fn camel(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    let mut upper = false;
    for letter in name.chars() {
        if letter == '_' {
            upper = !out.is_empty();
        } else if upper {
            out.extend(letter.to_uppercase());
            upper = false;
        } else {
            out.push(letter);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::camel;

    #[test]
    fn camel_case() {
        assert_eq!(camel("wait_tip_changed"), "waitTipChanged");
        assert_eq!(camel("echo"), "echo");
        assert_eq!(camel("_hidden"), "hidden");
    }
}
