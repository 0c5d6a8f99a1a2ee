//! The composition root: from a command line to a running server, and back down. The only file
//! that knows every room; no policy of its own.
//!
//! | thread | what it does |
//! |---|---|
//! | main | the executor: DNS, HTTP, the control socket, publishing |
//! | `async-io` | wakes timers when nobody else looks at the reactor |
//! | store: one writer, two readers | SQL |
//! | `blocking`'s pool, at most [`crate::limits::BLOCKING_THREADS_MAX`] | password hashes |

mod command;
mod first_zone;
mod moves;
mod passes;

use std::cell::RefCell;
use std::collections::HashMap;
use std::convert::Infallible;
use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};

use async_signal::{Signal, Signals};
use smol::channel::{Receiver, Sender};
use smol::future::or;
use smol::stream::StreamExt;
use smol::{Async, LocalExecutor, Task, Timer};

use self::passes::Passes;
use crate::auth::password::Passwords;
use crate::config::{Action, Data, Invocation, Serve};
use crate::control::client::AskError;
use crate::control::{self, CommandError, Context};
use crate::dns::bind::{BindError, Listeners};
use crate::dns::respond::{Transport, respond};
use crate::dns::stats::Stats;
use crate::dns::{self, tcp, udp};
use crate::limits::{
    CONTROL_SEARCH_SECS_MAX, DNS_TCP_CONNECTIONS_MAX, LOCK_PAUSE_MS, OPEN_FILES_RESERVED,
    TTL_SECS_DEFAULT,
};
use crate::publish::{self, Event, Load, Loaded, RefusedRow, Spent};
use crate::records::dns::refill;
use crate::records::zonefile::{self, ImportError, Mode};
use crate::rr::Row;
use crate::store::{
    self, Committed, JobError, KeyPlace, KeySource, OpenError, Opened, Running, Store, StoreError,
    zone_key,
};
use crate::zone::Zones;
use crate::{api, clock, http, moving, sys};

/// Why the program ends with exit code 1.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the texts say it")]
pub enum Error {
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error("the database failed")]
    Store(#[source] StoreError),
    #[error(transparent)]
    Bind(#[from] BindError),
    #[error("cannot listen for HTTP on {address}: choose another address with --http")]
    Http { address: SocketAddr, source: io::Error },
    #[error("cannot use the control socket in {}", dir.display())]
    Control { dir: PathBuf, source: io::Error },
    #[error("cannot become the owner of {}: run this as that user", dir.display())]
    Owner { dir: PathBuf, source: io::Error },
    #[error("cannot register a socket or a signal")]
    Register(#[source] io::Error),
    #[error("cannot make the zone of this host")]
    FirstZone(#[source] ImportError),
    #[error("the writer of the database has ended: see the log")]
    WriterEnded,
    #[error(transparent)]
    Command(#[from] CommandError),
    #[error(transparent)]
    Ask(#[from] AskError),
    #[error("cannot read a password")]
    Password(#[source] io::Error),
    #[error("cannot read {}", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("{0}")]
    MasterFile(String),
    #[error("{} has no SOA that names its zone: give the zone with --origin", path.display())]
    NoOrigin { path: PathBuf },
    #[error("{0} records would be refused")]
    FilesRefused(usize),
    #[error(transparent)]
    Move(#[from] moving::Error),
    #[error("cannot print")]
    Output(#[source] io::Error),
}

/// Does what the command line says. A server runs until SIGTERM or SIGINT.
///
/// # Errors
/// What could not be done. Nothing is left half done.
pub fn run(invocation: Invocation, output: &mut impl Write) -> Result<(), Error> {
    let Invocation { data, action } = invocation;
    match action {
        Action::Serve(addresses) => serve(&data, &addresses, output),
        other => command::run(&data, other, output),
    }
}

/// Where the command line and the environment say that the key is.
fn key_source(data: &Data) -> Result<KeySource, Error> {
    let Data { encryption_env, key_file, .. } = data;
    Ok(store::key_source(encryption_env.as_deref(), key_file.as_deref(), |name| {
        std::env::var_os(name)
    })?)
}

/// Opens the store for a server. A command may hold its lock for a moment; another server holds it
/// for good, and is told at once by the socket that it listens on.
fn open_store(data: &Data) -> Result<Opened<Event>, Error> {
    let deadline = Instant::now() + Duration::from_secs(CONTROL_SEARCH_SECS_MAX);
    let key = key_source(data)?;
    loop {
        match store::open(&data.dir, key.clone()) {
            Err(OpenError::Locked { .. })
                if Instant::now() < deadline
                    && matches!(control::client::connect(&data.dir), Ok(None)) =>
            {
                smol::block_on(Timer::after(Duration::from_millis(LOCK_PAUSE_MS)));
            }
            result => return Ok(result?),
        }
    }
}

/// The recipe of a server's life.
fn serve(data: &Data, addresses: &Serve, output: &mut impl Write) -> Result<(), Error> {
    let open_files_max = sys::raise_open_files();
    let Opened { store, committed, running, key_place, .. } = open_store(data)?;
    let executor = Rc::new(LocalExecutor::new());
    let passes = Passes::default();
    let life = async {
        let zones = Rc::new(RefCell::new(Zones::new()));
        let mut pump = executor.spawn(pump(committed.clone(), Rc::clone(&zones)));
        let spent = load_zones(&store, &zones).await?;
        make_first_zone(&store).await?;
        let world = World { executor: &executor, store: &store, zones: &zones, passes: &passes };
        // From here on a signal stops the server instead of ending the process.
        let signals = Signals::new([Signal::Term, Signal::Int]).map_err(Error::Register)?;
        let stop = executor.spawn(stop_signal(signals));
        let server = Server::start(world, data, addresses, open_files_max)?;
        announce(&server, data, &key_place, &store, output).await?;
        // It answers already; what the start leaves behind can wait for that.
        smol::unblock(move || {
            drop(spent);
            sys::trim_memory();
            sys::forget_code_pages();
        })
        .await;
        passes.forget();
        let writer_ended = async {
            (&mut pump).await;
            Err(Error::WriterEnded)
        };
        let result = or(stop, writer_ended).await;
        server.stop(data).await;
        store.close();
        if result.is_ok() {
            // Writes that were taken before the stop are published to the last.
            pump.await;
        }
        result
    };
    let result = smol::block_on(passes.run(&executor, life));
    end(&store, &committed, running)?;
    result
}

/// Waits for the store's threads. What was committed and not yet received is dropped with its
/// replies: a life that ended in an error has nobody to publish it, and a writer that waits for
/// somebody would wait for ever. The next start finds it in the database.
fn end(
    store: &Store<Event>,
    committed: &Receiver<Committed<Event>>,
    running: Running,
) -> Result<(), Error> {
    store.close();
    committed.close();
    while committed.try_recv().is_ok() {}
    running.join().map_err(Error::Store)
}

/// Waits for the request to stop.
async fn stop_signal(mut signals: Signals) -> Result<(), Error> {
    let signal = signals.next().await.transpose().map_err(Error::Register)?;
    log::info!("stopping; signal={signal:?}");
    Ok(())
}

/// Brings each commit into the index and then lets its caller know, in commit order.
async fn pump(committed: Receiver<Committed<Event>>, zones: Rc<RefCell<Zones>>) {
    while let Ok(mut done) = committed.recv().await {
        let mut replaced = Vec::new();
        for event in done.events.drain(..) {
            replaced.extend(publish::apply(&mut zones.borrow_mut(), event));
        }
        done.finish();
        if !replaced.is_empty() {
            smol::unblock(move || {
                drop(replaced);
                sys::trim_memory();
            })
            .detach();
        }
    }
}

/// Makes zones of all stored rows, on a reader thread, and names those that are not served. Gives
/// what is to be dropped when there is time.
async fn load_zones(store: &Store<Event>, zones: &RefCell<Zones>) -> Result<Spent, Error> {
    let now_secs = clock::unix_secs();
    let loading = store.read(move |reader| {
        let serials: HashMap<String, u32> = reader.zone_serials()?.into_iter().collect();
        let mut load = Load::new(TTL_SECS_DEFAULT);
        let mut row = Row::default();
        reader.dns_rows(|stored| {
            refill(&mut row, stored);
            load.push(&row);
            ControlFlow::Continue(())
        })?;
        // A zone of rows that other software wrote has no serial yet.
        let unnumbered = RefCell::new(Vec::new());
        let loaded = load.finish(|apex| {
            let key = zone_key(&apex.to_string());
            serials.get(&key).copied().unwrap_or_else(|| {
                unnumbered.borrow_mut().push(key);
                // What the store will start it at.
                (now_secs as u32).max(1)
            })
        });
        Ok((loaded, unnumbered.into_inner()))
    });
    let (loaded, unnumbered) = loading.await.map_err(into_store_error)?;
    let Loaded { zones: loaded, refused, refused_count, spent } = loaded;
    for RefusedRow { row, refusal } in refused {
        log::warn!(
            "a stored record is not served; {} rule={:?}",
            row_text(&row),
            refusal.to_string()
        );
    }
    if refused_count > 0 {
        log::warn!(
            "`zone check` tells the stored records that are not served; count={refused_count}"
        );
    }
    for zone in loaded {
        drop(zones.borrow_mut().replace(zone));
    }
    if !unnumbered.is_empty() {
        let numbering = store.write(move |tx| {
            unnumbered.iter().try_for_each(|zone| tx.bump_zone_serial(zone, now_secs).map(drop))
        });
        numbering.await.map_err(into_store_error)?;
    }
    Ok(spent)
}

/// A stored row for the log. Other software may have stored anything: quoted, it stays on its line.
fn row_text(row: &Row) -> String {
    let Row { id, zone, name, record_type, .. } = row;
    format!("record={id:?} zone={zone:?} name={name:?} type={record_type:?}")
}

/// Gives a database that never had a zone the one of this host.
async fn make_first_zone(store: &Store<Event>) -> Result<(), Error> {
    let now_secs = clock::unix_secs();
    let (zone, records) = first_zone::records(&sys::host_name(), &sys::host_addresses(), now_secs);
    let making = store.write(move |tx| {
        if tx.zone_serials()?.is_empty() {
            zonefile::import(tx, &zone, records, Mode::Merge, TTL_SECS_DEFAULT, now_secs)?;
        }
        Ok(())
    });
    making.await.map_err(|error| match error {
        JobError::Refused(error) => Error::FirstZone(error),
        JobError::Store(error) => Error::Store(error),
    })
}

fn into_store_error(error: JobError<StoreError>) -> Error {
    Error::Store(error.into())
}

/// What a server is started from.
struct World<'a> {
    executor: &'a Rc<LocalExecutor<'static>>,
    store: &'a Store<Event>,
    zones: &'a Rc<RefCell<Zones>>,
    passes: &'a Passes,
}

/// Everything that listens.
struct Server {
    dns: Vec<SocketAddr>,
    http: SocketAddr,
    tcp: Rc<tcp::Server<Responder>>,
    counters: Rc<Counters>,
    /// Dropped, they end.
    tasks: Vec<Task<Infallible>>,
    http_task: Task<io::Result<()>>,
    http_stop: Sender<Infallible>,
}

/// Answers a query over TCP.
type Responder = Box<dyn Fn(&[u8], &mut [u8]) -> Option<usize>>;

impl Server {
    /// Binds everything, then starts a task for each socket.
    fn start(
        world: World<'_>,
        data: &Data,
        addresses: &Serve,
        open_files_max: usize,
    ) -> Result<Self, Error> {
        let World { executor, store, zones, passes } = world;
        let listeners = dns::bind::bind(&addresses.dns)?;
        let http_failed = |source| Error::Http { address: addresses.http, source };
        let http_listener = TcpListener::bind(addresses.http).map_err(http_failed)?;
        let http = http_listener.local_addr().map_err(http_failed)?;
        let control = control::server::bind(&data.dir)
            .map_err(|source| Error::Control { dir: data.dir.clone(), source })?;

        let stats = Rc::new(Stats::default());
        let over_tcp = Rc::clone(zones);
        let grants = tcp::Grants::for_connections(
            (open_files_max.saturating_sub(OPEN_FILES_RESERVED) / 2).min(DNS_TCP_CONNECTIONS_MAX),
        );
        let tcp = Rc::new(tcp::Server::new(
            grants,
            Rc::clone(&stats),
            Box::new(move |query: &[u8], out: &mut [u8]| {
                respond(&over_tcp.borrow(), query, Transport::Tcp, out)
            }) as Responder,
        ));
        let mut tasks = Vec::new();
        let mut dns = Vec::new();
        for Listeners { address, udp: datagrams, tcp: listener } in listeners {
            dns.push(address);
            let datagrams = Async::new(datagrams).map_err(Error::Register)?;
            let listener = Async::new(listener).map_err(Error::Register)?;
            let zones = Rc::clone(zones);
            tasks.push(executor.spawn(udp::serve(
                datagrams,
                Rc::clone(&stats),
                move |query, out| respond(&zones.borrow(), query, Transport::Udp, out),
            )));
            tasks.push(executor.spawn(Rc::clone(&tcp).serve(listener, Rc::clone(executor))));
        }

        let passwords = Rc::new(Passwords::new());
        let counters = Rc::new(Counters { passes: passes.clone(), stats, tcp: Rc::clone(&tcp) });
        let context = Context {
            store: store.clone(),
            passwords: Rc::clone(&passwords),
            stats: Some(Box::new({
                let counters = Rc::clone(&counters);
                move || counters.lines()
            })),
        };
        let control = Async::new(control).map_err(Error::Register)?;
        let control = control::server::serve(control, Rc::clone(executor), Rc::new(context));
        tasks.push(executor.spawn(control));

        let (http_stop, stopped) = smol::channel::bounded(1);
        let http_task = executor.spawn(http::serve(
            http_listener,
            Rc::clone(executor),
            http::Settings::new(open_files_max),
            api::handler(Rc::new(api::State::new(store.clone(), passwords))),
            stopped,
        ));
        Ok(Self { dns, http, tcp, counters, tasks, http_task, http_stop })
    }

    /// Stops in the reverse order: first what writes, last what reads.
    async fn stop(self, data: &Data) {
        let Self { tcp, counters, tasks, http_task, http_stop, .. } = self;
        drop(http_stop);
        if let Err(error) = http_task.await {
            log::error!("HTTP ended; error={error}");
        }
        control::server::unbind(&data.dir);
        drop(tasks);
        tcp.close();
        log::info!("stopped; {}", counters.lines().trim_end().replace('\n', " "));
    }
}

/// What the operator can ask to see.
struct Counters {
    passes: Passes,
    stats: Rc<Stats>,
    tcp: Rc<tcp::Server<Responder>>,
}

impl Counters {
    /// A line `name=value` for each.
    fn lines(&self) -> String {
        let Self { passes, stats, tcp } = self;
        [
            ("reactor_passes", passes.count()),
            ("reactor_gap_us_max", passes.gap_micros_max()),
            ("udp_received", stats.udp_received.get()),
            ("udp_dropped", stats.udp_dropped.get()),
            ("udp_refused", stats.udp_refused.get()),
            ("tcp_accepted", stats.tcp_accepted.get()),
            ("tcp_evicted", stats.tcp_evicted.get()),
            ("tcp_replies", stats.tcp_replies.get()),
            ("tcp_connections", tcp.connection_count() as u64),
        ]
        .iter()
        .map(|(name, value)| format!("{name}={value}\n"))
        .collect()
    }
}

/// Says where it listens, and what a newcomer must know.
async fn announce(
    server: &Server,
    data: &Data,
    key_place: &KeyPlace,
    store: &Store<Event>,
    output: &mut impl Write,
) -> Result<(), Error> {
    let counting = store.read(|reader| reader.superuser_count());
    let superusers = counting.await.map_err(into_store_error)?;
    let mut text = String::new();
    for address in &server.dns {
        text.push_str(&format!("DNS  {address} (UDP and TCP)\n"));
    }
    text.push_str(&format!("HTTP http://{}/\n", server.http));
    let dir = data.dir.display();
    if superusers == 0 {
        text.push_str(&format!(
            "There is no superuser yet: make one with `pocketdns superuser upsert EMAIL --dir {dir}`\n"
        ));
    }
    let key = match key_place {
        KeyPlace::Env { name } => format!("the secret in the environment variable {name}"),
        KeyPlace::File { path } => format!("the key {}", path.display()),
        KeyPlace::Beside { path, made: false } => format!("the key {}", path.display()),
        KeyPlace::Beside { path, made: true } => {
            format!("the key {}, made just now", path.display())
        }
    };
    text.push_str(&format!(
        "{dir} opens with {key}; no backup of it opens without: keep a copy elsewhere\n"
    ));
    // A server serves, whether somebody reads this or not.
    if let Err(error) = output.write_all(text.as_bytes()).and_then(|()| output.flush()) {
        log::warn!("cannot print the addresses; error={error}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::path::PathBuf;
    use std::rc::Rc;

    use smol::LocalExecutor;

    use super::{Error, Row, end, pump, row_text};
    use crate::limits::WRITE_GROUP_JOBS_MAX;
    use crate::publish::Event;
    use crate::store::{self, KeySource, Opened, StoreError};
    use crate::wire::{Name, OwnerSets, RrSet, Rtype};
    use crate::zone::{Zone, ZoneChange, Zones};

    fn open(name: &str) -> Result<(PathBuf, Opened<Event>), Error> {
        let dir = std::env::temp_dir().join(format!("pocketdns-{name}-{}", std::process::id()));
        let opened = store::open(&dir.join("data"), KeySource::Beside)?;
        Ok((dir, opened))
    }

    #[test]
    fn a_caller_hears_of_its_write_when_the_index_has_it() -> Result<(), Error> {
        let (dir, Opened { store, committed, running, .. }) = open("app-pump")?;
        let (executor, zones) = (LocalExecutor::new(), Rc::new(RefCell::new(Zones::new())));
        let pumping = executor.spawn(pump(committed.clone(), Rc::clone(&zones)));
        let zone = Name::parse_absolute("x.").expect("a name");
        for serial in 1..=100 {
            let (store, zones, change) = (store.clone(), Rc::clone(&zones), change(&zone, serial));
            // A task, as a request is: it runs as soon as it is woken.
            let caller = executor.spawn(async move {
                let zone = change.zone.clone();
                let write = store.write(move |tx| {
                    tx.publish(Event::Changed(change));
                    Ok::<_, StoreError>(())
                });
                write.await.expect("a write");
                zones.borrow().zone(&zone).map(Zone::serial)
            });
            let seen = smol::block_on(executor.run(caller));
            assert_eq!(seen, Some(serial));
        }
        drop(pumping);
        end(&store, &committed, running)?;
        std::fs::remove_dir_all(&dir).expect("it was made above");
        Ok(())
    }

    fn change(zone: &Name, serial: u32) -> ZoneChange {
        let rdata = vec![Box::from([192, 0, 2, 1])];
        let set = RrSet { rtype: Rtype::A, ttl: 1, rdata };
        let owner = OwnerSets { owner: zone.clone(), sets: vec![set] };
        ZoneChange { zone: zone.clone(), serial, owners: vec![owner] }
    }

    #[test]
    fn a_server_that_fails_does_not_wait_for_commits_that_nobody_takes() -> Result<(), Error> {
        let (dir, Opened { store, committed, running, .. }) = open("app-end")?;
        for _ in 0..2 * WRITE_GROUP_JOBS_MAX {
            let write = std::pin::pin!(store.write(|_| Ok::<_, StoreError>(())));
            // The first poll puts it into the queue.
            assert!(smol::block_on(smol::future::poll_once(write)).is_none());
        }
        end(&store, &committed, running)?;
        std::fs::remove_dir_all(&dir).expect("it was made above");
        Ok(())
    }

    #[test]
    fn a_stored_row_cannot_forge_a_line_of_the_log() {
        let row = Row { name: "a\nERROR forged".into(), ..Row::default() };
        assert!(row_text(&row).contains(r#"name="a\nERROR forged""#));
    }
}
