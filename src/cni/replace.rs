//! Putting a file in place whole: who reads it sees the old one or the new one, never half of one,
//! whatever happens in between.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// What the names of files begin with that are not finished. Readers of a directory pass over them.
pub const UNFINISHED: &str = ".horizond-";
/// How many names are tried for one.
const TRIES: u32 = 16;

/// An error, and the file or directory that it is about.
#[derive(Debug, thiserror::Error)]
#[error("{}: {source}", path.display())]
pub struct ReplaceError {
    /// What it is about.
    pub path: PathBuf,
    /// The system's error.
    #[source]
    pub source: io::Error,
}

impl ReplaceError {
    /// For `map_err`.
    pub fn at(path: &Path) -> impl Fn(io::Error) -> ReplaceError {
        move |source| ReplaceError { path: path.to_owned(), source }
    }
}

/// Puts `bytes` at `path` with these permissions, whatever the umask. What is there is replaced; a
/// symbolic link is, and not what it leads to. The bytes are on the disk before the name is.
///
/// # Errors
/// What the system says; then nothing has changed and nothing is left over.
pub fn replace(path: &Path, bytes: &[u8], permissions: Permissions) -> Result<(), ReplaceError> {
    let directory = path.parent().unwrap_or(Path::new("/"));
    let (mut file, unfinished) = create(directory).map_err(ReplaceError::at(directory))?;
    let done = file
        .write_all(bytes)
        .and_then(|()| file.set_permissions(permissions))
        .and_then(|()| file.sync_all())
        .and_then(|()| fs::rename(&unfinished, path));
    if done.is_err() {
        let _ = fs::remove_file(&unfinished);
    }
    done.map_err(ReplaceError::at(path))
}

/// Makes a file of a name that nobody has, so that no link is followed and nobody's file is written to.
fn create(directory: &Path) -> io::Result<(File, PathBuf)> {
    let pid = std::process::id();
    let mut number = 0;
    loop {
        let path = directory.join(format!("{UNFINISHED}{pid}-{number}"));
        match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path) {
            Ok(file) => return Ok((file, path)),
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists && number < TRIES => number += 1,
            Err(error) => return Err(error),
        }
    }
}

/// Makes a directory and those above it that are lacking, with mode 0755 whatever the umask. What is
/// there stays as it is.
///
/// # Errors
/// What the system says, of the directory that could not be made.
pub fn make_directory(path: &Path) -> Result<(), ReplaceError> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        make_directory(parent)?;
    }
    match DirBuilder::new().mode(0o755).create(path) {
        Ok(()) => fs::set_permissions(path, Permissions::from_mode(0o755)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        Err(error) => Err(error),
    }
    .map_err(ReplaceError::at(path))
}

/// Whether a file could be put into a directory, found out by making one.
///
/// # Errors
/// What the system says.
pub fn try_directory(path: &Path) -> Result<(), ReplaceError> {
    make_directory(path)?;
    let (_, unfinished) = create(path).map_err(ReplaceError::at(path))?;
    fs::remove_file(&unfinished).map_err(ReplaceError::at(&unfinished))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    fn names(directory: &Path) -> Vec<String> {
        let name = |entry: io::Result<fs::DirEntry>| entry.unwrap().file_name().into_string();
        fs::read_dir(directory).unwrap().map(|entry| name(entry).unwrap()).collect()
    }

    #[test]
    fn a_file_is_put_in_place_whole() {
        let home = tempfile::tempdir().unwrap();
        let directory = home.path().join("a/b");
        make_directory(&directory).unwrap();
        make_directory(&directory).unwrap();
        assert_eq!((mode(&home.path().join("a")), mode(&directory)), (0o755, 0o755));
        let path = directory.join("x.json");
        for text in ["first, and longer", "second"] {
            replace(&path, text.as_bytes(), Permissions::from_mode(0o644)).unwrap();
            assert_eq!((fs::read_to_string(&path).unwrap(), mode(&path)), (text.into(), 0o644));
        }
        try_directory(&directory).unwrap();
        assert_eq!(names(&directory), ["x.json"]);
    }

    #[test]
    fn what_fails_leaves_nothing() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("taken");
        fs::create_dir_all(path.join("inside")).unwrap();
        let error = replace(&path, b"x", Permissions::from_mode(0o644)).unwrap_err();
        assert!(error.to_string().starts_with(&path.display().to_string()), "{error}");
        assert_eq!(names(home.path()), ["taken"]);
        let file = home.path().join("file");
        fs::write(&file, "").unwrap();
        assert!(make_directory(&file.join("below")).is_err());
        assert!(try_directory(&file).is_err());
    }

    #[test]
    fn an_unfinished_file_of_another_is_left_alone() {
        let home = tempfile::tempdir().unwrap();
        let other = home.path().join(format!("{UNFINISHED}{}-0", std::process::id()));
        let elsewhere = home.path().join("elsewhere");
        std::os::unix::fs::symlink(&elsewhere, &other).unwrap();
        replace(&home.path().join("x"), b"x", Permissions::from_mode(0o644)).unwrap();
        assert!(other.is_symlink() && !elsewhere.exists());
    }
}
