//! The log of requests: who asked for what, and what came of it.
//!
//! A request leaves an [`Entry`] on the executor and goes on: nothing waits for the log. A task
//! takes what has gathered (200 entries, or what came in three seconds), has it made into rows on a
//! reader's thread, and written on the log's. When more comes than is written, what is too much is
//! dropped and counted.
//!
//! The settings say what is kept: nothing when `logs.maxDays` is 0, and no entry below
//! `logs.minLevel`, so that of the default settings only requests that failed leave one. When the
//! settings change, what they no longer want is removed.
//!
//! Absent: HTTP types, and what the server says of itself: that goes to the standard error.

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value as Json};
use smol::Timer;
use smol::channel::{Receiver, Sender, bounded};
use smol::future::or;

use crate::auth::identify;
use crate::clock;
use crate::limits::{
    LOG_BATCH_ENTRIES, LOG_BATCH_MILLIS_MAX, LOG_QUEUE_BYTES_MAX, LOG_QUEUE_ENTRIES_MAX,
};
use crate::model::network::expanded;
use crate::model::settings::Logs as LogSettings;
use crate::model::{Settings, ids, json};
use crate::publish::Event;
use crate::store::{JobError, LogRow, Reader, Store, StoreError};

/// The level of a request that was answered.
pub const INFO: i64 = 0;
/// The level of a request that failed.
pub const ERROR: i64 = 8;

/// What a request leaves behind. Its texts are as long as the log tells them; its token is looked at
/// when the entry is written and never stored.
#[derive(Clone, Default)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Entry {
    /// `GET /path`, percent-encoding resolved.
    pub message: String,
    pub method: &'static str,
    /// Path and query, as sent.
    pub url: String,
    pub status: u16,
    pub took: Duration,
    pub referer: String,
    pub user_agent: String,
    pub token: Option<String>,
    /// The client's address, and that of the connection.
    pub addresses: Option<(IpAddr, IpAddr)>,
    /// What the client was told, and what was wrong; for a request that failed.
    pub error: Option<(String, Json)>,
}

impl Entry {
    /// [`INFO`] or [`ERROR`].
    #[must_use]
    pub fn level(&self) -> i64 {
        if self.error.is_some() { ERROR } else { INFO }
    }

    fn bytes(&self) -> usize {
        let token = self.token.as_ref().map_or(0, String::len);
        let texts = [&self.message, &self.url, &self.referer, &self.user_agent];
        size_of::<Self>() + texts.map(String::len).iter().sum::<usize>() + token
    }
}

/// Does the log want an entry of this level?
#[must_use]
pub fn is_wanted(settings: &LogSettings, level: i64) -> bool {
    settings.max_days > 0 && level >= settings.min_level
}

/// The entries that wait to be written.
pub struct Activity {
    waiting: RefCell<Vec<(u64, Entry)>>,
    bytes: Cell<usize>,
    dropped: Cell<u64>,
    wake: Sender<()>,
    woken: Receiver<()>,
}

impl Default for Activity {
    fn default() -> Self {
        let (wake, woken) = bounded(1);
        Self {
            waiting: RefCell::default(),
            bytes: Cell::new(0),
            dropped: Cell::new(0),
            wake,
            woken,
        }
    }
}

impl Activity {
    /// Takes an entry, unless too many wait.
    pub fn push(&self, entry: Entry) {
        let mut waiting = self.waiting.borrow_mut();
        let bytes = self.bytes.get() + entry.bytes();
        if waiting.len() >= LOG_QUEUE_ENTRIES_MAX || bytes > LOG_QUEUE_BYTES_MAX {
            self.dropped.set(self.dropped.get() + 1);
            return;
        }
        self.bytes.set(bytes);
        waiting.push((clock::unix_micros(), entry));
        if [1, LOG_BATCH_ENTRIES].contains(&waiting.len()) {
            self.look();
        }
    }

    /// Has the settings looked at, and what waits.
    pub fn look(&self) {
        // It is awake already when there is no room for this.
        let _awake = self.wake.try_send(());
    }

    /// Entries that were dropped since the start.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped.get()
    }

    /// Writes what comes, as long as it is polled.
    pub async fn run(&self, store: &Store<Event>, settings: &RefCell<Arc<Settings>>) -> Infallible {
        let mut known = Arc::clone(&settings.borrow());
        loop {
            // The other end is ours.
            let _woken = self.woken.recv().await;
            let current = Arc::clone(&settings.borrow());
            if current.logs != known.logs {
                warn(clean(store, &current.logs).await);
            }
            known = current;
            if self.waiting.borrow().len() < LOG_BATCH_ENTRIES {
                let pause = async {
                    Timer::after(Duration::from_millis(LOG_BATCH_MILLIS_MAX)).await;
                };
                // Another wake-up means that a batch is full, or that the settings have changed.
                or(pause, async { self.woken.recv().await.unwrap_or_default() }).await;
                self.look_again(&known, settings);
            }
            self.write(store, &known).await;
        }
    }

    /// A change of the settings that came while this paused needs a round of its own.
    fn look_again(&self, known: &Arc<Settings>, settings: &RefCell<Arc<Settings>>) {
        if !Arc::ptr_eq(known, &settings.borrow()) {
            self.look();
        }
    }

    /// Writes what waits now.
    pub async fn write(&self, store: &Store<Event>, settings: &Settings) {
        let entries = self.waiting.take();
        self.bytes.set(0);
        if entries.is_empty() {
            return;
        }
        let logs = settings.logs.clone();
        let rows = store.read(move |reader| {
            entries
                .iter()
                .filter(|(_, entry)| is_wanted(&logs, entry.level()))
                .map(|(at, entry)| row(reader, &logs, *at, entry))
                .collect::<Result<Vec<_>, StoreError>>()
        });
        let written = async {
            let rows = rows.await?;
            store.logs().run(move |book| book.append(&rows)).await
        };
        warn(written.await);
    }
}

/// Removes what the settings do not want kept.
///
/// # Errors
/// The database failed.
pub async fn clean(
    store: &Store<Event>,
    settings: &LogSettings,
) -> Result<(), JobError<StoreError>> {
    const DAY_MICROS: u64 = 86_400_000_000;
    let kept = u64::try_from(settings.max_days).unwrap_or_default().saturating_mul(DAY_MICROS);
    let before = clock::date_text(clock::unix_micros().saturating_sub(kept));
    let (level, is_off) = (settings.min_level, settings.max_days == 0);
    let job = move |book: &mut crate::store::LogBook<'_>| {
        book.remove(&before, level)?;
        if is_off { book.shrink() } else { Ok(()) }
    };
    store.logs().run(job).await
}

fn warn(result: Result<(), JobError<StoreError>>) {
    match result {
        Ok(()) | Err(JobError::Store(StoreError::Closed)) => {}
        Err(error) => {
            let error = StoreError::from(error);
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            log::warn!(
                "cannot write the log of requests error={error} cause={}",
                cause.unwrap_or_default()
            );
        }
    }
}

/// An entry as PocketBase stores it.
fn row(
    reader: &Reader<'_>,
    settings: &LogSettings,
    at_micros: u64,
    entry: &Entry,
) -> Result<LogRow, StoreError> {
    let identity = identify(reader, entry.token.as_deref(), at_micros / 1_000_000)?;
    let mut data = Map::new();
    let mut put = |name: &str, value: Json| data.insert(name.to_owned(), value);
    put("type", "request".into());
    put("execTime", (entry.took.as_nanos() as f64 / 1e6).into());
    put("url", entry.url.as_str().into());
    put("method", entry.method.into());
    put("status", entry.status.into());
    put("referer", entry.referer.as_str().into());
    put("userAgent", entry.user_agent.as_str().into());
    let auth = identity.as_ref().map_or("", |(identity, _)| identity.collection.name.as_str());
    put("auth", auth.into());
    if let Some((identity, _)) = identity.as_ref().filter(|_| settings.log_auth_id) {
        put("authId", identity.record.id(&identity.collection).into());
    }
    if let Some((real, remote)) = entry.addresses.filter(|_| settings.log_ip) {
        put("userIP", expanded(real).into());
        put("remoteIP", expanded(remote).into());
    }
    if let Some((error, details)) = &entry.error {
        put("error", error.as_str().into());
        put("details", details.clone());
    }
    Ok(LogRow {
        id: ids::record_id(),
        level: entry.level(),
        message: entry.message.clone(),
        data: json::text(&Json::Object(data)),
        created: clock::date_text(at_micros),
    })
}
