//! First peers: those that the chain's DNS seeds know.

use super::Network;
use super::inputs::Input;
use crate::net::{Endpoint, NetAddress, PeerAddress};
use crate::sync::dial::ENOUGH_PEERS;
use bitcoin::key::rand::Rng;
use bitcoin::key::rand::rngs::OsRng;
use bitcoin::key::rand::seq::SliceRandom;
use bitcoin::p2p::ServiceFlags;
use btc_consensus::params::Chain;
use std::net::{IpAddr, ToSocketAddrs};
use std::time::{Duration, Instant};

/// Seeds asked at a time, while others may give enough.
const AT_ONCE: usize = 3;
/// With so many addresses known, there is time to try them first.
const MANY_PEERS: usize = 1000;
const DELAY_FEW: Duration = Duration::from_secs(11);
const DELAY_MANY: Duration = Duration::from_secs(300);
/// How long `-seednode` may take to be enough.
const SEED_NODES_TIME: Duration = Duration::from_secs(30);
/// Addresses taken of one seed.
const MAX_ADDRESSES: usize = 32;
const DAY: i64 = 24 * 60 * 60;

/// The chain's seeds, by name.
fn seeds(chain: Chain) -> &'static [&'static str] {
    match chain {
        Chain::Main => &[
            "dnsseed.bluematt.me.",
            "seed.bitcoin.jonasschnelli.ch.",
            "seed.btc.petertodd.net.",
            "seed.bitcoin.sprovoost.nl.",
            "dnsseed.emzy.de.",
            "seed.bitcoin.wiz.biz.",
            "seed.mainnet.achownodes.xyz.",
        ],
        Chain::Testnet3 => &[
            "testnet-seed.bitcoin.jonasschnelli.ch.",
            "seed.tbtc.petertodd.net.",
            "testnet-seed.bluematt.me.",
            "seed.testnet.achownodes.xyz.",
        ],
        Chain::Testnet4 => &[
            "seed.testnet4.bitcoin.sprovoost.nl.",
            "seed.testnet4.wiz.biz.",
        ],
        Chain::Signet => &[
            "seed.signet.bitcoin.sprovoost.nl.",
            "seed.signet.achownodes.xyz.",
        ],
        // No such name exists, so nothing leaves the machine but the question.
        Chain::Regtest => &["dummySeed.invalid."],
    }
}

/// Which seeds are asked, and when.
#[derive(Clone, Debug, Default)]
pub(crate) struct SeedOptions {
    /// `-dnsseed`.
    pub(crate) enabled: bool,
    /// `-forcednsseed`.
    pub(crate) forced: bool,
    /// There are `-seednode`s, which are asked first.
    pub(crate) after_seed_nodes: bool,
}

/// Asks the seeds until there are peers. Runs on a thread of its own.
pub(super) fn run(network: &Network, options: &SeedOptions, chain: Chain) {
    tracing::info!("dnsseed thread start");
    ask(network, options, chain);
    tracing::info!("dnsseed thread exit");
}

fn ask(network: &Network, options: &SeedOptions, chain: Chain) -> Option<()> {
    let go_on = |time| network.stop.wait(time).then_some(());
    if options.after_seed_nodes {
        tracing::info!(
            "-seednode enabled. Trying the provided seeds for {} seconds before defaulting to the dnsseeds.",
            SEED_NODES_TIME.as_secs()
        );
        let start = Instant::now();
        loop {
            go_on(Duration::from_millis(500))?;
            if start.elapsed() > SEED_NODES_TIME {
                tracing::info!(
                    "Couldn't connect to enough peers via seed nodes. Handing fetch logic to the DNS seeds."
                );
                break;
            }
            if network.full_relay_peers() >= ENOUGH_PEERS {
                tracing::info!("P2P peers available. Finished fetching data from seed nodes.");
                break;
            }
        }
    }
    let mut names = seeds(chain).to_vec();
    names.shuffle(&mut OsRng);
    let known = || network.directory.book().len();
    let mut now = if options.forced || known() == 0 {
        names.len()
    } else {
        0
    };
    if now == 0 && options.after_seed_nodes && network.full_relay_peers() >= ENOUGH_PEERS {
        tracing::info!("Skipping DNS seeds. Enough peers have been found");
        return Some(());
    }
    let delay = if known() >= MANY_PEERS {
        DELAY_MANY
    } else {
        DELAY_FEW
    };
    let mut found = 0;
    for name in names {
        if now == 0 {
            now = AT_ONCE;
            if known() > 0 {
                tracing::info!(
                    "Waiting {} seconds before querying DNS seeds.",
                    delay.as_secs()
                );
                let mut left = delay;
                while !left.is_zero() {
                    let step = left.min(DELAY_FEW);
                    go_on(step)?;
                    left -= step;
                    if network.full_relay_peers() >= ENOUGH_PEERS {
                        if found > 0 {
                            tracing::info!("{found} addresses found from DNS seeds");
                            tracing::info!("P2P peers available. Finished DNS seeding.");
                        } else {
                            tracing::info!("P2P peers available. Skipped DNS seeding.");
                        }
                        return Some(());
                    }
                }
            }
        }
        go_on(Duration::ZERO)?;
        if !network.is_active() {
            tracing::info!("Waiting for network to be reactivated before querying DNS seeds.");
            while !network.is_active() {
                go_on(Duration::from_secs(1))?;
            }
        }
        tracing::info!("Loading addresses from DNS seed {name}");
        found += look_up(network, name);
        now -= 1;
    }
    tracing::info!("{found} addresses found from DNS seeds");
    Some(())
}

/// Asks one seed; if it cannot choose by services, a node that it names is asked for addresses.
fn look_up(network: &Network, seed: &str) -> usize {
    let services = ServiceFlags::NETWORK | ServiceFlags::WITNESS;
    let host = format!("x{:x}.{seed}", services.to_u64());
    if network.notation.routes.names().is_some() {
        // To look it up here would tell the world what the proxy is to hide.
        let _ = super::lock(&network.inputs).send(Input::FetchFrom(seed.to_owned()));
        return 0;
    }
    let addresses: Vec<IpAddr> = (host.as_str(), 0)
        .to_socket_addrs()
        .map(|found| {
            found
                .take(MAX_ADDRESSES)
                .map(|address| address.ip())
                .collect()
        })
        .unwrap_or_default();
    if addresses.is_empty() {
        // Without a receiver the node is stopping.
        let _ = super::lock(&network.inputs).send(Input::FetchFrom(seed.to_owned()));
        return 0;
    }
    let now = network.seconds();
    let told: Vec<PeerAddress> = addresses
        .into_iter()
        .map(|ip| PeerAddress {
            // Seeds do not tell when, so some days ago.
            time: u32::try_from(now - OsRng.gen_range(3 * DAY..7 * DAY)).unwrap_or(0),
            services: services.to_u64(),
            endpoint: Endpoint::new(ip, network.notation.default_port),
        })
        .collect();
    network
        .directory
        .book()
        .add(&told, NetAddress::internal(&host), 0, now);
    told.len()
}
