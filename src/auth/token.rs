//! The tokens that clients carry: JWTs (RFC 7519) signed with HS256, with PocketBase's claims.
//!
//! A token is signed with the record's own key and its collection's secret, so it has to be read
//! ([`peek`]) to learn whose key to check it with ([`is_signed_by`]). Nothing is believed before
//! that. Only HS256 is accepted, whatever the header says (RFC 8725 §3.1).

use data_encoding::BASE64URL_NOPAD;
use ring::hmac;
use serde::Deserialize;

/// The type of a token that signs requests.
pub const AUTH: &str = "auth";
/// The type of a token that stands in the address of a file: short-lived, good for nothing else.
pub const FILE: &str = "file";

/// `{"alg":"HS256","typ":"JWT"}`.
const HEADER: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9";

/// What a token says of its owner.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Claims {
    /// The record's id.
    pub id: String,
    /// The id of its collection.
    #[serde(rename = "collectionId")]
    pub collection_id: String,
    /// What the token is good for, [`AUTH`] above all.
    #[serde(rename = "type")]
    pub kind: String,
    /// Unix time from which on it is worth nothing.
    #[serde(rename = "exp", deserialize_with = "numeric_date")]
    pub expires_secs: u64,
    /// Whether a new token may be had for it; a token of another type than [`AUTH`] does not say.
    #[serde(default)]
    pub refreshable: Option<bool>,
}

/// A NumericDate (RFC 7519 §2) may have a fraction; before 1970 it is 0.
fn numeric_date<'de, D: serde::Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    let number = f64::deserialize(from)?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "`as` saturates, and a time that far away is as good as any"
    )]
    Ok(number.ceil() as u64)
}

/// The signed token with these claims, its keys sorted as PocketBase's are.
#[must_use]
pub fn sign(claims: &Claims, key: &[u8]) -> String {
    let mut payload = serde_json::json!({
        "collectionId": claims.collection_id,
        "exp": claims.expires_secs,
        "id": claims.id,
    });
    if let Some(refreshable) = claims.refreshable {
        payload["refreshable"] = refreshable.into();
    }
    payload["type"] = claims.kind.as_str().into();
    let mut token = format!("{HEADER}.{}", BASE64URL_NOPAD.encode(payload.to_string().as_bytes()));
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), token.as_bytes());
    token.push('.');
    token.push_str(&BASE64URL_NOPAD.encode(tag.as_ref()));
    token
}

/// What a token claims, not yet proven. `None` when it is no JWT, is not signed with HS256, or
/// lacks a claim.
#[must_use]
pub fn peek(token: &str) -> Option<Claims> {
    #[derive(Deserialize)]
    struct Header {
        alg: String,
    }
    let mut parts = token.split('.');
    let (header, payload, _tag) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    let header = BASE64URL_NOPAD.decode(header.as_bytes()).ok()?;
    if serde_json::from_slice::<Header>(&header).ok()?.alg != "HS256" {
        return None;
    }
    let payload = BASE64URL_NOPAD.decode(payload.as_bytes()).ok()?;
    let claims: Claims = serde_json::from_slice(&payload).ok()?;
    (!claims.id.is_empty() && !claims.collection_id.is_empty()).then_some(claims)
}

/// Was the token signed with this key? Takes the same time whatever its tag is.
#[must_use]
pub fn is_signed_by(token: &str, key: &[u8]) -> bool {
    let Some((message, tag)) = token.rsplit_once('.') else { return false };
    let Ok(tag) = BASE64URL_NOPAD.decode(tag.as_bytes()) else { return false };
    hmac::verify(&hmac::Key::new(hmac::HMAC_SHA256, key), message.as_bytes(), &tag).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &[u8] = b"key";

    fn claims() -> Claims {
        Claims {
            id: "abc".into(),
            collection_id: "pbc_1".into(),
            kind: AUTH.into(),
            expires_secs: 2_524_604_461,
            refreshable: Some(true),
        }
    }

    fn forged(header: &str, payload: &str) -> String {
        let encode = |text: &str| BASE64URL_NOPAD.encode(text.as_bytes());
        format!("{}.{}.{}", encode(header), encode(payload), encode(""))
    }

    #[test]
    fn a_signed_token_is_read_and_proven() {
        let token = sign(&claims(), KEY);
        assert_eq!(peek(&token), Some(claims()));
        assert!(is_signed_by(&token, KEY));
    }

    #[test]
    fn the_payload_is_written_as_pocketbase_writes_it() {
        let token = sign(&claims(), KEY);
        let payload = token.split('.').nth(1).unwrap();
        assert_eq!(
            String::from_utf8(BASE64URL_NOPAD.decode(payload.as_bytes()).unwrap()).unwrap(),
            r#"{"collectionId":"pbc_1","exp":2524604461,"id":"abc","refreshable":true,"type":"auth"}"#
        );
    }

    #[test]
    fn a_token_for_files_says_nothing_of_being_refreshed() {
        let token = sign(&Claims { kind: FILE.into(), refreshable: None, ..claims() }, KEY);
        let payload = BASE64URL_NOPAD.decode(token.split('.').nth(1).unwrap().as_bytes()).unwrap();
        assert!(!String::from_utf8(payload).unwrap().contains("refreshable"));
        assert_eq!(peek(&token).unwrap().kind, FILE);
    }

    #[test]
    fn another_key_and_every_flipped_octet_are_found() {
        let token = sign(&claims(), KEY);
        assert!(!is_signed_by(&token, b"other"));
        for at in 0..token.len() {
            let mut changed = token.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert!(changed == token || !is_signed_by(&changed, KEY), "octet {at}");
        }
    }

    #[test]
    fn a_token_for_another_algorithm_or_without_a_claim_is_not_read() {
        let payload = r#"{"collectionId":"c","exp":1,"id":"a","type":"auth"}"#;
        assert!(peek(&forged(r#"{"alg":"HS256"}"#, payload)).is_some());
        assert_eq!(peek(&forged(r#"{"alg":"none"}"#, payload)), None);
        assert_eq!(peek(&forged(r#"{"alg":"HS512"}"#, payload)), None);
        for lacking in [
            r#"{"collectionId":"c","exp":1,"id":"","type":"auth"}"#,
            r#"{"collectionId":"c","id":"a","type":"auth"}"#,
            r#"{"exp":1,"id":"a","type":"auth"}"#,
            r#"{"collectionId":"c","exp":"1","id":"a","type":"auth"}"#,
        ] {
            assert_eq!(peek(&forged(r#"{"alg":"HS256"}"#, lacking)), None, "{lacking}");
        }
        for broken in ["", ".", "..", "...", "a.b.c", "a.b", &sign(&claims(), KEY)[1..]] {
            assert_eq!(peek(broken), None, "{broken}");
            assert!(!is_signed_by(broken, KEY), "{broken}");
        }
    }

    #[test]
    fn an_expiry_with_a_fraction_is_read() {
        let read = |exp: &str| {
            let payload = format!(r#"{{"collectionId":"c","exp":{exp},"id":"a","type":"auth"}}"#);
            peek(&forged(r#"{"alg":"HS256"}"#, &payload)).unwrap().expires_secs
        };
        assert_eq!(read("1.5"), 2);
        assert_eq!(read("-7"), 0);
        assert_eq!(read("1e300"), u64::MAX);
    }
}
