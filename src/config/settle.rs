//! Flag before environment before Corefile before default.

use super::file::Corefile;
use super::{
    DIR_DEFAULT, DNS_DEFAULT, Data, DataFlags, HTTP_DEFAULT, HTTP_DEFAULT_COREFILE, Listen,
    Password, Serve, ServeFlags, Superuser,
};
use crate::dns::served::Part;
use crate::limits::TTL_SECS_DEFAULT;

/// The account that coredns-pocketbase makes unless told otherwise.
const PLUGIN_EMAIL: &str = "su@pocketbase.internal";
/// The password that it gives that account: published, so never set.
const PLUGIN_PASSWORD: &str = "pwd@pocketbase.internal";

/// The data directory and how it opens.
#[must_use]
pub fn data(flags: DataFlags, file: Option<&Corefile>) -> Data {
    let DataFlags { conf: _, dir, encryption_env, key_file } = flags;
    let dir = dir.or_else(|| file?.data_dir.clone()).unwrap_or_else(|| DIR_DEFAULT.into());
    Data { dir, encryption_env, key_file }
}

/// What stands for a DNS record's TTL of 0.
#[must_use]
pub fn ttl_default_secs(file: Option<&Corefile>) -> u32 {
    file.and_then(|file| file.ttl_default_secs).unwrap_or(TTL_SECS_DEFAULT)
}

/// What a server is to do, and notices about what has no effect.
#[must_use]
pub fn serve(
    flags: &ServeFlags,
    variable: &dyn Fn(&str) -> Option<String>,
    file: Option<&Corefile>,
) -> (Serve, Vec<String>) {
    let mut notices = file.map_or_else(Vec::new, |file| file.notices.clone());
    let superusers = superusers(variable, file, &mut notices);
    let nothing = Corefile::default();
    let (file, http_default) =
        file.map_or((&nothing, HTTP_DEFAULT), |file| (file, HTTP_DEFAULT_COREFILE));
    let serve = Serve {
        http: flags.http.or(file.http).unwrap_or(http_default),
        https: flags.https.clone(),
        dns: listens(flags, file),
        origins: if flags.origins.is_empty() {
            vec!["*".to_owned()]
        } else {
            flags.origins.clone()
        },
        probes: file.probes.clone(),
        lameduck: file.lameduck,
        ttl_default_secs: ttl_default_secs(Some(file)),
        reload: file.reload,
        superusers,
    };
    (serve, notices)
}

/// The addresses of the flags each serve what all addresses of the Corefile serve together.
fn listens(flags: &ServeFlags, file: &Corefile) -> Vec<Listen> {
    let mut parts: Vec<Part> = Vec::new();
    for part in file.dns.iter().flat_map(|listen| &listen.parts) {
        if !parts.iter().any(|known| known.zone == part.zone) {
            parts.push(part.clone());
        }
    }
    if parts.is_empty() {
        parts.push(Part::everything());
    }
    let mut addresses: Vec<_> = match &flags.dns[..] {
        [] if !file.dns.is_empty() => return file.dns.clone(),
        [] => vec![DNS_DEFAULT],
        given => given.to_vec(),
    };
    // Port 0 is another port each time.
    let mut seen = Vec::new();
    addresses.retain(|address| {
        let is_new = address.port() == 0 || !seen.contains(address);
        seen.push(*address);
        is_new
    });
    addresses.into_iter().map(|address| Listen { address, parts: parts.clone() }).collect()
}

/// Two accounts can be asked for: the plugin's, by its variables and the Corefile, and that of
/// PocketBase's container images.
fn superusers(
    variable: &dyn Fn(&str) -> Option<String>,
    file: Option<&Corefile>,
    notices: &mut Vec<String>,
) -> Vec<Superuser> {
    let given = |name: &str| variable(name).filter(|value| !value.is_empty());
    let mut found = Vec::new();
    let mut add = |email: Option<String>, password: Option<(String, &'static str)>, names: &str| {
        let names = match (email, password) {
            (None, None) => return,
            (Some(email), Some((password, source))) if password != PLUGIN_PASSWORD => {
                found.push(Superuser { email, password: Password(password), source });
                return;
            }
            (_, Some((_, source))) if names.is_empty() => source,
            _ => names,
        };
        notices.push(names.to_owned());
    };
    let email = given("COREDNS_PB_SUPERUSER_EMAIL").or_else(|| file?.su_email.clone());
    let password = given("COREDNS_PB_SUPERUSER_PWD")
        .map(|text| (text, "COREDNS_PB_SUPERUSER_PWD"))
        .or_else(|| Some((file?.su_password.as_ref()?.0.clone(), "su_password")));
    let email = email.or_else(|| password.is_some().then(|| PLUGIN_EMAIL.to_owned()));
    let is_published = password.as_ref().is_some_and(|(text, _)| text == PLUGIN_PASSWORD);
    add(
        email,
        password,
        if is_published {
            "the superuser's password is the one that coredns-pocketbase has published: no account \
             is made with it"
        } else {
            "a superuser is named but has no password (COREDNS_PB_SUPERUSER_PWD or su_password): \
             no account is made"
        },
    );
    add(
        given("POCKETBASE_ADMIN_EMAIL"),
        given("POCKETBASE_ADMIN_PASSWORD").map(|text| (text, "POCKETBASE_ADMIN_PASSWORD")),
        "POCKETBASE_ADMIN_EMAIL and POCKETBASE_ADMIN_PASSWORD are needed both: no account is made",
    );
    found
}
