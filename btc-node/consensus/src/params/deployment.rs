//! How changes of the rules come into force.

use std::str::FromStr;

/// A change that is in force from a height that is known (BIP 90).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BuriedDeployment {
    /// A coinbase states its height (BIP 34).
    HeightInCoinbase,
    /// `OP_CHECKLOCKTIMEVERIFY` (BIP 65).
    Cltv,
    /// Strictly DER signatures (BIP 66).
    DerSig,
    /// Relative lock times (BIPs 68, 112, 113).
    Csv,
    /// Segregated witness (BIPs 141, 143, 147).
    Segwit,
}

impl BuriedDeployment {
    /// Every buried deployment.
    pub const ALL: [Self; 5] = [
        Self::HeightInCoinbase,
        Self::Cltv,
        Self::DerSig,
        Self::Csv,
        Self::Segwit,
    ];

    /// The name in `getdeploymentinfo`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::HeightInCoinbase => "bip34",
            Self::Cltv => "bip65",
            Self::DerSig => "bip66",
            Self::Csv => "csv",
            Self::Segwit => "segwit",
        }
    }
}

/// A name that is no deployment's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown deployment {0}")]
pub struct UnknownDeployment(pub String);

impl FromStr for BuriedDeployment {
    type Err = UnknownDeployment;

    /// Reads the names of `-testactivationheight`, which differ from those that are printed.
    fn from_str(name: &str) -> Result<Self, UnknownDeployment> {
        match name {
            "bip34" => Ok(Self::HeightInCoinbase),
            "cltv" => Ok(Self::Cltv),
            "dersig" => Ok(Self::DerSig),
            "csv" => Ok(Self::Csv),
            "segwit" => Ok(Self::Segwit),
            _ => Err(UnknownDeployment(name.to_owned())),
        }
    }
}

/// A change that miners signal for in a header's version (BIP 9).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Deployment {
    /// A bit that changes nothing, to test the mechanism.
    TestDummy,
}

impl Deployment {
    /// Every deployment.
    pub const ALL: [Self; 1] = [Self::TestDummy];

    /// The name in `getdeploymentinfo` and `-vbparams`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::TestDummy => "testdummy",
        }
    }

    /// Whether a miner need not know the rule to build on blocks that follow it (BIP 9).
    pub const fn is_optional_for_miners(self) -> bool {
        match self {
            Self::TestDummy => true,
        }
    }
}

impl FromStr for Deployment {
    type Err = UnknownDeployment;

    fn from_str(name: &str) -> Result<Self, UnknownDeployment> {
        Self::ALL
            .into_iter()
            .find(|deployment| deployment.name() == name)
            .ok_or_else(|| UnknownDeployment(name.to_owned()))
    }
}

/// The schedule of a change by version bits (BIP 9).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bip9Deployment {
    /// The bit of the version.
    pub bit: u8,
    /// The median time past from which signals count; or [`ALWAYS_ACTIVE`](Self::ALWAYS_ACTIVE),
    /// or [`NEVER_ACTIVE`](Self::NEVER_ACTIVE).
    pub start_time: i64,
    /// The median time past from which the attempt has failed.
    pub timeout: i64,
    /// The height before which the change does not come into force, once it is agreed on.
    pub min_activation_height: u32,
    /// How many blocks are counted together.
    pub period: u32,
    /// How many of them must signal.
    pub threshold: u32,
}

impl Bip9Deployment {
    /// A start time for changes that are always in force.
    pub const ALWAYS_ACTIVE: i64 = -1;
    /// A start time for changes that never are.
    pub const NEVER_ACTIVE: i64 = -2;
    /// A timeout that never comes.
    pub const NO_TIMEOUT: i64 = i64::MAX;
}

/// What `-vbparams` changes of a schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VersionBitsParameters {
    /// See [`Bip9Deployment::start_time`].
    pub start_time: i64,
    /// See [`Bip9Deployment::timeout`].
    pub timeout: i64,
    /// See [`Bip9Deployment::min_activation_height`].
    pub min_activation_height: u32,
}

/// Why the value of `-vbparams` cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidVersionBits {
    /// Not three or four fields.
    #[error(
        "Version bits parameters malformed, expecting deployment:start:end[:min_activation_height]"
    )]
    Malformed,
    /// The start time is no number.
    #[error("Invalid nStartTime ({0})")]
    StartTime(String),
    /// The timeout is no number.
    #[error("Invalid nTimeout ({0})")]
    Timeout(String),
    /// The minimum activation height is no height.
    #[error("Invalid min_activation_height ({0})")]
    MinActivationHeight(String),
    /// There is no such deployment.
    #[error("Invalid deployment ({0})")]
    Deployment(String),
}

impl VersionBitsParameters {
    /// Reads the value of `-vbparams`: `deployment:start:end[:min_activation_height]`.
    ///
    /// # Errors
    /// The first field that cannot be read, in Bitcoin Core's words.
    pub fn parse(value: &str) -> Result<(Deployment, Self), InvalidVersionBits> {
        let fields: Vec<&str> = value.split(':').collect();
        let (name, start, end, height) = match fields[..] {
            [name, start, end] => (name, start, end, "0"),
            [name, start, end, height] => (name, start, end, height),
            _ => return Err(InvalidVersionBits::Malformed),
        };
        let parameters = Self {
            start_time: start
                .parse()
                .map_err(|_| InvalidVersionBits::StartTime(start.to_owned()))?,
            timeout: end
                .parse()
                .map_err(|_| InvalidVersionBits::Timeout(end.to_owned()))?,
            min_activation_height: height
                .parse()
                .map_err(|_| InvalidVersionBits::MinActivationHeight(height.to_owned()))?,
        };
        let deployment = name
            .parse()
            .map_err(|_| InvalidVersionBits::Deployment(name.to_owned()))?;
        Ok((deployment, parameters))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedules_as_options() {
        let (deployment, schedule) =
            VersionBitsParameters::parse("testdummy:-1:9223372036854775807").unwrap();
        assert_eq!(deployment, Deployment::TestDummy);
        assert_eq!(schedule.start_time, Bip9Deployment::ALWAYS_ACTIVE);
        assert_eq!(schedule.timeout, Bip9Deployment::NO_TIMEOUT);
        for (value, message) in [
            ("testdummy:1", "Version bits parameters malformed"),
            ("testdummy:x:1", "Invalid nStartTime (x)"),
            ("testdummy:1:x", "Invalid nTimeout (x)"),
            ("testdummy:1:1:x", "Invalid min_activation_height (x)"),
            ("other:1:1", "Invalid deployment (other)"),
        ] {
            let error = VersionBitsParameters::parse(value).unwrap_err().to_string();
            assert!(error.starts_with(message), "{error}");
        }
    }
}
