//! One look at a file that is followed: what it says now, held against what it said before.
//!
//! The file is read anew at every look: it is small, and times and sizes lie (an edit within the
//! clock's grain keeps both, a bind mount keeps the inode). The path is opened anew too, so that a
//! symbolic link which is replaced leads to the new file. This belongs on the watching runtime, not on
//! one that serves.

use std::path::Path;
use std::time::Duration;

use tokio::time::sleep;

use super::{FileError, read};

/// How often to look, unless a caller knows better.
pub const EVERY: Duration = Duration::from_secs(2);

/// New content must stay this long to be believed: an editor that truncates and writes is half-way
/// for a moment, and half an address may be another address.
const SETTLE: Duration = Duration::from_millis(50);

/// What one look at a file found.
#[derive(Debug, PartialEq, Eq)]
pub enum Look<T> {
    /// It says what it said before.
    Same,
    /// It says something else.
    New(T),
    /// It is being written.
    Moving,
}

/// Looks at the file, of which at most `most` bytes and one more are read; what is not `last` must stay
/// so for 50 ms. Cancel safe.
///
/// # Errors
/// The file cannot be read, or `understand` makes nothing of it.
pub async fn look<T: PartialEq, E: From<FileError>>(
    path: &Path,
    most: usize,
    last: Option<&T>,
    understand: impl Fn(&Path, &[u8]) -> Result<T, E>,
) -> Result<Look<T>, E> {
    let bytes = read(path, most)?;
    let first = understand(path, &bytes);
    if first.as_ref().is_ok_and(|said| Some(said) == last) {
        return Ok(Look::Same);
    }
    sleep(SETTLE).await;
    if read(path, most)? != bytes {
        return Ok(Look::Moving);
    }
    first.map(Look::New)
}
