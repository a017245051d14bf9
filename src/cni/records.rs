//! The directory of pod records: written, looked up, removed.
//!
//! A record counts as an attachment's only if it says so itself, since two attachments can share the
//! name of a file ([`Identity::file_name`]). What is damaged is reported and left alone: it may be
//! somebody else's.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::error::CniError;
use super::record::{Identity, MAX_RECORD, PodRecord, SUFFIX};
use super::replace::{self, ReplaceError};
use crate::files::{self, FileError};

/// The most files that are looked at in the directory. A node has some hundred pods.
pub const MAX_FILES: usize = 65_536;

/// A directory of records, which need not exist.
#[derive(Debug, Clone)]
pub struct Records {
    directory: PathBuf,
}

/// What lies where a record is looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// The attachment's own.
    Own(Box<PodRecord>),
    /// Nothing.
    Nothing,
    /// A file that is no record, and why.
    Damaged(String),
    /// The record of another attachment, whose file has the same name.
    Other(Identity),
}

/// What lies in the directory.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Listing {
    /// The records, in no order.
    pub records: Vec<(Identity, PodRecord)>,
    /// Names of files that are none, with what is wrong with them.
    pub damaged: Vec<String>,
}

impl Records {
    /// Records in this directory.
    pub fn new(directory: &Path) -> Records {
        Records { directory: directory.to_owned() }
    }

    /// Where an attachment's record lies.
    pub fn path(&self, identity: &Identity) -> PathBuf {
        self.directory.join(identity.file_name())
    }

    /// Whether a record could be written.
    ///
    /// # Errors
    /// [`CniError::Io`] with the directory and why not.
    pub fn try_writing(&self) -> Result<(), CniError> {
        replace::try_directory(&self.directory).map_err(io_error)
    }

    /// Writes a record, in place of the one there is: mode 0644, in a directory of mode 0755.
    ///
    /// # Errors
    /// [`CniError::Io`] where it cannot be written or its place is taken by another attachment's.
    pub fn write(&self, identity: &Identity, record: &PodRecord) -> Result<(), CniError> {
        replace::make_directory(&self.directory).map_err(io_error)?;
        let path = self.path(identity);
        if let Found::Other(other) = self.find(identity)? {
            let whose = format!("{}, {}, {}", other.network, other.container, other.interface);
            return Err(CniError::Io(format!("{}: the record of {whose}", path.display())));
        }
        replace::replace(&path, &record.to_json(), Permissions::from_mode(0o644)).map_err(io_error)
    }

    /// Has an attachment's record be this one again, which was there before.
    ///
    /// # Errors
    /// [`CniError::Io`] where another is there and stays.
    pub fn restore(&self, identity: &Identity, record: &PodRecord) -> Result<(), CniError> {
        match self.find(identity)? {
            Found::Own(there) if *there == *record => Ok(()),
            _ => self.write(identity, record),
        }
    }

    /// Looks for an attachment's record.
    ///
    /// # Errors
    /// [`CniError::Io`] where a file that is there cannot be read.
    pub fn find(&self, identity: &Identity) -> Result<Found, CniError> {
        Ok(match self.read(&self.path(identity))? {
            Read::Nothing => Found::Nothing,
            Read::Damaged(why) => Found::Damaged(why),
            Read::Record(record, whose) if whose == *identity => Found::Own(record),
            Read::Record(_, whose) => Found::Other(whose),
        })
    }

    /// Removes an attachment's record, also a damaged one in its place; there need be none.
    ///
    /// # Errors
    /// [`CniError::Io`] where it is there and stays.
    pub fn remove(&self, identity: &Identity) -> Result<(), CniError> {
        if matches!(self.find(identity), Ok(Found::Nothing | Found::Other(_))) {
            return Ok(());
        }
        let path = self.path(identity);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(io_error(ReplaceError::at(&path)(error)))
            }
            _ => Ok(()),
        }
    }

    /// All records whose file's name has `part` in it.
    ///
    /// # Errors
    /// [`CniError::Io`] where the directory is there and cannot be read.
    pub fn list(&self, part: &str) -> Result<Listing, CniError> {
        let Listing { mut records, mut damaged } = Listing::default();
        for name in self.names()? {
            if name.starts_with('.') || !name.ends_with(SUFFIX) || !name.contains(part) {
                continue;
            }
            match self.read(&self.directory.join(&name)) {
                Ok(Read::Record(record, whose)) => records.push((whose, *record)),
                Ok(Read::Damaged(why)) => damaged.push(format!("{name}: {why}")),
                Ok(Read::Nothing) => {}
                Err(error) => damaged.push(error.details().to_owned()),
            }
        }
        Ok(Listing { records, damaged })
    }

    /// Removes what killed plugins did not finish writing.
    ///
    /// # Errors
    /// [`CniError::Io`] where the directory is there and cannot be read.
    pub fn sweep(&self, now: SystemTime) -> Result<(), CniError> {
        replace::sweep(&self.directory, now).map_err(io_error)
    }

    fn names(&self) -> Result<Vec<String>, CniError> {
        let failed = |error| io_error(ReplaceError::at(&self.directory)(error));
        let entries = match fs::read_dir(&self.directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(vec![]),
            Err(error) => return Err(failed(error)),
        };
        let name = |entry: io::Result<fs::DirEntry>| match entry {
            Ok(entry) => entry.file_name().into_string().ok().map(Ok),
            Err(error) => Some(Err(failed(error))),
        };
        entries.take(MAX_FILES).filter_map(name).collect()
    }

    fn read(&self, path: &Path) -> Result<Read, CniError> {
        // A link is none of ours, whatever it leads to.
        let bytes = match files::read_itself(path, MAX_RECORD) {
            Ok(bytes) => bytes,
            // Nor is there one below what is no directory: a pod whose ADD failed at that must go.
            Err(FileError::Io { source, .. })
                if matches!(
                    source.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                ) =>
            {
                return Ok(Read::Nothing);
            }
            Err(FileError::Io { source, .. }) if source.raw_os_error() == Some(libc::ELOOP) => {
                return Ok(Read::Damaged("a symbolic link".into()));
            }
            Err(FileError::NotAFile { .. }) => return Ok(Read::Damaged("not a file".into())),
            Err(error) => return Err(CniError::Io(error.to_string())),
        };
        let parsed = PodRecord::parse(&bytes).and_then(|r| r.identity().map(|whose| (r, whose)));
        Ok(match parsed {
            Ok((record, whose)) => Read::Record(Box::new(record), whose),
            Err(error) => Read::Damaged(error.to_string()),
        })
    }
}

enum Read {
    Record(Box<PodRecord>, Identity),
    Nothing,
    Damaged(String),
}

fn io_error(error: ReplaceError) -> CniError {
    CniError::Io(error.to_string())
}

#[cfg(test)]
mod tests;
