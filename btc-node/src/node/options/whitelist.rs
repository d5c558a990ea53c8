//! `-whitelist`: what peers from some addresses may do beyond others.

use super::option;
use crate::net::subnet::Subnet;
use crate::node::StartError;
use crate::sync::Permissions;
use btc_interfaces::args::Args;
use std::net::IpAddr;

/// Permissions that Core knows and this node does not offer yet.
const NOT_OFFERED: [&str; 5] = ["bloomfilter", "bloom", "forcerelay", "download", "addr"];

/// One `-whitelist`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Rule {
    subnet: Subnet,
    inbound: bool,
    outbound: bool,
    permissions: Permissions,
}

/// All of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Whitelist(Vec<Rule>);

impl Whitelist {
    /// What a peer may do that connects from `address`, or that this node connects to there.
    pub(crate) fn permissions(&self, address: IpAddr, inbound: bool) -> Permissions {
        let mut granted = Permissions::default();
        for rule in &self.0 {
            let applies = if inbound { rule.inbound } else { rule.outbound };
            if applies && rule.subnet.contains(address) {
                granted.no_ban |= rule.permissions.no_ban;
                granted.relay |= rule.permissions.relay;
                granted.mempool |= rule.permissions.mempool;
            }
        }
        granted
    }
}

/// Reads every `-whitelist=[permission,...@]subnet`.
pub(super) fn whitelist(args: &Args) -> Result<Whitelist, StartError> {
    // What a rule without permissions means.
    let implied = Permissions {
        no_ban: true,
        relay: args.flag("whitelistrelay").unwrap_or(true),
        mempool: true,
    };
    let rules = args
        .values("whitelist")
        .iter()
        .map(|text| rule(text, implied))
        .collect::<Result<_, _>>()?;
    Ok(Whitelist(rules))
}

fn rule(text: &str, implied: Permissions) -> Result<Rule, StartError> {
    let (names, subnet) = match text.split_once('@') {
        Some((names, subnet)) => (Some(names), subnet),
        None => (None, text),
    };
    let (mut inbound, mut outbound) = (false, false);
    let mut permissions = Permissions::default();
    for name in names.into_iter().flat_map(|names| names.split(',')) {
        match name {
            "" => {}
            "in" => inbound = true,
            "out" => outbound = true,
            "noban" => permissions.no_ban = true,
            "relay" => permissions.relay = true,
            "mempool" => permissions.mempool = true,
            "all" => {
                permissions = Permissions {
                    no_ban: true,
                    relay: true,
                    mempool: true,
                };
            }
            name if NOT_OFFERED.contains(&name) => {
                return Err(option(format!(
                    "the permission '{name}' of -whitelist is not supported by this node yet"
                )));
            }
            name => return Err(option(format!("Invalid P2P permission: '{name}'"))),
        }
    }
    let subnet = subnet.parse().map_err(|_| {
        option(format!(
            "Invalid netmask specified in -whitelist: '{subnet}'"
        ))
    })?;
    Ok(Rule {
        subnet,
        // Without a direction it is about those who connect to this node.
        inbound: inbound || !outbound,
        outbound,
        permissions: if names.is_some() {
            permissions
        } else {
            implied
        },
    })
}

#[cfg(test)]
mod tests {
    use super::{Whitelist, whitelist};
    use crate::node::StartError;
    use crate::sync::Permissions;
    use btc_interfaces::args::{Args, Program};
    use std::net::{IpAddr, Ipv4Addr};

    fn read(arguments: &[&str]) -> Result<Whitelist, StartError> {
        let mut args = Args::new(Program::Node);
        args.parse(["-regtest", "-datadir=/nowhere"].iter().chain(arguments))?;
        whitelist(&args)
    }

    const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    #[test]
    fn rules_add_up_where_they_apply() {
        let list = read(&[
            "-whitelist=noban,in,out@127.0.0.1",
            "-whitelist=mempool@127.0.0.0/8",
            "-whitelist=relay@10.0.0.0/8",
        ])
        .expect("these are rules");
        let granted = |no_ban, mempool| Permissions {
            no_ban,
            mempool,
            relay: false,
        };
        assert_eq!(list.permissions(HERE, true), granted(true, true));
        assert_eq!(list.permissions(HERE, false), granted(true, false));
        let other = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));
        assert_eq!(list.permissions(other, true), granted(false, true));
        let stranger = IpAddr::V4(Ipv4Addr::new(8, 8, 8, 8));
        assert_eq!(list.permissions(stranger, true), Permissions::default());
    }

    #[test]
    fn a_rule_without_permissions_implies_some() {
        let list = read(&["-whitelist=127.0.0.1"]).expect("a rule");
        let names = |list: &Whitelist| list.permissions(HERE, true).names();
        assert_eq!(names(&list), ["relay", "mempool", "noban"]);
        assert_eq!(list.permissions(HERE, false), Permissions::default());
        let list = read(&["-whitelist=127.0.0.1", "-whitelistrelay=0"]).expect("a rule");
        assert_eq!(names(&list), ["mempool", "noban"]);
        let none = read(&["-whitelist=@127.0.0.1"]).expect("a rule");
        assert!(names(&none).is_empty());
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for (argument, reason) in [
            (
                "-whitelist=oopsie@127.0.0.1",
                "Invalid P2P permission: 'oopsie'",
            ),
            (
                "-whitelist=noban@127.0.0.1:230",
                "Invalid netmask specified in -whitelist: '127.0.0.1:230'",
            ),
            (
                "-whitelist=bloom@127.0.0.1",
                "the permission 'bloom' of -whitelist is not supported by this node yet",
            ),
        ] {
            assert_eq!(read(&[argument]).unwrap_err().to_string(), reason);
        }
    }
}
