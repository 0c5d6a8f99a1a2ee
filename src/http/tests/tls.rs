//! The room over TLS, asked by rustls's own client.

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::*;
use crate::http::tls::{Tls, TlsError};

/// Certificates for `localhost` that sign themselves, with their keys.
const PAIRS: [(&str, &str); 3] = [
    (include_str!("../../../tests/data/tls/a.cert"), include_str!("../../../tests/data/tls/a.key")),
    (include_str!("../../../tests/data/tls/b.cert"), include_str!("../../../tests/data/tls/b.key")),
    (include_str!("../../../tests/data/tls/c.cert"), include_str!("../../../tests/data/tls/c.key")),
];

fn cert(at: usize) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(PAIRS[at].0.as_bytes()).unwrap()
}

/// Files with a certificate and a key.
struct Pair {
    dir: PathBuf,
}

impl Pair {
    fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("pocketdns-tls-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let pair = Self { dir };
        pair.write(0, 0);
        pair
    }

    fn write(&self, cert: usize, key: usize) {
        // As a renewal does it: another file under the name.
        for (path, text) in [(self.cert_file(), PAIRS[cert].0), (self.key_file(), PAIRS[key].1)] {
            let new = path.with_extension("new");
            std::fs::write(&new, text).unwrap();
            std::fs::rename(new, path).unwrap();
        }
    }

    fn cert_file(&self) -> PathBuf {
        self.dir.join("cert.pem")
    }

    fn key_file(&self) -> PathBuf {
        self.dir.join("key.pem")
    }

    fn tls(&self) -> Tls {
        Tls::load(&self.cert_file(), &self.key_file()).unwrap()
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// A connection of a client that trusts nothing but `cert`.
fn connect_tls(
    address: SocketAddr,
    cert: &CertificateDer<'static>,
) -> StreamOwned<ClientConnection, TcpStream> {
    let mut roots = RootCertStore::empty();
    roots.add(cert.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    let connection = ClientConnection::new(Arc::new(config), name).unwrap();
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(HANG)).unwrap();
    StreamOwned::new(connection, stream)
}

/// What comes until the server closes.
fn exchange_tls(
    address: SocketAddr,
    cert: &CertificateDer<'static>,
    request: &[u8],
) -> std::io::Result<Vec<u8>> {
    let mut stream = connect_tls(address, cert);
    stream.write_all(request)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(answer)
}

/// Runs `client` on a thread of its own against a server with the pair's certificate.
fn with_tls<T: Send + 'static>(
    tls: Tls,
    settings: Settings,
    client: impl FnOnce(SocketAddr) -> T + Send + 'static,
) -> T {
    with_server_on(settings, Some(tls), async |address| {
        smol::unblock(move || client(address)).await
    })
}

const GET: &[u8] = b"GET /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";

#[test]
fn requests_are_answered_over_tls() {
    let pair = Pair::new("answer");
    let cert = cert(0);
    with_tls(pair.tls(), settings(), move |address| {
        let mut stream = connect_tls(address, &cert);
        for at in 0..3 {
            let body = "x".repeat(900 + at);
            let length = body.len();
            let head =
                format!("POST /{at} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n");
            stream.write_all(head.as_bytes()).unwrap();
            stream.write_all(body.as_bytes()).unwrap();
            let expected = format!("Post /{at} {body}");
            let mut answer = Vec::new();
            while !answer.ends_with(expected.as_bytes()) {
                let mut chunk = [0; 1000];
                let count = stream.read(&mut chunk).unwrap();
                assert_ne!(count, 0, "{}", String::from_utf8_lossy(&answer));
                answer.extend_from_slice(&chunk[..count]);
            }
        }
        assert_eq!(stream.conn.protocol_version(), Some(rustls::ProtocolVersion::TLSv1_3));
        drop(stream);
        let big = b"GET /big HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        let answer = exchange_tls(address, &cert, big).unwrap();
        assert!(answer.len() > 16 << 20 && answer.ends_with(b"xxx"), "{}", answer.len());
    });
}

#[test]
fn whoever_does_not_shake_hands_is_cut_in_time() {
    let pair = Pair::new("silent");
    let cert = cert(0);
    with_tls(pair.tls(), settings(), move |address| {
        let begun = Instant::now();
        for said in [&b""[..], &GET[..9], &[22, 3, 1, 2, 0, 1][..]] {
            let mut stream = TcpStream::connect(address).unwrap();
            stream.write_all(said).unwrap();
            stream.set_read_timeout(Some(HANG)).unwrap();
            let mut answer = Vec::new();
            // A reset ends it as well.
            let _ended = stream.read_to_end(&mut answer);
            assert!(!answer.starts_with(b"HTTP"), "nothing is told in plain text");
        }
        assert!(begun.elapsed() < HANG / 2, "{:?}", begun.elapsed());
        assert!(exchange_tls(address, &cert, GET).unwrap().ends_with(b"Get /a "));
    });
}

#[test]
fn a_changed_certificate_is_taken_and_a_broken_one_is_not() {
    let pair = Pair::new("renew");
    let (tls, mut told) = (pair.tls(), None);
    let mut renew = || {
        smol::block_on(tls.renew(&mut told));
        told
    };
    let is_served = |at: usize| {
        let answer =
            with_tls(tls.clone(), settings(), move |address| exchange_tls(address, &cert(at), GET));
        answer.is_ok_and(|answer| answer.ends_with(b"Get /a "))
    };
    assert!(renew().is_none() && is_served(0));
    pair.write(1, 1);
    assert!(renew().is_none() && is_served(1) && !is_served(0));
    // One file of two, as in the middle of a renewal.
    pair.write(2, 1);
    assert!(renew().is_some() && is_served(1));
    std::fs::remove_file(pair.cert_file()).unwrap();
    assert!(renew() == Some(None) && is_served(1));
    pair.write(2, 2);
    assert!(renew().is_none() && is_served(2));
}

#[test]
fn files_that_are_no_pair_are_named() {
    let pair = Pair::new("named");
    let load = |cert: &Path, key: &Path| Tls::load(cert, key).err().unwrap().to_string();
    let (cert, key) = (pair.cert_file(), pair.key_file());
    assert!(load(&pair.dir.join("nope"), &key).contains("nope: make it readable"));
    assert!(load(&key, &key).contains("key.pem holds no certificate"));
    assert!(load(&cert, &cert).contains("cert.pem holds no private key"));
    pair.write(0, 1);
    let mixed = Tls::load(&cert, &key).err().unwrap();
    assert!(matches!(mixed, TlsError::Pair { .. }), "{mixed}");
}
