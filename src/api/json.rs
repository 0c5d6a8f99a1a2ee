//! What is sent: records, pages, collections and errors as PocketBase writes them, each ending in a
//! newline.

use std::collections::BTreeMap;
use std::rc::Rc;

use serde_json::Value as Json;

use super::fields::Fields;
use crate::auth::Identity;
use crate::collections::DryRun;
use crate::model::json::{Keys, push_json, push_number, push_raw, push_str};
use crate::model::{Action, Collection, FieldError, FieldKind, Kind, Page, Value};
use crate::records::Seen;
use crate::records::enrich::Expansion;

// ---- records ------------------------------------------------------------------------------

/// A record as `caller` may see it.
pub(super) fn record(
    collection: &Collection,
    caller: Option<&Identity>,
    seen: &Seen,
    fields: &Fields,
) -> String {
    let mut out = String::new();
    Shapes::new(caller).push(&mut out, collection, seen);
    fields.pick(out)
}

/// A change of a record as `caller` may see it, without a newline. `fields` pick from the record.
pub(super) fn event(
    collection: &Collection,
    caller: Option<&Identity>,
    seen: &Seen,
    action: Action,
    fields: &Fields,
) -> String {
    let picked = record(collection, caller, seen, fields);
    let mut out = String::with_capacity(picked.len() + 40);
    out.push_str("{\"record\":");
    out.push_str(picked.trim_end());
    out.push_str(",\"action\":");
    push_str(&mut out, action.as_str());
    out.push('}');
    out
}

/// A page of records as `caller` may see them; its own items are `seen`.
pub(super) fn page(
    collection: &Collection,
    caller: Option<&Identity>,
    page: &Page,
    seen: &[Seen],
    fields: &Fields,
) -> String {
    let mut shapes = Shapes::new(caller);
    push_page(page.page, page.per_page, page.total, seen, fields, |out, seen| {
        shapes.push(out, collection, seen);
    })
}

/// A record with a token for it.
pub(super) fn signed_in(identity: &Identity, seen: &Seen, token: &str, fields: &Fields) -> String {
    let mut out = String::from("{\"record\":");
    Shapes::new(Some(identity)).push(&mut out, &identity.collection, seen);
    out.push_str(",\"token\":");
    push_str(&mut out, token);
    out.push('}');
    fields.pick(out)
}

/// A page of anything; `total` is `None` when it was not counted.
pub(super) fn push_page<'t, T>(
    page: u64,
    per_page: u64,
    total: Option<u64>,
    items: &'t [T],
    fields: &Fields,
    mut push: impl FnMut(&mut String, &'t T),
) -> String {
    let mut out = String::from("{\"items\":[");
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        push(&mut out, item);
    }
    let (total_items, total_pages) = match total {
        Some(total) => (total.to_string(), total.div_ceil(per_page.max(1)).to_string()),
        None => ("-1".to_owned(), "-1".to_owned()),
    };
    out.push_str(&format!(
        "],\"page\":{page},\"perPage\":{per_page},\"totalItems\":{total_items},\
         \"totalPages\":{total_pages}}}"
    ));
    fields.pick_items(out)
}

/// How the records of the collections that occur are written for a caller.
struct Shapes<'c> {
    caller: Option<&'c Identity>,
    shapes: Vec<Rc<Shape<'c>>>,
}

impl<'c> Shapes<'c> {
    fn new(caller: Option<&'c Identity>) -> Self {
        Self { caller, shapes: Vec::with_capacity(1) }
    }

    fn push(&mut self, out: &mut String, collection: &'c Collection, seen: &'c Seen) {
        let known = self.shapes.iter().find(|shape| shape.collection.id == collection.id);
        let shape = known.cloned().unwrap_or_else(|| {
            let shape = Rc::new(Shape::new(collection, self.caller));
            self.shapes.push(Rc::clone(&shape));
            shape
        });
        shape.push(out, seen, self);
    }

    fn push_expand(&mut self, out: &mut String, expand: &'c BTreeMap<String, Expansion>) {
        out.push('{');
        for (index, (step, Expansion { collection, records, is_list })) in expand.iter().enumerate()
        {
            if index > 0 {
                out.push(',');
            }
            push_str(out, step);
            out.push_str(if *is_list { ":[" } else { ":" });
            for (index, seen) in records.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                self.push(out, collection, seen);
            }
            if *is_list {
                out.push(']');
            }
        }
        out.push('}');
    }
}

/// Which members the records of a collection have for a caller, sorted by name.
struct Shape<'c> {
    collection: &'c Collection,
    caller_id: Option<&'c str>,
    is_superuser: bool,
    members: Vec<(&'c str, Member)>,
}

#[derive(Clone, Copy)]
enum Member {
    CollectionId,
    CollectionName,
    Field(usize),
    /// An address that its owner may have hidden.
    Email(usize),
    /// A hash: seen to be there, never shown.
    Password,
    /// The records that it refers to, where somebody asked for them.
    Expand,
}

impl<'c> Shape<'c> {
    fn new(collection: &'c Collection, caller: Option<&'c Identity>) -> Self {
        let is_superuser = caller.is_some_and(Identity::is_superuser);
        let is_auth = collection.kind == Kind::Auth;
        let mut members = vec![
            ("collectionId", Member::CollectionId),
            ("collectionName", Member::CollectionName),
            ("expand", Member::Expand),
        ];
        for (index, field) in collection.fields.iter().enumerate() {
            let is_secret = is_auth && matches!(field.name.as_str(), "password" | "tokenKey");
            if is_secret || (field.hidden && !is_superuser) {
                continue;
            }
            let member = match field.kind {
                FieldKind::Password => Member::Password,
                _ if is_auth && field.name == "email" => Member::Email(index),
                _ => Member::Field(index),
            };
            members.push((&field.name, member));
        }
        members.sort_by_key(|(name, _)| *name);
        let caller_id = caller
            .filter(|caller| caller.collection.id == collection.id)
            .map(|caller| caller.record.id(&caller.collection));
        Self { collection, caller_id, is_superuser, members }
    }

    fn push(&self, out: &mut String, seen: &'c Seen, shapes: &mut Shapes<'c>) {
        let (collection, record) = (self.collection, &seen.record);
        let shows_email = self.is_superuser
            || self.caller_id == Some(record.id(collection))
            || seen.is_managed
            || record.value(collection, "emailVisibility") == Some(&Value::Bool(true));
        out.push('{');
        let mut is_first = true;
        for (name, member) in &self.members {
            let is_left_out = match member {
                Member::Email(_) => !shows_email,
                Member::Expand => seen.expand.is_none(),
                _ => false,
            };
            if is_left_out {
                continue;
            }
            if !std::mem::take(&mut is_first) {
                out.push(',');
            }
            push_str(out, name);
            out.push(':');
            match member {
                Member::CollectionId => push_str(out, &collection.id),
                Member::CollectionName => push_str(out, &collection.name),
                Member::Password => out.push_str("\"\""),
                Member::Expand => {
                    if let Some(expand) = &seen.expand {
                        shapes.push_expand(out, expand);
                    }
                }
                Member::Field(index) | Member::Email(index) => {
                    push_value(out, record.values.get(*index).unwrap_or(&Value::Null));
                }
            }
        }
        out.push('}');
    }
}

fn push_value(out: &mut String, value: &Value) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(truth) => out.push_str(if *truth { "true" } else { "false" }),
        Value::Number(number) => push_number(out, *number),
        Value::Text(text) => push_str(out, text),
        Value::Json(text) => push_raw(out, text),
        Value::List(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                push_str(out, item);
            }
            out.push(']');
        }
    }
}

// ---- collections --------------------------------------------------------------------------

/// Appends a collection without its secrets, in the order of PocketBase's struct.
pub(super) fn push_collection(out: &mut String, collection: &Collection) {
    let text = |out: &mut String, name: &str, value: &str| {
        push_str(out, name);
        out.push(':');
        push_str(out, value);
        out.push(',');
    };
    let rule = |out: &mut String, name: &str, rule: &Option<String>| match rule {
        Some(rule) => text(out, name, rule),
        None => {
            push_str(out, name);
            out.push_str(":null,");
        }
    };
    out.push('{');
    text(out, "id", &collection.id);
    rule(out, "listRule", &collection.list_rule);
    rule(out, "viewRule", &collection.view_rule);
    rule(out, "createRule", &collection.create_rule);
    rule(out, "updateRule", &collection.update_rule);
    rule(out, "deleteRule", &collection.delete_rule);
    text(out, "name", &collection.name);
    text(out, "type", collection.kind.as_str());
    out.push_str("\"fields\":");
    push_fields(out, collection);
    out.push_str(",\"indexes\":");
    push_json(out, &collection.indexes.as_slice().into(), Keys::AsRead);
    out.push(',');
    text(out, "created", &collection.created);
    text(out, "updated", &collection.updated);
    out.push_str("\"system\":");
    out.push_str(if collection.system { "true" } else { "false" });
    for (name, option) in &collection.options {
        out.push(',');
        push_str(out, name);
        out.push(':');
        let mut option = option.clone();
        redact(name, &mut option);
        push_json(out, &option, Keys::AsRead);
    }
    out.push('}');
}

/// What a view's query would give.
pub(super) fn dry_run(made: &DryRun, fields: &Fields) -> String {
    let sample: Vec<_> =
        made.sample.iter().map(|record| Seen::new(record.clone(), false)).collect();
    let mut shapes = Shapes::new(None);
    let mut out = String::from("{\"fields\":");
    push_fields(&mut out, &made.collection);
    out.push_str(",\"sample\":[");
    for (index, seen) in sample.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        shapes.push(&mut out, &made.collection, seen);
    }
    out.push_str("]}");
    fields.pick(out)
}

fn push_fields(out: &mut String, collection: &Collection) {
    let fields = collection.fields.iter().map(crate::model::Field::to_json).collect();
    push_json(out, &Json::Array(fields), Keys::AsRead);
}

/// Takes the secrets out of one of a collection's options.
fn redact(name: &str, option: &mut Json) {
    if name.ends_with("Token")
        && let Some(token) = option.as_object_mut()
    {
        token.shift_remove("secret");
    }
    if name == "oauth2"
        && let Some(providers) = option.get_mut("providers")
    {
        match providers.as_array_mut() {
            Some(list) => {
                for provider in list.iter_mut().filter_map(Json::as_object_mut) {
                    provider.shift_remove("clientSecret");
                }
            }
            None => *providers = Json::Array(Vec::new()),
        }
    }
}

// ---- errors -------------------------------------------------------------------------------

/// PocketBase's envelope. A field with dots is an object in an object.
pub(super) fn error(status: u16, message: &str, fields: Vec<FieldError>) -> String {
    let mut out = String::from("{\"data\":");
    push_errors(&mut out, &fields);
    out.push_str(",\"message\":");
    push_str(&mut out, &sentence(message));
    out.push_str(&format!(",\"status\":{status}}}\n"));
    out
}

/// Appends an object with what is wrong with each field, names sorted at each level. Of several
/// errors with one place the first counts, and of a list and its items the list.
fn push_errors(out: &mut String, fields: &[FieldError]) {
    let mut fields: Vec<_> = fields.iter().map(|error| (places(&error.field), error)).collect();
    fields.sort_by(|a, b| a.0.cmp(&b.0));
    fields.dedup_by(|later, earlier| later.0.starts_with(&earlier.0));
    out.push('{');
    let mut open: &[&str] = &[];
    let mut is_first = true;
    for (places, error) in &fields {
        let Some((name, parents)) = places.split_last() else { continue };
        let common = open.iter().zip(parents).take_while(|(a, b)| a == b).count();
        out.extend(open.iter().skip(common).map(|_| '}'));
        if !std::mem::take(&mut is_first) {
            out.push(',');
        }
        for parent in parents.iter().skip(common) {
            push_str(out, parent);
            out.push_str(":{");
        }
        open = parents;
        push_str(out, name);
        out.push(':');
        push_error(out, error);
    }
    out.extend(open.iter().map(|_| '}'));
    out.push('}');
}

fn places(field: &str) -> Vec<&str> {
    field.split('.').collect()
}

fn push_error(out: &mut String, error: &FieldError) {
    out.push_str("{\"code\":");
    push_str(out, error.code);
    out.push_str(",\"message\":");
    push_str(out, &sentence(&error.message));
    if !error.params.is_empty() {
        out.push_str(",\"params\":");
        let params = error.params.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
        push_json(out, &Json::Object(params.collect()), Keys::Sorted);
    }
    out.push('}');
}

/// Upper case at the front, a full stop at the end.
pub(super) fn sentence(text: &str) -> String {
    let text = text.trim();
    let mut chars = text.chars();
    let Some(first) = chars.next() else { return String::new() };
    let mut sentence: String = first.to_uppercase().chain(chars).collect();
    if !sentence.ends_with(['.', '?', '!']) {
        sentence.push('.');
    }
    sentence
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_error_is_sorted_and_made_of_sentences() {
        let field = |name: &str, message: &str| FieldError {
            field: name.to_owned(),
            code: "validation_x",
            message: message.to_owned(),
            params: Vec::new(),
        };
        let mut with_params = field("b", "must be <5>!");
        with_params.params = vec![("max", 5.into())];
        assert_eq!(
            error(400, "failed", vec![with_params, field("a", "cannot be blank")]),
            "{\"data\":{\"a\":{\"code\":\"validation_x\",\"message\":\"Cannot be blank.\"},\
             \"b\":{\"code\":\"validation_x\",\"message\":\"Must be \\u003c5\\u003e!\",\
             \"params\":{\"max\":5}}},\"message\":\"Failed.\",\"status\":400}\n"
        );
        assert_eq!(error(404, "", Vec::new()), "{\"data\":{},\"message\":\"\",\"status\":404}\n");
    }

    #[test]
    fn errors_within_objects_and_lists_are_objects() {
        let errors = ["b.1.x", "a", "b.10.y", "b.1.w", "c.d", "b.1.x", "e", "e.f", "b.2"]
            .map(|place| FieldError::new(place, "validation_x", "no"));
        let no = "{\"code\":\"validation_x\",\"message\":\"No.\"}";
        let mut out = String::new();
        push_errors(&mut out, &errors);
        assert_eq!(
            out,
            format!(
                "{{\"a\":{no},\"b\":{{\"1\":{{\"w\":{no},\"x\":{no}}},\"10\":{{\"y\":{no}}},\"2\":{no}}},\
                 \"c\":{{\"d\":{no}}},\"e\":{no}}}"
            )
        );
    }

    #[test]
    fn secrets_are_taken_out_of_options() {
        let mut token = json!({"secret": "s", "duration": 5});
        redact("authToken", &mut token);
        assert_eq!(token, json!({"duration": 5}));
        let mut oauth2 =
            json!({"providers": [{"name": "x", "clientSecret": "s"}], "enabled": true});
        redact("oauth2", &mut oauth2);
        assert_eq!(oauth2, json!({"providers": [{"name": "x"}], "enabled": true}));
        let mut none = json!({"providers": null});
        redact("oauth2", &mut none);
        assert_eq!(none, json!({"providers": []}));
    }
}
