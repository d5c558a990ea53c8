//! Directories that others wrote.

use bitcoin::Amount;
use btc_consensus::Chain;
use btc_node::chainstate::{ChainTipStatus, OpenError, UtxoHashKind};

use crate::support::{Home, data, digest, mine, muhash, unpack};

const CORE_TIP: &str = "3cd6bf4933906f4b49891cf5cff2c264096f618c5ed8900046ce20922f1cd783";
const CORE_MUHASH: &str = "0400808af7b25f104bf388b1adacc0ffe5d6eb909e9fedff7016976c9456b9a9";
const CORE_SERIALIZED: &str = "84c437e952b03599f8d59d2e8066fe91ee4df83fe4431ef667289394dd66f7d1";

fn core_home() -> Home {
    let home = Home {
        now: 1_700_151_200,
        ..Home::regtest()
    };
    unpack(&data("core-regtest-250.tar.xz"), home.dir.path());
    home
}

#[test]
fn a_directory_that_core_wrote_is_opened_in_place() {
    let home = core_home();
    // Every block is disconnected and connected again in memory, with all scripts.
    let node = home.open();
    let tip = node.tip();
    assert_eq!((tip.height, tip.hash.to_string().as_str()), (250, CORE_TIP));
    assert_eq!(
        (tip.time, tip.median_time_past),
        (1_700_151_200, 1_700_147_000)
    );
    assert_eq!(tip.chainwork.to_string(), format!("{:064x}", 0x1f6));
    let stats = node
        .utxo_stats(UtxoHashKind::None)
        .expect("computes")
        .expect("is not interrupted");
    assert_eq!(
        (stats.tx_outs, stats.transactions, stats.bogo_size),
        (387, 305, 29_299)
    );
    assert_eq!(stats.total_amount, Some(Amount::from_sat(9975_0000_0000)));
    assert_eq!(muhash(&node), CORE_MUHASH);
    assert_eq!(
        digest(&node, UtxoHashKind::HashSerialized3),
        CORE_SERIALIZED
    );
    let tips: Vec<_> = node
        .chain_tips()
        .into_iter()
        .map(|tip| (tip.height, tip.branch_len, tip.status))
        .collect();
    assert_eq!(
        tips,
        [
            (250, 0, ChainTipStatus::Active),
            (248, 2, ChainTipStatus::ValidFork)
        ]
    );
}

#[test]
fn it_goes_on_where_core_stopped_and_survives_a_reindex() {
    let home = core_home();
    let blocks = {
        let node = home.open();
        let blocks = mine(&node, 5);
        node.close().expect("flushes");
        blocks
    };
    let tip = blocks.last().expect("mined").block_hash();
    let before = {
        let node = home.open();
        assert_eq!(node.tip().hash, tip);
        muhash(&node)
    };
    {
        let node = home.open_with(|options| options.reindex_chainstate = true);
        assert_eq!(node.tip().height, 0);
        node.activate_best_chain().expect("connects");
        assert_eq!((node.tip().hash, muhash(&node)), (tip, before.clone()));
        node.close().expect("flushes");
    }
    let node = home.open_with(|options| options.reindex = true);
    let report = node.reindex_block_files().expect("reads the files");
    assert_eq!((report.orphans, report.invalid), (0, 0));
    assert_eq!((node.tip().hash, muhash(&node)), (tip, before));
    node.close().expect("flushes");
    drop(node);
    // The rebuilt directory opens like any other.
    assert_eq!(home.open().tip().hash, tip);
}

#[test]
fn a_directory_of_another_network_is_refused() {
    let mut home = Home::new(Chain::Main);
    home.open().close().expect("flushes");
    home.chain = Chain::Regtest;
    let error = home.try_open_with(|_| {}).err().expect("is refused");
    assert!(matches!(error, OpenError::WrongGenesis), "{error:?}");
    assert_eq!(
        error.to_string(),
        "Incorrect or no genesis block found. Wrong datadir for network?"
    );
}

#[test]
fn a_tip_from_the_future_is_refused() {
    let mut home = Home::regtest();
    {
        let node = home.open();
        mine(&node, 3);
        node.close().expect("flushes");
    }
    home.now = 1_296_688_602 - 10_000;
    let error = home.try_open_with(|_| {}).err().expect("is refused");
    assert!(
        error
            .to_string()
            .starts_with("The block database contains a block which appears to be from the future")
    );
}

#[test]
fn a_missing_or_damaged_block_file_is_noticed() {
    let home = Home::regtest();
    {
        let node = home.open();
        mine(&node, 10);
        node.close().expect("flushes");
    }
    let file = home.blocks().join("blk00000.dat");
    let whole = std::fs::read(&file).expect("reads");
    let mut damaged = whole.clone();
    for byte in &mut damaged[1500..1600] {
        *byte ^= 0x55;
    }
    std::fs::write(&file, damaged).expect("writes");
    let error = home.try_open_with(|_| {}).err().expect("is refused");
    assert_eq!(error.to_string(), "Corrupted block database detected");
    std::fs::remove_file(&file).expect("removes");
    let error = home.try_open_with(|_| {}).err().expect("is refused");
    assert_eq!(error.to_string(), "Error loading block database");
    std::fs::write(&file, whole).expect("writes");
    assert_eq!(home.open().tip().height, 10);
}
