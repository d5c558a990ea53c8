//! Who may call: credentials, the cookie file, and which user may call what.

mod cookie;

pub use cookie::{CookieError, CookieFile, CookiePerms};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bitcoin::hashes::{Hash as _, HashEngine as _, Hmac, HmacEngine, sha256};
use bitcoin::hex::DisplayHex as _;
use bitcoin::secp256k1::rand::{RngCore as _, rngs::OsRng};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use thiserror::Error;

/// One way in: a user and the salted hash of a password, as `-rpcauth` holds them.
#[derive(Clone)]
struct Credential {
    user: String,
    salt: String,
    /// HMAC-SHA256 of the password under the salt, in hexadecimal.
    hash: String,
}

/// Every way in. Passwords are kept as salted hashes only.
#[derive(Clone, Default)]
pub struct Credentials(Vec<Credential>);

/// An `-rpcauth` that is not `user:salt$hash`. The text itself is a credential and stays out of the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("Invalid -rpcauth argument.")]
pub struct InvalidRpcAuth;

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credentials({} users)", self.0.len())
    }
}

impl Credentials {
    /// Nobody may call.
    pub fn none() -> Self {
        Self::default()
    }

    /// Whether nobody may call.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Lets `user` in with `password`.
    pub fn add_password(&mut self, user: &str, password: &str) {
        let mut salt = [0_u8; 16];
        OsRng.fill_bytes(&mut salt);
        let salt = salt.to_lower_hex_string();
        let hash = password_hash(&salt, password.as_bytes());
        self.0.push(Credential {
            user: user.to_owned(),
            salt,
            hash,
        });
    }

    /// Lets in whom an `-rpcauth` describes: `user:salt$hash`.
    pub fn add_rpcauth(&mut self, rpcauth: &str) -> Result<(), InvalidRpcAuth> {
        let (user, secret) = rpcauth.split_once(':').ok_or(InvalidRpcAuth)?;
        let (salt, hash) = secret.split_once('$').ok_or(InvalidRpcAuth)?;
        if secret.contains(':') || hash.contains('$') {
            return Err(InvalidRpcAuth);
        }
        self.0.push(Credential {
            user: user.to_owned(),
            salt: salt.to_owned(),
            hash: hash.to_owned(),
        });
        Ok(())
    }

    /// The user that an `Authorization` header of HTTP's basic scheme proves to be, if any.
    pub fn authenticate(&self, header: &[u8]) -> Option<String> {
        let encoded = header.strip_prefix(b"Basic ")?.trim_ascii();
        let decoded = STANDARD.decode(encoded).ok()?;
        let colon = decoded.iter().position(|byte| *byte == b':')?;
        let (user, password) = (&decoded[..colon], &decoded[colon + 1..]);
        let mut authenticated = None;
        for credential in &self.0 {
            if same(credential.user.as_bytes(), user) {
                let hash = password_hash(&credential.salt, password);
                if same(hash.as_bytes(), credential.hash.as_bytes()) {
                    authenticated = Some(credential.user.clone());
                }
            }
        }
        authenticated
    }
}

fn password_hash(salt: &str, password: &[u8]) -> String {
    let mut engine = HmacEngine::<sha256::Hash>::new(salt.as_bytes());
    engine.input(password);
    Hmac::from_engine(engine)
        .to_byte_array()
        .to_lower_hex_string()
}

/// Compares in a time that depends on the lengths alone.
fn same(known: &[u8], given: &[u8]) -> bool {
    let mut difference = known.len() ^ given.len();
    for (index, byte) in given.iter().enumerate() {
        let known = known.get(index % known.len().max(1)).unwrap_or(&0);
        difference |= usize::from(std::hint::black_box(known ^ byte));
    }
    std::hint::black_box(difference) == 0
}

/// Which methods a user may call, from `-rpcwhitelist` and `-rpcwhitelistdefault`.
#[derive(Debug, Clone, Default)]
pub struct Whitelist {
    methods: BTreeMap<String, BTreeSet<String>>,
    /// Users that no list names may call nothing.
    refuse_others: bool,
}

impl Whitelist {
    /// From the values of `-rpcwhitelist` (`user:method,method`; a user's several lists count where they agree) and of
    /// `-rpcwhitelistdefault`, which defaults to whether there is any list.
    pub fn new<'a>(lists: impl IntoIterator<Item = &'a str>, refuse_others: Option<bool>) -> Self {
        let mut methods: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for list in lists {
            let (user, names) = match list.split_once(':') {
                Some((user, names)) => (user, Some(names)),
                None => (list, None),
            };
            let known = methods.contains_key(user);
            let allowed = methods.entry(user.to_owned()).or_default();
            if let Some(names) = names {
                let names = names.split([',', ' ']).map(str::to_owned).collect();
                *allowed = if known { &*allowed & &names } else { names };
            }
        }
        let refuse_others = refuse_others.unwrap_or(!methods.is_empty());
        Self {
            methods,
            refuse_others,
        }
    }

    /// Whether the user may call anything at all.
    pub fn admits(&self, user: &str) -> bool {
        self.restricts(user) || !self.refuse_others
    }

    /// Whether a list names the user.
    pub fn restricts(&self, user: &str) -> bool {
        self.methods.contains_key(user)
    }

    /// Whether the user may call the method.
    pub fn allows(&self, user: &str, method: &str) -> bool {
        match self.methods.get(user) {
            Some(methods) => methods.contains(method),
            None => !self.refuse_others,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(text: &str) -> Vec<u8> {
        format!("Basic {}", STANDARD.encode(text)).into_bytes()
    }

    #[test]
    fn passwords_open_and_others_do_not() {
        let mut credentials = Credentials::none();
        credentials.add_password("alice", "p:w");
        assert_eq!(
            credentials.authenticate(&header("alice:p:w")).as_deref(),
            Some("alice")
        );
        for wrong in [
            "alice:p:W",
            "alice:",
            "alice",
            "bob:p:w",
            ":",
            "",
            "alicealice:p:w",
        ] {
            assert_eq!(credentials.authenticate(&header(wrong)), None, "{wrong}");
        }
        assert_eq!(credentials.authenticate(b"Basic !!!"), None);
        assert_eq!(credentials.authenticate(b"Bearer x"), None);
        assert!(!format!("{credentials:?}").contains("p:w"));
    }

    #[test]
    fn rpcauth_as_the_script_writes_it() {
        // From Core's test of -rpcauth: user rt, password cA773lm788buwYe4g4WT+05pKyNruVKjQ25x3n0DQcM=
        let line = "rt:93648e835a54c573682c2eb19f882535$7681e9c5b74bdd85e78166031d2058e1069b3ed7ed967c93fc63abba06f31144";
        let mut credentials = Credentials::none();
        credentials.add_rpcauth(line).expect("valid");
        let right = header("rt:cA773lm788buwYe4g4WT+05pKyNruVKjQ25x3n0DQcM=");
        assert_eq!(credentials.authenticate(&right).as_deref(), Some("rt"));
        assert_eq!(credentials.authenticate(&header("rt:wrong")), None);
        for bad in ["", "a", "a:b", "a:b$c$d", "a:b:c$d", "a$b"] {
            assert_eq!(credentials.add_rpcauth(bad), Err(InvalidRpcAuth), "{bad}");
        }
    }

    #[test]
    fn whitelists_intersect() {
        let list = Whitelist::new(["a:getblockcount,stop", "a:stop, help", "b:"], None);
        assert!(list.allows("a", "stop"));
        assert!(!list.allows("a", "getblockcount") && !list.allows("a", "help"));
        assert!(list.admits("b") && !list.allows("b", "stop"));
        assert!(!list.admits("c"));
        assert!(Whitelist::new(["a:stop"], Some(false)).allows("c", "help"));
        assert!(Whitelist::new([], None).allows("c", "help"));
        assert!(!Whitelist::new([], Some(true)).admits("c"));
    }
}
