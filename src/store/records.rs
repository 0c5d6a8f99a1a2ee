//! Records of any collection.

use super::{Reader, StoreError, Tx};
use crate::model::{Collection, ListQuery, Page, Record};

impl Reader<'_> {
    /// The record with this id.
    ///
    /// # Errors
    /// The database failed.
    pub fn record_by_id(
        &self,
        collection: &Collection,
        id: &str,
    ) -> Result<Option<Record>, StoreError> {
        let _ = (collection, id);
        Err(StoreError::Closed)
    }

    /// A page of the collection's records.
    ///
    /// # Errors
    /// The database failed.
    pub fn list(&self, collection: &Collection, query: &ListQuery) -> Result<Page, StoreError> {
        let _ = (collection, query);
        Err(StoreError::Closed)
    }

    /// The superuser with this address, compared as PocketBase does: case matters unless the
    /// collection's unique index on `email` says otherwise.
    ///
    /// # Errors
    /// The database failed.
    pub fn superuser_by_email(&self, email: &str) -> Result<Option<Record>, StoreError> {
        let _ = email;
        Err(StoreError::Closed)
    }

    /// How many superusers there are.
    ///
    /// # Errors
    /// The database failed.
    pub fn superuser_count(&self) -> Result<u64, StoreError> {
        Err(StoreError::Closed)
    }
}

impl<E> Tx<'_, E> {
    /// Stores a new record, whose id is set.
    ///
    /// # Errors
    /// [`StoreError::NotUnique`] names the columns; or the database failed.
    pub fn insert(&mut self, collection: &Collection, record: &Record) -> Result<(), StoreError> {
        let _ = (collection, record);
        Err(StoreError::Closed)
    }

    /// Stores all values of the record with this record's id; `false` when there is none.
    ///
    /// # Errors
    /// As [`Self::insert`].
    pub fn update(&mut self, collection: &Collection, record: &Record) -> Result<bool, StoreError> {
        let _ = (collection, record);
        Err(StoreError::Closed)
    }

    /// Removes the record with this id; `false` when there is none.
    ///
    /// # Errors
    /// The database failed.
    pub fn delete(&mut self, collection: &Collection, id: &str) -> Result<bool, StoreError> {
        let _ = (collection, id);
        Err(StoreError::Closed)
    }

    /// Makes the superuser with this address, or gives it a new password and token key (which ends
    /// its sessions). `password_hash` is bcrypt's. Returns the record as stored.
    ///
    /// # Errors
    /// The database failed.
    pub fn upsert_superuser(
        &mut self,
        email: &str,
        password_hash: &str,
    ) -> Result<Record, StoreError> {
        let _ = (email, password_hash);
        Err(StoreError::Closed)
    }
}
