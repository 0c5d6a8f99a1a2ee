//! A realtime client: one connection that reads events, and requests that subscribe it.

use std::io::{BufRead as _, BufReader, Error, ErrorKind, Result, Write as _};
use std::net::{SocketAddr, TcpStream};

use serde_json::{Value, json};

use super::client::PATIENCE;
use super::rest::Rest;

/// An open event stream.
pub(crate) struct Sse {
    reader: BufReader<TcpStream>,
    /// The lines of the response's head.
    pub(crate) head: Vec<String>,
    /// What the server calls this client.
    pub(crate) id: String,
}

/// One event.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Event {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) data: Value,
}

impl Sse {
    pub(crate) fn connect(server: SocketAddr) -> Self {
        Self::try_connect(server).expect("a stream that begins with PB_CONNECT")
    }

    pub(crate) fn try_connect(server: SocketAddr) -> Result<Self> {
        Self::over(TcpStream::connect(server)?)
    }

    /// Over a connection that was made already.
    pub(crate) fn over(mut stream: TcpStream) -> Result<Self> {
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(b"GET /api/realtime HTTP/1.1\r\nhost: x\r\n\r\n")?;
        let mut sse =
            Self { reader: BufReader::with_capacity(512, stream), head: vec![], id: String::new() };
        loop {
            match sse.line()? {
                line if line.is_empty() => break,
                line => sse.head.push(line),
            }
        }
        let first = sse.try_next()?;
        if first.name != "PB_CONNECT" || first.data != json!({"clientId": first.id}) {
            return Err(Error::new(ErrorKind::InvalidData, format!("{first:?}")));
        }
        sse.id = first.id;
        Ok(sse)
    }

    /// Listens to `topics` as whoever `rest` is.
    #[track_caller]
    pub(crate) fn subscribe(&self, rest: &mut Rest, topics: &[&str]) {
        let body = json!({"clientId": self.id, "subscriptions": topics});
        rest.call("POST", "/api/realtime", Some(&body)).expect(204);
    }

    /// The next event.
    #[track_caller]
    pub(crate) fn next(&mut self) -> Event {
        self.try_next().expect("an event")
    }

    pub(crate) fn try_next(&mut self) -> Result<Event> {
        let mut event = Event { id: String::new(), name: String::new(), data: Value::Null };
        loop {
            let line = self.line()?;
            let bad = || Error::new(ErrorKind::InvalidData, format!("no event stream: {line:?}"));
            if line.is_empty() {
                return Ok(event);
            }
            let (field, value) = line.split_once(':').ok_or_else(bad)?;
            match field {
                "id" => event.id = value.to_owned(),
                "event" => event.name = value.to_owned(),
                "data" => event.data = serde_json::from_str(value)?,
                _ => return Err(bad()),
            }
        }
    }

    /// What was done to which record, by the next event.
    #[track_caller]
    pub(crate) fn next_change(&mut self) -> (String, String) {
        let event = self.next();
        let text = |value: &Value| value.as_str().expect("text").to_owned();
        (text(&event.data["action"]), text(&event.data["record"]["id"]))
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        if self.reader.read_line(&mut line)? == 0 {
            return Err(Error::new(ErrorKind::UnexpectedEof, "the server closed"));
        }
        Ok(line.trim_end_matches(['\r', '\n']).to_owned())
    }
}
