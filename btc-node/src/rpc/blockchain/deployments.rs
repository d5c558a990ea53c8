//! Changes of the rules, past and under way.

use super::super::context::{Entry, NodeParts, block_not_found};
use super::super::registry::{RequestContext, RpcResult};
use btc_consensus::ancestors::Ancestors;
use btc_consensus::flags_for_block;
use btc_consensus::params::{Bip9Deployment, BuriedDeployment, ChainParams, Deployment};
use btc_consensus::versionbits::{ThresholdCache, ThresholdState, signals};
use btc_interfaces::rpc::table::{Arg, Kind, Method};
use serde_json::{Map, Value, json};

/// The methods of this module.
pub(super) const METHODS: &[Entry] = &[Entry {
    method: Method {
        name: "getdeploymentinfo",
        category: "blockchain",
        summary: "Shows the state of changes of the rules, as seen from a block.",
        args: &[Arg::default(
            "blockhash",
            Kind::StringHex,
            "\"hash of current chain tip\"",
            "The block from which to look",
        )],
        results: crate::rpc::results::chain::GET_DEPLOYMENT_INFO,
        examples: &[""],
    },
    run: get_deployment_info,
}];

fn get_deployment_info(parts: &NodeParts, context: &RequestContext<'_>) -> RpcResult {
    let hash = match context.arguments.opt(0) {
        Some(_) => context.arguments.hash(0)?,
        None => parts.chain.tip().hash,
    };
    let block = parts.block(&hash)?;
    let params = parts.chain.params();
    let shown = parts.chain.with_branch(&hash, |chain, thresholds| {
        let flags = flags_for_block(block.height, &block.hash, params);
        let mut names: Vec<&str> = flags.names().collect();
        names.sort_unstable();
        let mut deployments = Map::new();
        for buried in [
            BuriedDeployment::HeightInCoinbase,
            BuriedDeployment::DerSig,
            BuriedDeployment::Cltv,
            BuriedDeployment::Csv,
            BuriedDeployment::Segwit,
        ] {
            deployments.insert(
                buried.name().into(),
                buried_json(params, buried, block.height),
            );
        }
        for deployment in Deployment::ALL {
            let schedule = params.deployment(deployment);
            if schedule.start_time != Bip9Deployment::NEVER_ACTIVE {
                deployments.insert(
                    deployment.name().into(),
                    signalled_json(params, deployment, chain, thresholds),
                );
            }
        }
        json!({
            "hash": block.hash.to_string(),
            "height": block.height,
            "script_flags": names,
            "deployments": deployments,
        })
    });
    shown.ok_or_else(block_not_found)
}

fn buried_json(params: &ChainParams, deployment: BuriedDeployment, height: u32) -> Value {
    json!({
        "type": "buried",
        "active": params.is_active(deployment, height + 1),
        "height": params.buried_height(deployment),
    })
}

fn signalled_json(
    params: &ChainParams,
    deployment: Deployment,
    chain: &dyn Ancestors,
    cache: &mut ThresholdCache,
) -> Value {
    let height = chain.height();
    let schedule = params.deployment(deployment);
    let current = cache.state_after(params, deployment, chain, height.checked_sub(1));
    let next = cache.state_after(params, deployment, chain, Some(height));
    let since = cache.since(params, deployment, chain, height.checked_sub(1));
    let signalling = matches!(current, ThresholdState::Started | ThresholdState::LockedIn);
    let mut bip9 = Map::new();
    if signalling {
        bip9.insert("bit".into(), json!(schedule.bit));
    }
    bip9.insert("start_time".into(), json!(schedule.start_time));
    bip9.insert("timeout".into(), json!(schedule.timeout));
    bip9.insert(
        "min_activation_height".into(),
        json!(schedule.min_activation_height),
    );
    bip9.insert("status".into(), json!(current.name()));
    bip9.insert("since".into(), json!(since));
    bip9.insert("status_next".into(), json!(next.name()));
    if signalling {
        let signals = signals(schedule, chain, height);
        let mut statistics = Map::new();
        statistics.insert("period".into(), json!(schedule.period));
        statistics.insert("elapsed".into(), json!(signals.blocks.len()));
        statistics.insert("count".into(), json!(signals.count));
        if current == ThresholdState::Started {
            statistics.insert("threshold".into(), json!(schedule.threshold));
            statistics.insert("possible".into(), json!(signals.possible));
        }
        bip9.insert("statistics".into(), Value::Object(statistics));
        let marks: String = signals
            .blocks
            .iter()
            .map(|s| if *s { '#' } else { '-' })
            .collect();
        bip9.insert("signalling".into(), json!(marks));
    }
    let active_since = match (current, next) {
        (ThresholdState::Active, _) => Some(since),
        (_, ThresholdState::Active) => Some(height + 1),
        _ => None,
    };
    let mut out = Map::new();
    out.insert("type".into(), json!("bip9"));
    if let Some(height) = active_since {
        out.insert("height".into(), json!(height));
    }
    out.insert("active".into(), json!(active_since.is_some()));
    out.insert("bip9".into(), Value::Object(bip9));
    Value::Object(out)
}
