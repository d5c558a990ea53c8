//! From text to a descriptor.

use super::key::{KeyExpression, KeyKind, KeyOrigin, Wildcard, child};
use super::miniscript::{MiniscriptNode, Place, Template};
use super::secret::{Secret, SecretKeys};
use super::{Descriptor, DescriptorError, Script, checksum};
use bitcoin::address::NetworkUnchecked;
use bitcoin::bip32::{ChildNumber, Fingerprint, Xpriv, Xpub};
use bitcoin::hex::FromHex;
use bitcoin::key::{Parity, XOnlyPublicKey};
use bitcoin::taproot::TAPROOT_CONTROL_MAX_NODE_COUNT;
use bitcoin::{Address, Network, NetworkKind, PublicKey, ScriptBuf};
use std::collections::BTreeSet;
use std::str::FromStr;

/// Where in a descriptor an expression stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Context {
    Top,
    Sh,
    Wpkh,
    Wsh,
    Tr,
}

/// No multipath step of ours has more values; a guard, not a rule of the format.
const MAX_BRANCHES: usize = 1000;
/// No descriptor of ours is longer; a guard, not a rule of the format.
const MAX_LENGTH: usize = 100_000;
/// As much for `raw()`, which takes no work to read: its script may fill a block, in hexadecimal.
const MAX_RAW_LENGTH: usize = 8_000_100;
/// Most keys in a script with `OP_CHECKMULTISIG`.
const MAX_MULTI_KEYS: usize = 20;
/// Most keys in a script with `OP_CHECKSIGADD`.
const MAX_MULTI_A_KEYS: usize = 999;
/// Most keys in a bare multisig output that nodes relay.
const MAX_BARE_MULTI_KEYS: usize = 3;
/// Largest push, hence largest script that P2SH can spend.
const MAX_P2SH_SCRIPT: usize = 520;

/// A parsed descriptor with the private keys that its text held.
#[derive(Debug)]
pub struct Parsed {
    /// The descriptor; it holds public keys only.
    pub descriptor: Descriptor,
    /// The private keys.
    pub secrets: SecretKeys,
}

pub(super) fn parse(
    text: &str,
    network: Network,
    require_checksum: bool,
) -> Result<Parsed, DescriptorError> {
    match parse_branch(payload(text, require_checksum)?, network, 0)? {
        (parsed, 1) => Ok(parsed),
        _ => Err(DescriptorError::Multipath),
    }
}

pub(super) fn parse_multipath(
    text: &str,
    network: Network,
    require_checksum: bool,
) -> Result<Vec<Parsed>, DescriptorError> {
    let payload = payload(text, require_checksum)?;
    let (first, branches) = parse_branch(payload, network, 0)?;
    let mut all = vec![first];
    for branch in 1..branches {
        all.push(parse_branch(payload, network, branch)?.0);
    }
    Ok(all)
}

fn payload(text: &str, require_checksum: bool) -> Result<&str, DescriptorError> {
    let most = if text.starts_with("raw(") {
        MAX_RAW_LENGTH
    } else {
        MAX_LENGTH
    };
    if text.len() > most {
        return Err(DescriptorError::TooLong(text.len()));
    }
    checksum::strip(text, require_checksum)
}

/// One of the descriptors that a text stands for, and how many they are.
fn parse_branch(
    payload: &str,
    network: Network,
    branch: usize,
) -> Result<(Parsed, usize), DescriptorError> {
    let mut parser = Parser {
        network,
        branch,
        branches: None,
        positions: 0,
        secrets: SecretKeys::new(NetworkKind::from(network)),
    };
    let script = parser.script(payload, Context::Top)?;
    let parsed = Parsed {
        descriptor: Descriptor { script },
        secrets: parser.secrets,
    };
    Ok((parsed, parser.branches.unwrap_or(1)))
}

struct Parser {
    network: Network,
    /// Which value of a multipath step is taken (BIP 389).
    branch: usize,
    /// How many values multipath steps have, once one was seen.
    branches: Option<usize>,
    positions: u32,
    secrets: SecretKeys,
}

/// The argument of `name(…)`, if `text` is that.
fn call<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    text.strip_prefix(name)?
        .strip_prefix('(')?
        .strip_suffix(')')
}

/// What stands before the first comma or closing bracket that belongs to no pair within.
fn first_expression(text: &str) -> &str {
    let mut depth = 0_usize;
    let end = text.find(|character| match character {
        '(' | '{' => {
            depth += 1;
            false
        }
        ')' | '}' if depth > 0 => {
            depth -= 1;
            false
        }
        ')' | '}' | ',' => depth == 0,
        _ => false,
    });
    end.map_or(text, |end| &text[..end])
}

fn tree(text: impl Into<String>) -> DescriptorError {
    DescriptorError::Tree(text.into())
}

impl Parser {
    fn script(&mut self, text: &str, context: Context) -> Result<Script, DescriptorError> {
        if let Some(inner) = call(text, "pk") {
            return Ok(Script::Pk(
                self.key(inner, context).map_err(|e| e.within("pk()"))?,
            ));
        }
        if context != Context::Tr
            && let Some(inner) = call(text, "pkh")
        {
            return Ok(Script::Pkh(
                self.key(inner, context).map_err(|e| e.within("pkh()"))?,
            ));
        }
        if let Some(inner) = call(text, "combo") {
            if context != Context::Top {
                return Err(DescriptorError::Misplaced(
                    "Can only have combo() at top level",
                ));
            }
            return Ok(Script::Combo(
                self.key(inner, context).map_err(|e| e.within("combo()"))?,
            ));
        }
        for (name, sorted) in [("multi", false), ("sortedmulti", true)] {
            if let Some(inner) = call(text, name) {
                if context == Context::Tr {
                    return Err(DescriptorError::Misplaced(
                        "Can only have multi/sortedmulti at top level, in sh(), or in wsh()",
                    ));
                }
                return self.multi(inner, sorted, context);
            }
        }
        for (name, sorted) in [("multi_a", false), ("sortedmulti_a", true)] {
            if let Some(inner) = call(text, name) {
                if context != Context::Tr {
                    return Err(DescriptorError::Misplaced(
                        "Can only have multi_a/sortedmulti_a inside tr()",
                    ));
                }
                return self.multi(inner, sorted, context);
            }
        }
        if let Some(inner) = call(text, "wpkh") {
            if !matches!(context, Context::Top | Context::Sh) {
                return Err(DescriptorError::Misplaced(
                    "Can only have wpkh() at top level or inside sh()",
                ));
            }
            let key = self
                .key(inner, Context::Wpkh)
                .map_err(|e| e.within("wpkh()"))?;
            return Ok(Script::Wpkh(key));
        }
        if let Some(inner) = call(text, "sh") {
            if context != Context::Top {
                return Err(DescriptorError::Misplaced(
                    "Can only have sh() at top level",
                ));
            }
            let inner = self.script(inner, Context::Sh)?;
            return Ok(Script::Sh(Box::new(inner)));
        }
        if let Some(inner) = call(text, "wsh") {
            if !matches!(context, Context::Top | Context::Sh) {
                return Err(DescriptorError::Misplaced(
                    "Can only have wsh() at top level or inside sh()",
                ));
            }
            return Ok(Script::Wsh(Box::new(self.script(inner, Context::Wsh)?)));
        }
        if let Some(inner) = call(text, "addr") {
            if context != Context::Top {
                return Err(DescriptorError::Misplaced(
                    "Can only have addr() at top level",
                ));
            }
            let address: Address<NetworkUnchecked> =
                inner.parse().map_err(|_| DescriptorError::Address)?;
            let address = address
                .require_network(self.network)
                .map_err(|_| DescriptorError::Address)?;
            return Ok(Script::Addr(address));
        }
        if let Some(inner) = call(text, "tr") {
            if context != Context::Top {
                return Err(DescriptorError::Misplaced("Can only have tr at top level"));
            }
            return self.taproot(inner);
        }
        if let Some(inner) = call(text, "rawtr") {
            if context != Context::Top {
                return Err(DescriptorError::Misplaced(
                    "Can only have rawtr at top level",
                ));
            }
            if first_expression(inner).len() != inner.len() {
                return Err(DescriptorError::Misplaced(
                    "rawtr(): only one key expected.",
                ));
            }
            return Ok(Script::RawTr(
                self.key(inner, Context::Tr)
                    .map_err(|e| e.within("rawtr()"))?,
            ));
        }
        if let Some(inner) = call(text, "raw") {
            if context != Context::Top {
                return Err(DescriptorError::Misplaced(
                    "Can only have raw() at top level",
                ));
            }
            let bytes = Vec::<u8>::from_hex(inner).map_err(|_| DescriptorError::RawScript)?;
            return Ok(Script::Raw(ScriptBuf::from_bytes(bytes)));
        }
        if let Some(inner) = call(text, "unused") {
            if context != Context::Top {
                return Err(DescriptorError::Misplaced(
                    "Can only have unused at top level",
                ));
            }
            if first_expression(inner).len() != inner.len() {
                return Err(DescriptorError::Misplaced(
                    "unused(): only one key expected",
                ));
            }
            let key = self.key(inner, context)?;
            if key.is_range() {
                return Err(DescriptorError::UnusedRange);
            }
            return Ok(Script::Unused(key));
        }
        if let Some(node) = self.miniscript(text, context)? {
            return Ok(Script::Miniscript(node));
        }
        Err(match context {
            Context::Sh => DescriptorError::Misplaced("A function is needed within P2SH"),
            Context::Wsh => DescriptorError::Misplaced("A function is needed within P2WSH"),
            _ => DescriptorError::UnknownFunction(text.to_owned()),
        })
    }

    /// `tr()` with or without a tree.
    fn taproot(&mut self, text: &str) -> Result<Script, DescriptorError> {
        let first = first_expression(text);
        let internal = self.key(first, Context::Tr).map_err(|e| e.within("tr()"))?;
        let mut rest = &text[first.len()..];
        let mut leaves = Vec::new();
        // Each script may have multipath steps of its own number, and the internal key too, until they are compared.
        let own = self.branches.take();
        let mut others = None;
        if let Some(other) = rest.chars().next()
            && other != ','
        {
            return Err(tree(format!("tr: expected ',', got '{other}'")));
        }
        // For every step down to where we are: whether it was to the right.
        let mut path: Vec<bool> = Vec::new();
        if let Some(tail) = rest.strip_prefix(',') {
            rest = tail;
            loop {
                while let Some(tail) = rest.strip_prefix('{') {
                    rest = tail;
                    path.push(false);
                    if path.len() > TAPROOT_CONTROL_MAX_NODE_COUNT {
                        return Err(tree(format!(
                            "tr() supports at most {TAPROOT_CONTROL_MAX_NODE_COUNT} nesting levels"
                        )));
                    }
                }
                let leaf = first_expression(rest);
                let script = self.script(leaf, Context::Tr)?;
                if let Some(branches) = self.branches.take()
                    && *others.get_or_insert(branches) != branches
                {
                    return Err(tree("tr(): Multipath subscripts have mismatched lengths"));
                }
                // At most 128 steps.
                leaves.push((path.len() as u8, script));
                rest = &rest[leaf.len()..];
                while path.last() == Some(&true) {
                    rest = rest
                        .strip_prefix('}')
                        .ok_or_else(|| tree("tr(): expected '}' after script expression"))?;
                    path.pop();
                }
                let Some(last) = path.last_mut() else {
                    break;
                };
                rest = rest
                    .strip_prefix(',')
                    .ok_or_else(|| tree("tr(): expected ',' after script expression"))?;
                *last = true;
            }
            if !rest.is_empty() {
                return Err(tree("tr(): expected ')' after script expression"));
            }
        }
        if let (Some(own), Some(others)) = (own, others)
            && own != others
        {
            return Err(tree(
                "tr(): Multipath internal key mismatches multipath subscripts lengths",
            ));
        }
        self.branches = own.or(others);
        Ok(Script::Tr { internal, leaves })
    }

    /// Miniscript, if it is that.
    fn miniscript(
        &mut self,
        text: &str,
        context: Context,
    ) -> Result<Option<MiniscriptNode>, DescriptorError> {
        let Some(template) = Template::new(text) else {
            return Ok(None);
        };
        let place = match context {
            Context::Wsh => Place::Wsh,
            _ => Place::Leaf,
        };
        if !matches!(context, Context::Wsh | Context::Tr) {
            // Where it must not stand, it is told apart from what is nothing at all.
            let keys = Vec::new();
            let known = matches!(template.parse(keys, place), Ok(Some(_)));
            return match known && !template.keys.is_empty() {
                true => Err(DescriptorError::Misplaced(
                    "Miniscript expressions can only be used in wsh or tr.",
                )),
                false => Ok(None),
            };
        }
        let first = self.positions;
        let mut keys = Vec::with_capacity(template.keys.len());
        for key in &template.keys {
            keys.push(self.key(key, context).map_err(|error| match error {
                DescriptorError::MultipathLengths => error.within("Miniscript"),
                error => error,
            })?);
        }
        let node = template.parse(keys, place)?;
        match &node {
            Some(node) => node.check()?,
            None => self.positions = first,
        }
        Ok(node)
    }

    fn multi(
        &mut self,
        inner: &str,
        sorted: bool,
        context: Context,
    ) -> Result<Script, DescriptorError> {
        let mut arguments = inner.split(',');
        let threshold = arguments.next().unwrap_or_default();
        let threshold: u32 = Some(threshold)
            // A sign would parse as a number, but is none here.
            .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))
            .and_then(|digits| digits.parse().ok())
            .ok_or_else(|| {
                DescriptorError::Multi(format!("Multi threshold '{threshold}' is not valid"))
            })?;
        let keys = arguments
            .map(|key| {
                self.key(key, context).map_err(|error| match error {
                    DescriptorError::MultipathLengths => error.within("multi()"),
                    error => error.within("Multi"),
                })
            })
            .collect::<Result<Vec<_>, _>>()?;
        let (kind, most) = match context {
            Context::Tr => ("multi_a", MAX_MULTI_A_KEYS),
            _ => ("multisig", MAX_MULTI_KEYS),
        };
        if keys.is_empty() || keys.len() > most {
            return Err(DescriptorError::Multi(format!(
                "Cannot have {} keys in {kind}; must have between 1 and {most} keys, inclusive",
                keys.len()
            )));
        }
        if threshold < 1 {
            return Err(DescriptorError::Multi(format!(
                "Multisig threshold cannot be {threshold}, must be at least 1"
            )));
        }
        if threshold as usize > keys.len() {
            return Err(DescriptorError::Multi(format!(
                "Multisig threshold cannot be larger than the number of keys; threshold is {threshold} but only {} keys specified",
                keys.len()
            )));
        }
        if context == Context::Top && keys.len() > MAX_BARE_MULTI_KEYS {
            return Err(DescriptorError::Multi(format!(
                "Cannot have {} pubkeys in bare multisig; only at most 3 pubkeys",
                keys.len()
            )));
        }
        if context == Context::Sh {
            let size = 3 + keys
                .iter()
                .map(|key| if key.root_key().compressed { 34 } else { 66 })
                .sum::<usize>();
            if size > MAX_P2SH_SCRIPT {
                return Err(DescriptorError::Multi(format!(
                    "P2SH script is too large, {size} bytes is larger than {MAX_P2SH_SCRIPT} bytes"
                )));
            }
        }
        Ok(match context {
            Context::Tr => Script::MultiA {
                threshold,
                keys,
                sorted,
            },
            _ => Script::Multi {
                threshold,
                keys,
                sorted,
            },
        })
    }

    fn key(&mut self, text: &str, context: Context) -> Result<KeyExpression, DescriptorError> {
        if text.starts_with("musig(") {
            return Err(match context {
                Context::Tr => DescriptorError::Unsupported("musig()"),
                _ => DescriptorError::Misplaced("musig() is only allowed in tr() and rawtr()"),
            });
        }
        let mut apostrophe = false;
        let (origin, inner) = match text.split_once(']') {
            None => (None, text),
            Some((_, inner)) if inner.contains(']') => return Err(DescriptorError::SeveralOrigins),
            Some((origin, inner)) => {
                let Some(origin) = origin.strip_prefix('[') else {
                    let found = origin.chars().next().unwrap_or(']');
                    return Err(DescriptorError::OriginStart(found));
                };
                let mut steps = origin.split('/');
                let fingerprint = steps.next().unwrap_or_default();
                if fingerprint.len() != 8 {
                    return Err(DescriptorError::FingerprintLength(fingerprint.len()));
                }
                let bytes = <[u8; 4]>::from_hex(fingerprint)
                    .map_err(|_| DescriptorError::FingerprintHex(fingerprint.to_owned()))?;
                let path = self.path(steps, &mut apostrophe, false)?;
                let origin = KeyOrigin {
                    fingerprint: Fingerprint::from(bytes),
                    path,
                };
                (Some(origin), inner)
            }
        };
        let kind = self.key_kind(inner, context, &mut apostrophe)?;
        let position = self.positions;
        self.positions += 1;
        Ok(KeyExpression {
            position,
            origin,
            kind,
            apostrophe,
        })
    }

    /// The steps of a path. Only below a key may one of them be multipath.
    fn path<'t>(
        &mut self,
        steps: impl Iterator<Item = &'t str>,
        apostrophe: &mut bool,
        below_key: bool,
    ) -> Result<Vec<ChildNumber>, DescriptorError> {
        let mut path = Vec::new();
        let mut multipath = false;
        for text in steps {
            let values = text.strip_prefix('<').and_then(|t| t.strip_suffix('>'));
            let Some(values) = values else {
                path.push(step(text, apostrophe)?);
                continue;
            };
            if !below_key {
                return Err(DescriptorError::MultipathMisplaced(text.to_owned()));
            }
            if multipath {
                return Err(DescriptorError::MultipathTwice);
            }
            multipath = true;
            path.push(self.multipath_step(values, apostrophe)?);
        }
        Ok(path)
    }

    /// This branch's value of `<0;1>`.
    fn multipath_step(
        &mut self,
        values: &str,
        apostrophe: &mut bool,
    ) -> Result<ChildNumber, DescriptorError> {
        let texts: Vec<&str> = values.split(';').collect();
        if texts.len() < 2 {
            return Err(DescriptorError::MultipathSingle);
        }
        if texts.len() > MAX_BRANCHES {
            return Err(DescriptorError::Unsupported(
                "multipath key expressions of more than 1000 values",
            ));
        }
        let mut values = Vec::with_capacity(texts.len());
        let mut seen = BTreeSet::new();
        for text in texts {
            let value = step(text, apostrophe)?;
            if !seen.insert(value) {
                return Err(DescriptorError::MultipathRepeated(value.into()));
            }
            values.push(value);
        }
        // Keys of different numbers of values can stand side by side in multi() alone.
        if *self.branches.get_or_insert(values.len()) != values.len() {
            return Err(DescriptorError::MultipathLengths);
        }
        Ok(values[self.branch])
    }

    fn key_kind(
        &mut self,
        text: &str,
        context: Context,
        apostrophe: &mut bool,
    ) -> Result<KeyKind, DescriptorError> {
        let mut parts: Vec<&str> = text.split('/').collect();
        let name = parts[0];
        if name.is_empty() {
            return Err(DescriptorError::NoKey);
        }
        if name.trim() != name {
            return Err(DescriptorError::Whitespace(name.to_owned()));
        }
        let uncompressed_allowed = matches!(context, Context::Top | Context::Sh);
        if parts.len() == 1 {
            if name.len().is_multiple_of(2) && name.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                return single_key(name, context, uncompressed_allowed);
            }
            if let Some(secret) = Secret::from_wif(name, self.network.into()) {
                if !secret.public_key().compressed && !uncompressed_allowed {
                    return Err(DescriptorError::Uncompressed);
                }
                let key = self.secrets.insert(secret);
                return Ok(KeyKind::Single {
                    key,
                    x_only: context == Context::Tr,
                });
            }
        }
        let kind = NetworkKind::from(self.network);
        let root = match (Xpub::from_str(name), Xpriv::from_str(name)) {
            (Ok(root), _) if root.network == kind => root,
            (_, Ok(private)) if private.network == kind => {
                self.secrets.insert(Secret::new(private.private_key, true));
                Xpub::from_priv(super::secp(), &private)
            }
            _ => return Err(DescriptorError::InvalidKey(name.to_owned())),
        };
        let wildcard = match parts.last() {
            Some(&"*") => Wildcard::Normal,
            Some(&("*h" | "*'")) => {
                *apostrophe = parts.last() == Some(&"*'");
                Wildcard::Hardened
            }
            _ => Wildcard::None,
        };
        if wildcard != Wildcard::None {
            parts.pop();
        }
        let path = self.path(parts.into_iter().skip(1), apostrophe, true)?;
        Ok(KeyKind::Extended {
            root: Box::new(root),
            path,
            wildcard,
        })
    }
}

/// One step of a path: a number, hardened by `'` or `h` after it.
fn step(text: &str, apostrophe: &mut bool) -> Result<ChildNumber, DescriptorError> {
    let (digits, hardened) = match text.strip_suffix(['\'', 'h']) {
        Some(digits) => {
            *apostrophe = text.ends_with('\'');
            (digits, true)
        }
        None => (text, false),
    };
    // A sign would parse as a number, but is none here.
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(DescriptorError::PathNumber(digits.to_owned()));
    }
    let index: u32 = digits
        .parse()
        .map_err(|_| DescriptorError::PathNumber(digits.to_owned()))?;
    child(index, hardened)
}

fn single_key(
    hex: &str,
    context: Context,
    uncompressed_allowed: bool,
) -> Result<KeyKind, DescriptorError> {
    let invalid = || DescriptorError::InvalidPublicKey(hex.to_owned());
    let bytes = Vec::<u8>::from_hex(hex).map_err(|_| invalid())?;
    if context == Context::Tr && bytes.len() == 32 {
        let key = XOnlyPublicKey::from_slice(&bytes).map_err(|_| invalid())?;
        return Ok(KeyKind::Single {
            key: PublicKey::new(key.public_key(Parity::Even)),
            x_only: true,
        });
    }
    if bytes.len() == 65 && bytes[0] != 4 {
        return Err(DescriptorError::Hybrid);
    }
    let key = PublicKey::from_slice(&bytes).map_err(|_| invalid())?;
    if !key.compressed && !uncompressed_allowed {
        return Err(DescriptorError::Uncompressed);
    }
    Ok(KeyKind::Single { key, x_only: false })
}
