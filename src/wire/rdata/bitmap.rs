//! Type bit maps of NSEC, NSEC3 and CSYNC (RFC 4034 §4.1.2).

use std::collections::BTreeMap;
use std::fmt::{self, Write};

use super::{Octets, Problem, Rtype, Token};

/// A window holds 256 types.
const WINDOW_BYTES_MAX: usize = 32;

/// Windows strictly rise, none is empty or ends in a zero octet: so a set of types has one form.
pub(super) fn check(maps: &[u8]) -> Result<(), Problem> {
    let mut octets = Octets(maps);
    let mut last = None;
    while !octets.is_empty() {
        let window = octets.u8()?;
        let map = octets.counted()?;
        if last.is_some_and(|last| last >= window) {
            return Err(Problem::Rule("windows must rise (RFC 4034 §4.1.2)"));
        }
        if map.is_empty() || map.len() > WINDOW_BYTES_MAX {
            return Err(Problem::Rule("a window has 1 to 32 octets (RFC 4034 §4.1.2)"));
        }
        if map.last() == Some(&0) {
            return Err(Problem::Rule("a window must not end in zero octets (RFC 4034 §4.1.2)"));
        }
        last = Some(window);
    }
    Ok(())
}

/// Reads mnemonics in any order.
pub(super) fn parse(tokens: &[Token<'_>], out: &mut Vec<u8>) -> Result<(), Problem> {
    let mut windows: BTreeMap<u8, heapless::Vec<u8, WINDOW_BYTES_MAX>> = BTreeMap::new();
    for token in tokens {
        let text = String::from_utf8_lossy(token.text);
        let [window, low] = text.parse::<Rtype>().map_err(Problem::Type)?.0.to_be_bytes();
        let map = windows.entry(window).or_default();
        let at = usize::from(low / 8);
        if map.len() <= at {
            // `at` is 31 at most, and so within the capacity.
            map.resize(at + 1, 0).map_err(|_| Problem::TooLong)?;
        }
        if let Some(octet) = map.get_mut(at) {
            *octet |= 0x80 >> (low % 8);
        }
    }
    for (window, map) in &windows {
        out.push(*window);
        out.extend(u8::try_from(map.len()));
        out.extend_from_slice(map);
    }
    Ok(())
}

/// Writes the mnemonics, rising, parted by spaces.
pub(super) fn write(maps: &[u8], out: &mut String) -> fmt::Result {
    let mut octets = Octets(maps);
    let mut separator = "";
    while !octets.is_empty() {
        let window = octets.u8().map_err(|_| fmt::Error)?;
        let map = octets.counted().map_err(|_| fmt::Error)?;
        for (at, octet) in (0_u8..).zip(map) {
            for bit in (0..8).filter(|bit| octet & (0x80 >> bit) != 0) {
                let low = at.checked_mul(8).ok_or(fmt::Error)? + bit;
                write!(out, "{separator}{}", Rtype(u16::from_be_bytes([window, low])))?;
                separator = " ";
            }
        }
    }
    Ok(())
}
