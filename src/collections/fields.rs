//! The fields of a collection: what a client may say of one, ids for new ones, and what the system
//! adds and forces.

use serde_json::Value as Json;

use super::Malformed;
use super::shape::{self, Keys, Shape};
use crate::model::{Collection, Field, FieldKind, Kind, ids};

// ---- reading ------------------------------------------------------------------------------

/// The options of a type of field, but for those that all types have.
fn keys(kind: FieldKind) -> Keys {
    const HELP: (&str, Shape) = ("help", Shape::Text);
    match kind {
        FieldKind::Text => &[
            HELP,
            ("autogeneratePattern", Shape::Text),
            ("max", Shape::Int),
            ("min", Shape::Int),
            ("pattern", Shape::Text),
            ("primaryKey", Shape::Bool),
        ],
        FieldKind::Editor => &[HELP, ("convertURLs", Shape::Bool), ("maxSize", Shape::Int)],
        FieldKind::Number => &[
            HELP,
            ("max", Shape::NullableNumber),
            ("min", Shape::NullableNumber),
            ("onlyInt", Shape::Bool),
        ],
        FieldKind::Email | FieldKind::Url => {
            &[HELP, ("exceptDomains", Shape::TextList), ("onlyDomains", Shape::TextList)]
        }
        FieldKind::Date => &[HELP, ("max", Shape::Date), ("min", Shape::Date)],
        FieldKind::Autodate => &[("onCreate", Shape::Bool), ("onUpdate", Shape::Bool)],
        FieldKind::Select => &[HELP, ("maxSelect", Shape::Int), ("values", Shape::TextList)],
        FieldKind::File => &[
            HELP,
            ("maxSelect", Shape::Int),
            ("maxSize", Shape::Int),
            ("mimeTypes", Shape::TextList),
            ("protected", Shape::Bool),
            ("thumbs", Shape::TextList),
        ],
        FieldKind::Relation => &[
            HELP,
            ("cascadeDelete", Shape::Bool),
            ("collectionId", Shape::Text),
            ("maxSelect", Shape::Int),
            ("minSelect", Shape::Int),
        ],
        FieldKind::Json => &[HELP, ("maxSize", Shape::Int)],
        FieldKind::Password => &[
            HELP,
            ("cost", Shape::Int),
            ("max", Shape::Int),
            ("min", Shape::Int),
            ("pattern", Shape::Text),
        ],
        FieldKind::Bool | FieldKind::GeoPoint | FieldKind::Unknown => &[HELP],
    }
}

const COMMON: Keys = &[
    ("id", Shape::Text),
    ("name", Shape::Text),
    ("system", Shape::Bool),
    ("hidden", Shape::Bool),
    ("presentable", Shape::Bool),
    ("required", Shape::Bool),
];

/// A field with nothing but a type and a name.
pub(super) fn blank(kind: FieldKind, name: &str) -> Field {
    Field {
        id: String::new(),
        name: name.to_owned(),
        kind,
        system: false,
        hidden: false,
        presentable: false,
        required: false,
        options: shape::zero(keys(kind)),
    }
}

/// Reads a list of fields as a client writes it; ids that are missing are made.
pub(super) fn read(given: &Json) -> Result<Vec<Field>, Malformed> {
    let given = match given {
        Json::Array(given) => given.as_slice(),
        Json::Null => &[],
        _ => return Err(Malformed),
    };
    let mut fields = Vec::with_capacity(given.len());
    for field in given {
        add(&mut fields, read_one(field)?);
    }
    Ok(fields)
}

fn read_one(given: &Json) -> Result<Field, Malformed> {
    let given = given.as_object().ok_or(Malformed)?;
    let kind = FieldKind::from_text(given.get("type").and_then(Json::as_str).unwrap_or_default());
    if kind == FieldKind::Unknown {
        return Err(Malformed);
    }
    let mut common = shape::zero(COMMON);
    shape::merge(COMMON, &mut common, given)?;
    let mut field = blank(kind, "");
    shape::merge(keys(kind), &mut field.options, given)?;
    let mut text = |key: &str| match common.get_mut(key).map(Json::take) {
        Some(Json::String(text)) => text,
        _ => String::new(),
    };
    (field.id, field.name) = (text("id"), text("name"));
    let flag = |key: &str| common.get(key) == Some(&Json::Bool(true));
    field.system = flag("system");
    field.hidden = flag("hidden");
    field.presentable = flag("presentable");
    field.required = kind != FieldKind::Autodate && flag("required");
    Ok(field)
}

/// Adds a field, or puts it in the place of the one with its id; without an id it takes the place
/// of the one with its name, or gets an id that is free.
pub(super) fn add(fields: &mut Vec<Field>, mut field: Field) {
    let place = if field.id.is_empty() {
        let base = ids::field_id(field.kind.as_str(), &field.name);
        let is_free = |id: &String| fields.iter().all(|field| field.id != *id);
        let suffixed = (2..).map(|suffix| format!("{base}{suffix}"));
        field.id = std::iter::once(base.clone())
            .chain(suffixed)
            .take(fields.len() + 1)
            .find(is_free)
            .unwrap_or_default();
        let same = |other: &Field| !field.name.is_empty() && other.name == field.name;
        let place = fields.iter().position(same);
        if let Some(place) = place {
            field.id.clone_from(&fields[place].id);
        }
        place
    } else {
        fields.iter().position(|other| other.id == field.id)
    };
    match place {
        Some(place) => fields[place] = field,
        None => fields.push(field),
    }
}

// ---- the system's own fields --------------------------------------------------------------

/// Adds the fields that every collection of its kind has, and forces what they must be.
pub(super) fn ensure_system(collection: &mut Collection) {
    if collection.kind == Kind::View {
        return;
    }
    let fields = &mut collection.fields;
    match find(fields, FieldKind::Text, "id") {
        Some(id) => {
            (id.system, id.required, id.hidden) = (true, true, false);
            id.options.insert("primaryKey".to_owned(), true.into());
            if id.options.get("pattern").and_then(Json::as_str).unwrap_or_default().is_empty() {
                id.options.insert("pattern".to_owned(), ID_PATTERN.into());
            }
        }
        None => {
            let mut id = blank(FieldKind::Text, "id");
            (id.system, id.required) = (true, true);
            set(
                &mut id,
                &[
                    ("primaryKey", true.into()),
                    ("min", 15.into()),
                    ("max", 15.into()),
                    ("pattern", ID_PATTERN.into()),
                    ("autogeneratePattern", "[a-z0-9]{15}".into()),
                ],
            );
            let others = std::mem::take(fields);
            for field in std::iter::once(id).chain(others) {
                add(fields, field);
            }
        }
    }
    if collection.kind == Kind::Auth {
        ensure_auth(collection);
    }
}

/// The pattern that ids have where nobody asks for another.
const ID_PATTERN: &str = "^[a-z0-9]+$";

fn ensure_auth(collection: &mut Collection) {
    let fields = &mut collection.fields;
    let mut ensure = |kind, name, new: &dyn Fn(&mut Field), force: &dyn Fn(&mut Field)| match find(
        fields, kind, name,
    ) {
        Some(field) => {
            field.system = true;
            force(field);
        }
        None => {
            let mut field = blank(kind, name);
            field.system = true;
            force(&mut field);
            new(&mut field);
            add(fields, field);
        }
    };
    let hide = |field: &mut Field| (field.hidden, field.required) = (true, true);
    ensure(FieldKind::Password, "password", &|f| set(f, &[("min", 8.into())]), &hide);
    let token_key = |field: &mut Field| {
        let pattern = "[a-zA-Z0-9]{50}".into();
        set(field, &[("min", 30.into()), ("max", 60.into()), ("autogeneratePattern", pattern)]);
    };
    ensure(FieldKind::Text, "tokenKey", &token_key, &hide);
    ensure(FieldKind::Email, "email", &|f| f.required = true, &|f| f.hidden = false);
    ensure(FieldKind::Bool, "emailVisibility", &|_| {}, &|_| {});
    ensure(FieldKind::Bool, "verified", &|_| {}, &|_| {});
}

fn find<'f>(fields: &'f mut [Field], kind: FieldKind, name: &str) -> Option<&'f mut Field> {
    // Only the first of the name counts, whatever its type.
    fields.iter_mut().find(|field| field.name == name).filter(|field| field.kind == kind)
}

pub(super) fn set(field: &mut Field, options: &[(&str, Json)]) {
    for (key, value) in options {
        field.options.insert((*key).to_owned(), value.clone());
    }
}
