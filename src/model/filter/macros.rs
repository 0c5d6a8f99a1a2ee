//! `@now` and its kin: values of the moment when a filter is resolved, in UTC.

use super::datum::Datum;

/// Microseconds of a day.
const DAY_MICROS: u64 = 86_400_000_000;

/// The value of a macro at `now_micros` (microseconds since 1970); `None` for any other name.
#[must_use]
pub(super) fn value(name: &str, now_micros: u64) -> Option<Datum> {
    let now = Civil::of(now_micros);
    let today = now_micros - now_micros % DAY_MICROS;
    let text = |micros| Some(Datum::Text(crate::clock::date_text(micros)));
    let number = |number| Some(Datum::Integer(number));
    // A day ends in its last millisecond.
    let end_of_day = |micros| text(micros + DAY_MICROS - 1);
    match name {
        "@now" => text(now_micros),
        "@yesterday" => text(now_micros.saturating_sub(DAY_MICROS)),
        "@tomorrow" => text(now_micros + DAY_MICROS),
        "@second" => number(now.second),
        "@minute" => number(now.minute),
        "@hour" => number(now.hour),
        "@day" => number(now.day),
        "@month" => number(now.month),
        "@weekday" => number(now.weekday),
        "@year" => number(now.year),
        "@todayStart" => text(today),
        "@todayEnd" => end_of_day(today),
        "@monthStart" => text(month_start(now_micros)),
        "@monthEnd" => text(month_start(month_start(now_micros) + 31 * DAY_MICROS) - 1),
        "@yearStart" => text(year_start(now_micros)),
        "@yearEnd" => text(year_start(year_start(now_micros) + 366 * DAY_MICROS) - 1),
        _ => None,
    }
}

/// The first moment of the month.
fn month_start(micros: u64) -> u64 {
    let days_before = u64::try_from(Civil::of(micros).day - 1).unwrap_or(0);
    (micros - micros % DAY_MICROS).saturating_sub(days_before * DAY_MICROS)
}

/// The first moment of the year.
fn year_start(micros: u64) -> u64 {
    let mut start = month_start(micros);
    for _ in 1..Civil::of(micros).month {
        start = month_start(start.saturating_sub(1));
    }
    start
}

/// A moment in the calendar.
struct Civil {
    year: i64,
    month: i64,
    day: i64,
    hour: i64,
    minute: i64,
    second: i64,
    /// 0 = Sunday.
    weekday: i64,
}

impl Civil {
    fn of(micros: u64) -> Self {
        let text = crate::clock::date_text(micros);
        let part = |from: usize, to: usize| {
            text.get(from..to).and_then(|part| part.parse().ok()).unwrap_or_default()
        };
        // 1970-01-01 was a Thursday.
        let weekday = i64::try_from((micros / DAY_MICROS + 4) % 7).unwrap_or(0);
        Self {
            year: part(0, 4),
            month: part(5, 7),
            day: part(8, 10),
            hour: part(11, 13),
            minute: part(14, 16),
            second: part(17, 19),
            weekday,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn macros_are_moments_in_utc() {
        // Friday 2024-02-09 08:07:06.123456.
        let now = 1_707_466_026_123_456;
        for (name, expected) in [
            ("@now", "2024-02-09 08:07:06.123Z"),
            ("@yesterday", "2024-02-08 08:07:06.123Z"),
            ("@tomorrow", "2024-02-10 08:07:06.123Z"),
            ("@todayStart", "2024-02-09 00:00:00.000Z"),
            ("@todayEnd", "2024-02-09 23:59:59.999Z"),
            ("@monthStart", "2024-02-01 00:00:00.000Z"),
            ("@monthEnd", "2024-02-29 23:59:59.999Z"),
            ("@yearStart", "2024-01-01 00:00:00.000Z"),
            ("@yearEnd", "2024-12-31 23:59:59.999Z"),
        ] {
            assert_eq!(value(name, now), Some(Datum::Text(expected.into())), "{name}");
        }
        for (name, expected) in [
            ("@second", 6),
            ("@minute", 7),
            ("@hour", 8),
            ("@day", 9),
            ("@month", 2),
            ("@weekday", 5),
            ("@year", 2024),
        ] {
            assert_eq!(value(name, now), Some(Datum::Integer(expected)), "{name}");
        }
        assert_eq!(value("@other", now), None);
        let december = 1_703_980_800_000_000; // 2023-12-31
        let text = |name| value(name, december);
        assert_eq!(text("@monthEnd"), text("@yearEnd"));
        assert_eq!(text("@yearStart"), Some(Datum::Text("2023-01-01 00:00:00.000Z".into())));
    }
}
