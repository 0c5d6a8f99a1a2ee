//! A Corefile as settings: which directives there are, and what each says.
//!
//! One process has one database, one HTTP address and one index. So `pocketbase` may stand in any
//! number of server blocks, with options in one of them (or the same ones in each, as a snippet
//! brings them); a block says at which addresses which zones are answered. What a directive asks for
//! and does not get is a notice; a directive that is not here is an error.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use super::corefile::{Block, CorefileError, Directive, Place, Word};
use super::values::{duration, socket_address, zone_address, zone_name};
use super::{Listen, Password, Probe, ProbeKind, Reload};
use crate::dns::querylog::Classes;
use crate::dns::served::{LogRule, Part};
use crate::limits::{
    DNS_ADDRESSES_MAX, LAMEDUCK_SECS_MAX, RELOAD_INTERVAL_SECS_DEFAULT, RELOAD_INTERVAL_SECS_MAX,
    RELOAD_INTERVAL_SECS_MIN, RELOAD_JITTER_SECS_DEFAULT, RELOAD_JITTER_SECS_MIN, TTL_SECS_MAX,
};
use crate::wire::Name;

const DIRECTIVES: &str = "bind, cache, errors, health, log, pocketbase, ready, reload";
/// Where CoreDNS answers `/health` and `/ready` unless told otherwise.
const HEALTH_DEFAULT: &str = ":8080";
const READY_DEFAULT: &str = ":8181";

/// What a Corefile says. `None` and empty: nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Corefile {
    /// Each address once, in order.
    pub dns: Vec<Listen>,
    /// `listen`.
    pub http: Option<SocketAddr>,
    /// `data_dir`.
    pub data_dir: Option<PathBuf>,
    /// `su_email`.
    pub su_email: Option<String>,
    /// `su_password`.
    pub su_password: Option<Password>,
    /// `default_ttl`, at most [`TTL_SECS_MAX`].
    pub ttl_default_secs: Option<u32>,
    /// `health` and `ready`, each once.
    pub probes: Vec<Probe>,
    /// The longest `lameduck`.
    pub lameduck: Duration,
    /// `reload`.
    pub reload: Option<Reload>,
    /// What has no effect here: `file:line: why`.
    pub notices: Vec<String>,
}

/// Makes settings of blocks. `interface` gives the addresses of a network interface, with port 0;
/// none when there is none of that name.
///
/// # Errors
/// The first thing that is wrong.
pub fn read(
    blocks: &[Block],
    interface: &dyn Fn(&str) -> Vec<SocketAddr>,
) -> Result<Corefile, CorefileError> {
    let mut reader = Reader {
        file: Corefile::default(),
        seen: HashMap::new(),
        bound: HashMap::new(),
        pocketbase: None,
        interface,
    };
    for block in blocks {
        reader.block(block)?;
    }
    Ok(reader.file)
}

struct Reader<'a> {
    file: Corefile,
    /// Where a zone was given for an address.
    seen: HashMap<(SocketAddr, Name), Place>,
    /// For each port: whether its first server block has a `bind`, and where that block is.
    bound: HashMap<u16, (bool, Place)>,
    /// The options of `pocketbase`, and where.
    pocketbase: Option<(Vec<Given>, Place)>,
    interface: &'a dyn Fn(&str) -> Vec<SocketAddr>,
}

/// An option of `pocketbase` as given: its name and its value.
type Given = (String, String);

impl Reader<'_> {
    fn block(&mut self, block: &Block) -> Result<(), CorefileError> {
        let Some(first) = block.keys.first() else { return Ok(()) };
        let mut addresses: Option<Vec<SocketAddr>> = None;
        let mut log = Vec::new();
        let mut once: HashMap<&str, &Place> = HashMap::new();
        for directive in &block.directives {
            let Directive { name, .. } = directive;
            if !matches!(&*name.text, "bind" | "log")
                && let Some(before) = once.insert(&name.text, &name.place)
            {
                let message =
                    format!("{:?} stands twice in a server block, first at {before}", name.text);
                return Err(name.place.error(message));
            }
            let mut options = directive.body.iter().flatten();
            if let Some(option) = options.find(|option| option.body.is_some()) {
                return Err(option.name.place.error("an option has no braces"));
            }
            match &*name.text {
                "bind" => addresses.get_or_insert_default().extend(self.bind(directive)?),
                "cache" => self.cache(directive)?,
                "errors" => self.errors(directive)?,
                "health" => self.health(directive)?,
                "log" => log.extend(log_rules(directive)?),
                "pocketbase" => self.pocketbase(directive)?,
                "ready" => self.ready(directive)?,
                "reload" => self.reload(directive)?,
                unknown => {
                    return Err(name
                        .place
                        .error(format!("unknown directive {unknown:?}: there are {DIRECTIVES}")));
                }
            }
        }
        if !once.contains_key("pocketbase") {
            return Err(first
                .place
                .error("the server block answers nothing: `pocketbase` is missing"));
        }
        for key in &block.keys {
            self.listen(key, addresses.as_deref(), &log)?;
        }
        Ok(())
    }

    /// Adds the zones of an address of a server block.
    fn listen(
        &mut self,
        key: &Word,
        addresses: Option<&[SocketAddr]>,
        log: &[LogRule],
    ) -> Result<(), CorefileError> {
        let error = |message| key.place.error(message);
        let (zones, port) = zone_address(&key.text).map_err(error)?;
        let is_bound = addresses.is_some();
        let (is_first_bound, first) =
            self.bound.entry(port).or_insert_with(|| (is_bound, key.place.clone()));
        if *is_first_bound != is_bound {
            return Err(error(format!(
                "all server blocks on port {port} must have `bind`, or none: see {first}"
            )));
        }
        let everywhere = [SocketAddr::from((std::net::Ipv6Addr::UNSPECIFIED, 0))];
        for address in addresses.unwrap_or(&everywhere) {
            let mut address = *address;
            address.set_port(port);
            for zone in &zones {
                let place = key.place.clone();
                if let Some(before) = self.seen.insert((address, zone.clone()), place) {
                    return Err(error(format!(
                        "{zone} on {address} is served already: see {before}"
                    )));
                }
                let part = Part { zone: zone.clone(), log: log.to_vec() };
                let listens = &mut self.file.dns;
                let count = listens.len();
                match listens.iter_mut().find(|listen| listen.address == address) {
                    Some(listen) => listen.parts.push(part),
                    None if count == DNS_ADDRESSES_MAX => {
                        return Err(error(format!("more than {DNS_ADDRESSES_MAX} addresses")));
                    }
                    None => listens.push(Listen { address, parts: vec![part] }),
                }
            }
        }
        Ok(())
    }

    /// `bind ADDRESS|INTERFACE... { except ADDRESS|INTERFACE... }`
    fn bind(&self, directive: &Directive) -> Result<Vec<SocketAddr>, CorefileError> {
        let Directive { name, args, body } = directive;
        if args.is_empty() {
            return Err(name.place.error("`bind` needs an address or an interface"));
        }
        let mut except = Vec::new();
        for line in body.iter().flatten() {
            match &*line.name.text {
                "except" if !line.args.is_empty() => {
                    except.extend(self.bind_addresses(&line.args)?);
                }
                "except" => {
                    return Err(line.name.place.error("`except` needs an address or an interface"));
                }
                _ => return Err(unknown_option(line, "except")),
            }
        }
        let mut found = self.bind_addresses(args)?;
        found.retain(|address| !except.contains(address));
        if found.is_empty() {
            return Err(name.place.error("`bind` leaves no address to listen on"));
        }
        Ok(found)
    }

    fn bind_addresses(&self, words: &[Word]) -> Result<Vec<SocketAddr>, CorefileError> {
        let mut found = Vec::new();
        for Word { text, place } in words {
            if let Ok(address) = text.parse::<IpAddr>() {
                found.push(SocketAddr::new(address, 0));
                continue;
            }
            let addresses = (self.interface)(text);
            if addresses.is_empty() {
                return Err(place.error(format!(
                    "{text:?} is neither an address nor an interface that has one"
                )));
            }
            found.extend(addresses);
        }
        Ok(found)
    }

    /// `pocketbase { OPTION VALUE ... }`
    fn pocketbase(&mut self, directive: &Directive) -> Result<(), CorefileError> {
        let Directive { name, args, body } = directive;
        if let Some(arg) = args.first() {
            return Err(arg.place.error("`pocketbase` takes its options in braces"));
        }
        let mut options: Vec<Given> = Vec::new();
        for line in body.iter().flatten() {
            let option = &line.name;
            if !matches!(
                &*option.text,
                "listen"
                    | "data_dir"
                    | "su_email"
                    | "su_password"
                    | "default_ttl"
                    | "cache_capacity"
            ) {
                return Err(unknown_option(
                    line,
                    "listen, data_dir, su_email, su_password, default_ttl, cache_capacity",
                ));
            }
            let [value] = &line.args[..] else {
                return Err(option.place.error(format!("{:?} needs one value", option.text)));
            };
            if value.text.is_empty() {
                return Err(value.place.error(format!("the value of {:?} is empty", option.text)));
            }
            if options.iter().any(|(name, _)| *name == option.text) {
                return Err(option.place.error(format!("{:?} is given twice", option.text)));
            }
            options.push((option.text.clone(), value.text.clone()));
        }
        match &self.pocketbase {
            _ if options.is_empty() => return Ok(()),
            Some((before, _)) if *before == options => return Ok(()),
            Some((_, place)) => {
                return Err(name.place.error(format!(
                    "there is one database: the options of `pocketbase` are given at {place}"
                )));
            }
            None => {}
        }
        for line in body.iter().flatten() {
            if let [value] = &line.args[..] {
                self.pocketbase_option(&line.name.text, value)?;
            }
        }
        self.pocketbase = Some((options, name.place.clone()));
        Ok(())
    }

    fn pocketbase_option(&mut self, option: &str, value: &Word) -> Result<(), CorefileError> {
        let Word { text, place } = value;
        match option {
            "listen" => {
                self.file.http = Some(socket_address(text).map_err(|error| place.error(error))?);
            }
            "data_dir" => self.file.data_dir = Some(text.into()),
            "su_email" => self.file.su_email = Some(text.clone()),
            "su_password" => self.file.su_password = Some(Password(text.clone())),
            "default_ttl" => {
                let ttl = text.parse().ok().filter(|ttl| *ttl <= TTL_SECS_MAX);
                let ttl = ttl.ok_or_else(|| {
                    place.error(format!("{text:?} is no TTL: seconds from 0 to {TTL_SECS_MAX}"))
                })?;
                self.file.ttl_default_secs = Some(ttl);
            }
            _ => match text.parse::<u64>() {
                Ok(0) => {}
                Ok(_) => self.notice(
                    place,
                    "cache_capacity has no effect: the index always holds every record",
                ),
                Err(_) => {
                    return Err(place.error(format!("{text:?} is no capacity: a number from 0 on")));
                }
            },
        }
        Ok(())
    }

    /// `cache [TTL] [ZONE...] { ... }`
    fn cache(&mut self, directive: &Directive) -> Result<(), CorefileError> {
        const OPTIONS: [&str; 8] = [
            "success",
            "denial",
            "prefetch",
            "serve_stale",
            "serve_stale_policy",
            "servfail",
            "disable",
            "keepttl",
        ];
        let Directive { name, args, body } = directive;
        let zones = match args.first() {
            Some(first) => match first.text.parse::<i64>() {
                Ok(..=0) => return Err(first.place.error("a TTL of `cache` is 1 or more")),
                Ok(_) => args.get(1..).unwrap_or(&[]),
                Err(_) => args,
            },
            None => args,
        };
        for zone in zones {
            zone_name(&zone.text).map_err(|error| zone.place.error(error))?;
        }
        for line in body.iter().flatten() {
            if !OPTIONS.contains(&&*line.name.text) {
                return Err(unknown_option(line, &OPTIONS.join(", ")));
            }
        }
        self.notice(
            &name.place,
            "cache has no effect: every record is in memory, and nothing is forwarded yet",
        );
        Ok(())
    }

    /// `errors [stdout] { stacktrace; consolidate DURATION REGEXP [LEVEL] [show_first] }`
    fn errors(&mut self, directive: &Directive) -> Result<(), CorefileError> {
        let Directive { name, args, body } = directive;
        match &args[..] {
            [] => {}
            [one] if one.text == "stdout" => {}
            [other, ..] => return Err(other.place.error("`errors` takes `stdout` or nothing")),
        }
        for line in body.iter().flatten() {
            match (&*line.name.text, &line.args[..]) {
                ("stacktrace", []) => {}
                ("consolidate", [period, _, ..]) => {
                    duration(&period.text).map_err(|error| period.place.error(error))?;
                }
                ("stacktrace", _) => {
                    return Err(line.name.place.error("`stacktrace` takes nothing"));
                }
                ("consolidate", _) => {
                    return Err(line
                        .name
                        .place
                        .error("`consolidate` needs a duration and a pattern"));
                }
                _ => return Err(unknown_option(line, "stacktrace, consolidate")),
            }
        }
        self.notice(
            &name.place,
            "errors has no effect: errors are always logged, at most one of a kind in 10 seconds",
        );
        Ok(())
    }

    /// `health [ADDRESS] { lameduck DURATION }`
    fn health(&mut self, directive: &Directive) -> Result<(), CorefileError> {
        self.probe(directive, ProbeKind::Health, HEALTH_DEFAULT)?;
        for line in directive.body.iter().flatten() {
            if line.name.text != "lameduck" {
                return Err(unknown_option(line, "lameduck"));
            }
            let [value] = &line.args[..] else {
                return Err(line.name.place.error("`lameduck` needs one duration"));
            };
            let lameduck = duration(&value.text).map_err(|error| value.place.error(error))?;
            if lameduck > Duration::from_secs(LAMEDUCK_SECS_MAX) {
                return Err(value.place.error("a lameduck takes an hour at most"));
            }
            self.file.lameduck = self.file.lameduck.max(lameduck);
        }
        Ok(())
    }

    /// `ready [ADDRESS] { monitor until-ready|continuously }`
    fn ready(&mut self, directive: &Directive) -> Result<(), CorefileError> {
        self.probe(directive, ProbeKind::Ready, READY_DEFAULT)?;
        for line in directive.body.iter().flatten() {
            if line.name.text != "monitor" {
                return Err(unknown_option(line, "monitor"));
            }
            // Both are the same here: once the index is loaded it stays.
            match &line.args[..] {
                [one] if matches!(&*one.text, "until-ready" | "continuously") => {}
                _ => {
                    return Err(line
                        .name
                        .place
                        .error("`monitor` needs `until-ready` or `continuously`"));
                }
            }
        }
        Ok(())
    }

    fn probe(
        &mut self,
        directive: &Directive,
        kind: ProbeKind,
        default: &str,
    ) -> Result<(), CorefileError> {
        let Directive { name, args, .. } = directive;
        let (text, place) = match &args[..] {
            [] => (default, &name.place),
            [one] => (&*one.text, &one.place),
            [_, more, ..] => {
                return Err(more.place.error(format!("{:?} takes one address", name.text)));
            }
        };
        let address = socket_address(text).map_err(|error| place.error(error))?;
        let probe = Probe { address, kind };
        if !self.file.probes.contains(&probe) {
            self.file.probes.push(probe);
        }
        Ok(())
    }

    /// `reload [INTERVAL] [JITTER]`
    fn reload(&mut self, directive: &Directive) -> Result<(), CorefileError> {
        let Directive { name, args, body } = directive;
        if let Some(line) = body.iter().flatten().next() {
            return Err(line.name.place.error("`reload` has no options"));
        }
        let secs = Duration::from_secs;
        let value = |at: usize, default| match args.get(at) {
            Some(word) => duration(&word.text).map_err(|error| word.place.error(error)),
            None => Ok(secs(default)),
        };
        let interval = value(0, RELOAD_INTERVAL_SECS_DEFAULT)?;
        let jitter = value(1, RELOAD_JITTER_SECS_DEFAULT)?;
        let error = |message: String| Err(name.place.error(message));
        if args.len() > 2 {
            return error("`reload` takes an interval and a jitter".into());
        }
        if interval < secs(RELOAD_INTERVAL_SECS_MIN) || interval > secs(RELOAD_INTERVAL_SECS_MAX) {
            return error(format!(
                "the interval of `reload` is {RELOAD_INTERVAL_SECS_MIN}s at least and 30 days at most"
            ));
        }
        if !jitter.is_zero() && jitter < secs(RELOAD_JITTER_SECS_MIN) {
            return error(format!(
                "the jitter of `reload` is 0s, or {RELOAD_JITTER_SECS_MIN}s at least"
            ));
        }
        let reload = Reload { interval, jitter: jitter.min(interval / 2) };
        match self.file.reload {
            Some(before) if before != reload => {
                error("`reload` says something else in another server block".into())
            }
            _ => {
                self.file.reload = Some(reload);
                Ok(())
            }
        }
    }

    fn notice(&mut self, place: &Place, text: &str) {
        self.file.notices.push(format!("{place}: {text}"));
    }
}

/// `log [NAME...] [FORMAT] { class CLASS... }`
fn log_rules(directive: &Directive) -> Result<Vec<LogRule>, CorefileError> {
    let Directive { args, body, .. } = directive;
    let mut names = Vec::new();
    for (at, word) in args.iter().enumerate() {
        if word.text.contains('{') {
            if at + 1 == args.len() && at > 0 && word.text == "{common}" {
                continue;
            }
            return Err(word.place.error(
                "formats of one's own are not there: lines have CoreDNS's {common} format",
            ));
        }
        names.push(zone_name(&word.text).map_err(|error| word.place.error(error))?);
    }
    if names.is_empty() {
        names.push(Name::root());
    }
    let mut classes = Classes::NONE;
    for line in body.iter().flatten() {
        if line.name.text != "class" {
            return Err(unknown_option(line, "class"));
        }
        if line.args.is_empty() {
            return Err(line.name.place.error("`class` needs all, success, denial or error"));
        }
        for word in &line.args {
            match &*word.text {
                "all" => classes = Classes::ALL,
                "success" => classes.success = true,
                "denial" => classes.denial = true,
                "error" => classes.error = true,
                _ => {
                    let message = format!(
                        "unknown class {:?}: there are all, success, denial, error",
                        word.text
                    );
                    return Err(word.place.error(message));
                }
            }
        }
    }
    if classes == Classes::NONE {
        classes = Classes::ALL;
    }
    Ok(names.into_iter().map(|zone| LogRule { zone, classes }).collect())
}

fn unknown_option(line: &Directive, known: &str) -> CorefileError {
    line.name.place.error(format!("unknown option {:?}: there is {known}", line.name.text))
}
