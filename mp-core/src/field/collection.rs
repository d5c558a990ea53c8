//! Lists, maps, pairs, and values that may be missing.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::hash::{BuildHasher, Hash};

use super::{Decoder, Encoder, Field, Slot, SlotMut};
use crate::error::Error;
use crate::plan::{FieldPlan, Layout, Member, MethodPlan, Results, has_companion, layout};
use crate::schema::{self, ExportError, FieldType, Kind, SchemaFile};
use crate::wire::{StructAt, StructReader};

/// Elements to make room for before they were seen: a short message can announce many.
const RESERVE: u32 = 4096;

fn list_of<C, T: Field<C>>(file: &mut SchemaFile) -> Result<String, ExportError> {
    Ok(format!("List({})", T::schema_type(file)?))
}

fn pair_of<C, A: Field<C>, B: Field<C>>(file: &mut SchemaFile) -> Result<String, ExportError> {
    let (first, second) = (A::schema_type(file)?, B::schema_type(file)?);
    file.pair(&first, &second)
}

/// Refuses to compile where a missing value could not be told from a present one.
const fn never_missing<C, T: Field<C>>() {
    assert!(
        !(T::OPTIONAL && has_companion(&T::KIND)),
        "a number that may be missing has no place in a list or a pair: make it a member of a struct"
    );
}

pub(super) fn read_list<C, T: Field<C>>(slot: Slot<'_>) -> Result<Vec<T>, Error> {
    const { never_missing::<C, T>() }
    let (list, kind) = slot.list()?;
    let mut items = Vec::with_capacity(list.len().min(RESERVE) as usize);
    for index in 0..list.len() {
        items.push(T::read(slot.element(&list, kind, index)?)?);
    }
    Ok(items)
}

pub(super) fn write_list<'i, C, T, I>(len: usize, items: I, slot: SlotMut<'_>) -> Result<(), Error>
where
    T: Field<C> + 'i,
    I: Iterator<Item = &'i T>,
{
    let name = slot.name();
    let (list, kind, encoder) = slot.begin_list(len, T::STRUCT_SIZE)?;
    for (index, item) in (0..list.len()).zip(items) {
        item.write(SlotMut::element(name, kind, list, index, encoder))?;
    }
    Ok(())
}

impl<C, T: Field<C>> Field<C> for Vec<T> {
    const KIND: Kind = T::LIST_KIND;

    fn schema_type(file: &mut SchemaFile) -> Result<String, ExportError> {
        match T::LIST_KIND {
            Kind::Data => Ok("Data".to_owned()),
            _ => list_of::<C, T>(file),
        }
    }

    fn read(slot: Slot<'_>) -> Result<Self, Error> {
        T::read_list(slot)
    }

    fn write(&self, slot: SlotMut<'_>) -> Result<(), Error> {
        T::write_list(self, slot)
    }
}

impl<C, T: Field<C>> Field<C> for Option<T> {
    const KIND: Kind = T::KIND;
    const STRUCT_SIZE: (u16, u16) = T::STRUCT_SIZE;
    const OPTIONAL: bool = true;

    fn schema_type(file: &mut SchemaFile) -> Result<String, ExportError> {
        T::schema_type(file)
    }

    fn read(slot: Slot<'_>) -> Result<Self, Error> {
        if slot.is_absent() || (T::EMPTY_IS_MISSING && slot.is_empty()) {
            Ok(None)
        } else {
            T::read(slot).map(Some)
        }
    }

    fn write(&self, mut slot: SlotMut<'_>) -> Result<(), Error> {
        match self {
            Some(value) => value.write(slot),
            None => {
                slot.set_present(false);
                Ok(())
            }
        }
    }
}

impl<C, T: Field<C>> Field<C> for Box<T> {
    const KIND: Kind = T::KIND;
    const STRUCT_SIZE: (u16, u16) = T::STRUCT_SIZE;
    const OPTIONAL: bool = T::OPTIONAL;

    fn schema_type(file: &mut SchemaFile) -> Result<String, ExportError> {
        T::schema_type(file)
    }

    fn read(slot: Slot<'_>) -> Result<Self, Error> {
        T::read(slot).map(Box::new)
    }

    fn write(&self, slot: SlotMut<'_>) -> Result<(), Error> {
        T::write(self, slot)
    }
}

/// The struct of two fields that a pair is kept in, as a schema declares it: first, second.
const fn pair_plans(first: Kind, second: Kind) -> ([FieldPlan; 2], (u16, u16)) {
    let Layout {
        offsets,
        data_words,
        pointers,
    } = layout([first, second]);
    let plans = [
        FieldPlan {
            field: schema::Field::new("first", "first", first, offsets[0]),
            has: None,
        },
        FieldPlan {
            field: schema::Field::new("second", "second", second, offsets[1]),
            has: None,
        },
    ];
    (plans, (data_words, pointers))
}

fn read_pair<C, A: Field<C>, B: Field<C>>(slot: Slot<'_>) -> Result<(A, B), Error> {
    const {
        never_missing::<C, A>();
        never_missing::<C, B>();
    }
    let (plans, _) = const { pair_plans(A::KIND, B::KIND) };
    let structure = slot.structure()?;
    let decoder = slot.decoder();
    Ok((
        A::read(Slot::field(&structure, &plans[0], &decoder))?,
        B::read(Slot::field(&structure, &plans[1], &decoder))?,
    ))
}

fn write_pair<C, A: Field<C>, B: Field<C>>(
    first: &A,
    second: &B,
    slot: SlotMut<'_>,
) -> Result<(), Error> {
    let (plans, size) = const { pair_plans(A::KIND, B::KIND) };
    let (structure, encoder) = slot.begin_struct(size)?;
    first.write(SlotMut::field(structure, &plans[0], encoder))?;
    second.write(SlotMut::field(structure, &plans[1], encoder))
}

impl<C, A: Field<C>, B: Field<C>> Field<C> for (A, B) {
    const KIND: Kind = Kind::Struct(0);
    const STRUCT_SIZE: (u16, u16) = pair_plans(A::KIND, B::KIND).1;

    fn schema_type(file: &mut SchemaFile) -> Result<String, ExportError> {
        pair_of::<C, A, B>(file)
    }

    fn read(slot: Slot<'_>) -> Result<Self, Error> {
        read_pair::<C, A, B>(slot)
    }

    fn write(&self, slot: SlotMut<'_>) -> Result<(), Error> {
        write_pair::<C, A, B>(&self.0, &self.1, slot)
    }
}

/// Reads a list of pairs into a map; of two entries with one key the later stands.
fn read_entries<C, K: Field<C>, V: Field<C>>(
    slot: Slot<'_>,
    mut put: impl FnMut(K, V),
) -> Result<(), Error> {
    let (list, kind) = slot.list()?;
    for index in 0..list.len() {
        let (key, value) = read_pair::<C, K, V>(slot.element(&list, kind, index)?)?;
        put(key, value);
    }
    Ok(())
}

fn write_entries<'i, C, K, V>(
    len: usize,
    entries: impl Iterator<Item = (&'i K, &'i V)>,
    slot: SlotMut<'_>,
) -> Result<(), Error>
where
    K: Field<C> + 'i,
    V: Field<C> + 'i,
{
    let name = slot.name();
    let (list, kind, encoder) = slot.begin_list(len, const { pair_plans(K::KIND, V::KIND).1 })?;
    for (index, (key, value)) in (0..list.len()).zip(entries) {
        write_pair::<C, K, V>(
            key,
            value,
            SlotMut::element(name, kind, list, index, encoder),
        )?;
    }
    Ok(())
}

impl<C, K: Field<C> + Eq + Hash, V: Field<C>, S: BuildHasher + Default> Field<C>
    for HashMap<K, V, S>
{
    const KIND: Kind = Kind::List(&Kind::Struct(0));

    fn schema_type(file: &mut SchemaFile) -> Result<String, ExportError> {
        Ok(format!("List({})", pair_of::<C, K, V>(file)?))
    }

    fn read(slot: Slot<'_>) -> Result<Self, Error> {
        let mut map = Self::default();
        read_entries::<C, K, V>(slot, |key, value| drop(map.insert(key, value)))?;
        Ok(map)
    }

    fn write(&self, slot: SlotMut<'_>) -> Result<(), Error> {
        write_entries::<C, K, V>(self.len(), self.iter(), slot)
    }
}

impl<C, K: Field<C> + Ord, V: Field<C>> Field<C> for BTreeMap<K, V> {
    const KIND: Kind = Kind::List(&Kind::Struct(0));

    fn schema_type(file: &mut SchemaFile) -> Result<String, ExportError> {
        Ok(format!("List({})", pair_of::<C, K, V>(file)?))
    }

    fn read(slot: Slot<'_>) -> Result<Self, Error> {
        let mut map = Self::new();
        read_entries::<C, K, V>(slot, |key, value| drop(map.insert(key, value)))?;
        Ok(map)
    }

    fn write(&self, slot: SlotMut<'_>) -> Result<(), Error> {
        write_entries::<C, K, V>(self.len(), self.iter(), slot)
    }
}

impl<C, T: Field<C> + Ord> Field<C> for BTreeSet<T> {
    const KIND: Kind = Kind::List(&T::KIND);

    fn schema_type(file: &mut SchemaFile) -> Result<String, ExportError> {
        list_of::<C, T>(file)
    }

    fn read(slot: Slot<'_>) -> Result<Self, Error> {
        read_list::<C, T>(slot).map(Self::from_iter)
    }

    fn write(&self, slot: SlotMut<'_>) -> Result<(), Error> {
        write_list::<C, T, _>(self.len(), self.iter(), slot)
    }
}

impl<C, T: Field<C> + Eq + Hash, S: BuildHasher + Default> Field<C> for HashSet<T, S> {
    const KIND: Kind = Kind::List(&T::KIND);

    fn schema_type(file: &mut SchemaFile) -> Result<String, ExportError> {
        list_of::<C, T>(file)
    }

    fn read(slot: Slot<'_>) -> Result<Self, Error> {
        read_list::<C, T>(slot).map(Self::from_iter)
    }

    fn write(&self, slot: SlotMut<'_>) -> Result<(), Error> {
        write_list::<C, T, _>(self.len(), self.iter(), slot)
    }
}

/// A result or the error that the schema declares beside it with `$Proxy.exception`.
impl<C, R: Field<C>, X: Field<C>> Field<C> for Result<R, X> {
    const KIND: Kind = R::KIND;
    const RESULTS: Results = Results {
        exception: Some(Member::error(X::KIND, X::EXCEPTION)),
        ..R::RESULTS
    };

    fn result_types(file: &mut SchemaFile) -> Result<Vec<FieldType>, ExportError> {
        let mut types = R::result_types(file)?;
        types.push(FieldType::of::<C, Option<X>>(file)?);
        Ok(types)
    }

    fn read(slot: Slot<'_>) -> Result<Self, Error> {
        R::read(slot).map(Ok)
    }

    fn write(&self, slot: SlotMut<'_>) -> Result<(), Error> {
        match self {
            Ok(value) => value.write(slot),
            Err(_) => Err(Error::Local(
                "a declared error can only be a method's result".to_owned(),
            )),
        }
    }

    fn read_results(
        results: StructReader<'_>,
        plan: &MethodPlan,
        decoder: &Decoder<'_>,
    ) -> Result<Self, Error> {
        let exception = plan.exception.as_ref().ok_or_else(|| no_exception(plan))?;
        match Option::<X>::read(Slot::field(&results, exception, decoder))? {
            Some(error) => Ok(Err(error)),
            None => R::read_results(results, plan, decoder).map(Ok),
        }
    }

    fn write_results(
        &self,
        results: StructAt,
        plan: &MethodPlan,
        encoder: &mut Encoder,
    ) -> Result<(), Error> {
        match self {
            Ok(value) => value.write_results(results, plan, encoder),
            Err(error) => {
                let exception = plan.exception.as_ref().ok_or_else(|| no_exception(plan))?;
                error.write(SlotMut::field(results, exception, encoder))
            }
        }
    }
}

fn no_exception(plan: &MethodPlan) -> Error {
    Error::Local(format!(
        "schema of {}.{} declares no exception",
        plan.interface, plan.method.name
    ))
}
