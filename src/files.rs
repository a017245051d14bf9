//! Small files of the host that are read again and again: bounded, and never waiting.
//!
//! Who looks decides what the bytes mean. Blocking reads of a local file happen on the calling
//! thread: this belongs to starting and watching, never to the road of a query.

use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

pub mod watch;

/// Why a file gives no bytes.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It cannot be read: not there, not allowed, links in a circle.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// A directory, a pipe, a device.
    #[error("{} is not a regular file", path.display())]
    NotAFile {
        /// The file.
        path: PathBuf,
    },
}

/// Reads a regular file, and one byte more than `most` of it at the most, so that the caller can
/// tell that it is longer. The path is opened anew, so that a link that was replaced leads to the
/// new file.
///
/// # Errors
/// Says that the file cannot be read, or is none. A pipe does not block it.
pub fn read(path: &Path, most: usize) -> Result<Vec<u8>, FileError> {
    read_with(path, most, 0)
}

/// Like [`read`], but a symbolic link at the end of the path is an error: nobody who may write into
/// the directory can have another file read.
///
/// # Errors
/// As [`read`]'s, and for a link.
pub fn read_itself(path: &Path, most: usize) -> Result<Vec<u8>, FileError> {
    read_with(path, most, libc::O_NOFOLLOW)
}

fn read_with(path: &Path, most: usize, flags: libc::c_int) -> Result<Vec<u8>, FileError> {
    let failed = |source| FileError::Io { path: path.to_owned(), source };
    // O_NONBLOCK: opening a pipe would wait for a writer.
    let flags = flags | libc::O_NONBLOCK;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path).map_err(failed)?;
    if !file.metadata().map_err(failed)?.is_file() {
        return Err(FileError::NotAFile { path: path.to_owned() });
    }
    let mut bytes = Vec::new();
    file.take(most as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}
