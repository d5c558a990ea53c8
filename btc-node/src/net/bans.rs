//! Addresses that are not connected to: bans, which the user sets and which are kept, and discouragement, which peers
//! bring upon themselves and which ends with the program.

use super::address::NetAddress;
use super::recent::RecentSet;
use super::subnet::Subnet;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// The version of an entry in the file.
const VERSION: i64 = 1;
/// Discouraged addresses that are remembered.
const MAX_DISCOURAGED: usize = 50_000;

/// From when to when, in seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ban {
    /// When it was set.
    pub created: i64,
    /// When it ends.
    pub until: i64,
}

/// All bans, in the order of their ranges.
#[derive(Debug)]
pub struct Bans {
    list: BTreeMap<Subnet, Ban>,
    discouraged: RecentSet<NetAddress>,
    default_time: i64,
}

/// The text is no list of bans.
#[derive(Debug, thiserror::Error)]
pub enum ParseBansError {
    /// It is not JSON, or not of this form.
    #[error("{0}")]
    Form(String),
}

impl Bans {
    /// None; those set without a time last `default_time` seconds (`-bantime`).
    pub fn new(default_time: i64) -> Self {
        Self {
            list: BTreeMap::new(),
            discouraged: RecentSet::new(MAX_DISCOURAGED),
            default_time,
        }
    }

    /// Reads `banlist.json`. Entries of other versions and ranges that are none are left out.
    ///
    /// # Errors
    /// The text has another form.
    pub fn parse(text: &str, default_time: i64) -> Result<Self, ParseBansError> {
        let form = |what: &str| ParseBansError::Form(what.to_owned());
        let file: Map<String, Value> =
            serde_json::from_str(text).map_err(|error| ParseBansError::Form(error.to_string()))?;
        let entries = file
            .get("banned_nets")
            .and_then(Value::as_array)
            .ok_or_else(|| form("banned_nets is no array"))?;
        let mut bans = Self::new(default_time);
        for entry in entries {
            let version = entry["version"].as_i64();
            if version != Some(VERSION) {
                tracing::info!(
                    "Dropping entry with unknown version ({}) from ban list",
                    entry["version"]
                );
                continue;
            }
            let address = entry["address"]
                .as_str()
                .ok_or_else(|| form("address is no text"))?;
            let Ok(subnet) = address.parse() else {
                tracing::info!(
                    "Dropping entry with unparseable address or subnet ({address}) from ban list"
                );
                continue;
            };
            let time = |name: &str| entry[name].as_i64().ok_or_else(|| form("a time is none"));
            let ban = Ban {
                created: time("ban_created")?,
                until: time("banned_until")?,
            };
            bans.list.insert(subnet, ban);
        }
        Ok(bans)
    }

    /// As `banlist.json`.
    pub fn to_json(&self) -> String {
        let entries: Vec<Value> = self
            .list
            .iter()
            .map(|(subnet, ban)| {
                json!({
                    "version": VERSION,
                    "ban_created": ban.created,
                    "banned_until": ban.until,
                    "address": subnet.to_string(),
                })
            })
            .collect();
        format!("{:#}\n", json!({ "banned_nets": entries }))
    }

    /// Bans a range for `duration` seconds, or until then if `absolute`; for the usual time if that is not above zero.
    /// A ban that lasts longer stays. Says whether anything changed.
    pub fn ban(&mut self, subnet: Subnet, duration: i64, absolute: bool, now: i64) -> bool {
        let until = match duration {
            ..=0 => now.saturating_add(self.default_time),
            _ if absolute => duration,
            _ => now.saturating_add(duration),
        };
        let longer = self.list.get(&subnet).is_none_or(|ban| ban.until < until);
        if longer {
            let created = now;
            self.list.insert(subnet, Ban { created, until });
        }
        longer
    }

    /// Takes a ban back; says whether there was one of exactly this range.
    pub fn unban(&mut self, subnet: &Subnet) -> bool {
        self.list.remove(subnet).is_some()
    }

    /// Takes all bans back.
    pub fn clear(&mut self) {
        self.list.clear();
    }

    /// The bans in force.
    pub fn list(&mut self, now: i64) -> &BTreeMap<Subnet, Ban> {
        self.list.retain(|_, ban| now <= ban.until);
        &self.list
    }

    /// Whether an address is in a banned range.
    pub fn is_banned(&self, address: NetAddress, now: i64) -> bool {
        self.list
            .iter()
            .any(|(subnet, ban)| now < ban.until && subnet.contains(address))
    }

    /// Whether exactly this range is banned.
    pub fn is_range_banned(&self, subnet: &Subnet, now: i64) -> bool {
        self.list.get(subnet).is_some_and(|ban| now < ban.until)
    }

    /// Remembers that a peer of this address broke rules.
    pub fn discourage(&mut self, address: NetAddress) {
        self.discouraged.insert(address);
    }

    /// Whether a peer of this address broke rules lately.
    pub fn is_discouraged(&self, address: NetAddress) -> bool {
        self.discouraged.contains(&address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subnet(text: &str) -> Subnet {
        text.parse().expect("a range")
    }

    #[test]
    fn bans_end_and_the_longer_one_counts() {
        let mut bans = Bans::new(100);
        let range = subnet("127.0.0.0/24");
        let address = "127.0.0.9".parse().expect("an address");
        assert!(bans.ban(range, 0, false, 1000));
        assert!(!bans.ban(range, 50, false, 1000), "it is shorter");
        assert!(bans.is_banned(address, 1099) && !bans.is_banned(address, 1100));
        assert!(bans.is_range_banned(&range, 1000));
        assert!(!bans.is_range_banned(&subnet("127.0.0.9"), 1000));
        assert!(bans.ban(range, 5000, true, 1000));
        assert_eq!(bans.list(5000).len(), 1);
        assert!(bans.list(5001).is_empty());
    }

    #[test]
    fn the_file_holds_every_ban_in_order() {
        let mut bans = Bans::new(100);
        let onion = "pg6mmjiyjmcrsslvykfwnntlaru7p5svn6y2ymmju6nubxndf4pscryd.onion";
        let ranges = [
            "127.0.0.0/24",
            "127.0.0.0/32",
            "192.168.0.1/32",
            "2001::/19",
            onion,
        ];
        for range in ranges.iter().rev() {
            bans.ban(subnet(range), 0, false, 1);
        }
        let mut read = Bans::parse(&bans.to_json(), 100).expect("is as written");
        let listed: Vec<String> = read.list(1).keys().map(ToString::to_string).collect();
        assert_eq!(listed, ranges);
        assert!(Bans::parse("[]", 100).is_err());
        assert!(Bans::parse("{}", 100).is_err());
        let unknown = r#"{"banned_nets":[{"version":2},{"version":1,"address":"x"}]}"#;
        assert!(
            Bans::parse(unknown, 100)
                .expect("is read")
                .list(0)
                .is_empty()
        );
    }
}
