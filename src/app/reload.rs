//! The Corefile again: when a signal asks for it, and when the file has changed.
//!
//! What can change while the server runs is where it listens and what it answers there, probes, the
//! query log, and accounts that are asked for. The data directory and the default TTL belong to a
//! start: the index was made with them. A file that is wrong, or an address that cannot be had,
//! changes nothing.

use std::path::PathBuf;
use std::time::Duration;

use async_signal::Signals;
use smol::Timer;
use smol::future::or;
use smol::stream::StreamExt;

use super::server::Server;
use super::supervisor::Supervisor;
use crate::config::file::Corefile;
use crate::config::load::{Fingerprint, load};
use crate::config::{Data, DataFlags, Reload, Serve, ServeFlags, settle};
use crate::control::chain_text;
use crate::publish::Event;
use crate::store::Store;

/// What the settings of a server are made of.
pub(super) struct Source {
    pub(super) data_flags: DataFlags,
    pub(super) serve_flags: ServeFlags,
    /// Of the Corefile, as it was read at the start.
    pub(super) fingerprint: Option<Fingerprint>,
}

/// The value of an environment variable.
pub(super) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Follows the Corefile until the future is dropped; `serve` is what the server does now.
pub(super) async fn follow(
    source: Source,
    mut signals: Signals,
    server: &mut Server,
    serve: &mut Serve,
    data: &Data,
    store: &Store<Event>,
    supervisor: &Supervisor,
) {
    let mut seen = source.fingerprint;
    loop {
        let asked = async {
            // A stream of signals does not end.
            let _ = signals.next().await;
            true
        };
        let is_asked = or(asked, next_look(serve.reload)).await;
        let Some(conf) = source.data_flags.conf.clone() else {
            log::warn!("there is nothing to reload: the server was started without --conf");
            continue;
        };
        let loaded = smol::unblock(move || load(&conf)).await;
        if !is_asked && Some(loaded.fingerprint) == seen {
            continue;
        }
        seen = Some(loaded.fingerprint);
        supervisor.reloading().await;
        match loaded.corefile {
            Ok(file) => bring_into_force(&file, &source, server, serve, data, store).await,
            Err(error) => log::error!("the configuration stays as it was; error={error}"),
        }
        supervisor.ready(&server.addresses()).await;
    }
}

/// Makes the server do what `file` says, as far as a running one can.
async fn bring_into_force(
    file: &Corefile,
    source: &Source,
    server: &mut Server,
    serve: &mut Serve,
    data: &Data,
    store: &Store<Event>,
) {
    let (mut wanted, notices) = settle::serve(&source.serve_flags, &variable, Some(file));
    for notice in notices {
        log::warn!("{notice}");
    }
    let dir: PathBuf = settle::data(source.data_flags.clone(), Some(file)).dir;
    if dir != data.dir {
        log::warn!(
            "another data_dir needs a restart; now={} asked={}",
            data.dir.display(),
            dir.display()
        );
    }
    if wanted.ttl_default_secs != serve.ttl_default_secs {
        log::warn!(
            "another default_ttl needs a restart; now={} asked={}",
            serve.ttl_default_secs,
            wanted.ttl_default_secs
        );
        wanted.ttl_default_secs = serve.ttl_default_secs;
    }
    if let Err(error) = server.listeners.apply(&wanted) {
        log::error!("the configuration stays as it was; error={}", chain_text(&error));
        return;
    }
    *serve = wanted;
    log::info!("reloaded: {}", server.addresses());
    if let Err(error) = server.make_superusers(&serve.superusers, store).await {
        log::error!("an account was not made; error={}", chain_text(&error));
    }
}

/// Waits for the next look at the file, if there is to be one. Gives `false`.
async fn next_look(reload: Option<Reload>) -> bool {
    match reload {
        Some(Reload { interval, jitter }) => {
            Timer::after(interval - jitter / 2 + random_part(jitter)).await;
        }
        None => std::future::pending::<()>().await,
    }
    false
}

/// Between nothing and all of it.
fn random_part(of: Duration) -> Duration {
    use ring::rand::SecureRandom;
    let mut octets = [0; 4];
    // Without random numbers, in the middle.
    if ring::rand::SystemRandom::new().fill(&mut octets).is_err() {
        return of / 2;
    }
    of.mul_f64(f64::from(u32::from_ne_bytes(octets)) / f64::from(u32::MAX))
}
