//! Asks a node in another process, this project's or Bitcoin Core's, over the socket of its `-ipcbind=unix`.
//!
//! ```console
//! $ bitcoin-node -regtest -ipcbind=unix &
//! $ cargo run -p btc-interfaces --features ipc --example ask_node -- ~/.bitcoin/regtest/node.sock
//! ```

use btc_interfaces::{CreateOptions, Init};
use mp_core::{Connection, Options, PeerCheck};
use serde_json::json;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).ok_or("which socket?")?;
    let options = Options::new().peer(PeerCheck::SameUser);
    let (connection, init): (_, Arc<dyn Init>) =
        Connection::connect(UnixStream::connect(path)?, options)?;

    println!("echo: {}", init.make_echo()?.echo("hello".to_owned())?);

    let mining = init.make_mining()?;
    println!("a chain for tests: {}", mining.is_test_chain()?);
    println!("tip: {:?}", mining.get_tip()?);
    if let Some(template) = mining.create_new_block(CreateOptions::default(), false)? {
        let header = template.get_block_header()?;
        let block = template.get_block()?;
        println!(
            "next block: after {}, {} transactions",
            header.prev_blockhash,
            block.txdata.len()
        );
    }

    let request = json!({"method": "getblockcount", "params": [], "id": 1}).to_string();
    let reply = init
        .make_rpc()?
        .execute_rpc(request, "/".to_owned(), String::new())?;
    println!("getblockcount: {reply}");
    drop(init);
    drop(connection);
    Ok(())
}
