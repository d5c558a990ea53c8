//! Holds the tables of RPC methods to what Core's are, and the list of those that are not there to the truth. With
//! UPDATE_DOCS=1 it writes that list.

use btc_interfaces::rpc::table::{Arg, Kind, Method};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// A method as Core has it.
struct Known {
    category: &'static str,
    arguments: Vec<&'static str>,
}

fn core() -> BTreeMap<&'static str, Known> {
    let lines = include_str!("data/rpc_surface.tsv").lines();
    lines
        .map(|line| {
            let mut fields = line.split('\t');
            let mut next = || fields.next().expect("a line has three fields");
            let (name, category, arguments) = (next(), next(), next());
            let known = Known {
                category,
                arguments: arguments.split_whitespace().collect(),
            };
            (name, known)
        })
        .collect()
}

fn ours() -> BTreeMap<&'static str, &'static Method> {
    let node = btc_node::rpc::tables().into_iter();
    let all = node.chain(btc_wallet::rpc_tables());
    all.map(|method| (method.name, method)).collect()
}

/// Methods whose tables are made where the node is put together.
const ELSEWHERE: [&str; 1] = ["echoipc"];

/// What may stand for the type of an argument in Core's data; nothing where the method itself looks.
fn kind(arg: &Arg) -> Option<&'static str> {
    match arg.kind {
        Kind::String => Some("string"),
        Kind::StringHex => Some("hex"),
        Kind::Number => Some("number"),
        Kind::Amount => Some("amount"),
        Kind::Bool => Some("boolean"),
        Kind::Array => Some("array"),
        Kind::Object | Kind::ObjectUserKeys | Kind::ObjectNamedParams => Some("object"),
        Kind::Range => Some("range"),
        Kind::Any(_) => None,
    }
}

#[test]
fn tables_agree_with_core() {
    let core = core();
    let mut wrong = Vec::new();
    for (name, method) in ours() {
        let Some(known) = core.get(name) else {
            wrong.push(format!("{name} is no method of Core's"));
            continue;
        };
        if known.category != method.category {
            wrong.push(format!("{name}: category {}", known.category));
        }
        let told: Vec<&Arg> = method.args.iter().collect();
        if told.len() != known.arguments.len() {
            wrong.push(format!("{name}: arguments {:?}", known.arguments));
            continue;
        }
        for (arg, known) in told.iter().zip(&known.arguments) {
            let mut fields = known.rsplitn(3, ':');
            let mut next = || fields.next().expect("an argument has three fields");
            let (presence, core_kind, names) = (next(), next(), next());
            let optional = presence == "optional";
            let same_kind = match kind(arg) {
                Some(own) => core_kind == "any" || own == core_kind,
                None => true,
            };
            if names != arg.names || optional != arg.is_optional() || !same_kind {
                wrong.push(format!(
                    "{name}: {} {:?} should be {known}",
                    arg.names, arg.kind
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Names as a paragraph of Markdown.
fn paragraph(names: &[&str]) -> String {
    let mut text = String::new();
    let mut width = 0;
    for (index, name) in names.iter().enumerate() {
        let end = if index + 1 == names.len() { "." } else { "," };
        let word = format!("`{name}`{end}");
        if width > 0 && width + 1 + word.len() > 118 {
            text.push('\n');
            width = 0;
        } else if width > 0 {
            text.push(' ');
            width += 1;
        }
        width += word.len();
        text.push_str(&word);
    }
    text
}

#[test]
fn methods_that_are_not_there_are_listed() {
    let ours = ours();
    let core = core();
    let missing: Vec<&str> = core
        .keys()
        .copied()
        .filter(|name| !ours.contains_key(name) && !ELSEWHERE.contains(name))
        .collect();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/known-differences.md");
    let written = fs::read_to_string(&path).expect("the page is there");
    let start = "<!-- methods -->\n";
    let from = written.find(start).expect("the page has the mark") + start.len();
    let to = from
        + written[from..]
            .find("<!-- end -->")
            .expect("the mark has an end");
    let mut expected = written.clone();
    expected.replace_range(from..to, &format!("\n{}\n\n", paragraph(&missing)));
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, &expected).expect("the page can be written");
    } else {
        assert!(
            written == expected,
            "run this test with UPDATE_DOCS=1: the list should be\n{}",
            paragraph(&missing)
        );
    }
}
