//! One installer at a time.

use std::fs::File;
use std::io;
use std::time::{Duration, Instant};

use super::{InstallError, Place, refused};
use crate::cni::replace::ReplaceError;
use crate::sys;

/// How long another one may take. It takes milliseconds, and a slow disk's time.
const PATIENCE: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_millis(10);

/// Held, no other installer works on the runtime's directory. It goes with the process, too.
#[derive(Debug)]
pub struct Lock {
    /// `None` where there is no directory yet.
    _directory: Option<File>,
}

impl Lock {
    /// Waits for the others, at most 30 s. What reads the directory is not held up.
    ///
    /// # Errors
    /// The directory cannot be opened, or another installer does not end.
    pub fn hold(place: &Place) -> Result<Lock, InstallError> {
        Lock::hold_for(place, PATIENCE)
    }

    fn hold_for(place: &Place, patience: Duration) -> Result<Lock, InstallError> {
        let path = place.directory();
        let directory = match File::open(path) {
            Ok(directory) => directory,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Lock { _directory: None });
            }
            Err(error) => return Err(ReplaceError::at(path)(error).into()),
        };
        let end = Instant::now() + patience;
        while !sys::try_lock(&directory).map_err(ReplaceError::at(path))? {
            if Instant::now() >= end {
                let what = format!("another installer has been at it for {patience:?}");
                return Err(refused(path, what));
            }
            std::thread::sleep(LOOK);
        }
        Ok(Lock { _directory: Some(directory) })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn one_at_a_time() {
        let home = tempfile::tempdir().unwrap();
        let place = Place::Directory(home.path().to_owned());
        let file = Place::File(home.path().join("10.conflist"));
        let lock = Lock::hold(&place).unwrap();
        let error = Lock::hold_for(&file, Duration::from_millis(1)).unwrap_err();
        assert!(error.to_string().contains("another installer"), "{error}");
        drop(lock);
        drop(Lock::hold(&file).unwrap());
        Lock::hold(&Place::Directory(home.path().join("none"))).unwrap();
    }
}
