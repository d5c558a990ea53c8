//! `-whitelist`: what peers from some addresses may do beyond others.

use super::option;
use crate::net::NetAddress;
use crate::net::subnet::Subnet;
use crate::node::StartError;
use crate::sync::Permissions;
use btc_interfaces::args::Args;
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
    pub(crate) fn permissions(&self, address: impl Into<NetAddress>, inbound: bool) -> Permissions {
        let address = address.into();
        let mut granted = Permissions::default();
        for rule in &self.0 {
            let applies = if inbound { rule.inbound } else { rule.outbound };
            if applies && rule.subnet.contains(address) {
                granted = granted.union(rule.permissions);
            }
        }
        granted
    }
}

/// What a rule without permissions means.
fn implied(args: &Args) -> Permissions {
    let force_relay = args.flag("whitelistforcerelay").unwrap_or(false);
    Permissions {
        no_ban: true,
        download: true,
        mempool: true,
        force_relay,
        relay: force_relay
            || args
                .flag("whitelistrelay")
                .unwrap_or(!args.flag("blocksonly").unwrap_or(false)),
        ..Permissions::default()
    }
}

/// Reads every `-whitelist=[permission,...@]subnet`.
pub(super) fn whitelist(args: &Args) -> Result<Whitelist, StartError> {
    let implied = implied(args);
    let rules = args
        .values("whitelist")
        .iter()
        .map(|text| rule(text, implied))
        .collect::<Result<_, _>>()?;
    Ok(Whitelist(rules))
}

/// Reads a `-whitebind=[permission,...@]address`: the permissions and the address.
pub(super) fn whitebind(args: &Args, text: &str) -> Result<(Permissions, String), StartError> {
    let (granted, address) = split(text)?;
    let Some(granted) = granted else {
        return Ok((implied(args), address.to_owned()));
    };
    if granted.outbound {
        return Err(option(
            "whitebind may only be used for incoming connections (\"out\" was passed)",
        ));
    }
    Ok((granted.permissions, address.to_owned()))
}

/// What stands before an `@`.
struct Granted {
    permissions: Permissions,
    inbound: bool,
    outbound: bool,
}

fn split(text: &str) -> Result<(Option<Granted>, &str), StartError> {
    let Some((names, rest)) = text.split_once('@') else {
        return Ok((None, text));
    };
    let mut granted = Granted {
        permissions: Permissions::default(),
        inbound: false,
        outbound: false,
    };
    for name in names.split(',') {
        match name {
            "" => {}
            "in" => granted.inbound = true,
            "out" => granted.outbound = true,
            name => {
                let permission = Permissions::from_name(name)
                    .ok_or_else(|| option(format!("Invalid P2P permission: '{name}'")))?;
                granted.permissions = granted.permissions.union(permission);
            }
        }
    }
    if (granted.inbound || granted.outbound) && granted.permissions == Permissions::default() {
        return Err(option(format!(
            "Only direction was set, no permissions: '{text}'"
        )));
    }
    Ok((Some(granted), rest))
}

fn rule(text: &str, implied: Permissions) -> Result<Rule, StartError> {
    let (granted, subnet) = split(text)?;
    let granted = granted.unwrap_or(Granted {
        permissions: implied,
        inbound: true,
        outbound: false,
    });
    let subnet = subnet.parse().map_err(|_| {
        option(format!(
            "Invalid netmask specified in -whitelist: '{subnet}'"
        ))
    })?;
    Ok(Rule {
        subnet,
        // Without a direction it is about those who connect to this node.
        inbound: granted.inbound || !granted.outbound,
        outbound: granted.outbound,
        permissions: granted.permissions,
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
            download: no_ban,
            mempool,
            ..Permissions::default()
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
        assert_eq!(names(&list), ["noban", "relay", "mempool", "download"]);
        assert_eq!(list.permissions(HERE, false), Permissions::default());
        let list = read(&["-whitelist=127.0.0.1", "-whitelistrelay=0"]).expect("a rule");
        assert_eq!(names(&list), ["noban", "mempool", "download"]);
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
                "-whitelist=in@127.0.0.1",
                "Only direction was set, no permissions: 'in@127.0.0.1'",
            ),
        ] {
            assert_eq!(read(&[argument]).unwrap_err().to_string(), reason);
        }
    }
}
