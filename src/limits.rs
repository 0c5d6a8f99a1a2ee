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

// ---- Master files -------------------------------------------------------------------------

/// Octets of one record, with the comments between its parentheses but without line ends. Rdata of
/// 65,535 octets fit even when each is written as `\DDD`.
pub const MASTERFILE_RECORD_BYTES_MAX: usize = 512 * 1024;
/// Files that include each other, the first not counted.
pub const MASTERFILE_INCLUDE_DEPTH_MAX: usize = 8;
/// Includes in one parse.
pub const MASTERFILE_INCLUDES_MAX: usize = 1_000;
/// Lines that one `$GENERATE` makes.
pub const MASTERFILE_GENERATE_STEPS_MAX: i64 = 65_536;
/// Octets of the words of one `$GENERATE`.
pub const MASTERFILE_GENERATE_TEMPLATE_BYTES_MAX: usize = 2_048;

const _: () = assert!(MASTERFILE_RECORD_BYTES_MAX > 5 * RDATA_BYTES_MAX);
