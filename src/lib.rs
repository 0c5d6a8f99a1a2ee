//! pocketdns: an authoritative DNS server whose records live in an encrypted database that speaks
//! PocketBase's API. `ARCHITECTURE.md` is the map; the modules below stand in reading order.

pub mod clock;
pub mod limits;

pub mod wire;
pub mod masterfile;
pub mod zone;
pub mod dns;

pub mod model;
pub mod rr;
pub mod store;
pub mod publish;
pub mod records;
pub mod auth;

pub mod http;
pub mod api;
pub mod config;
pub mod sys;
