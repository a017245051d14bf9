//! The other end of the control socket: one blocking request, for the command line.

use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use socket2::{Domain, SockAddr, Socket, Type};

/// The longest the whole exchange may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// The same where the daemon has work to do that takes its time; below what it gives a connection.
const MORE_PATIENCE: Duration = Duration::from_secs(25);
/// The largest response, header included.
const LARGEST: usize = 16 << 20;

/// Why the daemon could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// No such file.
    #[error("there is no control socket {0}: is horizond running, and with this path?")]
    NoSocket(PathBuf),
    /// A socket that nobody listens on.
    #[error("nobody listens on {0}: horizond is not running any more")]
    NotListening(PathBuf),
    /// Something else than a socket.
    #[error("{0} is not a socket: what does [admin] control say?")]
    NotASocket(PathBuf),
    /// The socket belongs to another user.
    #[error("{0} may only be used by its owner: try again as root")]
    Denied(PathBuf),
    /// No answer in time.
    #[error("horizond did not answer on {0} in time")]
    Timeout(PathBuf),
    /// More than 16 MiB.
    #[error("the answer from {0} is larger than {LARGEST} bytes")]
    TooLarge(PathBuf),
    /// Not HTTP, or cut short.
    #[error("what listens on {0} does not answer like horizond")]
    Malformed(PathBuf),
    /// An HTTP status other than 200.
    #[error("horizond answered {status}: {text}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The first line of what it said.
        text: String,
    },
    /// Anything else.
    #[error("{path}: {source}")]
    Io {
        /// The socket's path.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// The body of `GET url` on the control socket `path`. Blocks for at most 5 s; at most 16 MiB.
pub fn get(path: &Path, url: &str) -> Result<Vec<u8>, ControlError> {
    exchange(path, &format!("GET {url}"), Instant::now() + PATIENCE, LARGEST)
}

/// The body of the answer to `POST url`, which has none itself. Blocks for at most 25 s; at most
/// 16 MiB.
pub fn post(path: &Path, url: &str) -> Result<Vec<u8>, ControlError> {
    exchange(path, &format!("POST {url}"), Instant::now() + MORE_PATIENCE, LARGEST)
}

/// `what` is a method and a URL.
pub(super) fn exchange(
    path: &Path,
    what: &str,
    deadline: Instant,
    largest: usize,
) -> Result<Vec<u8>, ControlError> {
    let told = |error| explain(path, error);
    let mut stream = connect(path).map_err(told)?;
    let request = format!("{what} HTTP/1.1\r\nHost: horizond\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).map_err(told)?;
    let mut response = Vec::new();
    let mut chunk = [0; 16 * 1024];
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(ControlError::Timeout(path.to_owned()));
        }
        stream.set_read_timeout(Some(left)).map_err(told)?;
        match stream.read(&mut chunk) {
            Ok(0) => return body(path, &response),
            Ok(n) if response.len() + n > largest => {
                return Err(ControlError::TooLarge(path.to_owned()));
            }
            Ok(n) => response.extend_from_slice(&chunk[..n]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(told(error)),
        }
    }
}

/// Connects; waits for a place in the listener's queue, and later for writes, no longer than
/// [`PATIENCE`]: on Unix sockets the send timeout bounds both (unix(7), connect).
pub(super) fn connect(path: &Path) -> io::Result<UnixStream> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_write_timeout(Some(PATIENCE))?;
    socket.connect(&SockAddr::unix(path)?)?;
    Ok(UnixStream::from(OwnedFd::from(socket)))
}

/// A socket timeout shows as EAGAIN.
pub(super) fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

pub(super) fn explain(path: &Path, error: io::Error) -> ControlError {
    let path = path.to_owned();
    match error.kind() {
        io::ErrorKind::NotFound => ControlError::NoSocket(path),
        // Which is also what connecting to a plain file gets.
        io::ErrorKind::ConnectionRefused if is_other_file(&path) => ControlError::NotASocket(path),
        io::ErrorKind::ConnectionRefused => ControlError::NotListening(path),
        io::ErrorKind::PermissionDenied => ControlError::Denied(path),
        _ if is_timeout(&error) => ControlError::Timeout(path),
        _ => ControlError::Io { path, source: error },
    }
}

fn is_other_file(path: &Path) -> bool {
    path.metadata().is_ok_and(|found| !found.file_type().is_socket())
}

/// Takes a response apart: status line, headers, and as many bytes as they promise.
fn body(path: &Path, response: &[u8]) -> Result<Vec<u8>, ControlError> {
    let malformed = || ControlError::Malformed(path.to_owned());
    let end = response.windows(4).position(|four| four == b"\r\n\r\n").ok_or_else(malformed)?;
    let (head, body) = (&response[..end], &response[end + 4..]);
    let head = std::str::from_utf8(head).map_err(|_| malformed())?;
    let mut lines = head.split("\r\n");
    let first = lines.next().and_then(|line| line.strip_prefix("HTTP/1.1 "));
    let status = first.and_then(|line| line.get(..3)?.parse().ok()).ok_or_else(malformed)?;
    let length = lines
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, value)| value.trim().parse::<usize>().ok());
    if length != Some(body.len()) {
        return Err(malformed());
    }
    if status != 200 {
        let text = String::from_utf8_lossy(body);
        let text = text.lines().next().unwrap_or_default().to_owned();
        return Err(ControlError::Refused { status, text });
    }
    Ok(body.to_vec())
}
