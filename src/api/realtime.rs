//! Realtime: events of records to whoever subscribed, as server-sent events.
//!
//! `GET` opens the stream, and its first event tells the client its id; `POST` with that id says
//! what it listens to, and as whom. [`deliver`] is the other half: it decides once for each group
//! of listeners whether they may see a change, and encodes it once for all who see the same.

use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use serde::Deserialize;
use serde_json::Value as Json;

use super::decode;
use super::error::ApiError;
use super::fields::Fields;
use super::json;
use super::{State, caller, token_of};
use crate::auth::{Identity, SUPERUSERS};
use crate::http::request::form_fields;
use crate::http::{Feed, Octets, Request, Response};
use crate::limits::{
    REALTIME_BODY_BYTES_INLINE_MAX, REALTIME_BODY_BYTES_MAX, REALTIME_ENCODE_BYTES_INLINE_MAX,
    REALTIME_GROUPS_PER_READ_MAX, REALTIME_ID_CHARS_MAX, REALTIME_SENDS_PER_DECISION,
    REALTIME_TOPIC_CHARS_MAX, REALTIME_TOPICS_MAX,
};
use crate::model::filter::{self, RequestInfo};
use crate::model::{FieldError, Kind, Record, RecordEvent};
use crate::realtime::{Auth, Delivery, Group, Scope, SubscribeError, Subscriber, Topic};
use crate::records::watch::{self, Sight};
use crate::records::{Refused, Seen, enrich};
use crate::store::{JobError, Reader};

/// `GET /api/realtime`
pub(super) async fn connect(state: Rc<State>, request: Request) -> Result<Response, ApiError> {
    let subscriber = state.realtime.connect(request.real_ip);
    let events = Box::new(Events::new(subscriber));
    let mut response = Response::streaming(200, "text/event-stream", events);
    response.push_header("Cache-Control", "no-store");
    // nginx would keep the events back until it has a buffer full of them.
    response.push_header("X-Accel-Buffering", "no");
    Ok(response)
}

/// What a client gets: its messages as an event stream (WHATWG HTML §9.2.6). PocketBase writes no
/// blank after a colon, and its clients read their own id from each event's.
struct Events {
    subscriber: Subscriber,
    /// The line that begins each event.
    id_line: Octets,
    /// The rest of an event that was begun, last part first.
    rest: [Option<Octets>; 2],
}

impl Events {
    fn new(subscriber: Subscriber) -> Self {
        let id = subscriber.id();
        let id_line: Octets = Rc::new(format!("id:{id}\n").into_bytes());
        let hello = format!("event:PB_CONNECT\ndata:{{\"clientId\":\"{id}\"}}\n\n");
        let hello: Octets = Rc::new(hello.into_bytes());
        let rest = [Some(hello), Some(Rc::clone(&id_line))];
        Self { subscriber, id_line, rest }
    }
}

impl Feed for Events {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Octets>> {
        if let Some(part) = self.rest.iter_mut().rev().find_map(Option::take) {
            return Poll::Ready(Some(part));
        }
        self.subscriber.poll_message(cx).map(|message| {
            let (head, data) = message?;
            self.rest = [Some(data), Some(head)];
            Some(Rc::clone(&self.id_line))
        })
    }

    fn poll_cut(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.subscriber.poll_cut(cx)
    }
}

// ---- subscribing --------------------------------------------------------------------------

/// What a client sends to subscribe.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Form {
    #[serde(rename = "clientId")]
    client_id: Option<String>,
    subscriptions: Option<Vec<Option<String>>>,
}

impl Form {
    fn set(&mut self, key: &str, value: String) {
        match key {
            "clientId" => drop(self.client_id.get_or_insert(value)),
            "subscriptions" => self.subscriptions.get_or_insert_default().push(Some(value)),
            _ => {}
        }
    }

    /// The client's id and its topics, or what is wrong with them.
    fn finish(self) -> Result<(String, Vec<Topic>), Vec<FieldError>> {
        let errors = self.check();
        if !errors.is_empty() {
            return Err(errors);
        }
        let texts = self.subscriptions.unwrap_or_default().into_iter().flatten();
        Ok((self.client_id.unwrap_or_default(), texts.map(topic).collect()))
    }

    /// As PocketBase checks it.
    fn check(&self) -> Vec<FieldError> {
        let mut errors = Vec::new();
        let client_id = self.client_id.as_deref().unwrap_or_default();
        if client_id.is_empty() {
            errors.push(FieldError::new("clientId", "validation_required", "Cannot be blank"));
        } else if client_id.len() > REALTIME_ID_CHARS_MAX {
            let message = format!("The length must be between 1 and {REALTIME_ID_CHARS_MAX}");
            let error = FieldError::new("clientId", "validation_length_out_of_range", message);
            errors.push(error.with("min", 1).with("max", REALTIME_ID_CHARS_MAX));
        }
        let too_long = |field: String, max: usize| {
            let message = format!("The length must be no more than {max}");
            let error = FieldError::new(field, "validation_length_too_long", message);
            error.with("min", 0).with("max", max)
        };
        let topics = self.subscriptions.as_deref().unwrap_or_default();
        if topics.len() > REALTIME_TOPICS_MAX {
            errors.push(too_long("subscriptions".to_owned(), REALTIME_TOPICS_MAX));
            return errors;
        }
        for (at, topic) in topics.iter().enumerate() {
            if topic.as_ref().is_some_and(|topic| topic.len() > REALTIME_TOPIC_CHARS_MAX) {
                errors.push(too_long(format!("subscriptions.{at}"), REALTIME_TOPIC_CHARS_MAX));
            }
        }
        errors
    }
}

/// `POST /api/realtime`
pub(super) async fn subscribe(
    state: Rc<State>,
    mut request: Request,
) -> Result<Response, ApiError> {
    let form = decode::long_members(
        &mut request,
        REALTIME_BODY_BYTES_MAX,
        REALTIME_BODY_BYTES_INLINE_MAX,
        Form::set,
        Form::finish,
    );
    let (client_id, topics) = form.await?.map_err(|errors| {
        let message = "Something went wrong while processing your request.";
        ApiError::invalid(message, errors)
    })?;
    let (client_address, token) = (request.real_ip, token_of(&request));
    let auth = loop {
        // What is read on another thread may be withdrawn before it is back.
        let mark = state.realtime.auth_changes();
        let auth = match token.clone() {
            Some(token) => state.store.read(move |reader| caller(reader, Some(&token))).await?,
            None => None,
        };
        if state.realtime.auth_changes() == mark {
            break auth;
        }
    };
    let auth = auth.map(|Identity { collection, record }| Arc::new((collection, record)));
    let subscribed = state.realtime.subscribe(&client_id, client_address, auth, topics);
    subscribed.map_err(|error| match error {
        SubscribeError::UnknownClient => ApiError::new(404, "Missing or invalid client id."),
        SubscribeError::OtherAddress => ApiError::new(400, "Invalid realtime client."),
        SubscribeError::OtherAuth => {
            let message = "The current and the previous request authorization don't match.";
            ApiError::new(403, message)
        }
        SubscribeError::NoRoom => {
            ApiError::new(503, "Too many subscriptions at once, try again later.")
        }
    })?;
    Ok(Response::empty(204))
}

/// A subscription with the options that it carries behind its `?`: `options={"query":{…},
/// "headers":{…}}`, percent-encoded. Options that cannot be read are none.
#[must_use]
pub fn topic(text: String) -> Topic {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Options {
        query: Option<BTreeMap<String, Json>>,
        headers: Option<BTreeMap<String, Json>>,
    }
    let (before, _fragment) = text.split_once('#').unwrap_or((&text, ""));
    let encoded = before.split_once('?').map_or("", |(_, query)| query);
    let options = form_fields(encoded.as_bytes()).unwrap_or_default();
    let options = options.into_iter().find(|(name, _)| name == "options");
    let options: Options =
        options.and_then(|(_, json)| serde_json::from_str(&json).ok()).unwrap_or_default();
    let texts = |members: Option<BTreeMap<String, Json>>| {
        members.unwrap_or_default().into_iter().map(|(name, value)| (name, text_of(value)))
    };
    let query = texts(options.query).collect();
    let headers = texts(options.headers);
    let headers = headers.map(|(name, value)| (RequestInfo::header_key(&name), value)).collect();
    Topic { text: text.into(), query, headers }
}

/// A value as Go's cast makes a text of it.
fn text_of(value: Json) -> String {
    match value {
        Json::String(text) => text,
        Json::Bool(truth) => truth.to_string(),
        Json::Number(number) => number.to_string(),
        Json::Null | Json::Array(_) | Json::Object(_) => String::new(),
    }
}

// ---- events -------------------------------------------------------------------------------

/// Delivers changes to those who listen, one after the other in commit order.
pub async fn deliver(state: Rc<State>) -> Infallible {
    loop {
        let delivery = state.realtime.next().await;
        loop {
            let mark = state.realtime.subscriptions_mark();
            deliver_once(&state, &delivery).await;
            // Whoever changed places meanwhile may have been passed over.
            if state.realtime.subscriptions_mark() == mark {
                break;
            }
        }
    }
}

/// What is known of a group and a change.
enum Answer {
    /// Nothing yet: it takes a reader.
    Unknown,
    /// Whether it hears of the change. What it gets is the same for many.
    Sight(Sight),
    /// The JSON that it gets, and nobody else.
    Own(Vec<u8>),
}

/// Delivers a change to all groups that may see it and whose members did not hear of it yet.
async fn deliver_once(state: &State, delivery: &Delivery) {
    let mut encoded = Encoded::default();
    let event = &delivery.event;
    for groups in state.realtime.groups(delivery).chunks(REALTIME_GROUPS_PER_READ_MAX) {
        let listeners: Vec<_> = groups.iter().map(|(group, _)| info(group)).collect();
        let mut answers = Vec::with_capacity(groups.len());
        for ((_, scope), info) in groups.iter().zip(&listeners) {
            state.realtime.spend(REALTIME_SENDS_PER_DECISION).await;
            let sight = watch::at_once(&state.store.schema(), event, rule(event, *scope), info);
            answers.push(match sight {
                Some(Sight::Seen { .. }) if expand(info).is_some() => Answer::Unknown,
                Some(sight) => Answer::Sight(sight),
                None => Answer::Unknown,
            });
        }
        if answers.iter().any(|answer| matches!(answer, Answer::Unknown)) {
            answers = look(state, delivery, groups, listeners, answers).await;
        }
        for ((group, _), answer) in groups.iter().zip(answers) {
            let data = match answer {
                Answer::Sight(Sight::Seen { manages }) => {
                    let auth = group.auth();
                    encoded.data(state, event, group.topic(), auth.as_ref(), manages).await
                }
                Answer::Own(data) => state.realtime.hold(data),
                Answer::Sight(Sight::Hidden) | Answer::Unknown => continue,
            };
            let head = encoded.head(state, group.topic());
            state.realtime.send(delivery, group, (&head, &data)).await;
        }
    }
}

/// Finds out on a reader's thread what could not be told at once.
async fn look(
    state: &State,
    delivery: &Delivery,
    groups: &[(Rc<Group>, Scope)],
    listeners: Vec<RequestInfo>,
    answers: Vec<Answer>,
) -> Vec<Answer> {
    let (event, commit) = (Arc::clone(&delivery.event), delivery.commit());
    let scopes: Vec<Scope> = groups.iter().map(|(_, scope)| *scope).collect();
    let looking = state.store.read(move |reader| {
        let listeners = scopes.into_iter().zip(listeners).zip(answers);
        let look = |((scope, info), answer)| {
            let Answer::Unknown = answer else { return Ok(answer) };
            let sight = watch::with_rows(reader, &event, &commit, rule(&event, scope), &info)?;
            match (sight, expand(&info)) {
                (Sight::Seen { manages }, Some(expand)) => {
                    expanded(reader, &event, &info, manages, expand).map(Answer::Own)
                }
                (sight, _) => Ok(Answer::Sight(sight)),
            }
        };
        listeners.map(look).collect::<Result<Vec<_>, Refused>>()
    });
    match looking.await {
        Ok(answers) => answers,
        Err(error) => {
            // Nobody can tell who may hear of it, and whoever does not would never know.
            match error {
                JobError::Refused(error) => log::error!("cannot tell of a change; error={error}"),
                JobError::Store(error) => log::error!("cannot tell of a change; error={error}"),
            }
            groups.iter().for_each(|(group, _)| state.realtime.cut(group));
            Vec::new()
        }
    }
}

/// The JSON of a change with the related records that a group asks for, as the database is now.
fn expanded(
    reader: &Reader<'_>,
    event: &RecordEvent,
    info: &RequestInfo,
    manages: bool,
    expand: &str,
) -> Result<Vec<u8>, Refused> {
    let (collection, record) = (&event.collection, Record::clone(&event.record));
    let seen = enrich(reader, collection, info, vec![record], Some(expand))?;
    let caller = info.auth.clone().map(|(collection, record)| Identity { collection, record });
    let fields = info.query.get("fields").map(String::as_str).unwrap_or_default();
    let fields = Fields::parse_leniently(fields);
    let Some(mut seen) = seen.into_iter().next() else { return Err(Refused::NotFound) };
    seen.is_managed |= manages;
    let data = json::event(collection, caller.as_ref(), &seen, event.action, &fields);
    Ok((data + "\n\n").into_bytes())
}

/// The related records that a group asks for.
fn expand(info: &RequestInfo) -> Option<&str> {
    info.query.get("expand").map(String::as_str).filter(|expand| !expand.is_empty())
}

/// The rule that decides.
fn rule(event: &RecordEvent, scope: Scope) -> Option<&str> {
    match scope {
        Scope::One => event.collection.view_rule.as_deref(),
        Scope::All => event.collection.list_rule.as_deref(),
    }
}

/// What rules may know of a group.
fn info(group: &Group) -> RequestInfo {
    let topic = group.topic();
    RequestInfo {
        context: filter::Context::Realtime,
        method: "GET".to_owned(),
        query: topic.query.clone(),
        headers: topic.headers.clone(),
        auth: group.auth().map(|auth| (*auth).clone()),
        ..RequestInfo::default()
    }
}

/// What was encoded of one change so far.
#[derive(Default)]
struct Encoded {
    /// By the fields asked for, and by what a caller sees.
    data: HashMap<(String, View), Octets>,
    /// The last topic's part. Groups come by their topics.
    head: Option<(Rc<Topic>, Octets)>,
}

/// What somebody sees of a record that others may not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct View {
    /// Hidden fields.
    is_superuser: bool,
    /// A mail address that is not for everybody.
    shows_email: bool,
}

impl Encoded {
    /// What stands before the JSON.
    fn head(&mut self, state: &State, topic: &Rc<Topic>) -> Octets {
        if let Some((of, head)) = &self.head
            && Rc::ptr_eq(of, topic)
        {
            return Rc::clone(head);
        }
        let head = format!("event:{}\ndata:", one_line(&topic.text));
        let head = state.realtime.hold(head.into_bytes());
        self.head = Some((Rc::clone(topic), Rc::clone(&head)));
        head
    }

    /// The JSON that a group gets, and the end of the event.
    async fn data(
        &mut self,
        state: &State,
        event: &Arc<RecordEvent>,
        topic: &Topic,
        auth: Option<&Auth>,
        manages: bool,
    ) -> Octets {
        let view = View::of(event, auth, manages);
        let key = (topic.query.get("fields").cloned().unwrap_or_default(), view);
        if let Some(data) = self.data.get(&key) {
            return Rc::clone(data);
        }
        // What is encoded is for all who see as much, so it is nobody's in particular.
        let caller = auth.filter(|_| view.is_superuser).map(|auth| {
            let (collection, record) = &**auth;
            Identity { collection: Arc::clone(collection), record: record.clone() }
        });
        let (told, fields) = (Arc::clone(event), Fields::parse_leniently(&key.0));
        let encode = move || {
            let seen = Seen::new(Record::clone(&told.record), view.shows_email);
            let data = json::event(&told.collection, caller.as_ref(), &seen, told.action, &fields);
            (data + "\n\n").into_bytes()
        };
        let data = if event.bytes() <= REALTIME_ENCODE_BYTES_INLINE_MAX {
            encode()
        } else {
            smol::unblock(encode).await
        };
        let data = state.realtime.hold(data);
        self.data.insert(key, Rc::clone(&data));
        data
    }
}

impl View {
    fn of(event: &RecordEvent, auth: Option<&Auth>, manages: bool) -> Self {
        let is_superuser = auth.is_some_and(|auth| auth.0.name == SUPERUSERS);
        let is_own = auth.is_some_and(|auth| {
            let (collection, record) = &**auth;
            collection.id == event.collection.id
                && record.id(collection) == event.record.id(&event.collection)
        });
        let is_auth = event.collection.kind == Kind::Auth;
        Self { is_superuser, shows_email: is_auth && (is_superuser || is_own || manages) }
    }
}

/// The name of an event ends with its line: a topic that would go on behind it does not.
fn one_line(topic: &str) -> &str {
    topic.split(['\r', '\n']).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(members: &BTreeMap<String, String>) -> Vec<String> {
        members.iter().map(|(name, value)| format!("{name}={value}")).collect()
    }

    #[test]
    fn options_stand_behind_the_question_mark_and_every_value_becomes_text() {
        let json =
            r#"{"query":{"a":"b c","n":1,"t":true,"z":null,"l":[1]},"headers":{"X-My-Token":"x"}}"#;
        let encoded: String = json.bytes().map(|octet| format!("%{octet:02x}")).collect();
        let text = format!("posts/*?x=1&options={encoded}&options=%7B%7D#options=2");
        let topic = topic(text.clone());
        assert_eq!((&*topic.text, topic.key()), (text.as_str(), "posts/*"));
        assert_eq!(pairs(&topic.query), ["a=b c", "l=", "n=1", "t=true", "z="]);
        assert_eq!(pairs(&topic.headers), ["x_my_token=x"]);
    }

    #[test]
    fn options_that_cannot_be_read_are_none() {
        for text in [
            "",
            "posts",
            "posts?",
            "posts?options",
            "posts?options=%7B",
            "posts?options=[]",
            "posts?options=%zz",
            "posts#?options=%7B%22query%22%3A%7B%22a%22%3A1%7D%7D",
            "posts?options=%7B%22query%22%3A1%7D",
        ] {
            let topic = topic(text.to_owned());
            assert_eq!((&*topic.text, topic.query.len(), topic.headers.len()), (text, 0, 0));
        }
    }

    #[test]
    fn a_topic_cannot_forge_a_second_line() {
        assert_eq!(one_line("a\ndata:{}"), "a");
        assert_eq!(one_line("a\r\nid:x"), "a");
    }
}
