//! The directory of the records, looked at again and again.
//!
//! What is looked at first is the directory itself: while its time stays, no file came or went. Then
//! the list of its files is read; who came, or is another file by its inode, is looked at; and of those
//! whose times or sizes changed the content is read, so much at a time. The list is what counts, and no
//! event can be lost: the directory may be missing, come later, or be replaced by another. Every few
//! seconds all files are looked at in any case, for those that were written in place.
//!
//! The plugin's files are regular ones that come by a rename. Links are not followed, pipes not waited
//! for, nothing is read beyond [`MAX_RECORD`] bytes, and what is no record is passed over.

use std::ffi::{OsStr, OsString};
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::{DirEntryExt, MetadataExt};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hashbrown::HashMap;

use super::{MAX_RECORDS, Namespaces, Pod, Table};
use crate::cni::record::{MAX_RECORD, PodRecord, SUFFIX};
use crate::files;
use crate::telemetry::logs::Every;

/// How often to look, and so how often a table is made at the most.
pub const EVERY: Duration = Duration::from_millis(250);
/// How many files are read at one look; the rest at the next.
pub const PER_LOOK: usize = 1024;
/// How many at the first.
pub const AT_START: usize = MAX_RECORDS;

/// How often all files are looked at, although neither the directory nor the list tells of a change.
const SWEEP: Duration = Duration::from_secs(5);
/// The most entries of the directory that are looked at, of whatever kind.
const MAX_ENTRIES: usize = 4 * MAX_RECORDS;
/// How many bytes are read at one look, of all files together.
const BYTES_PER_LOOK: usize = 16 << 20;
/// How often the log hears of files that are no records.
const COMPLAIN: Duration = Duration::from_secs(10);

/// The directory and what is known of it.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    namespaces: Namespaces,
    files: HashMap<OsString, Seen>,
    /// Of the directory when its files were last looked at.
    stamp: Option<Stamp>,
    /// Whether to look at the files whatever the directory's time says: it has a grain, and what
    /// happens within it leaves it as it was.
    again: bool,
    /// When all files were last looked at; none if some are left.
    swept: Option<Instant>,
    /// Counts the looks at the list.
    round: u64,
    complaints: Every,
}

/// A file that was looked at.
#[derive(Debug)]
struct Seen {
    stamp: Stamp,
    /// None where it is no record.
    pod: Option<Arc<Pod>>,
    /// Whether it was found unchanged since it was read: nobody was still writing it then.
    settled: bool,
    round: u64,
}

/// What changes when a file or a directory does: device, inode, change time, time of the content, and
/// size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp([i64; 7]);

impl Stamp {
    fn of(of: &Metadata) -> Stamp {
        let (dev, ino, size) = (of.dev() as i64, of.ino() as i64, of.size() as i64);
        Stamp([dev, ino, of.ctime(), of.ctime_nsec(), of.mtime(), of.mtime_nsec(), size])
    }

    /// Device and inode: which file it is, whatever is in it.
    fn which(&self) -> [i64; 2] {
        [self.0[0], self.0[1]]
    }
}

/// What one look may still read.
struct Budget {
    files: usize,
    bytes: usize,
}

/// Why a file is not used.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("it is no regular file")]
    Kind,
    #[error("it cannot be read: {0}")]
    File(#[from] files::FileError),
    #[error("it is no record: {0}")]
    Record(#[from] crate::cni::record::RecordError),
    #[error("it is no record: {0}")]
    Pod(#[from] super::NoPod),
    #[error("there are {MAX_RECORDS} records, and no more are used")]
    TooMany,
}

impl Folder {
    /// The directory at `path`, which need not be there. At most `namespaces` are counted apart.
    pub fn new(path: PathBuf, namespaces: usize) -> Folder {
        Folder {
            path,
            namespaces: Namespaces::new(namespaces),
            files: HashMap::new(),
            stamp: None,
            again: false,
            swept: None,
            round: 0,
            complaints: Every::new(COMPLAIN),
        }
    }

    /// Whether [`Folder::look`] may find something: one system call. What cannot be told is due.
    pub fn is_due(&self, now: Instant) -> bool {
        match fs::metadata(&self.path) {
            Ok(metadata) => self.is_due_with(&metadata, now),
            Err(error) => !is_absent(&error) || !self.files.is_empty(),
        }
    }

    fn is_due_with(&self, metadata: &Metadata, now: Instant) -> bool {
        let sweep = !self.files.is_empty() && self.is_sweep_due(now);
        self.again || sweep || self.stamp != Some(Stamp::of(metadata))
    }

    fn is_sweep_due(&self, now: Instant) -> bool {
        self.swept.is_none_or(|swept| now.saturating_duration_since(swept) >= SWEEP)
    }

    /// Looks once, and reads `files` files at the most. A table if anything has changed. Blocks for as
    /// long as the file system does.
    pub fn look(&mut self, now: Instant, files: usize) -> Option<Table> {
        let metadata = match fs::metadata(&self.path) {
            Ok(metadata) => metadata,
            Err(error) => return self.unreadable(error, now),
        };
        if !self.is_due_with(&metadata, now) {
            return None;
        }
        let stamp = Stamp::of(&metadata);
        let moved = self.stamp != Some(stamp);
        let entries = match fs::read_dir(&self.path) {
            Ok(entries) => entries,
            Err(error) => return self.unreadable(error, now),
        };
        // In another directory the same inode is another file.
        let same = self.stamp.is_some_and(|before| before.which() == stamp.which());
        let sweep = !same || self.is_sweep_due(now);
        (self.stamp, self.round) = (Some(stamp), self.round + 1);
        let mut budget = Budget { files, bytes: BYTES_PER_LOOK };
        let (mut changed, mut left) = (false, 0);
        for entry in entries.take(MAX_ENTRIES) {
            // What is half a list leaves the rest as it was known.
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => return self.unreadable(error, now),
            };
            let name = entry.file_name();
            if !is_record(&name) || (!sweep && self.is_as_known(&name, entry.ino())) {
                continue;
            }
            // One that went meanwhile is none; the link itself is looked at, not what it leads to.
            let Ok(metadata) = entry.metadata() else { continue };
            match self.take(name, &metadata, &mut budget, now) {
                Some(news) => changed |= news,
                None => left += 1,
            }
        }
        let before = self.files.len();
        let round = self.round;
        self.files.retain(|_, seen| seen.round == round);
        changed |= self.files.len() != before;
        self.again = moved || changed || left > 0;
        self.swept = match left {
            0 if sweep => Some(now),
            0 => self.swept,
            _ => None,
        };
        changed.then(|| self.table())
    }

    /// Whether a file in the list is the one that was read, so that only a sweep need look at it. Where
    /// the list has other inodes than the files (some stacked file systems) none is.
    fn is_as_known(&mut self, name: &OsStr, inode: u64) -> bool {
        match self.files.get_mut(name) {
            Some(seen) if seen.settled && seen.stamp.which()[1] == inode as i64 => {
                seen.round = self.round;
                true
            }
            _ => false,
        }
    }

    /// Takes over one entry of the list. Whether that changed anything; `None` if it has to wait for
    /// the next look.
    fn take(
        &mut self,
        name: OsString,
        metadata: &Metadata,
        budget: &mut Budget,
        now: Instant,
    ) -> Option<bool> {
        let stamp = Stamp::of(metadata);
        let round = self.round;
        let known = self.files.len();
        if let Some(seen) = self.files.get_mut(&name) {
            seen.round = round;
            if seen.stamp == stamp {
                seen.settled = true;
                return Some(false);
            }
        } else if known >= MAX_RECORDS {
            self.complain(&name, &Refusal::TooMany, now);
            return Some(false);
        }
        let size = metadata.len().min(MAX_RECORD as u64 + 1) as usize;
        if budget.files == 0 || budget.bytes < size {
            return None;
        }
        (budget.files, budget.bytes) = (budget.files - 1, budget.bytes - size);
        let pod = match self.read(&name, metadata) {
            Ok(pod) => Some(Arc::new(pod)),
            Err(refusal) => {
                self.complain(&name, &refusal, now);
                None
            }
        };
        self.files.insert(name, Seen { stamp, pod, settled: false, round });
        Some(true)
    }

    fn read(&mut self, name: &OsStr, metadata: &Metadata) -> Result<Pod, Refusal> {
        if !metadata.is_file() {
            return Err(Refusal::Kind);
        }
        if metadata.len() > MAX_RECORD as u64 {
            return Err(crate::cni::record::RecordError::TooLong.into());
        }
        let bytes = files::read_itself(&self.path.join(name), MAX_RECORD)?;
        Ok(Pod::of(&PodRecord::parse(&bytes)?, &mut self.namespaces)?)
    }

    /// A directory that is not there has no records; one that cannot be read keeps those it had.
    fn unreadable(&mut self, error: io::Error, now: Instant) -> Option<Table> {
        self.stamp = None;
        if is_absent(&error) {
            if self.files.is_empty() {
                return None;
            }
            self.files.clear();
            return Some(self.table());
        }
        if let Some(before) = self.complaints.allow(now) {
            let folder = self.path.display();
            tracing::warn!(%folder, %error, before, "pod records: the directory cannot be read");
        }
        None
    }

    fn complain(&mut self, name: &OsStr, why: &Refusal, now: Instant) {
        if let Some(before) = self.complaints.allow(now) {
            // Quoted: a file's name may have anything in it.
            tracing::warn!(file = ?name, %why, before, "pod records: a file is passed over");
        }
    }

    fn table(&self) -> Table {
        let pods: Vec<_> = self.files.values().filter_map(|seen| seen.pod.clone()).collect();
        let refused = self.files.len() - pods.len();
        Table::new(pods, refused, &self.namespaces)
    }
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// Whether a file is called like a record; an unfinished one has a dot in front.
fn is_record(name: &OsStr) -> bool {
    let name = name.as_encoded_bytes();
    name.ends_with(SUFFIX.as_bytes()) && !name.starts_with(b".")
}

#[cfg(test)]
mod tests;
