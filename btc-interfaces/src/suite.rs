//! One suite of behaviour over `&dyn Trait`, for every implementation and every placement.
//!
//! * [`chain`], [`handlers`] and [`mining`] hold of any implementation: a node, a fake, a proxy of either.
//! * [`crossing`] takes the [`Init`] of a [`Model`] and asserts that each argument, result, callback and error arrives
//!   as it was sent. Run it on the model itself and on a proxy of it: who passes both cannot be told apart.
//!
//! A failed expectation panics, as in any test.

mod model;

pub use model::Model;

use crate::rpc::{RpcCommand, RpcError, RpcHandler, RpcReply, RpcRequest, code};
use crate::{
    AddressType, BlockInfo, BroadcastMethod, Chain, ChainNotifications, CheckOptions,
    CreateOptions, CreateWallet, Error, GlobalArgs, Init, Mining, NodeEvents, NotifyOptions,
    RemovalReason, Result, SettingsAction, WaitOptions, Wallet, WalletFlags, WalletListener,
    WantBlock,
};
use bitcoin::hashes::Hash;
use bitcoin::{Amount, BlockHash, OutPoint, Transaction, Txid, Wtxid};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex, MutexGuard};

/// What holds of every chain that has at least its genesis block and stands still meanwhile.
pub fn chain(chain: &dyn Chain) -> Result<()> {
    let height = chain
        .height()?
        .expect("a chain under test has a genesis block");
    let tip = chain.block_hash(height)?.expect("the tip has a hash");
    assert_eq!(
        chain.block_hash(height + 1)?,
        None,
        "nothing is above the tip"
    );
    assert_eq!(
        chain.block_hash(-1)?,
        None,
        "nothing is below the genesis block"
    );

    let unknown = BlockHash::from_byte_array([0x5a; 32]);
    assert_eq!(chain.find_block(unknown, WantBlock::default())?, None);
    assert_eq!(chain.find_locator_fork(vec![unknown])?, None);
    assert_eq!(chain.find_locator_fork(vec![unknown, tip])?, Some(height));

    let found = chain
        .find_block(
            tip,
            WantBlock {
                data: true,
                locator: true,
            },
        )?
        .expect("the tip is known");
    assert_eq!(
        (found.hash, found.height, found.in_active_chain),
        (tip, height, true)
    );
    assert_eq!(found.next_block, None, "nothing follows the tip");
    assert_eq!(
        found.locator.first(),
        Some(&tip),
        "a locator starts at its block"
    );
    assert!(found.max_time >= found.time && found.mtp_time <= found.max_time);
    let block = found.data.expect("the tip's data is on disk");
    assert_eq!(block.block_hash(), tip);
    assert!(chain.have_block_on_disk(height)?);
    assert!(!chain.have_block_on_disk(height + 1)?);
    assert!(chain.has_blocks(tip, 0, None)?);

    let genesis = chain.block_hash(0)?.expect("there is a genesis block");
    let ancestor = chain
        .find_ancestor_by_height(tip, 0)?
        .expect("every block descends from the genesis block");
    assert_eq!((ancestor.hash, ancestor.height), (genesis, 0));
    assert_eq!(
        ancestor.data, None,
        "data come only where they are asked for"
    );
    assert_eq!(chain.find_ancestor_by_height(tip, height + 1)?, None);
    assert!(chain.find_ancestor_by_hash(tip, genesis)?.is_some());
    let common = chain
        .find_common_ancestor(tip, genesis)?
        .expect("one descends from the other");
    assert_eq!(common.hash, genesis);
    let first = chain
        .find_first_block_with_time_and_height(0, 0)?
        .expect("some block has a time");
    assert_eq!(first.height, 0);
    assert_eq!(
        chain.find_first_block_with_time_and_height(i64::MAX, 0)?,
        None
    );

    let nowhere = OutPoint {
        txid: Txid::from_byte_array([0x5a; 32]),
        vout: 7,
    };
    assert_eq!(chain.find_coins(vec![nowhere])?, Vec::new());
    assert!(!chain.is_in_mempool(nowhere.txid)?);
    assert!(!chain.has_descendants_in_mempool(nowhere.txid)?);
    assert_eq!(chain.transaction_ancestry(nowhere.txid)?.ancestors, 0);
    assert!((0.0..=1.0).contains(&chain.guess_verification_progress(tip)?));
    chain.wait_for_notifications_if_tip_changed(tip)?;
    chain.wait_for_notifications()
}

/// What holds of every registration with a chain: it can be made, undone twice, and dropped.
pub fn handlers(chain: &dyn Chain) -> Result<()> {
    let heard = Arc::new(Recorder::default());
    let handler = chain.handle_notifications(heard.clone(), NotifyOptions::default())?;
    chain.wait_for_notifications()?;
    handler.disconnect()?;
    handler.disconnect()?;
    drop(handler);

    let command = RpcCommand {
        category: "hidden".to_owned(),
        name: "suiteprobe".to_owned(),
        arguments: vec!["value".to_owned()],
        help: "suiteprobe value".to_owned(),
        openrpc: json!({}),
        conversions: json!([]),
    };
    let handler = chain.handle_rpc(command, Arc::new(Answer))?;
    handler.disconnect()?;
    Ok(())
}

/// What holds of every miner's interface on a chain for tests.
pub fn mining(mining: &dyn Mining) -> Result<()> {
    let tip = mining.get_tip()?.expect("a chain under test has a tip");
    assert_eq!(
        mining.wait_tip_changed(tip.hash, 0.0)?,
        Some(tip),
        "the wait ends with the tip as it is"
    );
    let options = CreateOptions {
        use_mempool: false,
        ..CreateOptions::default()
    };
    let template = mining
        .create_new_block(options, false)?
        .expect("nobody is shutting down");
    let header = template.get_block_header()?;
    assert_eq!(header.prev_blockhash, tip.hash);
    let block = template.get_block()?;
    assert_eq!(block.header, header);
    assert_eq!(block.txdata.len(), template.get_tx_fees()?.len() + 1);
    assert_eq!(
        template.get_tx_fees()?.len(),
        template.get_tx_sigops()?.len()
    );
    let verdict = mining.check_block(
        block,
        CheckOptions {
            check_merkle_root: true,
            check_pow: false,
        },
    )?;
    assert!(
        verdict.result,
        "a template is valid but for its proof of work: {}",
        verdict.reason
    );
    assert_eq!(
        mining.get_transactions_by_tx_id(vec![Txid::from_byte_array([0x5a; 32])])?,
        vec![None]
    );
    assert_eq!(
        mining.get_transactions_by_witness_id(vec![Wtxid::from_byte_array([0x5a; 32])])?,
        vec![None]
    );
    Ok(())
}

/// Everything that crosses between the parts, once in each direction, over the [`Init`] of a [`Model`].
pub fn crossing(init: &dyn Init) -> Result<()> {
    let echo = init.make_echo()?;
    for text in ["", "plain", "Grüße, 世界 🏃", &"long ".repeat(50_000)] {
        assert_eq!(echo.echo(text.to_owned())?, text);
    }
    let refused = init
        .make_mining_old2()
        .expect_err("the old ordinal only refuses");
    assert!(refused.to_string().contains("not supported"), "{refused}");

    let node_chain = init.make_chain()?;
    chain(&*node_chain)?;
    handlers(&*node_chain)?;
    chain_values(&*node_chain)?;
    chain_callbacks(&*node_chain)?;
    mining(&*init.make_mining()?)?;
    mining_values(&*init.make_mining()?)?;
    rpc(init)?;
    wallets(init, node_chain)?;
    node(init)
}

fn chain_values(chain: &dyn Chain) -> Result<()> {
    let block = model::block(2);
    let found = chain
        .find_block(
            block.block_hash(),
            WantBlock {
                data: true,
                locator: false,
            },
        )?
        .expect("known");
    assert_eq!(found.data.as_ref(), Some(&block));
    assert_eq!(found.locator, Vec::new());
    assert_eq!(found.next_block, Some(model::block(3).block_hash()));

    let outpoints: Vec<_> = (0..3)
        .map(|vout| OutPoint {
            txid: model::payment().compute_txid(),
            vout,
        })
        .collect();
    let coins = chain.find_coins(outpoints.clone())?;
    assert_eq!(coins.len(), 1, "the model has one such coin");
    assert_eq!(coins[0].outpoint, outpoints[0]);
    assert_eq!(coins[0].output, model::payment().output[0]);
    assert_eq!((coins[0].height, coins[0].coinbase), (2, true));

    let outcome = chain.broadcast_transaction(
        model::payment(),
        Amount::from_sat(1234),
        BroadcastMethod::MempoolNoBroadcast,
    )?;
    assert_eq!(
        outcome.error,
        format!(
            "{} 1234 MempoolNoBroadcast",
            model::payment().compute_txid()
        )
    );
    assert!(!outcome.result);
    assert_eq!(
        chain.check_chain_limits(model::payment())?,
        Some("too-large-cluster".to_owned())
    );
    assert!(chain.has_blocks(block.block_hash(), 0, Some(2))?);
    assert!(!chain.has_blocks(block.block_hash(), 0, Some(i32::MAX))?);
    assert_eq!(chain.prune_height()?, None);
    assert_eq!(
        chain
            .fee_estimate(2, true)?
            .map(|estimate| (estimate.feerate, estimate.blocks)),
        Some((2500, 2))
    );
    assert_eq!(chain.fee_estimate(i32::MAX, false)?, None);
    let package = chain.package_limits()?;
    assert_eq!((package.ancestors, package.descendants), (25, 26));

    let value = json!({"a": [1, -2.5, "ü", null, true], "b": {"amount": 0.00000001}});
    assert!(chain.overwrite_rw_setting(
        "key".to_owned(),
        value.clone(),
        SettingsAction::SkipWrite
    )?);
    assert_eq!(chain.rw_setting("key".to_owned())?, value);
    assert_eq!(chain.rw_setting("absent".to_owned())?, Value::Null);
    assert_eq!(
        chain.settings_list("list".to_owned())?,
        vec![json!("one"), json!(2)]
    );
    match chain.init_error("the model refuses this".to_owned()) {
        Err(Error::Failed(reason)) => assert_eq!(reason, "the model refuses this"),
        other => panic!("an implementation's error keeps its text, not {other:?}"),
    }
    Ok(())
}

fn chain_callbacks(chain: &dyn Chain) -> Result<()> {
    let heard = Arc::new(Recorder::default());
    chain.request_mempool_transactions(heard.clone())?;
    assert_eq!(
        *heard.lines(),
        [format!("added {}", model::payment().compute_txid())]
    );

    let heard = Arc::new(Recorder::default());
    let handler = chain.handle_notifications(
        heard.clone(),
        NotifyOptions {
            disconnect_data: true,
        },
    )?;
    chain.show_progress("events".to_owned(), 1, false)?; // The model answers progress with one event of each kind.
    chain.wait_for_notifications()?;
    let tip = model::block(3).block_hash();
    assert_eq!(
        *heard.lines(),
        [
            format!("added {}", model::payment().compute_txid()),
            format!("removed {} Conflict", model::payment().compute_txid()),
            format!("connected 3 {tip} with 1 transactions in file 0 at 8"),
            format!("disconnected 3 {tip}"),
            "tip".to_owned(),
            format!("flushed {tip}"),
        ]
    );
    drop(handler);
    chain.wait_for_notifications()?;
    chain.show_progress("events".to_owned(), 2, false)?;
    chain.wait_for_notifications()?;
    assert_eq!(
        heard.lines().len(),
        6,
        "a dropped handler hears nothing more"
    );
    assert_eq!(Arc::strong_count(&heard), 1, "and the callback is let go");
    Ok(())
}

fn mining_values(mining: &dyn Mining) -> Result<()> {
    let template = mining
        .create_new_block(CreateOptions::default(), true)?
        .expect("nobody is shutting down");
    let coinbase = template.get_coinbase_tx()?;
    assert_eq!(coinbase.witness, Some(vec![0; 32]));
    assert_eq!(
        coinbase.required_outputs,
        vec![model::payment().output[0].clone()]
    );
    assert_eq!(
        (coinbase.version, coinbase.sequence, coinbase.lock_time),
        (2, 0xffff_fffe, 3)
    );
    assert_eq!(template.get_coinbase_merkle_path()?, Vec::new());
    assert!(
        template
            .wait_next(WaitOptions {
                timeout: 0.0,
                ..WaitOptions::default()
            })?
            .is_none()
    );
    let verdict = template.submit_solution(1, 2, 3, Some(model::payment()))?;
    assert_eq!(
        (
            verdict.reason.as_str(),
            verdict.debug.as_str(),
            verdict.result
        ),
        ("high-hash", "1 2 3", false)
    );
    let found = mining
        .get_transactions_by_tx_id(vec![Txid::all_zeros(), model::payment().compute_txid()])?;
    assert_eq!(found, vec![None, Some(model::payment())]);
    Ok(())
}

fn rpc(init: &dyn Init) -> Result<()> {
    let server = init.make_rpc()?;
    // The text comes as it is, with what a value would lose.
    let request =
        r#"{"method": "getblockcount", "params": [{"a": 1, "a": 2}], "id": "x"}"#.to_owned();
    let reply = server.execute_rpc(request.clone(), "/wallet/w".to_owned(), "user".to_owned())?;
    assert_eq!(
        reply,
        json!({"request": request, "uri": "/wallet/w", "user": "user"})
    );

    let chain = init.make_chain()?;
    let command = RpcCommand {
        category: "wallet".to_owned(),
        name: "suiteprobe".to_owned(),
        arguments: vec!["value|alias".to_owned(), "other".to_owned()],
        help: "suiteprobe value".to_owned(),
        openrpc: json!({}),
        conversions: json!([]),
    };
    let handler = chain.handle_rpc(command, Arc::new(Answer))?;
    // A request for the method comes back through the server to the handler above.
    let call = |params: Value| {
        server.execute_rpc(
            json!({"method": "suiteprobe", "params": params}).to_string(),
            "/".to_owned(),
            "u".to_owned(),
        )
    };
    assert_eq!(call(json!([41]))?, json!({"result": 42}));
    assert_eq!(
        call(json!(["x"]))?,
        json!({"error": {"code": code::TYPE_ERROR, "message": "not a number"}})
    );
    handler.disconnect()?;
    assert!(call(json!([1])).is_err(), "nobody answers any more");
    Ok(())
}

fn wallets(init: &dyn Init, chain: Arc<dyn Chain>) -> Result<()> {
    let args = GlobalArgs {
        chain: "regtest".to_owned(),
        net_data_dir: "/somewhere/ünïcode".to_owned(),
        options: vec!["fallbackfee=0.0002".to_owned(), "keypool=1".to_owned()],
        mock_time: 1_700_000_000,
    };
    let loader = init.make_wallet_loader(args.clone(), chain)?;
    let client = loader.chain_client()?;
    client.register_rpcs()?;
    assert!(client.verify()? && client.load()?);
    client.start()?;
    client.set_mock_time(5)?;
    assert_eq!(
        loader.wallet_dir()?,
        format!(
            "{}/wallets of {} at height 3",
            args.net_data_dir, args.chain
        )
    );
    assert_eq!(loader.list_wallet_dir()?, args.options);

    let heard = Arc::new(Loaded::default());
    let handler = loader.handle_load_wallet(heard.clone())?;
    let flags = WalletFlags {
        disable_private_keys: false,
        blank: true,
        avoid_reuse: true,
    };
    let made = loader.create_wallet(CreateWallet {
        name: "w".to_owned(),
        flags,
        load_on_startup: Some(true),
    })?;
    assert_eq!((made.error.as_str(), made.code), ("", 0));
    assert_eq!(made.warnings, ["blank: true", "on start-up: Some(true)"]);
    let wallet = made.wallet.expect("no error, so there is a wallet");
    assert_eq!(wallet.wallet_name()?, "w");
    assert_eq!(wallet.balances()?.trusted, Amount::from_sat(1));
    assert_eq!(
        wallet
            .new_destination(AddressType::Bech32m, "label".to_owned())?
            .address,
        "Bech32m label"
    );
    assert_eq!(wallet.last_block()?.map(|block| block.height), Some(3));
    assert_eq!(*heard.0.lock().unwrap_or_else(|e| e.into_inner()), ["w"]);
    handler.disconnect()?;
    let names: Result<Vec<_>> = loader
        .wallets()?
        .iter()
        .map(|wallet| wallet.wallet_name())
        .collect();
    assert_eq!(names?, ["w"]);
    let failed = loader.load_wallet("nowhere".to_owned(), None)?;
    assert!(failed.wallet.is_none());
    assert_eq!(failed.code, code::WALLET_NOT_FOUND);
    client.stop()
}

fn node(init: &dyn Init) -> Result<()> {
    let node = init.make_node()?;
    let status = node.status()?.expect("the model is past its start-up");
    assert_eq!(
        (
            status.chain.as_str(),
            status.tip.height,
            status.mempool_size
        ),
        ("regtest", 3, 1)
    );
    assert_eq!(status.verification_progress, 0.25);
    let reply = node.execute_rpc("getblockcount".to_owned(), json!([]), String::new())?;
    assert_eq!(reply.into_result(), Ok(json!(3)));
    let reply = node.execute_rpc("absent".to_owned(), json!([]), String::new())?;
    assert_eq!(
        reply.into_result(),
        Err(RpcError::new(code::METHOD_NOT_FOUND, "Method not found"))
    );
    assert!(node.wallet_loader()?.is_none());
    let heard = Arc::new(Recorder::default());
    let handler = node.handle_events(heard.clone())?;
    assert_eq!(
        *heard.lines(),
        ["block 3 at 1700000003: 0.5", "message Done loading"]
    );
    handler.disconnect()?;
    assert!(!node.shutdown_requested()?);
    node.start_shutdown()?;
    assert!(node.shutdown_requested()?);
    Ok(())
}

/// Writes down what it hears.
#[derive(Default)]
struct Recorder(Mutex<Vec<String>>);

impl Recorder {
    fn lines(&self) -> MutexGuard<'_, Vec<String>> {
        self.0
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn hear(&self, line: String) -> Result<()> {
        self.lines().push(line);
        Ok(())
    }
}

impl ChainNotifications for Recorder {
    fn transaction_added_to_mempool(&self, tx: Transaction) -> Result<()> {
        self.hear(format!("added {}", tx.compute_txid()))
    }
    fn transaction_removed_from_mempool(
        &self,
        tx: Transaction,
        reason: RemovalReason,
    ) -> Result<()> {
        self.hear(format!("removed {} {reason:?}", tx.compute_txid()))
    }
    fn block_connected(&self, block: BlockInfo) -> Result<()> {
        let transactions = block.data.map_or(0, |data| data.txdata.len());
        self.hear(format!(
            "connected {} {} with {transactions} transactions in file {} at {}",
            block.height, block.hash, block.file_number, block.data_pos
        ))
    }
    fn block_disconnected(&self, block: BlockInfo) -> Result<()> {
        self.hear(format!("disconnected {} {}", block.height, block.hash))
    }
    fn updated_block_tip(&self) -> Result<()> {
        self.hear("tip".to_owned())
    }
    fn chain_state_flushed(&self, locator: Vec<BlockHash>) -> Result<()> {
        self.hear(format!("flushed {}", locator[0]))
    }
}

impl NodeEvents for Recorder {
    fn block_tip(&self, tip: crate::BlockRef, time: i64, verification_progress: f64) -> Result<()> {
        self.hear(format!(
            "block {} at {time}: {verification_progress}",
            tip.height
        ))
    }
    fn init_message(&self, message: String) -> Result<()> {
        self.hear(format!("message {message}"))
    }
}

/// Writes down the names of loaded wallets, asking each over the connection it came by.
#[derive(Default)]
struct Loaded(Mutex<Vec<String>>);

impl WalletListener for Loaded {
    fn wallet_loaded(&self, wallet: Arc<dyn Wallet>) -> Result<()> {
        let name = wallet.wallet_name()?;
        self.0
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
            .push(name);
        Ok(())
    }
}

/// Adds one to a number.
struct Answer;

impl RpcHandler for Answer {
    fn call(&self, request: RpcRequest) -> Result<RpcReply> {
        Ok(match request.params[0].as_i64() {
            Some(number) => Ok(json!(number + 1)),
            None => Err(RpcError::new(code::TYPE_ERROR, "not a number")),
        }
        .into())
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_model_passes_in_process() {
        super::crossing(&super::Model::new()).expect("no call fails in process");
    }
}
