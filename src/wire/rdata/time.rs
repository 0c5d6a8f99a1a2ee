//! Spans and points of time as master files write them.

use std::fmt::{self, Write};

const DAY_SECS: i64 = 86_400;

/// Reads seconds, or a sum of units like `1h30m` or `1W` (weeks, days, hours, minutes, seconds).
/// `None` when it is neither, or more than 32 bits.
#[must_use]
pub fn parse_period(text: &[u8]) -> Option<u32> {
    let mut total: u64 = 0;
    let mut number: Option<u64> = None;
    let mut has_unit = false;
    for byte in text {
        if byte.is_ascii_digit() {
            let value = number.unwrap_or(0) * 10 + u64::from(byte - b'0');
            number = Some(value).filter(|value| *value <= u64::from(u32::MAX));
            number?;
            continue;
        }
        let unit_secs: u64 = match byte.to_ascii_lowercase() {
            b'w' => 604_800,
            b'd' => 86_400,
            b'h' => 3_600,
            b'm' => 60,
            b's' => 1,
            _ => return None,
        };
        total = total.checked_add(number.take()? * unit_secs)?;
        has_unit = true;
    }
    match (number, has_unit) {
        (Some(secs), false) => u32::try_from(secs).ok(),
        (None, true) => u32::try_from(total).ok(),
        // Nothing at all, or `1h30`: thirty of what?
        _ => None,
    }
}

/// Reads `YYYYMMDDHHmmSS` in UTC, or seconds since 1970 in ten digits at most (RFC 4034 §3.2).
pub(super) fn parse_time(text: &str) -> Option<u32> {
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    if text.len() != 14 {
        return if text.len() <= 10 { text.parse().ok() } else { None };
    }
    let part = |from: usize, to: usize| text.get(from..to)?.parse::<i64>().ok();
    let (year, month, day) = (part(0, 4)?, part(4, 6)?, part(6, 8)?);
    let (hour, minute, second) = (part(8, 10)?, part(10, 12)?, part(12, 14)?);
    if !(1..=12).contains(&month) || day < 1 || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let days = days_since_1970(year, month, day);
    // A day past the end of its month would come out as one of the next.
    if date(days) != (year, month, day) {
        return None;
    }
    u32::try_from(days * DAY_SECS + hour * 3_600 + minute * 60 + second).ok()
}

/// Writes seconds since 1970 as `YYYYMMDDHHmmSS`.
pub(super) fn write_time(secs: u32, out: &mut String) -> fmt::Result {
    let (days, rest) = (i64::from(secs) / DAY_SECS, i64::from(secs) % DAY_SECS);
    let (year, month, day) = date(days);
    let (hour, minute, second) = (rest / 3_600, rest / 60 % 60, rest % 60);
    write!(out, "{year:04}{month:02}{day:02}{hour:02}{minute:02}{second:02}")
}

/// Days from 1970-01-01 in the Gregorian calendar. Years begin in March here, so that a leap day
/// is the last day of its year and an era of 400 years has 146,097 days.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// The inverse of [`days_since_1970`]: year, month, day.
fn date(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let leap_days = day_of_era / 1_460 - day_of_era / 36_524 + day_of_era / 146_096;
    let year_of_era = (day_of_era - leap_days) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::{parse_period, parse_time, write_time};

    #[test]
    fn periods_take_units_or_plain_seconds() {
        for (text, secs) in [
            ("0", Some(0)),
            ("3600", Some(3_600)),
            ("1h30m", Some(5_400)),
            ("1w", Some(604_800)),
            ("1W2D3H4M5S", Some(788_645)),
            ("4294967295", Some(u32::MAX)),
            ("4294967296", None),
            ("7102w", None),
            ("1h30", None),
            ("h", None),
            ("", None),
            ("-1", None),
            ("1y", None),
            ("99999999999999999999w", None),
        ] {
            assert_eq!(parse_period(text.as_bytes()), secs, "{text}");
        }
    }

    #[test]
    fn times_are_dates_in_utc() {
        for (text, secs) in [
            ("19700101000000", Some(0)),
            ("20030322173103", Some(1_048_354_263)), // RFC 4034 §3.3
            ("20000229000000", Some(951_782_400)),
            ("21060207062815", Some(u32::MAX)),
            ("1048354263", Some(1_048_354_263)),
            ("21060207062816", None),
            ("20010229000000", None),
            ("20011301000000", None),
            ("20010101240000", None),
            ("99999999999", None),
            ("2001010100000x", None),
        ] {
            assert_eq!(parse_time(text), secs, "{text}");
        }
    }

    #[test]
    fn every_day_of_the_32_bit_range_prints_and_reads_back() {
        for day in 0..u32::MAX / 86_400 {
            let secs = day * 86_400 + day;
            let mut text = String::new();
            write_time(secs, &mut text).unwrap();
            assert_eq!(parse_time(&text), Some(secs), "{text}");
        }
    }
}
