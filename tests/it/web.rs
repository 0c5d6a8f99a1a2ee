//! HTTPS, and what the settings do to requests, through real sockets.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::json;

use crate::harness::client::PATIENCE;
use crate::harness::http::Http;
use crate::harness::rest::{Rest, SIGN_IN};
use crate::harness::server::{EMAIL, Home, PASSWORD};

const CERT: &str = include_str!("../data/tls/a.cert");
const KEY: &str = include_str!("../data/tls/a.key");

#[test]
fn the_api_answers_over_https_and_over_http() {
    let home = Home::with_superuser("https");
    let (cert, key) = (home.dir.write("cert.pem", CERT), home.dir.write("key.pem", KEY));
    let paths = [&cert, &key].map(|path| path.to_str().expect("temporary paths are text"));
    let server = home.serve_with(&[
        "--dns",
        "127.0.0.1:0",
        "--https",
        "127.0.0.1:0",
        "--cert",
        paths[0],
        "--key",
        paths[1],
    ]);
    let https = server.https.expect("it says where it listens");

    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(CERT.as_bytes()).expect("a certificate"))
        .expect("one");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring knows them")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").expect("a name");
    let connection = ClientConnection::new(Arc::new(config), name).expect("a sound configuration");
    let stream = TcpStream::connect(https).expect("the server listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a time-out");
    let mut stream = StreamOwned::new(connection, stream);
    let body = json!({"identity": EMAIL, "password": PASSWORD}).to_string();
    let request = format!(
        "POST {SIGN_IN} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).expect("it takes requests");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers and says goodbye");
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(answer.contains(r#""token":""#), "{answer}");

    Rest::sign_in(server.http).get("/api/settings").expect(200);
    assert!(server.stop().success());
}

#[test]
fn a_certificate_that_cannot_be_used_is_told_at_the_start() {
    let home = Home::new("https-bad");
    let (cert, key) = (home.dir.write("cert.pem", "nothing"), home.dir.write("key.pem", KEY));
    let paths = [&cert, &key].map(|path| path.to_str().expect("temporary paths are text"));
    let said =
        home.cli(&["serve", "--https", "127.0.0.1:0", "--cert", paths[0], "--key", paths[1]]);
    let line = said.expect_refusal();
    assert!(line.contains("cert.pem holds no certificate in PEM form"), "{line}");
}

#[test]
fn a_client_over_its_limit_hears_429_until_the_server_is_told_otherwise() {
    let home = Home::with_superuser("rates");
    let server = home.serve();
    let mut rest = Rest::sign_in(server.http);
    let rules = json!([{"label": "/api/health", "duration": 1000, "maxRequests": 3}]);
    let limits = json!({"rateLimits": {"enabled": true, "rules": rules}});
    rest.call("PATCH", "/api/settings", Some(&limits)).expect(200);
    let mut guest = Http::connect(server.http);
    let statuses: Vec<u16> =
        (0..5).map(|_| guest.request("GET", "/api/health", &[], None).status).collect();
    assert_eq!(statuses, [200, 200, 200, 429, 429]);
    rest.get("/api/health").expect(200);
    assert!(server.stop().success());

    // The settings last, what was counted does not; and the refusals are in the log.
    let server = home.serve();
    let mut guest = Http::connect(server.http);
    guest.request("GET", "/api/health", &[], None).expect(200);
    let mut rest = Rest::sign_in(server.http);
    let logged = rest.get("/api/logs?filter=data.status=429&sort=created").expect(200);
    assert_eq!(logged["totalItems"], 2, "{logged}");
    assert_eq!(logged["items"][0]["message"], "GET /api/health");
    let off = json!({"rateLimits": {"enabled": false}});
    rest.call("PATCH", "/api/settings", Some(&off)).expect(200);
    for _ in 0..9 {
        guest.request("GET", "/api/health", &[], None).expect(200);
    }
}
