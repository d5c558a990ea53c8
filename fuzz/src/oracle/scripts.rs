//! Spends of every kind, right and wrong, by every set of consensus flags.

use bitcoin::absolute::LockTime;
use bitcoin::consensus::serialize;
use bitcoin::hashes::{Hash, hash160, sha256};
use bitcoin::key::{Secp256k1, TapTweak};
use bitcoin::script::PushBytesBuf;
use bitcoin::secp256k1::{All, Keypair, Message, SecretKey};
use bitcoin::sighash::{Annex, EcdsaSighashType, Prevouts, SighashCache, TapSighashType};
use bitcoin::taproot::{LeafVersion, TapLeafHash, TaprootBuilder};
use bitcoin::transaction::Version;
use bitcoin::{
    Amount, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Txid, WPubkeyHash, Witness,
    WitnessProgram, WitnessVersion,
};
use bitcoinkernel::{
    KernelError, PrecomputedTransactionData, ScriptPubkey, ScriptVerifyError,
    VERIFY_CHECKLOCKTIMEVERIFY, VERIFY_CHECKSEQUENCEVERIFY, VERIFY_DERSIG, VERIFY_NONE,
    VERIFY_NULLDUMMY, VERIFY_P2SH, VERIFY_TAPROOT, VERIFY_WITNESS, verify,
};
use btc_consensus::ScriptJob;
use btc_consensus::script::ScriptFlags;
use btc_consensus::sighash::Spend;
use std::sync::{Arc, LazyLock};

use super::random::Random;
use super::{Count, hex};

/// Each consensus flag as both have it.
const FLAGS: [(ScriptFlags, u32); 7] = [
    (ScriptFlags::P2SH, VERIFY_P2SH),
    (ScriptFlags::DERSIG, VERIFY_DERSIG),
    (ScriptFlags::NULLDUMMY, VERIFY_NULLDUMMY),
    (ScriptFlags::CHECKLOCKTIMEVERIFY, VERIFY_CHECKLOCKTIMEVERIFY),
    (ScriptFlags::CHECKSEQUENCEVERIFY, VERIFY_CHECKSEQUENCEVERIFY),
    (ScriptFlags::WITNESS, VERIFY_WITNESS),
    (ScriptFlags::TAPROOT, VERIFY_TAPROOT),
];

static SECP: LazyLock<Secp256k1<All>> = LazyLock::new(Secp256k1::new);

/// The few keys that sign; few, so that scripts meet keys that they know.
static KEYS: LazyLock<Vec<Keypair>> = LazyLock::new(|| {
    (1..=6_u8)
        .map(|byte| {
            let secret = SecretKey::from_slice(&[byte; 32]).expect("small numbers are keys");
            secret.keypair(&SECP)
        })
        .collect()
});

/// Where a script stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wrapping {
    Bare,
    ScriptHash,
    WitnessScriptHash,
    NestedWitnessScriptHash,
    Tapscript,
}

/// A spend to be judged.
struct Case {
    transaction: Transaction,
    prevouts: Vec<TxOut>,
    input: usize,
    /// Comes after what a taproot input has in its witness.
    annex: Option<Vec<u8>>,
}

/// Makes a spend and compares what both say of it.
pub fn compare(random: &mut Random, count: &mut Count) -> Result<(), String> {
    let mut case = make(random);
    for _ in 0..random.pick(&[0, 0, 0, 1, 1, 2, 3]) {
        disturb(random, &mut case);
    }
    let all = random.once_in(2);
    for round in 0..3 {
        let (mut ours, mut theirs) = (ScriptFlags::NONE, VERIFY_NONE);
        for (flag, bit) in FLAGS {
            if (all && round == 0) || random.once_in(2) {
                (ours, theirs) = (ours | flag, theirs | bit);
            }
        }
        // Later rules build on earlier ones.
        if ours.contains(ScriptFlags::TAPROOT) {
            (ours, theirs) = (ours | ScriptFlags::WITNESS, theirs | VERIFY_WITNESS);
        }
        if ours.contains(ScriptFlags::WITNESS) {
            (ours, theirs) = (ours | ScriptFlags::P2SH, theirs | VERIFY_P2SH);
        }
        count.add(judge(&case, ours, theirs)?);
    }
    Ok(())
}

fn judge(case: &Case, ours: ScriptFlags, theirs: u32) -> Result<bool, String> {
    let Case {
        transaction,
        prevouts,
        input,
        annex: _,
    } = case;
    let bytes = serialize(transaction);
    let describe = |said: &str| {
        let outputs: Vec<String> = prevouts
            .iter()
            .map(|output| {
                format!(
                    "{} {}",
                    output.value.to_sat(),
                    hex(output.script_pubkey.as_bytes())
                )
            })
            .collect();
        format!(
            "{said}: input {input} of {} spending {outputs:?} by {ours}",
            hex(&bytes)
        )
    };
    let kernel_transaction = bitcoinkernel::Transaction::new(&bytes)
        .map_err(|error| describe(&format!("the kernel does not read it: {error}")))?;
    let kernel_outputs: Vec<bitcoinkernel::TxOut> = prevouts
        .iter()
        .map(|output| {
            let script = ScriptPubkey::new(output.script_pubkey.as_bytes())
                .expect("every script is one to the kernel");
            let value = i64::try_from(output.value.to_sat()).expect("values are amounts of money");
            bitcoinkernel::TxOut::new(&script, value)
        })
        .collect();
    let precomputed = PrecomputedTransactionData::new(&kernel_transaction, &kernel_outputs)
        .map_err(|error| describe(&format!("the kernel refuses it: {error}")))?;
    let script = ScriptPubkey::new(prevouts[*input].script_pubkey.as_bytes())
        .expect("every script is one to the kernel");
    let value = i64::try_from(prevouts[*input].value.to_sat()).expect("it is an amount of money");
    let kernel = verify(
        &script,
        Some(value),
        &kernel_transaction,
        *input,
        Some(theirs),
        &precomputed,
    );
    let kernel = match kernel {
        Ok(()) => true,
        Err(KernelError::ScriptVerify(ScriptVerifyError::Invalid)) => false,
        Err(error) => return Err(describe(&format!("the kernel gives no verdict: {error}"))),
    };
    let spend = Spend::new(transaction.clone(), prevouts.clone())
        .expect("a case has as many outputs as inputs");
    let job = ScriptJob::new(Arc::new(spend), *input, ours).expect("the input exists");
    let own = job.run();
    if own.is_ok() == kernel {
        Ok(kernel)
    } else {
        Err(describe(&format!("the kernel says {kernel}, we {own:?}")))
    }
}

fn make(random: &mut Random) -> Case {
    let inputs = 1 + random.below(3);
    let input = random.below(inputs);
    let outputs = random.below(3) + usize::from(!random.once_in(8));
    let mut transaction = Transaction {
        version: Version(random.pick(&[1, 2, 2, 3, -1, 0])),
        lock_time: LockTime::from_consensus(number(random)),
        input: (0..inputs)
            .map(|index| TxIn {
                previous_output: OutPoint::new(
                    Txid::from_byte_array([random.byte(); 32]),
                    index as u32,
                ),
                sequence: Sequence(number(random)),
                ..TxIn::default()
            })
            .collect(),
        output: (0..outputs.max(1))
            .map(|_| TxOut {
                value: Amount::from_sat(random.next() % 1_000_000),
                script_pubkey: ScriptBuf::from_bytes(random.bytes(30)),
            })
            .collect(),
    };
    let prevouts = (0..inputs)
        .map(|_| TxOut {
            value: Amount::from_sat(random.next() % 1_000_000),
            script_pubkey: ScriptBuf::from_bytes(random.bytes(30)),
        })
        .collect();
    for other in &mut transaction.input {
        if random.once_in(4) {
            other.script_sig = ScriptBuf::from_bytes(random.bytes(20));
        }
    }
    transaction.input[input].script_sig = ScriptBuf::new();
    let mut case = Case {
        transaction,
        prevouts,
        input,
        annex: random.once_in(6).then(|| {
            let mut annex = random.bytes(60);
            annex.insert(0, 0x50);
            annex
        }),
    };
    match random.below(16) {
        0 => key_hash(random, &mut case, false),
        1 => key_hash(random, &mut case, true),
        2 => taproot_key(random, &mut case),
        3..=6 => signed_script(random, &mut case),
        7 => locked(random, &mut case),
        8 => budget(random, &mut case),
        9 => limited(random, &mut case),
        10 => deleted(random, &mut case),
        _ => free_script(random, &mut case),
    }
    case
}

/// A lock time or sequence at which something changes.
fn number(random: &mut Random) -> u32 {
    match random.below(8) {
        0 => u32::MAX,
        1 => u32::MAX - 1,
        2 => 499_999_999 + random.below(3) as u32,
        3 => (1 << 22) | random.below(20) as u32,
        4 => (1 << 31) | random.below(20) as u32,
        5 => random.next() as u32,
        _ => random.below(20) as u32,
    }
}

/// How much is signed, at times in a way that has no name.
fn hash_type(random: &mut Random) -> u8 {
    if random.once_in(8) {
        random.pick(&[0, 4, 0x1f, 0x41, 0x43, 0x80, 0xff])
    } else {
        random.pick(&[1, 1, 2, 3, 0x81, 0x82, 0x83])
    }
}

fn key(random: &mut Random) -> Keypair {
    KEYS[random.below(KEYS.len())]
}

/// A signature over a legacy or BIP 143 hash.
fn ecdsa(
    random: &mut Random,
    case: &Case,
    code: &ScriptBuf,
    segwit: bool,
    key: &Keypair,
) -> Vec<u8> {
    let kind = hash_type(random);
    let mut cache = SighashCache::new(&case.transaction);
    let hash = if segwit {
        let value = case.prevouts[case.input].value;
        let kind = EcdsaSighashType::from_consensus(kind.into());
        let hash = cache.p2wsh_signature_hash(case.input, code, value, kind);
        hash.expect("the input exists").to_byte_array()
    } else {
        let hash = cache.legacy_signature_hash(case.input, code, kind.into());
        hash.expect("the input exists").to_byte_array()
    };
    let signature = SECP.sign_ecdsa(&Message::from_digest(hash), &key.secret_key());
    let mut bytes = signature.serialize_der().to_vec();
    bytes.push(kind);
    bytes
}

/// A public key as it may be written, hybrid and off the curve included.
fn pubkey(random: &mut Random, key: &Keypair) -> Vec<u8> {
    let key = key.public_key();
    match random.below(12) {
        0 => key.serialize_uncompressed().to_vec(),
        1 => {
            let mut bytes = key.serialize_uncompressed();
            bytes[0] = 6 | (bytes[64] & 1);
            bytes.to_vec()
        }
        2 => {
            let mut bytes = key.serialize();
            bytes[32] ^= 1;
            bytes.to_vec()
        }
        _ => key.serialize().to_vec(),
    }
}

fn key_hash(random: &mut Random, case: &mut Case, segwit: bool) {
    let pair = key(random);
    let public = pubkey(random, &pair);
    let hash = hash160::Hash::hash(&public);
    let mut code = vec![0x76, 0xa9, 20];
    code.extend_from_slice(hash.as_byte_array());
    code.extend([0x88, 0xac]);
    let code = ScriptBuf::from_bytes(code);
    let signature = ecdsa(random, case, &code, segwit, &pair);
    let items = [signature, public];
    if segwit {
        let program = ScriptBuf::new_p2wpkh(&WPubkeyHash::from_byte_array(hash.to_byte_array()));
        if random.once_in(2) {
            case.prevouts[case.input].script_pubkey = program.to_p2sh();
            case.transaction.input[case.input].script_sig = pushes(&[program.into_bytes()]);
        } else {
            case.prevouts[case.input].script_pubkey = program;
        }
        case.transaction.input[case.input].witness = Witness::from_slice(&items);
    } else {
        case.prevouts[case.input].script_pubkey = code;
        case.transaction.input[case.input].script_sig = pushes(&items);
    }
}

fn taproot_type(random: &mut Random) -> TapSighashType {
    random.pick(&[
        TapSighashType::Default,
        TapSighashType::All,
        TapSighashType::None,
        TapSighashType::Single,
        TapSighashType::AllPlusAnyoneCanPay,
        TapSighashType::SinglePlusAnyoneCanPay,
    ])
}

/// A Schnorr signature over the input, for a key or a leaf with the place of the last `OP_CODESEPARATOR` in it; random
/// where there is no output to sign.
fn schnorr(
    random: &mut Random,
    case: &Case,
    leaf: Option<(TapLeafHash, u32)>,
    key: &Keypair,
) -> Vec<u8> {
    let kind = taproot_type(random);
    let prevouts = Prevouts::All(&case.prevouts);
    let annex = case.annex.as_deref().map(Annex::new);
    let annex = annex.map(|annex| annex.expect("it begins as one"));
    let hash = SighashCache::new(&case.transaction)
        .taproot_signature_hash(case.input, &prevouts, annex, leaf, kind);
    let Ok(hash) = hash else {
        return random.bytes(66);
    };
    let message = Message::from_digest(hash.to_byte_array());
    let mut bytes = SECP
        .sign_schnorr_no_aux_rand(&message, key)
        .serialize()
        .to_vec();
    if kind != TapSighashType::Default {
        bytes.push(kind as u8);
    }
    bytes
}

fn taproot_key(random: &mut Random, case: &mut Case) {
    let pair = key(random);
    let internal = pair.x_only_public_key().0;
    case.prevouts[case.input].script_pubkey = ScriptBuf::new_p2tr(&SECP, internal, None);
    let tweaked = pair.tap_tweak(&SECP, None).to_keypair();
    let signature = schnorr(random, case, None, &tweaked);
    let mut witness = Witness::from_slice(&[signature]);
    if let Some(annex) = &case.annex {
        witness.push(annex);
    }
    case.transaction.input[case.input].witness = witness;
}

/// A script that checks signatures, with some that it asks for.
fn signed_script(random: &mut Random, case: &mut Case) {
    let wrapping = wrapping(random);
    let tapscript = wrapping == Wrapping::Tapscript;
    let segwit = !matches!(wrapping, Wrapping::Bare | Wrapping::ScriptHash);
    let mut script = Vec::new();
    // What comes before leaves nothing on the stack.
    match random.below(6) {
        0 => script.extend([0x51, 0x75]),
        1 => script.extend([0x61, 0xab]),
        2 => script.extend([0x51, 0x63, 0x61, 0x67, 0x6a, 0x68]),
        _ => {}
    }
    let separated = script.last() == Some(&0xab);
    let mut separator = separated.then_some(1);
    let multiple = !tapscript && random.once_in(2);
    let mut signers = Vec::new();
    if multiple {
        let keys = 1 + random.below(4);
        let required = random.below(keys + 1);
        script.push(0x50 + required as u8);
        if required == 0 {
            *script.last_mut().expect("something was pushed") = 0;
        }
        let pairs: Vec<Keypair> = (0..keys).map(|_| key(random)).collect();
        for pair in &pairs {
            push(&mut script, &pubkey(random, pair));
        }
        script.extend([0x50 + keys as u8, 0xae]);
        let skip = random.below(keys - required + 1);
        signers.extend_from_slice(&pairs[skip..skip + required]);
    } else {
        let pair = key(random);
        if tapscript {
            push(&mut script, &pair.x_only_public_key().0.serialize());
        } else {
            push(&mut script, &pubkey(random, &pair));
        }
        if tapscript && random.once_in(3) {
            script.splice(0..0, [0]);
            separator = separator.map(|place| place + 1);
            script.push(0xba);
        } else {
            script.push(0xac);
        }
        signers.push(pair);
    }
    let script = ScriptBuf::from_bytes(script);
    let (output, control) = wrap(random, wrapping, &script);
    case.prevouts[case.input].script_pubkey = output;
    let code = if separated {
        ScriptBuf::from_bytes(script.as_bytes()[2..].to_vec())
    } else {
        script.clone()
    };
    let mut items: Vec<Vec<u8>> = signers
        .iter()
        .map(|pair| {
            if tapscript {
                let leaf = TapLeafHash::from_script(&script, LeafVersion::TapScript);
                schnorr(
                    random,
                    case,
                    Some((leaf, separator.unwrap_or(u32::MAX))),
                    pair,
                )
            } else {
                ecdsa(random, case, &code, segwit, pair)
            }
        })
        .collect();
    if multiple {
        items.insert(
            0,
            if random.once_in(8) {
                vec![1]
            } else {
                Vec::new()
            },
        );
    }
    if random.once_in(8) && !items.is_empty() {
        let at = random.below(items.len());
        items[at].clear();
    }
    place(case, wrapping, items, script, control);
}

/// A script that looks at the lock time or the sequence, at numbers where something changes.
fn locked(random: &mut Random, case: &mut Case) {
    let wrapping = wrapping(random);
    let input = &case.transaction.input[case.input];
    let near = if random.once_in(2) {
        case.transaction.lock_time.to_consensus_u32()
    } else {
        input.sequence.to_consensus_u32()
    };
    let asked = match random.below(8) {
        0 => i64::from(number(random)),
        1 => -i64::from(number(random)),
        2 => (1 << random.pick(&[16, 22, 31, 32, 38, 39])) + random.below(3) as i64 - 1,
        3 => i64::from(near & 0x0040_ffff),
        _ => i64::from(near) + random.pick(&[-1, 0, 0, 1]),
    };
    let mut script = Vec::new();
    push(&mut script, &script_number(asked));
    script.extend([random.pick(&[0xb1, 0xb2]), 0x75, 0x51]);
    lock_up(random, case, wrapping, script, Vec::new());
}

/// The number as scripts have it, of as few bytes as it takes.
fn script_number(number: i64) -> Vec<u8> {
    let mut bytes = number.unsigned_abs().to_le_bytes().to_vec();
    while bytes.last() == Some(&0) {
        bytes.pop();
    }
    if bytes.last().is_some_and(|last| *last >= 0x80) {
        bytes.push(0);
    }
    if let Some(last) = bytes.last_mut().filter(|_| number < 0) {
        *last |= 0x80;
    }
    bytes
}

/// A tapscript that checks one signature about as often as its witness's size allows.
fn budget(random: &mut Random, case: &mut Case) {
    let pair = key(random);
    let mut script = Vec::new();
    for _ in 0..6 + random.below(14) {
        script.push(0x76);
        push(&mut script, &pair.x_only_public_key().0.serialize());
        script.push(0xad);
    }
    script.extend([0x75, 0x51]);
    let script = ScriptBuf::from_bytes(script);
    let (output, control) = wrap(random, Wrapping::Tapscript, &script);
    case.prevouts[case.input].script_pubkey = output;
    let leaf = TapLeafHash::from_script(&script, LeafVersion::TapScript);
    let signature = schnorr(random, case, Some((leaf, u32::MAX)), &pair);
    place(case, Wrapping::Tapscript, vec![signature], script, control);
}

/// A script at one of the limits, or one beyond.
fn limited(random: &mut Random, case: &mut Case) {
    let wrapping = wrapping(random);
    let around = |random: &mut Random, limit: usize| limit - 1 + random.below(3);
    let mut script = Vec::new();
    let mut items = Vec::new();
    match random.below(6) {
        // Bytes of a script.
        0 => {
            for _ in 0..19 {
                push(&mut script, &[7; 520]);
                script.push(0x75);
            }
            let left = around(random, 10_000) - script.len() - 3;
            push(&mut script, &vec![7; left]);
            script.push(0x75);
        }
        // Opcodes.
        1 => script.extend(vec![0x61; around(random, 201)]),
        // Elements on the stack.
        2 => {
            let elements = around(random, 1000);
            script.extend(vec![0x51; elements]);
            script.extend(vec![0x75; elements]);
        }
        // Bytes of an element.
        3 => {
            push(&mut script, &vec![7; around(random, 520)]);
            script.push(0x75);
        }
        // Keys, and opcodes that they count as.
        4 => {
            let keys = around(random, 20);
            script.extend(vec![0x61; around(random, 201 - keys - 1)]);
            script.extend([0, 0]);
            for _ in 0..keys {
                push(&mut script, &key(random).public_key().serialize());
            }
            script.extend([1, keys as u8, 0xae, 0x75]);
        }
        // What a witness brings.
        _ => {
            if random.once_in(2) {
                items.push(vec![7; around(random, 520)]);
                script.push(0x75);
            } else {
                items = vec![Vec::new(); around(random, 1000)];
                script.extend(vec![0x75; items.len()]);
            }
        }
    }
    script.push(0x51);
    lock_up(random, case, wrapping, script, items);
}

/// A signature that is part of the script which it signs, and separators that no signature sees.
fn deleted(random: &mut Random, case: &mut Case) {
    let wrapping = random.pick(&[
        Wrapping::Bare,
        Wrapping::ScriptHash,
        Wrapping::WitnessScriptHash,
    ]);
    let pair = key(random);
    let mut code = vec![0x75];
    push(&mut code, &pubkey(random, &pair));
    code.push(0xac);
    let segwit = wrapping == Wrapping::WitnessScriptHash;
    let signature = ecdsa(
        random,
        case,
        &ScriptBuf::from_bytes(code.clone()),
        segwit,
        &pair,
    );
    let mut script = Vec::new();
    push(&mut script, &signature);
    if random.once_in(6) {
        // Only a push of its own kind is deleted.
        script.splice(0..1, [0x4c, script[0]]);
    }
    script.extend(code);
    if random.once_in(2) {
        script.push(0xab);
    }
    lock_up(random, case, wrapping, script, vec![signature]);
}

/// Has the input spend an output of this script with these items.
fn lock_up(
    random: &mut Random,
    case: &mut Case,
    wrapping: Wrapping,
    script: Vec<u8>,
    items: Vec<Vec<u8>>,
) {
    let script = ScriptBuf::from_bytes(script);
    let (output, control) = wrap(random, wrapping, &script);
    case.prevouts[case.input].script_pubkey = output;
    place(case, wrapping, items, script, control);
}

/// A script of any opcodes, with any small items.
fn free_script(random: &mut Random, case: &mut Case) {
    let wrapping = wrapping(random);
    let mut script = Vec::new();
    for _ in 0..random.below(14) {
        match random.below(13) {
            // Opcodes that end a tapscript well, whatever else is in it.
            12 => script.push(random.pick(&[0x50, 0x62, 0x7e, 0x81, 0x89, 0x95, 0xbb, 0xfe, 0xff])),
            0..=3 => script.push(0x51 + random.below(16) as u8),
            4 => push(&mut script, &small(random)),
            5 => script.extend([0x63, 0x51, 0x67, 0x00, 0x68]),
            6 => script.push(random.byte()),
            7 => script.push(random.pick(&[0xb1, 0xb2, 0xb3, 0xac, 0xae, 0xba, 0xab])),
            // Stack, arithmetic and hash opcodes.
            8 => script.push(0x6b + random.below(0x13) as u8),
            9 => script.push(0xa6 + random.below(5) as u8),
            _ => script.push(0x82 + random.below(0x24) as u8),
        }
    }
    let items = (0..random.below(6)).map(|_| small(random)).collect();
    lock_up(random, case, wrapping, script, items);
}

/// An item as scripts use them: a number, a truth, or a few bytes.
fn small(random: &mut Random) -> Vec<u8> {
    match random.below(6) {
        0 => Vec::new(),
        1 => vec![random.below(20) as u8],
        2 => vec![0x80],
        3 => random.bytes(5),
        4 => random.bytes(80),
        _ => vec![1],
    }
}

fn wrapping(random: &mut Random) -> Wrapping {
    random.pick(&[
        Wrapping::Bare,
        Wrapping::ScriptHash,
        Wrapping::WitnessScriptHash,
        Wrapping::NestedWitnessScriptHash,
        Wrapping::Tapscript,
        Wrapping::Tapscript,
    ])
}

/// The output script that commits to `script`, and the control block where it takes one.
fn wrap(random: &mut Random, wrapping: Wrapping, script: &ScriptBuf) -> (ScriptBuf, Vec<u8>) {
    match wrapping {
        Wrapping::Bare => (script.clone(), Vec::new()),
        Wrapping::ScriptHash => (p2sh(script), Vec::new()),
        Wrapping::WitnessScriptHash => (p2wsh(script), Vec::new()),
        Wrapping::NestedWitnessScriptHash => (p2sh(&p2wsh(script)), Vec::new()),
        Wrapping::Tapscript => {
            let internal = key(random).x_only_public_key().0;
            let version = if random.once_in(8) {
                LeafVersion::from_consensus(0xc2).expect("an even version is one")
            } else {
                LeafVersion::TapScript
            };
            let other = ScriptBuf::from_bytes(vec![0x51]);
            let tree = TaprootBuilder::new()
                .add_leaf_with_ver(1, script.clone(), version)
                .and_then(|builder| builder.add_leaf(1, other))
                .expect("two leaves of depth 1 are a tree")
                .finalize(&SECP, internal)
                .expect("the tree is whole");
            let control = tree
                .control_block(&(script.clone(), version))
                .expect("the leaf is in the tree");
            (
                ScriptBuf::new_p2tr_tweaked(tree.output_key()),
                control.serialize(),
            )
        }
    }
}

fn p2sh(script: &ScriptBuf) -> ScriptBuf {
    // By hand: a script that is too long to be spent is a case too.
    let mut bytes = vec![0xa9, 20];
    bytes.extend_from_slice(hash160::Hash::hash(script.as_bytes()).as_byte_array());
    bytes.push(0x87);
    ScriptBuf::from_bytes(bytes)
}

fn p2wsh(script: &ScriptBuf) -> ScriptBuf {
    let hash = sha256::Hash::hash(script.as_bytes());
    let program = WitnessProgram::new(WitnessVersion::V0, hash.as_byte_array());
    ScriptBuf::new_witness_program(&program.expect("32 bytes are a program"))
}

/// Puts items and scripts where the output wants them.
fn place(
    case: &mut Case,
    wrapping: Wrapping,
    mut items: Vec<Vec<u8>>,
    script: ScriptBuf,
    control: Vec<u8>,
) {
    let input = &mut case.transaction.input[case.input];
    match wrapping {
        Wrapping::Bare => input.script_sig = pushes(&items),
        Wrapping::ScriptHash => {
            items.push(script.into_bytes());
            input.script_sig = pushes(&items);
        }
        Wrapping::WitnessScriptHash | Wrapping::NestedWitnessScriptHash => {
            if wrapping == Wrapping::NestedWitnessScriptHash {
                input.script_sig = pushes(&[p2wsh(&script).into_bytes()]);
            }
            items.push(script.into_bytes());
            input.witness = Witness::from_slice(&items);
        }
        Wrapping::Tapscript => {
            items.extend([script.into_bytes(), control]);
            items.extend(case.annex.clone());
            input.witness = Witness::from_slice(&items);
        }
    }
}

fn push(script: &mut Vec<u8>, item: &[u8]) {
    script.extend_from_slice(pushes(&[item.to_vec()]).as_bytes());
}

fn pushes(items: &[Vec<u8>]) -> ScriptBuf {
    let mut script = ScriptBuf::new();
    for item in items {
        script.push_slice(PushBytesBuf::try_from(item.clone()).expect("items are short"));
    }
    script
}

/// Makes something of a spend wrong, or just other.
fn disturb(random: &mut Random, case: &mut Case) {
    let index = case.input;
    let bytes_of = |script: &ScriptBuf| script.as_bytes().to_vec();
    match random.below(9) {
        0 => {
            let mut bytes = bytes_of(&case.transaction.input[index].script_sig);
            random.mutate(&mut bytes);
            case.transaction.input[index].script_sig = ScriptBuf::from_bytes(bytes);
        }
        1 => {
            let mut bytes = bytes_of(&case.prevouts[index].script_pubkey);
            random.mutate(&mut bytes);
            case.prevouts[index].script_pubkey = ScriptBuf::from_bytes(bytes);
        }
        2..=5 => {
            let mut items = case.transaction.input[index].witness.to_vec();
            match random.below(5) {
                0 => items.push(random.bytes(8)),
                1 => drop(items.pop()),
                _ if items.is_empty() => {}
                _ => {
                    let at = random.below(items.len());
                    random.mutate(&mut items[at]);
                }
            }
            case.transaction.input[index].witness = Witness::from_slice(&items);
        }
        6 => case.prevouts[index].value += Amount::ONE_SAT,
        7 => case.transaction.lock_time = LockTime::from_consensus(number(random)),
        _ => {
            let other = random.below(case.transaction.input.len());
            case.transaction.input[other].sequence = Sequence(number(random));
        }
    }
}
