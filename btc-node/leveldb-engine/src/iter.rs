//! Going through the entries of a database.

use std::marker::PhantomData;
use std::sync::Arc;

use crate::db::{Db, ReadState};
use crate::error::{Error, Result};
use crate::key::{self, Kind};
use crate::merge::MergeIter;

/// Goes through the entries in key order, as they were when it was made.
///
/// It is also an `Iterator`, which gives the entry it stands on and goes on. After an error it stands nowhere.
#[derive(Debug)]
pub struct Iter<'db> {
    merge: MergeIter,
    sequence: u64,
    // The key whose older changes are passed over.
    passed: Option<Vec<u8>>,
    valid: bool,
    // Keeps the tables that the iterator may come to.
    _state: Arc<ReadState>,
    _db: PhantomData<&'db Db>,
}

impl Iter<'_> {
    pub(crate) fn new(merge: MergeIter, sequence: u64, state: Arc<ReadState>) -> Self {
        Self {
            merge,
            sequence,
            passed: None,
            valid: false,
            _state: state,
            _db: PhantomData,
        }
    }

    /// Goes to the first entry.
    ///
    /// # Errors
    /// A table cannot be read or is damaged.
    pub fn seek_to_first(&mut self) -> Result<()> {
        self.valid = false;
        self.passed = None;
        self.merge.seek_to_first()?;
        self.settle()
    }

    /// Goes to the first entry whose key is `target` or after it.
    ///
    /// # Errors
    /// As [`Self::seek_to_first`].
    pub fn seek(&mut self, target: &[u8]) -> Result<()> {
        self.valid = false;
        self.passed = None;
        let sought = key::internal(target, key::seek_trailer(self.sequence));
        self.merge.seek(&sought)?;
        self.settle()
    }

    /// Goes to the next entry, if it stands on one.
    ///
    /// # Errors
    /// As [`Self::seek_to_first`].
    pub fn advance(&mut self) -> Result<()> {
        if std::mem::take(&mut self.valid) {
            self.pass();
            self.merge.next()?;
            self.settle()?;
        }
        Ok(())
    }

    /// Key and value of the entry it stands on.
    pub fn entry(&self) -> Option<(&[u8], &[u8])> {
        let (key, value) = self.merge.entry().filter(|_| self.valid)?;
        Some((key::user(key), value))
    }

    /// Remembers the key under the merged iterator as dealt with.
    fn pass(&mut self) {
        if let Some((key, _)) = self.merge.entry() {
            let passed = self.passed.get_or_insert_default();
            passed.clear();
            passed.extend_from_slice(key::user(key));
        }
    }

    /// Goes on to the newest visible change of a key that is not passed and not deleted.
    fn settle(&mut self) -> Result<()> {
        while let Some((found, _)) = self.merge.entry() {
            let (user, trailer) = key::split(found);
            let (sequence, kind) = key::parse_trailer(trailer)
                .ok_or_else(|| Error::Corruption("corrupted internal key in DBIter".into()))?;
            if sequence <= self.sequence && self.passed.as_deref() != Some(user) {
                match kind {
                    Kind::Value => {
                        self.valid = true;
                        return Ok(());
                    }
                    Kind::Deletion => self.pass(),
                }
            }
            self.merge.next()?;
        }
        Ok(())
    }
}

impl Iterator for Iter<'_> {
    type Item = Result<(Vec<u8>, Vec<u8>)>;

    fn next(&mut self) -> Option<Self::Item> {
        let (key, value) = self.entry()?;
        let entry = (key.to_vec(), value.to_vec());
        Some(match self.advance() {
            Ok(()) => Ok(entry),
            Err(error) => {
                self.valid = false;
                Err(error)
            }
        })
    }
}
