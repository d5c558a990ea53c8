//! Holds the lists of options in docs/known-differences.md to the table that the programs read their options by.
//! With UPDATE_DOCS=1 it writes them.

use btc_interfaces::args::{Effect, Program, table};
use std::fs;
use std::path::Path;

/// The options of the node with one of these effects, as a paragraph of Markdown.
fn paragraph(effects: &[Effect]) -> String {
    let mut names: Vec<_> = table::of(Program::Node)
        .filter(|spec| effects.contains(&spec.effect))
        .map(|spec| spec.name())
        .collect();
    names.sort_unstable();
    names.dedup();
    let mut text = String::new();
    let mut width = 0;
    for (index, name) in names.iter().enumerate() {
        let word = format!(
            "`-{name}`{}",
            if index + 1 == names.len() { "." } else { "," }
        );
        if width > 0 && width + 1 + word.len() > 118 {
            text.push('\n');
            width = 0;
        } else if width > 0 {
            text.push(' ');
            width += 1;
        }
        text.push_str(&word);
        width += word.len();
    }
    text
}

#[test]
fn options_without_effect_are_listed() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/known-differences.md");
    let written = fs::read_to_string(&path).expect("the page is there");
    let mut expected = written.clone();
    for (mark, effects) in [
        ("refused", vec![Effect::Refused]),
        ("pending", vec![Effect::Pending, Effect::PendingAlways]),
    ] {
        let start = format!("<!-- {mark} -->\n");
        let from = expected
            .find(&start)
            .unwrap_or_else(|| panic!("the page has no mark '{mark}'"))
            + start.len();
        let to = from
            + expected[from..]
                .find("<!-- end -->")
                .expect("every mark has an end");
        expected.replace_range(from..to, &format!("\n{}\n\n", paragraph(&effects)));
    }
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, &expected).expect("the page can be written");
    }
    let written = fs::read_to_string(&path).expect("the page is there");
    assert_eq!(written, expected, "run this test with UPDATE_DOCS=1");
}
