//! The clients by topic and identity, the backlog of changes, and fan-out in turns.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::IpAddr;
use std::ops::Bound;
use std::rc::Rc;
use std::sync::Arc;

use smol::channel::{Receiver, Sender, bounded};
use smol::future::yield_now;

use super::client::{Client, Subscriber};
use super::topic::{Scope, Topic, keys};
use super::{Auth, Octets, Settings};
use crate::limits::REALTIME_SENDS_PER_TURN_MAX;
use crate::model::{Action, Collection, Kind, RecordEvent, Schema, ids};

/// Who listens to what. It belongs to the executor's thread.
pub struct Broker {
    settings: Settings,
    inner: RefCell<Inner>,
    /// Rung when a change waits.
    bell: Sender<()>,
    rung: Receiver<()>,
    /// Octets of messages that somebody still has to send.
    held_bytes: Rc<Cell<usize>>,
    /// What may still be done before others get their turn.
    turn: Cell<usize>,
}

#[derive(Default)]
struct Inner {
    clients: HashMap<Rc<str>, Rc<Client>>,
    client_count: u64,
    /// By the ids of collection and record; those of connected clients.
    identities: HashMap<Who, Rc<Identity>>,
    identity_count: u64,
    /// By what topics are about, then by their texts.
    topics: HashMap<Box<str>, BTreeMap<Rc<str>, Listened>>,
    topics_bytes: usize,
    backlog: VecDeque<Delivery>,
    backlog_bytes: usize,
    /// The commit whose changes are being published.
    commit: Rc<Commit>,
    commit_bytes: usize,
    /// Changes so far, whether somebody listened or not.
    changes: u64,
    /// Subscriptions that were set so far.
    settings_count: u64,
    /// Changes so far of who may call themselves what.
    auth_changes: u64,
}

/// The ids of a collection and of its record.
type Who = (Box<str>, Box<str>);

/// Somebody as whom clients listen.
pub(super) struct Identity {
    /// Counted from 1; 0 stands for guests.
    number: u64,
    who: Who,
    /// As it is stored now; `None` once it is withdrawn, which makes guests of them all.
    auth: RefCell<Option<Auth>>,
    client_count: Cell<usize>,
}

/// A topic and those who listen to it, by the number of their identity.
struct Listened {
    topic: Rc<Topic>,
    groups: BTreeMap<u64, Rc<Group>>,
}

/// Clients who see the same of a change: one topic, one identity.
pub struct Group {
    topic: Rc<Topic>,
    identity: Option<Rc<Identity>>,
    /// By the numbers of the clients.
    members: RefCell<BTreeMap<u64, Member>>,
}

struct Member {
    client: Rc<Client>,
    /// The last change that it does not miss.
    seen: Cell<u64>,
}

impl Group {
    /// What its members subscribed to.
    #[must_use]
    pub fn topic(&self) -> &Rc<Topic> {
        &self.topic
    }

    /// Who they are now; `None` for guests.
    #[must_use]
    pub fn auth(&self) -> Option<Auth> {
        self.identity.as_ref()?.auth.borrow().clone()
    }
}

/// A client's place in a group.
pub(super) struct Membership(Rc<Group>);

/// What a membership takes: two table entries and their share of a group.
const MEMBERSHIP_BYTES: usize = 256;

/// A change on its way to those who listen.
#[derive(Clone)]
pub struct Delivery {
    /// The change.
    pub event: Arc<RecordEvent>,
    number: u64,
    bytes: usize,
    commit: Rc<Commit>,
}

impl Delivery {
    /// The changes that were committed with this one, itself among them, in their order.
    #[must_use]
    pub fn commit(&self) -> Arc<[Arc<RecordEvent>]> {
        let all = || self.commit.events.take().into();
        Arc::clone(self.commit.all.get_or_init(all))
    }
}

/// The changes of one commit.
#[derive(Default)]
struct Commit {
    /// Until the commit has ended.
    events: RefCell<Vec<Arc<RecordEvent>>>,
    all: OnceCell<Arc<[Arc<RecordEvent>]>>,
}

/// Why a client is not subscribed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SubscribeError {
    /// Nobody is connected under this id.
    #[error("no such client")]
    UnknownClient,
    /// The client connected from elsewhere.
    #[error("the client connected from another address")]
    OtherAddress,
    /// The client is somebody else already.
    #[error("the client is somebody else")]
    OtherAuth,
    /// All subscriptions together take too much memory.
    #[error("too many subscriptions")]
    NoRoom,
}

impl Default for Broker {
    fn default() -> Self {
        Self::new(Settings::default())
    }
}

impl Broker {
    /// Without clients.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        let (bell, rung) = bounded(1);
        Self {
            settings,
            inner: RefCell::default(),
            bell,
            rung,
            held_bytes: Rc::default(),
            turn: Cell::new(REALTIME_SENDS_PER_TURN_MAX),
        }
    }

    pub(super) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// How many clients there are.
    #[must_use]
    pub fn client_count(&self) -> usize {
        self.inner.borrow().clients.len()
    }

    // ---- clients --------------------------------------------------------------------------

    /// A new client, a guest without subscriptions, from `address`.
    #[must_use]
    pub fn connect(self: &Rc<Self>, address: IpAddr) -> Subscriber {
        let mut inner = self.inner.borrow_mut();
        inner.client_count += 1;
        let id: Rc<str> = ids::client_id().into();
        let client = Rc::new(Client::new(Rc::clone(&id), inner.client_count, address));
        inner.clients.insert(id, Rc::clone(&client));
        Subscriber::new(Rc::clone(self), client)
    }

    pub(super) fn disconnect(&self, client: &Rc<Client>) {
        let mut inner = self.inner.borrow_mut();
        client.cut();
        for Membership(group) in client.memberships.take() {
            inner.leave(client, &group);
        }
        inner.set_identity(client, None);
        inner.clients.remove(&client.id);
    }

    /// Changes so far of who may call themselves what. An identity that was read while this stayed
    /// the same is good for [`Broker::subscribe`].
    #[must_use]
    pub fn auth_changes(&self) -> u64 {
        self.inner.borrow().auth_changes
    }

    /// Sets what a client listens to, and as whom. A topic that it had already goes on without a
    /// gap.
    ///
    /// # Errors
    /// [`SubscribeError`]; then all is as it was.
    pub fn subscribe(
        &self,
        client_id: &str,
        address: IpAddr,
        auth: Option<Auth>,
        topics: Vec<Topic>,
    ) -> Result<(), SubscribeError> {
        let mut inner = self.inner.borrow_mut();
        let client = inner.clients.get(client_id).cloned().ok_or(SubscribeError::UnknownClient)?;
        if client.address != address {
            return Err(SubscribeError::OtherAddress);
        }
        let held = client.identity.borrow().clone();
        let held = held.filter(|identity| identity.auth.borrow().is_some());
        if held.is_some_and(|held| auth.as_ref().map(who) != Some(held.who.clone())) {
            return Err(SubscribeError::OtherAuth);
        }
        let wanted: BTreeMap<Box<str>, Topic> = topics
            .into_iter()
            .filter(|topic| !topic.text.is_empty())
            .map(|topic| (topic.text.clone(), topic))
            .collect();
        let bytes: usize = wanted.values().map(|topic| MEMBERSHIP_BYTES + topic.bytes()).sum();
        if inner.topics_bytes + bytes > self.settings.topics_bytes_max && !wanted.is_empty() {
            return Err(SubscribeError::NoRoom);
        }
        inner.settings_count += 1;
        let identity = auth.map(|auth| inner.identity(auth));
        inner.set_identity(&client, identity.clone());
        inner.replace(&client, identity.as_ref(), wanted);
        Ok(())
    }

    // ---- changes --------------------------------------------------------------------------

    /// Takes a change for delivery, and with it what it says of those who listen. To be called in
    /// commit order; waits for nobody.
    pub fn publish(&self, event: RecordEvent) {
        let mut inner = self.inner.borrow_mut();
        if event.collection.kind == Kind::Auth {
            inner.track(&event);
        }
        inner.changes += 1;
        if inner.topics.is_empty() {
            return;
        }
        let event = Arc::new(event);
        let bytes = event.bytes();
        inner.commit_bytes += bytes;
        if inner.commit_bytes <= self.settings.backlog_bytes_max {
            inner.commit.events.borrow_mut().push(Arc::clone(&event));
        }
        let keys = keys(&event);
        if !keys.iter().any(|(key, _)| inner.topics.contains_key(key.as_str())) {
            return;
        }
        let is_full = inner.backlog.len() >= self.settings.backlog_events_max
            || (inner.backlog_bytes + bytes > self.settings.backlog_bytes_max
                && !inner.backlog.is_empty());
        if is_full {
            let lost = inner.cut_listeners(keys.iter().map(|(key, _)| key.as_str()));
            log::warn!("too many changes wait for delivery; clients_cut={lost}");
            return;
        }
        let number = inner.changes;
        inner.backlog_bytes += bytes;
        let commit = Rc::clone(&inner.commit);
        inner.backlog.push_back(Delivery { event, number, bytes, commit });
        // Rung already, it need not be rung again.
        self.bell.try_send(()).ok();
    }

    /// The changes that were published belong together; those that follow are of another commit. To
    /// be called before anything waits.
    pub fn end_commit(&self) {
        let mut inner = self.inner.borrow_mut();
        if inner.commit_bytes > 0 {
            inner.commit = Rc::default();
            inner.commit_bytes = 0;
        }
    }

    /// Many records of a collection have changed, too many to tell: whoever listens to any of them
    /// is cut, and finds them when it comes again.
    pub fn overwhelm(&self, collection: &Collection) {
        let inner = self.inner.borrow();
        let of_collection = |key: &str| {
            let asked = key.split('/').next().unwrap_or_default();
            asked == collection.id || asked == collection.name
        };
        let keys: Vec<Box<str>> =
            inner.topics.keys().filter(|key| of_collection(key)).cloned().collect();
        let cut = inner.cut_listeners(keys.iter().map(|key| &**key));
        if cut > 0 {
            log::info!("a change was too large to be told; clients_cut={cut}");
        }
    }

    /// The collections are others from now on: an identity whose collection is gone, or signs with
    /// another secret, is withdrawn.
    pub fn schema_changed(&self, schema: &Schema) {
        let mut inner = self.inner.borrow_mut();
        inner.auth_changes += 1;
        inner.identities.retain(|(collection_id, _), identity| {
            let known = identity.auth.borrow().clone();
            let now = schema.find(collection_id).filter(|now| now.id == **collection_id);
            let is_good = known.zip(now).is_some_and(|(known, now)| {
                now.kind == Kind::Auth
                    && now.options.get("authToken").and_then(|token| token.get("secret"))
                        == known.0.options.get("authToken").and_then(|token| token.get("secret"))
            });
            if !is_good {
                identity.auth.take();
            }
            is_good
        });
    }

    // ---- delivery -------------------------------------------------------------------------

    /// The next change, in commit order. One is to be delivered to the end before the next is
    /// asked for.
    pub async fn next(&self) -> Delivery {
        loop {
            let next = self.inner.borrow_mut().pop();
            if let Some(delivery) = next {
                return delivery;
            }
            // The other end is ours: it is never closed.
            self.rung.recv().await.ok();
        }
    }

    /// A mark of what is subscribed to: the same as long as nobody subscribes.
    #[must_use]
    pub fn subscriptions_mark(&self) -> u64 {
        self.inner.borrow().settings_count
    }

    /// The groups whose members may have to hear of a change and did not yet.
    #[must_use]
    pub fn groups(&self, delivery: &Delivery) -> Vec<(Rc<Group>, Scope)> {
        let inner = self.inner.borrow();
        let mut groups = Vec::new();
        for (key, scope) in keys(&delivery.event) {
            let Some(topics) = inner.topics.get(key.as_str()) else { continue };
            for group in topics.values().flat_map(|listened| listened.groups.values()) {
                let misses = |member: &Member| member.seen.get() < delivery.number;
                if group.members.borrow().values().any(misses) {
                    groups.push((Rc::clone(group), scope));
                }
            }
        }
        groups
    }

    /// Octets to be sent, counted as long as somebody holds them.
    #[must_use]
    pub fn hold(&self, octets: Vec<u8>) -> Octets {
        self.held_bytes.set(self.held_bytes.get() + octets.len());
        Rc::new(Held { octets: octets.into(), held_bytes: Rc::clone(&self.held_bytes) })
    }

    /// Queues a message for each member of a group that did not hear of the change yet, a bounded
    /// number of them before others get their turn. The message comes in two parts: the second may
    /// be one with other groups.
    pub async fn send(&self, delivery: &Delivery, group: &Group, message: (&Octets, &Octets)) {
        let mut last = 0;
        loop {
            let chunk: Vec<Rc<Client>> = {
                let members = group.members.borrow();
                let rest = members.range((Bound::Excluded(last), Bound::Unbounded));
                let chunk = rest.take(self.turn.get().max(1));
                chunk
                    .filter_map(|(number, member)| {
                        last = *number;
                        let seen = member.seen.replace(delivery.number.max(member.seen.get()));
                        (seen < delivery.number).then(|| Rc::clone(&member.client))
                    })
                    .collect()
            };
            let is_last = group.members.borrow().keys().next_back().is_none_or(|end| *end <= last);
            for client in &chunk {
                if !client.push(delivery.number, message, &self.settings) {
                    log::debug!("a client was too slow; client={}", client.id);
                }
            }
            if self.held_bytes.get() > self.settings.held_bytes_max {
                self.cut_laggards(delivery.number);
            }
            self.spend(chunk.len()).await;
            if is_last {
                return;
            }
        }
    }

    /// Ends all of a group: nobody can tell what its members may hear.
    pub fn cut(&self, group: &Group) {
        group.members.borrow().values().for_each(|member| member.client.cut());
    }

    /// Counts work, and lets others have their turn when it is enough.
    pub async fn spend(&self, count: usize) {
        match self.turn.get().checked_sub(count) {
            Some(left @ 1..) => self.turn.set(left),
            _ => {
                self.turn.set(REALTIME_SENDS_PER_TURN_MAX);
                yield_now().await;
            }
        }
    }

    /// Cuts those who are furthest behind, so that what they hold can go.
    fn cut_laggards(&self, change: u64) {
        let inner = self.inner.borrow();
        let waiting = || inner.clients.values().filter_map(|c| Some((c, c.oldest_change()?)));
        let Some(oldest) = waiting().map(|(_, oldest)| oldest).min() else { return };
        let bound = oldest.midpoint(change);
        let mut cut = 0;
        for (client, _) in waiting().filter(|(_, oldest)| *oldest <= bound) {
            client.cut();
            cut += 1;
        }
        log::warn!("messages that wait take too much memory; clients_cut={cut}");
    }
}

/// Octets that count as long as they live.
struct Held {
    octets: Box<[u8]>,
    held_bytes: Rc<Cell<usize>>,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.octets
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.held_bytes.set(self.held_bytes.get() - self.octets.len());
    }
}

/// Whose record it is.
fn who(auth: &Auth) -> Who {
    let (collection, record) = &**auth;
    (collection.id.as_str().into(), record.id(collection).into())
}

impl Inner {
    fn pop(&mut self) -> Option<Delivery> {
        let delivery = self.backlog.pop_front()?;
        self.backlog_bytes -= delivery.bytes;
        if self.backlog.is_empty() {
            self.backlog = VecDeque::new();
        }
        Some(delivery)
    }

    /// The identity of a record, as it was just read.
    fn identity(&mut self, auth: Auth) -> Rc<Identity> {
        let who = who(&auth);
        if let Some(identity) = self.identities.get(&who) {
            *identity.auth.borrow_mut() = Some(auth);
            return Rc::clone(identity);
        }
        self.identity_count += 1;
        let identity = Rc::new(Identity {
            number: self.identity_count,
            who: who.clone(),
            auth: RefCell::new(Some(auth)),
            client_count: Cell::new(0),
        });
        self.identities.insert(who, Rc::clone(&identity));
        identity
    }

    fn set_identity(&mut self, client: &Client, identity: Option<Rc<Identity>>) {
        if let Some(identity) = &identity {
            identity.client_count.set(identity.client_count.get() + 1);
        }
        let Some(before) = client.identity.replace(identity) else { return };
        before.client_count.set(before.client_count.get() - 1);
        let is_current =
            self.identities.get(&before.who).is_some_and(|known| Rc::ptr_eq(known, &before));
        if before.client_count.get() == 0 && is_current {
            self.identities.remove(&before.who);
        }
    }

    /// What a change of an auth record means for those who listen as it.
    fn track(&mut self, event: &RecordEvent) {
        self.auth_changes += 1;
        let (collection, record) = (&event.collection, &*event.record);
        let who: Who = (collection.id.as_str().into(), record.id(collection).into());
        let Some(identity) = self.identities.get(&who) else { return };
        let is_good = event.action != Action::Delete
            && identity.auth.borrow().as_deref().is_some_and(|(of, known)| {
                known.text(of, "tokenKey") == record.text(collection, "tokenKey")
            });
        if is_good {
            let auth = Arc::new((Arc::clone(collection), record.clone()));
            *identity.auth.borrow_mut() = Some(auth);
        } else {
            identity.auth.take();
            // Whoever subscribes as it from now on is somebody new.
            self.identities.remove(&who);
        }
    }

    /// Brings a client's memberships in line with what it wants.
    fn replace(
        &mut self,
        client: &Rc<Client>,
        identity: Option<&Rc<Identity>>,
        mut wanted: BTreeMap<Box<str>, Topic>,
    ) {
        let number = identity.map_or(0, |identity| identity.number);
        let mut kept = Vec::with_capacity(wanted.len());
        for Membership(group) in client.memberships.take() {
            let held = group.identity.as_ref().map_or(0, |identity| identity.number);
            if held == number && wanted.remove(&group.topic.text).is_some() {
                kept.push(Membership(group));
                continue;
            }
            let seen = self.leave(client, &group);
            if let Some(topic) = wanted.remove(&group.topic.text) {
                kept.push(self.join(client, identity, topic, seen));
            }
        }
        for topic in wanted.into_values() {
            kept.push(self.join(client, identity, topic, self.changes));
        }
        kept.shrink_to_fit();
        client.memberships.replace(kept);
    }

    /// Adds a client to the group of a topic and an identity. It hears of changes after `seen`.
    fn join(
        &mut self,
        client: &Rc<Client>,
        identity: Option<&Rc<Identity>>,
        topic: Topic,
        seen: u64,
    ) -> Membership {
        let topics = self.topics.entry(topic.key().into()).or_default();
        let listened = match topics.get_mut(&*topic.text) {
            Some(listened) => listened,
            None => {
                self.topics_bytes += topic.bytes();
                let text: Rc<str> = Rc::from(&*topic.text);
                let listened = Listened { topic: Rc::new(topic), groups: BTreeMap::new() };
                topics.entry(text).or_insert(listened)
            }
        };
        let number = identity.map_or(0, |identity| identity.number);
        let topic = &listened.topic;
        let group = listened.groups.entry(number).or_insert_with(|| {
            Rc::new(Group {
                topic: Rc::clone(topic),
                identity: identity.cloned(),
                members: RefCell::default(),
            })
        });
        let member = Member { client: Rc::clone(client), seen: Cell::new(seen) };
        group.members.borrow_mut().insert(client.number, member);
        self.topics_bytes += MEMBERSHIP_BYTES;
        Membership(Rc::clone(group))
    }

    /// Takes a client out of a group, and tells the last change that it has heard of.
    fn leave(&mut self, client: &Client, group: &Rc<Group>) -> u64 {
        let mut members = group.members.borrow_mut();
        let seen = members.remove(&client.number).map_or(self.changes, |member| member.seen.get());
        self.topics_bytes -= MEMBERSHIP_BYTES;
        if !members.is_empty() {
            return seen;
        }
        let key = group.topic.key();
        let Some(topics) = self.topics.get_mut(key) else { return seen };
        let Some(listened) = topics.get_mut(&*group.topic.text) else { return seen };
        let number = group.identity.as_ref().map_or(0, |identity| identity.number);
        listened.groups.remove(&number);
        if listened.groups.is_empty() {
            topics.remove(&*group.topic.text);
            self.topics_bytes -= group.topic.bytes();
        }
        if topics.is_empty() {
            self.topics.remove(key);
        }
        seen
    }

    /// Cuts all who listen to topics with these keys, and tells how many there were.
    fn cut_listeners<'k>(&self, keys: impl Iterator<Item = &'k str>) -> usize {
        let mut cut = 0;
        for topics in keys.filter_map(|key| self.topics.get(key)) {
            for group in topics.values().flat_map(|listened| listened.groups.values()) {
                let members = group.members.borrow();
                members.values().for_each(|member| member.client.cut());
                cut += members.len();
            }
        }
        cut
    }
}
