//! Dates as clients write them, and as they are stored.

use crate::clock::{DAY_MILLIS, date_of, days_of, millis_text};

/// Milliseconds since 1970-01-01 UTC, leap seconds not counted.
pub type UnixMillis = i64;

/// Reads what PocketBase reads (`spf13/cast`): `YYYY-MM-DD`, alone or with `THH:MM:SS`, a space in
/// place of the `T`, a fraction, and one of `Z`, ` UTC`, `+HH:MM`, `+HHMM`; and the forms with the
/// names of months of RFC 822, 850 and 1123, of C's `asctime` and of `date`. UTC without a zone, and
/// with a zone's name. The fraction is cut to milliseconds. `None` for anything else, dates that do
/// not exist among them.
#[must_use]
pub fn parse(text: &str) -> Option<UnixMillis> {
    if text.starts_with(|c: char| c.is_ascii_digit()) && text.as_bytes().get(4) == Some(&b'-') {
        parse_digits(text)
    } else {
        parse_words(text)
    }
}

fn parse_digits(text: &str) -> Option<UnixMillis> {
    let mut rest = text;
    let date = days_of(number(&mut rest, 4)?, part(&mut rest, "-")?, part(&mut rest, "-")?)?;
    let midnight = date * DAY_MILLIS;
    if rest.is_empty() {
        return Some(midnight);
    }
    rest = rest.strip_prefix(['T', 't', ' '])?;
    let time = time(&mut rest)?;
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
    Some(midnight + time + millis - offset(rest)?)
}

/// `Mon, 02 Jan 2006 15:04:05 MST`, `02 Jan 06 15:04 -0700`, `Monday, 02-Jan-06 15:04:05 MST`,
/// `Mon Jan  2 15:04:05 2006`, `Mon Jan _2 15:04:05 MST 2006`, `Mon Jan 02 15:04:05 -0700 2006`,
/// `02 Jan 2006`.
fn parse_words(text: &str) -> Option<UnixMillis> {
    let (weekday, rest) = match text.split_once(", ") {
        Some((weekday, rest)) => (Some(weekday), rest),
        None => (None, text),
    };
    let is_dashed = weekday.is_some_and(|weekday| weekday.len() > 3);
    if !weekday.is_none_or(|weekday| is_weekday(weekday, is_dashed)) {
        return None;
    }
    let words: Vec<&str> = match (is_dashed, rest.split_once(' ')) {
        (true, Some((date, rest))) => date.split('-').chain(rest.split(' ')).collect(),
        (true, None) => return None,
        (false, _) => rest.split(' ').filter(|word| !word.is_empty()).collect(),
    };
    let (day, month, year, clock, zone) = match (weekday, words.as_slice()) {
        (Some(_), [day, month, year, clock, zone]) => (day, month, year, Some(clock), Some(zone)),
        (None, [day, month, year, clock, zone])
            if year.len() == 2 && !is_weekday(day, false) && clock.len() == 5 =>
        {
            (day, month, year, Some(clock), Some(zone))
        }
        (None, [day, month, year]) if year.len() == 4 => (day, month, year, None, None),
        (None, [weekday, month, day, clock, year])
            if is_weekday(weekday, false) && year.len() == 4 =>
        {
            (day, month, year, Some(clock), None)
        }
        (None, [weekday, month, day, clock, zone, year])
            if is_weekday(weekday, false) && year.len() == 4 =>
        {
            (day, month, year, Some(clock), Some(zone))
        }
        _ => return None,
    };
    let month = MONTHS.iter().position(|name| name.eq_ignore_ascii_case(month))?;
    let date = days_of(year_of(year)?, i64::try_from(month).ok()? + 1, small(day)?)?;
    let time = match clock {
        // RFC 822 needs no seconds.
        Some(clock) if clock.len() == 5 => time(&mut format!("{clock}:00").as_str())?,
        Some(clock) => {
            let mut rest: &str = clock;
            let time = time(&mut rest)?;
            if !rest.is_empty() {
                return None;
            }
            time
        }
        None => 0,
    };
    let offset = match zone {
        Some(zone) if zone.starts_with(['+', '-']) => offset(zone)?,
        // Go knows no zone by its name here.
        Some(zone)
            if (3..=5).contains(&zone.len()) && zone.bytes().all(|b| b.is_ascii_uppercase()) =>
        {
            0
        }
        Some(_) => return None,
        None => 0,
    };
    Some(date * DAY_MILLIS + time - offset)
}

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const WEEKDAYS: [&str; 7] =
    ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

fn is_weekday(word: &str, is_long: bool) -> bool {
    WEEKDAYS.iter().any(|name| {
        let name = if is_long { name } else { name.get(..3).unwrap_or(name) };
        name.eq_ignore_ascii_case(word)
    })
}

/// A year of four digits, or of two: 69 and later are of the last century.
fn year_of(text: &str) -> Option<i64> {
    let mut rest = text;
    match text.len() {
        4 => number(&mut rest, 4),
        2 => number(&mut rest, 2).map(|year| if year >= 69 { 1900 + year } else { 2000 + year }),
        _ => None,
    }
}

/// One or two digits.
fn small(text: &str) -> Option<i64> {
    let mut rest = text;
    if (1..=2).contains(&text.len()) { number(&mut rest, text.len()) } else { None }
}

/// As PocketBase stores it: `YYYY-MM-DD HH:MM:SS.mmmZ`.
#[must_use]
pub fn text(at: UnixMillis) -> String {
    millis_text(at)
}

/// As Go prints a time in a message: `2020-01-01 00:00:00 +0000 UTC`.
#[must_use]
pub fn text_of_go(at: UnixMillis) -> String {
    let (date, time, fraction) = split(at);
    format!("{date} {time}{fraction} +0000 UTC")
}

/// As RFC 3339 has it.
#[must_use]
pub fn text_of_rfc3339(at: UnixMillis) -> String {
    let (date, time, fraction) = split(at);
    format!("{date}T{time}{fraction}Z")
}

/// Date, time, and the fraction of a second with its dot where there is one.
fn split(at: UnixMillis) -> (String, String, String) {
    let (year, month, day) = date_of(at.div_euclid(DAY_MILLIS));
    let of_day = at.rem_euclid(DAY_MILLIS);
    let secs = of_day / 1000;
    let fraction = match of_day % 1000 {
        0 => String::new(),
        millis => format!(".{millis:03}").trim_end_matches('0').to_owned(),
    };
    (
        format!("{year:04}-{month:02}-{day:02}"),
        format!("{:02}:{:02}:{:02}", secs / 3600, secs / 60 % 60, secs % 60),
        fraction,
    )
}

/// Milliseconds of `HH:MM:SS`.
fn time(rest: &mut &str) -> Option<i64> {
    let (hour, minute, second) = (number(rest, 2)?, part(rest, ":")?, part(rest, ":")?);
    let is_time = hour < 24 && minute < 60 && second < 60;
    is_time.then_some(((hour * 60 + minute) * 60 + second) * 1000)
}

/// Milliseconds east of UTC.
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
    (rest.is_empty() && hours < 24 && minutes < 60)
        .then_some(sign * (hours * 60 + minutes) * 60_000)
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
