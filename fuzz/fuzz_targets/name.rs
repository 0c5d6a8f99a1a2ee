//! A name that parses prints as text that parses to the very same octets (RFC 1035 §5.1), from text
//! as well as from wire; equality, order and ancestry agree with each other.
#![no_main]

use std::cmp::Ordering;

use libfuzzer_sys::fuzz_target;
use pocketdns::wire::Name;

fuzz_target!(|data: &[u8]| {
    let origin = Name::parse_absolute("Example.com").expect("a name");
    let text = std::str::from_utf8(data);
    let parsed = [
        text.ok().and_then(|text| Name::parse(text, Some(&origin)).ok()),
        text.ok().and_then(|text| Name::parse_absolute(text).ok()),
        text.ok().and_then(|text| Name::parse_owner(text, &origin).ok()),
        Name::from_wire(data).ok(),
    ];
    for name in parsed.into_iter().flatten() {
        let wire = name.as_wire();
        assert!(wire.len() <= 255 && name.labels().all(|label| label.len() <= 63));
        let printed = name.to_string();
        assert!(printed.is_ascii() && printed.ends_with('.'));
        for again in [Name::parse(&printed, None), Name::parse_absolute(&printed)] {
            assert_eq!(again.expect("its own text is right").as_wire(), wire, "{printed}");
        }
        assert_eq!(Name::from_wire(wire).expect("its own octets are right").as_wire(), wire);
        let lower = name.to_lower();
        assert_eq!(lower, name);
        assert_eq!(lower.cmp(&name), Ordering::Equal);
        assert_eq!(name == origin, name.cmp(&origin) == Ordering::Equal);
        if let Some(parent) = name.parent() {
            assert!(name.is_within(&parent) && parent < name && !parent.is_within(&name));
            assert_eq!(parent.label_count() + 1, name.label_count());
        }
    }
});
