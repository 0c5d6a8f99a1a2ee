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
/// Octets of a segment of packed nodes; a larger node has one of its own.
pub const ZONE_SEGMENT_BYTES_MAX: usize = 64 * 1024;
/// Different target names whose addresses one answer adds.
pub const ADDITIONAL_NAMES_MAX: usize = 32;

const _: () = assert!(UDP_REPLY_BYTES_PLAIN <= UDP_REPLY_BYTES_MAX);
// A chain with its DNAMEs stays where a 14-bit pointer reaches (RFC 1035 §4.1.4).
const _: () = assert!(12 + 259 + CHAIN_STEPS_MAX * 2 * (12 + NAME_BYTES_MAX) < 0x3FFF);

// ---- HTTP ---------------------------------------------------------------------------------

/// Octets of a request line and its header fields together: the longest query, and room for a token
/// and what browsers and proxies add. Each connection can hold as much.
pub const HTTP_HEAD_BYTES_MAX: usize = 16 * 1024;
/// Header fields of a request.
pub const HTTP_HEADERS_MAX: usize = 64;
/// Octets that hyper may hold for one connection before it waits for us or for the client.
pub const HTTP_BUFFER_BYTES_MAX: usize = 32 * 1024;
/// Octets of the one read buffer that all connections share.
pub const HTTP_SCRATCH_BYTES: usize = 16 * 1024;
/// Octets of a request body at most, as in PocketBase; most endpoints take less.
pub const HTTP_BODY_BYTES_MAX: usize = 32 << 20;
/// Octets of a request body that is read whatever others send; so much each connection may cost.
pub const HTTP_BODY_SMALL_BYTES_MAX: usize = 64 * 1024;
/// Octets of all larger request bodies held at the same time: what a small machine can spare.
pub const HTTP_BODIES_BYTES_MAX: usize = 64 << 20;
/// Octets of a query string: the longest filter fits, percent-encoded.
pub const HTTP_QUERY_BYTES_MAX: usize = 12 * 1024;
/// Fields of a query string.
pub const HTTP_QUERY_FIELDS_MAX: usize = 100;
/// Fields of a form, as in Go.
pub const HTTP_FORM_FIELDS_MAX: usize = 10_000;
/// Octets of a multipart body's boundary (RFC 2046 §5.1.1).
pub const MULTIPART_BOUNDARY_BYTES_MAX: usize = 70;
/// Octets of the head of a part: as much as a request's own.
pub const MULTIPART_HEAD_BYTES_MAX: usize = HTTP_HEAD_BYTES_MAX;
/// Parts of a multipart body, as in Go.
pub const MULTIPART_PARTS_MAX: usize = 1000;
/// Connections open at once, where the limit of open files allows as many.
pub const HTTP_CONNECTIONS_MAX: usize = 1024;
/// Responses without an end open at once, beside the connections, where the limit of open files
/// allows as many: each costs some kilobytes.
pub const HTTP_FEEDS_MAX: usize = 10_240;
/// Pieces of a feed that are asked for before the client has taken the last: one call writes them.
pub const HTTP_FEED_PIECES_MAX: usize = 32;
/// Connections open at once that make a peak: when a quarter of a peak is left, the memory of the
/// others is given back to the system.
pub const HTTP_CONNECTIONS_PEAK_MIN: usize = 64;
/// Connections are at most the limit of open files divided by this.
pub const HTTP_OPEN_FILES_PER_CONNECTION: usize = 4;
/// One network may hold at most all connections divided by this.
pub const HTTP_NETWORK_SHARE: usize = 4;
/// Seconds from the first octet of a request (or from the connect) to the end of its header.
pub const HTTP_HEAD_SECS_MAX: u64 = 15;
/// Seconds for a request body in all, as in PocketBase.
pub const HTTP_BODY_SECS_MAX: u64 = 300;
/// Seconds without an octet of an announced body.
pub const HTTP_BODY_STALL_SECS_MAX: u64 = 20;
/// Seconds for sending a response in all, as in PocketBase.
pub const HTTP_WRITE_SECS_MAX: u64 = 300;
/// Seconds without the client taking an octet of a response.
pub const HTTP_WRITE_STALL_SECS_MAX: u64 = 20;
/// Seconds between two requests on a connection kept alive.
pub const HTTP_IDLE_SECS_MAX: u64 = 75;
/// Milliseconds for which what a client still sends is thrown away, so that it sees our refusal
/// before the reset.
pub const HTTP_LINGER_MILLIS_MAX: u64 = 2000;
/// Octets thrown away in that time.
pub const HTTP_LINGER_BYTES_MAX: usize = 64 << 20;
/// Milliseconds for requests in flight when the server stops, as in PocketBase.
pub const HTTP_STOP_GRACE_MILLIS: u64 = 1000;
/// Milliseconds without accepting after an error such as EMFILE.
pub const HTTP_ACCEPT_PAUSE_MILLIS: u64 = 100;
/// Connections waiting to be accepted.
pub const HTTP_BACKLOG_MAX: i32 = 1024;
/// Seconds between two looks at the files of a certificate.
pub const TLS_LOOK_SECS: u64 = 10;
/// Connections accepted before the reactor gets its turn.
pub const HTTP_ACCEPTS_PER_TURN: usize = 16;
/// Seconds between two log lines about the same trouble of the listener.
pub const HTTP_LOG_PAUSE_SECS: u64 = 10;

const _: () = assert!(HTTP_HEAD_BYTES_MAX >= 8192, "hyper's smallest buffer");
const _: () = assert!(HTTP_QUERY_BYTES_MAX + TOKEN_BYTES_MAX <= HTTP_HEAD_BYTES_MAX);
const _: () = assert!(HTTP_BUFFER_BYTES_MAX >= HTTP_HEAD_BYTES_MAX);
const _: () = assert!(HTTP_BODIES_BYTES_MAX >= HTTP_BODY_BYTES_MAX);
const _: () = assert!(HTTP_BODY_SMALL_BYTES_MAX < HTTP_BODY_BYTES_MAX);
const _: () = assert!(HTTP_BODY_STALL_SECS_MAX < HTTP_BODY_SECS_MAX);
const _: () = assert!(HTTP_WRITE_STALL_SECS_MAX < HTTP_WRITE_SECS_MAX);

// ---- The store ----------------------------------------------------------------------------

/// Writes that share one transaction. More would not make an fsync cheaper per write, but would
/// make the first of them wait longer.
pub const WRITE_GROUP_JOBS_MAX: usize = 128;
/// Writes that wait for the writer; a caller beyond waits for room.
pub const WRITE_QUEUE_JOBS_MAX: usize = 256;
/// Reads that wait for a reader; a caller beyond waits for room.
pub const READ_QUEUE_JOBS_MAX: usize = 256;
/// Paths of an `expand` parameter; what comes after them is not looked at.
pub const EXPAND_PATHS_MAX: usize = 100;
/// Steps of an expand path; what comes after them is not looked at (PocketBase's `core`).
pub const EXPAND_LEVELS_MAX: usize = 6;
/// Records that a step against a relation leads to (PocketBase's `core`).
pub const EXPAND_BACK_RELATED_MAX: usize = 1000;
/// Records that one answer holds with all that is expanded, each as often as it is written; a path
/// that would lead beyond is left out.
pub const EXPANDED_RECORDS_MAX: usize = 20_000;
const _: () = assert!(EXPANDED_RECORDS_MAX as u64 > 2 * LIST_PER_PAGE_MAX);
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
/// Page cache of the writer during an import: a hundred thousand records and their indexes.
pub const DATABASE_CACHE_LARGE_KIB: u32 = 32 * 1024;
/// Compiled statements that a connection keeps.
pub const DATABASE_STATEMENTS_MAX: usize = 24;
/// Pages in the WAL at which the writer moves them into the database file after a commit: 4 MiB.
pub const WAL_CHECKPOINT_PAGES: u32 = 1000;
/// What a WAL that grew in a large transaction is cut back to.
pub const WAL_KEPT_BYTES_MAX: u32 = 4 * 1024 * 1024;
/// Bytes of a WAL at which readers wait once until it is cut: those that overlap would let it grow
/// for ever.
pub const WAL_BYTES_MAX: u64 = 4 * WAL_KEPT_BYTES_MAX as u64;
/// How long the writer then waits for readers that are not ours.
pub const WAL_CUT_BUSY_MS_MAX: u64 = 50;
/// Who else reads the database (a backup of the files, say) may hold us up this long.
pub const DATABASE_BUSY_MS_MAX: u64 = 5000;

const _: () = assert!(PBKDF2_ROUNDS_MIN <= PBKDF2_ROUNDS.get());
const _: () = assert!(PBKDF2_ROUNDS.get() <= PBKDF2_ROUNDS_MAX);
const _: () = assert!(WRITE_GROUP_JOBS_MAX <= WRITE_QUEUE_JOBS_MAX);

// ---- DNS over UDP and TCP ------------------------------------------------------------------

/// Datagrams of one `recvmmsg`: 8 are already as cheap per datagram as 64.
pub const DNS_UDP_BATCH_MAX: usize = 32;
/// Datagrams that a receive is prepared for at least.
pub const DNS_UDP_BATCH_MIN: usize = 8;
/// Batches that a UDP task takes before it lets the reactor look at everything else: 128 datagrams
/// are about a millisecond.
pub const DNS_UDP_BATCHES_PER_PASS_MAX: usize = 4;
/// Batches that are answered at a socket that goes: more than its buffer holds.
pub const DNS_UDP_DRAIN_BATCHES_MAX: usize = 1_000;
/// Octets of a query over UDP. A question needs 271; the rest is room for EDNS options.
pub const DNS_UDP_QUERY_BYTES_MAX: usize = 2048;
/// How long a full send buffer may hold up the UDP task before its replies are dropped.
pub const DNS_UDP_SEND_WAIT_MS_MAX: u64 = 20;
/// The receive buffer to ask the kernel for; it gives less where `net.core.rmem_max` is less.
pub const DNS_UDP_KERNEL_BUFFER_BYTES: usize = 1 << 20;
/// TCP connections at once, unless the limit on open files allows fewer.
pub const DNS_TCP_CONNECTIONS_MAX: usize = 10_000;
/// One client's part of the connections: one address never holds more than a sixteenth.
pub const DNS_TCP_CLIENT_SHARE: usize = 16;
/// How long a TCP connection may stay silent between messages (RFC 7766 §6.2.3: a few seconds).
pub const DNS_TCP_IDLE_SECS_MAX: u64 = 10;
/// How long a message may take from its first octet to its last.
pub const DNS_TCP_MESSAGE_SECS_MAX: u64 = 4;
/// How long a client may take to make room for replies.
pub const DNS_TCP_WRITE_SECS_MAX: u64 = 4;
/// Octets to ask for at a time: many queries in one read, and little to keep when a client sends
/// them without reading the replies.
pub const DNS_TCP_READ_BYTES: usize = 4096;
/// Octets that all connections may keep between them: parts of messages, replies not yet taken.
pub const DNS_TCP_BUFFERED_BYTES_MAX: usize = 4 << 20;
/// Connections waiting to be accepted.
pub const DNS_TCP_BACKLOG_MAX: i32 = 1024;
/// Connections accepted before the reactor looks at everything else.
pub const DNS_TCP_ACCEPTS_PER_PASS_MAX: usize = 32;
/// Pause after an error on a listening socket: it will not be better at once.
pub const LISTENER_PAUSE_MS: u64 = 100;
/// Times that a pair of free ports with one number is looked for.
pub const BIND_ATTEMPTS_MAX: usize = 64;
/// Between two log lines of one kind that the network can cause.
pub const LOG_INTERVAL_SECS_MIN: u64 = 10;

/// Octets of the query log that wait to be written; lines beyond are lost.
pub const QUERY_LOG_BYTES_MAX: usize = 1 << 20;
/// Octets of a line of it: the longest name as text, and as much again for the rest.
pub const QUERY_LOG_LINE_BYTES_MAX: usize = NAME_TEXT_CHARS_MAX + 256;

const _: () = assert!(QUERY_LOG_LINE_BYTES_MAX < QUERY_LOG_BYTES_MAX);
const _: () = assert!(DNS_UDP_BATCH_MIN <= DNS_UDP_BATCH_MAX);
const _: () = assert!(DNS_TCP_CLIENT_SHARE > 0);
const _: () = assert!(DNS_TCP_READ_BYTES <= 2 + TCP_MESSAGE_BYTES_MAX);
const _: () = assert!(DNS_TCP_BUFFERED_BYTES_MAX > 16 * TCP_MESSAGE_BYTES_MAX);

// ---- The process -----------------------------------------------------------------------------

/// Threads of the pool for blocking work. Its users (three password hashes at once, long bodies, the terminal)
/// are bounded as well.
pub const BLOCKING_THREADS_MAX: usize = 4;
/// Arenas of glibc's allocator: one for the executor, one for all other threads.
pub const MALLOC_ARENAS_MAX: i32 = 2;
/// From this size on glibc maps an allocation by itself and unmaps it when freed.
pub const MALLOC_THRESHOLD_BYTES: i32 = 256 * 1024;
/// Tasks that run before the reactor is looked at again. The longest turn of a task is about a
/// millisecond, most are some microseconds.
pub const TASKS_PER_PASS_MAX: usize = 16;
/// Addresses of this host that the zone of a first start tells.
pub const FIRST_ZONE_ADDRESSES_MAX: usize = 16;
/// Pause before the service manager is told again what it had no room for.
pub const SUPERVISOR_PAUSE_MS: u64 = 100;
/// Between two signs of life to the service manager, however impatient it is.
pub const WATCHDOG_FEED_MS_MIN: u64 = 10;
/// Files kept open for everything but connections: database, sockets, pipes, and some to spare.
pub const OPEN_FILES_RESERVED: usize = 64;
/// The others are divided into so many parts.
pub const OPEN_FILES_PARTS: usize = 5;
/// Of which HTTP has so many, its connections and feeds together, and DNS over TCP the rest: with
/// 20,000 files there may be ten thousand feeds and almost eight thousand of its connections.
pub const HTTP_OPEN_FILES_PARTS: usize = 3;

// ---- The control socket ------------------------------------------------------------------------

/// Octets of a frame, apart from its header.
pub const CONTROL_FRAME_BYTES_MAX: usize = 64 * 1024;
/// Octets of the data of one command: a master file of a million records.
pub const CONTROL_INPUT_BYTES_MAX: usize = 128 << 20;
/// Commands at once; more wait in the socket's queue.
pub const CONTROL_CONNECTIONS_MAX: usize = 4;
/// How long one side waits for the other to send or to take the next frame.
pub const CONTROL_FRAME_SECS_MAX: u64 = 30;
/// How long the command line looks for the server that holds the lock, or for the lock; and a server
/// for the lock that a command holds.
pub const CONTROL_SEARCH_SECS_MAX: u64 = 5;
/// Pause between two attempts to take the lock.
pub const LOCK_PAUSE_MS: u64 = 20;

// ---- The Corefile ------------------------------------------------------------------------------

/// Octets of a Corefile and all that it imports.
pub const COREFILE_BYTES_MAX: usize = 1 << 20;
/// Words and braces of it, those of an import as often as it is imported.
pub const COREFILE_TOKENS_MAX: usize = 100_000;
/// Octets of a word with its variables replaced.
pub const COREFILE_WORD_BYTES_MAX: usize = 16 * 1024;
/// Imports in each other.
pub const COREFILE_IMPORT_DEPTH_MAX: usize = 16;
/// Imports in all, each file of a pattern counted.
pub const COREFILE_IMPORTS_MAX: usize = 1_000;
/// Blocks in each other, below a server block. Real ones have one.
pub const COREFILE_NESTING_MAX: usize = 8;
/// Addresses that DNS listens on.
pub const DNS_ADDRESSES_MAX: usize = 64;
/// The longest wait between a request to stop and the stop (`health { lameduck }`).
pub const LAMEDUCK_SECS_MAX: u64 = 3600;
/// Seconds between two looks at the Corefile (`reload`), as in CoreDNS: at least, unless told, at most.
pub const RELOAD_INTERVAL_SECS_MIN: u64 = 2;
/// See [`RELOAD_INTERVAL_SECS_MIN`].
pub const RELOAD_INTERVAL_SECS_DEFAULT: u64 = 30;
/// See [`RELOAD_INTERVAL_SECS_MIN`].
pub const RELOAD_INTERVAL_SECS_MAX: u64 = 30 * 24 * 3600;
/// Seconds by which that interval varies: at least, when it varies; unless told.
pub const RELOAD_JITTER_SECS_MIN: u64 = 1;
/// See [`RELOAD_JITTER_SECS_MIN`].
pub const RELOAD_JITTER_SECS_DEFAULT: u64 = 15;

const _: () = assert!(COREFILE_WORD_BYTES_MAX < COREFILE_BYTES_MAX);
const _: () = assert!(RELOAD_INTERVAL_SECS_MIN <= RELOAD_INTERVAL_SECS_DEFAULT);

// ---- Settings, limits of requests, logs, jobs -------------------------------------------------

/// Octets of a change of the settings: hundreds of rules and networks.
pub const SETTINGS_BODY_BYTES_MAX: usize = BODY_BYTES_INLINE_MAX;
/// Seconds that a client secret for Apple may last, as Apple allows.
pub const APPLE_SECRET_SECS_MAX: i64 = 15_777_000;
/// Windows of rate limits that are open at once: 400 kB, taken when the first rule counts.
pub const RATE_WINDOWS_MAX: usize = 16 * 1024;
/// Windows whose hash gives them the same places.
pub const RATE_WINDOWS_PER_BUCKET: usize = 8;
/// Octets of a batch where the settings say nothing, as in PocketBase.
pub const BATCH_BODY_BYTES_MAX: u64 = 128 << 20;
/// How long a batch may take where the settings do not say (PocketBase's `apis/batch`).
pub const BATCH_TIMEOUT_SECS_DEFAULT: u64 = 3;
/// Characters of the address of a request in a batch (PocketBase's `core`).
pub const BATCH_REQUEST_URL_CHARS_MAX: usize = 2000;
/// Jobs that wait for the log's thread; a caller beyond waits for room.
pub const LOG_JOBS_MAX: usize = 16;
/// Entries of the log: some 100 MB. Beyond a tenth more, the oldest go, whatever their age.
pub const LOG_ROWS_MAX: u64 = 200_000;
/// Entries that are written at once, as in PocketBase.
pub const LOG_BATCH_ENTRIES: usize = 200;
/// Milliseconds that an entry waits for others at most, as in PocketBase.
pub const LOG_BATCH_MILLIS_MAX: u64 = 3000;
/// Entries that wait to be written; those beyond are counted, and dropped.
pub const LOG_QUEUE_ENTRIES_MAX: usize = 1000;
/// Octets that these hold.
pub const LOG_QUEUE_BYTES_MAX: usize = 1 << 20;
/// Octets of a URL that an entry tells, as in PocketBase.
pub const LOG_URL_BYTES_MAX: usize = 3000;
/// Octets of a Referer and of a User-Agent that an entry tells, as in PocketBase.
pub const LOG_HEADER_BYTES_MAX: usize = 2000;
/// Jobs that were asked for and wait.
pub const JOBS_ASKED_MAX: usize = 16;
/// Minutes that the scheduler looks back when the clock has jumped ahead.
pub const JOBS_LOOK_BACK_MINUTES_MAX: u64 = 60;

const _: () = assert!(LOG_BATCH_ENTRIES <= LOG_QUEUE_ENTRIES_MAX);
const _: () = assert!(RATE_WINDOWS_MAX.is_multiple_of(RATE_WINDOWS_PER_BUCKET));

// ---- Zone files ---------------------------------------------------------------------------

/// Records of an import that break a rule are all counted, and named up to here.
pub const IMPORT_REFUSED_NAMED_MAX: usize = 20;
/// Rows that an import writes with the usual page cache.
pub const IMPORT_SMALL_WRITES_MAX: usize = 256;
/// What a check finds is all counted, and named up to here for each kind.
pub const CHECK_NAMED_MAX: usize = 1000;

// ---- Sign-in ------------------------------------------------------------------------------

/// Bcrypt's cost of a password hash, as in PocketBase.
pub const PASSWORD_COST: u32 = 10;
/// Characters of a new password.
pub const PASSWORD_CHARS_MIN: usize = 8;
/// Octets of a new password: bcrypt reads 72, and the last is its own.
pub const PASSWORD_BYTES_MAX: usize = 71;
/// Octets of a new password of a record: bcrypt reads no more.
pub const PASSWORD_HASHED_BYTES_MAX: usize = 72;
/// Characters of what a client sends as identity or password.
pub const CREDENTIAL_CHARS_MAX: usize = 255;
/// Password hashes computed at once for clients of the API: each takes a core for 50 ms and more.
/// The operator, on the command line, has a place beside these.
pub const PASSWORD_JOBS_MAX: usize = 2;
/// Password hashes that wait for their turn; a caller beyond is turned away.
pub const PASSWORD_QUEUE_MAX: usize = 16;
/// Password checks of one network, running and waiting: a few people behind one address.
pub const PASSWORD_NETWORK_JOBS_MAX: usize = 4;
/// Failed sign-ins of one network to one name within a window.
pub const SIGN_IN_FAILURES_MAX: u32 = 10;
/// Failed sign-ins of one network, whatever the names, within a window.
pub const SIGN_IN_NETWORK_FAILURES_MAX: u32 = 50;
/// Failed sign-ins of one IPv6 network of 56 bits within a window.
pub const SIGN_IN_SITE_FAILURES_MAX: u32 = 100;
/// Seconds of that window.
pub const SIGN_IN_WINDOW_SECS: u64 = 60;
/// Windows that are counted at the same time: two or three for a network.
pub const SIGN_IN_WINDOWS_MAX: usize = 8192;
/// Octets of a token that is looked at: ours have some 250.
pub const TOKEN_BYTES_MAX: usize = 4096;
/// Characters of a mail address (RFC 5321 §4.5.3.1.3, less the angle brackets).
pub const EMAIL_BYTES_MAX: usize = 254;

const _: () = assert!(SIGN_IN_FAILURES_MAX < SIGN_IN_NETWORK_FAILURES_MAX);
const _: () = assert!(SIGN_IN_NETWORK_FAILURES_MAX < SIGN_IN_SITE_FAILURES_MAX);
const _: () = assert!(PASSWORD_JOBS_MAX < PASSWORD_NETWORK_JOBS_MAX);
const _: () = assert!(PASSWORD_NETWORK_JOBS_MAX < PASSWORD_QUEUE_MAX);
const _: () = assert!(PASSWORD_JOBS_MAX + 1 < BLOCKING_THREADS_MAX);

// ---- Collections --------------------------------------------------------------------------

/// Octets of the body of a request about collections: an import of some thousand collections. Only
/// superusers may send one, and its tree takes several times its size.
pub const COLLECTIONS_BODY_BYTES_MAX: usize = 2 << 20;
/// Characters of the name of a collection, as in PocketBase.
pub const COLLECTION_NAME_CHARS_MAX: usize = 255;
/// Characters of the id of a collection or field, as in PocketBase.
pub const ID_CHARS_MAX: usize = 100;
/// Characters of the name of a field, as in PocketBase.
pub const FIELD_NAME_CHARS_MAX: usize = 100;
/// Characters of a field's help text, as in PocketBase.
pub const FIELD_HELP_CHARS_MAX: usize = 300;
/// Characters of the query of a dry run, as in PocketBase.
pub const VIEW_QUERY_CHARS_MAX: usize = 5000;
/// Rows of a view's query that are looked at before it is stored, as in PocketBase.
pub const VIEW_SAMPLE_ROWS: usize = 10;
/// Costs that bcrypt knows.
pub const BCRYPT_COST_MIN: i64 = 4;
/// See [`BCRYPT_COST_MIN`].
pub const BCRYPT_COST_MAX: i64 = 31;
/// Characters of the secret of a collection's tokens, as in PocketBase.
pub const TOKEN_SECRET_CHARS_MIN: usize = 30;
/// See [`TOKEN_SECRET_CHARS_MIN`].
pub const TOKEN_SECRET_CHARS_MAX: usize = 255;
/// Seconds for which tokens, one-time passwords and second factors hold at least, as in PocketBase.
pub const TOKEN_SECS_MIN: i64 = 10;
/// Seconds for which a token holds at most, as in PocketBase: three years.
pub const TOKEN_SECS_MAX: i64 = 94_670_856;
/// Seconds for which a one-time password or the first of two factors holds at most, as in PocketBase.
pub const SIGN_IN_STEP_SECS_MAX: i64 = 86_400;
/// Characters of a one-time password at least, as in PocketBase.
pub const OTP_LENGTH_MIN: i64 = 4;

const _: () = assert!(COLLECTIONS_BODY_BYTES_MAX <= HTTP_BODY_BYTES_MAX);

// ---- Records over the API -----------------------------------------------------------------

/// Characters of a text field without a limit of its own, as in PocketBase.
pub const TEXT_CHARS_MAX: usize = 5000;
/// Octets of a JSON field without a limit of its own, as in PocketBase.
pub const JSON_FIELD_BYTES_MAX: usize = 1 << 20;
/// Octets of a file of a field without a limit of its own, as in PocketBase.
pub const FILE_FIELD_BYTES_MAX: usize = 5 << 20;
/// Octets of an editor field without a limit of its own, as in PocketBase.
pub const EDITOR_FIELD_BYTES_MAX: usize = 5 << 20;
/// Characters of a URL field (govalidator).
pub const URL_CHARS_MAX: usize = 2083;
/// Characters of a text that generates itself; PocketBase's own patterns need 50.
pub const GENERATED_CHARS_MAX: usize = TEXT_CHARS_MAX;
/// Groups within groups of a pattern by which a text generates itself.
pub const PATTERN_DEPTH_MAX: usize = 32;
/// Patterns of text fields that a thread keeps ready.
pub const PATTERNS_KEPT_MAX: usize = 32;
/// Sort keys of a list, as in PocketBase.
pub const SORT_KEYS_MAX: usize = 8;
/// Octets of one sort key, as in PocketBase.
pub const SORT_KEY_BYTES_MAX: usize = 255;
/// Items on a page when the client does not say, as in PocketBase.
pub const PAGE_ITEMS_DEFAULT: u64 = 30;
/// Items on a page, as in PocketBase.
pub const PAGE_ITEMS_MAX: u64 = 1000;
/// Records that a deletion looks up at once among those that refer to what goes.
pub const CASCADE_ROWS: usize = 1000;
/// Octets of a body beside what the text, JSON and editor fields of its collection may hold: names,
/// blanks, and the fields of the other kinds.
pub const BODY_SLACK_BYTES: usize = 256 * 1024;
/// Octets of the body of a client that is no superuser, or has not shown yet who it is. Nobody else
/// can keep it from being read.
pub const BODY_BYTES_GUEST_MAX: usize = HTTP_BODY_SMALL_BYTES_MAX;
/// Octets of a request body that is decoded on the executor's thread: some 1 ms of work. A larger
/// one goes to the pool.
pub const BODY_BYTES_INLINE_MAX: usize = 128 * 1024;

// ---- Filters and rules --------------------------------------------------------------------

/// Octets of a filter that a client sends, as in PocketBase.
pub const FILTER_BYTES_MAX: usize = 3500;
/// Comparisons of one filter or rule, as in PocketBase.
pub const FILTER_COMPARISONS_MAX: usize = 200;
/// Parentheses within each other; SQLite takes expressions of 1000 levels.
pub const FILTER_DEPTH_MAX: usize = 64;
/// Function calls within each other, as in PocketBase.
pub const FILTER_CALL_DEPTH_MAX: usize = 3;
/// Relations of one path, as in PocketBase.
pub const FILTER_RELATIONS_MAX: usize = 6;
/// Joins of one query: SQLite takes 64 tables, the record's own among them.
pub const FILTER_JOINS_MAX: usize = 63;
/// Combinations of joined records that a filter judged in memory looks at.
pub const FILTER_STEPS_MAX: usize = 100_000;
/// Arguments of `strftime`, as in PocketBase.
pub const STRFTIME_ARGUMENTS_MAX: usize = 10;

// ---- Realtime -----------------------------------------------------------------------------

/// Seconds without a message after which a client is cut, as in PocketBase.
pub const REALTIME_IDLE_SECS_MAX: u64 = 300;
/// Seconds after which every client is cut, as in PocketBase.
pub const REALTIME_LIFE_SECS_MAX: u64 = 1800;
/// Characters of a client's id in a request, as in PocketBase; ours have 40.
pub const REALTIME_ID_CHARS_MAX: usize = 255;
/// Topics of a client, as in PocketBase.
pub const REALTIME_TOPICS_MAX: usize = 1000;
/// Characters of a topic, as in PocketBase.
pub const REALTIME_TOPIC_CHARS_MAX: usize = 2500;
/// Octets of a request that subscribes: as many topics of as many ASCII characters, with room for
/// their quotes.
pub const REALTIME_BODY_BYTES_MAX: usize = 3 << 20;
/// Octets of such a request that are decoded on the executor's thread: some hundred topics.
pub const REALTIME_BODY_BYTES_INLINE_MAX: usize = 16 * 1024;
/// Octets that all subscriptions take: ten thousand clients with ten topics each, and some to spare.
pub const REALTIME_TOPICS_BYTES_MAX: usize = 64 << 20;
/// Messages that wait for one client.
pub const REALTIME_QUEUE_MESSAGES_MAX: usize = 1024;
/// Octets that wait for one client, unless it is a single message.
pub const REALTIME_QUEUE_BYTES_MAX: usize = 1 << 20;
/// Octets of all messages that wait, each counted once however many wait for it.
pub const REALTIME_HELD_BYTES_MAX: usize = 16 << 20;
/// Changes that wait for delivery.
pub const REALTIME_BACKLOG_EVENTS_MAX: usize = 16 * 1024;
/// Octets of those changes.
pub const REALTIME_BACKLOG_BYTES_MAX: usize = 16 << 20;
/// Changed records of one import that are told one by one.
pub const REALTIME_IMPORT_EVENTS_MAX: usize = 10_000;
/// Related records that one step of a rule may take to tell a deletion.
pub const WATCH_RELATED_RECORDS_MAX: usize = 10_000;
/// Groups of listeners that one job of a reader decides for.
pub const REALTIME_GROUPS_PER_READ_MAX: usize = 256;
/// What deciding for a group counts, in messages.
pub const REALTIME_SENDS_PER_DECISION: usize = 8;
/// Octets of a changed record that is encoded on the executor's thread.
pub const REALTIME_ENCODE_BYTES_INLINE_MAX: usize = 64 * 1024;
/// Messages queued, and rules looked at, before the reactor gets its turn: some 100 µs.
pub const REALTIME_SENDS_PER_TURN_MAX: usize = 256;

const _: () =
    assert!(REALTIME_TOPICS_MAX * (REALTIME_TOPIC_CHARS_MAX + 4) <= REALTIME_BODY_BYTES_MAX);
const _: () = assert!(REALTIME_BODY_BYTES_MAX <= HTTP_BODIES_BYTES_MAX);
const _: () = assert!(REALTIME_QUEUE_BYTES_MAX <= REALTIME_HELD_BYTES_MAX);
const _: () = assert!(REALTIME_IMPORT_EVENTS_MAX < REALTIME_BACKLOG_EVENTS_MAX);

// ---- Moving in and out ----------------------------------------------------------------------

/// Rows between two looks at the progress of a copy.
pub const MOVE_STEP_ROWS: u64 = 256;
/// Damages that SQLite's check of a foreign database names.
pub const MOVE_DAMAGES_NAMED_MAX: u32 = 5;
/// Folders below each other in `storage/`: PocketBase makes three.
pub const STORAGE_DEPTH_MAX: usize = 16;
/// Pause between two states of a progress line.
pub const PROGRESS_PAUSE_MS: u64 = 100;
/// What a new directory needs beside its content: the slot, the first pages of a WAL.
pub const MOVE_SLACK_BYTES: u64 = 16 << 20;
/// Octets of a chunk of a sealed file before it is sealed.
pub const SEALED_CHUNK_BYTES: usize = 64 * 1024;
