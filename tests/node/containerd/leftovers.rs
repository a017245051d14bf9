//! What a runtime has on the machine outside of its directory and inside of it: processes, mounts, cgroups,
//! cached results of plugins. Nothing of it may outlive a test, nor a test run that was killed.
//!
//! All of it is known by the runtime's directory or by its cgroup, whose names begin with [`prefix`]: the
//! number of the test process. What does not say that it is ours is left alone.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::image;

const CGROUPS: &str = "/sys/fs/cgroup";
/// Where libcni keeps results, whatever a runtime's own directories are.
const RESULTS: &str = "/var/lib/cni/results";
const PREFIX: &str = "hzc";
/// How long processes may take to end once they are killed.
const END: Duration = Duration::from_secs(5);

/// How the directories and cgroups of this test process begin.
pub fn prefix() -> String {
    format!("{PREFIX}{}-", std::process::id())
}

/// What one runtime has.
pub struct Leftovers<'a> {
    directory: &'a Path,
    cgroup: &'a str,
}

impl<'a> Leftovers<'a> {
    /// Of the runtime with this directory, and this cgroup in each hierarchy.
    pub fn new(directory: &'a Path, cgroup: &'a str) -> Self {
        Self { directory, cgroup }
    }

    /// What there is while no pod should be: shims, mounts of pods, their cgroups and results.
    pub fn list(&self) -> Vec<String> {
        let mut list: Vec<String> = self.shims().iter().map(|pid| format!("shim {pid}")).collect();
        list.extend(self.mounts().into_iter().map(|mount| format!("mount {mount}")));
        list.extend(self.results().into_iter().map(|path| path.display().to_string()));
        for group in self.cgroups() {
            list.extend(below(&group).into_iter().map(|path| path.display().to_string()));
        }
        list
    }

    /// Removes it all. The runtime itself must have ended.
    pub fn remove(&self) {
        let groups = self.cgroups();
        let end = Instant::now() + END;
        loop {
            let mut pids = self.shims();
            groups.iter().for_each(|group| processes(group, &mut pids));
            if pids.is_empty() || Instant::now() > end {
                break;
            }
            for pid in pids.into_iter().filter_map(Pid::from_raw) {
                let _ = kill_process(pid, Signal::KILL);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        // The last that was mounted may lie within another.
        for mount in self.mounts().into_iter().rev() {
            let _ = Command::new("umount").args(["--lazy", &mount]).stderr(Stdio::null()).status();
        }
        image::remove_cgroups(self.cgroup);
        for result in self.results() {
            let _ = fs::remove_file(result);
        }
    }

    /// Shims are told the runtime's socket.
    fn shims(&self) -> Vec<i32> {
        let socket = self.directory.join("c.sock");
        let socket = socket.as_os_str().as_bytes();
        let numbers = entries(Path::new("/proc")).into_iter().filter_map(|path| {
            let pid = path.file_name()?.to_str()?.parse::<i32>().ok()?;
            let words = fs::read(path.join("cmdline")).ok()?;
            let mut words = words.split(|byte| *byte == 0);
            let shim = words.next()?.ends_with(b"containerd-shim-runc-v2");
            (shim && words.any(|word| word == socket)).then_some(pid)
        });
        numbers.collect()
    }

    /// In the order in which they were made.
    fn mounts(&self) -> Vec<String> {
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        let paths = mounts.lines().filter_map(|line| line.split(' ').nth(1));
        paths.filter(|path| Path::new(path).starts_with(self.directory)).map(Into::into).collect()
    }

    /// Results name the network namespace, which lies in our directory.
    fn results(&self) -> Vec<PathBuf> {
        let ours = format!("\"sandbox\":\"{}/", self.directory.display());
        let mut files = entries(Path::new(RESULTS));
        files.retain(|path| mentions(path, &ours));
        files
    }

    fn cgroups(&self) -> Vec<PathBuf> {
        let hierarchies = entries(Path::new(CGROUPS));
        let mut groups: Vec<PathBuf> =
            hierarchies.into_iter().map(|path| path.join(self.cgroup)).collect();
        groups.push(Path::new(CGROUPS).join(self.cgroup));
        groups.retain(|path| path.is_dir());
        groups
    }
}

/// Removes what test processes left behind that are no more.
pub fn sweep() {
    for directory in entries(Path::new("/tmp")) {
        let Some(owner) = owner(&directory) else { continue };
        if Path::new("/proc").join(owner.to_string()).exists() {
            continue;
        }
        // Its cgroups have the process' number too, and its own in the process; all go.
        let groups = entries(Path::new(CGROUPS)).into_iter().flat_map(|path| entries(&path));
        let mut groups: Vec<String> = groups
            .chain(entries(Path::new(CGROUPS)))
            .filter(|path| self::owner(path) == Some(owner))
            .filter_map(|path| Some(path.file_name()?.to_str()?.to_owned()))
            .collect();
        groups.sort();
        groups.dedup();
        groups.push(format!("{PREFIX}{owner}-none"));
        for group in groups {
            Leftovers::new(&directory, &group).remove();
        }
        let _ = fs::remove_dir_all(&directory);
    }
}

/// The test process that a directory's or cgroup's name tells of.
fn owner(path: &Path) -> Option<u32> {
    path.file_name()?.to_str()?.strip_prefix(PREFIX)?.split_once('-')?.0.parse().ok()
}

fn mentions(path: &Path, text: &str) -> bool {
    fs::read(path)
        .is_ok_and(|bytes| bytes.windows(text.len()).any(|window| window == text.as_bytes()))
}

fn entries(directory: &Path) -> Vec<PathBuf> {
    fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

/// The directories in a cgroup, which are its groups.
fn below(group: &Path) -> Vec<PathBuf> {
    entries(group).into_iter().filter(|path| path.is_dir()).collect()
}

/// Adds the processes of a cgroup and of all groups in it.
fn processes(group: &Path, pids: &mut Vec<i32>) {
    let text = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
    pids.extend(text.lines().filter_map(|line| line.parse::<i32>().ok()));
    below(group).iter().for_each(|path| processes(path, pids));
}
