//! What changes files for the installer, or only looks whether it could.

use std::fs::{self, Permissions};
use std::io;
use std::path::Path;

use super::InstallError;
use crate::cni::replace::{self, ReplaceError};

/// Does what the installer has decided on, or with `dry` nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Hands {
    /// Whether nothing is to be changed.
    pub dry: bool,
}

impl Hands {
    /// Puts a file in place, and gives it to a user and a group.
    pub(super) fn replace(
        self,
        owner: Option<(u32, u32)>,
        path: &Path,
        bytes: &[u8],
        permissions: Permissions,
    ) -> Result<(), InstallError> {
        if self.dry {
            return Ok(());
        }
        Ok(replace::replace_for(owner, path, bytes, permissions)?)
    }

    /// Makes a directory and those above it.
    pub(super) fn make_directory(self, path: &Path) -> Result<(), InstallError> {
        if self.dry { Ok(()) } else { Ok(replace::make_directory(path)?) }
    }

    /// Removes a file; `false` if there is none.
    pub(super) fn remove(self, path: &Path) -> Result<bool, InstallError> {
        let done =
            if self.dry { fs::symlink_metadata(path).map(|_| ()) } else { fs::remove_file(path) };
        match done {
            Ok(()) => Ok(true),
            Err(error) => match error.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Ok(false),
                _ => Err(ReplaceError::at(path)(error).into()),
            },
        }
    }

    /// Removes a directory if nothing is in it.
    pub(super) fn remove_directory(self, path: &Path) {
        if !self.dry {
            // Stays where others have files in it.
            let _ = fs::remove_dir(path);
        }
    }
}
