//! The command line, with PocketBase's flag names.
//!
//! `--conf`, `--dir`, `--encryptionEnv` and `--keyFile` may stand anywhere. No command means `serve`, so its
//! flags may stand without it; before any other command they are an error, not ignored.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{Args, CommandFactory, Parser, Subcommand};

use super::{Action, Https, Invocation, NewKey, Password, ServeFlags, SuperuserVerb};

/// Reads a command line, the program's name first.
///
/// # Errors
/// What is wrong with it, to be printed with [`clap::Error::print`]; its exit code is 2. `--help`
/// and `--version` come as errors too, with exit code 0.
pub fn parse(
    arguments: impl IntoIterator<Item = impl Into<OsString> + Clone>,
) -> Result<Invocation, clap::Error> {
    let line = CommandLine::try_parse_from(arguments)?;
    let CommandLine { data, listen: listen_before, command } = line;
    let is_serve = matches!(command, None | Some(Verb::Serve(_)));
    if !is_serve && listen_before.is_given() {
        return Err(CommandLine::command().error(
            ErrorKind::ArgumentConflict,
            "--http, --https, --dns and --origins belong to the command `serve`",
        ));
    }
    let action = match command {
        None => Action::Serve(listen_before.into()),
        Some(Verb::Serve(listen)) => Action::Serve(listen.over(listen_before)),
        Some(Verb::Superuser { verb }) => verb.into(),
        Some(Verb::Zone { verb }) => verb.into(),
        Some(Verb::Config { verb: ConfigCommand::Check { file } }) => Action::ConfigCheck { file },
        Some(Verb::Import { source, source_encryption_env }) => {
            Action::Import { source, source_encryption_env }
        }
        Some(Verb::Export { target }) => Action::Export { target },
        Some(Verb::Rekey { new }) => Action::Rekey { new: new.into() },
        Some(Verb::Stats) => Action::Stats,
        Some(Verb::Version) => Action::Version,
    };
    Ok(Invocation { data: data.into(), action })
}

/// What [`parse`] understands, with its help texts: the manual and the shells' completions are made
/// from it.
#[must_use]
pub fn definition() -> clap::Command {
    CommandLine::command()
}

#[derive(Parser)]
#[command(
    name = "pocketdns",
    version,
    about = "An authoritative DNS server whose records live in an encrypted database that speaks PocketBase's API",
    after_help = "Without a command it serves."
)]
struct CommandLine {
    #[command(flatten)]
    data: DataFlags,
    #[command(flatten)]
    listen: Listen,
    #[command(subcommand)]
    command: Option<Verb>,
}

#[derive(Args)]
struct DataFlags {
    /// The Corefile to take settings from, as CoreDNS with coredns-pocketbase takes it; flags and
    /// environment come before it
    #[arg(long, global = true, value_name = "FILE")]
    conf: Option<PathBuf>,
    /// The data directory; made when it does not exist [default: pb_data]
    #[arg(long, global = true, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// The environment variable that holds the secret which opens the database: at least 32
    /// characters
    #[arg(long = "encryptionEnv", global = true, value_name = "NAME")]
    encryption_env: Option<String>,
    /// The file that holds the key which opens the database
    #[arg(long = "keyFile", global = true, value_name = "FILE")]
    key_file: Option<PathBuf>,
}

#[derive(Args, Default)]
struct Listen {
    /// Where HTTP listens, as ADDRESS:PORT [default: 127.0.0.1:8090]
    #[arg(long, value_name = "ADDRESS")]
    http: Option<SocketAddr>,
    /// Where HTTPS listens beside it, as ADDRESS:PORT
    #[arg(long, value_name = "ADDRESS", requires_all = ["cert", "key"])]
    https: Option<SocketAddr>,
    /// The certificate for HTTPS and those that lead to its authority, in PEM form; read again when
    /// it changes
    #[arg(long, value_name = "FILE", requires = "https")]
    cert: Option<PathBuf>,
    /// The key of the certificate, in PEM form
    #[arg(long, value_name = "FILE", requires = "https")]
    key: Option<PathBuf>,
    /// Where DNS listens on UDP and TCP, as ADDRESS:PORT; may be given several times
    /// [default: 127.0.0.1:1053]
    #[arg(long, value_name = "ADDRESS")]
    dns: Vec<SocketAddr>,
    /// The origins of pages that may read answers of the API, with commas between; `*` and `?` stand
    /// for any text and any character [default: *]
    #[arg(long, value_name = "ORIGINS", value_delimiter = ',')]
    origins: Vec<String>,
}

#[derive(Subcommand)]
enum Verb {
    /// Run the server
    Serve(Listen),
    /// Manage the superusers, who may do everything
    Superuser {
        #[command(subcommand)]
        verb: SuperuserCommand,
    },
    /// Bring zones in and out, beside a running server as well
    Zone {
        #[command(subcommand)]
        verb: ZoneCommand,
    },
    /// Look into the configuration
    Config {
        #[command(subcommand)]
        verb: ConfigCommand,
    },
    /// Make the data directory from the plain pb_data of a PocketBase that does not run
    Import {
        /// The pb_data, of PocketBase 0.23 or newer; it is only read
        #[arg(value_name = "SRC")]
        source: PathBuf,
        /// The environment variable with the key that its settings are encrypted with
        #[arg(long = "sourceEncryptionEnv", value_name = "NAME")]
        source_encryption_env: Option<String>,
    },
    /// Make a plain pb_data for PocketBase from the data directory of a server that does not run
    Export {
        /// The pb_data to make; nothing may have that name
        #[arg(value_name = "OUT")]
        target: PathBuf,
    },
    /// Exchange the key that opens the data directory of a server that does not run
    Rekey {
        #[command(flatten)]
        new: NewKeyFlags,
    },
    /// Print the counters of the running server
    Stats,
    /// Print the version
    Version,
}

#[derive(Subcommand)]
enum SuperuserCommand {
    /// Make a superuser, or change the password of an existing one
    Upsert(Credentials),
    /// Make a superuser
    Create(Credentials),
    /// Change a superuser's password
    Update(Credentials),
    /// Remove a superuser
    Delete {
        /// The address it signs in with
        email: String,
    },
}

/// The key to come; the one that opens the directory until now is named as for every command.
#[derive(Args)]
#[group(required = true, multiple = false)]
struct NewKeyFlags {
    /// The environment variable that holds the new secret: at least 32 characters
    #[arg(long = "newEncryptionEnv", value_name = "NAME")]
    new_encryption_env: Option<String>,
    /// The file that holds the new key
    #[arg(long = "newKeyFile", value_name = "FILE")]
    new_key_file: Option<PathBuf>,
}

#[derive(Args)]
struct Credentials {
    /// The address to sign in with
    email: String,
    /// The password; asked for, or read from the standard input, when it is not given
    #[arg(value_name = "PASS")]
    password: Option<String>,
}

#[derive(Subcommand)]
enum ConfigCommand {
    /// Say whether a Corefile is right, and what it would do
    Check {
        /// The file [default: that of --conf, or Corefile]
        #[arg(value_name = "FILE")]
        file: Option<PathBuf>,
    },
}

#[derive(Subcommand)]
enum ZoneCommand {
    /// Put the records of master files into the database
    Import {
        /// Master files, as BIND, Knot DNS and NSD write them
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        /// The zone, when the file does not say
        #[arg(long, value_name = "ZONE")]
        origin: Option<String>,
        /// Remove the zone's records that the file does not have
        #[arg(long)]
        replace: bool,
    },
    /// Print a zone as a master file
    Export {
        /// The zone's name
        zone: String,
    },
    /// Print all zones
    List,
    /// Name the records that would not be served, in files or, without any, in the database
    Check {
        /// Master files
        #[arg(value_name = "FILE")]
        files: Vec<PathBuf>,
        /// The zone, when the file does not say
        #[arg(long, value_name = "ZONE")]
        origin: Option<String>,
    },
}

impl Listen {
    fn is_given(&self) -> bool {
        self.http.is_some()
            || self.https.is_some()
            || !self.dns.is_empty()
            || !self.origins.is_empty()
    }

    /// What is said here, else what is said in `before`.
    fn over(self, before: Self) -> ServeFlags {
        let (later, before) = (ServeFlags::from(self), ServeFlags::from(before));
        ServeFlags {
            http: later.http.or(before.http),
            https: later.https.or(before.https),
            dns: if later.dns.is_empty() { before.dns } else { later.dns },
            origins: if later.origins.is_empty() { before.origins } else { later.origins },
        }
    }
}

impl From<Listen> for ServeFlags {
    fn from(listen: Listen) -> Self {
        let Listen { http, https, cert, key, dns, origins } = listen;
        // The parser asks for all three or none.
        let https = match (https, cert, key) {
            (Some(address), Some(cert), Some(key)) => Some(Https { address, cert, key }),
            _ => None,
        };
        Self { http, https, dns, origins }
    }
}

impl From<DataFlags> for super::DataFlags {
    fn from(flags: DataFlags) -> Self {
        let DataFlags { conf, dir, encryption_env, key_file } = flags;
        Self { conf, dir, encryption_env, key_file }
    }
}

impl From<NewKeyFlags> for NewKey {
    fn from(flags: NewKeyFlags) -> Self {
        match flags {
            NewKeyFlags { new_encryption_env: Some(name), .. } => Self::Env(name),
            // The group has seen to it that it is there.
            NewKeyFlags { new_key_file, .. } => Self::File(new_key_file.unwrap_or_default()),
        }
    }
}

impl From<SuperuserCommand> for Action {
    fn from(command: SuperuserCommand) -> Self {
        let (verb, Credentials { email, password }) = match command {
            SuperuserCommand::Upsert(credentials) => (SuperuserVerb::Upsert, credentials),
            SuperuserCommand::Create(credentials) => (SuperuserVerb::Create, credentials),
            SuperuserCommand::Update(credentials) => (SuperuserVerb::Update, credentials),
            SuperuserCommand::Delete { email } => {
                (SuperuserVerb::Delete, Credentials { email, password: None })
            }
        };
        Self::Superuser { verb, email, password: password.map(Password) }
    }
}

impl From<ZoneCommand> for Action {
    fn from(command: ZoneCommand) -> Self {
        match command {
            ZoneCommand::Import { files, origin, replace } => {
                Self::ZoneImport { files, origin, replace }
            }
            ZoneCommand::Export { zone } => Self::ZoneExport { zone },
            ZoneCommand::List => Self::ZoneList,
            ZoneCommand::Check { files, origin } => Self::ZoneCheck { files, origin },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use clap::CommandFactory;

    use super::{CommandLine, parse};
    use crate::config::{
        Action, DataFlags, Https, Invocation, NewKey, Password, ServeFlags, SuperuserVerb,
    };

    fn parsed(line: &str) -> Invocation {
        let words = std::iter::once("pocketdns").chain(line.split_whitespace());
        parse(words).unwrap_or_else(|error| panic!("{line}: {error}"))
    }

    fn exit_code(line: &str) -> i32 {
        let words = std::iter::once("pocketdns").chain(line.split_whitespace());
        parse(words).map_or_else(|error| error.exit_code(), |_| -1)
    }

    fn serve(http: &str, dns: &[&str]) -> Action {
        let dns = dns.iter().map(|address| address.parse().unwrap()).collect();
        let http = Some(http.parse().unwrap());
        Action::Serve(ServeFlags { http, dns, ..ServeFlags::default() })
    }

    #[test]
    fn the_definition_is_consistent() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn no_command_is_serve() {
        for line in ["", "serve"] {
            let Invocation { data, action } = parsed(line);
            assert_eq!(action, Action::Serve(ServeFlags::default()));
            assert_eq!(data, DataFlags::default());
        }
    }

    #[test]
    fn flags_of_serve_stand_before_it_after_it_or_alone() {
        let both = serve("[::1]:0", &["0.0.0.0:53", "[::]:53"]);
        for line in [
            "--http [::1]:0 --dns 0.0.0.0:53 --dns [::]:53",
            "serve --http=[::1]:0 --dns 0.0.0.0:53 --dns=[::]:53",
            "--http [::1]:0 serve --dns 0.0.0.0:53 --dns [::]:53",
            "--http 127.0.0.1:1 serve --http [::1]:0 --dns 0.0.0.0:53 --dns [::]:53",
        ] {
            assert_eq!(parsed(line).action, both, "{line}");
        }
    }

    #[test]
    fn origins_are_a_list() {
        for line in
            ["--origins https://a,https://*.b", "serve --origins https://a --origins https://*.b"]
        {
            let Action::Serve(serve) = parsed(line).action else { panic!("{line}") };
            assert_eq!(serve.origins, ["https://a", "https://*.b"], "{line}");
        }
    }

    #[test]
    fn https_needs_a_certificate_and_its_key() {
        for line in ["--https [::1]:0 --cert c --key k", "serve --key k --https [::1]:0 --cert c"] {
            let Action::Serve(serve) = parsed(line).action else { panic!("{line}") };
            let address = "[::1]:0".parse().unwrap();
            assert_eq!(serve.https, Some(Https { address, cert: "c".into(), key: "k".into() }));
        }
        for line in ["--https [::1]:0", "--https [::1]:0 --cert c", "--cert c --key k", "--key k"] {
            assert_eq!(exit_code(line), 2, "{line}");
        }
    }

    #[test]
    fn flags_of_the_data_stand_anywhere() {
        for line in [
            "--conf /c --dir /d --encryptionEnv E --keyFile /k superuser delete a@b.c",
            "superuser --dir /d delete --encryptionEnv=E a@b.c --conf /c --keyFile /k",
            "superuser delete a@b.c --dir=/d --conf=/c --encryptionEnv E --keyFile=/k",
        ] {
            let Invocation { data, action } = parsed(line);
            let path = |text: &str| Some(PathBuf::from(text));
            assert_eq!((data.conf, data.dir), (path("/c"), path("/d")), "{line}");
            assert_eq!(data.encryption_env.as_deref(), Some("E"), "{line}");
            assert_eq!(data.key_file, Some(PathBuf::from("/k")), "{line}");
            let email = "a@b.c".to_owned();
            let verb = SuperuserVerb::Delete;
            assert_eq!(action, Action::Superuser { verb, email, password: None }, "{line}");
        }
    }

    #[test]
    fn every_command_is_understood() {
        let superuser = |verb, password: Option<&str>| Action::Superuser {
            verb,
            email: "a@b.c".into(),
            password: password.map(|text| Password(text.into())),
        };
        let (file, origin) = (PathBuf::from("f"), Some("x.".to_owned()));
        for (line, action) in [
            ("superuser upsert a@b.c secret", superuser(SuperuserVerb::Upsert, Some("secret"))),
            ("superuser create a@b.c", superuser(SuperuserVerb::Create, None)),
            ("superuser update a@b.c", superuser(SuperuserVerb::Update, None)),
            (
                "zone import f g",
                Action::ZoneImport {
                    files: vec![file.clone(), "g".into()],
                    origin: None,
                    replace: false,
                },
            ),
            (
                "zone import --origin x. f --replace",
                Action::ZoneImport {
                    files: vec![file.clone()],
                    origin: origin.clone(),
                    replace: true,
                },
            ),
            ("zone export x.", Action::ZoneExport { zone: "x.".into() }),
            ("zone list", Action::ZoneList),
            ("zone check", Action::ZoneCheck { files: vec![], origin: None }),
            ("zone check f --origin x.", Action::ZoneCheck { files: vec![file], origin }),
            ("config check", Action::ConfigCheck { file: None }),
            ("config check Corefile", Action::ConfigCheck { file: Some("Corefile".into()) }),
            ("import s", Action::Import { source: "s".into(), source_encryption_env: None }),
            (
                "import --sourceEncryptionEnv E s",
                Action::Import { source: "s".into(), source_encryption_env: Some("E".into()) },
            ),
            ("export o", Action::Export { target: "o".into() }),
            ("rekey --newEncryptionEnv E", Action::Rekey { new: NewKey::Env("E".into()) }),
            ("rekey --newKeyFile f", Action::Rekey { new: NewKey::File("f".into()) }),
            ("stats", Action::Stats),
            ("version", Action::Version),
        ] {
            assert_eq!(parsed(line).action, action, "{line}");
        }
    }

    #[test]
    fn bad_usage_ends_with_2_and_help_with_0() {
        for line in [
            "--nonsense",
            "nonsense",
            "serve --dns nowhere",
            "serve --http 127.0.0.1",
            "--dns 127.0.0.1:53 zone list",
            "zone list --http 127.0.0.1:80",
            "zone import",
            "zone export",
            "zone",
            "import",
            "export",
            "rekey",
            "rekey --newEncryptionEnv E --newKeyFile f",
            "superuser",
            "superuser delete",
            "superuser delete a@b.c secret",
            "superuser upsert",
        ] {
            assert_eq!(exit_code(line), 2, "{line}");
        }
        for line in ["--help", "-h", "--version", "serve --help", "zone import --help", "help zone"]
        {
            assert_eq!(exit_code(line), 0, "{line}");
        }
    }
}
