//! SQLite's `strftime` (lang_datefunc.html), for filters that are judged in memory.
//!
//! A moment is a number of milliseconds since noon of 24 November 4714 BC, as in SQLite. Absent:
//! `localtime` and `utc`, which ask the machine where it stands; they give NULL here.

use super::datum::Datum;

const DAY_MILLIS: i64 = 86_400_000;
/// 1970-01-01 00:00.
const UNIX_EPOCH_MILLIS: i64 = 210_866_760_000_000;
/// 9999-12-31 23:59:59.999.
const MILLIS_MAX: i64 = 464_269_060_799_999;

/// `strftime(format, time, modifiers…)`; `None` is NULL. Without a time it is `now_micros`.
#[must_use]
pub(super) fn strftime(arguments: &[Datum], now_micros: u64) -> Option<String> {
    let (format, rest) = arguments.split_first()?;
    let format = format.to_text()?;
    let mut moment = match rest.split_first() {
        None => Moment::at(now(now_micros)),
        Some((time @ (Datum::Integer(_) | Datum::Real(_)), _)) => Moment::raw(time.to_number()?),
        Some((time, _)) => Moment::parse(&time.to_text()?, now_micros)?,
    };
    for (at, modifier) in rest.iter().skip(1).enumerate() {
        moment.modify(&modifier.to_text()?, at == 0)?;
    }
    let millis = moment.millis()?;
    (0..=MILLIS_MAX).contains(&millis).then(|| print(&format, millis, moment.has_subsec))?
}

fn now(micros: u64) -> i64 {
    UNIX_EPOCH_MILLIS + i64::try_from(micros / 1000).unwrap_or(MILLIS_MAX - UNIX_EPOCH_MILLIS)
}

struct Moment {
    /// `None`: a number that is no Julian day.
    millis: Option<i64>,
    /// A number that a modifier may still say the meaning of.
    raw: Option<f64>,
    /// Days by which the last step went beyond the end of its month.
    overflow_days: i64,
    has_subsec: bool,
}

impl Moment {
    fn at(millis: i64) -> Self {
        Self { millis: Some(millis), raw: None, overflow_days: 0, has_subsec: false }
    }

    #[expect(clippy::cast_possible_truncation, reason = "the range was checked")]
    fn raw(number: f64) -> Self {
        let is_day = (0.0..5_373_484.5).contains(&number);
        let millis = is_day.then_some((number * 86_400_000.0 + 0.5) as i64);
        Self { millis, raw: Some(number), overflow_days: 0, has_subsec: false }
    }

    fn parse(text: &str, now_micros: u64) -> Option<Self> {
        // A NUL ends a text for SQLite, and white space around numbers is skipped.
        if let Some(moment) = date_and_time(text) {
            return Some(moment);
        }
        if let Some((millis, offset)) = time_of_day(text) {
            return Some(Self::at(days(2000, 1, 1) + millis - offset));
        }
        if text.eq_ignore_ascii_case("now") {
            return Some(Self::at(now(now_micros)));
        }
        if let Some(number) = Datum::Text(text.to_owned()).to_number() {
            return Some(Self::raw(number));
        }
        if text.eq_ignore_ascii_case("subsec") || text.eq_ignore_ascii_case("subsecond") {
            return Some(Self { has_subsec: true, ..Self::at(now(now_micros)) });
        }
        None
    }

    fn millis(&self) -> Option<i64> {
        self.millis
    }

    fn modify(&mut self, text: &str, is_first: bool) -> Option<()> {
        let lower = text.to_ascii_lowercase();
        match lower.as_str() {
            "auto" if is_first => {
                let Some(seconds) = self.raw.take().filter(|_| self.millis.is_none()) else {
                    return Some(());
                };
                self.millis = Some(unix_millis(seconds)?);
            }
            "julianday" if is_first => {
                self.raw.take()?;
                self.millis?;
            }
            "unixepoch" if is_first => self.millis = Some(unix_millis(self.raw.take()?)?),
            "ceiling" => self.overflow_days = 0,
            "floor" => self.millis = Some(self.millis? - self.overflow_days * DAY_MILLIS),
            "subsec" | "subsecond" => self.has_subsec = true,
            "start of day" | "start of month" | "start of year" => {
                let (year, month, day) = civil(self.millis?);
                self.raw = None;
                self.millis = Some(match lower.as_str() {
                    "start of day" => days(year, month, day),
                    "start of month" => days(year, month, 1),
                    _ => days(year, 1, 1),
                });
            }
            _ if lower.starts_with("weekday ") => {
                let wanted = Datum::Text(lower.get(8..)?.to_owned()).to_number()?;
                if !(0.0..7.0).contains(&wanted) || wanted.fract() != 0.0 {
                    return None;
                }
                let millis = self.millis?;
                #[expect(clippy::cast_possible_truncation, reason = "0 to 6")]
                let ahead = (wanted as i64 - weekday(millis)).rem_euclid(7);
                self.millis = Some(millis + ahead * DAY_MILLIS);
            }
            _ if lower.starts_with(|c: char| c.is_ascii_digit() || c == '+' || c == '-') => {
                self.shift(&lower)?;
            }
            _ => return None,
        }
        Some(())
    }

    /// `NNN units`, `±HH:MM:SS.SSS` and `±YYYY-MM-DD HH:MM`.
    fn shift(&mut self, text: &str) -> Option<()> {
        let is_blank = |c: char| c.is_ascii_whitespace() || c == '\u{b}';
        let sign = if text.starts_with('-') { -1 } else { 1 };
        let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
        if let Some((years, months, days, rest)) = date_shift(unsigned)
            && unsigned.len() < text.len()
        {
            let millis = self.millis?;
            self.add_months(sign * (years * 12 + months))?;
            self.millis = Some(self.millis? + sign * days * DAY_MILLIS);
            if rest.is_empty() {
                return Some(());
            }
            let Some((time, _)) = time_of_day(rest.strip_prefix(is_blank)?) else {
                self.millis = Some(millis);
                return None;
            };
            self.millis = Some(self.millis? + sign * time);
            return Some(());
        }
        let end = unsigned.find(|c| is_blank(c) || c == ':').unwrap_or(unsigned.len());
        let (number, rest) = unsigned.split_at(end);
        let number = Datum::Text(number.to_owned()).to_number()?;
        if rest.starts_with(':') {
            let (time, offset) = time_of_day(unsigned)?;
            self.overflow_days = 0;
            self.millis = Some(self.millis? + sign * (time - offset).rem_euclid(DAY_MILLIS));
            return Some(());
        }
        #[expect(clippy::cast_precision_loss, reason = "it is 1 or -1")]
        let number = number * sign as f64;
        let unit = rest.trim_start_matches(is_blank);
        let unit = unit.strip_suffix('s').unwrap_or(unit);
        let (limit, seconds) = match unit {
            "second" => (4.6427e14, 1.0),
            "minute" => (7.7379e12, 60.0),
            "hour" => (1.2897e11, 3600.0),
            "day" => (5_373_485.0, 86_400.0),
            "month" => (176_546.0, 2_592_000.0),
            "year" => (14_713.0, 31_536_000.0),
            _ => return None,
        };
        if number.abs() >= limit {
            return None;
        }
        self.millis?;
        self.overflow_days = 0;
        let mut number = number;
        #[expect(clippy::cast_possible_truncation, reason = "the limits are far below")]
        if unit == "month" || unit == "year" {
            let whole = number.trunc();
            self.add_months(whole as i64 * if unit == "year" { 12 } else { 1 })?;
            number -= whole;
        }
        let rounder = if number < 0.0 { -0.5 } else { 0.5 };
        #[expect(clippy::cast_possible_truncation, reason = "the limits are far below")]
        let millis = (number * 1000.0 * seconds + rounder) as i64;
        self.millis = Some(self.millis? + millis);
        self.raw = None;
        Some(())
    }

    fn add_months(&mut self, months: i64) -> Option<()> {
        let millis = self.millis?;
        let (year, month, day) = civil(millis);
        let months = year * 12 + (month - 1) + months;
        let (year, month) = (months.div_euclid(12), months.rem_euclid(12) + 1);
        if !(-4713..=9999).contains(&year) {
            return None;
        }
        self.overflow_days = (day - month_days(year, month)).max(0);
        let time = (millis + DAY_MILLIS / 2).rem_euclid(DAY_MILLIS);
        self.millis = Some(days(year, month, day) + time);
        Some(())
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the range was checked")]
fn unix_millis(seconds: f64) -> Option<i64> {
    let millis = seconds * 1000.0 + 210_866_760_000_000.0;
    (0.0..464_269_060_800_000.0).contains(&millis).then_some((millis + 0.5) as i64)
}

/// `YYYY-MM-DD`, alone or with a time of day.
fn date_and_time(text: &str) -> Option<Moment> {
    let (unsigned, sign) = text.strip_prefix('-').map_or((text, 1), |rest| (rest, -1));
    let (year, rest) = digits(unsigned, 4, 0, 9999)?;
    let (month, rest) = digits(rest.strip_prefix('-')?, 2, 1, 12)?;
    let (day, rest) = digits(rest.strip_prefix('-')?, 2, 1, 31)?;
    let year = year * sign;
    let rest =
        rest.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == '\u{b}' || c == 'T');
    let (time, offset) = if rest.is_empty() { (0, 0) } else { time_of_day(rest)? };
    let overflow_days = (day - month_days(year, month)).max(0);
    Some(Moment { overflow_days, ..Moment::at(days(year, month, day) + time - offset) })
}

/// `HH:MM`, `HH:MM:SS`, `HH:MM:SS.SSS` and a zone: milliseconds, and those of the zone.
fn time_of_day(text: &str) -> Option<(i64, i64)> {
    let (hour, rest) = digits(text, 2, 0, 24)?;
    let (minute, mut rest) = digits(rest.strip_prefix(':')?, 2, 0, 59)?;
    let mut seconds = 0.0;
    if let Some(after) = rest.strip_prefix(':') {
        let (whole, after) = digits(after, 2, 0, 59)?;
        rest = after;
        #[expect(clippy::cast_precision_loss, reason = "0 to 59")]
        let mut sum = whole as f64;
        if let Some(fraction) = after.strip_prefix('.') {
            let count = fraction.bytes().take_while(u8::is_ascii_digit).count();
            if count > 0 {
                let (fraction, after) = fraction.split_at(count);
                sum += format!("0.{fraction}").parse::<f64>().ok()?.min(0.999);
                rest = after;
            }
        }
        seconds = sum;
    }
    if hour == 24 && (minute != 0 || seconds != 0.0) {
        return None;
    }
    let blank = |c: char| c.is_ascii_whitespace() || c == '\u{b}';
    rest = rest.trim_start_matches(blank);
    let mut offset = 0;
    if let Some(after) = rest.strip_prefix(['Z', 'z']) {
        rest = after;
    } else if let Some(after) = rest.strip_prefix(['+', '-']) {
        let sign = if rest.starts_with('-') { -1 } else { 1 };
        let (hours, after) = digits(after, 2, 0, 14)?;
        let (minutes, after) = digits(after.strip_prefix(':')?, 2, 0, 59)?;
        offset = sign * (hours * 60 + minutes) * 60_000;
        rest = after;
    }
    if !rest.trim_start_matches(blank).is_empty() {
        return None;
    }
    #[expect(clippy::cast_possible_truncation, reason = "below a minute")]
    let millis = (seconds * 1000.0 + 0.5) as i64;
    Some(((hour * 60 + minute) * 60_000 + millis, offset))
}

/// `YYYY-MM-DD` as a distance.
fn date_shift(text: &str) -> Option<(i64, i64, i64, &str)> {
    let is_long = text.as_bytes().get(5) == Some(&b'-');
    let (years, rest) = digits(text, if is_long { 5 } else { 4 }, 0, 14_712)?;
    let (months, rest) = digits(rest.strip_prefix('-')?, 2, 0, 11)?;
    let (days, rest) = digits(rest.strip_prefix('-')?, 2, 0, 30)?;
    Some((years, months, days, rest))
}

fn digits(text: &str, count: usize, least: i64, most: i64) -> Option<(i64, &str)> {
    let (number, rest) = text.split_at_checked(count)?;
    if !number.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let number = number.parse().ok()?;
    (least..=most).contains(&number).then_some((number, rest))
}

fn month_days(year: i64, month: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Midnight of a day of the Gregorian calendar; `day` may go beyond the month.
fn days(year: i64, month: i64, day: i64) -> i64 {
    // Howard Hinnant's days-from-civil: years that begin in March.
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    (era * 146_097 + day_of_era - 719_468) * DAY_MILLIS + UNIX_EPOCH_MILLIS
}

/// Year, month and day.
fn civil(millis: i64) -> (i64, i64, i64) {
    let days = (millis - UNIX_EPOCH_MILLIS).div_euclid(DAY_MILLIS) + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day_of_year - (153 * shifted + 2) / 5 + 1)
}

/// 0 = Sunday.
fn weekday(millis: i64) -> i64 {
    ((millis + 129_600_000) / DAY_MILLIS) % 7
}

fn print(format: &str, millis: i64, has_subsec: bool) -> Option<String> {
    let (year, month, day) = civil(millis);
    let time = (millis + DAY_MILLIS / 2).rem_euclid(DAY_MILLIS);
    let (hour, minute, second) = (time / 3_600_000, time / 60_000 % 60, time / 1000 % 60);
    let hour_of_12 = (hour + 11) % 12 + 1;
    let day_of_year = (millis - days(year, 1, 1)).div_euclid(DAY_MILLIS);
    let after_sunday = weekday(millis);
    let after_monday = (after_sunday + 6) % 7;
    // The Thursday of the same week says which year the week belongs to.
    let thursday = millis + (3 - after_monday) * DAY_MILLIS;
    let (iso_year, ..) = civil(thursday);
    let iso_day = (thursday - days(iso_year, 1, 1)).div_euclid(DAY_MILLIS);
    let mut out = String::new();
    let mut chars = format.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        out.push_str(&match chars.next()? {
            'd' => format!("{day:02}"),
            'e' => format!("{day:2}"),
            'f' => format!("{second:02}.{:03}", time % 1000),
            'F' => format!("{}-{month:02}-{day:02}", four(year)),
            'G' => four(iso_year),
            'g' => format!("{:02}", iso_year % 100),
            'H' => format!("{hour:02}"),
            'k' => format!("{hour:2}"),
            'I' => format!("{hour_of_12:02}"),
            'l' => format!("{hour_of_12:2}"),
            'j' => format!("{:03}", day_of_year + 1),
            'J' => julian_text(millis),
            'm' => format!("{month:02}"),
            'M' => format!("{minute:02}"),
            'p' => if hour >= 12 { "PM" } else { "AM" }.to_owned(),
            'P' => if hour >= 12 { "pm" } else { "am" }.to_owned(),
            'R' => format!("{hour:02}:{minute:02}"),
            's' if has_subsec => {
                let unix = millis - UNIX_EPOCH_MILLIS;
                let sign = if unix < 0 { "-" } else { "" };
                format!("{sign}{}.{:03}", unix.abs() / 1000, unix.abs() % 1000)
            }
            's' => (millis / 1000 - UNIX_EPOCH_MILLIS / 1000).to_string(),
            'S' => format!("{second:02}"),
            'T' => format!("{hour:02}:{minute:02}:{second:02}"),
            'u' => if after_sunday == 0 { 7 } else { after_sunday }.to_string(),
            'w' => after_sunday.to_string(),
            'U' => format!("{:02}", (day_of_year - after_sunday + 7) / 7),
            'V' => format!("{:02}", iso_day / 7 + 1),
            'W' => format!("{:02}", (day_of_year - after_monday + 7) / 7),
            'Y' => four(year),
            '%' => "%".to_owned(),
            _ => return None,
        });
    }
    Some(out)
}

fn four(year: i64) -> String {
    if year < 0 { format!("-{:03}", -year) } else { format!("{year:04}") }
}

/// `%.16g` of days.
fn julian_text(millis: i64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "below 2^49")]
    let day = millis as f64 / 86_400_000.0;
    let whole = format!("{:.0}", day.trunc());
    let text = format!("{day:.*}", 16_usize.saturating_sub(whole.len()));
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(arguments: &[&str], expected: Option<&str>) {
        let arguments: Vec<_> = arguments.iter().map(|a| Datum::Text((*a).to_owned())).collect();
        let now = 1_707_466_026_123_456; // 2024-02-09 08:07:06.123
        assert_eq!(strftime(&arguments, now).as_deref(), expected, "{arguments:?}");
    }

    #[test]
    fn moments_are_printed() {
        let all = "%d %e %f %F %G-%V %g %H %k %I %l %j %m %M %p %P %R %s %S %T %u %w %U %W %Y %%";
        check(
            &[all, "2024-02-09 08:07:06.123Z"],
            Some(
                "09  9 06.123 2024-02-09 2024-06 24 08  8 08  8 040 02 07 AM am 08:07 1707466026 06 \
                 08:07:06 5 5 05 06 2024 %",
            ),
        );
        check(&["%F %T"], Some("2024-02-09 08:07:06"));
        check(&["%Y", ""], None);
        check(&["%Q", "2024-01-01"], None);
        check(&["%", "2024-01-01"], None);
        check(&["%J", "2000-01-01 12:00"], Some("2451545"));
        check(&["%F %R", "2451544.5"], Some("2000-01-01 00:00"));
        check(&["%F", "2024-02-31"], Some("2024-03-02"));
        check(&["%F %R", "12:30"], Some("2000-01-01 12:30"));
        check(&["%F %R", "2024-01-01T23:30+01:30"], Some("2024-01-01 22:00"));
        check(&["%F %R", "2024-12-31 24:00"], Some("2025-01-01 00:00"));
        check(&["%F", "2024-1-1"], None);
        check(&["%F", "2024-13-01"], None);
    }

    #[test]
    fn modifiers_move_a_moment() {
        let from = "2024-01-31 10:20:30";
        for (modifiers, expected) in [
            (&["+1 day"][..], Some("2024-02-01 10:20:30")),
            (&["+1 month"], Some("2024-03-02 10:20:30")),
            (&["+1 month", "floor"], Some("2024-02-29 10:20:30")),
            (&["-1.5 days"], Some("2024-01-29 22:20:30")),
            (&["start of month"], Some("2024-01-01 00:00:00")),
            (&["start of year", "+1 year", "-1 second"], Some("2024-12-31 23:59:59")),
            (&["weekday 0"], Some("2024-02-04 10:20:30")),
            (&["weekday 3"], Some("2024-01-31 10:20:30")),
            (&["+01:30"], Some("2024-01-31 11:50:30")),
            (&["-00:00:31"], Some("2024-01-31 10:19:59")),
            (&["+0001-02-03"], Some("2025-04-03 10:20:30")),
            (&["+0000-00-01 01:00"], Some("2024-02-01 11:20:30")),
            (&["unixepoch"], None),
            (&["nonsense"], None),
            (&["+1 fortnight"], None),
            (&["localtime"], None),
        ] {
            let arguments = [&["%F %T", from], modifiers].concat();
            check(&arguments, expected);
        }
        check(&["%F %T", "1700000000", "unixepoch"], Some("2023-11-14 22:13:20"));
        check(&["%F %T", "1700000000", "auto"], Some("2023-11-14 22:13:20"));
        check(&["%F", "1700000000"], None);
    }
}
