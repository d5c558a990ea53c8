//! Key expressions: a public key, or an extended one with the path below it.

use super::secret::{Secret, SecretKeys};
use super::{DescriptorError, secp};
use bitcoin::PublicKey;
use bitcoin::bip32::{ChildNumber, Fingerprint, Xpriv, Xpub};
use std::collections::BTreeMap;
use std::fmt::Write;

/// Where a key comes from: the fingerprint of a master key and the path from there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyOrigin {
    /// First four bytes of the master key's hash.
    pub fingerprint: Fingerprint,
    /// The steps below it.
    pub path: Vec<ChildNumber>,
}

/// The last step of an extended key's path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wildcard {
    /// None: the expression is one key.
    None,
    /// `/*`: one key for each index.
    Normal,
    /// `/*h`: as above, and each needs the private key.
    Hardened,
}

/// What follows the origin in a key expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyKind {
    /// One public key; `x_only` if it is written as 32 bytes, within `tr()` or `rawtr()`.
    Single {
        /// The key; of even parity if it is written as 32 bytes.
        key: PublicKey,
        /// Whether it is written as 32 bytes.
        x_only: bool,
    },
    /// An extended public key and a path below it.
    Extended {
        /// The key that the expression names.
        root: Box<Xpub>,
        /// The steps below it, without the wildcard.
        path: Vec<ChildNumber>,
        /// Whether the expression stands for many keys.
        wildcard: Wildcard,
    },
}

/// One key of a descriptor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyExpression {
    /// Its place among the descriptor's keys, from 0: the number under which caches know it.
    pub position: u32,
    /// The origin, where one is written.
    pub origin: Option<KeyOrigin>,
    /// The key itself.
    pub kind: KeyKind,
    /// Whether hardened steps are written with `'` rather than `h`.
    pub apostrophe: bool,
}

/// Derived extended public keys, kept so that addresses can be made without private keys.
///
/// For a key with an unhardened wildcard or none it holds the key above the wildcard and the one below the last
/// hardened step; for a hardened wildcard every derived key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyCache {
    /// By position: the key above the wildcard.
    pub parents: BTreeMap<u32, Xpub>,
    /// By position and index: keys below a hardened wildcard.
    pub derived: BTreeMap<(u32, u32), Xpub>,
    /// By position: the key after the last hardened step.
    pub last_hardened: BTreeMap<u32, Xpub>,
}

impl KeyCache {
    /// Takes over what `other` has, and gives what was new.
    pub fn merge(&mut self, other: &KeyCache) -> KeyCache {
        fn extend<K: Ord + Copy>(
            to: &mut BTreeMap<K, Xpub>,
            from: &BTreeMap<K, Xpub>,
        ) -> BTreeMap<K, Xpub> {
            let new: BTreeMap<K, Xpub> = from
                .iter()
                .filter(|(key, _)| !to.contains_key(key))
                .map(|(key, xpub)| (*key, *xpub))
                .collect();
            to.extend(&new);
            new
        }
        KeyCache {
            parents: extend(&mut self.parents, &other.parents),
            derived: extend(&mut self.derived, &other.derived),
            last_hardened: extend(&mut self.last_hardened, &other.last_hardened),
        }
    }
}

/// A public key at one index, with its origin in full.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DerivedKey {
    /// The key.
    pub key: PublicKey,
    /// Its origin; for a key without a written one, the key's own fingerprint and no path.
    pub origin: KeyOrigin,
}

/// How a key expression is written out.
#[derive(Clone, Copy)]
pub(super) enum Form<'a> {
    /// As parsed.
    Public,
    /// With `'` for every hardened step: what the identifier is computed from.
    Compatible,
    /// With private keys where there are any.
    Private(&'a SecretKeys),
    /// Origin up to the last hardened step, extended key from there.
    Normalized(&'a SecretKeys, &'a KeyCache),
}

fn write_path(out: &mut String, path: &[ChildNumber], apostrophe: bool) {
    let mark = if apostrophe { '\'' } else { 'h' };
    for step in path {
        // Writing to a String cannot fail.
        let _ = match step {
            ChildNumber::Normal { index } => write!(out, "/{index}"),
            ChildNumber::Hardened { index } => write!(out, "/{index}{mark}"),
        };
    }
}

pub(super) fn origin_text(origin: &KeyOrigin, apostrophe: bool) -> String {
    let mut out = origin.fingerprint.to_string();
    write_path(&mut out, &origin.path, apostrophe);
    out
}

/// A child number from an index below 2^31.
pub(super) fn child(index: u32, hardened: bool) -> Result<ChildNumber, DescriptorError> {
    let made = if hardened {
        ChildNumber::from_hardened_idx(index)
    } else {
        ChildNumber::from_normal_idx(index)
    };
    made.map_err(|_| DescriptorError::PathRange(index.to_string()))
}

/// The extended private key that `root` is the public half of, if its secret is known.
fn root_private(root: &Xpub, secrets: &SecretKeys) -> Option<Xpriv> {
    let secret = secrets.get(&PublicKey::new(root.public_key))?;
    Some(Xpriv {
        network: root.network,
        depth: root.depth,
        parent_fingerprint: root.parent_fingerprint,
        child_number: root.child_number,
        private_key: *secret.key(),
        chain_code: root.chain_code,
    })
}

impl KeyExpression {
    /// Whether it stands for many keys.
    pub fn is_range(&self) -> bool {
        matches!(&self.kind, KeyKind::Extended { wildcard, .. } if *wildcard != Wildcard::None)
    }

    /// Whether deriving it needs the private key.
    pub fn is_hardened(&self) -> bool {
        match &self.kind {
            KeyKind::Single { .. } => false,
            KeyKind::Extended { path, wildcard, .. } => {
                *wildcard == Wildcard::Hardened || path.iter().any(ChildNumber::is_hardened)
            }
        }
    }

    /// The key whose secret unlocks this expression: the single key or the root of the extended one.
    pub fn root_key(&self) -> PublicKey {
        match &self.kind {
            KeyKind::Single { key, .. } => *key,
            KeyKind::Extended { root, .. } => PublicKey::new(root.public_key),
        }
    }

    /// The extended key it names, if it is one.
    pub fn root_xpub(&self) -> Option<&Xpub> {
        match &self.kind {
            KeyKind::Single { .. } => None,
            KeyKind::Extended { root, .. } => Some(root),
        }
    }

    fn origin_at(&self, index: u32) -> Result<KeyOrigin, DescriptorError> {
        let (fingerprint, own_path) = match &self.kind {
            KeyKind::Single { key, .. } => {
                let hash = key.pubkey_hash();
                let bytes: &[u8; 20] = hash.as_ref();
                let mut fingerprint = [0; 4];
                fingerprint.copy_from_slice(&bytes[..4]);
                (Fingerprint::from(fingerprint), Vec::new())
            }
            KeyKind::Extended {
                root,
                path,
                wildcard,
            } => {
                let mut path = path.clone();
                match wildcard {
                    Wildcard::None => {}
                    Wildcard::Normal => path.push(child(index, false)?),
                    Wildcard::Hardened => path.push(child(index, true)?),
                }
                (root.fingerprint(), path)
            }
        };
        Ok(match &self.origin {
            None => KeyOrigin {
                fingerprint,
                path: own_path,
            },
            Some(origin) => KeyOrigin {
                fingerprint: origin.fingerprint,
                path: [origin.path.as_slice(), own_path.as_slice()].concat(),
            },
        })
    }

    /// The key at `index` from cached keys alone; `None` if the cache lacks it.
    pub fn derive_cached(
        &self,
        index: u32,
        cache: &KeyCache,
    ) -> Result<Option<DerivedKey>, DescriptorError> {
        let key = match &self.kind {
            KeyKind::Single { key, .. } => *key,
            KeyKind::Extended { wildcard, .. } => {
                let xpub = match cache.derived.get(&(self.position, index)) {
                    Some(xpub) => *xpub,
                    None => match (wildcard, cache.parents.get(&self.position)) {
                        (Wildcard::Hardened, _) | (_, None) => return Ok(None),
                        (Wildcard::None, Some(parent)) => *parent,
                        (Wildcard::Normal, Some(parent)) => {
                            parent.derive_pub(secp(), &[child(index, false)?])?
                        }
                    },
                };
                PublicKey::new(xpub.public_key)
            }
        };
        Ok(Some(DerivedKey {
            key,
            origin: self.origin_at(index)?,
        }))
    }

    /// The key at `index`, with `secrets` where hardened steps need them. What later derivations can do without them is
    /// added to `cache`.
    pub fn derive(
        &self,
        index: u32,
        secrets: &SecretKeys,
        cache: &mut KeyCache,
    ) -> Result<DerivedKey, DescriptorError> {
        let key = match &self.kind {
            KeyKind::Single { key, .. } => *key,
            KeyKind::Extended {
                root,
                path,
                wildcard,
            } => {
                let xpub = if self.is_hardened() {
                    let (parent, last_hardened) = self.private_parent(secrets)?;
                    let child_key = match wildcard {
                        Wildcard::None => parent,
                        Wildcard::Normal => parent.derive_priv(secp(), &[child(index, false)?])?,
                        Wildcard::Hardened => parent.derive_priv(secp(), &[child(index, true)?])?,
                    };
                    let xpub = Xpub::from_priv(secp(), &child_key);
                    if *wildcard == Wildcard::Hardened {
                        cache.derived.insert((self.position, index), xpub);
                    } else {
                        cache
                            .parents
                            .insert(self.position, Xpub::from_priv(secp(), &parent));
                        if let Some(last_hardened) = last_hardened {
                            cache
                                .last_hardened
                                .insert(self.position, Xpub::from_priv(secp(), &last_hardened));
                        }
                    }
                    xpub
                } else {
                    let parent = root.derive_pub(secp(), path)?;
                    cache.parents.insert(self.position, parent);
                    match wildcard {
                        Wildcard::None => parent,
                        _ => parent.derive_pub(secp(), &[child(index, false)?])?,
                    }
                };
                PublicKey::new(xpub.public_key)
            }
        };
        Ok(DerivedKey {
            key,
            origin: self.origin_at(index)?,
        })
    }

    /// The secret of the key at `index`; `None` if `secrets` lacks what it needs.
    pub fn derive_secret(
        &self,
        index: u32,
        secrets: &SecretKeys,
    ) -> Result<Option<Secret>, DescriptorError> {
        match &self.kind {
            KeyKind::Single { key, x_only } => Ok(if *x_only {
                secrets
                    .get_x_only(&key.inner.x_only_public_key().0)
                    .cloned()
            } else {
                secrets.get(key).cloned()
            }),
            KeyKind::Extended { root, wildcard, .. } => {
                if root_private(root, secrets).is_none() {
                    return Ok(None);
                }
                let (parent, _) = self.private_parent(secrets)?;
                let key = match wildcard {
                    Wildcard::None => parent,
                    Wildcard::Normal => parent.derive_priv(secp(), &[child(index, false)?])?,
                    Wildcard::Hardened => parent.derive_priv(secp(), &[child(index, true)?])?,
                };
                Ok(Some(Secret::new(key.private_key, true)))
            }
        }
    }

    /// The private key above the wildcard, and the one after the last hardened step.
    fn private_parent(
        &self,
        secrets: &SecretKeys,
    ) -> Result<(Xpriv, Option<Xpriv>), DescriptorError> {
        let KeyKind::Extended { root, path, .. } = &self.kind else {
            return Err(DescriptorError::MissingPrivateKey);
        };
        let mut key = root_private(root, secrets).ok_or(DescriptorError::MissingPrivateKey)?;
        let mut last_hardened = None;
        for step in path {
            key = key.derive_priv(secp(), &[*step])?;
            if step.is_hardened() {
                last_hardened = Some(key);
            }
        }
        Ok((key, last_hardened))
    }

    pub(super) fn write(&self, form: Form<'_>) -> Result<String, DescriptorError> {
        let apostrophe = match form {
            Form::Compatible => true,
            Form::Public | Form::Private(_) => self.apostrophe,
            Form::Normalized(..) => false,
        };
        let inner = self.write_inner(form, apostrophe)?;
        let Some(origin) = &self.origin else {
            return Ok(inner);
        };
        let outer = origin_text(origin, apostrophe);
        // A normalized extended key brings an origin of its own: the outer path continues with it.
        Ok(match (form, inner.strip_prefix('[')) {
            (Form::Normalized(..), Some(rest)) => {
                format!("[{outer}{}", rest.get(8..).unwrap_or_default())
            }
            _ => format!("[{outer}]{inner}"),
        })
    }

    fn write_inner(&self, form: Form<'_>, apostrophe: bool) -> Result<String, DescriptorError> {
        match &self.kind {
            KeyKind::Single { key, x_only } => {
                if let Form::Private(secrets) = form {
                    let secret = if *x_only {
                        secrets.get_x_only(&key.inner.x_only_public_key().0)
                    } else {
                        secrets.get(key)
                    };
                    if let Some(secret) = secret {
                        return Ok(secret.to_wif(secrets.network()));
                    }
                }
                Ok(if *x_only {
                    key.inner.x_only_public_key().0.to_string()
                } else {
                    key.to_string()
                })
            }
            KeyKind::Extended {
                root,
                path,
                wildcard,
            } => {
                let tail = |out: &mut String, path: &[ChildNumber]| {
                    write_path(out, path, apostrophe);
                    match wildcard {
                        Wildcard::None => {}
                        Wildcard::Normal => out.push_str("/*"),
                        Wildcard::Hardened => {
                            out.push_str("/*");
                            out.push(if apostrophe { '\'' } else { 'h' });
                        }
                    }
                };
                if let Form::Private(secrets) = form
                    && let Some(private) = root_private(root, secrets)
                {
                    let mut out = private.to_string();
                    tail(&mut out, path);
                    return Ok(out);
                }
                if let Form::Normalized(secrets, cache) = form
                    && *wildcard != Wildcard::Hardened
                    && let Some(last) = path.iter().rposition(ChildNumber::is_hardened)
                {
                    let xpub = match cache.last_hardened.get(&self.position) {
                        Some(xpub) => *xpub,
                        None => {
                            let (_, last_hardened) = self.private_parent(secrets)?;
                            let last_hardened =
                                last_hardened.ok_or(DescriptorError::MissingPrivateKey)?;
                            Xpub::from_priv(secp(), &last_hardened)
                        }
                    };
                    let origin = KeyOrigin {
                        fingerprint: root.fingerprint(),
                        path: path[..=last].to_vec(),
                    };
                    let mut out = format!("[{}]{xpub}", origin_text(&origin, false));
                    tail(&mut out, &path[last + 1..]);
                    return Ok(out);
                }
                let mut out = root.to_string();
                tail(&mut out, path);
                Ok(out)
            }
        }
    }
}
