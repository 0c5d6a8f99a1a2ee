//! Every bound in one place. A name ends in its unit, then its qualifier: `body_bytes_max`.
//!
//! A limit that follows from a standard cites it; a limit we chose says why in a word.

// ---- DNS names and messages ---------------------------------------------------------------

/// Octets of a name on the wire, the final root label included (RFC 1035 §2.3.4).
pub const NAME_BYTES_MAX: usize = 255;
/// Octets of a label (RFC 1035 §2.3.4).
pub const LABEL_BYTES_MAX: usize = 63;
/// Labels of a name, the root label not counted: 127 one-octet labels fill 255 octets.
pub const NAME_LABELS_MAX: usize = 127;
/// Characters of a name written as text: each octet as `\DDD` at most, and the dots.
pub const NAME_TEXT_CHARS_MAX: usize = 4 * NAME_BYTES_MAX;
/// Octets of a character-string (RFC 1035 §3.3).
pub const CHARACTER_STRING_BYTES_MAX: usize = 255;
/// Octets of rdata: RDLENGTH has 16 bits (RFC 1035 §3.2.1).
pub const RDATA_BYTES_MAX: usize = 65_535;
/// A time to live has 31 bits (RFC 2181 §8).
pub const TTL_SECS_MAX: u32 = 0x7FFF_FFFF;
/// What a record with `ttl` 0 is served with, as in coredns-pocketbase.
pub const TTL_SECS_DEFAULT: u32 = 30;
/// Octets of an encoded RRset: it must fit a TCP message beside a header, the longest question
/// and an OPT record.
pub const RRSET_BYTES_MAX: usize = 65_535 - 12 - (NAME_BYTES_MAX + 4) - 11;

const _: () = assert!(NAME_LABELS_MAX * 2 < NAME_BYTES_MAX);
const _: () = assert!(RRSET_BYTES_MAX < RDATA_BYTES_MAX);

// ---- DNS service --------------------------------------------------------------------------

/// Octets of the largest UDP reply, whatever the client says it can take: the DNS flag day value,
/// which no path on the way fragments.
pub const UDP_REPLY_BYTES_MAX: usize = 1232;
/// Octets of a UDP reply to a client that says nothing, and the least it can say (RFC 6891 §6.2.3).
pub const UDP_REPLY_BYTES_PLAIN: usize = 512;
/// Octets of a TCP message (RFC 1035 §4.2.2).
pub const TCP_MESSAGE_BYTES_MAX: usize = 65_535;
/// CNAME and DNAME steps that one answer follows. Real chains have two or three.
pub const CHAIN_STEPS_MAX: usize = 16;
/// Different target names whose addresses one answer adds.
pub const ADDITIONAL_NAMES_MAX: usize = 32;

const _: () = assert!(UDP_REPLY_BYTES_PLAIN <= UDP_REPLY_BYTES_MAX);
// A chain with its DNAMEs stays where a 14-bit pointer reaches (RFC 1035 §4.1.4).
const _: () = assert!(12 + 259 + CHAIN_STEPS_MAX * 2 * (12 + NAME_BYTES_MAX) < 0x3FFF);

// ---- The store ----------------------------------------------------------------------------

/// Writes that share one transaction. More would not make an fsync cheaper per write, but would
/// make the first of them wait longer.
pub const WRITE_GROUP_JOBS_MAX: usize = 128;
/// Writes that wait for the writer; a caller beyond waits for room.
pub const WRITE_QUEUE_JOBS_MAX: usize = 256;
/// Reads that wait for a reader; a caller beyond waits for room.
pub const READ_QUEUE_JOBS_MAX: usize = 256;

const _: () = assert!(WRITE_GROUP_JOBS_MAX <= WRITE_QUEUE_JOBS_MAX);
