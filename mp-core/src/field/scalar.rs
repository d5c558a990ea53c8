//! Numbers, text, and nothing.

use super::{Decoder, Encoder, Field, Slot, SlotMut};
use crate::error::{DecodeError, Error};
use crate::plan::{MethodPlan, Results};
use crate::schema::{ExportError, FieldType, Kind, SchemaFile};
use crate::wire::{StructAt, StructReader};

macro_rules! integer {
    ($type:ty, $kind:expr, $wide:ty, $signed:literal $(, $hooks:item)*) => {
        impl<C> Field<C> for $type {
            const KIND: Kind = $kind;

            fn schema_type(_: &mut SchemaFile) -> Result<String, ExportError> {
                let sign = if $signed { "" } else { "U" };
                Ok(format!("{sign}Int{}", 8 * size_of::<$type>()))
            }

            fn read(slot: Slot<'_>) -> Result<Self, Error> {
                let (bits, width) = slot.bits()?;
                let unused = 64 - width as u32;
                // The type says whether the wire's number has a sign; the schema's table does not.
                let wide = if $signed { ((bits << unused) as i64 >> unused) as $wide } else { bits as $wide };
                <$type>::try_from(wide).map_err(|_| slot.error(DecodeError::IntegerRange))
            }

            fn write(&self, slot: SlotMut<'_>) -> Result<(), Error> {
                let unused = 64 - slot.width()? as u32;
                let bits = *self as $wide as u64;
                let kept = if $signed {
                    ((bits << unused) as i64 >> unused) as u64
                } else {
                    bits << unused >> unused
                };
                if kept != bits {
                    return Err(slot.error(DecodeError::IntegerRange));
                }
                slot.set_bits(bits)
            }

            $($hooks)*
        }
    };
}

integer!(
    u8,
    Kind::Bits8,
    u64,
    false,
    const LIST_KIND: Kind = Kind::Data;,
    fn read_list(slot: Slot<'_>) -> Result<Vec<Self>, Error> {
        match slot.kind() {
            Kind::List(Kind::Bits8) => super::collection::read_list::<C, Self>(slot),
            _ => Ok(slot.data()?.to_vec()),
        }
    },
    fn write_list(items: &[Self], slot: SlotMut<'_>) -> Result<(), Error> {
        slot.set_data(items)
    }
);
integer!(u16, Kind::Bits16, u64, false);
integer!(u32, Kind::Bits32, u64, false);
integer!(u64, Kind::Bits64, u64, false);
integer!(usize, Kind::Bits64, u64, false);
integer!(i8, Kind::Bits8, i64, true);
integer!(i16, Kind::Bits16, i64, true);
integer!(i32, Kind::Bits32, i64, true);
integer!(i64, Kind::Bits64, i64, true);

impl<C> Field<C> for bool {
    const KIND: Kind = Kind::Bool;

    fn read(slot: Slot<'_>) -> Result<Self, Error> {
        slot.bool()
    }

    fn write(&self, slot: SlotMut<'_>) -> Result<(), Error> {
        slot.set_bool(*self)
    }
}

impl<C> Field<C> for f64 {
    const KIND: Kind = Kind::Bits64;

    fn schema_type(_: &mut SchemaFile) -> Result<String, ExportError> {
        Ok("Float64".to_owned())
    }

    fn read(slot: Slot<'_>) -> Result<Self, Error> {
        match slot.bits()? {
            (bits, 64) => Ok(f64::from_bits(bits)),
            (bits, 32) => Ok(f32::from_bits(bits as u32).into()),
            _ => Err(slot.error(DecodeError::IntegerRange)),
        }
    }

    fn write(&self, slot: SlotMut<'_>) -> Result<(), Error> {
        match slot.width()? {
            64 => slot.set_bits(self.to_bits()),
            32 => slot.set_bits((*self as f32).to_bits().into()),
            _ => Err(slot.error(DecodeError::IntegerRange)),
        }
    }
}

impl<C> Field<C> for f32 {
    const KIND: Kind = Kind::Bits32;

    fn schema_type(_: &mut SchemaFile) -> Result<String, ExportError> {
        Ok("Float32".to_owned())
    }

    fn read(slot: Slot<'_>) -> Result<Self, Error> {
        <f64 as Field<C>>::read(slot).map(|wide| wide as f32)
    }

    fn write(&self, slot: SlotMut<'_>) -> Result<(), Error> {
        <f64 as Field<C>>::write(&f64::from(*self), slot)
    }
}

impl<C> Field<C> for String {
    const KIND: Kind = Kind::Text;

    fn read(slot: Slot<'_>) -> Result<Self, Error> {
        slot.text().map(str::to_owned)
    }

    fn write(&self, slot: SlotMut<'_>) -> Result<(), Error> {
        slot.set_text(self)
    }
}

impl<C> Field<C> for () {
    const KIND: Kind = Kind::Void;
    const RESULTS: Results = Results::NONE;

    fn result_types(_: &mut SchemaFile) -> Result<Vec<FieldType>, ExportError> {
        Ok(Vec::new())
    }

    fn read(_: Slot<'_>) -> Result<Self, Error> {
        Ok(())
    }

    fn write(&self, _: SlotMut<'_>) -> Result<(), Error> {
        Ok(())
    }

    fn read_results(_: StructReader<'_>, _: &MethodPlan, _: &Decoder<'_>) -> Result<Self, Error> {
        Ok(())
    }

    fn write_results(&self, _: StructAt, _: &MethodPlan, _: &mut Encoder) -> Result<(), Error> {
        Ok(())
    }
}
