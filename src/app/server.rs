//! Everything that listens: DNS, HTTP, the control socket.

use std::convert::Infallible;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;

use smol::channel::Sender;
use smol::{Async, LocalExecutor, Task};

use super::Error;
use super::passes::Passes;
use crate::auth::password::Passwords;
use crate::config::{Data, Https, Serve};
use crate::control::{self, Context};
use crate::dns::bind::Listeners;
use crate::dns::respond::{Transport, respond};
use crate::dns::stats::Stats;
use crate::dns::{self, tcp, udp};
use crate::http::tls::Tls;
use crate::limits::{
    DNS_TCP_CONNECTIONS_MAX, HTTP_OPEN_FILES_PARTS, OPEN_FILES_PARTS, OPEN_FILES_RESERVED,
};
use crate::publish::{Event, Live};
use crate::store::Store;
use crate::{api, http};

/// What a server is started from.
pub(super) struct World<'a> {
    pub(super) executor: &'a Rc<LocalExecutor<'static>>,
    pub(super) store: &'a Store<Event>,
    pub(super) live: &'a Live,
    pub(super) passes: &'a Passes,
}

/// Everything that listens.
pub(super) struct Server {
    pub(super) dns: Vec<SocketAddr>,
    pub(super) http: SocketAddr,
    pub(super) https: Option<SocketAddr>,
    tcp: Rc<tcp::Server<Responder>>,
    counters: Rc<Counters>,
    /// Dropped, they end.
    tasks: Vec<Task<Infallible>>,
    http_tasks: Vec<Task<io::Result<()>>>,
    http_stop: Sender<Infallible>,
    api: Rc<api::State>,
}

/// Answers a query over TCP.
type Responder = Box<dyn Fn(&[u8], &mut [u8]) -> Option<usize>>;

impl Server {
    /// Binds everything, then starts a task for each socket.
    pub(super) fn start(
        world: World<'_>,
        data: &Data,
        addresses: &Serve,
        open_files_max: usize,
    ) -> Result<Self, Error> {
        let World { executor, store, live, passes } = world;
        let zones = &live.zones;
        let listeners = dns::bind::bind(&addresses.dns)?;
        let http_failed = |source| Error::Http { address: addresses.http, source };
        let http_listener = TcpListener::bind(addresses.http).map_err(http_failed)?;
        let http = http_listener.local_addr().map_err(http_failed)?;
        let https_listener = addresses.https.as_ref().map(bind_tls).transpose()?;
        let control = control::server::bind(&data.dir)
            .map_err(|source| Error::Control { dir: data.dir.clone(), source })?;

        let stats = Rc::new(Stats::default());
        let over_tcp = Rc::clone(zones);
        let grants = tcp::Grants::for_connections(
            (open_files_max.saturating_sub(OPEN_FILES_RESERVED) / OPEN_FILES_PARTS
                * (OPEN_FILES_PARTS - HTTP_OPEN_FILES_PARTS))
                .min(DNS_TCP_CONNECTIONS_MAX),
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

        let mut state = api::State::new(store.clone(), passwords, live);
        state.origins = api::Origins::new(addresses.origins.clone());
        let state = Rc::new(state);
        tasks.push(executor.spawn(api::realtime::deliver(Rc::clone(&state))));
        let logging = Rc::clone(&state);
        tasks.push(
            executor.spawn(
                async move { logging.activity.run(&logging.store, &logging.settings).await },
            ),
        );
        let scheduling = Rc::clone(&state);
        tasks.push(executor.spawn(async move { scheduling.jobs.run().await }));
        let (http_stop, stopped) = smol::channel::bounded(1);
        // Both listeners share what one would have.
        let share = open_files_max / if https_listener.is_some() { 2 } else { 1 };
        let mut http_tasks = Vec::new();
        let mut https = None;
        let plain = Some((http_listener, None));
        for (listener, tls) in plain.into_iter().chain(https_listener) {
            if let Some(tls) = &tls {
                https = listener.local_addr().ok();
                tasks.push(executor.spawn(tls.clone().keep_fresh()));
            }
            http_tasks.push(executor.spawn(http::serve(
                listener,
                Rc::clone(executor),
                http::Settings::new(share),
                api::handler(Rc::clone(&state)),
                stopped.clone(),
                tls,
            )));
        }
        Ok(Self { dns, http, https, tcp, counters, tasks, http_tasks, http_stop, api: state })
    }

    /// Where it listens, in a line.
    pub(super) fn addresses(&self) -> String {
        let dns: Vec<String> = self.dns.iter().map(SocketAddr::to_string).collect();
        let https = self.https.map(|address| format!(", HTTPS {address}")).unwrap_or_default();
        format!("DNS {}, HTTP {}{https}", dns.join(" "), self.http)
    }

    /// Stops in the reverse order: first what writes, last what reads.
    pub(super) async fn stop(self, data: &Data) {
        let Self { tcp, counters, tasks, http_tasks, http_stop, api, .. } = self;
        drop(http_stop);
        for task in http_tasks {
            if let Err(error) = task.await {
                log::error!("HTTP ended; error={error}");
            }
        }
        control::server::unbind(&data.dir);
        drop(tasks);
        api.activity.write(&api.store, &api.settings()).await;
        tcp.close();
        log::info!("stopped; {}", counters.lines().trim_end().replace('\n', " "));
    }
}

/// Reads the certificate and binds the socket for it.
fn bind_tls(https: &Https) -> Result<(TcpListener, Option<Tls>), Error> {
    let tls = Tls::load(&https.cert, &https.key)?;
    let failed = |source| Error::Https { address: https.address, source };
    Ok((TcpListener::bind(https.address).map_err(failed)?, Some(tls)))
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
