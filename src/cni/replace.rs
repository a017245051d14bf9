//! Putting a file in place whole: who reads it sees the old one or the new one, never half of one,
//! whatever happens in between.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What the names of files begin with that are not finished. Readers of a directory pass over them.
pub const UNFINISHED: &str = ".horizond-";
/// After this time a file that is not finished has nobody any more who would finish it.
const ABANDONED: Duration = Duration::from_secs(3600);
/// The most files of a directory that are looked at for such ones.
const MAX_SWEPT: usize = 65_536;
/// Bytes that are written to know whether a small file could be.
const PROBE: usize = 4096;
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
    replace_for(None, path, bytes, permissions)
}

/// Like [`replace`], and gives the file to this user and group, if they are not who makes it.
///
/// # Errors
/// As [`replace`]'s.
pub fn replace_for(
    owner: Option<(u32, u32)>,
    path: &Path,
    bytes: &[u8],
    permissions: Permissions,
) -> Result<(), ReplaceError> {
    let directory = path.parent().unwrap_or(Path::new("/"));
    let (mut file, unfinished) = create(directory).map_err(ReplaceError::at(directory))?;
    let done = file
        .write_all(bytes)
        .and_then(|()| give(&file, owner))
        .and_then(|()| file.set_permissions(permissions))
        .and_then(|()| file.sync_all())
        .and_then(|()| fs::rename(&unfinished, path));
    if done.is_err() {
        let _ = fs::remove_file(&unfinished);
    }
    done.map_err(ReplaceError::at(path))
}

fn give(file: &File, owner: Option<(u32, u32)>) -> io::Result<()> {
    let about = file.metadata()?;
    match owner.filter(|owner| *owner != (about.uid(), about.gid())) {
        Some((user, group)) => fchown(file, Some(user), Some(group)),
        None => Ok(()),
    }
}

/// Makes a file to be finished. The time is in its name because process ids come back, in containers the
/// same one always.
fn create(directory: &Path) -> io::Result<(File, PathBuf)> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    create_as(directory, &format!("{}-{now:x}", std::process::id()))
}

/// Makes a file of a name that nobody has, so that no link is followed and nobody's file is written to.
fn create_as(directory: &Path, name: &str) -> io::Result<(File, PathBuf)> {
    let mut number = 0;
    loop {
        let path = directory.join(format!("{UNFINISHED}{name}-{number}"));
        match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path) {
            Ok(file) => return Ok((file, path)),
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists && number < TRIES => number += 1,
            Err(error) => return Err(error),
        }
    }
}

/// Removes from a directory, which need not be there, what those who were killed did not finish. What
/// cannot be removed stays until the next time.
///
/// # Errors
/// The directory is there and cannot be read.
pub fn sweep(directory: &Path, now: SystemTime) -> Result<(), ReplaceError> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(ReplaceError::at(directory)(error)),
    };
    for entry in entries.take(MAX_SWEPT).flatten() {
        if !entry.file_name().as_encoded_bytes().starts_with(UNFINISHED.as_bytes()) {
            continue;
        }
        let written = entry.metadata().and_then(|about| about.modified());
        let age = written.ok().and_then(|then| now.duration_since(then).ok());
        if age.is_some_and(|age| age > ABANDONED) {
            let _ = fs::remove_file(entry.path());
        }
    }
    Ok(())
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
    let (mut file, unfinished) = create(path).map_err(ReplaceError::at(path))?;
    // A disk that is full takes a name all the same.
    let written = file.write_all(&[0; PROBE]).map_err(ReplaceError::at(path));
    written.and(fs::remove_file(&unfinished).map_err(ReplaceError::at(&unfinished)))
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
        let other = home.path().join(format!("{UNFINISHED}x-0"));
        let elsewhere = home.path().join("elsewhere");
        std::os::unix::fs::symlink(&elsewhere, &other).unwrap();
        let (_, made) = create_as(home.path(), "x").unwrap();
        assert_eq!(made, home.path().join(format!("{UNFINISHED}x-1")));
        assert!(other.is_symlink() && !elsewhere.exists());
    }

    #[test]
    fn what_was_never_finished_is_swept_after_an_hour() {
        let home = tempfile::tempdir().unwrap();
        let (unfinished, other) = (home.path().join(".horizond-1-0"), home.path().join(".hidden"));
        fs::write(&unfinished, "").unwrap();
        fs::write(&other, "").unwrap();
        let written = fs::metadata(&unfinished).unwrap().modified().unwrap();
        sweep(home.path(), written + ABANDONED).unwrap();
        assert!(unfinished.exists());
        sweep(home.path(), written + ABANDONED + Duration::from_secs(1)).unwrap();
        assert!(!unfinished.exists() && other.exists());
        sweep(&home.path().join("none"), written).unwrap();
    }
}
