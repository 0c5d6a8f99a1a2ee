//! Everything that listens, and what it answers with.

use std::cell::Cell;
use std::convert::Infallible;
use std::rc::Rc;

use smol::{Async, LocalExecutor, Task};
use zeroize::Zeroizing;

use super::Error;
use super::https::HttpsServer;
use super::listeners::{Ground, Listeners};
use super::passes::Passes;
use crate::auth::password::Passwords;
use crate::auth::superuser::ensure;
use crate::config::{Data, Serve, Superuser};
use crate::control::{self, Context};
use crate::dns::querylog::QueryLog;
use crate::dns::stats::Stats;
use crate::dns::tcp;
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
    pub(super) listeners: Listeners,
    pub(super) https: Option<HttpsServer>,
    pub(super) passwords: Rc<Passwords>,
    /// What `/ready` says.
    pub(super) is_ready: Rc<Cell<bool>>,
    counters: Rc<Counters>,
    /// Dropped, they end.
    tasks: Vec<Task<Infallible>>,
    api: Rc<api::State>,
}

impl Server {
    /// Binds everything, then starts a task for each socket.
    pub(super) fn start(
        world: World<'_>,
        data: &Data,
        serve: &Serve,
        open_files_max: usize,
    ) -> Result<Self, Error> {
        let World { executor, store, live, passes } = world;
        let stats = Rc::new(Stats::default());
        let grants = tcp::Grants::for_connections(
            (open_files_max.saturating_sub(OPEN_FILES_RESERVED) / OPEN_FILES_PARTS
                * (OPEN_FILES_PARTS - HTTP_OPEN_FILES_PARTS))
                .min(DNS_TCP_CONNECTIONS_MAX),
        );
        let tcp = Rc::new(tcp::Server::new(grants, Rc::clone(&stats)));
        let query_log = Rc::new(QueryLog::default());
        let passwords = Rc::new(Passwords::new());
        let is_ready = Rc::new(Cell::new(true));
        let mut api = api::State::new(store.clone(), Rc::clone(&passwords), live);
        api.origins = api::Origins::new(serve.origins.clone());
        api.ttl_default_secs = serve.ttl_default_secs;
        let api = Rc::new(api);
        // Both kinds of listeners share what one would have.
        let parts = if serve.https.is_some() { 2 } else { 1 };
        let http_settings = http::Settings::new(open_files_max / parts);
        let mut listeners = Listeners::new(Ground {
            executor: Rc::clone(executor),
            zones: Rc::clone(&live.zones),
            stats: Rc::clone(&stats),
            tcp: Rc::clone(&tcp),
            query_log: Rc::clone(&query_log),
            http_settings: http_settings.clone(),
            api: api::handler(Rc::clone(&api)),
            is_ready: Rc::clone(&is_ready),
        });
        listeners.apply(serve)?;
        let start_https = |https| {
            HttpsServer::start(https, executor, http_settings, api::handler(Rc::clone(&api)))
        };
        let https = serve.https.as_ref().map(start_https).transpose()?;
        let control = control::server::bind(&data.dir)
            .map_err(|source| Error::Control { dir: data.dir.clone(), source })?;

        let counters = Rc::new(Counters { passes: passes.clone(), stats, tcp });
        let context = Context {
            store: store.clone(),
            passwords: Rc::clone(&passwords),
            ttl_default_secs: serve.ttl_default_secs,
            stats: Some(Box::new({
                let counters = Rc::clone(&counters);
                move || counters.lines()
            })),
        };
        let control = Async::new(control).map_err(Error::Register)?;
        let control = control::server::serve(control, Rc::clone(executor), Rc::new(context));
        let (logging, scheduling) = (Rc::clone(&api), Rc::clone(&api));
        let logging = async move { logging.activity.run(&logging.store, &logging.settings).await };
        let tasks = vec![
            executor.spawn(control),
            executor.spawn(query_log.run()),
            executor.spawn(api::realtime::deliver(Rc::clone(&api))),
            executor.spawn(logging),
            executor.spawn(async move { scheduling.jobs.run().await }),
        ];
        Ok(Self { listeners, https, passwords, is_ready, counters, tasks, api })
    }

    /// Makes the accounts that the configuration asks for; those that are as asked stay untouched.
    pub(super) async fn make_superusers(
        &self,
        superusers: &[Superuser],
        store: &Store<Event>,
    ) -> Result<(), Error> {
        for Superuser { email, password, source } in superusers {
            let secret = Zeroizing::new(password.0.clone());
            let made = ensure(store, &self.passwords, email, secret).await.map_err(|error| {
                Error::Superuser { email: email.clone(), place: source, source: error }
            })?;
            if made {
                log::info!("the superuser has the password that {source} gives; email={email:?}");
            }
        }
        Ok(())
    }

    /// Where it listens, in a line.
    pub(super) fn addresses(&self) -> String {
        let Listeners { dns, http, .. } = &self.listeners;
        let dns: Vec<String> = dns.iter().map(|dns| dns.address.to_string()).collect();
        let http: Vec<String> = http.iter().map(|http| http.address.to_string()).collect();
        let https = self.https.as_ref().map(|https| format!(", HTTPS {}", https.address));
        format!("DNS {}, HTTP {}{}", dns.join(" "), http.join(" "), https.unwrap_or_default())
    }

    /// Stops in the reverse order: first what writes, last what reads.
    pub(super) async fn stop(self, data: &Data) {
        let Self { listeners, https, counters, tasks, api, .. } = self;
        control::server::unbind(&data.dir);
        if let Some(https) = https {
            https.end().await;
        }
        listeners.stop().await;
        drop(tasks);
        api.activity.write(&api.store, &api.settings()).await;
        log::info!("stopped; {}", counters.lines().trim_end().replace('\n', " "));
    }
}

/// What the operator can ask to see.
struct Counters {
    passes: Passes,
    stats: Rc<Stats>,
    tcp: Rc<tcp::Server>,
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
