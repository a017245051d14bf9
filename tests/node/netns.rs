//! A network namespace of a test: made, entered by a thread, removed when dropped.

use std::fs::File;
use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::Command;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::fake_coredns::Place;
use crate::process::{checked, checked_with_input};

const DIRECTORY: &str = "/run/netns";

/// A namespace, by name; whoever holds a clone does not own it.
#[derive(Debug, Clone)]
pub struct Netns {
    name: String,
}

impl Netns {
    /// The namespace of this name, which must exist by the time it is entered.
    pub fn named(name: String) -> Self {
        Self { name }
    }

    /// Name in `ip netns`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Does `work` in the namespace, on a thread of its own. Sockets opened and processes started
    /// there stay in it.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let path = PathBuf::from(DIRECTORY).join(&self.name);
        std::thread::scope(|scope| {
            let thread = scope.spawn(move || {
                let file = File::open(&path)
                    .unwrap_or_else(|error| panic!("open {}: {error}", path.display()));
                move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))
                    .unwrap_or_else(|error| panic!("enter {}: {error}", path.display()));
                work()
            });
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Runs lines of `ip -batch` in the namespace.
    pub fn ip(&self, batch: &str) {
        let mut command = Command::new("ip");
        checked_with_input(command.args(["-n", &self.name, "-batch", "-"]), batch);
    }

    /// Sets a kernel parameter of the namespace, by its path under `/proc/sys/net`.
    pub fn sysctl(&self, path: &str, value: &str) {
        let path = format!("/proc/sys/net/{path}");
        self.run(|| std::fs::write(&path, value)).unwrap_or_else(|e| panic!("{path}: {e}"));
    }
}

impl Place for Netns {
    fn udp(&self, addr: SocketAddr) -> io::Result<UdpSocket> {
        self.run(|| UdpSocket::bind(addr))
    }

    fn tcp(&self, addr: SocketAddr) -> io::Result<TcpListener> {
        self.run(|| TcpListener::bind(addr))
    }
}

/// Removes the namespace of this name, if it is there.
pub fn remove(name: &str) {
    let _ = Command::new("ip").args(["netns", "del", name]).output();
}

/// Ends what a killed test run of before left behind: namespaces named after a process that is no
/// more, and the programs in them.
pub fn sweep(prefix: &str) {
    for entry in std::fs::read_dir(DIRECTORY).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some(pid) = name.strip_prefix(prefix).and_then(|rest| rest.split('-').next()) else {
            continue;
        };
        if pid.parse::<u32>().is_err() || PathBuf::from("/proc").join(pid).exists() {
            continue;
        }
        for process in checked(Command::new("ip").args(["netns", "pids", &name])).lines() {
            let _ = Command::new("kill").args(["-KILL", process]).output();
        }
        remove(&name);
    }
}
