//! The options that the wallet takes, from the configuration that the node hands over.

use crate::keys::DEFAULT_KEYPOOL;
use crate::spend::fee::FeeRate;
use bitcoin::{Amount, Network};
use btc_interfaces::rpc::value::{BTC_DECIMALS, parse_fixed_point};
use btc_interfaces::{AddressType, GlobalArgs};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// Feerates and fees above which Core warns of a mistake.
const HIGH_FEE_RATE: u64 = 1_000_000;
const HIGH_MAX_FEE: Amount = Amount::from_sat(100 * HIGH_FEE_RATE);

/// Options that Core's wallet has and this one does not follow yet: set to anything but their default, they are warned of
/// whenever a wallet is loaded.
const NOT_YET_EFFECTIVE: [&str; 5] = [
    "walletnotify",
    "avoidpartialspends",
    "maxapsfee",
    "signer",
    "walletrejectlongchains",
];

/// Why the configuration cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OptionError {
    /// A chain that there is not.
    #[error("Unknown chain {0}.")]
    Chain(String),
    /// No such address type.
    #[error("Unknown address type '{0}'")]
    AddressType(String),
    /// No such address type, for change.
    #[error("Unknown change type '{0}'")]
    ChangeType(String),
    /// No amount.
    #[error("Invalid amount for -{option}=<amount>: '{value}'")]
    Amount {
        /// The option.
        option: &'static str,
        /// As given.
        value: String,
    },
    /// A bound on fees that no transaction could keep.
    #[error(
        "Invalid amount for -maxtxfee=<amount>: '{value}' (must be at least the minrelay fee of {minimum} to prevent stuck transactions)"
    )]
    MaxTxFee {
        /// As given.
        value: String,
        /// The feerate that the node relays.
        minimum: String,
    },
    /// No number.
    #[error("Invalid number for -{option}: '{value}'")]
    Number {
        /// The option.
        option: &'static str,
        /// As given.
        value: String,
    },
    /// The wallets' directory is not there.
    #[error("Specified -walletdir \"{0}\" does not exist")]
    WalletDirMissing(String),
    /// The wallets' directory is something else.
    #[error("Specified -walletdir \"{0}\" is not a directory")]
    WalletDirNotADirectory(String),
    /// The wallets' directory depends on where the process runs.
    #[error("Specified -walletdir \"{0}\" is a relative path")]
    WalletDirRelative(String),
}

/// The time as the node sees it: the machine's, or the one that tests set.
#[derive(Debug, Clone, Default)]
pub struct Clock(Arc<AtomicI64>);

impl Clock {
    /// A clock that stands at `mock_time`, or runs if that is 0.
    pub fn new(mock_time: i64) -> Self {
        Self(Arc::new(AtomicI64::new(mock_time)))
    }

    /// Stops it at `time`, or lets it run again if that is 0.
    pub fn set(&self, time: i64) {
        self.0.store(time, Ordering::Relaxed);
    }

    /// Seconds since 1970.
    pub fn now(&self) -> i64 {
        match self.0.load(Ordering::Relaxed) {
            0 => SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |since| {
                    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
                }),
            mocked => mocked,
        }
    }
}

/// The wallet's options, with Core's defaults.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    pub(crate) network: Network,
    pub(crate) net_data_dir: PathBuf,
    pub(crate) wallet_dir: Option<PathBuf>,
    pub(crate) keypool: u32,
    pub(crate) address_type: AddressType,
    pub(crate) change_type: Option<AddressType>,
    pub(crate) fallback_fee: FeeRate,
    pub(crate) min_fee: FeeRate,
    pub(crate) discard_fee: FeeRate,
    pub(crate) consolidate_fee: FeeRate,
    pub(crate) max_tx_fee: Amount,
    max_tx_fee_given: Option<String>,
    pub(crate) confirm_target: u32,
    pub(crate) spend_zero_conf_change: bool,
    pub(crate) signal_rbf: bool,
    pub(crate) broadcast: bool,
    pub(crate) cross_chain: bool,
    pub(crate) unsafe_sync: bool,
    /// Whether the results of methods are held against their tables.
    pub(crate) check_results: bool,
    /// What to tell whoever loads a wallet.
    pub(crate) warnings: Vec<String>,
}

pub(crate) fn parse_address_type(text: &str) -> Option<AddressType> {
    match text {
        "legacy" => Some(AddressType::Legacy),
        "p2sh-segwit" => Some(AddressType::P2shSegwit),
        "bech32" => Some(AddressType::Bech32),
        "bech32m" => Some(AddressType::Bech32m),
        _ => None,
    }
}

struct Given<'a>(&'a [String]);

impl<'a> Given<'a> {
    fn text(&self, name: &str) -> Option<&'a str> {
        self.0
            .iter()
            .filter_map(|line| line.split_once('='))
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value)
    }

    fn non_empty(&self, name: &str) -> Option<&'a str> {
        self.text(name).filter(|text| !text.is_empty())
    }

    fn flag(&self, name: &str, default: bool) -> bool {
        // An option without a value means yes; anything that is no number but 0 is yes only if it is a number.
        self.text(name).map_or(default, |text| {
            text.is_empty() || text.trim().parse::<i64>().is_ok_and(|number| number != 0)
        })
    }

    fn number<T: std::str::FromStr>(
        &self,
        option: &'static str,
        default: T,
    ) -> Result<T, OptionError> {
        self.text(option).map_or(Ok(default), |text| {
            text.parse().map_err(|_| OptionError::Number {
                option,
                value: text.to_owned(),
            })
        })
    }

    fn amount(&self, option: &'static str) -> Result<Option<u64>, OptionError> {
        self.text(option)
            .map(|value| {
                parse_fixed_point(value, BTC_DECIMALS)
                    .and_then(|sat| u64::try_from(sat).ok())
                    .filter(|sat| *sat <= Amount::MAX_MONEY.to_sat())
                    .ok_or_else(|| OptionError::Amount {
                        option,
                        value: value.to_owned(),
                    })
            })
            .transpose()
    }
}

fn high(option: &str) -> String {
    format!("-{option} is set very high!")
}

impl Options {
    /// Reads them. Errors are those that keep wallets from loading.
    pub(crate) fn new(args: &GlobalArgs) -> Result<Self, OptionError> {
        let network = Network::from_core_arg(&args.chain)
            .map_err(|_| OptionError::Chain(args.chain.clone()))?;
        let given = Given(&args.options);
        let mut warnings = Vec::new();
        let mut rate = |option: &'static str, default: u64, caveat: &str| {
            let sat = given.amount(option)?;
            if !caveat.is_empty() && sat.is_some_and(|sat| sat > HIGH_FEE_RATE) {
                warnings.push(format!("{} {caveat}", high(option)));
            }
            Ok::<_, OptionError>(FeeRate::from_sat_per_kvb(sat.unwrap_or(default)))
        };
        let min_fee = rate(
            "mintxfee",
            1000,
            "This is the minimum transaction fee you pay on every transaction.",
        )?;
        let fallback_fee = rate(
            "fallbackfee",
            0,
            "This is the transaction fee you may pay when fee estimates are not available.",
        )?;
        let discard_fee = rate(
            "discardfee",
            10_000,
            "This is the transaction fee you may discard if change is smaller than dust at this level",
        )?;
        let consolidate_fee = rate("consolidatefeerate", 10_000, "")?;
        let max_tx_fee = given
            .amount("maxtxfee")?
            .map_or(Amount::from_sat(10_000_000), Amount::from_sat);
        if max_tx_fee > HIGH_MAX_FEE {
            warnings.push(
                "-maxtxfee is set very high! Fees this large could be paid on a single transaction.".to_owned(),
            );
        }
        if given.text("walletrbf").is_some() {
            warnings.push(
                "-walletrbf is deprecated and will be fully removed in the next release."
                    .to_owned(),
            );
        }
        for option in NOT_YET_EFFECTIVE {
            if given
                .text(option)
                .is_some_and(|value| !value.is_empty() && value != "0")
            {
                warnings.push(format!("-{option} has no effect yet."));
            }
        }
        Ok(Self {
            network,
            net_data_dir: PathBuf::from(&args.net_data_dir),
            wallet_dir: given.non_empty("walletdir").map(PathBuf::from),
            keypool: given
                .number::<i64>("keypool", i64::from(DEFAULT_KEYPOOL))?
                .clamp(1, i64::from(i32::MAX)) as u32,
            address_type: match given.non_empty("addresstype") {
                None => AddressType::Bech32,
                Some(text) => parse_address_type(text)
                    .ok_or_else(|| OptionError::AddressType(text.to_owned()))?,
            },
            change_type: given
                .non_empty("changetype")
                .map(|text| {
                    parse_address_type(text).ok_or_else(|| OptionError::ChangeType(text.to_owned()))
                })
                .transpose()?,
            fallback_fee,
            min_fee,
            discard_fee,
            consolidate_fee,
            max_tx_fee,
            max_tx_fee_given: given.text("maxtxfee").map(str::to_owned),
            confirm_target: given.number("txconfirmtarget", 6)?,
            spend_zero_conf_change: given.flag("spendzeroconfchange", true),
            signal_rbf: given.flag("walletrbf", true),
            broadcast: given.flag("walletbroadcast", true),
            cross_chain: given.flag("walletcrosschain", false),
            unsafe_sync: given.flag("unsafesqlitesync", false),
            check_results: given.flag("rpcdoccheck", false),
            warnings,
        })
    }

    /// Checks `-maxtxfee` against what the node relays.
    pub(crate) fn check_max_fee(&self, relay_min_fee: FeeRate) -> Result<(), OptionError> {
        match &self.max_tx_fee_given {
            Some(value) if self.max_tx_fee.to_sat() < relay_min_fee.sat_per_kvb() => {
                Err(OptionError::MaxTxFee {
                    value: value.clone(),
                    minimum: relay_min_fee.to_btc_string(),
                })
            }
            _ => Ok(()),
        }
    }

    /// Checks `-walletdir`, as the node does before it starts.
    pub(crate) fn check_wallet_dir(&self) -> Result<(), OptionError> {
        let Some(dir) = &self.wallet_dir else {
            return Ok(());
        };
        let shown = dir.display().to_string();
        if !dir.exists() {
            Err(OptionError::WalletDirMissing(shown))
        } else if !dir.is_dir() {
            Err(OptionError::WalletDirNotADirectory(shown))
        } else if !dir.is_absolute() {
            Err(OptionError::WalletDirRelative(shown))
        } else {
            Ok(())
        }
    }

    /// Where wallets lie: `-walletdir`, else `wallets` in the chain's data directory if there is such, else that itself.
    pub(crate) fn wallets_dir(&self) -> PathBuf {
        if let Some(dir) = &self.wallet_dir {
            return dir.clone();
        }
        let wallets = self.net_data_dir.join("wallets");
        if wallets.is_dir() {
            wallets
        } else {
            self.net_data_dir.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(lines: &[&str]) -> Result<Options, OptionError> {
        Options::new(&GlobalArgs {
            chain: "regtest".into(),
            options: lines.iter().map(|line| (*line).to_owned()).collect(),
            ..GlobalArgs::default()
        })
    }

    #[test]
    fn defaults_are_those_of_core() {
        let options = options(&[]).expect("nothing given");
        assert_eq!(options.keypool, 1000);
        assert_eq!(options.fallback_fee, FeeRate::from_sat_per_kvb(0));
        assert_eq!(options.max_tx_fee, Amount::from_sat(10_000_000));
        assert!(options.signal_rbf && options.broadcast && options.spend_zero_conf_change);
    }

    #[test]
    fn wrong_values_are_named() {
        let message = |line| options(&[line]).expect_err(line).to_string();
        assert_eq!(
            message("addresstype=segwit"),
            "Unknown address type 'segwit'"
        );
        assert_eq!(
            message("fallbackfee=-1"),
            "Invalid amount for -fallbackfee=<amount>: '-1'"
        );
        assert_eq!(
            message("mintxfee=cat"),
            "Invalid amount for -mintxfee=<amount>: 'cat'"
        );
        assert!(
            options(&["walletnotify=cmd"]).expect("known").warnings[0].contains("-walletnotify")
        );
        assert_eq!(
            options(&["keypool=5", "keypool=9"]).expect("valid").keypool,
            5
        );
    }
}
