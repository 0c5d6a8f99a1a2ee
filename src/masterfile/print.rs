//! A zone as a master file.

use std::io::{self, Write};

use crate::wire::rdata::write_text;
use crate::wire::{Name, Rr, Rtype};

/// Writes the records of a zone, one on a line, every name absolute: the SOA of `apex` first, then
/// in canonical order of their owners (RFC 4034 §6.1), types and rdata. [`parse`](super::parse())
/// gives the same records again.
///
/// # Errors
/// Those of `out`.
pub fn print<'r>(
    apex: &Name,
    records: impl IntoIterator<Item = &'r Rr>,
    out: &mut impl Write,
) -> io::Result<()> {
    let mut records: Vec<&Rr> = records.into_iter().collect();
    records.sort_by_cached_key(|rr| {
        let is_first = rr.rtype == Rtype::SOA && rr.owner == *apex;
        (!is_first, canonical_key(&rr.owner), rr.rtype, &rr.rdata)
    });
    let mut line = String::new();
    for rr in records {
        line.clear();
        write_text(rr.rtype, &rr.rdata, &mut line);
        writeln!(out, "{}\t{}\tIN\t{}\t{line}", rr.owner, rr.ttl, rr.rtype)?;
    }
    Ok(())
}

/// Octets that order as the names do: labels from the right, lower-cased, each with an end that
/// comes before every octet of a longer label. So a zero octet within a label is written as two.
fn canonical_key(name: &Name) -> Box<[u8]> {
    let labels: Vec<&[u8]> = name.labels().collect();
    let mut key = Vec::with_capacity(name.as_wire().len());
    for label in labels.iter().rev() {
        for octet in label.iter().map(u8::to_ascii_lowercase) {
            match octet {
                0 | 1 => key.extend([1, octet]),
                other => key.push(other),
            }
        }
        key.push(0);
    }
    key.into_boxed_slice()
}

#[cfg(test)]
mod tests {
    use super::{canonical_key, print};
    use crate::masterfile::parse;
    use crate::wire::{Name, Rr, Rtype};

    fn name(text: &str) -> Name {
        Name::parse_absolute(text).unwrap()
    }

    #[test]
    fn keys_order_as_names_do() {
        let names = [
            ".",
            "example.",
            "a.example.",
            r"\000.example.",
            r"\001.example.",
            r"\002.example.",
            r"\000a.example.",
            "a0.example.",
            "Z.a.example.",
            "*.example.",
            r"\200.example.",
            "b.",
            r"a\000.example.",
            r"a\001.example.",
            "x.a.example.",
            r"x.a\000.example.",
        ];
        for a in names {
            for b in names {
                let by_key = canonical_key(&name(a)).cmp(&canonical_key(&name(b)));
                assert_eq!(by_key, name(a).cmp(&name(b)), "{a} {b}");
            }
        }
    }

    #[test]
    fn a_printed_zone_has_its_soa_first_and_reads_back_the_same() {
        let text = "$ORIGIN example.\n$TTL 300\n\
            z TXT \"a\\\"b\\\\\" \"\\000;\"\n\
            *.w 60 A 192.0.2.2\n* A 192.0.2.1\n\
            @ NS ns\n@ SOA ns host\\.master 5 1h 15m 4w 300\n\
            b.a SVCB 1 . alpn=\"f\\\\\\\\oo\\\\,bar\" port=53\n\
            a TYPE65400 \\# 2 beef\nA A 192.0.2.9\nNS AAAA ::1\n";
        let parse_all = |text: &str| -> Vec<Rr> {
            parse("zone", text.as_bytes(), None).map(|entry| entry.unwrap().rr).collect()
        };
        let mut records = parse_all(text);
        let mut printed = Vec::new();
        print(&name("example."), &records, &mut printed).unwrap();
        let printed = String::from_utf8(printed).unwrap();
        assert_eq!(
            printed,
            "example.\t300\tIN\tSOA\tns.example. host\\.master.example. 5 3600 900 2419200 300\n\
             example.\t300\tIN\tNS\tns.example.\n\
             *.example.\t300\tIN\tA\t192.0.2.1\n\
             A.example.\t300\tIN\tA\t192.0.2.9\n\
             a.example.\t300\tIN\tTYPE65400\t\\# 2 BEEF\n\
             b.a.example.\t300\tIN\tSVCB\t1 . alpn=\"f\\\\\\\\oo\\\\,bar\" port=53\n\
             NS.example.\t300\tIN\tAAAA\t::1\n\
             *.w.example.\t60\tIN\tA\t192.0.2.2\n\
             z.example.\t300\tIN\tTXT\t\"a\\\"b\\\\\" \"\\000;\"\n"
        );
        let mut again = parse_all(&printed);
        let key = |rr: &Rr| (rr.owner.to_string(), rr.rtype, rr.rdata.clone());
        again.sort_by_key(key);
        records.sort_by_key(key);
        assert_eq!(again, records);
        assert!(records.iter().any(|rr| rr.rtype == Rtype(65_400)));
    }
}
