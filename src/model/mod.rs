//! What PocketBase data is: collections, fields, values, records, ids. Pure: no SQL, no HTTP, no
//! clock. `store` fills these types from the database, `records` and `api` judge and print them.
//!
//! Absent on purpose: any knowledge of DNS.

pub mod collection;
pub mod cron;
pub mod date;
pub mod email;
pub mod event;
pub mod excerpt;
pub mod field;
pub mod field_error;
pub mod filter;
pub mod ids;
pub mod index;
pub mod json;
pub mod network;
pub mod record;
pub mod schema;
pub mod settings;
pub mod value;
pub mod view_query;

pub use collection::{Collection, Field, FieldKind, Kind};
pub use event::{Action, RecordEvent};
pub use field_error::FieldError;
pub use index::{Index, IndexColumn};
pub use record::{Page, Paging, Record};
pub use schema::Schema;
pub use settings::Settings;
pub use value::Value;
