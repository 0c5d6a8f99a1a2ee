//! Any octets that lie there as `data.db` of a plain directory are taken over whole or refused, and
//! nothing is left of what was refused. What was taken over comes out again.
#![no_main]

use std::fs;
use std::path::PathBuf;

use libfuzzer_sys::{Corpus, fuzz_target};
use pocketdns::moving::{Progress, export, import};
use pocketdns::store::KeySource;

/// Larger ones test SQLite's speed.
const DATABASE_BYTES_MAX: usize = 256 * 1024;

fuzz_target!(|data: &[u8]| -> Corpus {
    if data.len() > DATABASE_BYTES_MAX {
        return Corpus::Reject;
    }
    // Memory: what is synced to a disk would be all that is measured.
    let home = PathBuf::from(format!("/dev/shm/pocketdns-fuzz-{}", std::process::id()));
    let (source, dir, out) = (home.join("source"), home.join("data"), home.join("out"));
    fs::remove_dir_all(&home).ok();
    fs::create_dir_all(&source).expect("there is room in memory");
    fs::write(source.join("data.db"), data).expect("there is room in memory");

    let key = KeySource::Beside;
    let is_taken = import(&source, &dir, &key, None, &mut Progress::new("import")).is_ok();
    let left: Vec<_> = fs::read_dir(&home)
        .expect("it is there")
        .map(|entry| entry.expect("it is there").file_name())
        .collect();
    if is_taken {
        assert_eq!(left.len(), 3, "the source, the directory, its key: {left:?}");
        export(&dir, &out, &key, &mut Progress::new("export")).expect("what came in goes out");
    } else {
        assert_eq!(left, ["source"]);
    }
    fs::remove_dir_all(&home).ok();
    Corpus::Keep
});
