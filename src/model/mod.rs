//! What PocketBase data is: collections, fields, values, records, ids. Pure: no SQL, no HTTP, no
//! clock. `store` fills these types from the database, `records` and `api` judge and print them.
//!
//! Absent on purpose: rules and filters (their own room when they come) and any knowledge of DNS.

pub mod collection;
pub mod ids;
pub mod index;
pub mod record;
pub mod schema;
pub mod value;
pub mod view_query;

pub use collection::{Collection, Field, FieldKind, Kind};
pub use index::{Index, IndexColumn};
pub use record::{JsonPath, ListQuery, Page, Record, Sort, SortKey};
pub use schema::Schema;
pub use value::Value;
