//! Addresses as users write and read them.

use super::{Endpoint, NetAddress};
use sha3::{Digest, Sha3_256};
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// The version of onion services whose addresses these are.
const ONION_VERSION: u8 = 3;
const BASE32: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// The text is no address; it may be a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an address")]
pub struct ParseAddressError;

impl fmt::Display for NetAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ipv4(ip) => ip.fmt(f),
            Self::Ipv6(ip) | Self::Cjdns(ip) => ip.fmt(f),
            Self::Onion(key) => {
                let mut bytes = key.to_vec();
                bytes.extend(onion_checksum(key));
                bytes.push(ONION_VERSION);
                write!(f, "{}.onion", base32(&bytes))
            }
            Self::I2p(hash) => write!(f, "{}.b32.i2p", base32(hash)),
            Self::Internal(name) => write!(f, "{}.internal", base32(name)),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address {
            NetAddress::Ipv6(_) | NetAddress::Cjdns(_) => {
                write!(f, "[{}]:{}", self.address, self.port)
            }
            _ => write!(f, "{}:{}", self.address, self.port),
        }
    }
}

impl FromStr for NetAddress {
    type Err = ParseAddressError;

    /// Reads an address of any network; names are not looked up.
    fn from_str(text: &str) -> Result<Self, ParseAddressError> {
        let lower = text.to_ascii_lowercase();
        if let Some(name) = lower.strip_suffix(".onion") {
            let bytes = unbase32(name).ok_or(ParseAddressError)?;
            let (key, rest) = bytes.split_first_chunk::<32>().ok_or(ParseAddressError)?;
            let [first, second] = onion_checksum(key);
            let valid = *rest == [first, second, ONION_VERSION];
            return valid.then_some(Self::Onion(*key)).ok_or(ParseAddressError);
        }
        if let Some(name) = lower.strip_suffix(".b32.i2p") {
            let bytes = unbase32(name).ok_or(ParseAddressError)?;
            let hash = bytes.try_into().map_err(|_| ParseAddressError)?;
            return Ok(Self::I2p(hash));
        }
        let bare = text
            .strip_prefix('[')
            .and_then(|text| text.strip_suffix(']'))
            .unwrap_or(text);
        if let Ok(ip) = bare.parse::<IpAddr>() {
            return Ok(ip.into());
        }
        shorthand(bare)
            .map(|ip| Self::Ipv4(ip.into()))
            .ok_or(ParseAddressError)
    }
}

/// IPv4 addresses of fewer than four numbers, as systems take them: the last number fills the bytes that are left.
fn shorthand(text: &str) -> Option<u32> {
    let mut numbers = Vec::new();
    for part in text.split('.') {
        if part.is_empty() || !part.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        // A leading zero means octal to some.
        if part.len() > 1 && part.starts_with('0') {
            return None;
        }
        numbers.push(part.parse::<u32>().ok()?);
    }
    let (last, first) = numbers.split_last()?;
    if first.is_empty() || first.len() > 2 {
        return None;
    }
    let mut address = 0u32;
    for (number, shift) in first.iter().zip([24, 16]) {
        address |= u32::from(u8::try_from(*number).ok()?) << shift;
    }
    let room = 32 - 8 * u32::try_from(first.len()).ok()?;
    (*last < 1 << room).then_some(address | last)
}

impl Endpoint {
    /// Reads an address with or without port; `None` for names, and for ports that are none.
    pub fn parse(text: &str, default_port: u16) -> Option<Self> {
        let (host, port) = split_host_port(text)?;
        let address: NetAddress = host.parse().ok()?;
        Some(Self::new(address, port.unwrap_or(default_port)))
    }
}

/// Splits what a user wrote into host and port; `None` if the port is none. An IPv6 address has its port after
/// brackets.
pub fn split_host_port(text: &str) -> Option<(&str, Option<u16>)> {
    let port_of = |text: &str| -> Option<u16> {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse().ok().filter(|port| digits && *port != 0)
    };
    if let Some(rest) = text.strip_prefix('[') {
        let (host, after) = rest.split_once(']')?;
        return match after.strip_prefix(':') {
            Some(port) => Some((host, Some(port_of(port)?))),
            None if after.is_empty() => Some((host, None)),
            None => None,
        };
    }
    match text.split_once(':') {
        Some((host, port)) if !port.contains(':') => Some((host, Some(port_of(port)?))),
        _ => Some((text, None)),
    }
}

fn onion_checksum(key: &[u8; 32]) -> [u8; 2] {
    let mut hasher = Sha3_256::new();
    hasher.update(b".onion checksum");
    hasher.update(key);
    hasher.update([ONION_VERSION]);
    let hash = hasher.finalize();
    [hash[0], hash[1]]
}

/// Base 32 (RFC 4648) in lower case, without padding.
fn base32(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() * 8 / 5 + 1);
    let (mut bits, mut held) = (0u32, 0u32);
    for byte in bytes {
        held = held << 8 | u32::from(*byte);
        bits += 8;
        while bits >= 5 {
            bits -= 5;
            out.push(char::from(BASE32[(held >> bits & 31) as usize]));
        }
        held &= (1 << bits) - 1;
    }
    if bits > 0 {
        out.push(char::from(BASE32[(held << (5 - bits) & 31) as usize]));
    }
    out
}

fn unbase32(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len() * 5 / 8);
    let (mut bits, mut held) = (0u32, 0u32);
    for byte in text.bytes() {
        let digit = BASE32.iter().position(|digit| *digit == byte)?;
        held = held << 5 | u32::try_from(digit).ok()?;
        bits += 5;
        if bits >= 8 {
            bits -= 8;
            out.push((held >> bits & 0xff) as u8);
        }
        held &= (1 << bits) - 1;
    }
    // What is left is padding: less than a digit, and zeros.
    (bits < 5 && held == 0).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONION: &str = "pg6mmjiyjmcrsslvykfwnntlaru7p5svn6y2ymmju6nubxndf4pscryd.onion";
    const I2P: &str = "c4gfnttsuwqomiygupdqqqyy5y5emnk5c73hrfvatri67prd7vyq.b32.i2p";

    #[test]
    fn addresses_of_all_networks_read_as_they_are_written() {
        for text in [
            ONION,
            I2P,
            "1.2.3.4",
            "2001:4d48:ac57:400:cacf:e9ff:fe1d:9c63",
        ] {
            let address: NetAddress = text.parse().expect("an address");
            assert_eq!(address.to_string(), text);
        }
        let short: NetAddress = "127.1".parse().expect("shorthand");
        assert_eq!(short.to_string(), "127.0.0.1");
    }

    #[test]
    fn a_mistyped_onion_address_is_none() {
        let mistyped = ONION.replacen("pg6", "pg7", 1);
        assert_eq!(mistyped.parse::<NetAddress>(), Err(ParseAddressError));
        for text in [
            "",
            "a.name",
            "1.2.3.256",
            "1.256.3",
            "5",
            "aaaa.onion",
            "a.b32.i2p",
            "1..2",
        ] {
            assert_eq!(text.parse::<NetAddress>(), Err(ParseAddressError), "{text}");
        }
    }

    #[test]
    fn endpoints_have_a_port_or_get_one() {
        for (text, expected) in [
            ("1.2.3.4", Some("1.2.3.4:7")),
            ("1.2.3.4:9", Some("1.2.3.4:9")),
            ("::1", Some("[::1]:7")),
            ("[::1]:9", Some("[::1]:9")),
            ("[::1]", Some("[::1]:7")),
            ("a.name:9", None),
            ("1.2.3.4:0", None),
            ("1.2.3.4:x", None),
        ] {
            let parsed = Endpoint::parse(text, 7).map(|endpoint| endpoint.to_string());
            assert_eq!(parsed.as_deref(), expected, "{text}");
        }
    }
}
