//! The records API as a superuser sees it.

use std::io::Result;
use std::net::SocketAddr;

use serde_json::{Value, json};

use super::http::{Http, Response};
use super::server::{EMAIL, PASSWORD};

pub(crate) const RECORDS: &str = "/api/collections/coredns_records/records";
pub(crate) const SIGN_IN: &str = "/api/collections/_superusers/auth-with-password";

/// A connection and the token that goes with each of its requests.
pub(crate) struct Rest {
    http: Http,
    pub(crate) token: String,
}

impl Rest {
    /// Signs in as the superuser that `Home::with_superuser` made.
    pub(crate) fn sign_in(server: SocketAddr) -> Self {
        let mut guest = Self::with_token(server, String::new());
        let body = json!({"identity": EMAIL, "password": PASSWORD});
        let token = guest.call("POST", SIGN_IN, Some(&body)).expect(200)["token"].clone();
        guest.token = token.as_str().expect("a token is text").to_owned();
        guest
    }

    /// An empty token is a guest's.
    pub(crate) fn with_token(server: SocketAddr, token: String) -> Self {
        Self { http: Http::connect(server), token }
    }

    pub(crate) fn call(&mut self, method: &str, path: &str, body: Option<&Value>) -> Response {
        self.try_call(method, path, body).unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }

    pub(crate) fn try_call(
        &mut self,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Response> {
        let mut headers = Vec::new();
        if !self.token.is_empty() {
            headers.push(("authorization", self.token.as_str()));
        }
        if body.is_some() {
            headers.push(("content-type", "application/json"));
        }
        let body = body.map(Value::to_string);
        self.http.try_request(method, path, &headers, body.as_deref().map(str::as_bytes))
    }

    pub(crate) fn get(&mut self, path: &str) -> Response {
        self.call("GET", path, None)
    }

    /// Creates a DNS record; its id.
    #[track_caller]
    pub(crate) fn create(&mut self, record: &Value) -> String {
        let made = self.call("POST", RECORDS, Some(record)).expect(200);
        made["id"].as_str().expect("an id is text").to_owned()
    }

    #[track_caller]
    pub(crate) fn update(&mut self, id: &str, change: &Value) -> Value {
        self.call("PATCH", &format!("{RECORDS}/{id}"), Some(change)).expect(200)
    }

    #[track_caller]
    pub(crate) fn delete(&mut self, id: &str) {
        self.call("DELETE", &format!("{RECORDS}/{id}"), None).expect(204);
    }

    /// Every stored DNS record.
    pub(crate) fn all_records(&mut self) -> Vec<Value> {
        let mut records = Vec::new();
        for page in 1.. {
            let path = format!("{RECORDS}?perPage=500&page={page}&skipTotal=1&sort=id");
            let list = self.get(&path).expect(200);
            let items = list["items"].as_array().expect("a list has items");
            records.extend_from_slice(items);
            if items.len() < 500 {
                break;
            }
        }
        records
    }
}

/// A record as it is posted.
pub(crate) fn record(zone: &str, name: &str, ttl: u32, record_type: &str, content: Value) -> Value {
    json!({"zone": zone, "name": name, "ttl": ttl, "record_type": record_type, "content": content})
}

/// An address record of `example.test.`.
pub(crate) fn address(name: &str, ip: &str) -> Value {
    record("example.test.", name, 300, "A", json!({"ip": ip}))
}
