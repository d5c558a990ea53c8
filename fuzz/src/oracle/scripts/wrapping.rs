//! Where a script stands: bare, behind a hash, or in the leaf of a tree.

use bitcoin::hashes::{Hash, hash160, sha256};
use bitcoin::key::{TapTweak, TweakedPublicKey};
use bitcoin::script::PushBytesBuf;
use bitcoin::secp256k1::Parity;
use bitcoin::taproot::{LeafVersion, TapLeafHash, TapNodeHash};
use bitcoin::{ScriptBuf, Witness, WitnessProgram, WitnessVersion};

use super::super::random::Random;
use super::Case;
use super::signatures::{SECP, key};

/// Where a script stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrapping {
    Bare,
    ScriptHash,
    WitnessScriptHash,
    NestedWitnessScriptHash,
    Tapscript,
}

pub fn wrapping(random: &mut Random) -> Wrapping {
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
pub fn wrap(random: &mut Random, wrapping: Wrapping, script: &ScriptBuf) -> (ScriptBuf, Vec<u8>) {
    match wrapping {
        Wrapping::Bare => (script.clone(), Vec::new()),
        Wrapping::ScriptHash => (p2sh(script), Vec::new()),
        Wrapping::WitnessScriptHash => (p2wsh(script), Vec::new()),
        Wrapping::NestedWitnessScriptHash => (p2sh(&p2wsh(script)), Vec::new()),
        Wrapping::Tapscript => leaf(random, script),
    }
}

/// An output with `script` in a leaf, mostly of a small tree, at times of one as deep as may be, or deeper.
fn leaf(random: &mut Random, script: &ScriptBuf) -> (ScriptBuf, Vec<u8>) {
    let internal = key(random).x_only_public_key().0;
    let version = if random.once_in(8) {
        random.pick(&[0xc2, 0xbe, 0x00, 0x02, 0x66, 0xfe])
    } else {
        0xc0
    };
    let version = LeafVersion::from_consensus(version).expect("an even version is one");
    let depth = if random.once_in(6) {
        random.pick(&[17, 64, 127, 128, 128, 129])
    } else {
        random.below(4)
    };
    let mut node = TapNodeHash::from(TapLeafHash::from_script(script, version));
    let mut path = Vec::new();
    for _ in 0..depth {
        let sibling = if random.once_in(8) {
            node
        } else {
            TapNodeHash::assume_hidden([random.byte(); 32])
        };
        path.extend_from_slice(sibling.as_byte_array());
        node = TapNodeHash::from_node_hashes(node, sibling);
    }
    let (output, parity): (TweakedPublicKey, Parity) = internal.tap_tweak(&SECP, Some(node));
    // The other parity is wrong.
    let wrong = random.once_in(40);
    let odd = (parity == Parity::Odd) != wrong;
    let mut control = vec![version.to_consensus() | u8::from(odd)];
    control.extend(internal.serialize());
    control.extend(path);
    (ScriptBuf::new_p2tr_tweaked(output), control)
}

pub fn p2sh(script: &ScriptBuf) -> ScriptBuf {
    // By hand: a script that is too long to be spent is a case too.
    let mut bytes = vec![0xa9, 20];
    bytes.extend_from_slice(hash160::Hash::hash(script.as_bytes()).as_byte_array());
    bytes.push(0x87);
    ScriptBuf::from_bytes(bytes)
}

pub fn p2wsh(script: &ScriptBuf) -> ScriptBuf {
    let hash = sha256::Hash::hash(script.as_bytes());
    let program = WitnessProgram::new(WitnessVersion::V0, hash.as_byte_array());
    ScriptBuf::new_witness_program(&program.expect("32 bytes are a program"))
}

/// Puts items and scripts where the output wants them.
pub fn place(
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

/// Has the input spend an output of this script with these items.
pub fn lock_up(
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

pub fn push(script: &mut Vec<u8>, item: &[u8]) {
    script.extend_from_slice(pushes(&[item.to_vec()]).as_bytes());
}

pub fn pushes(items: &[Vec<u8>]) -> ScriptBuf {
    let mut script = ScriptBuf::new();
    for item in items {
        script.push_slice(PushBytesBuf::try_from(item.clone()).expect("items are short"));
    }
    script
}
