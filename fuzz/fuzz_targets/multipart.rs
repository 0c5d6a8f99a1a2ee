//! Any octets mean the same parts however they are cut, and hold no more than they are; a body that
//! is made of parts gives those parts.
//!
//! The first octet says how the body is cut, the first line is the content type's parameters.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pocketdns::http::multipart::{Multipart, MultipartError, Part, Piece};

type Parts = Vec<(Part, Vec<u8>)>;

fn parse(parameters: &str, body: &[u8], step: usize) -> Result<Parts, MultipartError> {
    let mut parts: Parts = Vec::new();
    let mut reader = Multipart::new(&format!("multipart/form-data;{parameters}"))?;
    for piece in body.chunks(step) {
        reader.push(piece, &mut |piece| match piece {
            Piece::Part(part) => parts.push((part, Vec::new())),
            Piece::Data(data) => {
                assert!(!data.is_empty());
                parts.last_mut().expect("a part begins first").1.extend_from_slice(data);
            }
        })?;
    }
    reader.finish()?;
    Ok(parts)
}

fuzz_target!(|data: &[u8]| {
    let Some((step, rest)) = data.split_first() else { return };
    let Some(end) = rest.iter().position(|octet| *octet == b'\n') else { return };
    let (Ok(parameters), body) = (std::str::from_utf8(&rest[..end]), &rest[end + 1..]) else {
        return;
    };
    let whole = parse(parameters, body, body.len().max(1));
    assert_eq!(whole, parse(parameters, body, usize::from(*step).max(1)));
    let held: usize = whole.iter().flatten().map(|(_, data)| data.len()).sum();
    assert!(held <= body.len());

    // The body as the value of a part comes out as it is, unless it holds the boundary.
    if body.windows(8).any(|octets| octets == b"boundary") {
        return;
    }
    let head = b"--boundary\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n".as_slice();
    let made = [head, body, b"\r\n--boundary--"].concat();
    let parts = parse("boundary=boundary", &made, usize::from(*step).max(1)).expect("well made");
    assert_eq!((parts.len(), parts[0].0.name.as_str(), &*parts[0].1), (1, "a", body));
});
