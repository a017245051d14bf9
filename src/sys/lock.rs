//! Locks of whole open files (flock(2)).

use std::io;
use std::os::fd::{AsFd, AsRawFd};

use super::check;

/// Takes the exclusive lock of an open file, of whatever kind; `false` if somebody else has one. It goes
/// when the last descriptor of that opening is closed.
///
/// # Errors
/// What flock(2) says.
pub fn try_lock(file: impl AsFd) -> io::Result<bool> {
    // SAFETY: the call takes a descriptor that is open for its duration and flags, no memory.
    match check(unsafe { libc::flock(file.as_fd().as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) }) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn one_at_a_time() {
        let home = tempfile::NamedTempFile::new().unwrap();
        let open = || std::fs::File::open(home.path()).unwrap();
        let (one, other) = (open(), open());
        assert!(try_lock(&one).unwrap() && try_lock(&one).unwrap());
        assert!(!try_lock(&other).unwrap());
        drop(one);
        assert!(try_lock(&other).unwrap());
    }
}
