//! Which rules were found broken, and how often: a comparison is worth what it reaches.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};

use btc_consensus::{BlockError, HeaderError};

/// What was compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// Spends by any set of consensus flags.
    Spends,
    /// Transactions by themselves.
    Transactions,
    /// Blocks by themselves.
    Blocks,
    /// Headers and blocks handed to a chain.
    Chains,
    /// Scripts of blocks handed to a chain.
    ChainScripts,
}

/// The parts with the rules that can be broken there, in their usual order.
///
/// Out of reach on regtest are `bad-txns-BIP30`, since coinbases state their heights from the first block on;
/// `bad-txns-inputvalues-outofrange` and `bad-txns-accumulated-fee-outofrange`, since there is not so much money; and
/// `time-timewarp-attack`, a rule of testnet4, where nobody can make blocks at will.
const REACHABLE: [(Part, &[&str]); 5] = [
    (Part::Spends, SCRIPT),
    (Part::Transactions, TRANSACTION),
    (
        Part::Blocks,
        &[
            "high-hash",
            "bad-signet-blksig",
            "bad-txnmrklroot",
            "bad-txns-duplicate",
            "bad-blk-length",
            "bad-cb-missing",
            "bad-cb-multiple",
            "bad-txns-vout-empty",
            "bad-txns-vout-negative",
            "bad-txns-vout-toolarge",
            "bad-txns-txouttotal-toolarge",
            "bad-txns-inputs-duplicate",
            "bad-cb-length",
            "bad-txns-prevout-null",
            "bad-blk-sigops",
        ],
    ),
    (
        Part::Chains,
        &[
            "high-hash",
            "prev-blk-not-found",
            "bad-prevblk",
            "duplicate-invalid",
            "bad-diffbits",
            "time-too-old",
            "time-too-new",
            "bad-version",
            "bad-txnmrklroot",
            "bad-txns-duplicate",
            "bad-blk-length",
            "bad-cb-missing",
            "bad-cb-multiple",
            "bad-txns-vout-empty",
            "bad-txns-vout-negative",
            "bad-txns-vout-toolarge",
            "bad-txns-txouttotal-toolarge",
            "bad-txns-inputs-duplicate",
            "bad-cb-length",
            "bad-txns-prevout-null",
            "bad-blk-sigops",
            "bad-txns-nonfinal",
            "bad-cb-height",
            "bad-witness-nonce-size",
            "bad-witness-merkle-match",
            "unexpected-witness",
            "bad-blk-weight",
            "bad-txns-inputs-missingorspent",
            "bad-txns-premature-spend-of-coinbase",
            "bad-txns-in-belowout",
            "bad-txns-nonfinal (BIP 68)",
            "bad-blk-sigops (BIP 141)",
            "bad-cb-amount",
        ],
    ),
    (Part::ChainScripts, SCRIPT),
];

/// The rules for scripts that are consensus.
const SCRIPT: &[&str] = &[
    "EVAL_FALSE",
    "OP_RETURN",
    "SCRIPTNUM",
    "SCRIPT_SIZE",
    "PUSH_SIZE",
    "OP_COUNT",
    "STACK_SIZE",
    "SIG_COUNT",
    "PUBKEY_COUNT",
    "VERIFY",
    "EQUALVERIFY",
    "CHECKMULTISIGVERIFY",
    "CHECKSIGVERIFY",
    "NUMEQUALVERIFY",
    "BAD_OPCODE",
    "DISABLED_OPCODE",
    "INVALID_STACK_OPERATION",
    "INVALID_ALTSTACK_OPERATION",
    "UNBALANCED_CONDITIONAL",
    "NEGATIVE_LOCKTIME",
    "UNSATISFIED_LOCKTIME",
    "SIG_DER",
    "SIG_PUSHONLY",
    "SIG_NULLDUMMY",
    "CLEANSTACK",
    "WITNESS_PROGRAM_WRONG_LENGTH",
    "WITNESS_PROGRAM_WITNESS_EMPTY",
    "WITNESS_PROGRAM_MISMATCH",
    "WITNESS_MALLEATED",
    "WITNESS_MALLEATED_P2SH",
    "WITNESS_UNEXPECTED",
    "SCHNORR_SIG_SIZE",
    "SCHNORR_SIG_HASHTYPE",
    "SCHNORR_SIG",
    "TAPROOT_WRONG_CONTROL_SIZE",
    "TAPSCRIPT_VALIDATION_WEIGHT",
    "TAPSCRIPT_CHECKMULTISIG",
    "TAPSCRIPT_MINIMALIF",
    "TAPSCRIPT_EMPTY_PUBKEY",
];

/// The rules for transactions by themselves.
const TRANSACTION: &[&str] = &[
    "bad-txns-vin-empty",
    "bad-txns-vout-empty",
    "bad-txns-oversize",
    "bad-txns-vout-negative",
    "bad-txns-vout-toolarge",
    "bad-txns-txouttotal-toolarge",
    "bad-txns-inputs-duplicate",
    "bad-cb-length",
    "bad-txns-prevout-null",
];

/// How often each rule was found broken, by both.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules(BTreeMap<(Part, Cow<'static, str>), u64>);

impl Rules {
    /// Counts a rule that was found broken.
    pub fn note(&mut self, part: Part, rule: impl Into<Cow<'static, str>>) {
        *self.0.entry((part, rule.into())).or_default() += 1;
    }

    /// Counts the rule that a block breaks.
    pub fn note_block(&mut self, part: Part, error: &BlockError) {
        match error {
            BlockError::Script(failure) => self.note(Part::ChainScripts, failure.error.name()),
            BlockError::Header(HeaderError::BadVersion(_)) => self.note(part, "bad-version"),
            BlockError::SequenceLocks { .. } => self.note(part, "bad-txns-nonfinal (BIP 68)"),
            BlockError::Sigops => self.note(part, "bad-blk-sigops (BIP 141)"),
            error => self.note(part, error.reject_reason()),
        }
    }

    /// How many rules were found broken, each counted once for each part.
    pub fn kinds(&self) -> usize {
        self.0.len()
    }

    /// The rules that could have been found broken and were not.
    pub fn missing(&self) -> Vec<(Part, &'static str)> {
        let all = REACHABLE
            .iter()
            .flat_map(|(part, rules)| rules.iter().map(|rule| (*part, *rule)));
        all.filter(|(part, rule)| !self.0.contains_key(&(*part, Cow::Borrowed(*rule))))
            .collect()
    }
}

impl Display for Part {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Spends => "spends",
            Self::Transactions => "transactions",
            Self::Blocks => "blocks",
            Self::Chains => "chains",
            Self::ChainScripts => "scripts in chains",
        })
    }
}

/// A table, and what is missing in it.
impl Display for Rules {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for ((part, rule), count) in &self.0 {
            writeln!(f, "{:<18} {rule:<40} {count:>10}", part.to_string())?;
        }
        for (part, rule) in self.missing() {
            writeln!(f, "{:<18} {rule:<40} {:>10}", part.to_string(), "never")?;
        }
        Ok(())
    }
}
