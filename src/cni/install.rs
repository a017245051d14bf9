//! Putting the plugin on a node: its binary into the directory of plugins, its entry into the runtime's
//! network configuration; and taking both out again.
//!
//! Every file is replaced whole, is left alone where it is not understood, and a second run changes
//! nothing. The list as it was is kept beside the new one, under a name that no runtime reads.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde_json::{Map, Value};

use super::conflist::{self, Change, Conflist, ConflistError};
use super::json::{MAX_FILE, decode};
use super::replace::{self, ReplaceError};
use super::settings::pod_dir;
use crate::files::{self, FileError};

mod hands;
mod list;
mod lock;
mod program;

pub use hands::Hands;
pub use lock::Lock;
pub use program::{put_binary, take_binary};

use list::List;

/// What runtimes read in their directory.
const READ: [&str; 3] = ["conf", "conflist", "json"];

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

impl Place {
    /// The runtime's directory.
    fn directory(&self) -> &Path {
        match self {
            Place::Directory(directory) => directory,
            Place::File(path) => match path.parent() {
                Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
                parent => parent.unwrap_or(Path::new("/")),
            },
        }
    }
}

/// Puts our entry with these keys into the list; says what it did.
///
/// # Errors
/// Says why not; then the list is as it was.
pub fn put_entry(
    hands: Hands,
    place: &Place,
    keys: &Map<String, Value>,
) -> Result<String, InstallError> {
    let file = List::open(&first(place)?)?;
    if !file.list.has_entry() && file.drop_in().exists() {
        return Err(refused(&file.drop_in(), "the plugin is in the list by this file already"));
    }
    let mut list = file.list.clone();
    let change = list.put(keys).map_err(content(&file.path))?;
    let path = file.path.display();
    if change == Change::None {
        return Ok(format!("{path}: has the entry already"));
    }
    sweep(hands, file.path.parent().unwrap_or(Path::new("/")))?;
    if change == Change::Added {
        file.keep(hands)?;
    }
    file.write(hands, &list.to_bytes())?;
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
pub fn put_drop_in(
    hands: Hands,
    place: &Place,
    keys: &Map<String, Value>,
) -> Result<String, InstallError> {
    let file = List::open(&first(place)?)?;
    if file.list.has_entry() {
        return Err(refused(&file.path, "the plugin is in the list already"));
    }
    if file.list.is_closed() {
        return Err(refused(&file.path, "loadOnlyInlinedPlugins keeps the folder from being read"));
    }
    let path = file.drop_in();
    let old = match files::read(&path, MAX_FILE) {
        Ok(text) => Some(decode(&text).map_err(|e| refused(&path, e.details()))?),
        Err(FileError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error.into()),
    };
    let keys = file.list.with_block(keys);
    let (entry, change) = match old {
        Some(mut entry) => {
            let change = conflist::set(&mut entry, &keys);
            (entry, change)
        }
        None => (conflist::entry(&keys), Change::Added),
    };
    conflist::check_entry(&entry).map_err(content(&path))?;
    if change == Change::None {
        return Ok(format!("{}: has the entry already", path.display()));
    }
    hands.make_directory(path.parent().unwrap_or(Path::new("/")))?;
    let text = conflist::pretty(&Value::Object(entry), "  ");
    hands.replace(None, &path, &text, Permissions::from_mode(0o644))?;
    Ok(format!("{}: written", path.display()))
}

/// What was taken out.
#[derive(Debug, Default)]
pub struct Taken {
    /// What was done with each list, for people.
    pub said: Vec<String>,
    /// Where the entries that were there had their pod records.
    pub pod_dirs: BTreeSet<PathBuf>,
    /// The first list that our entry could not be taken out of.
    pub failed: Option<InstallError>,
}

/// Takes our entry out of the list, or out of all lists of the directory and the folders beside them;
/// says what it did with each. Where nothing else has changed since, the list is byte by byte as it
/// was. One that is not understood is told and left alone, and none keeps it from the others.
///
/// # Errors
/// There is no such file or directory, where more may be amiss than its name: nothing has changed.
pub fn take_entry(hands: Hands, place: &Place) -> Result<Taken, InstallError> {
    let (Place::File(path) | Place::Directory(path)) = place;
    if fs::symlink_metadata(path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
        let what = "is not there; say with --conf-dir or --conflist where the runtime's list is";
        return Err(refused(path, what));
    }
    let lists = match place {
        Place::File(path) => vec![path.clone()],
        Place::Directory(directory) => {
            let is_list = |path: &PathBuf| path.extension() == Some(OsStr::new("conflist"));
            configurations(directory)?.into_iter().filter(is_list).collect()
        }
    };
    let mut taken = Taken::default();
    for path in lists {
        match List::open(&path) {
            Ok(file) => {
                let failed = take_from(hands, &file, &mut taken).err();
                taken.failed = taken.failed.or(failed);
            }
            Err(error) => taken.said.push(format!("left alone: {error}")),
        }
    }
    Ok(taken)
}

/// Says so where a list of the place has the plugin's name in it yet: one that was not understood.
///
/// # Errors
/// [`InstallError::Refused`] with the list.
pub fn check_taken(hands: Hands, place: &Place) -> Result<(), InstallError> {
    let user = match place {
        Place::Directory(_) => program::still_named(place)?,
        Place::File(path) => Some(path.clone()).filter(|path| program::names_us(path)),
    };
    match user.filter(|_| !hands.dry) {
        Some(user) => Err(refused(&user, "still names the plugin; take it out by hand")),
        None => Ok(()),
    }
}

fn take_from(hands: Hands, file: &List, taken: &mut Taken) -> Result<(), InstallError> {
    let mut list = file.list.clone();
    let kept = file.kept();
    if let Some(entry) = list.take() {
        taken.pod_dirs.extend(pod_dir(&entry).ok());
        let before = files::read(&kept, MAX_FILE).ok();
        let same = |text: &Vec<u8>| Conflist::parse(text).is_ok_and(|before| before.says(&list));
        let text = before.filter(same).unwrap_or_else(|| list.to_bytes());
        file.write(hands, &text)?;
        taken.said.push(format!("{}: entry removed", file.path.display()));
    }
    // Also beside a list that another program has written anew, without us.
    if hands.remove(&kept)? {
        taken.said.push(format!("{}: removed", kept.display()));
    }
    let drop_in = file.drop_in();
    if let Ok(entry) = files::read(&drop_in, MAX_FILE) {
        taken.pod_dirs.extend(decode(&entry).and_then(|entry| pod_dir(&entry)).ok());
    }
    if hands.remove(&drop_in)? {
        drop_in.parent().into_iter().for_each(|folder| hands.remove_directory(folder));
        taken.said.push(format!("{}: removed", drop_in.display()));
    }
    Ok(())
}

fn sweep(hands: Hands, directory: &Path) -> Result<(), InstallError> {
    if hands.dry { Ok(()) } else { Ok(replace::sweep(directory, SystemTime::now())?) }
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

#[cfg(test)]
mod tests;
