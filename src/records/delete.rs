//! A record less, and what that means for those that refer to it.
//!
//! The row goes first. Then, by collection in the order of their names, each relation that named it
//! forgets it; a record of which a required relation would hold nothing keeps all of them from going,
//! unless the relation says that it goes too. All of it is one transaction.
//!
//! Chains of records may be as long as tables, so nothing here calls itself: the stack lies in
//! memory, and holds each reference of the database once at most.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::{Author, Refused, account, check_kind, dns, rules, save};
use crate::auth::SUPERUSERS;
use crate::clock;
use crate::limits::{CASCADE_ROWS, REALTIME_IMPORT_EVENTS_MAX};
use crate::model::field::choice;
use crate::model::{Collection, FieldKind, Kind, Record, Schema};
use crate::publish::Event;
use crate::store::Tx;
use crate::zone::Zone;

/// Removes the record with this id, and what goes with it. See [`super::create()`] for
/// `coredns_records`.
///
/// # Errors
/// See [`Refused`]; then the transaction is to be given up.
pub fn delete(
    tx: &mut Tx<'_, Event>,
    author: Author<'_>,
    collection: &Arc<Collection>,
    id: &str,
) -> Result<(), Refused> {
    check_kind(collection)?;
    let record = rules::find(tx, collection, collection.delete_rule.as_deref(), author.info, id)?;
    Cascade::new(tx.schema(), author.ttl_default_secs).run(tx, collection, record)
}

/// Removes all records of a collection, and what goes with them. Zones that were served go as
/// wholes, each with a step of its serial.
///
/// # Errors
/// See [`Refused`]; then the transaction is to be given up.
pub fn truncate(
    tx: &mut Tx<'_, Event>,
    collection: &Arc<Collection>,
    ttl_default_secs: u32,
) -> Result<(), Refused> {
    let is_dns = collection.name == dns::COLLECTION;
    let zones = if is_dns { dns::served_zones(tx, ttl_default_secs)? } else { Vec::new() };
    let mut cascade = Cascade::new(tx.schema(), ttl_default_secs);
    cascade.leaves_zones = is_dns;
    let is_told = tx.count(collection)? <= REALTIME_IMPORT_EVENTS_MAX as u64;
    if !is_told && cascade.references_to(collection).is_empty() {
        tx.expect_many_pages()?;
        tx.clear(collection)?;
        tx.publish(Event::Records(Arc::clone(collection)));
    } else {
        cascade.remove_all(tx, collection)?;
    }
    for zone in zones {
        tx.bump_zone_serial(&zone.to_string(), clock::unix_secs())?;
        tx.publish(Event::Replaced(Box::new(Zone::new(&zone))));
    }
    Ok(())
}

/// How records of one collection refer to those of another.
enum Reference {
    /// By the relation field with this index.
    Relation(Arc<Collection>, usize),
    /// By `collectionRef` and `recordRef`.
    Owner(Arc<Collection>),
}

/// A row that went, and how far its references are settled.
struct Gone {
    collection_id: String,
    id: String,
    references: Arc<[Reference]>,
    /// The reference that is being settled.
    at: usize,
    /// Ids of records with that reference, found but not settled.
    found: VecDeque<String>,
    /// Are there more than were found?
    is_more: bool,
}

struct Cascade {
    schema: Arc<Schema>,
    ttl_default_secs: u32,
    /// By the id of the collection that is referred to.
    references: HashMap<String, Arc<[Reference]>>,
    stack: Vec<Gone>,
    /// DNS records go without a word to their zones: whoever asked sees to those.
    leaves_zones: bool,
}

impl Cascade {
    fn new(schema: &Arc<Schema>, ttl_default_secs: u32) -> Self {
        let schema = Arc::clone(schema);
        let (references, stack) = (HashMap::new(), Vec::new());
        Self { schema, ttl_default_secs, references, stack, leaves_zones: false }
    }

    fn remove_all(
        &mut self,
        tx: &mut Tx<'_, Event>,
        collection: &Arc<Collection>,
    ) -> Result<(), Refused> {
        loop {
            let ids = tx.some_ids(collection, CASCADE_ROWS)?;
            if ids.is_empty() {
                return Ok(());
            }
            for id in ids {
                // It may have gone with one before.
                if let Some(record) = tx.record_by_id(collection, &id)? {
                    self.run(tx, collection, record)?;
                }
            }
        }
    }

    fn run(
        &mut self,
        tx: &mut Tx<'_, Event>,
        collection: &Arc<Collection>,
        record: Record,
    ) -> Result<(), Refused> {
        self.remove(tx, collection, record)?;
        while let Some(gone) = self.stack.last_mut() {
            let Some(reference) = gone.references.get(gone.at) else {
                self.stack.pop();
                continue;
            };
            if let Some(id) = gone.found.pop_front() {
                let references = Arc::clone(&gone.references);
                let (at, target) = (gone.at, gone.id.clone());
                if let Some(reference) = references.get(at) {
                    self.settle(tx, reference, &id, &target)?;
                }
            } else if gone.is_more {
                let ids = match reference {
                    Reference::Relation(by, field) => {
                        tx.referring_ids(by, *field, &gone.id, CASCADE_ROWS)?
                    }
                    Reference::Owner(by) => {
                        tx.owned_ids(by, &gone.collection_id, &gone.id, CASCADE_ROWS)?
                    }
                };
                gone.is_more = ids.len() == CASCADE_ROWS;
                gone.found = ids.into();
            } else {
                gone.at += 1;
                gone.is_more = true;
            }
        }
        Ok(())
    }

    /// Removes a row and puts it on the stack.
    fn remove(
        &mut self,
        tx: &mut Tx<'_, Event>,
        collection: &Arc<Collection>,
        record: Record,
    ) -> Result<(), Refused> {
        if collection.name == SUPERUSERS && tx.count(collection)? == 1 {
            return Err(Refused::Kept("You can't delete the only existing superuser"));
        }
        let id = record.id(collection).to_owned();
        if self.leaves_zones {
            save::remove_row(tx, collection, record)?;
        } else {
            save::remove(tx, self.ttl_default_secs, collection, record)?;
        }
        let references = self.references_to(collection);
        if !references.is_empty() {
            let collection_id = collection.id.clone();
            let found = VecDeque::new();
            self.stack.push(Gone { collection_id, id, references, at: 0, found, is_more: true });
        }
        Ok(())
    }

    /// Makes the record `id` forget the record `target`, or go as well.
    fn settle(
        &mut self,
        tx: &mut Tx<'_, Event>,
        reference: &Reference,
        id: &str,
        target: &str,
    ) -> Result<(), Refused> {
        let (by, field_at) = match reference {
            Reference::Owner(by) => {
                let found = tx.record_by_id(by, id)?;
                return found.map_or(Ok(()), |record| self.remove(tx, by, record));
            }
            Reference::Relation(by, field_at) => (by, *field_at),
        };
        // What was found may have gone meanwhile, with another of its references.
        let Some(old) = tx.record_by_id(by, id)? else { return Ok(()) };
        let (Some(field), Some(value)) = (by.fields.get(field_at), old.values.get(field_at)) else {
            return Ok(());
        };
        let words = choice::words(value);
        let left: Vec<String> = words.iter().filter(|word| *word != target).cloned().collect();
        if left.len() == words.len() {
            return Ok(());
        }
        let goes_too = field.options.get("cascadeDelete").and_then(|flag| flag.as_bool());
        if left.is_empty() && goes_too == Some(true) {
            return self.remove(tx, by, old);
        }
        if left.is_empty() && field.required {
            return Err(Refused::Referred);
        }
        let mut record = old.clone();
        if let Some(slot) = record.values.get_mut(field_at) {
            *slot = choice::value(field, left);
        }
        save::update(tx, self.ttl_default_secs, by, old, record).map(drop)
    }

    fn references_to(&mut self, collection: &Collection) -> Arc<[Reference]> {
        if let Some(known) = self.references.get(&collection.id) {
            return Arc::clone(known);
        }
        let mut others: Vec<&Arc<Collection>> =
            self.schema.iter().filter(|other| other.kind != Kind::View).collect();
        others.sort_by(|a, b| a.name.cmp(&b.name));
        let refers = |field: &crate::model::Field| {
            let to = field.options.get("collectionId").and_then(|id| id.as_str());
            field.kind == FieldKind::Relation && to == Some(&collection.id)
        };
        let relations = others.iter().flat_map(|other| {
            let fields = other.fields.iter().enumerate().filter(|(_, field)| refers(field));
            fields.map(|(at, _)| Reference::Relation(Arc::clone(other), at))
        });
        let owns = |other: &&&Arc<Collection>| {
            collection.kind == Kind::Auth && account::OWNED.contains(&other.name.as_str())
        };
        let owned = others.iter().filter(owns).map(|other| Reference::Owner(Arc::clone(other)));
        let all: Arc<[Reference]> = relations.chain(owned).collect();
        self.references.insert(collection.id.clone(), Arc::clone(&all));
        all
    }
}
