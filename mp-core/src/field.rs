//! How Rust types are kept in the fields of messages.

mod collection;
mod object;
mod scalar;
mod slot;

pub use slot::{Decoder, Encoder, Slot, SlotMut};

use crate::error::Error;
use crate::interface::Reply;
use crate::plan::{Member, MethodPlan, Results};
use crate::schema::{ExportError, FieldType, Kind, SchemaFile};
use crate::wire::{StructAt, StructReader};

/// A type that can be kept in a field: a parameter, a result, a member of a [`Message`](macro@crate::Message) struct
/// or an element of a list.
///
/// `C` is a marker type of the crate that declares the interfaces, its *codec*: since it is that crate's own, it may
/// implement `Field<ItsCodec>` for types of other crates (a transaction, a hash) without a newtype. The usual types
/// are implemented for every codec.
///
/// | Rust | schema |
/// |---|---|
/// | `bool`, integers, `f32`, `f64` | the number; integers are range-checked when the widths differ |
/// | `String` | `Text` or `Data` |
/// | `Vec<u8>` | `Data` |
/// | `Vec<T>` | `List` |
/// | `HashMap`, `BTreeMap`, `Vec<(A, B)>` | `List` of a struct of two fields |
/// | `Option<T>` | `T` with a companion `hasFoo :Bool`, or a pointer that may be null; in a list, an empty element |
/// | `Arc<dyn Trait>` | a capability |
/// | `()` | nothing |
pub trait Field<C>: Sized {
    /// The kind of field that fits the type best: what a trait without a schema file gets, and what a schema's field
    /// is checked against at compile time.
    const KIND: Kind;

    /// For types kept in a struct: its words of data and its pointers.
    const STRUCT_SIZE: (u16, u16) = (0, 0);

    /// For types kept in `Data` that have no value without bytes: whether an empty one stands for a missing value.
    /// Peers that cannot tell an empty `Data` from none send it so.
    const EMPTY_IS_MISSING: bool = false;

    /// Reads the value.
    ///
    /// # Errors
    /// [`Error::Decode`] when the field does not hold one.
    fn read(slot: Slot<'_>) -> Result<Self, Error>;

    /// Writes the value.
    ///
    /// # Errors
    /// [`Error::Decode`] when the value does not fit the field.
    fn write(&self, slot: SlotMut<'_>) -> Result<(), Error>;

    /// Whether a value may be missing.
    #[doc(hidden)]
    const OPTIONAL: bool = false;

    /// The results of a method that gives the type.
    #[doc(hidden)]
    const RESULTS: Results = Results::of(&[Member::result(Self::KIND, Self::OPTIONAL)]);

    /// The class of the type where it stands for an error.
    #[doc(hidden)]
    const EXCEPTION: &'static str = "std::exception";

    /// How a schema spells the type.
    #[doc(hidden)]
    fn schema_type(file: &mut SchemaFile) -> Result<String, ExportError> {
        file.plain(&Self::KIND)
    }

    /// How a schema spells the types of [`Field::RESULTS`].
    #[doc(hidden)]
    fn result_types(file: &mut SchemaFile) -> Result<Vec<FieldType>, ExportError> {
        Ok(vec![FieldType::of::<C, Self>(file)?])
    }

    /// The kind of field that fits a vector of the type best.
    #[doc(hidden)]
    const LIST_KIND: Kind = Kind::List(&Self::KIND);

    /// Reads a list. Bytes do it otherwise.
    #[doc(hidden)]
    fn read_list(slot: Slot<'_>) -> Result<Vec<Self>, Error> {
        collection::read_list::<C, Self>(slot)
    }

    /// Writes a list. Bytes do it otherwise.
    #[doc(hidden)]
    fn write_list(items: &[Self], slot: SlotMut<'_>) -> Result<(), Error> {
        collection::write_list::<C, Self, _>(items.len(), items.iter(), slot)
    }

    /// Reads the results of a method. Most types are the one result called `result`.
    #[doc(hidden)]
    fn read_results(
        results: StructReader<'_>,
        plan: &MethodPlan,
        decoder: &Decoder<'_>,
    ) -> Result<Self, Error> {
        let result = plan.result.as_ref().ok_or_else(|| no_result(plan))?;
        Self::read(Slot::field(&results, result, decoder))
    }

    /// Writes the results of a method.
    #[doc(hidden)]
    fn write_results(
        &self,
        results: StructAt,
        plan: &MethodPlan,
        encoder: &mut Encoder,
    ) -> Result<(), Error> {
        let result = plan.result.as_ref().ok_or_else(|| no_result(plan))?;
        self.write(SlotMut::field(results, result, encoder))
    }
}

fn no_result(plan: &MethodPlan) -> Error {
    Error::Local(format!(
        "schema of {}.{} has no result of that name",
        plan.interface, plan.method.name
    ))
}

/// What a method returns: `Result<R, E>`, where `R` is kept in its results and `E` comes from a failed call.
///
/// On the serving side an `E` travels to the caller as an exception with its text. `R` may itself be a
/// `Result<R, X>`: then `X` is the result that the schema declares as an exception.
pub trait Outcome<C>: Sized {
    /// The results, for traits without a schema file.
    #[doc(hidden)]
    const RESULTS: Results;

    /// How a schema spells their types.
    #[doc(hidden)]
    fn result_types(file: &mut SchemaFile) -> Result<Vec<FieldType>, ExportError>;

    /// Makes it from a call's reply.
    #[doc(hidden)]
    fn from_reply(reply: Result<Reply, Error>, plan: &MethodPlan) -> Self;

    /// Writes it into a reply.
    #[doc(hidden)]
    fn into_results(
        self,
        results: StructAt,
        plan: &MethodPlan,
        encoder: &mut Encoder,
    ) -> Result<(), Error>;
}

impl<C, R, E> Outcome<C> for Result<R, E>
where
    R: Field<C>,
    E: From<Error> + Into<Error>,
{
    const RESULTS: Results = R::RESULTS;

    fn result_types(file: &mut SchemaFile) -> Result<Vec<FieldType>, ExportError> {
        R::result_types(file)
    }

    fn from_reply(reply: Result<Reply, Error>, plan: &MethodPlan) -> Self {
        let reply = reply?;
        let value = reply
            .results()
            .and_then(|results| R::read_results(results, plan, &reply.decoder()));
        Ok(value?)
    }

    fn into_results(
        self,
        results: StructAt,
        plan: &MethodPlan,
        encoder: &mut Encoder,
    ) -> Result<(), Error> {
        match self {
            Ok(value) => value.write_results(results, plan, encoder),
            Err(error) => Err(error.into()),
        }
    }
}

/// Keeps a type in `Data`: `data_field!(Codec, Type, encode, decode)`, where `encode` is a `fn(&Type) -> Vec<u8>` and
/// `decode` a `fn(&[u8]) -> Result<Type, impl Display>`.
///
/// ```
/// struct Codec;
/// struct Hash([u8; 4]);
/// mp_core::data_field!(Codec, Hash, |hash: &Hash| hash.0.to_vec(), |bytes: &[u8]| {
///     bytes.try_into().map(Hash).map_err(|_| "a hash has 4 bytes")
/// });
/// ```
#[macro_export]
macro_rules! data_field {
    ($codec:ty, $type:ty, $encode:expr, $decode:expr) => {
        impl $crate::Field<$codec> for $type {
            const KIND: $crate::schema::Kind = $crate::schema::Kind::Data;

            fn read(slot: $crate::Slot<'_>) -> ::core::result::Result<Self, $crate::Error> {
                let name = slot.name();
                let bytes = slot.data()?;
                let decode = $decode;
                decode(bytes).map_err(|error| {
                    $crate::Error::decode(
                        name,
                        $crate::DecodeError::Invalid(::std::string::ToString::to_string(&error)),
                    )
                })
            }

            fn write(
                &self,
                slot: $crate::SlotMut<'_>,
            ) -> ::core::result::Result<(), $crate::Error> {
                let encode = $encode;
                slot.set_data(::core::convert::AsRef::<[u8]>::as_ref(&encode(self)))
            }
        }
    };
}

/// Keeps a type in `Text`: `text_field!(Codec, Type, encode, decode)`, where `encode` is a `fn(&Type) -> String` and
/// `decode` a `fn(&str) -> Result<Type, impl Display>`.
///
/// ```
/// struct Codec;
/// mp_core::text_field!(Codec, std::net::IpAddr, |ip: &std::net::IpAddr| ip.to_string(), |text: &str| text.parse::<std::net::IpAddr>());
/// # // The address is no type of this crate; the codec is, and that is enough.
/// ```
#[macro_export]
macro_rules! text_field {
    ($codec:ty, $type:ty, $encode:expr, $decode:expr) => {
        impl $crate::Field<$codec> for $type {
            const KIND: $crate::schema::Kind = $crate::schema::Kind::Text;

            fn read(slot: $crate::Slot<'_>) -> ::core::result::Result<Self, $crate::Error> {
                let name = slot.name();
                let text = slot.text()?;
                let decode = $decode;
                decode(text).map_err(|error| {
                    $crate::Error::decode(
                        name,
                        $crate::DecodeError::Invalid(::std::string::ToString::to_string(&error)),
                    )
                })
            }

            fn write(
                &self,
                slot: $crate::SlotMut<'_>,
            ) -> ::core::result::Result<(), $crate::Error> {
                let encode = $encode;
                slot.set_text(::core::convert::AsRef::<str>::as_ref(&encode(self)))
            }
        }
    };
}

/// Keeps a type as another one: `via_field!(Codec, Type => Other, encode, decode)`, where `encode` is a
/// `fn(&Type) -> Other` and `decode` a `fn(Other) -> Result<Type, impl Display>`.
///
/// ```
/// struct Codec;
/// mp_core::via_field!(Codec, std::time::Duration => f64, |time: &std::time::Duration| time.as_secs_f64(),
///     std::time::Duration::try_from_secs_f64);
/// ```
#[macro_export]
macro_rules! via_field {
    ($codec:ty, $type:ty => $other:ty, $encode:expr, $decode:expr) => {
        impl $crate::Field<$codec> for $type {
            const KIND: $crate::schema::Kind = <$other as $crate::Field<$codec>>::KIND;
            const STRUCT_SIZE: (u16, u16) = <$other as $crate::Field<$codec>>::STRUCT_SIZE;
            const OPTIONAL: bool = <$other as $crate::Field<$codec>>::OPTIONAL;

            fn schema_type(
                file: &mut $crate::schema::SchemaFile,
            ) -> ::core::result::Result<::std::string::String, $crate::schema::ExportError> {
                <$other as $crate::Field<$codec>>::schema_type(file)
            }

            fn read(slot: $crate::Slot<'_>) -> ::core::result::Result<Self, $crate::Error> {
                let name = slot.name();
                let decode = $decode;
                decode(<$other as $crate::Field<$codec>>::read(slot)?).map_err(|error| {
                    $crate::Error::decode(
                        name,
                        $crate::DecodeError::Invalid(::std::string::ToString::to_string(&error)),
                    )
                })
            }

            fn write(
                &self,
                slot: $crate::SlotMut<'_>,
            ) -> ::core::result::Result<(), $crate::Error> {
                let encode = $encode;
                let other: $other = encode(self);
                <$other as $crate::Field<$codec>>::write(&other, slot)
            }
        }
    };
}
