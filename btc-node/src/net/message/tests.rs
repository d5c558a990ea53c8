//! Every message survives the wire, and no bytes do harm.

use super::*;
use bitcoin::Network;
use bitcoin::constants::genesis_block;
use bitcoin::hex::FromHex;
use proptest::prelude::*;

const NAMES: &[&str] = &[
    "version",
    "verack",
    "addr",
    "addrv2",
    "sendaddrv2",
    "getaddr",
    "inv",
    "getdata",
    "notfound",
    "getblocks",
    "getheaders",
    "headers",
    "sendheaders",
    "block",
    "tx",
    "mempool",
    "ping",
    "pong",
    "feefilter",
    "wtxidrelay",
    "sendcmpct",
    "cmpctblock",
    "getblocktxn",
    "blocktxn",
    "feature",
    "sendtxrcncl",
    "filterload",
    "getcfilters",
    "x",
];

fn inventory() -> impl Strategy<Value = Inventory> {
    (any::<u32>(), any::<[u8; 32]>()).prop_map(|(kind, hash)| match kind % 5 {
        0 => Inventory::Block(BlockHash::from_byte_array(hash)),
        1 => Inventory::WitnessBlock(BlockHash::from_byte_array(hash)),
        2 => Inventory::WTx(bitcoin::Wtxid::from_byte_array(hash)),
        3 => Inventory::Transaction(bitcoin::Txid::from_byte_array(hash)),
        _ => Inventory::Unknown { inv_type: 77, hash },
    })
}

fn message() -> impl Strategy<Value = Message> {
    let hashes = proptest::collection::vec(any::<[u8; 32]>(), 0..MAX_LOCATOR)
        .prop_map(|list| list.into_iter().map(BlockHash::from_byte_array).collect());
    let locator = (hashes, any::<[u8; 32]>()).prop_map(|(hashes, stop)| Locator {
        hashes,
        stop: BlockHash::from_byte_array(stop),
    });
    let items = proptest::collection::vec(inventory(), 0..20);
    let genesis = genesis_block(Network::Regtest);
    let headers = vec![genesis.header; 3];
    prop_oneof![
        locator.prop_map(Message::GetHeaders),
        items.prop_map(Message::Inv),
        any::<u64>().prop_map(Message::Ping),
        any::<Option<u64>>().prop_map(Message::Pong),
        any::<i64>().prop_map(Message::FeeFilter),
        (any::<u8>(), any::<u64>())
            .prop_map(|(announce, version)| Message::SendCmpct { announce, version }),
        (
            proptest::collection::vec(any::<u8>(), 4..80),
            proptest::collection::vec(any::<u8>(), 0..512)
        )
            .prop_map(|(id, data)| Message::Feature { id, data }),
        Just(Message::Headers(headers)),
        Just(Message::Tx(Arc::new(genesis.txdata[0].clone()))),
        Just(Message::Block(Arc::new(genesis))),
        Just(Message::Verack),
    ]
}

proptest! {
    #[test]
    fn what_is_encoded_decodes_to_the_same(message in message()) {
        let decoded = Message::decode(message.command(), &message.encode());
        prop_assert_eq!(decoded.as_ref(), Ok(&message));
    }

    #[test]
    fn any_bytes_are_decoded_or_refused(
        name in proptest::sample::select(NAMES), payload in proptest::collection::vec(any::<u8>(), 0..300),
    ) {
        let command = Command::new(name).expect("is short");
        if let Ok(message) = Message::decode(command, &payload) {
            prop_assert_eq!(message.command(), command);
            // What was understood can be sent on.
            prop_assert!(Message::decode(command, &message.encode()).is_ok());
        }
    }

    #[test]
    fn a_cut_message_is_refused(message in message(), cut in any::<proptest::sample::Index>()) {
        let bytes = message.encode();
        prop_assume!(!bytes.is_empty() && !matches!(message, Message::Pong(_)));
        let cut = &bytes[..cut.index(bytes.len())];
        prop_assert!(Message::decode(message.command(), cut).is_err());
    }
}

#[test]
fn counts_above_the_limit_are_told_apart_from_garbage() {
    let mut payload = vec![0xfd, 0x51, 0xc3];
    payload.resize(3 + 36 * 50_001, 0);
    let inv = Command::new("inv").expect("is short");
    let error = Message::decode(inv, &payload).expect_err("has 50001 items");
    assert_eq!(error.to_string(), "inv message size = 50001");
    // A count of what is not there is garbage, whatever it is.
    for count in [[0xfd, 0x50, 0xc3], [0xfd, 0x51, 0xc3]] {
        let error = Message::decode(inv, &count).expect_err("is cut");
        assert!(matches!(error, DecodeError::Text(_)));
    }
}

#[test]
fn the_oldest_version_message_is_understood() {
    let hex = "9c7c00000100000000000000e615104d00000000010000000000000000000000000000000000ffff0a000001208d";
    let payload = Vec::<u8>::from_hex(hex).expect("is hex");
    let Ok(Message::Version(version)) =
        Message::decode(Command::new("version").expect("is short"), &payload)
    else {
        panic!("is a version");
    };
    assert_eq!(version.version, 31_900);
    assert!(version.relay && version.user_agent.is_empty());
    let again = Message::Version(version.clone());
    assert_eq!(
        Message::decode(again.command(), &again.encode()),
        Ok(again.clone())
    );
}

#[test]
fn names_are_printable_and_padded_with_zeros() {
    assert_eq!(
        Command::new("verack").map(|c| c.to_string()),
        Some("verack".into())
    );
    assert_eq!(Command::from_wire(*b"verack\0\0\0\0\0x"), None);
    assert_eq!(Command::from_wire(*b"ver\x07ack\0\0\0\0\0"), None);
    assert_eq!(Command::new("a name too long"), None);
}

#[test]
fn transactions_that_no_encoder_makes_are_named_for_what_they_are() {
    let tx = |payload: &[u8]| Message::decode(Command::new("tx").unwrap(), payload);
    let empty = [2, 0, 0, 0, 0, 0, 7, 0, 0, 0];
    let Ok(Message::Tx(read)) = tx(&empty) else {
        panic!("a transaction of nothing is read");
    };
    assert!(read.input.is_empty() && read.output.is_empty());
    assert_eq!(read.lock_time.to_consensus_u32(), 7);
    // One input without a script, one output without a script, and then a witness or none.
    let with = |flag: u8, witness: &[u8]| {
        let mut payload = vec![2, 0, 0, 0, 0, flag, 1];
        payload.extend([9; 36]);
        payload.extend([0, 0xff, 0xff, 0xff, 0xff, 1]);
        payload.extend([0; 9]);
        payload.extend(witness);
        payload.extend([0; 4]);
        tx(&payload)
    };
    let text = |text: &str| Err(DecodeError::Text(text.into()));
    assert!(with(1, &[1, 1, 5]).is_ok());
    assert_eq!(with(1, &[0]), text("Superfluous witness record"));
    assert_eq!(with(3, &[0]), text("Superfluous witness record"));
    assert_eq!(
        with(3, &[1, 1, 5]),
        text("Unknown transaction optional data")
    );
    assert_eq!(
        with(2, &[1, 1, 5]),
        text("Unknown transaction optional data")
    );
    assert_eq!(with(1, &[1]), text("DataStream::read(): end of data"));
}

#[test]
fn a_block_may_hold_a_transaction_of_nothing() {
    let nothing = <Vec<u8>>::from_hex("02000000000007000000").expect("hexadecimal");
    let decode = |command: &str, payload: &[u8]| {
        let command = Command::new(command).expect("a name");
        Message::decode(command, payload)
    };
    let Ok(Message::Tx(tx)) = decode("tx", &nothing) else {
        panic!("is a transaction");
    };
    let genesis = genesis_block(Network::Regtest);
    let mut payload = bitcoin::consensus::serialize(&genesis.header);
    payload.push(2);
    payload.extend(bitcoin::consensus::serialize(&genesis.txdata[0]));
    payload.extend(&nothing);
    let Ok(Message::Block(block)) = decode("block", &payload) else {
        panic!("is a block");
    };
    assert_eq!(block.txdata[0], genesis.txdata[0]);
    assert_eq!(block.txdata[1], *tx);
    assert!(decode("block", &payload[..payload.len() - 1]).is_err());
    // A false count asks for nothing.
    payload[80] = 0xff;
    assert!(decode("block", &payload).is_err());
}

#[test]
fn more_than_a_message_may_hold_is_told_from_a_count_of_nothing() {
    let many = |name: &str, count: u16, length: usize| {
        let mut payload = vec![0xfd];
        payload.extend(count.to_le_bytes());
        payload.resize(3 + usize::from(count) * length, 0);
        let command = Command::new(name).expect("a name");
        let whole = Message::decode(command, &payload);
        payload.pop();
        (whole, Message::decode(command, &payload))
    };
    for (name, count, length) in [
        ("inv", 50_001, 36),
        ("notfound", 50_001, 36),
        ("addr", 1001, 30),
    ] {
        let (whole, cut) = many(name, count, length);
        assert!(matches!(whole, Err(DecodeError::TooMany { .. })), "{name}");
        assert!(matches!(cut, Err(DecodeError::Text(_))), "{name}");
    }
    // Headers are counted before they are read.
    let headers = Message::decode(
        Command::new("headers").expect("a name"),
        &[0xfd, 0xd1, 0x07],
    );
    let error = headers.expect_err("too many");
    assert_eq!(error.to_string(), "headers message size = 2001");
}
