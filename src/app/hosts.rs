//! The hosts file: read at the start, and followed while it changes.
//!
//! Like a resolver file it is read anew at every look, since times and sizes lie. What cannot be
//! read or understood changes nothing: the last good content stays in force, and one line of the log
//! says so until the file is good again. Queries never wait for any of this.

use std::convert::Infallible;
use std::hash::{BuildHasher, RandomState};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use crate::config;
use crate::files::{self, FileError};
use crate::local::hosts::{self, MAX_BYTES, Parsed};
use crate::serve::Server;

/// How often to look.
pub const EVERY: Duration = Duration::from_secs(2);

/// New content must stay this long to be believed: an editor that truncates and writes is half-way
/// for a moment, and half a list misleads.
const SETTLE: Duration = Duration::from_millis(50);

/// The file and what is known of it.
pub struct HostsFile {
    path: PathBuf,
    hasher: RandomState,
    /// The hash of the content that was looked at last, and what is wrong with it.
    seen: Option<(u64, Option<String>)>,
    /// What the log was told last, while the file is not good.
    told: Option<String>,
}

impl HostsFile {
    /// The file that the configuration names; `None` if it names none.
    pub fn of(local: &config::Local) -> Option<HostsFile> {
        let path = local.hosts.clone()?;
        Some(HostsFile { path, hasher: RandomState::new(), seen: None, told: None })
    }

    /// Reads it for the start: names that are there are answered from the first query on.
    pub fn load(&mut self, server: &Server) {
        let content = files::read(&self.path, MAX_BYTES);
        self.take(content, server);
    }

    /// Looks at the file `every` so often and hands what it says to the server. Never returns.
    /// Cancel safe.
    pub async fn follow(mut self, every: Duration, server: Arc<Server>) -> Infallible {
        loop {
            sleep(every).await;
            self.look(&server).await;
        }
    }

    async fn look(&mut self, server: &Server) {
        let content = files::read(&self.path, MAX_BYTES);
        if let Ok(bytes) = &content {
            let hash = self.hasher.hash_one(bytes);
            if self.seen.as_ref().is_none_or(|(seen, _)| *seen != hash) {
                sleep(SETTLE).await;
                let again = files::read(&self.path, MAX_BYTES);
                if !again.is_ok_and(|again| self.hasher.hash_one(&again) == hash) {
                    // It is being written; the next look will find it done.
                    return;
                }
            }
        }
        self.take(content, server);
    }

    fn take(&mut self, content: Result<Vec<u8>, FileError>, server: &Server) {
        let bytes = match content {
            Ok(bytes) => bytes,
            Err(error) => return self.tell(Some(error.to_string())),
        };
        let hash = self.hasher.hash_one(&bytes);
        if self.seen.as_ref().is_none_or(|(seen, _)| *seen != hash) {
            let fault = match hosts::parse(&bytes) {
                Ok(parsed) => {
                    put(&self.path, parsed, server);
                    None
                }
                Err(fault) => Some(format!("{} is not used: {fault}", self.path.display())),
            };
            self.seen = Some((hash, fault));
        }
        self.tell(self.seen.as_ref().and_then(|(_, fault)| fault.clone()));
    }

    /// Tells the log what is wrong with the file, or that nothing is any more; once.
    fn tell(&mut self, fault: Option<String>) {
        if fault == self.told {
            return;
        }
        match &fault {
            Some(fault) => {
                tracing::warn!(%fault, "no hosts from the file; the last good ones, if any, stay");
            }
            None => tracing::info!(file = %self.path.display(), "hosts file: good again"),
        }
        self.told = fault;
    }
}

/// Has the server answer from new content, and forget what it has cached of names that changed.
fn put(path: &Path, parsed: Parsed, server: &Server) {
    for skipped in &parsed.skipped {
        tracing::warn!(file = %path.display(), %skipped, "hosts file: passed over");
    }
    let more = parsed.all_skipped - parsed.skipped.len();
    if more > 0 {
        tracing::warn!(file = %path.display(), more, "hosts file: more was passed over");
    }
    let names = parsed.hosts.len();
    let changed = server.set_hosts(parsed.hosts).len();
    tracing::info!(file = %path.display(), names, changed, "hosts file read");
}

#[cfg(test)]
mod tests;
