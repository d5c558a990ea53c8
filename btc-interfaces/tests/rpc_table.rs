//! The table of RPC methods through its public API: binding, error texts, help, value readers.

use bitcoin::{Amount, BlockHash};
use btc_interfaces::rpc::table::{Arg, Kind, Method, Shape};
use btc_interfaces::rpc::{RpcCommand, RpcError, RpcRequest, json, value};
use proptest::prelude::*;
use serde_json::{Value, json};

const GET_BLOCK: Method = Method {
    name: "getblock",
    category: "blockchain",
    summary: "A block.",
    args: &[
        Arg::required("blockhash", Kind::StringHex, "The block hash"),
        Arg::default("verbosity|verbose", Kind::Number, "1", "0, 1, 2 or 3").unchecked(),
    ],
    results: &[Shape::hex("", "the block")],
    examples: &["\"00ab\" 2"],
};

const SEND: Method = Method {
    name: "send",
    category: "wallet",
    summary: "Sends.",
    args: &[
        Arg::required("outputs", Kind::Array, "To whom").with(&[Arg::optional(
            "",
            Kind::ObjectUserKeys,
            "",
        )
        .with(&[Arg::required("address", Kind::Amount, "How much")])]),
        Arg::hint(
            "conf_target",
            Kind::Number,
            "wallet -txconfirmtarget",
            "In blocks",
        ),
        Arg::optional("fee_rate", Kind::Amount, "In sat/vB"),
        Arg::optional("options", Kind::ObjectNamedParams, "").with(&[
            Arg::default("minconf", Kind::Number, "0", "Depth"),
            Arg::optional("fee_rate", Kind::Amount, "In sat/vB").also_positional(),
            Arg::optional("psbt", Kind::Bool, "Only a PSBT"),
        ]),
        Arg::default("version", Kind::Number, "2", "Transaction version"),
    ],
    results: &[],
    examples: &[],
};

const ECHO: Method = Method {
    name: "echojson",
    category: "hidden",
    summary: "Gives back its arguments.",
    args: &[
        Arg::optional("arg0", Kind::String, "").unchecked(),
        Arg::optional("arg1", Kind::String, "").unchecked(),
        Arg::optional("arg2", Kind::String, "").unchecked(),
        Arg::optional("arg3", Kind::String, "").unchecked(),
        Arg::optional("arg4", Kind::String, "").unchecked(),
        Arg::optional("arg5", Kind::String, "").unchecked(),
    ],
    results: &[],
    examples: &[],
};

fn error(result: Result<impl std::fmt::Debug, RpcError>) -> (i32, String) {
    let error = result.expect_err("must be refused");
    (error.code, error.message)
}

fn bound(method: &Method, params: Value) -> Vec<Value> {
    method.bind(&params).expect("binds").given().to_vec()
}

#[test]
fn positions_names_and_both() {
    assert_eq!(bound(&ECHO, json!(null)), Vec::<Value>::new());
    assert_eq!(bound(&ECHO, json!([0, 1])), [json!(0), json!(1)]);
    assert_eq!(bound(&ECHO, json!({"arg1": 1})), [json!(null), json!(1)]);
    assert_eq!(
        bound(&ECHO, json!({"arg0": 0, "arg3": 3, "arg5": 5})),
        [
            json!(0),
            json!(null),
            json!(null),
            json!(3),
            json!(null),
            json!(5)
        ]
    );
    assert_eq!(bound(&ECHO, json!({"arg5": null})), vec![Value::Null; 6]);
    assert_eq!(
        bound(&ECHO, json!({"args": [0, 1], "arg3": 3, "arg5": 5})),
        [
            json!(0),
            json!(1),
            json!(null),
            json!(3),
            json!(null),
            json!(5)
        ]
    );
    // What is no array is an argument called args, which nobody knows.
    assert_eq!(
        error(ECHO.bind(&json!({"args": 1}))),
        (-8, "Unknown named parameter args".to_owned())
    );
}

#[test]
fn repeated_keys_are_told_by_argument() {
    let bind = |params: &str| {
        let json = json::parse(params.as_bytes()).expect("JSON");
        ECHO.bind_request(&RpcRequest {
            method: "echo".to_owned(),
            params: json.value,
            uri: "/".to_owned(),
            auth_user: String::new(),
            repeated: json.repeated,
        })
    };
    let place = 0;
    for params in [
        r#"[{"a/b":1,"c":2,"a/b":3}]"#,
        r#"{"arg0":{"a/b":1,"a/b":3}}"#,
        r#"{"args":[{"a/b":1,"a/b":3}]}"#,
    ] {
        let arguments = bind(params).expect("binds");
        assert_eq!(
            arguments.repeated_key(place).as_deref(),
            Some("a/b"),
            "{params}"
        );
        assert_eq!(arguments.get(place)["a/b"], json!(1), "{params}");
        assert_eq!(arguments.elements_with_repeated_key(place).count(), 0);
    }
    for params in [
        r#"[[{"a":1},{"b":1,"b":1}]]"#,
        r#"{"arg0":[{"a":1},{"b":1,"b":1}]}"#,
        r#"{"args":[[{"a":1},{"b":1,"b":1}]]}"#,
    ] {
        let arguments = bind(params).expect("binds");
        assert_eq!(arguments.repeated_key(place), None, "{params}");
        let elements: Vec<usize> = arguments.elements_with_repeated_key(place).collect();
        assert_eq!(elements, [1], "{params}");
    }
    assert_eq!(
        bind(r#"[{"a":{"b":1,"b":1}}]"#)
            .expect("binds")
            .repeated_key(place),
        None
    );
    assert_eq!(
        error(bind(r#"{"arg0":[],"arg0":[]}"#)),
        (-8, "Parameter arg0 specified multiple times".to_owned())
    );
}

#[test]
fn clashes_have_their_texts() {
    let twice = "Parameter arg1 specified twice both as positional and named argument";
    assert_eq!(
        error(ECHO.bind(&json!({"args": [0, 1], "arg1": 1}))),
        (-8, twice.to_owned())
    );
    assert_eq!(
        error(ECHO.bind(&json!({"args": [0, null, 2], "arg1": 1}))),
        (-8, twice.to_owned())
    );
    assert_eq!(
        error(GET_BLOCK.bind(&json!({"blockhash": "00", "verbose": true, "verbosity": 1}))),
        (-8, "Unknown named parameter verbose".to_owned())
    );
    assert_eq!(
        error(SEND.bind(&json!({"outputs": [], "psbt": true, "options": {}}))),
        (
            -8,
            "Parameter options conflicts with parameter psbt".to_owned()
        )
    );
}

#[test]
fn options_may_be_named_arguments() {
    assert_eq!(
        bound(&SEND, json!({"outputs": [], "psbt": true, "minconf": 3})),
        [
            json!([]),
            json!(null),
            json!(null),
            json!({"minconf": 3, "psbt": true})
        ]
    );
    // Where a field shares its name with a top-level argument, the latter comes first in the table and takes it.
    assert_eq!(
        bound(&SEND, json!({"outputs": [], "fee_rate": 2})),
        [json!([]), json!(null), json!(2)]
    );
}

#[test]
fn too_few_and_too_many_give_the_help() {
    for params in [json!([]), json!(["00", 1, 2])] {
        let (code, text) = error(GET_BLOCK.bind(&params));
        assert_eq!(code, -1);
        assert!(
            text.starts_with("getblock \"blockhash\" ( verbosity )\n\nA block.\n"),
            "{text}"
        );
    }
}

#[test]
fn wrong_types_name_every_position() {
    assert_eq!(
        error(GET_BLOCK.bind(&json!([1]))),
        (
            -3,
            "Wrong type passed:\n{\n    \"Position 1 (blockhash)\": \"JSON value of type number is not of expected type string\"\n}"
                .to_owned()
        )
    );
    let (code, text) = error(SEND.bind(&json!([{}, "6", null, []])));
    assert_eq!(code, -3);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 6, "{text}");
    assert!(lines[2].starts_with("    \"Position 1 (outputs)\"") && lines[2].ends_with("array\","));
    assert!(lines[4].starts_with("    \"Position 4 (options)\"") && lines[4].ends_with("object\""));
    // Null stands for an optional argument, never for a required one.
    assert!(SEND.bind(&json!([[], null])).is_ok());
    assert!(SEND.bind(&json!([null])).is_err());
    // A type that the table leaves open is refused when the value is read.
    let arguments = GET_BLOCK.bind(&json!(["00", "x"])).expect("binds");
    assert_eq!(
        error(arguments.verbosity(1, 1)),
        (
            -3,
            "JSON value of type string is not of expected type number".to_owned()
        )
    );
}

#[test]
fn getters_use_defaults() {
    let arguments = SEND.bind(&json!([[]])).expect("binds");
    assert_eq!(arguments.int::<u32>(4), Ok(2));
    assert_eq!(arguments.opt_int::<u32>(4), Ok(None));
    assert_eq!(arguments.get(4), &Value::Null);
    assert_eq!(arguments.value(4), &json!(2));
    assert_eq!(arguments.opt_amount(2), Ok(None));
    assert_eq!(arguments.len(), 1);
    let arguments = GET_BLOCK.bind(&json!(["00", true])).expect("binds");
    assert_eq!(arguments.verbosity(1, 0), Ok(1));
}

#[test]
fn integers_are_integers_in_range() {
    let out_of_range = (-1, "JSON integer out of range".to_owned());
    assert_eq!(value::int::<i32>(&json!(-7)), Ok(-7));
    for text in ["1.0", "1e3", "2147483648", "99999999999999999999"] {
        let number: Value = serde_json::from_str(text).expect("a number");
        assert_eq!(error(value::int::<i32>(&number)), out_of_range, "{text}");
    }
    assert_eq!(error(value::int::<u32>(&json!(-1))), out_of_range);
}

#[test]
fn amounts_are_exact() {
    let read = |text: &str| value::amount(&serde_json::from_str(text).expect("json"));
    for (text, sat) in [
        ("0", 0),
        ("0.00000000", 0),
        ("0.000000000", 0),
        ("0.00000001", 1),
        ("\"0.00000001\"", 1),
        ("0.17622195", 17_622_195),
        ("20999999.99999999", 2_099_999_999_999_999),
        ("1e-8", 1),
        ("0.1e-7", 1),
        ("0.01e-6", 1),
        ("1e1", 1_000_000_000),
        ("21000000", 2_100_000_000_000_000),
    ] {
        assert_eq!(read(text), Ok(Amount::from_sat(sat)), "{text}");
    }
    for (text, message) in [
        ("-0.00000001", "Amount out of range"),
        ("21000000.00000001", "Amount out of range"),
        ("0.000000001", "Invalid amount"),
        ("1e-9", "Invalid amount"),
        ("1e11", "Invalid amount"),
        ("93e+9", "Invalid amount"),
        ("\"\"", "Invalid amount"),
        ("\"01\"", "Invalid amount"),
        ("\".1\"", "Invalid amount"),
        ("\"1.\"", "Invalid amount"),
        ("\" 1\"", "Invalid amount"),
        ("\"0x1\"", "Invalid amount"),
        ("\"1e99999999999999999999\"", "Invalid amount"),
        ("true", "Amount is not a number or string"),
    ] {
        assert_eq!(error(read(text)), (-3, message.to_owned()), "{text}");
    }
    assert_eq!(value::fixed_point(&json!("1.234"), 3), Ok(1_234));
    assert_eq!(
        error(value::fee_rate(&json!("1"))),
        (
            -8,
            "Fee rates larger than or equal to 1BTC/kvB are not accepted".to_owned()
        )
    );
}

#[test]
fn amounts_show_eight_decimals() {
    for (sat, text) in [
        (0, "0.00000000"),
        (1, "0.00000001"),
        (-1, "-0.00000001"),
        (5_000_000_000, "50.00000000"),
    ] {
        assert_eq!(value::from_sat(sat).to_string(), text);
    }
    assert_eq!(value::decimal(1234, 3).to_string(), "1.234");
}

#[test]
fn hashes_and_hex() {
    let args = |text: &str| GET_BLOCK.bind(&json!([text])).expect("binds");
    assert_eq!(
        error(args("abc").hash::<BlockHash>(0)),
        (
            -8,
            "blockhash must be of length 64 (not 3, for 'abc')".to_owned()
        )
    );
    let bad = format!("z{}", "0".repeat(63));
    assert_eq!(
        error(args(&bad).hash::<BlockHash>(0)),
        (
            -8,
            format!("blockhash must be hexadecimal string (not '{bad}')")
        )
    );
    let good = "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f";
    assert_eq!(
        args(good).hash::<BlockHash>(0).expect("a hash").to_string(),
        good
    );
    assert_eq!(args("00fF").hex(0), Ok(vec![0, 255]));
    for text in ["", "0", "0g"] {
        let expected = format!("blockhash must be hexadecimal string (not '{text}')");
        assert_eq!(error(args(text).hex(0)), (-8, expected));
    }
}

#[test]
fn descriptor_ranges() {
    assert_eq!(value::descriptor_range(&json!(5)), Ok(0..=5));
    assert_eq!(value::descriptor_range(&json!([2, 5])), Ok(2..=5));
    for (range, text) in [
        (json!(-1), "End of range is too high"),
        (json!([-1, 10]), "Range should be greater or equal than 0"),
        (
            json!([2, 1]),
            "Range specified as [begin,end] must not have begin after end",
        ),
        (json!([0, 2_147_483_648_u32]), "End of range is too high"),
        (json!([0, 1_000_000]), "Range is too large"),
        (
            json!("x"),
            "Range must be specified as end or as [begin,end]",
        ),
        (
            json!([1]),
            "Range must be specified as end or as [begin,end]",
        ),
    ] {
        assert_eq!(
            error(value::descriptor_range(&range)),
            (-8, text.to_owned())
        );
    }
}

#[test]
fn objects_are_checked_by_field() {
    use value::Field::{Any, Of};
    let fields = [("txid", Of("string")), ("vout", Of("number")), ("x", Any)];
    let check = |object: Value, null, strict| value::check_object(&object, &fields, null, strict);
    assert_eq!(
        check(json!({"txid": "a", "vout": 1, "x": []}), false, true),
        Ok(())
    );
    assert_eq!(check(json!({"txid": "a"}), true, true), Ok(()));
    assert_eq!(
        error(check(json!({"txid": "a"}), false, true)),
        (-3, "Missing vout".to_owned())
    );
    assert_eq!(
        error(check(json!({"txid": 1}), true, true)),
        (
            -3,
            "JSON value of type number for field txid is not of expected type string".to_owned()
        )
    );
    assert_eq!(
        error(check(json!({"y": 1}), true, true)),
        (-3, "Unexpected key y".to_owned())
    );
    assert_eq!(check(json!({"y": 1}), true, false), Ok(()));
}

#[test]
fn help_shows_the_table() {
    assert_eq!(
        GET_BLOCK.help(),
        "getblock \"blockhash\" ( verbosity )\n\
         \n\
         A block.\n\
         \n\
         Arguments:\n\
         1. blockhash    (string, required) The block hash\n\
         2. verbosity    (numeric, optional, default=1) 0, 1, 2 or 3\n\
         \n\
         Result:\n\
         \"hex\"    (string) the block\n\
         \n\
         Examples:\n\
         > bitcoin-cli getblock \"00ab\" 2\n"
    );
    assert_eq!(
        SEND.usage(),
        "send [{\"address\":amount,...},...] ( conf_target fee_rate {\"minconf\":n,\"fee_rate\":amount,\"psbt\":bool,...} version )"
    );
    assert!(SEND.help().contains("\nNamed Arguments:\nminconf"));
    let command = RpcCommand::from(&GET_BLOCK);
    assert_eq!(command.arguments, ["blockhash", "verbosity|verbose"]);
    assert_eq!(command.help, GET_BLOCK.help());
}

proptest! {
    #[test]
    fn every_amount_survives_a_round_trip(sat in 0..=Amount::MAX_MONEY.to_sat()) {
        let amount = Amount::from_sat(sat);
        prop_assert_eq!(value::amount(&value::from_amount(amount)), Ok(amount));
    }

    #[test]
    fn no_text_makes_amounts_panic(text in "[-+0-9.eE]{0,40}|\\PC*", decimals in 0_u32..20) {
        let _ = value::parse_fixed_point(&text, decimals);
    }
}

const COINS: Method = Method {
    name: "coins",
    category: "hidden",
    summary: "Shows coins.",
    args: &[
        Arg::required("of", Kind::Number, "A height or hash")
            .unchecked()
            .labelled("", "string or numeric"),
        Arg::hint("range", Kind::Range, "all", "Which"),
        Arg::optional("wait", Kind::Number, "For tests").hidden(),
    ],
    results: &[
        Shape::null().when("there is none"),
        Shape::object(
            "",
            "",
            &[
                Shape::fields(&[Shape::hex("txid", "Its transaction")]),
                Shape::elided("What else there is", &[Shape::number("vout", "")]),
                Shape::array(
                    "by",
                    "Who",
                    &[Shape::map("", "", &[Shape::bool("name", "")])],
                )
                .optional(),
                Shape::tuple("pair", "", &[Shape::amount("", ""), Shape::time("", "")]),
                Shape::object("scan", "", &[Shape::string("at", "")]).unchecked(),
            ],
        )
        .when("there is one"),
        Shape::any("", "For tests").hidden(),
    ],
    examples: &[],
};

#[test]
fn results_are_held_against_their_shapes() {
    let method = Method {
        results: &COINS.results[..2],
        ..COINS
    };
    let good = json!({
        "txid": "00", "vout": 1, "by": [{"a": true}, {}], "pair": [1.5, 7], "scan": false,
    });
    assert_eq!(method.check_result(&good), Ok(()));
    assert_eq!(method.check_result(&Value::Null), Ok(()));
    let bad = json!({
        "txid": 0, "by": [{"a": true}, {"b": 1}], "pair": [1.5, "7"], "scan": false, "more": 1,
    });
    assert_eq!(
        method.results[1].mismatch(&bad),
        Some(json!({
            "more": "key returned that was not in doc",
            "txid": "returned type is number, but declared as string in doc",
            "vout": "key missing, despite not being optional in doc",
            "by": {"1": {"b": "returned type is number, but declared as bool in doc"}},
            "pair": {"1": "returned type is string, but declared as number in doc"},
        }))
    );
    let (code, text) = error(method.check_result(&json!(true)));
    assert_eq!(code, -1);
    let start = "Internal bug detected: RPC call \"coins\" returned incorrect type:\n[\n    \
                 \"returned type is bool, but declared as null in doc\",\n    \
                 \"returned type is bool, but declared as object in doc\"\n]\n";
    assert!(text.starts_with(start), "{text}");
    // What may be anything stands for every result.
    assert_eq!(COINS.check_result(&json!(true)), Ok(()));
    let nothing = Method {
        results: &[],
        ..COINS
    };
    assert!(
        error(nothing.check_result(&Value::Null))
            .1
            .contains("no possible results defined")
    );
}

#[test]
fn help_shows_the_shapes() {
    let expected = r#"
Result (there is none):
null    (json null)

Result (there is one):
{                             (json object)
  "txid" : "hex",             (string) Its transaction
  ...,                        What else there is
  "by" : [                    (json array, optional) Who
    {                         (json object)
      "name" : true|false,    (boolean)
      ...
    },
    ...
  ],
  "pair" : [                  (json array)
    n,                        (numeric)
    xxx                       (numeric)
  ],
  "scan" : {                  (json object)
    "at" : "str"              (string)
  }
}
"#;
    assert!(COINS.help().ends_with(expected), "{}", COINS.help());
}

#[test]
fn openrpc_describes_the_table() {
    let number = json!({"type": "number"});
    let two = json!({
        "type": "array", "items": [number, number], "additionalItems": false, "minItems": 2, "maxItems": 2,
    });
    let document = COINS.openrpc(false);
    assert_eq!(
        document["params"],
        json!([
            {
                "name": "of", "required": true, "description": "A height or hash",
                "schema": {"oneOf": [{"type": "integer"}, {"type": "string"}]},
            },
            {
                "name": "range", "required": false, "description": "Which",
                "schema": {"oneOf": [number, two], "x-bitcoin-default-hint": "all"},
            },
        ])
    );
    assert_eq!(COINS.openrpc(true)["params"][2]["name"], "wait");
    assert_eq!(document["x-bitcoin-category"], "hidden");
    let results = &document["result"]["schema"]["oneOf"];
    assert_eq!(
        results[0],
        json!({"type": "null", "description": "there is none"})
    );
    let fields = &results[1]["properties"];
    assert_eq!(
        results[1]["required"],
        json!(["txid", "vout", "pair", "scan"])
    );
    assert_eq!(
        fields["by"]["items"],
        json!({"type": "object", "additionalProperties": {"type": "boolean"}})
    );
    assert_eq!(fields["scan"]["oneOf"][1], json!({"const": false}));
    assert_eq!(results.as_array().map(Vec::len), Some(2));
}
