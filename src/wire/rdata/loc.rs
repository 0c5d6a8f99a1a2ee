//! LOC: where a host stands (RFC 1876). Version 0 has a text form; others are opaque.

use std::fmt::{self, Write};

use super::{Octets, Problem, Token};

/// The equator and the prime meridian, in thousandths of a second of arc.
const MIDDLE: u32 = 1 << 31;
const DEGREE: u32 = 3_600_000;
const MINUTE: u32 = 60_000;
/// Altitudes count from 100,000 m below the reference spheroid, in centimetres.
const ALTITUDE_BASE_CM: i64 = 10_000_000;
/// RFC 1876 §3: 1 m, 10,000 m and 10 m, unless stated.
const SIZE_DEFAULT: u8 = 0x12;
const HORIZONTAL_DEFAULT: u8 = 0x16;
const VERTICAL_DEFAULT: u8 = 0x13;

pub(super) fn check(rdata: &[u8]) -> Result<(), Problem> {
    let mut octets = Octets(rdata);
    if octets.u8()? != 0 {
        return Ok(());
    }
    for precision in octets.array::<3>()? {
        if precision >> 4 > 9 || precision & 0x0F > 9 {
            return Err(Problem::Rule("a size is two decimal digits (RFC 1876 §2)"));
        }
    }
    if octets.u32()?.abs_diff(MIDDLE) > 90 * DEGREE {
        return Err(Problem::Rule("the latitude is beyond 90 degrees (RFC 1876 §2)"));
    }
    if octets.u32()?.abs_diff(MIDDLE) > 180 * DEGREE {
        return Err(Problem::Rule("the longitude is beyond 180 degrees (RFC 1876 §2)"));
    }
    octets.u32()?;
    match octets.0.len() {
        0 => Ok(()),
        octets => Err(Problem::Trailing { octets }),
    }
}

pub(super) fn parse(tokens: &[Token<'_>], out: &mut Vec<u8>) -> Result<(), Problem> {
    let mut words = tokens.iter().map(|token| token.text);
    let latitude = parse_angle(&mut words, *b"NS", 90)?;
    let longitude = parse_angle(&mut words, *b"EW", 180)?;
    let altitude_cm = parse_metres(words.next().ok_or(Problem::Missing)?)?;
    let altitude = u32::try_from(altitude_cm + ALTITUDE_BASE_CM)
        .map_err(|_| Problem::Rule("the altitude is out of bounds (RFC 1876 §2)"))?;
    out.push(0);
    for default in [SIZE_DEFAULT, HORIZONTAL_DEFAULT, VERTICAL_DEFAULT] {
        out.push(words.next().map_or(Ok(default), parse_precision)?);
    }
    for value in [latitude, longitude, altitude] {
        out.extend_from_slice(&value.to_be_bytes());
    }
    match words.next() {
        None => Ok(()),
        Some(word) => Err(Problem::Surplus(String::from_utf8_lossy(word).into_owned())),
    }
}

/// Degrees, then minutes and seconds if wanted, then one of two letters.
fn parse_angle<'a>(
    words: &mut impl Iterator<Item = &'a [u8]>,
    [positive, negative]: [u8; 2],
    degrees_max: u32,
) -> Result<u32, Problem> {
    let wrong = Problem::Rule(
        "degrees, minutes and seconds are wanted, then N or S, or E or W: 52 22 23.000 N",
    );
    let mut parts = [(DEGREE, 0, degrees_max), (MINUTE, 0, 59), (1, 3, 59_999)].into_iter();
    let mut angle = 0;
    loop {
        let word = words.next().ok_or(Problem::Missing)?;
        let letter = match word {
            [letter] => letter.to_ascii_uppercase(),
            _ => 0,
        };
        if letter == positive || letter == negative {
            let has_degrees = parts.len() < 3;
            if !has_degrees || angle > degrees_max * DEGREE {
                return Err(wrong);
            }
            return Ok(if letter == positive { MIDDLE + angle } else { MIDDLE - angle });
        }
        let Some((unit, decimals, max)) = parts.next() else { return Err(wrong) };
        let value = parse_fixed(word, decimals).and_then(|value| u32::try_from(value).ok());
        match value {
            Some(value) if value <= max => angle += value * unit,
            _ => return Err(wrong),
        }
    }
}

/// Metres with two decimals at most and perhaps an `m`, in centimetres.
fn parse_metres(word: &[u8]) -> Result<i64, Problem> {
    let number = word.strip_suffix(b"m").or_else(|| word.strip_suffix(b"M")).unwrap_or(word);
    parse_fixed(number, 2).ok_or(Problem::Rule("metres like -24.5m are wanted (RFC 1876 §3)"))
}

/// The leading digit and a power of ten, as centimetres.
fn parse_precision(word: &[u8]) -> Result<u8, Problem> {
    let wrong = Problem::Rule("0 to 90000000 metres are wanted (RFC 1876 §2)");
    let Ok(mut mantissa) = u64::try_from(parse_metres(word)?) else { return Err(wrong) };
    let mut exponent = 0;
    while mantissa > 9 {
        mantissa /= 10;
        exponent += 1;
    }
    match u8::try_from(mantissa) {
        Ok(mantissa) if exponent <= 9 => Ok(mantissa << 4 | exponent),
        _ => Err(wrong),
    }
}

/// A decimal number times 10^`decimals`; `None` when it has more decimals than that, or more than
/// ten digits before the point.
fn parse_fixed(word: &[u8], decimals: usize) -> Option<i64> {
    let text = std::str::from_utf8(word).ok()?;
    let (sign, digits) = text.strip_prefix('-').map_or((1, text), |digits| (-1, digits));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || whole.len() > 10 || fraction.len() > decimals {
        return None;
    }
    if !is_number(whole) || !is_number(fraction) {
        return None;
    }
    let value: i64 = format!("{whole}{fraction:0<decimals$}").parse().ok()?;
    Some(sign * value)
}

/// Writes all fields of version 0; an error when that would not be exact.
pub(super) fn write(rdata: &[u8], out: &mut String) -> fmt::Result {
    let mut octets = Octets(rdata);
    let mut read = || Ok((octets.array::<4>()?, octets.u32()?, octets.u32()?, octets.u32()?));
    let ([version, precisions @ ..], latitude, longitude, altitude) =
        read().map_err(|_: Problem| fmt::Error)?;
    // Nought times a power of ten reads back as plain nought.
    if version != 0 || precisions.iter().any(|octet| octet >> 4 == 0 && *octet != 0) {
        return Err(fmt::Error);
    }
    for (value, [positive, negative]) in [(latitude, ["N", "S"]), (longitude, ["E", "W"])] {
        let angle = value.abs_diff(MIDDLE);
        let letter = if value >= MIDDLE { positive } else { negative };
        let (degrees, minutes) = (angle / DEGREE, angle / MINUTE % 60);
        let (seconds, thousandths) = (angle / 1_000 % 60, angle % 1_000);
        write!(out, "{degrees} {minutes} {seconds}.{thousandths:03} {letter} ")?;
    }
    let altitude_cm = i64::from(altitude) - ALTITUDE_BASE_CM;
    let sign = if altitude_cm < 0 { "-" } else { "" };
    let magnitude = altitude_cm.unsigned_abs();
    write!(out, "{sign}{}.{:02}m", magnitude / 100, magnitude % 100)?;
    for octet in precisions {
        let cm = u64::from(octet >> 4) * 10_u64.pow(u32::from(octet & 0x0F));
        write!(out, " {}.{:02}m", cm / 100, cm % 100)?;
    }
    Ok(())
}
