//! From an output script to a descriptor of it.

use super::key::{DerivedKey, KeyExpression, KeyKind};
use super::miniscript::{MiniscriptNode, Place};
use super::{Descriptor, ExpandedScript, Script};
use bitcoin::hashes::{Hash, hash160};
use bitcoin::key::XOnlyPublicKey;
use bitcoin::opcodes::all::{OP_CHECKMULTISIG, OP_PUSHNUM_1, OP_PUSHNUM_16};
use bitcoin::script::Instruction;
use bitcoin::taproot::LeafVersion;
use bitcoin::{Address, Network, PublicKey};

impl Descriptor {
    /// The most telling descriptor of one output script, given what is known of it: its keys with their origins and the
    /// scripts it commits to. Falls back on `addr()` and on `raw()`.
    pub fn infer(known: &ExpandedScript, keys: &[DerivedKey], network: Network) -> Descriptor {
        let script = infer_solvable(known, keys).unwrap_or_else(|| {
            match Address::from_script(&known.script_pubkey, network) {
                Ok(address) => Script::Addr(address),
                Err(_) => Script::Raw(known.script_pubkey.clone()),
            }
        });
        Descriptor { script }
    }
}

fn expression(derived: &DerivedKey, position: u32, x_only: bool) -> KeyExpression {
    // A key that is its own origin has nothing to tell.
    let own = derived.origin.path.is_empty()
        && derived.key.pubkey_hash()[..4] == derived.origin.fingerprint.as_bytes()[..];
    KeyExpression {
        position,
        origin: (!own).then(|| derived.origin.clone()),
        kind: KeyKind::Single {
            key: derived.key,
            x_only,
        },
        apostrophe: false,
    }
}

fn infer_solvable(known: &ExpandedScript, keys: &[DerivedKey]) -> Option<Script> {
    let script = &known.script_pubkey;
    if script.is_p2pk() {
        let key = script.p2pk_public_key()?;
        let derived = keys.iter().find(|derived| derived.key == key)?;
        return Some(Script::Pk(expression(derived, 0, false)));
    }
    if script.is_p2pkh() {
        let derived = keys
            .iter()
            .find(|derived| derived.key.pubkey_hash()[..] == script.as_bytes()[3..23])?;
        return Some(Script::Pkh(expression(derived, 0, false)));
    }
    if script.is_p2wpkh() {
        let derived = keys.iter().find(|derived| {
            derived.key.compressed && derived.key.pubkey_hash()[..] == script.as_bytes()[2..22]
        })?;
        return Some(Script::Wpkh(expression(derived, 0, false)));
    }
    if script.is_p2tr() {
        if let Some(tree) = infer_tree(known, keys) {
            return Some(tree);
        }
        let derived = keys
            .iter()
            .find(|derived| super::taproot_script(&derived.key) == *script)?;
        return Some(Script::Tr {
            internal: expression(derived, 0, true),
            leaves: Vec::new(),
        });
    }
    if script.is_p2sh() {
        let redeem = known.redeem_script.as_ref()?;
        let inner = ExpandedScript {
            witness_script: known.witness_script.clone(),
            ..ExpandedScript::plain(redeem.clone())
        };
        return Some(Script::Sh(Box::new(infer_solvable(&inner, keys)?)));
    }
    if script.is_p2wsh() {
        let script = known.witness_script.clone()?;
        let inner = infer_solvable(&ExpandedScript::plain(script.clone()), keys)
            .or_else(|| infer_node(&script, Place::Wsh, keys, 0));
        return Some(Script::Wsh(Box::new(inner?)));
    }
    infer_multi(known, keys)
}

fn infer_tree(known: &ExpandedScript, keys: &[DerivedKey]) -> Option<Script> {
    let taproot = known.taproot.as_ref()?;
    let find = |key: &XOnlyPublicKey| {
        let mut own = keys.iter();
        own.find(|derived| super::x_only(&derived.key) == *key)
    };
    let internal = expression(find(&taproot.spend.internal_key())?, 0, true);
    let mut next = 1;
    let mut leaves = Vec::with_capacity(taproot.leaves.len());
    for (depth, version, script) in &taproot.leaves {
        if *version != LeafVersion::TapScript.to_consensus() {
            return None;
        }
        let leaf = infer_leaf(script, keys, next)?;
        let whole = Descriptor { script: leaf };
        next += u32::try_from(whole.keys().len()).ok()?;
        leaves.push((*depth, whole.script));
    }
    Some(Script::Tr { internal, leaves })
}

fn infer_leaf(script: &bitcoin::Script, keys: &[DerivedKey], first: u32) -> Option<Script> {
    match infer_node(script, Place::Leaf, keys, first)? {
        Script::Miniscript(node)
            if node.keys.len() == 1 && script.len() == 34 && script.as_bytes()[33] == 0xac =>
        {
            node.keys.into_iter().next().map(Script::Pk)
        }
        other => Some(other),
    }
}

/// Miniscript whose keys are all known; they are numbered from `first`.
fn infer_node(
    script: &bitcoin::Script,
    place: Place,
    keys: &[DerivedKey],
    first: u32,
) -> Option<Script> {
    let leaf = place == Place::Leaf;
    let by_hash = keys
        .iter()
        .map(|derived| {
            let hash = if leaf {
                hash160::Hash::hash(&super::x_only(&derived.key).serialize())
            } else {
                derived.key.pubkey_hash().to_raw_hash()
            };
            (hash, derived.key)
        })
        .collect();
    let mut position = first;
    let mut find = |key: &PublicKey| {
        let mut own = keys.iter();
        let found = own.find(|derived| {
            if leaf {
                super::x_only(&derived.key) == super::x_only(key)
            } else {
                derived.key == *key
            }
        });
        position += 1;
        found.map(|derived| expression(derived, position - 1, leaf))
    };
    MiniscriptNode::infer(script, place, &by_hash, &mut find).map(Script::Miniscript)
}

fn infer_multi(known: &ExpandedScript, keys: &[DerivedKey]) -> Option<Script> {
    let number = |instruction: &Instruction<'_>| match instruction {
        Instruction::Op(op)
            if (OP_PUSHNUM_1.to_u8()..=OP_PUSHNUM_16.to_u8()).contains(&op.to_u8()) =>
        {
            Some(u32::from(op.to_u8() - OP_PUSHNUM_1.to_u8()) + 1)
        }
        // More than there are opcodes for.
        Instruction::PushBytes(bytes) => match bytes.as_bytes() {
            [number @ 17..=20] => Some(u32::from(*number)),
            _ => None,
        },
        Instruction::Op(_) => None,
    };
    let instructions: Vec<Instruction<'_>> = known
        .script_pubkey
        .instructions()
        .collect::<Result<_, _>>()
        .ok()?;
    let [
        threshold,
        pushes @ ..,
        count,
        Instruction::Op(OP_CHECKMULTISIG),
    ] = instructions.as_slice()
    else {
        return None;
    };
    let threshold = number(threshold)?;
    if number(count)? as usize != pushes.len() {
        return None;
    }
    let keys = pushes
        .iter()
        .zip(0..)
        .map(|(push, position)| {
            let key = PublicKey::from_slice(push.push_bytes()?.as_bytes()).ok()?;
            let derived = keys.iter().find(|derived| derived.key == key)?;
            Some(expression(derived, position, false))
        })
        .collect::<Option<Vec<_>>>()?;
    Some(Script::Multi {
        threshold,
        keys,
        sorted: false,
    })
}
