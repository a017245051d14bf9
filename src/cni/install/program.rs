//! The plugin's program in the directory of plugins: put there whole, and taken away when nobody calls it
//! any more.

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::{Hands, InstallError, Place, configurations, refused, sweep};
use crate::cni::conflist::PLUGIN;
use crate::cni::records::Records;
use crate::files;

/// The most bytes of the plugin, with all that helps to debug it.
const MAX_BINARY: usize = 256 << 20;
/// The most bytes of a network configuration that are searched for the plugin's name, understood or not.
const MAX_SEARCHED: usize = 16 << 20;
/// The plugin's mode.
const MODE: u32 = 0o755;
/// The most folders beside the lists that are looked into.
const MAX_FOLDERS: usize = 256;

/// Copies a program into the directory of plugins, as the plugin; says what it did.
///
/// # Errors
/// Says which file could not be read or written.
pub fn put_binary(hands: Hands, program: &Path, directory: &Path) -> Result<String, InstallError> {
    let bytes = files::read(program, MAX_BINARY)?;
    if bytes.len() > MAX_BINARY {
        return Err(refused(program, format!("longer than {MAX_BINARY} bytes")));
    }
    let path = directory.join(PLUGIN);
    let is_mode =
        |about: fs::Metadata| about.is_file() && about.permissions().mode() & 0o777 == MODE;
    if fs::symlink_metadata(&path).is_ok_and(is_mode)
        && files::read(&path, MAX_BINARY).is_ok_and(|there| there == bytes)
    {
        return Ok(format!("{}: is there already", path.display()));
    }
    hands.make_directory(directory)?;
    sweep(hands, directory)?;
    hands.replace(None, &path, &bytes, Permissions::from_mode(MODE))?;
    Ok(format!("{}: written", path.display()))
}

/// Removes the plugin's binary; there need be none. It stays while a runtime may still call it: a network
/// configuration that names it is an error, since no pod could start or stop without it; and so may
/// runtimes do that keep what a pod was made with, until the pods of `pod_dirs` are gone.
///
/// # Errors
/// Says that it stays.
pub fn take_binary(
    hands: Hands,
    directory: &Path,
    place: &Place,
    pod_dirs: &BTreeSet<PathBuf>,
) -> Result<String, InstallError> {
    let path = directory.join(PLUGIN);
    if fs::symlink_metadata(&path).is_err() {
        return Ok(format!("{}: was not there", path.display()));
    }
    if let Some(user) = still_named(place)?.filter(|_| !hands.dry) {
        let what = format!("still names the plugin, and {} stays for it", path.display());
        return Err(refused(&user, what));
    }
    if let Some((directory, pods)) =
        pod_dirs.iter().map(|directory| (directory, living(directory))).find(|(_, pods)| *pods > 0)
    {
        // The entry that told the directory is gone by then.
        let (path, directory) = (path.display(), directory.display());
        return Ok(format!(
            "{path}: stays for {pods} pods made with it; when they are gone, again with \
             --pod-dir {directory}"
        ));
    }
    hands.remove(&path)?;
    Ok(format!("{}: removed", path.display()))
}

/// How many pods of a directory of records have a network namespace yet.
fn living(pod_dir: &Path) -> usize {
    // Of one that cannot be read nothing is known, and it keeps nobody.
    let listing = Records::new(pod_dir).list("").unwrap_or_default();
    listing.records.iter().filter(|(_, record)| Path::new(&record.netns).exists()).count()
}

/// A network configuration beside or among those of a place that has the plugin's name in it, understood
/// or not.
pub(super) fn still_named(place: &Place) -> Result<Option<PathBuf>, InstallError> {
    let directory = place.directory();
    let mut paths = configurations(directory)?;
    let folders = fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path());
    for folder in folders.filter(|path| path.is_dir()).take(MAX_FOLDERS) {
        paths.extend(configurations(&folder)?);
    }
    Ok(paths.into_iter().find(|path| names_us(path)))
}

/// Whether a file has the plugin's name in it. One that cannot be read has not, for a runtime either.
pub(super) fn names_us(path: &Path) -> bool {
    let text = files::read(path, MAX_SEARCHED).unwrap_or_default();
    text.windows(PLUGIN.len()).any(|part| part == PLUGIN.as_bytes())
}
