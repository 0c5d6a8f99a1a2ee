//! Writes the manual pages and the shells' completions into a directory, as a package wants them:
//! `man1/`, `bash/`, `zsh/`, `fish/`. Made from the definition of the command line, so they cannot
//! disagree with it, and in a program of its own, so that the server carries none of it.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::PathBuf;

use clap_complete::Shell;
use pocketdns::config::cli;

/// What the command line does not know of itself.
const SECTIONS: &str = r#".SH "EXIT STATUS"
0 done, 1 failed, 2 usage.
.SH SIGNALS
SIGTERM and SIGINT stop the server: what was acknowledged is on the disk.
.SH ENVIRONMENT
.TP
CREDENTIALS_DIRECTORY
Its file pocketdns.key opens the database, unless \-\-encryptionEnv or \-\-keyFile is given; see
.BR systemd.exec (5).
.TP
NOTIFY_SOCKET, WATCHDOG_USEC
The service manager is told when the server answers, and that it is alive; see
.BR sd_notify (3).
.TP
RUST_LOG
How much is logged: error, warn, info (as it comes), debug.
.SH FILES
.TP
.I DIR
The data directory: databases, encrypted, and the sealed key that opens them.
.TP
.I DIR.key
The key that the first start makes beside it when no secret is given. No backup opens without it.
"#;

fn main() -> io::Result<()> {
    let dir = std::env::args_os().nth(1).map_or_else(|| PathBuf::from("."), PathBuf::from);
    let mut definition = cli::definition();
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        let dir = dir.join(shell.to_string());
        fs::create_dir_all(&dir)?;
        clap_complete::generate_to(shell, &mut definition, "pocketdns", dir)?;
    }
    let pages = dir.join("man1");
    fs::create_dir_all(&pages)?;
    // A page for each command, none for `help`.
    clap_mangen::generate_to(cli::definition().disable_help_subcommand(true), &pages)?;
    File::options().append(true).open(pages.join("pocketdns.1"))?.write_all(SECTIONS.as_bytes())
}
