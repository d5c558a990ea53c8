//! What the methods about partially signed transactions give, where it is large.

use btc_interfaces::rpc::encode::shape::{SCRIPT_PUB_KEY, SCRIPT_TYPE, TRANSACTION};
use btc_interfaces::rpc::table::Shape;

/// Records of a program.
const PROPRIETARY: &[Shape] = &[Shape::object(
    "",
    "",
    &[
        Shape::hex("identifier", "Whose it is"),
        Shape::number("subtype", "What of theirs"),
        Shape::hex("key", "The key of the record"),
        Shape::hex("value", "The record"),
    ],
)];

/// A script behind a hash.
const SCRIPT: &[Shape] = &[
    Shape::string("asm", "The script in words"),
    Shape::hex("hex", "Its bytes"),
    SCRIPT_TYPE,
];

/// Paths that keys come by.
const KEY_PATHS: &[Shape] = &[Shape::object(
    "",
    "",
    &[
        Shape::string("pubkey", "The public key"),
        Shape::string(
            "master_fingerprint",
            "The fingerprint of the key that it comes from",
        ),
        Shape::string("path", "The path"),
    ],
)];

/// Paths that keys of taproot come by.
const TAPROOT_KEY_PATHS: &[Shape] = &[Shape::object(
    "",
    "",
    &[
        Shape::string("pubkey", "The public key"),
        Shape::string(
            "master_fingerprint",
            "The fingerprint of the key that it comes from",
        ),
        Shape::string("path", "The path"),
        Shape::array(
            "leaf_hashes",
            "The leaves that the key is in",
            &[Shape::hex("", "")],
        ),
    ],
)];

/// The keys behind an aggregate key.
const PARTICIPANTS: &[Shape] = &[Shape::object(
    "",
    "",
    &[
        Shape::hex("aggregate_pubkey", "The aggregate key that it is for"),
        Shape::array(
            "participant_pubkeys",
            "The keys it is made of",
            &[Shape::hex("", "")],
        ),
    ],
)];

/// What is known of an input.
const INPUT_RECORDS: &[Shape] = &[
    Shape::object(
        "non_witness_utxo",
        "The transaction that it spends from",
        TRANSACTION,
    )
    .optional(),
    Shape::object(
        "witness_utxo",
        "The output that it spends",
        &[
            Shape::number("amount", "The value in BTC"),
            Shape::object("scriptPubKey", "The script", SCRIPT_PUB_KEY),
        ],
    )
    .optional(),
    Shape::map(
        "partial_signatures",
        "Signatures by public key",
        &[Shape::string("pubkey", "")],
    )
    .optional(),
    Shape::string("sighash", "What signatures are to cover").optional(),
    Shape::object("redeem_script", "The script behind the hash", SCRIPT).optional(),
    Shape::object(
        "witness_script",
        "The script behind the witness program",
        SCRIPT,
    )
    .optional(),
    Shape::array("bip32_derivs", "Paths that keys come by", KEY_PATHS).optional(),
    Shape::object(
        "final_scriptSig",
        "The finished script",
        &[
            Shape::string("asm", "The script in words"),
            Shape::hex("hex", "Its bytes"),
        ],
    )
    .optional(),
    Shape::array(
        "final_scriptwitness",
        "The finished witness",
        &[Shape::hex("", "")],
    )
    .optional(),
    Shape::map(
        "ripemd160_preimages",
        "Preimages by their RIPEMD-160",
        &[Shape::string("hash", "")],
    )
    .optional(),
    Shape::map(
        "sha256_preimages",
        "Preimages by their SHA-256",
        &[Shape::string("hash", "")],
    )
    .optional(),
    Shape::map(
        "hash160_preimages",
        "Preimages by their HASH160",
        &[Shape::string("hash", "")],
    )
    .optional(),
    Shape::map(
        "hash256_preimages",
        "Preimages by their double SHA-256",
        &[Shape::string("hash", "")],
    )
    .optional(),
    Shape::hex("previous_txid", "The transaction that it spends from").optional(),
    Shape::number("previous_vout", "The number of the output that it spends").optional(),
    Shape::number("sequence", "The sequence number").optional(),
    Shape::number("time_locktime", "The time that must be reached first").optional(),
    Shape::number("height_locktime", "The height that must be reached first").optional(),
    Shape::hex(
        "taproot_key_path_sig",
        "The signature of taproot's key path",
    )
    .optional(),
    Shape::array(
        "taproot_script_path_sigs",
        "Signatures of taproot's scripts",
        &[Shape::object(
            "",
            "",
            &[
                Shape::string("pubkey", "The public key"),
                Shape::string("leaf_hash", "The leaf's hash"),
                Shape::string("sig", "The signature"),
            ],
        )],
    )
    .optional(),
    Shape::array(
        "taproot_scripts",
        "Scripts of taproot",
        &[Shape::object(
            "",
            "",
            &[
                Shape::hex("script", "The script"),
                Shape::number("leaf_ver", "The leaf's version"),
                Shape::array(
                    "control_blocks",
                    "Its control blocks",
                    &[Shape::hex("", "")],
                ),
            ],
        )],
    )
    .optional(),
    Shape::array(
        "taproot_bip32_derivs",
        "Paths that keys of taproot come by",
        TAPROOT_KEY_PATHS,
    )
    .optional(),
    Shape::hex("taproot_internal_key", "The internal key of taproot").optional(),
    Shape::hex(
        "taproot_merkle_root",
        "The merkle root of taproot's scripts",
    )
    .optional(),
    Shape::array(
        "musig2_participant_pubkeys",
        "The keys behind aggregate keys of MuSig2",
        PARTICIPANTS,
    )
    .optional(),
    Shape::array(
        "musig2_pubnonces",
        "Public nonces of MuSig2",
        &[Shape::object(
            "",
            "",
            &[
                Shape::hex("participant_pubkey", "The key of who made it"),
                Shape::hex("aggregate_pubkey", "The aggregate key that it is for"),
                Shape::hex("leaf_hash", "The leaf's hash").optional(),
                Shape::hex("pubnonce", "The public nonce"),
            ],
        )],
    )
    .optional(),
    Shape::array(
        "musig2_partial_sigs",
        "Partial signatures of MuSig2",
        &[Shape::object(
            "",
            "",
            &[
                Shape::hex("participant_pubkey", "The key of who made it"),
                Shape::hex("aggregate_pubkey", "The aggregate key that it is for"),
                Shape::hex("leaf_hash", "The leaf's hash").optional(),
                Shape::hex("partial_sig", "The partial signature"),
            ],
        )],
    )
    .optional(),
    Shape::map("unknown", "Other records", &[Shape::hex("key", "")]).optional(),
    Shape::array("proprietary", "Records of programs", PROPRIETARY).optional(),
];

/// What is known of an output.
const OUTPUT_RECORDS: &[Shape] = &[
    Shape::object("redeem_script", "The script behind the hash", SCRIPT).optional(),
    Shape::object(
        "witness_script",
        "The script behind the witness program",
        SCRIPT,
    )
    .optional(),
    Shape::array("bip32_derivs", "Paths that keys come by", KEY_PATHS).optional(),
    Shape::number("amount", "The value in BTC").optional(),
    Shape::object("script", "The script", SCRIPT_PUB_KEY).optional(),
    Shape::hex("taproot_internal_key", "The internal key of taproot").optional(),
    Shape::array(
        "taproot_tree",
        "The scripts of taproot, depth first",
        &[Shape::object(
            "",
            "",
            &[
                Shape::number("depth", "How deep it lies in the tree"),
                Shape::number("leaf_ver", "The leaf's version"),
                Shape::string("script", "The script"),
            ],
        )],
    )
    .optional(),
    Shape::array(
        "taproot_bip32_derivs",
        "Paths that keys of taproot come by",
        TAPROOT_KEY_PATHS,
    )
    .optional(),
    Shape::array(
        "musig2_participant_pubkeys",
        "The keys behind aggregate keys of MuSig2",
        PARTICIPANTS,
    )
    .optional(),
    Shape::map("unknown", "Other records", &[Shape::hex("key", "")]).optional(),
    Shape::array("proprietary", "Records of programs", PROPRIETARY).optional(),
];

/// What `analyzepsbt` gives.
pub(in crate::rpc) const ANALYZE_PSBT: &[Shape] = &[Shape::object(
    "",
    "",
    &[
        Shape::array(
            "inputs",
            "What is known of each input",
            &[Shape::object(
                "",
                "",
                &[
                    Shape::bool("has_utxo", "Whether the output it spends is known"),
                    Shape::bool("is_final", "Whether it is finished"),
                    Shape::object(
                        "missing",
                        "What lacks",
                        &[
                            Shape::array("pubkeys", "Hashes of public keys", &[Shape::hex("", "")])
                                .optional(),
                            Shape::array(
                                "signatures",
                                "Hashes of public keys whose signatures lack",
                                &[Shape::hex("", "")],
                            )
                            .optional(),
                            Shape::hex("redeemscript", "Hash of a script").optional(),
                            Shape::hex("witnessscript", "Hash of a script").optional(),
                        ],
                    )
                    .optional(),
                    Shape::string(
                        "next",
                        "Who is next: updater, signer, finalizer or extractor",
                    )
                    .optional(),
                ],
            )],
        )
        .optional(),
        Shape::number("estimated_vsize", "Size of the final transaction in vB").optional(),
        Shape::amount("estimated_feerate", "Its feerate in BTC/kvB").optional(),
        Shape::amount("fee", "Its fee in BTC").optional(),
        Shape::string("next", "Who is next"),
        Shape::string("error", "Why it can never be a transaction").optional(),
    ],
)];

/// What `decodepsbt` gives.
pub(in crate::rpc) const DECODE_PSBT: &[Shape] = &[Shape::object(
    "",
    "",
    &[
        Shape::object(
            "tx",
            "The transaction without signatures; version 0",
            TRANSACTION,
        )
        .optional(),
        Shape::array(
            "global_xpubs",
            "Extended keys: xpub, master_fingerprint, path",
            &[Shape::object(
                "",
                "",
                &[
                    Shape::string("xpub", "The extended key"),
                    Shape::hex(
                        "master_fingerprint",
                        "The fingerprint of the key that it comes from",
                    ),
                    Shape::string("path", "The path"),
                ],
            )],
        ),
        Shape::number(
            "tx_version",
            "The transaction's version; version 2, as the next six",
        )
        .optional(),
        Shape::number(
            "fallback_locktime",
            "The lock time where no input asks for another",
        )
        .optional(),
        Shape::number("input_count", "How many inputs there are").optional(),
        Shape::number("output_count", "How many outputs there are").optional(),
        Shape::bool("inputs_modifiable", "Whether inputs may be added").optional(),
        Shape::bool("outputs_modifiable", "Whether outputs may be added").optional(),
        Shape::bool(
            "has_sighash_single",
            "Whether there are signatures of SIGHASH_SINGLE",
        )
        .optional(),
        Shape::number("psbt_version", "The format's version").optional(),
        Shape::array(
            "proprietary",
            "Records of programs: identifier, subtype, key, value",
            PROPRIETARY,
        ),
        Shape::map("unknown", "Other records", &[Shape::hex("key", "")]),
        Shape::array(
            "inputs",
            "What is known of each input",
            &[Shape::object("", "", INPUT_RECORDS)],
        ),
        Shape::array(
            "outputs",
            "What is known of each output",
            &[Shape::object("", "", OUTPUT_RECORDS)],
        ),
        Shape::amount(
            "fee",
            "The fee in BTC, if all outputs that are spent are known",
        )
        .optional(),
    ],
)];
