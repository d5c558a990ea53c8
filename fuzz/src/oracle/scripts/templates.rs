//! Spends as they are made, and spends at the limits.

use bitcoin::hashes::{Hash, hash160};
use bitcoin::key::TapTweak;
use bitcoin::secp256k1::Keypair;
use bitcoin::taproot::{LeafVersion, TapLeafHash};
use bitcoin::{ScriptBuf, WPubkeyHash, Witness};

use super::super::random::Random;
use super::signatures::{SECP, ecdsa, key, pubkey, schnorr};
use super::wrapping::{Wrapping, lock_up, place, push, pushes, wrap, wrapping};
use super::{Case, number};

pub fn key_hash(random: &mut Random, case: &mut Case, segwit: bool) {
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

pub fn taproot_key(random: &mut Random, case: &mut Case) {
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
pub fn signed_script(random: &mut Random, case: &mut Case) {
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
pub fn locked(random: &mut Random, case: &mut Case) {
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
pub fn script_number(number: i64) -> Vec<u8> {
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

/// A tapscript that checks one signature about as often as its witness's size allows, also for keys of unknown types,
/// which cost as much.
pub fn budget(random: &mut Random, case: &mut Case) {
    let pair = key(random);
    let mut checked = pair.x_only_public_key().0.serialize().to_vec();
    if random.once_in(3) {
        checked.insert(0, 2);
    }
    let adding = random.once_in(3);
    let mut script = Vec::new();
    for _ in 0..6 + random.below(14) {
        script.push(0x76);
        if adding {
            script.push(0x51);
        }
        push(&mut script, &checked);
        if adding {
            // 1 and the signature that counts make 2.
            script.extend([0xba, 0x52, 0x9d]);
        } else {
            script.push(0xad);
        }
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
pub fn limited(random: &mut Random, case: &mut Case) {
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
            // Both stacks count.
            let aside = random.pick(&[0, 0, 1, 100, 199]);
            script.extend(vec![0x6b; aside]);
            if random.once_in(2) {
                script.push(0x51);
            }
            // Only a witness must leave one element, and what takes them away is counted where that cannot be.
            let loose = matches!(wrapping, Wrapping::Bare | Wrapping::ScriptHash);
            if !loose || random.once_in(4) {
                script.extend(vec![0x75; elements - aside]);
            }
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
pub fn deleted(random: &mut Random, case: &mut Case) {
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

/// A script of any opcodes, with any small items.
pub fn free_script(random: &mut Random, case: &mut Case) {
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
pub fn small(random: &mut Random) -> Vec<u8> {
    match random.below(6) {
        0 => Vec::new(),
        1 => vec![random.below(20) as u8],
        2 => vec![0x80],
        3 => random.bytes(5),
        4 => random.bytes(80),
        _ => vec![1],
    }
}
