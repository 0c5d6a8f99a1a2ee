//! SIGKILL while collections change: collections and tables agree, and what was acknowledged is
//! there.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::mpsc::{Sender, channel};

use serde_json::{Value, json};

use crate::harness::client::PATIENCE;
use crate::harness::rest::Rest;
use crate::harness::rng::{Rng, bound, seed};
use crate::harness::server::Home;

const COLLECTIONS: &str = "/api/collections";
const NAMES: usize = 6;

/// The fields of each collection that was acknowledged, `None` where it was deleted. A collection
/// is taken out while a request about it is on its way.
type Certain = BTreeMap<String, Option<Value>>;

#[test]
fn collections_and_tables_agree_however_often_it_is_killed() {
    let rounds = bound("POCKETDNS_TEST_KILLS", 12);
    let mut rng = Rng::new(seed(11));
    let home = Home::with_superuser("schema");
    let mut token = None;
    for round in 0..rounds {
        let server = home.serve();
        let token = token.get_or_insert_with(|| Rest::sign_in(server.http).token);
        let (acknowledged, acknowledgements) = channel();
        let (http, changes) = (server.http, Rng::new(rng.next()));
        let certain = std::thread::scope(|scope| {
            let token = token.clone();
            let changer =
                scope.spawn(move || change_until_killed(http, token, changes, &acknowledged));
            for _ in 0..5 + rng.below(40) {
                acknowledgements.recv_timeout(PATIENCE).expect("changes are acknowledged");
            }
            server.kill();
            changer.join().expect("the changer does not fail")
        });
        let server = home.serve();
        check(&mut Rest::with_token(server.http, token.clone()), &certain, round);
    }
}

fn stored(rest: &mut Rest) -> BTreeMap<String, Value> {
    let list = rest.get(&format!("{COLLECTIONS}?perPage=500&filter=name~'killed'")).expect(200);
    let items = list["items"].as_array().expect("items");
    items
        .iter()
        .map(|item| (item["name"].as_str().expect("a name").to_owned(), item["fields"].clone()))
        .collect()
}

fn change_until_killed(
    http: SocketAddr,
    token: String,
    mut rng: Rng,
    acknowledged: &Sender<()>,
) -> Certain {
    let mut rest = Rest::with_token(http, token);
    let found = stored(&mut rest);
    let name = |at: usize| format!("killed{at}");
    let mut certain: Certain =
        (0..NAMES).map(|at| (name(at), found.get(&name(at)).cloned())).collect();
    loop {
        let name = name(rng.below(NAMES));
        let Some(before) = certain.remove(&name) else { break };
        let path = format!("{COLLECTIONS}/{name}");
        let call = match &before {
            None => {
                let fields = json!([a_field(&mut rng), a_field(&mut rng)]);
                ("POST", COLLECTIONS.to_owned(), Some(json!({"name": name, "fields": fields})))
            }
            Some(_) if rng.below(8) == 0 => ("DELETE", path, None),
            Some(_) if rng.below(3) == 0 => ("POST", format!("{path}/records"), Some(json!({}))),
            Some(fields) => ("PATCH", path, Some(json!({"fields": changed(fields, &mut rng)}))),
        };
        let Ok(reply) = rest.try_call(call.0, &call.1, call.2.as_ref()) else { break };
        assert!(matches!(reply.status, 200 | 204), "{call:?}: {}", reply.text());
        let after = match reply.status {
            204 => None,
            _ if call.1.ends_with("records") => before,
            _ => Some(reply.json()["fields"].clone()),
        };
        certain.insert(name, after);
        if acknowledged.send(()).is_err() {
            break;
        }
    }
    certain
}

/// One that no field had before.
fn new_name(rng: &mut Rng) -> Value {
    format!("f{}", rng.next()).into()
}

fn a_field(rng: &mut Rng) -> Value {
    let kinds = ["text", "number", "bool", "json", "select"];
    let kind = kinds[rng.below(kinds.len())];
    json!({"type": kind, "name": new_name(rng), "values": ["a", "b"], "maxSelect": 1 + rng.below(2)})
}

/// The fields with one added, dropped, renamed, swapped or made single or multiple. The id stays.
fn changed(fields: &Value, rng: &mut Rng) -> Value {
    let mut fields = fields.as_array().expect("fields").clone();
    let last = fields.len() - 1;
    match rng.below(4) {
        0 if last >= 2 => {
            let (a, b) = (fields[1]["name"].clone(), fields[2]["name"].clone());
            (fields[1]["name"], fields[2]["name"]) = (b, a);
        }
        1 if last >= 2 => drop(fields.remove(1 + rng.below(last))),
        2 if last >= 1 => {
            let max = fields[last]["maxSelect"].as_u64();
            match max {
                Some(max) => fields[last]["maxSelect"] = json!(3 - max),
                None => fields[last]["name"] = new_name(rng),
            }
        }
        _ if last < 8 => fields.push(a_field(rng)),
        _ => drop(fields.remove(1)),
    }
    fields.into()
}

/// What was acknowledged is there, and each collection can be read and written.
fn check(rest: &mut Rest, certain: &Certain, round: usize) {
    let stored = stored(rest);
    for (name, fields) in certain {
        assert_eq!(stored.get(name), fields.as_ref(), "round {round}: {name}");
    }
    for (name, fields) in &stored {
        let records = format!("{COLLECTIONS}/{name}/records");
        let made = rest.call("POST", &records, Some(&json!({}))).expect(200);
        let list = rest.get(&format!("{records}?sort=-@rowid&perPage=1")).expect(200);
        assert_eq!(list["items"][0], made, "round {round}: {name}");
        for field in fields.as_array().expect("fields") {
            let key = field["name"].as_str().expect("a name");
            assert!(made.get(key).is_some(), "round {round}: {name} lacks {key}");
        }
    }
}
