//! One connection: hyper above, a smol socket below, and a deadline for whatever it waits for.
//!
//! ```text
//!            first octet            header whole        handler reads
//!   Idle ------------------> Head -----------------> Work <---------> Body
//!    ^                                                |    body whole
//!    +---------- flushed ---------- Write <- response +
//! ```
//! Each phase but `Work` has a deadline, kept by the socket: when the socket is not ready and the
//! deadline of the phase is over, its operation fails and hyper closes. One lazy timer per
//! connection does it: a deadline that moves back costs nothing until the timer fires, so that a
//! busy connection hardly ever touches the reactor's timers. hyper's own header time-out is off;
//! it would begin anew with each octet's phase and knows nothing of bodies and responses.
//!
//! Reads go through one scratch buffer that all connections share: hyper's cursor can be written
//! from a slice without `unsafe`, and a buffer of our own is neither zeroed per read nor held per
//! connection. A read that does not fill its room leaves nothing in the kernel's buffer, so the
//! next one waits for readiness before it asks again.

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::io::{self, IoSlice};
use std::net::{SocketAddr, TcpStream};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use hyper::body::{Bytes, Frame, Incoming, SizeHint};
use hyper::rt::ReadBufCursor;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use smol::channel::Receiver;
use smol::future::FutureExt as _;
use smol::{Async, Timer};

use super::body::{Body, Budget};
use super::feed::{Feed, Stream};
use super::listener::{Handler, REFUSAL, Settings, unless_stopped};
use super::request::Request;
use super::response::Response;
use super::tls::{Tls, Transport};
use crate::limits::{
    HTTP_BUFFER_BYTES_MAX, HTTP_HEAD_BYTES_MAX, HTTP_HEADERS_MAX, HTTP_LINGER_BYTES_MAX,
    HTTP_LINGER_MILLIS_MAX, HTTP_SCRATCH_BYTES,
};

/// What all connections of a listener have in common.
pub(super) struct Shared {
    handler: Handler,
    settings: Settings,
    http1: http1::Builder,
    budget: Budget,
    scratch: RefCell<Box<[u8]>>,
    tls: Option<Tls>,
}

impl Shared {
    pub(super) fn new(handler: Handler, settings: Settings, tls: Option<Tls>) -> Self {
        let mut http1 = http1::Builder::new();
        http1
            // A client that has said all it wants to may close its half and still get its answer.
            .half_close(true)
            .max_buf_size(HTTP_BUFFER_BYTES_MAX)
            .max_header_size(HTTP_HEAD_BYTES_MAX)
            .max_headers(HTTP_HEADERS_MAX)
            .header_read_timeout(None);
        let budget = Budget::new(settings.bodies_bytes_max);
        let scratch = RefCell::new(vec![0; HTTP_SCRATCH_BYTES].into_boxed_slice());
        Self { handler, settings, http1, budget, scratch, tls }
    }
}

/// Serves a connection until either side ends it, or until `stop` is closed and the request in
/// flight, if any, is answered or out of its grace. A response that is a feed ends it too: it is
/// handed back, and hyper's buffers are gone.
pub(super) async fn run(
    stream: Async<TcpStream>,
    peer: SocketAddr,
    shared: Rc<Shared>,
    stop: &Receiver<Infallible>,
) -> Option<Stream> {
    let watch = Rc::new(Watch::new(shared.settings.clone()));
    let transport = match Transport::new(stream, shared.tls.as_ref()) {
        Ok(transport) => transport,
        Err(error) => {
            log::warn!("cannot begin TLS error={error}");
            return None;
        }
    };
    let socket = Socket::new(transport, Rc::clone(&shared), Rc::clone(&watch));
    let begun = RefCell::new(None);
    let service = service_fn(|request| answer(request, peer, &shared, &watch, &begun));
    let mut connection = shared.http1.serve_connection(socket, service);
    let served = std::future::poll_fn(|cx| {
        let ended = Pin::new(&mut connection).poll(cx);
        if begun.borrow().is_some() { Poll::Ready(None) } else { ended.map(Some) }
    });
    let ended = match unless_stopped(stop, served).await {
        Some(None) => {
            let (response, feed) = begun.take()?;
            return Some(Stream::new(connection.into_parts().io, &response, feed));
        }
        Some(Some(ended)) => Some(ended),
        None => {
            let mut connection = pin!(connection);
            connection.as_mut().graceful_shutdown();
            async { Some(connection.as_mut().await) }
                .or(async {
                    Timer::after(shared.settings.stop_grace).await;
                    None
                })
                .await
        }
    };
    match ended {
        Some(Ok(())) => log::trace!("http connection closed peer={peer}"),
        Some(Err(error)) => {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            log::debug!(
                "http connection ended by an error peer={peer} error={error} cause={}",
                cause.unwrap_or_default()
            );
        }
        None => log::debug!("http connection cut at the stop peer={peer}"),
    }
    None
}

/// A response whose head is not sent yet, and what follows the head.
type Begun = RefCell<Option<(Response, Box<dyn Feed>)>>;

/// One request: the handler, its response. A feed is left in `begun`, and hyper without an answer.
async fn answer(
    request: hyper::Request<Incoming>,
    peer: SocketAddr,
    shared: &Shared,
    watch: &Rc<Watch>,
    begun: &Begun,
) -> Result<hyper::Response<Octets>, Infallible> {
    watch.is_unread.set(false);
    watch.enter(Phase::Work);
    let (parts, incoming) = request.into_parts();
    let body = Body::unread(incoming, watch, &shared.budget);
    let request = Request::from_hyper(parts, body, peer);
    let is_head = request.is_head;
    let mut response = (shared.handler)(request).await;
    if let Some(feed) = response.feed.take()
        && !is_head
    {
        *begun.borrow_mut() = Some((response, feed));
        return std::future::pending().await;
    }
    watch.enter(Phase::Write);
    Ok(into_hyper(response))
}

/// A response as hyper takes it. A header field that HTTP cannot carry is left out.
fn into_hyper(response: Response) -> hyper::Response<Octets> {
    let mut sent = hyper::Response::new(Octets(Some(Bytes::from(response.body))));
    *sent.status_mut() = hyper::StatusCode::from_u16(response.status)
        .unwrap_or(hyper::StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in response.headers {
        let (Ok(name), Ok(value)) = (
            hyper::header::HeaderName::from_bytes(name.as_bytes()),
            hyper::header::HeaderValue::from_str(&value),
        ) else {
            log::debug!("http response field left out name={name}");
            continue;
        };
        sent.headers_mut().append(name, value);
    }
    sent
}

/// A body that is there as a whole, taken in one piece.
struct Octets(Option<Bytes>);

impl hyper::body::Body for Octets {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let octets = self.get_mut().0.take().filter(|octets| !octets.is_empty());
        Poll::Ready(octets.map(|octets| Ok(Frame::data(octets))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(Bytes::is_empty)
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.as_ref().map_or(0, |octets| octets.len() as u64))
    }
}

// ---- the time-outs ------------------------------------------------------------------------

/// What a connection is waiting for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Idle,
    Head,
    Body,
    Work,
    Write,
}

/// The phase of a connection and its deadline; the socket and the service share it.
pub(super) struct Watch {
    settings: Settings,
    phase: Cell<Phase>,
    /// The end of the phase, whatever happens.
    until: Cell<Instant>,
    /// The end of the phase unless an octet moves.
    stalled_at: Cell<Instant>,
    /// A deadline has passed.
    pub(super) is_overdue: Cell<bool>,
    /// The client may still be sending what nobody will read.
    pub(super) is_unread: Cell<bool>,
}

impl Watch {
    fn new(settings: Settings) -> Self {
        let now = Instant::now();
        let watch = Self {
            settings,
            phase: Cell::new(Phase::Head),
            until: Cell::new(now),
            stalled_at: Cell::new(now),
            is_overdue: Cell::new(false),
            is_unread: Cell::new(false),
        };
        // A fresh connection owes its first header.
        watch.enter(Phase::Head);
        watch
    }

    pub(super) fn enter(&self, phase: Phase) {
        let (whole, stall) = match phase {
            Phase::Idle => (self.settings.idle, self.settings.idle),
            Phase::Head => (self.settings.head, self.settings.head),
            Phase::Body => (self.settings.body, self.settings.body_stall),
            Phase::Write => (self.settings.write, self.settings.write_stall),
            Phase::Work => (Duration::ZERO, Duration::ZERO),
        };
        let now = Instant::now();
        self.phase.set(phase);
        self.until.set(now + whole);
        self.stalled_at.set(now + stall);
    }

    /// Octets came from the client.
    fn received(&self) {
        match self.phase.get() {
            Phase::Idle => self.enter(Phase::Head),
            Phase::Body => self.stalled_at.set(Instant::now() + self.settings.body_stall),
            Phase::Head | Phase::Work | Phase::Write => {}
        }
    }

    /// The client took octets.
    fn sent(&self) {
        if self.phase.get() == Phase::Write {
            self.stalled_at.set(Instant::now() + self.settings.write_stall);
        }
    }

    /// All that hyper had to write is with the kernel. A response is handed to hyper in one
    /// piece, so in `Write` that was the whole of it.
    fn flushed(&self) {
        if self.phase.get() == Phase::Write {
            self.enter(Phase::Idle);
        }
    }

    /// When waiting for the socket ends; `None` while the handler works.
    fn deadline(&self) -> Option<Instant> {
        (self.phase.get() != Phase::Work).then(|| self.until.get().min(self.stalled_at.get()))
    }
}

// ---- the socket ---------------------------------------------------------------------------

/// A stream as hyper reads and writes it.
pub(super) struct Socket {
    stream: Transport,
    shared: Rc<Shared>,
    watch: Rc<Watch>,
    timer: Timer,
    /// What the timer is set to: never later than the deadline when we wait.
    timer_at: Option<Instant>,
    /// The last read left nothing behind: ask the reactor before the kernel.
    is_drained: bool,
    /// The request line has not ended yet.
    is_line_open: bool,
    /// Our half is closed, and what still comes is thrown away until this moment.
    linger_until: Option<Instant>,
    lingered_bytes: usize,
}

impl Socket {
    fn new(stream: Transport, shared: Rc<Shared>, watch: Rc<Watch>) -> Self {
        Self {
            stream,
            shared,
            watch,
            timer: Timer::never(),
            timer_at: None,
            is_drained: false,
            is_line_open: true,
            linger_until: None,
            lingered_bytes: 0,
        }
    }

    /// Ready once `deadline` is over, and now and then before that.
    fn poll_until(&mut self, deadline: Instant, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            if self.timer_at.is_none_or(|at| at > deadline) {
                self.timer.set_at(deadline);
                self.timer_at = Some(deadline);
            }
            ready!(Pin::new(&mut self.timer).poll(cx));
            // It fired: for this deadline, or for an earlier one that has moved since.
            self.timer_at = None;
            if Instant::now() >= deadline {
                return Poll::Ready(());
            }
        }
    }

    /// The socket is not ready: waits for it no longer than the phase allows.
    fn poll_overdue<T>(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        let Some(deadline) = self.watch.deadline() else { return Poll::Pending };
        ready!(self.poll_until(deadline, cx));
        self.watch.is_overdue.set(true);
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    /// What it is waiting for.
    pub(super) fn watch(&self) -> &Watch {
        &self.watch
    }

    /// Tells the client that there is no room for it; to be closed then.
    pub(super) fn refuse(mut self) {
        let _untold = self.stream.write_vectored(&[IoSlice::new(REFUSAL)]);
        self.stream.shutdown();
    }

    /// Gives the reactor its turn before the next read.
    pub(super) fn wait_before_reading(&mut self) {
        self.is_drained = true;
    }

    /// Reads into the shared buffer and shows `take` what came; 0 octets at the end.
    pub(super) fn poll_receive(
        &mut self,
        cx: &mut Context<'_>,
        room: usize,
        take: impl FnOnce(&[u8]),
    ) -> Poll<io::Result<usize>> {
        // What an earlier write has left to be sent, goes on here: reading is what is always asked.
        if !self.stream.flush()? && self.stream.tcp().poll_writable(cx)?.is_ready() {
            self.stream.flush()?;
        }
        loop {
            if self.is_drained {
                ready!(self.stream.tcp().poll_readable(cx))?;
                self.is_drained = false;
            }
            let mut scratch = self.shared.scratch.borrow_mut();
            let room = room.min(scratch.len());
            let (space, _) = scratch.split_at_mut(room);
            match self.stream.read(space) {
                Ok(count) => {
                    self.is_drained = count < room && self.stream.is_plain();
                    take(space.get(..count).unwrap_or_default());
                    return Poll::Ready(Ok(count));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.is_drained = true,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    /// Writes some of `slices`, waiting while the client takes nothing.
    pub(super) fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        loop {
            match self.stream.write_vectored(slices) {
                Ok(count) => {
                    self.watch.sent();
                    return Poll::Ready(Ok(count));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Poll::Ready(Err(error)),
            }
            match self.stream.tcp().poll_writable(cx) {
                Poll::Ready(ready) => ready?,
                Poll::Pending => return self.poll_overdue(cx),
            }
        }
    }

    /// Waits until the kernel has all that was written.
    fn poll_handed_on(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.stream.flush()? {
            match self.stream.tcp().poll_writable(cx) {
                Poll::Ready(ready) => ready?,
                Poll::Pending => return self.poll_overdue(cx),
            }
            self.watch.sent();
        }
        Poll::Ready(Ok(()))
    }

    /// Throws away what the client sends after we have closed our half. Closing at once would make
    /// the kernel reset the connection, and the reset can overtake the response that says why.
    fn poll_linger(&mut self, until: Instant, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            match self.poll_receive(cx, HTTP_SCRATCH_BYTES, |_| ()) {
                Poll::Ready(Ok(1..)) if self.lingered_bytes < HTTP_LINGER_BYTES_MAX => {
                    self.lingered_bytes += HTTP_SCRATCH_BYTES;
                    self.wait_before_reading();
                }
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => return self.poll_until(until, cx),
            }
        }
    }
}

/// What an octet that [`put_line`] mends becomes at most.
const MENDED_BYTES_MAX: usize = 3;

/// Hands over octets that begin within a request line, and tells whether it ends in them. Clients
/// write `<`, `>` and `"` into a URL, which no URL may have (RFC 3986 §2.2); Go takes them, hyper does
/// not. A line of a request that came with the one before is left as it is.
fn put_line(cursor: &mut ReadBufCursor<'_>, octets: &[u8]) -> bool {
    let has_room = cursor.remaining() >= octets.len() * MENDED_BYTES_MAX;
    let end = octets.iter().position(|&octet| octet == b'\n');
    let (line, rest) = octets.split_at(end.unwrap_or(octets.len()));
    for part in line.split_inclusive(|octet| b"<>\"".contains(octet)) {
        let mended: &[u8] = match part.last() {
            Some(b'<') => b"%3C",
            Some(b'>') => b"%3E",
            Some(b'"') => b"%22",
            _ => b"",
        };
        match part.split_last() {
            Some((_, before)) if !mended.is_empty() && has_room => {
                cursor.put_slice(before);
                cursor.put_slice(mended);
            }
            _ => cursor.put_slice(part),
        }
    }
    cursor.put_slice(rest);
    end.is_some()
}

impl hyper::rt::Read for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut cursor: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.is_line_open |= this.watch.phase.get() == Phase::Idle;
        let is_line_open = this.is_line_open;
        let room = cursor.remaining();
        let received = if is_line_open {
            let room = (room / MENDED_BYTES_MAX).max(1);
            let mut is_ended = false;
            let received =
                this.poll_receive(cx, room, |octets| is_ended = put_line(&mut cursor, octets));
            this.is_line_open = !is_ended;
            received
        } else {
            this.poll_receive(cx, room, |octets| cursor.put_slice(octets))
        };
        match received {
            Poll::Ready(Ok(0)) => Poll::Ready(Ok(())),
            Poll::Ready(Ok(_)) => {
                this.watch.received();
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => this.poll_overdue(cx),
        }
    }
}

impl hyper::rt::Write for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().poll_send(cx, &[IoSlice::new(octets)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().poll_send(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_handed_on(cx))?;
        this.watch.flushed();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let until = match this.linger_until {
            Some(until) => until,
            None => {
                this.stream.shutdown();
                if !this.watch.is_unread.get() && this.watch.phase.get() != Phase::Head {
                    return Poll::Ready(Ok(()));
                }
                *this
                    .linger_until
                    .insert(Instant::now() + Duration::from_millis(HTTP_LINGER_MILLIS_MAX))
            }
        };
        this.poll_linger(until, cx).map(Ok)
    }
}
