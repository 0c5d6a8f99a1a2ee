//! Dates as clients write them, and as they are stored.

/// Milliseconds since 1970-01-01 UTC, leap seconds not counted.
pub type UnixMillis = i64;

const DAY_MILLIS: i64 = 86_400_000;

/// Reads `YYYY-MM-DD`, alone or with `THH:MM:SS`, a space in place of the `T`, a fraction, and one
/// of `Z`, ` UTC`, `+HH:MM`, `+HHMM`; UTC without one. The fraction is cut to milliseconds. `None`
/// for anything else, dates that do not exist among them.
#[must_use]
pub fn parse(text: &str) -> Option<UnixMillis> {
    let mut rest = text;
    let date = days_of(number(&mut rest, 4)?, part(&mut rest, "-")?, part(&mut rest, "-")?)?;
    let midnight = date * DAY_MILLIS;
    if rest.is_empty() {
        return Some(midnight);
    }
    rest = rest.strip_prefix(['T', 't', ' '])?;
    let (hour, minute, second) =
        (number(&mut rest, 2)?, part(&mut rest, ":")?, part(&mut rest, ":")?);
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let mut millis = 0;
    if let Some(fraction) = rest.strip_prefix(['.', ',']) {
        let digits = fraction.bytes().take_while(u8::is_ascii_digit).count();
        if digits == 0 {
            return None;
        }
        let (fraction, after) = fraction.split_at(digits);
        millis = format!("{fraction:0<3}").get(..3)?.parse().ok()?;
        rest = after;
    }
    let offset_mins = offset(rest)?;
    Some(midnight + ((hour * 60 + minute - offset_mins) * 60 + second) * 1000 + millis)
}

/// As PocketBase stores it: `YYYY-MM-DD HH:MM:SS.mmmZ`.
#[must_use]
pub fn text(at: UnixMillis) -> String {
    let (year, month, day, time) = split(at);
    format!("{year:04}-{month:02}-{day:02} {}.{:03}Z", clock(time), time % 1000)
}

/// As Go prints a time in a message: `2020-01-01 00:00:00 +0000 UTC`.
#[must_use]
pub fn text_of_go(at: UnixMillis) -> String {
    let (year, month, day, time) = split(at);
    format!("{year:04}-{month:02}-{day:02} {}{} +0000 UTC", clock(time), fraction(time))
}

/// As RFC 3339 has it.
#[must_use]
pub fn text_of_rfc3339(at: UnixMillis) -> String {
    let (year, month, day, time) = split(at);
    format!("{year:04}-{month:02}-{day:02}T{}{}Z", clock(time), fraction(time))
}

fn clock(time: i64) -> String {
    let secs = time / 1000;
    format!("{:02}:{:02}:{:02}", secs / 3600, secs / 60 % 60, secs % 60)
}

fn fraction(time: i64) -> String {
    match time % 1000 {
        0 => String::new(),
        millis => format!(".{millis:03}").trim_end_matches('0').to_owned(),
    }
}

/// Minutes east of UTC.
fn offset(text: &str) -> Option<i64> {
    let text = text.strip_suffix(" UTC").unwrap_or(text).trim_start_matches(' ');
    if text.is_empty() || text.eq_ignore_ascii_case("Z") {
        return Some(0);
    }
    let sign = match text.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let mut rest = text.get(1..)?;
    let hours = number(&mut rest, 2)?;
    rest = rest.strip_prefix(':').unwrap_or(rest);
    let minutes = number(&mut rest, 2)?;
    (rest.is_empty() && hours < 24 && minutes < 60).then_some(sign * (hours * 60 + minutes))
}

/// The next `digits` digits.
fn number(rest: &mut &str, digits: usize) -> Option<i64> {
    let (head, tail) = rest.split_at_checked(digits)?;
    *rest = tail;
    head.bytes().all(|octet| octet.is_ascii_digit()).then(|| head.parse().ok())?
}

/// A separator and two digits.
fn part(rest: &mut &str, separator: &str) -> Option<i64> {
    *rest = rest.strip_prefix(separator)?;
    number(rest, 2)
}

/// Days from 1970-01-01 to a date of the Gregorian calendar, year 1 to 9999 (Howard Hinnant's
/// days_from_civil). `None` for a date that does not exist.
fn days_of(year: i64, month: i64, day: i64) -> Option<i64> {
    if year < 1 || !(1..=12).contains(&month) || day < 1 {
        return None;
    }
    let shifted_year = year - i64::from(month <= 2);
    let era = shifted_year.div_euclid(400);
    let year_of_era = shifted_year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    let days = era * 146_097 + day_of_era - 719_468;
    let (same_year, same_month, same_day, _) = split(days * DAY_MILLIS);
    (same_year == year && same_month == month && same_day == day).then_some(days)
}

/// Year, month, day, and the milliseconds of the day.
fn split(at: UnixMillis) -> (i64, i64, i64, i64) {
    let shifted = at.div_euclid(DAY_MILLIS) + 719_468;
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day, at.rem_euclid(DAY_MILLIS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read_as_pocketbase_reads_them() {
        // Pairs taken from PocketBase itself.
        for (given, expected) in [
            ("2024-02-03", "2024-02-03 00:00:00.000Z"),
            ("2024-02-03 04:05:06", "2024-02-03 04:05:06.000Z"),
            ("2024-02-03T04:05:06", "2024-02-03 04:05:06.000Z"),
            ("2024-02-03T04:05:06Z", "2024-02-03 04:05:06.000Z"),
            ("2024-02-03T04:05:06.123456+02:00", "2024-02-03 02:05:06.123Z"),
            ("2024-02-03 04:05:06.123Z", "2024-02-03 04:05:06.123Z"),
            ("2024-02-03T04:05:06+0200", "2024-02-03 02:05:06.000Z"),
            ("2024-02-03 04:05:06+02:00", "2024-02-03 02:05:06.000Z"),
            ("2024-02-03 04:05:06.1Z", "2024-02-03 04:05:06.100Z"),
            ("2024-02-03 04:05:06 +0000 UTC", "2024-02-03 04:05:06.000Z"),
            ("2024-02-03T04:05:06.123", "2024-02-03 04:05:06.123Z"),
            ("1969-12-31 23:59:59.999Z", "1969-12-31 23:59:59.999Z"),
            ("0001-01-01", "0001-01-01 00:00:00.000Z"),
            ("9999-12-31", "9999-12-31 00:00:00.000Z"),
            ("2000-02-29", "2000-02-29 00:00:00.000Z"),
        ] {
            assert_eq!(parse(given).map(text).as_deref(), Some(expected), "{given}");
        }
        for given in [
            "",
            "x",
            "2024-02-30",
            "1900-02-29",
            "2024-13-01",
            "2024-2-3",
            "1700000000",
            "2024-02-03 04:05",
            "2024-02-03 24:00:00",
            "2024-02-03T",
            "2024-02-03 04:05:06.",
            "2024-02-03 04:05:06+2",
            "2024-02-03 04:05:06 CET",
            "２024-02-03",
            "0000-01-01",
        ] {
            assert_eq!(parse(given), None, "{given}");
        }
    }

    #[test]
    fn a_threshold_is_printed_as_go_prints_it() {
        let at = parse("2020-01-01 00:00:00.120Z").unwrap();
        assert_eq!(text_of_go(at), "2020-01-01 00:00:00.12 +0000 UTC");
        assert_eq!(text_of_rfc3339(at - 120), "2020-01-01T00:00:00Z");
    }
}
