//! Output descriptors: text that says which scripts a wallet watches and which keys spend them. Source: BIPs 380 to 386.
//!
//! Pure: no I/O and no state. A [`Descriptor`] holds public keys; private keys that its text held come beside it as
//! [`SecretKeys`]. Supported are `pk`, `pkh`, `wpkh`, `sh`, `wsh`, `combo`, `multi`, `sortedmulti`, `tr` with script
//! trees, `multi_a`, `sortedmulti_a`, Miniscript in `wsh` and in trees, `rawtr`, `unused`, `addr` and `raw`, with multipath
//! steps (BIP 389) where several descriptors are asked for. `musig` is a [`DescriptorError::Unsupported`].
//!
//! ```
//! use bitcoin::Network;
//! use btc_interfaces::descriptor::{Descriptor, SecretKeys};
//!
//! let text = "wpkh(02c6047f9441ed7d6d3045406e95c07cd85c778e4b8cef3ca7abac09b95c709ee5)#wg9vgf99";
//! let parsed = Descriptor::parse(text, Network::Regtest, true)?;
//! let expansion = parsed.descriptor.expand(0, &parsed.secrets, &mut Default::default())?;
//! assert!(expansion.scripts[0].script_pubkey.is_p2wpkh());
//! assert_eq!(parsed.descriptor.to_string(), text);
//! # Ok::<(), btc_interfaces::descriptor::DescriptorError>(())
//! ```

mod checksum;
mod infer;
mod key;
mod miniscript;
mod parse;
mod secret;

pub use self::miniscript::{MiniscriptNode, infer_miniscript};
pub use checksum::checksum;
pub use key::{DerivedKey, KeyCache, KeyExpression, KeyKind, KeyOrigin, Wildcard};
pub use parse::Parsed;
pub use secret::{Secret, SecretKeys};

use crate::AddressType;
use crate::psbt::TaprootOutput;
use bitcoin::hashes::{Hash, sha256};
use bitcoin::key::{TapTweak, XOnlyPublicKey};
use bitcoin::opcodes::all::{OP_CHECKMULTISIG, OP_CHECKSIG, OP_CHECKSIGADD, OP_NUMEQUAL};
use bitcoin::script::Builder;
use bitcoin::secp256k1::{All, Secp256k1};
use bitcoin::taproot::{LeafVersion, TaprootBuilder};
use bitcoin::{Address, Network, PublicKey, ScriptBuf};
use key::Form;
use std::fmt;
use std::sync::LazyLock;

/// The context of curve operations, made once.
pub fn secp() -> &'static Secp256k1<All> {
    static CONTEXT: LazyLock<Secp256k1<All>> = LazyLock::new(Secp256k1::new);
    &CONTEXT
}

/// What is wrong with a descriptor. Texts are those that Core's users know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DescriptorError {
    /// More than one `#`.
    #[error("Multiple '#' symbols")]
    SeveralChecksums,
    /// None where one is required.
    #[error("Missing checksum")]
    MissingChecksum,
    /// Not eight characters.
    #[error("Expected 8 character checksum, not {0} characters")]
    ChecksumLength(usize),
    /// A character that descriptors don't have.
    #[error("Invalid characters in payload")]
    InvalidCharacters,
    /// The checksum is of another text.
    #[error("Provided checksum '{given}' does not match computed checksum '{computed}'")]
    ChecksumMismatch {
        /// As written.
        given: String,
        /// As it should be.
        computed: String,
    },
    /// A guard against absurd input.
    #[error("descriptor of {0} characters is too long")]
    TooLong(usize),
    /// An expression where it may not stand.
    #[error("{0}")]
    Misplaced(&'static str),
    /// Valid, but not offered here.
    #[error("{0} in descriptors are not supported yet")]
    Unsupported(&'static str),
    /// A name that is no function.
    #[error("'{0}' is not a valid descriptor function")]
    UnknownFunction(String),
    /// Miniscript that nobody should pay to.
    #[error("{0}")]
    Miniscript(String),
    /// A tree that is not written as trees are.
    #[error("{0}")]
    Tree(String),
    /// A key that stands for many where one is asked for.
    #[error("unused(): key cannot be ranged")]
    UnusedRange,
    /// `multi()` with wrong numbers.
    #[error("{0}")]
    Multi(String),
    /// `addr()` of no address of this network.
    #[error("Address is not valid")]
    Address,
    /// `raw()` of no hex.
    #[error("Raw script is not hex")]
    RawScript,
    /// An empty key.
    #[error("No key provided")]
    NoKey,
    /// Blanks around a key.
    #[error("Key '{0}' is invalid due to whitespace")]
    Whitespace(String),
    /// A public key in hybrid form.
    #[error("Hybrid public keys are not allowed")]
    Hybrid,
    /// A public key of 65 bytes where only 33 will do.
    #[error("Uncompressed keys are not allowed")]
    Uncompressed,
    /// No point of the curve.
    #[error("Pubkey '{0}' is invalid")]
    InvalidPublicKey(String),
    /// Neither WIF nor an extended key of this network.
    #[error("key '{}' is not valid", redacted(.0))]
    InvalidKey(String),
    /// Two origins.
    #[error("Multiple ']' characters found for a single pubkey")]
    SeveralOrigins,
    /// `]` without `[`.
    #[error("Key origin start '[ character expected but not found, got '{0}' instead")]
    OriginStart(char),
    /// A fingerprint of the wrong size.
    #[error("Fingerprint is not 4 bytes ({0} characters instead of 8 characters)")]
    FingerprintLength(usize),
    /// A fingerprint of no hex.
    #[error("Fingerprint '{0}' is not hex")]
    FingerprintHex(String),
    /// A path step of no number.
    #[error("Key path value '{0}' is not a valid uint32")]
    PathNumber(String),
    /// A path step of 2^31 or more.
    #[error("Key path value {0} is out of range")]
    PathRange(String),
    /// Several descriptors where one is asked for.
    #[error("Multipath descriptor not accepted")]
    Multipath,
    /// A multipath step in a key's origin.
    #[error("Key path value '{0}' specifies multipath in a section where multipath is not allowed")]
    MultipathMisplaced(String),
    /// Two multipath steps in one path.
    #[error("Multiple multipath key path specifiers found")]
    MultipathTwice,
    /// A multipath step of one value.
    #[error("Multipath key path specifiers must have at least two items")]
    MultipathSingle,
    /// A multipath step with a value twice; that value as BIP 32 counts it.
    #[error("Duplicated key path value {0} in multipath specifier")]
    MultipathRepeated(u32),
    /// Multipath steps of different numbers of values.
    #[error("Multipath derivation paths have mismatched lengths")]
    MultipathLengths,
    /// An error of a key, with the function it stands in.
    #[error("{function}: {error}")]
    Within {
        /// The function.
        function: &'static str,
        /// The error.
        error: Box<DescriptorError>,
    },
    /// A hardened step without the private key, and nothing cached.
    #[error(
        "Cannot expand descriptor. Probably because of hardened derivations without private keys provided"
    )]
    MissingPrivateKey,
    /// BIP 32 has no such child.
    #[error("key derivation failed: {0}")]
    Derivation(#[from] bitcoin::bip32::Error),
}

/// What did not parse as a key may still be a mistyped private one.
fn redacted(key: &str) -> &str {
    const PRIVATE: [&str; 7] = ["xprv", "tprv", "5", "K", "L", "9", "c"];
    if PRIVATE.iter().any(|prefix| key.starts_with(prefix)) && key.len() > 40 {
        "(withheld: it looks like a private key)"
    } else {
        key
    }
}

impl DescriptorError {
    fn within(self, function: &'static str) -> Self {
        Self::Within {
            function,
            error: Box::new(self),
        }
    }
}

/// A node of a descriptor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Script {
    /// `pk(KEY)`
    Pk(KeyExpression),
    /// `pkh(KEY)`
    Pkh(KeyExpression),
    /// `wpkh(KEY)`
    Wpkh(KeyExpression),
    /// `combo(KEY)`: all single-key forms but taproot.
    Combo(KeyExpression),
    /// `tr(KEY)` or `tr(KEY,TREE)`
    Tr {
        /// The internal key.
        internal: KeyExpression,
        /// The scripts of the tree with their depths, depth first.
        leaves: Vec<(u8, Script)>,
    },
    /// `rawtr(KEY)`: the output key itself.
    RawTr(KeyExpression),
    /// `multi(k,KEY,…)` or `sortedmulti(k,KEY,…)`
    Multi {
        /// How many signatures it needs.
        threshold: u32,
        /// The keys in the order written.
        keys: Vec<KeyExpression>,
        /// Whether the script sorts them.
        sorted: bool,
    },
    /// `multi_a(k,KEY,…)` or `sortedmulti_a(k,KEY,…)`, in a tree.
    MultiA {
        /// How many signatures it needs.
        threshold: u32,
        /// The keys in the order written.
        keys: Vec<KeyExpression>,
        /// Whether the script sorts them.
        sorted: bool,
    },
    /// Miniscript, within `wsh()` or in a tree.
    Miniscript(MiniscriptNode),
    /// `unused(KEY)`: a key that stands for no script.
    Unused(KeyExpression),
    /// `sh(SCRIPT)`
    Sh(Box<Script>),
    /// `wsh(SCRIPT)`
    Wsh(Box<Script>),
    /// `addr(ADDRESS)`
    Addr(Address),
    /// `raw(HEX)`
    Raw(ScriptBuf),
}

/// An output script with the scripts it commits to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpandedScript {
    /// The output script.
    pub script_pubkey: ScriptBuf,
    /// What P2SH hashes.
    pub redeem_script: Option<ScriptBuf>,
    /// What P2WSH hashes.
    pub witness_script: Option<ScriptBuf>,
    /// What a taproot output commits to.
    pub taproot: Option<TaprootOutput>,
}

impl ExpandedScript {
    /// An output script that commits to no other, or to none that is known.
    pub fn plain(script_pubkey: ScriptBuf) -> Self {
        Self {
            script_pubkey,
            redeem_script: None,
            witness_script: None,
            taproot: None,
        }
    }
}

/// A descriptor at one index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expansion {
    /// The output scripts: one, or up to four for `combo()`.
    pub scripts: Vec<ExpandedScript>,
    /// The keys in the descriptor's order.
    pub keys: Vec<DerivedKey>,
}

/// An output descriptor. `Display` writes it with its checksum.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Descriptor {
    script: Script,
}

/// The taproot output of an internal key without scripts.
fn taproot_script(key: &PublicKey) -> ScriptBuf {
    let (output, _) = x_only(key).tap_tweak(secp(), None);
    ScriptBuf::new_p2tr_tweaked(output)
}

fn plain(script_pubkey: ScriptBuf) -> ExpandedScript {
    ExpandedScript::plain(script_pubkey)
}

fn p2wpkh_script(key: &PublicKey) -> Option<ScriptBuf> {
    key.wpubkey_hash()
        .ok()
        .map(|hash| ScriptBuf::new_p2wpkh(&hash))
}

impl Descriptor {
    /// Parses `text` with keys and addresses of `network`. A checksum is verified if there is one.
    pub fn parse(
        text: &str,
        network: Network,
        require_checksum: bool,
    ) -> Result<Parsed, DescriptorError> {
        parse::parse(text, network, require_checksum)
    }

    /// Parses `text`, which may hold multipath steps such as `<0;1>` (BIP 389), into the descriptors that it stands for:
    /// as many as a step has values, else one.
    pub fn parse_multipath(
        text: &str,
        network: Network,
        require_checksum: bool,
    ) -> Result<Vec<Parsed>, DescriptorError> {
        parse::parse_multipath(text, network, require_checksum)
    }

    /// Its outermost expression.
    pub fn script(&self) -> &Script {
        &self.script
    }

    /// Its keys in order.
    pub fn keys(&self) -> Vec<&KeyExpression> {
        fn collect<'d>(script: &'d Script, into: &mut Vec<&'d KeyExpression>) {
            match script {
                Script::Pk(key)
                | Script::Pkh(key)
                | Script::Wpkh(key)
                | Script::Combo(key)
                | Script::Unused(key)
                | Script::RawTr(key) => into.push(key),
                Script::Tr { internal, leaves } => {
                    into.push(internal);
                    for (_, leaf) in leaves {
                        collect(leaf, into);
                    }
                }
                Script::Multi { keys, .. } | Script::MultiA { keys, .. } => into.extend(keys),
                Script::Miniscript(node) => into.extend(&node.keys),
                Script::Sh(inner) | Script::Wsh(inner) => collect(inner, into),
                Script::Addr(_) | Script::Raw(_) => {}
            }
        }
        let mut keys = Vec::new();
        collect(&self.script, &mut keys);
        keys
    }

    /// Whether it stands for many scripts.
    pub fn is_range(&self) -> bool {
        self.keys().iter().any(|key| key.is_range())
    }

    /// Whether it gives one kind of script: all but `combo()`.
    pub fn is_single_type(&self) -> bool {
        !matches!(self.script, Script::Combo(_))
    }

    /// Whether it says how to spend: all but `addr()` and `raw()`.
    pub fn is_solvable(&self) -> bool {
        !matches!(self.script, Script::Addr(_) | Script::Raw(_))
    }

    /// Whether no step needs a private key.
    pub fn can_self_expand(&self) -> bool {
        !self.keys().iter().any(|key| key.is_hardened())
    }

    /// The kind of address it gives, where it gives one kind.
    pub fn address_type(&self) -> Option<AddressType> {
        match &self.script {
            Script::Pkh(_) => Some(AddressType::Legacy),
            Script::Sh(inner) => Some(match **inner {
                Script::Wpkh(_) | Script::Wsh(_) => AddressType::P2shSegwit,
                _ => AddressType::Legacy,
            }),
            Script::Wpkh(_) | Script::Wsh(_) => Some(AddressType::Bech32),
            Script::Tr { .. } | Script::RawTr(_) => Some(AddressType::Bech32m),
            Script::Addr(address) => address_type_of(&address.script_pubkey()),
            Script::Raw(script) => address_type_of(script),
            Script::Pk(_)
            | Script::Combo(_)
            | Script::Multi { .. }
            | Script::MultiA { .. }
            | Script::Miniscript(_)
            | Script::Unused(_) => None,
        }
    }

    /// Scripts and keys at `index` (ignored without a wildcard). What later expansions can do without `secrets` is added
    /// to `cache`.
    pub fn expand(
        &self,
        index: u32,
        secrets: &SecretKeys,
        cache: &mut KeyCache,
    ) -> Result<Expansion, DescriptorError> {
        let keys = self
            .keys()
            .into_iter()
            .map(|key| key.derive(index, secrets, cache))
            .collect::<Result<Vec<_>, _>>()?;
        self.build(keys)
    }

    /// As [`Descriptor::expand`], but from cached keys alone; `None` if the cache lacks one.
    pub fn expand_cached(
        &self,
        index: u32,
        cache: &KeyCache,
    ) -> Result<Option<Expansion>, DescriptorError> {
        let keys = self
            .keys()
            .into_iter()
            .map(|key| key.derive_cached(index, cache))
            .collect::<Result<Option<Vec<_>>, _>>()?;
        keys.map(|keys| self.build(keys)).transpose()
    }

    /// The secrets at `index` that can be had from `secrets`.
    pub fn secrets_at(
        &self,
        index: u32,
        secrets: &SecretKeys,
    ) -> Result<Vec<Secret>, DescriptorError> {
        let mut found = Vec::new();
        for key in self.keys() {
            found.extend(key.derive_secret(index, secrets)?);
        }
        Ok(found)
    }

    /// Whether `secrets` hold the private key of every key.
    pub fn has_all_secrets(&self, secrets: &SecretKeys) -> bool {
        let keys = self.keys();
        !keys.is_empty()
            && keys
                .iter()
                .all(|key| secrets.get(&key.root_key()).is_some())
    }

    fn build(&self, keys: Vec<DerivedKey>) -> Result<Expansion, DescriptorError> {
        let mut next = keys.iter().map(|derived| &derived.key);
        let scripts =
            build_scripts(&self.script, &mut next).ok_or(DescriptorError::Uncompressed)?;
        Ok(Expansion { scripts, keys })
    }

    fn with_checksum(&self, form: Form<'_>) -> Result<String, DescriptorError> {
        let mut payload = String::new();
        write_script(&self.script, form, &mut payload)?;
        let checksum = checksum(&payload).ok_or(DescriptorError::InvalidCharacters)?;
        Ok(format!("{payload}#{checksum}"))
    }

    /// With private keys where `secrets` has them; the caller keeps the text secret.
    pub fn to_private_string(&self, secrets: &SecretKeys) -> Result<String, DescriptorError> {
        self.with_checksum(Form::Private(secrets))
    }

    /// With every extended key moved below its last hardened step, so that others can use it without private keys.
    pub fn to_normalized_string(
        &self,
        secrets: &SecretKeys,
        cache: &KeyCache,
    ) -> Result<String, DescriptorError> {
        self.with_checksum(Form::Normalized(secrets, cache))
    }

    /// The identifier under which wallets store it: the SHA-256 of its text with `'` for every hardened step.
    pub fn id(&self) -> sha256::Hash {
        // The forms without private keys cannot fail: nothing is derived and every character is of the set.
        let text = self.with_checksum(Form::Compatible).unwrap_or_default();
        sha256::Hash::hash(text.as_bytes())
    }
}

impl fmt::Display for Descriptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.with_checksum(Form::Public).map_err(|_| fmt::Error)?)
    }
}

/// The kind of address that pays an output script.
pub fn address_type_of(script: &bitcoin::Script) -> Option<AddressType> {
    if script.is_p2pkh() {
        Some(AddressType::Legacy)
    } else if script.is_p2sh() {
        // What it hashes is not known from outside; Core counts it so too.
        Some(AddressType::Legacy)
    } else if script.is_p2wpkh() || script.is_p2wsh() {
        Some(AddressType::Bech32)
    } else if script.is_p2tr() || script.is_witness_program() {
        Some(AddressType::Bech32m)
    } else {
        None
    }
}

fn x_only(key: &PublicKey) -> XOnlyPublicKey {
    key.inner.x_only_public_key().0
}

/// The output of an internal key, the first of `keys`, and a tree.
fn build_taproot<'k>(
    leaves: &[(u8, Script)],
    keys: &mut impl Iterator<Item = &'k PublicKey>,
) -> Option<ExpandedScript> {
    let internal = keys.next()?;
    let mut builder = TaprootBuilder::new();
    let mut scripts = Vec::with_capacity(leaves.len());
    for (depth, leaf) in leaves {
        let script = match leaf {
            Script::Pk(_) => Builder::new()
                .push_x_only_key(&x_only(keys.next()?))
                .push_opcode(OP_CHECKSIG)
                .into_script(),
            // Boxed, since the compiler would else make this function of iterators of iterators without end.
            other => {
                let keys: &mut dyn Iterator<Item = &PublicKey> = keys;
                build_leaf(other, keys)?
            }
        };
        builder = builder.add_leaf(*depth, script.clone()).ok()?;
        scripts.push((*depth, LeafVersion::TapScript.to_consensus(), script));
    }
    let spend = builder.finalize(secp(), x_only(internal)).ok()?;
    Some(ExpandedScript {
        script_pubkey: ScriptBuf::new_p2tr_tweaked(spend.output_key()),
        redeem_script: None,
        witness_script: None,
        taproot: Some(TaprootOutput {
            spend,
            leaves: scripts,
        }),
    })
}

fn build_leaf(leaf: &Script, mut keys: &mut dyn Iterator<Item = &PublicKey>) -> Option<ScriptBuf> {
    let built = build_scripts(leaf, &mut keys)?;
    built.into_iter().next().map(|leaf| leaf.script_pubkey)
}

fn build_scripts<'k>(
    script: &Script,
    keys: &mut impl Iterator<Item = &'k PublicKey>,
) -> Option<Vec<ExpandedScript>> {
    Some(match script {
        Script::Pk(_) => vec![plain(ScriptBuf::new_p2pk(keys.next()?))],
        Script::Pkh(_) => vec![plain(ScriptBuf::new_p2pkh(&keys.next()?.pubkey_hash()))],
        Script::Wpkh(_) => vec![plain(p2wpkh_script(keys.next()?)?)],
        Script::Combo(_) => {
            let key = keys.next()?;
            let mut scripts = vec![
                plain(ScriptBuf::new_p2pk(key)),
                plain(ScriptBuf::new_p2pkh(&key.pubkey_hash())),
            ];
            if let Some(witness) = p2wpkh_script(key) {
                scripts.push(plain(witness.clone()));
                scripts.push(ExpandedScript {
                    script_pubkey: ScriptBuf::new_p2sh(&witness.script_hash()),
                    redeem_script: Some(witness),
                    witness_script: None,
                    taproot: None,
                });
            }
            scripts
        }
        Script::Tr { leaves, .. } => vec![build_taproot(leaves, keys)?],
        Script::Unused(_) => {
            keys.next()?;
            Vec::new()
        }
        Script::MultiA {
            threshold,
            keys: expressions,
            sorted,
        } => {
            let own = keys.take(expressions.len()).map(x_only);
            let mut own: Vec<XOnlyPublicKey> = own.collect();
            if *sorted {
                own.sort();
            }
            let mut builder = Builder::new();
            for (place, key) in own.iter().enumerate() {
                builder = builder.push_x_only_key(key).push_opcode(match place {
                    0 => OP_CHECKSIG,
                    _ => OP_CHECKSIGADD,
                });
            }
            let script = builder
                .push_int(i64::from(*threshold))
                .push_opcode(OP_NUMEQUAL);
            vec![plain(script.into_script())]
        }
        Script::Miniscript(node) => {
            let own: Vec<&PublicKey> = keys.take(node.keys.len()).collect();
            vec![plain(node.script(&own)?)]
        }
        Script::RawTr(_) => {
            let output = keys.next()?.inner.x_only_public_key().0;
            let output = bitcoin::key::TweakedPublicKey::dangerous_assume_tweaked(output);
            vec![plain(ScriptBuf::new_p2tr_tweaked(output))]
        }
        Script::Multi {
            threshold,
            keys: expressions,
            sorted,
        } => {
            let mut own: Vec<&PublicKey> = keys.take(expressions.len()).collect();
            if *sorted {
                own.sort_by_key(|key| key.to_bytes());
            }
            let mut builder = Builder::new().push_int(i64::from(*threshold));
            for key in &own {
                builder = builder.push_key(key);
            }
            let count = i64::try_from(own.len()).ok()?;
            vec![plain(
                builder
                    .push_int(count)
                    .push_opcode(OP_CHECKMULTISIG)
                    .into_script(),
            )]
        }
        Script::Sh(inner) => build_scripts(inner, keys)?
            .into_iter()
            .map(|inner| ExpandedScript {
                script_pubkey: ScriptBuf::new_p2sh(&inner.script_pubkey.script_hash()),
                redeem_script: Some(inner.script_pubkey),
                witness_script: inner.witness_script,
                taproot: None,
            })
            .collect(),
        Script::Wsh(inner) => build_scripts(inner, keys)?
            .into_iter()
            .map(|inner| ExpandedScript {
                script_pubkey: ScriptBuf::new_p2wsh(&inner.script_pubkey.wscript_hash()),
                redeem_script: None,
                witness_script: Some(inner.script_pubkey),
                taproot: None,
            })
            .collect(),
        Script::Addr(address) => vec![plain(address.script_pubkey())],
        Script::Raw(script) => vec![plain(script.clone())],
    })
}

fn write_tree(
    leaves: &[(u8, Script)],
    form: Form<'_>,
    out: &mut String,
) -> Result<(), DescriptorError> {
    // For every step down to where we are: whether it was to the right.
    let mut path: Vec<bool> = Vec::new();
    for (number, (depth, leaf)) in leaves.iter().enumerate() {
        if number == 0 {
            out.push(',');
        }
        while path.len() < usize::from(*depth) {
            out.push('{');
            path.push(false);
        }
        write_script(leaf, form, out)?;
        while path.last() == Some(&true) {
            path.pop();
            out.push('}');
        }
        if let Some(last) = path.last_mut() {
            *last = true;
            out.push(',');
        }
    }
    Ok(())
}

fn write_script(script: &Script, form: Form<'_>, out: &mut String) -> Result<(), DescriptorError> {
    let name = match script {
        Script::Pk(_) => "pk",
        Script::Pkh(_) => "pkh",
        Script::Wpkh(_) => "wpkh",
        Script::Combo(_) => "combo",
        Script::Tr { .. } => "tr",
        Script::Unused(_) => "unused",
        Script::MultiA { sorted: false, .. } => "multi_a",
        Script::MultiA { sorted: true, .. } => "sortedmulti_a",
        Script::Miniscript(node) => {
            out.push_str(&node.write(form)?);
            return Ok(());
        }
        Script::RawTr(_) => "rawtr",
        Script::Multi { sorted: false, .. } => "multi",
        Script::Multi { sorted: true, .. } => "sortedmulti",
        Script::Sh(_) => "sh",
        Script::Wsh(_) => "wsh",
        Script::Addr(_) => "addr",
        Script::Raw(_) => "raw",
    };
    out.push_str(name);
    out.push('(');
    match script {
        Script::Pk(key)
        | Script::Pkh(key)
        | Script::Wpkh(key)
        | Script::Combo(key)
        | Script::Unused(key)
        | Script::RawTr(key) => out.push_str(&key.write(form)?),
        Script::Tr { internal, leaves } => {
            out.push_str(&internal.write(form)?);
            write_tree(leaves, form, out)?;
        }
        // Written whole above.
        Script::Miniscript(_) => {}
        Script::Multi {
            threshold, keys, ..
        }
        | Script::MultiA {
            threshold, keys, ..
        } => {
            out.push_str(&threshold.to_string());
            for key in keys {
                out.push(',');
                out.push_str(&key.write(form)?);
            }
        }
        Script::Sh(inner) | Script::Wsh(inner) => write_script(inner, form, out)?,
        Script::Addr(address) => out.push_str(&address.to_string()),
        Script::Raw(script) => out.push_str(&script.to_hex_string()),
    }
    out.push(')');
    Ok(())
}

#[cfg(test)]
mod tests;
