//! Miniscript within `wsh()` and in the leaves of `tr()`.
//!
//! The expression is kept apart from its keys: it names them by their numbers, and the keys stand beside it as those of
//! any descriptor do.

use super::DescriptorError;
use super::key::{Form, KeyExpression};
use bitcoin::hashes::{hash160, ripemd160, sha256};
use bitcoin::key::XOnlyPublicKey;
use bitcoin::{PublicKey, Script, ScriptBuf};
use miniscript::{
    ExtParams, Miniscript, MiniscriptKey, ScriptContext, Segwitv0, Tap, TranslateErr, Translator,
    translate_hash_clone,
};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

/// The Miniscript expression of a witness script, as it stands inside `wsh()`.
///
/// `None` if the script is no Miniscript, or one that is not safe to use: that takes no signature, that others could
/// change on its way, that mixes kinds of lock times, that names a key twice, that exceeds what a witness may hold, or
/// that names a key by its hash alone. Source: Core's `IsSane`.
pub fn infer_miniscript(witness_script: &Script) -> Option<String> {
    let miniscript = Miniscript::<bitcoin::PublicKey, Segwitv0>::decode(witness_script).ok()?;
    Some(miniscript.to_string())
}

/// The number of a key among those of an expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeySlot(usize);

/// What stands before the number of a key where an expression is written without keys.
const SLOT_MARK: char = '@';

impl fmt::Display for KeySlot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Both sides are marked, so that no number is taken for the beginning of another.
        write!(f, "{SLOT_MARK}{}{SLOT_MARK}", self.0)
    }
}

impl FromStr for KeySlot {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.trim_matches(SLOT_MARK).parse().map(Self)
    }
}

impl MiniscriptKey for KeySlot {
    type Sha256 = sha256::Hash;
    type Hash256 = miniscript::hash256::Hash;
    type Ripemd160 = ripemd160::Hash;
    type Hash160 = hash160::Hash;
}

/// Puts keys in the places of their numbers.
struct Fill<'k, K>(&'k [K]);

/// An expression names a key that is not there.
#[derive(Debug)]
struct NoSuchKey;

impl<K> Translator<KeySlot> for Fill<'_, K>
where
    K: MiniscriptKey<
            Sha256 = sha256::Hash,
            Hash256 = miniscript::hash256::Hash,
            Ripemd160 = ripemd160::Hash,
            Hash160 = hash160::Hash,
        >,
{
    type TargetPk = K;
    type Error = NoSuchKey;

    fn pk(&mut self, slot: &KeySlot) -> Result<K, NoSuchKey> {
        self.0.get(slot.0).cloned().ok_or(NoSuchKey)
    }

    translate_hash_clone!(KeySlot);
}

/// Gives keys their numbers, in the order in which they come.
struct Number<K>(Vec<K>);

impl<K> Translator<K> for Number<K>
where
    K: MiniscriptKey<
            Sha256 = sha256::Hash,
            Hash256 = miniscript::hash256::Hash,
            Ripemd160 = ripemd160::Hash,
            Hash160 = hash160::Hash,
        >,
{
    type TargetPk = KeySlot;
    type Error = NoSuchKey;

    fn pk(&mut self, key: &K) -> Result<KeySlot, NoSuchKey> {
        self.0.push(key.clone());
        Ok(KeySlot(self.0.len() - 1))
    }

    translate_hash_clone!(K);
}

/// An expression, by where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Expression {
    Wsh(Miniscript<KeySlot, Segwitv0>),
    Leaf(Miniscript<KeySlot, Tap>),
}

/// A Miniscript expression with its keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MiniscriptNode {
    expression: Expression,
    /// The keys, in the order written.
    pub keys: Vec<KeyExpression>,
}

/// Where an expression stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Wsh,
    Leaf,
}

/// An expression with numbers in the places of its keys, and the texts of the keys.
pub(super) struct Template<'t> {
    text: String,
    pub(super) keys: Vec<&'t str>,
}

impl<'t> Template<'t> {
    /// Takes the keys out of an expression; `None` if its parentheses don't match.
    pub(super) fn new(text: &'t str) -> Option<Self> {
        let mut template = Self {
            text: String::with_capacity(text.len()),
            keys: Vec::new(),
        };
        // The name before an opening parenthesis tells which of the arguments are keys.
        let mut name_start = 0;
        let mut rest = 0;
        for (at, character) in text.char_indices() {
            match character {
                // Within a key that was taken already.
                _ if at < rest => continue,
                '(' => {
                    let name = &text[name_start..at];
                    let name = name.rsplit(':').next().unwrap_or(name);
                    template.text.push('(');
                    rest = at + 1;
                    if matches!(name, "pk" | "pkh" | "pk_k" | "pk_h") {
                        rest = template.take_key(text, rest)?;
                    } else if matches!(name, "multi" | "multi_a") {
                        let comma = text[rest..].find([',', ')'])? + rest;
                        template.text.push_str(&text[rest..comma]);
                        rest = comma;
                        while text[rest..].starts_with(',') {
                            template.text.push(',');
                            rest = template.take_key(text, rest + 1)?;
                        }
                    }
                    name_start = rest;
                }
                ',' | ')' => {
                    template.text.push(character);
                    name_start = at + 1;
                }
                SLOT_MARK => return None,
                other => template.text.push(other),
            }
        }
        Some(template)
    }

    /// Takes the key that begins at `from`; gives where it ends.
    fn take_key(&mut self, text: &'t str, from: usize) -> Option<usize> {
        let mut depth = 0_usize;
        let end = text[from..].find(|character| {
            match character {
                '(' => depth += 1,
                ')' | ',' if depth == 0 => return true,
                ')' => depth -= 1,
                _ => {}
            }
            false
        })? + from;
        self.text.push_str(&KeySlot(self.keys.len()).to_string());
        self.keys.push(&text[from..end]);
        Some(end)
    }

    /// The expression, if it is one; safe or not.
    pub(super) fn parse(
        &self,
        keys: Vec<KeyExpression>,
        place: Place,
    ) -> Result<Option<MiniscriptNode>, DescriptorError> {
        let expression = match place {
            Place::Wsh => read::<Segwitv0>(&self.text).map(|read| read.map(Expression::Wsh)),
            Place::Leaf => read::<Tap>(&self.text).map(|read| read.map(Expression::Leaf)),
        };
        match expression {
            Ok(Some(expression)) => Ok(Some(MiniscriptNode { expression, keys })),
            Ok(None) => Ok(None),
            Err(Mistyped) => {
                let text = write_keys(&self.text, &keys, Form::Public)?;
                Err(DescriptorError::Miniscript(format!("{text} is invalid")))
            }
        }
    }
}

/// An expression whose parts don't fit together.
struct Mistyped;

fn read<Ctx: ScriptContext>(text: &str) -> Result<Option<Miniscript<KeySlot, Ctx>>, Mistyped> {
    use miniscript::Error;
    match Miniscript::from_str_ext(text, &ExtParams::insane()) {
        Ok(read) => Ok(Some(read)),
        Err(Error::TypeCheck(_) | Error::NonTopLevel(_)) => Err(Mistyped),
        Err(_) => Ok(None),
    }
}

/// The text with keys in the places of their numbers.
fn write_keys(
    text: &str,
    keys: &[KeyExpression],
    form: Form<'_>,
) -> Result<String, DescriptorError> {
    let mut out = String::new();
    for (part, piece) in text.split(SLOT_MARK).enumerate() {
        if part % 2 == 0 {
            out.push_str(piece);
        } else if let Some(key) = piece.parse().ok().and_then(|slot: usize| keys.get(slot)) {
            out.push_str(&key.write(form)?);
        }
    }
    Ok(out)
}

impl MiniscriptNode {
    /// Refuses what nobody should pay to. The texts are those of Core's users.
    pub(super) fn check(&self) -> Result<(), DescriptorError> {
        let names: Vec<String> = self
            .keys
            .iter()
            .map(|key| key.write(Form::Compatible))
            .collect::<Result<_, _>>()?;
        let problem = match &self.expression {
            Expression::Wsh(expression) => problem(expression, &names),
            Expression::Leaf(expression) => problem(expression, &names),
        };
        match problem {
            None => Ok(()),
            Some((expression, text)) => {
                let expression = write_keys(&expression, &self.keys, Form::Public)?;
                Err(DescriptorError::Miniscript(format!("{expression}{text}")))
            }
        }
    }

    pub(super) fn write(&self, form: Form<'_>) -> Result<String, DescriptorError> {
        let text = match &self.expression {
            Expression::Wsh(expression) => expression.to_string(),
            Expression::Leaf(expression) => expression.to_string(),
        };
        write_keys(&text, &self.keys, form)
    }

    /// The script with these keys; `None` if they are too few.
    pub(super) fn script(&self, keys: &[&PublicKey]) -> Option<ScriptBuf> {
        match &self.expression {
            Expression::Wsh(expression) => {
                let keys: Vec<PublicKey> = keys.iter().map(|key| **key).collect();
                fill(expression, &keys).map(|filled| filled.encode())
            }
            Expression::Leaf(expression) => {
                let keys: Vec<XOnlyPublicKey> = keys
                    .iter()
                    .map(|key| key.inner.x_only_public_key().0)
                    .collect();
                fill(expression, &keys).map(|filled| filled.encode())
            }
        }
    }

    /// The expression of a script whose keys `find` knows; `None` if it is none that is safe.
    pub(super) fn infer(
        script: &Script,
        place: Place,
        by_hash: &BTreeMap<hash160::Hash, PublicKey>,
        find: &mut dyn FnMut(&PublicKey) -> Option<KeyExpression>,
    ) -> Option<Self> {
        let rules = ExtParams::sane().raw_pkh();
        let (expression, keys) = match place {
            Place::Wsh => {
                let read = Miniscript::<PublicKey, Segwitv0>::decode_with_ext(script, &rules);
                let read = read.ok()?.substitute_raw_pkh(by_hash);
                let mut number = Number(Vec::new());
                let expression = read.translate_pk(&mut number).ok()?;
                (Expression::Wsh(expression), number.0)
            }
            Place::Leaf => {
                let by_hash = by_hash
                    .iter()
                    .map(|(hash, key)| (*hash, key.inner.x_only_public_key().0))
                    .collect();
                let read = Miniscript::<XOnlyPublicKey, Tap>::decode_with_ext(script, &rules);
                let read = read.ok()?.substitute_raw_pkh(&by_hash);
                let mut number = Number(Vec::new());
                let expression = read.translate_pk(&mut number).ok()?;
                let full = |key: &XOnlyPublicKey| {
                    PublicKey::new(key.public_key(bitcoin::key::Parity::Even))
                };
                (
                    Expression::Leaf(expression),
                    number.0.iter().map(full).collect(),
                )
            }
        };
        let text = match &expression {
            Expression::Wsh(expression) => expression.to_string(),
            Expression::Leaf(expression) => expression.to_string(),
        };
        // A key of which the hash alone is known cannot be written.
        if text.contains("expr_raw_pkh") {
            return None;
        }
        let keys = keys.iter().map(find).collect::<Option<_>>()?;
        Some(Self { expression, keys })
    }
}

fn fill<K, Ctx: ScriptContext>(
    expression: &Miniscript<KeySlot, Ctx>,
    keys: &[K],
) -> Option<Miniscript<K, Ctx>>
where
    K: MiniscriptKey<
            Sha256 = sha256::Hash,
            Hash256 = miniscript::hash256::Hash,
            Ripemd160 = ripemd160::Hash,
            Hash160 = hash160::Hash,
        >,
{
    let filled: Result<_, TranslateErr<NoSuchKey>> = expression.translate_pk(&mut Fill(keys));
    filled.ok()
}

/// What is wrong with an expression: the innermost part that is, and the words for it.
fn problem<Ctx: ScriptContext>(
    whole: &Miniscript<KeySlot, Ctx>,
    names: &[String],
) -> Option<(String, &'static str)> {
    if let Some(found) = part_problem(whole, names) {
        return Some(found);
    }
    if !whole.requires_sig() {
        return Some((
            whole.to_string(),
            " is not sane: witnesses without signature exist",
        ));
    }
    if !whole.within_resource_limits() {
        return Some((
            whole.to_string(),
            " is not sane: needs witnesses that may exceed resource limits",
        ));
    }
    if whole.max_satisfaction_size().is_err() {
        return Some((whole.to_string(), " is not satisfiable"));
    }
    None
}

fn part_problem<Ctx: ScriptContext>(
    part: &Miniscript<KeySlot, Ctx>,
    names: &[String],
) -> Option<(String, &'static str)> {
    if let Some(found) = part
        .branches()
        .into_iter()
        .find_map(|inner| part_problem(inner, names))
    {
        return Some(found);
    }
    let text = if !part.is_non_malleable() {
        " is not sane: malleable witnesses exist"
    } else if part.has_mixed_timelocks() {
        " is not sane: contains mixes of timelocks expressed in blocks and seconds"
    } else if names_a_key_twice(part, names) {
        " is not sane: contains duplicate public keys"
    } else {
        return None;
    };
    Some((part.to_string(), text))
}

fn names_a_key_twice<Ctx: ScriptContext>(
    part: &Miniscript<KeySlot, Ctx>,
    names: &[String],
) -> bool {
    let mut seen = BTreeSet::new();
    part.iter_pk()
        .filter_map(|slot| names.get(slot.0))
        .any(|name| !seen.insert(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bitcoin::ScriptBuf;

    const KEY: &str = "0250929b74c1a04954b78b4b6035e97a5e078a5a0f28ec96d547bfee9ace803ac0";

    fn infer(hex: &str) -> Option<String> {
        infer_miniscript(&ScriptBuf::from_hex(hex).unwrap())
    }

    #[test]
    fn a_hash_lock_with_a_key_and_a_delay_is_read() {
        let hash = "f".repeat(40);
        let script = format!("82012088a914{hash}8821{KEY}ad51b2");
        assert_eq!(
            infer(&script),
            Some(format!(
                "and_v(and_v(v:hash160({hash}),v:pk({KEY})),older(1))"
            ))
        );
    }

    #[test]
    fn what_takes_no_signature_is_refused() {
        assert_eq!(infer("51b2"), None);
    }

    #[test]
    fn what_is_no_miniscript_is_none() {
        assert_eq!(infer("7693"), None);
        assert_eq!(infer("4c"), None);
        // A key that is no point of the curve.
        assert_eq!(infer(&format!("2102{}ac", "f".repeat(64))), None);
    }
}
