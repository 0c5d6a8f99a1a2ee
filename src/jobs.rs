//! What the server does by itself, and when: PocketBase's system jobs on their cron schedules.
//!
//! One task looks at the clock once a minute and does what is due, one job after the other; a job
//! that somebody asks for is done in between. It goes by the system's clock, in UTC, as it is now:
//! when that jumps ahead, what would have been due in the last hour is done once; when it jumps
//! back, it goes on from there.
//!
//! Absent: jobs of anybody else (there are no hooks), and time zones.

use std::cell::RefCell;
use std::convert::Infallible;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use smol::Timer;
use smol::channel::{Receiver, Sender, bounded};
use smol::future::or;

use crate::activity;
use crate::clock;
use crate::limits::{JOBS_ASKED_MAX, JOBS_LOOK_BACK_MINUTES_MAX};
use crate::model::cron::{Moment, Schedule};
use crate::model::{Kind, Settings};
use crate::publish::Event;
use crate::store::{JobError, Store, StoreError};

/// A job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Job {
    /// Cuts the WALs and lets SQLite look at its statistics.
    DbOptimize,
    /// Removes first factors that were never followed by a second.
    MfaCleanup,
    /// Removes one-time passwords that nobody used.
    OtpCleanup,
    /// Removes old entries of the log.
    LogsCleanup,
    /// Makes a backup.
    AutoBackup,
    /// Gives back the memory of rate limits that nobody has reached for a while.
    RateLimitersCleanup,
}

/// In PocketBase's order; the expression of the backup is in the settings.
const JOBS: [(Job, &str, &str); 6] = [
    (Job::DbOptimize, "__pbDBOptimize__", "0 0 * * *"),
    (Job::MfaCleanup, "__pbMFACleanup__", "0 * * * *"),
    (Job::OtpCleanup, "__pbOTPCleanup__", "0 * * * *"),
    (Job::LogsCleanup, "__pbLogsCleanup__", "0 */6 * * *"),
    (Job::AutoBackup, "__pbAutoBackup__", ""),
    (Job::RateLimitersCleanup, "__pbRateLimitersCleanup__", "2 * * * *"),
];

/// A job that the settings ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// What is done.
    pub job: Job,
    /// PocketBase's name for it.
    pub id: &'static str,
    /// When.
    pub schedule: Schedule,
}

/// The jobs that there are with these settings.
#[must_use]
pub fn planned(settings: &Settings) -> Vec<Planned> {
    let expression = |job, usual: &'static str| match job {
        Job::AutoBackup => settings.backups.cron.clone(),
        Job::RateLimitersCleanup if !settings.rate_limits.enabled => String::new(),
        _ => usual.to_owned(),
    };
    JOBS.iter()
        .filter_map(|&(job, id, usual)| {
            let schedule = Schedule::parse(&expression(job, usual)).ok()?;
            Some(Planned { job, id, schedule })
        })
        .collect()
}

/// The jobs that are due in the minutes after `done` up to `now`, each once. Of a long stretch only
/// the end counts.
fn due(planned: &[Planned], done: u64, now: u64) -> Vec<Job> {
    let first = (done + 1).max(now.saturating_sub(JOBS_LOOK_BACK_MINUTES_MAX - 1));
    let is_due = |planned: &&Planned| {
        (first..=now).any(|minute| planned.schedule.is_due(Moment::of(minute * 60)))
    };
    planned.iter().filter(is_due).map(|planned| planned.job).collect()
}

/// Does the jobs.
pub struct Jobs {
    store: Store<Event>,
    settings: Rc<RefCell<Arc<Settings>>>,
    /// What [`Job::RateLimitersCleanup`] does.
    tidy_rates: Box<dyn Fn()>,
    ask: Sender<Job>,
    asked: Receiver<Job>,
}

impl Jobs {
    /// Does nothing until [`run`](Self::run) is polled.
    #[must_use]
    pub fn new(
        store: Store<Event>,
        settings: Rc<RefCell<Arc<Settings>>>,
        tidy_rates: impl Fn() + 'static,
    ) -> Self {
        let (ask, asked) = bounded(JOBS_ASKED_MAX);
        Self { store, settings, tidy_rates: Box::new(tidy_rates), ask, asked }
    }

    /// The jobs that there are now.
    #[must_use]
    pub fn planned(&self) -> Vec<Planned> {
        planned(&self.settings.borrow())
    }

    /// Has a job done soon. When many wait already, this is one of them anyway.
    pub fn start(&self, job: Job) {
        if self.ask.try_send(job).is_err() {
            log::warn!("a job was not started: too many wait; job={job:?}");
        }
    }

    /// Does what is due, and what is asked for, as long as it is polled.
    pub async fn run(&self) -> Infallible {
        let mut done = clock::unix_secs() / 60;
        loop {
            let until_next = 60 - clock::unix_secs() % 60;
            let wait = async {
                Timer::after(Duration::from_secs(until_next)).await;
                None
            };
            if let Some(job) = or(async { self.asked.recv().await.ok() }, wait).await {
                self.perform(job).await;
                continue;
            }
            let now = clock::unix_secs() / 60;
            for job in due(&self.planned(), done, now) {
                self.perform(job).await;
            }
            // Also where the clock went back.
            done = now;
        }
    }

    async fn perform(&self, job: Job) {
        log::debug!("a job begins job={job:?}");
        if let Err(error) = self.try_perform(job).await {
            let error = StoreError::from(error);
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            log::warn!(
                "a job failed job={job:?} error={error} cause={}",
                cause.unwrap_or_default()
            );
        }
    }

    async fn try_perform(&self, job: Job) -> Result<(), JobError<StoreError>> {
        let settings = Arc::clone(&self.settings.borrow());
        match job {
            Job::DbOptimize => {
                self.store.write(|tx| tx.optimize()).await?;
                self.store.logs().run(|book| book.checkpoint()).await
            }
            Job::MfaCleanup => self.remove_expired("_mfas", "mfa").await,
            Job::OtpCleanup => self.remove_expired("_otps", "otp").await,
            Job::LogsCleanup => activity::clean(&self.store, &settings.logs).await,
            Job::AutoBackup => {
                // TODO(backups): made here, and the oldest beyond cronMaxKeep removed.
                log::warn!("a backup is due, but backups are not supported yet");
                Ok(())
            }
            Job::RateLimitersCleanup => {
                (self.tidy_rates)();
                Ok(())
            }
        }
    }

    /// Removes from `collection` what is older than the auth collection it belongs to allows.
    async fn remove_expired(
        &self,
        collection: &'static str,
        option: &'static str,
    ) -> Result<(), JobError<StoreError>> {
        let now = clock::unix_micros();
        let job = move |tx: &mut crate::store::Tx<'_, Event>| {
            let schema = Arc::clone(tx.schema());
            let Some(expiring) = schema.find(collection) else { return Ok(()) };
            for owners in schema.iter().filter(|owners| owners.kind == Kind::Auth) {
                let duration = owners.options.get(option).and_then(|o| o.get("duration")?.as_u64());
                let kept = duration.unwrap_or_default().saturating_mul(1_000_000);
                let before = clock::date_text(now.saturating_sub(kept));
                tx.delete_created_before(expiring, &owners.id, &before)?;
            }
            Ok(())
        };
        self.store.write(job).await
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// 2026-11-21 00:00, in minutes.
    const MIDNIGHT: u64 = 1_795_219_200 / 60;

    fn planned_with(settings: serde_json::Value) -> Vec<Planned> {
        planned(&Settings::default().merged(&settings).unwrap())
    }

    #[test]
    fn the_settings_say_which_jobs_there_are() {
        let listed = |settings| -> Vec<String> {
            planned_with(settings)
                .iter()
                .map(|p| format!("{} {}", p.id, p.schedule.as_str()))
                .collect()
        };
        let usual = [
            "__pbDBOptimize__ 0 0 * * *",
            "__pbMFACleanup__ 0 * * * *",
            "__pbOTPCleanup__ 0 * * * *",
            "__pbLogsCleanup__ 0 */6 * * *",
        ];
        assert_eq!(listed(json!({})), usual);
        let all = json!({"backups": {"cron": "@weekly"}, "rateLimits": {"enabled": true}});
        let more = ["__pbAutoBackup__ 0 0 * * 0", "__pbRateLimitersCleanup__ 2 * * * *"];
        assert_eq!(listed(all), [&usual[..], &more[..]].concat());
    }

    #[test]
    fn each_minute_is_looked_at_once_and_none_is_lost() {
        let planned = planned_with(json!({"backups": {"cron": "5 * * * *"}}));
        assert_eq!(
            due(&planned, MIDNIGHT - 1, MIDNIGHT),
            [Job::DbOptimize, Job::MfaCleanup, Job::OtpCleanup, Job::LogsCleanup]
        );
        assert_eq!(due(&planned, MIDNIGHT, MIDNIGHT), [], "done already");
        assert_eq!(due(&planned, MIDNIGHT, MIDNIGHT + 1), []);
        assert_eq!(
            due(&planned, MIDNIGHT + 1, MIDNIGHT + 7),
            [Job::AutoBackup],
            "a long job was before"
        );
    }

    #[test]
    fn a_clock_that_jumps_makes_no_storm() {
        let planned = planned_with(json!({"backups": {"cron": "* * * * *"}}));
        let years_later = due(&planned, 0, MIDNIGHT + 30);
        assert_eq!(years_later.len(), 5, "each once: {years_later:?}");
        assert_eq!(
            due(&planned, 0, MIDNIGHT - 1),
            [Job::MfaCleanup, Job::OtpCleanup, Job::AutoBackup]
        );
        assert_eq!(due(&planned, MIDNIGHT, MIDNIGHT - 500), [], "back");
    }
}
