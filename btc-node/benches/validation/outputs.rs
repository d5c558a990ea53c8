//! Outputs of every type, and spending them.

use std::sync::Arc;

use bitcoin::hashes::{Hash, sha256};
use bitcoin::key::{Secp256k1, TapTweak, XOnlyPublicKey};
use bitcoin::opcodes::all::{OP_CHECKMULTISIG, OP_CHECKSIG};
use bitcoin::script::{Builder, PushBytesBuf};
use bitcoin::secp256k1::{All, Keypair, Message, SecretKey};
use bitcoin::sighash::{EcdsaSighashType, Prevouts, SighashCache, TapSighashType};
use bitcoin::taproot::{LeafVersion, TapLeafHash, TaprootBuilder, TaprootSpendInfo};
use bitcoin::{Amount, OutPoint, PublicKey, Script, ScriptBuf, Transaction, TxOut, Witness};

use crate::random::Random;

/// How an output is locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    PubKey,
    PubKeyHash,
    /// Two of three keys, behind a script hash.
    ScriptHash,
    WitnessPubKeyHash,
    /// Two of three keys, behind a witness script hash.
    WitnessScriptHash,
    NestedWitnessPubKeyHash,
    TaprootKey,
    /// One of the two leaves of a tree.
    TaprootScript,
    /// One of two keys, bare.
    Multisig,
}

impl Kind {
    pub const ALL: [Self; 9] = [
        Self::PubKey,
        Self::PubKeyHash,
        Self::ScriptHash,
        Self::WitnessPubKeyHash,
        Self::WitnessScriptHash,
        Self::NestedWitnessPubKeyHash,
        Self::TaprootKey,
        Self::TaprootScript,
        Self::Multisig,
    ];

    /// One of them, about as often as mainnet of today has them.
    pub fn usual(random: &mut Random) -> Self {
        match random.below(100) {
            0..=2 => Self::PubKey,
            3..=19 => Self::PubKeyHash,
            20..=26 => Self::ScriptHash,
            27..=59 => Self::WitnessPubKeyHash,
            60..=66 => Self::WitnessScriptHash,
            67..=75 => Self::NestedWitnessPubKeyHash,
            76..=92 => Self::TaprootKey,
            93..=96 => Self::TaprootScript,
            _ => Self::Multisig,
        }
    }

    /// How many signatures spend it.
    pub fn signatures(self) -> u64 {
        match self {
            Self::ScriptHash | Self::WitnessScriptHash => 2,
            _ => 1,
        }
    }
}

/// An output that a [`Keys`] can spend.
#[derive(Clone, Debug)]
pub struct Owned {
    pub outpoint: OutPoint,
    pub output: TxOut,
    pub kind: Kind,
    /// Which key it is locked to.
    pub key: usize,
}

/// How many keys there are.
const KEYS: usize = 512;

/// Fixed keys, with what is made of each.
pub struct Keys {
    secp: Secp256k1<All>,
    keys: Vec<Key>,
}

struct Key {
    pair: Keypair,
    public: PublicKey,
    tree: Arc<TaprootSpendInfo>,
}

impl Keys {
    pub fn new() -> Self {
        let secp = Secp256k1::new();
        let keys = (0..KEYS as u32)
            .map(|number| {
                let secret = sha256::Hash::hash(&number.to_le_bytes()).to_byte_array();
                let pair = SecretKey::from_slice(&secret).unwrap().keypair(&secp);
                let internal = pair.x_only_public_key().0;
                let other = Builder::new().push_int(1).into_script();
                let tree = TaprootBuilder::new()
                    .add_leaf(1, leaf(internal))
                    .and_then(|builder| builder.add_leaf(1, other))
                    .unwrap()
                    .finalize(&secp, internal)
                    .unwrap();
                Key {
                    pair,
                    public: PublicKey::new(pair.public_key()),
                    tree: Arc::new(tree),
                }
            })
            .collect();
        Self { secp, keys }
    }

    fn key(&self, number: usize) -> &Key {
        &self.keys[number % KEYS]
    }

    /// A script `required` of the `count` keys from `number` on satisfy.
    fn multisig(&self, number: usize, required: i64, count: usize) -> ScriptBuf {
        (0..count)
            .fold(Builder::new().push_int(required), |script, offset| {
                script.push_key(&self.key(number + offset).public)
            })
            .push_int(count as i64)
            .push_opcode(OP_CHECKMULTISIG)
            .into_script()
    }

    /// The script of an output.
    pub fn script_pubkey(&self, kind: Kind, number: usize) -> ScriptBuf {
        let key = self.key(number);
        let witness_hash = key.public.wpubkey_hash().unwrap();
        match kind {
            Kind::PubKey => ScriptBuf::new_p2pk(&key.public),
            Kind::PubKeyHash => ScriptBuf::new_p2pkh(&key.public.pubkey_hash()),
            Kind::ScriptHash => self.multisig(number, 2, 3).to_p2sh(),
            Kind::WitnessPubKeyHash => ScriptBuf::new_p2wpkh(&witness_hash),
            Kind::WitnessScriptHash => self.multisig(number, 2, 3).to_p2wsh(),
            Kind::NestedWitnessPubKeyHash => ScriptBuf::new_p2wpkh(&witness_hash).to_p2sh(),
            Kind::TaprootKey => {
                ScriptBuf::new_p2tr(&self.secp, key.pair.x_only_public_key().0, None)
            }
            Kind::TaprootScript => ScriptBuf::new_p2tr_tweaked(key.tree.output_key()),
            Kind::Multisig => self.multisig(number, 1, 2),
        }
    }

    /// A new output of the kind.
    pub fn output(&self, kind: Kind, number: usize, value: Amount) -> TxOut {
        TxOut {
            value,
            script_pubkey: self.script_pubkey(kind, number),
        }
    }

    /// Signs all inputs, which spend `spent` in that order.
    pub fn sign(&self, transaction: &mut Transaction, spent: &[Owned]) {
        let prevouts: Vec<TxOut> = spent.iter().map(|owned| owned.output.clone()).collect();
        let mut cache = SighashCache::new(&*transaction);
        let signed: Vec<_> = spent
            .iter()
            .enumerate()
            .map(|(input, owned)| self.sign_input(&mut cache, &prevouts, input, owned))
            .collect();
        for (input, (script_sig, witness)) in transaction.input.iter_mut().zip(signed) {
            input.script_sig = script_sig;
            input.witness = witness;
        }
    }

    fn sign_input(
        &self,
        cache: &mut SighashCache<&Transaction>,
        prevouts: &[TxOut],
        input: usize,
        owned: &Owned,
    ) -> (ScriptBuf, Witness) {
        let all = EcdsaSighashType::All;
        let TxOut {
            value,
            ref script_pubkey,
        } = owned.output;
        let number = owned.key;
        let key = self.key(number);
        let legacy = |script: &Script| {
            let hash = cache.legacy_signature_hash(input, script, all.to_u32());
            hash.unwrap().to_byte_array()
        };
        match owned.kind {
            Kind::PubKey => {
                let signature = self.ecdsa(number, legacy(script_pubkey));
                (pushes([signature]), Witness::new())
            }
            Kind::PubKeyHash => {
                let signature = self.ecdsa(number, legacy(script_pubkey));
                (pushes([signature, key.public.to_bytes()]), Witness::new())
            }
            Kind::Multisig => {
                let signature = self.ecdsa(number + 1, legacy(script_pubkey));
                (pushes([Vec::new(), signature]), Witness::new())
            }
            Kind::ScriptHash => {
                let script = self.multisig(number, 2, 3);
                let hash = legacy(&script);
                let signatures = [number, number + 2].map(|number| self.ecdsa(number, hash));
                let [first, second] = signatures;
                let items = [Vec::new(), first, second, script.into_bytes()];
                (pushes(items), Witness::new())
            }
            Kind::WitnessScriptHash => {
                let script = self.multisig(number, 2, 3);
                let hash = cache.p2wsh_signature_hash(input, &script, value, all);
                let hash = hash.unwrap().to_byte_array();
                let [first, second] = [number, number + 2].map(|number| self.ecdsa(number, hash));
                let items = [Vec::new(), first, second, script.into_bytes()];
                (ScriptBuf::new(), Witness::from_slice(&items))
            }
            Kind::WitnessPubKeyHash | Kind::NestedWitnessPubKeyHash => {
                let program = ScriptBuf::new_p2wpkh(&key.public.wpubkey_hash().unwrap());
                let hash = cache.p2wpkh_signature_hash(input, &program, value, all);
                let signature = self.ecdsa(number, hash.unwrap().to_byte_array());
                let witness = Witness::from_slice(&[signature, key.public.to_bytes()]);
                let nested = owned.kind == Kind::NestedWitnessPubKeyHash;
                let script_sig = if nested {
                    pushes([program.into_bytes()])
                } else {
                    ScriptBuf::new()
                };
                (script_sig, witness)
            }
            Kind::TaprootKey => {
                let hash = cache.taproot_key_spend_signature_hash(
                    input,
                    &Prevouts::All(prevouts),
                    TapSighashType::Default,
                );
                let pair = key.pair.tap_tweak(&self.secp, None).to_keypair();
                let message = Message::from_digest(hash.unwrap().to_byte_array());
                let signature = self.secp.sign_schnorr_no_aux_rand(&message, &pair);
                (
                    ScriptBuf::new(),
                    Witness::from_slice(&[signature.serialize()]),
                )
            }
            Kind::TaprootScript => {
                let script = leaf(key.pair.x_only_public_key().0);
                let hash = cache.taproot_script_spend_signature_hash(
                    input,
                    &Prevouts::All(prevouts),
                    TapLeafHash::from_script(&script, LeafVersion::TapScript),
                    TapSighashType::Default,
                );
                let message = Message::from_digest(hash.unwrap().to_byte_array());
                let signature = self.secp.sign_schnorr_no_aux_rand(&message, &key.pair);
                let control = key
                    .tree
                    .control_block(&(script.clone(), LeafVersion::TapScript))
                    .unwrap();
                let items = [
                    signature.serialize().to_vec(),
                    script.into_bytes(),
                    control.serialize(),
                ];
                (ScriptBuf::new(), Witness::from_slice(&items))
            }
        }
    }

    fn ecdsa(&self, number: usize, hash: [u8; 32]) -> Vec<u8> {
        let message = Message::from_digest(hash);
        let signature = self
            .secp
            .sign_ecdsa(&message, &self.key(number).pair.secret_key());
        let mut bytes = signature.serialize_der().to_vec();
        bytes.push(EcdsaSighashType::All as u8);
        bytes
    }
}

fn leaf(key: XOnlyPublicKey) -> ScriptBuf {
    Builder::new()
        .push_x_only_key(&key)
        .push_opcode(OP_CHECKSIG)
        .into_script()
}

/// A script of these pushes.
fn pushes<const N: usize>(items: [Vec<u8>; N]) -> ScriptBuf {
    items
        .into_iter()
        .fold(Builder::new(), |script, item| {
            script.push_slice(PushBytesBuf::try_from(item).unwrap())
        })
        .into_script()
}
