//! Reads a resolv.conf file and follows it while it changes.
//!
//! How it is looked at is [`crate::files::watch`]'s. Blocking reads of a local file happen on the
//! calling task: this belongs on the watching runtime, not on one that serves.

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::sleep;
use tracing::{info, warn};

use super::{MAX_BYTES, ResolvConf, parse};
use crate::files::watch::Look;
use crate::files::{self, FileError};

pub use crate::files::watch::EVERY;

/// Why a file gives no name servers.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It cannot be read, or is no file.
    #[error(transparent)]
    File(#[from] FileError),
    /// It has no `nameserver` line that can be used.
    #[error("{} names no name server{}", path.display(), first_skipped(conf))]
    NoNameservers {
        /// The file.
        path: PathBuf,
        /// What else it says.
        conf: Box<ResolvConf>,
    },
}

fn first_skipped(conf: &ResolvConf) -> String {
    conf.skipped.first().map_or_else(String::new, |skipped| format!(" ({skipped})"))
}

/// Reads the file once. An `Ok` has at least one name server. Blocks for as long as the file system
/// does; a pipe does not block it.
pub fn read(path: &Path) -> Result<ResolvConf, ReadError> {
    // One byte more than `parse` looks at, so that it can tell.
    understand(path, &files::read(path, MAX_BYTES)?)
}

fn understand(path: &Path, bytes: &[u8]) -> Result<ResolvConf, ReadError> {
    let conf = parse(bytes);
    if conf.nameservers.is_empty() {
        return Err(ReadError::NoNameservers { path: path.to_owned(), conf: Box::new(conf) });
    }
    Ok(conf)
}

/// Looks at the file `every` so often ([`EVERY`]) and calls `on_change` with what it says: once with
/// the first good content, then each time that what it says has changed. Never returns.
///
/// A file that vanishes, cannot be read or names no server changes nothing: the last good list
/// stays, and one warning says so until it is good again. Cancel safe. `on_change` runs on the
/// calling task and must not block.
pub async fn watch_file(
    path: &Path,
    every: Duration,
    mut on_change: impl FnMut(ResolvConf),
) -> Infallible {
    let mut last = None;
    let mut failing = false;
    loop {
        match look(path, last.as_ref()).await {
            Ok(Look::Moving) => {}
            Ok(seen) => {
                if failing {
                    info!(path = %path.display(), "name servers can be read again");
                }
                failing = false;
                if let Look::New(conf) = seen {
                    last = Some(conf.clone());
                    on_change(conf);
                }
            }
            Err(error) => {
                if !failing {
                    warn!(%error, "no name servers to read; the last good ones, if any, stay in use");
                }
                failing = true;
            }
        }
        sleep(every).await;
    }
}

/// Looks at the file once more.
pub(super) async fn look(
    path: &Path,
    last: Option<&ResolvConf>,
) -> Result<Look<ResolvConf>, ReadError> {
    files::watch::look(path, MAX_BYTES, last, understand).await
}
