//! All collections of one state of the database.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use super::collection::Collection;

/// All collections as one state of the database has them. It never changes: a change of a
/// collection makes another schema, with another generation, which shares what stayed the same.
///
/// A collection is found by binary search, so a request may ask as often as it likes.
#[derive(Clone, Default)]
pub struct Schema {
    generation: i32,
    /// In the order of their rows.
    collections: Vec<Arc<Collection>>,
    /// Places in `collections`, by id.
    by_id: Vec<usize>,
    /// Places in `collections`, by name without regard to case; equals in the order of their rows.
    by_name: Vec<usize>,
}

impl fmt::Debug for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Schema")
            .field("generation", &self.generation)
            .field("collections", &self.collections)
            .finish_non_exhaustive()
    }
}

impl Schema {
    /// From the collections in the order of their rows.
    #[must_use]
    pub fn new(generation: i32, collections: Vec<Arc<Collection>>) -> Self {
        let mut by_id: Vec<usize> = (0..collections.len()).collect();
        let mut by_name = by_id.clone();
        by_id.sort_by(|a, b| collections[*a].id.cmp(&collections[*b].id));
        by_name.sort_by(|a, b| without_case(&collections[*a].name, &collections[*b].name));
        Self { generation, collections, by_id, by_name }
    }

    /// A number that each change of any collection raises (it wraps): of one database, schemas with
    /// the same number are the same.
    #[must_use]
    pub fn generation(&self) -> i32 {
        self.generation
    }

    /// The collection that a URL names: by its id, or by its name without regard to case.
    #[must_use]
    pub fn find(&self, name_or_id: &str) -> Option<&Arc<Collection>> {
        self.by_id(name_or_id).or_else(|| self.by_name(name_or_id))
    }

    /// The collection with this id. Case matters.
    #[must_use]
    pub fn by_id(&self, id: &str) -> Option<&Arc<Collection>> {
        self.search(&self.by_id, |collection| collection.id.as_str().cmp(id))
    }

    /// The collection with this name. Case does not matter.
    #[must_use]
    pub fn by_name(&self, name: &str) -> Option<&Arc<Collection>> {
        self.search(&self.by_name, |collection| without_case(&collection.name, name))
    }

    /// All collections, in the order of their rows.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Arc<Collection>> + DoubleEndedIterator {
        self.collections.iter()
    }

    /// The first of those that are equal.
    fn search(
        &self,
        order: &[usize],
        compare: impl Fn(&Collection) -> Ordering,
    ) -> Option<&Arc<Collection>> {
        let first = order.partition_point(|at| compare(&self.collections[*at]).is_lt());
        let found = &self.collections[*order.get(first)?];
        compare(found).is_eq().then_some(found)
    }
}

/// Compares names as if all ASCII letters were small; other letters no name has.
fn without_case(a: &str, b: &str) -> Ordering {
    a.bytes().map(|octet| octet.to_ascii_lowercase()).cmp(b.bytes().map(|o| o.to_ascii_lowercase()))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::Schema;
    use crate::model::Collection;

    fn schema(names: &[(&str, &str)]) -> Schema {
        let collection = |(id, name): &(&str, &str)| {
            let mut collection = Collection::for_test(&["id"]);
            (collection.id, collection.name) = ((*id).to_owned(), (*name).to_owned());
            Arc::new(collection)
        };
        Schema::new(1, names.iter().map(collection).collect())
    }

    #[test]
    fn a_collection_is_found_by_name_in_any_case_and_by_exact_id() {
        let schema = schema(&[("pbc_2", "users"), ("pbc_1", "Posts"), ("_a_", "_mfas")]);
        let id = |key: &str| schema.find(key).map(|found| found.id.as_str());
        for (key, expected) in [
            ("USERS", Some("pbc_2")),
            ("posts", Some("pbc_1")),
            ("_MFAS", Some("_a_")),
            ("pbc_1", Some("pbc_1")),
            ("_a_", Some("_a_")),
            ("_A_", None),
            ("PBC_1", None),
            ("user", None),
            ("userss", None),
            ("", None),
            ("zzz", None),
        ] {
            assert_eq!(id(key), expected, "{key}");
        }
        assert!(schema.by_name("pbc_1").is_none() && schema.by_id("users").is_none());
        assert!(Schema::default().find("users").is_none());
    }

    #[test]
    fn an_id_goes_before_a_name_and_the_first_row_before_the_second() {
        let schema = schema(&[("a", "b"), ("b", "a"), ("c", "X"), ("d", "x")]);
        assert_eq!(schema.find("a").unwrap().id, "a");
        assert_eq!(schema.by_name("a").unwrap().id, "b");
        assert_eq!(schema.find("x").unwrap().id, "c");
    }
}
