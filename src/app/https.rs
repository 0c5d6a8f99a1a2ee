//! The API over TLS: a listener of its own beside those of the Corefile, from the start to the end.

use std::convert::Infallible;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;

use smol::channel::Sender;
use smol::{LocalExecutor, Task};

use super::Error;
use crate::config::Https;
use crate::http;
use crate::http::tls::Tls;

/// A listener for HTTPS.
pub(super) struct HttpsServer {
    /// The real port.
    pub(super) address: SocketAddr,
    /// Dropped, it ends.
    stop: Sender<Infallible>,
    task: Task<io::Result<()>>,
    /// Looks after the certificate.
    _fresh: Task<Infallible>,
}

impl HttpsServer {
    /// Reads the certificate, binds the socket and serves.
    ///
    /// # Errors
    /// The files are no certificate and its key, or the address cannot be had.
    pub(super) fn start(
        https: &Https,
        executor: &Rc<LocalExecutor<'static>>,
        settings: http::Settings,
        handler: http::Handler,
    ) -> Result<Self, Error> {
        let tls = Tls::load(&https.cert, &https.key)?;
        let failed = |source| Error::Https { address: https.address, source };
        let socket = TcpListener::bind(https.address).map_err(failed)?;
        let address = socket.local_addr().map_err(failed)?;
        let (stop, stopped) = smol::channel::bounded(1);
        let _fresh = executor.spawn(tls.clone().keep_fresh());
        let served =
            http::serve(socket, Rc::clone(executor), settings, handler, stopped, Some(tls));
        Ok(Self { address, stop, task: executor.spawn(served), _fresh })
    }

    /// Accepts nobody any more; done when the requests in flight are.
    pub(super) async fn end(self) {
        let Self { stop, task, .. } = self;
        drop(stop);
        if let Err(error) = task.await {
            log::error!("HTTPS ended; error={error}");
        }
    }
}
