//! Any octets read as a master file without a panic, and the records found print as a zone that
//! reads back to the very same records, without an error.
#![no_main]

use std::io::{self, BufRead};

use libfuzzer_sys::fuzz_target;
use pocketdns::masterfile::{parse, print};
use pocketdns::wire::rdata::check;
use pocketdns::wire::{Name, Rr};

/// `$GENERATE` and includes make many records of few octets; the first ones tell enough.
const RECORDS_MAX: usize = 1_000;

fn sort(records: &mut [Rr]) {
    records.sort_by(|a, b| {
        let key = |rr: &Rr| (rr.owner.as_wire().to_vec(), rr.rtype, rr.ttl);
        key(a).cmp(&key(b)).then_with(|| a.rdata.cmp(&b.rdata))
    });
}

fuzz_target!(|data: &[u8]| {
    let apex = Name::parse_absolute("example.").expect("a name");
    // An include is the part of the file after its name.
    let open = |path: &str, _: &str| -> io::Result<Box<dyn BufRead + '_>> {
        let at = data.windows(path.len().max(1)).position(|window| window == path.as_bytes());
        let tail = at.and_then(|at| data.get(at + path.len()..)).ok_or(io::ErrorKind::NotFound)?;
        Ok(Box::new(tail))
    };
    let mut records: Vec<Rr> = parse("fuzz", data, Some(&apex))
        .with_includes(open)
        .take(RECORDS_MAX)
        .filter_map(|entry| match entry {
            Ok(entry) => Some(entry.rr),
            Err(error) => {
                assert!(!error.to_string().is_empty());
                None
            }
        })
        .collect();
    for rr in &records {
        assert!(check(rr.rtype, &rr.rdata).is_ok() && rr.ttl <= i32::MAX.cast_unsigned());
    }
    let mut text = Vec::new();
    print(&apex, &records, &mut text).expect("a vector takes everything");
    let mut again: Vec<Rr> = parse("printed", &text[..], None)
        .map(|entry| entry.expect("a printed zone is right").rr)
        .collect();
    sort(&mut records);
    sort(&mut again);
    assert_eq!(again.len(), records.len());
    for (again, rr) in again.iter().zip(&records) {
        // Equality of names ignores case; here case must have been kept.
        assert_eq!(again.owner.as_wire(), rr.owner.as_wire());
        assert_eq!(again, rr);
    }
});
