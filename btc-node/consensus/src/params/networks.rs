//! The parameters of each public network.

use bitcoin::hashes::{Hash, sha256d};
use bitcoin::{BlockHash, ScriptBuf};

use super::{
    AssumeUtxo, Base58Prefixes, Bip9Deployment, Chain, ChainParams, ChainTxData, HeadersSyncParams,
    genesis, signet_magic,
};
use crate::pow::{Target, Work};
use crate::script::ScriptFlags;
use crate::uint256::U256;

const DAY: u32 = 24 * 60 * 60;
const TEN_MINUTES: u32 = 10 * 60;

/// The target of difficulty 1, and the easiest on the networks that are mined in earnest.
const DIFFICULTY_ONE: Target =
    target("00000000ffffffffffffffffffffffffffffffffffffffffffffffffffffffff");

const MAIN_BASE58: Base58Prefixes = Base58Prefixes {
    pubkey_address: 0,
    script_address: 5,
    secret_key: 128,
    ext_public_key: [0x04, 0x88, 0xb2, 0x1e],
    ext_secret_key: [0x04, 0x88, 0xad, 0xe4],
};

const TEST_BASE58: Base58Prefixes = Base58Prefixes {
    pubkey_address: 111,
    script_address: 196,
    secret_key: 239,
    ext_public_key: [0x04, 0x35, 0x87, 0xcf],
    ext_secret_key: [0x04, 0x35, 0x83, 0x94],
};

pub(super) fn main() -> ChainParams {
    ChainParams {
        chain: Chain::Main,
        magic: [0xf9, 0xbe, 0xb4, 0xd9],
        default_port: 8_333,
        rpc_port: 8_332,
        genesis: genesis::times(1_231_006_505, 2_083_236_893, 0x1d00_ffff),
        genesis_hash: hash("000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f"),
        subsidy_halving_interval: 210_000,
        script_flag_exceptions: vec![
            // Holds a spend from before BIP 16 that BIP 16 would forbid.
            (
                hash("00000000000002dc756eebf4f49723ed8d30cc28a5f108eb94b1ba88ac4f9c22"),
                ScriptFlags::NONE,
            ),
            // Holds a spend from before taproot that taproot would forbid.
            (
                hash("0000000000000000000f14c35b2d841e986ab5441de8c585d5ffe55ea1e395ad"),
                ScriptFlags::P2SH | ScriptFlags::WITNESS,
            ),
        ],
        bip34_height: 227_931,
        bip34_hash: Some(hash(
            "000000000000024b89b42a942fe0d9fea3bb44ab7bd1b19115dd6a759c0808b8",
        )),
        bip65_height: 388_381,
        bip66_height: 363_725,
        csv_height: 419_328,
        segwit_height: 481_824,
        min_bip9_warning_height: 711_648,
        deployments: [test_dummy(Bip9Deployment::NEVER_ACTIVE, 1_815, 2_016)],
        pow_limit: DIFFICULTY_ONE,
        allow_min_difficulty_blocks: false,
        enforce_bip94: false,
        no_retargeting: false,
        pow_target_spacing: TEN_MINUTES,
        pow_target_timespan: 14 * DAY,
        minimum_chain_work: work(
            "0000000000000000000000000000000000000001128750f82f4c366153a3a030",
        ),
        assume_valid: Some(hash(
            "00000000000000000000ccebd6d74d9194d8dcdc1d177c478e094bfad51ba5ac",
        )),
        signet_challenge: None,
        dns_seeds: vec![
            "dnsseed.bluematt.me.".to_owned(),
            "seed.bitcoin.jonasschnelli.ch.".to_owned(),
            "seed.btc.petertodd.net.".to_owned(),
            "seed.bitcoin.sprovoost.nl.".to_owned(),
            "dnsseed.emzy.de.".to_owned(),
            "seed.bitcoin.wiz.biz.".to_owned(),
            "seed.mainnet.achownodes.xyz.".to_owned(),
        ],
        base58: MAIN_BASE58,
        bech32_hrp: "bc",
        prune_after_height: 100_000,
        assumed_blockchain_size: 856,
        assumed_chain_state_size: 14,
        assume_utxo: vec![
            snapshot(
                840_000,
                "0000000000000000000320283a032748cef8227873ff4872689bf23f1cda83a5",
                "a2a5521b1b5ab65f67818e5e8eccabb7171a517f9e2382208f77687310768f96",
                991_032_194,
            ),
            snapshot(
                880_000,
                "000000000000000000010b17283c3c400507969a9c2afd1dcf2082ec5cca2880",
                "dbd190983eaf433ef7c15f78a278ae42c00ef52e0fd2a54953782175fbadcea9",
                1_145_604_538,
            ),
            snapshot(
                910_000,
                "0000000000000000000108970acb9522ffd516eae17acddcb1bd16469194a821",
                "4daf8a17b4902498c5787966a2b51c613acdab5df5db73f196fa59a4da2f1568",
                1_226_586_151,
            ),
            snapshot(
                935_000,
                "0000000000000000000147034958af1652b2b91bba607beacc5e72a56f0fb5ee",
                "e4b90ef9eae834f56c4b64d2d50143cee10ad87994c614d7d04125e2a6025050",
                1_305_397_408,
            ),
        ],
        tx_data: ChainTxData {
            time: 1_772_055_173,
            tx_count: 1_315_805_869,
            tx_rate: 5.40111006496122,
        },
        headers_sync: HeadersSyncParams {
            commitment_period: 641,
            redownload_buffer_size: 15_218,
        },
        default_consistency_checks: false,
        is_mockable: false,
    }
}

pub(super) fn testnet3() -> ChainParams {
    ChainParams {
        chain: Chain::Testnet3,
        magic: [0x0b, 0x11, 0x09, 0x07],
        default_port: 18_333,
        rpc_port: 18_332,
        genesis: genesis::times(1_296_688_602, 414_098_458, 0x1d00_ffff),
        genesis_hash: hash("000000000933ea01ad0ee984209779baaec3ced90fa3f408719526f8d77f4943"),
        subsidy_halving_interval: 210_000,
        script_flag_exceptions: vec![
            // Holds a spend from before BIP 16 that BIP 16 would forbid.
            (
                hash("00000000dd30457c001f4095d208cc1296b0eed002427aa599874af7a432b105"),
                ScriptFlags::NONE,
            ),
        ],
        bip34_height: 21_111,
        bip34_hash: Some(hash(
            "0000000023b3a96d3484e5abb3755c413e7d41500f8e2a5c3f0dd01299cd8ef8",
        )),
        bip65_height: 581_885,
        bip66_height: 330_776,
        csv_height: 770_112,
        segwit_height: 834_624,
        min_bip9_warning_height: 2_013_984,
        deployments: [test_dummy(Bip9Deployment::NEVER_ACTIVE, 1_512, 2_016)],
        pow_limit: DIFFICULTY_ONE,
        allow_min_difficulty_blocks: true,
        enforce_bip94: false,
        no_retargeting: false,
        pow_target_spacing: TEN_MINUTES,
        pow_target_timespan: 14 * DAY,
        minimum_chain_work: work(
            "0000000000000000000000000000000000000000000017dde1c649f3708d14b6",
        ),
        assume_valid: Some(hash(
            "000000007a61e4230b28ac5cb6b5e5a0130de37ac1faf2f8987d2fa6505b67f4",
        )),
        signet_challenge: None,
        dns_seeds: vec![
            "testnet-seed.bitcoin.jonasschnelli.ch.".to_owned(),
            "seed.tbtc.petertodd.net.".to_owned(),
            "testnet-seed.bluematt.me.".to_owned(),
            "seed.testnet.achownodes.xyz.".to_owned(),
        ],
        base58: TEST_BASE58,
        bech32_hrp: "tb",
        prune_after_height: 1_000,
        assumed_blockchain_size: 245,
        assumed_chain_state_size: 19,
        assume_utxo: vec![
            snapshot(
                2_500_000,
                "0000000000000093bcb68c03a9a168ae252572d348a2eaeba2cdf9231d73206f",
                "f841584909f68e47897952345234e37fcd9128cd818f41ee6c3ca68db8071be7",
                66_484_552,
            ),
            snapshot(
                4_840_000,
                "00000000000000f4971a7fb37fbdff89315b69a2e1920c467654a382f0d64786",
                "ce6bb677bb2ee9789c4a1c9d73e6683c53fc20e8fdbedbdaaf468982a0c8db2a",
                536_078_574,
            ),
        ],
        tx_data: ChainTxData {
            time: 1_772_051_651,
            tx_count: 536_108_416,
            tx_rate: 0.02691479016257117,
        },
        headers_sync: HeadersSyncParams {
            commitment_period: 673,
            redownload_buffer_size: 14_460,
        },
        default_consistency_checks: false,
        is_mockable: false,
    }
}

pub(super) fn testnet4() -> ChainParams {
    ChainParams {
        chain: Chain::Testnet4,
        magic: [0x1c, 0x16, 0x3f, 0x28],
        default_port: 48_333,
        rpc_port: 48_332,
        genesis: genesis::testnet4(1_714_777_860, 393_743_547, 0x1d00_ffff),
        genesis_hash: hash("00000000da84f2bafbbc53dee25a72ae507ff4914b867c565be350b0da8bf043"),
        subsidy_halving_interval: 210_000,
        script_flag_exceptions: Vec::new(),
        bip34_height: 1,
        bip34_hash: None,
        bip65_height: 1,
        bip66_height: 1,
        csv_height: 1,
        segwit_height: 1,
        min_bip9_warning_height: 0,
        deployments: [test_dummy(Bip9Deployment::NEVER_ACTIVE, 1_512, 2_016)],
        pow_limit: DIFFICULTY_ONE,
        allow_min_difficulty_blocks: true,
        enforce_bip94: true,
        no_retargeting: false,
        pow_target_spacing: TEN_MINUTES,
        pow_target_timespan: 14 * DAY,
        minimum_chain_work: work(
            "0000000000000000000000000000000000000000000009a0fe15d0177d086304",
        ),
        assume_valid: Some(hash(
            "0000000002368b1e4ee27e2e85676ae6f9f9e69579b29093e9a82c170bf7cf8a",
        )),
        signet_challenge: None,
        dns_seeds: vec![
            "seed.testnet4.bitcoin.sprovoost.nl.".to_owned(),
            "seed.testnet4.wiz.biz.".to_owned(),
        ],
        base58: TEST_BASE58,
        bech32_hrp: "tb",
        prune_after_height: 1_000,
        assumed_blockchain_size: 31,
        assumed_chain_state_size: 2,
        assume_utxo: vec![
            snapshot(
                90_000,
                "0000000002ebe8bcda020e0dd6ccfbdfac531d2f6a81457191b99fc2df2dbe3b",
                "784fb5e98241de66fdd429f4392155c9e7db5c017148e66e8fdbc95746f8b9b5",
                11_347_043,
            ),
            snapshot(
                120_000,
                "000000000bd2317e51b3c5794981c35ba894ce27d3e772d5c39ecd9cbce01dc8",
                "10b05d05ad468d0971162e1b222a4aa66caca89da2bb2a93f8f37fb29c4794b0",
                14_141_057,
            ),
        ],
        tx_data: ChainTxData {
            time: 1_772_013_387,
            tx_count: 14_191_421,
            tx_rate: 0.01848579579528412,
        },
        headers_sync: HeadersSyncParams {
            commitment_period: 606,
            redownload_buffer_size: 16_092,
        },
        default_consistency_checks: false,
        is_mockable: false,
    }
}

pub(super) fn signet() -> ChainParams {
    // One of two keys.
    let challenge = ScriptBuf::from_bytes(vec![
        0x51, 0x21, 0x03, 0xad, 0x5e, 0x0e, 0xda, 0xd1, 0x8c, 0xb1, 0xf0, 0xfc, 0x0d, 0x28, 0xa3,
        0xd4, 0xf1, 0xf3, 0xe4, 0x45, 0x64, 0x03, 0x37, 0x48, 0x9a, 0xbb, 0x10, 0x40, 0x4f, 0x2d,
        0x1e, 0x08, 0x6b, 0xe4, 0x30, 0x21, 0x03, 0x59, 0xef, 0x50, 0x21, 0x96, 0x4f, 0xe2, 0x2d,
        0x6f, 0x8e, 0x05, 0xb2, 0x46, 0x3c, 0x95, 0x40, 0xce, 0x96, 0x88, 0x3f, 0xe3, 0xb2, 0x78,
        0x76, 0x0f, 0x04, 0x8f, 0x51, 0x89, 0xf2, 0xe6, 0xc4, 0x52, 0xae,
    ]);
    ChainParams {
        chain: Chain::Signet,
        magic: signet_magic(&challenge),
        default_port: 38_333,
        rpc_port: 38_332,
        genesis: genesis::times(1_598_918_400, 52_613_770, 0x1e03_77ae),
        genesis_hash: hash("00000008819873e925422c1ff0f99f7cc9bbb232af63a077a480a3633bee1ef6"),
        subsidy_halving_interval: 210_000,
        script_flag_exceptions: Vec::new(),
        bip34_height: 1,
        bip34_hash: None,
        bip65_height: 1,
        bip66_height: 1,
        csv_height: 1,
        segwit_height: 1,
        min_bip9_warning_height: 0,
        deployments: [test_dummy(Bip9Deployment::NEVER_ACTIVE, 1_815, 2_016)],
        pow_limit: target("00000377ae000000000000000000000000000000000000000000000000000000"),
        allow_min_difficulty_blocks: false,
        enforce_bip94: false,
        no_retargeting: false,
        pow_target_spacing: TEN_MINUTES,
        pow_target_timespan: 14 * DAY,
        minimum_chain_work: work(
            "00000000000000000000000000000000000000000000000000000b463ea0a4b8",
        ),
        assume_valid: Some(hash(
            "00000008414aab61092ef93f1aacc54cf9e9f16af29ddad493b908a01ff5c329",
        )),
        signet_challenge: Some(challenge),
        dns_seeds: vec![
            "seed.signet.bitcoin.sprovoost.nl.".to_owned(),
            "seed.signet.achownodes.xyz.".to_owned(),
        ],
        base58: TEST_BASE58,
        bech32_hrp: "tb",
        prune_after_height: 1_000,
        assumed_blockchain_size: 24,
        assumed_chain_state_size: 4,
        assume_utxo: vec![
            snapshot(
                160_000,
                "0000003ca3c99aff040f2563c2ad8f8ec88bd0fd6b8f0895cfaf1ef90353a62c",
                "fe0a44309b74d6b5883d246cb419c6221bcccf0b308c9b59b7d70783dbdf928a",
                2_289_496,
            ),
            snapshot(
                290_000,
                "0000000577f2741bb30cd9d39d6d71b023afbeb9764f6260786a97969d5c9ac0",
                "97267e000b4b876800167e71b9123f1529d13b14308abec2888bbd2160d14545",
                28_547_497,
            ),
        ],
        tx_data: ChainTxData {
            time: 1_772_055_248,
            tx_count: 28_676_833,
            tx_rate: 0.06736623436338929,
        },
        headers_sync: HeadersSyncParams {
            commitment_period: 620,
            redownload_buffer_size: 15_724,
        },
        default_consistency_checks: false,
        is_mockable: false,
    }
}

pub(super) fn regtest() -> ChainParams {
    ChainParams {
        chain: Chain::Regtest,
        magic: [0xfa, 0xbf, 0xb5, 0xda],
        default_port: 18_444,
        rpc_port: 18_443,
        genesis: genesis::times(1_296_688_602, 2, 0x207f_ffff),
        genesis_hash: hash("0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206"),
        subsidy_halving_interval: 150,
        script_flag_exceptions: Vec::new(),
        bip34_height: 1,
        bip34_hash: None,
        bip65_height: 1,
        bip66_height: 1,
        csv_height: 1,
        segwit_height: 0,
        min_bip9_warning_height: 0,
        deployments: [test_dummy(0, 108, 144)],
        pow_limit: target("7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"),
        allow_min_difficulty_blocks: true,
        enforce_bip94: false,
        no_retargeting: true,
        pow_target_spacing: TEN_MINUTES,
        pow_target_timespan: DAY,
        minimum_chain_work: Work::ZERO,
        assume_valid: None,
        signet_challenge: None,
        dns_seeds: vec!["dummySeed.invalid.".to_owned()],
        base58: TEST_BASE58,
        bech32_hrp: "bcrt",
        prune_after_height: 1_000,
        assumed_blockchain_size: 0,
        assumed_chain_state_size: 0,
        assume_utxo: vec![
            snapshot(
                110,
                "135eec25a6fb277884e5824e7aa7d052c4868161c99a5122170b5266f86c273d",
                "86e9a1205b418b16dde3a18a78c730e30137e28466bda5dbf6b33ab8fc05447c",
                111,
            ),
            snapshot(
                200,
                "385901ccbd69dff6bbd00065d01fb8a9e464dede7cfe0372443884f9b1dcf6b9",
                "17dcc016d188d16068907cdeb38b75691a118d43053b8cd6a25969419381d13a",
                201,
            ),
            snapshot(
                299,
                "0c552ced4721c249a389eb9b08cb8da261cd46f0e7b5f9d064d48f3113406853",
                "106b2c56233e378a824cf0d5ff2be42ed32c72f1605c9be288d00942908a40ac",
                334,
            ),
        ],
        tx_data: ChainTxData {
            time: 0,
            tx_count: 0,
            tx_rate: 0.001,
        },
        headers_sync: HeadersSyncParams {
            commitment_period: 275,
            redownload_buffer_size: 7_017,
        },
        default_consistency_checks: true,
        is_mockable: true,
    }
}

/// The bytes of 64 hexadecimal digits. Only ever given the constants above.
const fn bytes(digits: &str) -> [u8; 32] {
    const fn value(digit: u8) -> u8 {
        match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => panic!("not a hexadecimal digit"),
        }
    }
    let digits = digits.as_bytes();
    assert!(digits.len() == 64, "not 64 digits");
    let mut bytes = [0; 32];
    let mut index = 0;
    while index < 32 {
        bytes[index] = value(digits[2 * index]) << 4 | value(digits[2 * index + 1]);
        index += 1;
    }
    bytes
}

const fn target(digits: &str) -> Target {
    Target::new(U256::from_be_bytes(bytes(digits)))
}

const fn work(digits: &str) -> Work {
    Work::new(U256::from_be_bytes(bytes(digits)))
}

/// Hashes are written backwards.
fn hash(digits: &str) -> BlockHash {
    let mut bytes = bytes(digits);
    bytes.reverse();
    BlockHash::from_byte_array(bytes)
}

fn snapshot(height: u32, block: &str, serialized: &str, chain_tx_count: u64) -> AssumeUtxo {
    AssumeUtxo {
        height,
        block_hash: hash(block),
        hash_serialized: sha256d::Hash::from_byte_array(hash(serialized).to_byte_array()),
        chain_tx_count,
    }
}

const fn test_dummy(start_time: i64, threshold: u32, period: u32) -> Bip9Deployment {
    Bip9Deployment {
        bit: 28,
        start_time,
        timeout: Bip9Deployment::NO_TIMEOUT,
        min_activation_height: 0,
        period,
        threshold,
    }
}
