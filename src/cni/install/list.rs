//! A list of plugins in its file, and the files beside it that are ours.

use std::fs::{self, Permissions};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::{Hands, InstallError, content, refused};
use crate::cni::conflist::Conflist;
use crate::cni::json::MAX_FILE;
use crate::cni::replace::ReplaceError;
use crate::files;

/// What is added to a list's file name for the one that is kept.
const KEPT: &str = ".before-horizond";
/// Our file in the folder of a network's name. It comes late in the alphabet, and so last.
const DROP_IN: &str = "90-horizond-cni.conf";

/// A list on disk.
pub(super) struct List {
    /// Where it is, links followed.
    pub path: PathBuf,
    /// Where the runtime finds it.
    named: PathBuf,
    /// As it was read.
    pub text: Vec<u8>,
    /// The file's.
    pub permissions: Permissions,
    /// Its user and group.
    pub owner: (u32, u32),
    /// As it was understood.
    pub list: Conflist,
}

impl List {
    /// Reads it.
    pub fn open(named: &Path) -> Result<List, InstallError> {
        // A link stays one: what it leads to is replaced.
        let path = fs::canonicalize(named).map_err(ReplaceError::at(named))?;
        let text = read_whole(&path)?;
        let about = fs::metadata(&path).map_err(ReplaceError::at(&path))?;
        let (permissions, owner) = (about.permissions(), (about.uid(), about.gid()));
        let list = Conflist::parse(&text).map_err(content(&path))?;
        Ok(List { path, named: named.to_owned(), text, permissions, owner, list })
    }

    /// Where it is kept as it was without us.
    pub fn kept(&self) -> PathBuf {
        let mut path = self.path.clone().into_os_string();
        path.push(KEPT);
        path.into()
    }

    /// Where our file in the folder of its name is: beside the name that the runtime opens.
    pub fn drop_in(&self) -> PathBuf {
        self.named.with_file_name(self.list.name().as_str()).join(DROP_IN)
    }

    /// Puts another text in its place, if that still has what was read.
    pub fn write(&self, hands: Hands, text: &[u8]) -> Result<(), InstallError> {
        self.check_unchanged()?;
        hands.replace(Some(self.owner), &self.path, text, self.permissions.clone())
    }

    /// Keeps it as it was read.
    pub fn keep(&self, hands: Hands) -> Result<(), InstallError> {
        self.check_unchanged()?;
        hands.replace(Some(self.owner), &self.kept(), &self.text, self.permissions.clone())
    }

    /// Others write it too, when their network starts.
    fn check_unchanged(&self) -> Result<(), InstallError> {
        if read_whole(&self.path)? == self.text {
            return Ok(());
        }
        Err(refused(&self.path, "changed by another program just now; try again"))
    }
}

fn read_whole(path: &Path) -> Result<Vec<u8>, InstallError> {
    let text = files::read(path, MAX_FILE)?;
    if text.len() > MAX_FILE {
        return Err(refused(path, format!("longer than {MAX_FILE} bytes")));
    }
    Ok(text)
}
