//! From an output script to a descriptor of it.

use super::key::{DerivedKey, KeyExpression, KeyKind};
use super::{Descriptor, ExpandedScript, Script};
use bitcoin::opcodes::all::{OP_CHECKMULTISIG, OP_PUSHNUM_1, OP_PUSHNUM_16};
use bitcoin::script::Instruction;
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
        let derived = keys
            .iter()
            .find(|derived| super::taproot_script(&derived.key) == *script)?;
        return Some(Script::Tr(expression(derived, 0, true)));
    }
    if script.is_p2sh() {
        let redeem = known.redeem_script.as_ref()?;
        let inner = ExpandedScript {
            script_pubkey: redeem.clone(),
            redeem_script: None,
            witness_script: known.witness_script.clone(),
        };
        return Some(Script::Sh(Box::new(infer_solvable(&inner, keys)?)));
    }
    if script.is_p2wsh() {
        let inner = ExpandedScript {
            script_pubkey: known.witness_script.clone()?,
            redeem_script: None,
            witness_script: None,
        };
        return Some(Script::Wsh(Box::new(infer_solvable(&inner, keys)?)));
    }
    infer_multi(known, keys)
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
