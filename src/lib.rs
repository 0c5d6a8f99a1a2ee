//! pocketdns: an authoritative DNS server whose records live in an encrypted database that speaks
//! PocketBase's API. `ARCHITECTURE.md` is the map; the groups below stand in reading order.

// What every room may use.
pub mod clock;
pub mod limits;
pub mod sys;

// From octets to answers.
pub mod dns;
pub mod masterfile;
pub mod wire;
pub mod zone;

// From rows to zones.
pub mod activity;
pub mod auth;
pub mod collections;
pub mod files;
pub mod model;
pub mod moving;
pub mod publish;
pub mod records;
pub mod rr;
pub mod settings;
pub mod store;

// The surface of PocketBase.
pub mod api;
pub mod http;
pub mod realtime;

// The daemon and its command line.
pub mod app;
pub mod config;
pub mod control;
pub mod jobs;
