//! Holds the tables of RPC methods to what Core's are, and the list of those that are not there to the truth. With
//! UPDATE_DOCS=1 it writes that list.

use btc_interfaces::rpc::convert;
use btc_interfaces::rpc::table::{Kind, Method};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// The methods as Core's OpenRPC document has them, by name.
fn core() -> BTreeMap<String, Value> {
    let methods: Vec<Value> =
        serde_json::from_str(include_str!("data/rpc_surface.json")).expect("the data are JSON");
    let name = |method: &Value| method["name"].as_str().expect("a name").to_owned();
    methods
        .into_iter()
        .map(|method| (name(&method), method))
        .collect()
}

/// How Core's command line passes arguments: method, position, name, whether as a string.
fn conversions() -> Vec<(String, usize, String, bool)> {
    serde_json::from_str(include_str!("data/rpc_conversions.json")).expect("the data are JSON")
}

fn ours() -> BTreeMap<&'static str, &'static Method> {
    let node = btc_node::rpc::tables().into_iter();
    let all = node.chain(btc_wallet::rpc_tables());
    all.map(|method| (method.name, method)).collect()
}

/// Methods whose tables are made where the node is put together.
const ELSEWHERE: [&str; 1] = ["echoipc"];

/// A document without words that are our own, and with lists whose order says nothing sorted.
fn without_words(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let kept = fields.iter().filter(|(key, field)| {
                !(*key == "description" && field.is_string()) && *key != "x-bitcoin-default-hint"
            });
            let kept = kept.map(|(key, field)| {
                let mut field = without_words(field);
                if let (true, Value::Array(names)) = (key == "required", &mut field) {
                    names.sort_by(|a, b| a.as_str().cmp(&b.as_str()));
                }
                (key.clone(), field)
            });
            Value::Object(kept.collect())
        }
        Value::Array(elements) => elements.iter().map(without_words).collect(),
        other => other.clone(),
    }
}

/// Where two documents differ.
fn differences(place: &str, core: &Value, ours: &Value, into: &mut Vec<String>) {
    match (core, ours) {
        (Value::Object(a), Value::Object(b)) => {
            let keys: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            for key in keys {
                let of = |fields: &Map<String, Value>| fields.get(key).cloned();
                match (of(a), of(b)) {
                    (Some(a), Some(b)) => differences(&format!("{place}/{key}"), &a, &b, into),
                    (a, b) => into.push(format!("{place}/{key}: {a:?} in Core, {b:?} here")),
                }
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (index, (a, b)) in a.iter().zip(b).enumerate() {
                differences(&format!("{place}/{index}"), a, b, into);
            }
        }
        (a, b) if a == b => {}
        (a, b) => into.push(format!("{place}: {a} in Core, {b} here")),
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
        let told = method.openrpc(true);
        differences(
            name,
            &without_words(known),
            &without_words(&told),
            &mut wrong,
        );
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn methods_of_the_wallet_hide_no_argument() {
    // What the node tells of them comes as they registered it, without hidden arguments.
    for method in btc_wallet::rpc_tables() {
        assert_eq!(
            method.openrpc(true),
            method.openrpc(false),
            "{}",
            method.name
        );
    }
}

#[test]
fn command_lines_pass_arguments_as_cores_does() {
    let core = conversions();
    let ours = ours();
    // The tables of methods say it ...
    for (name, method) in &ours {
        let told: Vec<(String, usize, String, bool)> =
            serde_json::from_value(method.conversions()).expect("rows");
        let known = core.iter().filter(|(method, ..)| method == name).cloned();
        assert_eq!(told, known.collect::<Vec<_>>(), "{name}");
    }
    // ... and the command line, which has no wallet's tables, follows: each argument, and none beyond.
    for (method, position, name, is_string) in &core {
        if method == "echojson" {
            continue;
        }
        let by_name = convert::named(method, &[format!("{name}=0")]).expect("0 is JSON");
        let expected = if *is_string { json!("0") } else { json!(0) };
        assert_eq!(by_name[name], expected, "{method} {name}");
        let is_option = core.iter().any(|(other, index, ..)| {
            (other, index) == (method, position)
                && ours
                    .get(method.as_str())
                    .is_some_and(|method| method.args[*index].aliases().all(|alias| alias != name))
        });
        if !is_option && ours.contains_key(method.as_str()) {
            let mut words = vec!["0"; *position];
            words.push("0");
            // Of what stands before, some may need other JSON than a number.
            let values = convert::positional(method, &words).expect("0 is JSON");
            assert_eq!(values[position], expected, "{method} {position}");
        }
    }
    for (method, position, name) in convert::arguments() {
        let known = core.iter().any(|(other, index, other_name, _)| {
            (other.as_str(), *index, other_name.as_str()) == (method, position, name)
        });
        assert!(known || method == "echojson", "{method} {position} {name}");
    }
}

#[test]
fn what_may_be_a_number_or_a_word_is_tried_as_json() {
    // `echojson` takes anything, and JSON of a command line; that is what it is for.
    for method in ours().values().filter(|method| method.name != "echojson") {
        let options = method
            .args
            .iter()
            .filter(|arg| arg.kind == Kind::ObjectNamedParams)
            .flat_map(|arg| arg.inner);
        for arg in method.args.iter().chain(options) {
            let is_either = arg
                .label
                .is_some_and(|label| label.words == "string or numeric");
            let word = convert::named(method.name, &[format!("{}=word", arg.name())]);
            let is_json = !matches!(arg.kind, Kind::String | Kind::StringHex);
            assert_eq!(
                word.is_err(),
                is_json && !is_either,
                "{} {}",
                method.name,
                arg.name()
            );
        }
    }
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
        .map(String::as_str)
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
