//! What goes over the control socket: frames of a kind, a length and as many octets.
//!
//! ```text
//! client:  Command  Data*  End
//! server:                       Output*  Done | Failed
//! ```
//!
//! A command is JSON; data are records ([`super::records`]); output is text for the standard
//! output; a failure is one line of text for the standard error. Nothing in a frame is ever opened
//! as a path. Each frame is bounded, and so is what one side says in all.

use std::{fmt, io};

use smol::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use zeroize::Zeroizing;

use crate::limits::{CONTROL_FRAME_BYTES_MAX, CONTROL_INPUT_BYTES_MAX};

/// What a frame holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// From the client, first: a [`super::Command`] as JSON.
    Command = 1,
    /// From the client: a part of the command's data.
    Data = 2,
    /// From the client, last; empty.
    End = 3,
    /// From the server: a part of what the command prints.
    Output = 4,
    /// From the server, last: the command was done; empty.
    Done = 5,
    /// From the server, last: why it was not done, as text.
    Failed = 6,
}

/// One frame. Its octets are wiped when dropped: they may be a password.
pub struct Frame {
    /// What it holds.
    pub kind: Kind,
    /// At most [`CONTROL_FRAME_BYTES_MAX`] octets.
    pub payload: Zeroizing<Vec<u8>>,
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Frame({:?}, {} octets)", self.kind, self.payload.len())
    }
}

/// What came is not this protocol.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The other side is gone, or does not read.
    #[error("the control connection failed")]
    Io(#[from] io::Error),
    /// No such kind.
    #[error("a control frame has the unknown kind {0}")]
    UnknownKind(u8),
    /// A frame that is not in its place.
    #[error("a control frame {0:?} came where it does not belong")]
    Unexpected(Kind),
    /// More octets than a frame can have.
    #[error("a control frame of {0} octets: at most {CONTROL_FRAME_BYTES_MAX} are possible")]
    TooLong(u32),
    /// More octets than all frames together can have.
    #[error("the data of a command can have at most {CONTROL_INPUT_BYTES_MAX} octets")]
    TooMuch,
}

impl Kind {
    fn from_octet(octet: u8) -> Option<Self> {
        [Self::Command, Self::Data, Self::End, Self::Output, Self::Done, Self::Failed]
            .into_iter()
            .find(|&kind| kind as u8 == octet)
    }
}

/// Reads one frame. Memory is taken for the octets that come, not for those announced.
///
/// # Errors
/// The end of the stream is one as well: every conversation has its last frame.
pub async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Result<Frame, FrameError> {
    let mut header = [0; 5];
    stream.read_exact(&mut header).await?;
    let [kind, length @ ..] = header;
    let kind = Kind::from_octet(kind).ok_or(FrameError::UnknownKind(kind))?;
    let length = u32::from_be_bytes(length);
    let bytes = usize::try_from(length).unwrap_or(usize::MAX);
    if bytes > CONTROL_FRAME_BYTES_MAX {
        return Err(FrameError::TooLong(length));
    }
    let mut payload = Zeroizing::new(vec![0; bytes]);
    stream.read_exact(&mut payload).await?;
    Ok(Frame { kind, payload })
}

/// Writes `payload` in as many frames as it takes, none when it is empty.
///
/// # Errors
/// The other side is gone.
pub async fn write_all(
    stream: &mut (impl AsyncWrite + Unpin),
    kind: Kind,
    payload: &[u8],
) -> Result<(), FrameError> {
    for part in payload.chunks(CONTROL_FRAME_BYTES_MAX) {
        write(stream, kind, part).await?;
    }
    Ok(())
}

/// Writes one frame; what `payload` has beyond a frame's bound is cut off.
///
/// # Errors
/// The other side is gone.
pub async fn write(
    stream: &mut (impl AsyncWrite + Unpin),
    kind: Kind,
    payload: &[u8],
) -> Result<(), FrameError> {
    let payload = payload.get(..CONTROL_FRAME_BYTES_MAX).unwrap_or(payload);
    let mut frame = Zeroizing::new(Vec::with_capacity(5 + payload.len()));
    frame.push(kind as u8);
    frame.extend_from_slice(&(payload.len() as u32).to_be_bytes());
    frame.extend_from_slice(payload);
    stream.write_all(&frame).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use smol::block_on;
    use smol::io::Cursor;

    use super::{Frame, FrameError, Kind, read, write, write_all};
    use crate::limits::CONTROL_FRAME_BYTES_MAX;

    fn read_all(octets: Vec<u8>) -> Vec<Result<Frame, FrameError>> {
        block_on(async {
            let mut stream = Cursor::new(octets);
            let mut frames = vec![read(&mut stream).await];
            while frames.last().is_some_and(Result::is_ok) {
                frames.push(read(&mut stream).await);
            }
            frames
        })
    }

    #[test]
    fn a_long_payload_is_cut_into_frames_and_put_together_again() {
        let payload: Vec<u8> = (0..CONTROL_FRAME_BYTES_MAX * 2 + 9).map(|n| n as u8).collect();
        let mut stream = Cursor::new(Vec::new());
        block_on(async {
            write_all(&mut stream, Kind::Data, &payload).await.unwrap();
            write_all(&mut stream, Kind::Data, &[]).await.unwrap();
            write(&mut stream, Kind::End, &[]).await.unwrap();
        });
        let frames = read_all(stream.into_inner());
        let kinds: Vec<Option<Kind>> =
            frames.iter().map(|frame| frame.as_ref().ok().map(|frame| frame.kind)).collect();
        assert_eq!(
            kinds,
            [Some(Kind::Data), Some(Kind::Data), Some(Kind::Data), Some(Kind::End), None]
        );
        let joined: Vec<u8> =
            frames.iter().flatten().flat_map(|frame| frame.payload.to_vec()).collect();
        assert!(joined == payload);
        assert!(matches!(frames[4], Err(FrameError::Io(_))), "the end of the stream is an error");
    }

    #[test]
    fn what_may_be_a_password_is_not_printed() {
        use crate::config::Password;
        use crate::model::{Record, Value};
        let frame = Frame { kind: Kind::Command, payload: b"hush".to_vec().into() };
        let record = Record { values: vec![Value::Text("hush".into())] };
        let text = format!("{frame:?} {record:?} {:?}", Password("hush".into()));
        assert_eq!(text, "Frame(Command, 4 octets) Record(1 values) Password(..)");
    }

    #[test]
    fn what_is_no_frame_is_refused_without_taking_memory_for_it() {
        let first = |octets: &[u8]| read_all(octets.to_vec()).remove(0);
        assert!(matches!(first(&[0, 0, 0, 0, 0]), Err(FrameError::UnknownKind(0))));
        assert!(matches!(first(b"GET / HTTP/1.1"), Err(FrameError::UnknownKind(b'G'))));
        assert!(matches!(first(&[2, 255, 255, 255, 255]), Err(FrameError::TooLong(u32::MAX))));
        assert!(matches!(first(&[2, 0, 0, 0, 9, 1]), Err(FrameError::Io(_))));
        assert!(matches!(first(&[]), Err(FrameError::Io(_))));
    }
}
