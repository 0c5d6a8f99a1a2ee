//! Programs that run and end: our own command line, dig and the like.

use std::ffi::OsStr;
use std::io::Write as _;
use std::net::SocketAddr;
use std::process::{Command, Stdio};

/// A command must end within this; coreutils' `timeout` sees to it.
const SECONDS_MAX: &str = "120";

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Finished {
    /// Exit code; 128 and the signal's number when one ended it.
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Finished {
    /// Its standard output, when it ended well.
    #[track_caller]
    pub(crate) fn expect_ok(self, what: &str) -> String {
        assert_eq!(self.code, 0, "{what}: {self:?}");
        self.stdout
    }

    /// One line on standard error, exit code 1: what an operator can act on.
    #[track_caller]
    pub(crate) fn expect_refusal(self) -> String {
        assert_eq!(self.code, 1, "a refusal ends with 1: {self:?}");
        let lines: Vec<&str> = self.stderr.lines().filter(|line| !line.trim().is_empty()).collect();
        assert_eq!(lines.len(), 1, "one line says what to do: {self:?}");
        lines[0].to_owned()
    }
}

/// A command that `timeout` ends when it hangs.
pub(crate) fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("timeout");
    command.args(["--kill-after=5", SECONDS_MAX]).arg(program);
    command
}

/// Runs a command to its end, `stdin` as its input.
pub(crate) fn run(command: &mut Command, stdin: &str) -> Finished {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?}: {error}; tests/run installs what is needed"));
    let mut input = child.stdin.take().expect("the input is piped");
    // A program that does not read its input is no failure.
    let _ = input.write_all(stdin.as_bytes());
    drop(input);
    let output = child.wait_with_output().expect("the child is ours");
    Finished {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// What dig prints for `question` (its own arguments), trimmed lines without the empty ones.
pub(crate) fn dig(server: SocketAddr, question: &[&str]) -> Vec<String> {
    let mut dig = command("dig");
    dig.arg(format!("@{}", server.ip())).args(["-p", &server.port().to_string()]);
    dig.args(["+norecurse", "+tries=1", "+time=20", "+nocookie"]).args(question);
    let printed = run(&mut dig, "").expect_ok("dig");
    printed.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect()
}
