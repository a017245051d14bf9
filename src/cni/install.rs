//! Putting the plugin on a node: its binary into the directory of plugins, its entry into the runtime's
//! network configuration; and taking both out again.
//!
//! Every file is replaced whole, is left alone where it is not understood, and a second run changes
//! nothing. The list as it was is kept beside the new one, under a name that no runtime reads.

use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::conflist::{self, Change, Conflist, ConflistError, PLUGIN};
use super::json::{MAX_STDIN, decode};
use super::replace::{ReplaceError, make_directory, replace};
use crate::files::{self, FileError};

mod list;

use list::List;

/// What runtimes read in their directory.
const READ: [&str; 3] = ["conf", "conflist", "json"];
/// The most bytes of the plugin, with all that helps to debug it.
const MAX_BINARY: usize = 256 << 20;

/// Why something could not be put in place or taken away.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// A file cannot be read.
    #[error(transparent)]
    Read(#[from] FileError),
    /// A file or directory cannot be found or written.
    #[error(transparent)]
    File(#[from] ReplaceError),
    /// A file's content.
    #[error("{} {source}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: ConflistError,
    },
    /// The runtime's directory has no configuration, and may have one later.
    #[error("{}: no network configuration is in it yet", .0.display())]
    NoList(PathBuf),
    /// Anything else about a file.
    #[error("{}: {what}", path.display())]
    Refused {
        /// The file or directory.
        path: PathBuf,
        /// What is wrong and what would be right.
        what: String,
    },
}

fn refused(path: &Path, what: impl Into<String>) -> InstallError {
    InstallError::Refused { path: path.to_owned(), what: what.into() }
}

fn content(path: &Path) -> impl Fn(ConflistError) -> InstallError {
    move |source| InstallError::Content { path: path.to_owned(), source }
}

/// Where the list is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// The one that the runtime takes from its directory: the first by name.
    Directory(PathBuf),
    /// This one.
    File(PathBuf),
}

/// Copies a program into the directory of plugins, as the plugin; says what it did.
///
/// # Errors
/// Says which file could not be read or written.
pub fn put_binary(program: &Path, directory: &Path) -> Result<String, InstallError> {
    let bytes = files::read(program, MAX_BINARY)?;
    if bytes.len() > MAX_BINARY {
        return Err(refused(program, format!("longer than {MAX_BINARY} bytes")));
    }
    let path = directory.join(PLUGIN);
    if files::read(&path, MAX_BINARY).is_ok_and(|there| there == bytes) {
        return Ok(format!("{}: is there already", path.display()));
    }
    make_directory(directory)?;
    replace(&path, &bytes, Permissions::from_mode(0o755))?;
    Ok(format!("{}: written", path.display()))
}

/// Removes the plugin's binary; there need be none.
///
/// # Errors
/// Says that it stays.
pub fn take_binary(directory: &Path) -> Result<String, InstallError> {
    let path = directory.join(PLUGIN);
    Ok(if remove(&path)? {
        format!("{}: removed", path.display())
    } else {
        format!("{}: was not there", path.display())
    })
}

/// Puts our entry with these keys into the list; says what it did.
///
/// # Errors
/// Says why not; then the list is as it was.
pub fn put_entry(place: &Place, keys: &Map<String, Value>) -> Result<String, InstallError> {
    let file = List::open(&first(place)?)?;
    if !file.list.has_entry() && file.drop_in().exists() {
        return Err(refused(&file.drop_in(), "the plugin is in the list by this file already"));
    }
    let mut list = file.list.clone();
    let change = list.put(keys).map_err(content(&file.path))?;
    let path = file.path.display();
    match change {
        Change::None => return Ok(format!("{path}: has the entry already")),
        Change::Added => {
            file.check_unchanged()?;
            replace(&file.kept(), &file.text, file.permissions.clone())?;
        }
        Change::Updated => {}
    }
    file.write(&list.to_bytes())?;
    let kept = file.kept();
    Ok(match change {
        Change::Added => format!("{path}: entry added; as it was: {}", kept.display()),
        _ => format!("{path}: entry changed"),
    })
}

/// Puts our entry with these keys into the folder of the network's name, beside the list, which stays
/// as it is (CNI 1.1, libcni 1.3: containerd 2.1 or newer; older runtimes do not look there).
///
/// # Errors
/// Says why not; then nothing has changed.
pub fn put_drop_in(place: &Place, keys: &Map<String, Value>) -> Result<String, InstallError> {
    let file = List::open(&first(place)?)?;
    if file.list.has_entry() {
        return Err(refused(&file.path, "the plugin is in the list already"));
    }
    if file.list.is_closed() {
        return Err(refused(&file.path, "loadOnlyInlinedPlugins keeps the folder from being read"));
    }
    let path = file.drop_in();
    let old = match files::read(&path, MAX_STDIN) {
        Ok(text) => Some(decode(&text).map_err(|e| refused(&path, e.details()))?),
        Err(FileError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error.into()),
    };
    let (entry, change) = match old {
        Some(mut entry) => {
            let change = conflist::set(&mut entry, keys);
            (entry, change)
        }
        None => (conflist::entry(keys), Change::Added),
    };
    conflist::check_entry(&entry).map_err(content(&path))?;
    if change == Change::None {
        return Ok(format!("{}: has the entry already", path.display()));
    }
    make_directory(path.parent().unwrap_or(Path::new("/")))?;
    let text = conflist::pretty(&Value::Object(entry), "  ");
    replace(&path, &text, Permissions::from_mode(0o644))?;
    Ok(format!("{}: written", path.display()))
}

/// Takes our entry out of the list, or out of all lists of the directory and the folders beside them;
/// says what it did with each. Where nothing else has changed since, the list is byte by byte as it
/// was. One that is not understood is told and left alone.
///
/// # Errors
/// Says which file could not be read or written.
pub fn take_entry(place: &Place) -> Result<Vec<String>, InstallError> {
    let lists = match place {
        Place::File(path) if path.exists() => vec![path.clone()],
        Place::File(_) => vec![],
        Place::Directory(directory) => {
            let is_list = |path: &PathBuf| path.extension() == Some(OsStr::new("conflist"));
            configurations(directory)?.into_iter().filter(is_list).collect()
        }
    };
    let mut said = Vec::new();
    for path in lists {
        match List::open(&path) {
            Ok(file) => said.extend(take_from(&file)?),
            Err(error @ InstallError::Content { .. }) => said.push(format!("left alone: {error}")),
            Err(error) => return Err(error),
        }
    }
    Ok(said)
}

fn take_from(file: &List) -> Result<Vec<String>, InstallError> {
    let mut said = Vec::new();
    let mut list = file.list.clone();
    if list.take() {
        let kept = file.kept();
        let before = files::read(&kept, MAX_STDIN).ok();
        let same = |text: &Vec<u8>| Conflist::parse(text).is_ok_and(|before| before.says(&list));
        match before.filter(same) {
            Some(text) => {
                file.write(&text)?;
                remove(&kept)?;
            }
            None => file.write(&list.to_bytes())?,
        }
        said.push(format!("{}: entry removed", file.path.display()));
    }
    let drop_in = file.drop_in();
    if remove(&drop_in)? {
        // Stays where others have files in it.
        let _ = drop_in.parent().map(fs::remove_dir);
        said.push(format!("{}: removed", drop_in.display()));
    }
    Ok(said)
}

/// The list that the runtime takes.
fn first(place: &Place) -> Result<PathBuf, InstallError> {
    let directory = match place {
        Place::File(path) => return Ok(path.clone()),
        Place::Directory(directory) => directory,
    };
    let first = configurations(directory)?.into_iter().next();
    let first = first.ok_or_else(|| InstallError::NoList(directory.clone()))?;
    if first.extension() != Some(OsStr::new("conflist")) {
        let what = "is the first in its directory, and a single plugin cannot be followed by ours: \
            make it a list (.conflist), or name another one";
        return Err(refused(&first, what));
    }
    Ok(first)
}

/// The files of a directory that a runtime reads, in the order that it does; none where there is no
/// directory.
fn configurations(directory: &Path) -> Result<Vec<PathBuf>, InstallError> {
    let failed = ReplaceError::at(directory);
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(vec![]),
        Err(error) => return Err(failed(error).into()),
    };
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.map_err(&failed)?.path();
        let is_read = path.extension().is_some_and(|e| READ.iter().any(|read| e == *read));
        if is_read && !path.is_dir() {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

/// Removes a file; `false` if there is none.
fn remove(path: &Path) -> Result<bool, InstallError> {
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) => match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Ok(false),
            _ => Err(ReplaceError::at(path)(error).into()),
        },
    }
}

#[cfg(test)]
mod tests;
