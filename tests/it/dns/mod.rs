//! Questions over UDP and TCP, and the replies.

mod basics;
mod differential;
mod masterfile;
mod probes;
mod visible;
mod world;

pub(crate) use basics::SAMPLE;
