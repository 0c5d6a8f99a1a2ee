//! Everything that is seen from outside: through sockets, files and the command line.

mod dns;
mod harness;
