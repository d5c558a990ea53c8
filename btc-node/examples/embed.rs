//! A node inside another program: its own chain, its own wallet, no other process.

use btc_interfaces::{AddressType, CreateWallet};
use btc_node::node::{Node, Placement};
use serde_json::json;

/// Mines to a fresh wallet and says what it then owns.
pub fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = tempfile::tempdir()?;
    let builder = Node::builder().data_dir(dir.path());
    let builder = builder.option("chain", "regtest").option("listen", "0");
    let node = builder.wallet(Placement::local()).start()?;

    let wallets = node.wallet_loader().ok_or("no wallets")?;
    let made = wallets.create_wallet(CreateWallet {
        name: "embedded".to_owned(),
        ..CreateWallet::default()
    })?;
    let wallet = made.wallet.ok_or(made.error)?;
    let address = wallet.new_destination(AddressType::Bech32m, String::new())?;

    let mine = json!({"method": "generatetoaddress", "params": [101, address.address]}).to_string();
    node.rpc().execute_rpc(mine, "/".into(), String::new())?;
    node.chain().wait_for_notifications()?;
    let height = node.chain().height()?.unwrap_or(0);
    println!("{height} blocks, {}", wallet.balances()?.trusted);
    node.stop();
    Ok(())
}
