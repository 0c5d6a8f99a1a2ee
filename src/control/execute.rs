//! What each command does. Beside a running server and without one it is this that does it.

use std::fmt::Write;
use std::rc::Rc;

use zeroize::Zeroizing;

use super::records::{self, Records, RecordsError};
use super::{Command, Request};
use crate::auth::password::Passwords;
use crate::auth::superuser::{self, Expect, SuperuserError};
use crate::clock;
use crate::config::SuperuserVerb;
use crate::publish::Event;
use crate::records::zonefile::{self, CheckReport, ImportError, ImportReport, Mode};
use crate::store::{JobError, Store, StoreError};
use crate::wire::{Name, NameError};

/// What commands work on.
pub struct Context {
    /// Somebody publishes what is committed here.
    pub store: Store<Event>,
    /// The process's one place for passwords.
    pub passwords: Rc<Passwords>,
    /// What stands for a DNS record's TTL of 0.
    pub ttl_default_secs: u32,
    /// Tells the server's counters; `None` when no server runs.
    pub stats: Option<Box<dyn Fn() -> String>>,
}

/// Why a command was not done.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The account was not made, changed or removed.
    #[error(transparent)]
    Superuser(#[from] SuperuserError),
    /// A command for an account without the password that it needs.
    #[error("a password is needed")]
    NoPassword,
    /// A zone's name is no name.
    #[error("{text:?} is not the name of a zone")]
    Zone {
        /// What was given.
        text: String,
        /// Why.
        #[source]
        source: NameError,
    },
    /// The records of an import cannot be read.
    #[error(transparent)]
    Records(#[from] RecordsError),
    /// The gate or the database refused an import; the text has a line for each record.
    #[error("{0}")]
    Import(String),
    /// Nothing is served of the zone.
    #[error("no records are served of the zone {0}")]
    NoSuchZone(Name),
    /// A check found something.
    #[error("{0} of the stored records are not served")]
    NotServed(usize),
    /// Counters are wanted of a server that does not run.
    #[error("no server runs on this data directory")]
    NoServer,
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Carries out `request` and appends what it prints to `output`. A change is durable, and seen by
/// the next query, when this returns.
///
/// # Errors
/// The command was not done; but a check that found something has printed it.
pub async fn execute(
    context: &Context,
    request: Request,
    output: &mut String,
) -> Result<(), CommandError> {
    let Request { command, data } = request;
    match command {
        Command::Superuser { verb, email, password } => {
            let password = password.map(Zeroizing::new);
            let done = change_superuser(context, verb, &email, password).await?;
            say(output, format_args!("{done} {email}\n"));
        }
        Command::ZoneImport { zone, replace, files } => {
            let mode = if replace { Mode::Replace } else { Mode::Merge };
            let report = import(context, zone_name(&zone)?, mode, &files, data).await?;
            say(output, format_args!("{}", import_text(&report)));
        }
        Command::ZoneExport { zone } => {
            let zone = zone_name(&zone)?;
            let apex = zone.clone();
            let ttl_default_secs = context.ttl_default_secs;
            let reading =
                context.store.read(move |reader| zonefile::export(reader, &apex, ttl_default_secs));
            let text = reading.await.map_err(StoreError::from)?;
            let text = text.ok_or(CommandError::NoSuchZone(zone))?;
            output.push_str(&String::from_utf8_lossy(&text));
        }
        Command::ZoneList => {
            let reading = context.store.read(zonefile::list);
            for zone in reading.await.map_err(StoreError::from)? {
                let serial =
                    zone.serial.map_or_else(|| "-".to_owned(), |serial| serial.to_string());
                let line = format_args!("{}\t{}\t{serial}\n", zone.zone, zone.records);
                say(output, line);
            }
        }
        Command::ZoneCheck => {
            let ttl_default_secs = context.ttl_default_secs;
            let reading =
                context.store.read(move |reader| zonefile::check(reader, None, ttl_default_secs));
            let report = reading.await.map_err(StoreError::from)?;
            say_check(output, &report);
            if report.refused_count > 0 {
                return Err(CommandError::NotServed(report.refused_count));
            }
        }
        Command::Stats => {
            let stats = context.stats.as_ref().ok_or(CommandError::NoServer)?;
            output.push_str(&stats());
        }
    }
    Ok(())
}

/// Writing to a `String` does not fail.
fn say(output: &mut String, text: std::fmt::Arguments<'_>) {
    let _ = output.write_fmt(text);
}

fn zone_name(text: &str) -> Result<Name, CommandError> {
    Name::parse(text, Some(&Name::root()))
        .map_err(|source| CommandError::Zone { text: text.to_owned(), source })
}

/// Does it and says what was done.
async fn change_superuser(
    context: &Context,
    verb: SuperuserVerb,
    email: &str,
    password: Option<Zeroizing<String>>,
) -> Result<&'static str, CommandError> {
    let expect = match verb {
        SuperuserVerb::Delete => {
            let is_gone = superuser::delete(&context.store, email).await?;
            return Ok(if is_gone { "deleted superuser" } else { "there is no superuser" });
        }
        SuperuserVerb::Create => Expect::Nobody,
        SuperuserVerb::Update => Expect::Somebody,
        SuperuserVerb::Upsert => Expect::Either,
    };
    let password = password.ok_or(CommandError::NoPassword)?;
    superuser::save(&context.store, &context.passwords, expect, email, password).await?;
    Ok("saved superuser")
}

async fn import(
    context: &Context,
    zone: Name,
    mode: Mode,
    files: &[String],
    data: Vec<u8>,
) -> Result<ImportReport, CommandError> {
    // A hundred thousand records take a while to read: not on the thread that answers queries.
    let Records { records, places } = smol::unblock(move || records::decode(&data)).await?;
    let ttl_default_secs = context.ttl_default_secs;
    let imported = context
        .store
        .write(move |tx| {
            zonefile::import(tx, &zone, records, mode, ttl_default_secs, clock::unix_secs())
        })
        .await;
    match imported {
        Ok(report) => Ok(report),
        Err(JobError::Refused(ImportError::Refused { records, count })) => {
            let refused = records.iter().map(|record| (record.index, record.refusal.to_string()));
            let lines = places_and_rules(&places, files, refused);
            Err(CommandError::Import(format!(
                "{lines}nothing was imported: {count} records break a rule"
            )))
        }
        Err(JobError::Refused(ImportError::Store(error)) | JobError::Store(error)) => {
            Err(error.into())
        }
        Err(JobError::Refused(error @ ImportError::Empty)) => {
            Err(CommandError::Import(format!("nothing was imported: {error}")))
        }
    }
}

/// A line `file:line: rule` for each refused record.
fn places_and_rules(
    places: &[(u16, u32)],
    files: &[String],
    refused: impl Iterator<Item = (usize, String)>,
) -> String {
    let mut lines = String::new();
    for (index, rule) in refused {
        let (file, line) = places.get(index).copied().unwrap_or_default();
        let file = files.get(usize::from(file)).map_or("?", String::as_str);
        say(&mut lines, format_args!("{file}:{line}: {rule}\n"));
    }
    lines
}

fn import_text(report: &ImportReport) -> String {
    let ImportReport { zone, serial, added, removed, changed, unchanged, ttl_raised } = report;
    let mut text = format!(
        "{zone}: {added} added, {removed} removed, {changed} changed, {unchanged} unchanged; \
         serial {serial}\n"
    );
    if *ttl_raised > 0 {
        say(&mut text, format_args!("{zone}: {ttl_raised} records with TTL 0 were given TTL 1\n"));
    }
    text
}

fn say_check(output: &mut String, report: &CheckReport) {
    for refused in &report.refused {
        let row = &refused.row;
        let line = format_args!(
            "{} {} {} (record {}) is not served: {}\n",
            row.zone.escape_debug(),
            row.name.escape_debug(),
            row.record_type.escape_debug(),
            row.id.escape_debug(),
            refused.refusal
        );
        say(output, line);
    }
    let unnamed = report.refused_count - report.refused.len().min(report.refused_count);
    if unnamed > 0 {
        say(output, format_args!("and {unnamed} more that are not served\n"));
    }
    for warning in &report.warnings {
        let line =
            format_args!("warning: {} {}: {}\n", warning.owner, warning.rtype, warning.message);
        say(output, line);
    }
    let unnamed = report.warning_count - report.warnings.len().min(report.warning_count);
    if unnamed > 0 {
        say(output, format_args!("and {unnamed} more warnings\n"));
    }
}
