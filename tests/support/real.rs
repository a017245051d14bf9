//! Real servers in front of and behind the real daemon, all on loopback addresses of one test process.
//!
//! Nothing here knows what is asked. No root is needed; the programs of [`TOOLS`] are, and a missing
//! one is a failure that names its package. Every server is one process that is killed by its pid when
//! dropped, and is ready when it answers.

#[path = "real/servers.rs"]
pub mod servers;
#[path = "real/service.rs"]
pub mod service;
#[path = "real/sign.rs"]
pub mod sign;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use tempfile::TempDir;

/// Programs that these tests need, with the Debian package of each.
pub const TOOLS: &[(&str, &str)] = &[
    ("nsd", "nsd"),
    ("knotd", "knot"),
    ("unbound", "unbound"),
    ("dnsdist", "dnsdist"),
    ("delv", "bind9-dnsutils"),
    ("dig", "bind9-dnsutils"),
    ("ldns-keygen", "ldnsutils"),
    ("ldns-signzone", "ldnsutils"),
    ("ldns-key2ds", "ldnsutils"),
];

/// The port of every server here; each has an address of its own.
pub const PORT: u16 = 5300;

/// A directory for the servers of one test; it goes when this goes.
pub struct Ground(TempDir);

impl Ground {
    /// Panics where a tool is missing.
    pub fn new() -> Self {
        require_tools();
        Self(TempDir::with_prefix("horizond-real-").unwrap())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes a file and gives its path.
    pub fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    /// A copy of a program. Debian confines some servers to their own files by their path (AppArmor);
    /// a copy is not confined.
    fn unconfined(&self, program: &str) -> PathBuf {
        let copy = self.path(&format!("bin/{program}"));
        if !copy.exists() {
            std::fs::create_dir_all(copy.parent().unwrap()).unwrap();
            // Not by this process: a child that another test starts meanwhile would inherit the file
            // open for writing, and a program that is open for writing cannot be run (ETXTBSY).
            service::checked(Command::new("cp").arg(find(program).unwrap()).arg(&copy));
        }
        copy
    }
}

/// A loopback address that no other server of this machine's tests has: 127.32.0.0/11 is for this.
pub fn address() -> SocketAddr {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    assert!(number < 0x100, "one address for each server, at most 255");
    let host = 0x7f20_0000 | (std::process::id() % 0x2000) << 8 | number;
    (Ipv4Addr::from_bits(host), PORT).into()
}

/// Servers lie in `sbin`, which an ordinary user's PATH may lack.
fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/local/sbin:/usr/sbin:/sbin";
    path.split(':').map(|dir| Path::new(dir).join(program)).find(|file| file.is_file())
}

fn require_tools() {
    let missing: Vec<String> = TOOLS
        .iter()
        .filter(|(tool, _)| find(tool).is_none())
        .map(|(tool, package)| format!("{tool} (Debian package {package})"))
        .collect();
    assert!(missing.is_empty(), "tests with real servers need, in PATH: {}", missing.join(", "));
}
