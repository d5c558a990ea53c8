//! From the schema's names to Rust's.

/// `getTransactionsByTxID` to `get_transactions_by_tx_id`. A run of capitals is one word, its last letter the start of
/// the next if a small letter follows; digits stay with the word before them.
pub(crate) fn snake(name: &str) -> String {
    let chars: Vec<char> = name.chars().collect();
    let mut out = String::with_capacity(name.len() + 8);
    for (i, &c) in chars.iter().enumerate() {
        if c.is_ascii_uppercase() && i > 0 {
            let before = chars[i - 1];
            let after_small = before.is_ascii_lowercase() || before.is_ascii_digit();
            let before_small = chars.get(i + 1).is_some_and(char::is_ascii_lowercase);
            if before != '_' && (after_small || before_small) {
                out.push('_');
            }
        }
        out.push(c.to_ascii_lowercase());
    }
    out
}

/// `BlockRef` to `BLOCK_REF`, `Outer.Inner` to `OUTER_INNER`.
pub(crate) fn screaming(path: &str) -> String {
    snake(&path.replace('.', "_")).to_ascii_uppercase()
}

/// `wait_next` or `waitNext` to `WaitNext`; `Outer.Inner` to `OuterInner`.
pub(crate) fn camel(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    let mut start = true;
    for c in path.chars() {
        if c == '_' || c == '.' {
            start = true;
        } else if start {
            out.push(c.to_ascii_uppercase());
            start = false;
        } else {
            out.push(c);
        }
    }
    out
}

/// Whether `name` can stand in a generated file as an identifier (a keyword can, as a raw one).
pub(crate) fn is_identifier(name: &str) -> bool {
    let mut chars = name.chars();
    chars
        .next()
        .is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
        && name != "_"
}

/// Whether `path` can stand where a type is named: `btc_interfaces::Mining`, `crate::Whole`.
pub(crate) fn is_path(path: &str) -> bool {
    let mut parts = path.split("::").peekable();
    while parts
        .next_if(|part| ["crate", "self", "super"].contains(part))
        .is_some()
    {}
    parts.peek().is_some() && parts.all(|part| is_identifier(part) && in_code(part) == part)
}

/// Keywords that cannot be raw identifiers.
const NEVER_RAW: [&str; 4] = ["crate", "self", "super", "Self"];

/// `name` as it stands in code: keywords become raw identifiers, or get an underscore where that cannot be.
pub(crate) fn in_code(name: &str) -> String {
    const KEYWORDS: [&str; 48] = [
        "abstract", "as", "async", "await", "become", "box", "break", "const", "continue", "do",
        "dyn", "else", "enum", "extern", "false", "final", "fn", "for", "gen", "if", "impl", "in",
        "let", "loop", "macro", "match", "mod", "move", "mut", "override", "priv", "pub", "ref",
        "return", "static", "struct", "trait", "true", "try", "type", "typeof", "unsafe",
        "unsized", "use", "virtual", "where", "while", "yield",
    ];
    if NEVER_RAW.contains(&name) {
        format!("{name}_")
    } else if KEYWORDS.contains(&name) {
        format!("r#{name}")
    } else {
        name.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_found_as_a_reader_finds_them() {
        for (name, expected) in [
            ("getTip", "get_tip"),
            ("getTransactionsByTxID", "get_transactions_by_tx_id"),
            ("isRBFOptIn", "is_rbf_opt_in"),
            ("fillPSBT", "fill_psbt"),
            ("makeMiningOld2", "make_mining_old2"),
            ("block_reserved_weight", "block_reserved_weight"),
            ("v1", "v1"),
            ("utxoSetV2Info", "utxo_set_v2_info"),
            ("A", "a"),
        ] {
            assert_eq!(snake(name), expected);
        }
        assert_eq!(screaming("Outer.InnerThing"), "OUTER_INNER_THING");
        assert_eq!(screaming("BlockRef"), "BLOCK_REF");
        assert_eq!(camel("Outer.inner_thing"), "OuterInnerThing");
    }

    #[test]
    fn what_could_break_out_of_a_file_is_no_identifier() {
        for name in [
            "",
            "_",
            "1a",
            "a b",
            "a\"b",
            "a\nb",
            "operator()",
            "é",
            "r#type",
        ] {
            assert!(!is_identifier(name), "{name:?}");
        }
        assert!(is_identifier("type"));
        assert_eq!(in_code("type"), "r#type");
        assert_eq!(in_code("self"), "self_");
        for (path, right) in [
            ("crate::a::B", true),
            ("B", true),
            ("", false),
            ("crate", false),
            ("a::fn", false),
            ("std::function<int()>", false),
        ] {
            assert_eq!(is_path(path), right, "{path}");
        }
    }
}
