//! The program: arguments, logger, [`pocketdns::app`], exit code (0 done, 1 failed, 2 usage).

use std::io::Write;
use std::process::ExitCode;

use log::Level;
use pocketdns::config::{Action, cli};
use pocketdns::control::chain_text;
use pocketdns::{app, sys};

fn main() -> ExitCode {
    sys::prepare_process();
    let invocation = match cli::parse(std::env::args_os()) {
        Ok(invocation) => invocation,
        Err(error) => {
            // Help goes to the standard output, a complaint to the standard error.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    // A server tells of its life; a command says on its own what it has to say.
    let level = if matches!(invocation.action, Action::Serve(_)) { "info" } else { "warn" };
    start_log(level);
    let result = app::run(invocation, &mut std::io::stdout().lock());
    if let Err(error) = result {
        let _ = writeln!(std::io::stderr(), "pocketdns: {}", chain_text(&error));
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// Logs to the standard error, `level` and above unless `$RUST_LOG` says otherwise. The journal knows
/// the time and takes the level as syslog's number (sd-daemon(3)).
fn start_log(level: &str) {
    let mut log =
        env_logger::Builder::from_env(env_logger::Env::default().default_filter_or(level));
    if std::env::var_os("JOURNAL_STREAM").is_some() {
        log.format(|line, record| {
            let priority = match record.level() {
                Level::Error => 3,
                Level::Warn => 4,
                Level::Info => 6,
                Level::Debug | Level::Trace => 7,
            };
            writeln!(line, "<{priority}>{}: {}", record.target(), record.args())
        });
    }
    log.init();
}
