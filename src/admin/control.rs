//! The control socket: HTTP on a Unix socket, JSON in its answers.
//!
//! | request | what it does |
//! | --- | --- |
//! | `GET /status` | the daemon at one moment |
//! | `GET /cache/stats` | the cache's figures, by route |
//! | `GET /cache/dump?[suffix=NAME][&route=ROUTE][&limit=N][&from=NEXT]` | a page of entries, and what to give as `from` for the next |
//! | `POST /cache/flush?name=NAME`, or `suffix=NAME`, `route=ROUTE`, `all` | forgets; says how many entries went |
//!
//! The file's mode is 0600 from the moment it can be seen: it is made in a private directory and
//! then moved into place. A socket that a crashed run left behind is replaced, one that somebody
//! answers on is not. `curl --unix-socket PATH http://horizond/status` works, and [`get`] and
//! [`post`] are the same for the command line.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hyper::StatusCode;
use hyper::header::{ALLOW, HeaderValue};

use super::cache::CacheSource;
use super::server::{self, Endpoints, Limits, Reply, reply, text};
use super::status::Status;
use crate::telemetry::stats::Stats;

mod cache;
mod client;
mod query;

pub use cache::LONGEST_PAGE;
pub use client::{ControlError, get, post};
pub use query::{QueryError, encode};

/// Who knows the daemon's status: the core.
pub trait StatusSource: Send + Sync + 'static {
    /// The present picture. Called on the admin thread; may take locks that no query waits for.
    fn status(&self) -> Status;
}

/// Why there is no control socket.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Another process answers there.
    #[error("{0} is in use: another horizond is running (or set [admin] control to another path)")]
    InUse(PathBuf),
    /// Something that is no socket has that name; it is left alone.
    #[error("{0} exists and is not a socket: remove it, or set [admin] control to another path")]
    NotASocket(PathBuf),
    /// The path names no file in a directory.
    #[error("{0} cannot be the path of a socket")]
    BadPath(PathBuf),
    /// The system refused.
    #[error("the control socket {path} cannot be made: {step}: {source}")]
    Io {
        /// The socket's path.
        path: PathBuf,
        /// What was being done.
        step: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

/// A bound control socket. Its file goes when this does, unless another process has put its own
/// there in the meantime.
#[derive(Debug)]
pub struct ControlSocket {
    listener: UnixListener,
    file: SocketFile,
}

impl ControlSocket {
    /// Makes the socket, and its directory (mode 0755) if there is none. Blocks shortly.
    pub fn bind(path: &Path) -> Result<ControlSocket, BindError> {
        let failed = |step| move |source| BindError::Io { path: path.to_owned(), step, source };
        let (Some(directory), Some(_)) = (path.parent(), path.file_name()) else {
            return Err(BindError::BadPath(path.to_owned()));
        };
        let directory = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
        if !directory.is_dir() {
            let mut builder = DirBuilder::new();
            builder.recursive(true).mode(0o755).create(directory).map_err(failed("directory"))?;
        }
        check_free(path)?;
        let private = PrivateDirectory::new(directory).map_err(failed("private directory"))?;
        let fresh = private.socket();
        let listener = UnixListener::bind(&fresh).map_err(failed("bind"))?;
        fs::set_permissions(&fresh, Permissions::from_mode(0o600)).map_err(failed("mode"))?;
        listener.set_nonblocking(true).map_err(failed("non-blocking"))?;
        let inode = inode(&fresh).map_err(failed("stat"))?;
        fs::rename(&fresh, path).map_err(failed("rename"))?;
        Ok(ControlSocket { listener, file: SocketFile { path: path.to_owned(), inode } })
    }

    /// Serves until `stop` is over, then removes the file. `stats` is the admin thread's own.
    ///
    /// Fails at once if the runtime cannot take the socket. Must be called within a runtime.
    pub async fn serve(
        self,
        source: Arc<dyn StatusSource>,
        cache: Arc<dyn CacheSource>,
        stats: Arc<Stats>,
        stop: impl Future<Output = ()>,
    ) -> io::Result<()> {
        let _file = self.file;
        let listener = tokio::net::UnixListener::from_std(self.listener)?;
        let endpoints = Arc::new(Control { source, cache });
        server::serve(listener, endpoints, stats, Limits::default(), stop).await;
        Ok(())
    }
}

/// Errs if somebody answers at `path`, or if what is there is not ours to replace.
fn check_free(path: &Path) -> Result<(), BindError> {
    let failed = |step| move |source| BindError::Io { path: path.to_owned(), step, source };
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed("stat")(error)),
        Ok(found) if !found.file_type().is_socket() => {
            return Err(BindError::NotASocket(path.to_owned()));
        }
        Ok(_) => {}
    }
    match client::connect(path) {
        // Nobody listens: a crashed run's. Or its owner has just removed it.
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound
            ) =>
        {
            Ok(())
        }
        // It has a listener, even if a slow one.
        Ok(_) => Err(BindError::InUse(path.to_owned())),
        Err(error) if client::is_timeout(&error) => Err(BindError::InUse(path.to_owned())),
        Err(error) => Err(failed("connect")(error)),
    }
}

/// The file in the file system, removed on drop.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    inode: (u64, u64),
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if inode(&self.path).is_ok_and(|now| now == self.inode)
            && let Err(error) = fs::remove_file(&self.path)
        {
            tracing::warn!(path = %self.path.display(), %error, "control socket not removed");
        }
    }
}

fn inode(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|file| (file.dev(), file.ino()))
}

/// A directory that nobody else may enter, removed on drop.
struct PrivateDirectory(PathBuf);

impl PrivateDirectory {
    fn new(parent: &Path) -> io::Result<PrivateDirectory> {
        let private = PrivateDirectory(parent.join(format!(".horizond-{}", std::process::id())));
        // A crashed run may have had our pid.
        private.remove();
        DirBuilder::new().mode(0o700).create(&private.0)?;
        Ok(private)
    }

    fn socket(&self) -> PathBuf {
        self.0.join("s")
    }

    /// What is not there need not be removed, and what cannot be is in nobody's way.
    fn remove(&self) {
        let _ = fs::remove_file(self.socket());
        let _ = fs::remove_dir(&self.0);
    }
}

impl Drop for PrivateDirectory {
    fn drop(&mut self) {
        self.remove();
    }
}

struct Control {
    source: Arc<dyn StatusSource>,
    cache: Arc<dyn CacheSource>,
}

const FLUSH: &str = "/cache/flush";

impl Endpoints for Control {
    async fn get(&self, path: &str, query: &str) -> Reply {
        match path {
            "/status" => match serde_json::to_vec(&self.source.status()) {
                Ok(json) => reply(StatusCode::OK, "application/json", json),
                Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
            },
            "/cache/stats" => cache::stats(self.cache.as_ref()),
            "/cache/dump" => cache::dump(&self.cache, query).await,
            FLUSH => {
                let mut reply = text(StatusCode::METHOD_NOT_ALLOWED, "only POST is allowed here\n");
                reply.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
                reply
            }
            _ => text(
                StatusCode::NOT_FOUND,
                "there are /status, /cache/stats, /cache/dump and, to be posted, /cache/flush\n",
            ),
        }
    }

    async fn post(&self, path: &str, query: &str) -> Option<Reply> {
        match path {
            FLUSH => Some(cache::flush(&self.cache, query).await),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
