//! Every bound in one place. A name ends in its unit, then its qualifier: `body_bytes_max`.
//!
//! A limit that follows from a standard cites it; a limit we chose says why in a word.

use std::num::NonZeroU32;

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

// ---- The store ----------------------------------------------------------------------------

/// Writes that share one transaction. More would not make an fsync cheaper per write, but would
/// make the first of them wait longer.
pub const WRITE_GROUP_JOBS_MAX: usize = 128;
/// Writes that wait for the writer; a caller beyond waits for room.
pub const WRITE_QUEUE_JOBS_MAX: usize = 256;
/// Reads that wait for a reader; a caller beyond waits for room.
pub const READ_QUEUE_JOBS_MAX: usize = 256;
/// Records on a page of a list when the client does not say (PocketBase's `tools/search`).
pub const LIST_PER_PAGE_DEFAULT: u64 = 30;
/// Records on a page of a list, however many the client asks for (PocketBase's `tools/search`).
pub const LIST_PER_PAGE_MAX: u64 = 1000;
/// Characters that a secret needs, in a variable or a key file (32 random ones are 160 bits or more).
pub const SECRET_CHARS_MIN: usize = 32;
/// Bytes of a key file.
pub const KEY_FILE_BYTES_MAX: usize = 4096;
/// PBKDF2-HMAC-SHA256 rounds for a new key slot, once per start: a fifth of a second where the
/// processor has SHA instructions, as much on a small board with fewer rounds.
pub const PBKDF2_ROUNDS: NonZeroU32 =
    NonZeroU32::new(if cfg!(target_arch = "x86_64") { 600_000 } else { 210_000 }).unwrap();
/// Rounds that a stored slot may ask for: fewer were never written, more would be a stalled start.
pub const PBKDF2_ROUNDS_MIN: u32 = 100_000;
/// See [`PBKDF2_ROUNDS_MIN`].
pub const PBKDF2_ROUNDS_MAX: u32 = 10_000_000;
/// Stack of a store thread. Jobs parse JSON (128 levels) and SQL; touched pages only are resident.
pub const STORE_STACK_BYTES: usize = 512 * 1024;
/// Page cache of a connection. More bought no speed and cost resident memory.
pub const DATABASE_CACHE_KIB: u32 = 256;
/// Compiled statements that a connection keeps.
pub const DATABASE_STATEMENTS_MAX: usize = 24;
/// Pages in the WAL at which the writer moves them into the database file after a commit: 4 MiB.
pub const WAL_CHECKPOINT_PAGES: u32 = 1000;
/// What a WAL that grew in a large transaction is cut back to.
pub const WAL_KEPT_BYTES_MAX: u32 = 4 * 1024 * 1024;
/// Who else reads the database (a backup of the files, say) may hold us up this long.
pub const DATABASE_BUSY_MS_MAX: u64 = 5000;

const _: () = assert!(PBKDF2_ROUNDS_MIN <= PBKDF2_ROUNDS.get());
const _: () = assert!(PBKDF2_ROUNDS.get() <= PBKDF2_ROUNDS_MAX);
const _: () = assert!(WRITE_GROUP_JOBS_MAX <= WRITE_QUEUE_JOBS_MAX);
