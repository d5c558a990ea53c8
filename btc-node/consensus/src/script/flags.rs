//! The script rules that one verification enforces.

use std::fmt;
use std::ops::{BitAnd, BitOr, BitOrAssign, Not};
use std::str::FromStr;

/// A set of script verification rules, consensus and policy alike.
///
/// Every rule is a soft fork: adding a flag can only make fewer scripts valid. Three flags build
/// on others: [`CLEANSTACK`](Self::CLEANSTACK) has a meaning only together with
/// [`WITNESS`](Self::WITNESS), and that only together with [`P2SH`](Self::P2SH). Verification adds
/// what is implied (see [`with_implied`](Self::with_implied)), so every value of this type is safe
/// to use.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct ScriptFlags(u32);

macro_rules! flags {
    ($($(#[$doc:meta])* $name:ident = $bit:literal;)*) => {
        impl ScriptFlags {
            $($(#[$doc])* pub const $name: Self = Self(1 << $bit);)*

            /// Every flag that exists.
            pub const ALL: Self = Self($((1 << $bit))|*);

            /// Each flag with the name that Bitcoin Core gives it, without `SCRIPT_VERIFY_`.
            pub const NAMES: &'static [(&'static str, Self)] =
                &[$((stringify!($name), Self::$name)),*];
        }
    };
}

flags! {
    /// Evaluate pay-to-script-hash redeem scripts (BIP 16).
    P2SH = 0;
    /// Signatures strictly DER with a defined hash type; public keys compressed or uncompressed.
    /// Policy.
    STRICTENC = 1;
    /// Signatures strictly DER (BIP 66).
    DERSIG = 2;
    /// Signatures strictly DER with an S value in the lower half of the order. Policy.
    LOW_S = 3;
    /// The extra item that `OP_CHECKMULTISIG` takes must be empty (BIP 147).
    NULLDUMMY = 4;
    /// Only pushes in a scriptSig. Policy.
    SIGPUSHONLY = 5;
    /// Shortest form for pushes and numbers. Policy.
    MINIMALDATA = 6;
    /// No executed `OP_NOP1`, `OP_NOP4` to `OP_NOP10`. Policy.
    DISCOURAGE_UPGRADABLE_NOPS = 7;
    /// Exactly one item left on the stack. Policy; implies [`WITNESS`](Self::WITNESS).
    CLEANSTACK = 8;
    /// `OP_CHECKLOCKTIMEVERIFY` (BIP 65).
    CHECKLOCKTIMEVERIFY = 9;
    /// `OP_CHECKSEQUENCEVERIFY` (BIP 112).
    CHECKSEQUENCEVERIFY = 10;
    /// Segregated witness (BIP 141); implies [`P2SH`](Self::P2SH).
    WITNESS = 11;
    /// No witness programs of unknown version or size. Policy.
    DISCOURAGE_UPGRADABLE_WITNESS_PROGRAM = 12;
    /// The condition of `OP_IF` in a version 0 witness script is empty or exactly 1. Policy.
    MINIMALIF = 13;
    /// A signature that fails must be empty. Policy.
    NULLFAIL = 14;
    /// Only compressed public keys in version 0 witness scripts. Policy.
    WITNESS_PUBKEYTYPE = 15;
    /// No `OP_CODESEPARATOR` and no signature inside the script code before segwit. Policy.
    CONST_SCRIPTCODE = 16;
    /// Taproot and tapscript (BIPs 341 and 342).
    TAPROOT = 17;
    /// No unknown taproot leaf versions. Policy.
    DISCOURAGE_UPGRADABLE_TAPROOT_VERSION = 18;
    /// No `OP_SUCCESS` opcodes in tapscript. Policy.
    DISCOURAGE_OP_SUCCESS = 19;
    /// No public keys of unknown type in tapscript. Policy.
    DISCOURAGE_UPGRADABLE_PUBKEYTYPE = 20;
}

impl ScriptFlags {
    /// No rule beyond those that always held.
    pub const NONE: Self = Self(0);

    /// The rules that a relayed transaction may never break: breaking one of these can make a
    /// block invalid (`MANDATORY_SCRIPT_VERIFY_FLAGS` in Bitcoin Core).
    pub const MANDATORY: Self = Self(
        Self::P2SH.0
            | Self::DERSIG.0
            | Self::NULLDUMMY.0
            | Self::CHECKLOCKTIMEVERIFY.0
            | Self::CHECKSEQUENCEVERIFY.0
            | Self::WITNESS.0
            | Self::TAPROOT.0,
    );

    /// The rules that a transaction must pass to be relayed (`STANDARD_SCRIPT_VERIFY_FLAGS` in
    /// Bitcoin Core): the mandatory ones and every policy flag but `SIGPUSHONLY`, which standard
    /// transactions satisfy by another rule.
    pub const STANDARD: Self = Self(Self::ALL.0 & !Self::SIGPUSHONLY.0);

    /// Whether every flag of `other` is in this set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether any flag of `other` is in this set.
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Whether no flag is set.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// This set without the flags of `other`.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// This set with the flags that its members build on.
    #[must_use]
    pub const fn with_implied(self) -> Self {
        let mut bits = self.0;
        if bits & Self::CLEANSTACK.0 != 0 {
            bits |= Self::WITNESS.0;
        }
        if bits & Self::WITNESS.0 != 0 {
            bits |= Self::P2SH.0;
        }
        Self(bits)
    }

    /// The set as bits, in Bitcoin Core's order.
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// The set with these bits; bits that are no flag are dropped.
    pub const fn from_bits_truncate(bits: u32) -> Self {
        Self(bits & Self::ALL.0)
    }

    /// The names of the flags in this set.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Self::NAMES
            .iter()
            .filter(move |(_, flag)| self.contains(*flag))
            .map(|(name, _)| *name)
    }
}

impl BitOr for ScriptFlags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOrAssign for ScriptFlags {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

impl BitAnd for ScriptFlags {
    type Output = Self;

    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

impl Not for ScriptFlags {
    type Output = Self;

    fn not(self) -> Self {
        Self(!self.0 & Self::ALL.0)
    }
}

impl fmt::Display for ScriptFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("NONE");
        }
        for (position, name) in self.names().enumerate() {
            if position > 0 {
                f.write_str(",")?;
            }
            f.write_str(name)?;
        }
        Ok(())
    }
}

impl fmt::Debug for ScriptFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ScriptFlags({self})")
    }
}

/// A name that is no script flag.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown script verification flag '{0}'")]
pub struct UnknownFlag(pub String);

impl FromStr for ScriptFlags {
    type Err = UnknownFlag;

    /// Reads names separated by commas; nothing, or `NONE`, is the empty set.
    fn from_str(names: &str) -> Result<Self, UnknownFlag> {
        if names.is_empty() || names == "NONE" {
            return Ok(Self::NONE);
        }
        names.split(',').try_fold(Self::NONE, |set, name| {
            match Self::NAMES.iter().find(|(known, _)| *known == name) {
                Some((_, flag)) => Ok(set | *flag),
                None => Err(UnknownFlag(name.to_owned())),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_round_trips() {
        assert_eq!(ScriptFlags::NAMES.len(), 21);
        for (name, flag) in ScriptFlags::NAMES {
            assert_eq!(name.parse(), Ok(*flag));
        }
        assert_eq!(ScriptFlags::ALL.to_string().parse(), Ok(ScriptFlags::ALL));
        assert_eq!("NONE".parse(), Ok(ScriptFlags::NONE));
        assert_eq!(
            "P2SH,X".parse::<ScriptFlags>(),
            Err(UnknownFlag("X".into()))
        );
    }

    #[test]
    fn implied_flags_are_added() {
        let set = ScriptFlags::CLEANSTACK.with_implied();
        assert_eq!(
            set,
            ScriptFlags::CLEANSTACK | ScriptFlags::WITNESS | ScriptFlags::P2SH
        );
        assert_eq!(ScriptFlags::TAPROOT.with_implied(), ScriptFlags::TAPROOT);
    }
}
