//! Options through the public API: sources, precedence, errors, what is told of options without effect.

use btc_interfaces::args::{Args, ArgsError, Effect, Program, table};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use tempfile::TempDir;

/// A data directory with a configuration, and the options that come of it and the command line.
fn with_config(config: &str, arguments: &[&str]) -> (TempDir, Result<Args, ArgsError>) {
    let dir = tempfile::tempdir().expect("a directory");
    fs::write(dir.path().join("bitcoin.conf"), config).expect("written");
    let args = read(dir.path(), arguments);
    (dir, args)
}

fn read(dir: &Path, arguments: &[&str]) -> Result<Args, ArgsError> {
    let data_dir = format!("-datadir={}", dir.display());
    let arguments = [data_dir.as_str()]
        .into_iter()
        .chain(arguments.iter().copied());
    Args::read(Program::Node, arguments)
}

fn loaded(config: &str, arguments: &[&str]) -> Args {
    with_config(config, arguments).1.expect("valid")
}

fn error(config: &str, arguments: &[&str]) -> String {
    with_config(config, arguments)
        .1
        .expect_err("refused")
        .to_string()
}

fn parsed(arguments: &[&str]) -> Args {
    let mut args = Args::new(Program::Node);
    args.parse(arguments).expect("valid");
    args
}

#[test]
fn the_command_line() {
    let args = parsed(&[
        "-server",
        "--rest=1",
        "-nolisten",
        "-noconnect=0",
        "-addnode=a",
        "-addnode=b",
        "-dbcache=x",
    ]);
    assert_eq!(args.flag("server"), Some(true));
    assert_eq!(args.value("server").as_deref(), Some(""));
    assert_eq!(args.flag("rest"), Some(true));
    assert_eq!(args.value("listen").as_deref(), Some("0"));
    assert!(args.is_negated("listen") && !args.is_negated("rest"));
    assert_eq!(args.value("connect").as_deref(), Some("1"));
    assert_eq!(args.int("dbcache"), Some(0));
    assert_eq!(args.value("conf"), None);
    // The last of one kind wins; a negation forgets what came before it.
    let args = parsed(&[
        "-uacomment=a",
        "-nouacomment",
        "-uacomment=b",
        "-uacomment=c",
    ]);
    assert_eq!(args.values("uacomment"), ["b", "c"]);
    assert_eq!(args.value("uacomment").as_deref(), Some("c"));
    assert_eq!(
        parsed(&["-uacomment=a", "-nouacomment"]).values("uacomment"),
        [""; 0]
    );
}

#[test]
fn numbers_and_switches_as_core_reads_them() {
    for (text, number, flag) in [
        ("", 0, true),
        ("0", 0, false),
        ("1", 1, true),
        ("-1", -1, true),
        ("+2", 2, true),
        (" 3", 3, true),
        ("0x10", 0, false),
        ("12abc", 12, true),
        ("abc", 0, false),
        ("99999999999999999999", i64::MAX, true),
        ("-99999999999999999999", i64::MIN, true),
    ] {
        let args = parsed(&[&format!("-dbcache={text}")]);
        assert_eq!(args.int("dbcache"), Some(number), "{text}");
        assert_eq!(args.flag("dbcache"), Some(flag), "{text}");
    }
}

#[test]
fn a_bad_command_line_says_what_is_wrong() {
    let error = |argument: &str| {
        let error = Args::new(Program::Node)
            .parse([argument])
            .expect_err("refused");
        error.to_string()
    };
    let parsing = "Error parsing command line arguments: ";
    for (argument, text) in [
        ("-dash_cli=1", "Invalid parameter -dash_cli=1"),
        ("-nonsense", "Invalid parameter -nonsense"),
        ("-regtest.port=1", "Invalid parameter -regtest.port=1"),
        (
            "-nodatadir",
            "Negating of -datadir is meaningless and therefore forbidden",
        ),
        (
            "-proxy",
            "Can not set -proxy with no value. Please specify value with -proxy=value.",
        ),
        (
            "-includeconf=x",
            "-includeconf cannot be used from commandline; -includeconf=\"x\"",
        ),
    ] {
        assert_eq!(error(argument), format!("{parsing}{text}"), "{argument}");
    }
    assert_eq!(
        error("bitcoin:1abc"),
        "Command line contains unexpected token 'bitcoin:1abc', see bitcoind -h for a list of options."
    );
    let error = Args::new(Program::Daemon).parse(["-ipcbind=unix"]);
    let error = error.expect_err("refused").to_string();
    assert_eq!(error, format!("{parsing}Invalid parameter -ipcbind=unix"));
    assert!(Args::new(Program::Node).parse(["-noincludeconf"]).is_ok());
    assert!(
        Args::new(Program::Cli)
            .parse(["-named", "getblock", "-x", "7"])
            .is_ok()
    );
}

#[test]
fn double_negatives_warn() {
    let mut args = parsed(&["-nolisten=0", "-norpcpassword=0"]);
    assert_eq!(args.flag("listen"), Some(true));
    assert_eq!(
        args.take_warnings(),
        [
            "Parsed potentially confusing double-negative -listen=0",
            "Parsed potentially confusing double-negative -rpcpassword=****",
        ]
    );
    assert!(args.take_warnings().is_empty());
}

#[test]
fn networks() {
    let chain = |arguments: &[&str]| {
        parsed(arguments)
            .network()
            .map(|network| network.to_core_arg())
    };
    assert_eq!(chain(&[]), Ok("main"));
    assert_eq!(chain(&["-regtest"]), Ok("regtest"));
    assert_eq!(chain(&["-testnet4"]), Ok("testnet4"));
    assert_eq!(chain(&["-chain=test"]), Ok("test"));
    assert_eq!(chain(&["-regtest=0"]), Ok("main"));
    let several = Err(ArgsError::SeveralChains);
    assert_eq!(chain(&["-regtest", "-signet"]), several);
    assert_eq!(chain(&["-regtest", "-chain=regtest"]), several);
    assert_eq!(
        chain(&["-chain=mainnet"]),
        Err(ArgsError::UnknownChain("mainnet".to_owned()))
    );
    assert_eq!(
        ArgsError::SeveralChains.to_string(),
        "Invalid combination of -regtest, -signet, -testnet, -testnet4 and -chain. Can use at most one."
    );
    // A negation on the command line does not undo the file's choice.
    assert_eq!(
        loaded("regtest=1\n", &["-noregtest"]).chain_name(),
        "regtest"
    );
}

#[test]
fn sections_and_precedence() {
    let config = "regtest=1\nuacomment=d1\nuacomment=d2\ndbcache=1\nport=1\nconnect=0\n\
                  [regtest]\nuacomment=s1\nuacomment=s2\ndbcache=2\nport=2\n[signet]\ndbcache=3\n";
    let args = loaded(config, &[]);
    // In a file the first value wins, and the network's section is asked before the rest.
    assert_eq!(args.value("uacomment").as_deref(), Some("s1"));
    assert_eq!(args.values("uacomment"), ["s1", "s2", "d1", "d2"]);
    assert_eq!(args.int("dbcache"), Some(2));
    assert_eq!(args.int("port"), Some(2));
    // This one counts in the network's section only.
    assert_eq!(args.value("connect"), None);
    assert_eq!(args.unsuitable_section_only(), ["connect"]);
    let args = loaded(
        config,
        &["-uacomment=c1", "-uacomment=c2", "-dbcache=9", "-connect=x"],
    );
    assert_eq!(args.value("uacomment").as_deref(), Some("c2"));
    assert_eq!(
        args.values("uacomment"),
        ["c1", "c2", "s1", "s2", "d1", "d2"]
    );
    assert_eq!(args.int("dbcache"), Some(9));
    assert_eq!(args.values("connect"), ["x"]);
    assert!(args.unsuitable_section_only().is_empty());
    // A negation ends the list, but a value after it lets the file's values in again.
    assert!(
        loaded(config, &["-nouacomment"])
            .values("uacomment")
            .is_empty()
    );
    let args = loaded(config, &["-nouacomment", "-uacomment=c"]);
    assert_eq!(args.values("uacomment"), ["c", "s1", "s2", "d1", "d2"]);
    // A section may also be written before the name.
    assert_eq!(
        loaded("regtest.dbcache=5\n", &["-regtest"]).int("dbcache"),
        Some(5)
    );
    // Negated outside of the section, it counts nevertheless.
    assert_eq!(
        loaded("noconnect=1\n", &["-regtest"]).flag("connect"),
        Some(false)
    );
}

#[test]
fn settings_stand_between_command_line_and_file() {
    let mut args = loaded(
        "regtest=1\ndbcache=1\n[regtest]\nwallet=f\n",
        &["-uacomment=c"],
    );
    let values = json!({"dbcache": "7", "uacomment": "s", "wallet": ["a", "b"], "nonsense": 1});
    args.set_rw_settings(values.as_object().expect("an object").clone());
    assert_eq!(args.int("dbcache"), Some(7));
    assert_eq!(args.value("uacomment").as_deref(), Some("c"));
    assert_eq!(
        args.settings_list("wallet"),
        [json!("a"), json!("b"), json!("f")]
    );
    assert_eq!(
        args.take_warnings(),
        ["Ignoring unknown rw_settings value nonsense"]
    );
    args.force("dbcache", "8");
    assert_eq!(args.int("dbcache"), Some(8));
    assert!(!args.soft_set("uacomment", "x") && args.soft_set("server", "1"));
    assert_eq!(args.flag("server"), Some(true));
}

#[test]
fn a_list_in_the_settings_is_taken_as_it_is() {
    let mut args = loaded("regtest=1\n", &[]);
    let values = json!({"wallet": ["a", [], false]});
    args.set_rw_settings(values.as_object().expect("an object").clone());
    // The wallets refuse what is no name; a negation in the list would hide the rest from them.
    assert_eq!(
        args.settings_list("wallet"),
        [json!("a"), json!([]), json!(false)]
    );
    args.set_rw_settings(serde_json::Map::from_iter([(
        "wallet".to_owned(),
        json!(false),
    )]));
    assert!(args.settings_list("wallet").is_empty());
}

#[test]
fn bad_files_say_where() {
    let reading = "Error reading configuration file: ";
    for (config, text) in [
        ("garbage\n", "parse error on line 1: garbage"),
        (
            "nono\n",
            "parse error on line 1: nono, if you intended to specify a negated option, use nono=1 instead",
        ),
        (
            "-dash=1\n",
            "parse error on line 1: -dash=1, options in configuration file must be specified without leading -",
        ),
        (
            "server=1\nrpcuser=someuser\nrpcpassword=some#pass",
            "parse error on line 3, using # in rpcpassword can be ambiguous and should be avoided",
        ),
        (
            "server=1\nrpcuser=someuser\nmain.rpcpassword=some#pass",
            "parse error on line 3, using # in rpcpassword can be ambiguous and should be avoided",
        ),
        (
            "server=1\nrpcuser=someuser\n[main]\nrpcpassword=some#pass",
            "parse error on line 4, using # in rpcpassword can be ambiguous and should be avoided",
        ),
        (
            "conf=some.conf\n",
            "conf cannot be set in the configuration file; use includeconf= if you want to include additional config files",
        ),
        (
            "nodatadir=1\n",
            "Negating of -datadir is meaningless and therefore forbidden",
        ),
        (
            "includeconf=/nowhere/x.conf\n",
            "Failed to include configuration file /nowhere/x.conf",
        ),
    ] {
        assert_eq!(error(config, &[]), format!("{reading}{text}"));
    }
    assert_eq!(
        error("regtest=1\nsignet=1\n", &[]),
        format!("{reading}{}", ArgsError::SeveralChains)
    );
}

#[test]
fn comments_blanks_and_unknown_names() {
    let mut args = loaded(
        "\n  # nothing\n dbcache = 5 # cache\r\nwhatever=1\nnowhatever=1\nreindex=0\n[nonsense]\nx=1\nmain.y.z=2\n",
        &[],
    );
    assert_eq!(args.value("dbcache").as_deref(), Some("5"));
    let warnings = args.take_warnings();
    assert_eq!(warnings[0], "Ignoring unknown configuration value whatever");
    assert!(
        warnings
            .iter()
            .any(|text| text.starts_with("reindex=1 is set in the configuration file, which"))
    );
    let sections = args.unrecognized_sections();
    assert!(
        sections[0].ends_with("bitcoin.conf:7 Section [nonsense] is not recognized."),
        "{sections:?}"
    );
}

#[test]
fn included_files() {
    let dir = tempfile::tempdir().expect("a directory");
    let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).expect("written");
    write(
        "bitcoin.conf",
        "uacomment=main\nincludeconf=one.conf\n[regtest]\nincludeconf=two.conf\n",
    );
    write("one.conf", "uacomment=one\nincludeconf=three.conf\n");
    write("two.conf", "[regtest]\nuacomment=two\n");
    let mut args = read(dir.path(), &["-regtest"]).expect("valid");
    assert_eq!(args.values("uacomment"), ["two", "main", "one"]);
    assert_eq!(
        args.take_notices(),
        [
            "warning: -includeconf cannot be used from included files; ignoring -includeconf=three.conf"
        ]
    );
    let args = read(dir.path(), &["-regtest", "-noincludeconf"]).expect("valid");
    assert_eq!(args.values("uacomment"), ["main"]);
    write("bitcoin.conf", "includeconf=.\n");
    let error = read(dir.path(), &[]).expect_err("refused").to_string();
    assert!(
        error.starts_with("Error reading configuration file: Included config file \"")
            && error.ends_with("\" is a directory."),
        "{error}"
    );
}

#[test]
fn directories() {
    let dir = tempfile::tempdir().expect("a directory");
    let missing = dir.path().join("missing");
    assert_eq!(
        read(&missing, &[]).expect_err("refused").to_string(),
        format!(
            "Specified data directory \"{}\" does not exist.",
            missing.display()
        )
    );
    let args = read(dir.path(), &["-regtest"]).expect("valid");
    assert_eq!(args.net_data_dir(), dir.path().join("regtest"));
    assert!(dir.path().join("regtest/wallets").is_dir());
    assert!(
        !dir.path().join("wallets").exists(),
        "only a new directory gets one"
    );
    assert_eq!(
        args.settings_path(),
        Some(dir.path().join("regtest/settings.json"))
    );
    assert_eq!(
        args.net_file("pid", "bitcoind.pid"),
        Some(dir.path().join("regtest/bitcoind.pid"))
    );
    assert_eq!(
        read(dir.path(), &["-nosettings"])
            .expect("valid")
            .settings_path(),
        None
    );
    let config = dir.path().join("nowhere.conf");
    assert_eq!(
        read(dir.path(), &["-conf=nowhere.conf"])
            .expect_err("refused")
            .to_string(),
        format!(
            "Error reading configuration file: specified config file \"{}\" could not be opened.",
            config.display()
        )
    );
    assert_eq!(
        read(dir.path(), &["-conf=regtest"])
            .expect_err("refused")
            .to_string(),
        format!(
            "Error reading configuration file: Config file \"{}\" is a directory.",
            dir.path().join("regtest").display()
        )
    );
}

#[test]
fn a_configuration_that_is_not_read_is_told_of() {
    let dir = tempfile::tempdir().expect("a directory");
    let other = dir.path().join("other");
    fs::create_dir(&other).expect("made");
    fs::write(other.join("bitcoin.conf"), "").expect("written");
    fs::write(
        dir.path().join("bitcoin.conf"),
        format!("datadir={}\n", other.display()),
    )
    .expect("written");
    let mut args = Args::new(Program::Node);
    args.parse([format!(
        "-conf={}",
        dir.path().join("bitcoin.conf").display()
    )])
    .expect("valid");
    let error = args.load_config().expect_err("refused").to_string();
    assert!(
        error.starts_with(&format!(
            "Data directory \"{}\" contains a \"bitcoin.conf\" file which is ignored, because",
            other.display()
        )),
        "{error}"
    );
    assert!(error.ends_with(
        "\n- Set allowignoredconf=1 option to treat this condition as a warning, not an error."
    ));
    let mut args = Args::new(Program::Node);
    args.parse([
        format!("-conf={}", dir.path().join("bitcoin.conf").display()),
        "-allowignoredconf".to_owned(),
    ])
    .expect("valid");
    args.load_config().expect("valid");
    assert_eq!(args.take_warnings().len(), 1);
    assert_eq!(args.data_dir(), other);
}

#[test]
fn nothing_is_silently_without_effect() {
    let told = |arguments: &[&str]| parsed(arguments).not_yet_effective();
    assert_eq!(
        told(&["-natpmp", "-v2transport=0", "-connect=0", "-nolisten"]),
        ["natpmp"]
    );
    assert_eq!(
        told(&["-walletrejectlongchains=0"]),
        ["walletrejectlongchains"]
    );
    assert!(told(&["-server", "-debug=net"]).is_empty());
    let supported = |argument: &str| parsed(&[argument]).check_supported();
    assert_eq!(
        supported("-privatebroadcast"),
        Err(ArgsError::NotSupported("privatebroadcast"))
    );
    for fine in ["-prune=550", "-proxy=", "-noonion", "-daemon"] {
        assert_eq!(supported(fine), Ok(()), "{fine}");
    }
    assert_eq!(
        supported("-privatebroadcast")
            .expect_err("refused")
            .to_string(),
        "-privatebroadcast is not supported by this node yet."
    );
}

#[test]
fn the_table_is_sound() {
    for program in [Program::Node, Program::Cli, Program::Wallet, Program::Gui] {
        let mut names: Vec<&str> = table::of(program).map(|spec| spec.name()).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count, "{program:?} knows an option twice");
        for spec in table::of(program) {
            assert!(
                !spec.name().starts_with("no"),
                "{} would read as a negation",
                spec.name()
            );
            let hidden = spec.category == btc_interfaces::args::Category::Hidden;
            assert_eq!(spec.help.is_empty(), hidden, "{}", spec.name());
        }
    }
    assert_eq!(table::of(Program::Node).count(), 197);
    assert_eq!(
        table::find(Program::Node, "privatebroadcast")
            .expect("known")
            .effect,
        Effect::Refused
    );
}

#[test]
fn help_and_version() {
    let text = |arguments: &[&str]| parsed(arguments).info_text("bitcoin-node");
    assert_eq!(text(&[]), None);
    let version = text(&["-version"]).expect("a text");
    assert!(
        version
            .lines()
            .next()
            .expect("a line")
            .ends_with(" bitcoin-node")
    );
    for ask in ["-h", "-?", "-help"] {
        let help = text(&[ask]).expect("a text");
        assert!(
            help.contains("version")
                && help.contains("\n  -conf=<file>\n       Configuration file"),
            "{help}"
        );
        assert!(!help.contains("-mocktime"));
        assert!(
            help.lines().all(|line| line.chars().count() <= 110),
            "{help}"
        );
    }
    assert!(
        text(&["-help-debug"])
            .expect("a text")
            .contains("-mocktime=<n>")
    );
}

#[test]
fn another_process_gets_everything_but_credentials() {
    let config = "regtest=1\n[regtest]\nwallet=f\nrpcuser=u\nkeypool=3\nkeypool=4\n";
    let (dir, args) = with_config(
        config,
        &[
            "-rpcpassword=secret",
            "-keypool=7",
            "-debug=net",
            "-debug=ipc",
            "-mocktime=5",
        ],
    );
    let args = args.expect("valid");
    let global = args.to_global();
    assert_eq!(global.chain, "regtest");
    assert_eq!(
        global.net_data_dir,
        dir.path().join("regtest").display().to_string()
    );
    assert_eq!(global.mock_time, 5);
    assert_eq!(
        global.options,
        [
            "debug=ipc",
            "debug=net",
            "keypool=7",
            "keypool=3",
            "keypool=4",
            "wallet=f"
        ]
    );
    let there = Args::from_global(Program::Wallet, &global);
    assert_eq!(there.chain_name(), "regtest");
    assert_eq!(there.int("keypool"), Some(7));
    assert_eq!(there.values("wallet"), ["f"]);
    for shown in [format!("{args:?}"), args.log_lines().join("\n")] {
        assert!(
            shown.contains("keypool") && !shown.contains("secret"),
            "{shown}"
        );
    }
    assert!(
        args.log_lines()
            .contains(&"Command-line arg: rpcpassword=****".to_owned())
    );
    assert!(
        args.log_lines()
            .contains(&"Config file arg: [regtest] wallet=\"f\"".to_owned())
    );
}

proptest! {
    #[test]
    fn no_command_line_panics(arguments in proptest::collection::vec("-{0,2}(no)?(conf|regtest|datadir|rpcauth|x|\\PC{0,5})(=\\PC{0,8})?", 0..6)) {
        let mut args = Args::new(Program::Node);
        if args.parse(&arguments).is_ok() {
            let _ = (args.network(), args.not_yet_effective(), args.to_global(), args.help());
        }
    }

    #[test]
    fn no_file_panics(config in "(\\[?[a-z.=#\\- ]{0,12}\\]?\n?|\\PC{0,8}){0,8}") {
        let _ = with_config(&config, &[]);
    }

    #[test]
    fn one_value_round_trips(value in "[a-z0-9/:.@ -]{0,20}") {
        let args = parsed(&[&format!("-uacomment={value}")]);
        prop_assert_eq!(args.setting("uacomment"), Some(Value::from(value)));
    }
}
