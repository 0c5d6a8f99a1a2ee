//! Responses without an end of their own: a body that goes on as long as its source and its reader
//! do.
//!
//! hyper reads the request; then its connection is taken apart and only the socket is kept. An
//! idle feed costs a task and its source, none of hyper's buffers: there may be ten thousand.
//!
//! - What the source gives is written from where it lies, shared with all who get the same.
//! - A client that takes nothing for the time of a stalled response is dropped. Until then its
//!   source is asked for no more than one batch; what waits beyond is bounded where it waits.
//! - A client that closes its half, or the connection, ends the feed at once.
//!
//! The body ends with the connection (RFC 9112 §6.3): nothing can follow what has no end.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io::{self, IoSlice, Write as _};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, UNIX_EPOCH};

use smol::channel::Receiver;

use super::conn::{Phase, Socket};
use super::listener::unless_stopped;
use super::response::Response;
use crate::clock;
use crate::limits::{HTTP_FEED_PIECES_MAX, HTTP_HEAD_BYTES_MAX};

/// Octets that several feeds may share.
pub type Octets = Rc<dyn AsRef<[u8]>>;

/// What fills a body without an end. Dropped when the connection is gone.
pub trait Feed {
    /// The next octets; `None` at the end. Pending wakes the task when there is more.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Octets>>;

    /// Ready once the connection is to be closed, whatever is still unsent; asked also while the
    /// client takes nothing.
    fn poll_cut(&mut self, cx: &mut Context<'_>) -> Poll<()>;
}

/// A connection that hyper has left.
pub(super) struct Stream {
    socket: Socket,
    feed: Box<dyn Feed>,
    /// The batch that is being written; empty while the feed waits.
    unsent: VecDeque<Octets>,
    /// Octets of the first of them that are written.
    sent_bytes: usize,
    /// Octets that the client has sent although nobody asked.
    discarded_bytes: usize,
}

impl Stream {
    /// Begins the response on a socket that is between two responses.
    pub(super) fn new(socket: Socket, response: &Response, feed: Box<dyn Feed>) -> Self {
        let head: Octets = Rc::new(head(response));
        socket.watch().enter(Phase::Write);
        let unsent = VecDeque::from([head]);
        Self { socket, feed, unsent, sent_bytes: 0, discarded_bytes: 0 }
    }

    /// Writes until either side ends it or `stop` is closed.
    pub(super) async fn run(mut self, stop: &Receiver<Infallible>) {
        unless_stopped(stop, std::future::poll_fn(|cx| self.poll(cx))).await;
    }

    /// Tells the client that there is no room for it.
    pub(super) fn refuse(self) {
        self.socket.refuse();
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.feed.poll_cut(cx).is_ready() {
            return Poll::Ready(());
        }
        loop {
            let is_over = self.poll_fill(cx);
            if self.unsent.is_empty() {
                if is_over {
                    return Poll::Ready(());
                }
                break;
            }
            match self.poll_write(cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(_)) => return Poll::Ready(()),
                Poll::Pending => break,
            }
        }
        self.poll_gone(cx)
    }

    /// Asks the feed for a batch where there is none. True at the feed's end.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> bool {
        let was_empty = self.unsent.is_empty();
        while self.unsent.len() < HTTP_FEED_PIECES_MAX {
            match self.feed.poll_next(cx) {
                Poll::Ready(Some(octets)) => self.unsent.push_back(octets),
                Poll::Ready(None) => return true,
                Poll::Pending => break,
            }
        }
        if was_empty && !self.unsent.is_empty() {
            self.socket.watch().enter(Phase::Write);
        }
        false
    }

    /// Writes some of the batch.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut slices = [IoSlice::new(&[]); HTTP_FEED_PIECES_MAX];
        let mut skipped = self.sent_bytes;
        for (slice, octets) in slices.iter_mut().zip(&self.unsent) {
            let octets = (**octets).as_ref();
            *slice = IoSlice::new(octets.get(std::mem::take(&mut skipped)..).unwrap_or_default());
        }
        let filled = self.unsent.len().min(HTTP_FEED_PIECES_MAX);
        let slices = slices.get(..filled).unwrap_or_default();
        let written = match self.socket.poll_send(cx, slices) {
            Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            Poll::Ready(Ok(written)) => written,
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            Poll::Pending => return Poll::Pending,
        };
        self.sent_bytes += written;
        while let Some(first) = self.unsent.front() {
            let Some(rest) = self.sent_bytes.checked_sub((**first).as_ref().len()) else { break };
            self.sent_bytes = rest;
            self.unsent.pop_front();
        }
        if self.unsent.is_empty() {
            // Nothing is owed any longer, and an idle feed keeps no buffer.
            self.unsent = VecDeque::new();
            self.socket.watch().enter(Phase::Work);
        }
        Poll::Ready(Ok(()))
    }

    /// Ready when the client has closed, or sends on and on.
    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            match self.socket.poll_receive(cx, HTTP_HEAD_BYTES_MAX, |_| ()) {
                Poll::Ready(Ok(count @ 1..)) => {
                    self.discarded_bytes += count;
                    if self.discarded_bytes > HTTP_HEAD_BYTES_MAX {
                        return Poll::Ready(());
                    }
                    self.socket.wait_before_reading();
                }
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

/// Status line and header fields; what HTTP cannot carry is left out.
fn head(response: &Response) -> Vec<u8> {
    let status = hyper::StatusCode::from_u16(response.status)
        .unwrap_or(hyper::StatusCode::INTERNAL_SERVER_ERROR);
    let reason = status.canonical_reason().unwrap_or_default();
    let mut head = format!("HTTP/1.1 {} {reason}\r\n", status.as_u16()).into_bytes();
    let now = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(clock::unix_secs()));
    let own = [("Date", now.as_str()), ("Connection", "close")];
    let given = response.headers.iter().map(|(name, value)| (*name, &**value));
    for (name, value) in given.chain(own) {
        let is_sound = hyper::header::HeaderName::from_bytes(name.as_bytes()).is_ok()
            && hyper::header::HeaderValue::from_str(value).is_ok();
        if is_sound {
            let _infallible = write!(head, "{name}: {value}\r\n");
        }
    }
    head.extend_from_slice(b"\r\n");
    head
}
