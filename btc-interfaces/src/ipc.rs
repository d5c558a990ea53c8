//! The traits over a connection: tables of the schemas, and how Bitcoin's types are kept in their fields.
//!
//! Whatever has a consensus encoding is kept in it, as `Data`; hashes are the 32 bytes that are hashed, the reverse of
//! what is shown; JSON is `Text`; amounts are `Int64` in sat. These are the rules that libmultiprocess's users follow.

pub mod schema;

use crate::Error;
use crate::rpc::json;
use bitcoin::consensus::encode::{self, deserialize, serialize};
use bitcoin::hashes::{Hash, sha256d};
use bitcoin::io::ErrorKind;
use bitcoin::{
    Amount, Block, BlockHash, OutPoint, ScriptBuf, Transaction, TxOut, Txid, Wtxid, block::Header,
};
use mp_core::schema::Kind;
use mp_core::{DecodeError, Field, Slot, SlotMut};
use serde_json::Value;

/// Marks the fields of this crate's interfaces, see [`mp_core::Field`].
#[derive(Debug, Clone, Copy)]
pub struct Btc;

macro_rules! consensus_encoded {
    ($($type:ty),*) => {$(
        impl Field<Btc> for $type {
            const KIND: Kind = Kind::Data;
            const EMPTY_IS_MISSING: bool = true;

            fn read(slot: Slot<'_>) -> Result<Self, mp_core::Error> {
                let name = slot.name();
                deserialize(slot.data()?).map_err(|error| unreadable(name, &error))
            }

            fn write(&self, slot: SlotMut<'_>) -> Result<(), mp_core::Error> {
                slot.set_data(&serialize(self))
            }
        }
    )*};
}

/// Bytes that end too early have the words that Core has for them, which its clients compare.
fn unreadable(name: &'static str, error: &encode::Error) -> mp_core::Error {
    match error {
        encode::Error::Io(error) if error.kind() == ErrorKind::UnexpectedEof => {
            mp_core::Error::failed("SpanReader::read(): end of data: iostream error")
        }
        other => mp_core::Error::decode(name, DecodeError::Invalid(other.to_string())),
    }
}

macro_rules! hash {
    ($($type:ty),*) => {$(
        mp_core::data_field!(Btc, $type, |hash: &$type| hash.to_byte_array(), <$type>::from_slice);
    )*};
}

consensus_encoded!(Block, Header, Transaction, TxOut, OutPoint);
hash!(BlockHash, Txid, Wtxid, sha256d::Hash);
mp_core::data_field!(
    Btc,
    ScriptBuf,
    |script: &ScriptBuf| script.to_bytes(),
    |bytes: &[u8]| { Ok::<_, std::convert::Infallible>(ScriptBuf::from_bytes(bytes.to_vec())) }
);
mp_core::text_field!(Btc, Value, Value::to_string, json::value);
mp_core::via_field!(Btc, Amount => u64, |amount: &Amount| amount.to_sat(), |sat: u64| {
    Ok::<_, std::convert::Infallible>(Amount::from_sat(sat))
});

impl From<mp_core::Error> for Error {
    fn from(error: mp_core::Error) -> Self {
        use mp_core::{Error as Mp, ExceptionKind};
        match error {
            Mp::Disconnected { during } => Self::Disconnected { during },
            Mp::Remote {
                kind: ExceptionKind::Disconnected,
                ..
            } => Self::Disconnected { during: true },
            Mp::Remote {
                kind: ExceptionKind::Unimplemented,
                reason,
            } => Self::Unsupported(reason),
            Mp::Remote {
                kind: ExceptionKind::Overloaded,
                reason,
            } => Self::Limit(reason),
            Mp::Remote { reason, .. } => Self::Failed(reason),
            Mp::Cancelled => Self::Cancelled,
            Mp::Timeout => Self::TimedOut,
            Mp::Limit { .. } => Self::Limit(error.to_string()),
            Mp::Decode { .. } => Self::Malformed(error.to_string()),
            other => Self::Failed(other.to_string()),
        }
    }
}

impl From<Error> for mp_core::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Disconnected { during } => Self::Disconnected { during },
            Error::Unsupported(what) => Self::unimplemented(what),
            Error::Limit(reason) => Self::overloaded(reason),
            Error::Cancelled => Self::Cancelled,
            Error::TimedOut => Self::Timeout,
            other => Self::failed(other.to_string()),
        }
    }
}
