//! A command other than `serve`: made ready here, carried out beside the running server or, when
//! none runs, on the directory itself.
//!
//! Files, the terminal and the standard input are read before anything else, as the user who typed
//! the command; what goes further is records and text.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant};

use smol::{LocalExecutor, Timer};

use super::{Error, key_source, moves};
use crate::auth::password::Passwords;
use crate::config::load::load;
use crate::config::{
    Action, Data, DataFlags, Listen, Password, Probe, ProbeKind, ServeFlags, SuperuserVerb, settle,
};
use crate::control::records::Encoder;
use crate::control::{Command, CommandError, Context, Request, client, execute};
use crate::limits::{
    CONTROL_SEARCH_SECS_MAX, CREDENTIAL_CHARS_MAX, IMPORT_REFUSED_NAMED_MAX, LOCK_PAUSE_MS,
};
use crate::masterfile::{self, Entry};
use crate::publish::Event;
use crate::records::zonefile;
use crate::store::{self, KeyPlace, OpenError, Opened};
use crate::sys;
use crate::wire::{Name, Rr, Rtype};

/// Carries out `action`, which is not [`Action::Serve`], and prints to `output` what it has to say.
///
/// # Errors
/// It was not done; the text says why.
pub(super) fn run(
    data: &Data,
    ttl_default_secs: u32,
    action: Action,
    output: &mut impl Write,
) -> Result<(), Error> {
    let requests = match action {
        Action::Serve(_) | Action::ConfigCheck { .. } => return Ok(()),
        Action::Version => {
            let version = env!("CARGO_PKG_VERSION");
            return writeln!(output, "pocketdns {version}").map_err(Error::Output);
        }
        Action::Import { source, source_encryption_env } => {
            return moves::import(data, &source, source_encryption_env.as_deref(), output);
        }
        Action::Export { target } => return moves::export(data, &target, output),
        Action::Rekey { new } => return moves::rekey(data, new, output),
        Action::ZoneCheck { files, origin } if !files.is_empty() => {
            return check_files(&files, origin.as_deref(), output);
        }
        Action::ZoneCheck { .. } => vec![Command::ZoneCheck.into()],
        Action::ZoneList => vec![Command::ZoneList.into()],
        Action::ZoneExport { zone } => vec![Command::ZoneExport { zone }.into()],
        Action::Stats => vec![Command::Stats.into()],
        Action::ZoneImport { files, origin, replace } => {
            read_imports(&files, origin.as_deref(), replace)?
        }
        Action::Superuser { verb, email, password } => {
            let password = match (verb, password) {
                (SuperuserVerb::Delete, _) => None,
                (_, Some(Password(text))) => Some(text),
                (_, None) => Some(read_password().map_err(Error::Password)?),
            };
            vec![Command::Superuser { verb, email, password }.into()]
        }
    };
    carry_out(data, ttl_default_secs, requests, output)
}

/// Says whether a Corefile is right, and what a server would do with it.
pub(super) fn check_config(file: Option<PathBuf>, output: &mut impl Write) -> Result<(), Error> {
    let path = file.unwrap_or_else(|| "Corefile".into());
    let corefile = load(&path).corefile?;
    let flags = DataFlags::default();
    let data = settle::data(flags, Some(&corefile));
    let (serve, notices) =
        settle::serve(&ServeFlags::default(), &|name| std::env::var(name).ok(), Some(&corefile));
    let mut text = String::new();
    for Listen { address, parts } in &serve.dns {
        let zones: Vec<_> = parts.iter().map(|part| part.zone.to_string()).collect();
        text.push_str(&format!("DNS  {address} for {}\n", zones.join(" ")));
    }
    text.push_str(&format!("HTTP http://{}/\n", serve.http));
    for Probe { address, kind } in &serve.probes {
        let path = match kind {
            ProbeKind::Health => "health",
            ProbeKind::Ready => "ready",
        };
        text.push_str(&format!("HTTP http://{address}/{path}\n"));
    }
    text.push_str(&format!("data {}\n", data.dir.display()));
    for superuser in &serve.superusers {
        text.push_str(&format!("superuser {}\n", superuser.email));
    }
    for notice in notices {
        text.push_str(&format!("note: {notice}\n"));
    }
    text.push_str(&format!("{} is right\n", path.display()));
    output.write_all(text.as_bytes()).map_err(Error::Output)
}

/// Finds the running server, or takes its place. The directory's lock decides: as long as somebody
/// holds it who does not listen yet, or no longer, this looks again.
fn carry_out(
    data: &Data,
    ttl_default_secs: u32,
    requests: Vec<Request>,
    output: &mut impl Write,
) -> Result<(), Error> {
    let deadline = Instant::now() + Duration::from_secs(CONTROL_SEARCH_SECS_MAX);
    let mut key = None;
    let needs_server = requests.iter().any(|request| matches!(request.command, Command::Stats));
    loop {
        let connected = client::connect(&data.dir)
            .map_err(|source| Error::Control { dir: data.dir.clone(), source })?;
        if let Some(stream) = connected {
            return beside_server(data, stream, &requests, output);
        }
        if needs_server {
            return Err(CommandError::NoServer.into());
        }
        // Read while we are who gave the command: the owner of the directory may not be let in.
        let source = match key.take() {
            Some(source) => source,
            None => key_source(data)?.read()?,
        };
        // Files that this makes must be the owner's, or the server could not open them.
        sys::become_owner_of(&data.dir)
            .map_err(|source| Error::Owner { dir: data.dir.clone(), source })?;
        match store::open(&data.dir, source.clone()) {
            Ok(opened) => return on_stopped(opened, ttl_default_secs, requests, output),
            Err(OpenError::Locked { .. }) if Instant::now() < deadline => {
                key = Some(source);
                smol::block_on(Timer::after(Duration::from_millis(LOCK_PAUSE_MS)));
            }
            Err(error) => return Err(error.into()),
        }
    }
}

fn beside_server(
    data: &Data,
    first: std::os::unix::net::UnixStream,
    requests: &[Request],
    output: &mut impl Write,
) -> Result<(), Error> {
    let mut first = Some(first);
    for request in requests {
        let stream = match first.take() {
            Some(stream) => stream,
            None => client::connect(&data.dir)
                .and_then(|stream| stream.ok_or_else(|| io::ErrorKind::ConnectionRefused.into()))
                .map_err(|source| Error::Control { dir: data.dir.clone(), source })?,
        };
        smol::block_on(client::ask(stream, request, output))?;
    }
    Ok(())
}

/// The same without a server: nobody serves, so what is committed is published to nobody.
fn on_stopped(
    opened: Opened<Event>,
    ttl_default_secs: u32,
    requests: Vec<Request>,
    output: &mut impl Write,
) -> Result<(), Error> {
    let Opened { store, committed, running, key_place, .. } = opened;
    if let KeyPlace::Beside { path, made: true } = &key_place {
        log::warn!(
            "made the key that opens the database; no backup opens without it; key={}",
            path.display()
        );
    }
    let executor = LocalExecutor::new();
    let pump = executor.spawn(async move {
        while let Ok(done) = committed.recv().await {
            done.finish();
        }
    });
    let context = Context {
        store: store.clone(),
        passwords: Rc::new(Passwords::new()),
        ttl_default_secs,
        stats: None,
    };
    let result = smol::block_on(executor.run(async {
        for request in requests {
            let mut text = String::new();
            let result = execute(&context, request, &mut text).await;
            output.write_all(text.as_bytes()).map_err(Error::Output)?;
            result?;
        }
        Ok(())
    }));
    store.close();
    smol::block_on(executor.run(pump));
    running.join().map_err(Error::Store)?;
    result
}

/// Asks for a password at the terminal, twice, or takes the first line of the standard input.
fn read_password() -> io::Result<String> {
    if io::stdin().is_terminal() {
        let password = rpassword::prompt_password("Password: ")?;
        if rpassword::prompt_password("Again: ")? != password {
            return Err(io::Error::other("the two are not the same"));
        }
        return Ok(password);
    }
    let mut line = String::new();
    // A character has four octets at most.
    io::stdin().lock().take(4 * CREDENTIAL_CHARS_MAX as u64 + 2).read_line(&mut line)?;
    Ok(line.trim_end_matches(['\n', '\r']).to_owned())
}

/// The records of one zone, from one file or several.
struct ZoneOfFiles {
    zone: Name,
    entries: Vec<Entry>,
}

/// Reads master files, what they include too. Files of the same zone are taken together.
fn read_zones(files: &[PathBuf], origin: Option<&str>) -> Result<Vec<ZoneOfFiles>, Error> {
    let origin = origin
        .map(|text| {
            Name::parse(text, Some(&Name::root()))
                .map_err(|source| CommandError::Zone { text: text.to_owned(), source })
        })
        .transpose()?;
    let mut zones: Vec<ZoneOfFiles> = Vec::new();
    for path in files {
        let entries = read_file(path, origin.as_ref())?;
        let soa = entries.iter().find(|entry| entry.rr.rtype == Rtype::SOA);
        let zone = match (&origin, soa) {
            (Some(origin), _) => origin.clone(),
            (None, Some(soa)) => soa.rr.owner.clone(),
            (None, None) => return Err(Error::NoOrigin { path: path.clone() }),
        };
        match zones.iter_mut().find(|known| known.zone == zone) {
            Some(known) => known.entries.extend(entries),
            None => zones.push(ZoneOfFiles { zone, entries }),
        }
    }
    Ok(zones)
}

/// Reads one master file. All its errors are told, up to a number.
fn read_file(path: &Path, origin: Option<&Name>) -> Result<Vec<Entry>, Error> {
    let open = |path: &Path| File::open(path).map(BufReader::new);
    let input = open(path).map_err(|source| Error::File { path: path.to_owned(), source })?;
    let name = path.to_string_lossy();
    // Where the files lie that are known by the names they are included with.
    let mut places: HashMap<String, PathBuf> = HashMap::new();
    let parser = masterfile::parse(&name, input, origin).with_includes(|included, includer| {
        // A relative path starts from the file that it is written in, as in Knot DNS.
        let includer = places.get(includer).map_or_else(|| Path::new(includer), PathBuf::as_path);
        let place = includer.with_file_name(included);
        let file = open(&place)?;
        places.insert(included.to_owned(), place);
        Ok(Box::new(file) as Box<dyn BufRead>)
    });
    let mut entries = Vec::new();
    let mut wrong = Vec::new();
    for entry in parser {
        match entry {
            Ok(entry) => entries.push(entry),
            Err(error) => wrong.push(error.to_string()),
        }
        if wrong.len() == IMPORT_REFUSED_NAMED_MAX {
            break;
        }
    }
    if wrong.is_empty() { Ok(entries) } else { Err(Error::MasterFile(wrong.join("\n"))) }
}

fn read_imports(
    files: &[PathBuf],
    origin: Option<&str>,
    replace: bool,
) -> Result<Vec<Request>, Error> {
    let mut requests = Vec::new();
    for ZoneOfFiles { zone, entries } in read_zones(files, origin)? {
        let mut encoder = Encoder::default();
        for entry in &entries {
            encoder.push(entry).map_err(CommandError::from)?;
        }
        let Encoder { data, files } = encoder;
        let command = Command::ZoneImport { zone: zone.to_string(), replace, files };
        requests.push(Request { command, data });
    }
    Ok(requests)
}

/// Checks files as whole zones; needs no store.
fn check_files(
    files: &[PathBuf],
    origin: Option<&str>,
    output: &mut impl Write,
) -> Result<(), Error> {
    let mut refused_count = 0;
    for ZoneOfFiles { zone, entries } in read_zones(files, origin)? {
        let (places, records): (Vec<_>, Vec<Rr>) =
            entries.into_iter().map(|entry| ((entry.file, entry.line), entry.rr)).unzip();
        let report = zonefile::check_file(&zone, &records);
        refused_count += report.refused.len();
        for record in &report.refused {
            if let Some((file, line)) = places.get(record.index) {
                writeln!(output, "{file}:{line}: {}", record.refusal).map_err(Error::Output)?;
            }
        }
        for warning in &report.warnings {
            writeln!(output, "warning: {} {}: {}", warning.owner, warning.rtype, warning.message)
                .map_err(Error::Output)?;
        }
    }
    if refused_count > 0 { Err(Error::FilesRefused(refused_count)) } else { Ok(()) }
}
