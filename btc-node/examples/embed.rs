//! A node inside another program: its own chain, its own wallet, no other process.

use btc_interfaces::{AddressType, CreateWallet};
use btc_node::node::{Node, Placement};
use serde_json::json;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = tempfile::tempdir()?;
    let node = Node::builder()
        .data_dir(dir.path())
        .option("chain", "regtest")
        .option("connect", "0")
        .wallet(Placement::local())
        .start()?;

    let wallets = node
        .wallet_loader()
        .ok_or("the node runs without wallets")?;
    let made = wallets.create_wallet(CreateWallet {
        name: "embedded".to_owned(),
        ..CreateWallet::default()
    })?;
    let wallet = made.wallet.ok_or(made.error)?;
    let address = wallet.new_destination(AddressType::Bech32m, String::new())?;

    let request = json!({"id": 1, "method": "generatetoaddress", "params": [101, address.address]});
    node.rpc()
        .execute_rpc(request, "/".to_owned(), String::new())?;
    node.chain().wait_for_notifications()?;
    println!(
        "{} blocks, {}",
        node.chain().height()?.unwrap_or(0),
        wallet.balances()?.trusted
    );
    node.stop();
    Ok(())
}
