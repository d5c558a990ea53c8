//! Templates for miners that bring their own coinbase (BIP 22, 23, 9 and 145).

use super::super::block_json::target_hex;
use super::super::context::{NodeParts, TextEntry};
use super::super::network;
use super::super::registry::{RequestContext, RpcResult, TextResult};
use super::generate::template_error;
use super::submit::decode_block;
use crate::chain::Validity;
use crate::chainstate::SubmitError;
use crate::mining::create;
use crate::mining::template::{MAX_BLOCK_SIGOPS, MAX_BLOCK_WEIGHT, Template};
use bitcoin::consensus::Encodable;
use bitcoin::hashes::Hash;
use bitcoin::{BlockHash, Txid};
use btc_consensus::params::{BuriedDeployment, Deployment};
use btc_consensus::pow;
use btc_consensus::versionbits::{ThresholdState, mask};
use btc_interfaces::rpc::table::{Arg, Kind, Method};
use btc_interfaces::rpc::writer::JsonWriter;
use btc_interfaces::rpc::{RpcError, code, value};
use serde_json::{Map, Value, json};
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The methods of this module.
pub(in crate::rpc) const TEXTS: &[TextEntry] = &[TextEntry {
    method: Method {
        name: "getblocktemplate",
        category: "mining",
        summary: "Gives what a miner needs to make a block (BIPs 22, 23, 9 and 145), or checks a block without its proof of work.",
        args: &[
            Arg::required("template_request", Kind::Object, "What is asked for").with(&[
                Arg::optional(
                    "mode",
                    Kind::String,
                    "\"template\" (or nothing), or \"proposal\" to check a block",
                ),
                Arg::optional("capabilities", Kind::Array, "What the miner can do").with(&[
                    Arg::optional(
                        "str",
                        Kind::String,
                        "longpoll, coinbasevalue, proposal, serverlist, workid",
                    ),
                ]),
                Arg::required(
                    "rules",
                    Kind::Array,
                    "Changes of the rules that the miner knows",
                )
                .with(&[
                    Arg::required("segwit", Kind::String, "must be among them"),
                    Arg::optional("str", Kind::String, "others"),
                ]),
                Arg::optional(
                    "longpollid",
                    Kind::String,
                    "Answer only when this is out of date",
                ),
                Arg::optional(
                    "data",
                    Kind::StringHex,
                    "The block to check, for mode proposal",
                ),
            ]),
        ],
        results: crate::rpc::results::mining::GET_BLOCK_TEMPLATE,
        examples: &["'{\"rules\": [\"segwit\"]}'"],
    },
    run: get_block_template,
}];

fn get_block_template(parts: &NodeParts, context: &RequestContext<'_>) -> TextResult {
    let invalid = |message: &str| RpcError::new(code::INVALID_PARAMETER, message);
    let request = context.arguments.object(0)?;
    let mode = match request.get("mode") {
        None | Some(Value::Null) => "template",
        Some(Value::String(mode)) => mode.as_str(),
        Some(_) => return Err(invalid("Invalid mode")),
    };
    if mode == "proposal" {
        return check_proposal(parts, request.get("data")).map(|verdict| verdict.to_string());
    }
    let mut rules = BTreeSet::new();
    if let Some(Value::Array(names)) = request.get("rules") {
        for name in names {
            rules.insert(value::string(name)?.to_owned());
        }
    }
    if mode != "template" {
        return Err(invalid("Invalid mode"));
    }
    if !parts.chain.params().chain.is_test() {
        // A miner would work on a chain that nobody else sees.
        if network::peer_views(parts).is_empty() {
            return Err(RpcError::new(
                code::CLIENT_NOT_CONNECTED,
                format!("{} is not connected!", crate::CLIENT_NAME),
            ));
        }
        if parts.chain.is_initial_block_download() {
            return Err(RpcError::new(
                code::CLIENT_IN_INITIAL_DOWNLOAD,
                format!(
                    "{} is in initial sync and waiting for blocks...",
                    crate::CLIENT_NAME
                ),
            ));
        }
    }
    if let Some(id) = request.get("longpollid").filter(|id| !id.is_null()) {
        wait_for_news(parts, context, id.as_str());
        if context.interrupt.is_raised() {
            return Err(RpcError::new(code::CLIENT_NOT_CONNECTED, "Shutting down"));
        }
    }
    let signet = parts.chain.params().signet_challenge.is_some();
    if signet && !rules.contains("signet") {
        return Err(invalid(
            "getblocktemplate must be called with the signet rule set (call with {\"rules\": [\"segwit\", \"signet\"]})",
        ));
    }
    if !rules.contains("segwit") {
        return Err(invalid(
            "getblocktemplate must be called with the segwit rule set (call with {\"rules\": [\"segwit\"]})",
        ));
    }
    let given = parts.given_template.current(parts)?;
    show(parts, &given, &rules)
}

fn check_proposal(parts: &NodeParts, data: Option<&Value>) -> RpcResult {
    let Some(Value::String(data)) = data else {
        return Err(RpcError::new(
            code::TYPE_ERROR,
            "Missing data String key for proposal",
        ));
    };
    let block = decode_block(data)?;
    if let Some(known) = parts.chain.block_summary(&block.block_hash()) {
        return Ok(json!(if known.failed {
            "duplicate-invalid"
        } else if known.validity >= Validity::Scripts {
            "duplicate"
        } else {
            "duplicate-inconclusive"
        }));
    }
    match parts.chain.test_block_validity(&block, false, true) {
        Ok(()) => Ok(Value::Null),
        Err(SubmitError::Rejected(rejection)) => Ok(json!(rejection.reject_reason())),
        Err(error) => Err(RpcError::new(code::VERIFY_ERROR, error.to_string())),
    }
}

/// Waits until the tip is another than the id's or, after a minute and then every ten seconds, the mempool is.
fn wait_for_news(parts: &NodeParts, context: &RequestContext<'_>, id: Option<&str>) {
    let (tip, updates) = match id.and_then(|id| id.split_at_checked(64)) {
        Some((hash, updates)) => (hash.parse::<BlockHash>().ok(), updates.parse::<u64>().ok()),
        None => (None, None),
    };
    // An id that is none of ours counts as what is true now.
    let tip = tip.unwrap_or_else(|| parts.chain.tip().hash);
    let updates = updates.unwrap_or_else(|| parts.mempool.read(|pool| pool.updates()));
    let mut next_look = Instant::now() + Duration::from_secs(60);
    while parts.chain.tip().hash == tip && !context.interrupt.is_raised() {
        let start = Instant::now();
        let tick = Duration::from_millis(250);
        if parts.chain.wait_tip_changed(&tip, tick).is_none() && start.elapsed() < tick {
            return;
        }
        if Instant::now() >= next_look {
            if parts.mempool.read(|pool| pool.updates()) != updates {
                return;
            }
            next_look += Duration::from_secs(10);
        }
    }
}

fn show(parts: &NodeParts, given: &Given, client_rules: &BTreeSet<String>) -> TextResult {
    let template = &given.template;
    let params = parts.chain.params();
    let block = &template.block;
    let segwit = params.is_active(BuriedDeployment::Segwit, template.height);
    let mut version = block.header.version.to_consensus();
    let mut rules = vec!["csv".to_owned()];
    if segwit {
        rules.extend(["!segwit".to_owned(), "taproot".to_owned()]);
    }
    if params.signet_challenge.is_some() {
        rules.push("!signet".to_owned());
    }
    let mut available = Map::new();
    let states: Vec<(Deployment, ThresholdState)> = parts.chain.with_tip(|view| {
        let mut cache = view.thresholds();
        Deployment::ALL
            .into_iter()
            .map(|deployment| {
                let tip = Some(view.tip_height());
                (deployment, cache.state_after(params, deployment, view, tip))
            })
            .collect()
    });
    for (deployment, state) in states {
        let schedule = params.deployment(deployment);
        let optional = deployment.is_optional_for_miners();
        let name = format!("{}{}", if optional { "" } else { "!" }, deployment.name());
        let supported = optional || client_rules.contains(deployment.name());
        match state {
            ThresholdState::Started | ThresholdState::LockedIn => {
                available.insert(name, json!(schedule.bit));
                if !supported {
                    version &= !mask(schedule);
                }
            }
            ThresholdState::Active => {
                // Deployments that are active from the start are in the list already.
                if !rules.contains(&name) {
                    rules.push(name);
                }
                if !supported {
                    return Err(RpcError::new(
                        code::INVALID_PARAMETER,
                        format!(
                            "Support for '{}' rule requires explicit client support",
                            deployment.name()
                        ),
                    ));
                }
            }
            ThresholdState::Defined | ThresholdState::Failed => {}
        }
    }
    let scale = sigop_scale(parts, template.height);
    let (time, bits) = parts.chain.with_tip(|view| {
        let now = u32::try_from(parts.chain.clock().now()).unwrap_or(0);
        let time = now.max(block.header.time);
        (time, pow::next_bits(view, time, params))
    });
    let mut out = JsonWriter::with_capacity(given.transactions.len() + 2048);
    out.object(|out| {
        out.key("capabilities").value(&json!(["proposal"]));
        out.key("version").value(&json!(version));
        out.key("rules").value(&json!(rules));
        out.key("vbavailable").value(&Value::Object(available));
        out.key("vbrequired").value(&json!(0));
        out.key("previousblockhash")
            .value(&json!(block.header.prev_blockhash.to_string()));
        out.key("transactions").json(&given.transactions);
        out.key("coinbaseaux").value(&json!({}));
        out.key("coinbasevalue")
            .value(&json!(template.coinbase.block_reward_remaining));
        out.key("longpollid").value(&json!(format!(
            "{}{}",
            block.header.prev_blockhash, given.updates
        )));
        out.key("target").value(&json!(target_hex(bits)));
        out.key("mintime").value(&json!(template.min_time));
        out.key("mutable")
            .value(&json!(["time", "transactions", "prevblock"]));
        out.key("noncerange").value(&json!("00000000ffffffff"));
        out.key("sigoplimit")
            .value(&json!(MAX_BLOCK_SIGOPS / scale));
        out.key("sizelimit").value(&json!(MAX_BLOCK_WEIGHT / scale));
        if segwit {
            out.key("weightlimit").value(&json!(MAX_BLOCK_WEIGHT));
        }
        out.key("curtime").value(&json!(time));
        out.key("bits").value(&json!(format!("{bits:08x}")));
        out.key("height").value(&json!(template.height));
        if let Some(challenge) = &params.signet_challenge {
            out.key("signet_challenge")
                .value(&json!(challenge.to_hex_string()));
        }
        if let Some(commitment) = template.coinbase.required_outputs.first() {
            let script = commitment.script_pubkey.to_hex_string();
            out.key("default_witness_commitment").value(&json!(script));
        }
    });
    Ok(out.into_text())
}

/// What costs are divided by: before segregated witness they were counted in units four times as large.
fn sigop_scale(parts: &NodeParts, height: u32) -> u64 {
    let params = parts.chain.params();
    if params.is_active(BuriedDeployment::Segwit, height) {
        1
    } else {
        4
    }
}

/// The template that miners were given last. They ask often, and for a while get the same one again.
#[derive(Default)]
pub struct GivenTemplate(Mutex<Option<Arc<Given>>>);

/// A template, and what it was made of.
struct Given {
    template: Template,
    /// Its transactions as they are shown.
    transactions: String,
    /// The mempool's count of changes before it was made.
    updates: u64,
    /// When it was made, in seconds since 1970.
    made: i64,
}

impl GivenTemplate {
    /// How long a template is given though the mempool has changed, in seconds. Source: Core.
    const LIFETIME: i64 = 5;

    /// The last one as long as it will do, else another.
    fn current(&self, parts: &NodeParts) -> Result<Arc<Given>, RpcError> {
        // Several miners wait for one template rather than make one each.
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let updates = parts.mempool.read(|pool| pool.updates());
        let now = parts.chain.clock().now();
        let tip = parts.chain.tip().hash;
        if let Some(given) = kept.as_ref()
            && given.template.block.header.prev_blockhash == tip
            && (given.updates == updates || now - given.made <= Self::LIFETIME)
        {
            return Ok(Arc::clone(given));
        }
        *kept = None;
        let template =
            create(&parts.chain, &parts.mempool, &parts.template).map_err(template_error)?;
        let scale = sigop_scale(parts, template.height);
        let given = Arc::new(Given {
            transactions: transactions(&template, scale),
            template,
            updates,
            made: now,
        });
        *kept = Some(Arc::clone(&given));
        Ok(given)
    }
}

fn transactions(template: &Template, scale: u64) -> String {
    // Numbered from 1: the coinbase is 0.
    let mut numbers: HashMap<Txid, u32> = HashMap::new();
    let without_coinbase = (0u32..).zip(&template.block.txdata).skip(1);
    let figures = template.fees.iter().zip(&template.sigops);
    let mut out = JsonWriter::default();
    let mut bytes = Vec::new();
    out.array(|out| {
        let ids = template.txids.iter().zip(&template.wtxids);
        for (((number, tx), (txid, wtxid)), (fee, sigops)) in without_coinbase.zip(ids).zip(figures)
        {
            bytes.clear();
            let written = tx.consensus_encode(&mut bytes);
            written.expect("a vector takes all that is written");
            out.object(|out| {
                out.key("data").hex(&bytes);
                out.key("txid").hash(txid.to_byte_array());
                out.key("hash").hash(wtxid.to_byte_array());
                out.key("depends").array(|out| {
                    let sources = tx.input.iter().map(|input| input.previous_output.txid);
                    for number in sources.filter_map(|txid| numbers.get(&txid)) {
                        out.number(*number);
                    }
                });
                out.key("fee").number(*fee);
                out.key("sigops").number(sigops.unsigned_abs() / scale);
                out.key("weight").number(tx.weight().to_wu());
            });
            numbers.insert(*txid, number);
        }
    });
    out.into_text()
}
