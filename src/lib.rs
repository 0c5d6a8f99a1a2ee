//! pocketdns: an authoritative DNS server whose records live in an encrypted database that speaks
//! PocketBase's API. `ARCHITECTURE.md` is the map; the modules below stand in reading order.

pub mod app;
pub mod config;
pub mod limits;

pub mod dns;
pub mod masterfile;
pub mod wire;
pub mod zone;

pub mod model;
pub mod publish;
pub mod records;
pub mod rr;
pub mod store;

pub mod api;
pub mod auth;
pub mod control;
pub mod http;

pub mod clock;
pub mod sys;
