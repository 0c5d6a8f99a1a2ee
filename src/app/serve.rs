//! A server's life: open, load, listen, serve, stop.

use std::io::Write;
use std::rc::Rc;
use std::time::{Duration, Instant};

use async_signal::{Signal, Signals};
use smol::channel::Receiver;
use smol::future::or;
use smol::stream::StreamExt;
use smol::{LocalExecutor, Timer};

use super::listeners::Dns;
use super::load::{load_settings, load_zones, make_first_zone};
use super::passes::Passes;
use super::probes::Paths;
use super::reload::{Source, follow, variable};
use super::server::{Server, World};
use super::supervisor::Supervisor;
use super::{Error, into_store_error, key_source};
use crate::config::file::Corefile;
use crate::config::{Data, settle};
use crate::limits::{CONTROL_SEARCH_SECS_MAX, LOCK_PAUSE_MS};
use crate::publish::{Event, Live};
use crate::store::{self, Committed, KeyPlace, OpenError, Opened, Running, Store};
use crate::{control, sys};

/// The recipe of a server's life.
pub(super) fn serve(
    data: &Data,
    source: Source,
    file: Option<&Corefile>,
    output: &mut impl Write,
) -> Result<(), Error> {
    let (mut serve, notices) = settle::serve(&source.serve_flags, &variable, file);
    for notice in notices {
        log::warn!("{notice}");
    }
    let open_files_max = sys::raise_open_files();
    let Opened { store, committed, running, key_place, .. } = open_store(data)?;
    let executor = Rc::new(LocalExecutor::new());
    let passes = Passes::default();
    let supervisor = Rc::new(Supervisor::new(|name| std::env::var_os(name)));
    let life = async {
        let live = Live::default();
        let mut pump = executor.spawn(pump(committed.clone(), live.clone()));
        // What is asked for during the start is done after it.
        let reloads = Signals::new([Signal::Hup, Signal::Usr1]).map_err(Error::Register)?;
        load_zones(&store, &live.zones, serve.ttl_default_secs).await?;
        make_first_zone(&store).await?;
        load_settings(&store, &live).await?;
        let world = World { executor: &executor, store: &store, live: &live, passes: &passes };
        // From here on a signal stops the server instead of ending the process.
        let mut stops = Signals::new([Signal::Term, Signal::Int]).map_err(Error::Register)?;
        let mut server = Server::start(world, data, &serve, open_files_max)?;
        server.make_superusers(&serve.superusers, &store).await?;
        announce(&server, data, &key_place, &store, output).await?;
        supervisor.ready(&server.addresses()).await;
        let fed = Rc::clone(&supervisor);
        let _watchdog = executor.spawn(async move { fed.feed_watchdog().await });
        // It answers already; what the start leaves behind can wait for that.
        smol::unblock(|| {
            sys::trim_memory();
            sys::forget_code_pages();
        })
        .await;
        passes.forget();
        let writer_ended = async {
            (&mut pump).await;
            Err(Error::WriterEnded)
        };
        let following = async {
            follow(source, reloads, &mut server, &mut serve, data, &store, &supervisor).await;
            std::future::pending().await
        };
        let result = or(stop_signal(&mut stops), or(writer_ended, following)).await;
        supervisor.stopping().await;
        if result.is_ok() && !serve.lameduck.is_zero() {
            server.is_ready.set(false);
            log::info!(
                "not ready any more, but serving; lameduck_secs={}",
                serve.lameduck.as_secs()
            );
            // A second signal does not wait.
            or(async { drop(stop_signal(&mut stops).await) }, async {
                Timer::after(serve.lameduck).await;
            })
            .await;
        }
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
async fn stop_signal(signals: &mut Signals) -> Result<(), Error> {
    let signal = signals.next().await.transpose().map_err(Error::Register)?;
    log::info!("stopping; signal={signal:?}");
    Ok(())
}

/// Makes each commit known and then lets its caller know, in commit order.
async fn pump(committed: Receiver<Committed<Event>>, live: Live) {
    while let Ok(mut done) = committed.recv().await {
        let mut replaced = Vec::new();
        for event in done.events.drain(..) {
            replaced.extend(live.apply(event));
        }
        live.realtime.end_commit();
        if let Some(schema) = &done.schema {
            live.realtime.schema_changed(schema);
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
    for Dns { address, .. } in &server.listeners.dns {
        text.push_str(&format!("DNS  {address} (UDP and TCP)\n"));
    }
    if let Some(https) = &server.https {
        text.push_str(&format!("HTTPS https://{}/\n", https.address));
    }
    for http in &server.listeners.http {
        let Paths { api, health, ready } = http.paths.get();
        for (is_there, kind, path) in
            [(api, "HTTP", ""), (health, "health", "health"), (ready, "ready", "ready")]
        {
            if is_there {
                text.push_str(&format!("{kind} http://{}/{path}\n", http.address));
            }
        }
    }
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
    use std::path::PathBuf;

    use smol::LocalExecutor;

    use super::{Error, Live, end, pump};
    use crate::limits::WRITE_GROUP_JOBS_MAX;
    use crate::publish::Event;
    use crate::store::{self, KeySource, Opened, StoreError};
    use crate::wire::{Name, OwnerSets, RrSet, Rtype};
    use crate::zone::{Zone, ZoneChange};

    fn open(name: &str) -> Result<(PathBuf, Opened<Event>), Error> {
        let dir = std::env::temp_dir().join(format!("pocketdns-{name}-{}", std::process::id()));
        let opened = store::open(&dir.join("data"), KeySource::Beside)?;
        Ok((dir, opened))
    }

    #[test]
    fn a_caller_hears_of_its_write_when_the_index_has_it() -> Result<(), Error> {
        let (dir, Opened { store, committed, running, .. }) = open("app-pump")?;
        let (executor, live) = (LocalExecutor::new(), Live::default());
        let pumping = executor.spawn(pump(committed.clone(), live.clone()));
        let zone = Name::parse_absolute("x.").expect("a name");
        for serial in 1..=100 {
            let (store, live, change) = (store.clone(), live.clone(), change(&zone, serial));
            // A task, as a request is: it runs as soon as it is woken.
            let caller = executor.spawn(async move {
                let zone = change.zone.clone();
                let write = store.write(move |tx| {
                    tx.publish(Event::Changed(change));
                    Ok::<_, StoreError>(())
                });
                write.await.expect("a write");
                live.zones.borrow().zone(&zone).map(Zone::serial)
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
}
