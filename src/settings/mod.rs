//! The use case behind the settings: a change is merged, checked, stored and made known.
//!
//! All of it happens in one job of the writer, so two changes at once are one after the other, and
//! what the API goes by ([`crate::publish::Live`]) follows in commit order before the reply.
//!
//! Absent: who may do it (the API's matter), and what a setting does (whoever goes by it).

mod check;
pub mod forms;

use std::sync::Arc;

pub use check::check;

use crate::model::settings::Mismatch;
use crate::model::{FieldError, Settings};
use crate::publish::Event;
use crate::store::{StoreError, Tx};

/// Why settings were not changed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Refused {
    /// The change is not of the settings' form.
    #[error(transparent)]
    Mismatch(#[from] Mismatch),
    /// Values that are not allowed.
    #[error("{} settings are refused", .0.len())]
    Invalid(Vec<FieldError>),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Merges `change` into the stored settings; what they are now.
///
/// # Errors
/// See [`Refused`]; then nothing has changed.
pub fn change(
    tx: &mut Tx<'_, Event>,
    change: &serde_json::Value,
) -> Result<Arc<Settings>, Refused> {
    let changed = tx.settings()?.merged(change)?;
    let refused = check(&changed);
    if !refused.is_empty() {
        return Err(Refused::Invalid(refused));
    }
    save(tx, changed).map_err(Refused::Store)
}

/// Stores settings that are known to be sound, and makes them known.
///
/// # Errors
/// The database failed.
pub fn save(tx: &mut Tx<'_, Event>, settings: Settings) -> Result<Arc<Settings>, StoreError> {
    tx.save_settings(&settings)?;
    let settings = Arc::new(settings);
    tx.publish(Event::Settings(Arc::clone(&settings)));
    Ok(settings)
}
