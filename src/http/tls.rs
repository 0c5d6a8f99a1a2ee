//! TLS under a connection (RFC 8446, and TLS 1.2 for older clients): rustls with ring, its certificate
//! from files, which are read again when they change.
//!
//! rustls does no I/O: [`Transport`] moves its octets, and looks to the rest of the room like the TCP
//! stream it is on. So all time-outs hold that hold without it: what a fresh connection owes within
//! the time for a header includes the handshake.
//!
//! Absent: certificates from an authority (ACME), client certificates, HTTP/2, TLS 1.3's early data.

use std::cell::RefCell;
use std::convert::Infallible;
use std::fs::Metadata;
use std::io::{self, IoSlice, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection};
use smol::{Async, Timer};

use crate::limits::{HTTP_BUFFER_BYTES_MAX, TLS_LOOK_SECS};

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read {}: make it readable for this user", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A file has not in it what it should.
    #[error("{} holds no {expected} in PEM form", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What it should hold.
        expected: &'static str,
    },
    /// The two do not make a pair, or are of a kind that rustls does not know.
    #[error("the certificate {} and the key {} cannot be used together", cert.display(), key.display())]
    Pair {
        /// The certificate's file.
        cert: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// Why not.
        #[source]
        source: rustls::Error,
    },
}

/// The certificate that new connections get; clones share it.
#[derive(Clone)]
pub struct Tls(Rc<Inner>);

struct Inner {
    cert: PathBuf,
    key: PathBuf,
    current: RefCell<Loaded>,
}

/// A pair that was read, and what the files looked like before.
struct Loaded {
    config: Arc<ServerConfig>,
    seen: Seen,
}

/// What tells a changed file without reading it: device, inode, size, time of change.
pub(super) type Seen = [(u64, u64, u64, i64, i64); 2];

impl Tls {
    /// Reads a certificate with those that lead to its authority, and its key. Blocks.
    ///
    /// # Errors
    /// See [`TlsError`].
    pub fn load(cert: &Path, key: &Path) -> Result<Self, TlsError> {
        let current = RefCell::new(load(cert, key)?);
        Ok(Self(Rc::new(Inner { cert: cert.to_owned(), key: key.to_owned(), current })))
    }

    /// Looks now and then whether the files have changed, and takes what is in them then. A pair
    /// that cannot be used is told once, and the old one stays: a renewal may have written one file
    /// of the two.
    pub async fn keep_fresh(self) -> Infallible {
        let mut told = None;
        loop {
            Timer::after(Duration::from_secs(TLS_LOOK_SECS)).await;
            self.renew(&mut told).await;
        }
    }

    /// One look. `told` is what the last complaint was about: the files as they were, or that there
    /// were none.
    pub(super) async fn renew(&self, told: &mut Option<Option<Seen>>) {
        let Self(inner) = self;
        let (cert, key, last) = (inner.cert.clone(), inner.key.clone(), *told);
        let known = inner.current.borrow().seen;
        let found = smol::unblock(move || {
            let seen = look(&cert, &key).map_err(|error| (None, Box::new(error)))?;
            if seen == known || last == Some(Some(seen)) {
                return Ok(None);
            }
            load(&cert, &key).map(Some).map_err(|error| (Some(seen), Box::new(error)))
        });
        match found.await {
            Ok(None) => {}
            Ok(Some(loaded)) => {
                log::info!("the certificate was read again cert={}", inner.cert.display());
                *inner.current.borrow_mut() = loaded;
                *told = None;
            }
            Err((seen, error)) => {
                if *told != Some(seen) {
                    log::warn!("the old certificate stays in use error={error}");
                }
                *told = Some(seen);
            }
        }
    }

    /// The server's side of a new connection.
    fn accept(&self) -> Result<Box<ServerConnection>, rustls::Error> {
        let config = Arc::clone(&self.0.current.borrow().config);
        let mut connection = Box::new(ServerConnection::new(config)?);
        connection.set_buffer_limit(Some(HTTP_BUFFER_BYTES_MAX));
        Ok(connection)
    }
}

fn look(cert: &Path, key: &Path) -> Result<Seen, TlsError> {
    let seen = |path: &Path| -> Result<_, TlsError> {
        let file: Metadata = std::fs::metadata(path)
            .map_err(|source| TlsError::File { path: path.to_owned(), source })?;
        Ok((file.dev(), file.ino(), file.size(), file.mtime(), file.mtime_nsec()))
    };
    Ok([seen(cert)?, seen(key)?])
}

fn load(cert: &Path, key: &Path) -> Result<Loaded, TlsError> {
    // Before they are read: what changes in between is found the next time.
    let seen = look(cert, key)?;
    let read = |path: &Path| {
        std::fs::read(path).map_err(|source| TlsError::File { path: path.to_owned(), source })
    };
    let no = |path: &Path, expected| TlsError::Content { path: path.to_owned(), expected };
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&read(cert)?)
        .collect::<Result<_, _>>()
        .map_err(|_| no(cert, "certificate"))?;
    if chain.is_empty() {
        return Err(no(cert, "certificate"));
    }
    let secret = zeroize::Zeroizing::new(read(key)?);
    let secret = PrivateKeyDer::from_pem_slice(&secret).map_err(|_| no(key, "private key"))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, secret));
    let mut config = config.map_err(|source| TlsError::Pair {
        cert: cert.to_owned(),
        key: key.to_owned(),
        source,
    })?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Loaded { config: Arc::new(config), seen })
}

/// A TCP stream, or TLS on one. Its operations never wait: they say `WouldBlock`.
pub(super) struct Transport {
    tcp: Async<TcpStream>,
    tls: Option<Box<ServerConnection>>,
}

impl Transport {
    /// With `tls` the client has to shake hands first.
    pub(super) fn new(tcp: Async<TcpStream>, tls: Option<&Tls>) -> io::Result<Self> {
        let tls = tls.map(Tls::accept).transpose().map_err(io::Error::other)?;
        Ok(Self { tcp, tls })
    }

    /// The stream below, to wait for it.
    pub(super) fn tcp(&self) -> &Async<TcpStream> {
        &self.tcp
    }

    /// Does a read that leaves room mean that the kernel has no more?
    pub(super) fn is_plain(&self) -> bool {
        self.tls.is_none()
    }

    /// Reads what the client says; 0 at the end.
    pub(super) fn read(&mut self, space: &mut [u8]) -> io::Result<usize> {
        let Some(tls) = &mut self.tls else { return self.tcp.get_ref().read(space) };
        loop {
            match tls.reader().read(space) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // A client that goes without its goodbye: HTTP tells by itself what is whole.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(0),
                read => return read,
            }
            if tls.read_tls(&mut self.tcp.get_ref())? == 0 {
                return Ok(0);
            }
            let processed = tls.process_new_packets();
            // The handshake's next step, or what was wrong with theirs.
            push(tls, &self.tcp)?;
            processed.map_err(io::Error::other)?;
        }
    }

    /// Writes some of `slices`.
    pub(super) fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let Some(tls) = &mut self.tls else { return self.tcp.get_ref().write_vectored(slices) };
        if !push(tls, &self.tcp)? {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let taken = tls.writer().write_vectored(slices)?;
        push(tls, &self.tcp)?;
        Ok(taken)
    }

    /// Hands on what was written; `false` when the kernel takes no more for now.
    pub(super) fn flush(&mut self) -> io::Result<bool> {
        self.tls.as_mut().map_or(Ok(true), |tls| push(tls, &self.tcp))
    }

    /// Says goodbye, as far as that takes no waiting, and closes our half. A client that has gone
    /// already makes this fail, which is as good.
    pub(super) fn shutdown(&mut self) {
        if let Some(tls) = &mut self.tls {
            tls.send_close_notify();
            let _gone = push(tls, &self.tcp);
        }
        let _gone = self.tcp.get_ref().shutdown(Shutdown::Write);
    }
}

/// Hands the kernel what rustls has for it; `false` when it takes no more for now.
fn push(tls: &mut ServerConnection, tcp: &Async<TcpStream>) -> io::Result<bool> {
    while tls.wants_write() {
        match tls.write_tls(&mut tcp.get_ref()) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}
