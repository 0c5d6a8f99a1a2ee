//! The server's end of the control socket.

use std::convert::Infallible;
use std::fs;
use std::io;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::Mode;
use smol::future::or;
use smol::lock::Semaphore;
use smol::{Async, LocalExecutor, Timer};

use super::frame::{self, FrameError, Kind};
use super::{Context, Request, chain_text, execute, socket_path};
use crate::limits::{
    CONTROL_CONNECTIONS_MAX, CONTROL_FRAME_BYTES_MAX, CONTROL_FRAME_SECS_MAX,
    CONTROL_INPUT_BYTES_MAX, LISTENER_PAUSE_MS,
};

/// Binds the control socket of `dir`. The caller holds the directory's lock, so a socket that is
/// there already belongs to a server that is no more.
///
/// # Errors
/// The file system says no.
pub fn bind(dir: &Path) -> io::Result<UnixListener> {
    let (path, _open) = socket_path(dir)?;
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    // 0600 from the start, and without naming the path again, which could be another file by then.
    // Other threads that create files meanwhile give them 0600 at most as well.
    let others = rustix::process::umask(Mode::from_raw_mode(0o177));
    let listener = UnixListener::bind(&path);
    rustix::process::umask(others);
    listener
}

/// Removes the socket, so that nobody waits for a server that has gone.
pub fn unbind(dir: &Path) {
    if let Ok((path, _open)) = socket_path(dir) {
        // If it stays, the next server removes it.
        let _ = fs::remove_file(path);
    }
}

/// Carries out what comes over `listener` until the future is dropped. Conversations that have
/// begun end by themselves, or with the executor; what they have handed to the store is done.
pub async fn serve(
    listener: Async<UnixListener>,
    executor: Rc<LocalExecutor<'static>>,
    context: Rc<Context>,
) -> Infallible {
    let places = Arc::new(Semaphore::new(CONTROL_CONNECTIONS_MAX));
    loop {
        let place = places.acquire_arc().await;
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                log::warn!("accepting a control connection failed; error={error}");
                Timer::after(Duration::from_millis(LISTENER_PAUSE_MS)).await;
                continue;
            }
        };
        let context = Rc::clone(&context);
        executor
            .spawn(async move {
                if let Err(error) = converse(stream, &context).await {
                    log::warn!("control connection ended; error={}", chain_text(&error));
                }
                drop(place);
            })
            .detach();
    }
}

/// One command from its first frame to the last of its reply.
async fn converse(mut stream: Async<UnixStream>, context: &Context) -> Result<(), ControlError> {
    check_peer(stream.get_ref())?;
    let request = receive(&mut stream).await?;
    let mut output = String::new();
    let result = execute(context, request, &mut output).await;
    for part in output.as_bytes().chunks(CONTROL_FRAME_BYTES_MAX) {
        in_time(frame::write(&mut stream, Kind::Output, part)).await?;
    }
    match result {
        Ok(()) => in_time(frame::write(&mut stream, Kind::Done, &[])).await?,
        Err(error) => {
            let line = chain_text(&error);
            in_time(frame::write(&mut stream, Kind::Failed, line.as_bytes())).await?;
        }
    }
    Ok(())
}

/// Why a conversation ended before its time.
#[derive(Debug, thiserror::Error)]
enum ControlError {
    #[error("user {uid} may not give commands")]
    Stranger { uid: u32 },
    #[error("the command cannot be read")]
    Command(#[from] serde_json::Error),
    #[error("the other side took more than {CONTROL_FRAME_SECS_MAX} s for a frame")]
    TooSlow,
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error("the peer cannot be known")]
    Peer(#[from] io::Error),
}

/// Lets our own user in, and root. The file's mode says the same; this says it of the process that
/// connected, not of whoever can reach the file.
fn check_peer(stream: &UnixStream) -> Result<(), ControlError> {
    let peer = rustix::net::sockopt::socket_peercred(stream).map_err(io::Error::from)?.uid;
    if peer.is_root() || peer == rustix::process::geteuid() {
        return Ok(());
    }
    Err(ControlError::Stranger { uid: peer.as_raw() })
}

async fn receive(stream: &mut Async<UnixStream>) -> Result<Request, ControlError> {
    let first = in_time(frame::read(stream)).await?;
    if first.kind != Kind::Command {
        return Err(FrameError::Unexpected(first.kind).into());
    }
    let command = serde_json::from_slice(&first.payload)?;
    let mut data = Vec::new();
    loop {
        let next = in_time(frame::read(stream)).await?;
        match next.kind {
            Kind::End => return Ok(Request { command, data }),
            Kind::Data if data.len() + next.payload.len() > CONTROL_INPUT_BYTES_MAX => {
                return Err(FrameError::TooMuch.into());
            }
            Kind::Data => data.extend_from_slice(&next.payload),
            other => return Err(FrameError::Unexpected(other).into()),
        }
    }
}

async fn in_time<T>(
    future: impl Future<Output = Result<T, FrameError>>,
) -> Result<T, ControlError> {
    or(async { future.await.map_err(ControlError::from) }, async {
        Timer::after(Duration::from_secs(CONTROL_FRAME_SECS_MAX)).await;
        Err(ControlError::TooSlow)
    })
    .await
}
