//! Questions over UDP and TCP, and the replies.

mod differential;
mod world;
