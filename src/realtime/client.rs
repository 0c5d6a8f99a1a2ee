//! One client: what waits for it, and how long it may stay.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::net::IpAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use smol::Timer;

use super::broker::{Broker, Identity, Membership};
use super::{Octets, Settings};

/// A client as the broker knows it.
pub(super) struct Client {
    /// Forty random characters.
    pub(super) id: Rc<str>,
    /// Counted from 1.
    pub(super) number: u64,
    /// Where it connected from.
    pub(super) address: IpAddr,
    pub(super) identity: RefCell<Option<Rc<Identity>>>,
    pub(super) memberships: RefCell<Vec<Membership>>,
    queue: RefCell<Queue>,
}

#[derive(Default)]
struct Queue {
    messages: VecDeque<Message>,
    bytes: usize,
    is_cut: bool,
    waker: Option<Waker>,
}

/// What waits, and the number of the change that it tells.
struct Message {
    change: u64,
    head: Octets,
    data: Octets,
}

impl Message {
    fn bytes(&self) -> usize {
        (*self.head).as_ref().len() + (*self.data).as_ref().len()
    }
}

impl Client {
    pub(super) fn new(id: Rc<str>, number: u64, address: IpAddr) -> Self {
        Self {
            id,
            number,
            address,
            identity: RefCell::default(),
            memberships: RefCell::default(),
            queue: RefCell::default(),
        }
    }

    /// Queues a message. False when there is no room: the client is cut then.
    pub(super) fn push(
        &self,
        change: u64,
        (head, data): (&Octets, &Octets),
        settings: &Settings,
    ) -> bool {
        let mut queue = self.queue.borrow_mut();
        if queue.is_cut {
            return true;
        }
        let message = Message { change, head: Rc::clone(head), data: Rc::clone(data) };
        let bytes = queue.bytes + message.bytes();
        let is_full = queue.messages.len() >= settings.queue_messages_max
            || (bytes > settings.queue_bytes_max && !queue.messages.is_empty());
        if is_full {
            drop(queue);
            self.cut();
            return false;
        }
        queue.bytes = bytes;
        queue.messages.push_back(message);
        wake(queue.waker.take());
        true
    }

    /// Ends it: what waits is dropped, and its connection closes.
    pub(super) fn cut(&self) {
        let mut queue = self.queue.borrow_mut();
        queue.is_cut = true;
        queue.bytes = 0;
        queue.messages = VecDeque::new();
        wake(queue.waker.take());
    }

    /// The change of the message that waits longest.
    pub(super) fn oldest_change(&self) -> Option<u64> {
        self.queue.borrow().messages.front().map(|message| message.change)
    }

    fn pop(&self) -> Option<(Octets, Octets)> {
        let mut queue = self.queue.borrow_mut();
        let message = queue.messages.pop_front()?;
        queue.bytes -= message.bytes();
        if queue.messages.is_empty() {
            // An idle client keeps no buffer.
            queue.messages = VecDeque::new();
        }
        Some((message.head, message.data))
    }

    fn is_cut(&self) -> bool {
        self.queue.borrow().is_cut
    }

    fn wait(&self, cx: &Context<'_>) {
        let mut queue = self.queue.borrow_mut();
        match &mut queue.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
    }
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}

/// A client's own side: takes what waits for it. Dropped, the client is gone.
pub struct Subscriber {
    broker: Rc<Broker>,
    client: Rc<Client>,
    /// Of its whole life.
    ends_at: Instant,
    /// When it becomes idle.
    idle_at: Cell<Instant>,
    timer: Timer,
    /// What the timer is set to; never later than the moment that counts.
    timer_at: Option<Instant>,
}

impl Subscriber {
    pub(super) fn new(broker: Rc<Broker>, client: Rc<Client>) -> Self {
        let now = Instant::now();
        let Settings { life, idle, .. } = *broker.settings();
        let (ends_at, idle_at) = (now + life, Cell::new(now + idle));
        Self { broker, client, ends_at, idle_at, timer: Timer::never(), timer_at: None }
    }

    /// Its id, by which it subscribes.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.client.id
    }

    /// The next message, in two parts; `None` once it is cut.
    pub fn poll_message(&mut self, cx: &mut Context<'_>) -> Poll<Option<(Octets, Octets)>> {
        if self.client.is_cut() {
            return Poll::Ready(None);
        }
        if let Some(message) = self.client.pop() {
            self.idle_at.set(Instant::now() + self.broker.settings().idle);
            return Poll::Ready(Some(message));
        }
        self.client.wait(cx);
        Poll::Pending
    }

    /// Ready once it is cut, was idle for too long, or is too old.
    pub fn poll_cut(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.client.is_cut() {
            return Poll::Ready(());
        }
        self.client.wait(cx);
        let deadline = self.ends_at.min(self.idle_at.get());
        loop {
            if self.timer_at.is_none() {
                self.timer.set_at(deadline);
                self.timer_at = Some(deadline);
            }
            if Pin::new(&mut self.timer).poll(cx).is_pending() {
                return Poll::Pending;
            }
            // It fired: for this deadline, or for an earlier one that has moved since.
            self.timer_at = None;
            if Instant::now() >= deadline {
                return Poll::Ready(());
            }
        }
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        self.broker.disconnect(&self.client);
    }
}
