//! The only reader of the system clock, so that a test can say what time it is.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// Microseconds since 1970 that a test chose; 0 = ask the system.
static FIXED_MICROS: AtomicU64 = AtomicU64::new(0);

/// Microseconds since 1970-01-01 UTC. A clock before 1970 reads as 0.
#[must_use]
pub fn unix_micros() -> u64 {
    match FIXED_MICROS.load(Ordering::Relaxed) {
        0 => {
            #[expect(clippy::disallowed_methods, reason = "the one home of SystemTime::now")]
            let now = SystemTime::now();
            now.duration_since(UNIX_EPOCH)
                .map_or(0, |since| u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
        }
        fixed => fixed,
    }
}

/// Seconds since 1970-01-01 UTC.
#[must_use]
pub fn unix_secs() -> u64 {
    unix_micros() / 1_000_000
}

/// Now, as PocketBase writes a date: `2026-08-14 04:16:55.123Z` (UTC, three digits).
#[must_use]
pub fn now_text() -> String {
    date_text(unix_micros())
}

/// A moment as PocketBase writes it; `micros` since 1970-01-01 UTC.
#[must_use]
pub fn date_text(micros: u64) -> String {
    i64::try_from(micros / 1000).map_or_else(|_| String::new(), millis_text)
}

/// A moment as PocketBase writes it; `millis` since 1970-01-01 UTC, leap seconds not counted.
#[must_use]
pub fn millis_text(millis: i64) -> String {
    let (year, month, day) = date_of(millis.div_euclid(DAY_MILLIS));
    let of_day = millis.rem_euclid(DAY_MILLIS);
    let secs = of_day / 1000;
    format!(
        "{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02}.{:03}Z",
        secs / 3600,
        secs / 60 % 60,
        secs % 60,
        of_day % 1000
    )
}

/// Milliseconds of a day.
pub const DAY_MILLIS: i64 = 86_400_000;

/// Year, month and day of a day of the Gregorian calendar, counted from 1970-01-01 (Howard
/// Hinnant's civil_from_days: eras of 146,097 days, years that begin in March).
#[must_use]
pub fn date_of(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// The inverse of [`date_of`] (days_from_civil); `None` for a date that does not exist.
#[must_use]
pub fn days_of(year: i64, month: i64, day: i64) -> Option<i64> {
    if !(1..=9999).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let shifted_year = year - i64::from(month <= 2);
    let (era, year_of_era) = (shifted_year.div_euclid(400), shifted_year.rem_euclid(400));
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    let days = era * 146_097 + day_of_era - 719_468;
    (date_of(days) == (year, month, day)).then_some(days)
}

/// Makes every later reading `micros`; 0 gives the system clock back. For tests only: the value is
/// the process's, so a test that sets it runs in a process of its own.
pub fn fix_for_test(micros: u64) {
    FIXED_MICROS.store(micros, Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::date_text;

    #[test]
    fn dates_are_written_as_pocketbase_writes_them() {
        assert_eq!(date_text(0), "1970-01-01 00:00:00.000Z");
        assert_eq!(date_text(951_782_400_000_000), "2000-02-29 00:00:00.000Z");
        assert_eq!(date_text(1_786_680_215_123_456), "2026-08-14 04:03:35.123Z");
        assert_eq!(date_text(4_107_542_399_999_999), "2100-02-28 23:59:59.999Z");
    }
}
