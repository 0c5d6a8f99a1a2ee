//! When a job is due: cron expressions as PocketBase reads them, in UTC.
//!
//! Five parts with a space between: minute, hour, day of the month, month, day of the week (0 =
//! Sunday); all five must fit. A part is a list of `*`, `n`, `a-b`, and `*/n` or `a-b/n`. Names such
//! as `@daily` stand for an expression.

use thiserror::Error;

/// A parsed expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    text: String,
    /// For each part the values that fit, a bit each.
    parts: [u64; 5],
}

/// A minute of a day in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment([u32; 5]);

/// Why a text is no expression; PocketBase's words.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[expect(missing_docs, reason = "the texts say it")]
pub enum CronError {
    #[error(
        "invalid cron expression - must be a valid macro or to have exactly 5 space separated segments"
    )]
    Parts,
    #[error("strconv.Atoi: parsing \"{0}\": invalid syntax")]
    NoNumber(String),
    #[error("strconv.Atoi: parsing \"{0}\": value out of range")]
    HugeNumber(String),
    #[error("invalid segment step boundary - the step must be between 1 and the {0}")]
    Step(u32),
    #[error("invalid segment step format - must be in the format */n or 1-30/n")]
    StepForm,
    #[error("invalid segment step - step > 1 could be used only with the wildcard or range format")]
    StepAlone,
    #[error("invalid segment value - must be between the min and max of the segment")]
    Value,
    #[error("invalid segment range minimum - must be between {0} and {1}")]
    RangeMin(u32, u32),
    #[error("invalid segment range maximum - must be between {0} and {1}")]
    RangeMax(u32, u32),
    #[error("invalid segment range format - the range must have 1 or 2 parts")]
    RangeForm,
}

const NAMED: [(&str, &str); 7] = [
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
    ("@monthly", "0 0 1 * *"),
    ("@weekly", "0 0 * * 0"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@hourly", "0 * * * *"),
];

/// The least and the largest value of each part.
const BOUNDS: [(u32, u32); 5] = [(0, 59), (0, 23), (1, 31), (1, 12), (0, 6)];

impl Schedule {
    /// Reads an expression.
    ///
    /// # Errors
    /// See [`CronError`].
    pub fn parse(text: &str) -> Result<Self, CronError> {
        let named = NAMED.iter().find(|(name, _)| *name == text);
        let text = named.map_or(text, |(_, expression)| expression);
        let words: Vec<_> = text.split(' ').collect();
        let words: [&str; 5] = words.try_into().map_err(|_| CronError::Parts)?;
        let mut parts = [0; 5];
        for ((part, word), (min, max)) in parts.iter_mut().zip(words).zip(BOUNDS) {
            *part = parse_part(word, min, max)?;
        }
        Ok(Self { text: text.to_owned(), parts })
    }

    /// The expression; a name is spelled out.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Does it fit this minute?
    #[must_use]
    pub fn is_due(&self, moment: Moment) -> bool {
        self.parts.iter().zip(moment.0).all(|(part, value)| part >> value & 1 == 1)
    }
}

impl Moment {
    /// The minute of a time in seconds since 1970-01-01 UTC.
    #[must_use]
    pub fn of(unix_secs: u64) -> Self {
        let (minutes, days) = (unix_secs / 60, unix_secs / 86_400);
        // Howard Hinnant's days-to-civil: eras of 146,097 days, years that begin in March.
        let day_of_era = (days + 719_468) % 146_097;
        let year_of_era =
            (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted_month = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
        let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
        // 1970-01-01 was a Thursday.
        let weekday = (days + 4) % 7;
        Self([minutes % 60, minutes / 60 % 24, day, month, weekday].map(|value| value as u32))
    }
}

fn parse_part(word: &str, min: u32, max: u32) -> Result<u64, CronError> {
    let mut values = 0;
    for item in word.split(',') {
        let (range, step) = match item.split('/').collect::<Vec<_>>()[..] {
            [range] => (range, 1),
            [range, step] => {
                let step = number(step)?;
                let step = u32::try_from(step).ok().filter(|step| (1..=max).contains(step));
                (range, step.ok_or(CronError::Step(max))?)
            }
            _ => return Err(CronError::StepForm),
        };
        let (first, last) = parse_range(range, step, min, max)?;
        for value in (first..=last).step_by(step as usize) {
            values |= 1 << value;
        }
    }
    Ok(values)
}

fn parse_range(range: &str, step: u32, min: u32, max: u32) -> Result<(u32, u32), CronError> {
    if range == "*" {
        return Ok((min, max));
    }
    let within = |value: i64, min: u32| {
        u32::try_from(value).ok().filter(|value| (min..=max).contains(value))
    };
    match range.split('-').collect::<Vec<_>>()[..] {
        [_] if step != 1 => Err(CronError::StepAlone),
        [value] => {
            let value = within(number(value)?, min).ok_or(CronError::Value)?;
            Ok((value, value))
        }
        [first, last] => {
            let first = within(number(first)?, min).ok_or(CronError::RangeMin(min, max))?;
            let last = within(number(last)?, first).ok_or(CronError::RangeMax(first, max))?;
            Ok((first, last))
        }
        _ => Err(CronError::RangeForm),
    }
}

/// A number as Go's Atoi reads it.
fn number(text: &str) -> Result<i64, CronError> {
    text.parse().map_err(|error: std::num::ParseIntError| match error.kind() {
        std::num::IntErrorKind::PosOverflow | std::num::IntErrorKind::NegOverflow => {
            CronError::HugeNumber(text.to_owned())
        }
        _ => CronError::NoNumber(text.to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Minutes from 2026-11-21 (a Saturday) 00:00 on, at which an expression is due within a day.
    fn due(expression: &str) -> Vec<u64> {
        let schedule = Schedule::parse(expression).unwrap();
        (0..1440).filter(|at| schedule.is_due(Moment::of(1_795_219_200 + at * 60))).collect()
    }

    #[test]
    fn a_minute_is_due_when_all_five_parts_fit() {
        assert_eq!(due("* * * * *").len(), 1440);
        assert_eq!(due("5 1 * * *"), [65]);
        assert_eq!(due("+5 1 * * *"), [65]);
        assert_eq!(due("0 */6 * * *"), [0, 360, 720, 1080]);
        assert_eq!(due("0-30/15,59 23 21 11 6"), [1380, 1395, 1410, 1439]);
        assert_eq!(due("10-12 0 * * *"), [10, 11, 12]);
        assert_eq!(due("0 0 22 * *"), [0; 0]);
        assert_eq!(due("0 0 * 12 *"), [0; 0]);
        assert_eq!(
            due("0 0 21 * 0"),
            [0; 0],
            "the day of the month does not make up for the weekday"
        );
        assert_eq!(due("@daily"), [0]);
        assert_eq!(due("@hourly").len(), 24);
        assert_eq!(due("@weekly"), [0; 0]);
    }

    #[test]
    fn a_minute_knows_its_day() {
        assert_eq!(Moment::of(0), Moment([0, 0, 1, 1, 4]));
        assert_eq!(Moment::of(951_868_799), Moment([59, 23, 29, 2, 2]));
        assert_eq!(Moment::of(4_107_542_400), Moment([0, 0, 1, 3, 1]));
    }

    #[test]
    fn a_name_is_spelled_out() {
        assert_eq!(Schedule::parse("@monthly").unwrap().as_str(), "0 0 1 * *");
        assert_eq!(Schedule::parse("1  * * *"), Err(CronError::NoNumber(String::new())));
    }

    #[test]
    fn what_is_no_expression_is_refused_in_pocketbases_words() {
        for (expression, words) in [
            ("* * *", "exactly 5 space separated segments"),
            ("", "exactly 5"),
            ("@never", "exactly 5"),
            ("61 * * * *", "invalid segment value"),
            ("* * 0 * *", "invalid segment value"),
            ("* * * * 7", "invalid segment value"),
            ("a * * * *", "strconv.Atoi: parsing \"a\": invalid syntax"),
            ("99999999999999999999 * * * *", "value out of range"),
            ("-1 * * * *", "strconv.Atoi: parsing \"\": invalid syntax"),
            ("*/60 * * * *", "the step must be between 1 and the 59"),
            ("*/0 * * * *", "the step must be between 1 and the 59"),
            ("1/2 * * * *", "step > 1 could be used only"),
            ("*/1/2 * * * *", "*/n or 1-30/n"),
            ("5-1 * * * *", "range maximum - must be between 5 and 59"),
            ("60-61 * * * *", "range minimum - must be between 0 and 59"),
            ("* 1-2-3 * * *", "1 or 2 parts"),
        ] {
            let error = Schedule::parse(expression).unwrap_err().to_string();
            assert!(error.contains(words), "{expression}: {error}");
        }
    }
}
