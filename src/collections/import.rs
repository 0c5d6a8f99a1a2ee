//! Many collections at once, in one transaction: those that exist are changed, others added, and
//! on request those that are not named removed.
//!
//! All are stored first and judged afterwards, because they may refer to each other; views come
//! last. A job whose import was refused must not be kept.

use std::sync::Arc;

use serde_json::Value as Json;

use super::validate::{self, is_needed};
use super::{Draft, Failure, Input, auth, fields, remove, save};
use crate::model::FieldError;
use crate::model::{Collection, Kind};
use crate::publish::Event;
use crate::store::Tx;

/// Imports `collections`. With `delete_missing` the collections and fields that are not named go,
/// but for the system's own and `coredns_records`.
///
/// # Errors
/// [`Failure::Invalid`] under `collections`, whatever was wrong with one of them.
pub fn import(
    tx: &mut Tx<'_, Event>,
    collections: &[Input],
    delete_missing: bool,
) -> Result<(), Failure> {
    try_import(tx, collections, delete_missing).map_err(|failure| match failure {
        Failure::Store(error) => Failure::Store(error),
        Failure::Invalid(errors) if errors.iter().all(|error| error.field == "collections") => {
            Failure::Invalid(errors)
        }
        // What went wrong while they were stored.
        Failure::Invalid(errors) => failed(&texts(&errors)),
        Failure::Malformed => failed("a collection or one of its fields is malformed"),
        Failure::NotFound => failed("a collection is gone"),
        Failure::Message(problem) | Failure::Sql(problem) => failed(&problem),
    })
}

fn failed(problem: &str) -> Failure {
    refusal(format!("Failed to import the collections configuration. Raw error:\n{problem}"))
}

fn refusal(message: String) -> Failure {
    let code = "validation_collections_import_failure";
    Failure::Invalid(vec![FieldError::new("collections", code, message)])
}

/// Errors as text: a JSON object with the messages at their places.
fn texts(errors: &[FieldError]) -> String {
    let mut tree = Input::new();
    for error in errors {
        let (parents, name) = match error.field.rsplit_once('.') {
            Some((parents, name)) => (parents.split('.').collect(), name),
            None => (Vec::new(), error.field.as_str()),
        };
        let mut at = Some(&mut tree);
        for parent in parents {
            let below = at.map(|at| at.entry(parent).or_insert_with(|| Input::new().into()));
            at = below.and_then(Json::as_object_mut);
        }
        if let Some(at) = at {
            at.entry(name).or_insert_with(|| error.message.as_str().into());
        }
    }
    serde_json::to_string_pretty(&tree).unwrap_or_default()
}

fn try_import(
    tx: &mut Tx<'_, Event>,
    collections: &[Input],
    delete_missing: bool,
) -> Result<(), Failure> {
    let mut drafts = Vec::with_capacity(collections.len());
    for input in collections {
        drafts.push(draft(tx, input, delete_missing)?);
    }
    drafts.sort_by(|a, b| {
        let key = |draft: &Draft| {
            let collection = &draft.collection;
            (collection.kind == Kind::View, collection.created.clone())
        };
        key(a).cmp(&key(b))
    });
    if delete_missing {
        let existing: Vec<_> = tx.schema().iter().cloned().collect();
        for collection in existing {
            let is_named = drafts.iter().any(|draft| draft.collection.id == collection.id);
            if !is_named && !is_needed(&collection) {
                remove(tx, &collection)?;
            }
        }
    }
    let mut stored = Vec::with_capacity(drafts.len());
    for mut draft in drafts {
        draft.complete(tx.schema());
        let (original, word) = (draft.original.clone(), draft.type_word.clone());
        let name = draft.collection.name.clone();
        let saved = save(tx, draft).map_err(|failure| in_collection(&name, failure))?;
        stored.push((original, word, saved));
    }
    for (original, type_word, collection) in stored {
        let mut draft = Draft {
            collection: Collection::clone(&collection),
            type_word,
            original: Some(original.unwrap_or_else(|| Arc::clone(&collection))),
            has_made_id: false,
        };
        let errors = validate::check(tx, &mut draft)?;
        if !errors.is_empty() {
            let Collection { name, id, .. } = &*collection;
            return Err(refusal(format!(
                "Data validations failed for collection \"{name}\" ({id}):\n{}",
                texts(&errors)
            )));
        }
    }
    Ok(())
}

fn in_collection(name: &str, failure: Failure) -> Failure {
    let text =
        |problem: &str| Failure::Sql(format!("failed to save collection {name:?}: {problem}"));
    match failure {
        Failure::Sql(problem) | Failure::Message(problem) => text(&problem),
        Failure::Invalid(errors) => text(&texts(&errors)),
        other => other,
    }
}

/// One collection of an import: laid over the one with its id, or else its name.
fn draft(tx: &Tx<'_, Event>, input: &Input, delete_missing: bool) -> Result<Draft, Failure> {
    let text = |key: &str| input.get(key).and_then(Json::as_str).filter(|text| !text.is_empty());
    let key = text("id").or_else(|| text("name")).unwrap_or_default();
    let Some(existing) = tx.schema().find(key).cloned() else {
        return Ok(Draft::scaffold(input)?);
    };
    let mut draft = Draft::of(&existing);
    draft.merge(input)?;
    let has_no_fields = input.get("fields").is_none_or(Json::is_null);
    if has_no_fields && delete_missing {
        draft.collection.fields.clear();
    }
    if let Some(Json::String(_)) = input.get("id") {
        draft.collection.id.clone_from(&existing.id);
    }
    let fields = &mut draft.collection.fields;
    for old in &existing.fields {
        let may_go = delete_missing && !validate::is_kept_field(&existing, old);
        if may_go || fields.iter().any(|field| field.id == old.id) {
            continue;
        }
        // A field that was sent without its id is the one with its name.
        if let Some(same) =
            fields.iter_mut().find(|field| field.name == old.name && field.kind == old.kind)
        {
            same.id.clone_from(&old.id);
        }
        fields::add(fields, old.clone());
    }
    if draft.collection.kind == Kind::Auth {
        auth::unmap_missing(&mut draft.collection);
    }
    Ok(draft)
}
