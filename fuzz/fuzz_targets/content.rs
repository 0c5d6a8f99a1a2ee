//! Any text that is given as the content of a record is refused or becomes rdata that keep the
//! rules of their type; those rdata become a content that decodes to the very same octets.
//!
//! The first word of the input is the type, the rest is the content.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pocketdns::rr::codec::{content_from_rdata, rdata_from_content};
use pocketdns::wire::rdata::check;
use pocketdns::wire::{Name, Rtype};

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Some((rtype, content)) = text.split_once(' ') else { return };
    let Ok(rtype) = rtype.parse::<Rtype>() else { return };
    let zone = Name::parse_absolute("example.com").expect("a name");
    let Ok(rdata) = rdata_from_content(rtype, content, &zone) else { return };
    assert_eq!(check(rtype, &rdata), Ok(()));
    let content = content_from_rdata(rtype, &rdata);
    let again = rdata_from_content(rtype, &content, &zone);
    assert_eq!(again.as_deref().ok(), Some(&rdata[..]), "{rtype} {content}");
});
