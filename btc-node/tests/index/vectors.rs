//! The vectors of BIP 158.

use bitcoin::bip158::FilterHeader;
use bitcoin::consensus::deserialize;
use bitcoin::hex::{DisplayHex, FromHex};
use bitcoin::{Amount, Block, ScriptBuf, TxOut};
use btc_consensus::Coin;
use btc_node::index::filters::basic_filter;
use btc_node::store::undo::BlockUndo;
use serde_json::Value;

use crate::support::data;

#[test]
fn filters_and_headers_are_those_of_bip_158() {
    let text = std::fs::read_to_string(data("blockfilters.json")).expect("reads");
    let cases: Vec<Value> = serde_json::from_str(&text).expect("is JSON");
    let mut run = 0;
    // The first line names the columns.
    for case in &cases[1..] {
        let text = |column: usize| case[column].as_str().expect("is text");
        let hex = |text: &str| Vec::from_hex(text).expect("is hexadecimal");
        let block: Block = deserialize(&hex(text(2))).expect("is a block");
        let scripts = case[3].as_array().expect("is a list");
        let coin = |script: &Value| Coin {
            output: TxOut {
                value: Amount::ZERO,
                script_pubkey: ScriptBuf::from_bytes(hex(script.as_str().expect("is text"))),
            },
            height: 0,
            coinbase: false,
        };
        let undo = BlockUndo(vec![scripts.iter().map(coin).collect()]);
        let filter = basic_filter(&block, &undo);
        assert_eq!(filter.content.to_lower_hex_string(), text(5), "{case}");
        let previous: FilterHeader = text(4).parse().expect("is a header");
        assert_eq!(filter.filter_header(&previous).to_string(), text(6));
        let mut scripts = block.txdata.iter().flat_map(|tx| &tx.output);
        let paid = scripts.find(|output| {
            let script = &output.script_pubkey;
            !script.is_op_return() && !script.is_empty()
        });
        if let Some(output) = paid {
            let query = std::iter::once(output.script_pubkey.as_bytes());
            let matches = filter.match_any(&block.block_hash(), query);
            assert!(matches.expect("decodes"));
        }
        run += 1;
    }
    assert_eq!(run, 10);
}
