use std::net::IpAddr;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::{Auth, Broker, Settings, SubscribeError, Subscriber, Topic};
use crate::limits::REALTIME_SENDS_PER_TURN_MAX;
use crate::model::{Action, Collection, Kind, Record, RecordEvent, Schema, Value};

const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

fn broker(settings: Settings) -> Rc<Broker> {
    Rc::new(Broker::new(settings))
}

fn topic(text: &str) -> Topic {
    Topic { text: text.into(), query: Default::default(), headers: Default::default() }
}

fn subscribe(broker: &Broker, client: &Subscriber, auth: Option<&Auth>, topics: &[&str]) {
    let topics = topics.iter().map(|text| topic(text)).collect();
    broker.subscribe(client.id(), HERE, auth.cloned(), topics).expect("subscribed");
}

fn base() -> Arc<Collection> {
    Arc::new(Collection::for_test(&["id", "name"]))
}

fn users() -> Arc<Collection> {
    let mut users = Collection::for_test(&["id", "tokenKey"]);
    (users.id, users.name) = ("_pb_users_auth_".into(), "users".into());
    users.kind = Kind::Auth;
    users.options.insert("authToken".into(), serde_json::json!({"secret": "s"}));
    Arc::new(users)
}

fn event(collection: &Arc<Collection>, action: Action, values: &[&str]) -> RecordEvent {
    let mut record = Record::new(collection);
    record.values = values.iter().map(|text| Value::Text((*text).to_owned())).collect();
    let collection = Arc::clone(collection);
    RecordEvent { action, collection, record: Arc::new(record), old: None }
}

fn auth(collection: &Arc<Collection>, id: &str, key: &str) -> Auth {
    let event = event(collection, Action::Create, &[id, key]);
    Arc::new((Arc::clone(collection), Record::clone(&event.record)))
}

/// Delivers all that waits to all who listen: the scope, then the topic, then the id of whoever
/// listens.
fn deliver_all(broker: &Broker) {
    while deliver_one(broker) {}
}

fn deliver_one(broker: &Broker) -> bool {
    let next = smol::future::poll_once(broker.next());
    let Some(delivery) = smol::block_on(next) else { return false };
    for (group, scope) in broker.groups(&delivery) {
        let who = group.auth().map(|auth| auth.1.id(&auth.0).to_owned()).unwrap_or_default();
        let head = broker.hold(format!("{scope:?} {} {who} ", group.topic().text).into());
        let data = broker.hold(delivery.event.record.id(&delivery.event.collection).into());
        smol::block_on(broker.send(&delivery, &group, (&head, &data)));
    }
    true
}

fn poll(client: &mut Subscriber) -> Poll<Option<String>> {
    let mut cx = Context::from_waker(Waker::noop());
    client.poll_message(&mut cx).map(|message| {
        let (head, data) = message?;
        let octets = [(*head).as_ref(), (*data).as_ref()].concat();
        Some(String::from_utf8(octets).expect("text"))
    })
}

/// All that waits for a client.
fn read(client: &mut Subscriber) -> Vec<String> {
    std::iter::from_fn(|| match poll(client) {
        Poll::Ready(message) => message,
        Poll::Pending => None,
    })
    .collect()
}

fn is_cut(client: &mut Subscriber) -> bool {
    client.poll_cut(&mut Context::from_waker(Waker::noop())).is_ready()
}

#[test]
fn a_change_reaches_the_topics_of_its_record_and_of_its_collection() {
    let broker = broker(Settings::default());
    let mut client = broker.connect(HERE);
    let topics = [
        "test/*",
        "test/r1",
        "test/r2",
        "pbc_test/r1",
        "test",
        "TEST/*",
        "@oauth2",
        "",
        "test/*?a",
    ];
    subscribe(&broker, &client, None, &topics);
    broker.publish(event(&base(), Action::Create, &["r1", ""]));
    deliver_all(&broker);
    let expected = [
        "One test/r1  r1",
        "One pbc_test/r1  r1",
        "All test/*  r1",
        "All test/*?a  r1",
        "All test  r1",
    ];
    assert_eq!(read(&mut client), expected);
}

#[test]
fn every_client_sees_all_changes_in_commit_order() {
    let broker = broker(Settings::default());
    // More than one turn takes.
    let count = 3 * REALTIME_SENDS_PER_TURN_MAX + 7;
    let mut clients: Vec<Subscriber> = (0..count).map(|_| broker.connect(HERE)).collect();
    clients.iter().for_each(|client| subscribe(&broker, client, None, &["test/*"]));
    for id in ["a", "b", "c"] {
        broker.publish(event(&base(), Action::Create, &[id, ""]));
    }
    deliver_all(&broker);
    for client in &mut clients {
        assert_eq!(read(client), ["All test/*  a", "All test/*  b", "All test/*  c"]);
    }
}

#[test]
fn fan_out_lets_others_have_their_turn() {
    let broker = broker(Settings::default());
    let clients: Vec<Subscriber> =
        (0..4 * REALTIME_SENDS_PER_TURN_MAX).map(|_| broker.connect(HERE)).collect();
    clients.iter().for_each(|client| subscribe(&broker, client, None, &["test/*"]));
    broker.publish(event(&base(), Action::Create, &["a", ""]));
    let delivery = smol::block_on(broker.next());
    let (group, _) = broker.groups(&delivery).remove(0);
    let octets = broker.hold(Vec::new());
    let mut sending = pin!(broker.send(&delivery, &group, (&octets, &octets)));
    let mut turns = 0;
    let mut cx = Context::from_waker(Waker::noop());
    while sending.as_mut().poll(&mut cx).is_pending() {
        turns += 1;
    }
    assert!((3..=4).contains(&turns), "{turns}");
}

#[test]
fn a_client_whose_queue_is_full_is_cut_and_nobody_else_waits() {
    let settings = Settings { queue_messages_max: 3, ..Settings::default() };
    let broker = broker(settings);
    let (mut stuck, mut reads) = (broker.connect(HERE), broker.connect(HERE));
    subscribe(&broker, &stuck, None, &["test/*"]);
    subscribe(&broker, &reads, None, &["test/*"]);
    for id in ["a", "b", "c"] {
        broker.publish(event(&base(), Action::Create, &[id, ""]));
    }
    deliver_all(&broker);
    assert_eq!(read(&mut reads).len(), 3);
    assert!(!is_cut(&mut stuck), "as many as there is room for");
    broker.publish(event(&base(), Action::Create, &["d", ""]));
    deliver_all(&broker);
    assert!(is_cut(&mut stuck));
    assert_eq!(poll(&mut stuck), Poll::Ready(None), "what waited is gone");
    assert_eq!(read(&mut reads), ["All test/*  d"]);
    drop(stuck);
    assert_eq!(broker.client_count(), 1);
}

#[test]
fn one_message_may_be_longer_than_a_queue_but_not_the_second() {
    let broker = broker(Settings { queue_bytes_max: 10, ..Settings::default() });
    let mut client = broker.connect(HERE);
    subscribe(&broker, &client, None, &["test/*"]);
    broker.publish(event(&base(), Action::Create, &["long", ""]));
    deliver_all(&broker);
    assert_eq!(read(&mut client), ["All test/*  long"]);
    broker.publish(event(&base(), Action::Create, &["1", ""]));
    broker.publish(event(&base(), Action::Create, &["2", ""]));
    deliver_all(&broker);
    assert!(is_cut(&mut client));
}

#[test]
fn when_memory_is_out_those_who_are_behind_go_and_the_others_stay() {
    let broker = broker(Settings { held_bytes_max: 100, ..Settings::default() });
    let (mut behind, mut reads) = (broker.connect(HERE), broker.connect(HERE));
    subscribe(&broker, &behind, None, &["test/*"]);
    subscribe(&broker, &reads, None, &["test/*"]);
    for id in 0..20 {
        broker.publish(event(&base(), Action::Create, &[&id.to_string(), ""]));
        deliver_all(&broker);
        assert_eq!(read(&mut reads), [format!("All test/*  {id}")]);
    }
    assert!(is_cut(&mut behind) && !is_cut(&mut reads));
}

#[test]
fn whoever_would_miss_a_change_is_cut() {
    let broker = broker(Settings { backlog_events_max: 2, ..Settings::default() });
    let (mut client, mut other) = (broker.connect(HERE), broker.connect(HERE));
    subscribe(&broker, &client, None, &["test/*"]);
    subscribe(&broker, &other, None, &["else/*"]);
    for id in ["a", "b"] {
        broker.publish(event(&base(), Action::Create, &[id, ""]));
    }
    assert!(!is_cut(&mut client));
    broker.publish(event(&base(), Action::Create, &["c", ""]));
    assert!(is_cut(&mut client) && !is_cut(&mut other));
    subscribe(&broker, &other, None, &["test/x"]);
    broker.overwhelm(&base());
    assert!(is_cut(&mut other));
}

#[test]
fn a_change_that_waits_is_not_lost_by_subscribing_anew_nor_told_to_newcomers() {
    let broker = broker(Settings::default());
    let users = users();
    let who = auth(&users, "u1", "k");
    let (mut client, mut later) = (broker.connect(HERE), broker.connect(HERE));
    subscribe(&broker, &client, None, &["test/*"]);
    broker.publish(event(&base(), Action::Create, &["a", ""]));
    subscribe(&broker, &client, Some(&who), &["test/*", "more/*"]);
    subscribe(&broker, &later, None, &["test/*"]);
    deliver_all(&broker);
    assert_eq!(read(&mut client), ["All test/* u1 a"]);
    assert_eq!(read(&mut later), [""; 0]);
    subscribe(&broker, &client, Some(&who), &["more/*"]);
    broker.publish(event(&base(), Action::Create, &["b", ""]));
    deliver_all(&broker);
    assert_eq!(read(&mut client), [""; 0]);
    assert_eq!(read(&mut later), ["All test/*  b"]);
}

#[test]
fn a_client_is_found_by_its_id_from_its_address_as_itself() {
    let broker = broker(Settings::default());
    let users = users();
    let client = broker.connect(HERE);
    let there = IpAddr::from([192, 0, 2, 1]);
    let try_as =
        |id: &str, address, auth: Option<Auth>| broker.subscribe(id, address, auth, vec![]);
    let (one, two) = (auth(&users, "u1", "k"), auth(&users, "u2", "k"));
    assert_eq!(try_as("x", HERE, None), Err(SubscribeError::UnknownClient));
    assert_eq!(try_as(client.id(), there, None), Err(SubscribeError::OtherAddress));
    assert_eq!(try_as(client.id(), HERE, None), Ok(()));
    assert_eq!(try_as(client.id(), HERE, Some(one.clone())), Ok(()));
    assert_eq!(try_as(client.id(), HERE, Some(one)), Ok(()));
    assert_eq!(try_as(client.id(), HERE, Some(two)), Err(SubscribeError::OtherAuth));
    assert_eq!(try_as(client.id(), HERE, None), Err(SubscribeError::OtherAuth));
}

#[test]
fn an_identity_follows_its_record_and_is_withdrawn_with_its_key() {
    let broker = broker(Settings::default());
    let users = users();
    let mut client = broker.connect(HERE);
    subscribe(&broker, &client, Some(&auth(&users, "u1", "k")), &["test/*"]);
    let listens_as = |client: &mut Subscriber| {
        broker.publish(event(&base(), Action::Create, &["r", ""]));
        deliver_all(&broker);
        read(client).remove(0)
    };
    let mark = broker.auth_changes();
    broker.publish(event(&users, Action::Update, &["u2", "k2"]));
    broker.publish(event(&users, Action::Update, &["u1", "k"]));
    assert_eq!(broker.auth_changes(), mark + 2);
    assert_eq!(listens_as(&mut client), "All test/* u1 r");
    // It counts for what waits already.
    broker.publish(event(&base(), Action::Create, &["r", ""]));
    broker.publish(event(&users, Action::Update, &["u1", "other"]));
    deliver_all(&broker);
    assert_eq!(read(&mut client), ["All test/*  r"]);
    subscribe(&broker, &client, Some(&auth(&users, "u1", "other")), &["test/*"]);
    assert_eq!(listens_as(&mut client), "All test/* u1 r");
    broker.publish(event(&users, Action::Delete, &["u1", "other"]));
    assert_eq!(listens_as(&mut client), "All test/*  r");
}

#[test]
fn identities_go_with_their_collection_or_its_secret() {
    let broker = broker(Settings::default());
    let users = users();
    let mut client = broker.connect(HERE);
    let mut listens_as = |schema: &Schema| {
        subscribe(&broker, &client, Some(&auth(&users, "u1", "k")), &["test/*"]);
        broker.schema_changed(schema);
        broker.publish(event(&base(), Action::Create, &["r", ""]));
        deliver_all(&broker);
        read(&mut client).remove(0)
    };
    let mut renamed = Collection::clone(&users);
    renamed.name = "people".into();
    let mut rekeyed = renamed.clone();
    rekeyed.options.insert("authToken".into(), serde_json::json!({"secret": "t"}));
    assert_eq!(listens_as(&Schema::new(1, vec![Arc::new(renamed)])), "All test/* u1 r");
    assert_eq!(listens_as(&Schema::new(2, vec![Arc::new(rekeyed)])), "All test/*  r");
    assert_eq!(listens_as(&Schema::new(3, vec![])), "All test/*  r");
}

#[test]
fn a_client_is_cut_when_it_is_idle_or_old() {
    let at_once = Duration::ZERO;
    let idle = broker(Settings { idle: at_once, ..Settings::default() });
    assert!(is_cut(&mut idle.connect(HERE)));
    let old = broker(Settings { life: at_once, ..Settings::default() });
    assert!(is_cut(&mut old.connect(HERE)));
    let mut stays = broker(Settings::default()).connect(HERE);
    assert!(!is_cut(&mut stays));
    // The timer wakes it by itself.
    let soon = Settings { idle: Duration::from_millis(5), ..Settings::default() };
    let mut soon = broker(soon).connect(HERE);
    smol::block_on(std::future::poll_fn(|cx| soon.poll_cut(cx)));
}

#[test]
fn all_subscriptions_together_are_bounded_and_nothing_is_left_of_those_that_went() {
    let broker = broker(Settings { topics_bytes_max: 2000, ..Settings::default() });
    let (first, second) = (broker.connect(HERE), broker.connect(HERE));
    let long = "x".repeat(300);
    subscribe(&broker, &first, None, &[&long]);
    let refused = broker.subscribe(second.id(), HERE, None, vec![topic(&long)]);
    assert_eq!(refused, Err(SubscribeError::NoRoom));
    subscribe(&broker, &first, None, &[]);
    subscribe(&broker, &second, None, &[&long]);
    drop(second);
    subscribe(&broker, &first, None, &[&long]);
}
