//! The program `bitcoin-wallet`, as the node starts and leaves it.
#![cfg(feature = "ipc")]
#![allow(clippy::unwrap_used, reason = "a failed assumption must fail the test")]

use btc_interfaces::noop::NoopChain;
use btc_interfaces::{Chain, CreateWallet, GlobalArgs, Init};
use mp_core::{Connection, Options};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

const EXE: &str = env!("CARGO_BIN_EXE_bitcoin-wallet");
/// What the program promises, and some more for a busy machine.
const LEAVING_TIME: Duration = Duration::from_secs(60);

fn args(directory: &std::path::Path) -> GlobalArgs {
    GlobalArgs {
        chain: "regtest".into(),
        net_data_dir: directory.display().to_string(),
        options: vec!["keypool=2".into()],
        mock_time: 0,
    }
}

#[test]
fn it_serves_wallets_and_leaves_with_its_node() {
    let directory = tempfile::tempdir().unwrap();
    let (mut process, stream) = mp_core::process::spawn(EXE, [] as [&str; 0]).unwrap();
    let (connection, init) = Connection::connect::<dyn Init>(stream, Options::default()).unwrap();
    assert_eq!(
        init.make_echo().unwrap().echo("hello".into()).unwrap(),
        "hello"
    );
    let chain: Arc<dyn Chain> = Arc::new(NoopChain);
    let loader = init
        .make_wallet_loader(args(directory.path()), chain)
        .unwrap();
    let made = loader
        .create_wallet(CreateWallet {
            name: "w".into(),
            ..CreateWallet::default()
        })
        .unwrap();
    assert_eq!(made.error, "");
    let wallet = made.wallet.unwrap();
    assert_eq!(wallet.wallet_name().unwrap(), "w");
    assert_eq!(
        wallet.balances().unwrap(),
        btc_interfaces::Balances::default()
    );
    assert!(directory.path().join("w/wallet.dat").exists());
    assert!(directory.path().join("debug.log").exists());

    // An interrupt from the terminal is for the node to decide upon.
    let interrupted = Command::new("kill")
        .args(["-INT", &process.id().to_string()])
        .status()
        .unwrap();
    assert!(interrupted.success());
    assert_eq!(loader.wallets().unwrap().len(), 1);

    connection.close();
    let status = process.wait_within(LEAVING_TIME).unwrap();
    assert_eq!(status.code(), Some(0));

    // Its wallet is free again, and whole.
    let again = btc_wallet::local(args(directory.path()), Arc::new(NoopChain)).unwrap();
    assert_eq!(again.load_wallet("w".into(), None).unwrap().error, "");
}

#[test]
fn it_says_what_it_is_and_what_it_cannot() {
    let run = |arguments: &[&str]| {
        let output = Command::new(EXE).args(arguments).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (
            output.status.code(),
            text(output.stdout),
            text(output.stderr),
        )
    };
    let (code, out, err) = run(&["-version"]);
    assert_eq!((code, err.as_str()), (Some(0), ""));
    assert!(out.contains("bitcoin-wallet"), "{out}");
    assert_eq!(run(&["-help"]).0, Some(0));
    let (code, out, err) = run(&["info"]);
    assert_eq!((code, out.as_str()), (Some(1), ""));
    assert!(err.contains("not supported yet"), "{err}");
    assert_eq!(run(&["-nonsense"]).0, Some(1));
    let (code, _, err) = run(&["-ipcfd", "77"]);
    assert_eq!(code, Some(1));
    assert!(err.contains("invalid -ipcfd descriptor"), "{err}");
    assert_eq!(run(&["-ipcfd", "x"]).0, Some(1));
}
