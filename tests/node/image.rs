//! What the containers of the tests have in them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::process::{PATIENCE, checked};

/// Makes a container's root: busybox, and glibc's getent and dig with all that they are linked with.
pub fn fill(root: &Path) {
    fs::create_dir_all(root.join("bin")).unwrap();
    fs::create_dir_all(root.join("etc")).unwrap();
    fs::write(root.join("etc/nsswitch.conf"), "hosts: files dns\n").unwrap();
    fs::write(root.join("etc/hosts"), "127.0.0.1 localhost\n").unwrap();
    fs::copy(find("busybox").unwrap(), root.join("bin/busybox")).unwrap();
    for program in ["getent", "dig"] {
        let from = find(program).unwrap();
        fs::copy(&from, root.join("bin").join(program)).unwrap();
        for library in libraries(&from) {
            let to = root.join(library.strip_prefix("/").unwrap());
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            fs::copy(&library, to).unwrap();
        }
    }
}

/// Where a program of PATH lies, or one with its whole path.
pub fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var("PATH").unwrap_or_default();
    let mut all = path.split(':').map(|dir| Path::new(dir).join(program));
    all.find(|path| path.is_file())
}

/// The libraries that a program is linked with, and its loader.
fn libraries(program: &Path) -> Vec<PathBuf> {
    let text = checked(Command::new("ldd").arg(program));
    let words = text.split_whitespace().filter(|word| word.starts_with('/'));
    words.map(PathBuf::from).collect()
}

/// Removes the cgroups of containers that are gone, under this one of each hierarchy. A runtime's last
/// processes may still be ending.
pub fn remove_cgroups(name: &str) {
    let end = Instant::now() + PATIENCE;
    let name = name.trim_start_matches('/');
    let hierarchies = fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten();
    let mut groups: Vec<PathBuf> = hierarchies.map(|entry| entry.path().join(name)).collect();
    groups.push(Path::new("/sys/fs/cgroup").join(name));
    while Instant::now() < end && groups.iter().any(|group| group.exists()) {
        groups.iter().for_each(|group| remove_empty(group));
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// From the leaves up; those with processes in them stay.
fn remove_empty(group: &Path) {
    for below in fs::read_dir(group).into_iter().flatten().flatten() {
        if below.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_empty(&below.path());
        }
    }
    let _ = fs::remove_dir(group);
}
