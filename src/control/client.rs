//! The command line's end of the control socket.

use std::io::{self, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use smol::Async;
use zeroize::Zeroizing;

use super::frame::{self, FrameError, Kind};
use super::{Request, socket_path};
use crate::limits::CONTROL_FRAME_BYTES_MAX;

/// Why a command beside a running server was not done.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// The server's own words.
    #[error("{0}")]
    Failed(String),
    /// The connection, or what came over it.
    #[error("the running server did not answer")]
    Frame(#[from] FrameError),
    /// The command cannot be written down.
    #[error("the command cannot be sent")]
    Command(#[from] serde_json::Error),
    /// The command does not fit a frame: the names of its files are too many.
    #[error("these are too many files for one command: import them one by one")]
    TooLong,
    /// What the server said cannot be printed.
    #[error("cannot print the result")]
    Output(#[source] io::Error),
}

/// Connects to the server that runs on `dir`; `None` when none does. Does not start the reactor.
///
/// # Errors
/// A server may be there, but this user is not let in.
pub fn connect(dir: &Path) -> io::Result<Option<UnixStream>> {
    let connected = socket_path(dir).and_then(|(path, _open)| UnixStream::connect(path));
    match connected {
        Ok(stream) => Ok(Some(stream)),
        // A socket without a listener belonged to a server that is no more.
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound
                    | io::ErrorKind::ConnectionRefused
                    | io::ErrorKind::NotADirectory
            ) =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Has the server at the other end of `stream` carry out `request`, and copies what it prints to
/// `output`.
///
/// # Errors
/// The server's refusal, or the connection failed; then the command may have been done or not.
pub async fn ask(
    stream: UnixStream,
    request: &Request,
    output: &mut impl Write,
) -> Result<(), AskError> {
    let mut stream = Async::new(stream).map_err(FrameError::from)?;
    let command = Zeroizing::new(serde_json::to_vec(&request.command)?);
    if command.len() > CONTROL_FRAME_BYTES_MAX {
        return Err(AskError::TooLong);
    }
    // A server that refuses early closes early; what it said counts, not that it did not listen.
    let sent = send(&mut stream, &command, &request.data).await;
    loop {
        let reply = match (frame::read(&mut stream).await, &sent) {
            (Ok(reply), _) => reply,
            (Err(error), Ok(())) => return Err(error.into()),
            (Err(_), Err(_)) => return Ok(sent?),
        };
        match reply.kind {
            Kind::Output => output.write_all(&reply.payload).map_err(AskError::Output)?,
            Kind::Done => return Ok(()),
            Kind::Failed => {
                return Err(AskError::Failed(String::from_utf8_lossy(&reply.payload).into_owned()));
            }
            other => return Err(FrameError::Unexpected(other).into()),
        }
    }
}

async fn send(
    stream: &mut Async<UnixStream>,
    command: &[u8],
    data: &[u8],
) -> Result<(), FrameError> {
    frame::write(stream, Kind::Command, command).await?;
    frame::write_all(stream, Kind::Data, data).await?;
    frame::write(stream, Kind::End, &[]).await
}
