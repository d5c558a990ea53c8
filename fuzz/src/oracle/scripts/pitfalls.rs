//! Scripts that break one rule each, programs of every version and size, and opcodes that end a script well.

use bitcoin::ScriptBuf;
use bitcoin::Witness;

use super::super::random::Random;
use super::Case;
use super::signatures::key;
use super::wrapping::{Wrapping, lock_up, p2sh, p2wsh, place, push, pushes, wrap, wrapping};

/// Scripts, and what they find on the stack. Many hold by some rules and fail by others.
const SCRIPTS: &[(&[u8], &[&[u8]])] = &[
    // OP_RETURN, also where it is not executed.
    (&[0x6a], &[]),
    (&[0x00, 0x63, 0x6a, 0x68, 0x51], &[]),
    // Comparisons that end a script.
    (&[0x69, 0x51], &[&[]]),
    (&[0x69, 0x51], &[&[0x80]]),
    (&[0x69, 0x51], &[&[0, 0x80]]),
    (&[0x69, 0x51], &[&[0x80, 0]]),
    (&[0x51, 0x52, 0x88, 0x51], &[]),
    (&[0x87], &[&[1], &[1, 0]]),
    (&[0x51, 0x52, 0x9d, 0x51], &[]),
    (&[0x9c], &[&[1], &[1, 0]]),
    (&[0x9c], &[&[], &[0x80]]),
    (&[0x9e], &[&[1], &[2]]),
    // Numbers of more than four bytes, or of as many.
    (&[0x8b, 0x75, 0x51], &[&[1, 2, 3, 4, 5]]),
    (
        &[0x8b, 0x82, 0x55, 0x88, 0x75, 0x51],
        &[&[0xff, 0xff, 0xff, 0x7f]],
    ),
    (&[0x92, 0x75, 0x51], &[&[0, 0, 0, 0, 0]]),
    (
        &[0x93, 0x75, 0x51],
        &[&[0xff, 0xff, 0xff, 0x7f], &[0xff, 0xff, 0xff, 0xff]],
    ),
    (&[0xa5], &[&[5], &[5], &[6]]),
    (&[0xa5], &[&[6], &[5], &[6]]),
    // Signatures and keys, counted.
    (&[0x00, 0x51, 0x00, 0xae], &[]),
    (&[0x00, 0x4f, 0x00, 0xae], &[]),
    (&[0x00, 0x00, 0x00, 0xae], &[]),
    (&[0x51, 0x00, 0x00, 0xae], &[]),
    (&[0x4f, 0xae], &[]),
    (&[0x01, 21, 0xae], &[]),
    (&[0x51, 0xae], &[]),
    (&[0x00, 0x00, 0x51, 0x51, 0x51, 0xaf, 0x51], &[]),
    (&[0x00, 0x51, 0xac], &[]),
    (&[0x51, 0x51, 0xac], &[]),
    (&[0x51, 0x51, 0xad, 0x51], &[]),
    (&[0x51, 0x00, 0xac], &[]),
    (&[0x00, 0x00, 0xac, 0x91], &[]),
    (&[0x51, 0x51, 0x51, 0xba], &[]),
    (&[0x00, 0x51, 0x51, 0xba], &[]),
    (&[0x51, 0x51, 0x00, 0xba], &[]),
    (&[0x51, 0xba], &[&[1], &[1, 2, 3, 4, 5]]),
    (&[0x63, 0xae, 0x68, 0x51], &[&[]]),
    // Conditions.
    (&[0x51, 0x63], &[]),
    (&[0x51, 0x67], &[]),
    (&[0x51, 0x68], &[]),
    (&[0x63, 0x51, 0x67, 0x51, 0x68], &[]),
    (&[0x63, 0x51, 0x67, 0x51, 0x68], &[&[2]]),
    (&[0x63, 0x51, 0x67, 0x51, 0x68], &[&[1, 0]]),
    (&[0x64, 0x51, 0x67, 0x51, 0x68], &[&[0]]),
    (&[0x64, 0x51, 0x67, 0x51, 0x68], &[&[1]]),
    (&[0x64, 0x51, 0x67, 0x00, 0x67, 0x51, 0x68], &[&[1]]),
    // Stacks that hold too little, and places that there are not.
    (&[0x6c], &[]),
    (&[0x6b, 0x6c], &[&[1]]),
    (&[0x75, 0x51], &[]),
    (&[0x76], &[]),
    (&[0x79], &[&[1], &[0x81]]),
    (&[0x79], &[&[1], &[1]]),
    (&[0x7a], &[&[1], &[]]),
    (&[0x7a], &[&[1], &[0, 0, 0, 0, 1]]),
    (&[0x6d, 0x51], &[&[1]]),
    (&[0x6e, 0x6d, 0x75], &[&[1], &[1]]),
    (&[0x6f, 0x6d, 0x6d, 0x75], &[&[1], &[1], &[1]]),
    (&[0x70, 0x6d, 0x6d, 0x75], &[&[1], &[1], &[1], &[1]]),
    (&[0x71], &[&[1], &[1], &[1], &[1], &[1]]),
    (&[0x72, 0x6d, 0x75], &[&[1], &[1], &[1], &[1]]),
    (&[0x73], &[&[]]),
    (&[0x73, 0x75], &[&[1]]),
    (&[0x74, 0x53, 0x88, 0x6d], &[&[1], &[1], &[1]]),
    (&[0x7c, 0x7b, 0x7d, 0x78, 0x77], &[&[1], &[1], &[1]]),
    // Opcodes that are unknown, reserved, disabled or cut short, executed or not.
    (&[0xba], &[]),
    (&[0x51, 0xff], &[]),
    (&[0x51, 0x50], &[]),
    (&[0x00, 0x63, 0x50, 0x68, 0x51], &[]),
    (&[0x00, 0x63, 0x65, 0x68, 0x51], &[]),
    (&[0x00, 0x63, 0x66, 0x68, 0x51], &[]),
    (&[0x00, 0x63, 0x62, 0x89, 0x8a, 0x68, 0x51], &[]),
    (&[0x00, 0x63, 0x7e, 0x68, 0x51], &[]),
    (&[0x51, 0x51, 0x95], &[]),
    (&[0x51, 0x4c], &[]),
    (&[0x51, 0x4d, 1], &[]),
    (&[0x51, 0x4e, 1, 0, 0], &[]),
    (&[0x51, 0x05, 1], &[]),
    (&[0x4e, 1, 0, 0, 0, 1], &[]),
    (&[0x51, 0xb0, 0xb3, 0xb9], &[]),
    // More left than may be.
    (&[0x51, 0x51], &[]),
    (&[0x51], &[&[1]]),
    (&[], &[]),
    (&[], &[&[1]]),
    (&[0x00], &[]),
    // Lock times below zero, and too long.
    (&[0x4f, 0xb1, 0x75, 0x51], &[]),
    (&[0x4f, 0xb2, 0x75, 0x51], &[]),
    (&[0xb1, 0x75, 0x51], &[&[0, 0, 0, 0, 0, 0]]),
    (&[0xb2, 0x75, 0x51], &[&[0, 0, 0, 0x80, 0]]),
    // A separator that is not executed.
    (&[0x00, 0x63, 0xab, 0x68, 0x51], &[]),
];

/// One of the scripts, where any script may stand.
pub fn script(random: &mut Random, case: &mut Case) {
    let (script, items) = SCRIPTS[random.below(SCRIPTS.len())];
    let mut script = script.to_vec();
    if random.once_in(6) {
        // A signature that is none, for a key that is one.
        script = vec![0x00];
        push(&mut script, &key(random).public_key().serialize());
        script.extend([random.pick(&[0xac, 0xad]), 0x51]);
    }
    let items = items.iter().map(|item| item.to_vec()).collect();
    let wrapping = wrapping(random);
    lock_up(random, case, wrapping, script, items);
}

/// A witness program of any version and size, native or behind a hash, with or without what it asks for.
pub fn program(random: &mut Random, case: &mut Case) {
    let version = random.pick(&[0, 0, 0, 1, 1, 2, 16]);
    let size = random.pick(&[1, 2, 3, 19, 20, 20, 21, 31, 32, 32, 33, 40, 41]);
    let script = ScriptBuf::from_bytes(vec![0x51]);
    let mut program = vec![if version == 0 { 0 } else { 0x50 + version }, size];
    if size == 32 && version == 0 && random.once_in(2) {
        program = p2wsh(&script).into_bytes();
    } else if version == 1 && size == 2 && random.once_in(2) {
        // The anchor.
        program.extend([0x4e, 0x73]);
    } else {
        program.extend(vec![random.byte(); size.into()]);
    }
    let program = ScriptBuf::from_bytes(program);
    let input = &mut case.transaction.input[case.input];
    if random.once_in(2) {
        case.prevouts[case.input].script_pubkey = p2sh(&program);
        let redeem = program.into_bytes();
        input.script_sig = match random.below(5) {
            0 => pushes(&[vec![1], redeem]),
            1 => {
                let mut bytes = vec![0x61];
                push(&mut bytes, &redeem);
                ScriptBuf::from_bytes(bytes)
            }
            2 => {
                // The same push in a longer form.
                let mut bytes = vec![0x4c, redeem.len() as u8];
                bytes.extend(redeem);
                ScriptBuf::from_bytes(bytes)
            }
            _ => pushes(&[redeem]),
        };
    } else {
        case.prevouts[case.input].script_pubkey = program;
        if random.once_in(4) {
            input.script_sig = ScriptBuf::from_bytes(vec![0x51]);
        }
    }
    input.witness = match random.below(6) {
        0 | 1 => Witness::new(),
        2 => Witness::from_slice(&[Vec::<u8>::new()]),
        3 => Witness::from_slice(&[vec![super::ANNEX]]),
        4 => Witness::from_slice(&[vec![1], vec![super::ANNEX, 1]]),
        _ => Witness::from_slice(&[script.into_bytes()]),
    };
}

/// A tapscript with an opcode that ends it well, among what else would end it badly.
pub fn success(random: &mut Random, case: &mut Case) {
    let mut script = Vec::new();
    match random.below(6) {
        0 => script.push(0x6a),
        1 => script.extend([0x00, 0x63]),
        2 => {
            // Longer than an element may be.
            script.extend([0x4d, 0x09, 0x02]);
            script.extend([7; 521]);
        }
        3 => script.extend([0x01, 0x50, 0x75]),
        4 => script.extend([0x4c, random.byte() % 8, 0x51]),
        _ => {}
    }
    script.push(random.pick(&[
        0x50, 0x62, 0x7e, 0x81, 0x83, 0x86, 0x89, 0x8a, 0x8d, 0x8e, 0x95, 0x99, 0xba, 0xbb, 0xfe,
        0xff, 0x52, 0xb0,
    ]));
    match random.below(4) {
        0 => script.push(0x4c),
        1 => script.extend([0x05, 1]),
        2 => script.extend(vec![0x61; 11_000]),
        _ => {}
    }
    let items = match random.below(4) {
        0 => vec![vec![7; 521]],
        1 => vec![Vec::new(); 1000 + random.below(2)],
        _ => Vec::new(),
    };
    let script = ScriptBuf::from_bytes(script);
    let (output, control) = wrap(random, Wrapping::Tapscript, &script);
    case.prevouts[case.input].script_pubkey = output;
    place(case, Wrapping::Tapscript, items, script, control);
}
