//! All that must be true of a collection before it is stored. Codes, messages, places and their
//! order are PocketBase's: of one key the first thing that is wrong is said.

use super::field_rules::{by_id, check_via, is_word, length, mismatch, required};
use super::rules::check_rule;
use super::{Draft, SUPERUSERS, auth, check_system_rule, field_rules, view_query, views};
use crate::limits::{COLLECTION_NAME_CHARS_MAX, ID_CHARS_MAX};
use crate::model::FieldError;
use crate::model::{Collection, Field, FieldKind, Index, Kind};
use crate::publish::Event;
use crate::records::dns;
use crate::store::{StoreError, Tx};

/// What is wrong with a draft. The fields of a view are made here, of its query.
pub(super) fn check(tx: &Tx<'_, Event>, draft: &mut Draft) -> Result<Vec<FieldError>, StoreError> {
    if draft.collection.kind == Kind::View {
        draft.collection.fields = views::fields_of(tx, view_query(&draft.collection)).0;
    }
    let draft = &*draft;
    let mut errors = Vec::new();
    errors.extend(check_id(tx, draft));
    errors.extend(check_system(draft));
    errors.extend(check_type(draft));
    errors.extend(check_name(tx, draft)?);
    errors.extend(check_fields(tx, draft));
    errors.extend(check_rules(tx, draft));
    errors.extend(check_indexes(tx, draft)?);
    match draft.collection.kind {
        Kind::Base => {}
        Kind::Auth => errors.extend(auth::check(tx, draft)),
        Kind::View => errors.extend(views::check_query(tx, view_query(&draft.collection))),
    }
    Ok(errors)
}

fn check_id(tx: &Tx<'_, Event>, draft: &Draft) -> Option<FieldError> {
    let id = draft.collection.id.as_str();
    if id.is_empty() {
        return Some(required("id"));
    }
    if let Some(original) = &draft.original {
        return (id != original.id).then(|| mismatch("id"));
    }
    if id.chars().count() > ID_CHARS_MAX {
        return Some(length("id", 1, ID_CHARS_MAX));
    }
    if !is_word(id) {
        return Some(bad_format("id"));
    }
    tx.schema().by_id(id).map(|_| {
        let message = "The model id is invalid or already exists";
        FieldError::new("id", "validation_invalid_or_existing_id", message)
    })
}

fn check_system(draft: &Draft) -> Option<FieldError> {
    let original = draft.original.as_ref()?;
    (draft.collection.system != original.system).then(|| {
        let message = "System collection state cannot be changed";
        FieldError::new("system", "validation_collection_system_flag_change", message)
    })
}

fn check_type(draft: &Draft) -> Option<FieldError> {
    if Kind::from_text(&draft.type_word).is_none() {
        let message = "Must be a valid value";
        return Some(FieldError::new("type", "validation_in_invalid", message));
    }
    (draft.type_word != draft.collection.kind.as_str()).then(|| {
        let message = "Collection type cannot be changed";
        FieldError::new("type", "validation_collection_type_change", message)
    })
}

fn check_name(tx: &Tx<'_, Event>, draft: &Draft) -> Result<Option<FieldError>, StoreError> {
    let name = draft.collection.name.as_str();
    let error = |code, message: &str| Ok(Some(FieldError::new("name", code, message)));
    if name.is_empty() {
        return Ok(Some(required("name")));
    }
    if name.chars().count() > COLLECTION_NAME_CHARS_MAX {
        return Ok(Some(length("name", 1, COLLECTION_NAME_CHARS_MAX)));
    }
    if let Some(error) = check_via("name", name) {
        return Ok(Some(error));
    }
    if !is_word(name) {
        return Ok(Some(bad_format("name")));
    }
    let original = draft.original.as_deref();
    if original.is_some_and(|original| is_kept(original) && name != original.name) {
        let code = "validation_collection_system_name_change";
        return error(code, "System collection name cannot be changed");
    }
    let schema = tx.schema();
    let own_id = original.map(|original| original.id.as_str());
    if schema.by_name(name).is_some_and(|other| Some(other.id.as_str()) != own_id) {
        let message = "Collection name must be unique (case insensitive)";
        return error("validation_collection_name_exists", message);
    }
    if schema.by_id(name).is_some() {
        let code = "validation_collection_name_id_duplicate";
        return error(code, "The name must not match an existing collection id");
    }
    let is_new_name = original.is_none_or(|original| original.name != name);
    if is_new_name && schema.by_name(name).is_none() && tx.has_table(name)? {
        let code = "validation_collection_name_invalid";
        return error(code, "The name shouldn't match with an existing internal table");
    }
    Ok(None)
}

/// Collections whose name stays: the system's, and that of the DNS records.
fn is_kept(collection: &Collection) -> bool {
    collection.system || collection.name == dns::COLLECTION
}

fn bad_format(place: &str) -> FieldError {
    FieldError::new(place, "validation_match_invalid", "Must be in a valid format")
}

// ---- fields -------------------------------------------------------------------------------

/// The first sort of trouble that there is with the fields.
fn check_fields(tx: &Tx<'_, Event>, draft: &Draft) -> Vec<FieldError> {
    let collection = &draft.collection;
    let first = check_duplicates(&collection.fields)
        .or_else(|| check_needed(collection))
        .or_else(|| check_kept(draft));
    if let Some(error) = first {
        return vec![error];
    }
    let several = |check: &dyn Fn(usize, &Field) -> Vec<FieldError>| -> Vec<FieldError> {
        let fields = collection.fields.iter().enumerate();
        fields.flat_map(|(at, field)| check(at, field)).collect()
    };
    let original = draft.original.as_deref().filter(|original| original.kind != Kind::View);
    let errors = several(&|at, field| {
        let old = original.and_then(|original| by_id(&original.fields, &field.id));
        let is_other = old.is_some_and(|old| old.kind != field.kind);
        let error = is_other.then(|| {
            let message = "Field type cannot be changed";
            FieldError::new(format!("fields.{at}"), "validation_field_type_change", message)
        });
        error.into_iter().collect()
    });
    if !errors.is_empty() {
        return errors;
    }
    let errors = several(&|at, field| {
        let is_reserved = collection.kind == Kind::Auth
            && matches!(field.name.as_str(), "passwordConfirm" | "oldPassword");
        let error = is_reserved.then(|| {
            let message = "The field name is reserved and cannot be used";
            let place = format!("fields.{at}.name");
            FieldError::new(&place, "validation_reserved_field_name", message)
        });
        error.into_iter().collect()
    });
    if !errors.is_empty() {
        return errors;
    }
    several(&|at, field| {
        let mut errors = field_rules::check(tx, draft, field);
        for error in &mut errors {
            error.field = format!("fields.{at}.{}", error.field);
        }
        errors
    })
}

fn check_duplicates(fields: &[Field]) -> Option<FieldError> {
    fields.iter().enumerate().find_map(|(at, field)| {
        let before = &fields[..at];
        if before.iter().any(|other| other.id == field.id) {
            let message = format!("Duplicated or invalid field id {:?}", field.id);
            let place = format!("fields.{at}.id");
            return Some(FieldError::new(&place, "validation_duplicated_field_id", message));
        }
        before.iter().any(|other| other.name.eq_ignore_ascii_case(&field.name)).then(|| {
            let message = format!("Duplicated or invalid field name {}", field.name);
            let place = format!("fields.{at}.name");
            FieldError::new(&place, "validation_duplicated_field_name", message)
                .with("fieldName", field.name.as_str())
        })
    })
}

/// The fields that a collection of its kind cannot be without.
fn check_needed(collection: &Collection) -> Option<FieldError> {
    let error = |place: &str, code, message: String| Some(FieldError::new(place, code, message));
    if collection.fields.is_empty() {
        return Some(required("fields"));
    }
    if !collection.field("id").is_some_and(Field::is_primary_key) {
        let message = "Missing or invalid \"id\" PK field".to_owned();
        return error("fields", "validation_missing_primary_key", message);
    }
    if collection.kind != Kind::Auth {
        return None;
    }
    for (name, kind, is_hidden, missing) in [
        ("password", FieldKind::Password, true, "validation_missing_password_field"),
        ("tokenKey", FieldKind::Text, true, "validation_missing_tokenKey_field"),
        ("email", FieldKind::Email, false, "validation_missing_email_field"),
        ("emailVisibility", FieldKind::Bool, false, "validation_missing_emailVisibility_field"),
        ("verified", FieldKind::Bool, false, "validation_missing_verified_field"),
    ] {
        let Some(field) = collection.field(name).filter(|field| field.kind == kind) else {
            return error("fields", missing, format!("System \"{name}\" field is required"));
        };
        let place = format!("fields.{name}");
        if is_hidden && !(field.hidden && field.system) {
            let message = "The field must be marked as system and hidden".to_owned();
            return error(&place, "validation_must_be_system_and_hidden", message);
        }
        if !field.system {
            let message = "The field must be marked as system".to_owned();
            return error(&place, "validation_must_be_system", message);
        }
    }
    None
}

/// The system's fields stay, and those that make a DNS record of a row.
fn check_kept(draft: &Draft) -> Option<FieldError> {
    let original = draft.original.as_ref().filter(|original| original.kind != Kind::View)?;
    let is_dns = original.name == dns::COLLECTION;
    let mut kept = original.fields.iter().filter(|field| is_kept_field(original, field));
    let is_changed = kept.any(|old| {
        by_id(&draft.collection.fields, &old.id).is_none_or(|new| {
            new.name != old.name || is_dns && new.is_multiple() != old.is_multiple()
        })
    });
    is_changed.then(|| {
        let message = "System fields cannot be deleted or renamed";
        FieldError::new("fields", "validation_system_field_change", message)
    })
}

// ---- rules --------------------------------------------------------------------------------

fn check_rules(tx: &Tx<'_, Event>, draft: &Draft) -> Vec<FieldError> {
    let new = rules_of(&draft.collection);
    let old = draft.original.as_deref().map(rules_of);
    let is_view = draft.collection.kind == Kind::View;
    let errors = new.iter().enumerate().filter_map(|(at, (place, rule))| {
        // Nobody writes to a view.
        if is_view && at >= 2 && rule.is_some() {
            return Some(FieldError::new(*place, "validation_nil", "Must be blank"));
        }
        let old = old.as_ref().and_then(|old| old[at].1);
        check_rule(tx, &draft.collection, place, *rule)
            .or_else(|| check_system_rule(draft, place, old, *rule))
    });
    errors.collect()
}

/// Those of reading first.
fn rules_of(collection: &Collection) -> [(&'static str, Option<&str>); 5] {
    [
        ("listRule", collection.list_rule.as_deref()),
        ("viewRule", collection.view_rule.as_deref()),
        ("createRule", collection.create_rule.as_deref()),
        ("updateRule", collection.update_rule.as_deref()),
        ("deleteRule", collection.delete_rule.as_deref()),
    ]
}

// ---- indexes ------------------------------------------------------------------------------

fn check_indexes(tx: &Tx<'_, Event>, draft: &Draft) -> Result<Option<FieldError>, StoreError> {
    let collection = &draft.collection;
    if collection.kind == Kind::View && !collection.indexes.is_empty() {
        let message = "View collections don't support indexes";
        let code = "validation_indexes_not_supported";
        return Ok(Some(FieldError::new("indexes", code, message)));
    }
    let (mut names, mut definitions) = (Vec::new(), Vec::new());
    for (at, sql) in collection.indexes.iter().enumerate() {
        let error = |code, message: &str| FieldError::new(format!("indexes.{at}"), code, message);
        let Some(index) = Index::parse(sql) else {
            let code = "validation_invalid_index_expression";
            return Ok(Some(error(code, "Invalid CREATE INDEX expression")));
        };
        let name = index.name.to_ascii_lowercase();
        if names.contains(&name) {
            let code = "validation_duplicated_index_name";
            return Ok(Some(error(code, "The index name already exists")));
        }
        let is_own = |table: &String| {
            let own = [Some(&collection.name), draft.original.as_ref().map(|old| &old.name)];
            own.into_iter().flatten().any(|own| own.eq_ignore_ascii_case(table))
        };
        // Ours belong to nobody's list, so nobody may take their names.
        let owner =
            tx.table_of_index(&name)?.filter(|t| !is_own(t) || name.starts_with("_pocketdns_"));
        if let Some(owner) = owner {
            let code = "validation_existing_index_name";
            let message = format!("The index name is already used in {owner} collection");
            return Ok(Some(error(code, &message).with("usedTableName", owner)));
        }
        let definition = anonymous(&index).to_sql();
        if definitions.contains(&definition) {
            let code = "validation_duplicated_index_definition";
            return Ok(Some(error(code, "The index definition already exists")));
        }
        names.push(name);
        definitions.push(definition);
    }
    Ok(check_unique_kept(draft).or_else(|| check_unique_needed(collection)))
}

/// An index without what does not matter to what it does.
fn anonymous(index: &Index) -> Index {
    Index { name: "i".to_owned(), table: "t".to_owned(), schema: String::new(), ..index.clone() }
}

/// Unique indexes over the system's fields stay; they may compare and sort otherwise, and be
/// partial.
fn check_unique_kept(draft: &Draft) -> Option<FieldError> {
    let original = draft.original.as_ref()?;
    let essence = |sql: &String| {
        let mut index = anonymous(&Index::parse(sql)?);
        index.condition.clear();
        for column in &mut index.columns {
            column.collate.clear();
            column.sort.clear();
        }
        Some(index)
    };
    let new: Vec<_> = draft.collection.indexes.iter().filter_map(essence).collect();
    let old = original.indexes.iter().filter_map(essence).filter(|index| index.unique);
    old.filter(|old| !new.contains(old)).find_map(|gone| {
        let field = original.fields.iter().find(|field| {
            let is_of = |column: &str| column.eq_ignore_ascii_case(&field.name);
            field.system && gone.columns.iter().any(|column| is_of(&column.name))
        })?;
        let name = field.name.as_str();
        let message =
            format!("Unique index definition on system fields ({name}) is invalid or missing");
        let code = "validation_invalid_unique_system_field_index";
        Some(FieldError::new("indexes", code, message).with("fieldName", name))
    })
}

fn check_unique_needed(collection: &Collection) -> Option<FieldError> {
    if collection.kind != Kind::Auth {
        return None;
    }
    ["tokenKey", "email"]
        .into_iter()
        .find(|name| Index::unique_over(&collection.indexes, name).is_none())
        .map(|name| {
            let message = format!("Missing required unique index for field \"{name}\"");
            let code = "validation_missing_required_unique_index";
            FieldError::new("indexes", code, message).with("fieldName", name)
        })
}

/// Whether a field stays, whatever an import does not name.
pub(super) fn is_kept_field(collection: &Collection, field: &Field) -> bool {
    field.system || collection.name == dns::COLLECTION && dns::FIELDS.contains(&field.name.as_str())
}

/// Whether a start of the server needs this collection, so that nothing may remove it.
pub(super) fn is_needed(collection: &Collection) -> bool {
    is_kept(collection) || collection.name == SUPERUSERS
}
