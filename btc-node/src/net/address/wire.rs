//! Addresses in messages and files (BIP 155).

use super::{Endpoint, NetAddress};
use crate::net::message::{DecodeError, Reader};
use bitcoin::consensus::encode::VarInt;

/// The longest address of a network that may come to be.
const MAX_ADDRESS: usize = 512;

/// A node that may be connected to, as others tell of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerAddress {
    /// When it was last seen, in seconds since 1970.
    pub time: u32,
    /// What it offers, as bits.
    pub services: u64,
    /// Where it listens.
    pub endpoint: Endpoint,
}

/// A network's number in `addrv2`.
#[derive(Clone, Copy)]
enum Id {
    Ipv4 = 1,
    Ipv6 = 2,
    Onion = 4,
    I2p = 5,
    Cjdns = 6,
}

fn compact_size(out: &mut Vec<u8>, value: u64) {
    use bitcoin::consensus::Encodable;
    VarInt(value)
        .consensus_encode(out)
        .expect("writing to memory does not fail");
}

impl NetAddress {
    /// Whether older messages and peers understand it.
    pub fn is_v1_compatible(self) -> bool {
        matches!(self, Self::Ipv4(_) | Self::Ipv6(_) | Self::Internal(_))
    }

    /// Writes network, length and bytes.
    pub(crate) fn encode_v2(self, out: &mut Vec<u8>) {
        let (id, bytes) = match self {
            Self::Ipv4(ip) => (Id::Ipv4, ip.octets().to_vec()),
            Self::Ipv6(_) | Self::Internal(_) => (Id::Ipv6, self.to_ipv6_bytes().to_vec()),
            Self::Onion(key) => (Id::Onion, key.to_vec()),
            Self::I2p(hash) => (Id::I2p, hash.to_vec()),
            Self::Cjdns(ip) => (Id::Cjdns, ip.octets().to_vec()),
        };
        out.push(id as u8);
        compact_size(out, bytes.len() as u64);
        out.extend(bytes);
    }

    /// Reads network, length and bytes. Networks that are not known give no address.
    pub(crate) fn decode_v2(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let id: u8 = reader.read()?;
        let length = reader.read::<VarInt>()?.0;
        if length > MAX_ADDRESS as u64 {
            return Err(DecodeError::Text(format!(
                "Address too long: {length} > {MAX_ADDRESS}"
            )));
        }
        let bytes = reader.take(usize::try_from(length).expect("is short"))?;
        let wrong = |name: &str, expected: usize| {
            DecodeError::Text(format!(
                "BIP155 {name} address with length {} (should be {expected})",
                bytes.len()
            ))
        };
        let sixteen = |name| <[u8; 16]>::try_from(bytes).map_err(|_| wrong(name, 16));
        let key = |name| <[u8; 32]>::try_from(bytes).map_err(|_| wrong(name, 32));
        Ok(match id {
            id if id == Id::Ipv4 as u8 => {
                let bytes = <[u8; 4]>::try_from(bytes).map_err(|_| wrong("IPv4", 4))?;
                Self::Ipv4(bytes.into())
            }
            id if id == Id::Ipv6 as u8 => match Self::from_ipv6_bytes(sixteen("IPv6")?) {
                // Each has its own way to be told of.
                Self::Ipv4(_) => Self::UNSPECIFIED,
                address => address,
            },
            id if id == Id::Onion as u8 => Self::Onion(key("TORv3")?),
            id if id == Id::I2p as u8 => Self::I2p(key("I2P")?),
            id if id == Id::Cjdns as u8 => match sixteen("CJDNS")? {
                bytes if bytes[0] == 0xfc => Self::Cjdns(bytes.into()),
                _ => Self::UNSPECIFIED,
            },
            _ => Self::UNSPECIFIED,
        })
    }
}

impl PeerAddress {
    /// As in `addr`: addresses of newer networks become zeros.
    pub(crate) fn encode_v1(&self, out: &mut Vec<u8>) {
        out.extend(self.time.to_le_bytes());
        self.encode_without_time(out);
    }

    /// As in `version`.
    pub(crate) fn encode_without_time(&self, out: &mut Vec<u8>) {
        out.extend(self.services.to_le_bytes());
        out.extend(self.endpoint.address.to_ipv6_bytes());
        out.extend(self.endpoint.port.to_be_bytes());
    }

    /// As in `addrv2`.
    pub(crate) fn encode_v2(&self, out: &mut Vec<u8>) {
        out.extend(self.time.to_le_bytes());
        compact_size(out, self.services);
        self.endpoint.address.encode_v2(out);
        out.extend(self.endpoint.port.to_be_bytes());
    }

    pub(crate) fn decode_v1(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let time = reader.read()?;
        Self::decode_without_time(reader, time)
    }

    pub(crate) fn decode_without_time(
        reader: &mut Reader<'_>,
        time: u32,
    ) -> Result<Self, DecodeError> {
        let services = reader.read()?;
        let address = NetAddress::from_ipv6_bytes(reader.read()?);
        let port = u16::from_be_bytes(reader.read()?);
        Ok(Self {
            time,
            services,
            endpoint: Endpoint { address, port },
        })
    }

    pub(crate) fn decode_v2(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let time = reader.read()?;
        let services = reader.read::<VarInt>()?.0;
        let address = NetAddress::decode_v2(reader)?;
        let port = u16::from_be_bytes(reader.read()?);
        Ok(Self {
            time,
            services,
            endpoint: Endpoint { address, port },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_address() -> impl Strategy<Value = NetAddress> {
        prop_oneof![
            any::<[u8; 4]>().prop_map(|ip| NetAddress::Ipv4(ip.into())),
            any::<[u8; 16]>().prop_map(|mut ip| {
                ip[0] = 0x20;
                NetAddress::from_ipv6_bytes(ip)
            }),
            any::<[u8; 32]>().prop_map(NetAddress::Onion),
            any::<[u8; 32]>().prop_map(NetAddress::I2p),
            any::<[u8; 16]>().prop_map(|mut ip| {
                ip[0] = 0xfc;
                NetAddress::Cjdns(ip.into())
            }),
        ]
    }

    proptest! {
        #[test]
        fn every_address_survives_addrv2_and_text(
            address in any_address(), time: u32, services: u64, port: u16,
        ) {
            let told = PeerAddress { time, services, endpoint: Endpoint { address, port } };
            let mut bytes = Vec::new();
            told.encode_v2(&mut bytes);
            prop_assert_eq!(PeerAddress::decode_v2(&mut Reader::new(&bytes)), Ok(told));
            if !matches!(address, NetAddress::Cjdns(_)) {
                prop_assert_eq!(address.to_string().parse(), Ok(address));
            }
            if address.is_v1_compatible() {
                let mut bytes = Vec::new();
                told.encode_v1(&mut bytes);
                prop_assert_eq!(PeerAddress::decode_v1(&mut Reader::new(&bytes)), Ok(told));
            }
        }
    }

    #[test]
    fn lengths_that_do_not_fit_are_told_by_name() {
        for (bytes, text) in [
            (
                vec![1, 5, 0, 0, 0, 0, 0],
                "BIP155 IPv4 address with length 5 (should be 4)",
            ),
            (
                vec![4, 1, 0],
                "BIP155 TORv3 address with length 1 (should be 32)",
            ),
            (vec![9, 0xfd, 0x01, 0x02], "Address too long: 513 > 512"),
        ] {
            let error = NetAddress::decode_v2(&mut Reader::new(&bytes)).expect_err("is wrong");
            assert_eq!(error.to_string(), text);
        }
        let unknown = NetAddress::decode_v2(&mut Reader::new(&[0xaa, 4, 1, 2, 3, 4]));
        assert_eq!(unknown, Ok(NetAddress::UNSPECIFIED));
    }
}
