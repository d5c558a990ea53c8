//! Options of chainstate, mempool and mining.

use super::{Options, option};
use crate::chainstate::script_cache::DEFAULT_SCRIPT_CACHE_BYTES;
use crate::chainstate::{self, PruneTarget};
use crate::mempool::{Feerate, Limits, Policy};
use crate::mining::TemplateOptions;
use crate::mining::template::{MAX_BLOCK_WEIGHT, MIN_RESERVED_WEIGHT};
use crate::node::StartError;
use crate::store::coins_db::Writing;
use bitcoin::{Amount, BlockHash, Denomination};
use btc_consensus::params::{Chain, ChainParams};
use btc_consensus::pow::Work;
use btc_consensus::uint256::U256;
use btc_interfaces::args::Args;
use std::time::Duration;

/// The least that `-dbcache` means, in MiB. Source: Core's `kernel/caches.h`.
const MIN_DB_CACHE_MIB: i64 = 4;
/// The most that it means.
const MAX_DB_CACHE_MIB: i64 = 16 * 1024;
/// What it means if it is not given.
const DEFAULT_DB_CACHE_MIB: i64 = 450;
/// The most threads that check scripts, besides the one that connects the block.
const MAX_SCRIPT_THREADS: i64 = 15;
/// The most that `-maxsigcachesize` means, in MiB.
const MAX_SCRIPT_CACHE_MIB: i64 = 16 * 1024;
/// The most that `-limitclustercount` may be.
const MAX_CLUSTER_COUNT: i64 = 64;

/// What of the chainstate's options is not its default.
#[derive(Debug, Clone)]
pub(super) struct ChainstateChoices {
    dbcache: usize,
    coins_writing: Writing,
    script_threads: usize,
    script_cache: usize,
    check_blocks: Option<u32>,
    check_level: Option<u32>,
    full_check: bool,
    check_index: u32,
    connect_ahead: bool,
    blocks_xor: bool,
    fast_prune: bool,
    prune: Option<PruneTarget>,
    reindex: bool,
    reindex_chainstate: bool,
    compact_databases: bool,
    /// Reindex without a question where the databases cannot be opened.
    reindex_after_failure: bool,
    /// Given; zero means that every script is checked.
    assume_valid: Option<Option<BlockHash>>,
    minimum_chain_work: Option<Work>,
    max_tip_age: Option<Duration>,
}

/// A number of operations after which a check is due, on every one on regtest if it is not given.
pub(super) fn check_ratio(args: &Args, name: &str, params: &ChainParams) -> u32 {
    match args.int(name) {
        None => u32::from(params.chain == Chain::Regtest),
        Some(every) => u32::try_from(every.max(0)).unwrap_or(u32::MAX),
    }
}

/// Whether coins are fetched before they are needed (`-prevoutfetchthreads`). How many threads do it is not for the user
/// to choose: it is the one that connects blocks.
fn connect_ahead(args: &Args) -> Result<bool, StartError> {
    match args.int("prevoutfetchthreads") {
        Some(threads) if threads < 0 => Err(option(format!(
            "-prevoutfetchthreads must be non-negative (got {threads}). Use 0 to disable parallel input fetching."
        ))),
        threads => Ok(threads != Some(0)),
    }
}

pub(super) fn chainstate(
    args: &Args,
    params: &ChainParams,
) -> Result<ChainstateChoices, StartError> {
    let mib = args
        .int("dbcache")
        .unwrap_or(DEFAULT_DB_CACHE_MIB)
        .clamp(MIN_DB_CACHE_MIB, MAX_DB_CACHE_MIB);
    let mut threads = args.int("par").unwrap_or(0);
    if threads <= 0 {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        threads = threads.saturating_add(i64::try_from(cores).unwrap_or(1));
    }
    let script_threads = threads.clamp(1, MAX_SCRIPT_THREADS);
    let number = |name: &str| {
        args.int(name)
            .map(|value| u32::try_from(value.max(0)).unwrap_or(u32::MAX))
    };
    let mut coins_writing = Writing::default();
    if let Some(bytes) = args.int("dbbatchsize") {
        coins_writing.batch_bytes = usize::try_from(bytes).unwrap_or(0);
    }
    coins_writing.crash_ratio = number("dbcrashratio").unwrap_or(0);
    Ok(ChainstateChoices {
        coins_writing,
        dbcache: usize::try_from(mib << 20).unwrap_or(usize::MAX),
        script_threads: usize::try_from(script_threads).unwrap_or(1),
        script_cache: args
            .int("maxsigcachesize")
            .map_or(DEFAULT_SCRIPT_CACHE_BYTES, |mib| {
                usize::try_from(mib.clamp(0, MAX_SCRIPT_CACHE_MIB) << 20).unwrap_or(usize::MAX)
            }),
        check_blocks: number("checkblocks"),
        check_level: number("checklevel").map(|level| level.min(4)),
        full_check: args.is_set("checkblocks") || args.is_set("checklevel"),
        check_index: match args.value("checkblockindex") {
            Some(bare) if bare.is_empty() => 1,
            _ => check_ratio(args, "checkblockindex", params),
        },
        connect_ahead: connect_ahead(args)?,
        blocks_xor: args.flag("blocksxor").unwrap_or(true),
        fast_prune: args.flag("fastprune").unwrap_or(false),
        prune: prune(args)?,
        reindex: args.flag("reindex").unwrap_or(false),
        reindex_chainstate: args.flag("reindex-chainstate").unwrap_or(false),
        compact_databases: args.flag("forcecompactdb").unwrap_or(false),
        reindex_after_failure: args
            .values("test")
            .iter()
            .any(|test| test == "reindex_after_failure_noninteractive_yes"),
        assume_valid: assume_valid(args)?,
        minimum_chain_work: minimum_chain_work(args)?,
        max_tip_age: args
            .int("maxtipage")
            .map(|age| Duration::from_secs(u64::try_from(age).unwrap_or(0))),
    })
}

/// `-prune`, unless it goes against another option.
fn prune(args: &Args) -> Result<Option<PruneTarget>, StartError> {
    let mib = args.int("prune").unwrap_or(0);
    if mib != 0 {
        for index in ["txindex", "txospenderindex"] {
            if args.flag(index).unwrap_or(false) {
                return Err(option(format!("Prune mode is incompatible with -{index}.")));
            }
        }
        if args.flag("reindex-chainstate").unwrap_or(false) {
            return Err(option(
                "Prune mode is incompatible with -reindex-chainstate. Use full -reindex instead.",
            ));
        }
    }
    match u64::try_from(mib) {
        Ok(0) => Ok(None),
        Ok(1) => Ok(Some(PruneTarget::Manual)),
        Ok(mib) if mib >= PruneTarget::LEAST >> 20 => {
            Ok(Some(PruneTarget::Bytes(mib.saturating_mul(1 << 20))))
        }
        Ok(_) => Err(option(format!(
            "Prune configured below the minimum of {} MiB.  Please use a higher number.",
            PruneTarget::LEAST >> 20
        ))),
        Err(_) => Err(option("Prune cannot be configured with a negative value.")),
    }
}

impl Options {
    /// Whether databases that cannot be opened are to be built anew without a question (Core's `-test` option for that).
    pub(crate) fn reindexes_after_failure(&self) -> bool {
        self.chainstate.reindex_after_failure && !self.chainstate.reindex
    }

    /// How the chainstate is opened.
    pub(crate) fn chainstate(&self, dirs: chainstate::Dirs) -> chainstate::Options {
        let chosen = &self.chainstate;
        let default = chainstate::Options::new(dirs, self.params.clone());
        chainstate::Options {
            dbcache: chosen.dbcache,
            coins_writing: chosen.coins_writing,
            script_threads: chosen.script_threads,
            script_cache: chosen.script_cache,
            check_blocks: chosen.check_blocks.unwrap_or(default.check_blocks),
            check_level: chosen.check_level.unwrap_or(default.check_level),
            full_check: chosen.full_check,
            check_index: chosen.check_index,
            connect_ahead: chosen.connect_ahead,
            blocks_xor: chosen.blocks_xor,
            fast_prune: chosen.fast_prune,
            prune: chosen.prune,
            reindex: chosen.reindex,
            reindex_chainstate: chosen.reindex_chainstate,
            compact_databases: chosen.compact_databases,
            assume_valid: chosen.assume_valid.unwrap_or(default.assume_valid),
            minimum_chain_work: chosen
                .minimum_chain_work
                .unwrap_or(default.minimum_chain_work),
            max_tip_age: chosen.max_tip_age.unwrap_or(default.max_tip_age),
            ..default
        }
    }
}

/// Up to 64 hexadecimal digits after an optional `0x`, filled up with zeros in front.
fn hex_digits(value: &str) -> Option<String> {
    let digits = value.strip_prefix("0x").unwrap_or(value);
    let fits = digits.len() <= 64 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    fits.then(|| format!("{digits:0>64}"))
}

fn assume_valid(args: &Args) -> Result<Option<Option<BlockHash>>, StartError> {
    let Some(value) = args.value("assumevalid") else {
        return Ok(None);
    };
    let hash: BlockHash = hex_digits(&value)
        .and_then(|digits| digits.parse().ok())
        .ok_or_else(|| {
            option(format!(
                "Invalid assumevalid block hash specified ({value}), must be up to 64 hex digits (or 0 to disable)"
            ))
        })?;
    let zero = bitcoin::hashes::Hash::all_zeros();
    Ok(Some((hash != zero).then_some(hash)))
}

fn minimum_chain_work(args: &Args) -> Result<Option<Work>, StartError> {
    let Some(value) = args.value("minimumchainwork") else {
        return Ok(None);
    };
    let work = hex_digits(&value).and_then(|digits| work_from_hex(&digits));
    work.map(Some).ok_or_else(|| {
        option(format!(
            "Invalid minimum work specified ({value}), must be up to 64 hex digits"
        ))
    })
}

/// 64 hexadecimal digits, the most significant first.
fn work_from_hex(digits: &str) -> Option<Work> {
    let bytes = <[u8; 32] as bitcoin::hex::FromHex>::from_hex(digits).ok()?;
    Some(Work::new(U256::from_be_bytes(bytes)))
}

/// An option that is an amount in BTC; of a feerate, for 1000 vB.
fn amount(args: &Args, name: &str) -> Result<Option<i64>, StartError> {
    let Some(value) = args.value(name) else {
        return Ok(None);
    };
    let sat = Amount::from_str_in(value.trim(), Denomination::Bitcoin)
        .ok()
        .filter(|amount| *amount <= Amount::MAX_MONEY)
        .and_then(|amount| i64::try_from(amount.to_sat()).ok());
    sat.map(Some)
        .ok_or_else(|| option(format!("Invalid amount for -{name}=<amount>: '{value}'")))
}

pub(super) fn policy(args: &Args, params: &ChainParams) -> Result<Policy, StartError> {
    let default = Policy::default();
    let feerate = |name| Ok::<_, StartError>(amount(args, name)?.map(Feerate::from_sat_per_kvb));
    let incremental = feerate("incrementalrelayfee")?.unwrap_or(default.incremental_feerate);
    let min_relay = match feerate("minrelaytxfee")? {
        Some(rate) => rate,
        // The one option is enough to raise both.
        None if incremental.per_thousand() > default.min_relay_feerate.per_thousand() => {
            incremental
        }
        None => default.min_relay_feerate,
    };
    let require_standard = !args.flag("acceptnonstdtxn").unwrap_or(false);
    if !require_standard && !params.chain.is_test() {
        return Err(option(format!(
            "acceptnonstdtxn is not currently supported for {} chain",
            params.chain.name()
        )));
    }
    let cluster_count = args.int("limitclustercount").unwrap_or(MAX_CLUSTER_COUNT);
    if cluster_count > MAX_CLUSTER_COUNT {
        return Err(option(format!(
            "limitclustercount must be less than or equal to {MAX_CLUSTER_COUNT}"
        )));
    }
    let count = |name, default: u32| {
        args.int(name).map_or(default, |value| {
            u32::try_from(value.max(0)).unwrap_or(u32::MAX)
        })
    };
    Ok(Policy {
        require_standard,
        min_relay_feerate: min_relay,
        incremental_feerate: incremental,
        dust_feerate: feerate("dustrelayfee")?.unwrap_or(default.dust_feerate),
        max_datacarrier_bytes: args.flag("datacarrier").unwrap_or(true).then(|| {
            args.int("datacarriersize").map_or_else(
                || default.max_datacarrier_bytes.unwrap_or_default(),
                |bytes| usize::try_from(bytes.max(0)).unwrap_or(usize::MAX),
            )
        }),
        permit_bare_multisig: args
            .flag("permitbaremultisig")
            .unwrap_or(default.permit_bare_multisig),
        bytes_per_sigop: args.int("bytespersigop").unwrap_or(default.bytes_per_sigop),
        cluster_count: usize::try_from(cluster_count.max(0)).unwrap_or(0),
        cluster_vsize: args
            .int("limitclustersize")
            .map_or(default.cluster_vsize, |kvb| kvb.saturating_mul(1000)),
        ancestor_count: count("limitancestorcount", default.ancestor_count),
        descendant_count: count("limitdescendantcount", default.descendant_count),
    })
}

/// Whether fee estimates count however old they are: for tests alone, since they mislead.
pub(super) fn accept_stale_fee_estimates(
    args: &Args,
    params: &ChainParams,
) -> Result<bool, StartError> {
    let accept = args.flag("acceptstalefeeestimates").unwrap_or(false);
    if accept && params.chain != Chain::Regtest {
        return Err(option(format!(
            "acceptstalefeeestimates is not supported on {} chain.",
            params.chain.name()
        )));
    }
    Ok(accept)
}

/// Bytes of memory that a transaction takes for each vB of its size, at the most.
const MEMORY_PER_VB: i64 = 40;

pub(super) fn mempool_limits(args: &Args, policy: &Policy) -> Result<Limits, StartError> {
    let default = Limits::default();
    let max_bytes = match args.int("maxmempool") {
        None => default.max_bytes,
        Some(mb) => {
            let bytes = mb.saturating_mul(1_000_000);
            // There must be room for one cluster of the greatest size, at what its transactions take in memory.
            let least = policy.cluster_vsize.saturating_mul(MEMORY_PER_VB);
            if bytes != 0 && bytes < least {
                let least = least.saturating_add(999_999) / 1_000_000;
                return Err(option(format!("-maxmempool must be at least {least} MB")));
            }
            usize::try_from(bytes).unwrap_or(usize::MAX)
        }
    };
    Ok(Limits {
        max_bytes,
        expiry: args
            .int("mempoolexpiry")
            .map_or(default.expiry, |hours| hours.saturating_mul(3600)),
    })
}

pub(super) fn template(args: &Args) -> Result<TemplateOptions, StartError> {
    let default = TemplateOptions::default();
    let weight = |name: &str, default: u64| {
        args.int(name)
            .map_or(default, |value| u64::try_from(value).unwrap_or(0))
    };
    let max_weight = weight("blockmaxweight", default.max_weight);
    let reserved_weight = weight("blockreservedweight", default.reserved_weight);
    let beyond = format!("exceeds consensus maximum block weight ({MAX_BLOCK_WEIGHT})");
    let wrong = if reserved_weight < MIN_RESERVED_WEIGHT {
        let least = format!("is lower than minimum safety value of ({MIN_RESERVED_WEIGHT})");
        Some(("blockreservedweight", reserved_weight, least))
    } else if reserved_weight > MAX_BLOCK_WEIGHT {
        Some(("blockreservedweight", reserved_weight, beyond))
    } else if max_weight > MAX_BLOCK_WEIGHT {
        Some(("blockmaxweight", max_weight, beyond))
    } else if reserved_weight > max_weight {
        let most = format!("exceeds -blockmaxweight ({max_weight})");
        Some(("blockreservedweight", reserved_weight, most))
    } else {
        None
    };
    if let Some((name, value, problem)) = wrong {
        return Err(option(format!("-{name} ({value}) {problem}")));
    }
    Ok(TemplateOptions {
        log_feerates: args.flag("printpriority").unwrap_or(false),
        max_weight,
        reserved_weight,
        min_feerate: amount(args, "blockmintxfee")?
            .map_or(default.min_feerate, Feerate::from_sat_per_kvb),
        version: args
            .int("blockversion")
            .and_then(|version| i32::try_from(version).ok()),
        ..default
    })
}
