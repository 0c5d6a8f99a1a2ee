//! The fields of a view collection follow from its query: a column that is a field elsewhere is
//! that field under another id and name, a known call or cast says its type, an id of another
//! collection is a relation, and all else is JSON.

use super::field_rules::{check, required};
use super::fields::{add, blank, set};
use super::{Draft, Failure, new_collection};
use crate::limits::VIEW_SAMPLE_ROWS;
use crate::model::FieldError;
use crate::model::view_query::{Named, ViewQuery, trim, with_text_id};
use crate::model::{Field, FieldKind, Kind, Record, Schema, ids};
use crate::store::Reader;

/// What a query would give as a view collection.
#[derive(Debug, Clone)]
pub struct DryRun {
    /// A collection that is not stored, with the fields.
    pub collection: crate::model::Collection,
    /// The first records.
    pub sample: Vec<Record>,
}

/// The fields that `query` makes. Beside them what is wrong with the query: then they are a part
/// of them, or none.
pub(super) fn fields_of(reader: &Reader<'_>, query: &str) -> (Vec<Field>, Result<(), String>) {
    match try_fields(reader, query) {
        Ok(fields) if fields.iter().any(|field| field.name == "id") => (fields, Ok(())),
        Ok(fields) => (
            fields,
            Err("missing required id column (you can use `(ROW_NUMBER() OVER()) as id` if you don't have one)".to_owned()),
        ),
        Err(problem) => (Vec::new(), Err(problem)),
    }
}

fn try_fields(reader: &Reader<'_>, query: &str) -> Result<Vec<Field>, String> {
    let query = trim(query)?;
    let parsed = ViewQuery::parse(query)?;
    if parsed.columns.iter().any(|column| column.alias == "*") {
        return Err("wildcard columns (*) are not supported - manually type the collection field names you want the view query to have".to_owned());
    }
    let mut fields = Vec::new();
    for name in reader.query_columns(query)? {
        let column = parsed.columns.iter().rev().find(|column| column.alias == name);
        let field = match column {
            Some(column) => field_of(&parsed, column, reader.schema()),
            None => other(&name),
        };
        add(&mut fields, field);
    }
    Ok(fields)
}

fn field_of(parsed: &ViewQuery, column: &Named, schema: &Schema) -> Field {
    let name = column.alias.as_str();
    if name == "id" {
        return id_field();
    }
    let number = |is_whole: bool| {
        let mut field = blank(FieldKind::Number, name);
        set(&mut field, &[("onlyInt", is_whole.into())]);
        field
    };
    let lower = column.original.to_lowercase();
    if lower.starts_with("count(") {
        return number(true);
    }
    if lower.starts_with("total(") {
        return number(false);
    }
    match cast_type(&lower) {
        Some("real" | "decimal" | "numeric") => return number(false),
        Some("int" | "integer") => return number(true),
        Some("text") => return blank(FieldKind::Text, name),
        Some("boolean" | "bool") => return blank(FieldKind::Bool, name),
        _ => {}
    }
    match parsed.source(column, schema) {
        None | Some((_, None)) => other(name),
        Some((collection, Some(source))) if source.name.eq_ignore_ascii_case("id") => {
            let mut field = blank(FieldKind::Relation, name);
            let id = collection.id.as_str().into();
            set(&mut field, &[("maxSelect", 1.into()), ("collectionId", id)]);
            field
        }
        Some((_, Some(source))) => {
            let mut field = source.clone();
            // The same field may be there twice.
            field.id = format!("_clone_{}", &ids::record_id()[..4]);
            name.clone_into(&mut field.name);
            field
        }
    }
}

/// The type in `cast(… as type)`, in small letters.
fn cast_type(expression: &str) -> Option<&str> {
    let inner = expression.strip_prefix("cast")?.trim_start();
    let inner = inner.strip_prefix('(')?.strip_suffix(')')?.trim_end();
    let (before, kind) = inner.rsplit_once(char::is_whitespace)?;
    let before = before.trim_end().strip_suffix("as")?;
    before.ends_with(char::is_whitespace).then_some(kind)
}

fn id_field() -> Field {
    let mut field = blank(FieldKind::Text, "id");
    (field.system, field.required) = (true, true);
    set(&mut field, &[("primaryKey", true.into()), ("pattern", "^[a-z0-9]+$".into())]);
    field
}

fn other(name: &str) -> Field {
    if name == "id" {
        return id_field();
    }
    let mut field = blank(FieldKind::Json, name);
    set(&mut field, &[("maxSize", 1.into())]);
    field
}

/// Tries a query without storing anything.
///
/// # Errors
/// [`Failure::Message`] says what is wrong, for the superuser who wrote it.
pub fn dry_run(reader: &Reader<'_>, query: &str) -> Result<DryRun, Failure> {
    try_query(reader, query)
        .map_err(|problem| Failure::Message(format!("Invalid view query. Raw error: \n{problem}")))
}

fn try_query(reader: &Reader<'_>, query: &str) -> Result<DryRun, String> {
    let query = trim(query)?;
    let (fields, outcome) = fields_of(reader, query);
    outcome?;
    let mut collection =
        new_collection(Kind::View, &format!("temp_view_{}", &ids::record_id()[..5]));
    collection.fields = fields;
    let draft = Draft::new(collection);
    for (at, field) in draft.collection.fields.iter().enumerate() {
        if let Some(FieldError { field: key, message, .. }) = check(reader, &draft, field).first() {
            return Err(format!("invalid field {:?} ({at}): {key}: {message}", field.name));
        }
    }
    let collection = draft.collection;
    let query = with_text_id(query, reader.schema())?;
    let sample = reader.query_sample(&query, &collection, VIEW_SAMPLE_ROWS)?;
    let mut seen: Vec<&str> = Vec::new();
    for record in &sample {
        let id = record.id(&collection);
        if id.is_empty() {
            return Err("the query could return records with empty or invalid ids".to_owned());
        }
        if seen.contains(&id) {
            return Err("the query could return records with non-unique ids".to_owned());
        }
        seen.push(id);
    }
    Ok(DryRun { collection, sample })
}

/// What is wrong with the query of a view.
pub(super) fn check_query(reader: &Reader<'_>, query: &str) -> Option<FieldError> {
    if query.is_empty() {
        return Some(required("viewQuery"));
    }
    let problem: String = try_query(reader, query).err()?.chars().take(500).collect();
    let code = "validation_invalid_view_query";
    Some(FieldError::new("viewQuery", code, format!("Invalid query - {problem}")))
}
