//! Whatever clients subscribe to, whoever they are, and whenever they come and go: each hears of
//! exactly those changes that its topics name, in commit order, from the moment that it subscribed
//! to the moment that it no longer does, as who it is when it is told; and nothing is left of
//! clients that went.
//!
//! Each octet of the input is a step; some take their details from the octets behind it.
#![no_main]

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use libfuzzer_sys::fuzz_target;
use pocketdns::api::realtime::topic;
use pocketdns::model::{Action, Collection, Field, Kind, Record, RecordEvent, Value};
use pocketdns::realtime::{Auth, Broker, Settings, SubscribeError, Subscriber, Topic};
use serde_json::json;

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const CLIENTS_MAX: usize = 6;
const TOPICS: [&str; 8] = [
    "base/*",
    "base/r1",
    "base/r2",
    "pbc_base/*",
    "base",
    "users/*",
    "base/*?options=%7B%22query%22%3A%7B%22a%22%3A1%7D%7D",
    "@custom",
];

/// A client, and what it should hear.
struct Listener {
    subscriber: Subscriber,
    user: Option<usize>,
    /// By its topics: the last change that it need not hear of.
    topics: BTreeMap<String, u64>,
    /// The numbers of changes, the topics, and as whom.
    expected: Vec<(u64, String, String)>,
}

struct World {
    broker: Rc<Broker>,
    listeners: Vec<Listener>,
    base: Arc<Collection>,
    users: Arc<Collection>,
    /// The token keys of users; clients hold the one that they came with.
    keys: [u64; 3],
    /// Changes so far, and those that wait, as the broker counts them.
    changes: u64,
    waiting: Vec<(u64, RecordEvent)>,
}

fn collection(name: &str, kind: Kind) -> Arc<Collection> {
    let field = |name: &str| {
        Field::from_json(&json!({"type": "text", "name": name, "id": name})).expect("a field")
    };
    Arc::new(Collection {
        id: format!("pbc_{name}"),
        name: name.into(),
        kind,
        system: false,
        list_rule: None,
        view_rule: None,
        create_rule: None,
        update_rule: None,
        delete_rule: None,
        fields: vec![field("id"), field("tokenKey")],
        indexes: Vec::new(),
        options: serde_json::Map::new(),
        created: String::new(),
        updated: String::new(),
    })
}

fn record(id: &str, key: u64) -> Record {
    Record { values: vec![Value::Text(id.into()), Value::Text(key.to_string())] }
}

impl World {
    fn auth(&self, user: usize) -> Auth {
        Arc::new((Arc::clone(&self.users), record(&format!("u{user}"), self.keys[user])))
    }

    fn publish(&mut self, collection: &Arc<Collection>, action: Action, record: Record) {
        let (collection, record) = (Arc::clone(collection), Arc::new(record));
        let event = RecordEvent { action, collection, record, old: None };
        self.changes += 1;
        let keys = keys(&event);
        let is_heard = |listener: &Listener| {
            listener.topics.keys().any(|text| keys.contains(&topic(text.clone()).key().to_owned()))
        };
        if self.listeners.iter().any(is_heard) {
            self.waiting.push((self.changes, event.clone()));
        }
        self.broker.publish(event);
    }

    fn subscribe(&mut self, at: usize, user: Option<usize>, topics: Vec<Topic>) {
        let auth = user.map(|user| self.auth(user));
        let changes = self.changes;
        let Some(listener) = self.listeners.get_mut(at) else { return };
        let texts: Vec<String> = topics.iter().map(|topic| topic.text.to_string()).collect();
        let result = self.broker.subscribe(listener.subscriber.id(), HERE, auth, topics);
        if listener.user.is_some_and(|held| Some(held) != user) {
            assert_eq!(result, Err(SubscribeError::OtherAuth));
            return;
        }
        assert_eq!(result, Ok(()));
        listener.user = user;
        let before = std::mem::take(&mut listener.topics);
        for text in texts.into_iter().filter(|text| !text.is_empty()) {
            let seen = before.get(&text).copied().unwrap_or(changes);
            listener.topics.insert(text, seen);
        }
    }

    /// Delivers the next change, if one waits.
    fn deliver(&mut self) {
        let mut cx = Context::from_waker(Waker::noop());
        let Poll::Ready(delivery) = pin!(self.broker.next()).poll(&mut cx) else {
            assert!(self.waiting.is_empty(), "a change waits");
            return;
        };
        let (number, event) = self.waiting.remove(0);
        for (group, _) in self.broker.groups(&delivery) {
            let who = group.auth().map(|auth| auth.1.id(&auth.0).to_owned()).unwrap_or_default();
            let head = self.broker.hold(format!("{number} {who} {}", group.topic().text).into());
            let data = self.broker.hold(Vec::new());
            let mut sending = pin!(self.broker.send(&delivery, &group, (&head, &data)));
            while sending.as_mut().poll(&mut cx).is_pending() {}
        }
        let keys = keys(&event);
        for listener in &mut self.listeners {
            let who = listener.user.map(|user| format!("u{user}")).unwrap_or_default();
            for (text, seen) in &mut listener.topics {
                if *seen < number && keys.contains(&topic(text.clone()).key().to_owned()) {
                    *seen = number;
                    listener.expected.push((number, text.clone(), who.clone()));
                }
            }
        }
    }

    fn read(&mut self, at: usize) {
        let Some(listener) = self.listeners.get_mut(at) else { return };
        let mut cx = Context::from_waker(Waker::noop());
        let mut heard = Vec::new();
        while let Poll::Ready(message) = listener.subscriber.poll_message(&mut cx) {
            let (head, _) = message.expect("nobody is cut");
            let text = String::from_utf8((*head).as_ref().to_vec()).expect("text");
            let mut parts = text.splitn(3, ' ');
            let mut part = || parts.next().expect("three parts").to_owned();
            let number = part().parse().expect("a number");
            let who = part();
            heard.push((number, part(), who));
        }
        assert!(heard.is_sorted_by_key(|(number, ..): &(u64, _, _)| *number), "{heard:?}");
        let mut expected = std::mem::take(&mut listener.expected);
        // The topics of one change come in no particular order.
        heard.sort();
        expected.sort();
        assert_eq!(heard, expected);
    }
}

/// What the topics of an event are about.
fn keys(event: &RecordEvent) -> Vec<String> {
    let (of, id) = (&event.collection, event.record.id(&event.collection));
    let both = [&of.name, &of.id];
    both.iter()
        .flat_map(|name| [format!("{name}/{id}"), format!("{name}/*"), (*name).clone()])
        .collect()
}

fuzz_target!(|data: &[u8]| {
    let settings = Settings {
        queue_messages_max: usize::MAX,
        queue_bytes_max: usize::MAX,
        held_bytes_max: usize::MAX,
        topics_bytes_max: 1 << 20,
        ..Settings::default()
    };
    let mut world = World {
        broker: Rc::new(Broker::new(settings)),
        listeners: Vec::new(),
        base: collection("base", Kind::Base),
        users: collection("users", Kind::Auth),
        keys: [0; 3],
        changes: 0,
        waiting: Vec::new(),
    };
    let mut octets = data.iter().copied().take(2000);
    while let Some(octet) = octets.next() {
        let detail = usize::from(octet >> 3);
        match octet & 7 {
            0 if world.listeners.len() < CLIENTS_MAX => {
                let subscriber = world.broker.connect(HERE);
                let (topics, expected) = (BTreeMap::new(), Vec::new());
                world.listeners.push(Listener { subscriber, user: None, topics, expected });
            }
            0 => drop(world.listeners.swap_remove(detail % CLIENTS_MAX)),
            1 | 2 => {
                let mask = octets.next().unwrap_or_default();
                let chosen = TOPICS.iter().enumerate().filter(|(at, _)| mask >> at & 1 == 1);
                let mut topics: Vec<Topic> =
                    chosen.map(|(_, text)| topic((*text).to_owned())).collect();
                if octet & 7 == 2 {
                    let length = usize::from(octets.next().unwrap_or_default());
                    let text: Vec<u8> = octets.by_ref().take(length).collect();
                    let text = String::from_utf8_lossy(&text).into_owned();
                    let own = topic(text.clone());
                    assert_eq!(*own.text, *text);
                    assert!(text.starts_with(own.key()));
                    topics.push(own);
                }
                world.subscribe(
                    detail % CLIENTS_MAX,
                    (detail / CLIENTS_MAX % 4).checked_sub(1),
                    topics,
                );
            }
            3 => {
                let base = Arc::clone(&world.base);
                let action = [Action::Create, Action::Update, Action::Delete][detail % 3];
                world.publish(&base, action, record(&format!("r{}", detail / 3 % 3), 0));
            }
            4 => {
                let (users, user) = (Arc::clone(&world.users), detail % 3);
                let is_withdrawn = detail / 3 % 2 == 1;
                let action = if detail / 6 % 2 == 1 { Action::Delete } else { Action::Update };
                world.keys[user] += u64::from(is_withdrawn);
                world.publish(&users, action, record(&format!("u{user}"), world.keys[user]));
                if is_withdrawn || action == Action::Delete {
                    let of_user = world.listeners.iter_mut().filter(|l| l.user == Some(user));
                    of_user.for_each(|listener| listener.user = None);
                }
            }
            5 => world.deliver(),
            6 => world.read(detail % CLIENTS_MAX),
            _ => world.broker.end_commit(),
        }
    }
    while !world.waiting.is_empty() {
        world.deliver();
    }
    (0..CLIENTS_MAX).for_each(|at| world.read(at));
    world.listeners.clear();
    assert_eq!(world.broker.client_count(), 0);
    let last = world.broker.connect(HERE);
    let nearly_all = topic("x".repeat((1 << 19) - 1000));
    assert_eq!(world.broker.subscribe(last.id(), HERE, None, vec![nearly_all]), Ok(()));
});
