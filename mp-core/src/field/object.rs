//! Objects: an `Arc<dyn Trait>` travels as a capability.

use std::sync::Arc;

use super::{Field, Slot, SlotMut};
use crate::cap::Cap;
use crate::error::{DecodeError, Error};
use crate::interface::{Interface, export, import};
use crate::schema::{ExportError, Kind, SchemaFile};

/// The receiver's `Arc` is a proxy, or the very object where it came home. The sender's object lives until the
/// receiver's last proxy is dropped.
impl<C, I: Interface + ?Sized> Field<C> for Arc<I> {
    const KIND: Kind = Kind::Interface(I::SCHEMA.id);

    fn schema_type(file: &mut SchemaFile) -> Result<String, ExportError> {
        I::describe(file)?;
        Ok(I::SCHEMA.name.to_owned())
    }

    fn read(slot: Slot<'_>) -> Result<Self, Error> {
        match slot.capability()? {
            Cap::Null => Err(slot.error(DecodeError::MissingCapability)),
            cap => Ok(import::<I>(cap)),
        }
    }

    fn write(&self, slot: SlotMut<'_>) -> Result<(), Error> {
        let cap = export(self, slot.conn());
        slot.set_capability(cap)
    }
}
