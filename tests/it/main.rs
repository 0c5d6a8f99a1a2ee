//! Everything that is seen from outside: through sockets, files and the command line.

mod alloc;
mod api;
mod cli;
mod clients;
mod corefile;
mod crash;
mod dns;
mod harness;
mod hostile;
mod keys;
mod load;
mod moving;
mod power;
mod realtime;
mod schema;
mod service;
mod web;
