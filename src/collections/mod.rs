//! Use cases on collections: create, update, delete, truncate, import, scaffolds, dry runs of view
//! queries. Superusers only; who asks is the caller's business. No HTTP types and no SQL.
//!
//! | file | holds |
//! |---|---|
//! | `shape` | how what a client sent is laid over what is there |
//! | `fields`, `field_rules` | fields: their shape, what the system forces; what their settings may be |
//! | `auth` | the same for auth options |
//! | `views` | the fields that follow from a view's query |
//! | `rules` | API rules: can they be read? |
//! | `validate` | all rules of a collection together |
//! | `import` | many collections at once |
//! | `list` | a page of them |
//! | [`providers`] | the names that OAuth2 options may use |
//!
//! Each change runs inside one job of the store: what is judged, the rows of `_collections`, the
//! tables and the schema that later jobs see are one transaction. A job that was refused must not
//! be kept.
//!
//! `coredns_records` is more than a collection here: it holds the zones, and a start needs it. It
//! can get other rules, fields and indexes, but it cannot be deleted or renamed, and the fields
//! that a record is made of keep name and kind ([`validate`]). So no change of a collection changes
//! what is served, but for [`truncate`], which publishes it.

mod auth;
mod field_rules;
mod fields;
mod import;
mod list;
pub mod providers;
mod rules;
mod shape;
mod validate;
mod views;

use std::sync::Arc;

use serde_json::{Map, Value as Json};

pub use self::import::import;
pub use self::list::list;
pub use self::views::{DryRun, dry_run};

use crate::clock;
use crate::model::FieldError;
use crate::model::date;
use crate::model::{Collection, Index, Kind, Schema, ids};
use crate::publish::Event;
use crate::records::{self, dns};
use crate::settings;
use crate::store::{StoreError, SyncError, Tx};

const SUPERUSERS: &str = "_superusers";

/// Why a use case did not do what it was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Failure {
    /// There is no such collection.
    #[error("no such collection")]
    NotFound,
    /// What the client sent has another form than a collection.
    #[error("malformed")]
    Malformed,
    /// Something is wrong with what the client sent, by its place: `fields.3.name`.
    #[error("{} values are refused", .0.len())]
    Invalid(Vec<FieldError>),
    /// A sentence for the superuser.
    #[error("{0}")]
    Message(String),
    /// SQLite refused the change: its words, for the superuser.
    #[error("{0}")]
    Sql(String),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<Malformed> for Failure {
    fn from(_: Malformed) -> Self {
        Self::Malformed
    }
}

impl From<SyncError> for Failure {
    fn from(error: SyncError) -> Self {
        match error {
            SyncError::Index { at, name, problem } => {
                let message = format!("Failed to create index {name} - {problem}");
                let place = format!("indexes.{at}");
                let code = "validation_invalid_index_expression";
                Self::Invalid(vec![FieldError::new(&place, code, message)])
            }
            SyncError::Refused(problem) => Self::Sql(problem),
            SyncError::Store(error) => Self::Store(error),
        }
    }
}

/// What was sent has another form than what it should be.
#[derive(Debug)]
struct Malformed;

impl From<shape::Mismatch> for Malformed {
    fn from(_: shape::Mismatch) -> Self {
        Self
    }
}

/// What a client says of a collection: the members of a JSON object.
pub type Input = Map<String, Json>;

/// A collection on its way into the database.
struct Draft {
    collection: Collection,
    /// The type as it was sent, which may be none.
    type_word: String,
    /// As it is stored; `None` for a new one.
    original: Option<Arc<Collection>>,
    /// The id is made of type and name; until it is stored both may still change.
    has_made_id: bool,
}

impl Draft {
    fn new(collection: Collection) -> Self {
        let type_word = collection.kind.as_str().to_owned();
        Self { collection, type_word, original: None, has_made_id: true }
    }

    fn of(original: &Arc<Collection>) -> Self {
        Self {
            collection: Collection::clone(original),
            type_word: original.kind.as_str().to_owned(),
            original: Some(Arc::clone(original)),
            has_made_id: false,
        }
    }

    /// What a new collection is before anything but its type, name and id is known.
    fn scaffold(input: &Input) -> Result<Self, Malformed> {
        let text = |key: &str| match input.get(key) {
            None | Some(Json::Null) => Ok(""),
            Some(Json::String(text)) => Ok(text.as_str()),
            Some(_) => Err(Malformed),
        };
        let kind = Kind::from_text(text("type")?).unwrap_or(Kind::Base);
        let mut draft = Self::new(new_collection(kind, text("name")?));
        draft.merge(input)?;
        Ok(draft)
    }

    /// Lays what a client sent over the collection.
    fn merge(&mut self, input: &Input) -> Result<(), Malformed> {
        let collection = &mut self.collection;
        let text = |key: &str, place: &mut String| match input.get(key) {
            None | Some(Json::Null) => Ok(()),
            Some(Json::String(text)) => {
                place.clone_from(text);
                Ok(())
            }
            Some(_) => Err(Malformed),
        };
        let made_id = collection.id.clone();
        text("id", &mut collection.id)?;
        if collection.id.is_empty() && self.original.is_none() {
            collection.id.clone_from(&made_id);
        }
        self.has_made_id &= collection.id == made_id;
        text("name", &mut collection.name)?;
        text("type", &mut self.type_word)?;
        let mut created = String::new();
        text("created", &mut created)?;
        if !created.is_empty() {
            collection.created = date_text(&created);
        }
        for (key, rule) in [
            ("listRule", &mut collection.list_rule),
            ("viewRule", &mut collection.view_rule),
            ("createRule", &mut collection.create_rule),
            ("updateRule", &mut collection.update_rule),
            ("deleteRule", &mut collection.delete_rule),
        ] {
            match input.get(key) {
                None => {}
                Some(Json::Null) => *rule = None,
                Some(Json::String(text)) => *rule = Some(text.clone()),
                Some(_) => return Err(Malformed),
            }
        }
        match input.get("system") {
            None | Some(Json::Null) => {}
            Some(Json::Bool(system)) => collection.system = *system,
            Some(_) => return Err(Malformed),
        }
        if let Some(given) = input.get("fields") {
            collection.fields = fields::read(given)?;
        }
        match input.get("indexes") {
            None => {}
            Some(Json::Null) => collection.indexes.clear(),
            Some(Json::Array(given)) => {
                let texts = given.iter().map(|sql| sql.as_str().map(str::to_owned));
                collection.indexes = texts.collect::<Option<_>>().ok_or(Malformed)?;
            }
            Some(_) => return Err(Malformed),
        }
        match collection.kind {
            Kind::Base => {}
            Kind::Auth => auth::merge(&mut collection.options, input)?,
            Kind::View => shape::merge(VIEW_KEYS, &mut collection.options, input)?,
        }
        Ok(())
    }

    /// Gives the collection all that it must have, whatever was sent.
    fn complete(&mut self, schema: &Schema) {
        let collection = &mut self.collection;
        if self.type_word.is_empty() {
            Kind::Base.as_str().clone_into(&mut self.type_word);
        }
        let now = clock::now_text();
        if self.original.is_none() {
            collection.created.clone_from(&now);
        }
        collection.updated = now;
        fields::ensure_system(collection);
        if self.original.is_none() && self.has_made_id {
            let free = free_id(schema, collection);
            let made = std::mem::replace(&mut collection.id, free);
            rename_in_indexes(&mut collection.indexes, &made, &collection.id);
        }
        if collection.kind == Kind::Auth {
            let owner = collection.id.clone();
            auth::ensure_indexes(collection, &owner);
            auth::unmap_missing(collection);
        }
        for sql in &mut collection.indexes {
            if let Some(mut index) = Index::parse(sql).filter(|i| i.table != collection.name) {
                index.table.clone_from(&collection.name);
                *sql = index.to_sql();
            }
        }
    }
}

/// The options of a view.
const VIEW_KEYS: shape::Keys = &[("viewQuery", shape::Shape::Text)];

/// A collection with what its kind has from the start.
fn new_collection(kind: Kind, name: &str) -> Collection {
    let id = ids::collection_id(kind.as_str(), name);
    let mut collection = Collection {
        id: id.clone(),
        name: name.to_owned(),
        kind,
        system: false,
        list_rule: None,
        view_rule: None,
        create_rule: None,
        update_rule: None,
        delete_rule: None,
        fields: Vec::new(),
        indexes: Vec::new(),
        options: Map::new(),
        created: String::new(),
        updated: String::new(),
    };
    fields::ensure_system(&mut collection);
    match kind {
        Kind::Base => {}
        Kind::Auth => {
            collection.options = auth::defaults();
            auth::ensure_indexes(&mut collection, &id);
        }
        Kind::View => collection.options = shape::zero(VIEW_KEYS),
    }
    collection
}

/// The id of a new collection: made of type and name, with a number behind where it is taken.
fn free_id(schema: &Schema, collection: &Collection) -> String {
    let base = ids::collection_id(collection.kind.as_str(), &collection.name);
    let suffixed = (2..=schema.iter().len() + 2).map(|suffix| format!("{base}{suffix}"));
    std::iter::once(base.clone())
        .chain(suffixed)
        .find(|id| schema.by_id(id).is_none())
        .unwrap_or(base)
}

fn rename_in_indexes(indexes: &mut [String], from: &str, to: &str) {
    if from == to {
        return;
    }
    for sql in indexes {
        if let Some(mut index) = Index::parse(sql).filter(|index| index.name.contains(from)) {
            index.name = index.name.replace(from, to);
            *sql = index.to_sql();
        }
    }
}

/// A moment in PocketBase's form; empty when it cannot be read.
fn date_text(text: &str) -> String {
    date::parse(text).map(date::text).unwrap_or_default()
}

/// Rules of system collections stay.
fn check_system_rule(
    draft: &Draft,
    place: &str,
    old: Option<&str>,
    new: Option<&str>,
) -> Option<FieldError> {
    let is_system = draft.original.as_ref().is_some_and(|original| original.system);
    (is_system && old != new).then(|| {
        let message = "System collection API rule cannot be changed";
        FieldError::new(place, "validation_collection_system_rule_change", message)
    })
}

// ---- use cases ----------------------------------------------------------------------------

/// What a new collection of each kind looks like: auth, base, view. They have no id.
#[must_use]
pub fn scaffolds() -> [Collection; 3] {
    let made = ids::record_id();
    let owner = &made[..10];
    [Kind::Auth, Kind::Base, Kind::View].map(|kind| {
        let mut collection = new_collection(kind, "");
        let id = std::mem::take(&mut collection.id);
        rename_in_indexes(&mut collection.indexes, &id, owner);
        collection
    })
}

/// Adds a collection.
///
/// # Errors
/// [`Failure`].
pub fn create(tx: &mut Tx<'_, Event>, input: &Input) -> Result<Arc<Collection>, Failure> {
    let mut draft = Draft::scaffold(input)?;
    draft.complete(tx.schema());
    let errors = validate::check(tx, &mut draft)?;
    if !errors.is_empty() {
        return Err(Failure::Invalid(errors));
    }
    save(tx, draft)
}

/// Changes a collection: what `input` does not name stays.
///
/// # Errors
/// [`Failure`].
pub fn update(
    tx: &mut Tx<'_, Event>,
    name_or_id: &str,
    input: &Input,
) -> Result<Arc<Collection>, Failure> {
    let original = tx.schema().find(name_or_id).cloned().ok_or(Failure::NotFound)?;
    let mut draft = Draft::of(&original);
    draft.merge(input)?;
    draft.complete(tx.schema());
    let errors = validate::check(tx, &mut draft)?;
    if !errors.is_empty() {
        return Err(Failure::Invalid(errors));
    }
    save(tx, draft)
}

/// Stores a collection, and the views that its change concerns. `draft.original` decides whether
/// it is new.
fn save(tx: &mut Tx<'_, Event>, mut draft: Draft) -> Result<Arc<Collection>, Failure> {
    let collection = &mut draft.collection;
    if collection.name == SUPERUSERS && collection.kind == Kind::Auth {
        auth::force_superusers(&mut collection.options);
    }
    if let Some(original) = &draft.original {
        auth::end_sessions_on_new_rule(&original.options, &mut collection.options);
    }
    if collection.kind == Kind::View {
        let query = view_query(collection).to_owned();
        let (fields, outcome) = views::fields_of(tx, &query);
        outcome.map_err(Failure::Sql)?;
        collection.fields = fields;
    }
    match &draft.original {
        Some(original) => {
            tx.update_collection(original, collection)?;
            if original.name != collection.name {
                rename_labels(tx, &original.name, &collection.name)?;
            }
        }
        None => tx.create_collection(collection)?,
    }
    let id = collection.id.clone();
    refresh_views(tx, &id, OnBroken::Warn)?;
    tx.schema().by_id(&id).cloned().ok_or(Failure::NotFound)
}

/// Rate limits of a collection follow its name.
fn rename_labels(tx: &mut Tx<'_, Event>, from: &str, to: &str) -> Result<(), StoreError> {
    let mut settings = tx.settings()?;
    let mut is_changed = false;
    for rule in &mut settings.rate_limits.rules {
        if let Some(tag) = rule.label.strip_prefix(from).filter(|tag| tag.starts_with(':')) {
            rule.label = format!("{to}{tag}");
            is_changed = true;
        }
    }
    if is_changed {
        settings::save(tx, settings)?;
    }
    Ok(())
}

fn view_query(view: &Collection) -> &str {
    view.options.get("viewQuery").and_then(Json::as_str).unwrap_or_default()
}

/// What becomes of a change that breaks a view.
#[derive(Clone, Copy, PartialEq, Eq)]
enum OnBroken {
    /// It stands: whoever changes several collections comes to the view next.
    Warn,
    Refuse,
}

/// Stores the views again whose fields became others with the change of the collection `id`.
fn refresh_views(tx: &mut Tx<'_, Event>, id: &str, on_broken: OnBroken) -> Result<(), Failure> {
    let views: Vec<_> = tx
        .schema()
        .iter()
        .filter(|view| view.kind == Kind::View && view.id != id)
        .cloned()
        .collect();
    for view in views {
        let (fields, outcome) = views::fields_of(tx, view_query(&view));
        match outcome {
            // What was renamed has another meaning in its query now.
            Ok(()) if has_same_fields(&view.fields, &fields) => tx.remake_view(&view)?,
            Ok(()) => {
                let mut changed = Collection::clone(&view);
                changed.fields = fields;
                changed.updated = clock::now_text();
                tx.update_collection(&view, &changed)?;
            }
            Err(problem) if on_broken == OnBroken::Refuse => {
                return Err(Failure::Sql(format!("[{}] {problem}", view.name)));
            }
            Err(problem) => {
                log::warn!(
                    "a view does not fit its sources any longer view={} error={problem:?}",
                    view.name
                );
            }
        }
    }
    Ok(())
}

/// Are they the same but for their ids?
fn has_same_fields(old: &[crate::model::Field], new: &[crate::model::Field]) -> bool {
    old.len() == new.len()
        && old.iter().zip(new).all(|(old, new)| {
            let mut old = old.clone();
            old.id.clone_from(&new.id);
            old == *new
        })
}

/// Removes a collection with its records.
///
/// # Errors
/// [`Failure::Message`] when it is the system's, or others refer to it.
pub fn delete(tx: &mut Tx<'_, Event>, name_or_id: &str) -> Result<(), Failure> {
    let collection = tx.schema().find(name_or_id).cloned().ok_or(Failure::NotFound)?;
    let failed = |more: &str| Failure::Message(format!("Failed to delete collection{more}"));
    if collection.name == dns::COLLECTION {
        return Err(failed(": coredns_records holds the DNS zones"));
    }
    let referring: Vec<_> = tx
        .schema()
        .iter()
        .filter(|other| other.id != collection.id && refers_to(other, &collection.id))
        .map(|other| other.name.as_str())
        .collect();
    if !referring.is_empty() {
        let names = referring.join(", ");
        return Err(failed(&format!(" probably due to existing reference in {names}")));
    }
    if collection.system {
        return Err(failed(""));
    }
    remove(tx, &collection)?;
    refresh_views(tx, &collection.id, OnBroken::Refuse).map_err(|failure| match failure {
        Failure::Sql(problem) => {
            log::debug!("a collection is not deleted: a view needs it error={problem:?}");
            failed("")
        }
        other => other,
    })
}

fn remove(tx: &mut Tx<'_, Event>, collection: &Collection) -> Result<(), Failure> {
    Ok(tx.delete_collection(collection)?)
}

/// Has `collection` a relation to the collection `id`?
fn refers_to(collection: &Collection, id: &str) -> bool {
    collection.fields.iter().any(|field| {
        field.kind == crate::model::FieldKind::Relation
            && field.options.get("collectionId").and_then(Json::as_str) == Some(id)
    })
}

/// Removes all records of a collection, with what hangs on them.
///
/// # Errors
/// [`Failure::Message`] for views, and when a record of another collection needs one of them.
pub fn truncate(
    tx: &mut Tx<'_, Event>,
    name_or_id: &str,
    ttl_default_secs: u32,
) -> Result<(), Failure> {
    let collection = tx.schema().find(name_or_id).cloned().ok_or(Failure::NotFound)?;
    if collection.kind == Kind::View {
        let message =
            "View collections cannot be truncated since they don't store their own records";
        return Err(Failure::Message(message.to_owned()));
    }
    records::truncate(tx, &collection, ttl_default_secs).map_err(|refused| match refused {
        records::Refused::Store(error) => Failure::Store(error),
        _ => Failure::Message(
            "Failed to truncate collection (most likely due to required cascade delete record references)".to_owned(),
        ),
    })
}
